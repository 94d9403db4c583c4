"""MonoGaussianAvatar's files (Chen et al., SIGGRAPH 2024) and what it draws, from its published arithmetic.

Layout: <exps>/<subject>/<method>/<split>/train/checkpoints/{ModelParameters,InputParameters,...}/{latest,<epoch>}.pth and
<data>/<subject>/<subject>/<video>/flame_params.json. Everything is in quarter metres until the very end.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from formats.sequence import Sequence
from tests.originals.flame import flame, head, strong_motion
from tests.originals.imavatar import CANONICAL_JAW, EXPRESSIONS, FACTOR, Server, parents, server, write_flame_params
from tests.originals.posed import Original, Posed

RADIUS = 0.0083
"""Added to every scale; saved beside the networks."""
FREQUENCIES = 6
BONES = 6
EMBEDDINGS = (("lmk_faces_idx", "static_lmk_faces_idx"), ("lmk_bary_coords", "static_lmk_bary_coords"),
              ("dynamic_lmk_faces_idx", "dynamic_lmk_faces_idx"), ("dynamic_lmk_bary_coords", "dynamic_lmk_bary_coords"),
              ("full_lmk_faces_idx", "full_lmk_faces_idx"), ("full_lmk_bary_coords", "full_lmk_bary_coords"))


def _normed(inside: int, outside: int) -> Any:
    """Return a linear layer in the old weight norm: `bias`, `weight_g`, `weight_v`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        layer: Any = nn.utils.weight_norm(nn.Linear(inside, outside))
    with torch.no_grad():  # trained lengths are not those of the directions
        layer.weight_g.mul_(0.6 + 0.8 * torch.rand_like(layer.weight_g))
    return layer


def _softplus(x: Tensor) -> Tensor:
    return nn.functional.softplus(x, beta=100)


class FLAMEServer(nn.Module):
    """The 14 buffers and 2 constant parameters of their FLAME layer."""

    def __init__(self, tables: Server) -> None:
        super().__init__()
        for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights"):
            self.register_buffer(name, torch.tensor(getattr(tables, name), dtype=torch.float32))
        self.register_buffer("parents", torch.from_numpy(parents()))
        self.register_buffer("faces_tensor", torch.from_numpy(flame()["f"].astype(np.int64)))
        for name, ours in EMBEDDINGS:
            values = torch.from_numpy(np.array(flame()[ours]))
            self.register_buffer(name, values.float() if "coords" in name else values.long())
        self.register_buffer("neck_kin_chain", torch.tensor([1, 0]))
        self.eye_pose = nn.Parameter(torch.zeros(1, 6), requires_grad=False)
        self.neck_pose = nn.Parameter(torch.zeros(1, 3), requires_grad=False)


class Points(nn.Module):
    """The canonical points."""

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.points = nn.Parameter(points)


class GeometryNetwork(nn.Module):
    """Static attributes of a canonical point; 6 octaves, seven layers, the encoding again before the fourth."""

    def __init__(self) -> None:
        super().__init__()
        encoded = 3 + 3 * 2 * FREQUENCIES
        for i in range(7):
            setattr(self, f"lin{i}", _normed(encoded if i == 0 else 256, 256 - encoded if i == 2 else 256))
        self.out_layer = nn.Sequential(nn.Linear(256, 256), nn.Softplus(beta=100), nn.Linear(256, 256), nn.Linear(256, 3))
        self.scaling_layer = nn.Sequential(nn.Linear(256, 256), nn.Softplus(beta=100), nn.Linear(256, 3))
        self.rotations_layer = nn.Sequential(nn.Linear(256, 256), nn.Softplus(beta=100), nn.Linear(256, 4))
        self.opacity_layer = nn.Sequential(nn.Linear(256, 256), nn.Softplus(beta=100), nn.Linear(256, 1))

    def forward(self, points: Tensor) -> Tensor:
        """Return [N, 11] in the order of the original's concatenation: colour, rotation, scale, opacity."""
        encoded = [points]
        for k in range(FREQUENCIES):
            encoded += [torch.sin(points * 2 ** k), torch.cos(points * 2 ** k)]
        start = x = torch.cat(encoded, dim=1)
        for i in range(7):
            if i == 3:
                x = torch.cat([x, start], dim=1) / np.sqrt(2)
            x = _softplus(getattr(self, f"lin{i}")(x))
        return torch.cat([self.out_layer(x), self.rotations_layer(x), self.scaling_layer(x), self.opacity_layer(x)], 1)


