"""The stand-in's hair: strands that flow from a side parting over the skull, and the scalp under them. Millimetres.

Each strand is simulated on the skull's radius function: it slides along a flow field while it rises to its layer's
height, is drawn towards its clump, and becomes a few thin Gaussians.
"""

import functools
from dataclasses import dataclass

import numpy as np

from formats.rotations import normalize
from formats.standin import assembly, studio
from formats.standin.noise import value_noise
from formats.standin.pieces import Pieces, axes_from
from formats.standin.sampling import Points, double_areas, face_parts, points_at, scatter
from formats.standin.skin import color, mix
from formats.standin.surface import smoothstep

CENTER = np.array([0.0, 22.0, -8.0])
"""Strands are followed in directions from here."""
SEGMENTS = 6
CLUMPS = 420
PART_X = 21.0
"""The parting, on the subject's left."""
# The hairline's height over longitude in degrees: forehead, temple, sideburn, around the ear, nape.
LINE = np.array([(0, 66), (14, 68.5), (27, 69.5), (36, 65), (44, 53), (51, 40), (57, 30), (62, 16), (66, -4), (70, -15),
                 (78, -14), (81, 6), (86, 19), (100, 22), (111, 10), (118, -16), (128, -44), (145, -60), (180, -66)])
# Over a root's height: strand length, height of the hair's surface above the skull.
LENGTH = np.array([(-60, 15), (-20, 17), (10, 22), (40, 34), (70, 52), (95, 66)])
VOLUME = np.array([(-60, 3.0), (-20, 4.5), (10, 6.5), (40, 8.5), (70, 14), (95, 17)])

DARK, LIGHT, SUN = color(58, 39, 28), color(116, 80, 54), color(158, 116, 78)
GLINT = color(255, 226, 190)


def above_line(at: np.ndarray) -> np.ndarray:
    """Return how far points [P, 3] lie above the hairline, millimetres."""
    degrees = np.degrees(np.arctan2(np.abs(at[:, 0]), at[:, 2] + 10))
    return at[:, 1] - np.interp(degrees, LINE[:, 0], LINE[:, 1])


def coverage(points: Points) -> np.ndarray:
    """Return how much hair hides each point of the skin, 0..1."""
    ragged = 1.8 * value_noise(points.at * np.array([1.0, 0.35, 1.0]), 2.2, 71) + 1.6 * value_noise(points.at, 9, 70)
    inside = smoothstep((above_line(points.at) + ragged - 1) / 10)
    return np.where(points.part == assembly.SKIN, inside, 0) * (points.at[:, 1] > -95)


def albedo(points: Points) -> np.ndarray:
    """Return linear RGB [P, 3] of hair painted on the scalp, without light; strokes follow the flow."""
    flow = flow_at(points.at)
    strokes = sum(value_noise(points.at + flow * along, wavelength, 72 + wavelength_seed) / 2.4
                  for along in (-6, -3.6, -1.2, 1.2, 3.6, 6) for wavelength, wavelength_seed in ((1.2, 0), (3.0, 1)))
    return mix(np.broadcast_to(DARK * 0.85, points.at.shape), LIGHT, np.clip(0.46 + 0.19 * strokes, 0, 1))


def sheen(points: Points) -> np.ndarray:
    """Return the light [P] that hair on the scalp mirrors: the mesh alone must read as hair too."""
    count = np.ones(len(points))
    shift = 0.05 * value_noise(points.at, 2.0, 79)
    return _light(flow_at(points.at), points.normal, count, count, shift)[1]


def flow_at(p: np.ndarray) -> np.ndarray:
    """Return the unit direction that hair lies in at points [P, 3], along the skull."""
    part = PART_X * smoothstep((p[:, 2] + 75) / 60)
    away = p[:, 0] - part
    front = smoothstep((p[:, 2] - 20) / 50)
    top = smoothstep((p[:, 1] - 52 + 22 * front) / (40 - 12 * front))
    back = smoothstep((-25 - p[:, 2]) / 50)
    over = np.stack([np.tanh(away / 6), -0.1 + 0 * away, -0.42 - 0.35 * front * (away < 0)], axis=1)
    side = np.stack([0.1 * np.sign(p[:, 0]), -1.0 + 0 * away, -0.62 + 0 * away], axis=1)
    behind = np.stack([-0.12 * np.sign(p[:, 0]), -1.0 + 0 * away, -0.3 + 0 * away], axis=1)
    d = over * top[:, None] + (1 - top)[:, None] * (side * (1 - back)[:, None] + behind * back[:, None])
    d = d + (back * top)[:, None] * np.array([0, -0.2, -1.1])
    wave = np.stack([value_noise(p, 26, 74 + k) for k in range(3)], axis=1)
    d = normalize(d) + 0.22 * wave
    n = normalize(p - CENTER)
    return normalize(d - n * np.sum(d * n, axis=1, keepdims=True))


