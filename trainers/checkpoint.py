"""Checkpoints: a model and its optimisers at one step, as one safetensors file. No pickle.

    model/NAME                              the model's `state_dict`
    optimizers/NAME/state/POSITION/KEY      per-parameter state: moments, step counters
    optimizers/NAME/groups/POSITION/KEY     what a parameter group holds as tensors (a capturable learning rate)
    more/NAME                               what the loop itself keeps

Everything else of the optimisers, and the step, is one JSON text in the metadata under `flameport.checkpoint`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from formats.codecs.json_file import Fields, check_version, parse_json
from formats.errors import CheckpointMismatch, FormatError, TrainingError, naming
from formats.files import SIZE_LIMIT, check_readable, write_bytes

FAMILY, MAJOR = "flameport.checkpoint", 1
KEEP = 2
"""How many checkpoints stay in a run; the older one is there should the newer be damaged."""
EXECUTION = ("foreach", "fused", "capturable", "differentiable")
"""Options of a parameter group that say how a step is computed here, not what it gives; a file's are ignored."""
NAME = re.compile(r"step_(\d{8,})\.safetensors")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file holds, on the CPU."""

    path: Path
    step: int
    """Steps that were done."""
    seconds: float
    """They took."""
    model: Mapping[str, Tensor]
    optimizers: Mapping[str, Mapping[str, Any]]
    """Name to `state_dict`; lists where an optimiser has tuples."""
    more: Mapping[str, Tensor]
    notes: Mapping[str, Any]
    """The JSON that `write` was given."""

    def restore(self, model: Any, optimizers: Mapping[str, torch.optim.Optimizer] | None = None,
                device: torch.device | str = "cpu") -> None:
        """Put the state back into `model`, on `device`, and into its optimisers where they are given.

        Raises:
            CheckpointMismatch: The file is of another model, or its optimisers are others.
        """
        try:
            model.load_state_dict({name: value.to(device) for name, value in self.model.items()})
        except (KeyError, RuntimeError) as error:
            raise CheckpointMismatch(f"{self.path}: does not fit this model: {' '.join(str(error).split())}") from error
        if optimizers is None:
            return
        if set(optimizers) != set(self.optimizers):
            raise CheckpointMismatch(f"{self.path}: holds optimisers {', '.join(self.optimizers)}; the model has "
                                     f"{', '.join(optimizers)}")
        for name, optimizer in optimizers.items():
            with naming(f"{self.path}: optimiser '{name}'"):
                _restore(optimizer, self.optimizers[name])


def write(folder: Path, step: int, seconds: float, model: Any, optimizers: Mapping[str, torch.optim.Optimizer],
          more: Mapping[str, Tensor] = {}, notes: Mapping[str, Any] = {}) -> Path:  # noqa: B006
    """Write `folder/step_XXXXXXXX.safetensors` in one step, remove all but the newest `KEEP`, and return its path.

    Args:
        folder: Of the run's checkpoints.
        step: Steps done.
        seconds: They took.
        model: A `trainers.model.Model`.
        optimizers: Its optimisers.
        more: Further tensors.
        notes: Further JSON.

    Raises:
        TrainingError: A tensor of the model or of an optimiser is not finite; nothing was written.
        MissingAsset: The disk is full, or refuses.
    """
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    layout: dict[str, Any] = {}
    for name, optimizer in optimizers.items():
        layout[name] = _gather(optimizer, f"optimizers/{name}", tensors)
    bad = first_bad(tensors)
    if bad:
        raise TrainingError(f"after step {step} '{bad}' is not finite")
    tensors |= {f"more/{name}": value for name, value in more.items()}
    about = {"format": f"{FAMILY}/{MAJOR}", "step": step, "seconds": seconds, "optimizers": layout, "notes": dict(notes)}
    path = folder / f"step_{step:08d}.safetensors"
    # Copies: tensors may share memory, which the format forbids. Bytes, not its own file writer: that leaves temporary
    # files of its own naming, and its errors are not the system's.
    write_bytes(path, save({name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()},
                           {FAMILY: json.dumps(about, allow_nan=False)}))
    for old in every(folder)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


def read(path: Path) -> Checkpoint:
    """Return the checkpoint at `path`.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is damaged, or no checkpoint.
        UnsupportedFeature: A later version wrote it.
    """
    check_readable(path, limit=SIZE_LIMIT * 8)
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(FAMILY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, RuntimeError) as error:
        raise FormatError(f"{path}: not a whole checkpoint ({error}); remove it to go on from the one before") from error
    if text is None:
        raise FormatError(f"{path}: holds no '{FAMILY}'; it is no checkpoint of a run")
    about = Fields(parse_json(text.encode(), f"{path}: {FAMILY}"), str(path))
    check_version(about, "format", FAMILY, MAJOR)
    layout = about.fields("optimizers").values
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizers": {}, "more": {}}
    for name, value in tensors.items():
        room, _, rest = name.partition("/")
        if room not in parts:
            raise FormatError(f"{path}: unknown tensor '{name}'")
        parts[room][rest] = value
    return Checkpoint(path, about.integer("step"), about.number("seconds"), parts["model"],
                      _scatter(layout, parts["optimizers"], path), parts["more"], about.fields("notes").values)


def every(folder: Path) -> list[Path]:
    """Return the complete checkpoints in `folder`, oldest first."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def newest(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in `folder`, or None."""
    return next(reversed(every(folder)), None)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for path in folder.glob(".step_*.tmp-*"):
        path.unlink(missing_ok=True)


