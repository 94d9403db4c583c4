"""The person as an avatar: the painted stand-in in other colours, another shape, with marks on the skin and moving shine.

Colours are found by changing the light that the stand-in's own paint gives, region by region, in linear light.
"""

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from formats.avatar import Avatar, SplatLayer
from formats.captures import gloss
from formats.captures.marks import marks
from formats.captures.people import Person, linear, person, shape_of
from formats.conventions import rgb_to_sh, srgb_to_linear
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.rotations import matrix_to_quat
from formats.standin import assembly, eyes, hair, paint, shirt, skin
from formats.standin.assembly import Assembly
from formats.standin.avatar import bind, catch_lights, surface
from formats.standin.face_hair import eyebrows, lashes
from formats.standin.head import ORIGIN, standin_head
from formats.standin.pieces import Pieces, axes_flat, join
from formats.standin.sampling import Points, points_at
from formats.standin.surface import smoothstep

GAUSSIANS = 65_000
SHIRT_SHARE, LASH_SHARE = 0.06, 0.009
SHIRT_END = 135.0
"""Millimetres below the collar where the shirt ends, outside the picture."""
TUCK = 7.0
"""Millimetres below the collar's edge where the clothed neck ends, hidden."""
BARE = 1e4
"""A `tuck` of so many millimetres: no cloth is painted on the skin."""
SKIN_SHINE, EYE_SHINE, HAIR_SHINE = 0.30, 0.30, 0.30
"""Display sRGB at full shine, before the lamps' powers."""
MEAN_HAIR = (hair.DARK + hair.LIGHT) / 2


@dataclass(frozen=True, eq=False)
class Subject:
    """Whom the camera sees."""

    who: Person
    avatar: Avatar
    """The closed head with teeth, its shape put in, and one layer: the person without clothing."""
    is_hair: np.ndarray
    """Which Gaussians of that layer are hair of the head, strands or painted on the scalp [N]."""
    tucked: np.ndarray
    """Which ones the shirt hides [N]."""
    cloth: GaussianCloud
    """The shirt in rest space, metres; it follows the shoulders."""
    shape: np.ndarray
    """Identity coefficients."""


def subject(seed: int, shapes: int) -> Subject:
    """Return the person of a seed with `shapes` identity coefficients; the same arguments give the same numbers."""
    who, layer, is_hair, tucked = body(seed)
    shape = shape_of(who, shapes)
    head = settled(standin_head(teeth=True).personalise(shape))
    return Subject(who, Avatar(head=head, layers=(layer,)), is_hair, tucked, _cloth(who, head), shape)


def settled(head: HeadModel) -> HeadModel:
    """Return a head that stores its rest joints instead of how to find them: the same to a hundredth of a micrometre,
    and posed in half the time."""
    joints, motion = head.rest_joints()
    return dataclasses.replace(head, J_regressor=None, J_template=joints, J_exprdirs=motion)


@functools.lru_cache(maxsize=4)
def body(seed: int) -> tuple[Person, SplatLayer, np.ndarray, np.ndarray]:
    """Return who a seed is, the person's Gaussians, and which ones are hair and which the shirt hides."""
    who = person(seed)
    mesh = assembly.assemble(False, True)
    neutral = standin_head(teeth=True).personalise()
    strands = hair.head_hair(int(GAUSSIANS * who.hair_share), seed & 0xFFFF, who.hair_length, who.hair_volume)
    strands = dataclasses.replace(strands, rgb=paint.tone(_dyed(strands.rgb, who)))
    own = marks(mesh, who, GAUSSIANS, lambda points: shown(mesh, who, points))
    others = [_browed(eyebrows(int(GAUSSIANS * who.brow_share), seed & 0xFFFF), who), lashes(int(GAUSSIANS * LASH_SHARE), 0),
              catch_lights(mesh), own]
    count = GAUSSIANS - int(GAUSSIANS * SHIRT_SHARE) - len(strands) - sum(map(len, others))
    flat = surface(neutral, mesh, count, seed & 0xFFFF, BARE)
    points = points_at(mesh, flat.face, flat.weights)
    flat = dataclasses.replace(flat, rgb=shown(mesh, who, points))
    pieces = join([flat, strands, *others])
    layer = bind(neutral, pieces)
    sh = np.zeros((len(pieces), (gloss.DEGREE + 1) ** 2, 3))
    sh[:len(flat)] = _shine(who, points, flat)
    along, outward = strands.axes[:, :, 0], strands.axes[:, :, 2]
    sh[len(flat):len(flat) + len(strands)] = gloss.fibers(along, outward, np.full(len(strands), HAIR_SHINE)) * (
        0.35 + 0.65 * strands.rgb[:, None, :])
    mine = slice(len(pieces) - len(own), None)
    sh[mine] = _shine(who, points_at(mesh, own.face, own.weights), own)
    sh = gloss.bounded(sh, pieces.rgb)
    sh[:, 0] += layer.cloud.sh[:, 0]
    cloud = dataclasses.replace(layer.cloud, sh=sh.astype(np.float32))
    is_hair = np.zeros(len(pieces), bool)
    is_hair[:len(flat)] = hair.coverage(points) > 0.5
    is_hair[len(flat):len(flat) + len(strands)] = True
    tucked = shirt.coverage(points_at(mesh, pieces.face, pieces.weights), TUCK) > 0.5
    return who, dataclasses.replace(layer, cloud=cloud, sh_frame="head"), is_hair, tucked


