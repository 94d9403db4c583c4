"""The stand-in's head as one structured grid of longitudes and heights, with warped rectangular openings.

A structured grid is exactly mirror symmetric, its openings have concentric loops for free, and every vertex has a
(row, column) address that later steps name features by. Working unit here and in the sibling modules: millimetres,
origin midway between the eye centres; column 0 is the face's mid-line, columns 1..29 the subject's left (+X).
"""

import functools
from dataclasses import dataclass

import numpy as np

from formats.standin import surface

HALF = 30
COLUMNS = 2 * HALF
"""60: with a closed head, the neck ring's 60 edges make 5023 vertices come with 9976 faces (F = 2V - B - 2X)."""

DEGREES = np.array([*np.linspace(0, 44, 17), 52, 60.5, 68, 75, 81.5, 87.5, 93.5, 99.5, 106, 114, 124, 139, 159, 180])
"""Longitudes of columns 0..30; dense in front."""

ROWS = np.array([
    115, 107.5, 96.5, 84, 70.5, 57, 45, 35.5, 28.5, 23.5, 19.5, 16, 13, 10.2, 7.4, 4.6, 1.8, -1, -3.8, -6.6, -9.6,
    -13, -17.5, -22.5, -27.5, -32.5, -37.2, -41.4, -45.3, -48.6, -52.3, -56, -59.2, -61.6, -63.8, -66, -68.2, -70.4,
    -73, -76.2, -80.2, -85, -90.5, -96.5, -102.5, -108, -113, -118.5, -127, -139, -154, -168])
"""Heights of the rows from crown to neck base; 2.2 to 3 mm apart at eyes and lips."""

EXTRA_ROWS = (63.5, 51, 77, -146)
"""Rows that the open-mouth variant adds, so that it too reaches FLAME's vertex count without a cavity."""


@dataclass(frozen=True)
class Opening:
    """A block of grid cells taken out and warped to a lens; its loop starts at +X and runs counter-clockwise."""

    name: str
    rows: tuple[float, float]
    """Heights of the block's first and last row; its middle is midway in rows."""
    columns: tuple[int, int]
    center: tuple[float, float]
    reach: float
    """Rings over which the warp fades."""


EYE = Opening("eye", (7.4, -9.6), (4, 14), (31.5, 0.0), 6.0)
MOUTH = Opening("mouth", (-63.8, -68.2), (-7, 7), (0.0, -66.0), 5.0)
EAR = Opening("ear", (4.6, -32.5), (21, 25), (93.0, -15.0), 3.0)
"""Here the middle's first entry is a longitude in degrees; the loop is where the auricle is grafted on."""


