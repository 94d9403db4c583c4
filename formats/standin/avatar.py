"""The stand-in avatar: the stand-in head with paint, Gaussians and a clip. Procedural, free, the same every time."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from formats.avatar import Avatar, FaceBinding, Meta, SplatLayer
from formats.conventions import rgb_to_sh
from formats.deform import deform_head, triangle_frames
from formats.errors import UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.rotations import matrix_to_quat
from formats.sequence import Sequence
from formats.standin import assembly, eyes, hair, paint, shirt
from formats.standin.assembly import Assembly
from formats.standin.clip import arkit_sequence, standin_clip
from formats.standin.face_hair import eyebrows, lashes
from formats.standin.features import EYE_CENTER
from formats.standin.head import standin_head
from formats.standin.pieces import Pieces, axes_flat, axes_from, join
from formats.standin.sampling import double_areas, face_parts, points_at, scatter
from formats.standin.surface import smoothstep
from formats.uv_maps import UVMaps

LEAST = 1000
"""Fewer Gaussians than this do not make a face."""
HAIR_SHARE, SHIRT_SHARE, BROW_SHARE, LASH_SHARE = 0.33, 0.045, 0.015, 0.009
CATCH_LIGHTS = 2
THICKNESS = 0.14
"""Of a skin Gaussian, over its width."""
OVERLAP = 0.72
"""Standard deviation of a skin Gaussian over the distance to its neighbours: no gaps, little blur."""
STRETCHES = ({"eyeBlinkLeft": 1, "eyeBlinkRight": 1}, {"jawOpen": 0.8}, {"mouthSmileLeft": 1, "mouthSmileRight": 1},
             {"mouthPucker": 1}, {"browInnerUp": 1}, {"tongueOut": 1, "jawOpen": 0.5})
"""Poses that skin Gaussians must cover without gaps, as ARKit weights."""


@functools.lru_cache(maxsize=2)
def standin_avatar(gaussians: int = 65_000, seed: int = 0) -> Avatar:
    """Return the painted stand-in: a person with hair, brows, lashes and a T-shirt, a texture and a clip.

    Its light is baked in: avatars are drawn unlit. The same arguments give the same numbers.

    Args:
        gaussians: How many, in one layer that rides the faces.
        seed: Which strands of hair and places on the skin.

    Raises:
        UnsupportedFeature: Too few Gaussians to make a face.
    """
    if gaussians < LEAST:
        raise UnsupportedFeature(f"stand-in avatar: {gaussians} Gaussians cannot make a face; ask for {LEAST} or more")
    head = standin_head(teeth=True).personalise()
    mesh = assembly.assemble(False, True)
    image, known = paint.albedo_map()
    strands = hair.head_hair(int(gaussians * HAIR_SHARE), seed)
    parts = [
        dataclasses.replace(strands, rgb=paint.tone(strands.rgb)),
        _shirt(mesh, int(gaussians * SHIRT_SHARE), seed),
        eyebrows(int(gaussians * BROW_SHARE), seed),
        lashes(int(gaussians * LASH_SHARE), seed),
        catch_lights(mesh),
    ]
    parts.insert(0, surface(head, mesh, gaussians - sum(map(len, parts)), seed))
    return Avatar(
        head=head,
        layers=(bind(head, join(parts)),),
        maps=UVMaps({"albedo": image}, known),
        sequence=standin_clip(head),
        meta=Meta(name="standin", system="standin", source="procedural",
                  license_notices=("The stand-in is procedural and shows nobody; free for any use under Apache-2.0.",)),
    )


def bind(head: HeadModel, pieces: Pieces) -> SplatLayer:
    """Return Gaussians given in the modelling millimetres as a layer in their triangles' frames."""
    mesh = assembly.assemble(False, True)
    axes, size, _ = triangle_frames(mesh.points, mesh.faces)
    axes, size = axes[pieces.face], size[pieces.face]
    stand = np.einsum("nk,nkc->nc", pieces.weights, mesh.points[mesh.faces[pieces.face]])
    offset = np.einsum("nba,nb->na", axes, pieces.at - stand) / size[:, None]
    quats = matrix_to_quat(axes.transpose(0, 2, 1) @ pieces.axes)
    sh = rgb_to_sh(pieces.rgb.astype(np.float64))[:, None]
    cloud = GaussianCloud(offset, quats, pieces.scales / size[:, None], np.clip(pieces.opacity, 0, 1), sh)
    return SplatLayer(cloud, FaceBinding(pieces.face, pieces.weights))


