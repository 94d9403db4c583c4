"""The files that go with a FLAME model: regions, landmarks, texture coordinates, eyelids.

None of them is ours to ship. Each is read by one function, and none runs any code of the file:

    FLAME_masks.pkl                                        read_masks           named vertex ids
    flame_static_embedding.pkl, flame_static_embedding_68.pkl, flame_dynamic_embedding.npy,
    landmark_embedding.npy (DECA), landmark_embedding_with_eyes.npy (VHAP),
    mediapipe_landmark_embedding.npz                       read_landmarks       faces and barycentric weights
    head_template_mesh.obj, FlameMesh.obj, ...             read_template_obj    texture coordinates
                                                           read_template_mesh   its triangles too
    l_eyelid.npy, r_eyelid.npy (metrical-tracker)          read_eyelids         lid directions
"""

import math
import os
import re
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from formats import files
from formats.codecs import legacy_torch, npz_file, safe_pickle
from formats.errors import FormatError

BYTE_LIMIT = 16 << 20
"""The largest of these files, a template OBJ with normals, has less than 2 MB."""

DECA_NAMES = ("static_lmk_faces_idx", "static_lmk_bary_coords", "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords",
              "full_lmk_faces_idx", "full_lmk_bary_coords")
FULL_COUNTS = (68, 70)
"""Landmarks with the jaw line, without and with irises; fewer are the static ones, without the jaw line."""

BARYCENTRIC_TOLERANCE = 1e-3

NPY_MAGIC = b"\x93NUMPY"
NPY_HEADER = re.compile(rb"\{'descr': '(?P<descr>\|O|[<>|](?:f[248]|[iu][1248]))', "
                        rb"'fortran_order': (?P<fortran>True|False), "
                        rb"'shape': \((?P<shape>(?:\d{1,18}L?, ?){0,8}(?:\d{1,18}L?)?)\),? ?\}\s*")
"""As NumPy writes it, under Python 2 with an L behind numbers. Python's own parser stays out of it."""
NPY_HEADER_LIMIT = 10_000


def read_masks(path: str | os.PathLike[str]) -> dict[str, Int32[np.ndarray, " n"]]:
    """Return the vertex ids of each named region of a FLAME_masks.pkl.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is no dictionary of vertex ids.
    """
    where = str(path)
    content = safe_pickle.load(files.read_bytes(path, BYTE_LIMIT), where)
    if not isinstance(content, dict) or not content:
        raise FormatError(f"{where}: expected a dictionary of vertex ids by region name, as in FLAME_masks.pkl")
    masks = {}
    for name, ids in content.items():
        if not isinstance(name, str) or not isinstance(ids, np.ndarray) or ids.ndim != 1:
            raise FormatError(f"{where}: region {ascii(name)[:60]} is not one list of vertex ids")
        masks[name] = _ids(ids, f"region '{name}'", where)
    return masks


