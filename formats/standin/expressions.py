"""The stand-in's 100 expression directions: ARKit's 52 by name, then 48 smooth ones. Millimetres at coefficient 1."""

import numpy as np

from formats.conventions import ARKIT_52
from formats.rotations import axis_angle_to_matrix
from formats.standin import assembly, grid, weights
from formats.standin.features import EYE_CENTER, lip_fraction
from formats.standin.fields import Fields, smooth_noise
from formats.standin.lids import lid_turn
from formats.standin.surface import smoothstep

COUNT = 100
NAMES = (*ARKIT_52, *(f"expr{i:03d}" for i in range(len(ARKIT_52), COUNT)))
JAW_OPEN = 0.35
"""Jaw turn in radians at jawOpen = 1."""
JAW_SIDE = 0.10
GAZE_UP_DOWN, GAZE_SIDE = 0.38, 0.50
"""Eye turns in radians at weight 1."""
SEED = 20240607


def _brows(f: Fields) -> dict[str, np.ndarray]:
    down = (f.blob((24, 15, 88), (13, 7, 25), (-1.6, -4.6, 0.6)) + f.blob((10, 13, 88), (6, 8, 25), (-1.6, -2.6, 0.9)))
    outer = f.blob((40, 16, 80), (13, 8, 25), (0.4, 6.0, 0.2)) + f.blob((42, 33, 80), (16, 14, 30), (0, 3.2, 0))
    inner = f.blob((9, 16, 90), (10, 8.5, 25), (0, 5.0, 0.4)) + f.blob((0, 35, 90), (26, 14, 30), (0, 2.6, 0), False)
    left, right = f.halves(down)
    outer_left, outer_right = f.halves(outer)
    return {"browDownLeft": left, "browDownRight": right, "browInnerUp": inner, "browOuterUpLeft": outer_left,
            "browOuterUpRight": outer_right}


def _eyes(f: Fields) -> dict[str, np.ndarray]:
    shapes = {}
    squint = f.blob((33, -17, 84), (13, 7, 25), (0, 2.6, 1.0))
    cheek = f.blob((35, -24, 84), (14, 9, 25), (0.5, 4.6, 2.4))
    wide = f.blob((30, 15, 88), (15, 6, 25), (0, 1.2, 0))
    for side, name in ((1, "Left"), (-1, "Right")):
        half = (f.left if side > 0 else 1 - f.left)[:, None]
        shapes[f"eyeSquint{name}"] = squint * half + lid_turn(f.mesh, side, 0.16, 0.95)
        shapes[f"cheekSquint{name}"] = cheek * half + lid_turn(f.mesh, side, 0, 0.55)
        shapes[f"eyeWide{name}"] = wide * half + lid_turn(f.mesh, side, -0.30, -0.25)
    return shapes