class DeformerNetwork(nn.Module):
    """Blendshapes, an offset and skinning weights of a canonical point."""

    def __init__(self, flame_server: FLAMEServer) -> None:
        super().__init__()
        self.FLAMEServer = flame_server
        for i in range(4):
            setattr(self, f"lin{i}", _normed(3 if i == 0 else 128, 128))
        self.blendshapes = nn.Linear(128, 36 * 3 + 3 * EXPRESSIONS + 3)
        self.skinning_linear = _normed(128, 128)
        self.skinning = nn.Linear(128, BONES)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return posedirs [N, 36, 3], shapedirs [N, 3, 50], weights [N, 6] and offsets [N, 3]."""
        x = points
        for i in range(4):
            x = _softplus(getattr(self, f"lin{i}")(x))
        out = self.blendshapes(x)
        weights = torch.softmax(20 * self.skinning(_softplus(self.skinning_linear(x))), dim=1)
        return out[:, :108].reshape(-1, 36, 3), out[:, 108:258].reshape(-1, 3, EXPRESSIONS), weights, out[:, 258:]


class GaussianDeformerNetwork(nn.Module):
    """Changes of the attributes from how far a point has moved."""

    lin0: Any
    lin1: Any
    lin2: Any

    def __init__(self) -> None:
        super().__init__()
        for i in range(3):
            setattr(self, f"lin{i}", _normed(3 if i == 0 else 64, 64))
        for name, width in (("scaling", 3), ("rotations", 4), ("opacity", 1), ("color", 3)):
            setattr(self, f"{name}_layer", nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, width)))

    def forward(self, moved: Tensor) -> dict[str, Tensor]:
        """Return additive changes by name."""
        x = self.lin2(torch.relu(self.lin1(torch.relu(self.lin0(moved)))))
        return {name: getattr(self, f"{name}_layer")(x) for name in ("scaling", "rotations", "opacity", "color")}


class RenderingNetwork(nn.Module):
    """There, and never used."""

    def __init__(self) -> None:
        super().__init__()
        for i, (a, b) in enumerate(((3, 64), (64, 64), (64, 3))):
            setattr(self, f"lin{i}", _normed(a, b))


class Model(nn.Module):
    """All that ModelParameters holds: 125 tensors."""

    def __init__(self, points: Tensor, tables: Server) -> None:
        super().__init__()
        self.FLAMEServer = FLAMEServer(tables)
        self.geometry_network = GeometryNetwork()
        self.deformer_network = DeformerNetwork(self.FLAMEServer)
        self.gaussian_deformer_network = GaussianDeformerNetwork()
        self.rendering_network = RenderingNetwork()
        self.pc = Points(points)

    def forward(self, canonical: tuple[Tensor, Tensor, Tensor], frame: tuple[Tensor, Tensor, Tensor],
                radius: float) -> dict[str, Tensor]:
        """Return one frame's Gaussians, quarter metres.

        Args:
            canonical: Bones [6, 4, 4], pose feature [36] and expression [50] of the canonical state.
            frame: The same of the frame.
            radius: Added to the scales.
        """
        posedirs, shapedirs, weights, offset = self.deformer_network(self.pc.points)
        flame_points = self.pc.points + offset
        bones, feature, expression = canonical
        blended = torch.einsum("nj,jab->nab", weights, bones)
        rest = torch.linalg.solve(blended[:, :3, :3], (flame_points - blended[:, :3, 3])[:, :, None])[:, :, 0]
        rest = rest - shapedirs @ expression - torch.einsum("k,nkc->nc", feature, posedirs)
        bones, feature, expression = frame
        shaped = rest + shapedirs @ expression + torch.einsum("k,nkc->nc", feature, posedirs)
        blended = torch.einsum("nj,jab->nab", weights, bones)
        posed = torch.einsum("nab,nb->na", blended[:, :3, :3], shaped) + blended[:, :3, 3]
        static = self.geometry_network(self.pc.points)
        change = self.gaussian_deformer_network((posed - flame_points).detach())
        # Concatenated as colour, rotation, scale, opacity; cut as colour, scale, rotation, opacity.
        scale = 0.025 * torch.sigmoid(static[:, 3:6] + change["scaling"]) + radius
        rotation = static[:, 6:10] + change["rotations"]
        quats = nn.functional.normalize(rotation[None])[0]  # the default axis 1 of [1, N, 4]: over the points
        turn = literal_matrix(quats)
        half = turn * scale[:, None]
        return {"means": posed, "scales": scale, "raw_quats": quats, "covariances": half @ half.transpose(1, 2),
                "opacities": torch.sigmoid(static[:, 10] + change["opacity"][:, 0]),
                "rgb": torch.sigmoid(static[:, :3] + change["color"])}


def literal_matrix(q: Tensor) -> Tensor:
    """Return I - 2 (...) of wxyz quaternions as the rasteriser forms it, whatever their length."""
    r, x, y, z = q.unbind(1)
    return torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - r * z), 2 * (x * z + r * y),
                        2 * (x * y + r * z), 1 - 2 * (x * x + z * z), 2 * (y * z - r * x),
                        2 * (x * z - r * y), 2 * (y * z + r * x), 1 - 2 * (x * x + y * y)], dim=1).reshape(-1, 3, 3)


def _stronger(model: Model, rng: torch.Generator) -> None:
    """Give the heads trained sizes: millimetres of blendshape, mixed skinning, varied attributes."""
    with torch.no_grad():
        deformer = model.deformer_network
        sizes = torch.cat([torch.full((108,), 0.04), torch.full((150,), 0.02), torch.full((3,), 0.1)])
        deformer.blendshapes.weight.copy_(torch.randn(261, 128, generator=rng) * sizes[:, None] / 4)
        deformer.blendshapes.bias.copy_(torch.randn(261, generator=rng) * sizes / 4)
        deformer.skinning.weight.mul_(4)
        deformer.skinning.bias.copy_(torch.tensor([0.0, 0.02, 0.1, 0.06, -0.1, -0.1]))
        for i in range(4):
            getattr(deformer, f"lin{i}").weight_g.mul_(2)
        for name, gain in (("out", 80), ("scaling", 20), ("rotations", 20), ("opacity", 120)):
            layer = getattr(model.geometry_network, f"{name}_layer")
            layer[-1].weight.mul_(gain)
        for i in range(7):
            getattr(model.geometry_network, f"lin{i}").weight_g.mul_(1.6)


def _canonical_points(n: int, tables: Server, rng: np.random.Generator) -> Tensor:
    v = tables.v_template[rng.integers(0, len(tables.v_template), n)]
    return torch.from_numpy((v + rng.normal(0, 0.02, (n, 3))).astype(np.float32))


def write(folder: Path, *, n: int = 2000, frame_count: int = 3, subject: str = "yufeng", epoch: int = 60,
          legacy: bool = False) -> Original:
    """Write a run and its training data; return what it draws for the first frames of the first video.

    The canonical expression is the mean over both training videos' frames; identity is the second video's.
    `posed.quats` are 1, 0, 0, 0: the original's rotations are close to none. `extras`: `covariances` [T, N, 3, 3] metres
    squared with its rotations as they are, `raw_quats` [T, N, 4] (normalised over the points), `radius`, `canonical_expression`
    [50], `model` (the numbered file beside `latest.pth`), `shape` [100], `inputs`.
    """
    rng = np.random.default_rng(41)
    shape = rng.normal(0, 0.8, 100).astype(np.float32)
    tables = server(shape)
    expressions, poses = strong_motion(frame_count, EXPRESSIONS, seed=42)
    others, other_poses = strong_motion(5, EXPRESSIONS, seed=43)
    expressions, others = expressions + np.float32(0.4), others + np.float32(0.4)
    data = folder / "data" / "datasets" / subject / subject
    first = write_flame_params(data / "MVI_1810" / "flame_params.json", expressions, poses, 0.5 * shape)
    last = write_flame_params(data / "MVI_1814" / "flame_params.json", others, other_poses, shape)
    mean = np.concatenate([expressions, others]).astype(np.float64).mean(axis=0).astype(np.float32)

    generator = torch.Generator().manual_seed(44)
    with torch.random.fork_rng():
        torch.manual_seed(44)
        model = Model(_canonical_points(n, tables, rng), tables)
    _stronger(model, generator)
    state = model.state_dict()
    assert len(state) == 125, len(state)
    train = folder / "data" / "experiments" / subject / "MonoGaussianAvatar" / "MVI_1810_MVI_1814" / "train"
    inputs = {"expression_state_dict": {"weight": torch.from_numpy(np.concatenate([expressions, others])) + 0.05},
              "flame_pose_state_dict": {"weight": torch.from_numpy(np.concatenate([poses, other_poses]))},
              "camera_pose_state_dict": {"weight": torch.tensor([[0.01, 0.03, -4.1]]).repeat(frame_count + 5, 1)}}
    optimiser = torch.optim.Adam([{"params": [p for p in model.parameters() if p.requires_grad]}], lr=1e-4)
    sparse = torch.optim.SparseAdam([nn.Parameter(v["weight"].clone()) for v in inputs.values()], lr=5e-4)
    for kind, held in (
            ("ModelParameters", {"radius": RADIUS, "model_state_dict": state}),
            ("OptimizerParameters", {"optimizer_state_dict": optimiser.state_dict()}),
            ("SchedulerParameters", {"scheduler_state_dict": {"milestones": {80: 1, 100: 1}, "gamma": 0.5}}),
            ("OptimizerInputs", {"optimizer_cam_state_dict": sparse.state_dict()}),
            ("InputParameters", inputs)):
        at = train / "checkpoints" / kind
        at.mkdir(parents=True)
        for file in ("latest", str(epoch)):
            torch.save({"epoch": epoch, **held}, at / f"{file}.pth", _use_new_zipfile_serialization=not legacy)
    (train.parent / "runconf.conf").write_text(CONFIG.format(subject=subject))

    exact = model.double()

    def state_of(expression: np.ndarray, pose: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        bones, feature = tables.bones(expression, pose)
        return torch.from_numpy(bones), torch.from_numpy(feature), torch.from_numpy(expression.astype(np.float64))

    rest = np.zeros(15)
    rest[6] = CANONICAL_JAW
    with torch.no_grad():
        canonical = state_of(mean, rest)
        drawn = [exact(canonical, state_of(e, p), RADIUS) for e, p in zip(expressions, poses, strict=True)]
    stacked = {k: np.stack([frame[k].numpy() for frame in drawn]) for k in drawn[0]}
    posed = Posed(means=stacked["means"] / FACTOR, quats=np.tile([1.0, 0, 0, 0], (frame_count, n, 1)),
                  scales=stacked["scales"] / FACTOR, opacities=stacked["opacities"], rgb=stacked["rgb"])
    sequence = Sequence(basis="flame2020", fps=25, expr=expressions, rotation=poses[:, :3], neck=poses[:, 3:6],
                        jaw=poses[:, 6:9], eyes=poses[:, 9:15], shape=shape)
    checkpoints = train / "checkpoints"
    return Original(
        path=checkpoints / "ModelParameters" / "latest.pth", head=head("flame2020"), sequence=sequence, posed=posed,
        sides={"flame_params": last.parent.parent, "first_video": first, "last_video": last,
               "config": train.parent / "runconf.conf"}, options={},
        extras={"covariances": stacked["covariances"] / FACTOR ** 2, "raw_quats": stacked["raw_quats"], "radius": RADIUS,
                "canonical_expression": mean, "model": checkpoints / "ModelParameters" / f"{epoch}.pth", "shape": shape,
                "inputs": checkpoints / "InputParameters" / "latest.pth"})


CONFIG = """\
train{{
    exps_folder = ../data/experiments/
    methodname = MonoGaussianAvatar
    learning_rate = 1.0e-4
    num_pixels = 2048
}}
dataset{{
    data_folder = ../data/datasets
    subject_name = {subject}
    json_name = flame_params.json
    use_mean_expression = True
    train{{
    sub_dir = [MVI_1810, MVI_1814]
    img_res = [512, 512]
    subsample = 1
    }}
    test{{
    sub_dir = [MVI_1812]
    img_res = [512, 512]
    subsample = 200
    }}
}}
model{{
    canonical_pose = 0.4
    prune_thresh = 0.1
}}
"""
