"""Avatars made up at any size, for measuring: nothing to see, but numbers like real ones."""

import numpy as np

from exporter.ops.limit_head import keep_expressions
from formats.avatar import Avatar, FaceBinding, SkinBinding, SplatLayer
from formats.gaussians import GaussianCloud
from formats.rotations import normalize
from formats.standin.head import standin_head


def on_triangles(count: int) -> Avatar:
    """Return Gaussians at random on the stand-in's triangles, a third of an edge off."""
    rng, head = np.random.default_rng(0), standin_head()
    cloud = GaussianCloud(rng.normal(0, 0.3, (count, 3)), normalize(rng.normal(size=(count, 4))),
                          np.exp(rng.normal(-1.5, 0.4, (count, 3))), rng.uniform(0.2, 1, count),
                          rng.normal(0, 0.6, (count, 1, 3)))
    binding = FaceBinding(rng.integers(0, len(head.faces), count), rng.dirichlet([1, 1, 1], count))
    return Avatar(head, (SplatLayer(cloud, binding),))


def own_tables(count: int, expressions: int = 50, wrinkle: float = 1e-4) -> Avatar:
    """Return Gaussians near the stand-in with tables of their own, as MonoGaussianAvatar's deformer gives them.

    The head's directions where each Gaussian is, plus smooth functions of its place of about `wrinkle` metres (64 of them for
    every direction anew), which no head explains.
    """
    rng, head = np.random.default_rng(0), standin_head()
    head = keep_expressions(Avatar(head), head.expr_names[:expressions]).head
    assert head.posedirs is not None
    corners = head.faces[rng.integers(0, len(head.faces), count)]
    weights = rng.dirichlet([1, 1, 1], count).astype(np.float32)

    def here(table: np.ndarray) -> np.ndarray:
        return np.einsum("nj,nj...->n...", weights, table[corners], optimize=True).astype(np.float32)

    means = here(head.v_template) + rng.normal(0, 2e-3, (count, 3)).astype(np.float32)
    waves = np.tanh(means * 40 @ rng.normal(size=(3, 64)) + rng.normal(size=64)).astype(np.float32) / 8

    def smooth(directions: int) -> np.ndarray:
        return (waves @ rng.normal(size=(64, 3 * directions)).astype(np.float32)).reshape(count, 3, -1) * np.float32(wrinkle)

    binding = SkinBinding(exprdirs=here(head.exprdirs) + smooth(expressions), posedirs=here(head.posedirs) + smooth(36),
                          lbs_weights=here(head.lbs_weights))
    cloud = GaussianCloud(means, normalize(rng.normal(size=(count, 4))), np.exp(rng.normal(-6.5, 0.4, (count, 3))),
                          rng.uniform(0.2, 1, count), rng.normal(0, 0.6, (count, 1, 3)))
    return Avatar(head, (SplatLayer(cloud, binding),))