def _mouth_pairs(f: Fields) -> dict[str, np.ndarray]:
    """Return the mouth's and nose's shapes that come in left and right."""
    up, low = f.upper[:, None], 1 - f.upper[:, None]
    smile = (f.blob((25, -66, 74), (10, 9.5, 22), (6.6, 5.6, -4.6)) + f.blob((37, -34, 80), (14, 12, 25), (0.8, 3.4, 2.6))
             + f.blob((11, -64, 88), (8, 8, 20), (2.2, 1.0, -1.2)) + f.blob((34, -56, 74), (8, 12, 22), (2.6, 1.6, 0.6)))
    shapes = {
        "mouthSmile": smile,
        "mouthFrown": f.blob((24, -66, 76), (9, 9, 22), (1.4, -5.6, -1.2)) + f.blob((24, -80, 76), (9, 10, 22),
                                                                                   (0.8, -2.4, 0.6)),
        "mouthDimple": f.blob((26, -66, 74), (8, 8, 20), (2.8, 0.8, -3.6)),
        "mouthStretch": f.blob((26, -68, 74), (11, 11, 22), (6.2, -1.4, -4.0)) + f.blob((30, -90, 70), (14, 16, 25),
                                                                                     (1.6, -1.6, -0.8)),
        "mouthLowerDown": f.blob((9, -71, 88), (8.5, 9, 20), (0.9, -5.0, -0.6)) * low,
        "mouthUpperUp": f.blob((9, -61, 88), (8.5, 10, 20), (0.6, 4.4, 0.2)) * up
        + f.blob((15, -46, 88), (6, 7, 20), (0.6, 1.5, 0.4)) * up,
        "noseSneer": (f.blob((13, -41, 92), (6.5, 8, 20), (0.9, 3.6, 0.6)) + f.blob((10, -12, 90), (6, 9, 20), (0, 1.6, 1.0))
                      + f.blob((11, -57, 88), (8, 7, 20), (0.3, 2.2, 0.3))) * up,
    }
    # Pressed lips get thinner: the red rolls towards the lip line and back.
    away = f.points[:, 1] - grid.mouth_line(f.points[:, 0])
    press = f.blob((10, -66, 86), (13, 9, 20), (0, 1, 0))[:, 1]
    roll = 1 - np.exp(-((away / 4) ** 2))
    shapes["mouthPress"] = np.stack([0.1 * press * np.sign(f.points[:, 0]), -np.sign(away) * 1.6 * roll * press,
                                     -1.5 * press * np.exp(-((away / 9) ** 2))], axis=1)
    split = {}
    for name, shape in shapes.items():
        split[f"{name}Left"], split[f"{name}Right"] = f.halves(shape)
    return split


def _mouth_whole(f: Fields) -> dict[str, np.ndarray]:
    p, up, low = f.points, f.upper[:, None], 1 - f.upper[:, None]
    away = p[:, 1] - grid.mouth_line(p[:, 0])
    around = f.blob((0, -66, 86), (17, 13, 25), (1, 0, 0), False)[:, 0]
    narrow = f.blob((0, -66, 80), (24, 13, 28), (1, 0, 0), False)[:, 0]
    pucker = np.stack([-0.36 * p[:, 0] * narrow, 0.10 * away * around, 6.6 * around], axis=1)
    funnel = np.stack([-0.30 * p[:, 0] * narrow, 0 * around, 5.2 * around], axis=1)
    funnel += f.blob((0, -61, 88), (12, 9, 22), (0, 3.6, 1.2), False) * up
    funnel += f.blob((0, -71, 88), (12, 9, 22), (0, -4.6, 1.2), False) * low
    shapes = {"mouthPucker": pucker, "mouthFunnel": funnel}
    shift = f.blob((0, -67, 84), (24, 13, 30), (5.8, 0, 0), False)
    turn = np.clip(p[:, 0] / 26, -1.5, 1.5)[:, None] * np.array([0, 1.2, -1.8]) * narrow[:, None]
    shapes["mouthLeft"], shapes["mouthRight"] = shift + turn, -shift * (1, 1, 1) - turn
    reach = np.sqrt(np.maximum(1 - (p[:, 0] / 27) ** 2, 0)) * f.soft
    for name, side, mask in (("mouthRollLower", -1, low), ("mouthRollUpper", 1, up)):
        red = lip_fraction(p, f.mesh.lip > 0)
        drawn = smoothstep(red / 0.8) * (1 - smoothstep((red - 1) / 1.6))
        back = 1 - smoothstep((red - 0.5) / 1.1)
        shapes[name] = np.stack([0 * reach, -side * 4.2 * drawn * reach, -4.4 * back * reach], axis=1) * mask
        shapes[name] *= (np.abs(away) < 25)[:, None]
    shapes["mouthShrugLower"] = (f.blob((0, -70, 88), (17, 9, 25), (0, 2.6, 1.6), False) * (0.55 * up + low)
                                 + f.blob((0, -90, 86), (15, 11, 25), (0, 3.6, 0.8), False) * low)
    shapes["mouthShrugUpper"] = f.blob((0, -61, 88), (16, 8, 25), (0, 2.4, 1.8), False) * (0.45 * low + up)
    shapes["cheekPuff"] = (f.blob((44, -60, 66), (14, 15, 22), (6.0, 0, 5.0)) + f.blob((20, -54, 86), (11, 8, 20), (0, 0, 2.2))
                           + f.blob((18, -80, 84), (11, 8, 20), (0, 0, 2.0)))
    shapes["mouthClose"] = _mouth_close(f)
    shapes["jawForward"] = f.jaw[:, None] * np.array([0, -0.6, 6.0])
    tongue = (f.mesh.part == assembly.CAVITY) & (f.mesh.lip < 0)
    stretch = np.array([0, 0, 0, 0, 0.25, 0.85, 1.0, 0.75, 0.25, 0, 0])[np.where(tongue, f.mesh.ring, 0)]
    rise = np.array([0, 0, 0, 0, 0.2, 1.0, 1.0, 0.7, 0.3, 0, 0])[np.where(tongue, f.mesh.ring, 0)]
    tip = np.minimum((p[:, 0] / 13) ** 2, 1.5)
    shapes["tongueOut"] = np.stack([-0.22 * p[:, 0] * stretch, (7.5 - tip) * rise, (37 - 11 * tip) * stretch], axis=1)
    return shapes


