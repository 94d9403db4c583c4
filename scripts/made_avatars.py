"""Avatars made up at any size, for measuring: nothing to see, but numbers like real ones."""

import numpy as np

from exporter.ops.limit_head import keep_expressions
from formats.avatar import Avatar, BasisMix, FaceBinding, MeshLayer, SkinBinding, SplatLayer
from formats.deform import deform_head, rest_sequence, vertex_normals
from formats.gaussians import GaussianCloud
from formats.mesh_shading import sample_bilinear
from formats.onnx_graph import OnnxGraph
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


def shells(count: int, side: int = 1024, bases: int = 16, features: int = 8, hidden: int = 16,
           distinct: int | None = None) -> Avatar:
    """Return the stand-in's head as shells 2 mm apart, shaded as BakedAvatar's, with bytes of its sizes (8 shells: 456 MiB).

    Maps are smooth noise of four octaves with a little grain, as skin is. With `distinct` all shells share features and alpha,
    and their bases are so many pictures again and again: much faster to make and to encode, and the same work to play.
    """
    rng, head = np.random.default_rng(0), standin_head()
    head = keep_expressions(Avatar(head), head.expr_names[:50]).head
    assert head.uvs is not None and head.uv_faces is not None
    texels = np.stack(np.meshgrid(*[(np.arange(side) + 0.5) / side] * 2), axis=-1).reshape(-1, 2)

    def noise(channels: int) -> np.ndarray:
        total = rng.normal(0, 0.01, (side, side, channels))
        for octave in (8, 32, 128, 512):
            coarse = rng.normal(size=(octave, octave, channels)) * (8 / octave) ** 0.9
            total += sample_bilinear(coarse, texels).reshape(side, side, channels)
        return np.clip(128 + 45 * total, 0, 255).astype(np.uint8)

    graph, weights = OnnxGraph(), hidden * (features + 6 + bases)
    expr = graph.input("expr", 1, len(head.expr_names))
    graph.output("shading_weights", graph.linear(expr, rng.normal(0, 0.02, (weights, 50)), rng.normal(0, 0.1, weights)))
    network = graph.network()
    rest = deform_head(head, rest_sequence(head)).vertices
    normals = vertex_normals(rest, head.faces)
    binding = SkinBinding(vertex_index=np.arange(len(rest), dtype=np.int32))
    few = [noise(3) for _ in range(distinct or 0)]
    shared = (noise(1)[..., 0], noise(features)) if distinct else None

    def mix(i: int) -> BasisMix:
        radiance = [few[(i + k) % len(few)] for k in range(bases)] if few else [noise(3) for _ in range(bases)]
        alpha, placed = shared or (noise(1)[..., 0], noise(features))
        return BasisMix(np.stack(radiance), alpha, placed, "shading", hidden)

    layers = tuple(MeshLayer((rest + 2e-3 * i * normals).astype(np.float32), normals.astype(np.float32), head.faces, head.uvs,
                             head.uv_faces, binding, mix(i), None, i == 0, f"shell{i}") for i in range(count))
    return Avatar(head, layers, {"shading": network})
