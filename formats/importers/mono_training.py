"""What a MonoGaussianAvatar run knows beside its model: training clips, its configuration, its refined tracking.

    .../<split>/train/checkpoints/ModelParameters/latest.pth          the model
                                 /InputParameters/latest.pth          refined expression, pose and camera of each frame
    .../runconf.conf                                                  HOCON; a few of its fields are read
    <data_folder>/<subject>/<subject>/<sub_dir>/flame_params.json     tracked values, one file for each training video

The canonical expression is in none of them: it is the mean over the tracked frames that were trained on.
"""

import dataclasses
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from formats.codecs import flame_params, torch_file
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, naming
from formats.files import read_bytes
from formats.importers import side_files
from formats.importers.mono_networks import array
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
CONFIG = "runconf.conf"
CONFIG_LIMIT = 1 << 20
JAW = 0.4
"""Radians the jaw is open in the canonical pose, where the configuration does not say."""
LEVELS = 8
"""Folders above a model among which its run, and the project with its data, are looked for."""
INPUTS = {"expression": 50, "flame_pose": 15, "camera_pose": 3}


@dataclass(frozen=True)
class Config:
    """The fields of a `runconf.conf` that matter here; None where it does not hold them."""

    canonical_jaw: float | None = None
    data_folder: str | None = None
    subject: str | None = None
    json_name: str = "flame_params.json"
    sub_dirs: tuple[str, ...] = ()
    subsample: int | tuple[int, int] = 1
    """Every n-th frame of each video, or a range of them."""
    use_mean: bool = True
    """Rest on the mean expression; False: on none at all."""


def read_config(path: Path) -> Config:
    """Return the fields of a HOCON file that are read here: plain `name = value` lines, comments and all.

    Raises:
        MissingAsset: There is no such file.
        FormatError: A field is not what it should be.
    """
    text = read_bytes(path, CONFIG_LIMIT).decode("utf-8", "replace")
    text = re.sub(r"(?m)(^|\s)(#|//).*$", "", text)
    blocks = [block for block in re.findall(r"\btrain\s*[:=]?\s*\{([^{}]*)\}", text) if "sub_dir" in block]
    train = blocks[0] if blocks else ""
    jaw = _value(text, "canonical_pose")
    subsample: int | tuple[int, int] = 1
    stated = _value(train, "subsample")
    if stated is not None:
        steps = re.findall(r"\d{1,9}", stated)
        if not (len(steps) == 1 and int(steps[0]) > 0 or len(steps) == 2):
            raise FormatError(f"{path}: 'subsample': expected a step or [start, end), got {ascii(stated)[:60]}")
        subsample = int(steps[0]) if len(steps) == 1 else (int(steps[0]), int(steps[1]))
    try:
        angle = None if jaw is None else float(jaw.strip("[]"))
        if angle is not None and not -1.6 <= angle <= 1.6:
            raise ValueError("not an angle of a jaw")
    except ValueError as error:
        raise FormatError(f"{path}: 'canonical_pose': expected the jaw's angle, got {ascii(jaw)[:60]}") from error
    names = re.findall(r"[^\s,\[\]\"']+", _value(train, "sub_dir") or "")
    mean = (_value(text, "use_mean_expression") or "true").lower()
    if mean not in ("true", "false", "yes", "no", "on", "off"):
        raise FormatError(f"{path}: 'use_mean_expression': expected true or false, got {ascii(mean)[:60]}")
    return Config(angle, _value(text, "data_folder"), _value(text, "subject_name"),
                  _value(text, "json_name") or "flame_params.json", tuple(names), subsample,
                  mean in ("true", "yes", "on"))


def _value(text: str, name: str) -> str | None:
    found = re.search(rf"(?m)\b{name}\s*[:=]\s*(\[[^\]]*\]|[^\n,}}]+)", text)
    return None if found is None else found[1].strip().strip("\"'")


def config_of(path: Path, sides: Mapping[str, Path]) -> Config:
    """Return the run's configuration: `--side conf=`, else the `runconf.conf` nearest above the model, else an empty one."""
    found = side_files.find(path, sides, "conf", (folder / CONFIG for folder in side_files.ancestors(path, LEVELS)))
    if found is None:
        LOG.info("%s: no %s beside it; the canonical jaw is taken as %g rad", path, CONFIG, JAW)
        return Config()
    return read_config(found)


def clips(path: Path, sides: Mapping[str, Path], config: Config, subsample: int) -> tuple[list[str], list[Sequence]]:
    """Return names and tracked frames of the training videos, in order, after subsampling.

    Raises:
        MissingAsset: They are not found.
        FormatError: One is damaged.
    """
    beside = list(_json_places(path, config))
    if "flame_params" in sides:
        given = [Path(part.strip()) for part in str(sides["flame_params"]).split(",")]
        files = [file for part in given for file in _json_in(part, config)]
    else:
        files = found_clips(path, config)
    if not files:
        raise side_files.missing(
            path, "flame_params", "the training videos' flame_params.json, whose mean expression is the avatar's rest and is not "
            "in the model (several: commas between them, in the configuration's order)", [g for group in beside for g in group])
    step = subsample or config.subsample
    parts = []
    for file in files:
        clip = flame_params.read(file)
        kept = np.arange(len(clip))[slice(*step) if isinstance(step, tuple) else slice(None, None, step)]
        if not len(kept):
            raise FormatError(f"{file}: of {len(clip)} frames none is left by subsample = {step}")
        parts.append(clip.take(kept))
    return [file.parent.name for file in files], parts


