"""SplattingAvatar: Gaussians embedded in a FLAME mesh by face, barycentric weights and distance along the Phong normal.

    <iteration>/point_cloud.ply   colour, opacity logit, raw log-scale (its positions and rotations are of one pose: not used)
    <iteration>/embedding.json    `sample_fidxs` [N], `sample_bary` [N][3], `_xyz` [N][3] (u, v, d), `_rotation` [N][4] wxyz and
                                  `cano_mesh`, the OBJ's name; an older variant is canonical.sample.json, with `mesh_fn` and
                                  `_sample_bary`
    <iteration>/embedding.obj     the canonical mesh: the head as posed in the first training frame
    <data>/flame_params.json      further up: identity, motion and cameras (`formats.codecs.flame_params`)

Lengths in these files are four times life size, and neither the floors in its sums nor exp(scaling r) are free of scale:
`FaceBinding.unit` is a quarter of a metre. The position is P + d n; u and v are steps of a walk over triangles that is
over when a file is written, and do not enter. r multiplies the logarithm of a scale, as released.

FATE's version (`from_fate`) is in metres, and its floors are of metres too.

Shao et al., "SplattingAvatar: Realistic Real-Time Human Avatars with Mesh-Embedded Gaussian Splatting", CVPR 2024, sections
3.1 and 3.2; facts of the files: its released code.
"""

import dataclasses
import logging
import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath

import numpy as np
from jaxtyping import Float64, Int64

from formats.avatar import Avatar, FaceBinding, Meta, SplatLayer
from formats.codecs import flame_params, inria_ply
from formats.codecs.json_file import Fields, as_numbers, read_json
from formats.conventions import sigmoid
from formats.deform import deform_head
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature, naming
from formats.files import read_bytes
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.importers import side_files
from formats.importers.fate_context import FateContext
from formats.importers.fate_flame import array_of
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
UNIT = 0.25
"""Metres in the files' unit of length."""
CLOUD, MOTION, CONFIG = "point_cloud.ply", "flame_params.json", "config.yaml"
EMBEDDINGS = ("embedding.json", "canonical.sample.json")
SIDES = {"flame_params": "the data set's flame_params.json, with the person's identity and the clip",
         "embedding": "embedding.json, where it is not beside the PLY", "cano_mesh": "the OBJ that embedding.json names"}
ABOVE = 7
"""Folders above the PLY in which the motion may lie."""
HELD_OUT = 350
"""Frames at the end of a clip that the released splits leave out of training."""
EVEN, CLAMPED = 5e-4, 4e-3
"""From which deviation of its sum a row of weights is divided by it, and the largest that clamping can leave, with room."""
OBJ_LIMIT, CONFIG_LIMIT = 64 << 20, 1 << 20
FITS = 1e-3
"""Metres by which the canonical mesh may miss the first frame's; its six decimals are 2e-7."""
PAPER = ("Shao et al., SplattingAvatar: Realistic Real-Time Human Avatars with Mesh-Embedded Gaussian Splatting, CVPR 2024, "
         "arXiv:2403.05087")
LICENSE = ("SplattingAvatar's code is under CC BY-NC-SA 4.0 and uses Inria's 3D Gaussian Splatting (non-commercial research); "
           "check their terms and the consent of the person shown before you publish.")


