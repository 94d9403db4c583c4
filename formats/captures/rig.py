"""Calibrated cameras around the head that all see every moment: NeRSemble's stand, four of its sixteen cameras.

Serial numbers are NeRSemble's, in sorted order; which one stands where is ours, but for the front. Two cameras stand at the
unseen angles of `action.ANGLES`. The rig is turned as a whole so that its cameras' mean orientation is the world's axes, as
VHAP's is after its alignment.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from formats.captures.action import ANGLES, HELD_OUT
from formats.captures.tracking import Tracked, around, lens_matrix, standing
from formats.rotations import polar_rotation
from formats.sequence import Sequence

FRONT = "222200037"


@dataclass(frozen=True)
class Stand:
    """One camera: its serial number, degrees that it stands to the subject's left and above, and its focal length's factor."""

    serial: str
    left: float
    above: float
    zoom: float = 1.0


STANDS = (Stand("220700191", *ANGLES[0]), Stand(FRONT, 0, 0), Stand("222200039", -14, 6), Stand("222200046", *ANGLES[1]))


@dataclass(frozen=True)
class Rig:
    """Which cameras film which take, and how much of the time is for testing."""

    stands: tuple[Stand, ...] = STANDS
    train: tuple[str, ...] = tuple(stand.serial for stand in STANDS)
    """Serial numbers of the cameras that film the training take; all film the test take."""
    unseen: tuple[str, ...] = (STANDS[0].serial, STANDS[-1].serial)
    """Serial numbers of the cameras that are for testing: those at the unseen angles, where the layout does not say."""
    held_out: float = HELD_OUT

    def held(self, frames: int) -> int:
        """Return how many of `frames` moments, the last ones, are for testing."""
        return frames - int(np.ceil((1 - self.held_out) * frames - 1e-9))


RIGS = {
    # VHAP's export takes the first 70 % of the time, rounded up, for training, and keeps one camera back, here the last.
    "vhap": Rig(unseen=(STANDS[-1].serial,), held_out=0.3),
    "nersemble": Rig(),
    # Every camera has a lens of its own there, and only the front one's pictures are given out.
    "nersemble-benchmark": Rig(tuple(dataclasses.replace(stand, zoom=zoom)
                                     for stand, zoom in zip(STANDS, (0.97, 1.0, 1.03, 0.95), strict=True)), (FRONT,),
                               tuple(stand.serial for stand in STANDS if stand.serial != FRONT)),
    "gaussian-head-avatar": Rig(),
}
"""Layouts with more than one camera."""


def cameras_of(rig: Rig, size: int) -> tuple[Float64[np.ndarray, "C 3 3"], Float64[np.ndarray, "C 4 4"]]:
    """Return K and world-to-camera matrices (OpenCV axes) for square pictures of `size` pixels."""
    turns = np.stack([around(stand.left, stand.above) for stand in rig.stands])
    straight = polar_rotation(turns.mean(axis=0)).T
    lenses = np.stack([np.diag([stand.zoom, stand.zoom, 1]) @ lens_matrix(size) for stand in rig.stands])
    lenses[:, :2, 2] = lens_matrix(size)[:2, 2]
    return lenses, np.stack([standing(straight @ turn, size) for turn in turns])


def filmed(tracked: Tracked, rig: Rig, cut: int, size: int) -> tuple[Tracked, np.ndarray]:
    """Return rows of moments and cameras instead of moments, moment by moment, and which moment each row is.

    Args:
        tracked: T moments.
        rig: Who films.
        cut: So many moments are for training.
        size: Pixels of the square pictures.
    """
    serials = [stand.serial for stand in rig.stands]
    train = [serials.index(serial) for serial in rig.train]
    count = len(tracked.truth)
    moment = np.concatenate([np.repeat(np.arange(cut), len(train)), np.repeat(np.arange(cut, count), len(serials))])
    camera = np.concatenate([np.tile(train, cut), np.tile(np.arange(len(serials)), count - cut)]).astype(int)
    lenses, stands = cameras_of(rig, size)

    def rows(sequence: Sequence) -> Sequence:
        taken = sequence.take(moment)
        return dataclasses.replace(taken, cameras={**taken.cameras, "K": lenses[camera], "world_to_camera": stands[camera]})

    return Tracked(rows(tracked.truth), rows(tracked.found), tracked.shoulders[moment]), moment
