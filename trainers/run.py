"""The run folder: what a training leaves behind, and what `eval` and `bake` go on from.

    RUN/run.json              what was trained, on what, with which settings and versions
    RUN/head.safetensors      the head, with the person's identity in `v_template`
    RUN/log.csv               step, seconds, loss, each term, psnr, gaussians, memory_mb; one row per `log_every` steps
    RUN/checkpoints/          step_XXXXXXXX.safetensors, the newest two
    RUN/preview.png           a few training frames, target beside prediction
    RUN/avatar.avatar         the bundle, once training is done
"""

import datetime
import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from formats import datasets, files
from formats.codecs import head_file
from formats.codecs.json_file import Fields, check_version, read_json, write_json
from formats.datasets.frames import Frames
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.head_model import HeadModel
from trainers import checkpoint, settings, trainer
from trainers.checkpoint import Checkpoint
from trainers.device import device_name

if TYPE_CHECKING:
    from trainers.frame_store import FrameStore

FAMILY, MAJOR = "flameport.run", 1
ABOUT, HEAD, LOG, CHECKPOINTS, PREVIEW, AVATAR = ("run.json", "head.safetensors", "log.csv", "checkpoints", "preview.png",
                                                  "avatar.avatar")
GROUNDS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0), "random": (1.0, 1.0, 1.0)}
"""What pictures are composited on where nobody asks for another colour, by the setting `background`; display sRGB."""


@dataclass
class Run:
    """One training's folder.

        run = Run.open(path)
        frames = run.frames("test")
        model, store = run.load_model(device)
    """

    path: Path
    about: dict[str, Any]
    """What `run.json` holds."""

    @classmethod
    def create(cls, path: Path, about: dict[str, Any], head: HeadModel) -> "Run":
        """Make the folder with its first two files, in one step; `about` is what `describe` returned."""
        with files.replacing_folder(path) as temporary:
            write_json(about, temporary / ABOUT)
            head_file.write(head, temporary / HEAD)
            (temporary / CHECKPOINTS).mkdir()
        return cls(Path(path), about)

    @classmethod
    def open(cls, path: Path, data: Path | None = None) -> "Run":
        """Return the run in the folder `path`.

        Args:
            path: The folder.
            data: Where the subject's folder is now, if it has moved.

        Raises:
            MissingAsset: There is no run.
            FormatError: `run.json` is damaged.
            UnsupportedFeature: A later version wrote it.
        """
        path = Path(path)
        if not (path / ABOUT).is_file():
            raise MissingAsset(f"{path}: holds no {ABOUT}; give the folder that `flameport train --out` wrote")
        about = Fields(read_json(path / ABOUT), str(path / ABOUT))
        check_version(about, "format", FAMILY, MAJOR)
        for name in ("system", "preset", "dataset", "data", "subject"):
            about.text(name)
        about.fields("config")
        for count in about.fields("frames").values.values():
            if type(count) is not int:
                raise FormatError(f"{path / ABOUT}: 'frames': expected whole numbers")
        run = cls(path, about.values)
        if data is not None:
            run.about["data"] = str(Path(data).absolute())
        return run

    @property
    def system(self) -> str:
        """A key of `trainers.TRAINERS`."""
        return self.about["system"]

    @property
    def preset(self) -> str:
        """A key of the system's `PRESETS`, what the settings started from."""
        return self.about["preset"]

    @property
    def dataset(self) -> str:
        """A key of `formats.datasets.DATASETS`."""
        return self.about["dataset"]

    @property
    def data(self) -> Path:
        """The subject's folder."""
        return Path(self.about["data"])

    @property
    def log(self) -> Path:
        """The table of losses."""
        return self.path / LOG

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def preview(self) -> Path:
        """The contact sheet."""
        return self.path / PREVIEW

    @property
    def avatar(self) -> Path:
        """The bundle; there once training is done."""
        return self.path / AVATAR

    @property
    def finished(self) -> bool:
        """Tell whether training came to its end and the avatar was written."""
        return self.about.get("finished") is not None and self.avatar.exists()

    def config(self) -> Any:
        """Return the settings, as the system's `Config`.

        Raises:
            FormatError: A field is missing, unknown, or of another type.
        """
        return settings.from_json(trainer(self.system).Config, self.about["config"], str(self.path / ABOUT))

    def head(self) -> HeadModel:
        """Return the head the model rides, with identity in `v_template`."""
        return head_file.read(self.path / HEAD)

    def frames(self, split: str) -> Frames:
        """Return the pictures, motion and cameras of a split, `train` or `test`.

        Raises:
            MissingAsset: The data are gone.
            CheckpointMismatch: They are not those the run was trained on.
        """
        if not self.data.is_dir():
            raise MissingAsset(f"{self.data}: the data of {self.path} are not there; name their folder with --data")
        frames = datasets.read(self.dataset, self.data, split, self.about.get("edition"))
        expected = self.about["frames"].get(split)
        if expected is not None and expected != len(frames):
            raise CheckpointMismatch(f"{self.data}: has {len(frames)} {split} frames, the run {self.path} was trained with "
                                     f"{expected}; name the folder it was trained on with --data")
        return frames

    def store(self, split: str, device: torch.device | str = "cpu") -> "FrameStore":
        """Return the frames of a split on `device`, at the size and on the background of the training."""
        return store_of(self.frames(split), self.config(), device)

    def latest_checkpoint(self) -> Path | None:
        """Return the newest checkpoint's path, or None before the first."""
        return checkpoint.newest(self.checkpoints)

    def restore(self, model: Any, device: torch.device | str = "cpu") -> Checkpoint:
        """Put the newest checkpoint into `model`, without its optimisers, and return it.

        Raises:
            MissingAsset: There is none yet.
            CheckpointMismatch: It does not fit.
        """
        path = self.latest_checkpoint()
        if path is None:
            raise MissingAsset(f"{self.path}: there is no checkpoint yet; go on with `flameport train {self.system} --out "
                               f"{self.path} --resume`")
        held = checkpoint.read(path)
        held.restore(model, device=device)
        return held

    def load_model(self, device: torch.device | str = "cpu") -> tuple[Any, "FrameStore"]:
        """Return the trained model on `device`, and the training frames it was made with."""
        store, config = self.store("train", device), self.config()
        torch.manual_seed(config.seed)
        model = trainer(self.system).Model(config, self.head(), store)
        self.restore(model, device)
        return model, store

    def note_resumed(self, step: int, device: torch.device) -> None:
        """Write into `run.json` that training goes on from `step`, where, and with which settings."""
        self.about |= {"device": device_name(device), "versions": versions(), "finished": None,
                       "seconds": None, "resumed": [*self.about.get("resumed", []), {"step": step, "at": now()}]}
        write_json(self.about, self.path / ABOUT)

    def note_finished(self, seconds: float) -> None:
        """Write into `run.json` that training is done, and how long it took."""
        self.about |= {"finished": now(), "seconds": round(seconds, 3)}
        write_json(self.about, self.path / ABOUT)


