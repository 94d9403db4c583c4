"""The stand-in's clip: ten seconds in which it talks, blinks, looks around, turns, smiles and is back where it began.

Everything is built from ARKit's names through the head's own map, as a capture on a phone would be.
"""

from collections.abc import Mapping

import numpy as np

from formats.conventions import ARKIT_52
from formats.head_model import HeadModel
from formats.retarget import retarget
from formats.sequence import Sequence

FPS, FRAMES = 25.0, 250
RANGES = {"neutral": (0, 12), "talk": (14, 112), "blink": (112, 124), "look": (124, 158), "turn": (156, 208),
          "smile": (206, 248)}

BOTH = ("mouthStretch", "mouthSmile", "mouthPress", "mouthLowerDown", "mouthUpperUp", "mouthDimple", "mouthFrown",
         "browDown", "browOuterUp", "cheekSquint", "eyeSquint", "eyeBlink", "eyeWide")
"""Names that stand for a left and a right weight here."""

# Mouth shapes of sounds, as ARKit weights.
VISEMES = {
    "rest": {},
    "m": {"jawOpen": 0.03, "mouthPress": 0.40, "mouthRollLower": 0.30, "mouthRollUpper": 0.25},
    "f": {"jawOpen": 0.08, "mouthRollLower": 0.50, "mouthUpperUp": 0.18},
    "s": {"jawOpen": 0.07, "mouthStretch": 0.30, "mouthLowerDown": 0.25, "mouthUpperUp": 0.12},
    "t": {"jawOpen": 0.20, "mouthStretch": 0.10, "mouthLowerDown": 0.12, "mouthUpperUp": 0.04},
    "r": {"jawOpen": 0.18, "mouthFunnel": 0.35, "mouthPucker": 0.15},
    "a": {"jawOpen": 0.74, "mouthLowerDown": 0.16, "mouthUpperUp": 0.10},
    "e": {"jawOpen": 0.34, "mouthStretch": 0.32, "mouthSmile": 0.14, "mouthLowerDown": 0.22, "mouthUpperUp": 0.14},
    "i": {"jawOpen": 0.20, "mouthStretch": 0.34, "mouthSmile": 0.22, "mouthLowerDown": 0.18},
    "o": {"jawOpen": 0.52, "mouthFunnel": 0.50, "mouthPucker": 0.22},
    "u": {"jawOpen": 0.18, "mouthFunnel": 0.42, "mouthPucker": 0.62},
}
# A sentence in no language: when it begins, how long a sound lasts on average, the sounds; long vowels are doubled.
PHRASES = ((0.60, 0.108, "heetooaamitisefoormieuu"), (3.25, 0.112, "maatersooeimaa"))
SOUND = {"h": "t", "l": "t"}
COARTICULATION = 0.050
"""Seconds: spread of a sound's influence before and after its time."""

BLINKS = (0.42, 1.86, 3.18, 4.52, 4.82, 6.30, 7.98, 9.62)
CLOSING, CLOSED, OPENING = 0.075, 0.035, 0.130
"""Seconds of a blink: 0.24 in all."""

# Gaze in degrees: from when, to the subject's left, up.
GAZE = ((0, 0, 0), (0.95, 1.5, -0.5), (1.9, -2.5, 1.5), (2.6, 0.5, 0), (3.3, 2.5, 1), (4.1, 0, 0), (4.95, 19, 2),
        (5.45, -17, 4), (5.95, -9, -11), (6.35, 6, 0), (7.05, -8, 1), (7.95, 0, 0), (8.8, 1, -1), (9.6, 0, 0))
SACCADE = 0.045
# Head in degrees, eased from key to key: seconds, yaw to the subject's left, pitch down, roll towards its left shoulder.
HEAD = ((0, 0, 0, 0), (0.7, 0, 0.5, 0), (1.3, 2.5, 3.0, 1.0), (1.9, -3.5, -1.5, -1.2), (2.6, 2.0, 2.8, 0.8),
        (3.3, -1.5, 0.5, -0.8), (3.9, 2.5, 3.8, 1.5), (4.5, 0, 0, 0), (5.1, 4, 0, 0.5), (5.6, -4, -0.5, -0.5),
        (6.15, -1, 2, 0), (6.85, 29, -1.5, 2), (7.05, 29, -1.5, 2), (7.85, -27, 1, -2), (8.05, -27, 1, -2),
        (8.75, 3, 1.5, 3.0), (9.3, 2.0, -0.5, 2.5), (9.9, 0, 0, 0), (10, 0, 0, 0))
