"""The tile loops of the CPU rasteriser, compiled: the picture and its gradients.

Needs numba. A picture is cut into *bands* of 16 rows and a band into tiles of 16 x 16 pixels; one row of a tile is one
sixteen-wide vector, which the compiler makes of the innermost loops (they have no branch, only choices). Bands share
nothing that is written, so they can run in any order on any number of threads with the same result to the last bit.

A Gaussian's alpha at a pixel (X, Y) is evaluated as a completed square, which float32 can carry for needles too:

    log2 alpha = log2 o - log2(e) / 2 (a u^2 + c dy^2),   u = dx + b dy,   dx = X - mean_x,   dy = Y - mean_y
    a = Cyy / (Cxx Cyy - Cxy^2),   b = -Cxy / Cyy,   c = 1 / Cyy        with C the 2D covariance

so that a row of pixels has one constant part, and `a` and `b` say where the ellipse lies in it.

Compiled loops are cached by the text of their own file: after changing a constant here, touch `rasterize_bins` and
`rasterize_projection` too, and all three after one of `formats`.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numba import njit

from formats.rasterize import ALPHA_MAX, ALPHA_MIN

TILE = 16
"""Pixels on a side."""
SPENT = 1e-5
"""A pixel is finished when less of what lies behind shows than this. What is left out sums to at most SPENT times the
largest colour: 0.003 of an 8-bit step. (`formats.rasterize_numba` goes on to 1e-10 in float64.)"""
CHECK = 8
"""Gaussians between two looks at whether rows of a tile are finished."""
ROW = 12
"""Floats of a packed Gaussian: mean (x, y) in pixels, a log2(e) / 2, b, c log2(e) / 2, log2 o, half height in pixels, a
spare, colour, a spare. 48 bytes."""
MOMENTS = 9
"""Floats of a gradient slot: sums over pixels of s, s u, s u^2, s u dy, s dy, s dy^2 with s = dL / d ln alpha, and of the
three colours' gradients."""

HALF_LOG2E = 0.5 / math.log(2)
LEVEL_MIN = math.log2(ALPHA_MIN)
"""Of alpha, the least that is drawn."""

_F = np.float32
_CAP, _FLOOR, _SPENT = _F(ALPHA_MAX), _F(LEVEL_MIN), _F(SPENT)
_ZERO, _ONE, _CENTRE, _LOW = _F(0), _F(1), _F(TILE / 2 - 0.5), _F(-126)
# 2^f on 0..1 to 2.7e-6 of its value: a least-squares fit at Chebyshev points.
_E0, _E1, _E2, _E3, _E4 = (_F(v) for v in (1.000002518, 0.693006621, 0.241427493, 0.0520374288, 0.0135206032))
_FAST = {"contract", "arcp", "nsz", "afn"}
_SUMS = {"reassoc", "contract", "arcp", "nsz", "afn"}


def compiled(fastmath: set[str] | bool = False,
             inline: Literal["never", "always"] = "never") -> Callable[[Callable[..., Any]], Any]:
    """Return numba's compiler, with a cache on disk where there is a folder that may hold it."""
    def apply(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, nogil=True, fastmath=fastmath, inline=inline, error_model="numpy")(function)
        except RuntimeError:  # no such folder, as on a read-only disk: compile in each process
            return njit(nogil=True, fastmath=fastmath, inline=inline, error_model="numpy")(function)
    return apply


@compiled(_FAST, "always")
def _exp2(p):
    """Return 2^p for -126 <= p."""
    p = max(p, _LOW)
    whole = np.floor(p)
    f = p - whole
    fraction = _E0 + f * (_E1 + f * (_E2 + f * (_E3 + f * _E4)))
    return fraction * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled()
def _longest(band: int, starts: np.ndarray, across: int) -> int:
    """Return the length of the longest of a band's lists."""
    longest = 0
    for tile in range(band * across, band * across + across):
        longest = max(longest, starts[tile + 1] - starts[tile])
    return longest


