"""The one training loop: every system's models go through `train`.

Step k shows the frame that the seed's permutation of its epoch puts there, on a background drawn from (seed, epoch), with
torch's generators seeded by (seed, k): a run that was stopped goes on as if it had not been, bit for bit on the CPU. The
loop asks nothing of the device between two rows of the log.
"""

import dataclasses
import importlib
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from formats import datasets, video
from formats.codecs import bundle, head_file
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, TrainingError
from formats.head_model import HeadModel
from trainers import TRAINERS, checkpoint, settings, trainer
from trainers.checkpoint import Checkpoint
from trainers.device import device_name, peak_memory, pick_device, seed_step
from trainers.failures import diverged, running, stopping
from trainers.metrics import pixels
from trainers.model import Batch, Drawing
from trainers.progress import Log, Meter, Reading, duration, line
from trainers.run import ABOUT, CHECKPOINTS, HEAD, Run, describe, store_of, versions

Progress = Callable[[str], None]
MAY_CHANGE = ("steps", "log_every", "save_every")
"""Settings that a resumed run may change: they do not alter what a step does."""
PREVIEWS = 4
"""Training frames on the contact sheet."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a training came to."""

    steps: int
    seconds: float
    """Of training, over all its parts."""
    psnr: float
    """Of the training frames in the last row of the log, dB."""
    gaussians: int
    run: Path
    avatar: Path
    log: Path
    preview: Path

    def rows(self) -> list[tuple[str, str]]:
        """Return what a person wants to know, for a table."""
        return [("steps", str(self.steps)), ("time", duration(self.seconds)), ("PSNR, training frames", f"{self.psnr:.2f} dB"),
                ("Gaussians", str(self.gaussians)), ("avatar", str(self.avatar)), ("log", str(self.log)),
                ("preview", str(self.preview))]


def train(system: str, data: Path | None, dataset: str | None, out: Path, *, preset: str | None = None,
          head: str | Path | None = None, steps: int | None = None, device: str | None = None, resume: bool = False,
          edition: str | None = None, fit_schedule: bool = False, overrides: Mapping[str, str] = {},  # noqa: B006
          view: Callable[..., Any] | None = None, progress: Progress = lambda text: None) -> Summary:
    """Train `system` on a tracked video and leave the run folder `out`, described in `trainers.run`.

    Everything is checked before `out` is made. SIGINT and SIGTERM end the running step, save a checkpoint and raise
    `KeyboardInterrupt`; a process that is killed resumes from its newest complete checkpoint.

    Args:
        system: A key of `trainers.TRAINERS`.
        data: The subject's folder; what the run says, with `resume`.
        dataset: Its layout, a key of `formats.datasets.DATASETS`; likewise.
        out: The run folder, absent or empty unless `resume`.
        preset: A key of the system's `PRESETS`; `paper`, or the run's own with `resume`.
        head: A head file, or `standin`; `head.safetensors` in `data` when None.
        steps: How long to train; with `resume` it may lengthen a run, a finished one too.
        device: `cuda` or `cpu`; CUDA where there is one when None.
        resume: Go on from the newest checkpoint in `out`.
        edition: FLAME edition of the tracked coefficients, where it is not the layout's usual one.
        fit_schedule: Let the preset's whole schedule take `steps`, before `overrides`; else it is cut off there.
        overrides: Settings by name, as text.
        view: Opens what shows the model while it trains: `trainers.live_view.LiveView`, with host and port filled in.
        progress: Is told what happens, a line at a time.

    Raises:
        TrainingError: Numbers are no longer finite, or the memory is used up; the last good checkpoint stays.
        AvatarError: Of other kinds: settings, data, head or `out` are not what is needed.
        KeyboardInterrupt: It was stopped, and can be resumed.
    """
    out, module = Path(out), trainer(system)
    overrides = dict(overrides) | ({} if steps is None else {"steps": str(steps)})
    place = pick_device(device)
    if resume:
        run = _reopen(system, module, out, data, dataset, preset, head, edition, overrides)
        held = _newest(run)
        if held is not None and held.step >= run.config().steps:
            return end(run, held, place, progress)
        with running(run.config(), run.checkpoints, place):
            store = store_of(run.frames("train"), run.config(), place, progress)
            model = _make(module, run.config(), run.head(), store)
            run.note_resumed(0 if held is None else held.step, place)
            return fit(run, model, store, place, held, progress, view=view)
    if data is None or dataset is None:
        raise FormatError("training needs --data DIR and --dataset NAME; only --resume knows them already")
    data = Path(data)
    config = settings.preset_of(module.PRESETS, preset or "paper", system)
    if fit_schedule and steps is not None and steps > 0:
        config = settings.fitted(config, steps, module.IN_STEPS)
    config = settings.override(config, overrides)
    settings.check(config)
    _check_vacant(out)
    frames = datasets.read(dataset, data, "train", edition)
    model_head = _read_head(head, data)
    importlib.import_module("formats.datasets.check").check(frames, model_head)
    if hasattr(module, "head_of"):
        model_head = module.head_of(config, model_head)
    model_head = frames.personal(model_head)
    counts = {"train": len(frames)} | _count_test(dataset, data, edition, progress)
    with running(config, out / CHECKPOINTS, place):
        store = store_of(frames, config, place, progress)
        model = _make(module, config, model_head, store)
        about = describe(system, preset or "paper", config, dataset, data, edition, model_head, frames.name, counts, place)
        run = Run.create(out, about, model_head)
        return fit(run, model, store, place, None, progress, view=view)


