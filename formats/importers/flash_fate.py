"""What a FlashAvatar that FATE trained holds: its texels by their places, not by their triangles.

`uvcoords_sample` and `verts_sampling` [1, N, .] are where the texels lie on the layout and on the template. The triangles
are found again, and checked: the weighted corners of the template must be the stored places.
"""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32

from formats.errors import CheckpointMismatch
from formats.head_model import HeadModel
from formats.importers import flash_checkpoint
from formats.importers.fate_context import FateContext
from formats.importers.fate_flame import array_of
from formats.importers.flash_checkpoint import FlashCheckpoint
from formats.importers.flash_network import ENCODED
from formats.importers.flash_surface import SHORT, SIZE
from formats.texels import texels

LOG = logging.getLogger(__name__)
APART = 1e-5
"""Metres that a place may lie from where it is stored."""
STRAY = 0.01
"""Share of the places that may lie further: on triangles so small that the weights' sum is beyond `SHORT`."""


@dataclass(frozen=True, eq=False)
class FateFlash:
    """A model's Gaussians, where they sit, and the head with its mouth closed."""

    checkpoint: FlashCheckpoint
    encoding: Float64[np.ndarray, "N 51"]
    face_index: Int32[np.ndarray, " N"]
    barycentric: Float64[np.ndarray, "N 3"]
    head: HeadModel


def read(model: Mapping[str, np.ndarray], context: FateContext) -> FateFlash:
    """Return the content of `model`; colours are cut to the constant term, which is all that FATE draws.

    Raises:
        FormatError: A key is missing or damaged.
        CheckpointMismatch: The stored places are on none of the stored triangles.
    """
    where = context.where
    scaling = array_of(model, "_scaling", (None, 3), where).astype(np.float64)
    count = len(scaling)
    checkpoint = FlashCheckpoint(
        layers=flash_checkpoint.mlp_layers(model, "deformNet.", f"{where}: model"), sh_degree=0,
        sh=array_of(model, "_features_dc", (count, 1, 3), where).astype(np.float64), scaling=scaling,
        rotation=array_of(model, "_rotation", (count, 4), where).astype(np.float64),
        opacity=array_of(model, "_opacity", (count, 1), where)[:, 0].astype(np.float64), iteration=0)
    uvs = array_of(model, "uvcoords", (None, 2), where)
    faces = array_of(model, "faces", (None, 3), where)
    uv_faces = array_of(model, "uvfaces", (len(faces), 3), where)
    template = array_of(model, "template_verts", (None, 3), where)
    head = dataclasses.replace(context.head, faces=faces, uvs=np.stack([uvs[:, 0], 1 - uvs[:, 1]], axis=1), uv_faces=uv_faces)
    if len(template) != len(head.v_template):
        raise CheckpointMismatch(f"{where}: model: 'template_verts' has {len(template)} rows, the head {len(head.v_template)}")
    points = array_of(model, "verts_sampling", (1, count, 3), where)[0].astype(np.float64)
    samples = array_of(model, "uvcoords_sample", (1, count, 2), where)[0].astype(np.float64)
    face, weights = _triangles(head, template, points, samples, where)
    encoding = array_of(model, "cano_init_embeded", (1, count, ENCODED), where)[0].astype(np.float64)
    return FateFlash(checkpoint, encoding, face, weights, head)


def _triangles(head: HeadModel, template: np.ndarray, points: np.ndarray, samples: np.ndarray, where: str
               ) -> tuple[np.ndarray, np.ndarray]:
    """Return triangle and weights of each place: of those that cover its texel, the one whose corners mix to `points`.

    The rasterizer's weights sum to a little less than 1 on small triangles (`flash_surface.places`); how much less shows in
    where the place is stored.
    """
    column, row = (np.floor(samples * SIZE).astype(int)).T
    if samples.size and (samples.min() < 0 or samples.max() >= 1):
        raise CheckpointMismatch(f"{where}: model: 'uvcoords_sample' spans {samples.min():.4g}..{samples.max():.4g}, expected "
                                 "0..1")
    texel, face, weights = texels(head, SIZE)
    place = np.full(SIZE * SIZE, -1)
    place[(SIZE - 1 - row) * SIZE + column] = np.arange(len(points))
    held = np.flatnonzero(place[texel] >= 0)
    place, face = place[texel[held]], face[held]
    weights = weights[held].astype(np.float64)
    weights = weights / weights.sum(axis=1, keepdims=True)
    found = np.einsum("nj,njc->nc", weights, template[head.faces[face]].astype(np.float64))
    there = points[place]
    share = np.sum(found * there, axis=1) / np.maximum(np.sum(found * found, axis=1), 1e-12)
    share = np.clip(share, 1 - SHORT, 1 + SHORT)
    apart = np.linalg.norm(share[:, None] * found - there, axis=1)
    order = np.lexsort((apart, place))
    kept = order[np.concatenate([[True], place[order][1:] != place[order][:-1]])] if len(order) else order
    if len(kept) != len(points):
        raise CheckpointMismatch(f"{where}: model: {len(points) - len(kept)} of {len(points)} 'uvcoords_sample' lie on no "
                                 f"triangle of the layout, or in one texel of {SIZE} x {SIZE}; another template's?")
    far = apart[kept] > APART
    if far.sum() > STRAY * len(points):
        raise CheckpointMismatch(f"{where}: model: {int(far.sum())} of {len(points)} 'verts_sampling' are not where their texels "
                                 f"are on 'template_verts' (up to {1000 * apart[kept].max():.3g} mm away)")
    if far.any():
        LOG.warning("%s: %d of %d Gaussians sit up to %.3g mm from where their texels are", where, far.sum(), len(points),
                    1000 * apart[kept].max())
    return face[kept].astype(np.int32), share[kept, None] * weights[kept]
