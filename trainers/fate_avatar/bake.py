"""Baking a run, from its folder to a bundle."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from formats.codecs import bundle
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.picture import psnr
from trainers import checkpoint, settings
from trainers.device import device_name, pick_device
from trainers.failures import running
from trainers.fate_avatar.bake_config import PRESETS
from trainers.fate_avatar.baking import Model
from trainers.loop import Summary, fit
from trainers.run import Run, describe

FOLDER, SYSTEM = "bake", "fate-bake"
"""Where in the run a bake lies, and what its `run.json` calls it."""


@dataclasses.dataclass(frozen=True)
class BakeSummary:
    """What a bake came to."""

    training: Summary
    gaussians: int
    map_size: int
    held_out: tuple[float, float] | None
    """Mean PSNR over the held-out pictures of the run and of the bake, dB; None without any."""

    def rows(self) -> list[tuple[str, str]]:
        """Return what a person wants to know, for a table."""
        said = []
        if self.held_out is not None:
            before, after = self.held_out
            said = [("PSNR held out: run, baked", f"{before:.2f} dB, {after:.2f} dB ({after - before:+.2f})")]
        return [("maps", f"{self.map_size} x {self.map_size}"), ("Gaussians", str(self.gaussians)), *said,
                *(row for row in self.training.rows() if row[0] in ("steps", "time", "PSNR, training frames", "preview"))]


def bake(run: Path, out: Path, *, preset: str | None = None, steps: int | None = None, data: Path | None = None,
         device: str | None = None, resume: bool = False, overrides: Mapping[str, str] = {},  # noqa: B006
         progress: Callable[[str], None] = lambda text: None) -> BakeSummary:
    """Bake the run in the folder `run` and write the bundle `out`; arguments as `trainers.bake`.

    The bake is a run of its own in RUN/bake, with log, checkpoints (which hold the network) and preview; baking again
    starts it anew.

    Raises:
        MissingAsset: There is no run, no checkpoint, or no data.
        FormatError: A setting is wrong, or there is nothing to resume.
    """
    out, source, place = Path(out), Run.open(Path(run), data), pick_device(device)
    if source.latest_checkpoint() is None:
        raise MissingAsset(f"{run}: there is no checkpoint yet; go on with `flameport train {source.system} --out {run} "
                           "--resume`")
    name = preset or (source.preset if source.preset in PRESETS else "paper")
    config = settings.override(settings.preset_of(PRESETS, name, "fate bake"),
                               dict(overrides) | ({} if steps is None else {"steps": str(steps)}))
    frames = source.frames("train")
    config = dataclasses.replace(config, source=str(Path(run).absolute()), steps=config.steps or config.epochs * len(frames),
                                 background=source.config().background if "background" not in overrides else config.background,
                                 size=config.size or source.config().size)
    settings.check(config)
    if config.map_size % 16 or config.map_size < 32:
        raise FormatError(f"--set map_size={config.map_size}: expected a multiple of 16, from 32")
    _check_writable(out)
    with running(config, source.path / FOLDER / "checkpoints", place):
        if resume:
            made, held = _reopen(source, config)
            config = made.config()
        else:
            about = describe(SYSTEM, name, config, source.dataset, source.data, source.about.get("edition"), source.head(),
                             source.about["subject"], source.about["frames"], place)
            made, held = Run.create(source.path / FOLDER, about, source.head()), None
        store = made.store("train", place)
        progress(f"baking {source.path.name} to {config.map_size} x {config.map_size} maps on {device_name(place)}")
        model = Model(config, made.head(), store)
        if held is not None and held.step >= config.steps:
            held.restore(model, device=place)
            raise FormatError(f"{made.path}: is finished already; its avatar is {made.avatar}")
        summary = fit(made, model, store, place, held, progress)
        bundle.write(bundle.read(made.avatar), out)
        held_out = _held_out(source, made, model, place, progress)
    return BakeSummary(summary, len(model), config.map_size, held_out)


def _reopen(source: Run, config: Any) -> tuple[Run, Any]:
    folder = source.path / FOLDER
    if not folder.is_dir():
        raise MissingAsset(f"{folder}: there is no bake to go on with; leave --resume out")
    made = Run.open(folder, source.data)
    different = [n for n in settings.changed(made.config(), config) if n not in ("log_every", "save_every", "source")]
    if different:
        raise CheckpointMismatch(f"{folder}: {', '.join(different)} differ from those this bake was started with; leave "
                                 "--resume out to bake anew")
    path = made.latest_checkpoint()
    return made, None if path is None else checkpoint.read(path)


def _check_writable(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / "avatar.json").is_file():
        raise FormatError(f"{out}: is a folder with something else in it; choose another --out")


def _held_out(source: Run, made: Run, model: Model, place: torch.device,
              progress: Callable[[str], None]) -> tuple[float, float] | None:
    """Return the mean PSNR of the run and of its bake over the held-out pictures, without fitting their tracking."""
    if not source.about["frames"].get("test"):
        return None
    progress("drawing the held-out pictures, before and after")
    store = made.store("test", place)
    before = source.load_model(place)[0]
    means = []
    with torch.no_grad():
        for each in (before, model):
            pictures = []
            for index in range(len(store)):
                batch = store.batch(index)
                pictures.append(psnr(each.render(batch).rgb.clamp(0, 1).cpu().numpy(), batch.rgb.cpu().numpy()))
            means.append(sum(pictures) / len(pictures))
    return means[0], means[1]
