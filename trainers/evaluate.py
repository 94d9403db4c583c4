"""How well a trained run draws pictures it has not seen, beside what the textured mesh alone does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from formats import video
from formats.avatar import Avatar
from formats.codecs.json_file import Fields, read_json, write_json
from formats.contact_sheet import contact_sheet, difference
from formats.datasets.folder import SPLITS, TAG
from formats.datasets.frames import Frames
from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.files import write_bytes
from formats.render import RenderOptions, render_avatar
from trainers import metrics, trainer
from trainers.baseline import textured_mesh
from trainers.device import device_name, pick_device
from trainers.perceptual import Lpips
from trainers.run import Run, store_of
from trainers.scores import NOISE, SUBJECTS, Evaluation, FrameScores
from trainers.wasserstein import jitter, wobble

WHITE = (1.0, 1.0, 1.0)
SHOWN, GAIN = 8, 4
"""Frames on the contact sheet, and what their differences are multiplied by."""
TEXTURE = (128, 1024)
"""Least and most texels across the baseline's texture: as many as its pictures have pixels, between these."""

Progress = Callable[[str], None]
Draw = Callable[[int], Tensor]
"""Frame to picture [H, W, 3], not clipped."""


def evaluate(run: Path, split: str = "test", *, refit: int = 0, baseline: bool = True,
             lpips: tuple[Path, Path] | None = None, data: Path | None = None, device: str | None = None,
             progress: Progress = lambda text: None) -> Evaluation:
    """Measure a run on a split and write `RUN/eval/<split>.json`, `.csv` (a row per frame) and `.png` (a contact sheet).

    Pictures are drawn on white at the size of the training and clipped to 0..1, as a screen shows them, before they are
    compared; FateAvatar's authors do not clip, which lowers their numbers a little. The motion is the tracker's: nothing is
    fitted to held-out pictures unless `refit` asks for it, and then both sets of numbers are told apart. (The numbers that
    FATE's paper gives for IMavatar's subjects include such a fit, of 50 steps.)

    Args:
        run: The run folder; an interrupted one is judged by its newest checkpoint.
        split: `train` or `test`.
        refit: Test-time steps that each frame's tracking is fitted with, for a second set of numbers.
        baseline: Also measure the textured mesh alone, see `trainers.baseline`; it is never refitted.
        lpips: Weights of a backbone and of LPIPS's linear layers, see `trainers.perceptual`; not measured without.
        data: The subject's folder, if it has moved since.
        device: `cuda` or `cpu`; CUDA where there is one when None.
        progress: Is told what happens, a line at a time.

    Raises:
        MissingAsset: There is no run, no checkpoint yet, no data, or no such weights.
        UnsupportedFeature: There is no such split, or `refit` cannot be done.
        FormatError: A file is damaged, or weights are not what they should be.
        CheckpointMismatch: The data are not those the run was trained on.
    """
    opened = Run.open(run, data)
    _check(opened, split, refit)
    place = pick_device(device)
    judge = _Judge(None if lpips is None else Lpips(*lpips).to(place))
    frames = opened.frames(split)
    learned_from = frames if split == "train" else opened.frames("train")
    config, head = opened.config(), opened.head()
    store = store_of(learned_from, config, place, progress)
    torch.manual_seed(config.seed)
    model = trainer(opened.system).Model(config, head, store)
    if refit and not hasattr(model, "refit"):
        raise UnsupportedFeature(f"--refit {refit}: '{opened.system}' has no tracking to fit; leave it out")
    held = opened.restore(model, place)
    shown = store if split == "train" else store_of(frames, config, place, progress)
    judge.store = shown
    counted = [0]

    def draw(index: int) -> Tensor:
        drawing = model.render(shown.batch(index, WHITE))
        counted[0] = len(drawing.visible)
        return drawing.rgb

    notes = []
    judge.measure("model", draw, progress)
    if refit:
        progress(f"fitting the tracking of {len(frames)} held-out frames, {refit} steps each")
        model.refit(shown, refit, progress)
        judge.measure("refitted", draw, progress)
    if baseline and head.uvs is None:
        notes.append("the textured mesh was not drawn: the run's head has no texture coordinates")
    elif baseline:
        texels = min(max(TEXTURE[0], shown.width), TEXTURE[1])
        judge.measure("baseline", _mesh(textured_mesh(head, learned_from, texels, width=shown.width, progress=progress),
                                        frames, shown.width, place), progress)
    kinds = _kinds(opened, frames)
    moves = hasattr(model, "scene") and hasattr(model, "head")
    found = Evaluation(
        jitter=jitter(model, shown) if moves else None, wobble=wobble(model, shown, NOISE) if moves else None,
        run=opened.path.name, system=opened.system, preset=opened.preset, subject=frames.name, split=split,
        size=(shown.width, shown.height), step=held.step, steps=config.steps, gaussians=counted[0], refit_steps=refit,
        lpips_network=judge.lpips and judge.lpips.network, device=device_name(place), notes=tuple(notes),
        frames=tuple(FrameScores(i, frames.labels[i], kinds[i], {name: rows[i] for name, rows in judge.scores.items()})
                     for i in range(len(frames))))
    _write(found, judge, opened.path / "eval")
    return found


