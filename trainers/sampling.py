"""Where Gaussians start: on the texels of the UV layout, with the distances between them."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int32

from formats.errors import UnsupportedFeature
from formats.head_model import HeadModel
from formats.texels import texels
from trainers.densify import random_barycentric

CHUNK = 1024
"""Rows of the distance table that are looked at together."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Places on a head's surface."""

    face_index: Int32[np.ndarray, " N"]
    barycentric: Float32[np.ndarray, "N 3"]
    """Rows sum to 1."""
    texel: Int32[np.ndarray, " N"]
    """Row-major index of the texel, row 0 at the image's top; -1 for padding."""

    def __len__(self) -> int:
        return len(self.face_index)

    def points(self, head: HeadModel) -> Float32[np.ndarray, "N 3"]:
        """Return where they lie on the head at rest, metres."""
        corners = head.v_template[head.faces[self.face_index]]
        return np.einsum("nk,nkc->nc", self.barycentric, corners).astype(np.float32)


def sample(head: HeadModel, tex_size: int, pad: bool, seed: int) -> Samples:
    """Return one place per texel that a triangle covers, and when `pad` random ones up to `tex_size` squared.

    Order: row by row from the image's top, which is FATE's v (upward) falling, u growing; padding comes last: a covered
    texel's triangle drawn at random, three uniform numbers over their sum in it. A texel on a shared edge goes to the
    triangle that comes first. Triangles that lie flipped in the layout (5 tiny ones in the authors' template) keep their
    texels, where the authors' rasteriser culls them.

    Raises:
        UnsupportedFeature: The head has no texture coordinates.

    Source: FATE, section 3.1; 59 099 texels and 6437 paddings at 256 on its template.
    """
    if head.uvs is None:
        raise UnsupportedFeature(f"Gaussians are put on the UV layout, and this '{head.edition}' head has no texture "
                                 "coordinates; convert it again with its template mesh (`flameport head`)")
    where, face, weights = texels(head, tex_size)
    order = np.lexsort((face, where))
    where, face, weights = where[order], face[order], weights[order]
    first = np.concatenate([[True], where[1:] != where[:-1]])
    where, face, weights = where[first], face[first], weights[first]
    if pad:
        missing = tex_size**2 - len(face)
        extra = np.random.default_rng((seed, 1)).choice(face, missing)
        face = np.concatenate([face, extra])
        weights = np.concatenate([weights, random_barycentric(missing, (seed, 2))])
        where = np.concatenate([where, np.full(missing, -1)])
    weights = weights / weights.sum(axis=1, keepdims=True)
    return Samples(face.astype(np.int32), weights.astype(np.float32), where.astype(np.int32))


def nearest_distances(points: Float32[np.ndarray, "N 3"], count: int = 3,
                      device: torch.device | str = "cpu") -> Float32[np.ndarray, "N k"]:
    """Return the distances to the `count` nearest other points, nearest first; metres. All pairs, on `device`."""
    p = torch.from_numpy(points).to(device)
    rows = [torch.cdist(part, p, compute_mode="donot_use_mm_for_euclid_dist").topk(count + 1, largest=False).values[:, 1:]
            for part in p.split(CHUNK)]
    return torch.cat(rows).cpu().numpy()


def nearest_rows(points: Float32[np.ndarray, "M 3"], among: Float32[np.ndarray, "N 3"]) -> Int32[np.ndarray, " M"]:
    """Return which of `among` is nearest to each point."""
    a = torch.from_numpy(among)
    if not len(points):
        return np.zeros(0, np.int32)
    rows = [torch.cdist(part, a, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)
            for part in torch.from_numpy(points).split(CHUNK)]
    return torch.cat(rows).numpy().astype(np.int32)
