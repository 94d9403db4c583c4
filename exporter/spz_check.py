"""Proof for SPZ: read it back and compare it with the still of the bundle that it is most like; a file does not say which."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from exporter import stills
from exporter.stills_check import check_stills
from exporter.targets import spz as target
from exporter.validation_report import Measure, ValidationReport, decibels, largest_distance
from formats.avatar import Avatar
from formats.codecs import spz
from formats.errors import CheckpointMismatch, UnsupportedFeature
from formats.files import read_bytes
from formats.gaussians import GaussianCloud
from formats.rotations import quat_angle

Progress = Callable[[str], None]
TURN = np.deg2rad(0.35)
"""What rotations may be off: the format's 10 bits, with the largest component made up for."""
SCALE = np.exp(1 / 32) - 1 + 1e-4
"""What scales inside the format's range may be off: half a step of 1/16 in the logarithm."""
OPACITY, COLOR = 0.5 / 255 + 1e-5, 0.5 / (0.15 * 255) + 1e-5
PICTURE_DB = 38.0


def check(path: Path, avatar: Avatar, frames: int = 10, progress: Callable[[str], None] | None = None) -> ValidationReport:
    """Return how far an SPZ, or a folder of numbered ones, is from `avatar`.

    Args:
        path: What `export spz` wrote.
        avatar: The bundle it was made from.
        frames: How many files of a series to look at, spread over it.
        progress: Told what is going on.

    Raises:
        FormatError: It is damaged.
        CheckpointMismatch: It has another number of Gaussians.
        UnsupportedFeature: The avatar has no such still.
    """
    return check_stills("spz", path, avatar, target, _one, frames, progress)


def _one(path: Path, avatar: Avatar, frame: int | None) -> tuple[list[Measure], str]:
    data = read_bytes(path)
    header, back = spz.header_of(data, str(path)), spz.parse(data, str(path))
    best: tuple[float, str, GaussianCloud, GaussianCloud, float] | None = None
    for name, cloud in stills.candidates(avatar, frame, "spz"):
        if len(cloud) != len(back):
            raise CheckpointMismatch(f"{path}: {len(back)} Gaussians, the bundle gives {len(cloud)}; was it made from "
                                     "this bundle?")
        scale = _scale(cloud, back)
        metric = target.scaled(back, 1 / scale)
        off = largest_distance(cloud.means, metric.means)
        if best is None or off < best[0]:
            best = off, name, cloud, metric, scale
        if best[0] < 4 * target.KEPT:
            break
    if best is None:
        raise UnsupportedFeature(f"{path}: the bundle gives no still to compare with")
    off, name, cloud, back, scale = best
    inside = (cloud.scales >= np.exp(-10) / scale) & (cloud.scales <= np.exp(255 / 16 - 10) / scale)
    relative = np.abs(back.scales[inside] / cloud.scales[inside].astype(np.float64) - 1).max(initial=0)
    seen = np.abs(cloud.sh[:, 0]) < 3.3
    bands = min(cloud.sh.shape[1], back.sh.shape[1])
    measures = [
        Measure("Gaussian means", off * 1e3, "mm", target.KEPT * 1e3),
        Measure("reach of positions", header.reach / scale, "m"),
        Measure("Gaussian rotations", float(quat_angle(cloud.quats, back.quats).max(initial=0)), "rad", float(TURN)),
        Measure("Gaussian scales", float(relative), "relative", float(SCALE)),
        Measure("scales out of the format's range", float((~inside).sum()), ""),
        Measure("Gaussian opacities", float(np.abs(cloud.opacities - back.opacities).max(initial=0)), "", OPACITY),
        Measure("Gaussian colours (SH, DC)", float(np.abs((cloud.sh - back.sh[:, :bands])[:, 0][seen]).max(initial=0))
                if bands == cloud.sh.shape[1] else 0.0, "", COLOR),
        Measure("Gaussian colours (SH, rest)", float(np.abs(cloud.sh[:, 1:bands] - back.sh[:, 1:bands]).max(initial=0)), ""),
        Measure("SH degrees missing", float(max(cloud.sh_degree - back.sh_degree, 0)), "", 0),
        Measure("picture", decibels(stills.picture_psnr(avatar, cloud, back)), "dB", PICTURE_DB, at_least=True)]
    return measures, name if scale == 1 else f"{name}, {scale:g} units a metre"


def _scale(cloud: GaussianCloud, back: GaussianCloud) -> float:
    """Return how many units of the file a metre has, which it does not say: by how far the Gaussians spread; 1 when near 1."""
    spread = [float(np.linalg.norm(c.means - c.means.mean(axis=0), axis=1).mean()) if len(c) else 1.0 for c in (cloud, back)]
    ratio = spread[1] / spread[0] if spread[0] > 0 else 1.0
    return 1.0 if abs(ratio - 1) < 0.2 else float(f"{ratio:.3g}")
