"""LAM's older export ("h5"): the same mesh and Gaussians, but FLAME's five joints and recorded FLAME parameters.

No sample of it is public; the layout below is what the public renderer (0.0.8) reads when its FLAME switch is on.

- `lbs_weight_20k.json`: per vertex five weights, for root, neck, jaw, left eye, right eye.
- `bone_tree.json`: `{"bones": [{"name", "position": [x, y, z], "children": [...]}]}`; positions are in the mesh's space,
  not relative to the parent, and bones are numbered depth first.
- `flame_params.json`: per frame `expr`, `rotation` (3), `neck_pose` (3), `jaw_pose` (3), `eyes_pose` (6), axis-angle, at
  30 frames a second. `expr` rows are lists, in the order of the targets, or objects by target name.
- Expression targets are those of `skin.glb`, or `bs/expr0.obj`, `bs/expr1.obj`, ...: whole meshes at coefficient 1.

The renderer uses positions as stored (no skin matrix), adds expressions, then skins. Its shader leaves out the smallest
of the five weights without making up for it. Where one of the five is 0, which is nearly everywhere on FLAME, that
changes nothing; elsewhere it pulls the point towards the origin. We keep all five, which is what was exported.
"""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32

from formats.codecs.glb import GlbDocument
from formats.codecs.json_file import Fields, as_numbers, parse_json
from formats.errors import CheckpointMismatch, FormatError, UnsupportedFeature
from formats.head_model import ROLES
from formats.importers.lam_archive import LamArchive
from formats.importers.lam_skeleton import TABLE_LIMIT, read_mesh
from formats.sequence import Sequence

MARKS = ("lbs_weight_20k.json", "bone_tree.json", "flame_params.json")
"""Members that only this export has."""
FPS = 30.0
FRAME_LIMIT = 60 * 60 * int(FPS)
DEPTH_LIMIT = 16
_PARENTS = (-1, 0, 1, 1, 1)


@dataclass(frozen=True, eq=False)
class FlameMesh:
    """What the FLAME export holds of the head, metres."""

    vertices: Float64[np.ndarray, "V 3"]
    faces: Int32[np.ndarray, "F 3"]
    targets: Float64[np.ndarray, "V 3 E"]
    target_names: tuple[str, ...]
    weights: Float64[np.ndarray, "V 5"]
    joints: Float64[np.ndarray, "5 3"]


def is_flame(archive: LamArchive) -> bool:
    """Tell whether a zip is this older export."""
    return any(name in archive for name in MARKS)


def read_flame_mesh(archive: LamArchive, document: GlbDocument) -> FlameMesh:
    """Return mesh, targets, weights and joints of a FLAME export.

    Args:
        archive: The zip.
        document: Its `skin.glb`.

    Raises:
        MissingAsset: A member is missing.
        FormatError: A member is not what the text above says.
        CheckpointMismatch: Members disagree in how many vertices there are.
    """
    document.check_required()
    vertices, faces, targets, names, _ = read_mesh(document, 0)
    if not targets.shape[2]:
        targets = _obj_targets(archive, vertices)
    weights = _numbers(archive, "lbs_weight_20k.json")
    if weights.ndim != 2 or weights.shape[1] != len(ROLES):
        raise FormatError(f"{archive.where('lbs_weight_20k.json')}: expected five weights per vertex, got shape "
                          f"{list(weights.shape)}")
    if len(weights) != len(vertices):
        raise CheckpointMismatch(f"{archive.where('lbs_weight_20k.json')}: {len(weights)} rows, skin.glb has "
                                 f"{len(vertices)} vertices; they are of different avatars")
    sums = weights.sum(axis=1, keepdims=True)
    if (weights < -1e-4).any() or np.abs(sums - 1).max() > 1e-2:
        raise FormatError(f"{archive.where('lbs_weight_20k.json')}: rows must be positive and sum to 1, they span "
                          f"{sums.min():.4g}..{sums.max():.4g}")
    return FlameMesh(vertices, faces, targets, names, weights / sums, _joints(archive))


def _numbers(archive: LamArchive, name: str) -> np.ndarray:
    where = archive.where(name)
    return as_numbers(parse_json(archive.read(name), where), where)


