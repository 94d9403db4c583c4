"""An avatar as clouds of Gaussians in world space: at rest, at a frame of its clip, or as a numbered series of frames."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from exporter.capabilities import Loss
from formats.avatar import Avatar
from formats.deform import PosedSplats, deform, rest_sequence
from formats.errors import BindingError, CheckpointMismatch, FormatError, UnsupportedFeature
from formats.files import replacing_folder
from formats.gaussians import GaussianCloud
from formats.render import RenderOptions, default_camera, psnr, render_layers
from formats.retarget import MODES, with_head_motion
from formats.sequence import Sequence
from formats.spherical_harmonics import rotate_sh

NOTICES = "LICENSES.txt"
"""What a folder keeps the avatar's licence notices in."""
SERIES_LIMIT = 100_000
THIN, KEPT_SHARE = 1e-6, 1e-4
"""Metres, below which scales are not promised to be kept; and the share of it that a scale may be off and is kept."""
PICTURE_SIZE = 256
"""Pixels each way of pictures that are compared."""


@dataclass(frozen=True)
class StillOptions:
    """Which still, or which stills."""

    frame: float | None = None
    """Frame of the clip to pose at, fractions allowed."""
    frames: str = ""
    """Write a folder of numbered files instead: `all`, FIRST:END or FIRST:END:STEP (END excluded), or frames by commas."""
    space: Literal["rest", "world"] | None = None
    """`rest`: the head at rest, neutral and unturned. `world`: posed in the world, at --frame, else at the clip's first frame.
    When absent: world where a frame is given, else rest."""
    head_motion: Literal["head", "camera"] = "head"
    """Where relative motion goes when the clip moves the camera instead of the head; a still has no cameras."""


def frame_of(avatar: Avatar, options: StillOptions, target: str) -> float | None:
    """Return the frame that a single still is posed at; None is the head at rest.

    Raises:
        UnsupportedFeature: Options contradict each other.
        FormatError: There is no such frame.
    """
    _refuse_contradictions(options, target)
    frame = 0.0 if options.space == "world" and options.frame is None and avatar.sequence is not None else options.frame
    if frame is not None and (avatar.sequence is None or not 0 <= frame <= len(avatar.sequence) - 1):
        raise FormatError(f"{target}: --frame {frame:g}, but the avatar has {_held(avatar)}; give --sequence with enough frames")
    return frame


def frames_of(avatar: Avatar, options: StillOptions, target: str) -> list[int]:
    """Return the frames that `options.frames` names.

    Raises:
        UnsupportedFeature: Options contradict each other.
        FormatError: It is not understood, or names frames that are not there.
    """
    _refuse_contradictions(options, target)
    count, text = 0 if avatar.sequence is None else len(avatar.sequence), options.frames.strip()
    if text == "all":
        frames = list(range(count))
    elif re.fullmatch(r"\d{1,7}(,\d{1,7})*", text):
        frames = [int(each) for each in text.split(",")]
    elif (ends := re.fullmatch(r"(\d{0,7}):(\d{0,7})(?::([1-9]\d{0,6}))?", text)) is not None:
        frames = list(range(int(ends[1] or 0), min(int(ends[2] or count), SERIES_LIMIT), int(ends[3] or 1)))
    else:
        raise FormatError(f"{target}: --frames {text!r}; expected all, FIRST:END, FIRST:END:STEP, or whole numbers with commas")
    if not frames or max(frames) >= count or len(set(frames)) != len(frames):
        raise FormatError(f"{target}: --frames {text}: {len(frames)} frames, the last is {max(frames, default=None)}, but the "
                          f"avatar has {_held(avatar)}, each once; give --sequence with enough frames")
    return frames


def _refuse_contradictions(options: StillOptions, target: str) -> None:
    if options.frame is not None and options.frames:
        raise UnsupportedFeature(f"{target}: --frame and --frames; give one of them")
    if options.space == "rest" and (options.frame is not None or options.frames):
        raise UnsupportedFeature(f"{target}: --space rest is the head at rest; leave --frame and --frames out, or choose --space "
                                 "world")


def _held(avatar: Avatar) -> str:
    return "no clip" if avatar.sequence is None else f"frames 0..{len(avatar.sequence) - 1}"


def with_motion(avatar: Avatar, mode: str) -> Avatar:
    """Return the avatar with its clip's camera motion given to the head, or left out (`formats.retarget.with_head_motion`)."""
    clip = avatar.sequence
    if clip is None or not clip.cameras:
        return avatar
    return dataclasses.replace(avatar, sequence=with_head_motion(clip, avatar.head, mode))


def still(avatar: Avatar, frame: float | None, target: str) -> GaussianCloud:
    """Return the Gaussians of all layers, posed, one layer after the other; SH in world axes.

    Args:
        avatar: Its splat and strand layers are taken.
        frame: Of the avatar's clip; None poses the head at rest.
        target: For messages.

    Raises:
        BindingError: A network needs more than the head at rest gives.
        UnsupportedFeature: There are no Gaussians.
    """
    sequence: Sequence = rest_sequence(avatar.head) if frame is None or avatar.sequence is None else avatar.sequence
    try:
        posed = deform(avatar, sequence, frame or 0.0)
    except BindingError as error:
        raise BindingError(f"{target}: {error}; pose the avatar at a frame of its clip with --frame") from error
    clouds = [_in_world(layer) for layer in posed.layers if isinstance(layer, PosedSplats)]
    if not clouds:
        raise UnsupportedFeature(f"{target}: the avatar has no Gaussians; export it as glb")
    bands = max(cloud.sh.shape[1] for cloud in clouds)
    padded = [np.pad(cloud.sh, ((0, 0), (0, bands - cloud.sh.shape[1]), (0, 0))) for cloud in clouds]
    joined = {name: np.concatenate([getattr(cloud, name) for cloud in clouds])
              for name in ("means", "quats", "scales", "opacities")}
    return GaussianCloud(**joined, sh=np.concatenate(padded))