def read(path: Path, head: HeadModel | None = None, sides: Mapping[str, Path] | None = None, *, as_original: bool = False,
         mesh_scaling: bool = True, edition: str = "flame2020") -> Avatar:
    """Return the avatar of a SplattingAvatar run.

    Args:
        path: point_cloud.ply, the folder it is in, or a run (its newest iteration).
        head: FLAME 2020 with identity directions.
        sides: `flame_params`, found in the folders above; `embedding` and `cano_mesh`, found beside the PLY.
        as_original: Changes nothing: it is posed as the original does.
        mesh_scaling: `with_mesh_scaling` of its config.yaml, on in the released one for heads.
        edition: What the data were tracked with, if not with FLAME 2020.

    Raises:
        MissingAsset: A file, or the head, is not there.
        FormatError: A file is damaged.
        CheckpointMismatch: Files, or the head, do not belong together.
        UnsupportedFeature: Its colours depend on the direction they are seen from.
    """
    path, given = _cloud_path(Path(path)), {name: Path(side) for name, side in (sides or {}).items()}
    side_files.check_names(path, given, SIDES)
    bare = _bare_head(head, edition, path)
    sequence, shape = _person(path, given, bare)
    embedding = _embedding(path, given)
    cloud = _cloud(path, embedding)
    with naming(path):
        person = bare.personalise(shape)
    if len(embedding.vertices) != len(person.v_template) or not np.array_equal(embedding.faces, person.faces):
        raise CheckpointMismatch(
            f"{embedding.where}: its mesh has {len(embedding.vertices)} vertices and {len(embedding.faces)} faces, which are not "
            f"those of the head ({len(person.v_template)} and {len(person.faces)}, FLAME's order); pass FLAME's own head, "
            "without teeth or closed lips")
    _check_config(path, mesh_scaling)
    canonical = UNIT * embedding.vertices
    _check_pose(canonical, person, sequence, embedding.where)
    with naming(embedding.where):
        binding = FaceBinding(embedding.face, embedding.barycentric, "vertex", "none",
                              "log_area_ratio" if mesh_scaling else "none", canonical, UNIT)
    meta = Meta(name=_name(path), system="splatting-avatar", source=path.name, paper=PAPER,
                license_notices=(LICENSE,))
    with naming(path):
        return Avatar(head=person, layers=(SplatLayer(cloud, binding),), sequence=sequence, meta=meta)


def from_fate(model: Mapping[str, np.ndarray], context: FateContext) -> Avatar:
    """Return the avatar of FATE's SplattingAvatar, from a checkpoint's arrays.

    The same arithmetic in metres, floors included. Canonical mesh: the buffer `quat_helper.cano_verts`.

    Raises:
        FormatError: A tensor is missing or damaged.
        UnsupportedFeature: Its colours depend on the direction they are seen from.
    """
    where, head = context.where, context.head
    uvd = array_of(model, "_uvd", (None, 3), where).astype(np.float64)
    count = len(uvd)
    rest = array_of(model, "_features_rest", (None, None, 3), where)
    if rest.size and rest.any():
        raise _directional(where, rest.shape[1])
    faces = array_of(model, "quat_helper.cano_faces", (len(head.faces), 3), where)
    if not np.array_equal(faces, head.faces):
        raise FormatError(f"{where}: model: 'quat_helper.cano_faces' are not 'flame.faces_tensor'; the file is damaged")
    held = {key: array_of(model, key, shape, where, infinite=key == "_opacity").astype(np.float64)
            for key, shape in (("_features_dc", (count, 1, 3)), ("_scaling", (count, 3)), ("_rotation", (count, 4)),
                               ("_opacity", (count, 1)))}
    with naming(where), np.errstate(over="ignore"):
        cloud = GaussianCloud(_along(uvd[:, 2]), held["_rotation"], np.exp(held["_scaling"]), sigmoid(held["_opacity"][:, 0]),
                              held["_features_dc"])
        binding = FaceBinding(
            array_of(model, "sample_fidxs", (count,), where), walked(array_of(model, "sample_bary", (count, 3), where), where),
            "vertex", "none", "log_area_ratio", array_of(model, "quat_helper.cano_verts", (len(head.v_template), 3), where))
        return Avatar(head=head, layers=(SplatLayer(cloud, binding),), sequence=context.sequence,
                      meta=context.meta(PAPER, (LICENSE,)))


