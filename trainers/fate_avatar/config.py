"""FateAvatar's numbers: the paper's by default.

Where the paper and the authors' code differ, the paper has it here and the field says what the code does.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Config:
    """Settings of a FATE training run; the default is the `paper` preset."""

    steps: int = 100_000
    """Optimiser steps, one picture each. The authors count epochs: 50 of an IMavatar subject's 2000 or so frames, 10 of an
    INSTA subject's."""
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

    tex_size: int = 256
    """Texels across the UV layout: one Gaussian starts on each texel that a triangle covers."""
    pad: bool = True
    """Add Gaussians at random places of covered triangles, up to `tex_size` squared."""
    jaw: float = 0.2
    """Radians the jaw is open in the pose that Gaussians' sizes are relative to."""
    offset_limit: float = 0.05
    """Greatest offset along the normal, in double areas of the triangle (square metres as metres: it hardly moves)."""
    init_opacity: float = 0.1
    """Opacity to start with."""
    init_scale: Literal["mean", "each"] = "mean"
    """Size to start with: one for all, the mean distance to the nearest other Gaussian on the template; or for `each` the
    mean distance to its own three nearest."""
    scale_factor: float = 1.0
    """Multiplies the size to start with."""
    init_color: Literal["gray", "pictures"] = "gray"
    """Colour to start with: 0.5, or what some training pictures show at the Gaussian's texel."""
    color_views: int = 12
    """How many training pictures colours come from."""
    color_size: int = 256
    """Texels across the texture that they are gathered in."""

    rgb_loss: Literal["l1", "l2"] = "l1"
    """Distance of pictures."""
    rgb_weight: float = 1.0
    """Of the distance of pictures."""
    vgg_weights: str = ""
    """A file with VGG-16's ImageNet weights, as torchvision names them, for the perceptual loss; without one `substitute`
    stands in, under its own name in the log."""
    perceptual_weight: float = 0.1
    """Of the perceptual loss: L1 of VGG-16's features after layers 4, 9, 16 and 23."""
    substitute: Literal["gradient", "dssim", "none"] = "dssim"
    """What stands in for VGG: 1 - SSIM, or the L1 distance of slopes over three halvings (cheap)."""
    substitute_weight: float = 0.1
    """Of the substitute."""
    scale_weight: float = 0.1
    """Of the hinge on the ratio of a Gaussian's longest to its shortest axis."""
    scale_ratio: float = 9.0
    """The ratio up to which that hinge is 0."""
    laplacian_weight: float = 100.0
    """Of the uniform Laplacian of what personalising moves, squared, mean over vertices, square metres. Code: 1e5."""
    flame_weight: float = 100.0
    """Of the squared distance of personalised vertices from FLAME's, mean over vertices, square metres. Code: 0."""
    rotation_weight: float = 0.0
    """Of turns out of the triangle's plane, radians squared."""
    normal_weight: float = 0.0
    """Of 1 - cosine between the normals of the personalised triangles and FLAME's."""

    lr_opacity: float = 0.05
    """Learning rate of opacity logits."""
    lr_offset: float = 0.0016
    """Learning rate of offsets along the normal, before tanh."""
    lr_color: float = 0.0025
    """Learning rate of colours, as SH coefficients."""
    lr_rotation: float = 0.001
    """Learning rate of quaternions."""
    lr_scaling: float = 0.005
    """Learning rate of log scales."""
    lr_vertices: float = 1e-4
    """Learning rate of the neutral shape's offsets, metres."""
    lr_expressions: float = 1e-5
    """Learning rate of the expression directions' offsets, metres per unit."""
    lr_correctives: float = 1e-5
    """Learning rate of the pose correctives' offsets, metres per unit."""
    lr_final: float = 1.0
    """Every rate is multiplied by a factor that falls evenly in its logarithm from 1 to this over `lr_steps`. The authors'
    rates are constant."""
    lr_steps: int = 0
    """Steps over which rates fall; 0 for never."""

    densify_every: int = 3000
    """Steps between additions."""
    densify_count: int = 1000
    """Gaussians an addition brings, drawn where the pictures pulled hardest."""
    densify_limit: int = 200_000
    """No additions above this number."""
    densify_until: int = 0
    """No additions after this step; 0 for no end."""
    child_scale: float = 0.75
    """Size of an added Gaussian against its parent's."""
    prune_every: int = 2000
    """Steps between removals."""
    prune_opacity: float = 0.005
    """Gaussians less opaque than this are removed."""
    reset_every: int = 60_000
    """Steps between opacity resets."""
    reset_opacity: float = 0.01
    """Opacity after a reset, at most."""

    refine: bool = True
    """Learn corrections of each frame's tracking. The authors do for IMavatar data, not for INSTA's."""
    lr_frame_expr: float = 5e-4
    """Learning rate of a frame's expression."""
    lr_frame_pose: float = 5e-4
    """Learning rate of a frame's rotations (root, neck, jaw, eyes), radians, and of its eyelids where the data has any."""
    lr_frame_camera: float = 5e-4
    """Learning rate of a frame's camera translation, metres."""
    cuda_graph: bool = True
    """On CUDA, replay graphs instead of launching kernels one by one: the same numbers in a third of the time."""
    refit_steps: int = 50
    """Steps each held-out frame's tracking is fitted with before it is judged, when asked for."""


IN_STEPS = ("densify_every", "densify_until", "prune_every", "reset_every", "lr_steps")
"""Fields that count steps."""
PRESETS = {
    "paper": Config(),
    # Tuned on the stand-in's capture for its held-out frames, 750 steps each, PSNR in dB: rates of the expressions' and
    # correctives' offsets 5e-5 28.5, 1e-5 32.1, 2e-6 33.3, 5e-7 33.5 (122 frames say little about 100 expressions);
    # laplacian_weight with lr_vertices 2000 and 1e-4 31.5, 200 and 3e-4 32.1, 200 and 6e-4, 30 and 1e-3 no better;
    # lr_color, lr_scaling, lr_rotation half of these 33.3, a third 32.9; refine off 0.25 less.
    "demo": dataclasses.replace(
        Config(), steps=1500, size=256, log_every=50, save_every=500, tex_size=128, pad=False, init_opacity=0.9,
        init_scale="each", scale_factor=0.8, init_color="pictures", substitute="gradient", substitute_weight=0.5,
        laplacian_weight=200.0, flame_weight=0.0,
        lr_opacity=0.02, lr_color=0.03, lr_rotation=0.02, lr_scaling=0.03, lr_vertices=3e-4, lr_expressions=1e-6,
        lr_correctives=1e-6, lr_final=0.1, lr_steps=1500,
        densify_every=0, prune_every=250, reset_every=0,
        lr_frame_expr=1e-3, lr_frame_pose=2e-4, lr_frame_camera=1e-4),
}
"""`paper`: FATE as published. `demo`: two processor cores, some minutes, the stand-in's capture. It adds no Gaussians: one for
each texel is what 128 maps can hold, and 2000 more (0.15 dB better held out) lose 1.1 dB when they are baked."""
