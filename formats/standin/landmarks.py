"""The stand-in's landmark embeddings under DECA's six names: iBUG 68, with a jaw contour that follows the yaw."""

import numpy as np

from formats.standin import assembly
from formats.standin.assembly import Assembly
from formats.standin.regions import BROW
from formats.standin.weights import nominal_height

YAWS = np.concatenate([np.arange(40), -np.arange(1, 40)])
"""Degrees of each row of the dynamic tables: 0..39, then -1..-39."""
# Seen from in front, the contour's points from the ear down: nominal heights where the silhouette decides ...
CHEEK = (-3.8, -17.5, -32.5, -48.6, -63.8)
# ... then longitudes in degrees along the jaw's edge.
EDGE, JAW_EDGE = (58, 38, 18), -108.0


def _nearest(points: np.ndarray, allowed: np.ndarray, targets: list[tuple[float, float]]) -> list[int]:
    """Return the allowed vertices nearest to (x, y) targets in the frontal plane."""
    ids = np.flatnonzero(allowed)
    return [int(ids[np.argmin(((points[ids, :2] - t) ** 2).sum(axis=1))]) for t in targets]


def static_vertices(mesh: Assembly) -> list[int]:
    """Return the vertices of iBUG's points 17..67; they start on the subject's right."""
    p, mirror = mesh.points, mesh.mirror
    front = (mesh.part == assembly.SKIN) & (p[:, 2] > 30)
    brow = _nearest(p, front, [(x, float(np.interp(x, BROW[:, 0], BROW[:, 1]))) for x in (47, 38, 29, 19, 9)])
    middle = front & (mesh.side == 0)
    bridge = _nearest(p, middle, [(0, y) for y in (0, -13, -26, -40)])
    base = _nearest(p, front, [(11, -48), (6, -50), (0, -52)])
    left, right = mesh.loops["left_eye"], mirror[mesh.loops["left_eye"]]
    mouth = mesh.loops["mouth"]
    outer = _nearest(p, front, [(25.5, -65.5), (16, -60.5), (5, -57.8), (0, -58.8), (8, -75.0), (0, -75.8), (17, -72.0)])
    corner, high, bow, dip, low, bottom, low_side = outer
    m = mirror
    lips = [m[corner], m[high], m[bow], dip, bow, high, corner, low_side, low, bottom, m[low], m[low_side]]
    inner = [mouth[k] for k in (16, 12, 8, 4, 0, 28, 24, 20)]
    # Eye loops start at the outer corner and run over the upper lid.
    right_eye = [right[k] for k in (0, 5, 11, 16, 21, 27)]
    left_eye = [left[k] for k in (16, 11, 5, 0, 27, 21)]
    return [int(v) for v in (*[m[v] for v in brow], *brow[::-1], *bridge, m[base[0]], m[base[1]], base[2], base[1],
                             base[0], *right_eye, *left_eye, *lips, *inner)]


def contour_vertices(mesh: Assembly, yaw: float) -> list[int]:
    """Return the 17 contour vertices, subject's right ear to left ear, of a head turned by `yaw` degrees about y."""
    p = mesh.points
    turn = np.radians(yaw)
    seen = p[:, 0] * np.cos(turn) + p[:, 2] * np.sin(turn)
    height = nominal_height(mesh)
    skin = mesh.part == assembly.SKIN
    halves = []
    for side in (-1, 1):
        ids = []
        for level in CHEEK:
            row = np.flatnonzero(skin & (np.abs(height - level) < 1.7) & (mesh.side == side) & (p[:, 2] > -8))
            ids.append(int(row[np.argmax(side * seen[row])]))
        edge = np.flatnonzero(skin & (np.abs(height - JAW_EDGE) < 0.1))
        for longitude in EDGE:
            wanted = np.radians(side * longitude - 0.6 * yaw)
            ids.append(int(edge[np.argmin(np.abs(mesh.chart[edge, 0] - wanted))]))
        halves.append(ids)
    chin = np.flatnonzero(skin & (np.abs(height - (JAW_EDGE - 5)) < 0.1))
    tip = int(chin[np.argmin(np.abs(mesh.chart[chin, 0] + np.radians(0.6 * yaw)))])
    return [*halves[0], tip, *halves[1][::-1]]


def build(mesh: Assembly) -> dict[str, np.ndarray]:
    """Return DECA's six arrays: face indices and barycentric coordinates of static, dynamic and full landmarks."""
    first = np.full(len(mesh.points), -1)
    order = np.arange(len(mesh.faces))[::-1]
    for k in range(3):
        first[mesh.faces[order, k]] = order

    def embed(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        faces = first[ids]
        return faces, (mesh.faces[faces] == ids[..., None]).astype(np.float64)

    static = np.array(static_vertices(mesh))
    dynamic = np.array([contour_vertices(mesh, yaw) for yaw in YAWS])
    full = np.concatenate([dynamic[0], static])[None]
    result = {}
    for name, ids in (("static", static), ("dynamic", dynamic), ("full", full)):
        faces, weights = embed(ids)
        result[f"{name}_lmk_faces_idx"], result[f"{name}_lmk_bary_coords"] = faces, weights
    return result