def found_clips(path: Path, config: Config) -> list[Path]:
    """Return the files of all training videos where the data folder that the configuration names has every one, else none."""
    return next((group for group in _json_places(path, config) if all(file.is_file() for file in group)), [])


def _json_in(given: Path, config: Config) -> list[Path]:
    if not given.is_dir() or (given / config.json_name).is_file():
        return [given / config.json_name if given.is_dir() else given]
    return [given / name / config.json_name for name in config.sub_dirs] or [given / config.json_name]


def _json_places(path: Path, config: Config) -> Iterator[list[Path]]:
    if not (config.data_folder and config.subject and config.sub_dirs):
        return
    for above in side_files.ancestors(path, LEVELS):
        for base in (above / config.data_folder, above / "code" / config.data_folder):
            yield [base / config.subject / config.subject / name / config.json_name for name in config.sub_dirs]


def joined(names: list[str], parts: list[Sequence]) -> Sequence:
    """Return the clips one after another, each a named range; identity is the last one's, as the original has it.

    Raises:
        CheckpointMismatch: They have different numbers of coefficients.
    """
    widths = {part.expr.shape[1] for part in parts}
    if len(widths) > 1:
        raise CheckpointMismatch(f"training clips {', '.join(names)}: {' and '.join(map(str, sorted(widths)))} expression "
                                 "coefficients; are they of one subject?")
    fields = {name: np.concatenate([getattr(part, name) for part in parts])
              for name in ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation")}
    cameras = {key: np.concatenate([part.cameras[key] for part in parts]) for key in parts[0].cameras}
    ends = np.cumsum([len(part) for part in parts])
    ranges = {f"{name}" if names.count(name) == 1 else f"{i}-{name}": (int(end) - len(part), int(end))
              for i, (name, part, end) in enumerate(zip(names, parts, ends, strict=True))}
    return dataclasses.replace(parts[-1], **fields, cameras=cameras, ranges={"train": (0, int(ends[-1])), **ranges})


def canonical_expression(clip: Sequence, config: Config | None = None) -> Float64[np.ndarray, " E"]:
    """Return the mean of the tracked expressions, each frame weighted equally; none where the configuration wants none.

    `use_mean_expression = False` is IMavatar's switch (Zheng et al., CVPR 2022), whose data loader these runs share.
    """
    if config is not None and not config.use_mean:
        LOG.info("the configuration says use_mean_expression = False: the canonical expression is zero")
        return np.zeros(clip.expr.shape[1])
    return clip.expr.astype(np.float64).mean(axis=0)


def refined(path: Path, tracked: Sequence) -> Sequence:
    """Return the tracked clip with the expressions and poses that training refined, where `InputParameters` lies beside.

    The released renderer draws with cameras made before: the stored camera translation had no gradient, and is not used.
    """
    file = path.parent.parent / "InputParameters" / path.name
    if not file.is_file():
        LOG.info("%s: is not there; the clip has the tracked values", file)
        return tracked
    with torch_file.open(file) as opened:
        root = opened.root
        tables = {}
        for name, width in INPUTS.items():
            key = f"{name}_state_dict"
            if not isinstance(root, Mapping) or not isinstance(root.get(key), Mapping):
                raise FormatError(f"{file}: '{key}' is missing; expected MonoGaussianAvatar's InputParameters")
            width = tracked.expr.shape[1] if name == "expression" else width
            tables[name] = array(torch_file.arrays(root[key], f"{file}: {key}"), "weight", (None, width), f"{file}: {key}")
    frames = {len(table) for table in tables.values()}
    if len(frames) > 1:
        raise FormatError(f"{file}: expression, pose and camera have {', '.join(map(str, sorted(frames)))} rows; damaged")
    pose = tables["flame_pose"]
    fields = {"expr": tables["expression"], "rotation": pose[:, :3], "neck": pose[:, 3:6], "jaw": pose[:, 6:9],
              "eyes": pose[:, 9:]}
    with naming(file):
        if frames == {len(tracked)}:
            return dataclasses.replace(tracked, **fields)
        LOG.warning("%s: holds %d frames, the flame_params.json given %d: other videos, or another subsampling than in training; "
                    "then the rest expression is wrong. Its clip has no cameras", file, len(pose), len(tracked))
        return Sequence(tracked.basis, tracked.fps, **fields, shape=tracked.shape)


def model_file(path: Path) -> Path:
    """Return the model at `path`: a file, or the newest in a `checkpoints` folder (`latest.pth`, else the highest epoch).

    Raises:
        MissingAsset: There is none.
    """
    if not path.is_dir():
        return path
    for folder in (path / "ModelParameters", path / "train" / "checkpoints" / "ModelParameters", path / "checkpoints" /
                   "ModelParameters", path):
        if (folder / "latest.pth").is_file():
            return folder / "latest.pth"
        epochs = [file for file in folder.glob("*.pth") if file.stem.isdecimal()] if folder.is_dir() else []
        if epochs:
            return max(epochs, key=lambda file: int(file.stem))
    raise MissingAsset(f"{path}: holds no ModelParameters/latest.pth; expected MonoGaussianAvatar's .../train/checkpoints")