def _in_world(layer: PosedSplats) -> GaussianCloud:
    cloud = layer.cloud
    if cloud.sh_degree == 0 or np.array_equal(layer.sh_rotation, np.eye(3)):
        return cloud
    sh = rotate_sh(cloud.sh, layer.sh_rotation)
    return GaussianCloud(cloud.means, cloud.quats, cloud.scales, cloud.opacities, sh)


def write_series(avatar: Avatar, out: Path, frames: list[int], suffix: str, write: Callable[[GaussianCloud, Path], None],
                 target: str) -> list[Path]:
    """Write a folder `out` with `frame_NNNNN<suffix>` for each of `frames`, all or none, and return the paths.

    Raises:
        FormatError: `out` is a folder with something else in it.
    """
    foreign = [] if not out.is_dir() else [entry.name for entry in sorted(out.iterdir())
                                           if number_of(entry.name, suffix) is None and entry.name != NOTICES]
    if foreign:
        raise FormatError(f"{out}: holds '{foreign[0]}', which is no part of a series of {suffix} files; choose another --out, "
                          "or empty it first")
    with replacing_folder(out) as folder:
        for frame in frames:
            write(still(avatar, float(frame), target), folder / f"frame_{frame:05d}{suffix}")
        if avatar.meta.license_notices:
            (folder / NOTICES).write_text(notices(avatar), encoding="utf-8")
    return sorted(out.iterdir())


def number_of(name: str, suffix: str) -> int | None:
    """Return the frame that a file of a series shows, or None when its name is no such file's."""
    found = re.fullmatch(r"frame_(\d{5,7})" + re.escape(suffix), name)
    return int(found[1]) if found else None


def spread(folder: Path, suffix: str, count: int) -> list[tuple[int, Path]]:
    """Return `count` files of a series with the frames they show, spread over it.

    Raises:
        CheckpointMismatch: There are none.
    """
    numbered = sorted((number, file) for file in folder.iterdir() if (number := number_of(file.name, suffix)) is not None)
    if not numbered:
        raise CheckpointMismatch(f"{folder}: holds no frame_NNNNN{suffix}; expected a folder that `export {suffix[1:]} --frames` "
                                 "wrote")
    return [numbered[i] for i in np.unique(np.linspace(0, len(numbered) - 1, max(count, 1)).round().astype(int))]


def candidates(avatar: Avatar, frame: int | None, target: str) -> Iterator[tuple[str, GaussianCloud]]:
    """Give the stills that a file may be of, with their names: the one of `frame`, or all, the head at rest first.

    Raises:
        CheckpointMismatch: The clip has no such frame.
    """
    count = 0 if avatar.sequence is None else len(avatar.sequence)
    if frame is not None and frame >= count:
        raise CheckpointMismatch(f"{target}: the file shows frame {frame}, the bundle's clip has {count} frames; validate it "
                                 "against the bundle and clip it was made from")
    if frame is None:
        try:
            yield "at rest", still(avatar, None, target)
        except BindingError:
            pass  # a network needs a clip's drivers
    moves = avatar.sequence is not None and bool(avatar.sequence.cameras)
    for mode in MODES if moves else MODES[:1]:
        moved = with_motion(avatar, mode)
        for i in range(count) if frame is None else [frame]:
            yield f"frame {i}", still(moved, float(i), target)


def thin_losses(pairs: list[tuple[GaussianCloud, GaussianCloud]]) -> list[Loss]:
    """Return what became of scales below a micrometre, which nobody promises to keep; nothing where they were kept.

    Args:
        pairs: What was written, in metres, and what a reader makes of it; the same Gaussians in the same order.
    """
    thin = [a.scales < THIN for a, _ in pairs]
    changed = [np.abs(b.scales[i].astype(np.float64) - a.scales[i]) > KEPT_SHARE * a.scales[i]
               for (a, b), i in zip(pairs, thin, strict=True)]
    if not any(each.any() for each in changed):
        return []
    most = max(range(len(pairs)), key=lambda i: int(changed[i].sum()))
    drawn = max(float(b.scales[i][c].max(initial=0)) for (_, b), i, c in zip(pairs, thin, changed, strict=True))
    return [Loss("scales below a micrometre", f"{int(changed[most].sum())} of {thin[most].size} half-axes, drawn up to "
                 f"{drawn * 1e3:.2g} mm", False)]


def notices(avatar: Avatar) -> str:
    """Return the avatar's licence notices as text, a line each."""
    return "".join(f"{notice}\n" for notice in avatar.meta.license_notices)


def picture_psnr(avatar: Avatar, a: GaussianCloud, b: GaussianCloud) -> float:
    """Return the PSNR between pictures of two clouds of `avatar`, from where its default camera stands."""
    camera, options = default_camera(avatar, PICTURE_SIZE, PICTURE_SIZE), RenderOptions()
    return psnr(*(render_layers([PosedSplats("still", cloud, np.eye(3))], camera, options).rgb for cloud in (a, b)))