def ear_outline(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (longitude in radians, height in millimetres) of the left ear's base, from the back counter-clockwise."""
    return np.radians(EAR.center[0] + 8.0 * np.cos(angle)), EAR.center[1] + 20.0 * np.sin(angle)


def eye_outline(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (x, y) of the left eye's lid edge in millimetres at `angle` from the outer corner, counter-clockwise."""
    c, s = np.cos(angle), np.sin(angle)
    upper = 4.8 * np.abs(s) ** 1.05 * (1 - 0.10 * c)
    lower = -4.9 * np.abs(s) ** 1.12 * (1 + 0.16 * c)
    return EYE.center[0] + 14.9 * c, np.where(s >= 0, upper, lower) + 0.85 * c - 0.25


def mouth_outline(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (x, y) of the lip edge in millimetres at `angle`; closed lips leave 0.08 mm."""
    c, s = np.cos(angle), np.sin(angle)
    even = 2 * np.abs(np.mod(angle / np.pi, 2) - 1) - 1
    t = 0.62 * even + 0.38 * c
    return 25.0 * t, mouth_line(25.0 * t) + 0.04 * np.sign(s)


def mouth_line(x: np.ndarray) -> np.ndarray:
    """Return the height where closed lips meet, in millimetres: a small tubercle in the middle, raised corners."""
    t = np.asarray(x) / 25.0
    return MOUTH.center[1] + 0.2 - 0.9 * np.exp(-((t / 0.2) ** 2)) + 1.7 * np.abs(t) ** 2.6


OUTLINES = {"eye": eye_outline, "mouth": mouth_outline, "ear": ear_outline}


@dataclass(frozen=True)
class Grid:
    """The warped grid with its openings: where each vertex lies on the head's chart, its faces and loops."""

    address: np.ndarray
    """Vertex id of each (row, column), -1 where an opening took it."""
    rows: np.ndarray
    """Unwarped height of each row."""
    row: np.ndarray
    column: np.ndarray
    angle: np.ndarray
    """Longitude in radians, one per vertex, after the warp."""
    height: np.ndarray
    """Nominal height in millimetres after the warp; `surface.position` lifts it along the jaw line."""
    chart: np.ndarray
    """(longitude, nominal height) before the ears' warp: the texture chart, where ears keep room."""
    rings: dict[str, np.ndarray]
    """Per opening: how many rings away a vertex is (0 on the loop), one per vertex."""
    loops: dict[str, np.ndarray]
    """Per opening: vertex ids around it."""
    faces: np.ndarray
    """Triangles, counter-clockwise seen from outside."""


def _block(opening: Opening, rows: np.ndarray, sign: int) -> tuple[int, int, int, int]:
    r0, r1 = (int(np.argmin(np.abs(rows - y))) for y in opening.rows)
    c0, c1 = opening.columns
    return (r0, r1, c0, c1) if sign > 0 else (r0, r1, -c1, -c0)


def _loop(block: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """Return the block's border addresses, from the middle of its +X side counter-clockwise."""
    r0, r1, c0, c1 = block
    border = [(r, c1) for r in range(r1, r0, -1)] + [(r0, c) for c in range(c1, c0, -1)]
    border += [(r, c0) for r in range(r0, r1)] + [(r1, c) for c in range(c0, c1)]
    start = border.index(((r0 + r1) // 2, c1))
    return border[start:] + border[:start]


@functools.cache
def opening_names() -> tuple[tuple[str, Opening, int], ...]:
    """Return every opening as (name, block, side); side -1 is the mirror image of the described one."""
    return (("mouth", MOUTH, 1), ("left_eye", EYE, 1), ("right_eye", EYE, -1), ("left_ear", EAR, 1),
            ("right_ear", EAR, -1))


def build(extra_rows: int = 0) -> Grid:
    """Return the grid, with the first `extra_rows` of `EXTRA_ROWS` added."""
    rows = np.sort(np.concatenate([ROWS, EXTRA_ROWS[:extra_rows]]))[::-1]
    count = len(rows)
    degrees = np.concatenate([DEGREES, -DEGREES[-2:0:-1]])
    angle = np.repeat(np.radians(degrees)[None], count, axis=0)
    height = np.repeat(rows[:, None], COLUMNS, axis=1)
    signed = (np.arange(COLUMNS) + HALF - 1) % COLUMNS - HALF + 1  # columns as -29..30
    r_index, c_index = np.meshgrid(np.arange(count), signed, indexing="ij")
    flat_x = surface.half_width(height) * np.sin(angle)
    shift_x, shift_y, ear_turn, ear_rise = (np.zeros_like(angle) for _ in range(4))
    keep = np.ones(angle.shape, bool)
    rings, blocks = {}, {}
    for name, opening, side in opening_names():
        block = _block(opening, rows, side)
        r0, r1, c0, c1 = blocks[name] = block
        near_r, near_c = np.clip(r_index, r0, r1), np.clip(c_index, c0, c1)
        rings[name] = np.maximum(np.abs(r_index - near_r), np.abs(c_index - near_c)).astype(float)
        keep &= ~((r_index > r0) & (r_index < r1) & (c_index > c0) & (c_index < c1))
        loop = _loop(block)
        turn = 2 * np.pi * np.arange(len(loop)) / len(loop)
        # Every block's displacement is taken from the unwarped grid and all are added: warping one eye after the
        # other makes the bridge of the nose lopsided, because their reaches overlap at the mid-line.
        move_x, move_y = np.zeros_like(angle), np.zeros_like(angle)
        at = tuple(np.array(loop).T)
        x, y = OUTLINES[opening.name](turn if side > 0 else np.pi - turn)
        move_x[at] = side * x - (angle[at] if opening is EAR else flat_x[at])
        move_y[at] = y - height[at]
        # A vertex inside the block is dropped; one outside follows the nearest vertex of the loop.
        fade = 1 - surface.smoothstep(rings[name] / opening.reach)
        if opening is MOUTH:
            # Beside the corners the block's three rows must not fall together: only the middle row's share reaches far.
            common = move_y[(r0 + r1) // 2, near_c] * (near_c != c_index)
            own = (move_y[near_r, near_c] - common) * (1 - surface.smoothstep(np.abs(c_index - near_c) / 1.7))
            shift_y += fade * (common + own)
            shift_x += fade * move_x[near_r, near_c]
            continue
        if opening is EAR:
            ear_turn += fade * move_x[near_r, near_c]
            ear_rise += fade * move_y[near_r, near_c]
        else:
            shift_x += fade * move_x[near_r, near_c]
            shift_y += fade * move_y[near_r, near_c]
    shift_x[:, [0, HALF]] = 0
    height = height + shift_y
    front = np.abs(angle) < np.radians(75)
    warped = np.arcsin(np.clip((flat_x + shift_x) / surface.half_width(height), -0.999, 0.999))
    angle = np.where(front, warped, angle)
    chart = np.stack([angle, height], axis=-1)
    address = np.where(keep, np.cumsum(keep).reshape(keep.shape) - 1, -1)
    loops = {name: np.array([address[r, c] for r, c in _loop(block)]) for name, block in blocks.items()}
    return Grid(address, rows, r_index[keep], c_index[keep], (angle + ear_turn)[keep], (height + ear_rise)[keep],
                chart[keep], {name: value[keep] for name, value in rings.items()}, loops, _faces(keep, address, blocks))


def _faces(keep: np.ndarray, address: np.ndarray, blocks: dict[str, tuple[int, int, int, int]]) -> np.ndarray:
    """Return the triangles; diagonals are mirrored about the mid-line, so that mirror pairs exist everywhere."""
    count = len(address)
    present = np.ones((count - 1, COLUMNS), bool)
    for r0, r1, c0, c1 in blocks.values():
        present[r0:r1, np.arange(c0, c1) % COLUMNS] = False
    r, c = np.nonzero(present)
    n = (c + 1) % COLUMNS
    a, b, d, e = address[r, c], address[r + 1, c], address[r + 1, n], address[r, n]
    left = c < HALF
    # At the mouth's corners the diagonals start from the corner: the other ones would fold over it.
    top, low, start, end = blocks["mouth"]
    at_corner = (r == (top + low) // 2 - 1) & ((c == end) | (c == (start - 1) % COLUMNS))
    left = (left ^ at_corner)[:, None]
    first = np.where(left, np.stack([a, b, d], 1), np.stack([a, b, e], 1))
    second = np.where(left, np.stack([a, d, e], 1), np.stack([b, d, e], 1))
    return np.concatenate([first, second])
