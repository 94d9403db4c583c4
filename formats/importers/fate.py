"""FATE's files: its own avatars, trained, completed, baked, edited or as texture dumps, and the four systems it compares with.

Every .pth is one envelope with a `model`; which system it is, its keys say. FLAME is inside, so that no head file is needed.
What reads what: `fate_splats` FATE's own model, `fate_maps` dumps, the modules of the other systems their models (through
`from_fate`, see `fate_context`), `fate_workspace` says what lies where. Everything is posed as FATE draws it.

Zhang et al., "FATE: Full-head Gaussian Avatar with Textural Editing from Monocular Video", CVPR 2025; facts of the files: its
released code.
"""

import dataclasses
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from formats.avatar import Avatar
from formats.codecs import torch_file
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.head_model import HeadModel
from formats.importers import fate_maps, fate_splats, fate_tracking, fate_workspace, side_files, signatures
from formats.importers.fate_context import FateContext, Identity, checked, clip, read_identity
from formats.importers.fate_flame import dressed, expression_count, flame_head, is_nersemble
from formats.importers.recognition import unwrapped

__all__ = ["FateContext", "flame_head", "read"]
LOG = logging.getLogger(__name__)
SIDES = {"checkpoint": "the checkpoint that a dump or bake was made from", "identity": "identity_dict.pkl of the run",
         "baked": "a baked checkpoint, for the places of a dump's Gaussians",
         "tracking": "flame2023_tracking.npz, for NeRSemble's benchmark"}
MODULES = {"gaussian-avatars": "gaussian_avatars", "flash-avatar": "flash_avatar", "splatting-avatar": "splatting_avatar",
           "mono-gaussian-avatar": "mono_gaussian_avatar"}
"""Kinds to the modules whose `from_fate` reads them."""
MONO_SCALE = 0.25
"""Metres per unit of FATE's MonoGaussianAvatar, whose head is four times life size."""


def read(path: Path, head: HeadModel | None = None, sides: Mapping[str, Path] | None = None, *,
         as_original: bool = False, albedo_size: int = 512, edition: str = "") -> Avatar:
    """Return the avatar in a file of FATE, or in its workspace (the full head, else the newest checkpoint).

    Args:
        path: A .pth or a workspace folder.
        head: Not needed. A FLAME file of the right edition lends its regions, ARKit map and content hash.
        sides: `checkpoint`, the one a dump or a bake was made from; `identity`, the run's identity_dict.pkl; both are found
            in the workspace. `baked`, with a dump: a baked checkpoint, whose Gaussians' places are then used; the newest of
            its bake where there is one. `tracking`: flame2023_tracking.npz, which checkpoints of the NeRSemble benchmark need;
            found beside them and in the folders above.
        as_original: Changes nothing for FATE's own avatars, which are always posed as FATE does; handed to the others.
        albedo_size: With a dump, texels across of the texture that is gathered from the avatar; 0 for none.
        edition: Of the FLAME it was trained with, if not the released code's (2020; 2023 on the NeRSemble benchmark): no file
            says so.

    Raises:
        MissingAsset: A file is not there.
        FormatError: A file is damaged, or is not what it should be.
        CheckpointMismatch: Files or tables do not belong together.
        UnsupportedFeature: It is of a system that we do not know, or a side input is not for this kind of file.
    """
    path, sides = Path(path), {name: Path(side) for name, side in (sides or {}).items()}
    side_files.check_names(path, sides, SIDES)
    if not 0 <= albedo_size <= 8192:
        raise UnsupportedFeature(f"{path}: albedo_size: expected 0 to 8192 texels, got {albedo_size}")
    if path.is_dir():
        folder, path = path, fate_workspace.checkpoint_in(path)
        LOG.info("%s: reading %s", folder, path.relative_to(folder))
    with torch_file.open(path) as file:
        root = file.root
    if fate_maps.is_dump(root):
        return _dump(path, root, head, sides, as_original, albedo_size, edition)
    if "baked" in sides:
        raise UnsupportedFeature(f"{path}: is no texture dump; --side baked= is for those")
    opened = _opened(path, root)
    context = _context(opened, head, sides, as_original, edition)
    if opened.kind != "fate":
        return importlib.import_module(f"formats.importers.{MODULES[opened.kind]}").from_fate(opened.model, context)
    return fate_splats.from_fate(opened.model, context)


@dataclass(frozen=True, eq=False)
class _Checkpoint:
    """One opened .pth."""

    path: Path
    kind: str
    model: dict[str, np.ndarray]
    tracked: dict[str, np.ndarray]
    """`train_expression` and so on, where the file has them."""


def _opened(path: Path, root: Any = None) -> _Checkpoint:
    if root is None:
        with torch_file.open(path) as file:
            root = file.root
    where = str(path)
    if not isinstance(root, dict) or "model" not in root:
        found = ", ".join(map(str, list(root)[:8])) if isinstance(root, dict) else type(root).__name__
        raise FormatError(f"{where}: not a checkpoint of FATE: expected epoch, global_step and model, or the five maps of a "
                          f"texture dump; found {found or 'nothing'}")
    model = unwrapped(root["model"])
    if not isinstance(model, dict):
        raise FormatError(f"{where}: 'model' is no dictionary of tensors")
    kind = signatures.fate_kind(model)
    if kind is None:
        raise UnsupportedFeature(f"{where}: 'model' is of none of the systems that FATE trains (fate, {', '.join(MODULES)}); "
                                 f"found {', '.join(map(str, list(model)[:6])) or 'nothing'}, ...")
    tracked: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        for part in ("expression", "flame_pose", "cam_pose"):
            name = f"{split}_{part}"
            if name in root:
                table = torch_file.arrays(root[name], f"{where}: {name}")
                if "weight" not in table:
                    raise FormatError(f"{where}: '{name}' has no 'weight'; the file is damaged")
                tracked[name] = table["weight"]
    return _Checkpoint(path, kind, torch_file.arrays(model, f"{where}: model"), tracked)


