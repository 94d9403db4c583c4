"""Gaussian Head Avatar's files (Xu et al., CVPR 2024) and what the original draws from them, from its published arithmetic.

Files: checkpoints/<name>/{meshhead,gaussianhead,supres,delta_poses}_latest, params/<frame>/params.npz and the yaml config.
Canonical units of the head; world metres = scale * x * R^T + T with the frame's `pose` and `scale`.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from formats.sequence import Sequence
from tests.originals.posed import Original, Posed

POS_FREQ = 4
NEAR, FAR = 0.1, 0.25
"""Squared distances to the nearest landmark."""
DEFORM_SCALE, ATTRIBUTES_SCALE = 0.3, 0.2
LANDMARKS, GRID = 424, 12
SCALE = 0.15
DIMS = {
    "geo_mlp": [27, 256, 256, 256, 256, 256, 132],
    "exp_color_mlp": [192, 256, 256, 32],
    "pose_color_mlp": [182, 128, 32],
    "exp_deform_mlp": [91, 256, 256, 256, 256, 256, 3],
    "pose_deform_mlp": [81, 256, 256, 3],
    "exp_attributes_mlp": [192, 256, 256, 256, 8],
    "pose_attributes_mlp": [182, 128, 128, 8],
}
"""Widths of the yaml files that come with the code."""

HEAD_KEYS = ("geo_mlp", "exp_color_mlp", "pose_color_mlp", "exp_deform_mlp", "pose_deform_mlp")
GAUSSIAN_KEYS = ("exp_color_mlp", "pose_color_mlp", "exp_deform_mlp", "pose_deform_mlp", "exp_attributes_mlp",
                 "pose_attributes_mlp")


class MLP(nn.Module):
    """1x1 convolutions conv0..convN on [B, C, N]; the input joins again, after the hidden values, at the middle one."""

    def __init__(self, dims: list[int], last: str = "none") -> None:
        super().__init__()
        self.dims, self.skip, self.last = dims, len(dims) // 2, last
        for i in range(len(dims) - 1):
            width = dims[i] + (dims[0] if i == self.skip else 0)
            setattr(self, f"conv{i}", nn.Conv1d(width, dims[i + 1], 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C', N]."""
        y = x
        for i in range(len(self.dims) - 1):
            if i == self.skip:
                y = torch.cat([y, x], dim=1)
            y = getattr(self, f"conv{i}")(y)
            if i < len(self.dims) - 2:
                y = nn.functional.leaky_relu(y, 0.01)
        return torch.tanh(y) if self.last == "tanh" else torch.sigmoid(y) if self.last == "sigmoid" else y


def encode(x: Tensor) -> Tensor:
    """Return [..., 9 D] of [..., D]: x, then sin and cos of the whole vector at 1, 2, 4, 8 (no pi)."""
    parts = [x]
    for k in range(POS_FREQ):
        parts += [torch.sin(x * 2 ** k), torch.cos(x * 2 ** k)]
    return torch.cat(parts, dim=-1)


class MeshHead(nn.Module):
    """Stage 1. Only its checkpoint matters here; the geometry network holds an egg as its signed distance."""

    geo_mlp: MLP

    def __init__(self, rng: torch.Generator) -> None:
        super().__init__()
        self.landmarks_3d_neutral = nn.Parameter(landmarks(rng))
        vertices, tets = grid()
        self.register_buffer("tet_verts", vertices)
        self.register_buffer("tets", tets)
        last = {"geo_mlp": "tanh", "exp_color_mlp": "sigmoid", "pose_color_mlp": "sigmoid", "exp_deform_mlp": "tanh",
                "pose_deform_mlp": "tanh"}
        for name in HEAD_KEYS:
            setattr(self, name, MLP(DIMS[name], last[name]))
        egg(self.geo_mlp)


