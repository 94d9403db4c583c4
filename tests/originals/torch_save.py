"""torch.save as the originals call it: tensors that lay on a GPU, state dicts with their metadata, torch 1's archive."""

import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch


@contextmanager
def _tagged(location: str) -> Iterator[None]:
    """Make torch.save write `location` for every storage, as it does for tensors that are there."""
    registry = torch.serialization._package_registry  # noqa: SLF001
    entry = (0, lambda storage: location, lambda storage, where: None)
    registry.insert(0, entry)
    try:
        yield
    finally:
        registry.remove(entry)


def save(value: Any, path: Path, location: str = "cuda:0", container: str = "1.12") -> Path:
    """Write a torch file whose storages carry the tag `location`.

    Args:
        value: What to save.
        path: Its folder is made.
        location: Where the tensors were.
        container: `1.12`, the zip with `data.pkl`, storages and `version` only; `now`, as the installed torch writes it;
            `legacy`, the one before torch 1.6.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _tagged(location):
        torch.save(value, path, _use_new_zipfile_serialization=container != "legacy")
    if container == "1.12":
        _without_newer_members(path)
    return path


def _without_newer_members(path: Path) -> None:
    """Rewrite a torch zip as torch 1.12's: fewer members, stored, each padded to 64 bytes by an extra field `FB`."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with path.open("wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            if name.split("/", 1)[1].startswith(("data.pkl", "data/", "version")):
                info = zipfile.ZipInfo(name)
                gap = -(file.tell() + 30 + len(name) + 4) % 64
                info.extra = b"FB" + gap.to_bytes(2, "little") + b"Z" * gap
                archive.writestr(info, data)


def state_dict(entries: Mapping[str, Any]) -> "OrderedDict[str, torch.Tensor]":
    """Return what `Module.state_dict()` gives: an ordered dict with a `_metadata` attribute, detached tensors.

    NumPy arrays become tensors; tensors are kept, with the storages they share.
    """
    state = OrderedDict((name, tensor(value)) for name, value in entries.items())
    modules = {""} | {".".join(name.split(".")[:k]) for name in state for k in range(1, name.count(".") + 1)}
    state._metadata = OrderedDict((name, {"version": 1}) for name in sorted(modules))  # type: ignore[attr-defined]
    return state


def tensor(value: Any) -> torch.Tensor:
    """Return a tensor of its own: float64 arrays become float32, integers int64 unless int32."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    array = np.asarray(value)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    elif array.dtype.kind in "iu" and array.dtype != np.int32:
        array = array.astype(np.int64)
    return torch.from_numpy(np.array(array, order="C"))
