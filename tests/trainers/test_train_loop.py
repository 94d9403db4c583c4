"""The training loop: it learns, it can be stopped and killed and goes on bit for bit, and it refuses clearly.

This module is also the loop's test system, its data set, and the process that is killed: `Config`, `PRESETS`, `Model`,
`read` and `nursery` are what the tables `TRAINERS` and `DATASETS` are pointed at.
"""

import csv
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

import trainers  # noqa: E402
from formats import datasets  # noqa: E402
from formats.avatar import Avatar, SkinBinding, SplatLayer  # noqa: E402
from formats.codecs import head_file, read_avatar  # noqa: E402
from formats.conventions import rgb_to_sh  # noqa: E402
from formats.datasets.frames import Frames  # noqa: E402
from formats.errors import (  # noqa: E402
    AvatarError,
    CheckpointMismatch,
    FormatError,
    MissingAsset,
    TrainingError,
    UnsupportedFeature,
)
from formats.gaussians import GaussianCloud  # noqa: E402
from formats.render import render_avatar  # noqa: E402
from formats.sequence import Sequence  # noqa: E402
from tests.builders import assert_same, tiny_avatar, tiny_camera, tiny_head, tiny_sequence  # noqa: E402
from trainers import checkpoint, device, loop, settings  # noqa: E402
from trainers.model import Batch, Drawing  # noqa: E402
from trainers.progress import Log, Meter  # noqa: E402
from trainers.rasterize import rasterize  # noqa: E402
from trainers.run import Run  # noqa: E402

ROOT = Path(__file__).parents[2]
HERE = "tests.trainers.test_train_loop"
SIZE = 24


# --- The test system --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Config:
    """Numbers of the test system."""

    steps: int = 20
    size: int = 0
    seed: int = 3
    background: Literal["white", "black", "random"] = "random"
    log_every: int = 4
    save_every: int = 5
    gaussians: int = 30
    lr_color: float = 0.05
    betas: tuple[float, float] = (0.9, 0.99)
    bad_step: int | None = None
    """Where a term becomes NaN."""
    trouble: str = ""
    """What goes wrong at step 7: `memory`, `stop`, `gradient` or `crash`."""
    refine: bool = True


PRESETS = {"paper": Config(), "demo": Config(steps=4, save_every=100)}


