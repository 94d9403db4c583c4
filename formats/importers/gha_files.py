"""What Gaussian Head Avatar leaves on disk: checkpoints by kind and age, the tracked parameters, the training's yaml.

Checkpoints are plain `torch.save` files without extension: `<kind>_latest` and `<kind>_epoch_<n>`; the strand-hair fork
writes `<kind>_latest_<seed>` and `<kind>_iter_<n>`.
"""

import dataclasses
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from formats.codecs import npz_file, torch_file
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.files import read_bytes
from formats.importers.gha_networks import Scalars
from formats.importers.recognition import unwrapped
from formats.rotations import axis_angle_to_matrix

LOG = logging.getLogger(__name__)
KINDS = ("gaussianhead", "gaussianhair", "supres", "meshhead", "delta_poses")
NAME = re.compile(rf"({'|'.join(KINDS)})_(latest|latest_\d+|epoch_\d+|iter_\d+)(?:\.(?:pth|pt|ckpt|bin))?")
"""A name as written, or with the extension that somebody gave it."""
CODE_DEFAULTS = Scalars(near=0.1, far=0.2, deform_scale=0.3, attributes_scale=0.05)
"""What the original takes for keys that a yaml leaves out; its own yaml files say `Scalars()`."""
YAML_KEYS = {"dist_threshold_near": "near", "dist_threshold_far": "far", "deform_scale": "deform_scale",
             "attributes_scale": "attributes_scale"}
SECTION = "gaussianheadmodule"
YAML_LIMIT = 1 << 20


# --- Checkpoints ------------------------------------------------------------------------------------------------------


def kind_of(path: Path) -> str:
    """Return which of `KINDS` a checkpoint is: by its name, else by its keys; empty when it is none."""
    named = NAME.fullmatch(path.name)
    if named:
        return named[1]
    root = unwrapped(torch_file.open(path).root)
    keys = set(root) if isinstance(root, Mapping) else set()
    for kind, key in (("gaussianhair", "origins_raw"), ("meshhead", "tet_verts"), ("gaussianhead", "xyz")):
        if key in keys:
            return kind
    return "supres" if any(str(key).startswith("upsampler.") for key in keys) else ""


def newest(folder: Path, kind: str, like: Path | None = None) -> Path | None:
    """Return the checkpoint of a kind in `folder`: the one saved with `like`, else the latest, else the furthest trained."""
    found: list[tuple[tuple[int, int], Path]] = []
    same_as = NAME.fullmatch(like.name) if like is not None else None
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        named = NAME.fullmatch(path.name)
        if named and named[1] == kind and path.is_file():
            word, _, number = named[2].partition("_")
            same = same_as is not None and named[2] == same_as[2]
            rank = 4 if same else 3 if named[2] == "latest" else 2 if word == "latest" else 1
            found.append(((rank, int(number or 0)), path))
    return max(found)[1] if found else None


def beside(path: Path, kind: str) -> Path | None:
    """Return the checkpoint of a kind that belongs to `path`: beside it, or in the folder that stage 1 was named like."""
    here = newest(path.parent, kind, path)
    if here is None and kind == "meshhead" and "gaussianhead" in path.parent.name:
        return newest(path.parent.parent / path.parent.name.replace("gaussianhead", "meshhead"), kind)
    return here


