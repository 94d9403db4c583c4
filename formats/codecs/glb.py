"""Binary glTF 2.0 as a container: bytes to accessors and images. What a document *means* is for others to say.

    document = read_document("head.glb")
    document.json["meshes"], document.accessor(3), document.image_bytes(0)

Bounded: every count and offset is checked against the bytes that are really there before anything is allocated, and
nothing outside the file is ever opened. The writing half is `formats.codecs.glb_writer`.
"""

import base64
import binascii
import math
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from formats.codecs import meshopt
from formats.codecs.json_file import Fields, parse_json
from formats.errors import FormatError, UnsupportedFeature
from formats.files import read_bytes

MAGIC = b"glTF"
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
JSON_LIMIT = 64 << 20
"""Bytes; a head with 400 named targets and a clip has about 0.3 MB of JSON."""
EMPTY_LIMIT = 1 << 24
"""Numbers of an accessor that stores none of them (all zeros, or sparse over zeros)."""
EXPANDED_LIMIT = 1 << 30
"""Bytes of all decompressed views together: 64 times a 16 MB file, whose views may name the same bytes again and again."""
TABLE_LIMIT = 1 << 27
"""Numbers of a table over many accessors, which may be such ones: half a gigabyte."""

COMPONENTS = {5120: np.dtype("i1"), 5121: np.dtype("u1"), 5122: np.dtype("<i2"), 5123: np.dtype("<u2"),
              5125: np.dtype("<u4"), 5126: np.dtype("<f4")}
MESHOPT, QUANTIZATION, WEBP = "EXT_meshopt_compression", "KHR_mesh_quantization", "EXT_texture_webp"
BASISU = "KHR_texture_basisu"
TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