def fit(run: Run, model: Any, store: Any, device: torch.device, held: Checkpoint | None, progress: Progress,
        again: str | None = None, view: Callable[..., Any] | None = None) -> Summary:
    """Take `model` from the checkpoint `held`, or from the start, to the run's last step, and write its avatar.

    Args:
        run: The folder, where everything goes.
        model: A `trainers.model.Model`, as made.
        store: The training frames, a `trainers.frame_store.FrameStore`.
        device: Where both are.
        held: The checkpoint to go on from.
        progress: Is told what happens.
        again: The command that goes on with it, where it is not `flameport train`.
        view: See `train`.
    """
    from trainers.frame_store import order

    config, count = run.config(), len(store)
    log, meter = Log(run.log), Meter()
    optimizers = model.optimizers()
    checkpoint.sweep(run.checkpoints)
    first, before = 0, 0.0
    if held is not None:
        held.restore(model, optimizers, device)
        meter.restore(held.more, held.notes.get("meter", []), device)
        first, before = held.step, held.seconds
    # A row at the step itself closed its interval unless the meter was still collecting: then it was the run's last.
    log.cut(first, bool(len(meter)))
    progress(f"training {run.system} on {device_name(device)}: {count} frames, "
             + (f"steps {first + 1} to {config.steps}" if first else f"{config.steps} steps"))
    started = marked = time.perf_counter()
    marked_step, epoch, frame_order, grounds, reading, drawing = first, -1, [], None, None, None
    with stopping() as stop, closing(view(store, run.head().expr_names, progress=progress) if view else None) as live:
        for step in range(first + 1, config.steps + 1):
            seed_step(config.seed, step, device)
            if (step - 1) // count != epoch:
                epoch = (step - 1) // count
                frame_order = [int(i) for i in order(count, config.seed, epoch)]
                grounds = backgrounds(count, config.seed, epoch, device) if config.background == "random" else None
            row = (step - 1) % count
            batch = store.batch(frame_order[row]) if grounds is None else store.batch(frame_order[row], grounds[row])
            try:
                drawing = advance(model, batch, optimizers, meter, step)
            except (RuntimeError, ValueError) as error:
                # What no longer is a number may break a model before the next row of the log is due.
                _check_finite(run, config, meter, error)
                raise
            if live is not None:
                live.look(model, batch, step, config.steps, stop)
            last = step == config.steps
            stopped = bool(stop)
            closes, saves = step % config.log_every == 0, step % config.save_every == 0 or last or stopped
            if not (closes or saves):
                continue
            reading = _check_finite(run, config, meter)
            time_now = time.perf_counter()
            seconds, gaussians = before + time_now - started, len(drawing.visible)
            if closes or last:
                memory = peak_memory(device)
                log.append({"step": step, "seconds": round(seconds, 3), "loss": reading.loss, **reading.terms,
                            "psnr": reading.psnr, "gaussians": gaussians, "memory_mb": round(memory, 1)})
                progress(line(step, config.steps, reading, gaussians,
                              (step - marked_step) / max(time_now - marked, 1e-9), memory))
                marked, marked_step = time_now, step
            if closes:
                meter.clear()
                if live is not None:
                    live.note(step, reading)
            if saves:
                _save(run, config, step, seconds, model, optimizers, meter)
            if step % config.save_every == 0 or last:
                write_preview(model, store, run.preview)
            if stopped and not last:
                progress(f"stopped after step {step}, which is saved; go on with: "
                         + (again or f"flameport train {run.system} --out {run.path} --resume"))
                raise KeyboardInterrupt
    assert reading is not None and drawing is not None, "a run with nothing to do does not come here"
    return _finish(run, model, config.steps, before + time.perf_counter() - started, reading.psnr, len(drawing.visible),
                   progress)


