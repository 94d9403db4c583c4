"""What an evaluation found: per frame, per kind of frame and on average, as JSON, a CSV and a table for people."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = "flameport.evaluation/1"
MEASURES = ("psnr", "psnr_masked", "ssim", "l1", "lpips")
"""dB on the whole picture, dB inside the matte, and three that `trainers.metrics` and `trainers.perceptual` define."""
NAMES = {"psnr": "PSNR", "psnr_masked": "PSNR inside the matte", "ssim": "SSIM", "l1": "L1", "lpips": "LPIPS"}
FORMS = {"psnr": "{:.2f} dB", "psnr_masked": "{:.2f} dB", "ssim": "{:.4f}", "l1": "{:.4f}", "lpips": "{:.4f}"}
SUBJECTS = {"model": "model", "refitted": "refitted", "baseline": "textured mesh alone"}
"""Whose pictures are measured: the run's; the run's after each frame's tracking was fitted to it; `trainers.baseline`."""
NOISE = 0.1
"""Standard deviation of what expression coefficients are off by where an avatar's `wobble` is measured."""
NO_LPIPS = "not measured: give weights, --lpips BACKBONE LINEAR"

Scores = Mapping[str, float | None]
"""Measure to number; None where it has no meaning (a frame without a person)."""


@dataclass(frozen=True)
class FrameScores:
    """One frame's numbers."""

    index: int
    """In its split, from 0."""
    label: str
    """As the data calls it."""
    kind: str | None
    """Why it is held out (`talk`, `expression`, `angle`, ...), where the data says it."""
    scores: Mapping[str, Scores]
    """By subject."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured, on what, and how."""

    run: str
    """Name of the folder."""
    system: str
    preset: str
    subject: str
    """Name of the person."""
    split: str
    size: tuple[int, int]
    """Width and height, pixels."""
    step: int
    """Of the checkpoint."""
    steps: int
    """That the run is to have."""
    gaussians: int
    refit_steps: int
    """Test-time steps each frame's tracking was fitted with for `refitted`; 0 when there is none."""
    lpips_network: str | None
    """`VGG-16` or `AlexNet`, or None when LPIPS was not measured."""
    device: str
    frames: tuple[FrameScores, ...]
    notes: tuple[str, ...] = ()
    """What else a reader should know, a sentence each."""
    background: str = "white"
    jitter: float | None = None
    """Millimetres that Gaussians are away from where they were a frame before: the mean 2-Wasserstein distance, in the axes of
    the head's root; None where a system has no scene to ask. What the face does is in it, the same for every system."""
    wobble: float | None = None
    """The same between a frame and itself with expressions `NOISE` off."""

    def subjects(self) -> tuple[str, ...]:
        """Return whose pictures were measured, keys of `SUBJECTS`."""
        return tuple(name for name in SUBJECTS if any(name in frame.scores for frame in self.frames))

    def measures(self) -> tuple[str, ...]:
        """Return what was measured, keys of `NAMES`."""
        return MEASURES if self.lpips_network else MEASURES[:-1]

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of frames, in the order in which they come."""
        return tuple(dict.fromkeys(frame.kind for frame in self.frames if frame.kind is not None))

    def mean(self, subject: str, measure: str, kind: str | None = None) -> float | None:
        """Return the mean over frames, of one kind or of all; None where no frame has the number.

        PSNR is averaged in dB, frame by frame, as papers do.
        """
        values = [frame.scores[subject].get(measure) for frame in self.frames
                  if subject in frame.scores and kind in (None, frame.kind)]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        def means(kind: str | None = None) -> dict[str, dict[str, float | None]]:
            return {s: {m: self.mean(s, m, kind) for m in self.measures()} for s in self.subjects()}

        return {
            "format": FORMAT,
            "run": self.run, "system": self.system, "preset": self.preset, "subject": self.subject,
            "split": self.split, "frames": len(self.frames), "size": list(self.size),
            "background": self.background, "clipped": True,
            "step": self.step, "steps": self.steps, "gaussians": self.gaussians, "device": self.device,
            "test_time_refitting": {"used": self.refit_steps > 0, "steps_per_frame": self.refit_steps,
                                    "applies_to": ["refitted"] if self.refit_steps else []},
            "lpips": self.lpips_network or NO_LPIPS,
            "jitter_mm": self.jitter, "wobble_mm": self.wobble, "wobble_noise": NOISE,
            "notes": list(self.notes),
            "means": means(),
            "kinds": {kind: {"frames": sum(f.kind == kind for f in self.frames), **means(kind)} for kind in self.kinds()},
            "per_frame": [{"index": f.index, "label": f.label, "kind": f.kind,
                           **{subject: dict(scores) for subject, scores in f.scores.items()}} for f in self.frames],
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return what a person wants to know, for a table."""
        width, height = self.size
        state = f"step {self.step}" + (f" of {self.steps}, which it has not reached" if self.step < self.steps else "")
        tracking = ("with the corrections that training learned" if self.split == "train" else
                    "as tracked, no test-time refitting" if not self.refit_steps else
                    f"as tracked; 'refitted' was fitted to each picture for {self.refit_steps} steps before it was measured")
        found = [("pictures", f"{len(self.frames)} of '{self.split}', {width} x {height} on {self.background}, clipped to 0..1"),
                 ("model", f"{self.system}, {state}, {self.gaussians} Gaussians"),
                 ("FLAME parameters", tracking)]
        found += [(NAMES[m], self._told(m)) for m in self.measures()]
        if self.lpips_network is None:
            found.append((NAMES["lpips"], NO_LPIPS))
        if self.jitter is not None:
            found.append(("jitter", f"{self.jitter:.3f} mm from frame to frame"
                          + ("" if self.wobble is None else f"; {self.wobble:.3f} mm where expressions are {NOISE} off")))
        for kind in self.kinds():
            count = sum(frame.kind == kind for frame in self.frames)
            found.append((f"PSNR, {kind} ({count})", self._told("psnr", kind)))
        return found + [("note", note) for note in self.notes]

    def _told(self, measure: str, kind: str | None = None) -> str:
        parts = []
        for subject in self.subjects():
            value = self.mean(subject, measure, kind)
            told = "none" if value is None else FORMS[measure].format(value)
            parts.append(told if subject == "model" else f"{SUBJECTS[subject]} {told}")
        return "; ".join(parts)

    def csv(self) -> bytes:
        """Return a table with a row per frame; columns `psnr`, ... are the model's, `refitted_psnr`, ... the others'."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        pairs = [(s, m) for s in self.subjects() for m in self.measures()]
        writer.writerow(["index", "label", "kind", *(m if s == "model" else f"{s}_{m}" for s, m in pairs)])
        for frame in self.frames:
            values = [frame.scores.get(s, {}).get(m) for s, m in pairs]
            writer.writerow([frame.index, frame.label, frame.kind or "", *("" if v is None else f"{v:.6g}" for v in values)])
        return text.getvalue().encode()