def _mouth_close(f: Fields) -> np.ndarray:
    """Return what brings the lips together while the jaw is open at `JAW_OPEN`: mostly the lower one coming up."""
    turn = axis_angle_to_matrix(np.array([JAW_OPEN, 0, 0])) - np.eye(3)
    opened = (f.mesh.points - weights.JOINTS[weights.JAW]) @ turn.T
    loop = f.mesh.loops["mouth"]
    slots = len(loop)
    upper = loop[:slots // 2 + 1]
    lower = np.append(loop[0], loop[:slots // 2 - 1:-1])[:slots // 2 + 1]
    gap = opened[lower] * f.jaw[lower][:, None] - opened[upper] * f.jaw[upper][:, None]
    order = np.argsort(f.points[upper, 0])
    x = np.clip(f.points[:, 0], -25, 25)
    drop = np.stack([np.interp(x, f.points[upper, 0][order], gap[order, c]) for c in range(3)], axis=1)
    away = np.abs(f.points[:, 1] - grid.mouth_line(f.points[:, 0]))
    reach = np.where(f.points[:, 1] > grid.MOUTH.center[1], 20.0, 44.0)
    near = (1 - smoothstep((away - 1) / reach)) * (1 - smoothstep((np.abs(f.points[:, 0]) - 22) / 16)) * f.soft
    # The lower lip's move is undone by the jaw's turn before it shows, so it is given in the jaw's frame.
    back = np.linalg.inv(np.eye(3) + turn)
    up = ((1 + f.mesh.lip) / 2)[:, None]
    return near[:, None] * (up * (0.28 * drop) + (1 - up) * (-0.72 * drop @ back.T))


def directions(f: Fields) -> np.ndarray:
    """Return the expression directions [V, 3, 100]; columns that joints or eyelids drive are zero."""
    shapes = _brows(f) | _eyes(f) | _mouth_pairs(f) | _mouth_whole(f)
    table = np.zeros((len(f.points), 3, COUNT))
    for name, shape in shapes.items():
        table[:, :, NAMES.index(name)] = shape
    rng = np.random.default_rng(SEED)
    extra = COUNT - len(ARKIT_52)
    table[:, :, len(ARKIT_52):] = smooth_noise(rng, extra, 0.25, 2.0, f.points, f.face, -0.75, 1.0)
    # Mirror images to the last bit: shapes named Left become those named Right.
    mirror = f.mesh.mirror
    flipped = table[mirror] * np.array([-1, 1, 1])[:, None]
    for i, name in enumerate(ARKIT_52):
        partner = name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")
        j = NAMES.index(partner)
        if i < j:
            table[:, :, i] = (table[:, :, i] + flipped[:, :, j]) / 2
            table[:, :, j] = table[mirror, :, i] * (-1, 1, 1)
        elif i == j:
            table[:, :, i] = (table[:, :, i] + flipped[:, :, i]) / 2
    return table


def eyelid_directions(f: Fields) -> np.ndarray:
    """Return eyelid closing [V, 3, 2], left and right."""
    left = lid_turn(f.mesh, 1, 1.0, 1.0)
    return np.stack([left, left[f.mesh.mirror] * (-1, 1, 1)], axis=-1)


def arkit_map() -> np.ndarray:
    """Return ARKit's 52 weights onto expression 100, jaw 3, neck 3, eyes 6 and eyelids 2 (`HeadModel.arkit_map`)."""
    table = np.zeros((len(ARKIT_52), COUNT + 14))
    jaw, eyes, lids = COUNT, COUNT + 6, COUNT + 12
    joints = {"jawOpen": (jaw, JAW_OPEN), "jawLeft": (jaw + 1, JAW_SIDE), "jawRight": (jaw + 1, -JAW_SIDE)}
    for side, name in ((0, "Left"), (1, "Right")):
        outwards = GAZE_SIDE if name == "Left" else -GAZE_SIDE
        joints |= {f"eyeLookDown{name}": (eyes + 3 * side, GAZE_UP_DOWN), f"eyeLookUp{name}": (eyes + 3 * side, -GAZE_UP_DOWN),
                   f"eyeLookOut{name}": (eyes + 3 * side + 1, outwards),
                   f"eyeLookIn{name}": (eyes + 3 * side + 1, -outwards), f"eyeBlink{name}": (lids + side, 1.0)}
    for i, name in enumerate(ARKIT_52):
        column, value = joints.get(name, (i, 1.0))
        table[i, column] = value
    return table


def pose_directions(f: Fields) -> np.ndarray:
    """Return pose correctives [V, 3, 36] for the entries of (R - I) of neck, jaw, left eye, right eye.

    For a turn about x, entry (2, 1) is the sine of the angle: column 9 j + 7. Small values in some entries of turns about
    y and z make a wrong column order show. The rest stay zero.
    """
    table = np.zeros((len(f.points), 3, 36))
    p = f.points
    throat = smoothstep((-108 - p[:, 1]) / 20) * smoothstep((p[:, 2] - 5) / 30) * (f.mesh.part == assembly.SKIN)
    throat = throat * (1 - smoothstep((-140 - p[:, 1]) / 20))
    table[:, 2, 7] = -5.0 * throat
    table[:, 0, 2] = 1.5 * throat
    table[:, 0, 6] = -1.0 * throat
    table[:, :, 9 + 7] = (f.blob((50, -62, 45), (14, 16, 20), (-5.5, 0, -2))
                          + f.blob((0, -122, 45), (30, 10, 25), (0, 5, -5), False)
                          + f.blob((36, -40, 72), (14, 12, 25), (0, -2.5, -0.5)))
    side = f.blob((0, -84, 84), (26, 14, 30), (1.5, 0, 0), False)
    table[:, :, 9 + 2], table[:, :, 9 + 3] = side, 0.4 * side
    for joint, eye in ((2, 1), (3, -1)):
        # The upper lid follows a look up or down by half, the lower one less.
        look = lid_turn(f.mesh, eye, 0.75, 0) - lid_turn(f.mesh, eye, 0, 0.45)
        table[:, :, 9 * joint + 7] = look
        offset = p - EYE_CENTER * (eye, 1, 1)
        near = np.exp(-0.5 * ((offset[:, 0] / 9) ** 2 + (offset[:, 1] / 6) ** 2)) * f.soft * smoothstep((offset[:, 2] - 4) / 6)
        table[:, 0, 9 * joint + 2] = 1.2 * near
        table[:, 0, 9 * joint + 6] = -0.6 * near
    return table