NECK_SHARE = 0.72
"""Of the head's turn; the root does the rest."""


def arkit_sequence(head: HeadModel, weights: Mapping[str, np.ndarray], fps: float, rotation: np.ndarray | None = None,
                   neck: np.ndarray | None = None, translation: np.ndarray | None = None,
                   ranges: Mapping[str, tuple[int, int]] | None = None) -> Sequence:
    """Return a sequence in a head's own coefficients from ARKit weights [T] by name.

    Args:
        head: One with an `arkit_map`.
        weights: At least one; names that are left out stay 0.
        fps: Frames a second.
        rotation: Of the root, axis-angle [T, 3].
        neck: Axis-angle [T, 3], added to what the map gives.
        translation: Meters, [T, 3].
        ranges: Named ranges of frames.

    Raises:
        UnsupportedFeature: The head does not say how ARKit's weights drive it.
    """
    still = np.zeros((len(next(iter(weights.values()))), 3))
    motion = Sequence("arkit-52", fps, np.stack(list(weights.values()), axis=1), expr_names=tuple(weights),
                      rotation=still if rotation is None else rotation, neck=still if neck is None else neck,
                      translation=still if translation is None else translation, ranges=ranges or {})
    return retarget(motion, head)


def standin_clip(head: HeadModel) -> Sequence:
    """Return the clip for a stand-in head: 250 frames at 25 fps, which follow each other round and round.

    Raises:
        MissingAsset: The head has neither an `arkit_map` nor landmarks.
    """
    t = np.arange(FRAMES) / FPS
    weights = {name: np.zeros(FRAMES) for name in ARKIT_52}

    def add(name: str, value: np.ndarray) -> None:
        for full in ((name + "Left", name + "Right") if name in BOTH else (name,)):
            weights[full] += value

    for name, value in speech(t).items():
        add(name, value)
    closed = blinks(t)
    add("eyeBlink", closed)
    smile = bump(t, 8.15, 8.75, 9.25, 9.92)
    for name, value in (("mouthSmile", 0.85), ("cheekSquint", 0.42), ("eyeSquint", 0.22), ("mouthDimple", 0.15),
                        ("mouthUpperUp", 0.16), ("jawOpen", 0.10), ("browOuterUp", 0.14)):
        add(name, value * smile)
    # Brows stress words and go up with a look.
    for start, size in ((0.75, 0.34), (2.05, 0.28), (3.4, 0.42), (4.95, 0.30), (8.3, 0.15)):
        lift = size * bump(t, start, start + 0.22, start + 0.34, start + 0.75)
        add("browInnerUp", lift)
        add("browOuterUp", 0.7 * lift)
    # Someone who is listened to looks friendly, and a mouth at rest is never quite still.
    friendly = bump(t, 0.5, 0.9, 9.4, 9.95)
    for name, value in (("mouthSmile", 0.13), ("mouthDimple", 0.06), ("cheekSquint", 0.08), ("browInnerUp", 0.06)):
        add(name, value * friendly)
    add("mouthPress", 0.05 * np.sin(2 * np.pi * t / 5) ** 2)
    _look(t, weights)
    yaw, pitch, roll = _head(t)
    turn = np.radians(np.stack([pitch, yaw, roll], axis=1))
    drift = 0.0012 * np.stack([np.sin(2 * np.pi * t / 10), np.sin(4 * np.pi * t / 10), 0 * t], axis=1)
    return arkit_sequence(head, {k: np.clip(v, 0, 1) for k, v in weights.items()}, FPS, turn * (1 - NECK_SHARE),
                          turn * NECK_SHARE, drift, RANGES)


def ease(x: np.ndarray) -> np.ndarray:
    """Return 0 below 0, 1 above 1 and a quintic between that starts and stops without a jerk."""
    x = np.clip(x, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x * x)


def bump(t: np.ndarray, start: float, full: float, hold: float, end: float) -> np.ndarray:
    """Return a rise from 0 at `start` to 1 from `full` to `hold` and back to 0 at `end`."""
    return ease((t - start) / (full - start)) * (1 - ease((t - hold) / (end - hold)))