@contextmanager
def closing(live: Any) -> Iterator[Any]:
    """Close what was opened, if something was."""
    try:
        yield live
    finally:
        if live is not None:
            live.close()


def advance(model: Any, batch: Batch, optimizers: Mapping[str, Any], meter: Meter, step: int) -> Drawing:
    """Take one step on one frame, and return what was drawn."""
    for optimizer in optimizers.values():
        optimizer.zero_grad(set_to_none=True)
    drawing = model.render(batch)
    terms = model.losses(batch, drawing)
    stacked = torch.stack(tuple(terms.values()))
    meter.add(step, tuple(terms), stacked.detach(), squared_error(drawing.rgb, batch.rgb))
    stacked.sum().backward()
    for optimizer in optimizers.values():
        optimizer.step()
    model.after_step(step, drawing)
    return drawing


def backgrounds(count: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """Return one random colour [count, 3] for each step of an epoch."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) & (2**63 - 1))
    return torch.rand((count, 3), generator=generator).to(device)


def squared_error(rgb: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of a picture, clipped to what a screen shows, without gradient."""
    return torch.nn.functional.mse_loss(rgb.detach().clamp(0, 1), target)


def write_preview(model: Any, store: Any, path: Path, frames: int = PREVIEWS) -> None:
    """Write a contact sheet of training frames spread over the video: target, prediction, two frames to a row."""
    pick = sorted({int(i) for i in np.linspace(0, len(store) - 1, min(frames, len(store)))})
    pairs = []
    with torch.no_grad():
        for index in pick:
            batch = store.batch(index)
            pairs.append(pixels(torch.cat([batch.rgb, model.render(batch).rgb], 1).nan_to_num(0).clamp(0, 1)))
    if len(pairs) % 2:
        pairs.append(np.full_like(pairs[0], 255))
    video.write_png(np.concatenate([np.concatenate(pairs[i:i + 2], 1) for i in range(0, len(pairs), 2)]), path)


# --- Before -----------------------------------------------------------------------------------------------------------


def _check_vacant(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()) or not out.exists():
        return
    if (out / ABOUT).is_file():
        raise FormatError(f"{out}: holds a run already; go on with it by --resume, or choose another --out")
    raise FormatError(f"{out}: is {'not empty' if out.is_dir() else 'a file'} and no run; choose another --out")


def _read_head(head: str | Path | None, data: Path) -> HeadModel:
    """Return the head with its identity directions."""
    if head is not None and str(head) == "standin":
        from formats.standin.head import standin_head

        return standin_head("open-mouth")
    path = data / HEAD if head is None else Path(head)
    if head is None and not path.is_file():
        raise MissingAsset(f"{path}: the data bring no head; make one by `flameport head generic_model.pkl --out "
                           f"{HEAD}` and name it with --head")
    return head_file.read(path)


def _count_test(dataset: str, data: Path, edition: str | None, progress: Progress) -> dict[str, int]:
    try:
        return {"test": len(datasets.read(dataset, data, "test", edition))}
    except AvatarError as error:
        progress(f"no pictures are held out, so `flameport eval` will have nothing to measure: {error}")
        return {}


def _make(module: Any, config: Any, head: HeadModel, store: Any) -> Any:
    torch.manual_seed(config.seed)
    return module.Model(config, head, store)


def _reopen(system: str, module: Any, out: Path, data: Path | None, dataset: str | None, preset: str | None,
            head: str | Path | None, edition: str | None, overrides: Mapping[str, str]) -> Run:
    """Return the run to go on with, after checking that what was asked is what it is."""
    run = Run.open(out, data)
    for name, asked, is_ in (("system", system, run.system), ("--dataset", dataset, run.dataset),
                             ("--preset", preset, run.preset), ("--edition", edition, run.about.get("edition"))):
        if asked is not None and asked != is_:
            raise CheckpointMismatch(f"{out}: {name} {asked}: the run was started with {is_}; leave it out, or start another "
                                     "run with another --out")
    if head is not None:
        asked, is_ = _read_head(head, run.data).content_hash, run.head().content_hash
        if asked != is_:
            raise CheckpointMismatch(f"{out}: --head {head}: is another head than the run's ({asked[:12]}, not {is_[:12]})")
    old = run.config()
    new = settings.override(old, overrides)
    settings.check(new)
    different = [name for name in settings.changed(old, new) if name not in MAY_CHANGE]
    if different:
        told = ", ".join(f"{name} is {getattr(old, name)}, asked is {getattr(new, name)}" for name in different)
        raise CheckpointMismatch(f"{out}: {told}; a run goes on with the settings it was started with (only "
                                 f"{', '.join(MAY_CHANGE)} may change); start another one with another --out")
    if new.steps < old.steps:
        step = checkpoint_step(run)
        if new.steps < step:
            raise CheckpointMismatch(f"{out}: --steps {new.steps}: the run is at step {step} already")
    if new != old:
        run.about["config"] = settings.to_json(new)
    return run


def checkpoint_step(run: Run) -> int:
    """Return the step of the run's newest checkpoint, 0 before the first."""
    path = run.latest_checkpoint()
    match = None if path is None else checkpoint.NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _newest(run: Run) -> Checkpoint | None:
    path = run.latest_checkpoint()
    return None if path is None else checkpoint.read(path)


# --- During -----------------------------------------------------------------------------------------------------------


def _check_finite(run: Run, config: Any, meter: Meter, cause: Exception | None = None) -> Reading:
    """Return what the meter collected; raise when a term of a step was not finite."""
    reading = meter.read()
    if reading.bad is not None:
        step, names = reading.bad
        listed = ", ".join(f"'{name}'" for name in names)
        raise diverged(config, step, f"{listed} {'was' if len(names) == 1 else 'were'} not finite", run.checkpoints) from cause
    return reading


def _save(run: Run, config: Any, step: int, seconds: float, model: Any, optimizers: Mapping[str, Any], meter: Meter) -> None:
    tensors, names = meter.state()
    try:
        checkpoint.write(run.checkpoints, step, seconds, model, optimizers, tensors, {"meter": names})
    except TrainingError as error:
        raise diverged(config, step, f"{error}, and every term was", run.checkpoints) from error


# --- After ------------------------------------------------------------------------------------------------------------


def _finish(run: Run, model: Any, steps: int, seconds: float, psnr: float, gaussians: int, progress: Progress) -> Summary:
    progress("writing the avatar")
    avatar = model.to_avatar()
    meta = avatar.meta
    meta = dataclasses.replace(meta, system=meta.system or run.system, source=meta.source or run.path.name,
                               tool=meta.tool or f"flameport {versions().get('flameport', '')}".strip(),
                               name=run.about["subject"] if meta.name == "avatar" else meta.name)
    bundle.write(dataclasses.replace(avatar, meta=meta), run.avatar)
    run.note_finished(seconds)
    return Summary(steps, seconds, psnr, gaussians, run.path, run.avatar, run.log, run.preview)


def end(run: Run, held: Checkpoint, device: torch.device, progress: Progress) -> Summary:
    """Return the summary of a run whose last step is done; write its avatar if it was killed before that."""
    row = (Log(run.log).rows() or [{}])[-1]
    psnr, gaussians = float(row.get("psnr", "nan")), int(row.get("gaussians", "0"))
    if run.finished:
        progress(f"{run.path}: finished already, at step {held.step}"
                 + ("; --steps N goes on from there" if run.system in TRAINERS else ""))
        return Summary(held.step, held.seconds, psnr, gaussians, run.path, run.avatar, run.log, run.preview)
    with running(run.config(), run.checkpoints, device):
        store = store_of(run.frames("train"), run.config(), device, progress)
        model = _make(trainer(run.system), run.config(), run.head(), store)
        held.restore(model, device=device)
        write_preview(model, store, run.preview)
        return _finish(run, model, held.step, held.seconds, psnr, gaussians, progress)