@functools.cache
def _radius_table() -> np.ndarray:
    """Return the skull's distance from `CENTER` over directions, [64 polar, 128 around]."""
    mesh = assembly.assemble(False, True)
    offset = mesh.points[(mesh.part == assembly.SKIN) & (mesh.points[:, 1] > -100)] - CENTER
    length = np.linalg.norm(offset, axis=1)
    polar = (np.arange(64) + 0.5) / 64 * np.pi
    around = (np.arange(128) + 0.5) / 128 * 2 * np.pi
    theta, phi = np.meshgrid(polar, around, indexing="ij")
    cells = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], axis=-1).reshape(-1, 3)
    # Single precision, in place: 22 million weights, under a micrometer of error.
    weight = cells.astype(np.float32) @ (offset / length[:, None]).T.astype(np.float32)
    weight -= 1
    weight *= 300
    np.exp(weight, out=weight)
    weight += np.float32(1e-12)
    total = weight @ np.stack([length, np.ones(len(length))], axis=1).astype(np.float32)
    return (total[:, 0] / total[:, 1]).astype(np.float64).reshape(64, 128)


def skull_radius(u: np.ndarray) -> np.ndarray:
    """Return the skull's distance from `CENTER` in unit directions [P, 3]."""
    table = _radius_table()
    row = np.clip(np.arccos(np.clip(u[:, 1], -1, 1)) / np.pi * 64 - 0.5, 0, 62.999)
    column = np.mod(np.arctan2(u[:, 0], u[:, 2]) / (2 * np.pi), 1) * 128 - 0.5
    r0, c0 = row.astype(int), np.floor(column).astype(int)
    fr, fc = row - r0, column - c0
    c1 = (c0 + 1) % 128
    return ((table[r0, c0] * (1 - fc) + table[r0, c1] * fc) * (1 - fr)
            + (table[r0 + 1, c0] * (1 - fc) + table[r0 + 1, c1] * fc) * fr)


@dataclass(frozen=True)
class Strands:
    """M strands of P points; millimetres."""

    root: Points
    path: np.ndarray
    """[M, P, 3]."""
    layer: np.ndarray
    """0 on the scalp, 1 on the hair's surface."""
    clump: np.ndarray
    loose: np.ndarray
    """Flyaways."""


def grow(count: int, seed: int, longer: float = 1, fuller: float = 1) -> Strands:
    """Return `count` strands, `longer` times the usual length and standing `fuller` times as high."""
    rng = np.random.default_rng(seed + 700)
    mesh = assembly.assemble(False, True)
    middle = mesh.points[mesh.faces].mean(axis=1)
    line = above_line(middle) + 1.8 * value_noise(middle, 9, 70)
    density = smoothstep((line + 3) / 13) * (face_parts(mesh) == assembly.SKIN) * (middle[:, 1] > -95)
    density = density * (0.75 + 0.55 * smoothstep((middle[:, 1] - 20) / 50))
    face, weights = scatter(mesh.points, mesh.faces, double_areas(mesh.points, mesh.faces) * density, count, rng)
    root = points_at(mesh, face, weights)
    layer = rng.random(count) ** 0.65
    loose = rng.random(count) < 0.012
    at = root.at.astype(np.float64)
    clumps = rng.choice(count, size=min(CLUMPS, count), replace=False)
    nearest = _nearest(at, at[clumps])
    length = longer * np.interp(at[:, 1], LENGTH[:, 0], LENGTH[:, 1]) * rng.uniform(0.78, 1.12, count)
    edge = smoothstep((above_line(at) - 1) / 16)
    length = length * (0.62 + 0.38 * edge)
    away = np.abs(at[:, 0] - PART_X * smoothstep((at[:, 2] + 75) / 60))
    front = smoothstep((at[:, 2] - 30) / 40) * smoothstep((at[:, 1] - 45) / 25)
    rise = fuller * np.interp(at[:, 1], VOLUME[:, 0], VOLUME[:, 1])
    rise = rise * (1 - 0.45 * np.exp(-((away / 9) ** 2)) * smoothstep((at[:, 1] - 60) / 20)) + 5.0 * front
    rise = rise * (0.28 + 0.72 * edge) * (0.9 + 0.2 * value_noise(at, 22, 77))
    path = _follow(at, length, rise * np.where(loose, 1.35, layer), SEGMENTS)
    guide = path[clumps][nearest]
    t = np.linspace(0, 1, SEGMENTS + 1)[None, :, None]
    pull = 0.62 * t**1.3 * (~loose)[:, None, None]
    path = path * (1 - pull) + (guide + 0.35 * (at - at[clumps][nearest])[:, None]) * pull
    # Being drawn to a clump must not change the layer: put the height back.
    offset = path - CENTER
    distance = np.linalg.norm(offset, axis=2, keepdims=True)
    u = offset / distance
    ground = skull_radius(u.reshape(-1, 3)).reshape(distance.shape)
    height = _heights(rise * np.where(loose, 1.35, layer), SEGMENTS)[..., None]
    # Hair that falls over the temples lies as close there as what grows there.
    most = fuller * 1.25 * np.interp(path[..., 1:2], VOLUME[:, 0], VOLUME[:, 1]) + 1.0
    height = np.maximum(np.where(height > most, most + 0.25 * (height - most), height), 0.3)
    path = CENTER + u * (ground + height)
    path[loose] += rng.normal(0, 1.6, (loose.sum(), 1, 3)) * t
    return Strands(root, path, layer, nearest, loose)


