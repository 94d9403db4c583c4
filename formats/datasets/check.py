"""Everything that would spoil a training, looked for before it starts: headers only, seconds for thousands of frames."""

from pathlib import Path

import numpy as np
from PIL import Image

from formats.avatar import check_driver
from formats.datasets.frames import Frames
from formats.datasets.reprojection import check_reprojection
from formats.datasets.silhouette import check_silhouette
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.head_model import HeadModel

PNG_END = b"IEND\xaeB`\x82"
"""Type and checksum of the chunk that ends every whole PNG."""
ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")


def check(frames: Frames, head: HeadModel) -> None:
    """Raise unless `frames` can train an avatar on `head`.

    Raises:
        MissingAsset: A picture or mask is not there.
        FormatError: Too few frames; a picture that is damaged, of another size than its camera's, or without a matte;
            a camera that is none; or the head does not land where the trackers saw it.
        CheckpointMismatch: The frames were tracked with another head, or their shape does not fit it.
    """
    where = f"{frames.images[0].parent}: '{frames.name}' {frames.split}"
    if len(frames) < 2:
        raise FormatError(f"{where}: holds {len(frames)} frame; a video has at least 2")
    try:
        check_driver(head, frames.sequence)
    except CheckpointMismatch as error:
        raise CheckpointMismatch(f"{where}: {error}; or name the edition the video was tracked with (--edition)") from error
    _check_shape(frames, head, where)
    _check_numbers(frames)
    for index in range(len(frames)):
        _check_picture(frames, index)
    _check_mattes(frames, where)
    if not check_reprojection(frames, head).errors:
        check_silhouette(frames, head)


def _check_shape(frames: Frames, head: HeadModel, where: str) -> None:
    shape = frames.sequence.shape
    held = 0 if head.shapedirs is None else head.shapedirs.shape[2]
    if shape is not None and len(shape) > held:
        raise CheckpointMismatch(f"{where}: the person's shape has {len(shape)} coefficients, the head {held} shapedirs; "
                                 "use the head file the video was tracked with, identity directions included")


def _check_numbers(frames: Frames) -> None:
    sequence = frames.sequence
    for name in ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation"):
        _all_finite(frames, name, getattr(sequence, name))
    for name, value in sequence.cameras.items():
        _all_finite(frames, f"camera {name}", value)
    rotation = sequence.cameras["world_to_camera"][:, :3, :3].astype(np.float64)
    crooked = np.abs(rotation @ rotation.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2)) > 1e-3
    focal = np.diagonal(sequence.cameras["K"], axis1=1, axis2=2)[:, :2]
    for index in np.flatnonzero(crooked | (np.linalg.det(rotation) < 0))[:1]:
        raise FormatError(f"{_name(frames, index)}: the camera's upper 3x3 is no rotation: it mirrors, scales or shears; the "
                          "data set's camera matrices are damaged")
    for index in np.flatnonzero((focal <= 0).any(axis=1))[:1]:
        raise FormatError(f"{_name(frames, index)}: focal lengths must be positive, got {focal[index].tolist()}")


def _all_finite(frames: Frames, name: str, value: np.ndarray) -> None:
    for index in np.flatnonzero(~np.isfinite(value).reshape(len(value), -1).all(axis=1))[:1]:
        raise FormatError(f"{_name(frames, index)}: {name} is not finite; the tracker diverged there: track again, or remove "
                          "the frame")


def _check_picture(frames: Frames, index: int) -> None:
    width, height = (int(v) for v in frames.sequence.cameras["size"][index])
    size, alpha = _header(frames.images[index], _name(frames, index))
    if size != (width, height):
        raise FormatError(f"{_name(frames, index)}: {frames.images[index]} is {size[0]} x {size[1]} pixels, its camera {width} "
                          f"x {height}; use the pictures the tracker saw")
    if frames.masks:
        size, _ = _header(frames.masks[index], _name(frames, index))
        if size != (width, height):
            raise FormatError(f"{_name(frames, index)}: the mask {frames.masks[index]} is {size[0]} x {size[1]} pixels, its "
                              f"picture {width} x {height}; write the masks at the pictures' size")
    elif not alpha:
        raise FormatError(f"{_name(frames, index)}: {frames.images[index]} has no alpha channel and there is no mask for it; "
                          "cut the person out first (background and clothing transparent)")


def _header(path: Path, where: str) -> tuple[tuple[int, int], bool]:
    """Return size and whether there is alpha, from the first bytes; a PNG must also end as one."""
    try:
        with open(path, "rb") as file:
            with Image.open(file) as image:
                size, kind = image.size, image.format
                alpha = image.mode in ALPHA_MODES or image.mode == "P" and "transparency" in image.info
            if kind == "PNG":
                file.seek(-len(PNG_END), 2)
                if file.read() != PNG_END:
                    raise FormatError(f"{where}: {path} is cut off: the end of the PNG is missing; copy or write it again")
            return size, alpha
    except FileNotFoundError as error:
        raise MissingAsset(f"{where}: {path}: no such picture; copy it there, or remove the frame") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{where}: {path}: not a picture that can be read: {error}") from error


def _check_mattes(frames: Frames, where: str) -> None:
    """Look into three pictures: a matte that is the same everywhere is none."""
    picks = sorted({0, len(frames) // 2, len(frames) - 1})
    mattes = [frames.picture(index)[..., 3] for index in picks]
    for value, meaning in ((0, "nobody is in them"), (255, "the background is not cut out")):
        if all((matte == value).all() for matte in mattes):
            raise FormatError(f"{where}: the mattes of frames {', '.join(frames.labels[i] for i in picks)} are {value} "
                              f"everywhere: {meaning}; write pictures whose background and clothing are transparent")


def _name(frames: Frames, index: int) -> str:
    return f"'{frames.name}' {frames.split}, frame {frames.labels[index]}"
