"""The guidance mesh of Gaussian Head Avatar's first stage: its neutral surface, colours and expressions as a head's tables.

The mesh approximates: its expressions are taken one at a time, at coefficient 1, and added up; the pose counts as it is in
the neutral state. The Gaussians do not ride it and are exact. Sources: Xu et al., CVPR 2024, section 3.2; Shen et al.,
"Deep Marching Tetrahedra", NeurIPS 2021, section 3.1; the released arithmetic.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64

from formats.errors import FormatError
from formats.importers.gha_networks import Scalars, check_finite, encode, perceptron

GRID = 128
"""Tetrahedra along an axis; a vertex moves by at most one of them."""
SUBDIVIDED = 1_000_000
"""Grid vertices from which the grid is a subdivided one, of 2 x `GRID` (whole ones have about 0.28 and 2.2 million)."""


@dataclass(frozen=True, eq=False)
class GuidanceMesh:
    """The neutral surface, canonical units."""

    vertices: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"]
    """Counter-clockwise seen from outside."""
    exprdirs: Float32[np.ndarray, "V 3 E"]
    rgb: Float64[np.ndarray, "V 3"]


def read_mesh(state: Mapping[str, np.ndarray], where: str, scalars: Scalars, pose: Float[np.ndarray, " 6"],
              expressions: int) -> GuidanceMesh:
    """Return the surface of a `meshhead` file without expression, at `pose`; without vertices when it encloses nothing.

    The surface is where the sdf of `surface` is 0. Colour: the first three channels of w_exp exp_color(feature, expr) +
    w_pose pose_color(feature, pose). Then v += s w_exp exp_deform(v, expr) and, of the moved v, v += s w_pose
    pose_deform(v, pose), with the shares w of the surface's vertices and the deform scale s.

    Args:
        state: Arrays by key.
        where: The file, for messages.
        scalars: The training's.
        pose: Rotation vector and translation of the neutral state.
        expressions: How many the avatar has.

    Raises:
        FormatError: A key is missing, misshapen or not finite.
    """
    check_finite(state, where)
    landmarks = state.get("landmarks_3d_neutral")
    if landmarks is None or landmarks.ndim != 2 or landmarks.shape[1] != 3:
        raise FormatError(f"{where}: 'landmarks_3d_neutral': expected shape [L, 3]")
    base, faces, feature = surface(state, where)
    none = np.zeros((1, expressions))
    nets = {key: perceptron(state, f"{key}_mlp", where, "sigmoid" if "color" in key else "tanh")
            for key in ("exp_color", "pose_color", "exp_deform", "pose_deform")}
    frequencies = (nets["exp_deform"].inputs - expressions - 3) // 6
    point, encoded = encode(base, frequencies), encode(np.asarray(pose, float)[None], frequencies)
    for key, size in (("exp_color", feature.shape[1] + expressions), ("pose_color", feature.shape[1] + encoded.shape[1]),
                      ("exp_deform", point.shape[1] + expressions), ("pose_deform", point.shape[1] + encoded.shape[1])):
        if nets[key].inputs != size:
            raise FormatError(f"{where}: '{key}_mlp' takes {nets[key].inputs} numbers, expected {size}")
    shares = scalars.shares(base, landmarks)
    rgb = (shares[:, :1] * nets["exp_color"].evaluate(feature, none)[:, :3]
           + shares[:, 1:] * nets["pose_color"].evaluate(feature, encoded)[:, :3])
    neutral = nets["exp_deform"].evaluate(point, none)
    v = base + scalars.deform_scale * shares[:, :1] * neutral
    v = v + scalars.deform_scale * shares[:, 1:] * nets["pose_deform"].evaluate(encode(v, frequencies), encoded)
    exprdirs = np.zeros((len(v), 3, expressions), np.float32)
    rows = np.flatnonzero(shares[:, 0] > 0)
    for e, unit in enumerate(np.eye(expressions)):
        moved = nets["exp_deform"].evaluate(point[rows], unit[None]) - neutral[rows]
        exprdirs[rows, :, e] = scalars.deform_scale * shares[rows, :1] * moved
    return GuidanceMesh(v, faces, exprdirs, rgb)


def surface(state: Mapping[str, np.ndarray],
            where: str) -> tuple[Float64[np.ndarray, "V 3"], Int64[np.ndarray, "F 3"], Float64[np.ndarray, "V C"]]:
    """Return the vertices, faces and features of the surface that a `meshhead` file's grid encloses.

    At each vertex g of the grid, tanh(geo(encode(g))) is the sdf, an offset and a feature; the vertex lies at
    g + tanh(offset) / grid size.
    """
    grid, tets = state.get("tet_verts"), state.get("tets")
    if grid is None or tets is None or grid.ndim != 2 or grid.shape[1] != 3 or tets.ndim != 2 or tets.shape[1] != 4:
        raise FormatError(f"{where}: 'tet_verts' and 'tets': expected shapes [V, 3] and [T, 4], got "
                          f"{[None if a is None else list(a.shape) for a in (grid, tets)]}")
    if tets.dtype.kind not in "iu" or tets.size and (tets.min() < 0 or tets.max() >= len(grid)):
        raise FormatError(f"{where}: 'tets': expected indices into the {len(grid)} rows of 'tet_verts'")
    geo = perceptron(state, "geo_mlp", where, "tanh")
    frequencies, rest = divmod(geo.inputs - 3, 6)
    if rest or geo.outputs < 5:
        raise FormatError(f"{where}: 'geo_mlp' goes from {geo.inputs} to {geo.outputs} numbers; expected an encoded point to "
                          "sdf, offset and feature")
    value = geo.evaluate(encode(grid.astype(np.float32), frequencies)).astype(np.float64)
    size = GRID if len(grid) < SUBDIVIDED else 2 * GRID
    moved = grid.astype(np.float64) + np.tanh(value[:, 1:4]) / size
    return march(moved, tets, value[:, 0], value[:, 4:])


def march(points: Float64[np.ndarray, "P 3"], tets: Int[np.ndarray, "T 4"], sdf: Float64[np.ndarray, " P"],
          feature: Float64[np.ndarray, "P C"]) -> tuple[Float64[np.ndarray, "V 3"], Int64[np.ndarray, "F 3"],
                                                        Float64[np.ndarray, "V C"]]:
    """Return the surface sdf = 0 of a tetrahedral grid: vertices, faces (counter-clockwise from outside) and features.

    Points with sdf > 0 lie outside. Every edge between inside and outside gives the one vertex where the sdf, linear along
    it, is 0; a tetrahedron with one corner on its side gives a triangle, with two on each side a quadrilateral. Faces
    without area are left out.
    """
    outside = sdf > 0
    count = outside[tets].sum(axis=1)
    crossed = tets[(count > 0) & (count < 4)].astype(np.int64)
    out = outside[crossed]
    # Inside corners first; a cut corner, or the two corners of one side, then stand at known places.
    ordered = np.take_along_axis(crossed, np.argsort(out, axis=1, kind="stable"), axis=1)
    number = out.sum(axis=1)
    cuts = {3: (((0, 1), (0, 2), (0, 3)),), 1: (((3, 0), (3, 1), (3, 2)),),
            2: (((0, 2), (0, 3), (1, 2)), ((0, 3), (1, 3), (1, 2)))}
    corners, towards = [], []
    for n, triangles in cuts.items():
        tet = ordered[number == n]
        way = points[tet[:, 4 - n:]].mean(axis=1) - points[tet[:, :4 - n]].mean(axis=1)
        for triangle in triangles:
            corners.append(np.stack([np.sort(tet[:, list(edge)], axis=1) for edge in triangle], axis=1))
            towards.append(way)
    edges, place = np.unique(np.concatenate(corners).reshape(-1, 2), axis=0, return_inverse=True)
    if not len(edges):
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64), np.zeros((0, feature.shape[1]))
    a, b = edges.T
    t = (sdf[a] / (sdf[a] - sdf[b]))[:, None]
    vertices, features = (v[a] + t * (v[b] - v[a]) for v in (points, feature))
    faces = place.reshape(-1, 3)
    normal = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    away = np.sum(normal * np.concatenate(towards), axis=1)
    faces = np.where(away[:, None] < 0, faces[:, [0, 2, 1]], faces)
    return vertices, faces[np.linalg.norm(normal, axis=1) > 0], features
