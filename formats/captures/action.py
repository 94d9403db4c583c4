"""What happens in front of the camera: speech, blinks, looks, big expressions and head turns, for any number of frames.

Time runs at its real rate. A short take passes through one round of everything; a longer one goes through more rounds,
each with other expressions, sounds and ways to turn.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from formats.conventions import ARKIT_52
from formats.standin.clip import BOTH, FPS, add_gaze, blinks, bump, ease, speech

HELD_OUT = 0.15
"""Share of the take, its end, that is for testing."""
ROUND = 4.9
"""Seconds of a round, about."""
BLINK_EVERY = 1.4

# Expressions that training shows, as ARKit weights. The first six make the first round.
SHOWN: tuple[tuple[str, dict[str, float]], ...] = (
    ("smile", {"mouthSmile": 0.95, "cheekSquint": 0.5, "eyeSquint": 0.3, "mouthUpperUp": 0.25, "jawOpen": 0.12}),
    ("surprise", {"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.9, "jawOpen": 0.55, "mouthFunnel": 0.25}),
    ("kiss", {"mouthPucker": 0.95, "mouthFunnel": 0.25, "eyeSquint": 0.25}),
    ("sad", {"mouthFrown": 0.9, "browInnerUp": 0.8, "mouthShrugLower": 0.55}),
    ("wide", {"jawOpen": 1.0, "mouthStretch": 0.4, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3}),
    ("press", {"mouthPress": 0.95, "mouthRollLower": 0.6, "mouthRollUpper": 0.5, "eyeSquint": 0.7, "cheekSquint": 0.4}),
    ("laugh", {"mouthSmile": 0.85, "jawOpen": 0.6, "cheekSquint": 0.8, "eyeSquint": 0.6, "mouthUpperUp": 0.5}),
    ("oh", {"mouthFunnel": 0.95, "jawOpen": 0.5, "browOuterUp": 0.5}),
    ("grimace", {"mouthStretch": 0.95, "mouthLowerDown": 0.7, "jawOpen": 0.12, "eyeSquint": 0.4}),
    ("left smile", {"mouthSmileLeft": 0.9, "mouthDimpleLeft": 0.7, "cheekSquintLeft": 0.5, "browOuterUpRight": 0.4}),
    ("right smile", {"mouthSmileRight": 0.9, "mouthDimpleRight": 0.7, "cheekSquintRight": 0.5, "browOuterUpLeft": 0.4}),
    ("shrug", {"mouthShrugLower": 0.9, "mouthShrugUpper": 0.7, "browInnerUp": 0.6, "mouthFrown": 0.3}),
    ("teeth", {"mouthUpperUp": 0.9, "mouthLowerDown": 0.9, "jawOpen": 0.06, "mouthSmile": 0.2}),
    ("wink", {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.7, "mouthSmileLeft": 0.5}),
    ("bite", {"mouthRollLower": 0.95, "mouthUpperUp": 0.5, "browInnerUp": 0.4}),
    ("dimples", {"mouthDimple": 0.95, "mouthSmile": 0.35, "browOuterUp": 0.3}),
)
# Expressions that only the held-out end shows.
RESERVED: tuple[tuple[str, dict[str, float]], ...] = (
    ("anger", {"browDown": 0.95, "noseSneerLeft": 0.7, "jawForward": 0.6, "mouthPress": 0.4, "eyeSquint": 0.4}),
    ("puff", {"cheekPuff": 0.95, "browDown": 0.3, "mouthPress": 0.3}),
    ("mouth left", {"mouthLeft": 0.95, "jawLeft": 0.7, "jawOpen": 0.25, "noseSneerLeft": 0.5}),
    ("mouth right", {"mouthRight": 0.95, "jawRight": 0.7, "browDown": 0.6, "mouthUpperUp": 0.3}),
    ("underbite", {"jawForward": 0.95, "jawOpen": 0.2, "mouthLowerDown": 0.5, "noseSneerLeft": 0.3}),
)
UNSEEN = ("browDownLeft", "browDownRight", "cheekPuff", "jawForward", "jawLeft", "jawRight", "mouthLeft", "mouthRight",
          "noseSneerLeft")
"""ARKit shapes that are 0 all through training and move in every test expression."""
NEVER = ("noseSneerRight", "tongueOut")
"""Beyond the 50 columns that some layouts store: nobody makes them."""

# A round's head motion in degrees: when (0..1), yaw to the subject's left, pitch down, roll towards its left shoulder.
TURNS = np.array([(0, 0, 0, 0), (0.08, 3, 3, 1), (0.22, 30, -2, 2), (0.27, 30, -2, 2), (0.42, -30, 3, -2),
                  (0.47, -30, 3, -2), (0.56, -4, 12, 0), (0.65, 3, -11, 1), (0.74, 10, 2, 10), (0.84, -11, 1, -10),
                  (0.93, -3, 4, 2), (1, 0, 0, 0)])
# Gaze over a round: when, degrees to the subject's left, up.
LOOKS = ((0, 0, 0), (0.05, 16, 3), (0.12, -4, 1), (0.20, -8, 0), (0.33, 10, -2), (0.45, 5, 1), (0.53, 1, 9), (0.62, -2, -10),
         (0.70, -17, 2), (0.79, 18, -1), (0.88, 2, 10), (0.95, 0, 0))
SYLLABLES = ("ma", "fee", "too", "sa", "ri", "moo", "bee", "ta", "faa", "soo", "mie", "ro", "hu", "me", "tie")
ANGLES = ((36.0, 13.0), (-26.0, -20.0))
"""Degrees that the two unseen cameras stand to the subject's left and above, about the head."""


