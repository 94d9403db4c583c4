"""How a training ends before its last step: stopped, out of memory, or diverged; and what is said then."""

import contextlib
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from formats.errors import TrainingError
from trainers import checkpoint, settings


@contextlib.contextmanager
def stopping() -> Iterator[list[int]]:
    """Collect the first SIGINT or SIGTERM in a list; a second one takes its usual course."""
    got: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield got  # only the main thread may set handlers
        return
    before = {}

    def note(number: int, frame: Any) -> None:
        got.append(number)
        for each, old in before.items():
            signal.signal(each, old)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield got
    finally:
        for each, old in before.items():
            signal.signal(each, old)


@contextlib.contextmanager
def running(config: Any, checkpoints: Path, device: torch.device) -> Iterator[None]:
    """Say what to do when the memory is used up.

    Args:
        config: The run's settings.
        checkpoints: Folder of its checkpoints, which need not be there yet.
        device: Where it trains.

    Raises:
        TrainingError: The memory is used up.
    """
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "can't allocate memory" not in str(error):
            raise
        where = "GPU" if device.type == "cuda" else "machine"
        fewer = next((f" (--set {name}=...)" for name in settings.to_json(config) if "gaussians" in name), "")
        found = re.search(r"tried to allocate [\d.]+ \w+", str(error), re.IGNORECASE)
        said = found[0].replace("T", "t", 1) if found else " ".join(str(error).split())[:120] or type(error).__name__
        raise TrainingError(f"training: the {where} has no memory left ({said}); start another run with smaller pictures "
                            f"(--set size={(config.size or 512) // 2}) or fewer Gaussians{fewer}"
                            + _kept(checkpoint.newest(checkpoints))) from error


def diverged(config: Any, step: int, what: str, checkpoints: Path) -> TrainingError:
    """Return the error that says what is not finite since which step, what to change, and what is left."""
    rates = [name for name in settings.to_json(config) if {"lr", "rate", "rates"} & set(name.split("_"))]
    example = f"--set {rates[0]}=..., now {getattr(config, rates[0])!r}" if rates else "--set"
    return TrainingError(f"training diverged at step {step}: {what}; start another run with lower learning rates ({example})"
                         + _kept(checkpoint.newest(checkpoints)))


def _kept(path: Path | None) -> str:
    return "; there is no checkpoint yet" if path is None else f"; the last good checkpoint is {path}"
