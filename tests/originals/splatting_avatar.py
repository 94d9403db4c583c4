"""SplattingAvatar's own output folder: point_cloud.ply, embedding.json, embedding.obj, with the subject's flame_params.json.

    original = write(folder)      variant "embedding" (default) or "canonical" (the older canonical.sample.json)

Geometry is four times FLAME's; `Posed` is brought to metres at the end.
"""

import json
from pathlib import Path

import numpy as np

from formats.sequence import Sequence
from tests.originals import flame, phong, splats
from tests.originals.face_splats import columns_of, ply_bytes
from tests.originals.fate import subject
from tests.originals.posed import Original, Posed

UNIT = 4.0
CONFIG = """dataset: {}
model:
  sh_degree: 0
  with_mesh_scaling: true
optimize:
  iterations: 30000
"""


def canonical_obj(vertices: np.ndarray, faces: np.ndarray) -> str:
    """Return `embedding.obj`: v, vn and f with six decimals."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"vn {x:.6f} {y:.6f} {z:.6f}" for x, y, z in flame.vertex_normals(vertices, faces)]
    lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in faces + 1]
    return "\n".join(lines) + "\n"


def flame_params(shape: np.ndarray, codes: np.ndarray, theta: np.ndarray) -> dict[str, object]:
    """Return `flame_params.json`: normalised intrinsics with a negative fx, cameras in units of 4 metres."""
    frames = [{"file_path": f"./image/{t + 1}", "world_mat": [[1.0, 0, 0, 0.02], [0, 1.0, 0, 0.03], [0, 0, 1.0, -4.0]],
               "expression": codes[t].tolist(), "pose": theta[t].tolist(), "bbox": [-0.5, -0.5, 0.5, 0.5],
               "flame_keypoints": [[0.0, 0.0]] * 68} for t in range(len(codes))]
    return {"frames": frames, "intrinsics": [-4.16, 4.17, 0.5, 0.49], "shape_params": shape.tolist()}


def write(folder: Path, variant: str = "embedding", splats_count: int = 300, frames: int = 3) -> Original:
    """Write a subject's folder with a finished run and return it.

    Args:
        folder: The subject's folder, made if absent.
        variant: `embedding`: today's files; `canonical`: canonical.sample.json with the older keys.
        splats_count: Gaussians.
        frames: Frames of the sequence to pose; frame 0 is the canonical one.
    """
    run = Path(folder) / "output-splatting/@20240601-120000"
    at = run / "point_cloud/iteration_30000"
    at.mkdir(parents=True, exist_ok=True)
    person = subject(100, 50, scale=UNIT)
    codes, theta = flame.strong_motion(frames, 50)
    (Path(folder) / "flame_params.json").write_text(json.dumps(flame_params(person.shape, codes, theta)))
    (run / "config.yaml").write_text(CONFIG)
    faces = person.tables["f"]

    def vertices(t: int) -> np.ndarray:
        return flame.pose(person.tables, person.betas(codes[t]), theta[t])

    old = variant == "canonical"
    mesh = at / ("canonical.obj" if old else "embedding.obj")
    mesh.write_text(canonical_obj(vertices(0), faces))
    canonical = vertices(0).round(6)
    rng, n = np.random.default_rng(51), splats_count
    face = rng.integers(0, len(faces), n)
    u = rng.uniform(size=n)
    v = rng.uniform(size=n) * (1 - u)
    bary = splats.float32(rng.permuted(np.stack([u, v, 1 - u - v], axis=1), axis=1))
    uvd = splats.float32(np.concatenate([np.zeros((n, 2)), rng.normal(0, 0.02, (n, 1))], axis=1))
    rotation = splats.float32(rng.normal(0, 1, (n, 4)))
    scaling = splats.float32(rng.normal(-4.2, 0.5, (n, 3)))
    dc, opacity = splats.float32(rng.normal(0, 1.3, (n, 3))), splats.float32(rng.normal(0, 2.5, n))
    # The PLY holds the canonical result; only its colours, opacity and scale are of use.
    still = phong.draw(canonical, canonical, faces, face, bary, uvd[:, 2], rotation, scaling)
    columns = columns_of(still["means"], dc, np.zeros((n, 0, 3)), opacity, scaling, still["quats"])
    path = at / "point_cloud.ply"
    path.write_bytes(ply_bytes(columns))
    names = ("mesh_fn", "_sample_bary") if old else ("cano_mesh", "sample_bary")
    embedding = {names[0]: mesh.name, "sample_fidxs": face.tolist(), names[1]: bary.tolist(), "_xyz": uvd.tolist(),
                 "_rotation": rotation.tolist()}
    side = at / ("canonical.sample.json" if old else "embedding.json")
    side.write_text(json.dumps(embedding))
    drawn = [phong.draw(canonical, vertices(t), faces, face, bary, uvd[:, 2], rotation, scaling) for t in range(frames)]
    posed = Posed(means=np.stack([d["means"] for d in drawn]) / UNIT, quats=np.stack([d["quats"] for d in drawn]),
                  scales=np.stack([d["scales"] for d in drawn]) / UNIT,
                  opacities=np.tile(splats.sigmoid(opacity), (frames, 1)), rgb=np.tile(splats.rgb_of_dc(dc), (frames, 1, 1)))
    sequence = Sequence(basis="flame2020", fps=25, expr=codes, rotation=theta[:, :3], neck=theta[:, 3:6], jaw=theta[:, 6:9],
                        eyes=theta[:, 9:], shape=person.shape)
    return Original(path=path, posed=posed, sequence=sequence, head=flame.head(),
                    sides={"embedding": side, "cano_mesh": mesh, "flame_params": Path(folder) / "flame_params.json"},
                    extras={"run": run, "unit": UNIT, "shape": person.shape})
