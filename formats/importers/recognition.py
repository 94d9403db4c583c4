"""What was recognised: a system's file, what is in it, and what else its import needs."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from formats.codecs.torch_file import TorchTensor
from formats.importers import side_files


@dataclass(frozen=True)
class Need:
    """A further input of an import."""

    side: str
    """Its name for `--side`, or `head` for `--head`."""
    what: str
    found: Path | None = None
    """Where it lies beside the file, or None."""
    required: bool = True


@dataclass(frozen=True)
class Finding:
    """A recognised file or folder."""

    system: str
    """As `flameport import` calls it; empty for what belongs to no single one (a tracker's frame)."""
    what: str
    """In a few words: 'checkpoint', 'texture dump', ..."""
    variant: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)
    flame: str = ""
    """Which edition of FLAME it was made with, and whether that is inside."""
    needs: tuple[Need, ...] = ()
    file: Path | None = None
    """For a folder: the file in it that is imported."""
    note: str = ""
    imports: bool = True
    """Whether `flameport import` reads this file."""

    def summary(self, path: Path) -> dict[str, Any]:
        """Return the JSON-ready summary of what lies at `path`."""
        found: dict[str, Any] = {"kind": f"{self.system} {self.what}".strip(), "system": self.system}
        if self.variant:
            found["variant"] = self.variant
        found |= dict(self.counts)
        if self.flame:
            found["flame"] = self.flame
        if self.file is not None:
            found["file"] = self.file.relative_to(path).as_posix() if self.file.is_relative_to(path) else str(self.file)
        found["needs"] = [{"input": need.side, "what": need.what, "found": None if need.found is None else str(need.found),
                           "required": need.required} for need in self.needs]
        if self.note:
            found["note"] = self.note
        if self.imports and self.system:
            found["import"] = self.command(path)
        return found

    def command(self, path: Path) -> str:
        """Return the `flameport import` line; what lies beside the file is found without being named. Of a folder, the
        file in it is named: its needs are what was looked for."""
        words = ["flameport", "import", self.system, str(self.file or path)]
        for need in self.needs:
            if need.side == "head" and need.required:
                words += ["--head", "HEAD.safetensors"]
            elif need.found is None and need.required:
                words += ["--side", f"{need.side}=PATH"]
        return shlex.join([*words, "--out", f"{_name(path)}.avatar"])


def unwrapped(tree: Any) -> Any:
    """Return a state dict without what torch's DataParallel or compile puts before every key; else `tree` itself."""
    for prefix in ("module.", "_orig_mod."):
        if isinstance(tree, Mapping) and tree and all(isinstance(key, str) and key.startswith(prefix) for key in tree):
            tree = {key[len(prefix):]: value for key, value in tree.items()}
    return tree


def tensors(tree: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors and arrays of a flat dictionary, by key."""
    items = tree.items() if isinstance(tree, Mapping) else ()
    return {str(k): tuple(v.shape) for k, v in items if isinstance(getattr(v, "shape", None), tuple)}


def rows(shapes: Mapping[str, tuple[int, ...]], key: str) -> int:
    """Return the rows of a tensor by its shape, 0 where it is not there."""
    shape = shapes.get(key, ())
    return shape[0] if shape else 0


def numbers(tree: Any) -> int:
    """Return how many numbers the tensors of a flat dictionary hold together."""
    items = tree.values() if isinstance(tree, Mapping) else ()
    return sum(v.nbytes // v.dtype.itemsize for v in items if isinstance(v, TorchTensor) or hasattr(v, "itemsize"))


def near(path: Path, names: Iterable[str], levels: int) -> Path | None:
    """Return the first of `names` (relative paths) that lies in the folder of `path` or up to `levels` above it."""
    folders = side_files.ancestors(path, levels)
    return next((folder / name for folder in folders for name in names if (folder / name).exists()), None)


def newest(paths: Iterable[Path]) -> Path | None:
    """Return the furthest of an original's numbered files or folders: by number, `latest` before all."""
    def rank(path: Path) -> tuple[int, int, str]:
        digits = "".join(c for c in path.stem if c.isdigit())
        return ("latest" in path.name, int(digits[:18] or 0), path.name)
    return max(paths, key=rank, default=None)


_COMMON = ("point_cloud", "latest", "mesh_data", "model", "gaussianhead_latest", "fullhead")
"""Names that say nothing of whose head it is."""


def _name(path: Path) -> str:
    name = path.resolve().name if path.is_dir() else path.stem
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in name).strip("-")
    return kept if kept and kept not in _COMMON else "head"