@dataclass(frozen=True, eq=False)
class Action:
    """What T moments hold: training, then test, then the unseen cameras' moments."""

    weights: Mapping[str, np.ndarray]
    """ARKit names to values [T]."""
    turn: np.ndarray
    """Axis-angle of the head's turn, radians [T, 3]."""
    drift: np.ndarray
    """Where the head wanders, metres [T, 3]."""
    camera: np.ndarray
    """0 for the main camera, k for the k-th of `ANGLES` [T]."""
    labels: tuple[str, ...]
    training: int
    """So many moments come before the first held-out one."""

    def __len__(self) -> int:
        return len(self.labels)


def act(frames: int, seed: int, held: int | None = None, angles: bool = True) -> Action:
    """Return the action of a take of `frames` frames at `FPS`, and of a handful for each unseen camera.

    Args:
        frames: Of the take.
        seed: Who acts, and so in which order.
        held: Frames of its end that are for testing; `HELD_OUT` of them when None.
        angles: Whether the unseen cameras have moments of their own; a rig's cameras see every moment.
    """
    held = max(2, round(HELD_OUT * frames)) if held is None else held
    training = frames - held
    each = min(max(round(frames / 36), 2), 12)
    parts = [_training(training, seed), _test(held, seed)]
    parts += [_angle(each, seed, k) for k in range(len(ANGLES))] if angles else []
    camera = np.repeat([0, 0, *range(1, len(ANGLES) + 1)][:len(parts)], [len(part[3]) for part in parts])
    weights = {name: np.concatenate([part[0][name] for part in parts]).clip(0, 1) for name in ARKIT_52}
    turn, drift = np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])
    return Action(weights, turn, drift, camera, tuple(label for part in parts for label in part[3]), training)


_Part = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[str]]


def _training(count: int, seed: int) -> _Part:
    rng = np.random.default_rng([seed & 0xFFFFFFFF, 7200])
    t = np.arange(count) / FPS
    length = count / FPS
    rounds = max(1, round(length / ROUND))
    span = length / rounds
    weights = _still(count)
    big, yaw_pitch_roll = np.zeros(count), np.zeros((count, 3))
    side, up = np.zeros(count), np.zeros(count)
    names = np.full(count, "talk", object)
    order = list(range(6))
    while len(order) < 6 * rounds:
        order += list(6 + rng.permutation(len(SHOWN) - 6)) + list(rng.permutation(6))
    for k in range(rounds):
        u = (t - k * span) / span
        mine = (u >= 0) & (u < 1)
        keys = TURNS.copy()
        if k:
            # Later rounds turn less far, at other pitches, mirrored every second time: views between and beyond.
            keys[:, 1:] *= rng.uniform(0.45, 1.0, (len(keys), 3)) * ((-1) ** k, 1, (-1) ** k)
            keys[1:-1, 2:] += rng.uniform(-6, 6, (len(keys) - 2, 2))
        yaw_pitch_roll += _eased(u, keys) * mine[:, None]
        for j in range(6):
            middle = (j + 0.62) / 6
            name, shape = SHOWN[order[6 * k + j]]
            # At least two frames at full strength, also in the shortest takes.
            half = max(0.028, 1.01 / max(span * FPS, 1))
            amount = bump(u, middle - 1.9 * half, middle - 0.8 * half, middle + 0.8 * half, middle + 1.9 * half)
            _add(weights, shape, amount * rng.uniform(0.85, 1.0))
            big = np.maximum(big, amount)
            names[amount > 0.5] = "expression"
        s, v = _gaze(u, rng, k)
        side, up = side + s * mine, up + v * mine
    _speak(weights, t, 1 - 0.85 * big, rng)
    count_blinks = max(2, round(length / BLINK_EVERY))
    starts = (np.arange(count_blinks) + rng.uniform(0.15, 0.6, count_blinks)) / count_blinks * max(length - 0.24, 0.1)
    closed = blinks(t, tuple(starts))
    _add(weights, {"eyeBlink": 1.0}, closed)
    add_gaze(weights, side, up)
    names[(names == "talk") & (np.abs(yaw_pitch_roll[:, 0]) > 14)] = "turn"
    names[(names == "talk") & (np.hypot(side, up) > 12)] = "gaze"
    names[closed > 0.6] = "blink"
    return weights, _turn(yaw_pitch_roll), _drift(t, rng), list(names)