class Model(torch.nn.Module):
    """Gaussians that stay where they are, with all a real system does to the loop: sizes change in `after_step`, one
    optimiser is sparse, a term appears late, and numbers are drawn at random."""

    def __init__(self, config: Config, head: Any, store: Any) -> None:
        super().__init__()
        self.config, self.head = config, head
        n = config.gaussians
        spots = torch.tensor(head.v_template)[torch.randint(len(head.v_template), (n,))]
        self.means = torch.nn.Parameter(spots)
        self.quats = torch.nn.Parameter(torch.nn.functional.normalize(torch.randn(n, 4), dim=1))
        self.log_scales = torch.nn.Parameter(torch.full((n, 3), 0.012).log())
        self.logits = torch.nn.Parameter(torch.zeros(n))
        self.color = torch.nn.Parameter(torch.full((n, 3), 0.5))
        self.light = torch.nn.Embedding(len(store), 3, sparse=True)
        torch.nn.init.zeros_(self.light.weight)
        self.register_buffer("age_held", torch.zeros((), dtype=torch.int64))
        self.age = 0
        self.to(store.device)
        groups = [{"params": [getattr(self, name)], "lr": config.lr_color if name == "color" else 1e-3, "name": name}
                  for name in ("means", "quats", "log_scales", "logits", "color")]
        self._optimizers = {"splats": torch.optim.Adam(groups, betas=config.betas, eps=1e-15),
                            "light": torch.optim.SparseAdam(list(self.light.parameters()), lr=1e-3)}

    def render(self, batch: Batch) -> Drawing:
        if self.config.trouble == "memory" and self.age == 6:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        light = self.light(torch.tensor([batch.index], device=batch.rgb.device))
        drawing = rasterize(self.means, self.quats, self.log_scales.exp(), self.logits.sigmoid(),
                            (self.color + light).clamp_min(0), batch.view, batch.background)
        if drawing.means2d.requires_grad:
            drawing.means2d.retain_grad()
        return drawing

    def losses(self, batch: Batch, drawing: Drawing) -> dict[str, Any]:
        terms = {"rgb": (drawing.rgb - batch.rgb).abs().mean(),
                 "size": 0.1 * (self.log_scales.exp() * (1 + 0.1 * torch.rand(()))).mean()}
        if self.age >= 9:
            terms["late"] = 1e-3 * (self.color ** 2).mean()
        if self.config.bad_step == self.age + 1:
            terms["size"] = terms["size"] * float("nan")
        return terms

    def optimizers(self) -> dict[str, Any]:
        return self._optimizers

    def after_step(self, step: int, drawing: Drawing) -> None:
        self.age = step
        self.age_held.fill_(step)
        assert drawing.means2d.grad is not None
        if self.config.trouble == "stop" and step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        if self.config.trouble == "crash" and step == 7:
            raise ValueError("probabilities are not numbers")
        if self.config.trouble == "gradient" and step == 7:
            self.logits.data[3] = float("inf")
        if step % 6 == 0:
            generator = torch.Generator().manual_seed(1000 * self.config.seed + step)
            self._take(torch.cat([torch.arange(2, len(self.means)),
                                   torch.randint(len(self.means), (5,), generator=generator)]).to(self.means.device))

    def _take(self, rows: Any) -> None:
        adam = self._optimizers["splats"]
        for group in adam.param_groups:
            old = group["params"][0]
            new = torch.nn.Parameter(old.data[rows])
            state = adam.state.pop(old)
            adam.state[new] = {k: v[rows] if v.dim() else v for k, v in state.items()}
            group["params"] = [new]
            setattr(self, group["name"], new)

    def load_state_dict(self, state: Any) -> None:  # type: ignore[override]
        for group in self._optimizers["splats"].param_groups:
            new = torch.nn.Parameter(state[group["name"]].clone())
            group["params"] = [new]
            setattr(self, group["name"], new)
        super().load_state_dict(state)
        self.age = int(self.age_held)

    def to_avatar(self) -> Avatar:
        n = len(self.means)
        learned = (self.means, self.quats, self.log_scales.exp(), self.logits.sigmoid(), self.color)
        *splats, color = (v.detach().cpu().numpy() for v in learned)
        cloud = GaussianCloud(*splats, sh=rgb_to_sh(color)[:, None])
        still = SkinBinding(lbs_weights=np.zeros((n, len(self.head.parents))))
        return Avatar(self.head, (SplatLayer(cloud, still),))


# --- Its data ---------------------------------------------------------------------------------------------------------


def clip(frames: int) -> Sequence:
    """Return a motion with cameras whose pictures are `SIZE` pixels high."""
    sequence = tiny_sequence(tiny_head(identity=True), frames, cameras=True, drivers=False)
    cameras = [tiny_camera(0.1 * i, SIZE) for i in range(frames)]
    return dataclasses.replace(sequence, cameras={
        "K": np.stack([c.K for c in cameras]), "world_to_camera": np.stack([c.world_to_camera for c in cameras]),
        "size": np.array([[c.width, c.height] for c in cameras])})


def read(root: Path, split: str, edition: str | None) -> Frames:
    """The data set reader `tiny`."""
    if not root.is_dir():
        raise MissingAsset(f"{root}: no such folder")
    images = tuple(sorted((root / split).glob("*.png")))
    return Frames("somebody", split, clip(len(images)), images)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subject's folder with a head in it: 5 training frames, 2 test frames."""
    root = tmp_path_factory.mktemp("somebody")
    avatar = tiny_avatar("edge-height", 60, 0)
    for split, count in (("train", 5), ("test", 2)):
        (root / split).mkdir()
        sequence = clip(count)
        for i in range(count):
            camera = tiny_camera(0.1 * i, SIZE)
            picture = render_avatar(avatar, sequence, i, camera)
            rgba = np.concatenate([picture.rgb, picture.alpha[..., None]], -1)
            Image.fromarray((rgba * 255 + 0.5).astype(np.uint8), "RGBA").save(root / split / f"{i:03d}.png")
    head_file.write(tiny_head(identity=True), root / "head.safetensors")
    return root


def register() -> None:
    """Put the test system and its data set into the tables."""
    trainers.TRAINERS["tiny"] = HERE
    datasets.DATASETS["tiny"] = HERE


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trainers.TRAINERS, "tiny", HERE)
    monkeypatch.setitem(datasets.DATASETS, "tiny", HERE)