def shown(mesh: Assembly, who: Person, points: Points) -> np.ndarray:
    """Return the person's display sRGB [P, 3] at points of the mesh, as a camera in front sees it."""
    rgb = srgb_to_linear(paint.shown_color(mesh, paint.studio_light(), points, BARE).astype(np.float64))
    gain = np.ones((len(points), 3))
    outer = np.isin(points.part, (assembly.SKIN, assembly.EAR, assembly.SOCKET))
    on = points.take(outer)
    own = np.broadcast_to(linear(who.skin) / skin.BASE, (len(on), 3))
    near = skin.near_mouth(on)
    lip = np.zeros(len(on))
    lip[near] = skin.lips(on.take(near))[0]
    own = skin.mix(own, linear(who.lips) / skin.LIP, lip)
    # Rims of the lids and the line of the lashes stay as they are: dark enough in everyone.
    own = skin.mix(own, np.minimum(own, 0.9), 1 - smoothstep(on.eye_ring / 0.8))
    own = skin.mix(own, linear(who.brows) / skin.HAIR, 0.85 * skin.brow(on) * (on.part == assembly.SKIN))
    gain[outer] = own
    ball = points.part == assembly.BALL
    polar = np.arccos(np.clip(eyes.from_center(points.take(ball))[:, 2], -1, 1))
    iris = smoothstep((polar - eyes.PUPIL) / 0.03) * (1 - smoothstep((polar - eyes.IRIS + 0.03) / 0.04))
    dull = 1 - smoothstep((rgb[ball].min(axis=1) - 0.35) / 0.2)
    gain[ball] = skin.mix(gain[ball], np.broadcast_to(linear(who.iris) / eyes.IRIS_MIDDLE, (ball.sum(), 3)), iris * dull)
    result = rgb * gain
    result[outer] = skin.mix(result[outer], _dyed(rgb[outer], who), hair.coverage(on))
    return paint.tone(result)


def _dyed(rgb: np.ndarray, who: Person) -> np.ndarray:
    """Return linear colours [N, 3] of the stand-in's hair in the person's: fair hair has less contrast than dark."""
    light = np.mean(rgb / MEAN_HAIR, axis=1, keepdims=True)
    fair = np.mean(who.hair) / 255
    return linear(who.hair) * np.maximum(light, 1e-6) ** (1 - 0.6 * fair)


def _browed(pieces: Pieces, who: Person) -> Pieces:
    return dataclasses.replace(pieces, rgb=paint.tone(srgb_to_linear(pieces.rgb.astype(np.float64)) * linear(who.brows)
                                                      / skin.HAIR))


def _shine(who: Person, points: Points, pieces: Pieces) -> np.ndarray:
    ball = points.part == assembly.BALL
    lip = np.zeros(len(points))
    near = skin.near_mouth(points) & (points.part == assembly.SKIN)
    lip[near] = skin.lips(points.take(near))[0]
    strength = 0.45 + 0.9 * lip + skin.blobs(points, (((0, -38, 108), (9, 14, 16), 1.0), ((0, 45, 90), (26, 16, 20), 0.8),
                                                      ((36, -20, 68), (14, 9, 20), 0.9), ((0, -96, 88), (10, 8, 16), 0.5)))
    strength = strength * (1 - hair.coverage(points)) * np.isin(points.part, (assembly.SKIN, assembly.EAR))
    normals = np.where(ball[:, None], eyes.from_center(points), points.normal).astype(np.float64)
    sh = np.zeros((len(points), (gloss.DEGREE + 1) ** 2, 3))
    some = strength > 0
    sh[some] = gloss.surface(normals[some], SKIN_SHINE * who.gloss * strength[some], 9)
    sh[ball] = gloss.surface(normals[ball], np.full(ball.sum(), EYE_SHINE), 14)
    return sh


def _cloth(who: Person, head: HeadModel) -> GaussianCloud:
    """Return the shirt, fitted to the person's neck by the affine map that carries the neck there."""
    mesh = assembly.assemble(False, True)
    made = shirt.cloth(int(GAUSSIANS * SHIRT_SHARE), who.seed & 0xFFFF, SHIRT_END)
    neck = (mesh.part == assembly.SKIN) & (mesh.points[:, 1] < -128)
    here = np.column_stack([mesh.points[neck], np.ones(neck.sum())])
    there = head.v_template[neck].astype(np.float64) * 1000 - ORIGIN
    fit, *_ = np.linalg.lstsq(here, there, rcond=None)
    at = np.column_stack([made.at + 0.8 * made.normal, np.ones(len(made.at))]) @ fit
    rgb = paint.tone(made.rgb * (linear(who.shirt) / shirt.CLOTH))
    scales = made.size[:, None] * np.array([1.7, 0.75, 0.12]) / 1000
    return GaussianCloud((at + ORIGIN) / 1000, matrix_to_quat(axes_flat(made.normal)), scales,
                         np.clip(made.opacity, 0, 1), rgb_to_sh(rgb.astype(np.float64))[:, None])
