"""FATE's own files: checkpoints of every kind, texture dumps, identity_dict.pkl, the workspace around them.

    original = write(folder, variant="imavatar")     imavatar | insta | fullhead | baked | edited | dump | nersemble

Layouts and arithmetic after the FATE fact sheet (sections 2, 3, 7): FATE (CVPR 2025, arXiv 2411.15604).
"""

import pickle
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree

from formats.sequence import Sequence
from tests.originals import flame, splats, torch_save
from tests.originals.fate_maps import activate, blend_sticker, raw_maps, scaling_scalars
from tests.originals.flame_template import template
from tests.originals.posed import Original, Posed
from tests.originals.uv_raster import fate_sampling, lookup, uv_of

VARIANTS = ("imavatar", "insta", "fullhead", "baked", "edited", "dump", "nersemble")
NAME = "FateAvatar"
NORMAL_OFFSET = 0.05


@dataclass(frozen=True, eq=False)
class Subject:
    """One person's FLAME as FATE keeps it: tables with n_shape + n_exp directions, identity folded in or not."""

    tables: dict[str, np.ndarray]
    n_shape: int
    n_exp: int
    shape: np.ndarray
    """[n_shape]; folded into `tables["v_template"]` unless `folded` is False."""
    folded: bool
    edition: str
    faces: np.ndarray = field(default_factory=lambda: template().sealed_faces)

    def betas(self, expr: np.ndarray) -> np.ndarray:
        """Return the run-time coefficients: zeros for a folded identity, then the expression."""
        return np.concatenate([0 * self.shape if self.folded else self.shape, expr])


def subject(n_shape: int, n_exp: int, edition: str = "flame2020", folded: bool = True, scale: float = 1.0) -> Subject:
    """Return a subject with a made-up identity; `scale` multiplies the geometry (4 in IMavatar's code)."""
    source = flame.flame(edition)
    shape = splats.float32(np.random.default_rng(n_shape).normal(0, 0.8, n_shape))
    dirs = source["shapedirs"]
    v = source["v_template"] * scale
    tables = dict(source) | {
        "shapedirs": np.concatenate([dirs[:, :, :n_shape], dirs[:, :, 300:300 + n_exp]], axis=2) * scale,
        "posedirs": source["posedirs"] * scale,
        "v_template": splats.float32(v + dirs[:, :, :n_shape] @ shape * scale) if folded else v}
    return Subject(tables, n_shape, n_exp, shape, folded, edition)


def flame_buffers(person: Subject) -> dict[str, np.ndarray]:
    """Return the `flame.*` buffers in file order."""
    t = person.tables
    rows = {"parents": np.array(flame.PARENTS), "lmk_faces_idx": t["static_lmk_faces_idx"],
            "dynamic_lmk_faces_idx": t["dynamic_lmk_faces_idx"],
            "dynamic_lmk_bary_coords": np.asarray(t["dynamic_lmk_bary_coords"], np.float64),
            "full_lmk_faces_idx": t["full_lmk_faces_idx"],
            "lmk_bary_coords": np.asarray(t["static_lmk_bary_coords"], np.float64),
            "full_lmk_bary_coords": np.asarray(t["full_lmk_bary_coords"], np.float64), "neck_kin_chain": np.array([1, 0]),
            "faces_tensor": t["f"], "v_template": t["v_template"], "shapedirs": t["shapedirs"],
            "posedirs": t["posedirs"], "J_regressor": t["J_regressor"], "lbs_weights": t["weights"],
            "eye_pose": np.zeros((1, 6)), "neck_pose": np.zeros((1, 3))}
    if not person.folded:
        first = {"shape_betas": np.zeros((1, 0)), "expression_betas": np.zeros((1, 0)), "eye_pose": rows.pop("eye_pose"),
                 "neck_pose": rows.pop("neck_pose"), "transl": np.zeros((1, 3))}
        rows = first | rows
    return {f"flame.{name}": value.astype(np.int64) if value.dtype.kind in "iu" else value for name, value in rows.items()}