def walked(barycentric: np.ndarray, where: str) -> np.ndarray:
    """Return weights [N, 3] of points that walked over the mesh, with rows that sum to 1.

    The original's walk takes a point for inside to 1e-3 and then clamps its weights one by one, so that a few rows sum to a
    little more than 1. Larger sums are for the binding to refuse.
    """
    sums = barycentric.astype(np.float64).sum(axis=1)
    off = np.abs(sums - 1)
    rows = (off > EVEN) & (off <= CLAMPED)
    if not rows.any():
        return barycentric
    LOG.info("%s: the weights of %d of %d Gaussians sum to 1 only within %.2g, as the original's walk over triangles leaves "
             "them; they are divided by their sums", where, int(rows.sum()), len(rows), off[rows].max())
    return np.where(rows[:, None], barycentric / np.where(rows, sums, 1)[:, None], barycentric)


def _along(distance: np.ndarray) -> np.ndarray:
    """Return offsets [N, 3] whose y runs along the Phong normal."""
    return np.stack([0 * distance, distance, 0 * distance], axis=1)


def _directional(where: str, terms: int) -> UnsupportedFeature:
    return UnsupportedFeature(f"{where}: colours of more than SH degree 0 ({terms} further coefficients per channel), for which "
                              "SplattingAvatar turns the view by each Gaussian's own rotation; that is not carried: train with "
                              "sh_degree 0, as its head configuration does")


# --- Files ------------------------------------------------------------------------------------------------------------


def _cloud_path(path: Path) -> Path:
    """Return the PLY that a file, an iteration's folder or a run stands for."""
    if not path.is_dir():
        return path
    if (path / CLOUD).is_file():
        return path / CLOUD
    found = {int(match[1]): inner for base in (path, path / "point_cloud") if base.is_dir() for inner in base.iterdir()
             if (match := re.fullmatch(r"iteration_(\d{1,9})", inner.name)) and (inner / CLOUD).is_file()}
    if not found:
        raise MissingAsset(f"{path}: no {CLOUD} in it, nor in point_cloud/iteration_*/; name the PLY or its folder")
    newest = found[max(found)] / CLOUD
    LOG.info("%s: reading %s", path, newest.relative_to(path))
    return newest


def _name(path: Path) -> str:
    """Return the subject's name: the folder that the outputs are in, where they lie as written."""
    parts = path.resolve().parts
    above = parts[:parts.index("output-splatting")] if "output-splatting" in parts else ()
    return above[-1] if len(above) > 1 else path.stem


def _bare_head(head: HeadModel | None, edition: str, path: Path) -> HeadModel:
    if head is None:
        raise MissingAsset(f"{path}: SplattingAvatar rides FLAME 2020, whose tables are not in its files; pass --head (made by "
                           "`flameport head generic_model.pkl --edition flame2020`)")
    if head.edition != edition:
        raise CheckpointMismatch(f"{path}: was tracked with '{edition}', --head is '{head.edition}'; pass a head of that "
                                 f"edition, or --set edition={head.edition} if the data were tracked with it")
    if head.shapedirs is None:
        raise CheckpointMismatch(f"{path}: --head has no identity directions (a person is in it already); pass the one that "
                                 "`flameport head` makes")
    return head


