"""Proof for PLYs, one or a numbered series: read back and compared with the still that each is most like."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from exporter import stills
from exporter.capabilities import fit
from exporter.targets import ply as target
from exporter.targets.spz import turns
from exporter.validation_report import Measure, ValidationReport
from formats.avatar import Avatar
from formats.codecs import inria_ply
from formats.errors import CheckpointMismatch, UnsupportedFeature
from formats.gaussians import GaussianCloud

METRES = 1e-5
RELATIVE = 1e-4
TINY_SCALE = 1e-6
"""Metres; thinner Gaussians are not compared in scale."""


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
    tell, fitted = progress or (lambda _: None), fit(avatar, target.CAPABILITIES)
    if not Path(path).is_dir():
        tell("reading back")
        measures, name = _one(Path(path), fitted.avatar, None)
        return ValidationReport(f"ply, {name}", tuple(measures), fitted.losses)
    found: list[list[Measure]] = []
    for number, file in stills.spread(Path(path), target.SUFFIX, frames):
        tell(f"reading back {file.name}")
        found.append(_one(file, fitted.avatar, number)[0])
    return ValidationReport("ply, numbered frames", tuple(worst(found)), fitted.losses)


def worst(found: list[list[Measure]]) -> Iterator[Measure]:
    """Give, of measures of several files, the worst of each kind."""
    for same in zip(*found, strict=True):
        yield (min if same[0].at_least else max)(same, key=lambda measure: measure.value)


def _one(path: Path, avatar: Avatar, frame: int | None) -> tuple[list[Measure], str]:
    back = inria_ply.read(path)
    best: tuple[float, str, GaussianCloud] | None = None
    for name, cloud in _candidates(avatar, frame):
        if len(cloud) != len(back):
            raise CheckpointMismatch(f"{path}: {len(back)} Gaussians, the bundle gives {len(cloud)}; was it made from "
                                     "this bundle?")
        off = float(np.linalg.norm(cloud.means.astype(np.float64) - back.means, axis=1).max(initial=0))
        off += float(turns(cloud, back).max(initial=0))
        if best is None or off < best[0]:
            best = off, name, cloud
        if best[0] < METRES:
            break
    if best is None:
        raise UnsupportedFeature(f"{path}: the bundle gives no still to compare with")
    return list(_measures(best[2], back)), best[1]


def _candidates(avatar: Avatar, frame: int | None) -> Iterator[tuple[str, GaussianCloud]]:
    if frame is None and len(avatar.layers) == 1:
        try:
            yield "as stored", target.still(avatar, target.Options(local=True))
        except UnsupportedFeature:
            pass  # its layer is of strands
    yield from stills.candidates(avatar, frame, "ply")


def _measures(cloud: GaussianCloud, back: GaussianCloud) -> Iterator[Measure]:
    off = float(np.linalg.norm(cloud.means.astype(np.float64) - back.means, axis=1).max(initial=0))
    thick = cloud.scales > TINY_SCALE
    relative = np.abs(back.scales[thick].astype(np.float64) / cloud.scales[thick] - 1)
    bands = max(cloud.sh.shape[1], back.sh.shape[1])
    a, b = (np.pad(each.sh, ((0, 0), (0, bands - each.sh.shape[1]), (0, 0))) for each in (cloud, back))
    yield Measure("Gaussian means", off * 1e3, "mm", METRES * 1e3)
    yield Measure("Gaussian rotations", float(turns(cloud, back).max(initial=0)), "rad", RELATIVE)
    yield Measure("Gaussian scales", float(relative.max(initial=0)), "relative", RELATIVE)
    yield Measure("Gaussian opacities", float(np.abs(cloud.opacities - back.opacities).max(initial=0)), "", RELATIVE)
    yield Measure("Gaussian colours (SH)", float(np.abs(a - b).max(initial=0)), "", RELATIVE)
