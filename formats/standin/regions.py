"""The stand-in's named regions: FLAME's 14 masks, VHAP's additions, and what a painter needs."""

import numpy as np

from formats.standin import assembly, parts
from formats.standin.assembly import Assembly
from formats.standin.features import EYE_CENTER, lip_fraction
from formats.standin.grid import MOUTH
from formats.standin.weights import nominal_height

# The hairline: scalp lies above this height at a given depth z.
HAIRLINE = np.array([(-110, -62), (-62, -58), (-40, -34), (-30, 6), (-12, 19), (22, 24), (34, 38), (46, 54), (60, 61),
                     (90, 63)])
BROW = np.array([(7.5, 13.5), (16, 17.2), (28, 19.6), (38, 18.8), (47, 14.0)])
"""The middle line of an eyebrow: distance from the mid-line, height; millimetres."""
BROW_HALF = 3.6


def _neck(mesh: Assembly, masks: dict[str, np.ndarray], height: np.ndarray) -> dict[str, np.ndarray]:
    ring = mesh.neck_ring
    count = len(ring)
    neck = masks["neck"]
    return {
        "neck_left_point": ring[[count // 4]], "neck_right_point": ring[[3 * count // 4]],
        "front_middle_bottom_point_boundary": ring[[0]], "back_middle_bottom_point_boundary": ring[[count // 2]],
        "neck_top": np.flatnonzero(neck & (height > -126)),
        "neck_upper": np.flatnonzero(neck & (height <= -126) & (height > -138)),
        "neck_lower": np.flatnonzero(neck & (height <= -138) & (height > -153)),
        "neck_base": np.flatnonzero(neck & (height <= -153)),
        "bottomline": ring, "neck_ring": ring,
    }


def _mouth(mesh: Assembly) -> dict[str, np.ndarray]:
    loop = mesh.loops["mouth"]
    half = len(loop) // 2
    grid = mesh.grid
    r0, r1 = (int(np.argmin(np.abs(grid.rows - y))) for y in MOUTH.rows)
    columns = np.arange(MOUTH.columns[1], MOUTH.columns[0] - 1, -1)
    inside = mesh.part == assembly.CAVITY
    lining = inside & (mesh.ring <= 2)
    lower = loop[:half:-1]
    tongue = inside & (mesh.lip <= 0) & np.isin(mesh.ring, parts.TONGUE_RINGS) & (np.abs(mesh.points[:, 0]) < 19)
    return {
        "lip_ring": loop, "lip_inside_ring": loop,
        "lip_inside_ring_upper": loop[1:half], "lip_inside_ring_lower": lower,
        "lip_outside_ring_upper": grid.address[r0 - 3, columns], "lip_outside_ring_lower": grid.address[r1 + 3, columns],
        "lip_inside": np.union1d(np.flatnonzero(lining), loop),
        "lip_inside_upper": np.union1d(np.flatnonzero(lining & (mesh.lip > 0)), loop[1:half]),
        "lip_inside_lower": np.union1d(np.flatnonzero(lining & (mesh.lip < 0)), lower),
        "lips_tight": np.flatnonzero((mesh.opening_ring["mouth"] <= 3) | lining),
        "mouth_interior": np.flatnonzero(inside), "tongue": np.flatnonzero(tongue),
        "gums": np.flatnonzero(inside & np.isin(mesh.ring, (3, 4))),
    }


def _eyes(mesh: Assembly) -> dict[str, np.ndarray]:
    regions = {}
    ball = mesh.part == assembly.BALL
    last_iris = int(np.sum(parts.BALL_ANGLES <= parts.IRIS_ANGLE + 1e-9))
    last_pupil = int(np.sum(parts.BALL_ANGLES <= parts.PUPIL_ANGLE + 1e-9))
    for name, side in (("left", 1), ("right", -1)):
        mine = mesh.points[:, 0] * side > 0
        own = ball & mine
        lid = mesh.opening_ring[f"{name}_eye"] <= 3
        lid |= (mesh.part == assembly.SOCKET) & (mesh.ring == 1) & mine
        regions |= {
            f"{name}_eyeball": own, f"{name}_eye": own, f"{name}_iris": own & (mesh.ring <= last_iris),
            f"{name}_pupil": own & (mesh.ring <= last_pupil), f"{name}_sclera": own & (mesh.ring > last_iris),
            f"{name}_eyelid": lid, f"{name}_socket": (mesh.part == assembly.SOCKET) & mine,
            f"{name}_half": mesh.side * side >= 0,
        }
    ids = {key: np.flatnonzero(value) for key, value in regions.items()}
    for name, side in (("left", 1), ("right", -1)):
        loop = mesh.loops["left_eye"]
        ids[f"{name}_eyelid_ring"] = loop if side > 0 else mesh.mirror[loop]
    return ids


def build(mesh: Assembly) -> dict[str, np.ndarray]:
    """Return vertex ids by region name; names that say ring are in order around it.

    Rings around the mouth start at the subject's left corner and run over the upper lip; rings around an eye start at its
    outer corner and run over the upper lid; the neck's starts in front and runs towards the subject's left.
    """
    p = mesh.points
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    skin = mesh.part == assembly.SKIN
    height = nominal_height(mesh)
    ear_ring = np.minimum(mesh.opening_ring["left_ear"], mesh.opening_ring["right_ear"])
    ear = (mesh.part == assembly.EAR) | (ear_ring <= 0)
    scalp = skin & ~ear & (y > np.interp(z, HAIRLINE[:, 0], HAIRLINE[:, 1]))
    behind = (z < -8) & (y < -20)
    neck = skin & ~scalp & ~ear & ((height < -115.5) | behind)
    face = (skin & ~scalp & ~neck & ~ear) | ((mesh.part == assembly.SOCKET) & (mesh.ring == 1))
    face |= (mesh.part == assembly.CAVITY) & (mesh.ring == 1)
    eyes = face & ((((x - EYE_CENTER[0]) / 27) ** 2 + ((y - 2) / 23) ** 2) < 1) & (z > 30)
    from_mouth = mesh.opening_ring["mouth"]
    red = skin & (from_mouth < 6) & (lip_fraction(p, mesh.lip > 0) < 1.06) & (x < 26.5)
    red |= (mesh.part == assembly.CAVITY) & (mesh.ring == 1)
    nose_half = 9 + 10 * np.clip((6 - y) / 46, 0, 1)
    brow_line = np.interp(x, BROW[:, 0], BROW[:, 1])
    brow = face & (np.abs(y - brow_line) < BROW_HALF) & (x > BROW[0, 0] - 1) & (x < BROW[-1, 0] + 1)
    masks = {
        "face": face, "neck": neck, "scalp": scalp, "boundary": skin & (height < -147),
        "forehead": face & (y > 22), "eye_region": eyes, "left_eye_region": eyes & (p[:, 0] > 0),
        "right_eye_region": eyes & (p[:, 0] < 0), "nose": face & skin & (x < nose_half) & (y < 6) & (y > -53) & (z > 60),
        "lips": red, "lips_upper": red & (mesh.lip > 0), "lips_lower": red & (mesh.lip < 0),
        "left_ear": ear & (p[:, 0] > 0), "right_ear": ear & (p[:, 0] < 0), "ears": ear,
        "left_brow": brow & (p[:, 0] > 0), "right_brow": brow & (p[:, 0] < 0), "brows": brow,
        "hair": scalp & ~face & ~neck, "teeth": mesh.part == assembly.TEETH,
        "teeth_upper": (mesh.part == assembly.TEETH) & (mesh.lip > 0),
        "teeth_lower": (mesh.part == assembly.TEETH) & (mesh.lip < 0),
    }
    regions = {name: np.flatnonzero(mask) for name, mask in masks.items()}
    regions |= _neck(mesh, masks, height) | _mouth(mesh) | _eyes(mesh)
    for name, one in (("eyeballs", "eyeball"), ("irises", "iris"), ("pupils", "pupil"), ("sclerae", "sclera"),
                      ("eyelids", "eyelid"), ("sockets", "socket")):
        regions[name] = np.union1d(regions[f"left_{one}"], regions[f"right_{one}"])
    every = np.arange(len(p))
    parts_away = [regions[k] for k in ("eyeballs", "hair", "lips_tight", "boundary", "teeth", "mouth_interior", "sockets")]
    regions["skin"] = np.setdiff1d(every, np.concatenate(parts_away))
    return regions