def _context(opened: _Checkpoint, head: HeadModel | None, sides: Mapping[str, Path], as_original: bool,
             edition: str) -> FateContext:
    """Return what goes with a checkpoint: head, identity, clip."""
    path, where, model = opened.path, str(opened.path), opened.model
    identity = _identity(path, sides)
    stated = None if identity is None else len(identity.canonical_expression)
    if stated is None and "train_expression" in opened.tracked:
        stated = opened.tracked["train_expression"].shape[-1]
    n_exp = expression_count(model, where, stated)
    identity = checked(identity, n_exp, where)
    tracking = None
    if is_nersemble(model):
        given = side_files.find(path, sides, "tracking", ()) or fate_workspace.tracking_of(path)
        if given is None:
            raise MissingAsset(f"{where}: is of the NeRSemble benchmark and does not hold the person's identity: it is in "
                               "<participant>/sequences/<sequence>/tracking/flame2023_tracking.npz of the data set; give it "
                               "by --side tracking=")
        tracking = fate_tracking.read(given)
    elif "tracking" in sides:
        raise UnsupportedFeature(f"{where}: holds the person's identity; --side tracking= is for NeRSemble's benchmark")
    plain = flame_head(model, scale=MONO_SCALE if opened.kind == "mono-gaussian-avatar" else 1.0, where=where, n_exp=n_exp,
                       identity=None if tracking is None else tracking.shape, edition=edition)
    plain = dressed(plain, head, where, "" if head is None else f"; if that is this one, say so: --set edition={head.edition}")
    if tracking is not None:
        drawn = fate_splats.personal_head(model, FateContext(where, path.name, "", opened.kind, plain, n_exp, None, None,
                                                             tracking.shape)) if opened.kind == "fate" else plain
        sequence = fate_tracking.sequence_of(tracking, drawn)
    else:
        sequence = clip(_clip_tables(opened, sides), plain.edition, n_exp, identity, where)
    if sequence is None:
        LOG.warning("%s: holds no tracked frames (FATE keeps none for INSTA's data); the avatar has no clip of its own", where)
    return FateContext(where, path.name, fate_workspace.run_name(path), opened.kind, plain, n_exp, identity, sequence,
                       None if tracking is None else tracking.shape, as_original)


def _identity(path: Path, sides: Mapping[str, Path]) -> Identity | None:
    side = sides.get("identity") or fate_workspace.identity_of(path)
    if side is None:
        LOG.info("%s: no %s in its workspace: the clip has no cameras; give it by --side identity=", path,
                 fate_workspace.IDENTITY)
        return None
    return read_identity(side)


def _clip_tables(opened: _Checkpoint, sides: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Return the tracked frames of a checkpoint, or of the one it was baked from: bakes hold none."""
    if opened.tracked:
        return opened.tracked
    path = sides.get("checkpoint")
    if path is None and fate_workspace.is_baked(opened.path):
        path = fate_workspace.before_bake(opened.path)
    if path is None:
        return {}
    source = _opened(path)
    if not _same_head(source, opened):
        raise CheckpointMismatch(f"{path}: its head is not that of {opened.path.name}; are they of one run? Say which checkpoint "
                                 "was baked by --side checkpoint=")
    LOG.info("%s: is baked and holds no tracked frames; those of %s are used", opened.path, path.name)
    return source.tracked


def _same_head(one: _Checkpoint, other: _Checkpoint) -> bool:
    key = "flame.v_template"
    a, b = one.model.get(key), other.model.get(key)
    return one.kind == other.kind and a is not None and b is not None and np.array_equal(a, b)


def _dump(path: Path, root: Mapping[str, Any], head: HeadModel | None, sides: Mapping[str, Path], as_original: bool,
          albedo_size: int, edition: str) -> Avatar:
    source = sides.get("checkpoint") or fate_workspace.before_bake(path)
    if source is None:
        raise MissingAsset(f"{path}: a texture dump needs the checkpoint it was baked from (its head, and the sizes that "
                           "bound the baked ones); looked for ../../checkpoints/*.pth (or checkpoints_fullhead), give it by "
                           "--side checkpoint=")
    LOG.info("%s: taken as baked from %s", path, source)
    opened = _opened(source)
    if opened.kind != "fate":
        raise CheckpointMismatch(f"{source}: is of {opened.kind}; only FATE's own avatars are baked")
    raw = fate_maps.raw_maps(root, str(path))
    context = _context(opened, head, {k: v for k, v in sides.items() if k != "checkpoint"}, as_original,
                       edition)
    baked = None
    places = sides.get("baked") or fate_workspace.baked_with(path)
    if places is not None:
        baked = _opened(places)
        if baked.kind != "fate" or not _same_head(opened, baked):
            raise CheckpointMismatch(f"{places}: its head is not that of {source.name}; are they of one run?")
        LOG.info("%s: the places of its Gaussians are those of %s", path, places.name)
    else:
        LOG.warning("%s: leaves out the 6437 or so copies at random places that FATE's bake adds to its raster of %d x %d "
                    "texels; a baked checkpoint of the run given by --side baked= says where they were", path,
                    fate_maps.RASTER, fate_maps.RASTER)
    avatar = fate_maps.from_dump(raw, opened.model, context, None if baked is None else baked.model,
                                 "" if baked is None else str(baked.path), albedo_size)
    return dataclasses.replace(avatar, meta=dataclasses.replace(avatar.meta, source=path.name))