def surface(head: HeadModel, mesh: Assembly, count: int, seed: int, tuck: float = shirt.TUCK[1]) -> Pieces:
    """Return `count` flat Gaussians on skin, eyeballs, mouth and teeth; `tuck` as in `shirt.coverage`."""
    area, stretch = _largest(head, mesh)
    detail = _detail(mesh)
    weight = area * detail
    face, weights = scatter(mesh.points, mesh.faces, weight, count, np.random.default_rng(seed + 500))
    points = points_at(mesh, face, weights)
    ball = points.part == assembly.BALL
    # A face's pattern of points is an equilateral triangle's, stretched; so is the Gaussian that fills its place.
    held = weight * (count / weight.sum())
    sigma = OVERLAP * np.sqrt(3**0.5 / 4 / np.maximum(held, 0.05))[face]
    axes, size, _ = triangle_frames(mesh.points, mesh.faces)
    turn, singular, _ = np.linalg.svd(stretch)
    singular = np.maximum(singular, singular[:, :1] / 3)[face] * sigma[:, None] * size[face, None]
    # Rather a gap deep in an eye than a Gaussian that shows through the lids.
    front = np.arccos(np.clip(eyes.from_center(points)[:, 2], -1, 1)) < 0.62
    most = np.select([ball & front, ball, points.part == assembly.SOCKET], [0.36, 0.75, 1.1], 7.0)
    singular = np.minimum(singular, most[:, None])
    normal = np.where(ball[:, None], eyes.from_center(points), points.normal).astype(np.float64)
    first = np.einsum("nab,nb->na", axes[face][:, :, [0, 2]], turn[face][:, :, 0])
    frame = axes_from(first - normal * np.sum(first * normal, axis=1, keepdims=True), normal)
    scales = np.concatenate([singular, np.maximum(THICKNESS * singular[:, 1:], 0.06)], axis=1)
    rgb = paint.shown_color(mesh, paint.studio_light(), points, tuck)
    return Pieces(face, weights.astype(np.float64), points.at.astype(np.float64), frame, scales, rgb,
                  np.full(count, 0.985))


def _largest(head: HeadModel, mesh: Assembly) -> tuple[np.ndarray, np.ndarray]:
    """Return each face's largest double area over rest and `STRETCHES`, and its shape then.

    Returns:
        Square millimetres [F], and the maps [F, 2, 2] from an equilateral triangle of unit side to the face in its own
        frame (first edge, in-plane normal of it) and size unit, where it is largest.
    """
    area, shape = double_areas(mesh.points, mesh.faces), _shape(mesh.points, mesh.faces)
    for pose in STRETCHES:
        points = deform_head(head, _pose(head, pose)).vertices * 1000
        there = double_areas(points, mesh.faces)
        more = there > 1.15 * area
        area = np.where(more, there, area)
        shape = np.where(more[:, None, None], _shape(points, mesh.faces), shape)
    return area, shape