@dataclass
class _Judge:
    """Measures pictures, and keeps some to show."""

    lpips: Lpips | None
    store: Any = None
    """The frames."""
    scores: dict[str, list[dict[str, float | None]]] = field(default_factory=dict)
    """Subject to a row per frame."""
    kept: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)
    """Subject, and `target`, to frame to 8-bit picture."""

    def measure(self, subject: str, draw: Draw, progress: Progress) -> None:
        """Draw every frame and compare it."""
        count = len(self.store)
        shown = {int(i) for i in np.linspace(0, count - 1, min(SHOWN, count))}
        rows, told = self.scores.setdefault(subject, []), 0
        with torch.no_grad():
            for index in range(count):
                batch = self.store.batch(index, WHITE)
                image = draw(index).clamp(0, 1)
                rows.append({"psnr": metrics.psnr(image, batch.rgb),
                             "psnr_masked": metrics.masked_psnr(image, batch.rgb, batch.mask),
                             "ssim": metrics.ssim(image, batch.rgb), "l1": metrics.l1(image, batch.rgb)})
                if self.lpips is not None:
                    rows[-1]["lpips"] = float(self.lpips(image, batch.rgb))
                if index in shown:
                    self.kept.setdefault("target", {})[index] = metrics.pixels(batch.rgb)
                    self.kept.setdefault(subject, {})[index] = metrics.pixels(image)
                if (index + 1) * 4 // count > told:
                    told = (index + 1) * 4 // count
                    progress(f"{SUBJECTS[subject]}: {index + 1} of {count} pictures measured")


def _check(run: Run, split: str, refit: int) -> None:
    if split not in SPLITS:
        raise UnsupportedFeature(f"--split {split}: there is no such split; runs have {' and '.join(SPLITS)}")
    if refit < 0:
        raise FormatError(f"--refit {refit}: expected 0 or more steps")
    if refit and split != "test":
        raise UnsupportedFeature(f"--refit {refit}: is for held-out pictures; the tracking of '{split}' was fitted in "
                                 "training. Leave it out, or take --split test")
    if run.latest_checkpoint() is None:
        raise MissingAsset(f"{run.path}: there is no checkpoint yet; go on with `flameport train {run.system} --out "
                           f"{run.path} --resume`")


def _mesh(avatar: Avatar, frames: Frames, width: int, device: torch.device) -> Draw:
    def draw(index: int) -> Tensor:
        picture = render_avatar(avatar, frames.sequence, index, frames.camera(index, width), RenderOptions(WHITE))
        return torch.from_numpy(np.asarray(picture.rgb)).to(device)

    return draw


def _kinds(run: Run, frames: Frames) -> list[str | None]:
    """Return what each held-out frame is held out for, where `flameport capture` made the data and left its tag."""
    unknown: list[str | None] = [None] * len(frames)
    if frames.split != "test":
        return unknown
    path = next((p / TAG for p in (run.data, *frames.images[0].parents[:4]) if (p / TAG).is_file()), None)
    if path is None:
        return unknown
    held = Fields(read_json(path), str(path)).values.get("held_out")
    if not isinstance(held, list) or len(held) != len(frames) or not all(isinstance(kind, str) for kind in held):
        return unknown
    return list(held)


def _write(found: Evaluation, judge: _Judge, folder: Path) -> None:
    write_json(found.as_dict(), folder / f"{found.split}.json")
    write_bytes(folder / f"{found.split}.csv", found.csv())
    subjects = found.subjects()
    columns = ["target"]
    for subject in subjects:
        columns += [SUBJECTS[subject], f"difference x {GAIN}"] if subject != "baseline" else [SUBJECTS[subject]]
    rows, captions = [], []
    for index in sorted(judge.kept["target"]):
        target, frame = judge.kept["target"][index], found.frames[index]
        row, words = [target], [frame.label + (f", {frame.kind}" if frame.kind else "")]
        for subject in subjects:
            picture = judge.kept[subject][index]
            row.append(picture)
            words.append(f"{frame.scores[subject]['psnr']:.2f} dB")
            if subject != "baseline":
                row.append(difference(target, picture, GAIN))
                words.append("")
        rows.append(row)
        captions.append(words)
    video.write_png(contact_sheet(rows, columns, captions), folder / f"{found.split}.png")
