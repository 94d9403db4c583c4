"""FlashAvatar's numbers: the paper's and its released trainer's by default."""

import dataclasses
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Config:
    """Settings of a FlashAvatar training run; the default is the `paper` preset."""

    steps: int = 150_000
    """Optimiser steps, one picture each."""
    size: int = 512
    """Pixels across the pictures; 0 for those of the data."""
    seed: int = 0
    """Of everything random."""
    background: Literal["white", "black", "random"] = "white"
    """What the pictures are composited on, and the avatar is drawn on. The released trainer's is green unless told otherwise."""
    log_every: int = 100
    """Steps between progress lines."""
    save_every: int = 5000
    """Steps between checkpoints."""

    close_mouth: bool = True
    """Close the opening between the lips with triangles of their own, on which the inside of the mouth rides."""
    mouth_offset: float = 0.0
    """Metres that Gaussians on those triangles start behind them."""
    tex_size: int = 128
    """Texels across the UV layout: a Gaussian on each, but for triangles at the neck's border (region `boundary`)."""
    init_opacity: float = 0.1
    """Opacity to start with."""
    init_color: Literal["gray", "pictures"] = "gray"
    """Colour to start with: grey; or what some training pictures show there."""
    color_views: int = 12
    """How many training pictures colours come from."""
    color_size: int = 256
    """Texels across the texture that they are gathered in."""
    sh_degree: int = 3
    """Degree of the spherical harmonics, at most."""
    sh_every: int = 500
    """Steps until a further degree joins; they begin with none."""
    frame: Literal["root", "corner"] = "root"
    """What Gaussians turn with: the head alone; or a rotation made from the triangle's first corner, which is added to their
    own (the Wasserstein variant; theirs is then the network's alone)."""
    hidden: int = 256
    """Width of the network's layers."""
    layers: int = 6
    """How many there are before the last."""
    init_offsets: float = 1.0
    """What the last layer's first weights are multiplied by: tanh reaches a metre."""

    rgb_weight: float = 1.0
    """Of the Huber distance of pictures, mean over pixels and channels."""
    huber_delta: float = 0.1
    """Differences below it count by their square, above it by their size."""
    mouth_weight: float = 40.0
    """Of the same of the mouth alone, mean over all pixels: an ellipse around the lips' ring as the tracking has it. (The
    released trainer reads masks of a face parser.)"""
    mouth_margin: float = 0.35
    """By how much of the lips' width the ellipse is larger on every side."""
    vgg_weights: str = ""
    """A file with VGG-16's ImageNet weights, as torchvision names them, for the perceptual loss; none without."""
    perceptual_weight: float = 0.05
    """Of the perceptual loss."""
    perceptual_from: int = 15_000
    """Step after which it counts."""

    wasserstein: bool = False
    """Keep Gaussians where they were a frame before: the Wasserstein variant's term."""
    wasserstein_weight: float = 5e-4
    """Of the squared 2-Wasserstein distance between each Gaussian and itself in the frame before, square millimetres, mean over
    Gaussians."""
    wasserstein_from: int = 15_000
    """Step after which it counts: a tenth of the training."""
    offset_weight: float = 0.0
    """Of the length of all offsets together (the Wasserstein variant: 0.0015), after the same step."""

    lr_color: float = 2.5e-3
    """Learning rate of SH's constant part."""
    lr_harmonics: float = 1.25e-4
    """Learning rate of the rest of SH."""
    lr_opacity: float = 0.05
    """Learning rate of opacity logits."""
    lr_scaling: float = 5e-3
    """Learning rate of log scales."""
    lr_rotation: float = 1e-3
    """Learning rate of quaternions."""
    lr_offsets: float = 1e-4
    """Learning rate of the network."""
    lr_offsets_final: float = 1e-4
    """What it has become, evenly in its logarithm, at the last step."""
    lr_frame_expr: float = 1e-3
    """Learning rate of a held-out frame's expression, when it is fitted."""
    lr_frame_pose: float = 2e-4
    """Learning rate of a held-out frame's rotations, radians."""
    lr_frame_camera: float = 1e-4
    """Learning rate of a held-out frame's camera translation, metres."""
    cuda_graph: bool = True
    """On CUDA, replay graphs instead of launching kernels one by one."""
    refit_steps: int = 50
    """Steps each held-out frame's tracking is fitted with before it is judged, when asked for."""


IN_STEPS = ("sh_every", "perceptual_from", "wasserstein_from")
"""Fields that count steps."""
DEMO = dataclasses.replace(
    Config(), steps=1500, size=256, log_every=50, save_every=500, tex_size=112, init_opacity=0.6, init_color="pictures",
    sh_degree=1, sh_every=500, hidden=64, layers=3, init_offsets=0.05, mouth_weight=8.0, wasserstein_from=150,
    perceptual_from=150, lr_color=0.02, lr_harmonics=2e-3, lr_opacity=0.03, lr_scaling=0.02, lr_rotation=5e-3, lr_offsets=3e-3,
    lr_offsets_final=3e-4)

PRESETS = {
    "paper": Config(),
    "wasserstein": dataclasses.replace(Config(), wasserstein=True, frame="corner", offset_weight=0.0015, lr_offsets=8e-4,
                                       lr_offsets_final=1.6e-6),
    "demo": DEMO,
}
"""`paper`: FlashAvatar as published. `wasserstein`: its variant's schedule, with the term that the published one names and never
trains. `demo`: two processor cores, some minutes."""