def _heights(rise: np.ndarray, segments: int) -> np.ndarray:
    t = np.linspace(0, 1, segments + 1)
    return rise[:, None] * (1 - (1 - t) ** 2.2) * (1 - 0.12 * t)


def _follow(at: np.ndarray, length: np.ndarray, rise: np.ndarray, segments: int) -> np.ndarray:
    u, path = normalize(at - CENTER), []
    height = _heights(rise, segments)
    for k in range(segments + 1):
        p = CENTER + u * (skull_radius(u) + height[:, k])[:, None]
        path.append(p)
        u = normalize(p + flow_at(p) * (length / segments)[:, None] - CENTER)
    return np.stack(path, axis=1)


def _nearest(points: np.ndarray, among: np.ndarray) -> np.ndarray:
    square = np.sum(among**2, axis=1) - 2 * points @ among.T
    return np.argmin(square, axis=1)


@functools.cache
def blockers() -> np.ndarray:
    """Return points of the hair that keep light from the skin, [B, 3]."""
    strands = grow(1800, 0)
    return strands.path[:, 1:][strands.layer > 0.35].reshape(-1, 3)


def head_hair(count: int, seed: int, longer: float = 1, fuller: float = 1) -> Pieces:
    """Return `count` Gaussians of head hair, rounded down to whole strands; `rgb` is linear. The rest as in `grow`."""
    strands = grow(count // SEGMENTS, seed, longer, fuller)
    rng = np.random.default_rng(seed + 701)
    m = len(strands.path)
    start, end = strands.path[:, :-1], strands.path[:, 1:]
    step = end - start
    size = np.linalg.norm(step, axis=2)
    along = normalize(step)
    t = ((np.arange(SEGMENTS) + 0.5) / SEGMENTS)[None].repeat(m, 0)
    middle = (start + end) / 2
    outward = normalize(middle - CENTER)
    layer = strands.layer[:, None].repeat(SEGMENTS, 1)
    width = np.sqrt(4200 / max(m, 1)) * (0.58 + 0.25 * rng.random((m, 1))) * (1 - 0.55 * t) * np.where(t < 0.1, 0.8, 1)
    edge = smoothstep((above_line(strands.root.at) - 1) / 11)[:, None]
    width = np.where(strands.loose[:, None], 0.18, width * (0.5 + 0.5 * edge))
    tone = (0.50 + 0.20 * value_noise(middle.reshape(-1, 3), 15, 78).reshape(m, -1)
            + 0.22 * rng.standard_normal(CLUMPS)[strands.clump][:, None] + 0.20 * rng.standard_normal((m, 1)))
    rgb = mix(np.broadcast_to(DARK, (m * SEGMENTS, 3)), LIGHT, tone.ravel())
    rgb = mix(rgb, SUN, (0.30 * smoothstep((t - 0.45) / 0.6) * smoothstep((tone - 0.5) / 0.6)).ravel())
    light = _light(along.reshape(-1, 3), outward.reshape(-1, 3), layer.ravel(), t.ravel(),
                   rng.normal(0, 0.06, (m, 1)).repeat(SEGMENTS, 1).ravel())
    rgb = rgb * light[0] + GLINT * light[1][:, None]
    opacity = np.where(strands.loose[:, None], 0.42, (0.90 - 0.35 * smoothstep((t - 0.6) / 0.4)) * (0.62 + 0.38 * edge))
    scales = np.stack([size * 0.44, width, width], axis=2)
    repeat = np.repeat(np.arange(m), SEGMENTS)
    return Pieces(strands.root.face[repeat], strands.root.weights[repeat], middle.reshape(-1, 3),
                  axes_from(along.reshape(-1, 3), outward.reshape(-1, 3)), scales.reshape(-1, 3), rgb, opacity.ravel())


def _light(along: np.ndarray, outward: np.ndarray, layer: np.ndarray, t: np.ndarray,
           shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (diffuse RGB [N, 3], glint [N]) of strands: Kajiya and Kay 1989, with the hair's own shadow by depth."""
    arriving = studio.unshadowed(outward)
    depth = (0.16 + 0.84 * layer**1.3) * (0.42 + 0.58 * smoothstep(t / 0.45))
    glint = np.zeros(len(along))
    for toward, strength in (((-0.55, 0.62, 0.75), 0.22), ((0.8, 0.45, -0.1), 0.07)):
        lamp = normalize(np.array(toward))
        half_way = normalize(lamp + np.array([0, 0.05, 1.0]))
        tangent = normalize(along + (0.10 + shift)[:, None] * outward)
        sine = np.sqrt(np.maximum(1 - (tangent @ half_way) ** 2, 0))
        glint += strength * sine**70 * np.maximum(outward @ lamp + 0.1, 0)
    lamp = normalize(np.array([-0.55, 0.62, 0.75]))
    across = np.sqrt(np.maximum(1 - (along @ lamp) ** 2, 0))
    return arriving * (depth * (0.62 + 0.45 * across))[:, None], glint * depth
