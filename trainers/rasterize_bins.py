"""Which Gaussians meet which tiles of the picture, nearest first, compiled. Needs numba.

Nothing is sorted per tile: Gaussians are ordered by depth once and dealt out to the tiles in that order.
"""

import math

import numpy as np

from trainers.rasterize_kernels import HALF_LOG2E, LEVEL_MIN, TILE, compiled


@compiled()
def order_by_depth(depths: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Return the ids of visible Gaussians, nearest first and of equally deep ones the first first: int32 [V].

    A radix sort of the upper 44 bits of the (positive) float64 depths: 1e-10 of the depth.
    """
    count = 0
    for g in range(len(depths)):
        count += visible[g]
    keys, ids = np.empty(count, np.uint64), np.empty(count, np.int32)
    bits = depths.view(np.uint64)
    count = 0
    for g in range(len(depths)):
        if visible[g]:
            keys[count], ids[count] = bits[g] >> np.uint64(20), g
            count += 1
    other_keys, other_ids = np.empty_like(keys), np.empty_like(ids)
    starts = np.empty(2049, np.int64)
    for shift in range(0, 44, 11):
        starts[:] = 0
        for n in range(count):
            starts[((keys[n] >> np.uint64(shift)) & np.uint64(2047)) + np.uint64(1)] += 1
        for digit in range(2048):
            starts[digit + 1] += starts[digit]
        for n in range(count):
            digit = (keys[n] >> np.uint64(shift)) & np.uint64(2047)
            place = starts[digit]
            starts[digit] = place + 1
            other_keys[place], other_ids[place] = keys[n], ids[n]
        keys, other_keys, ids, other_ids = other_keys, keys, other_ids, ids
    return ids


@compiled()
def pack(first: int, end: int, ids: np.ndarray, means2d: np.ndarray, shapes: np.ndarray, opacities: np.ndarray,
         rgb: np.ndarray, height: int, rows: np.ndarray, bands: np.ndarray) -> None:
    """Fill places first..end-1 of `rows` [V, ROW] with the Gaussians `ids`, and `bands` [V, 2] with the first band each
    meets and the one after the last."""
    down = (height + TILE - 1) // TILE
    for k in range(first, end):
        g = ids[k]
        level = math.log2(opacities[g])
        rows[k, 0], rows[k, 1] = means2d[g, 0], means2d[g, 1]
        # An ellipse of 1e15 pixels is as good as any larger one, and keeps float32 from dividing by zero.
        rows[k, 2] = max(shapes[g, 0] * HALF_LOG2E, 1e-30)
        rows[k, 3], rows[k, 4] = shapes[g, 1], max(shapes[g, 2] * HALF_LOG2E, 1e-30)
        rows[k, 5] = level
        rows[k, 6] = math.sqrt(max(level - LEVEL_MIN, 0.0) / rows[k, 4])
        rows[k, 7] = 0
        rows[k, 8], rows[k, 9], rows[k, 10], rows[k, 11] = rgb[g, 0], rgb[g, 1], rgb[g, 2], 0
        top = max(0, _tile(rows[k, 1] - rows[k, 6] - 0.5, down))
        bands[k, 0], bands[k, 1] = top, max(top, min(down, _tile(rows[k, 1] + rows[k, 6] - 0.5, down) + 1))


@compiled()
def _tile(place: float, count: int) -> int:
    """Return which tile of a row of `count` a pixel lies in, -1 for before and `count` for beyond."""
    return int(math.floor(min(max(place / TILE, -1.0), float(count))))


@compiled()
def _half_width(reach: float, a: float, c: float, dy: float) -> float:
    """Return how far from its middle, at -b dy, the ellipse reaches on the line dy."""
    return math.sqrt(max(reach - c * dy * dy, 0.0) / a)


@compiled()
def cross(first: int, end: int, rows: np.ndarray, bands: np.ndarray, firsts: np.ndarray, width: int,
          spans: np.ndarray) -> None:
    """Fill `spans` [S, 2], for each band that Gaussians first..end-1 meet, with the first tile met and the one after
    the last; Gaussian k's lie from `firsts[k]` on.

    The test is exact: a tile is met when the ellipse where alpha is 1/255 crosses the rows of its pixel centres, so
    corners of a bounding box cost nothing.
    """
    across = (width + TILE - 1) // TILE
    for k in range(first, end):
        mean_x, mean_y = float(rows[k, 0]), float(rows[k, 1])
        a, b, c, reach = float(rows[k, 2]), float(rows[k, 3]), float(rows[k, 4]), rows[k, 5] - LEVEL_MIN
        # The ellipse reaches furthest right, by half_x, on the line dy = widest, and left on the opposite one.
        stretch = 1 / a + b * b / c
        half_x = math.sqrt(max(reach, 0.0) * stretch)
        widest = -b / c * math.sqrt(max(reach, 0.0) / stretch)
        for band in range(bands[k, 0], bands[k, 1]):
            low, high = band * TILE + 0.5 - mean_y, band * TILE + TILE - 0.5 - mean_y
            right = left = half_x
            if not low <= widest <= high:
                dy = min(max(widest, low), high)
                right = _half_width(reach, a, c, dy) - b * dy
            if not low <= -widest <= high:
                dy = min(max(-widest, low), high)
                left = _half_width(reach, a, c, dy) + b * dy
            pair = firsts[k] + band - bands[k, 0]
            spans[pair, 0] = band * across + max(0, _tile(mean_x - left - 0.51, across))
            spans[pair, 1] = band * across + min(across, _tile(mean_x + right - 0.49, across) + 1)


@compiled()
def sort_into_tiles(firsts: np.ndarray, bands: np.ndarray, spans: np.ndarray, across: int,
                    down: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return which Gaussians meet which tiles.

    Each (Gaussian, band) pair gets a *slot*, where its gradient will be summed up. Slots of a band lie together: two
    threads never write to one cache line, but where two bands meet.

    Returns:
        Slot of each pair: int32 [S], pairs in the order of `spans`.
        Place of each slot's Gaussian in the order by depth: int32 [S].
        Entries: int32 [M], slots by tile (row by row of tiles), nearest first.
        First entry of each tile: int64 [tiles + 1].
    """
    slots, owners = np.empty(len(spans), np.int32), np.empty(len(spans), np.int32)
    free, starts = np.zeros(down + 1, np.int64), np.zeros(across * down + 1, np.int64)
    for k in range(len(bands)):
        for band in range(bands[k, 0], bands[k, 1]):
            free[band + 1] += 1
            pair = firsts[k] + band - bands[k, 0]
            for tile in range(spans[pair, 0], spans[pair, 1]):
                starts[tile + 1] += 1
    for band in range(down):
        free[band + 1] += free[band]
    for tile in range(across * down):
        starts[tile + 1] += starts[tile]
    entries, places = np.empty(starts[-1], np.int32), starts[:-1].copy()
    for k in range(len(bands)):
        for band in range(bands[k, 0], bands[k, 1]):
            slot, pair = free[band], firsts[k] + band - bands[k, 0]
            free[band] = slot + 1
            slots[pair], owners[slot] = slot, k
            for tile in range(spans[pair, 0], spans[pair, 1]):
                entries[places[tile]] = slot
                places[tile] += 1
    return slots, owners, entries, starts