def _shape(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    axes, size, _ = triangle_frames(points, faces)
    edges = np.stack([points[faces[:, k]] - points[faces[:, 0]] for k in (1, 2)], axis=2)
    flat = np.einsum("fba,fbe->fae", axes[:, :, [0, 2]], edges) / size[:, None, None]
    return flat @ np.linalg.inv(np.array([[1, 0.5], [0, 0.75**0.5]]))


def _pose(head: HeadModel, weights: Mapping[str, float]) -> Sequence:
    return arkit_sequence(head, {name: np.array([value], np.float64) for name, value in weights.items()}, 25)


def _detail(mesh: Assembly) -> np.ndarray:
    """Return how many Gaussians each face gets per area: most at eyes and lips, few where hair hides the skin."""
    part = face_parts(mesh)
    points = points_at(mesh, np.arange(len(mesh.faces)), np.full((len(mesh.faces), 3), 1 / 3))
    front = smoothstep((points.at[:, 2] - 5) / 55) * smoothstep((points.at[:, 1] + 125) / 25)
    detail = 0.42 + 0.80 * front
    detail += 3.2 * np.exp(-((points.eye_ring / 3.0) ** 2)) + 2.2 * np.exp(-((points.mouth_ring / 3.2) ** 2))
    detail += 0.8 * np.exp(-((points.at[:, 0] / 14) ** 2) - ((points.at[:, 1] + 44) / 12) ** 2) * front
    detail = np.where(part == assembly.SKIN, detail * (1 - 0.72 * hair.coverage(points)), detail)
    detail = np.where(part == assembly.SKIN, detail * (1 - 0.6 * shirt.coverage(points, shirt.TUCK[1])), detail)
    from_eye = points.at - EYE_CENTER * np.stack([np.sign(points.at[:, 0]), *np.ones((2, len(points.at)))], axis=1)
    polar = np.arccos(np.clip(from_eye[:, 2] / np.linalg.norm(from_eye, axis=1), -1, 1))
    ball = 0.15 + 6.0 * (1 - smoothstep((polar - 0.95) / 0.4)) + 12.0 * (1 - smoothstep((polar - 0.52) / 0.12))
    corner = (np.abs(from_eye[:, 0]) > 9) & (from_eye[:, 2] > -3)
    socket = np.where(points.ring < 1.1, 3.5, np.where(corner, 3.0, 0.5))
    cavity = np.where(points.ring < 2.5, 1.6, 0.45)
    return np.select([part == assembly.SOCKET, part == assembly.EAR, part == assembly.CAVITY, part == assembly.BALL,
                      part == assembly.TEETH], [socket, np.full(len(part), 2.4), cavity, ball, np.full(len(part), 2.2)],
                     detail)


def _shirt(mesh: Assembly, count: int, seed: int) -> Pieces:
    """Return the T-shirt, riding the faces along the neck's border that only the root moves."""
    cloth = shirt.cloth(count, seed)
    ring = np.isin(mesh.faces, mesh.neck_ring).sum(axis=1) == 2
    candidates = np.flatnonzero(ring)
    middle = mesh.points[mesh.faces[candidates]].mean(axis=1)
    square = np.sum(middle**2, axis=1) - 2 * cloth.at @ middle.T
    face = candidates[np.argmin(square, axis=1)]
    weights = np.full((count, 3), 1 / 3)
    # Long around the neck: the collar's edge stays crisp.
    scales = cloth.size[:, None] * np.array([1.7, 0.75, 0.12])
    return Pieces(face, weights, cloth.at, axes_flat(cloth.normal), scales, paint.tone(cloth.rgb), cloth.opacity)


def catch_lights(mesh: Assembly) -> Pieces:
    """Return one bright spot per eye, a little in front of the cornea."""
    side = np.array([[1.0, 1, 1], [-1, 1, 1]])
    at = EYE_CENTER * side + eyes.CATCH_LIGHT * 12.75
    part = face_parts(mesh) == assembly.BALL
    candidates = np.flatnonzero(part)
    middle = mesh.points[mesh.faces[candidates]].mean(axis=1)
    face = candidates[np.argmin(((at[:, None] - middle[None]) ** 2).sum(axis=2), axis=1)]
    scales = np.full((CATCH_LIGHTS, 3), 0.50)
    return Pieces(face, np.full((CATCH_LIGHTS, 3), 1 / 3), at, np.tile(np.eye(3), (CATCH_LIGHTS, 1, 1)), scales,
                  np.full((CATCH_LIGHTS, 3), 0.98), np.full(CATCH_LIGHTS, 0.9))