def first_bad(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that is not finite, or None; waits for the device once."""
    floats = {name: value for name, value in tensors.items() if value.is_floating_point() and value.numel()}
    if not floats:
        return None
    device = next((v.device for v in floats.values() if v.device.type != "cpu"), torch.device("cpu"))
    fine = torch.stack([torch.isfinite(value).all().to(device) for value in floats.values()]).tolist()
    return next((name for name, ok in zip(floats, fine, strict=True) if not ok), None)


def _gather(optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Put an optimiser's tensors into `tensors` and return the rest of its state."""
    held = optimizer.state_dict()
    rest: dict[str, Any] = {"groups": [], "state": {}}

    def split(values: Mapping[str, Any], where: str) -> dict[str, Any]:
        plain = {}
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}/{where}/{key}"] = value
            else:
                plain[key] = value
        return plain

    for i, group in enumerate(held["param_groups"]):
        rest["groups"].append(split(group, f"groups/{i}"))
    for position, state in held["state"].items():
        rest["state"][str(position)] = split(state, f"state/{position}")
    return rest


def _scatter(layout: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> dict[str, dict[str, Any]]:
    """Return optimisers' state by name from what `_gather` put apart."""
    result: dict[str, dict[str, Any]] = {}
    for name, rest in layout.items():
        about = Fields(rest, f"{path}: optimizers.{name}")
        result[name] = {"param_groups": [dict(group) for group in about.items("groups")],
                        "state": {int(position): dict(state) for position, state in about.fields("state").values.items()}}
    for name, value in tensors.items():
        try:
            optimizer, room, position, key = name.split("/", 3)
            held = result[optimizer]
            (held["param_groups"] if room == "groups" else held["state"])[int(position)][key] = value
        except (ValueError, KeyError, IndexError) as error:
            raise FormatError(f"{path}: the tensor 'optimizers/{name}' belongs to nothing") from error
    return result


def _restore(optimizer: torch.optim.Optimizer, held: Mapping[str, Any]) -> None:
    live = optimizer.state_dict()["param_groups"]
    saved = held["param_groups"]
    if [len(group["params"]) for group in live] != [len(group["params"]) for group in saved]:
        raise CheckpointMismatch(f"the file has groups of {[len(g['params']) for g in saved]} parameters, the model "
                                 f"{[len(g['params']) for g in live]}")
    groups = []
    for mine, theirs in zip(live, saved, strict=True):
        taken = {key: theirs[key] for key in mine if key in theirs and key not in EXECUTION}
        groups.append(mine | {k: tuple(v) if isinstance(mine[k], tuple) else v for k, v in taken.items()})
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for position, state in held["state"].items():
        for key, value in state.items():
            wanted = parameters[position].shape if position < len(parameters) else ()
            if isinstance(value, Tensor) and value.dim() and value.shape != wanted:
                raise CheckpointMismatch(f"'{key}' of parameter {position} is {list(value.shape)}, the parameter "
                                         f"{list(wanted)}")
    optimizer.load_state_dict({"state": dict(held["state"]), "param_groups": groups})
