"""What a film of the stand-in consists of: the nouns between the scene that draws it and the layouts that store it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from formats.head_model import HeadModel
from formats.sequence import Sequence

LABELS = ("background", "skin", "left_brow", "right_brow", "left_eye", "right_eye", "left_ear", "right_ear", "nose",
          "mouth", "upper_lip", "lower_lip", "neck", "cloth", "hair")
"""What a pixel of `Shot.labels` shows, by number; left and right are the subject's."""


@dataclass(frozen=True, eq=False)
class Shot:
    """One moment as the camera saw it, and what a careful tracker and matting would have found. Pictures are display sRGB."""

    rgb: UInt8[np.ndarray, "H W 3"]
    """The whole person, clothing included, before a room."""
    matte: UInt8[np.ndarray, "H W"]
    """The whole person, 255 inside."""
    head_rgba: UInt8[np.ndarray, "H W 4"]
    """The person without clothing, straight alpha: what trainers learn from."""
    labels: UInt8[np.ndarray, "H W"]
    """Index into `LABELS`."""
    depth: Float32[np.ndarray, "H W"]
    """View-space depth of the mesh, metres, 0 where there is none; the mouth is sealed."""
    vertices: Float32[np.ndarray, "V 3"]
    """The tracked head, posed, world space, metres."""
    landmarks: Float32[np.ndarray, "68 2"]
    """FLAME's landmarks as seen, pixels: 17 of the jaw's outline, then the 51 static ones."""
    irises: Float32[np.ndarray, "2 2"]
    """Centres of the left and right iris, pixels."""


@dataclass(frozen=True, eq=False)
class Take:
    """One split of a film. `shoot(i)` draws the moment `i`, on demand: a film does not fit in memory."""

    split: str
    """`train` or `test`."""
    sequence: Sequence
    """What the tracker found: T rows with cameras and the person's shape, in the coefficients the layout can carry."""
    labels: tuple[str, ...]
    """What each moment is held out for, or shows: `talk`, `expression`, `angle`, ..."""
    shoot: Callable[[int], Shot]
    cameras: tuple[str, ...] = ()
    """Serial numbers of a rig's cameras, sorted. All of them see every moment, so the rows run moment by moment:
    row = moment * len(cameras) + camera. Empty for one camera that moves."""

    @property
    def views(self) -> int:
        """Rows of a moment."""
        return max(len(self.cameras), 1)

    @property
    def moments(self) -> Sequence:
        """One row a moment, the first camera's."""
        return self.sequence.take(np.arange(0, len(self.sequence), self.views))


@dataclass(frozen=True, eq=False)
class Film:
    """A person filmed for a trainer."""

    name: str
    """Of the subject, fit for a folder name: `standin0`."""
    seed: int
    head: HeadModel
    """What trackers and trainers are given: the open-mouth stand-in head with identity directions, without the person's
    shape put in. 5023 vertices."""
    takes: tuple[Take, ...]
    """`train`, then `test`."""
    fps: float
    held_out_cameras: tuple[str, ...] = ()
    """Serial numbers of a rig's cameras that nobody should train on."""
