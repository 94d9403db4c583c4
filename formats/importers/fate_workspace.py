"""Where FATE's files lie in its workspace, and what a single one of them is called.

    <ws>/identity_dict.pkl
    <ws>/checkpoints/<name>_epNNNN.pth                  trained; the last by name is the newest
    <ws>/checkpoints_fullhead/fullhead.pth              completed to a full head
    <ws>/baking/checkpoints_baked/<name>_epNNNN.pth     baked; baking_full_head/ when it was the full head
    <ws>/baking/dump_texture/NNN_tex_dump.pth           raw maps of the same epoch
    <ws>/baking/edit/checkpoints_edited/<asset>.pth     baked from edited maps
"""

import re
from pathlib import Path

from formats.errors import MissingAsset

IDENTITY = "identity_dict.pkl"
FULL_HEAD, TRAINED = "checkpoints_fullhead", "checkpoints"
BAKED = ("checkpoints_baked", "checkpoints_edited")
DUMPS = "dump_texture"
TRACKING = ("flame2023_tracking.npz", "tracking/flame2023_tracking.npz")
"""The NeRSemble benchmark's tracking, in the folder of one of its sequences."""
DEPTH = 4
"""Folders above a file that its workspace may be."""


def newest(folder: Path) -> Path | None:
    """Return the newest checkpoint in a folder, by name as FATE has it; None where there is none."""
    found = sorted(path for path in folder.glob("*.pth") if path.is_file()) if folder.is_dir() else []
    return found[-1] if found else None


def checkpoint_in(folder: Path) -> Path:
    """Return what a workspace, or a folder of checkpoints, stands for: the full head, else the newest checkpoint.

    Raises:
        MissingAsset: There is none.
    """
    for place in (folder / FULL_HEAD, folder / TRAINED, folder):
        path = newest(place)
        if path is not None:
            return path
    raise MissingAsset(f"{folder}: no FATE checkpoint; looked for {FULL_HEAD}/*.pth, {TRAINED}/*.pth and *.pth in it; name a "
                       "workspace of FATE, or one of its .pth files")


def workspace_of(path: Path) -> Path | None:
    """Return the workspace that a file lies in, None where there is no sign of one."""
    for folder in list(path.resolve().parents)[:DEPTH]:
        if (folder / IDENTITY).is_file() or (folder / TRAINED).is_dir():
            return folder
    return None


def identity_of(path: Path) -> Path | None:
    """Return the identity_dict.pkl of the workspace that a file lies in, None where there is none."""
    workspace = workspace_of(path)
    beside = path.parent / IDENTITY
    if workspace is not None and (workspace / IDENTITY).is_file():
        return workspace / IDENTITY
    return beside if beside.is_file() else None


def before_bake(path: Path) -> Path | None:
    """Return the checkpoint that a baked, edited or dumped file was made from, None where it is not in the workspace.

    Only for files in the folders that FATE puts them in: a moved one may lie below somebody's other checkpoints.
    """
    workspace = workspace_of(path)
    if workspace is None or path.resolve().parent.name not in (*BAKED, DUMPS):
        return None
    full = any("full_head" in part for part in path.resolve().relative_to(workspace).parts)
    return newest(workspace / (FULL_HEAD if full else TRAINED))


def baked_with(dump: Path) -> Path | None:
    """Return the newest checkpoint of the bake that a texture dump is of: all its epochs have Gaussians at the same places."""
    return newest(dump.resolve().parent.parent / BAKED[0]) if dump.resolve().parent.name == DUMPS else None


def tracking_of(path: Path) -> Path | None:
    """Return NeRSemble's tracking beside a checkpoint or in a folder above it, None where there is none."""
    places = (folder / name for folder in list(path.resolve().parents)[:DEPTH] for name in TRACKING)
    return next((place for place in places if place.is_file()), None)


def is_baked(path: Path) -> bool:
    """Tell whether a file lies where FATE puts baked or edited checkpoints."""
    return path.resolve().parent.name in BAKED


def run_name(path: Path) -> str:
    """Return what a run is called, by its checkpoint: a name, never a path."""
    match = re.fullmatch(r"(.+)_ep\d+", path.stem)
    if match:
        return match[1]
    workspace = workspace_of(path)
    return workspace.name if path.stem == "fullhead" and workspace is not None and workspace.name else path.stem
