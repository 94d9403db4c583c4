"""The PLY of Gaussians that the first 3D Gaussian Splatting code wrote, which everybody reads.

`element vertex` with float32 `x y z nx ny nz f_dc_0..2 f_rest_* opacity scale_0..2 rot_0..3`: logit opacities, log
scales, quaternions wxyz of any length, SH channel after channel. Kerbl et al., 2023. Readers go by property name.
The file does not say its axes or what its means are relative to: `read` leaves them as they are.
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from formats.conventions import inria_sh_to_sh, logit, sh_to_inria_sh, sigmoid
from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.files import check_readable, read_bytes, write_bytes
from formats.gaussians import GaussianCloud

_TYPES = {"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
          "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
          "double": "f8", "float64": "f8"}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
LEAST_SCALE = 1e-20
"""What is written of smaller scales, whose logarithm may not be a number."""
_HEADER_LIMIT = 1 << 16
_POINT = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2",
          "rot_0", "rot_1", "rot_2", "rot_3")


class _Element(NamedTuple):
    name: str
    count: int
    properties: list[tuple[str, str]]
    """Name and NumPy type; an empty type for a list."""


def read(path: str | os.PathLike[str]) -> GaussianCloud:
    """Return the Gaussians in a PLY, activated, in the file's own axes and space.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is cut off, not a PLY, lacks a property, or holds NaN.
        UnsupportedFeature: It is one of the packed variants.
    """
    return cloud_of(read_fields(path), str(path))


def cloud_of(fields: dict[str, np.ndarray], where: str) -> GaussianCloud:
    """Return activated Gaussians of INRIA-named columns [N]; `where` names the file in messages."""
    if "packed_position" in fields:
        raise UnsupportedFeature(f"{where}: a compressed PLY (packed_position); unpack it first, for example with "
                                 "splat-transform in.compressed.ply out.ply")
    missing = [name for name in _POINT if name not in fields]
    if missing:
        hint = " A 2D Gaussian file?" if missing == ["scale_2"] else ""
        found = ", ".join(list(fields)[:24]) or "none"
        raise FormatError(f"{where}: properties {', '.join(missing)} missing; found {found}.{hint}")
    rest = sorted((name for name in fields if re.fullmatch(r"f_rest_\d{1,2}", name)), key=lambda n: int(n[7:]))
    if len(rest) not in (0, 9, 24, 45) or rest != [f"f_rest_{i}" for i in range(len(rest))]:
        raise FormatError(f"{where}: expected 0, 9, 24 or 45 properties f_rest_0, f_rest_1, ...; got {len(rest)}")

    def columns(*names: str) -> np.ndarray:
        empty = np.zeros((len(fields["x"]), 0))
        return np.concatenate([empty, *(fields[name][:, None].astype(np.float64) for name in names)], axis=1)

    def columns_like(prefix: str, count: int) -> np.ndarray:
        return columns(*(f"{prefix}_{i}" for i in range(count)))

    try:
        # Infinity and NaN are for the cloud to refuse, by name.
        with np.errstate(over="ignore", invalid="ignore"):
            return GaussianCloud(
                means=columns("x", "y", "z"), quats=columns_like("rot", 4), scales=np.exp(columns_like("scale", 3)),
                opacities=sigmoid(fields["opacity"].astype(np.float64)),
                sh=inria_sh_to_sh(columns_like("f_dc", 3), columns(*rest)))
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error


def read_fields(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return every column of the `vertex` element by name, [N], as stored: for PLYs with their own meaning or extras.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is cut off or not a PLY.
        UnsupportedFeature: It holds lists where only plain properties can be read.
    """
    return parse_fields(read_bytes(path), str(path))


def properties(path: str | os.PathLike[str]) -> tuple[int, list[str]]:
    """Return how many vertices a PLY announces and the names of their properties, without reading them.

    Raises: as `read_fields`, for the header.
    """
    check_readable(path)
    try:
        with open(path, "rb") as file:
            elements = _header(file.read(_HEADER_LIMIT), str(path))[1]
    except OSError as error:
        raise MissingAsset(f"{path}: cannot be read: {error.strerror}") from error
    vertex = next((element for element in elements if element.name == "vertex"), None)
    if vertex is None:
        raise FormatError(f"{path}: expected an element 'vertex', found {', '.join(e.name for e in elements) or 'none'}")
    return vertex.count, [name for name, _ in vertex.properties]