def template_buffers(faces: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Return the template buffers of a sampling: `uvcoords_sample` is a view of [N, 3] homogeneous points."""
    shape, verts = template(), splats.float32(flame.template_vertices())
    points = np.einsum("nk,nkc->nc", weights, verts[shape.sealed_faces[faces]]).astype(np.float32)
    homogeneous = np.concatenate([uv_of(faces, weights), np.ones((len(faces), 1))], axis=1)
    near = KDTree(points).query(points, k=6)[0][:, 1]
    mean = torch.tensor(near.mean(), dtype=torch.float32)
    return {"uvcoords": shape.sealed_uvs, "uvfaces": shape.sealed_uv_faces, "faces": shape.sealed_faces,
            "template_verts": verts, "uvcoords_sample": torch_save.tensor(homogeneous[None])[:, :, :2],
            "verts_sampling": points[None], "mean_scaling": mean, "max_scaling": mean * 10, "scale_init": mean.log()}


@dataclass(eq=False)
class Gaussians:
    """FATE's per-Gaussian tensors, as float64 arrays of float32 numbers."""

    offset: np.ndarray
    dc: np.ndarray
    scaling: np.ndarray
    rotation: np.ndarray
    opacity: np.ndarray
    face_index: np.ndarray
    bary: np.ndarray

    def __post_init__(self) -> None:
        for name in ("offset", "dc", "scaling", "rotation", "opacity", "bary"):
            setattr(self, name, splats.float32(getattr(self, name)))

    def entries(self) -> dict[str, Any]:
        """Return the eight keys in file order."""
        # The init buffer of 65 536 features stays alive behind a tensor without elements.
        features, dc = torch.zeros(65536, 3, 1), self.dc[:, None]
        if len(dc) == len(features):
            # Never densified or pruned: the colours still are that buffer.
            features[:, :, 0] = torch_save.tensor(self.dc)
            dc = features[:, :, :1].transpose(1, 2).contiguous()
        rest = features[:, :, 1:].transpose(1, 2).contiguous()
        return {"_offset": self.offset, "_features_dc": dc, "_features_rest": rest,
                "_scaling": self.scaling, "_rotation": self.rotation, "_opacity": self.opacity, "face_index": self.face_index,
                "bary_coords": self.bary}


def trained(count: int, log_scale: float, seed: int) -> Gaussians:
    """Return Gaussians as training leaves them: most from the first sampling, some children of densification."""
    rng = np.random.default_rng(seed)
    faces, weights = fate_sampling(11)
    kept = np.sort(rng.choice(65536, count, replace=False))
    faces, weights = faces[kept].copy(), weights[kept].copy()
    children = count // 5
    u = rng.uniform(size=(children, 3))
    weights[count - children:] = u / u.sum(axis=1, keepdims=True)
    # The largest triangles show the displacement best; they are at the neck and the patch over the lips.
    faces[:2] = 9980, 10001
    return Gaussians(rng.normal(0, 2, (count, 1)), rng.normal(0, 1.2, (count, 3)),
                     log_scale + rng.normal(0, 0.5, (count, 3)), rng.normal(0, 1, (count, 4)),
                     rng.normal(0, 2.5, (count, 1)), faces, weights)


def deltas(person: Subject, seed: int = 3) -> dict[str, np.ndarray]:
    """Return the three learned tables; identity columns are exactly 0 where identity is folded in."""
    rng, directions = np.random.default_rng(seed), person.n_shape + person.n_exp
    shapedirs = rng.normal(0, 1.5e-5, (5023, 3, directions))
    if person.folded:
        shapedirs[:, :, :person.n_shape] = 0
    posedirs, vertex = rng.normal(0, 5e-5, (36, 15069)), flame.smooth_offset(person.tables["v_template"], 1e-3, seed)
    return {"delta_shapedirs": splats.float32(shapedirs), "delta_posedirs": splats.float32(posedirs), "delta_vertex": vertex}


def canonical_scaling(person: Subject, expr: np.ndarray, jaw: float = 0.2) -> np.ndarray:
    """Return `face_scaling_canonical` [10006, 1]: of the plain FLAME at the canonical state."""
    theta = np.zeros(15)
    theta[6] = jaw
    vertices = flame.pose(person.tables, person.betas(expr), theta)
    return splats.float32(splats.edge_frames(vertices, person.faces)[1][:, None])


def personal_vertices(person: Subject, learned: dict[str, np.ndarray], expr: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return the personalised FLAME's posed vertices."""
    tables = dict(person.tables)
    tables["shapedirs"] = tables["shapedirs"] + learned["delta_shapedirs"]
    tables["posedirs"] = tables["posedirs"] + learned["delta_posedirs"]
    return flame.pose(tables, person.betas(expr), theta, learned["delta_vertex"])


def draw(g: Gaussians, vertices: np.ndarray, faces: np.ndarray, canonical: np.ndarray) -> dict[str, np.ndarray]:
    """Return what one frame's Gaussians are in the world (sheet section 2.3)."""
    frames, scale, normal = splats.edge_frames(vertices, faces)
    f = g.face_index
    means = (np.einsum("nk,nkc->nc", g.bary, vertices[faces[f]])
             + NORMAL_OFFSET * np.tanh(g.offset) * normal[f])
    scales = np.exp(g.scaling + np.log(scale[f][:, None] / canonical[f]))
    quats = splats.unit(splats.multiply(splats.quaternions(frames)[f], g.rotation))
    return {"means": means, "quats": quats, "scales": scales, "opacities": splats.sigmoid(g.opacity[:, 0]),
            "rgb": splats.rgb_of_dc(g.dc)}


def posed_of(drawn: list[dict[str, np.ndarray]]) -> Posed:
    """Return frames stacked."""
    return Posed(**{name: np.stack([frame[name] for frame in drawn]) for name in drawn[0]})


def embedding(weight: np.ndarray) -> "OrderedDict[str, torch.Tensor]":
    """Return an nn.Embedding's state dict."""
    return torch_save.state_dict({"weight": weight})


def tracking(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Return the six tracking entries of an IMavatar-type run from (expression, pose) pairs."""
    made = {}
    for split, (codes, theta) in (("train", train), ("test", test)):
        camera = np.array([0.01, 0.02, 1.0]) + 0.003 * np.random.default_rng(len(codes)).normal(size=(len(codes), 3))
        made |= {f"{split}_expression": embedding(codes), f"{split}_flame_pose": embedding(theta),
                 f"{split}_cam_pose": embedding(camera)}
    return made


def write_identity(path: Path, person: Subject, canonical: np.ndarray, dataset: str) -> Path:
    """Write `identity_dict.pkl` with plain pickle, tensors inside."""
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    content = {"shape_params": torch_save.tensor(person.shape[None]),
               "canonical_expression": torch_save.tensor(canonical[None]), "n_shape": person.n_shape,
               "n_exp": person.n_exp, "camera_rotation": flip, "camera_translation": torch.tensor([0.01, 0.02, 1.0]),
               "camera_fovx": 0.2455, "camera_fovy": 0.2461, "img_res": [512, 512], "dataset_type": dataset}
    with Path(path).open("wb") as file:
        pickle.dump(content, file, protocol=4)
    return Path(path)


def sequence_of(codes: np.ndarray, theta: np.ndarray, edition: str = "flame2020", **more: Any) -> Sequence:
    """Return codes and 15-number poses as a `Sequence` of 25 frames a second."""
    return Sequence(basis=edition, fps=25, expr=codes, rotation=theta[:, :3], neck=theta[:, 3:6], jaw=theta[:, 6:9],
                    eyes=theta[:, 9:], **more)


def write(folder: Path, variant: str = "imavatar", splats_count: int = 70, frames: int = 3, map_size: int = 64) -> Original:
    """Write a workspace with the files up to `variant`, and return that file's `Original`.

    Args:
        folder: Made if absent; becomes the workspace.
        variant: One of `VARIANTS`. `fullhead`, `baked`, `edited` and `dump` are of IMavatar type, `nersemble` as its own
            script writes it.
        splats_count: Gaussians after training; a bake adds 65 536, an edit as many again, a full head too.
        frames: Frames to pose.
        map_size: Texels across of a dump's maps; 512 in the original.
    """
    assert variant in VARIANTS, variant
    if variant == "nersemble":
        return _write_nersemble(Path(folder), splats_count, frames)
    workspace, insta = Path(folder), variant == "insta"
    workspace.mkdir(parents=True, exist_ok=True)
    person = subject(300, 100) if insta else subject(100, 50)
    codes, theta = flame.strong_motion(frames, person.n_exp)
    test = flame.strong_motion(2, person.n_exp, seed=2)
    canonical = splats.float32(codes.astype(np.float64).mean(axis=0))
    learned = deltas(person)
    buffers = template_buffers(*fate_sampling(11))
    log_scale = float(buffers["scale_init"])
    kcano = canonical_scaling(person, canonical)
    fixed = learned | buffers | {"face_scaling_canonical": kcano} | flame_buffers(person)
    tracked = {} if insta else tracking((codes, theta), test)

    def checkpoint(path: str, g: Gaussians, more: dict[str, Any], epoch: int, step: int) -> Path:
        model = torch_save.state_dict(g.entries() | fixed)
        return torch_save.save({"epoch": epoch, "global_step": step, "model": model} | more, workspace / path)

    identity = write_identity(workspace / "identity_dict.pkl", person, canonical, "insta" if insta else "imavatar")
    (workspace / f"log_{NAME}.txt").write_text("[INFO] Trainer: fate\n")
    for name in ("archive/config", "monocular/eval_metric"):
        (workspace / name).mkdir(parents=True, exist_ok=True)
    (workspace / "archive/config/FateAvatar.yaml").write_text("model:\n  normal_offset: 0.05\n  tex_size: 256\n")
    g = trained(splats_count, log_scale, 5)
    epoch = 10 if insta else 50
    source = checkpoint(f"checkpoints/{NAME}_ep{epoch:04d}.pth", g, tracked, epoch, epoch * 3000)
    path, sides = source, {"identity_dict": identity}
    extras: dict[str, Any] = {"workspace": workspace, "delta_shapedirs": learned["delta_shapedirs"],
                              "n_shape": person.n_shape, "n_exp": person.n_exp, "canonical_expression": canonical,
                              "test_frames": test, "tracked": not insta}
    if variant == "fullhead":
        g = _with_default_gaussians(g, log_scale)
        path = checkpoint("checkpoints_fullhead/fullhead.pth", g, tracked, 1, 9000)
    elif variant in ("baked", "edited", "dump"):
        raw = raw_maps(map_size)
        dump = workspace / "baking/dump_texture/005_tex_dump.pth"
        _write_dump(dump, raw)
        # The checkpoint is exported after the step that follows the dump's forward pass.
        later = raw + 1e-3 * np.sign(np.random.default_rng(8).normal(size=raw.shape))
        scalars = scaling_scalars(g.scaling)
        faces, bary = fate_sampling(12)
        baked_at = np.concatenate([g.face_index, faces]), np.concatenate([g.bary, bary])
        baked = _from_maps(activate(later, *scalars), *baked_at)
        baked_path = checkpoint(f"baking/checkpoints_baked/{NAME}_ep0005.pth", baked, {}, 5, 15000)
        path, g = baked_path, baked
        if variant == "dump":
            path, g = dump, _from_maps(activate(raw, *scalars), *baked_at)
            sides |= {"checkpoint": source, "baked": baked_path}
        elif variant == "edited":
            maps = blend_sticker(activate(raw, *scaling_scalars(baked.scaling)))
            faces, bary = fate_sampling(13)
            g = _from_maps(maps, np.concatenate([baked_at[0], faces]), np.concatenate([baked_at[1], bary]))
            path = checkpoint("baking/edit/checkpoints_edited/lty.pth", g, tracked, 5, 15000)
    drawn = [draw(g, personal_vertices(person, learned, codes[t], theta[t]), person.faces, kcano) for t in range(frames)]
    return Original(path=path, posed=posed_of(drawn), sequence=sequence_of(codes, theta), sides=sides, head=None,
                    extras=extras | {"count": len(g.offset)})


def _with_default_gaussians(g: Gaussians, log_scale: float) -> Gaussians:
    """Return a full head's start: 65 536 Gaussians of a fresh sampling at their initial values appended."""
    faces, bary = fate_sampling(14)
    n = len(faces)
    more = Gaussians(np.zeros((n, 1)), np.zeros((n, 3)), np.full((n, 3), log_scale), np.tile([1.0, 0, 0, 0], (n, 1)),
                     np.full((n, 1), np.log(0.1 / 0.9)), faces, bary)
    return Gaussians(*(np.concatenate([getattr(g, k), getattr(more, k)]) for k in Gaussians.__dataclass_fields__))


def _from_maps(maps: dict[str, np.ndarray], faces: np.ndarray, bary: np.ndarray) -> Gaussians:
    """Return Gaussians looked up in activated maps."""
    uv = uv_of(faces, bary)
    at = {name: lookup(image, uv) for name, image in maps.items()}
    return Gaussians(at["offset"], at["color"], at["scaling"], at["rotation"], at["opacity"], faces, bary)


def _write_dump(path: Path, raw: np.ndarray) -> None:
    """Write raw maps as views of one [1, 11, S, S] storage that still ask for gradients."""
    whole = torch_save.tensor(raw[None]).requires_grad_() * 1.0
    names = (("color", 0, 3), ("opacity", 3, 4), ("scaling", 4, 7), ("rotation", 7, 10), ("offset", 10, 11))
    torch_save.save({name: whole[:, a:b] for name, a, b in names}, path)


def _write_nersemble(workspace: Path, count: int, frames: int) -> Original:
    """Write the benchmark's run: FLAME 2023 with identity beside it, head motion outside of FLAME, no identity_dict."""
    person = subject(300, 100, "flame2023", folded=False)
    codes, theta = flame.strong_motion(frames, 100)
    rng = np.random.default_rng(21)
    euler, move = splats.float32(rng.normal(0, 0.4, (frames, 3))), splats.float32(rng.normal(0, 0.1, (frames, 3)))
    theta[:, :3] = 0
    learned = deltas(person)
    buffers = template_buffers(*fate_sampling(11))
    kcano = canonical_scaling(person, codes.astype(np.float64).mean(axis=0))
    g = trained(count, float(buffers["scale_init"]), 5)
    entries = g.entries() | learned | buffers | {"face_scaling_canonical": kcano} | flame_buffers(person)
    path = torch_save.save({"epoch": 5, "global_step": 15000, "model": torch_save.state_dict(entries)},
                           workspace / f"checkpoints/{NAME}_ep0005.pth")
    (workspace / f"log_{NAME}.txt").write_text("[INFO] Trainer: fate\n")
    turns, drawn, at = [], [], []
    for t in range(frames):
        x, y, z = (flame.rodrigues(euler[t, i] * np.eye(3)[i]) for i in range(3))
        turns.append(x @ y @ z)
        vertices = personal_vertices(person, learned, codes[t], theta[t])
        drawn.append(draw(g, vertices @ turns[t].T + move[t], person.faces, kcano))
        # Ours turns about the root joint: T = t + R J0 - J0, with the joint of this frame's personal shape.
        dirs = person.tables["shapedirs"] + learned["delta_shapedirs"]
        shaped = person.tables["v_template"] + dirs @ person.betas(codes[t]) + learned["delta_vertex"]
        root = (person.tables["J_regressor"] @ shaped)[0]
        at.append(move[t] + turns[t] @ root - root)
    q = splats.quaternions(np.stack(turns))
    angle = 2 * np.arctan2(np.linalg.norm(q[:, 1:], axis=1, keepdims=True), q[:, :1])
    turn = splats.unit(q[:, 1:]) * angle
    tracking_file = workspace / "flame2023_tracking.npz"
    np.savez(tracking_file, shape=person.shape[None].astype(np.float32), expression=codes, rotation=euler.astype(np.float32),
             rotation_matrices=np.stack(turns).astype(np.float32), translation=move.astype(np.float32), jaw=theta[:, 6:9],
             frames=np.arange(frames), scale=np.ones((1, 1), np.float32), neck=theta[:, 3:6], eyes=theta[:, 9:])
    theta = theta.copy()
    theta[:, :3] = turn
    sequence = sequence_of(codes, theta, "flame2023", translation=np.stack(at), shape=person.shape)
    return Original(path=path, posed=posed_of(drawn), sequence=sequence, sides={"tracking": tracking_file}, head=None,
                    extras={"workspace": workspace, "shape": person.shape, "count": count, "n_shape": 300, "n_exp": 100,
                            "tracked": False})
