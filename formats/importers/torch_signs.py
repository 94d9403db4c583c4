"""Whose torch file is this: by the shape of its content and by its keys; numbers are read only where keys do not tell."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from formats.codecs.torch_file import TorchTensor
from formats.errors import AvatarError
from formats.importers import fate_workspace, flash_avatar, gha_files, mono_training
from formats.importers.recognition import Finding, Need, near, numbers, rows, tensors, unwrapped

SAMPLED = 1 << 14
"""Rows that are looked at to tell a baked FATE checkpoint, which keys do not."""
DIRECT_LIMIT = 1.7725
"""Largest SH coefficient of degree 0 that a bake can give: 0.5 / 0.28209."""
FATE_SIGNS = {"fate": {"_offset", "face_index"}, "gaussian-avatars": {"binding"},
              "flash-avatar": {"deformNet.output_linear.weight"}, "splatting-avatar": {"_uvd"},
              "mono-gaussian-avatar": {"pc.points"}}
"""The systems that FATE's code trains, by keys that only their `model` has."""
_TEXELS = 65536
_DUMP = {"color", "opacity", "scaling", "rotation", "offset"}
_HEAD = Need("head", "FLAME 2020 with its identity directions")
_INSIDE = "FLAME 2020, inside the file"
_ABOVE = 6
"""Folders above a checkpoint in which FlashAvatar's files lie."""
_FLAME_FOLDERS = ("", "flame/", "flame/FLAME_masks/", "flame/blendshapes/", "data/", "weights/")


def fate_kind(keys: Iterable[str]) -> str | None:
    """Return which system a checkpoint of FATE's code holds, by the keys of its `model`; None when it is none of them.

    One of `fate`, `gaussian-avatars`, `flash-avatar`, `splatting-avatar`, `mono-gaussian-avatar`.
    """
    keys = set(keys)
    return next((system for system, signs in FATE_SIGNS.items() if signs <= keys), None)


def recognise(root: Any, path: Path) -> Finding | None:
    """Return what a torch file with the content `root` is, or None when it is nobody's that we know."""
    return next((found for sign in _SIGNS if (found := sign(root, path)) is not None), None)


# --- FATE -------------------------------------------------------------------------------------------------------------


def _fate(root: Any, path: Path) -> Finding | None:
    model = unwrapped(root.get("model")) if isinstance(root, Mapping) else None
    kind = fate_kind(model) if isinstance(model, Mapping) else None
    if kind is None or not isinstance(model, Mapping):
        return None
    shapes = tensors(model)
    key = {"fate": "_offset", "mono-gaussian-avatar": "pc.points"}.get(kind, "_opacity")
    basis = shapes.get("flame.shapedirs", (0, 0, 0))
    frames = {split: rows(tensors(root[f"{split}_expression"]), "weight") for split in ("train", "test")
              if f"{split}_expression" in root}
    counts: dict[str, Any] = {"gaussians": rows(shapes, key), "vertices": rows(shapes, "flame.v_template"),
                              "directions": basis[2] if len(basis) == 3 else 0}
    if frames:
        counts["frames"] = frames
    benchmark = "flame.shape_betas" in shapes or "flame.transl" in shapes
    variant, note = (_fate_stage(model, path) if kind == "fate" else (f"FATE's version of {kind}", ""))
    if benchmark:
        variant += ", NeRSemble's benchmark"
    needs = (Need("tracking", "flame2023_tracking.npz: the person's identity is not in the file",
                  fate_workspace.tracking_of(path)),) if benchmark else (
        Need("identity", "identity_dict.pkl of the run: the cameras" + (
            ", and the expression that it starts from" if kind == "mono-gaussian-avatar" else ""),
            fate_workspace.identity_of(path), required=kind == "mono-gaussian-avatar"),)
    if variant.startswith(("baked", "edited")) and not frames:
        needs += (Need("checkpoint", "the one that was baked: its clip", fate_workspace.before_bake(path), required=False),)
    return Finding("fate", "checkpoint", variant, counts,
                   "FLAME 2023, inside the file, identity not in it" if benchmark else _INSIDE, needs, note=note)


