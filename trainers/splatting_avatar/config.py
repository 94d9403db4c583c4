"""SplattingAvatar's numbers: the paper's by default, with what it leaves open as the authors' code for heads has it."""

import dataclasses
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Config:
    """Settings of a SplattingAvatar training run; the default is the `paper` preset. Lengths are in units of `unit`."""

    steps: int = 30_000
    """Optimiser steps, one picture each."""
    size: int = 512
    """Pixels across the pictures; 0 for those of the data."""
    seed: int = 9061
    """Of everything random."""
    background: Literal["white", "black", "random"] = "random"
    """What the pictures are composited on while training; the avatar is judged on white."""
    log_every: int = 100
    """Steps between progress lines."""
    save_every: int = 5000
    """Steps between checkpoints."""

    unit: float = 0.25
    """Metres in a unit: the authors' heads are four times life size, and their floors and log scales are not free of it.
    FATE's version of the system has 1."""
    count: int = 10_000
    """Gaussians to start with, each on a triangle drawn evenly from all."""
    init_opacity: float = 0.1
    """Opacity to start with."""
    init_color: Literal["gray", "pictures"] = "gray"
    """Colour to start with: 0.5, or what some training pictures show there."""
    color_views: int = 12
    """How many training pictures colours come from."""
    color_size: int = 256
    """Texels across the texture that they are gathered in."""
    mesh_scaling: bool = True
    """Multiply log scales by how much the triangle's area has grown since the first frame."""

    walk: Literal["paper", "released"] = "paper"
    """`paper`: places are learned across the surface too, and walk on over triangles' edges. `released`: pictures give no
    gradient along the surface, as in the authors' code, so that Gaussians only walk when they are split."""
    walk_every: int = 100
    """Steps between walks."""

    l1_weight: float = 1.0
    """Of the mean absolute difference of pictures."""
    l2_weight: float = 10.0
    """Of their mean squared difference."""
    lpips_backbone: str = ""
    """A file with AlexNet's (or VGG-16's) ImageNet weights, as torchvision names them, for LPIPS; without one `substitute`
    stands in, under its own name in the log."""
    lpips_linear: str = ""
    """A file with LPIPS's own weights for it."""
    lpips_weight: float = 0.01
    """Of LPIPS, of both pictures times the matte."""
    substitute: Literal["dssim", "gradient", "none"] = "dssim"
    """What stands in for LPIPS."""
    substitute_weight: float = 0.01
    """Of the substitute."""
    scale_weight: float = 1.0
    """Of the mean longest axis of those Gaussians that are too large and too long at once."""
    scale_limit: float = 0.008
    """Units from which a Gaussian is too large."""
    scale_ratio: float = 10.0
    """Longest to shortest axis from which it is too long."""

    lr_uvd: float = 1.6e-4
    """Learning rate of places: barycentric weights, and units along the normal."""
    lr_uvd_final: float = 1.6e-6
    """What it has fallen to, evenly in its logarithm, after `lr_steps`."""
    lr_steps: int = 30_000
    """Steps over which it falls."""
    lr_color: float = 2.5e-3
    """Learning rate of colours, as SH coefficients."""
    lr_opacity: float = 0.05
    """Learning rate of opacity logits."""
    lr_scaling: float = 5e-3
    """Learning rate of log scales."""
    lr_rotation: float = 1e-3
    """Learning rate of quaternions."""

    extent: float = 2.0
    """Units across the scene, E in what follows."""
    densify_from: int = 600
    """Step after which Gaussians come and go."""
    densify_every: int = 100
    """Steps between that; 0 for never."""
    densify_until: int = 29_000
    """Step after which the number stays; 0 for no end."""
    densify_gradient: float = 2e-4
    """Pull across the screen, mean over pictures, from which a Gaussian is cloned or split; per half picture, as in 3DGS."""
    densify_limit: int = 0
    """No more Gaussians than this: those that are pulled hardest come first; 0 for no limit. The authors suggest 300 000 for
    small GPUs."""
    split_size: float = 0.01
    """Gaussians up to this size, times E, are cloned, larger ones split."""
    split_parts: int = 2
    """Gaussians that a split leaves, each smaller by 0.8 times this."""
    prune_opacity: float = 0.005
    """Gaussians less opaque than this are removed."""
    prune_from: int = 3000
    """Step after which too large ones are removed too."""
    prune_radius: float = 20.0
    """Pixels of radius, three standard deviations, on any picture since the last time; 0 for any. (3DGS's code forgets radii
    before it looks at them, so there it removes nothing.)"""
    prune_size: float = 0.1
    """Size, times E, from which they are removed then."""
    reset_every: int = 3000
    """Steps between opacity resets; 0 for never."""
    reset_opacity: float = 0.01
    """Opacity after a reset, at most."""

    lr_frame_expr: float = 5e-4
    """Learning rate of a held-out frame's expression, where it is fitted before it is judged; training leaves tracking alone."""
    lr_frame_pose: float = 5e-4
    """Learning rate of its rotations, radians."""
    lr_frame_camera: float = 5e-4
    """Learning rate of its camera's translation, metres."""
    cuda_graph: bool = True
    """On CUDA, replay graphs instead of launching kernels one by one."""
    refit_steps: int = 50
    """Steps each held-out frame's tracking is fitted with, when asked for."""


IN_STEPS = ("walk_every", "lr_steps", "densify_from", "densify_every", "densify_until", "prune_from", "reset_every")
"""Fields that count steps."""
PRESETS = {
    "paper": Config(),
    "demo": dataclasses.replace(
        Config(), steps=1500, size=256, background="white", log_every=50, save_every=500, init_opacity=0.7,
        init_color="pictures", substitute="gradient", substitute_weight=0.5, lr_uvd=1e-3, lr_uvd_final=1e-4, lr_steps=1500,
        lr_color=0.02, lr_opacity=0.02, lr_scaling=0.02, lr_rotation=0.01, densify_from=200, densify_until=1000,
        densify_limit=16_000, prune_from=0, prune_radius=0.0, reset_every=0),
}
"""`paper`: SplattingAvatar as published. `demo`: two processor cores, some minutes, the stand-in's capture."""