def _joints(archive: LamArchive) -> np.ndarray:
    where = archive.where("bone_tree.json")
    tree = Fields(parse_json(archive.read("bone_tree.json"), where), where)
    positions: list[np.ndarray] = []
    parents: list[int] = []

    def walk(bones: list, parent: int, depth: int) -> None:
        for bone in bones:
            fields = Fields(bone, f"{where}: bone {len(positions)}")
            position = fields.numbers("position")
            if position.shape != (3,) or depth > DEPTH_LIMIT or len(positions) >= len(ROLES):
                raise FormatError(f"{fields.where}: expected five bones with positions of 3 numbers")
            here = len(positions)
            positions.append(position)
            parents.append(parent)
            walk(fields.items("children", []), here, depth + 1)

    walk(tree.items("bones"), -1, 0)
    if tuple(parents) != _PARENTS:
        raise FormatError(f"{where}: expected root, neck, and on it jaw, left eye, right eye; got parents {parents}")
    return np.stack(positions)


def _obj_targets(archive: LamArchive, neutral: np.ndarray) -> np.ndarray:
    """Return directions [V, 3, E] of the meshes `bs/expr*.obj` relative to the neutral one."""
    found = {int(match[1]): name for name in archive.names() if (match := re.fullmatch(r"bs/expr(\d{1,4})\.obj", name))}
    if sorted(found) != list(range(len(found))) or not found:
        raise FormatError(f"{archive.path}: skin.glb has no targets, and bs/expr0.obj, bs/expr1.obj, ... are "
                          f"{'absent' if not found else 'not numbered without gaps'}; expected one or the other")
    if neutral.size * len(found) > TABLE_LIMIT:
        raise FormatError(f"{archive.path}: {len(neutral)} vertices with {len(found)} targets are more than this reads")
    targets = np.empty((*neutral.shape, len(found)))
    for e in range(len(found)):
        where = archive.where(found[e])
        rows = [line.split()[1:4] for line in archive.read(found[e]).splitlines() if line.startswith(b"v ")]
        if len(rows) != len(neutral):
            raise CheckpointMismatch(f"{where}: {len(rows)} vertices, skin.glb has {len(neutral)}; they are of "
                                     "different avatars")
        try:
            vertices = np.array(rows, np.float64)
        except ValueError as error:
            raise FormatError(f"{where}: expected lines 'v x y z' of numbers: {error}") from error
        if vertices.shape != neutral.shape or not np.isfinite(vertices).all():
            raise FormatError(f"{where}: expected three finite numbers in every line 'v'")
        targets[:, :, e] = vertices - neutral
    return targets


def read_flame_params(archive: LamArchive, edition: str, target_names: tuple[str, ...],
                      expr_names: tuple[str, ...]) -> Sequence:
    """Return the motion in `flame_params.json`.

    Args:
        archive: The zip.
        edition: Whose coefficients they are.
        target_names: As skin.glb has them; empty when it names none.
        expr_names: The head's names for the same targets.
    """
    where = archive.where("flame_params.json")
    fields = Fields(parse_json(archive.read("flame_params.json"), where), where)
    rows = fields.items("expr")
    if not 1 <= len(rows) <= FRAME_LIMIT:
        raise FormatError(f"{where}: 'expr': {len(rows)} frames, expected 1 to {FRAME_LIMIT}")
    if isinstance(rows[0], dict):
        rows = [_by_name(row, target_names, f"{where}: 'expr'[{i}]") for i, row in enumerate(rows)]
    expr = as_numbers(rows, f"{where}: 'expr'")
    if expr.ndim != 2 or expr.shape[1] > len(expr_names):
        raise FormatError(f"{where}: 'expr': expected up to {len(expr_names)} numbers per frame, one per target of skin.glb, got "
                          f"shape {list(expr.shape)}")
    poses = {}
    for ours, theirs, width in (("rotation", "rotation", 3), ("neck", "neck_pose", 3), ("jaw", "jaw_pose", 3),
                                ("eyes", "eyes_pose", 6)):
        poses[ours] = fields.numbers(theirs)
        if poses[ours].shape != (len(expr), width):
            raise FormatError(f"{where}: '{theirs}': expected {len(expr)} x {width} numbers, got "
                              f"{list(poses[ours].shape)}")
    return Sequence(edition, FPS, expr, expr_names=expr_names[:expr.shape[1]], **poses)


def _by_name(row: object, names: tuple[str, ...], where: str) -> list[object]:
    values = Fields(row, where).values
    if not names:
        raise UnsupportedFeature(f"{where}: is by name, but the targets of skin.glb have none")
    return [values.get(name, 0) for name in names]