class GaussianHead(nn.Module):
    """Stage 2: Gaussians in canonical space, moved and coloured by networks of expression and pose."""

    landmarks_3d_neutral: Tensor

    def __init__(self, n: int, rng: torch.Generator) -> None:
        super().__init__()
        self.xyz = nn.Parameter(surface(n, rng))
        self.feature = nn.Parameter(torch.randn(n, 128, generator=rng))
        self.scales = nn.Parameter(torch.log(0.02 + 0.04 * torch.rand(n, 3, generator=rng)))
        self.rotation = nn.Parameter(torch.tensor([1.0, 0, 0, 0]) + 0.4 * torch.randn(n, 4, generator=rng))
        self.opacity = nn.Parameter(torch.randn(n, 1, generator=rng) * 2 - 0.8)
        self.register_buffer("landmarks_3d_neutral", landmarks(rng))
        for name in GAUSSIAN_KEYS:
            setattr(self, name, MLP(DIMS[name], "tanh" if "deform" in name else "none"))
        with torch.no_grad():  # trained networks answer more strongly than fresh ones
            for name in GAUSSIAN_KEYS:
                final = getattr(self, name)._modules[f"conv{len(DIMS[name]) - 2}"]
                final.weight.mul_(1 if "color" in name else 5)
                final.bias.add_(0.3 * torch.randn(final.bias.shape, generator=rng) + 0.5 * ("color" in name))

    def forward(self, expression: Tensor, pose: Tensor, scale: Tensor) -> dict[str, Tensor]:
        """Return one frame's Gaussians in the world.

        Args:
            expression: [64].
            pose: [6], axis-angle and translation in the world.
            scale: [], metres per canonical unit.
        """
        n = len(self.xyz)
        squared = ((self.xyz[:, None] - self.landmarks_3d_neutral[None]) ** 2).sum(-1).min(dim=1).values
        w_exp = ((FAR - squared) / (FAR - NEAR)).clamp(0, 1)[:, None]
        w_pose = 1 - w_exp
        feature, place = torch.tanh(self.feature), encode(self.xyz)
        expressions, poses = expression.expand(n, -1), encode(pose).expand(n, -1)

        def blend(kind: str, of: Tensor) -> Tensor:
            by_exp = getattr(self, f"exp_{kind}_mlp")(torch.cat([of, expressions], 1).T[None])[0].T
            by_pose = getattr(self, f"pose_{kind}_mlp")(torch.cat([of, poses], 1).T[None])[0].T
            return w_exp * by_exp + w_pose * by_pose

        colour, delta = blend("color", feature), blend("attributes", feature)
        xyz = self.xyz + DEFORM_SCALE * blend("deform", place)
        scales = torch.exp(self.scales + ATTRIBUTES_SCALE * delta[:, :3])
        rotation = nn.functional.normalize(self.rotation + ATTRIBUTES_SCALE * delta[:, 3:7], dim=1)
        opacity = torch.sigmoid(self.opacity + ATTRIBUTES_SCALE * delta[:, 7:])
        turn = torch.linalg.matrix_exp(cross_matrix(pose[:3]))
        return {"means": scale * xyz @ turn.T + pose[3:], "scales": scale * scales,
                "quats": multiply(half_angle(pose[:3]).expand(n, 4), rotation), "opacities": opacity[:, 0],
                "features": colour, "w_exp": w_exp[:, 0]}


class DoubleConv(nn.Module):
    """Twice: 3x3 convolution without bias, instance norm without parameters, ReLU."""

    def __init__(self, inside: int, outside: int, middle: int | None = None) -> None:
        super().__init__()
        middle = middle or outside
        self.double_conv = nn.Sequential(
            nn.Conv2d(inside, middle, 3, padding=1, bias=False), nn.InstanceNorm2d(middle), nn.ReLU(),
            nn.Conv2d(middle, outside, 3, padding=1, bias=False), nn.InstanceNorm2d(outside), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outside, H, W]."""
        return self.double_conv(x)


class Up(nn.Module):
    """Twice the size, corners aligned, then a double convolution."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = DoubleConv(inside, outside, inside // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outside, 2 H, 2 W]."""
        return self.conv(nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))


class OutConv(nn.Module):
    """A 1x1 convolution."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 1)


class Upsampler(nn.Module):
    """The layers of the super-resolution network."""

    def __init__(self, inside: int, outside: int, capacity: int) -> None:
        super().__init__()
        self.inc = DoubleConv(inside, capacity * 4)
        self.up1 = Up(capacity * 4, capacity * 2)
        self.up2 = Up(capacity * 2, capacity)
        self.outc = OutConv(capacity, outside)


class SuperResolution(nn.Module):
    """32 channels to a picture of four times the side."""

    def __init__(self, capacity: int = 32, channels: int = 32) -> None:
        super().__init__()
        self.upsampler = Upsampler(channels, 3, capacity)

    def forward(self, features: Tensor) -> Tensor:
        """Return [B, 3, 4 H, 4 W], 0..1."""
        net = self.upsampler
        return torch.sigmoid(net.outc.conv(net.up2(net.up1(net.inc(features)))))


def cross_matrix(r: Tensor) -> Tensor:
    """Return the 3x3 matrix of r x."""
    o = torch.zeros_like(r[0])
    return torch.stack([torch.stack([o, -r[2], r[1]]), torch.stack([r[2], o, -r[0]]), torch.stack([-r[1], r[0], o])])


def half_angle(r: Tensor) -> Tensor:
    """Return the wxyz quaternion of an axis-angle [3]."""
    angle = torch.linalg.norm(r)
    axis = r / angle if angle > 0 else r
    return torch.cat([torch.cos(angle / 2)[None], axis * torch.sin(angle / 2)])


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Return the Hamilton product of wxyz quaternions [N, 4]."""
    aw, av, bw, bv = a[:, :1], a[:, 1:], b[:, :1], b[:, 1:]
    return torch.cat([aw * bw - (av * bv).sum(1, keepdim=True), aw * bv + bw * av + torch.linalg.cross(av, bv)], 1)


