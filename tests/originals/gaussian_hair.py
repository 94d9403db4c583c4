"""Strand hair of the Gaussian Head Avatar fork: its checkpoint past the reset iteration, and the hair it draws unmoved.

Hair lives in a canonical space ten times smaller than metres (FLAME's scale 1 is clamped to 0.1); world metres =
S x R^T + T with the frame's *FLAME* pose. The saved `transform` has been used already when the strands were frozen.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from formats.sequence import Sequence
from tests.originals.gaussian_head_avatar import (
    GaussianHead,
    cross_matrix,
    frames,
    half_angle,
    multiply,
    write_params,
)
from tests.originals.posed import Original, Posed

STRANDS = 10_140
"""The smallest root file that the fork's constructor accepts."""
POINTS = 99
"""Of a strand, without its root."""
SEED = 1_728_000_042
"""Checkpoints are named after unix seconds."""


class GaussianHair(nn.Module):
    """What the fork's hair module keeps. Perm's networks are there by a few of their names only."""

    origins_raw: Tensor
    opacity_mask: Tensor

    def __init__(self, n: int, rng: torch.Generator, trained_opacity: bool) -> None:
        super().__init__()
        roots, points = strands(n, rng)
        self.theta = nn.Parameter(torch.randn(1, 8, 512, generator=rng))
        self.beta = nn.Parameter(torch.randn(1, 14, 512, generator=rng))
        opacity = 2 * torch.randn(n, POINTS, 1, generator=rng) + 1
        thin = torch.arange(n) % 7 == 3
        opacity[thin] = -2.5 + 0.2 * torch.randn(int(thin.sum()), POINTS, 1, generator=rng)
        self.register_buffer("origins_raw", roots)
        if trained_opacity:
            self.opacity_raw = nn.Parameter(opacity.reshape(-1, 1))
            kept = torch.sigmoid(opacity).mean(dim=(1, 2)) > 0.2
        else:
            self.opacity_raw = nn.Parameter(torch.full((n * POINTS, 1), torch.inf))
            kept = torch.ones(n, dtype=torch.bool)
        self.register_buffer("opacity_mask", kept)
        self.register_buffer("guide_strand_indices", torch.arange(0, n, 20)[:n // 20])
        self.register_buffer("guide_strand_weights", torch.rand(n, n // 20, generator=rng))
        self.points_raw = nn.Parameter(points)
        self.width_raw = nn.Parameter(0.0008 + 0.0004 * torch.rand(n, 1, generator=rng))
        self.features_dc_raw = nn.Parameter(torch.randn(n * POINTS, 1, 3, generator=rng))
        self.features_rest_raw = nn.Parameter(0.1 * torch.randn(n * POINTS, 15, 3, generator=rng))
        self.register_buffer("optical_flow_3D_lift", torch.zeros(n, POINTS, 3))
        self.register_buffer("transform", torch.tensor([[0.082, 0.004, 0, 0], [-0.004, 0.082, 0.002, 0],
                                                        [0, -0.002, 0.082, 0], [0.01, -0.14, 0.02, 1]]))
        self.pose_point_mlp = nn.Module()
        self.pose_point_mlp.conv0 = nn.Conv1d(81, 256, 1)
        self.pose_point_mlp.conv1 = nn.Conv1d(337, 3, 1)
        self.pose_prior_mlp = nn.Module()
        self.pose_prior_mlp.conv0 = nn.Conv1d(54, 256, 1)
        self.pose_prior_mlp.conv1 = nn.Conv1d(256, 512, 1)
        self.pose_prior_mlp.conv2 = nn.Conv1d(566, 4096, 1)
        self.pose_lstm = nn.LSTM(54, 54, 1)
        self.pose_lstm_h0 = nn.Parameter(torch.zeros(1, 54))
        self.pose_lstm_c0 = nn.Parameter(torch.zeros(1, 54))
        self.strands_generator = nn.ModuleDict({
            "G_raw": nn.ModuleDict({"mapping": nn.Linear(512, 512), "synthesis": nn.Conv2d(512, 11, 3)}),
            "G_superres": nn.Conv2d(10, 10, 3), "G_res": nn.Conv2d(54, 54, 3)})
        self.strands_generator.register_buffer("blend_shapes", torch.randn(64, 99, 3, generator=rng))

    def forward(self, pose: Tensor, flame_scale: Tensor, masked: bool) -> dict[str, Tensor]:
        """Return one frame's segment Gaussians in the world, without pose history (rigid hair), strand after strand.

        Args:
            pose: [6], FLAME's axis-angle and translation about the origin.
            flame_scale: [].
            masked: Leave out the strands that `opacity_mask` leaves out.
        """
        size = flame_scale.clamp(0.01, 0.1)
        points = torch.cat([self.origins_raw, self.points_raw], dim=1)
        turn = torch.linalg.matrix_exp(cross_matrix(pose[:3]))
        points = size * points @ turn.T + pose[3:]
        step = points[:, 1:] - points[:, :-1]
        length = torch.linalg.norm(step, dim=2, keepdim=True)
        along = step / length
        width = (self.width_raw * size)[:, None].expand(-1, POINTS, 1)
        # The shortest arc from +X: (1 + d.x, x cross d).
        arc = torch.stack([1 + along[..., 0], 0 * along[..., 0], -along[..., 2], along[..., 1]], dim=-1)
        keep = self.opacity_mask if masked else torch.ones_like(self.opacity_mask)
        each = {"means": (points[:, 1:] + points[:, :-1]) / 2, "quats": nn.functional.normalize(arc, dim=2),
                "scales": torch.cat([0.55 * length, width, width], dim=2),
                "opacities": torch.sigmoid(self.opacity_raw).reshape(-1, POINTS),
                "sh": torch.cat([self.features_dc_raw, self.features_rest_raw], 1).reshape(-1, POINTS, 16, 3)}
        drawn = {k: v[keep].flatten(0, 1) for k, v in each.items()}
        return drawn | {"points": points[keep]}


def strands(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return roots [n, 1, 3] on a scalp and curled strands [n, 99, 3] hanging from them, canonical units (8.5 x FLAME)."""
    up = nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=1)
    up[:, 1] = up[:, 1].abs()
    roots = 8.5 * (up * torch.tensor([0.075, 0.11, 0.1]) + torch.tensor([0, 0.02, -0.02]))
    t = torch.linspace(0, 1, POINTS + 1)[None, 1:, None]
    phase, curl = 6.28 * torch.rand(n, 1, 1, generator=rng), 8 * torch.rand(n, 1, 1, generator=rng)
    wave = torch.cat([torch.sin(curl * t + phase) - torch.sin(phase), 0 * t * phase,
                      torch.cos(curl * t + phase) - torch.cos(phase)], dim=2)
    fall = torch.tensor([0, -1.0, 0]) * t ** 1.5
    span = 0.5 + 1.5 * torch.rand(n, 1, 1, generator=rng)
    return roots[:, None], roots[:, None] + span * (0.35 * up[:, None] * t + fall + 0.06 * wave)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the [6] pose of `inner` (x R^T + T) followed by `outer`."""
    a, b = half_angle(outer[:3])[None], half_angle(inner[:3])[None]
    q = multiply(a, b)[0]
    q = -q if q[0] < 0 else q
    sine = torch.linalg.norm(q[1:])
    angle = 2 * torch.atan2(sine, q[0])
    turn = q[1:] / sine * angle if sine > 0 else 0 * q[1:]
    return torch.cat([turn, torch.linalg.matrix_exp(cross_matrix(outer[:3])) @ inner[3:] + outer[3:]])


def write(folder: Path, *, n: int = STRANDS, frame_count: int = 2, name: str = "renderme_37", trained_opacity: bool = True,
          heads: int = 300, legacy: bool = False) -> Original:
    """Write a FORK run with head, hair and both parameter folders; return the rigid hair.

    The last frame is the head at rest. The head's BFM pose and the hair's FLAME pose differ by one rigid motion, the same
    in all frames. `opacity_mask` is True for strands that stay (mean opacity above 0.2); the fork applies it only where
    opacities are trained. Without that, `trained_opacity=False`, all logits are +inf.

    `extras`: `points` [T, M, 100, 3] of the strands drawn, `mask` [n], `head` (the checkpoint of the GHA head),
    `head_sequence` (BFM poses), `relative` [6]: hair pose = head pose after `relative`.
    """
    rng = torch.Generator().manual_seed(23)
    with torch.random.fork_rng():
        torch.manual_seed(23)
        hair, head = GaussianHair(n, rng, trained_opacity), GaussianHead(heads, rng)
    expressions, head_poses = frames(frame_count, rng)
    head_poses[-1] = 0
    relative = torch.tensor([0.05, -0.02, 0.01, 0.001, -0.012, 0.03])
    poses = torch.stack([compose(p.double(), relative.double()) for p in head_poses]).float()
    at = folder / "checkpoints" / name
    at.mkdir(parents=True)
    state = hair.state_dict()
    assert all(k in state for k in ("pose_lstm.weight_ih_l0", "pose_point_mlp.conv1.weight"))
    torch.save(state, at / f"gaussianhair_latest_{SEED}", _use_new_zipfile_serialization=not legacy)
    labels = {"features_dc": torch.zeros(heads, 1, 3), "features_rest": torch.zeros(heads, 0, 3),
              "seg_label": torch.tensor([0.0, 1, 0]).repeat(heads, 1)}
    torch.save({**head.state_dict(), **labels}, at / f"gaussianhead_latest_{SEED}",
               _use_new_zipfile_serialization=not legacy)
    torch.save(nn.Parameter(torch.zeros(frame_count, 6)), at / f"delta_poses_latest_{SEED}")
    data = folder / name / "sequences" / "HAIR"
    params = write_params(data, expressions, head_poses, 0.15)
    flame = torch.cat([0.5 * torch.randn(frame_count, 50, generator=rng),
                       0.1 * torch.randn(frame_count, 9, generator=rng)], dim=1)
    flame_params = write_params(data, flame, poses, 1.0, "FLAME_params")
    with torch.no_grad():
        drawn = [hair.double()(p.double(), torch.tensor(1.0).double(), trained_opacity) for p in poses]
    stacked = {k: np.stack([frame[k].numpy() for frame in drawn]) for k in drawn[0]}

    def clip(at: Tensor) -> Sequence:
        return Sequence(basis="bfm09-64", fps=30, expr=expressions.numpy(), rotation=at[:, :3].numpy(),
                        translation=at[:, 3:].numpy())

    posed = Posed(means=stacked["means"], quats=stacked["quats"], scales=stacked["scales"],
                  opacities=stacked["opacities"], sh=stacked["sh"])
    return Original(path=at / f"gaussianhair_latest_{SEED}", sides={"params": params, "flame_params": flame_params},
                    head=None, sequence=clip(poses), posed=posed, options={},
                    extras={"points": stacked["points"], "mask": state["opacity_mask"].numpy(),
                            "head": at / f"gaussianhead_latest_{SEED}", "head_sequence": clip(head_poses),
                            "relative": relative.numpy()})
