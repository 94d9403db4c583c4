"""Closing the lips: triangles across the inner-lip opening, so that what shows in an open mouth has a surface to ride.

FLAME's mesh ends at the inner lips: a ring of 32 edges and nothing behind it. FateAvatar and FlashAvatar train on a template
with 30 more faces there (10 006 in all) whose texture has an island of its own (u 0.404..0.596, v 0.935..0.995, v up; 5150
texture coordinates in place of 5118), because the slit itself covers no texel. Both are made here, from the mesh alone.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float32, Int32

from formats.errors import FormatError
from formats.head_model import HeadModel
from formats.texels import texels

GRID = 256
"""Texels across, when a free place on the texture is looked for; one empty texel stays around it."""
ASPECT = 3.2
"""Width over height of the seal's island: the paper template's (0.192 x 0.060)."""
WIDTH = 0.24
"""The island's greatest width, in texture units."""


def seal_lips(head: HeadModel) -> HeadModel:
    """Return `head` with its lip opening closed; a head without one comes back unchanged.

    A ring of n vertices gets n - 2 faces, zipped between the upper and the lower lip, after the others: face indices of
    landmarks stay good, and no vertex is added. Windings agree with the neighbours'. Where the head has texture
    coordinates the seal gets n new ones, in the largest free place of the layout; with no place left it reuses the ring's.

    Raises:
        FormatError: `regions['lip_ring']` is an open border that is not one simple loop.
    """
    ring = lip_opening(head)
    if ring is None:
        return head
    # Faces run along their border in the loop's sense; what closes it runs against it.
    polygon = ring[::-1]
    corner_left, upper, lower = _lips(head.v_template, polygon)
    triangles = _zip(head.v_template, polygon, upper, lower)
    changed: dict[str, np.ndarray] = {"faces": np.concatenate([head.faces, polygon[triangles]])}
    if head.uvs is not None and head.uv_faces is not None:
        place = _free_place(head)
        if place is None:
            corners = dict(zip(head.faces.ravel().tolist(), head.uv_faces.ravel().tolist(), strict=True))
            changed["uv_faces"] = np.concatenate(
                [head.uv_faces, np.array([corners[int(v)] for v in polygon], np.int32)[triangles]])
        else:
            island = _island(head.v_template[polygon], upper, lower, place)
            changed["uvs"] = np.concatenate([head.uvs, island])
            changed["uv_faces"] = np.concatenate([head.uv_faces, (len(head.uvs) + triangles).astype(np.int32)])
    return dataclasses.replace(head, **changed)  # type: ignore[arg-type]


def lip_opening(head: HeadModel) -> Int32[np.ndarray, " n"] | None:
    """Return the open border around the inner lips in the order its faces run along it, or None where there is none.

    It is the border through `regions['lip_ring']`. A head without that region (a FLAME file as published) is looked at:
    of the borders that cross the mid-plane, the lowest is the neck's, and the lips' is the most forward of the rest.

    Raises:
        FormatError: The region lies on open borders, but is not one of them.
    """
    loops = border_loops(head.faces)
    if "lip_ring" in head.regions:
        ids = set(head.regions["lip_ring"].tolist())
        touched = [loop for loop in loops if ids & set(loop.tolist())]
        if not touched:
            return None
        if len(touched) > 1 or set(touched[0].tolist()) != ids:
            raise FormatError(f"HeadModel.regions[lip_ring]: {len(ids)} vertices that touch {len(touched)} open borders, the "
                              f"first of {len(touched[0])}; expected to be one border exactly, or none")
        return touched[0]
    v = head.v_template
    crossing = [loop for loop in loops if v[loop, 0].min() < 0 < v[loop, 0].max()]
    above = sorted(crossing, key=lambda loop: float(v[loop, 1].mean()))[1:]
    return max(above, key=lambda loop: float(v[loop, 2].mean())) if above else None