def speech(t: np.ndarray, phrases: tuple[tuple[float, float, str], ...] = PHRASES, seed: int = 5) -> dict[str, np.ndarray]:
    """Return weights [T] by name: sounds blended with Gaussian influence over time, silence around them.

    Args:
        t: Seconds.
        phrases: As `PHRASES`; sounds are keys of `VISEMES` or `SOUND`.
        seed: Of the sounds' uneven lengths.
    """
    times, shapes, spreads = [], [], []
    rng = np.random.default_rng(seed)
    for start, pace, sounds in phrases:
        at = start
        for sound in sounds:
            times.append(at)
            shapes.append(VISEMES[SOUND.get(sound, sound)])
            spreads.append(COARTICULATION)
            at += pace * rng.uniform(0.75, 1.2) * (1.2 if sound in "aoeu" else 0.9)
        for k in range(5):
            for silent in (start - 0.16 - 0.11 * k, at + 0.06 + 0.11 * k):
                times.append(silent)
                shapes.append(VISEMES["rest"])
                spreads.append(COARTICULATION)
    d = (t[:, None] - np.array(times)) / np.array(spreads)
    # Lips must meet for an m or an f, whatever stands beside it.
    firm = np.array([2.2 if "mouthRollLower" in shape else 1.0 for shape in shapes])
    influence = firm * np.exp(-0.5 * d**2) + 1e-12
    influence /= influence.sum(axis=1, keepdims=True) + 1e-6
    names = sorted({name for shape in shapes for name in shape})
    # Loud and quiet parts of the sentence.
    stress = 0.86 + 0.14 * np.sin(2 * np.pi * t / 0.9 + 0.6)
    return {name: stress * (influence @ np.array([shape.get(name, 0.0) for shape in shapes])) for name in names}


def blinks(t: np.ndarray, starts: tuple[float, ...] = BLINKS) -> np.ndarray:
    """Return how closed the lids are [T] at seconds `t`, which begin at 0 and step by 1 / `FPS`."""
    closed = np.zeros(len(t))
    for start in starts:
        closed = np.maximum(closed, bump(t, start, start + CLOSING, start + CLOSING + CLOSED,
                                          start + CLOSING + CLOSED + OPENING))
    # Frames are 40 ms apart: keep the one nearest to the blink's middle fully shut, as a shutter would have caught it.
    for start in starts:
        closed[int(round((start + CLOSING + CLOSED / 2) * FPS)) % len(t)] = 1
    return closed


def _look(t: np.ndarray, weights: dict[str, np.ndarray]) -> None:
    """Add gaze: saccades between targets, and the small drift of a fixation."""
    side, up = np.zeros(len(t)), np.zeros(len(t))
    previous = (0.0, 0.0)
    for start, x, y in GAZE:
        step = ease((t - start) / SACCADE)
        side += (x - previous[0]) * step
        up += (y - previous[1]) * step
        previous = (x, y)
    side += 0.35 * np.sin(2 * np.pi * t * 1.3) * np.sin(2 * np.pi * t / 10)
    up += 0.25 * np.sin(2 * np.pi * t * 0.9) * np.sin(2 * np.pi * t / 10)
    add_gaze(weights, side, up)


def add_gaze(weights: dict[str, np.ndarray], side: np.ndarray, up: np.ndarray) -> None:
    """Add a look of both eyes to ARKit weights [T]: degrees to the subject's left, and up."""
    degrees_side, degrees_up = np.degrees(0.50), np.degrees(0.38)
    weights["eyeLookOutLeft"] += np.maximum(side, 0) / degrees_side
    weights["eyeLookInRight"] += np.maximum(side, 0) / degrees_side
    weights["eyeLookInLeft"] += np.maximum(-side, 0) / degrees_side
    weights["eyeLookOutRight"] += np.maximum(-side, 0) / degrees_side
    for eye in ("Left", "Right"):
        weights[f"eyeLookUp{eye}"] += np.maximum(up, 0) / degrees_up
        weights[f"eyeLookDown{eye}"] += np.maximum(-up, 0) / degrees_up


def _head(t: np.ndarray) -> np.ndarray:
    """Return yaw, pitch and roll in degrees, [3, T]."""
    keys = np.array(HEAD)
    after = np.clip(np.searchsorted(keys[:, 0], t, side="right"), 1, len(keys) - 1)
    a, b = keys[after - 1], keys[after]
    eased = ease((t - a[:, 0]) / (b[:, 0] - a[:, 0]))
    pose = a[:, 1:] + (b - a)[:, 1:] * eased[:, None]
    sway = np.stack([0.5 * np.sin(2 * np.pi * t / 2.5), 0.4 * np.sin(2 * np.pi * t / 3.333), 0 * t], axis=1)
    return (pose + sway).T
