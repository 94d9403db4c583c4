"""Where FlashAvatar's Gaussians sit: its head with the mouth closed, and the texels of that head's UV layout.

`FlameMesh.obj` is FLAME's mesh with 30 more triangles between the lips and its own UV points: 10 006 triangles, 14 876 texels
at 128 x 128, 13 453 without those that touch FLAME's region `boundary`. All of it is needed as trained: another filling
changes how many Gaussians there are, and their order.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64

from formats.errors import CheckpointMismatch, FormatError
from formats.head_model import HeadModel
from formats.texels import owned_texels, texels

SIZE = 128
"""Texels along an edge."""
VERTICES, FACES, EXPRESSIONS = 5023, 9976, 100
GRID = 1 << 24
"""Weights are multiples of 1 / GRID: float32 holds those up to 1 exactly."""
GUARD = 1e-8
"""PyTorch3D's, see `places`. It moves Gaussians by micrometres, and by 0.05 mm on the smallest triangles."""
SHORT = 9e-4
"""How far a sum of weights may be from 1 in an avatar."""


def closed_head(head: HeadModel, shape: np.ndarray, mesh: tuple[np.ndarray, np.ndarray, np.ndarray],
                eyelids: np.ndarray | None, where: str) -> HeadModel:
    """Return the subject's head with the template's triangles and texture coordinates, lids after skinning.

    Args:
        head: FLAME 2020 with its identity directions.
        shape: The subject's identity coefficients.
        mesh: Triangles, texture coordinates and their triangles of FlameMesh.obj.
        eyelids: Lid directions [V, 3, 2], or None for the head's own.
        where: Names the mesh in messages.

    Raises:
        CheckpointMismatch: The mesh or the lids are of another head.
        FormatError: The identity has more coefficients than the head.
    """
    faces, uvs, uv_faces = mesh
    if faces.size and faces.max() >= len(head.v_template):
        raise CheckpointMismatch(f"{where}: names vertex {int(faces.max())}, the head has {len(head.v_template)}; it is not of "
                                 "this head")
    known = min(FACES, len(head.faces))
    if len(faces) < known or (faces[:known] != head.faces[:known]).any():
        raise CheckpointMismatch(f"{where}: its first {known} triangles are not the head's; expected FlashAvatar's FlameMesh.obj "
                                 "(FLAME's 9976 triangles, then 30 between the lips)")
    if eyelids is None:
        eyelids = head.eyeliddirs
    assert eyelids is not None
    if len(eyelids) != len(head.v_template):
        raise CheckpointMismatch(f"{where}: eyelids of {len(eyelids)} vertices, the head has {len(head.v_template)}")
    personal = head.personalise(shape)
    return dataclasses.replace(personal, faces=faces, uvs=uvs, uv_faces=uv_faces, eyeliddirs=eyelids, eyelid_space="posed")


def check_head(head: HeadModel, where: str) -> None:
    """Raise `CheckpointMismatch` unless `head` is what FlashAvatar's checkpoints ride: FLAME 2020 with identity directions."""
    if head.edition not in ("flame2020", "standin"):
        raise CheckpointMismatch(f"{where}: FlashAvatar rides FLAME 2020 (generic_model.pkl), the head given is "
                                 f"'{head.edition}'; their coefficients do not mix")
    if len(head.v_template) != VERTICES or len(head.faces) < FACES or len(head.expr_names) != EXPRESSIONS:
        raise CheckpointMismatch(f"{where}: expected a head of {VERTICES} vertices, {FACES} triangles and {EXPRESSIONS} "
                                 f"expressions, got {len(head.v_template)}, {len(head.faces)} and {len(head.expr_names)}")
    if head.shapedirs is None:
        raise CheckpointMismatch(f"{where}: the head given has no identity directions, and the subject's face must be put in; "
                                 "give what `flameport head` makes of FLAME's own generic_model.pkl")


