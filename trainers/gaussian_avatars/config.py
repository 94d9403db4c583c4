"""GaussianAvatars' numbers: the paper's by default, with what the paper leaves open as the authors' code has it."""

import dataclasses
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Config:
    """Settings of a GaussianAvatars training run; the default is the `paper` preset."""

    steps: int = 600_000
    """Optimiser steps, one picture each."""
    size: int = 0
    """Pixels across the pictures; 0 for those of the data. The authors' are 550 wide and 802 high."""
    seed: int = 0
    """Of everything random."""
    background: Literal["white", "black", "random"] = "white"
    """What the pictures are composited on, and the avatar is drawn on."""
    log_every: int = 100
    """Steps between progress lines."""
    save_every: int = 10_000
    """Steps between checkpoints; the authors' code: 60 000."""

    teeth: bool = True
    """Give the head teeth: two slabs behind the lips, 120 vertices and 168 faces more."""
    init_opacity: float = 0.1
    """Opacity to start with."""
    init_scale: float = 1.0
    """Size to start with, in sizes of the triangle."""
    init_color: Literal["gray", "pictures"] = "gray"
    """Colour to start with: random SH up to 1/255, nearly grey; or what some training pictures show at the triangle's middle."""
    color_views: int = 12
    """How many training pictures colours come from."""
    color_size: int = 256
    """Texels across the texture that they are gathered in."""
    sh_degree: int = 3
    """Degree of the spherical harmonics, at most."""
    sh_every: int = 1000
    """Steps until a further degree joins; they begin with none."""
    extent: float = 0.0
    """Metres across the cameras, E in what follows. 0 for the authors': 1.1 times the farthest camera's distance from the
    middle of all; and 1 where a camera that hardly moves would make that less than 0.1."""

    l1_weight: float = 0.8
    """Of the mean absolute difference of pictures."""
    dssim_weight: float = 0.2
    """Of 1 - SSIM."""
    position_weight: float = 0.01
    """Of how far Gaussians lie from their triangle's middle beyond `position_limit`, mean over visible ones."""
    position_limit: float = 1.0
    """In sizes of the triangle."""
    scale_weight: float = 1.0
    """Of the length of what Gaussians' sizes exceed `scale_limit` by, mean over visible ones."""
    scale_limit: float = 0.6
    """In sizes of the triangle."""

    lr_means: float = 5e-3
    """Learning rate of places, in sizes of the triangle, times E."""
    lr_means_final: float = 5e-5
    """What it has fallen to, evenly in its logarithm, after `lr_steps`."""
    lr_steps: int = 600_000
    """Steps over which it falls."""
    lr_color: float = 2.5e-3
    """Learning rate of SH's constant part."""
    lr_harmonics: float = 1.25e-4
    """Learning rate of the rest of SH."""
    lr_opacity: float = 0.05
    """Learning rate of opacity logits."""
    lr_scaling: float = 0.017
    """Learning rate of log scales."""
    lr_rotation: float = 0.001
    """Learning rate of quaternions."""
    lr_final: float = 1.0
    """All rates but that of places are multiplied by a factor that falls evenly in its logarithm from 1 to this over
    `lr_steps`. The authors' are constant."""

    densify_from: int = 10_000
    """Step after which Gaussians come and go."""
    densify_every: int = 2000
    """Steps between that; 0 for never."""
    densify_until: int = 600_000
    """Step after which the number stays; 0 for no end."""
    densify_gradient: float = 2e-4
    """Pull across the screen, mean over pictures, from which a Gaussian is cloned or split; per half picture, as in 3DGS."""
    densify_limit: int = 0
    """No more Gaussians than this: those that are pulled hardest come first; 0 for no limit."""
    split_size: float = 0.01
    """Gaussians up to this size, times E, are cloned, larger ones split."""
    split_parts: int = 2
    """Gaussians that a split leaves, each smaller by 0.8 times this."""
    split_in: Literal["triangle", "world"] = "triangle"
    """What spread a split's children are drawn with: the Gaussian's own in its triangle; or, as the authors' code has it,
    its size in metres taken for sizes of the triangle, which leaves them all but where it was."""
    prune_opacity: float = 0.005
    """Gaussians less opaque than this are removed; no triangle loses all of its own."""
    prune_from: int = 60_000
    """Step after which too large ones are removed too."""
    prune_radius: float = 20.0
    """Pixels of radius, three standard deviations, on any picture since the last time; 0 for any. (The authors' code forgets
    radii before it looks at them, so there it removes nothing.)"""
    prune_size: float = 0.1
    """Size, times E, from which they are removed then."""
    reset_every: int = 60_000
    """Steps between opacity resets; 0 for never. On white also at `densify_from`."""
    reset_opacity: float = 0.01
    """Opacity after a reset, at most."""

    refine: bool = True
    """Learn corrections of each moment's tracking; pictures of several cameras share a moment."""
    lr_frame_expr: float = 1e-3
    """Learning rate of a moment's expression."""
    lr_frame_pose: float = 1e-5
    """Learning rate of a moment's rotations (root, neck, jaw, eyes), radians."""
    lr_frame_translation: float = 1e-6
    """Learning rate of a moment's translation, metres."""
    frame_adam: Literal["dense", "rows"] = "dense"
    """Adam of these: of all moments at each step, as the authors' code has it; or of the one that was seen."""
    cuda_graph: bool = True
    """On CUDA, replay graphs instead of launching kernels one by one."""
    refit_steps: int = 50
    """Steps each held-out frame's tracking is fitted with before it is judged, when asked for."""


IN_STEPS = ("sh_every", "lr_steps", "densify_from", "densify_every", "densify_until", "prune_from", "reset_every")
"""Fields that count steps."""
PRESETS = {
    "paper": Config(),
    "demo": dataclasses.replace(
        Config(), steps=1500, size=256, log_every=50, save_every=500, init_opacity=0.8, init_scale=0.5, init_color="pictures",
        sh_degree=1, sh_every=500, extent=1.0, lr_means=2e-2, lr_means_final=2e-3, lr_steps=1500, lr_color=0.02,
        lr_harmonics=2e-3, lr_opacity=0.02, lr_scaling=0.02, lr_rotation=0.01, lr_final=0.2, densify_from=200,
        densify_every=200, densify_until=1000, densify_limit=16_000, prune_from=0, prune_radius=0.0, reset_every=0,
        lr_frame_expr=1e-3, lr_frame_pose=2e-4, lr_frame_translation=1e-4, frame_adam="rows"),
}
"""`paper`: GaussianAvatars as published. `demo`: two processor cores, some minutes, the stand-in's capture."""