def store_of(frames: Frames, config: Any, device: torch.device | str, progress: Any = None) -> "FrameStore":
    """Return `frames` on `device`, at the size and on the background that `config` says."""
    from trainers.frame_store import FrameStore

    options = {} if progress is None else {"progress": progress}
    return FrameStore(frames, size=config.size or None, device=device, background=GROUNDS[config.background], **options)


def describe(system: str, preset: str, config: Any, dataset: str, data: Path, edition: str | None, head: HeadModel,
             subject: str, frames: dict[str, int], device: torch.device) -> dict[str, Any]:
    """Return what a new run's `run.json` holds; `subject` is the person's name, `frames` how many each split has."""
    return {
        "format": f"{FAMILY}/{MAJOR}",
        "system": system,
        "preset": preset,
        "dataset": dataset,
        "data": str(Path(data).absolute()),
        "subject": subject,
        "edition": edition,
        "head": {"edition": head.edition, "content_hash": head.content_hash},
        "seed": config.seed,
        "frames": frames,
        "device": device_name(device),
        "versions": versions(),
        "commit": commit(),
        "started": now(),
        "finished": None,
        "seconds": None,
        "config": settings.to_json(config),
    }


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers depend on."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    for name in ("flameport", "numba", "gsplat"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the commit of the checkout this code runs from, with `+` when it was changed, or None."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    try:
        # An installed copy may lie inside somebody else's checkout.
        if not git("ls-files", Path(__file__).name):
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def now() -> str:
    """Return the time, UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
