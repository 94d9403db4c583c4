"""What a validation measured, and whether it is good enough."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from exporter.capabilities import Loss

DECIBEL_CAP = 150.0
"""Equal pictures have no finite PSNR; this stands for them."""


@dataclass(frozen=True)
class Measure:
    """One number against its bound."""

    what: str
    value: float
    unit: str
    bound: float | None = None
    """None: told, not judged."""
    at_least: bool = False
    """The bound is a floor (dB) instead of a ceiling."""

    @property
    def ok(self) -> bool:
        """Within the bound."""
        if self.bound is None:
            return True
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def amount(self) -> str:
        """The value for people."""
        return f"{self.value:.4g} {self.unit}".strip()


@dataclass(frozen=True)
class ValidationReport:
    """An export compared with the bundle it was made from."""

    kind: str
    """What the file is."""
    measures: tuple[Measure, ...]
    losses: tuple[Loss, ...] = ()
    """What the file cannot hold, beside what was measured."""
    notes: tuple[str, ...] = ()
    """What could not be compared here, and why."""

    @property
    def ok(self) -> bool:
        """Everything is within its bound."""
        return all(measure.ok for measure in self.measures)

    @property
    def failure(self) -> str:
        """The measures past their bounds, as text; empty when there are none."""
        return "; ".join(f"{m.what} {m.amount}, {'at least' if m.at_least else 'at most'} {m.bound:g} allowed"
                         for m in self.measures if not m.ok)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return the table for people: what, how much, verdict."""
        table = []
        for m in self.measures:
            limit = "" if m.bound is None else f"{'at least' if m.at_least else 'at most'} {m.bound:g}"
            table.append((m.what, m.amount, f"{'ok' if m.ok else 'FAILS'}, {limit}" if limit else ""))
        table += [(f"lost: {loss.what}" if loss.blocking else f"note: {loss.what}", loss.amount, "")
                  for loss in self.losses]
        return table + [(f"not compared: {note}", "", "") for note in self.notes]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "kind": self.kind, "ok": self.ok, "failure": self.failure,
            "measures": [{"what": m.what, "value": m.value, "unit": m.unit, "bound": m.bound, "ok": m.ok}
                         for m in self.measures],
            "losses": [{"what": loss.what, "amount": loss.amount, "blocking": loss.blocking} for loss in self.losses],
            "notes": list(self.notes)}


def decibels(psnr: float) -> float:
    """Return a PSNR that JSON can hold."""
    return DECIBEL_CAP if math.isinf(psnr) else min(psnr, DECIBEL_CAP)


def largest_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return how far apart the farthest of two lists of the same points [N, 3] are; 0 for none."""
    return float(np.linalg.norm(a.astype(np.float64) - b, axis=1).max(initial=0))