def surface(n: int, rng: torch.Generator) -> Tensor:
    """Return [n, 3] around an egg of a head, canonical units: face towards +z, neck and shoulders far from landmarks."""
    direction = nn.functional.normalize(torch.randn(n, 3, generator=rng), dim=1)
    points = direction * torch.tensor([0.62, 0.85, 0.7]) * (0.9 + 0.2 * torch.rand(n, 1, generator=rng))
    return points - torch.tensor([0, 0.5, 0]) * (torch.rand(n, 1, generator=rng) > 0.8)


def landmarks(rng: torch.Generator) -> Tensor:
    """Return [LANDMARKS, 3] on the face."""
    direction = nn.functional.normalize(torch.randn(LANDMARKS, 3, generator=rng), dim=1)
    direction[:, 2] = direction[:, 2].abs()
    return direction * torch.tensor([0.5, 0.65, 0.6])


def grid() -> tuple[Tensor, Tensor]:
    """Return (tet_verts [GRID^3, 3], tets [5 (GRID - 1)^3, 4]) over the head's box."""
    axes = [torch.linspace(a, b, GRID) for a, b in ((-1.6, 1.6), (-1.7, 1.8), (-2.5, 1.0))]
    vertices = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    corners = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1))
    even = ((0, 3, 5, 6), (1, 0, 3, 5), (2, 3, 0, 6), (4, 0, 5, 6), (7, 3, 6, 5))
    odd = ((1, 2, 4, 7), (0, 1, 2, 4), (3, 2, 1, 7), (5, 1, 4, 7), (6, 2, 7, 4))
    tets = []
    for x in range(GRID - 1):
        for y in range(GRID - 1):
            for z in range(GRID - 1):
                ids = [((x + a) * GRID + y + b) * GRID + z + c for a, b, c in corners]
                tets += [[ids[i] for i in tet] for tet in (even, odd)[(x + y + z) % 2]]
    return vertices, torch.tensor(tets, dtype=torch.int64)


def egg(mlp: MLP) -> None:
    """Make output 0 (before its tanh) |x / radii| - 1: the mean of rectified projections is proportional to the length."""
    k = torch.arange(200) + 0.5
    polar, azimuth = torch.arccos(1 - 2 * k / 200), torch.pi * (1 + 5 ** 0.5) * k
    directions = torch.stack([polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()], 1)
    with torch.no_grad():
        first: nn.Conv1d = getattr(mlp, "conv0")  # noqa: B009 (its type is ours to say)
        assert first.bias is not None
        first.weight[:200] = 0
        first.bias[:200] = 0
        first.weight[:200, :3, 0] = directions / torch.tensor([0.62, 0.85, 0.7])
        for i in range(1, 6):
            layer = getattr(mlp, f"conv{i}")
            layer.weight[0] = 0
            layer.bias[0] = -1 if i == 5 else 0
            layer.weight[0, :200 if i == 1 else 1, 0] = 4 / 200 / 0.99 if i == 1 else 1


