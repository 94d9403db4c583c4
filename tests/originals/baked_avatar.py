"""BakedAvatar's files (Duan et al., ACM TOG 2023) and what they mean: `mesh_data.pkl`, the web folder, `sequence_data/`.

Everything is in quarter metres, layers from the innermost outwards, until the results are handed over in metres.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from formats.sequence import Sequence
from tests.originals import torch_archive
from tests.originals.flame import PARENTS, head, strong_motion
from tests.originals.imavatar import EXPRESSIONS, FACTOR, IDENTITY, Server, server, write_flame_params
from tests.originals.posed import Original, Posed

BASES, FEATURES, HIDDEN = 16, 8, 16
TEMPERATURE = 10.0
ATLAS = 4096
"""Width the web packer fills with tiles."""


@dataclass(frozen=True, eq=False)
class PosedLayer:
    """One layer, frame by frame, metres."""

    vertices: np.ndarray
    """[T, V, 3], in the order of the pkl (the web folder's are split at texture seams: `split`)."""
    normals: np.ndarray
    """[T, V, 3] unit, by the inverse transpose of the blended bones (the web demo's)."""
    moved_normals: np.ndarray
    """[T, V, 3] unit, by the blended bones themselves (Python's finite difference)."""
    split: np.ndarray
    """[U] vertex of each texture coordinate."""


@dataclass(frozen=True, eq=False)
class Shaded:
    """What the pixel network makes of samples; normals and view directions in OpenGL's view space, unit."""

    layer: np.ndarray
    """[S] layer of each sample."""
    frame: np.ndarray
    """[S] whose hyper-network weights."""
    uv: np.ndarray
    """[S, 2], (0, 0) at the first texel."""
    normal: np.ndarray
    direction: np.ndarray
    """[S, 3] camera to point."""
    coefficients: np.ndarray
    """[S, 16]."""
    rgb: np.ndarray
    """[S, 3]."""
    alpha: np.ndarray
    """[S]; 1 on the innermost layer whatever the file says."""


def shell(level: int, columns: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (vertices, faces, uvs, faces_uv) of a closed egg around the head, outward counter-clockwise.

    The seam at the back and the poles have several texture coordinates per vertex.
    """
    radius = np.array([0.42, 0.6, 0.5]) * (0.9 + 0.08 * level)
    theta = np.pi * np.arange(1, rows) / rows
    phi = 2 * np.pi * np.arange(columns) / columns
    ring = np.stack([np.sin(theta)[:, None] * np.sin(phi), np.cos(theta)[:, None] + 0 * phi,
                     -np.sin(theta)[:, None] * np.cos(phi)], axis=-1).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0, 1, 0], [0, -1, 0]]]) * radius + [0, -0.05, -0.15]
    u, v = np.meshgrid(0.02 + 0.96 * np.arange(columns + 1) / columns, 0.02 + 0.96 * np.arange(1, rows) / rows)
    grid = np.stack([u, v], axis=-1).reshape(-1, 2)
    middle = 0.02 + 0.96 * (np.arange(columns) + 0.5) / columns
    uvs = np.concatenate([grid, np.stack([middle, 0 * middle + 0.01], 1), np.stack([middle, 0 * middle + 0.99], 1)])
    faces, faces_uv = [], []
    top, bottom = len(ring), len(ring) + 1
    for j in range(columns):
        k = (j + 1) % columns
        for i in range(rows - 2):
            a, b, c, d = i * columns + j, (i + 1) * columns + j, (i + 1) * columns + k, i * columns + k
            at, under = i * (columns + 1) + j, (i + 1) * (columns + 1) + j
            faces += [(a, c, b), (a, d, c)]
            faces_uv += [(at, under + 1, under), (at, at + 1, under + 1)]
        last = (rows - 2) * columns
        under = (rows - 2) * (columns + 1) + j
        faces += [(top, k, j), (bottom, last + j, last + k)]
        faces_uv += [(len(grid) + j, j + 1, j), (len(grid) + columns + j, under, under + 1)]
    return vertices, np.array(faces, np.int32), uvs, np.array(faces_uv, np.int32)


def layer(level: int, levels: int, size: tuple[int, int], seed: int, texture: int, bones: int) -> dict[str, Any]:
    """Return one entry of `meshes`, textures included."""
    rng = np.random.default_rng(seed)
    vertices, faces, uvs, faces_uv = shell(level, *size)
    normals = vertices - [0, -0.05, -0.15]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    waves = np.sin(vertices @ rng.normal(0, 4, (3, EXPRESSIONS + 36)) + rng.uniform(0, 6, EXPRESSIONS + 36))
    ways = rng.normal(0, 1, (EXPRESSIONS + 36, 3))
    fields = waves[:, :, None] * ways * 0.01
    logits = np.stack([0 * vertices[:, 0], -6 * vertices[:, 1] - 2, 2 * vertices[:, 1], -5 * vertices[:, 1] - 1,
                       -8 * np.linalg.norm(vertices - [0.13, 0.1, 0.1], axis=1) + 1,
                       -8 * np.linalg.norm(vertices - [-0.13, 0.1, 0.1], axis=1) + 1], axis=1)[:, 6 - bones:]
    weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y, x = np.meshgrid(np.linspace(0, 1, texture), np.linspace(0, 1, texture), indexing="ij")

    def picture(channels: int) -> np.ndarray:
        phase, speed = rng.uniform(0, 6, channels), rng.normal(0, 9, (2, channels))
        smooth = 127.5 + 110 * np.sin(x[..., None] * speed[0] + y[..., None] * speed[1] + phase)
        return (smooth + rng.uniform(-15, 15, smooth.shape)).clip(0, 255).astype(np.uint8)

    alpha = picture(1)
    radiance = np.stack([np.concatenate([picture(3), alpha], axis=2) for _ in range(BASES)])
    if level == 0:  # the exporter's slip: the last row of texels, all channels, instead of the alpha channel
        radiance[:, -1] = 255
    return {
        "level": float(np.linspace(-0.2, 0, levels)[level]),
        "vertices": vertices.astype(np.float32), "faces": faces, "shapedirs": fields[:, :EXPRESSIONS].astype(np.float32),
        "posedirs": fields[:, EXPRESSIONS:].astype(np.float32), "lbs_weights": weights.astype(np.float32),
        "normals": normals.astype(np.float32), "uvs": uvs.astype(np.float32), "faces_uv": faces_uv,
        "position_texture": picture(FEATURES), "radiance_textures": radiance,
    }


def global_mlp(seed: int = 7) -> dict[str, np.ndarray]:
    """Return the hyper-network 59 -> 64 -> 64 -> 480 with a PReLU slope per channel."""
    rng = np.random.default_rng(seed)
    shapes = {"fc0_weight": (64, 59), "fc0_bias": (64,), "act0_weight": (64,), "fc1_weight": (64, 64), "fc1_bias": (64,),
              "act1_weight": (64,), "fc2_weight": (480, 64), "fc2_bias": (480,)}
    made = {}
    for name, shape in shapes.items():
        spread = 1 / np.sqrt(shape[-1]) if name.endswith("_weight") and len(shape) == 2 else 0.3
        made[name] = rng.uniform(0.02, 0.4, shape) if name.startswith("act") else rng.normal(0, spread, shape)
    made["fc2_weight"] *= 0.5
    return {k: v.astype(np.float32) for k, v in made.items()}


def hyper_network(mlp: dict[str, np.ndarray], expression: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel network's W1 [16, 14] and W2 [16, 16] for one frame; input is jaw, eyes, expression."""
    x = np.concatenate([pose[6:15], expression]).astype(np.float64)
    for i in range(2):
        x = mlp[f"fc{i}_weight"].astype(np.float64) @ x + mlp[f"fc{i}_bias"]
        x = np.where(x >= 0, x, mlp[f"act{i}_weight"] * x)
    out = mlp["fc2_weight"].astype(np.float64) @ x + mlp["fc2_bias"]
    split = HIDDEN * (FEATURES + 6)
    return out[:split].reshape(HIDDEN, FEATURES + 6), out[split:].reshape(BASES, HIDDEN)


def fetch(texture: np.ndarray, u: float, v: float) -> np.ndarray:
    """Return a bilinear sample of 8-bit [H, W, C], 0..1; texel [i, j] is centred at ((j + 0.5) / W, (i + 0.5) / H)."""
    height, width = texture.shape[:2]
    x, y = u * width - 0.5, v * height - 0.5
    j, i = int(np.floor(x)), int(np.floor(y))
    total = np.zeros(texture.shape[2])
    for row, by in ((i, 1 - (y - i)), (i + 1, y - i)):
        for column, bx in ((j, 1 - (x - j)), (j + 1, x - j)):
            texel = texture[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            total += by * bx * texel.astype(np.float64) / 255
    return total


def demo_feature(feature: np.ndarray) -> np.ndarray:
    """Return the pose feature [36] as the web demo's shader fetches it: texel i instead of i / 4, zeros past the end."""
    fetched = np.zeros(36)
    for i in range(0, 36, 4):
        if i < 9:
            fetched[i:i + 4] = feature[4 * i:4 * i + 4]
    return fetched


def pose_layer(mesh: dict[str, Any], tables: Server, expressions: np.ndarray, poses: np.ndarray,
               demo: bool = False) -> PosedLayer:
    """Return a layer in all frames: blendshapes and every one of the 36 correctives, then the bones.

    `demo`: with the web demo's mistake in fetching the pose feature.
    """
    vertices, normals, moved = [], [], []
    for expression, pose in zip(expressions.astype(np.float64), poses.astype(np.float64), strict=True):
        bones, feature = tables.bones(expression, pose)
        feature = demo_feature(feature) if demo else feature
        blended = np.einsum("vj,jab->vab", mesh["lbs_weights"].astype(np.float64), bones[6 - mesh["lbs_weights"].shape[1]:])
        at = mesh["vertices"] + np.einsum("e,vec->vc", expression, mesh["shapedirs"].astype(np.float64))
        at = at + np.einsum("k,vkc->vc", feature, mesh["posedirs"].astype(np.float64))
        # Homogeneous: bones of whole weight have a last row of 0, 0, 0, 1.
        vertices.append((np.einsum("vab,vb->va", blended[:, :3, :3], at) + blended[:, :3, 3]) / FACTOR)
        for results, matrix in ((moved, blended[:, :3, :3]),
                                (normals, np.linalg.inv(blended[:, :3, :3]).transpose(0, 2, 1))):
            turned = np.einsum("vab,vb->va", matrix, mesh["normals"].astype(np.float64))
            results.append(turned / np.linalg.norm(turned, axis=1, keepdims=True))
    split = np.zeros(len(mesh["uvs"]), np.int64)
    split[mesh["faces_uv"].ravel()] = mesh["faces"].ravel()
    return PosedLayer(np.stack(vertices), np.stack(normals), np.stack(moved), split)


def shade(meshes: list[dict[str, Any]], mlp: dict[str, np.ndarray], expressions: np.ndarray, poses: np.ndarray,
          count: int = 24) -> Shaded:
    """Return samples on every layer and frame, some of them at the borders of the textures."""
    rng = np.random.default_rng(77)
    index, frame = np.arange(count) % len(meshes), np.arange(count) // len(meshes) % len(expressions)
    uv = rng.uniform(0, 1, (count, 2))
    uv[:4] = [[0, 0], [0.001, 0.999], [1, 0.4], [0.5, 1]]
    normal, direction = (w / np.linalg.norm(w, axis=1, keepdims=True) for w in rng.normal(0, 1, (2, count, 3)))
    shares, rgb, alpha = [], [], []
    for s in range(count):
        mesh = meshes[index[s]]
        w1, w2 = hyper_network(mlp, expressions[frame[s]], poses[frame[s]])
        x = np.concatenate([fetch(mesh["position_texture"], *uv[s]), normal[s], direction[s]])
        logits = TEMPERATURE * (w2 @ np.maximum(w1 @ x, 0))
        share = np.exp(logits - logits.max())
        share /= share.sum()
        colours = np.stack([fetch(basis, *uv[s]) for basis in mesh["radiance_textures"]])
        shares.append(share)
        rgb.append(share @ colours[:, :3])
        alpha.append(1.0 if index[s] == 0 else float(share @ colours[:, 3]))
    return Shaded(index, frame, uv, normal, direction, np.stack(shares), np.stack(rgb), np.array(alpha))


def atlas(tiles: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Return tiles [n, H, W, 4] as one image; the original fits as many into a row as 4096 texels hold."""
    n, height, width = tiles.shape[:3]
    across = min(n, ATLAS // width) if columns is None else columns
    rows = max(n // across, 1)
    made = np.zeros((rows * height, across * width, 4), np.uint8)
    for k in range(min(n, rows * across)):
        i, j = divmod(k, across)
        made[i * height:(i + 1) * height, j * width:(j + 1) * width] = tiles[k]
    return made


def write_npy(path: Path, values: np.ndarray) -> dict[str, Any]:
    """Write a version 1 `.npy` in C order with a header under 256 bytes; return its entry of metadata.json."""
    values = np.ascontiguousarray(values)
    header = f"{{'descr': '{values.dtype.str}', 'fortran_order': False, 'shape': {values.shape}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    assert len(header) < 256
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + values.tobytes())
    return {"path": f"{path.parent.name}/{path.name}", "shape": list(values.shape), "dtype": str(values.dtype)}


def write_web(folder: Path, data: dict[str, Any], columns: int | None = None) -> Path:
    """Write the unpacked `mesh_data/` folder.

    Args:
        folder: Where to.
        data: What `mesh_data.pkl` holds.
        columns: Tiles in a row of the radiance atlas; None packs as the original does, right only for 1024 texels.
    """
    def mirror(at: Path, values: dict[str, Any]) -> dict[str, Any]:
        return {k: write_npy(at / f"{k}.npy", v) if isinstance(v, np.ndarray) else v for k, v in values.items()}

    described = {**data, "common": mirror(folder / "common", data["common"]),
                 "global_mlp": mirror(folder / "global_mlp", data["global_mlp"]), "meshes": []}
    for i, mesh in enumerate(data["meshes"]):
        split = np.zeros(len(mesh["uvs"]), np.int64)
        split[mesh["faces_uv"].ravel()] = mesh["faces"].ravel()
        web: dict[str, Any] = {k: mesh[k][split] for k in ("vertices", "shapedirs", "posedirs", "lbs_weights", "normals")}
        features = mesh["position_texture"]
        tiles = features.reshape(*features.shape[:2], FEATURES // 4, 4).transpose(2, 0, 1, 3)
        web = {"level": mesh["level"], **web, "faces": mesh["faces_uv"], "uvs": mesh["uvs"],
               "position_texture": atlas(tiles), "radiance_texture": atlas(mesh["radiance_textures"], columns)}
        described["meshes"].append(mirror(folder / f"meshes_{i}", web))
    (folder / "metadata.json").write_text(json.dumps(described, indent=2))
    return folder


def write_sequence(folder: Path, clips: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """Write `sequence_data/` of named (expression [n, 50], pose [n, 15]) clips, one after the other."""
    ranges, rows = {}, []
    for name, (expression, pose) in clips.items():
        start = sum(len(r) for r in rows)
        rows.append(np.concatenate([expression, pose], axis=1).astype(np.float32))
        ranges[name] = {"start": start, "end": start + len(expression)}
    write_npy(folder / "flame_sequences.npy", np.concatenate(rows))
    (folder / "flame_sequences.json").write_text(json.dumps(ranges))
    return folder


def write(folder: Path, *, layers: int = 3, size: tuple[int, int] = (14, 10), texture: int = 64, frame_count: int = 3,
          bones: int = 6, subject: str = "yufeng", columns: int | None = 4, old: bool = True) -> Original:
    """Write a run's fine-tuned `mesh_data.pkl`, the pkl of mesh_export, the web folders and the training clip.

    Args:
        folder: Where to.
        layers: Up to 8.
        size: Columns and rows of each layer's grid.
        texture: Side of the textures; 1024 in the original.
        frame_count: Frames of the clip.
        bones: 6 with the ghost, 5 without.
        subject: Names folders.
        columns: Tiles in a row of the web's radiance atlas; None for the original packer's own choice.
        old: As torch 1 with NumPy 1 names things in the pkl, see `torch_archive`.

    `extras`: `layers` (a `PosedLayer` each), `demo_layers` (the same with the web demo's mistake), `shaded`,
    `weights` [T, 480], `exported` (the pkl without textures), `web` (folder `mesh_data`, with
    `sequence_data` beside it), `data` (what the pkl holds), `ranges`. `posed` has no Gaussians.
    """
    shape = np.random.default_rng(51).normal(0, 0.8, IDENTITY).astype(np.float32)
    tables = server(shape)
    expressions, poses = strong_motion(frame_count, EXPRESSIONS, seed=52)
    single = {k: getattr(tables, k).astype(np.float32) for k in ("v_template", "posedirs", "lbs_weights", "J_regressor")}
    common = {"v_template": single["v_template"],
              "shapedirs": np.ascontiguousarray(tables.shapedirs[:, :, IDENTITY:]).astype(np.float32),
              "posedirs": single["posedirs"], "lbs_weights": single["lbs_weights"],
              "J_regressor": single["J_regressor"], "parents": np.array(PARENTS, np.int32)}
    meshes = [layer(i, layers, size, 60 + i, texture, bones) for i in range(layers)]
    exported = {"common": common, "ghostbone": bones > 5, "meshes": [
        {k: v for k, v in mesh.items() if not k.endswith(("_texture", "_textures"))} for mesh in meshes]}
    data = {"common": common, "meshes": meshes, "ghostbone": bones > 5, "dim_pos_feature": FEATURES,
            "num_texture_basis": BASES, "spatial_mlp_temperature": TEMPERATURE, "global_mlp": global_mlp()}

    run = folder / "runs" / subject
    paths = {}
    for name, held in (("mesh_export/iter_30000/marching_cube/res_init16_up5", exported),
                       ("finetune_mesh_data/iter_30000", data)):
        paths[name] = run / name / "mesh_data.pkl"
        paths[name].parent.mkdir(parents=True)
        torch_archive.save(held, paths[name], old)
    first_pkl, fine_pkl = paths.values()
    web = write_web(folder / "web" / "mesh_data", data, columns)
    half = max(frame_count - 1, 1)
    clips = {f"{subject}_MVI_1810": (expressions[:half], poses[:half])}
    if half < frame_count:
        clips[f"{subject}_MVI_1812"] = (expressions[half:], poses[half:])
    sequence_data = write_sequence(folder / "web" / "sequence_data", clips)
    params = write_flame_params(folder / "data" / "datasets" / subject / "MVI_1810" / "flame_params.json", expressions,
                                poses, shape)

    posed, wrong = ([pose_layer(mesh, tables, expressions, poses, demo) for mesh in meshes] for demo in (False, True))
    weights = np.stack([np.concatenate([w.ravel() for w in hyper_network(data["global_mlp"], e, p)])
                        for e, p in zip(expressions, poses, strict=True)])
    empty = np.zeros((frame_count, 0))
    sequence = Sequence(basis="flame2020", fps=25, expr=expressions, rotation=poses[:, :3], neck=poses[:, 3:6],
                        jaw=poses[:, 6:9], eyes=poses[:, 9:15], shape=shape)
    return Original(
        path=fine_pkl, head=head("flame2020"), sequence=sequence,
        posed=Posed(means=empty.reshape(frame_count, 0, 3), quats=empty.reshape(frame_count, 0, 4),
                    scales=empty.reshape(frame_count, 0, 3), opacities=empty),
        sides={"flame_params": params, "sequence_data": sequence_data},
        extras={"layers": posed, "demo_layers": wrong, "weights": weights,
                "shaded": shade(meshes, data["global_mlp"], expressions, poses), "exported": first_pkl, "web": web, "data": data,
                "ranges": {k: (0, half) if k.endswith("1810") else (half, frame_count) for k in clips}})
