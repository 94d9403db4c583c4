"""Which of two readings of a checkpoint's texels it was trained with: it still holds where its last picture had them.

The rasterizer that found the texels divides by a triangle's area and a little more. Whether that little was there shows in
Gaussians of small triangles, by up to 0.05 mm, and decides between triangles that lie on one another.
"""

import dataclasses
import logging
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from formats.avatar import Avatar
from formats.deform import PosedSplats, deform
from formats.errors import MissingAsset
from formats.head_model import HeadModel
from formats.importers.flash_checkpoint import FlashCheckpoint

LOG = logging.getLogger(__name__)
Places = tuple[np.ndarray, np.ndarray]
"""Triangle [N] and weights [N, 3]."""
PROBES = 24
"""Gaussians by which the picture's frame is found."""
FOUND = 1e-3
"""Metres: a frame that leaves the probes further off is not the picture's. The network went on by one step after it."""
TELLING = 1e-6
"""Metres by which the readings must differ somewhere."""


def fits_better(stored: FlashCheckpoint, first: Places, second: Places,
                avatar: Callable[[np.ndarray, np.ndarray, FlashCheckpoint], Avatar]) -> bool:
    """Tell whether `second` explains the stored positions better than `first`; no when nothing can be told.

    Args:
        stored: The checkpoint.
        first: One reading.
        second: Another, of as many Gaussians.
        avatar: Makes the avatar of places and the rows of the checkpoint that go with them.
    """
    count = len(stored)
    if stored.xyz is None or len(second[0]) != count or count == 0:
        return False
    try:
        rows = np.unique(np.linspace(0, count - 1, PROBES).astype(int))
        probes = avatar(first[0][rows], first[1][rows], _rows(stored, rows))
        assert probes.sequence is not None
        probes, frames = _small(probes), len(probes.sequence)
        off = [float(np.median(np.linalg.norm(_means(probes, t) - stored.xyz[rows], axis=1))) for t in range(frames)]
        best = int(np.argmin(off))
        if off[best] > FOUND:
            LOG.info("no frame of the clip puts the Gaussians where the checkpoint last had them (nearest: %d, %.3g mm)", best,
                     1000 * off[best])
            return False
        one, other = (avatar(face, weights, stored) for face, weights in (first, second))
        there = _means(one, best)
        step, left = _means(other, best) - there, stored.xyz - there
    except MissingAsset:
        return False  # without onnxruntime nothing is posed here
    if np.abs(step).max() < TELLING:
        return False
    # How far from the first reading towards the second the stored positions lie, as least squares have it: 0 or 1.
    share = float(np.sum(left * step) / np.sum(step * step))
    LOG.info("frame %d of the clip is the checkpoint's last picture (%.3g mm off); texels %s the guard on areas (%.3g)", best,
             1000 * off[best], "with" if share > 0.5 else "without", share)
    return share > 0.5


def _rows(stored: FlashCheckpoint, rows: np.ndarray) -> FlashCheckpoint:
    return dataclasses.replace(stored, sh=stored.sh[rows], scaling=stored.scaling[rows], rotation=stored.rotation[rows],
                               opacity=stored.opacity[rows], xyz=None)


def _means(avatar: Avatar, t: int) -> Float64[np.ndarray, "N 3"]:
    assert avatar.sequence is not None
    layer = deform(avatar, avatar.sequence, t).layers[0]
    assert isinstance(layer, PosedSplats)
    return layer.cloud.means.astype(np.float64)


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
