"""Whose folder, PLY, npz or pickle is this: by names, headers and a few keys."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from formats.codecs import inria_ply, legacy_torch, npz_file, safe_pickle
from formats.codecs.json_file import read_json
from formats.errors import AvatarError
from formats.files import read_bytes
from formats.importers import gha_files, osgap
from formats.importers.recognition import Finding, Need, near, newest
from formats.importers.torch_signs import clip_of

IDENTITY_LIMIT = 1 << 20
"""Bytes of an identity_dict.pkl; a FLAME pickle is fifty times as large."""
_TEXEL_MAPS = {"local_position_uv", "rot_delta_uv", "local_scaling_uv", "gs_opacity_uv", "gs_features_uv"}
_EMBEDDINGS = ("embedding.json", "canonical.sample.json")


def in_ply(path: Path) -> Finding | None:
    """Return what a PLY of Gaussians belongs to, by its header and by what lies beside it; None for a plain one."""
    count, names = inria_ply.properties(path)
    degree = {0: 0, 9: 1, 24: 2, 45: 3}.get(sum(name.startswith("f_rest_") for name in names), -1)
    counts: dict[str, Any] = {"gaussians": count, "sh_degree": degree}
    if "binding_0" in names:
        motion = next((p for p in (path.with_name("flame_param.npz"), path.with_name(f"{path.stem}_flame_param.npz"))
                       if p.is_file()), None)
        needs = (Need("head", "the FLAME it was tracked with (2023, or 2020), with its identity directions"),
                 Need("flame_param", "flame_param.npz: the person and the clip", motion))
        if path.name.startswith("head_latest") or re.fullmatch(r"\d{6}_head\.ply", path.name):
            return Finding("gaussian-avatars", "point cloud", "the FLAME head of the strand-hair fork of Gaussian Head Avatar",
                           counts, "FLAME 2020 or 2023, not inside", needs)
        if degree == 0:
            return Finding("osgap", "point cloud", "SH of degree 0: OSGAP's, or a GaussianAvatars without SH",
                           counts, "FLAME 2023, not inside", needs,
                           note="OSGAP keeps plain colours where GaussianAvatars keeps coefficients: imported as osgap, a "
                           "GaussianAvatars of degree 0 looks washed out")
        return Finding("gaussian-avatars", "point cloud", "", counts, "FLAME 2023 (or 2020), not inside", needs)
    embedding = next((path.with_name(name) for name in _EMBEDDINGS if path.with_name(name).is_file()), None)
    if embedding is not None:
        motion = near(path, ["flame_params.json"], 7)
        return Finding("splatting-avatar", "point cloud", f"with {embedding.name}", counts, "FLAME 2020, not inside", (
            Need("head", "FLAME 2020 with its identity directions"),
            Need("flame_params", "the data set's flame_params.json: the person and the clip", motion)))
    return None


def in_npz(path: Path) -> Finding | None:
    """Return OSGAP's maps, told by the names of their arrays; None for another npz."""
    names = npz_file.names(path)
    if not set(names) >= _TEXEL_MAPS:
        return None
    opacity = npz_file.read(path, skip=set(names) - {"gs_opacity_uv"})["gs_opacity_uv"]
    motion = near(path, ["flame_param.npz"], 3) or next(
        (found for folder in osgap.beside(path) if (found := folder / "flame_param.npz").is_file()), None)
    return Finding("osgap", "texel maps", "uv_gt of the modified GaussianAvatars", {"size": opacity.shape[0]},
                   "FLAME 2023, not inside", (Need("head", "FLAME 2023 with its identity directions"),
                                              Need("flame_param", "flame_param.npz: the person and the clip", motion)))


def in_pickle(path: Path) -> Finding | None:
    """Return FATE's identity_dict.pkl; None for another pickle."""
    if path.stat().st_size > IDENTITY_LIMIT:
        return None
    try:
        root = safe_pickle.load(read_bytes(path), str(path), legacy_torch.NAMES)
    except AvatarError:
        return None  # the reader that takes it for something else says what is wrong with it
    if not isinstance(root, dict) or not {"shape_params", "canonical_expression", "n_exp"} <= set(root):
        return None
    return Finding("fate", "identity", "identity_dict.pkl", {"identity": root.get("n_shape"), "expressions": root.get("n_exp"),
                                                             "dataset": root.get("dataset_type")},
                   note="lies in the workspace of a FATE run; import a checkpoint of it", imports=False)