def train(data: Path | None, out: Path, **options: Any) -> loop.Summary:
    """Train the test system, on the CPU unless told; settings of `Config` go in as overrides."""
    names = {f.name for f in dataclasses.fields(Config)} - {"steps"}
    overrides = {k: str(v) for k, v in options.items() if k in names}
    rest: dict[str, Any] = {"device": "cpu"} | {k: v for k, v in options.items() if k not in names}
    return loop.train("tiny", data, None if data is None else "tiny", out, overrides=overrides, **rest)


def log_of(run: Path) -> list[dict[str, str]]:
    """Return the log's rows without what time and machine decide."""
    with open(run / "log.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "memory_mb")} for row in csv.DictReader(file)]


def assert_same_run(one: Path, other: Path) -> None:
    """Fail unless two runs ended in the same tensors, log, preview and avatar."""
    a, b = (checkpoint.read(Run.open(run).latest_checkpoint()) for run in (one, other))  # type: ignore[arg-type]
    assert a.step == b.step and a.notes == b.notes
    for part in ("model", "more"):
        held, wanted = getattr(a, part), getattr(b, part)
        assert held.keys() == wanted.keys()
        assert [k for k in held if held[k].shape != wanted[k].shape or not torch.equal(held[k], wanted[k])] == []
    assert repr(a.optimizers) == repr(b.optimizers)  # shapes; values follow
    for name, state in a.optimizers.items():
        for position, values in state["state"].items():
            for key, value in values.items():
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(b.optimizers[name]["state"][position][key])), key
    assert log_of(one) == log_of(other)
    assert (one / "preview.png").read_bytes() == (other / "preview.png").read_bytes()
    first, second = (dataclasses.replace(read_avatar(run / "avatar.avatar"), meta=dataclasses.replace(
        read_avatar(run / "avatar.avatar").meta, source="")) for run in (one, other))
    assert_same(first, second)


