"""Baking a run, from its folder to a bundle."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from formats.codecs import bundle
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.picture import psnr
from trainers import checkpoint, settings
from trainers.checkpoint import Checkpoint
from trainers.device import device_name, pick_device
from trainers.failures import running
from trainers.fate_avatar.bake_config import PRESETS, Config, check
from trainers.fate_avatar.baking import Model, trained
from trainers.loop import Summary, end, fit
from trainers.run import CHECKPOINTS, Run, describe, store_of

FOLDER, SYSTEM = "bake", "fate-bake"
"""Where in the run a bake lies, and what its `run.json` calls it."""


@dataclasses.dataclass(frozen=True)
class BakeSummary:
    """What a bake came to."""

    training: Summary
    map_size: int
    held_out: tuple[float, float] | None
    """Mean PSNR over the held-out pictures of the run and of the bake, dB; None without any."""

    def rows(self) -> list[tuple[str, str]]:
        """Return what a person wants to know, for a table."""
        said = []
        if self.held_out is not None:
            before, after = self.held_out
            said = [("PSNR held out: run, baked", f"{before:.2f} dB, {after:.2f} dB ({after - before:+.2f})")]
        return [("maps", f"{self.map_size} x {self.map_size}"), ("Gaussians", str(self.training.gaussians)), *said,
                *(row for row in self.training.rows() if row[0] in ("steps", "time", "PSNR, training frames", "preview"))]


def bake(run: Path, out: Path, *, preset: str | None = None, steps: int | None = None, data: Path | None = None,
         device: str | None = None, resume: bool = False, overrides: Mapping[str, str] = {},  # noqa: B006
         progress: Callable[[str], None] = lambda text: None) -> BakeSummary:
    """Bake the run in the folder `run` and write the bundle `out`; arguments as `trainers.bake`.

    The bake is a run of its own in RUN/bake, with log, checkpoints (which hold the network, see `trainers.fate_avatar.baking`),
    preview and avatar, of which `out` is a copy; baking again starts it anew. `resume` goes on with the settings it was
    started with; of a bake that is finished it only writes `out` again, for which neither the data nor torch's steps are
    needed.

    Raises:
        MissingAsset: There is no run, no checkpoint, no data, or nothing to resume.
        FormatError: A setting is wrong, or `out` holds something else.
        CheckpointMismatch: What `resume` was asked is not what the bake was started with, or its run has learned further since.
        KeyboardInterrupt: It was stopped, and can be resumed.
    """
    out, source, place = Path(out), Run.open(Path(run), data), pick_device(device)
    _check_out(out, source)
    overrides = dict(overrides) | ({} if steps is None else {"steps": str(steps)})
    again = f"flameport bake {run} --out {out} --resume"
    if resume:
        made, held = _reopen(source, preset, overrides)
        if held is not None and held.step >= made.config().steps:
            summary = end(made, held, place, progress)
            _leave(made, out, progress)
            return BakeSummary(summary, made.config().map_size, None)
        config = made.config()
    else:
        made, held, config = None, None, _settings(source, preset, overrides)
    with running(config, source.path / FOLDER / CHECKPOINTS, place):
        store = store_of(source.frames("train"), config, place, progress)
        progress(f"baking {source.path.name} to {config.map_size} x {config.map_size} maps on {device_name(place)}")
        model = Model(config, source.head(), store)
        if made is None:
            about = describe(SYSTEM, preset or _preset_of(source), config, source.dataset, source.data,
                             source.about.get("edition"), source.head(), source.about["subject"], source.about["frames"], place)
            made = Run.create(source.path / FOLDER, about, source.head())
        else:
            made.note_resumed(0 if held is None else held.step, place)
        summary = fit(made, model, store, place, held, progress, again)
        _leave(made, out, progress)
        held_out = _held_out(source, made, model, place, progress)
    return BakeSummary(summary, config.map_size, held_out)


def _preset_of(source: Run) -> str:
    return source.preset if source.preset in PRESETS else "paper"


def _settings(source: Run, preset: str | None, overrides: Mapping[str, str]) -> Config:
    """Return the settings of a bake that starts."""
    config = settings.override(settings.preset_of(PRESETS, preset or _preset_of(source), "fate bake"), overrides)
    trained = source.config()
    steps = config.steps or config.epochs * source.about["frames"]["train"]
    config = dataclasses.replace(config, source=str(source.path.absolute()), steps=steps, size=config.size or trained.size,
                                 background=config.background if "background" in overrides else trained.background)
    check(config)
    return config


def _reopen(source: Run, preset: str | None, overrides: Mapping[str, str]) -> tuple[Run, Checkpoint | None]:
    """Return the bake to go on with, after checking that what was asked is what it is, and its newest checkpoint."""
    folder = source.path / FOLDER
    if not folder.is_dir():
        raise MissingAsset(f"{folder}: there is no bake to go on with; leave --resume out")
    made = Run.open(folder, source.data)
    old = made.config()
    new = settings.override(old, overrides)
    told = [f"{n} is {getattr(old, n)}, asked is {getattr(new, n)}" for n in settings.changed(old, new)
            if n not in ("log_every", "save_every")]
    if preset not in (None, made.preset):
        told.insert(0, f"--preset is {made.preset}, asked is {preset}")
    if told:
        raise CheckpointMismatch(f"{folder}: {', '.join(told)}; a bake goes on with the settings it was started with; leave "
                                 "--resume out to bake anew")
    # The run may have moved since, and the bake with it.
    config = dataclasses.replace(new, source=str(source.path.absolute()))
    check(config)
    made.about["config"] = settings.to_json(config)
    path = made.latest_checkpoint()
    return made, None if path is None else checkpoint.read(path)


def _check_out(out: Path, source: Run) -> None:
    """Raise what writing `out` would raise after the bake."""
    where = out.resolve()
    if where == source.avatar.resolve() or where.is_relative_to((source.path / FOLDER).resolve()):
        raise FormatError(f"{out}: is where the run keeps its own; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not (out / "avatar.json").is_file():
        raise FormatError(f"{out}: is a folder with something else in it; choose another --out")
    if out.is_file() and out.suffix.lower() != ".zip":
        raise FormatError(f"{out}: is a file, expected to write a folder; choose another --out")


def _leave(made: Run, out: Path, progress: Callable[[str], None]) -> None:
    """Write `out` from the avatar that the bake keeps."""
    progress(f"writing {out}")
    bundle.write(bundle.read(made.avatar), out)


def _held_out(source: Run, made: Run, model: Model, place: torch.device,
              progress: Callable[[str], None]) -> tuple[float, float] | None:
    """Return the mean PSNR of the run and of its bake over the held-out pictures, without fitting their tracking."""
    if not source.about["frames"].get("test"):
        return None
    progress("drawing the held-out pictures, before and after")
    before = trained(source, source.head(), model.store)[0]
    store = made.store("test", place)
    means = []
    with torch.no_grad():
        for each in (before, model.settle()):
            pictures = []
            for index in range(len(store)):
                batch = store.batch(index)
                pictures.append(psnr(each.render(batch).rgb.clamp(0, 1).cpu().numpy(), batch.rgb.cpu().numpy()))
            means.append(sum(pictures) / len(pictures))
    return means[0], means[1]
