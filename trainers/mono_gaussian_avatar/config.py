"""MonoGaussianAvatar's numbers: the paper's and its released trainer's by default.

The released trainer shows up to eight pictures a step while there are few points; ours shows one, as for every system. So an
epoch here is `epoch_steps` steps.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Config:
    """Settings of a MonoGaussianAvatar training run; the default is the `paper` preset."""

    steps: int = 200_000
    """Optimiser steps, one picture each: the released configurations' 100 epochs of some 2000 pictures."""
    size: int = 512
    """Pixels across the pictures; 0 for those of the data."""
    seed: int = 42
    """Of everything random."""
    background: Literal["white", "black", "random"] = "white"
    """What the pictures are composited on, and the avatar is drawn on."""
    log_every: int = 100
    """Steps between progress lines."""
    save_every: int = 5000
    """Steps between checkpoints."""

    epoch_steps: int = 2000
    """Steps after which points are removed and added, and Adam begins anew."""
    points: tuple[int, ...] = (400, 800, 1600, 3200, 6400, 10_000, 20_000, 40_000, 80_000, 100_000)
    """How many points there are, one number after another."""
    growth_epochs: tuple[int, ...] = (0, 5, 10, 15, 20, 25, 30, 40, 50, 60)
    """The epochs from which on there are as many."""
    sphere: float = 0.125
    """Metres: radius of the sphere that points start on."""
    spread: float = 0.0375
    """Metres: what is added to every scale, of 100 points; 0.75 of it for each doubling."""
    late_every: int = 5
    """Epochs after the last growth between two times that it shrinks to 0.75."""
    jitter_until: int = 100
    """Epochs in which new points lie within half of what is added to scales; later within `jitter`."""
    jitter: float = 0.0005
    """Metres."""
    prune_opacity: float = 0.1
    """Points that never were as opaque as this in an epoch are removed."""
    jaw: float = 0.4
    """Radians the jaw is open in the canonical state."""

    deformer_width: int = 128
    """Of the network that says how points move."""
    geometry_width: int = 256
    """Of the network that says what they look like."""
    appearance_width: int = 64
    """Of the network that changes their looks with the pose."""

    rgb_weight: float = 1.0
    """Of the L1 distance of pictures."""
    dssim_weight: float = 0.25
    """Of 1 - SSIM."""
    vgg_weights: str = ""
    """A file with VGG-16's ImageNet weights, as torchvision names them, for the perceptual loss; none without."""
    perceptual_weight: float = 0.1
    """Of the perceptual loss."""
    lbs_weight: float = 10.0
    """Of the distance between a point's own directions and weights and those of the nearest vertex of FLAME, ten times
    (weights: a tenth) their squares, lengths four times life size."""
    lbs_halved: tuple[int, ...] = (20, 30, 50, 70)
    """Epochs at which it is halved."""
    nearest_every: int = 200
    """Steps between two times that nearest vertices are looked for. The released trainer does so at every step; points move
    much less."""
    refine: bool = True
    """Correct each frame's tracked expression and rotations."""
    refine_from: int = 11
    """Epoch from which on."""

    lr_points: float = 1e-4
    """Learning rate of points, quarters of a metre."""
    lr_deformer: float = 1e-4
    """Of the network that says how points move."""
    lr_geometry: float = 1e-4
    """Of the network that says what they look like."""
    lr_appearance: float = 1e-4
    """Of the network that changes their looks with the pose."""
    lr_frame_expr: float = 5e-4
    """Learning rate of a frame's expression."""
    lr_frame_pose: float = 5e-4
    """Learning rate of a frame's rotations, radians."""
    lr_frame_camera: float = 0.0
    """Learning rate of a frame's camera translation, metres; the released trainer's gets no gradient."""
    forget: bool = True
    """Begin Adam anew with each epoch, as the released trainer does."""
    cuda_graph: bool = True
    """On CUDA, replay graphs instead of launching kernels one by one."""
    refit_steps: int = 20
    """Steps each held-out frame's tracking is fitted with before it is judged, when asked for."""


IN_STEPS = ("epoch_steps",)
"""Fields that count steps."""
PRESETS = {
    "paper": Config(),
    "demo": dataclasses.replace(
        Config(), steps=1500, size=256, log_every=50, save_every=500, epoch_steps=50,
        points=(400, 800, 1600, 3200, 6400), growth_epochs=(0, 3, 6, 9, 12), deformer_width=64, geometry_width=64,
        lr_points=1e-3, lr_deformer=2e-3, lr_geometry=2e-3, lr_appearance=1e-3, forget=False, late_every=4, refine_from=10),
}
"""`paper`: as published. `demo`: two processor cores, some minutes; few points, narrow networks and quick rates."""