# --- Folders ----------------------------------------------------------------------------------------------------------


def in_folder(path: Path) -> Finding | None:
    """Return what a folder holds, for folders that are one thing themselves: BakedAvatar's web page and motion."""
    return next((found for sign in (_web, _motion) if (found := sign(path)) is not None), None)


def main_file(path: Path) -> Path | None:
    """Return the file in an original's folder that is its avatar, or None where there is none."""
    for places in _PLACES:
        found = places(path)
        if found is not None:
            return found
    return None


def _globbed(*patterns: str) -> Callable[[Path], Path | None]:
    """Return the newest of what the first of the patterns finds that finds something."""
    def look(path: Path) -> Path | None:
        return next((found for pattern in patterns if (found := newest(p for p in path.glob(pattern) if p.is_file()))), None)
    return look


def _splats(path: Path) -> Path | None:
    iteration = newest(p for p in path.glob("point_cloud/iteration_*") if (p / "point_cloud.ply").is_file())
    iteration = iteration or newest(p for p in path.glob("iteration_*") if (p / "point_cloud.ply").is_file())
    return (iteration or path) / "point_cloud.ply" if iteration or (path / "point_cloud.ply").is_file() else None


def _gha_head(path: Path) -> Path | None:
    return newest(p for place in (path, *path.glob("checkpoints/*"), path / "checkpoints") if place.is_dir()
                  for p in place.iterdir()
                  if (named := gha_files.NAME.fullmatch(p.name)) and named[1] == "gaussianhead" and p.is_file())


_PLACES: tuple[Callable[[Path], Path | None], ...] = (
    _globbed("checkpoints_fullhead/*.pth", "checkpoints/*_ep*.pth"),  # FATE
    _splats, _gha_head,
    _globbed("finetune_mesh_data/iter_*/mesh_data.pkl", "mesh_export/iter_*/**/mesh_data.pkl", "mesh_data.pkl"),  # BakedAvatar
    _globbed("log/ckpt/chkpnt*.pth", "ckpt/chkpnt*.pth", "chkpnt*.pth"),  # FlashAvatar
    _globbed("train/checkpoints/ModelParameters/*.pth", "checkpoints/ModelParameters/*.pth", "ModelParameters/*.pth"),  # Mono
    _globbed("gs_attrs_uv_*.npz"),  # OSGAP
    _globbed("checkpoint/*.frame", "*.frame"),  # metrical-tracker
    _globbed("checkpoints_baked/*.pth", "*.pth"),  # FATE's bakes, and the folder of a checkpoint itself
)


def _web(path: Path) -> Finding | None:
    place = next((p for p in (path / "metadata.json", path / "mesh_data" / "metadata.json") if p.is_file()), None)
    if place is None or not (place.parent / "common").is_dir():
        return None
    about = read_json(place)
    meshes = about.get("meshes") if isinstance(about, dict) else None
    if not isinstance(meshes, list):
        return None
    first = place.parent / "meshes_0"
    flat = not list(first.glob("radiance_texture.npy")) and bool(list(first.glob("radiance_texture.png")))
    assert isinstance(about, dict)
    return Finding("baked-avatar", "web mesh_data", "textures as PNG" if flat else "",
                   {"layers": len(meshes), "bases": about.get("num_texture_basis"), "ghostbone": about.get("ghostbone")},
                   "FLAME 2020 at four times its size, inside the files", (clip_of(place.parent),))


def _motion(path: Path) -> Finding | None:
    if not (path / "flame_sequences.npy").is_file():
        return None
    clips = read_json(path / "flame_sequences.json") if (path / "flame_sequences.json").is_file() else {}
    spans = {str(k): v for k, v in clips.items()} if isinstance(clips, dict) else {}
    return Finding("baked-avatar", "sequence_data", "", {"clips": spans}, "FLAME 2020: 50 expressions, 15 numbers of pose",
                   note="motion: `flameport sequence FOLDER --out CLIP.json`", imports=False)
