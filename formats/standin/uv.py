"""The stand-in's texture chart: face and neck as one sheet with its seam at the back, islands in a strip on top.

(0, 0) is the image's top-left corner. Islands keep at least 8 texels of gutter at 1024.
"""

import numpy as np

from formats.standin import assembly, parts
from formats.standin.assembly import Assembly
from formats.standin.features import EYE_CENTER
from formats.standin.surface import half_width, monotone_cubic

MARGIN = 0.008
STRIP = (0.008, 0.156)
"""Top and bottom of the strip of islands."""
SHEET_TOP = 0.168
CROWN_HEIGHT = 84.0
"""Faces above this nominal height form the crown's own island."""
# Half the sheet's width and its height over longitude (degrees) and nominal height: the face has twice the density.
ACROSS = np.array([(0, 0), (20, 0.255), (45, 0.525), (75, 0.735), (90, 0.80), (108, 0.865), (140, 0.94), (180, 1)])
DOWN = np.array([(-168, 1), (-139, 0.935), (-113, 0.855), (-90, 0.765), (-66, 0.62), (-45, 0.495), (-10, 0.335),
                 (12, 0.225), (24, 0.175), (45, 0.105), (84, 0)])
NECK_LOW = 8.0
"""Millimetres that the open-mouth neck reaches below the lowest row."""


def _sheet(angle: np.ndarray, height: np.ndarray) -> np.ndarray:
    u = np.sign(angle) * monotone_cubic(ACROSS[:, 0], ACROSS[:, 1], np.abs(np.degrees(angle)))
    knots = DOWN.copy()
    knots[0, 0] -= NECK_LOW
    v = monotone_cubic(knots[:, 0], knots[:, 1], height)
    return np.stack([0.5 + (0.5 - MARGIN) * u, SHEET_TOP + v * (1 - MARGIN - SHEET_TOP)], axis=-1)


def _disc(direction: np.ndarray, radius: np.ndarray, box: tuple[float, float, float, float],
          square: bool) -> np.ndarray:
    """Return UVs of polar points in `box` (u0, v0, u1, v1); `square` stretches circles to fill it."""
    u0, v0, u1, v1 = box
    if square:
        direction = direction / np.maximum(np.abs(direction).max(axis=-1, keepdims=True), 1e-12)
    offset = direction * radius[..., None]
    return np.stack([(u0 + u1) / 2 + offset[..., 0] * (u1 - u0) / 2, (v0 + v1) / 2 + offset[..., 1] * (v1 - v0) / 2], -1)


