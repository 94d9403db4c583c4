"""FATE's baking in numbers: the paper's by default."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from formats.errors import FormatError
from trainers import settings


@dataclass(frozen=True)
class Config:
    """Settings of a bake; the default is the `paper` preset. Pictures are compared by the run's own terms and weights, which
    are the paper's in a run of its preset; what is below is added to them."""

    source: str = ""
    """Folder of the trained run that is baked; set by `flameport bake`, anew where a bake goes on."""
    steps: int = 0
    """Optimiser steps, one picture each; 0 for `epochs`."""
    epochs: int = 5
    """Times every training picture is shown, where `steps` is 0."""
    size: int = 0
    """Pixels across the pictures; 0 for those the run was trained at."""
    seed: int = 42
    """Of the noise and of everything else random."""
    background: Literal["white", "black", "random"] = "white"
    """What pictures are composited on."""
    log_every: int = 100
    """Steps between progress lines."""
    save_every: int = 2000
    """Steps between checkpoints."""

    map_size: int = 512
    """Texels across the maps; a multiple of 16, from 32."""
    albedo_size: int = 512
    """Texels across the albedo, which is gathered from pictures of the baked avatar."""
    width: int = 64
    """Channels of the network's first level."""
    raster_size: int = 256
    """Also bake one Gaussian for each texel of a layout of this size, beside the run's own; 0 for none."""
    start: Literal["noise", "run"] = "noise"
    """What maps are at first. `noise`: whatever the new network makes of its noise, as in the paper. `run`: the run's own
    attributes, laid out texel by texel, which the network (its last layer zero at first) corrects; not in the paper, and
    what makes a short bake possible."""
    size_room: float = 1.0
    """How many standard deviations above the mean log size of the run's Gaussians baked ones may be; 1 in the paper. Few
    and large Gaussians, as hair takes at low resolutions, need more."""
    lr: float = 1e-3
    """Learning rate of the network."""
    lr_final: float = 1.0
    """The rate is multiplied by a factor that falls evenly in its logarithm from 1 to this over all steps; the authors'
    is constant."""
    refine: bool = True
    """Go on learning the corrections of each frame's tracking, as the authors do (they begin from the raw tracking, we from
    what the run learned)."""
    keep_weight: float = 0.0
    """Of the squared distance between looked-up maps and the run's own attributes, while pictures are drawn."""

    scale_weight: float = 0.1
    """Of the hinge on the ratio of a Gaussian's longest to its shortest axis."""
    scale_ratio: float = 9.0
    """The ratio up to which that hinge is 0."""
    rotation_weight: float = 0.1
    """Of turns out of the triangle's plane, radians squared."""


PRESETS = {
    "paper": Config(),
    "demo": dataclasses.replace(Config(), steps=160, log_every=20, save_every=80, map_size=128, width=16, start="run",
                                size_room=4.0, raster_size=0, lr=3e-3, lr_final=0.1, refine=False, rotation_weight=0.0),
}
"""`paper`: as published, 512 maps. `demo`: the same graph at width 16 and 128 maps, for two processor cores."""


def check(config: Config) -> None:
    """Raise `FormatError` unless a bake can follow these settings."""
    settings.check(config)
    if config.map_size % 16 or config.map_size < 32:
        raise FormatError(f"--set map_size={config.map_size}: expected a multiple of 16, from 32")
    if 0 < config.raster_size < 16:
        raise FormatError(f"--set raster_size={config.raster_size}: expected 0 for none, or a whole number from 16")
    for name, low in (("width", 1), ("albedo_size", 16), ("raster_size", 0), ("keep_weight", 0),
                      ("scale_weight", 0), ("rotation_weight", 0), ("scale_ratio", 1)):
        if getattr(config, name) < low:
            raise FormatError(f"--set {name}={getattr(config, name)}: expected a number from {low}")
    for name in ("lr", "lr_final", "size_room"):
        if getattr(config, name) <= 0:
            raise FormatError(f"--set {name}={getattr(config, name)}: expected a number above 0")