@pytest.fixture(scope="module")
def straight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of twenty steps without incident. Nobody writes into it."""
    out = tmp_path_factory.mktemp("straight") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(trainers.TRAINERS, "tiny", HERE)
        patch.setitem(datasets.DATASETS, "tiny", HERE)
        train(data, out)
    yield out


# --- It trains --------------------------------------------------------------------------------------------------------


def test_a_run_leaves_everything_it_promises(data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    summary = train(data, tmp_path / "run", progress=said.append, steps=24, log_every=4)
    run = Run.open(tmp_path / "run")
    assert summary.steps == 24 and summary.gaussians == 30 + 3 * 3 and summary.seconds > 0 and summary.avatar.is_dir()
    assert {"steps", "Gaussians"} <= {row[0] for row in summary.rows()}
    rows = log_of(run.path)
    assert [row["step"] for row in rows] == ["4", "8", "12", "16", "20", "24"]
    assert list(rows[0]) == ["step", "loss", "rgb", "size", "late", "psnr", "gaussians"]
    assert rows[1]["late"] == "" and float(rows[3]["late"]) > 0
    assert float(rows[-1]["rgb"]) < 0.8 * float(rows[0]["rgb"]) and float(rows[-1]["psnr"]) > float(rows[0]["psnr"]) + 2
    assert [row["gaussians"] for row in rows] == ["30", "33", "33", "36", "39", "39"]
    assert [path.name for path in checkpoint.every(run.checkpoints)] == ["step_00000020.safetensors",
                                                                         "step_00000024.safetensors"]
    about = json.loads((run.path / "run.json").read_text())
    assert about["system"] == "tiny" and about["preset"] == "paper" and about["dataset"] == "tiny"
    assert about["data"] == str(data) and about["frames"] == {"train": 5, "test": 2} and about["finished"]
    assert about["versions"]["torch"] == torch.__version__ and about["device"] == "cpu" and about["seed"] == 3
    assert run.config() == dataclasses.replace(Config(), steps=24)
    assert any(text.startswith("step 12/24: loss") and "left" in text and "it/s" in text for text in said)
    assert sorted(p.name for p in run.path.iterdir()) == ["avatar.avatar", "checkpoints", "head.safetensors", "log.csv",
                                                          "preview.png", "run.json"]
    with Image.open(run.preview) as sheet:
        assert sheet.size == (4 * (SIZE + SIZE // 4), 2 * SIZE)


def test_the_head_is_personalised_and_keeps_its_hash(data: Path, straight: Path) -> None:
    head, source = Run.open(straight).head(), tiny_head(identity=True)
    assert head.content_hash == source.content_hash and head.shapedirs is None
    assert_same(head.v_template, source.personalise(clip(5).shape).v_template)


def test_eval_and_bake_get_model_frames_and_avatar(data: Path, straight: Path) -> None:
    run = Run.open(straight)
    model, store = run.load_model()
    batch = store.batch(1)
    with torch.no_grad():
        drawn = model.render(dataclasses.replace(batch, index=0)).rgb
    assert len(run.frames("test")) == 2 and run.frames("test").split == "test"
    avatar = read_avatar(run.avatar)
    assert avatar.meta.system == "tiny" and avatar.meta.name == "somebody"
    assert isinstance(avatar.layers[0], SplatLayer) and len(avatar.layers[0].cloud) == len(model.means)
    assert drawn.shape == batch.rgb.shape


def test_overrides_reach_the_run(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", preset="demo", size=12, lr_color="1e-2", betas="0.8, 0.9", refine="no", background="black",
          bad_step="none")
    run = Run.open(tmp_path / "run")
    config = run.config()
    assert (config.size, config.lr_color, config.betas, config.refine, config.bad_step) == (12, 0.01, (0.8, 0.9), False, None)
    assert config.steps == 4 and run.preset == "demo"
    assert run.store("train").batch(0).rgb.shape == (10, 12, 3)


# --- It goes on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [8, 10, 13])
def test_resuming_equals_the_straight_run(data: Path, straight: Path, tmp_path: Path, stop_at: int) -> None:
    """Stops at a row of the log, at a checkpoint, and at neither."""
    train(data, tmp_path / "run", steps=stop_at)
    said: list[str] = []
    train(None, tmp_path / "run", steps=20, resume=True, progress=said.append)
    assert any(f"steps {stop_at + 1} to 20" in text for text in said)
    assert_same_run(tmp_path / "run", straight)


def test_a_signal_stops_after_the_step_and_saves(data: Path, straight: Path, tmp_path: Path) -> None:
    said: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "run", trouble="stop", progress=said.append)
    assert signal.getsignal(signal.SIGTERM) is before
    assert "stopped after step 7" in said[-1] and "--resume" in said[-1]
    run = Run.open(tmp_path / "run")
    assert loop.checkpoint_step(run) == 7 and not run.finished
    about = json.loads((run.path / "run.json").read_text())
    about["config"]["trouble"] = ""
    (run.path / "run.json").write_text(json.dumps(about))
    train(None, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", straight)


def test_resuming_before_the_first_checkpoint_starts_again(data: Path, straight: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", steps=3)
    for path in checkpoint.every(tmp_path / "run" / "checkpoints"):
        path.unlink()
    train(None, tmp_path / "run", resume=True, steps=20)
    assert_same_run(tmp_path / "run", straight)


def test_a_finished_run_says_so(data: Path, tmp_path: Path) -> None:
    first = train(data, tmp_path / "run", steps=4)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    said: list[str] = []
    again = train(None, tmp_path / "run", resume=True, progress=said.append)
    assert "finished already" in said[-1] and {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before
    assert (again.steps, again.gaussians) == (first.steps, first.gaussians) and again.psnr == pytest.approx(first.psnr)


def test_a_run_killed_before_its_avatar_writes_it(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", steps=4)
    avatar = read_avatar(tmp_path / "run" / "avatar.avatar")
    for path in (tmp_path / "run" / "avatar.avatar").iterdir():
        path.unlink()
    (tmp_path / "run" / "avatar.avatar").rmdir()
    train(None, tmp_path / "run", resume=True)
    assert_same(read_avatar(tmp_path / "run" / "avatar.avatar"), avatar)


def nursery(data: str, folder: str) -> None:
    """Train under SIGKILL: fork, kill at every delicate moment and at random ones, go on, until the run is done."""
    register()
    torch.set_num_threads(1)
    train(Path(data), Path(folder) / "straight", steps=40, log_every=3, save_every=2)  # and compile before forking
    out = Path(folder) / "run"
    moments = ["half a file", "before the rename", "after the rename", "half a row", *["random"] * 4, "never"]
    chance = random.Random(5)
    killed = 0
    for moment in moments:
        child = os.fork()
        if child == 0:
            _arm(moment)
            going = (out / "run.json").is_file()
            train(None if going else Path(data), out, resume=going,
                  **({} if going else {"steps": 40, "log_every": 3, "save_every": 2}))
            os._exit(0)
        if moment == "random":
            time.sleep(chance.uniform(0.02, 0.15))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert moment == "random" or os.WIFSIGNALED(status) == (moment != "never"), moment
        sys.stdout.write(f"{moment}: step {loop.checkpoint_step(Run.open(out)) if (out / 'run.json').is_file() else None}\n")
    assert killed >= 4
    sys.stdout.write("done\n")


def _arm(moment: str) -> None:
    """Let this process kill itself at a delicate moment of its second checkpoint."""
    count, die = [0], lambda: os.kill(os.getpid(), signal.SIGKILL)
    real_write, real_replace, real_append = Path.write_bytes, os.replace, Log.append

    def write(self: Path, data: bytes) -> int:
        delicate = ".step_" in self.name
        count[0] += delicate
        written = real_write(self, data[:1000] if delicate and count[0] == 2 else data)
        if delicate and count[0] == 2:
            die()
        return written

    def replace(source: Any, target: Any) -> None:
        delicate = "step_" in Path(target).name
        count[0] += delicate
        if delicate and count[0] == 2 and moment == "before the rename":
            die()
        real_replace(source, target)
        if delicate and count[0] == 2:
            die()

    def append(self: Log, row: Any) -> None:
        real_append(self, row)
        count[0] += 1
        if count[0] == 2:
            os.truncate(self.path, self.path.stat().st_size - 9)
            die()

    if moment == "half a file":
        Path.write_bytes = write  # type: ignore[method-assign]
    elif moment.endswith("the rename"):
        os.replace = replace
    elif moment == "half a row":
        Log.append = append  # type: ignore[method-assign]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_run_that_is_killed_again_and_again_equals_the_straight_one(data: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {HERE} as t; t.nursery({str(data)!r}, {str(tmp_path)!r})"],
                          cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stdout + done.stderr
    assert_same_run(tmp_path / "run", tmp_path / "straight")
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == checkpoint.KEEP


# --- It fails well ----------------------------------------------------------------------------------------------------


def test_a_term_that_is_not_finite_is_named_and_the_last_checkpoint_stays(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step 7: 'size' was not finite; .*lr_color.*step_00000005") as caught:
        train(data, tmp_path / "run", bad_step=7)
    assert "\n" not in str(caught.value)
    assert loop.checkpoint_step(Run.open(tmp_path / "run")) == 5


def test_a_model_that_breaks_is_told_from_one_that_diverged(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        train(data, tmp_path / "sound", trouble="crash")
    with pytest.raises(TrainingError, match="step 6: 'size' was not finite"):
        train(data, tmp_path / "diverged", trouble="crash", bad_step=6, log_every=100)


def test_a_parameter_that_is_not_finite_is_never_saved(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"after step 7 'model/logits' is not finite.*no checkpoint yet"):
        train(data, tmp_path / "run", trouble="gradient", save_every=7)
    assert checkpoint.every(tmp_path / "run" / "checkpoints") == []


def test_running_out_of_memory_says_what_to_do(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no memory left \(tried to allocate 20.00 GiB\).*size=.*gaussians=.*00005"):
        train(data, tmp_path / "run", trouble="memory")


def test_a_full_disk_keeps_the_previous_checkpoint(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = [0]

    def refuse(self: Path, content: bytes) -> int:
        count[0] += ".step_" in self.name
        if ".step_" in self.name and count[0] == 2:
            real(self, content[:100])
            raise OSError(28, "No space left on device")
        return real(self, content)

    real = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(MissingAsset, match="step_00000010.*No space left"):
        train(data, tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_00000005.safetensors"]


BEFORE: dict[str, tuple[dict[str, Any], type[AvatarError], str]] = {
    "preset": ({"preset": "papre"}, UnsupportedFeature, r"no such preset \(did you mean paper\?\); available are paper, demo"),
    "name": ({"overrides": {"lr_colour": "1"}}, FormatError, r"no setting 'lr_colour' \(did you mean lr_color\?\).*steps \(20\)"),
    "number": ({"overrides": {"lr_color": "fast"}}, FormatError, "lr_color=fast: expected a number; it is 0.05 now"),
    "not finite": ({"overrides": {"lr_color": "nan"}}, FormatError, "expected a number"),
    "whole": ({"overrides": {"size": "1.5"}}, FormatError, "expected a whole number"),
    "choice": ({"overrides": {"background": "green"}}, FormatError, "expected one of white, black, random"),
    "flag": ({"overrides": {"refine": "maybe"}}, FormatError, "expected true or false"),
    "tuple": ({"overrides": {"betas": "0.9"}}, FormatError, "expected 2 values"),
    "option": ({"overrides": {"bad_step": "x"}}, FormatError, "expected a whole number or none"),
    "steps": ({"steps": 0}, FormatError, "steps=0: expected a whole number from 1"),
    "device": ({"device": "tpu"}, FormatError, "expected cuda or cpu"),
    "data": ({"data": Path("nowhere")}, MissingAsset, "nowhere"),
    "no data": ({"data": None}, FormatError, "--data DIR"),
    "dataset": ({"dataset": "nerf"}, UnsupportedFeature, "unknown data set layout"),
    "head": ({"head": "nowhere.safetensors"}, MissingAsset, "nowhere.safetensors"),
    "another head": ({"head": "standin"}, AvatarError, "expected|head|expr"),
    "system": ({"system": "fat"}, UnsupportedFeature, "unknown system"),
}


@pytest.mark.parametrize("case", BEFORE)
def test_nothing_is_made_when_something_is_wrong(case: str, data: Path, tmp_path: Path) -> None:
    options, error, message = BEFORE[case]
    given = {"system": "tiny", "data": data, "dataset": "tiny", "out": tmp_path / "run", "device": "cpu"} | options
    with pytest.raises(error, match=message) as caught:
        loop.train(**given)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_cuda_that_is_not_there(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingAsset, match="--device cpu"):
        loop.train("tiny", data, "tiny", tmp_path / "run", device="cuda")
    assert device.pick_device(None) == torch.device("cpu")


def test_data_without_a_head_say_how_to_get_one(data: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for split in ("train", "test"):
        os.symlink(data / split, bare / split)
    with pytest.raises(MissingAsset, match="flameport head generic_model.pkl --out head.safetensors.*--head"):
        train(bare, tmp_path / "run")
    train(bare, tmp_path / "run", head=data / "head.safetensors", steps=2)


def test_an_occupied_folder_is_refused(data: Path, straight: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(FormatError, match="not empty and no run"):
        train(data, tmp_path / "mine")
    with pytest.raises(FormatError, match="holds a run already.*--resume"):
        train(data, straight)
    (tmp_path / "empty").mkdir()
    train(data, tmp_path / "empty", steps=1)
    with pytest.raises(MissingAsset, match="run.json"):
        train(None, tmp_path / "mine", resume=True)


def test_a_resumed_run_keeps_its_settings(data: Path, straight: Path) -> None:
    for options, message in (({"lr_color": 0.1}, "lr_color is 0.05, asked is 0.1"), ({"preset": "demo"}, "--preset demo"),
                             ({"steps": 10}, "at step 20 already"), ({"head": "standin"}, "another head"),
                             ({"edition": "flame2020"}, "--edition flame2020")):
        with pytest.raises(CheckpointMismatch, match=message):
            train(None, straight, resume=True, **options)
    with pytest.raises(MissingAsset, match="--data"):
        train(data / "moved", straight, resume=True, steps=21)
    with pytest.raises(CheckpointMismatch, match="has 2 train frames"):
        swapped = straight.parent / "swapped"
        swapped.mkdir()
        os.symlink(data / "test", swapped / "train")
        Run.open(straight, swapped).frames("train")


@pytest.mark.parametrize(("change", "message"), [
    (lambda about: about["config"].pop("size"), "missing size"),
    (lambda about: about["config"].update(speed=1), "unknown speed"),
    (lambda about: about["config"].update(size="big"), "'config.size': expected a whole number, got big"),
    (lambda about: about.update(format="flameport.run/9"), "update flameport"),
    (lambda about: about.pop("data"), "'data' is missing"),
])
def test_a_damaged_run_says_what_is_wrong(straight: Path, tmp_path: Path, change: Any, message: str) -> None:
    about = json.loads((straight / "run.json").read_text())
    change(about)
    (tmp_path / "run.json").write_text(json.dumps(about))
    with pytest.raises(AvatarError, match=message):
        Run.open(tmp_path).config()


def test_a_damaged_checkpoint_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", steps=10)
    path = Run.open(tmp_path / "run").latest_checkpoint()
    assert path is not None
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(FormatError, match="remove it to go on from the one before"):
        train(None, tmp_path / "run", resume=True, steps=12)
    path.write_bytes(whole)
    held = checkpoint.read(path)
    store = Run.open(tmp_path / "run").store("test")
    other = Model(Config(), tiny_head(), store)
    with pytest.raises(CheckpointMismatch, match="does not fit"):
        held.restore(other)


# --- Its parts --------------------------------------------------------------------------------------------------------


def test_the_meter_names_the_first_bad_step_and_survives_a_checkpoint() -> None:
    meter = Meter()
    for step in range(600):
        names = ("a", "b") if step < 300 else ("a", "b", "c")
        values = torch.tensor([1.0, step, 3.0][:len(names)])
        if step >= 400:
            values[1] = float("inf")
        meter.add(step + 1, names, values, torch.tensor(0.01))
    copy = Meter(last=600)
    copy.restore(*meter.state(), torch.device("cpu"))
    for held in (meter, copy):
        reading = held.read()
        assert len(held) == 600 and reading.bad == (401, ["b"]) and reading.psnr == pytest.approx(20)
        assert reading.terms["a"] == 1 and reading.terms["c"] == 3
    meter.clear()
    meter.add(601, ("a",), torch.tensor([2.0]), torch.tensor(0.0))
    assert meter.read().psnr == float("inf") and meter.read().loss == 2


def test_settings_survive_json() -> None:
    config = dataclasses.replace(Config(), bad_step=4, betas=(0.1, 0.2), lr_color=3e-7)
    assert settings.from_json(Config, json.loads(json.dumps(settings.to_json(config))), "here") == config


def test_the_order_and_backgrounds_depend_on_the_epoch() -> None:
    cpu = torch.device("cpu")
    a, b = (loop.backgrounds(4, 3, epoch, cpu) for epoch in (0, 1))
    assert torch.equal(a, loop.backgrounds(4, 3, 0, cpu)) and not torch.equal(a, b)
    assert 0 <= float(a.min()) and float(a.max()) <= 1


# --- On a GPU ---------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_cuda_stops_goes_on_and_moves_to_the_cpu(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "straight", device="cuda")
    train(data, tmp_path / "run", device="cuda", steps=10)
    train(None, tmp_path / "run", device="cuda", resume=True, steps=20)
    for one, other in zip(log_of(tmp_path / "run"), log_of(tmp_path / "straight"), strict=True):
        # Sums on a GPU come in no order.
        assert float(one["psnr"]) == pytest.approx(float(other["psnr"]), abs=0.05)
    train(None, tmp_path / "run", device="cpu", resume=True, steps=24)
    assert read_avatar(tmp_path / "run" / "avatar.avatar").meta.system == "tiny"


class Silent(torch.nn.Module):
    """A model that does next to nothing, and forbids to wait for the device between two rows of the log."""

    def __init__(self, store: Any, steps: int) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros((), device=store.device))
        self.seen = torch.ones(1, dtype=torch.bool, device=store.device)
        self.steps = steps
        self._optimizers = {"level": torch.optim.Adam(self.parameters(), lr=1e-2)}

    def render(self, batch: Batch) -> Drawing:
        return Drawing(self.level + 0 * batch.rgb, batch.mask, batch.rgb, self.seen, {})

    def losses(self, batch: Batch, drawing: Drawing) -> dict[str, Any]:
        return {"rgb": (drawing.rgb - batch.rgb).abs().mean(), "size": self.level ** 2}

    def optimizers(self) -> dict[str, Any]:
        return self._optimizers

    def after_step(self, step: int, drawing: Drawing) -> None:
        torch.cuda.set_sync_debug_mode("error" if 1 < step < self.steps else "default")

    def to_avatar(self) -> Avatar:
        return Avatar(tiny_head())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_loop_never_waits_for_the_device_between_rows(data: Path, straight: Path, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Run.open(straight).about | {"config": settings.to_json(
        dataclasses.replace(Config(), steps=5, log_every=5, save_every=5))}, tiny_head())
    gpu = device.pick_device("cuda")
    store = run.store("train", gpu)
    try:
        loop.fit(run, Silent(store, 5), store, gpu, None, lambda text: None)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(log_of(run.path)) == 1