def _person(path: Path, sides: Mapping[str, Path], head: HeadModel) -> tuple[Sequence, np.ndarray]:
    """Return the clip and the identity coefficients of the data set."""
    beside = [folder / MOTION for folder in side_files.ancestors(path, ABOVE)]
    motion = side_files.find(path, sides, "flame_params", beside)
    if motion is None:
        raise side_files.missing(path, "flame_params", f"the data set's {MOTION} (the identity is in no other file: the "
                                 "canonical mesh is posed)", beside)
    sequence = flame_params.read(motion, head.edition)
    if sequence.shape is None:
        raise FormatError(f"{motion}: 'shape_params' is missing: the person's identity is in no other file")
    known = 0 if head.shapedirs is None else head.shapedirs.shape[2]
    if len(sequence.shape) > known or sequence.expr.shape[1] > len(head.expr_names):
        raise CheckpointMismatch(f"{motion}: {len(sequence.shape)} identity and {sequence.expr.shape[1]} expression "
                                 f"coefficients, --head has {known} and {len(head.expr_names)}; convert it again")
    frames = len(sequence)
    if frames > HELD_OUT:
        ranges = {"train": (0, frames - HELD_OUT), "test": (frames - HELD_OUT, frames)}
        sequence = dataclasses.replace(sequence, ranges=ranges)
    return sequence, np.asarray(sequence.shape, np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class _Embedding:
    """Where Gaussians lie, in the files' units."""

    where: str
    face: Int64[np.ndarray, " N"]
    barycentric: Float64[np.ndarray, "N 3"]
    distance: Float64[np.ndarray, " N"]
    rotation: Float64[np.ndarray, "N 4"]
    vertices: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"]


def _embedding(path: Path, sides: Mapping[str, Path]) -> _Embedding:
    found = side_files.find(path, sides, "embedding", [path.parent / name for name in EMBEDDINGS])
    if found is None:
        raise MissingAsset(f"{path.parent}: neither {EMBEDDINGS[0]} nor {EMBEDDINGS[1]}, which say where the Gaussians of "
                           f"{path.name} lie on the head; copy it there, with its OBJ, or give it with --side embedding=PATH")
    where = str(found)
    fields = Fields(read_json(found), where)
    older = not fields.has("sample_bary") and fields.has("_sample_bary")
    xyz = _rows(fields, "_xyz", 3)
    count = len(xyz)
    barycentric = _rows(fields, "_sample_bary" if older else "sample_bary", 3, count)
    rotation = _rows(fields, "_rotation", 4, count)
    face = as_numbers(fields.items("sample_fidxs"), f"{where}: 'sample_fidxs'")
    if face.shape != (count,) or (face != np.round(face)).any():
        raise FormatError(f"{where}: 'sample_fidxs': expected {count} face indices, got shape {list(face.shape)}")
    name = fields.text("mesh_fn" if fields.has("mesh_fn") and not fields.has("cano_mesh") else "cano_mesh")
    vertices, faces = read_obj(_mesh(found, name, sides))
    return _Embedding(where, face.astype(np.int64), walked(barycentric, where), xyz[:, 2], rotation, vertices, faces)


def _mesh(embedding: Path, name: str, sides: Mapping[str, Path]) -> Path:
    """Return the OBJ that an embedding calls `name`: the given one, that in its folder, or the last part of a path of the
    machine it was written on."""
    given = side_files.find(embedding, sides, "cano_mesh", ())
    if given is not None:
        return given
    folder = embedding.parent
    mesh, alone = (folder / name).resolve(), folder / PureWindowsPath(name).name  # parts at both kinds of slashes
    inside = mesh.is_relative_to(folder.resolve())
    if not (inside and mesh.is_file()) and alone.is_file():
        return alone
    if not inside:
        raise FormatError(f"{embedding}: its mesh '{name}' lies outside the folder; copy the OBJ beside it, or give it with "
                          "--side cano_mesh=PATH")
    if not mesh.is_file():
        raise MissingAsset(f"{mesh}: no such file; it is the canonical mesh that {embedding.name} names: copy it there, or give "
                           "it with --side cano_mesh=PATH")
    return mesh


def _rows(fields: Fields, name: str, width: int, count: int | None = None) -> np.ndarray:
    value = fields.numbers(name)
    if value.ndim != 2 or value.shape[1] != width or count not in (None, len(value)):
        raise FormatError(f"{fields.where}: '{name}': expected {'N' if count is None else count} rows of {width}, got shape "
                          f"{list(value.shape)}")
    return value


def _cloud(path: Path, embedding: _Embedding) -> GaussianCloud:
    where, fields = str(path), inria_ply.read_fields(path)
    count = len(next(iter(fields.values()))) if fields else 0
    if count != len(embedding.distance):
        raise CheckpointMismatch(f"{where}: {count} Gaussians, {Path(embedding.where).name} has {len(embedding.distance)}; "
                                 "they are of different iterations")
    rest = [name for name in fields if name.startswith("f_rest_")]
    if any(fields[name].any() for name in rest):
        raise _directional(where, len(rest) // 3)
    held: dict[str, np.ndarray] = {name: value for name, value in fields.items() if name not in rest}
    for i, along in enumerate(np.moveaxis(_along(UNIT * embedding.distance), 1, 0)):
        held["xyz"[i]] = along
        if f"scale_{i}" in held:
            held[f"scale_{i}"] = held[f"scale_{i}"].astype(np.float64) + np.log(UNIT)
    return inria_ply.cloud_of(held | {f"rot_{i}": embedding.rotation[:, i] for i in range(4)}, where)


def read_obj(path: Path) -> tuple[Float64[np.ndarray, "V 3"], Int64[np.ndarray, "F 3"]]:
    """Return vertices, as written, and triangles of an OBJ; texture coordinates and normals are passed over.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It holds no triangles, or a line is none of an OBJ's.
    """
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    for number, line in enumerate(read_bytes(path, OBJ_LIMIT).splitlines(), 1):
        word, *rest = line.split() or [b""]
        try:
            if word == b"v":
                vertices.append([float(rest[i]) for i in range(3)])
            elif word == b"f":
                if len(rest) != 3:
                    raise FormatError(f"{path}: line {number}: a face of {len(rest)} corners; expected triangles")
                # Counted from 1, or backwards from the last one read.
                places = [int(corner.split(b"/")[0]) for corner in rest]
                if max(map(abs, places)) >= 1 << 31:
                    raise ValueError("no OBJ has so many vertices")
                faces.append([i - 1 if i > 0 else i + len(vertices) for i in places])
        except (ValueError, IndexError) as error:
            raise FormatError(f"{path}: line {number} is no line of an OBJ; the file is damaged") from error
    points, triangles = np.array(vertices, np.float64).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3)
    if not len(points) or not len(triangles) or not np.isfinite(points).all():
        raise FormatError(f"{path}: expected an OBJ of finite vertices and triangles, got {len(points)} and {len(triangles)}")
    if triangles.min() < 0 or triangles.max() >= len(points):
        raise FormatError(f"{path}: its faces name vertices that it does not have")
    return points, triangles


def _check_config(path: Path, mesh_scaling: bool) -> None:
    """Warn where the run's config.yaml says otherwise than `mesh_scaling`."""
    config = next((folder / CONFIG for folder in side_files.ancestors(path, 3) if (folder / CONFIG).is_file()), None)
    text = b"" if config is None else config.read_bytes()[:CONFIG_LIMIT]
    said = {word.lower() == b"true" for word in re.findall(rb"(?mi)^\s*with_mesh_scaling\s*:\s*(true|false)\b", text)}
    if said == {not mesh_scaling}:
        other = str(not mesh_scaling).lower()
        LOG.warning("%s: says with_mesh_scaling: %s; --set mesh_scaling=%s follows it", config, other, other)


def _check_pose(canonical: np.ndarray, head: HeadModel, sequence: Sequence, where: str) -> None:
    """Warn where the canonical mesh is not the head in the first frame: the wrong clip, person or release of FLAME."""
    apart = np.linalg.norm(deform_head(head, sequence.take(np.arange(1))).vertices - canonical, axis=1)
    if apart.max() > FITS:
        LOG.warning("%s: its mesh should be the head in the clip's first frame, but is up to %.3g mm beside it: is %s of this "
                    "person and this video, and --head '%s' the release it was tracked with?", where, 1000 * apart.max(),
                    MOTION, head.edition)