def _unit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    v = np.stack([x, y], axis=-1)
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def layout(mesh: Assembly) -> tuple[np.ndarray, np.ndarray]:
    """Return (uvs [U, 2], uv_faces [F, 3]) of the mesh."""
    corner = np.zeros((len(mesh.faces), 3, 2))
    island = np.zeros(len(mesh.faces), int)
    part = mesh.part[mesh.faces]
    top, bottom = STRIP

    skin = np.isin(part, (assembly.SKIN, assembly.SOCKET, assembly.EAR)).all(axis=1)
    height = mesh.chart[mesh.faces, 1]
    crown = (part == assembly.SKIN).all(axis=1) & (height.min(axis=1) >= CROWN_HEIGHT - 1e-6)
    sheet = _sheet_points(mesh)
    corner[skin] = sheet[mesh.faces[skin]]
    # The seam: faces on the subject's right use the other copy of the mid-line at the back.
    right = skin & (mesh.points[mesh.faces, 0].sum(axis=1) < 0)
    at_back = np.abs(np.abs(mesh.chart[:, 0]) - np.pi) < 1e-6
    swap = right[:, None] & at_back[mesh.faces]
    corner[swap, 0] = 1 - corner[swap, 0]
    width = 0.148
    angle = mesh.chart[:, 0]
    polar = _disc(_unit(np.sin(angle), np.cos(angle)), half_width(mesh.chart[:, 1]) / half_width(np.array(CROWN_HEIGHT)),
                  (0.608, top, 0.608 + width, bottom), True)
    polar[mesh.crown] = (0.608 + width / 2, (top + bottom) / 2)
    corner[crown] = polar[mesh.faces[crown]]
    island[crown] = 1

    _eyes(mesh, corner, island)
    inside = (part == assembly.CAVITY).any(axis=1)
    if inside.any():
        loop = mesh.loops["mouth"]
        slots = len(loop)
        slot, ring = mesh.slot.astype(float), mesh.ring.astype(float)
        slot[loop], ring[loop] = np.arange(slots), 0
        turn = 2 * np.pi * slot / slots
        depth = 1 - ring / ring[mesh.part == assembly.CAVITY].max()
        mouth = _disc(np.stack([np.cos(turn), -np.sin(turn)], -1), depth, (0.404, top, 0.598, bottom), True)
        corner[inside] = mouth[mesh.faces[inside]]
        island[inside] = 6
    teeth = (part == assembly.TEETH).any(axis=1)
    if teeth.any():
        row, column = mesh.ring, mesh.slot
        level = np.array([0.0, 1.0, 0.40, 0.60, 1.0, 0.55, 0.0, 0.45])
        half = (bottom - top - 0.010) / 2
        strip = np.isin(row, (1, 3, 6, 7))
        across = 1 - column / (parts.TEETH_COLUMNS - 1)
        flat = np.stack([0.768 + across * (1 - MARGIN - 0.768),
                         top + strip * (half + 0.010) + half * level[np.minimum(row, 7)]], axis=-1)
        corner[teeth] = flat[mesh.faces[teeth]]
        island[teeth] = 7
    key = np.concatenate([mesh.faces.reshape(-1, 1), island.repeat(3)[:, None], swap.reshape(-1, 1)], axis=1)
    _, first, uv_faces = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return corner.reshape(-1, 2)[first], uv_faces.reshape(-1, 3)


def _sheet_points(mesh: Assembly) -> np.ndarray:
    """Return UVs of skin, sockets and ears on the sheet; the latter two shrink concentrically into their holes."""
    sheet = _sheet(mesh.chart[:, 0], mesh.chart[:, 1])
    shrink = {assembly.SOCKET: np.array([1, 0.82, 0.55, 0.25, 0]), assembly.EAR: 1 - np.arange(10) / 9}
    for part, name in ((assembly.SOCKET, "eye"), (assembly.EAR, "ear")):
        for side in (1, -1):
            ids = np.flatnonzero((mesh.part == part) & (mesh.points[:, 0] * side > 0))
            left = mesh.loops[f"left_{name}"]
            loop = left if side > 0 else mesh.mirror[left]
            center = sheet[loop].mean(axis=0)
            scale = shrink[part][mesh.ring[ids]][:, None]
            sheet[ids] = center + (sheet[loop][mesh.slot[ids]] - center) * scale
    return sheet


def _eyes(mesh: Assembly, corner: np.ndarray, island: np.ndarray) -> None:
    """Fill in the eyeballs' front and back discs."""
    ball = (mesh.part[mesh.faces] == assembly.BALL).all(axis=1)
    top, bottom = STRIP
    height = bottom - top
    small = (height - 0.010) / 2
    for k, side in enumerate((1, -1)):
        mine = ball & (mesh.points[mesh.faces[:, 0], 0] * side > 0)
        offset = mesh.points - EYE_CENTER * (side, 1, 1)
        angle = np.append(np.append(0, parts.BALL_ANGLES), np.pi)[np.minimum(mesh.ring, len(parts.BALL_ANGLES) + 1)]
        front = mine & (mesh.ring[mesh.faces].max(axis=1) <= parts.FRONT_RINGS)
        u0 = MARGIN + k * (height + 0.010)
        seen = _disc(_unit(offset[:, 0], -offset[:, 1]), angle / (np.pi / 2), (u0, top, u0 + height, bottom), False)
        corner[front] = seen[mesh.faces[front]]
        island[front] = 2 + k
        back = mine & ~front
        u0, v0 = MARGIN + 2 * (height + 0.010), top + k * (small + 0.010)
        hidden = _disc(_unit(-offset[:, 0], -offset[:, 1]), (np.pi - angle) / (np.pi / 2), (u0, v0, u0 + small, v0 + small),
                       False)
        corner[back] = hidden[mesh.faces[back]]
        island[back] = 4 + k
