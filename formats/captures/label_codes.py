"""What segmentation pictures call the parts of a person: each layout's numbers for `shots.LABELS`, and masks made of them.

Left and right are the subject's.
"""

import numpy as np
from jaxtyping import UInt8

from formats.captures.shots import LABELS

CELEBA = {"background": 0, "skin": 1, "left_brow": 2, "right_brow": 3, "left_eye": 4, "right_eye": 5, "left_ear": 7,
          "right_ear": 8, "nose": 10, "mouth": 11, "upper_lip": 12, "lower_lip": 13, "neck": 14, "cloth": 16, "hair": 17}
"""CelebAMask-HQ's 19 ids as face parsers number them; the stand-in wears no glasses (6), earrings (9), necklace (15) or
hat (18)."""

INSTA = {"background": 0, "skin": 250, "left_brow": 240, "right_brow": 230, "left_eye": 210, "right_eye": 200,
         "left_ear": 180, "right_ear": 170, "nose": 150, "mouth": 140, "upper_lip": 130, "lower_lip": 120, "neck": 110,
         "cloth": 90, "hair": 80}
"""Red values of INSTA's seg_mask; green and blue are 0."""

COLORS = {"background": (0, 0, 0), "skin": (224, 172, 140), "left_brow": (120, 80, 30), "right_brow": (150, 110, 40),
          "left_eye": (60, 130, 230), "right_eye": (70, 190, 240), "left_ear": (230, 120, 90), "right_ear": (240, 150, 60),
          "nose": (250, 205, 80), "mouth": (120, 20, 40), "upper_lip": (220, 50, 70), "lower_lip": (245, 95, 130),
          "neck": (180, 130, 200), "cloth": (60, 160, 90), "hair": (90, 70, 130)}
"""For people to look at; nothing reads them."""


def recode(labels: UInt8[np.ndarray, "H W"], codes: dict[str, int]) -> UInt8[np.ndarray, "H W"]:
    """Return `labels` (indices into `LABELS`) in another numbering, `CELEBA` or `INSTA`."""
    return np.array([codes[name] for name in LABELS], np.uint8)[labels]


def colored(labels: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Return `labels` in `COLORS`."""
    return np.array([COLORS[name] for name in LABELS], np.uint8)[labels]


def red_only(codes: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Return a picture whose red is `codes`, as INSTA's seg_mask."""
    picture = np.zeros((*codes.shape, 3), np.uint8)
    picture[..., 0] = codes
    return picture


def mouth_mask(labels: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """Return 255 on the lips and between them: FlashAvatar's `_mouth`, CelebAMask 11, 12 and 13."""
    return _mask(labels, "mouth", "upper_lip", "lower_lip")


def neckhead_mask(labels: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """Return 255 on the person without clothing: FlashAvatar's `_neckhead`, CelebAMask 1..17 without 16."""
    return 255 - _mask(labels, "background", "cloth")


def shows(labels: UInt8[np.ndarray, "H W"], name: str) -> bool:
    """Tell whether any pixel shows the part `name`."""
    return bool((labels == LABELS.index(name)).any())


def _mask(labels: np.ndarray, *names: str) -> np.ndarray:
    return np.where(np.isin(labels, [LABELS.index(name) for name in names]), 255, 0).astype(np.uint8)
