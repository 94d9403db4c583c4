"""FATE's baking in numbers: the paper's by default."""

import dataclasses
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Config:
    """Settings of a bake; the default is the `paper` preset."""

    source: str = ""
    """Folder of the trained run that is baked; set by `flameport bake`."""
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
    """Texels across the maps; a multiple of 16."""
    width: int = 64
    """Channels of the network's first level."""
    raster_size: int = 256
    """Also bake one Gaussian for each texel of a layout of this size, beside the run's own; 0 for none."""
    warmup: int = 0
    """Steps, before any picture is drawn, in which maps learn to be the run's own attributes where its Gaussians lie. Not
    in the paper; it is what makes a short bake possible."""
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

    perceptual_weight: float = 0.1
    """Of the perceptual loss, or of what the run has in its place."""
    scale_weight: float = 0.1
    """Of the hinge on the ratio of a Gaussian's longest to its shortest axis."""
    scale_ratio: float = 9.0
    """The ratio up to which that hinge is 0."""
    rotation_weight: float = 0.1
    """Of turns out of the triangle's plane, radians squared."""


PRESETS = {
    "paper": Config(),
    "demo": dataclasses.replace(Config(), steps=160, warmup=170, log_every=20, save_every=80, map_size=128, width=16,
                                raster_size=0, lr=1e-2, lr_final=0.1, refine=False, rotation_weight=0.0),
}
"""`paper`: as published, 512 maps. `demo`: the same graph at width 16 and 128 maps, for two processor cores."""