def frames(count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return strong expressions [T, 64] and world poses [T, 6], float32; the last head is at rest."""
    poses = torch.cat([0.5 * torch.randn(count, 3, generator=rng), 0.1 * torch.randn(count, 3, generator=rng)], 1)
    expressions = 1.5 * torch.randn(count, 64, generator=rng)
    if count > 2:
        poses[-1] = 0
    return expressions, poses


def write_params(folder: Path, expressions: Tensor, poses: Tensor, scale: float, kind: str = "params") -> Path:
    """Write `<folder>/<kind>/<frame>/params.npz` with landmarks and vertices beside it; return `<folder>/<kind>`."""
    rng = np.random.default_rng(5)
    for i, (expression, pose) in enumerate(zip(expressions, poses, strict=True)):
        at = folder / kind / f"{3 * i:04d}"  # every third frame is kept
        at.mkdir(parents=True)
        size = np.full((1, 1) if kind == "FLAME_params" else (1,), scale, np.float32)
        ids = np.zeros((1, 100 if kind == "FLAME_params" else 80), np.float32)
        np.savez(at / "params.npz", id_coeff=ids, exp_coeff=expression[None].numpy(), scale=size,
                 pose=pose[None].numpy())
        np.save(at / "lmk_3d.npy", rng.normal(0, 0.1, (66, 3)).astype(np.float32))
        np.save(at / "vertices.npy", rng.normal(0, 0.1, (500, 3)).astype(np.float32))
    return folder / kind


CONFIG = """\
gpu_id: 0
load_meshhead_checkpoint: 'checkpoints/{name}/meshhead_latest'
load_gaussianhead_checkpoint: ''
load_supres_checkpoint: ''
load_delta_poses_checkpoint: ''
lr_net: 0.0001
lr_lmk: 0.0001
lr_pose: 0.00001
batch_size: 1
optimize_pose: True

dataset:
  dataroot: '{name}'
  original_resolution: 2048
  resolution: 2048

supresmodule:
  input_dim: 32
  output_dim: 3
  network_capacity: 32

gaussianheadmodule:
  num_add_mouth_points: 3000
  exp_color_mlp: [192, 256, 256, 32]
  pose_color_mlp: [182, 128, 32]
  exp_attributes_mlp: [192, 256, 256, 256, 8]
  pose_attributes_mlp: [182, 128, 128, 8]
  exp_deform_mlp: [91, 256, 256, 256, 256, 256, 3]
  pose_deform_mlp: [81, 256, 256, 3]
  exp_coeffs_dim: 64
  pos_freq: 4
  dist_threshold_near: 0.1
  dist_threshold_far: 0.25
  deform_scale: 0.3
  attributes_scale: 0.2

recorder:
  name: 'gaussianhead_{name}'
  checkpoint_path: 'checkpoints'
"""


def write(folder: Path, *, n: int = 3000, frame_count: int = 3, name: str = "037", scale: float = SCALE,
          legacy: bool = False) -> Original:
    """Write a whole ORIG run and return what it draws.

    `extras`: `features` [T, N, 32] before any clamp, `feature_image` [1, 32, 32, 32] and the `image` [1, 3, 128, 128]
    that super-resolution makes of it, `w_exp` [N], `delta_poses` [T, 6] (in the file; added to poses in training only)
    and `tuned_means` [T, N, 3] with them added.
    """
    rng = torch.Generator().manual_seed(11)
    with torch.random.fork_rng():
        torch.manual_seed(11)
        mesh, gaussians, supres = MeshHead(rng), GaussianHead(n, rng), SuperResolution()
    expressions, poses = frames(frame_count, rng)
    delta_poses = 0.002 * torch.randn(frame_count, 6, generator=rng)
    at = folder / "checkpoints" / name
    at.mkdir(parents=True)
    for file, held in (("meshhead_latest", mesh.state_dict()), ("gaussianhead_latest", gaussians.state_dict()),
                       ("supres_latest", supres.state_dict()), ("delta_poses_latest", nn.Parameter(delta_poses))):
        torch.save(held, at / file, _use_new_zipfile_serialization=not legacy)
    data = folder / name
    params = write_params(data, expressions, poses, scale)
    config = folder / "config" / f"train_gaussianhead_{name}.yaml"
    config.parent.mkdir()
    config.write_text(CONFIG.format(name=name))
    size = torch.tensor(np.float32(scale)).double()
    with torch.no_grad():
        gaussians, supres = gaussians.double(), supres.double()
        drawn = [gaussians(e.double(), p.double(), size) for e, p in zip(expressions, poses, strict=True)]
        tuned = [gaussians(e.double(), p.double(), size)["means"].numpy()
                 for e, p in zip(expressions, poses + delta_poses, strict=True)]
        feature_image = torch.rand(1, 32, 32, 32, generator=rng)
        image = supres(feature_image.double())
    stacked = {k: np.stack([frame[k].numpy() for frame in drawn]) for k in drawn[0]}
    sequence = Sequence(basis="bfm09-64", fps=25, expr=expressions.numpy(), rotation=poses[:, :3].numpy(),
                        translation=poses[:, 3:].numpy())
    posed = Posed(means=stacked["means"], quats=stacked["quats"], scales=stacked["scales"],
                  opacities=stacked["opacities"], rgb=stacked["features"][..., :3])
    return Original(path=at / "gaussianhead_latest", sides={"params": params, "config": config}, head=None,
                    sequence=sequence, posed=posed, options={},
                    extras={"features": stacked["features"], "feature_image": feature_image.numpy(),
                            "image": image.numpy(), "w_exp": stacked["w_exp"][0], "delta_poses": delta_poses.numpy(),
                            "tuned_means": np.stack(tuned),
                            "meshhead": at / "meshhead_latest", "supres": at / "supres_latest"})
