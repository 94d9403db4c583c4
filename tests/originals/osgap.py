"""OSGAP's files: its point_cloud.ply with plain RGB colours, and the UV maps of the modified GaussianAvatars.

    original = write(folder)                               the PLY and flame_param.npz
    original = write(folder, variant="uv", map_size=64)    gs_attrs_uv_<S>X<S>_<iteration>.npz; 256 and 300 in use

After the OSGAP fact sheet, sections 2, 3 and 6.
"""

from pathlib import Path

import numpy as np

from tests.originals import face_splats, flame, splats
from tests.originals.posed import Original, Posed
from tests.originals.teeth import add_teeth, uv_layout
from tests.originals.uv_raster import raster


def smooth_map(rng: np.random.Generator, size: int, channels: int, spread: float, middle: float = 0.0) -> np.ndarray:
    """Return a map [S, S, C] of waves, float32 numbers."""
    v, u = np.meshgrid(np.arange(size) / size, np.arange(size) / size, indexing="ij")
    phase = rng.uniform(0, 6, (channels, 3, 3))
    waves = sum(np.sin(phase[:, k, 0] + (3 + phase[:, k, 1]) * u[..., None] + (3 + phase[:, k, 2]) * v[..., None])
                for k in range(3))
    return splats.float32(middle + spread * (waves + 0.2 * rng.normal(size=(size, size, channels))))


def write(folder: Path, variant: str = "ply", splats_count: int = 400, frames: int = 3, map_size: int = 64) -> Original:
    """Write a result and return it.

    Args:
        folder: The run's folder, made if absent.
        variant: `ply`, or `uv`.
        splats_count: Gaussians of the PLY.
        frames: Rows of flame_param.npz, all posed.
        map_size: Texels across of the UV maps; a Gaussian per covered texel, in raster order.
    """
    at = Path(folder) / "point_cloud/iteration_60000"
    at.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(61)
    moves = face_splats.motion(frames, seed=33)
    side = face_splats.save_npz(at / "flame_param.npz", moves)
    tables = add_teeth(flame.flame("flame2023"))
    extras: dict[str, object] = {"run": Path(folder)}
    if variant == "ply":
        n = splats_count
        binding = rng.integers(0, 10144, n)
        xyz, rotation = rng.normal(0, 0.6, (n, 3)), rng.normal(0, 1, (n, 4))
        scaling, opacity, color = rng.normal(-1.2, 0.5, (n, 3)), rng.normal(0, 2.5, n), rng.uniform(0, 1, (n, 3))
        xyz, rotation, scaling, opacity, color = map(splats.float32, (xyz, rotation, scaling, opacity, color))
        columns = face_splats.columns_of(xyz, color, np.zeros((n, 0, 3)), opacity, scaling, rotation, binding)
        path, rgb, space = at / "point_cloud.ply", color, "rgb"
        path.write_bytes(face_splats.ply_bytes(columns))
    elif variant == "uv":
        texels, binding, weights, covers = raster(*uv_layout(), map_size, cull=False)
        maps = {"local_position_uv": smooth_map(rng, map_size, 3, 0.3), "rot_delta_uv": smooth_map(rng, map_size, 4, 0.4),
                "local_scaling_uv": smooth_map(rng, map_size, 3, 0.4, -1.2),
                "gs_opacity_uv": smooth_map(rng, map_size, 1, 1.5), "gs_features_uv": smooth_map(rng, map_size, 3, 0.8)}
        maps["rot_delta_uv"][..., 0] += 1.5
        covered = np.zeros((map_size * map_size, 1), bool)
        covered[texels] = True
        maps = {name: (value * covered.reshape(map_size, map_size, 1)).astype(np.float32) for name, value in maps.items()}
        path = face_splats.save_npz(at / f"gs_attrs_uv_{map_size}X{map_size}_60000.npz", maps)
        xyz, rotation, scaling, opacity, dc = (
            value.reshape(map_size * map_size, -1)[texels].astype(np.float64) for value in maps.values())
        opacity, rgb, space = opacity[:, 0], splats.rgb_of_dc(dc), "sh_dc"
        # Where faces share a texel our depth rule gives the measured counts of teeth (360 + 432 at 300, 310 + 248 at 256).
        # On an edge between two faces float32 decides: such a texel is not compared.
        extras |= {"unambiguous": (covers == 1) & (weights.min(axis=1) > 1e-5), "texels": texels}
    else:
        raise ValueError(variant)
    drawn = [face_splats.draw(face_splats.posed_vertices(tables, moves, t), tables["f"], binding, xyz, rotation, scaling)
             for t in range(frames)]
    posed = Posed(**{k: np.stack([d[k] for d in drawn]) for k in drawn[0]},
                  opacities=np.tile(splats.sigmoid(opacity), (frames, 1)), rgb=np.tile(rgb, (frames, 1, 1)))
    return Original(path=path, posed=posed, sequence=face_splats.sequence_of(moves, "flame2023"),
                    sides={"flame_param": side}, head=flame.head("flame2023"), options={"color_space": space},
                    extras=extras | {"binding": binding})