def state_of(path: Path, leave_out: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of a state dict; entries whose key starts with `leave_out` are not even loaded."""
    root = unwrapped(torch_file.open(path).root)
    if isinstance(root, Mapping) and leave_out:
        root = {key: value for key, value in root.items() if not str(key).startswith(leave_out)}
    return torch_file.arrays(root, str(path))


def delta_poses(path: Path) -> np.ndarray:
    """Return a `delta_poses` file: what training added to each frame's pose, [T, 6]."""
    value = torch_file.read(path)
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.shape[1] != 6 or not np.isfinite(value).all():
        raise FormatError(f"{path}: expected a tensor [frames, 6] of finite numbers")
    return value.astype(np.float64)


# --- Tracked parameters -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tracked:
    """What a tracker found for T frames: world = scale x R^T + translation, for rows x of the face model."""

    where: str
    frames: tuple[str, ...]
    expr: Float64[np.ndarray, "T E"]
    rotvecs: Float64[np.ndarray, "T 3"]
    translations: Float64[np.ndarray, "T 3"]
    scale: float
    """Metres in a canonical unit."""

    @property
    def rotations(self) -> np.ndarray:
        """Rotation matrices [T, 3, 3]."""
        return axis_angle_to_matrix(self.rotvecs)


def find_params(sides: Mapping[str, Path], side: str, checkpoint: Path, name: str) -> Path | None:
    """Return the folder of `<frame>/params.npz`: the side input or its folder `name`, else one of that name beside.

    Raises:
        MissingAsset: The side input holds no frames.
    """
    if side in sides:
        for folder in (sides[side], sides[side] / name):
            if any(folder.glob("*/params.npz")):
                return folder
        raise MissingAsset(f"{sides[side]}: holds no <frame>/params.npz; --side {side}= names the folder of the tracked frames")
    for folder in (checkpoint.parent / name, checkpoint.parent.parent / name):
        if any(folder.glob("*/params.npz")):
            return folder
    return None


def read_params(folder: Path, expressions: int) -> Tracked:
    """Return the tracked frames of a folder, in order of their names (as numbers where they are).

    Raises:
        FormatError: A file lacks `exp_coeff`, `pose` or `scale`, or they are misshapen or not finite.
        CheckpointMismatch: Another number of expressions than asked for.
    """
    paths = sorted(folder.glob("*/params.npz"), key=lambda p: (not p.parent.name.isdigit(), p.parent.name.zfill(12)))
    rows = []
    for path in paths:
        arrays = npz_file.read(path)
        row = []
        for key, size in (("exp_coeff", 0), ("pose", 6), ("scale", 1)):
            value = arrays.get(key)
            if value is None or value.dtype.kind not in "fiu" or not value.size or size not in (0, value.size):
                raise FormatError(f"{path}: '{key}': expected {size or 'some'} numbers, got "
                                  f"{'none' if value is None else list(value.shape)}")
            if not np.isfinite(value).all():
                raise FormatError(f"{path}: '{key}' is not finite; track the frame again or remove its folder")
            row.append(value.astype(np.float64).ravel())
        if row[0].size != expressions:
            raise CheckpointMismatch(f"{path}: {row[0].size} expression coefficients, expected {expressions}; "
                                     f"{'FLAME parameters? give them as --side flame_params=' if row[0].size == 59 else ''}"
                                     f"{'BFM parameters? give them as --side params=' if row[0].size == 64 else ''}")
        rows.append(row)
    pose, scales = np.stack([row[1] for row in rows]), np.array([row[2][0] for row in rows])
    scale = float(scales[0])
    if not scale > 0:
        raise FormatError(f"{paths[0]}: 'scale' is {scale}, expected a positive number")
    if np.ptp(scales) > 1e-4 * scale:
        LOG.warning("%s: the scale goes from %.6g to %.6g; an avatar has one, the first frame's %.6g is taken", folder,
                    scales.min(), scales.max(), scale)
    return Tracked(str(folder), tuple(path.parent.name for path in paths), np.stack([row[0] for row in rows]), pose[:, :3],
                   pose[:, 3:], scale)


def corrected(tracked: Tracked, deltas: np.ndarray, where: Path) -> Tracked:
    """Return the frames with `deltas` [T, 6] added to their poses, row by row.

    Raises:
        CheckpointMismatch: There are other than T rows.
    """
    if len(deltas) != len(tracked.frames):
        raise CheckpointMismatch(f"{where}: {len(deltas)} rows, {tracked.where} has {len(tracked.frames)} frames; give the "
                                 "frames that were trained on, or leave --side delta_poses= out")
    return dataclasses.replace(tracked, rotvecs=tracked.rotvecs + deltas[:, :3],
                               translations=tracked.translations + deltas[:, 3:])


# --- The training's yaml ----------------------------------------------------------------------------------------------


def find_yaml(checkpoint: Path) -> Path | None:
    """Return the yaml of the Gaussian stage that belongs to a checkpoint: the only one beside it, else the only one in the
    original's `config/`, two folders up, whose recorder is called like the checkpoint's folder. None where there is none."""
    folder = checkpoint.resolve().parent
    recorder = re.compile(rb"(?m)^\s+name\s*:\s*['\"]?" + re.escape(os.fsencode(folder.name)) + rb"['\"]?\s*(#.*)?$")
    for place, sign in ((folder, None), (folder.parent.parent / "config", recorder)):
        found = []
        for path in sorted(place.glob("*.y*ml")):
            text = path.read_bytes()[:YAML_LIMIT] if path.is_file() else b""
            if re.search(rf"(?m)^{SECTION}\s*:".encode(), text) and (sign is None or sign.search(text)):
                found.append(path)
        if len(found) == 1:
            return found[0]
    return None


def read_scalars(path: Path) -> Scalars:
    """Return the scalars of section `gaussianheadmodule` in a training's yaml; keys it lacks are the original code's.

    Only `key: number` lines of that section are looked at; nothing else of yaml is understood, and nothing is run.

    Raises:
        FormatError: There is no such section, or a value is no number.
    """
    try:
        lines = read_bytes(path, YAML_LIMIT).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: is no text; expected the training's yaml") from error
    values: dict[str, float] = {}
    inside = -1
    found = False
    for number, line in enumerate(lines, 1):
        text = line.split("#", 1)[0].rstrip()
        match = re.fullmatch(r"(\s*)([\w.-]+)\s*:\s*(.*)", text)
        if not match:
            continue
        indent, key, value = len(match[1]), match[2], match[3].strip("'\" ")
        if inside >= 0 and indent <= inside:
            inside = -1
        if key == SECTION and not value:
            inside, found = indent, True
        elif inside >= 0 and key in YAML_KEYS:
            try:
                values[YAML_KEYS[key]] = float(value)
            except ValueError as error:
                raise FormatError(f"{path}: line {number}: '{key}' is '{value}', expected a number") from error
    if not found:
        raise FormatError(f"{path}: has no section '{SECTION}:'; give the yaml of the Gaussian stage (train_gaussianhead_*)")
    return dataclasses.replace(CODE_DEFAULTS, **values)
