"""The four other systems as FATE's code re-implements them, in FATE's checkpoint envelope.

    original = write(folder, system="flash_avatar", variant="imavatar")

Systems: gaussian_avatars, flash_avatar, splatting_avatar, mono_gaussian_avatar. Variants: imavatar (100/50 coefficients,
tracking in the file), insta (300/100, none). After the FATE fact sheet, sections 6 and 7.5.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.originals import flame, mono_gaussian_avatar, phong, splats, torch_save
from tests.originals.fate import (
    Subject,
    flame_buffers,
    posed_of,
    sequence_of,
    subject,
    template_buffers,
    tracking,
    write_identity,
)
from tests.originals.imavatar import Server
from tests.originals.posed import Original
from tests.originals.uv_raster import sealed_raster

NAMES = {"gaussian_avatars": "GaussianAvatars", "flash_avatar": "FlashAvatar", "splatting_avatar": "SplattingAvatar",
         "mono_gaussian_avatar": "MonoGaussianAvatar"}
MONO_RADIUS = 0.0007610908653441582
"""Not in the file; upstream sets it when loading."""
CANONICAL_JAW = 0.2


@dataclass(frozen=True, eq=False)
class Clip:
    """What drives: codes [T, E], poses [T, 15], and the canonical expression [E]."""

    codes: np.ndarray
    theta: np.ndarray
    canonical: np.ndarray


def write(folder: Path, system: str, variant: str = "imavatar", splats_count: int = 200, frames: int = 3,
          stored_binding: bool = False) -> Original:
    """Write a workspace of one system and return its checkpoint.

    Args:
        folder: The workspace, made if absent.
        system: One of `NAMES`.
        variant: `imavatar` or `insta`; MonoGaussianAvatar only the first.
        splats_count: Gaussians, except for FlashAvatar: one per covered texel of 128 x 128.
        frames: Frames to pose.
        stored_binding: FlashAvatar only: also write `face_index` and `bary_coords`.
    """
    insta = variant == "insta"
    workspace = Path(folder)
    workspace.mkdir(parents=True, exist_ok=True)
    mono = system == "mono_gaussian_avatar"
    person = subject(300, 100) if insta else subject(100, 50, scale=4.0 if mono else 1.0)
    codes, theta = flame.strong_motion(frames, person.n_exp)
    clip = Clip(codes, theta, splats.float32(0.4 * codes[0] + 0.3))
    rng = np.random.default_rng(71)
    if system == "flash_avatar":
        model, drawn, extras = _flash(person, clip, rng, stored_binding)
    else:
        make = {"gaussian_avatars": _gaussian_avatars, "splatting_avatar": _splatting, "mono_gaussian_avatar": _mono}[system]
        model, drawn, extras = make(person, clip, rng, splats_count)
    identity = write_identity(workspace / "identity_dict.pkl", person, clip.canonical, variant)
    tracked = {} if insta else tracking((codes, theta), flame.strong_motion(2, person.n_exp, seed=2))
    path = torch_save.save({"epoch": 50, "global_step": 150000, "model": model} | tracked,
                           workspace / f"checkpoints/{NAMES[system]}_ep0050.pth")
    return Original(path=path, posed=posed_of(drawn), sequence=sequence_of(codes, theta), sides={"identity_dict": identity},
                    extras=extras | {"workspace": workspace, "count": drawn[0]["means"].shape[0]})


def _appearance(rng: np.random.Generator, n: int, rest: int) -> dict[str, np.ndarray]:
    """Return colours, rotations and opacities as float64 arrays of float32 numbers."""
    made = {"_features_dc": rng.normal(0, 1.2, (n, 1, 3)), "_features_rest": rng.normal(0, 0.2, (n, rest, 3)),
            "_scaling": rng.normal(-1.2, 0.4, (n, 3)), "_rotation": rng.normal(0, 1, (n, 4)),
            "_opacity": rng.normal(0, 2.5, (n, 1))}
    return {name: splats.float32(value) for name, value in made.items()}


def _shown(entries: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return opacity and the degree 0 colour, all that a loaded avatar is drawn with."""
    return {"opacities": splats.sigmoid(entries["_opacity"][:, 0]), "rgb": splats.rgb_of_dc(entries["_features_dc"][:, 0])}


def _vertices(person: Subject, clip: Clip, t: int) -> np.ndarray:
    return flame.pose(person.tables, person.betas(clip.codes[t]), clip.theta[t])