def border_loops(faces: Int32[np.ndarray, "F 3"]) -> list[np.ndarray]:
    """Return the closed borders of a mesh, vertex ids each, in the order in which its faces run along them.

    A border that meets itself in a vertex is left out: it is no loop that could be closed without doubt.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    base = int(faces.max(initial=0)) + 1
    there, back = edges[:, 0] * base + edges[:, 1], edges[:, 1] * base + edges[:, 0]
    border = edges[~np.isin(there, back)]
    starts, counts = np.unique(border[:, 0], return_counts=True)
    twice = set(starts[counts > 1].tolist())
    following = {int(a): int(b) for a, b in border}
    loops, seen = [], set()
    for start in sorted(following):
        if start in seen:
            continue
        loop, at = [], start
        while at in following and at not in seen:
            seen.add(at)
            loop.append(at)
            at = following[at]
        if at == start and len(loop) > 2 and not twice & set(loop):
            loops.append(np.array(loop, np.int32))
    return loops


def _lips(vertices: np.ndarray, polygon: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the left corner and both chains from it to the right corner, as places in `polygon`: upper, then lower."""
    x, y = vertices[polygon, 0], vertices[polygon, 1]
    count = len(polygon)
    left, right = int(np.argmax(x)), int(np.argmin(x))
    one = (left + np.arange((right - left) % count + 1)) % count
    other = (left - np.arange((left - right) % count + 1)) % count
    if min(len(one), len(other)) < 3:
        raise FormatError("HeadModel: the lip opening has no two sides between its corners; is it the lips?")
    upper, lower = (one, other) if y[one[1:-1]].mean() >= y[other[1:-1]].mean() else (other, one)
    return left, upper, lower


def _zip(vertices: np.ndarray, polygon: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> Int32[np.ndarray, "m 3"]:
    """Return triangles between two chains with common ends, as places in the polygon, wound as it runs.

    The side that lags behind, by its share of the way, steps first: triangles of even width, mirrored left and right.
    """
    def share(chain: np.ndarray) -> np.ndarray:
        way = np.cumsum(np.linalg.norm(np.diff(vertices[polygon[chain]].astype(np.float64), axis=0), axis=1))
        return np.concatenate([[0], way / way[-1]])

    at_upper, at_lower = share(upper), share(lower)
    i = j = 1
    found = [(upper[0], upper[1], lower[1])]
    while i < len(upper) - 2 or j < len(lower) - 2:
        more_upper, more_lower = i < len(upper) - 2, j < len(lower) - 2
        ahead = at_upper[i + 1] - at_lower[j + 1] if more_upper and more_lower else 0.0
        if more_upper and more_lower and abs(ahead) < 0.3 / max(len(upper), len(lower)):
            # Side by side: the upper lip steps first up to the middle, the lower one after it.
            ahead = 1.0 if at_upper[i] + at_upper[i + 1] > 1 else -1.0
        if more_upper and (ahead < 0 or not more_lower):
            found.append((upper[i], upper[i + 1], lower[j]))
            i += 1
        else:
            found.append((upper[i], lower[j + 1], lower[j]))
            j += 1
    found.append((upper[i], upper[-1], lower[j]))
    # A polygon's triangles are wound as it is when their corners stand in its own cyclic order.
    return np.sort(np.array(found, np.int32), axis=1)


def _free_place(head: HeadModel) -> tuple[float, float, float, float] | None:
    """Return left, top, width and height, in texture units, of the largest free place for the island."""
    taken: Bool[np.ndarray, "H W"] = np.zeros((GRID, GRID), bool)
    taken.ravel()[texels(head, GRID)[0]] = True
    total = np.pad(np.cumsum(np.cumsum(taken, axis=0), axis=1), ((1, 0), (1, 0)))
    for height in range(int(GRID * WIDTH / ASPECT), 3, -1):
        width = round(height * ASPECT)
        high, wide = height + 2, width + 2
        held = total[high:, wide:] - total[:-high, wide:] - total[high:, :-wide] + total[:-high, :-wide]
        rows, columns = np.nonzero(held == 0)
        if len(rows):
            # The paper's template has it in the middle at the top.
            best = np.argmin(np.abs(columns + wide / 2 - GRID / 2) + rows)
            return (columns[best] + 1) / GRID, (rows[best] + 1) / GRID, width / GRID, height / GRID
    return None


def _island(ring: np.ndarray, upper: np.ndarray, lower: np.ndarray,
            place: tuple[float, float, float, float]) -> Float32[np.ndarray, "n 2"]:
    """Return texture coordinates of the ring's vertices: corners at the ends, lips along the long edges, u as x runs."""
    left, top, width, height = place
    uv = np.zeros((len(ring), 2))
    x = ring[:, 0].astype(np.float64)
    for chain, row in ((upper, 0.0), (lower, 1.0)):
        # Even steps: x need not be monotonous along a lip, and every face must keep its winding and its texels.
        uv[chain, 0] = np.linspace(1.0, 0.0, len(chain)) if x[chain[0]] > x[chain[-1]] else np.linspace(0, 1, len(chain))
        uv[chain[1:-1], 1] = row
    for end in (upper[0], upper[-1]):
        uv[end, 1] = 0.5
    return (np.array([left, top]) + uv * np.array([width, height])).astype(np.float32)