@dataclass(frozen=True, eq=False)
class Places:
    """Where each of N Gaussians sits, in the original's order."""

    texel: Int64[np.ndarray, " N"]
    """Row-major, row 0 at the image's top."""
    face_index: Int32[np.ndarray, " N"]
    barycentric: Float64[np.ndarray, "N 3"]

    def __len__(self) -> int:
        return len(self.texel)

    def take(self, rows: np.ndarray) -> "Places":
        """Return some of them."""
        return Places(self.texel[rows], self.face_index[rows], self.barycentric[rows])

    def points(self, head: HeadModel) -> Float64[np.ndarray, "N 3"]:
        """Return where they are on the head at rest, metres."""
        return np.einsum("nj,njc->nc", self.barycentric, head.v_template[head.faces[self.face_index]].astype(np.float64))


def places(head: HeadModel, boundary: np.ndarray | None, guard: float = 0.0) -> Places:
    """Return where the Gaussians sit.

    Args:
        head: With texture coordinates.
        boundary: Vertices whose triangles hold none; None keeps all.
        guard: What the rasterizer added to a triangle's double area (of a layout 2 wide) before it divided by it; weights of
            small triangles then sum to less than 1, by more than `SHORT` nowhere here.
    """
    if head.uvs is None or head.uv_faces is None:
        raise FormatError("the head has no texture coordinates")
    texel, face, weights = owned_texels(as_written(head.uvs), head.uv_faces, SIZE, guard)
    if boundary is not None:
        outside = ~np.isin(head.faces[face], boundary).any(axis=1)
        texel, face, weights = texel[outside], face[outside], weights[outside]
    return Places(texel, face.astype(np.int32), _summed(head, face, weights, guard))


def as_written(uvs: np.ndarray) -> Float64[np.ndarray, "U 2"]:
    """Return texture coordinates from which the rasterizer's come to the last bit: 2 v - 1 of an OBJ's v as float32.

    v was turned over and rounded since; what the file says, with seven decimals at most, is found again. A texel more or less
    on an edge, and all Gaussians after it are others'.
    """
    v = np.round(1 - uvs[:, 1].astype(np.float64), 7).astype(np.float32)
    return np.stack([uvs[:, 0].astype(np.float64), 1 - v.astype(np.float64)], axis=1)


def rivals(head: HeadModel, held: Places, guard: float = 0.0) -> tuple[Int64[np.ndarray, " M"], Places]:
    """Return the other triangles that cover the texels of `held`: the row of `held`, and where it would sit on them."""
    assert head.uv_faces is not None
    texel, face, weights = texels(head, SIZE)
    row = np.full(SIZE * SIZE, -1)
    row[held.texel] = np.arange(len(held))
    row = row[texel]
    other = np.flatnonzero((row >= 0) & (held.face_index[row] != face) & (weights.min(axis=1) > 0))
    weights = weights[other].astype(np.float64)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return row[other], Places(texel[other], face[other].astype(np.int32), _summed(head, face[other], weights, guard))


def _summed(head: HeadModel, face: np.ndarray, weights: np.ndarray, guard: float) -> Float64[np.ndarray, "N 3"]:
    """Return weights with the sums that the rasterizer leaves.

    Without a guard they are exactly 1, also in float32: a place off its triangle's plane by 1e-8 m has another `corner` frame
    where it is nearly in line with two corners.
    """
    if not guard:
        whole = np.round(weights * GRID)
        largest = np.argmax(whole, axis=1)
        whole[np.arange(len(whole)), largest] += GRID - whole.sum(axis=1)
        return whole / GRID
    assert head.uvs is not None and head.uv_faces is not None
    corner = 2 * head.uvs[head.uv_faces[face]].astype(np.float64)
    side, other = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = other[:, 0] * side[:, 1] - other[:, 1] * side[:, 0]
    return weights * np.clip(area / (area + guard), 1 - SHORT, 1 + SHORT)[:, None]