def _gaussian_avatars(person: Subject, clip: Clip, rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    """GaussianAvatars on FLAME's 9976 faces: mu = R x k + centroid, s = exp(scaling) k."""
    xyz, faces = splats.float32(rng.normal(0, 0.5, (n, 3))), person.tables["f"]
    made = _appearance(rng, n, 15)
    binding = rng.integers(0, len(faces), n)
    # Every face keeps one at least in the original; counts are of this smaller cloud.
    counter = np.bincount(binding, minlength=len(faces)).astype(np.int32)
    drawn = []
    for t in range(len(clip.codes)):
        vertices = _vertices(person, clip, t)
        frame, scale, _ = splats.edge_frames(vertices, faces)
        k = scale[binding][:, None]
        drawn.append({
            "means": np.einsum("nab,nb->na", frame[binding], xyz) * k + vertices[faces[binding]].mean(axis=1),
            "quats": splats.unit(splats.multiply(splats.quaternions(frame)[binding], splats.unit(made["_rotation"]))),
            "scales": np.exp(made["_scaling"]) * k} | _shown(made))
    entries = {"_xyz": xyz} | made | {"binding": binding, "binding_counter": counter} | flame_buffers(person)
    return torch_save.state_dict(entries), drawn, {"binding": binding}


def encoded(points: np.ndarray) -> np.ndarray:
    """Return x, then sin and cos of 2^l x for l = 0..7: [N, 51]."""
    return np.concatenate([points, *(f(points * 2.0 ** k) for k in range(8) for f in (np.sin, np.cos))], axis=1)


def _flash(person: Subject, clip: Clip, rng: np.random.Generator, stored: bool) -> tuple[Any, ...]:
    """FlashAvatar: a texel of 128 x 128 each, an MLP of template point, expression, jaw and eyes; no personal shape."""
    _, face, weights, _ = sealed_raster(128)
    bary, n = splats.float32(weights), len(face)
    buffers = template_buffers(face, bary)
    points = buffers["verts_sampling"][0].astype(np.float64)
    code = splats.float32(encoded(points))
    made = _appearance(rng, n, 15)
    made["_scaling"] = splats.float32(float(buffers["scale_init"]) + 0.3 * made["_scaling"])
    widths = [51 + person.n_exp + 9] + [256] * 6
    net: dict[str, np.ndarray] = {}
    for i in range(6):
        net[f"fcs.{i}.weight"] = splats.float32(rng.normal(0, (2 / widths[i]) ** 0.5, (256, widths[i])))
        net[f"fcs.{i}.bias"] = splats.float32(rng.normal(0, 0.05, 256))
    size = np.r_[np.full(3, 0.01), np.full(7, 0.3)]
    net["output_linear.weight"] = splats.float32(rng.normal(0, 1 / 16, (10, 256)) * size[:, None])
    net["output_linear.bias"] = splats.float32(rng.normal(0, 1, 10) * size)
    drawn, faces = [], person.faces
    for t, theta in enumerate(clip.theta):
        x = np.concatenate([code, np.tile(np.r_[clip.codes[t], theta[6:]].astype(np.float64), (n, 1))], axis=1)
        for i in range(6):
            x = np.maximum(x @ net[f"fcs.{i}.weight"].T + net[f"fcs.{i}.bias"], 0)
        out = np.tanh(x @ net["output_linear.weight"].T + net["output_linear.bias"])
        turn = np.concatenate([np.exp(out[:, 3:4]), out[:, 4:7]], axis=1)
        drawn.append({
            "means": np.einsum("nk,nkc->nc", bary, _vertices(person, clip, t)[faces[face]]) + out[:, :3],
            "quats": splats.unit(splats.multiply(made["_rotation"], turn)),
            "scales": np.exp(made["_scaling"] * np.exp(out[:, 7:]))} | _shown(made))
    binding = {"face_index": face, "bary_coords": bary} if stored else {}
    entries = made | binding | buffers | {"cano_init_embeded": code[None]} | flame_buffers(person)
    entries |= {f"deformNet.{name}": value for name, value in net.items()}
    return torch_save.state_dict(entries), drawn, {"face_index": face, "bary_coords": bary}


def _splatting(person: Subject, clip: Clip, rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    """SplattingAvatar in metres: the floors of its normalisations and the 1e-4 on areas are not scaled along."""
    faces = person.tables["f"]
    # One small eye: around its poles even the summed normals are shorter than the floor.
    ball = person.tables["v_template"][3931:4477]
    ball[:] = splats.float32(ball.mean(axis=0) + 0.7 * (ball - ball.mean(axis=0)))
    theta = np.zeros(15)
    theta[6] = CANONICAL_JAW
    canonical = splats.float32(flame.pose(person.tables, person.betas(clip.canonical), theta))
    face = rng.integers(0, len(faces), n)
    # Some on the smallest faces, where the floors show: half at the poles of the small eye, half of both.
    poles = np.argsort(phong.areas(canonical, faces) + ~np.isin(faces, np.arange(3931, 4477)).all(axis=1))
    face[:n // 5] = np.r_[poles[:n // 10], np.argsort(phong.areas(canonical, faces))[:n // 5 - n // 10]]
    u = rng.uniform(size=n)
    v = rng.uniform(size=n) * (1 - u)
    bary = splats.float32(rng.permuted(np.stack([u, v, 1 - u - v], axis=1), axis=1))
    uvd = splats.float32(np.concatenate([np.zeros((n, 2)), rng.normal(0, 0.004, (n, 1))], axis=1))
    made = _appearance(rng, n, 0)
    made["_scaling"] = splats.float32(made["_scaling"] - 5)
    drawn = [phong.draw(canonical, _vertices(person, clip, t), faces, face, bary, uvd[:, 2], made["_rotation"],
                        made["_scaling"]) | _shown(made) for t in range(len(clip.codes))]
    triangles = canonical[faces]
    helper = {"cano_verts": canonical, "cano_faces": faces, "cano_triangles": triangles[None],
              "face_areas": phong.areas(canonical, faces)[:, None]}
    surface = {"V": canonical, "F": faces, "N": flame.vertex_normals(canonical, faces, phong.FLOOR),
               "F_centers": triangles.mean(axis=1)}
    entries = {"_uvd": uvd} | made | {"sample_fidxs": face, "sample_bary": bary} | flame_buffers(person)
    entries |= {f"quat_helper.{k}": value for k, value in helper.items()}
    entries |= {f"phongsurf.{k}": value for k, value in surface.items()}
    return torch_save.state_dict(entries), drawn, {"canonical": canonical}


class _GaussianDeformer(mono_gaussian_avatar.GaussianDeformerNetwork):
    """FATE's has two layers before the heads."""

    def __init__(self) -> None:
        super().__init__()
        del self._modules["lin2"]

    def forward(self, moved: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return additive changes by name."""
        x = self.lin1(torch.relu(self.lin0(moved)))
        return {name: getattr(self, f"{name}_layer")(x) for name in ("scaling", "rotations", "opacity", "color")}


def _mono(person: Subject, clip: Clip, rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    """MonoGaussianAvatar, geometry times 4, canonical state from identity_dict's expression and the training jaw."""
    t = person.tables
    server = Server(t["v_template"], t["shapedirs"], t["posedirs"], t["J_regressor"], t["weights"])
    around = t["v_template"][rng.integers(0, 5023, n)] + rng.normal(0, 0.02, (n, 3))
    with torch.random.fork_rng():
        torch.manual_seed(72)
        net = mono_gaussian_avatar.Model(torch.from_numpy(around.astype(np.float32)), server)
        net.gaussian_deformer_network = _GaussianDeformer()
        mono_gaussian_avatar._stronger(net, torch.Generator().manual_seed(73))  # noqa: SLF001 # pyright: ignore
    flame_state = torch_save.state_dict(flame_buffers(person))
    state = net.state_dict()
    entries: dict[str, Any] = {}
    for part in ("geometry_network", "deformer_network", "gaussian_deformer_network", "rendering_network"):
        entries |= {k: value.clone() for k, value in state.items() if k.startswith(f"{part}.") and "FLAMEServer" not in k}
    entries |= {f"deformer_network.FLAMEServer.{k.removeprefix('flame.')}": value for k, value in flame_state.items()}
    entries |= dict(flame_state) | {"pc.points": state["pc.points"].clone()}
    exact = net.double()

    def state_of(expression: np.ndarray, theta: np.ndarray) -> tuple[torch.Tensor, ...]:
        bones, feature = server.bones(expression, theta)
        return torch.from_numpy(bones), torch.from_numpy(feature), torch.from_numpy(expression.astype(np.float64))

    rest = np.zeros(15)
    rest[6] = CANONICAL_JAW
    with torch.no_grad():
        canonical: Any = state_of(clip.canonical, rest)
        frames: list[Any] = [exact(canonical, state_of(clip.codes[i], clip.theta[i]), MONO_RADIUS)
                             for i in range(len(clip.codes))]
    drawn = [{"means": f["means"].numpy() / 4, "quats": np.tile([1.0, 0, 0, 0], (n, 1)), "scales": f["scales"].numpy() / 4,
              "opacities": f["opacities"].numpy(), "rgb": f["rgb"].numpy()} for f in frames]
    extras = {"raw_quats": np.stack([f["raw_quats"].numpy() for f in frames]),
              "covariances": np.stack([f["covariances"].numpy() for f in frames]) / 16, "radius": MONO_RADIUS}
    return torch_save.state_dict(entries), drawn, extras
