"""FlashAvatar's files (Xiang et al., CVPR 2024) and its Wasserstein variant's, and what they draw, from their arithmetic.

Layout: dataset/<id>/log/ckpt/chkpnt<iter>.pth, metrical-tracker/output/<id>/checkpoint/*.frame, flame/ with FlameMesh.obj,
FLAME_masks.pkl and the two eyelid arrays. FLAME 2020, metres; head motion is in the camera.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tests.originals import tracker
from tests.originals.flame import (
    flame,
    head,
    masks,
    rotation_6d,
    skin,
    write_eyelids,
    write_mask_pickle,
    write_obj,
)
from tests.originals.flame_template import template
from tests.originals.posed import Original, Posed

RESOLUTION = 128
FREQUENCIES = 8
CONDITION = 120
KINDS = ("base", "wasserstein")
UV_SHIFT = np.array([0.00031, 0.00057])
"""Added to the template's UVs, so that no texel centre lies on an edge, where rounding would decide who covers it."""

CLEAR = 5e-7
"""Square metres of (v0 - p) x (v1 - p) below which its direction hangs on the last bits of float32 vertices."""


class DeformNet(nn.Module):
    """171 -> 6 x 256 with ReLU -> 10, then a tanh on everything."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3 + 3 * 2 * FREQUENCIES + CONDITION] + [256] * 6
        self.fcs = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.output_linear = nn.Linear(256, 10)

    def forward(self, place: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return offsets [P, 3], quaternion changes [P, 4] and factors of the log-scales [P, 3]."""
        x = torch.cat([embed(place), condition.expand(len(place), -1)], dim=1)
        for layer in self.fcs:
            x = torch.relu(layer(x))
        t = torch.tanh(self.output_linear(x))
        return t[:, :3], torch.cat([torch.exp(t[:, 3:4]), t[:, 4:7]], dim=1), torch.exp(t[:, 7:10])


def embed(x: Tensor) -> Tensor:
    """Return [P, 51]: x, then sin and cos at 1, 2, ..., 128 (no pi)."""
    parts = [x]
    for k in range(FREQUENCIES):
        parts += [torch.sin(2 ** k * x), torch.cos(2 ** k * x)]
    return torch.cat(parts, dim=1)