def parse_fields(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Return the columns of the `vertex` element in `data`; `where` names the file in messages."""
    order, elements, start = _header(data, where)
    names = [element.name for element in elements]
    if "vertex" not in names:
        raise FormatError(f"{where}: expected an element 'vertex', found {', '.join(names) or 'none'}")
    before, vertex = elements[:names.index("vertex")], elements[names.index("vertex")]
    for element in (*before, vertex):
        lists = [name for name, dtype in element.properties if not dtype]
        if lists:
            raise UnsupportedFeature(f"{where}: element '{element.name}' holds the list '{lists[0]}'; rewrite the file "
                                     "with 'vertex' first and without lists in it (plyfile can do that)")
    if order == "ascii":
        return _ascii(data[start:], before, vertex, where)
    for element in before:
        start += element.count * _row(element, order).itemsize
    row = _row(vertex, order)
    left = max(len(data) - start, 0)
    if vertex.count * row.itemsize > left:
        raise FormatError(f"{where}: {vertex.count} vertices of {row.itemsize} bytes need "
                          f"{vertex.count * row.itemsize} bytes, {left} are there; the file is cut off, copy it again")
    table = np.frombuffer(data[start:], row, vertex.count) if vertex.count and row.itemsize else np.zeros(0, row)
    return {name: table[name].astype(dtype) for name, dtype in vertex.properties}


def _row(element: _Element, order: str) -> np.dtype:
    return np.dtype([(name, _ORDERS[order] + dtype) for name, dtype in element.properties])


def _ascii(body: bytes, before: list[_Element], vertex: _Element, where: str) -> dict[str, np.ndarray]:
    tokens = body.split()
    start = sum(element.count * len(element.properties) for element in before)
    width = len(vertex.properties)
    if len(tokens) < start + vertex.count * width:
        raise FormatError(f"{where}: {vertex.count} vertices of {width} numbers expected, "
                          f"{max(len(tokens) - start, 0)} numbers are there; the file is cut off, copy it again")
    try:
        table = np.array(tokens[start:start + vertex.count * width]).astype(np.float64).reshape(vertex.count, width)
    except ValueError as error:
        raise FormatError(f"{where}: expected numbers in element 'vertex': {error}") from error
    with np.errstate(over="ignore", invalid="ignore"):
        return {name: table[:, i].astype(dtype) for i, (name, dtype) in enumerate(vertex.properties)}


def _header(data: bytes, where: str) -> tuple[str, list[_Element], int]:
    if not sniff(data):
        raise FormatError(f"{where}: not a PLY: it does not start with 'ply'")
    found = re.search(rb"\r?\nend_header[ \t]*(\r\n|\n|\r)", data[:_HEADER_LIMIT])
    if found is None:
        raise FormatError(f"{where}: no 'end_header' in the first {_HEADER_LIMIT} bytes; cut off or damaged, copy it again")
    try:
        lines = [line.split() for line in data[:found.start()].decode("ascii").splitlines()[1:]]
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: byte {error.start} of the header is not ASCII; the file is damaged") from error
    order, elements = "", []
    for line in lines:
        match line:
            case [] | ["comment" | "obj_info", *_]:
                pass
            case ["format", name, "1.0"] if name in _ORDERS:
                order = name
            case ["element", name, count] if count.isascii() and count.isdecimal() and len(count) < 16:
                elements.append(_Element(name, int(count), []))
            case ["property", "list", count, of, name] if elements and count in _TYPES and of in _TYPES:
                elements[-1].properties.append((name, ""))
            case ["property", dtype, name] if elements and dtype in _TYPES:
                elements[-1].properties.append((name, _TYPES[dtype]))
            case _:
                raise FormatError(f"{where}: cannot read the header line '{' '.join(line)[:80]}'")
    if not order:
        raise FormatError(f"{where}: the header names no format; expected one of {', '.join(_ORDERS)}")
    for element in elements:
        names = [name for name, _ in element.properties]
        if len(set(names)) != len(names):
            raise FormatError(f"{where}: element '{element.name}' names a property twice")
    return order, elements, found.end()


def write(cloud: GaussianCloud, path: str | os.PathLike[str], sh_degree: int | None = None,
          comments: Sequence[str] = ()) -> None:
    """Write Gaussians as a binary little-endian PLY, atomically.

    Logarithms in float32 cost up to 1e-6 of a scale; opacities of 0 and 1 become logits of about 16.1, and scales of
    zero `LEAST_SCALE`.

    Args:
        cloud: In whatever axes and space it should have in the file.
        path: The file.
        sh_degree: Pad with zeros or cut to this degree; some readers insist on 3. The cloud's own when None.
        comments: For people who open the header, such as licence notices: a line each, what is not ASCII as `?`.
    """
    write_bytes(path, pack(cloud, sh_degree, comments))


def pack(cloud: GaussianCloud, sh_degree: int | None = None, comments: Sequence[str] = ()) -> bytes:
    """Return the bytes that `write` writes."""
    degree = cloud.sh_degree if sh_degree is None else sh_degree
    if degree not in (0, 1, 2, 3):
        raise UnsupportedFeature(f"a PLY of Gaussians carries SH degrees 0 to 3, not {degree}")
    sh = np.zeros((len(cloud), (degree + 1) ** 2, 3), np.float32)
    kept = min(sh.shape[1], cloud.sh.shape[1])
    sh[:, :kept] = cloud.sh[:, :kept]
    f_dc, f_rest = sh_to_inria_sh(sh)
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2",
             *(f"f_rest_{i}" for i in range(f_rest.shape[1])), "opacity",
             *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    table = np.concatenate([
        cloud.means, np.zeros((len(cloud), 3)), f_dc, f_rest, logit(cloud.opacities)[:, None],
        np.log(np.maximum(cloud.scales.astype(np.float64), LEAST_SCALE)), cloud.quats], axis=1).astype("<f4")
    lines = [f"comment {' '.join(comment.split())}" for comment in comments]
    header = "\n".join(["ply", "format binary_little_endian 1.0", *lines, f"element vertex {len(cloud)}",
                        *(f"property float {name}" for name in names), "end_header", ""])
    return header.encode("ascii", "replace") + table.tobytes()


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a PLY."""
    return head[:4] in (b"ply\n", b"ply\r")