def read_landmarks(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return landmarks as faces and barycentric weights, under DECA's names whoever wrote them.

    `static_*` [51] or [53], `full_*` [1, 68] or [1, 70], `dynamic_*` [79, 17] (yaw 0..39 degrees, then -1..-39);
    MediaPipe's as `mediapipe_lmk_faces_idx` [105], `mediapipe_lmk_bary_coords` [105, 3] and
    `mediapipe_landmark_idx` [105], which of MediaPipe's own points each is.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is none of the files in this module's list.
    """
    data, where = files.read_bytes(path, BYTE_LIMIT), str(path)
    if data.startswith(b"PK"):
        content: Any = npz_file.read(path)
    elif data.startswith(NPY_MAGIC):
        content = _npy(data, where)
    else:
        content = safe_pickle.load(data, where, legacy_torch.NAMES)
    if not isinstance(content, dict):
        raise FormatError(f"{where}: expected a dictionary of landmark arrays")
    arrays = {name: _stacked(content[name], name, where) for name in
              (*DECA_NAMES, "lmk_face_idx", "lmk_b_coords", "landmark_indices") if name in content}
    found = {name: arrays[name] for name in DECA_NAMES if name in arrays}
    if "lmk_face_idx" in arrays and "lmk_b_coords" in arrays:
        idx, weights = arrays["lmk_face_idx"], arrays["lmk_b_coords"]
        if "landmark_indices" in arrays:
            kind = "mediapipe"
            if arrays["landmark_indices"].shape != idx.shape:
                raise FormatError(f"{where}: 'landmark_indices' is {list(arrays['landmark_indices'].shape)}, expected "
                                  f"{list(idx.shape)} as 'lmk_face_idx'")
            found["mediapipe_landmark_idx"] = arrays["landmark_indices"]
        elif idx.ndim == 2:
            kind = "dynamic"
        elif idx.size in FULL_COUNTS:
            kind, idx, weights = "full", idx[None], weights[None]
        else:
            kind = "static"
        found |= {f"{kind}_lmk_faces_idx": idx, f"{kind}_lmk_bary_coords": weights}
    if not found:
        raise FormatError(f"{where}: no landmarks; expected {', '.join(DECA_NAMES[:2])}, ... or lmk_face_idx and "
                          "lmk_b_coords")
    return _checked_landmarks(found, where)


def read_template_obj(path: str | os.PathLike[str], faces: Int32[np.ndarray, "F 3"] | None = None
                      ) -> tuple[Float32[np.ndarray, "U 2"], Int32[np.ndarray, "F 3"]]:
    """Return texture coordinates, (0, 0) at the top-left corner, and their triangles, from a template OBJ.

    An OBJ's v grows upward; here it is turned over. The OBJ's positions are not used: the common template does not lie
    where FLAME's model lies.

    Args:
        path: The OBJ, triangles only.
        faces: The head's triangles. Given, the texture triangles come back in their order and corner by corner,
            whatever the OBJ's order, and triangles that only the OBJ has (a sealed mouth) are left out. Absent, they
            come in the OBJ's order.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is not such an OBJ, or lacks some of `faces`.
    """
    where = str(path)
    uvs, corners = _parse_obj(files.read_bytes(path, BYTE_LIMIT), where)
    own, uv_faces = corners[:, :, 0], corners[:, :, 1]
    if faces is not None:
        uv_faces = _in_order(own, uv_faces, np.asarray(faces), where)
    return _float32(uvs * [1, -1] + [0, 1], "a texture coordinate", where), uv_faces.astype(np.int32)


def read_template_mesh(path: str | os.PathLike[str]) -> tuple[
        Int32[np.ndarray, "F 3"], Float32[np.ndarray, "U 2"], Int32[np.ndarray, "F 3"]]:
    """Return triangles, texture coordinates (v turned over, as above) and their triangles, all in the OBJ's order.

    For templates whose own triangles count, such as a sealed mouth's.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is not such an OBJ.
    """
    where = str(path)
    uvs, corners = _parse_obj(files.read_bytes(path, BYTE_LIMIT), where)
    return (corners[:, :, 0].astype(np.int32), _float32(uvs * [1, -1] + [0, 1], "a texture coordinate", where),
            corners[:, :, 1].astype(np.int32))


def read_eyelids(left: str | os.PathLike[str], right: str | os.PathLike[str]) -> Float32[np.ndarray, "V 3 2"]:
    """Return the left and right lid-closing directions, metres, from l_eyelid.npy and r_eyelid.npy.

    metrical-tracker, whose files they are, adds them after skinning: a head that is driven by its data has
    `eyelid_space` "posed".

    Raises:
        MissingAsset: A file is absent.
        FormatError: One is not [V, 3] finite numbers, or they differ in size.
    """
    sides = []
    for path in (left, right):
        lid = _npy(files.read_bytes(path, BYTE_LIMIT), str(path))
        if not isinstance(lid, np.ndarray) or lid.ndim != 2 or lid.shape[1] != 3 or lid.dtype.kind != "f":
            raise FormatError(f"{path}: expected an array [V, 3] of metres, one row for each vertex")
        sides.append(_float32(lid, "a lid direction", str(path)))
    if sides[0].shape != sides[1].shape:
        raise FormatError(f"{right}: {len(sides[1])} vertices, but {left} has {len(sides[0])}; not a pair")
    return np.stack(sides, axis=2)


# --- Arrays -----------------------------------------------------------------------------------------------------------


def _npy(data: bytes, where: str) -> Any:
    """Return an .npy's array, or what the one Python object in it is, read safely."""
    width = {b"\1": 2, b"\2": 4, b"\3": 4}.get(data[6:7], 2)
    start = 8 + width + int.from_bytes(data[8:8 + width], "little")
    header = NPY_HEADER.fullmatch(data[8 + width:start]) if start <= min(len(data), NPY_HEADER_LIMIT) else None
    if not data.startswith(NPY_MAGIC) or header is None:
        raise FormatError(f"{where}: not a whole .npy file of real or whole numbers or of one Python object")
    kind, fortran = header["descr"].decode(), header["fortran"] == b"True"
    shape = tuple(int(n.rstrip(b"L")) for n in header["shape"].replace(b" ", b"").split(b",") if n)
    count = math.prod(shape)
    if kind == "|O":
        if len(shape) > 1 or count != 1:
            raise FormatError(f"{where}: an array {list(shape)} of Python objects; only one dictionary in it is read")
        return safe_pickle.load_next(data, where, start, legacy_torch.NAMES)[0]
    dtype = np.dtype(kind)
    if count == 0 or count * dtype.itemsize != len(data) - start:
        raise FormatError(f"{where}: {list(shape)} of {dtype} takes {count * dtype.itemsize} bytes, the file has "
                          f"{len(data) - start}")
    return np.frombuffer(data, dtype, count, start).reshape(shape, order="F" if fortran else "C")


def _stacked(value: Any, name: str, where: str) -> np.ndarray:
    """Return one array, also from a list of arrays of one shape."""
    if isinstance(value, list) and value and all(
            isinstance(v, np.ndarray) and v.shape == value[0].shape and v.dtype.kind in "fiu" for v in value):
        if sum(v.nbytes for v in value) > BYTE_LIMIT:
            raise FormatError(f"{where}: '{name}' is larger than any landmark table")
        return np.stack(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise FormatError(f"{where}: '{name}' is neither an array of numbers nor a list of equal ones")
    return value


def _checked_landmarks(found: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    result = {}
    for name, value in found.items():
        if "idx" in name:
            result[name] = _ids(value, f"'{name}'", where)
            continue
        faces = found.get(name.replace("bary_coords", "faces_idx"))
        if faces is None or value.shape != (*faces.shape, 3) or value.dtype.kind != "f":
            raise FormatError(f"{where}: '{name}' is {list(value.shape)}, expected three weights for each face index")
        if value.size and not np.abs(value.sum(axis=-1, dtype=np.float64) - 1).max() <= BARYCENTRIC_TOLERANCE:
            raise FormatError(f"{where}: rows of '{name}' must sum to 1")
        result[name] = _float32(value, f"'{name}'", where)
    lonely = [name for name in found if name.endswith("lmk_faces_idx") and name.replace(
        "faces_idx", "bary_coords") not in found]
    if lonely:
        raise FormatError(f"{where}: '{lonely[0]}' has no barycentric weights beside it")
    return result


def _float32(value: np.ndarray, what: str, where: str) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        result = value.astype(np.float32)
    if not np.isfinite(result).all():
        raise FormatError(f"{where}: {what} is not finite, or beyond float32; the file is damaged")
    return result


def _ids(value: np.ndarray, what: str, where: str) -> np.ndarray:
    if value.dtype.kind not in "iu":
        raise FormatError(f"{where}: {what} holds {value.dtype}, expected whole numbers")
    if value.size and not 0 <= int(value.min()) <= int(value.max()) < 1 << 31:
        raise FormatError(f"{where}: {what} spans {value.min()}..{value.max()}, which are no indices")
    return value.astype(np.int32)


# --- OBJ --------------------------------------------------------------------------------------------------------------


def _parse_obj(data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return texture coordinates [U, 2] as written, and [F, 3, 2] vertex and texture index of each corner."""
    vertices, uvs, corners = 0, [], []
    for number, line in enumerate(data.splitlines(), 1):
        word, *rest = line.split() or [b""]
        try:
            if word == b"v":
                vertices += 1
            elif word == b"vt":
                uvs.append((float(rest[0]), float(rest[1])))
            elif word == b"f":
                if len(rest) != 3:
                    raise FormatError(f"{where}: line {number}: a face of {len(rest)} corners; triangulate it first")
                for corner in rest:
                    v, vt = corner.split(b"/")[:2]
                    # Counted from 1, or backwards from the last one read.
                    corners.append([int(i) - 1 if int(i) > 0 else int(i) + n for i, n in ((v, vertices), (vt, len(uvs)))])
        except (ValueError, IndexError) as error:
            shown = ascii(line[:60].decode("latin1"))
            raise FormatError(f"{where}: line {number}: {shown} has no texture coordinates or is no OBJ") from error
    if not corners:
        raise FormatError(f"{where}: no triangles with texture coordinates; expected FLAME's template OBJ")
    points = np.array(uvs, np.float64).reshape(-1, 2)
    table = np.array([c if max(map(abs, c)) < 1 << 31 else (-1, -1) for c in corners], np.int64).reshape(-1, 3, 2)
    if not np.isfinite(points).all():
        raise FormatError(f"{where}: texture coordinates that are not finite")
    if table.min() < 0 or table[..., 0].max() >= vertices or table[..., 1].max() >= len(points):
        raise FormatError(f"{where}: a face names one of {vertices} vertices or {len(points)} texture coordinates that "
                          "is not there")
    return points, table


def _in_order(own: np.ndarray, uv_faces: np.ndarray, faces: np.ndarray, where: str) -> np.ndarray:
    """Return the rows of `uv_faces` in the order and corner order of `faces`; `own` are the OBJ's triangles."""
    if own.shape == faces.shape and (own == faces).all():
        return uv_faces
    turned = {}
    for triangle, uv in zip(own.tolist(), uv_faces.tolist(), strict=True):
        for turn in range(3):
            turned[(*triangle[turn:], *triangle[:turn])] = [*uv[turn:], *uv[:turn]]
    rows = [turned.get(tuple(face)) for face in faces.tolist()]
    lost = sum(row is None for row in rows)
    if lost:
        raise FormatError(f"{where}: lacks {lost} of the head's {len(faces)} triangles; the template of another mesh?")
    return np.array(rows, np.int64).reshape(-1, 3)
