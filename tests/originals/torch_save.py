"""torch.save as the originals call it: tensors that lay on a GPU, state dicts with their metadata."""

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


def save(value: Any, path: Path, location: str = "cuda:0", legacy: bool = False) -> Path:
    """Write a torch file whose storages carry the tag `location`; `legacy` is the container before torch 1.6."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _tagged(location):
        torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


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
