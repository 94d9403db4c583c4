"""Several cameras that see one moment: which of them, and which moments, are held out. Rows come moment by moment.

Layouts without a split of their own get VHAP's: the first 70 % of the moments are learned from, by all cameras but one; the
others are the test, by all cameras. The camera that is kept from training is NeRSemble's frontal one where it is there, else
the ninth, else the last; a lone camera is always used. What `flameport capture` held out is held out as its tag says.
"""

import math
from collections.abc import Sequence as Series

FRONT, NINTH = "222200037", 8
TRAINED = 0.7
"""Share of the moments."""


def kept_camera(serials: Series[str]) -> str | None:
    """Return the camera that is kept from training, None when there is only one."""
    if len(serials) < 2:
        return None
    return FRONT if FRONT in serials else serials[NINTH] if len(serials) > NINTH else serials[-1]


def front_camera(serials: Series[str]) -> str:
    """Return the camera that a clip of motion is shown by."""
    return kept_camera(serials) or serials[0]


def kept_cameras(serials: Series[str], told: Series[str] = ()) -> tuple[str, ...]:
    """Return the cameras that are kept from training: those that are `told`, where others are left, else `kept_camera`."""
    if told and set(serials) - set(told):
        return tuple(serial for serial in serials if serial in told)
    kept = kept_camera(serials)
    return () if kept is None else (kept,)


def moments(count: int, split: str, trained: int | None = None) -> range:
    """Return the indices of a split's moments out of `count`, the first `trained` or 70 % of which are learned from; every
    split has at least one where there are two."""
    first = trained if trained is not None else min(math.ceil(TRAINED * count), max(count - 1, 1))
    return range(first) if split == "train" else range(first, count)