@compiled()
def _fetch(near: np.ndarray, begin: int, end: int, rows: np.ndarray, owners: np.ndarray, entries: np.ndarray) -> None:
    """Copy the rows of a tile's list side by side, so that waiting for memory overlaps."""
    for n in range(begin, end):
        k = owners[entries[n]]
        for i in range(ROW):
            near[n - begin, i] = rows[k, i]


@compiled(_FAST)
def draw_band(band: int, rows: np.ndarray, owners: np.ndarray, entries: np.ndarray, starts: np.ndarray,
              background: np.ndarray, rgb: np.ndarray, alpha: np.ndarray, through: np.ndarray, last: np.ndarray) -> None:
    """Draw one band of `rgb` [H, W, 3] and `alpha` [H, W], and keep what `grade_band` needs.

    `through` [tiles, 16, 16] is what still shows of the background at the end, `last` [tiles, 16, 16] the place in the
    tile's list, counted from 1, of the last Gaussian that a pixel took in.
    """
    height, width = alpha.shape
    across = (width + TILE - 1) // TILE
    pix = np.empty((TILE, 5, TILE), np.float32)
    near = np.empty((_longest(band, starts, across), ROW), np.float32)
    open_ = np.empty(TILE, np.bool_)
    for column in range(across):
        tile = band * across + column
        begin, end = starts[tile], starts[tile + 1]
        centre_x, centre_y = _F(column * TILE + TILE // 2), _F(band * TILE + TILE // 2)
        for j in range(TILE):
            open_[j] = band * TILE + j < height
            for i in range(TILE):
                pix[j, 0, i] = _ONE
                pix[j, 1, i] = pix[j, 2, i] = pix[j, 3, i] = pix[j, 4, i] = _ZERO
        _fetch(near, begin, end, rows, owners, entries)
        for n in range(begin, end):
            if (n - begin) % CHECK == CHECK - 1:
                left = False
                for j in range(TILE):
                    if open_[j]:
                        most = _ZERO
                        for i in range(TILE):
                            most = max(most, pix[j, 0, i])
                        open_[j] = most >= _SPENT
                        left |= open_[j]
                if not left:
                    break
            row = near[n - begin]
            a, b, c, level = row[2], row[3], row[4], row[5]
            red, green, blue = row[8], row[9], row[10]
            place = _F(n - begin + 1)
            middle_x, middle_y = centre_x - row[0], centre_y - row[1]
            # From the first to the last row that the ellipse reaches, give or take a hundredth: the exact test follows.
            first = int(max(_CENTRE - middle_y - row[6] + _F(0.99), _ZERO))
            past = int(min(_CENTRE - middle_y + row[6] + _F(1.01), _F(TILE)))
            for j in range(first, past):
                if not open_[j]:
                    continue
                dy = middle_y + (_F(j) - _CENTRE)
                here = level - c * dy * dy
                u0 = middle_x - _CENTRE + b * dy
                nearest = u0 + min(max(-u0, _ZERO), _F(TILE - 1))
                if here - a * nearest * nearest < _FLOOR:
                    continue
                for i in range(TILE):
                    u = u0 + _F(i)
                    p = here - a * u * u
                    behind = pix[j, 0, i]
                    opaque = min(_exp2(p), _CAP)
                    taken = (p >= _FLOOR) & (behind >= _SPENT)
                    weight = behind * opaque if taken else _ZERO
                    pix[j, 0, i] = behind - weight
                    pix[j, 1, i] += weight * red
                    pix[j, 2, i] += weight * green
                    pix[j, 3, i] += weight * blue
                    pix[j, 4, i] = place if taken else pix[j, 4, i]
        for j in range(min(TILE, height - band * TILE)):
            y = band * TILE + j
            for i in range(min(TILE, width - column * TILE)):
                x = column * TILE + i
                rest = pix[j, 0, i]
                rgb[y, x, 0] = pix[j, 1, i] + rest * background[0]
                rgb[y, x, 1] = pix[j, 2, i] + rest * background[1]
                rgb[y, x, 2] = pix[j, 3, i] + rest * background[2]
                alpha[y, x] = _ONE - rest
        for j in range(TILE):
            for i in range(TILE):
                through[tile, j, i] = pix[j, 0, i]
                last[tile, j, i] = pix[j, 4, i]


@compiled(_SUMS)
def _moments(sums: np.ndarray, moments: np.ndarray, slot: int, u0: float, b: float, dy0: float) -> None:
    """Add a tile's lane sums to a gradient slot; u = u0 + i + b j and dy = dy0 + j, from the tile's centre."""
    s = si = sii = sj = sij = sjj = red = green = blue = _ZERO
    for lane in range(TILE):
        i = _F(lane) - _CENTRE
        s += sums[0, lane]
        si += i * sums[0, lane]
        sii += i * i * sums[0, lane]
        sj += sums[1, lane]
        sij += i * sums[1, lane]
        sjj += sums[2, lane]
        red += sums[3, lane]
        green += sums[4, lane]
        blue += sums[5, lane]
    # Single precision is enough for sums over the few pixels of a tile, not for moving them to the ellipse's centre.
    u0, b, dy0, s = float(u0), float(b), float(dy0), float(s)
    su = u0 * s + si + b * sj
    moments[slot, 0] += s
    moments[slot, 1] += su
    moments[slot, 2] += u0 * (u0 * s + 2 * (si + b * sj)) + sii + b * (b * sjj + 2 * sij)
    moments[slot, 3] += dy0 * su + u0 * sj + sij + b * sjj
    moments[slot, 4] += dy0 * s + sj
    moments[slot, 5] += dy0 * (dy0 * s + 2 * sj) + sjj
    moments[slot, 6] += red
    moments[slot, 7] += green
    moments[slot, 8] += blue


@compiled(_FAST)
def grade_band(band: int, rows: np.ndarray, owners: np.ndarray, entries: np.ndarray, starts: np.ndarray,
               background: np.ndarray, through: np.ndarray, last: np.ndarray, rgb_grad: np.ndarray,
               alpha_grad: np.ndarray, moments: np.ndarray) -> None:
    """Add one band's part of the gradients to the slots of that band, `moments` [S, MOMENTS], back to front.

    With T what shows in front of a Gaussian, g = dL / drgb of a pixel and R the loss's slope along everything behind,
    dL / dalpha = T g.colour - R / (1 - alpha); before the last one R = T (g.background - dL / dalpha of the picture).
    """
    height, width = alpha_grad.shape
    across = (width + TILE - 1) // TILE
    pix = np.empty((TILE, 6, TILE), np.float32)
    near = np.empty((_longest(band, starts, across), ROW), np.float32)
    sums = np.empty((6, TILE), np.float32)
    furthest = np.empty(TILE, np.float32)
    for column in range(across):
        tile = band * across + column
        begin = starts[tile]
        centre_x, centre_y = _F(column * TILE + TILE // 2), _F(band * TILE + TILE // 2)
        longest = _ZERO
        for j in range(TILE):
            most = _ZERO
            y = band * TILE + j
            for i in range(TILE):
                x = column * TILE + i
                inside = (y < height) & (x < width)
                red = rgb_grad[y, x, 0] if inside else _ZERO
                green = rgb_grad[y, x, 1] if inside else _ZERO
                blue = rgb_grad[y, x, 2] if inside else _ZERO
                slope = red * background[0] + green * background[1] + blue * background[2]
                pix[j, 0, i] = through[tile, j, i]
                pix[j, 1, i] = through[tile, j, i] * (slope - (alpha_grad[y, x] if inside else _ZERO))
                pix[j, 2, i] = last[tile, j, i] if inside else _ZERO
                pix[j, 3, i], pix[j, 4, i], pix[j, 5, i] = red, green, blue
                most = max(most, pix[j, 2, i])
            furthest[j] = most
            longest = max(longest, most)
        _fetch(near, begin, begin + int(longest), rows, owners, entries)
        for n in range(begin + int(longest) - 1, begin - 1, -1):
            slot = entries[n]
            row = near[n - begin]
            a, b, c, level = row[2], row[3], row[4], row[5]
            red, green, blue = row[8], row[9], row[10]
            place = _F(n - begin + 1)
            middle_x, middle_y = centre_x - row[0], centre_y - row[1]
            # From the first to the last row that the ellipse reaches, give or take a hundredth: the exact test follows.
            first = int(max(_CENTRE - middle_y - row[6] + _F(0.99), _ZERO))
            past = int(min(_CENTRE - middle_y + row[6] + _F(1.01), _F(TILE)))
            touched = False
            for j in range(first, past):
                if place > furthest[j]:
                    continue
                lift = _F(j) - _CENTRE
                dy = middle_y + lift
                here = level - c * dy * dy
                u0 = middle_x - _CENTRE + b * dy
                nearest = u0 + min(max(-u0, _ZERO), _F(TILE - 1))
                if here - a * nearest * nearest < _FLOOR:
                    continue
                if not touched:
                    touched = True
                    sums[:] = _ZERO
                for i in range(TILE):
                    u = u0 + _F(i)
                    p = here - a * u * u
                    full = _exp2(p)
                    opaque = min(full, _CAP) if (p >= _FLOOR) & (place <= pix[j, 2, i]) else _ZERO
                    more = _ONE / (_ONE - opaque)
                    behind = pix[j, 0, i] * more
                    weight = behind * opaque
                    slope = pix[j, 3, i] * red + pix[j, 4, i] * green + pix[j, 5, i] * blue
                    s = opaque * (behind * slope - pix[j, 1, i] * more)
                    s = s if full <= _CAP else _ZERO
                    pix[j, 0, i] = behind
                    pix[j, 1, i] += weight * slope
                    sums[0, i] += s
                    sums[1, i] += s * lift
                    sums[2, i] += s * (lift * lift)
                    sums[3, i] += weight * pix[j, 3, i]
                    sums[4, i] += weight * pix[j, 4, i]
                    sums[5, i] += weight * pix[j, 5, i]
            if touched:
                _moments(sums, moments, slot, middle_x + b * middle_y, b, middle_y)


@compiled()
def gather(first: int, end: int, ids: np.ndarray, rows: np.ndarray, firsts: np.ndarray, slots: np.ndarray,
           moments: np.ndarray, opacities: np.ndarray, means2d_grad: np.ndarray, shapes_grad: np.ndarray,
           opacities_grad: np.ndarray, rgb_grad: np.ndarray) -> None:
    """Turn the slots' sums into gradients of the Gaussians at places first..end-1 of the order by depth, each one's
    slots from top to bottom; what is not drawn keeps its zeros."""
    total = np.empty(MOMENTS, np.float64)
    for k in range(first, end):
        g = ids[k]
        total[:] = 0
        for pair in range(firsts[k], firsts[k + 1]):
            for m in range(MOMENTS):
                total[m] += moments[slots[pair], m]
        a, b, c = rows[k, 2] / HALF_LOG2E, float(rows[k, 3]), rows[k, 4] / HALF_LOG2E
        means2d_grad[g, 0] = a * total[1]
        means2d_grad[g, 1] = a * b * total[1] + c * total[4]
        shapes_grad[g, 0] = -0.5 * total[2]
        shapes_grad[g, 1] = -a * total[3]
        shapes_grad[g, 2] = -0.5 * total[5]
        opacities_grad[g] = total[0] / opacities[g]
        rgb_grad[g, 0], rgb_grad[g, 1], rgb_grad[g, 2] = total[6], total[7], total[8]
