"""Paint: the shown color of any point on the stand-in, and the texture made of it."""

import functools

import numpy as np
from jaxtyping import Bool, Float32

from formats.conventions import linear_to_srgb
from formats.standin import assembly, eyes, hair, mouth, shirt, skin, studio
from formats.standin.assembly import Assembly
from formats.standin.head import standin_head
from formats.standin.sampling import Points, interpolate, points_at
from formats.standin.skin import mix
from formats.texels import texels

GUTTER = 6
"""Texels that colors are carried past the border of an island, for filtering and mipmaps."""


@functools.cache
def studio_light() -> studio.Light:
    """Return the light on the closed stand-in with teeth, hair's shadow included."""
    mesh = assembly.assemble(False, True)
    return studio.light(mesh, hair.blockers())


def tone(linear: np.ndarray) -> np.ndarray:
    """Return display sRGB of linear light, highlights rolled off."""
    shoulder = np.where(linear > 0.7, 0.7 + 0.3 * np.tanh((linear - 0.7) / 0.3), linear)
    return linear_to_srgb(np.maximum(shoulder, 0)).astype(np.float32)


def shown_color(mesh: Assembly, light: studio.Light, points: Points, tuck: float = shirt.TUCK[0]) -> np.ndarray:
    """Return display sRGB [P, 3] of points on the mesh; `tuck` as in `shirt.coverage`."""
    rgb = np.zeros((len(points), 3), np.float32)
    ball = points.part == assembly.BALL
    inside = (points.part == assembly.CAVITY) | (points.part == assembly.TEETH)
    outer = ~(ball | inside)
    rgb[ball] = eyes.shown_color(points.take(ball))
    rgb[inside] = mouth.shown_color(points.take(inside))
    on = points.take(outer)
    corners = mesh.faces[on.face]
    diffuse, gloss, seen = (interpolate(v, corners, on.weights) for v in (light.diffuse, light.gloss, light.open))
    rim = on.part == assembly.SOCKET
    # Lids fold over each other and rub against the ball: keep what blinking and talking will show from going black.
    near_opening = np.maximum(1 - on.eye_ring / 3, 1 - on.mouth_ring / 2.5)
    floor = 0.40 * np.clip(near_opening, 0, 1)[:, None] + 0.03
    diffuse = np.maximum(diffuse, floor)
    lip = np.zeros(len(on), np.float32)
    near = skin.near_mouth(on)
    lip[near] = skin.lips(on.take(near))[0]
    shine = 0.032 + 0.085 * lip + 0.034 * skin.blobs(on, (((0, -38, 108), (9, 14, 16), 1.0), ((0, 45, 90), (26, 16, 20), 0.6),
                                                         ((36, -20, 68), (14, 9, 20), 0.7)))
    layers = ((hair, hair.coverage(on), 0.12), (shirt, shirt.coverage(on, tuck), 0.05))
    lit = (shine * gloss * np.minimum(seen * 1.6, 1) * ~rim)[:, None] * np.ones(3, np.float32)
    bare = np.maximum(layers[0][1], layers[1][1]) < 1  # under full cover no skin shows: 15 % of the texels
    lit[bare] += skin.albedo(on.take(bare)) * diffuse[bare]
    for layer, amount, floor in layers:
        some = amount > 0
        covered = layer.albedo(on.take(some)) * np.maximum(diffuse[some], floor)
        if layer is hair:
            covered = covered + 0.35 * hair.GLINT * hair.sheen(on.take(some))[:, None]
        lit[some] = mix(lit[some], covered, amount[some])
    rgb[outer] = lit
    return np.clip(tone(rgb), 0, 1)


def dilate(image: np.ndarray, known: np.ndarray, steps: int) -> np.ndarray:
    """Return `image` [H, W, 3] with colors carried `steps` texels past `known` [H, W]; the rest is its mean."""
    height, width = known.shape
    flat, known = image.reshape(-1, 3).copy(), known.ravel().copy()
    flat[~known] = flat[known].mean(axis=0)
    edge = np.flatnonzero(known)
    for _ in range(steps):
        row, column = edge // width, edge % width
        beside = np.concatenate([edge[row > 0] - width, edge[row < height - 1] + width, edge[column > 0] - 1,
                                 edge[column < width - 1] + 1])
        source = np.concatenate([edge[row > 0], edge[row < height - 1], edge[column > 0], edge[column < width - 1]])
        fresh = ~known[beside]
        edge, slot, count = np.unique(beside[fresh], return_inverse=True, return_counts=True)
        for c in range(3):
            flat[edge, c] = np.bincount(slot, flat[source[fresh], c], len(edge)) / count
        known[edge] = True
    return flat.reshape(image.shape)


@functools.cache
def albedo_map(size: int = 1024) -> tuple[Float32[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]]:
    """Return the texture of the closed stand-in with teeth, and which texels a triangle covers.

    Display sRGB with the studio's light baked in, on the 256 levels that image files hold.
    """
    mesh = assembly.assemble(False, True)
    where, face, weights = texels(standin_head(teeth=True), size)
    image, known = np.zeros((size * size, 3), np.float32), np.zeros(size * size, bool)
    image[where] = shown_color(mesh, studio_light(), points_at(mesh, face, weights))
    known[where] = True
    known = known.reshape(size, size)
    filled = dilate(image.reshape(size, size, 3), known, GUTTER)
    return np.round(filled * 255) / np.float32(255), known