def _fate_stage(model: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """Tell un-baked, baked, edited and full head: by where the file lies, else by its numbers."""
    folder = path.resolve().parent.name
    places = {"checkpoints_baked": "baked", "checkpoints_edited": "edited (baked from edited maps)",
              "checkpoints_fullhead": "full head, not baked", "checkpoints": "not baked"}
    if folder in places:
        return places[folder], f"by its folder, {folder}"
    count = rows(tensors(model), "_offset")
    if count <= _TEXELS:
        return "not baked", f"by its count: a bake adds {_TEXELS} Gaussians, and this has {count}"
    bounded = _within(model["_offset"], 1.0) and _within(model.get("_features_dc"), DIRECT_LIMIT)
    if not bounded:
        return "full head, not baked", f"by its numbers: {count} Gaussians, offsets or colours beyond what a bake can give"
    return "baked or edited", (f"by its numbers: {count} Gaussians, offsets within 1, colours within {DIRECT_LIMIT}; the folder "
                               "that it was in (checkpoints_baked, checkpoints_edited) would say for sure")


def _within(tensor: Any, limit: float) -> bool:
    if isinstance(tensor, TorchTensor) and tensor.shape:
        tensor = tensor.beginning(SAMPLED)
    return isinstance(tensor, np.ndarray) and tensor.dtype.kind == "f" and bool((np.abs(tensor) <= limit + 1e-4).all())


def _fate_dump(root: Any, path: Path) -> Finding | None:
    shapes = tensors(root)
    if set(shapes) != _DUMP or any(len(shape) != 4 for shape in shapes.values()):
        return None
    source = fate_workspace.before_bake(path)
    return Finding("fate", "texture dump", "raw maps of a bake, before their activations", {"size": shapes["color"][2]}, "", (
        Need("checkpoint", "the checkpoint that was baked: the head, and two numbers of the activation", source),
        Need("baked", "a baked checkpoint of the same run: the places of its Gaussians",
             fate_workspace.baked_with(path), required=False)))


# --- Systems that ride FLAME ------------------------------------------------------------------------------------------


def _flash(root: Any, path: Path) -> Finding | None:
    if not (isinstance(root, tuple) and len(root) == 3 and isinstance(root[0], tuple) and isinstance(root[1], tuple)
            and len(root[1]) >= 7):
        return None
    networks = [each for each in map(unwrapped, root[0]) if isinstance(each, Mapping) and "fcs.0.weight" in each]
    colours, rotation = root[1][2], root[1][5]
    if not networks or not isinstance(colours, TorchTensor) or not isinstance(rotation, TorchTensor):
        return None
    first = tensors(networks[0]).get("fcs.0.weight", (0, 0))
    still = rotation.dtype.kind == "f" and len(rotation.shape) == 2 and rotation.shape[1] == 4 and bool(
        (rotation.load() == [1, 0, 0, 0]).all())
    counts = {"gaussians": colours.shape[0], "iteration": root[2], "network_inputs": first[-1], "weights": numbers(networks[0])}
    frames = next((place for place in flash_avatar.frame_places(path) if place.exists()), None)
    lids = near(path, [f"{folder}l_eyelid.npy" for folder in _FLAME_FOLDERS], _ABOVE)
    needs = (_HEAD, Need("frames", "metrical-tracker's folder of .frame files: the person's identity and the clip", frames),
             Need("mesh", "FlashAvatar's FlameMesh.obj", near(path, [f"{f}FlameMesh.obj" for f in _FLAME_FOLDERS], _ABOVE)),
             Need("masks", "FLAME_masks.pkl, unless the head has its regions",
                  near(path, [f"{f}FLAME_masks.pkl" for f in _FLAME_FOLDERS], _ABOVE), required=False),
             Need("eyelids", "the folder of l_eyelid.npy and r_eyelid.npy, unless the head has eyelids",
                  None if lids is None else lids.parent, required=False))
    unet = sum(isinstance(each, Mapping) for each in root[0]) > 2
    variant = "the Wasserstein variant: all rotations are exactly (1, 0, 0, 0)" if still else "FlashAvatar's own"
    return Finding("flash-avatar", "checkpoint", variant + (", U-Net mode" if unet else ""), counts, "FLAME 2020, not inside",
                   needs, imports=not unet, note="its U-Net modes are not read" if unet else "")


def _gaussian_avatars(root: Any, path: Path) -> Finding | None:
    if not (isinstance(root, tuple) and len(root) == 2 and isinstance(root[0], tuple) and len(root[0]) == 14
            and isinstance(root[0][1], TorchTensor) and isinstance(root[0][7], TorchTensor)):
        return None
    return Finding("gaussian-avatars", "training checkpoint", "", {"gaussians": root[0][1].shape[0], "iteration": root[1]},
                   "FLAME 2023, not inside", note="the fitted FLAME parameters are not in it: import the run's "
                   "point_cloud/iteration_<n>/point_cloud.ply, which has flame_param.npz beside it", imports=False)


def _mono(root: Any, path: Path) -> Finding | None:
    model = unwrapped(root.get("model_state_dict")) if isinstance(root, Mapping) else None
    if not isinstance(model, Mapping) or "pc.points" not in model:
        return None
    shapes = tensors(model)
    try:
        run = mono_training.config_of(path, {})
    except AvatarError:
        run = mono_training.Config()  # the import says what is wrong with it
    clips = mono_training.found_clips(path, run)
    needs = (Need("flame_params", "the training videos' flame_params.json: the clip, whose mean expression is the canonical one",
                  clips[0] if clips else None),
             Need("conf", "runconf.conf of the run: how the jaw rests, and which videos it was trained on",
                  near(path, [mono_training.CONFIG], mono_training.LEVELS), required=False))
    return Finding("mono-gaussian-avatar", "checkpoint", "",
                   {"gaussians": rows(shapes, "pc.points"), "epoch": root.get("epoch"), "radius": root.get("radius"),
                    "weights": numbers(model)}, _INSIDE, needs)


def _osgap(root: Any, path: Path) -> Finding | None:
    names = {str(name).removeprefix("module.") for name in root} if isinstance(root, Mapping) else set()
    if not any(name.startswith(("Encoder.F_encoder.", "Encoder.EHigh_encoder.", "backbone.")) for name in names):
        return None
    if any(name.startswith("backbone.") for name in names) and not any(name.startswith("Encoder.F_encoder.") for name in names):
        return Finding("osgap", "training checkpoint", "the older network of the training script", {"weights": numbers(root)},
                       note="only the network of the finetune script makes an avatar; this one is not read", imports=False)
    return Finding("osgap", "encoder", "the network of the finetune script", {"weights": numbers(root)}, "FLAME 2023, not inside",
                   (Need("head", "FLAME 2023 with its identity directions"), Need("image", "the picture to make an avatar of")))


def _baked(root: Any, path: Path) -> Finding | None:
    if not isinstance(root, Mapping):
        return None
    model = root.get("model")
    if isinstance(model, Mapping) and "manifold_net.l0.weight_v" in model:
        return Finding("baked-avatar", "checkpoint", "stage 1: the fields, before any mesh",
                       {"iteration": root.get("it"), "weights": numbers(model)}, _INSIDE, imports=False,
                       note="import the mesh_data.pkl that mesh_export, texture_export and fine_tuning make of it")
    if isinstance(model, Mapping) and "vertices.0" in model and "faces.0" in model:
        shapes = tensors(model)
        layers = sum(name.startswith("vertices.") for name in shapes)
        return Finding("baked-avatar", "checkpoint", "stage 3: fine-tuned layers",
                       {"iteration": root.get("it"), "layers": layers,
                        "vertices": sum(rows(shapes, f"vertices.{i}") for i in range(layers))}, _INSIDE, imports=False,
                       note="import finetune_mesh_data/iter_N/mesh_data.pkl of the same run, which is exported from it")
    meshes = root.get("meshes")
    if not (isinstance(meshes, list) and "common" in root and meshes and isinstance(meshes[0], Mapping)):
        return _embeddings(root)
    textured = "global_mlp" in root and "radiance_textures" in meshes[0]
    stage = "after texture_export" if textured else "after mesh_export: no textures yet"
    if textured and "finetune_mesh_data" in path.resolve().parts:
        stage = "fine-tuned"
    counts: dict[str, Any] = {"layers": len(meshes), "vertices": [rows(tensors(m), "vertices") for m in meshes],
                              "faces": [rows(tensors(m), "faces") for m in meshes]}
    if textured:
        counts |= {"texture": tensors(meshes[0])["radiance_textures"][1], "bases": root.get("num_texture_basis"),
                   "weights": numbers(root["global_mlp"])}
    return Finding("baked-avatar", "mesh_data.pkl", stage, counts, "FLAME 2020 at four times its size, inside the file",
                   (clip_of(path),), imports=textured, note="" if textured else "run the original's texture_export first")


def clip_of(path: Path) -> Need:
    """Return where BakedAvatar's motion lies for the files at `path`."""
    return Need("sequence", "sequence_data, or a flame_params.json: the clip", near(path, ["sequence_data"], 2), required=False)


def _embeddings(root: Mapping[Any, Any]) -> Finding | None:
    shapes = tensors(root)
    if not {"expression.weight", "pose.weight", "cam_trans.weight"} & set(shapes) or set(shapes) != set(root):
        return None
    frames = max((shape[0] for shape in shapes.values() if shape), default=0)
    return Finding("baked-avatar", "tracking of the training frames", "input.pth", {"frames": frames}, imports=False,
                   note="lies beside model.pth")


# --- Gaussian Head Avatar, and a tracker ------------------------------------------------------------------------------


def _gha(root: Any, path: Path) -> Finding | None:
    if isinstance(root, TorchTensor):
        named = path.name.startswith("delta_poses") and len(root.shape) == 2 and root.shape[1] == 6
        return Finding("gaussian-head-avatar", "delta_poses", "", {"frames": root.shape[0]}, imports=False,
                       note="lies beside gaussianhead_latest, which is what is imported") if named else None
    root = unwrapped(root)
    shapes = tensors(root)
    counts: dict[str, Any] = {"weights": numbers(root)}
    if {"points_raw", "origins_raw"} <= set(shapes):
        return Finding("gaussian-head-avatar", "gaussianhair", "the strand-hair fork's",
                       counts | {"strands": rows(shapes, "origins_raw")}, "FLAME 2020",
                       (Need("flame_params", "the folder of tracked FLAME_params/<frame>/params.npz, for the clip",
                             near(path, ["FLAME_params"], 4), required=False),),
                       note="its own is an avatar of hair alone; with the head, import the gaussianhead beside it")
    if "tet_verts" in shapes and "geo_mlp.conv0.weight" in shapes:
        return Finding("gaussian-head-avatar", "meshhead", "stage 1: the guidance mesh", counts |
                       {"grid": rows(shapes, "tet_verts")}, imports=False,
                       note="the avatar is stage 2's gaussianhead_latest; this file gives it a mesh when it lies beside it")
    if "xyz" in shapes and "feature" in shapes and "exp_color_mlp.conv0.weight" in shapes:
        first = shapes["exp_color_mlp.conv0.weight"]
        fork = "features_dc" in shapes or "seg_label" in shapes
        hair = gha_files.beside(path, "gaussianhair")
        needs = (*(Need(side, what, gha_files.beside(path, kind), required=False) for side, kind, what in (
            ("supres", "supres", "the super-resolution network"), ("mesh", "meshhead", "stage 1, for a mesh"),
            ("hair", "gaussianhair", "the fork's strands"))),
            Need("yaml", "the training's yaml: four numbers of the deformation", gha_files.find_yaml(path), required=False),
            Need("params", "the folder of tracked <frame>/params.npz: size and clip (without a clip: --set scale=0.15)",
                 gha_files.find_params({}, "params", path, "params")),
            *((Need("flame_params", "the folder of FLAME_params' <frame>/params.npz: where the hair sits (without the hair: "
                    "--set hair_as=none)", gha_files.find_params({}, "flame_params", path, "FLAME_params")),) if hair else ()))
        return Finding("gaussian-head-avatar", "gaussianhead", "the strand-hair fork's" if fork else "the original's",
                       counts | {"gaussians": shapes["xyz"][0], "expressions": first[1] - shapes["feature"][1]}, "", needs,
                       note="driven by the 64 coefficients of BFM, not by FLAME" if first[1] - shapes["feature"][1] == 64 else "")
    if "upsampler.outc.conv.weight" in shapes or "upsampler.inc.double_conv.0.weight" in shapes:
        return Finding("gaussian-head-avatar", "supres", "super-resolution network", counts, imports=False,
                       note="lies beside gaussianhead_latest, which is what is imported")
    return None


def _frame(root: Any, path: Path) -> Finding | None:
    blocks = root if isinstance(root, Mapping) else {}
    flame, opencv = blocks.get("flame"), blocks.get("opencv")
    if not isinstance(flame, Mapping) or not isinstance(opencv, Mapping) or "exp" not in flame or "R" not in opencv:
        return None
    widths = {name: shape[-1] for name, shape in tensors(flame).items() if shape}
    return Finding("", "metrical-tracker frame", "", {"coefficients": widths, "frame": blocks.get("frame_id")}, "FLAME 2020",
                   note="a folder of them is a clip, which FlashAvatar needs: `flameport sequence FOLDER --out CLIP.json`")


_SIGNS: tuple[Callable[[Any, Path], Finding | None], ...] = (
    _fate, _fate_dump, _flash, _gaussian_avatars, _mono, _osgap, _gha, _baked, _frame)
