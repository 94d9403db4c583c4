"""How the texels of a checkpoint were found: it still holds where its last picture had the Gaussians.

The rasterizer that found them divides by a triangle's area and a little more (`flash_surface.places`). Whether that little was
there shows in Gaussians of small triangles, by up to 0.05 mm; and where triangles lie on one another in the layout (the
mouth's filling), its rounding chose. Both are read off the stored positions where the clip has the picture's frame.
"""

import dataclasses
import logging
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from formats.avatar import Avatar, SplatLayer
from formats.deform import deform_head, deform_splats
from formats.errors import MissingAsset
from formats.head_model import HeadModel
from formats.importers import flash_surface
from formats.importers.flash_checkpoint import FlashCheckpoint
from formats.importers.flash_surface import Places

LOG = logging.getLogger(__name__)
Maker = Callable[[Places, FlashCheckpoint], Avatar]
PROBES = 24
"""Gaussians by which the picture's frame is found."""
FOUND = 0.01
"""Metres: a frame that leaves the probes further off is not the picture's. The network went on by one step after it."""
TELLING = 1e-6
"""Metres by which readings must differ, and rivals explain better."""
MOST = 0.6
"""Share of the steps that must be taken."""


def settled(stored: FlashCheckpoint, plain: Places, guarded: Places, head: HeadModel, avatar: Maker) -> Places:
    """Return the reading of the texels that explains the stored positions; `plain` when nothing can be told.

    Args:
        stored: The checkpoint.
        plain: Found without a guard on areas.
        guarded: Found with it.
        head: Theirs.
        avatar: Makes the avatar of places and the rows of the checkpoint that go with them.
    """
    if stored.xyz is None or not len(stored):
        return plain
    try:
        rows = np.unique(np.linspace(0, len(stored) - 1, PROBES).astype(int))
        probes = _small(avatar(plain.take(rows), _rows(stored, rows)))
        assert probes.sequence is not None
        off = [float(np.median(np.linalg.norm(_means(probes, t) - stored.xyz[rows], axis=1)))
               for t in range(len(probes.sequence))]
        best = int(np.argmin(off))
        if off[best] > FOUND:
            LOG.info("no frame of the clip puts the Gaussians where the checkpoint last had them (nearest: %d, %.3g mm)", best,
                     1000 * off[best])
            return plain
        there = _means(avatar(plain, stored), best)
        kept, guard = plain, 0.0
        if len(guarded) == len(plain):
            step = _means(avatar(guarded, stored), best) - there
            share = _share(stored.xyz - there, step, plain, guarded)
            if share > MOST:
                kept, guard, there = guarded, flash_surface.GUARD, there + step
            LOG.info("frame %d of the clip is the checkpoint's last picture (%.3g mm off); texels %s the guard on areas (%.3g)",
                     best, 1000 * off[best], "with" if guard else "without", share)
        return _contested(stored, kept, guard, there, head, lambda *args: _means(avatar(*args), best))
    except MissingAsset:
        return plain  # without onnxruntime nothing is posed here


def _share(left: np.ndarray, step: np.ndarray, plain: Places, guarded: Places) -> float:
    """Return which share of the steps [N, 3] from `plain` to `guarded` the stored positions, `left` off, have taken.

    Neighbours' means are taken off both: the network's last step moves neighbours alike, and the guard depends on the
    triangle. Steps count by their length, and as taken when the positions lie nearer to their end than to their beginning,
    and not far beyond it.
    """
    same = (plain.face_index == guarded.face_index) & (plain.texel == guarded.texel)
    along = np.diff(plain.texel) == 1
    rows = same[:-2] & same[1:-1] & same[2:] & along[:-1] & along[1:]
    there, way = ((v[1:-1] - (v[:-2] + v[2:]) / 2)[rows] for v in (left, step))
    length = np.linalg.norm(way, axis=1)
    if length.max(initial=0) < TELLING:
        return 0.0
    ratio = np.sum(there * way, axis=1) / np.maximum(length**2, 1e-30)
    return float(length[np.abs(ratio - 1) < 0.5].sum() / length.sum())


def _contested(stored: FlashCheckpoint, kept: Places, guard: float, there: np.ndarray, head: HeadModel,
               means: Callable[[Places, FlashCheckpoint], np.ndarray]) -> Places:
    """Return `kept` with rivals where they explain the stored positions at least twice as well."""
    assert stored.xyz is not None
    rows, others = flash_surface.rivals(head, kept, guard)
    if not len(rows):
        return kept
    now = np.linalg.norm(there[rows] - stored.xyz[rows], axis=1)
    then = np.linalg.norm(means(others, _rows(stored, rows)) - stored.xyz[rows], axis=1)
    better = np.flatnonzero((2 * then < now) & (now > TELLING))
    better = better[np.argsort(-then[better], kind="stable")]  # of several the best is written last
    if not len(better):
        return kept
    LOG.info("%d texels go to another of the triangles that lie on one another there", len(np.unique(rows[better])))
    face, weights = kept.face_index.copy(), kept.barycentric.copy()
    face[rows[better]], weights[rows[better]] = others.face_index[better], others.barycentric[better]
    return Places(kept.texel, face, weights)


def _rows(stored: FlashCheckpoint, rows: np.ndarray) -> FlashCheckpoint:
    return dataclasses.replace(stored, sh=stored.sh[rows], scaling=stored.scaling[rows], rotation=stored.rotation[rows],
                               opacity=stored.opacity[rows], xyz=None)


def _means(avatar: Avatar, t: int) -> Float64[np.ndarray, "N 3"]:
    layer = avatar.layers[0]
    assert avatar.sequence is not None and isinstance(layer, SplatLayer)
    frame = avatar.sequence.take([t])  # thousands of frames are tried: nothing is interpolated or checked again
    return deform_splats(layer, avatar, deform_head(avatar.head, frame), frame).cloud.means.astype(np.float64)


def _small(avatar: Avatar) -> Avatar:
    """Return the avatar on a head of only the triangles that it rides: a frame then takes a millisecond."""
    layer, head = avatar.layers[0], avatar.head
    used, where = np.unique(layer.binding.face_index, return_inverse=True)  # type: ignore[union-attr]
    vertices, corners = np.unique(head.faces[used], return_inverse=True)
    rest, motion = head.rest_joints()

    def pick(table: np.ndarray | None) -> np.ndarray | None:
        return None if table is None else table[vertices]

    small = HeadModel(
        edition=head.edition, v_template=head.v_template[vertices], faces=corners.reshape(-1, 3),
        exprdirs=head.exprdirs[vertices], lbs_weights=head.lbs_weights[vertices],
        parents=head.parents, J_template=rest, J_exprdirs=motion,
        posedirs=pick(head.posedirs), eyeliddirs=pick(head.eyeliddirs), eyelid_space=head.eyelid_space,
        expr_names=head.expr_names, content_hash=head.content_hash)
    binding = dataclasses.replace(layer.binding, face_index=where.reshape(-1).astype(np.int32))
    return dataclasses.replace(avatar, head=small, layers=(dataclasses.replace(layer, binding=binding),))