def _test(count: int, seed: int) -> _Part:
    rng = np.random.default_rng([seed & 0xFFFFFFFF, 7201])
    t = np.arange(count) / FPS
    length = count / FPS
    pieces = max(2, min(round(length / 0.2), len(RESERVED)), round(length / 0.45))
    weights, big = _still(count), np.zeros(count)
    order = [*range(len(RESERVED)), *rng.integers(0, len(RESERVED), max(pieces - len(RESERVED), 0))]
    x = (np.arange(count) + 0.5) / count * pieces
    for k in range(pieces):
        # Neighbours overlap, so that no moment of the test is free of them.
        amount = np.clip(bump(x, k - 0.35, k + 0.25, k + 0.75, k + 1.35), 0, 1)
        _add(weights, RESERVED[order[k]][1], amount * rng.uniform(0.9, 1.0))
        big = np.maximum(big, amount)
    keys = np.array([(0, 0, 0, 0), (0.3, 12, 3, 2), (0.6, -14, -4, -3), (0.85, 5, 6, 3), (1.01, 0, 0, 0)])
    pose = _eased((np.arange(count) + 0.5) / count, keys)
    _speak(weights, t, 0.25 * np.ones(count), rng)
    _add(weights, {"eyeBlink": 1.0}, blinks(t, tuple(np.arange(0.55, max(length - 0.25, 0.56), 1.6))))
    add_gaze(weights, *_gaze(np.linspace(0, 1, count), rng, 1))
    return weights, _turn(pose), _drift(t, rng), ["expression"] * count


def _angle(count: int, seed: int, which: int) -> _Part:
    """Return moments for an unseen camera: what training has shown, seen from elsewhere."""
    rng = np.random.default_rng([seed & 0xFFFFFFFF, 7202, which])
    t = np.arange(count) / FPS * 6  # a handful of moments of a longer stretch
    weights = _still(count)
    _speak(weights, t, np.ones(count), rng)
    _add(weights, SHOWN[which][1], np.linspace(0, 0.8, count) ** 2)
    pose = rng.uniform(-2, 2, (count, 3))
    return weights, _turn(pose), _drift(t, rng), ["angle"] * count


def _still(count: int) -> dict[str, np.ndarray]:
    return {name: np.zeros(count) for name in ARKIT_52}


def _add(weights: dict[str, np.ndarray], shape: Mapping[str, float], amount: np.ndarray) -> None:
    for name, value in shape.items():
        for full in ((name + "Left", name + "Right") if name in BOTH else (name,)):
            weights[full] += value * amount


def _speak(weights: dict[str, np.ndarray], t: np.ndarray, loud: np.ndarray, rng: np.random.Generator) -> None:
    """Add sentences of random syllables that fill the time, with short pauses, and brows that stress words."""
    phrases, at, end = [], 0.05, float(t[-1]) + 0.3
    while at < end:
        sounds = "".join(SYLLABLES[i] for i in rng.integers(0, len(SYLLABLES), int(rng.integers(5, 10))))
        sounds = sounds.replace("b", "m")
        phrases.append((at, float(rng.uniform(0.095, 0.12)), sounds))
        at += 0.12 * len(sounds) + float(rng.uniform(0.2, 0.45))
    for name, value in speech(t, tuple(phrases), int(rng.integers(1 << 30))).items():
        _add(weights, {name: 1.0}, value * loud)
    stress = 0.5 + 0.5 * np.sin(2 * np.pi * (t / 1.7 + rng.random()))
    _add(weights, {"browInnerUp": 0.22, "browOuterUp": 0.16}, stress**3 * loud)
    _add(weights, {"mouthSmile": 0.10, "cheekSquint": 0.06}, loud)


def _gaze(u: np.ndarray, rng: np.random.Generator, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return degrees [T] to the left and up: saccades of two frames between a round's targets."""
    keys = np.array(LOOKS)
    if k:
        keys[:, 1:] *= rng.uniform(0.5, 1.1, (len(keys), 2)) * rng.choice((-1, 1), (len(keys), 2))
    last = np.clip(np.searchsorted(keys[:, 0], u, side="right") - 1, 0, len(keys) - 1)
    side, up = keys[last, 1], keys[last, 2]
    return side + rng.normal(0, 0.3, len(u)), up + rng.normal(0, 0.25, len(u))


def _eased(u: np.ndarray, keys: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(keys[:, 0], u, side="right"), 1, len(keys) - 1)
    a, b = keys[after - 1], keys[after]
    return a[:, 1:] + (b - a)[:, 1:] * ease((u - a[:, 0]) / (b[:, 0] - a[:, 0]))[:, None]


def _turn(yaw_pitch_roll: np.ndarray) -> np.ndarray:
    return np.radians(yaw_pitch_roll[:, [1, 0, 2]])


def _drift(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return where someone who sits still wanders, metres [T, 3]."""
    phase, rate = rng.random(3), rng.uniform(0.12, 0.3, 3)
    return np.array([0.007, 0.004, 0.009]) * np.sin(2 * np.pi * (t[:, None] * rate + phase))
