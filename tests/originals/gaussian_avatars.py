"""GaussianAvatars' own run folder: point_cloud.ply with `binding_0`, flame_param.npz, cfg_args, cameras.json.

    original = write(folder)        variant "flame2023" (default), "flame2020", or "rows5023" (offsets without teeth)

After the GaussianAvatars fact sheet, sections 2, 4 and 6 (CVPR 2024, arXiv 2312.02069).
"""

import json
from pathlib import Path

import numpy as np

from tests.originals import face_splats, flame, splats
from tests.originals.posed import Original, Posed
from tests.originals.teeth import add_teeth

CFG = ("Namespace(bind_to_mesh=True, camera_port=60000, data_device='cuda', eval=True, images='images', "
       "model_path='{folder}', not_finetune_flame_params=False, resolution=-1, sh_degree=3, "
       "source_path='data/306/UNION10_306_EMO1234EXP234589_v16_DS2-0.5x_lmkSTAR_teethV3_SMOOTH_offsetS_whiteBg_maskBelowLine', "
       "target_path='', white_background=True)")


def camera(index: int, frame: int) -> dict[str, object]:
    """Return one entry of `cameras.json`: position and camera-to-world rotation, OpenCV axes."""
    return {"id": index, "img_name": f"{frame:05d}_08", "width": 550, "height": 802, "position": [0.0, 0.02, 1.0],
            "rotation": [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]], "fy": 2055.5, "fx": 2055.5}


def write(folder: Path, variant: str = "flame2023", splats_count: int = 400, frames: int = 3,
          iteration: int = 600000) -> Original:
    """Write a run and return it.

    Args:
        folder: The run's folder, made if absent.
        variant: `flame2023`; `flame2020`: the head it was run with; `rows5023`: offsets of 5023 rows, zero-padded by the
            original.
        splats_count: Gaussians; the first 168 sit on the teeth when there are that many.
        frames: Rows of flame_param.npz, all posed.
        iteration: Of the point cloud's folder.
    """
    edition = "flame2020" if variant == "flame2020" else "flame2023"
    at = Path(folder) / f"point_cloud/iteration_{iteration}"
    at.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(41)
    n = splats_count
    binding = np.concatenate([np.arange(9976, 10144), rng.integers(0, 9976, n)])[:n]
    binding = binding[rng.permutation(n)]
    xyz, dc = splats.float32(rng.normal(0, 0.6, (n, 3))), splats.float32(rng.normal(0, 1, (n, 3)))
    rest = splats.float32(rng.normal(0, 0.2, (n, 15, 3)))
    scaling, rotation = splats.float32(rng.normal(-1.2, 0.5, (n, 3))), splats.float32(rng.normal(0, 1, (n, 4)))
    opacity = splats.float32(rng.normal(0, 2.5, n))
    columns = face_splats.columns_of(xyz, dc, rest, opacity, scaling, rotation, binding)
    path = at / "point_cloud.ply"
    path.write_bytes(face_splats.ply_bytes(columns))
    moves = face_splats.motion(frames, 5023 if variant == "rows5023" else 5143)
    face_splats.save_npz(at / "flame_param.npz", moves)
    (Path(folder) / "cfg_args").write_text(CFG.format(folder=Path(folder).name))
    (Path(folder) / "cameras.json").write_text(json.dumps([camera(i, i) for i in range(frames)]))
    tables = add_teeth(flame.flame(edition))
    padded = np.zeros((1, 5143, 3), np.float32)
    padded[:, :moves["static_offset"].shape[1]] = moves["static_offset"]
    moves["static_offset"] = padded
    drawn = [face_splats.draw(face_splats.posed_vertices(tables, moves, t), tables["f"], binding, xyz, rotation, scaling)
             for t in range(frames)]
    sh = np.concatenate([dc[:, None], rest], axis=1)
    posed = Posed(**{k: np.stack([d[k] for d in drawn]) for k in drawn[0]},
                  opacities=np.tile(splats.sigmoid(opacity), (frames, 1)), sh=np.tile(sh, (frames, 1, 1, 1)))
    return Original(path=path, posed=posed, sequence=face_splats.sequence_of(moves, edition),
                    sides={"flame_param": at / "flame_param.npz"}, head=flame.head(edition),
                    extras={"run": Path(folder), "binding": binding, "tables": tables,
                            "vertices": np.stack([face_splats.posed_vertices(tables, moves, t) for t in range(frames)])})
