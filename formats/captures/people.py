"""Who is filmed: identity coefficients, colours and hair of a person, by seed. 0, 1 and 2 were chosen to differ most."""

from dataclasses import dataclass, field

import numpy as np

from formats.standin import identity
from formats.standin.skin import color

SPREAD = 0.16
"""Standard deviation of the identity coefficients beyond the named ones: small features of a face."""


@dataclass(frozen=True)
class Person:
    """One subject. Colours are 8-bit display sRGB."""

    seed: int
    skin: tuple[int, int, int]
    lips: tuple[int, int, int]
    hair: tuple[int, int, int]
    brows: tuple[int, int, int]
    iris: tuple[int, int, int]
    shirt: tuple[int, int, int]
    shape: dict[str, float] = field(default_factory=dict)
    """Identity coefficients by the names in `formats.standin.identity`."""
    hair_length: float = 1.0
    hair_volume: float = 1.0
    hair_share: float = 0.31
    """Of all Gaussians."""
    brow_share: float = 0.014
    freckles: float = 0.3
    """0 none .. 1 many."""
    stubble: float = 0.0
    """0 shaven .. 1 three days."""
    gloss: float = 1.0
    """How much the skin shines."""


CAST = (
    Person(0, (236, 192, 170), (204, 118, 110), (122, 62, 32), (104, 58, 36), (92, 124, 84), (58, 84, 108),
           {"head width": -0.9, "head height": 0.5, "jaw width": -1.1, "chin forward": 0.3, "nose length": -0.9,
            "nose width": -0.7, "bridge": -0.5, "brow ridge": -0.9, "cheekbone": 0.9, "cheek fat": 0.3,
            "lip fullness": 0.9, "mouth width": -0.3, "neck width": -0.9, "size": -0.4},
           hair_length=1.8, hair_volume=1.25, hair_share=0.36, freckles=1.0),
    Person(1, (128, 84, 62), (128, 72, 68), (24, 20, 20), (22, 18, 18), (64, 38, 22), (150, 132, 104),
           {"head width": 0.5, "head height": -0.3, "head depth": 0.6, "jaw width": 1.2, "chin forward": 0.7,
            "chin length": 0.6, "nose width": 2.0, "bridge": -1.0, "brow ridge": 1.1, "cheekbone": 0.6,
            "lip fullness": 2.0, "mouth width": 1.1, "forehead slope": 0.6, "ear size": 0.4, "neck width": 0.5},
           hair_length=0.42, hair_volume=0.85, brow_share=0.018, freckles=0.1, stubble=0.45, gloss=1.5),
    Person(2, (242, 204, 186), (206, 138, 126), (186, 150, 100), (150, 116, 82), (96, 136, 172), (96, 52, 58),
           {"head width": 0.9, "head height": 0.4, "jaw width": 0.3, "chin length": 1.2, "nose length": 1.6,
            "nose width": 0.3, "bridge": 1.8, "brow ridge": 0.4, "cheekbone": -1.2, "cheek fat": 1.4,
            "eye spacing": -0.6, "lip fullness": -1.3, "mouth width": 0.4, "ear size": 1.6, "back of head": 0.8},
           hair_length=0.85, hair_volume=0.75, hair_share=0.27, freckles=0.12, stubble=0.5, gloss=0.9),
)
"""The three who appear in tests and demos."""

SKINS = ((240, 200, 180), (230, 184, 156), (206, 156, 124), (176, 124, 92), (140, 94, 68), (104, 68, 52))
HAIRS = ((24, 20, 20), (46, 32, 26), (78, 52, 36), (118, 64, 36), (170, 130, 86), (150, 146, 142))
IRISES = ((60, 36, 22), (88, 60, 34), (104, 112, 70), (92, 124, 84), (96, 136, 172), (120, 130, 138))
SHIRTS = ((58, 84, 108), (150, 132, 104), (96, 52, 58), (60, 92, 70), (70, 70, 76), (170, 168, 160))


def person(seed: int) -> Person:
    """Return the person of that number."""
    if 0 <= seed < len(CAST):
        return CAST[seed]
    rng = np.random.default_rng([seed & 0xFFFFFFFF, 7100])
    # Dark skin comes with dark hair and eyes; light skin with any.
    tone = int(rng.integers(len(SKINS)))
    pick = np.array(SKINS[tone])
    skin = tuple(int(v) for v in np.clip(pick + rng.integers(-6, 7, 3), 0, 255))
    hair = HAIRS[int(rng.integers(2 if tone >= 3 else len(HAIRS)))]
    brows = tuple(int(v) for v in np.array(hair) * 0.8)
    lips = tuple(int(v) for v in np.clip(pick * (0.86, 0.64, 0.66), 0, 255))
    shape = {name: float(v) for name, v in zip(identity.NAMES, rng.normal(0, 0.75, len(identity.NAMES)).clip(-1.6, 1.6),
                                               strict=True)}
    iris = IRISES[int(rng.integers(2 if tone >= 3 else len(IRISES)))]
    cloth = SHIRTS[int(rng.integers(len(SHIRTS)))]
    return Person(seed, skin, lips, hair, brows, iris, cloth, shape,  # type: ignore[arg-type]
                  float(rng.uniform(0.45, 1.5)), float(rng.uniform(0.75, 1.25)), freckles=float(rng.random() ** 2),
                  stubble=float(rng.random() * (rng.random() < 0.5)), gloss=float(rng.uniform(0.8, 1.5)))


def shape_of(who: Person, count: int) -> np.ndarray:
    """Return the person's first `count` identity coefficients: the named ones, then small random ones."""
    rng = np.random.default_rng([who.seed & 0xFFFFFFFF, 7101])
    values = rng.normal(0, SPREAD, identity.COUNT).clip(-2 * SPREAD, 2 * SPREAD)
    values[:len(identity.NAMES)] = [who.shape.get(name, 0.0) for name in identity.NAMES]
    return values[:count].astype(np.float32)


def linear(rgb: tuple[int, int, int]) -> np.ndarray:
    """Return linear RGB of an 8-bit display colour."""
    return color(*rgb)
