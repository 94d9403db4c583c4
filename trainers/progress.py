"""What a run says while it goes: the meter that collects terms without waiting for the device, the log, the lines."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from formats.errors import FormatError, MissingAsset
from formats.files import read_bytes, write_bytes

FIRST, LAST = ("step", "seconds", "loss"), ("psnr", "gaussians", "memory_mb")
"""The log's columns before and after the terms."""
COMPACT = 256
"""Steps after which the meter joins what it holds: thousands of tiny tensors cost memory."""


@dataclass
class Reading:
    """What the terms did since the last row of the log."""

    loss: float
    """Mean over steps of the sum of terms; NaN when there were no steps."""
    terms: dict[str, float]
    """Mean of each over the steps that had it."""
    psnr: float
    """dB, from the mean squared error of the clipped pictures over these steps."""
    bad: tuple[int, list[str]] | None
    """The first of these steps with a term that was not finite, and those terms."""


@dataclass
class Meter:
    """Terms and squared errors of steps, left on the device until `read`."""

    blocks: list[tuple[tuple[str, ...], Tensor]] = field(default_factory=list)
    """Joined steps: names, and [n, K + 1] of the terms and the squared error."""
    names: tuple[str, ...] = ()
    pending: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    last: int = 0
    """The step that was added last."""

    def add(self, step: int, names: tuple[str, ...], terms: Tensor, mse: Tensor) -> None:
        """Take one step's terms [K] and squared error []; no kernel runs."""
        self.last = step
        if names != self.names or len(self.pending) >= COMPACT:
            self._join()
            self.names = names
        self.pending.append((terms, mse))

    def _join(self) -> None:
        if self.pending:
            terms, errors = torch.stack([t for t, _ in self.pending]), torch.stack([e for _, e in self.pending])
            self.blocks.append((self.names, torch.cat([terms, errors[:, None]], 1)))
            self.pending = []

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self.blocks) + len(self.pending)

    def read(self) -> Reading:
        """Return what was collected, and keep it; waits for the device."""
        self._join()
        every = [(names, rows.cpu().numpy().astype(np.float64)) for names, rows in self.blocks]
        before, bad = self.last - len(self) + 1, None
        for names, rows in every:
            wrong = ~np.isfinite(rows)
            if wrong.any() and bad is None:
                row = int(wrong.any(1).argmax())
                bad = (before + row, [name for name, w in zip((*names, "the picture"), wrong[row], strict=True) if w])
            before += len(rows)
        terms: dict[str, list[np.ndarray]] = {}
        for names, rows in every:
            for column, name in enumerate(names):
                terms.setdefault(name, []).append(rows[:, column])
        if not every:
            return Reading(math.nan, {}, math.nan, None)
        loss = float(np.concatenate([rows[:, :-1].sum(1) for _, rows in every]).mean())
        mse = float(np.concatenate([rows[:, -1] for _, rows in every]).mean())
        return Reading(loss, {name: float(np.concatenate(parts).mean()) for name, parts in terms.items()},
                       decibels(mse), bad)

    def clear(self) -> None:
        """Forget what was collected."""
        self.blocks, self.pending = [], []

    def state(self) -> tuple[dict[str, Tensor], list[list[str]]]:
        """Return what was collected, as tensors and as names, for a checkpoint."""
        self._join()
        return {f"meter{i}": rows for i, (_, rows) in enumerate(self.blocks)}, [list(names) for names, _ in self.blocks]

    def restore(self, tensors: Mapping[str, Tensor], names: list[list[str]], device: torch.device) -> None:
        """Take back what `state` gave."""
        self.blocks = [(tuple(n), tensors[f"meter{i}"].to(device)) for i, n in enumerate(names)]
        self.names, self.pending = (), []


def decibels(mse: float) -> float:
    """Return the PSNR of a mean squared error of values in 0..1, dB."""
    return math.inf if mse == 0 else -10 * math.log10(mse) if mse > 0 else math.nan


class Log:
    """`log.csv`: one row per interval, appended; a term that appears later gets a column of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []

    def rows(self) -> list[dict[str, str]]:
        """Return every whole row as text by column."""
        if not self.path.is_file() or self.path.stat().st_size == 0:
            return []
        lines = list(csv.reader(io.StringIO(read_bytes(self.path).decode(errors="replace"))))
        self.columns = lines[0]
        if self.columns[:len(FIRST)] != list(FIRST):
            raise FormatError(f"{self.path}: the first line is not '{','.join(FIRST)},...'; it is no log of a run")
        # A process that was killed may leave half a line at the end.
        return [dict(zip(self.columns, line, strict=True)) for line in lines[1:]
                if len(line) == len(self.columns) and line[0].isdecimal()]

    def cut(self, step: int, open_interval: bool) -> None:
        """Remove rows after `step`, and the one at it when the interval it closed goes on (`open_interval`)."""
        rows = [row for row in self.rows() if int(row["step"]) < step + (not open_interval)]
        self._write(rows)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row at the end."""
        new = [name for name in row if name not in self.columns]
        if new:
            rows = self.rows()
            terms = [name for name in (*self.columns, *new) if name not in (*FIRST, *LAST)]
            self.columns = [*FIRST, *terms, *LAST]
            self._write(rows)
        try:
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerow([_cell(row.get(name, "")) for name in self.columns])
        except OSError as error:
            raise MissingAsset(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def _write(self, rows: list[dict[str, str]]) -> None:
        if not self.columns:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([row.get(name, "") for name in self.columns] for row in rows)
        write_bytes(self.path, text.getvalue().encode())


def line(step: int, steps: int, reading: Reading, gaussians: int, rate: float, memory: float) -> str:
    """Return one line of progress; `rate` is steps per second, `memory` in MB."""
    left = f", {duration((steps - step) / rate)} left" if rate > 0 and step < steps else ""
    return (f"step {step}/{steps}: loss {reading.loss:.5f}, PSNR {reading.psnr:.2f} dB, {gaussians} Gaussians, "
            f"{rate:.1f} it/s{left}, {memory:.0f} MB")


def duration(seconds: float) -> str:
    """Return a time span for people: `42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _cell(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)