@dataclass(frozen=True, eq=False)
class GlbDocument:
    """One GLB: its JSON, its binary chunk, and checked access to what they describe."""

    json: dict[str, Any]
    binary: bytes
    where: str = "GLB"
    """Names the file in messages."""
    _decoded: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Views that were compressed."""

    def item(self, kind: str, index: Any) -> Fields:
        """Return entry `index` of the top-level list `kind` ("accessors", "meshes", ...), for reading field by field.

        Raises:
            FormatError: There is no such list or entry.
        """
        entries = self.json.get(kind, [])
        if not isinstance(entries, list):
            raise FormatError(f"{self.where}: '{kind}': expected a list")
        if type(index) is not int or not 0 <= index < len(entries):
            raise FormatError(f"{self.where}: {kind}[{index}] is referred to, but the file has {len(entries)}")
        return Fields(entries[index], f"{self.where}: {kind}[{index}]")

    def accessor(self, index: Any) -> np.ndarray:
        """Return an accessor's values: [count] for scalars, [count, n] for vectors, [count, n, n] for matrices.

        Normalised integers become float32 as the specification says; other integers keep their type. Sparse accessors
        are filled in. Matrices are turned to row-major, so that `m @ column` transforms.

        Raises:
            FormatError: It reaches outside the file, or holds NaN or infinity.
            UnsupportedFeature: Its bytes are compressed by an extension.
        """
        fields = self.item("accessors", index)
        dtype, width, shape = self._layout(fields)
        count = fields.integer("count", low=1)
        if fields.has("bufferView"):
            values = self._elements(fields.integer("bufferView"), fields.integer("byteOffset", 0), dtype, width, count,
                                    fields.where)
        else:
            check_size((count, width), EMPTY_LIMIT, f"{fields.where}: without bytes, it")
            values = np.zeros((count, width), dtype)
        if fields.has("sparse"):
            rows, there = self._sparse(fields.fields("sparse"), dtype, width, count)
            values = values.copy()
            values[rows] = there
        if dtype.kind == "f" and not np.isfinite(values).all():
            raise FormatError(f"{fields.where}: holds NaN or infinity, which glTF does not allow")
        if fields.flag("normalized", False):
            if dtype.itemsize > 2:
                raise FormatError(f"{fields.where}: 'normalized' is for 8 and 16 bit integers")
            values = np.maximum(values.astype(np.float32) / np.float32(np.iinfo(dtype).max), np.float32(-1))
        values = values.reshape(count, *shape)
        return values.transpose(0, 2, 1) if len(shape) == 2 else values

    def table(self, index: Any, shape: tuple[int | None, ...], where: str) -> np.ndarray:
        """Return an accessor after checking its shape; None stands for any length. `where` says who refers to it."""
        values = self.accessor(index)
        if len(values.shape) != len(shape) or any(
                want is not None and want != got for want, got in zip(shape, values.shape, strict=True)):
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise FormatError(f"{where}: accessor {index}: expected [{wanted}], got {list(values.shape)}")
        return values

    def only_primitive(self, mesh: Any) -> Fields:
        """Return the primitive of mesh `mesh`, which must have one."""
        primitives = self.item("meshes", mesh).items("primitives")
        if len(primitives) != 1:
            raise FormatError(f"{self.where}: meshes[{mesh}]: expected one primitive, got {len(primitives)}")
        return Fields(primitives[0], f"{self.where}: meshes[{mesh}]")

    def _layout(self, fields: Fields) -> tuple[np.dtype, int, tuple[int, ...]]:
        kind = fields.choice("type", tuple(TYPES))
        component = fields.integer("componentType")
        if component not in COMPONENTS:
            raise FormatError(f"{fields.where}: 'componentType': expected one of "
                              f"{', '.join(map(str, COMPONENTS))}, got {component}")
        dtype, width = COMPONENTS[component], TYPES[kind]
        if kind in ("MAT2", "MAT3") and dtype.itemsize < 4:
            raise UnsupportedFeature(f"{fields.where}: {kind} of {dtype.name} has padded columns, which is not read")
        side = int(round(width**0.5))
        return dtype, width, () if width == 1 else (side, side) if kind.startswith("MAT") else (width,)

    def _sparse(self, sparse: Fields, dtype: np.dtype, width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        filled = sparse.integer("count", low=1, high=count)
        at, values = sparse.fields("indices"), sparse.fields("values")
        index_type = at.integer("componentType")
        if index_type not in (5121, 5123, 5125):
            raise FormatError(f"{at.where}: 'componentType': expected an unsigned integer, got {index_type}")
        rows = self._elements(at.integer("bufferView"), at.integer("byteOffset", 0), COMPONENTS[index_type], 1, filled,
                              at.where)[:, 0].astype(np.int64)
        if rows[-1] >= count or (np.diff(rows) <= 0).any():
            raise FormatError(f"{at.where}: indices must rise strictly and stay below {count}")
        return rows, self._elements(values.integer("bufferView"), values.integer("byteOffset", 0), dtype, width, filled,
                                    values.where)

    def _elements(self, view: int, offset: int, dtype: np.dtype, width: int, count: int, where: str) -> np.ndarray:
        data, stride = self._view(view)
        size = dtype.itemsize * width
        stride = stride or size
        if stride < size:
            raise FormatError(f"{where}: elements of {size} bytes every {stride} bytes overlap")
        needed = offset + stride * (count - 1) + size
        if needed > len(data):
            raise FormatError(f"{where}: needs {needed} bytes, bufferViews[{view}] has {len(data)}")
        return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))

    def _view(self, index: Any) -> tuple[memoryview, int]:
        view = self.item("bufferViews", index)
        extensions = view.fields("extensions")
        length, stride = view.integer("byteLength", low=1), view.integer("byteStride", 0, high=252)
        if extensions.has(MESHOPT):
            if index not in self._decoded:
                self._decoded[index] = self._expand(extensions.fields(MESHOPT))
            decoded = memoryview(self._decoded[index])
            if len(decoded) != length:
                raise FormatError(f"{view.where}: 'byteLength': {length} bytes, {MESHOPT} gives {len(decoded)}")
            return decoded, stride
        compressed = [name for name in extensions.values if "meshopt" in name.lower()]
        if compressed:
            raise UnsupportedFeature(f"{view.where}: compressed by {compressed[0]}, which this version does not read; "
                                     "export the GLB without compression")
        return self._bytes(view), stride

    def _bytes(self, view: Fields) -> memoryview:
        if view.integer("buffer") != 0:
            raise UnsupportedFeature(f"{view.where}: in another buffer than the GLB's own; pack the file as one GLB")
        self._check_buffer()
        offset, length = view.integer("byteOffset", 0), view.integer("byteLength", low=1)
        if offset + length > len(self.binary):
            raise FormatError(f"{view.where}: bytes {offset}..{offset + length}, the binary chunk has "
                              f"{len(self.binary)}")
        return memoryview(self.binary)[offset:offset + length]

    def _expand(self, how: Fields) -> bytes:
        """Return the bytes of a view that `EXT_meshopt_compression` compressed."""
        packed, stride = bytes(self._bytes(how)), how.integer("byteStride", low=1, high=256)
        count, mode = how.integer("count", low=1), how.text("mode")
        filter_ = how.text("filter", "NONE")
        if count * stride + sum(map(len, self._decoded.values())) > EXPANDED_LIMIT:
            raise FormatError(f"{how.where}: decompressed views would have more than {EXPANDED_LIMIT} bytes")
        if mode == "INDICES" and filter_ == "NONE" and stride in (2, 4):
            return meshopt.decode_indices(packed, count, how.where).astype(f"<u{stride}").tobytes()
        if mode != "ATTRIBUTES" or filter_ not in ("NONE", "EXPONENTIAL"):
            raise UnsupportedFeature(f"{how.where}: {mode} with filter {filter_} is not read; flameport writes ATTRIBUTES "
                                     "with NONE or EXPONENTIAL, and INDICES; export the GLB again with --grade small or plain")
        rows = meshopt.decode_rows(packed, count, stride, how.where).reshape(-1)
        return (rows if filter_ == "NONE" else meshopt.from_exponential(rows.view("<u4"))).tobytes()

    def _check_buffer(self) -> None:
        if self.item("buffers", 0).has("uri"):
            raise UnsupportedFeature(f"{self.where}: keeps its data in another file; pack it as one GLB")

    def view_bytes(self, index: Any) -> bytes:
        """Return the bytes of a buffer view."""
        return bytes(self._view(index)[0])

    def image_bytes(self, index: Any) -> bytes:
        """Return an image as it is stored (PNG, JPEG, ...).

        Raises:
            UnsupportedFeature: It lies outside the file.
        """
        image = self.item("images", index)
        if image.has("bufferView"):
            return self.view_bytes(image.integer("bufferView"))
        header, comma, text = image.text("uri").partition(",")
        if not comma or not header.startswith("data:image/") or not header.endswith(";base64"):
            raise UnsupportedFeature(f"{image.where}: lies outside the file; pack it into the GLB")
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise FormatError(f"{image.where}: not base64: {error}") from error

    def extension(self, name: str) -> Fields | None:
        """Return the root extension `name`, or None."""
        extensions = Fields(self.json, self.where).fields("extensions")
        return extensions.fields(name) if extensions.has(name) else None

    def check_required(self, known: Collection[str] = ()) -> None:
        """Raise `UnsupportedFeature` when the file requires an extension outside `known`."""
        for name in Fields(self.json, self.where).texts("extensionsRequired", ()):
            if name not in known:
                raise UnsupportedFeature(f"{self.where}: requires the extension {name}, which this version does not "
                                         "read; export the file without it")


def check_size(shape: tuple[int, ...], limit: int, what: str) -> None:
    """Raise `FormatError` when a table of this shape, which need not be in the file, has more than `limit` numbers."""
    if math.prod(shape) > limit:
        raise FormatError(f"{what} would have {' x '.join(map(str, shape))} numbers; at most {limit} are read")


def read_document(source: str | os.PathLike[str] | bytes, where: str | None = None) -> GlbDocument:
    """Return the GLB at a path, or in bytes.

    Args:
        source: Path or bytes.
        where: Names the file in messages; the path when absent.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is not a whole GLB of version 2.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    where = where or ("GLB" if isinstance(source, bytes) else str(Path(source)))
    if not sniff(data):
        raise FormatError(f"{where}: does not start with 'glTF'; expected a binary glTF file (.glb)")
    if len(data) < 20:
        raise FormatError(f"{where}: {len(data)} bytes, too short for a GLB; copy or write it again")
    version, length = (int(n) for n in np.frombuffer(data, "<u4", 2, 4))
    if version != 2:
        raise UnsupportedFeature(f"{where}: glTF container version {version}, this version reads 2; export it as glTF 2.0")
    if length > len(data):
        raise FormatError(f"{where}: says {length} bytes, the file has {len(data)}; copy or write it again")
    chunks = _chunks(data, length, where)
    if not chunks or chunks[0][0] != JSON_CHUNK:
        raise FormatError(f"{where}: the first chunk must be JSON")
    if len(chunks[0][1]) > JSON_LIMIT:
        raise FormatError(f"{where}: {len(chunks[0][1])} bytes of JSON, more than the {JSON_LIMIT} we read")
    content = Fields(parse_json(chunks[0][1], where), where)
    asset = content.fields("asset").text("version")
    if not asset.startswith("2."):
        raise UnsupportedFeature(f"{where}: asset version {asset}, this version reads 2.x; export it as glTF 2.0")
    binary = chunks[1][1] if len(chunks) > 1 and chunks[1][0] == BIN_CHUNK else b""
    return GlbDocument(content.values, binary, where)


def _chunks(data: bytes, length: int, where: str) -> list[tuple[int, bytes]]:
    """Return the first two chunks; the specification says to ignore further ones."""
    chunks, start = [], 12
    while start + 8 <= length and len(chunks) < 2:
        size, kind = (int(n) for n in np.frombuffer(data, "<u4", 2, start))
        if start + 8 + size > length:
            raise FormatError(f"{where}: a chunk of {size} bytes at byte {start} runs past the end ({length}); copy or "
                              "write it again")
        chunks.append((kind, data[start + 8:start + 8 + size]))
        start += 8 + size
    return chunks


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a GLB."""
    return head[:4] == MAGIC
