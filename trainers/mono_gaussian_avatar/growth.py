"""How many points there are when, and how large: MonoGaussianAvatar's schedule, by epochs."""

import math

from formats.errors import FormatError
from trainers.mono_gaussian_avatar.config import Config

SHRINK, SHRINK_LITTLE = 0.75, 0.9
"""Of what is added to scales when points become at least half as many more, and when fewer."""


def check(config: Config) -> None:
    """Raise `FormatError` unless the schedule is one."""
    points, epochs = config.points, config.growth_epochs
    if len(points) != len(epochs) or not points or min(points) < 1 or epochs[0] != 0 or list(epochs) != sorted(set(epochs)):
        told = " and ".join(f"{k}={','.join(map(str, v))}" for k, v in (("points", points), ("growth_epochs", epochs)))
        raise FormatError(f"--set {told}: expected as many of both, and epochs that begin with 0 and rise")
    if config.epoch_steps < 1 or config.late_every < 1 or config.nearest_every < 1:
        raise FormatError("--set epoch_steps, late_every and nearest_every: expected whole numbers from 1")
    if config.geometry_width < 48:
        raise FormatError(f"--set geometry_width={config.geometry_width}: expected 48 or more; an encoded point of 39 numbers "
                          "comes in again beside what a layer gives")


def count_at(config: Config, epoch: int) -> int:
    """Return how many points there are to be from the beginning of an epoch on."""
    return [n for n, first in zip(config.points, config.growth_epochs, strict=True) if first <= epoch][-1]


def spread_at(config: Config, epoch: int) -> float:
    """Return what is added to scales in an epoch, metres."""
    spread = config.spread * SHRINK ** math.log2(config.points[0] / 100)
    for before, after, first in zip(config.points, config.points[1:], config.growth_epochs[1:], strict=False):
        if first <= epoch:
            spread *= SHRINK if after >= 1.5 * before else SHRINK_LITTLE
    return spread * SHRINK ** (max(epoch - config.growth_epochs[-1], 0) // config.late_every)


def lbs_weight_at(config: Config, epoch: int) -> float:
    """Return the weight of the distance from FLAME's own blendshapes and skinning."""
    return config.lbs_weight / 2 ** sum(first <= epoch for first in config.lbs_halved)
