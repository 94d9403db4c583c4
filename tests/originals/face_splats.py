"""Gaussians local to a triangle, as GaussianAvatars and OSGAP keep them: the PLY, `flame_param.npz`, the posing."""

from pathlib import Path

import numpy as np

from formats.sequence import Sequence
from tests.originals import flame, splats
from tests.originals.flame import Tables


def ply_bytes(columns: dict[str, np.ndarray]) -> bytes:
    """Return a binary little-endian PLY of float32 columns, as the `plyfile` package writes it."""
    count = len(next(iter(columns.values())))
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {count}",
             *(f"property float {name}" for name in columns), "end_header\n"]
    return "\n".join(lines).encode() + np.stack(list(columns.values()), axis=1).astype("<f4").tobytes()


def columns_of(xyz: np.ndarray, dc: np.ndarray, rest: np.ndarray, opacity: np.ndarray, scaling: np.ndarray,
               rotation: np.ndarray, binding: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return 3DGS's PLY columns in order; `rest` is [N, K, 3] and is written channel by channel."""
    named = dict(zip("xyz", xyz.T, strict=True)) | {name: np.zeros(len(xyz)) for name in ("nx", "ny", "nz")}
    for name, values in (("f_dc", dc), ("f_rest", rest.transpose(0, 2, 1).reshape(len(xyz), -1))):
        named |= {f"{name}_{i}": values[:, i] for i in range(values.shape[1])}
    named["opacity"] = opacity
    named |= {f"scale_{i}": scaling[:, i] for i in range(3)} | {f"rot_{i}": rotation[:, i] for i in range(4)}
    return named if binding is None else named | {"binding_0": binding.astype(np.float64)}


def motion(frames: int, vertices: int = 5143, seed: int = 31) -> dict[str, np.ndarray]:
    """Return `flame_param.npz`'s arrays, float32, with strong motion and a static offset."""
    rng = np.random.default_rng(seed)
    codes, theta = flame.strong_motion(frames, 100, seed)
    # Rows beyond FLAME's are the teeth's.
    points = np.resize(flame.flame2023()["v_template"], (vertices, 3))
    made = {"shape": rng.normal(0, 0.8, 300), "expr": codes, "rotation": theta[:, :3], "neck_pose": theta[:, 3:6],
            "jaw_pose": theta[:, 6:9], "eyes_pose": theta[:, 9:], "translation": rng.normal(0, 0.1, (frames, 3)),
            "static_offset": flame.smooth_offset(points, 1e-3, seed)[None], "dynamic_offset": np.zeros((frames, vertices, 3))}
    return {name: value.astype(np.float32) for name, value in made.items()}


def posed_vertices(tables: Tables, m: dict[str, np.ndarray], t: int) -> np.ndarray:
    """Return frame t's vertices: the static offset moves the joints, the dynamic one is not applied."""
    theta = np.concatenate([m[k][t] for k in ("rotation", "neck_pose", "jaw_pose", "eyes_pose")])
    betas = np.concatenate([m["shape"], m["expr"][t]])
    return flame.pose(tables, betas, theta, m["static_offset"][0].astype(np.float64)) + m["translation"][t]


def draw(vertices: np.ndarray, faces: np.ndarray, binding: np.ndarray, xyz: np.ndarray, rotation: np.ndarray,
         scaling: np.ndarray) -> dict[str, np.ndarray]:
    """Return world means, quats and scales of triangle-local Gaussians (GaussianAvatars sheet, section 4)."""
    frames, scale, _ = splats.edge_frames(vertices, faces)
    r, k = frames[binding], scale[binding][:, None]
    means = k * np.einsum("nab,nb->na", r, xyz) + vertices[faces[binding]].mean(axis=1)
    quats = splats.unit(splats.multiply(splats.quaternions(frames)[binding], splats.unit(rotation)))
    return {"means": means, "quats": quats, "scales": k * np.exp(scaling)}


def sequence_of(m: dict[str, np.ndarray], edition: str) -> Sequence:
    """Return the npz's motion."""
    return Sequence(basis=edition, fps=25, expr=m["expr"], rotation=m["rotation"], neck=m["neck_pose"], jaw=m["jaw_pose"],
                    eyes=m["eyes_pose"], translation=m["translation"], shape=m["shape"])


def save_npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write arrays uncompressed."""
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return path
