"""Proof for PLYs, one or a numbered series: read back and compared with the still that each is most like."""

from collections.abc import Callable, Iterator
from pathlib import Path

from exporter import stills
from exporter.stills_check import check_stills
from exporter.targets import ply as target
from exporter.validate import cloud_errors, cloud_measures
from exporter.validation_report import Measure, ValidationReport, largest_distance
from formats.avatar import Avatar
from formats.codecs import inria_ply
from formats.errors import CheckpointMismatch, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.rotations import quat_angle

METRES = 1e-5


def check(path: Path, avatar: Avatar, frames: int = 10, progress: Callable[[str], None] | None = None) -> ValidationReport:
    """Return how far a PLY, or a folder of numbered ones, is from `avatar`.

    Args:
        path: What `export ply` wrote.
        avatar: The bundle it was made from.
        frames: How many files of a series to look at, spread over it.
        progress: Told what is going on.

    Raises:
        FormatError: It is damaged.
        CheckpointMismatch: It has another number of Gaussians, or shows a frame that the clip has not.
        UnsupportedFeature: The avatar has no such still.
    """
    return check_stills("ply", path, avatar, target, _one, frames, progress)


def _one(path: Path, avatar: Avatar, frame: int | None) -> tuple[list[Measure], str]:
    back = inria_ply.read(path)
    best: tuple[float, str, GaussianCloud] | None = None
    for name, cloud in _candidates(avatar, frame):
        if len(cloud) != len(back):
            raise CheckpointMismatch(f"{path}: {len(back)} Gaussians, the bundle gives {len(cloud)}; was it made from "
                                     "this bundle?")
        off = largest_distance(cloud.means, back.means)
        off += float(quat_angle(cloud.quats, back.quats).max(initial=0))
        if best is None or off < best[0]:
            best = off, name, cloud
        if best[0] < METRES:
            break
    if best is None:
        raise UnsupportedFeature(f"{path}: the bundle gives no still to compare with")
    return cloud_measures(cloud_errors(best[2], back), METRES), best[1]


def _candidates(avatar: Avatar, frame: int | None) -> Iterator[tuple[str, GaussianCloud]]:
    if frame is None and len(avatar.layers) == 1:
        try:
            yield "as stored", target.still(avatar, target.Options(local=True))
        except UnsupportedFeature:
            pass  # its layer is of strands
    yield from stills.candidates(avatar, frame, "ply")