def raster(uvs: np.ndarray, uv_faces: np.ndarray, size: int = RESOLUTION) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (triangle [P], barycentric [P, 3], texel [P]) of the covered texels, row after row; v grows upward.

    Texel (row i, column j) samples u = (j + 0.5) / size, v = 1 - (i + 0.5) / size, and is covered where all three weights
    are above zero; the triangle of the lowest number wins.
    """
    owner = np.full(size * size, -1)
    weights = np.zeros((size * size, 3))
    for number, corners in enumerate(uvs[uv_faces]):
        (ax, ay), (bx, by), (cx, cy) = corners
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0:
            continue
        low, high = corners.min(axis=0), corners.max(axis=0)
        columns = np.arange(max(int(low[0] * size) - 1, 0), min(int(high[0] * size) + 2, size))
        rows = np.arange(max(int((1 - high[1]) * size) - 1, 0), min(int((1 - low[1]) * size) + 2, size))
        j, i = (g.ravel() for g in np.meshgrid(columns, rows))
        u, v = (j + 0.5) / size, 1 - (i + 0.5) / size
        w0 = ((bx - u) * (cy - v) - (cx - u) * (by - v)) / area
        w1 = ((cx - u) * (ay - v) - (ax - u) * (cy - v)) / area
        w = np.stack([w0, w1, 1 - w0 - w1], axis=1)
        texel = i * size + j
        inside = (w > 0).all(axis=1) & (owner[texel] < 0)
        owner[texel[inside]], weights[texel[inside]] = number, w[inside]
    covered = np.flatnonzero(owner >= 0)
    return owner[covered], weights[covered], covered


def write_mesh(path: Path) -> tuple[Path, np.ndarray]:
    """Write `FlameMesh.obj` (10 006 triangles, 5150 UV points); return it and the UVs as they stand in it."""
    uvs = (template().sealed_uvs + UV_SHIFT).round(6)
    lines = write_obj(path).read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("vt "))
    lines[first:first + len(uvs)] = [f"vt {u:.6f} {v:.6f}" for u, v in uvs]
    path.write_text("\n".join(lines) + "\n")
    return path, uvs


def flame_vertices(shape: np.ndarray, expr: np.ndarray, jaw: np.ndarray, eyes: np.ndarray,
                   eyelids: np.ndarray) -> np.ndarray:
    """Return vertices [5023, 3] the tracker's way: raw 6D rotations, eyelids added after skinning."""
    tables = flame()
    shaped = tables["v_template"] + tables["shapedirs"] @ np.concatenate([shape, expr]).astype(np.float64)
    rest = np.eye(3)[None].repeat(2, axis=0)
    rotations = np.concatenate([rest, rotation_6d(jaw)[None], rotation_6d(eyes.reshape(2, 6))])
    return skin(tables, shaped, rotations) + eyelids[0] * tables["l_eyelid"] + eyelids[1] * tables["r_eyelid"]


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Return the Hamilton product of wxyz quaternions [N, 4]."""
    w1, x1, y1, z1 = a.unbind(1)
    w2, x2, y2, z2 = b.unbind(1)
    return torch.stack([w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2, w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
                        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2, w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2], dim=1)


def corner_matrix(corners: Tensor, points: Tensor) -> Tensor:
    """Return [P, 3, 3] with columns v0 - p as long as it is, n x (v0 - p), n = unit((v0 - p) x (v1 - p))."""
    first, second = corners[:, 0] - points, corners[:, 1] - points
    normal = nn.functional.normalize(torch.linalg.cross(first, second), dim=1)
    return torch.stack([first, torch.linalg.cross(normal, first), normal], dim=2)


def quaternion(m: Tensor) -> Tensor:
    """Return wxyz quaternions of matrices that need not be rotations: PyTorch3D's way, the best conditioned of four.

    Neither length nor sign is changed afterwards.
    """
    d0, d1, d2 = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    size = torch.sqrt(torch.stack([1 + d0 + d1 + d2, 1 + d0 - d1 - d2, 1 - d0 + d1 - d2, 1 - d0 - d1 + d2], 1).clamp(min=0))
    a, b, c = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    d, e, f = m[:, 1, 0] + m[:, 0, 1], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    w, x, y, z = (size ** 2).unbind(1)
    rows = torch.stack([torch.stack([w, a, b, c], 1), torch.stack([a, x, d, e], 1), torch.stack([b, d, y, f], 1),
                        torch.stack([c, e, f, z], 1)], dim=1) / (2 * size.clamp(min=0.1))[:, :, None]
    return rows[torch.arange(len(m)), size.argmax(dim=1)]


def _adam(parameters: list[dict], lr: float, eps: float = 1e-8) -> torch.optim.Adam:
    """Return an optimiser that has made a step, so that its state is all there."""
    optimiser = torch.optim.Adam(parameters, lr=lr, eps=eps)
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    return optimiser


def write(folder: Path, *, kind: str = "base", frame_count: int = 3, name: str = "Obama", active_sh_degree: int = 1,
          iteration: int = 150_000, legacy: bool = False) -> Original:
    """Write a whole run and its tracking; return what is drawn.

    The number of Gaussians is the number of texels that the 128 raster of our `FlameMesh.obj` keeps. All 16 SH
    coefficients are stored and not zero; `posed.sh` has those of the active degree, as the original draws them.

    Args:
        kind: One of KINDS. `wasserstein` has other rotations: `normalise(q_face + normalise(dq))`.

    `extras`: `sh_stored` [N, 16, 3], `texel` [N] (row * 128 + column), `face_index` [N], `barycentric` [N, 3],
    `covered` (texels before the neck border is left out), `shape` [300], `frames` (paths), `clear` [N]: the variant's
    rotations are not at the mercy of single precision (see CLEAR).
    """
    assert kind in KINDS
    clip = tracker.motion(frame_count)
    flame_folder = folder / "flame"
    flame_folder.mkdir(parents=True)
    mesh, uvs = write_mesh(flame_folder / "FlameMesh.obj")
    mask = write_mask_pickle(flame_folder / "FLAME_masks.pkl")
    left, right = write_eyelids(flame_folder)
    frames = tracker.write(folder / "metrical-tracker" / "output" / name / "checkpoint", clip)

    shape = template()
    face_index, barycentric, texel = raster(uvs, shape.sealed_uv_faces)
    kept = ~np.isin(shape.sealed_faces[face_index], masks()["boundary"]).any(axis=1)
    n = int(kept.sum())

    rng = torch.Generator().manual_seed(31)
    with torch.random.fork_rng():
        torch.manual_seed(31)
        net = DeformNet()
        with torch.no_grad():  # millimetres of offset, not the metre a tanh may reach
            net.output_linear.weight[:3] *= 0.05
            net.output_linear.bias[:3] *= 0.05
            net.output_linear.weight[3:] *= 3
        features_dc = nn.Parameter(torch.randn(n, 1, 3, generator=rng))
        features_rest = nn.Parameter(0.2 * torch.randn(n, 15, 3, generator=rng))
        scaling = nn.Parameter(-6 + 0.4 * torch.randn(n, 3, generator=rng))
        identity = torch.tensor([1.0, 0, 0, 0]).repeat(n, 1)
        turned = identity + 0.4 * torch.randn(n, 4, generator=rng)
        rotation = nn.Parameter(turned if kind == "base" else identity, requires_grad=kind == "base")
        opacity = nn.Parameter(2 * torch.randn(n, 1, generator=rng))
        groups = [("f_dc", features_dc, 2.5e-3), ("f_rest", features_rest, 1.25e-4), ("opacity", opacity, 0.05),
                  ("scaling", scaling, 5e-3)] + [("rotation", rotation, 1e-3)] * (kind == "base")
        gaussian_adam = _adam([{"params": [p], "lr": lr, "name": k} for k, p, lr in groups], lr=0.0, eps=1e-15)
        net_adam = _adam([{"params": list(net.parameters())}], lr=1e-4)

    neutral = flame_vertices(clip["shape"], np.zeros(100), np.array([1.0, 0, 0, 0, 1, 0]),
                             np.array([1.0, 0, 0, 0, 1, 0] * 2), np.zeros(2))
    exact = DeformNet().double()
    exact.load_state_dict(net.state_dict())

    def surface(vertices: np.ndarray) -> Tensor:
        return torch.from_numpy(np.einsum("pi,pic->pc", barycentric, vertices[shape.sealed_faces[face_index]]))

    out: dict[str, list[np.ndarray]] = {"means": [], "quats": [], "scales": []}
    keep = torch.from_numpy(kept)
    clear = np.ones(n, bool)
    for i in range(frame_count):
        condition = torch.from_numpy(np.concatenate([clip[k][i] for k in ("exp", "jaw", "eyes", "eyelids")])).double()
        vertices = flame_vertices(clip["shape"], clip["exp"][i], clip["jaw"][i], clip["eyes"][i], clip["eyelids"][i])
        points = surface(vertices)
        with torch.no_grad():
            offset, turn, factor = (t[keep] for t in exact(surface(neutral), condition))
            if kind == "base":
                quats = multiply(rotation.double(), turn)
            else:
                corners = torch.from_numpy(vertices[shape.sealed_faces[face_index]])
                face = quaternion(corner_matrix(corners, points))[keep]
                across = torch.linalg.cross(corners[:, 0] - points, corners[:, 1] - points)[keep]
                clear &= (across.norm(dim=1) > CLEAR).numpy()
                quats = face + nn.functional.normalize(turn, dim=1)
            out["means"].append((points[keep] + offset).numpy())
            out["quats"].append(nn.functional.normalize(quats, dim=1).numpy())
            out["scales"].append(torch.exp(scaling.double() * factor).numpy())
    with torch.no_grad():
        alpha = torch.sigmoid(opacity.double())[:, 0].numpy()
        stored = torch.cat([features_dc, features_rest], dim=1).numpy()

    # The last frame's positions are saved as they are in the graph: a tensor that requires grad and is no leaf.
    xyz = torch.from_numpy(out["means"][-1]).float().requires_grad_() * 1.0
    capture = (active_sh_degree, xyz, features_dc, features_rest, scaling, rotation, opacity,
               torch.zeros(n), torch.zeros(n, 1), torch.zeros(n, 1), gaussian_adam.state_dict(), 0)
    checkpoint = folder / "dataset" / name / "log" / "ckpt" / f"chkpnt{iteration}.pth"
    checkpoint.parent.mkdir(parents=True)
    torch.save(((net.state_dict(), net_adam.state_dict()), capture, iteration), checkpoint,
               _use_new_zipfile_serialization=not legacy)

    drawn = stored[:, :(active_sh_degree + 1) ** 2].astype(np.float64)
    posed = Posed(means=np.stack(out["means"]), quats=np.stack(out["quats"]), scales=np.stack(out["scales"]),
                  opacities=np.repeat(alpha[None], frame_count, 0), sh=np.repeat(drawn[None], frame_count, 0))
    return Original(
        path=checkpoint, head=head("flame2020"), sequence=tracker.sequence(clip), posed=posed,
        sides={"frame": frames[0], "flame_mesh": mesh, "flame_masks": mask, "l_eyelid": left, "r_eyelid": right},
        options={} if kind == "base" else {"variant": "wasserstein"},
        extras={"sh_stored": stored, "texel": texel[kept], "face_index": face_index[kept],
                "barycentric": barycentric[kept], "clear": clear, "covered": len(texel), "shape": clip["shape"],
                "frames": frames})
