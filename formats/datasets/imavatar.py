"""IMavatar's and PointAvatar's layout, as FateAvatar packs it: one folder for training, one held out.

    <subject>/<subject>_train/  <subject>/<subject>_test/
        flame_params.json       motion and cameras (`formats.codecs.flame_params`)
        matted/1.png            RGBA, background and clothing removed; what trainers learn from
        image/1.png mask/1.png  RGB and matte, read where there is no `matted`
        keypoint.json iris.json optional, what the detectors saw, pixels

IMavatar: Zheng et al., "I M Avatar", CVPR 2022. FateAvatar: Zhang et al., CVPR 2025.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from formats.codecs import flame_params
from formats.codecs.json_file import Fields, as_numbers, read_json
from formats.datasets import folder
from formats.datasets.frames import Frames
from formats.datasets.joining import join_sequences
from formats.errors import FormatError, MissingAsset, naming
from formats.sequence import Sequence

MOTION = "flame_params.json"
LIDS = {"left": slice(42, 48), "right": slice(36, 42)}
"""Of iBUG's 68 landmarks; the subject's left and right eye."""


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by name when the nouns are built
def read(root: Path, split: str, edition: str | None = None) -> Frames:
    """Return one split of the subject in `root`, or of the video folder `root` and its sibling.

    Frames come in the order of their numbers. Where the files hold them: `points2d` has `landmarks` [T, 68, 2] (the
    tracker's own projections, else the detector's) and `irises` [T, 2, 2] (left, right; NaN where the detector saw none).

    Raises:
        MissingAsset: A folder, the motion or a picture is not there.
        FormatError: The motion is damaged, or names files outside its folder.
    """
    folder.check_split(split)
    name, video = _video(Path(root), split)
    return read_video(video, name, split, folder.edition_of(video.parent, edition))


def read_video(video: Path, name: str, split: str, basis: str) -> Frames:
    """Return all frames of one video folder as the split `split` of `name`, in `basis` coefficients.

    Raises:
        MissingAsset: The motion or a picture is not there.
        FormatError: The motion is damaged, or names files outside its folder.
    """
    sequence, entries, stems = _motion(video, basis, folder.FPS)
    matted = (video / "matted").is_dir()
    images = tuple(folder.picture(_beside(stem, "matted") if matted else stem, entry.where, "copy it there")
                   for stem, entry in zip(stems, entries, strict=True))
    masks = () if matted else _masks(stems, entries)
    sequence = _at_size(sequence, folder.picture_size(images[0]))
    return Frames(name, split, sequence, images, masks, tuple(stem.name for stem in stems),
                  _points(video, sequence, entries, stems))


@np.errstate(over="ignore", invalid="ignore")
def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return the motion of the subject in `root`, its videos called `train` and `test`; no pictures are needed.

    Cameras are for the pictures where they are there, else for 512 x 512. `root` may also be one video's folder.

    Raises:
        MissingAsset: There is no such folder.
        FormatError: The motion is damaged.
    """
    root = Path(root)
    videos = [("", root.resolve())] if (root / MOTION).is_file() else []
    for split in folder.SPLITS if not videos else ():
        try:
            videos.append((split, _video(root, split)[1]))
        except MissingAsset:
            if split == "train":
                raise
    parts = [video_motion(video, folder.edition_of(video.parent, edition), fps) for _, video in videos]
    sequence = join_sequences(parts, str(root))
    return folder.ranged(sequence, len(parts[0])) if videos[0][0] else sequence


def video_motion(video: Path, basis: str, fps: float | None = None) -> Sequence:
    """Return one video folder's motion and cameras in the order of its frames' numbers."""
    return _motion(video, basis, folder.FPS if fps is None else fps)[0]


def holds(root: Path) -> bool:
    """Tell whether `root` is one video's folder, or a subject's with a video called _train in it."""
    return (root / MOTION).is_file() or any((path / MOTION).is_file() for path in root.glob("*_train"))


def _motion(video: Path, basis: str, fps: float) -> tuple[Sequence, list[Fields], list[Path]]:
    """Return motion, entries and where their pictures would be, in the order of the frames' numbers."""
    where = video / MOTION
    content = read_json(where)
    with naming(where):
        sequence = flame_params.parse(content, where, basis, fps)
    entries = [Fields(entry, f"{where}: frame {i}") for i, entry in enumerate(content["frames"])]
    stems = [_stem(video, entry) for entry in entries]
    order = np.argsort([folder.frame_number(stem, entry.where) for stem, entry in zip(stems, entries, strict=True)],
                       kind="stable")
    return sequence.take(order), [entries[i] for i in order], [stems[i] for i in order]


def _video(root: Path, split: str) -> tuple[str, Path]:
    """Return the subject's name and the split's folder."""
    if (root / MOTION).is_file():
        base, _, ending = root.resolve().name.rpartition("_")
        if ending not in folder.SPLITS or not base:
            raise MissingAsset(f"{root}: is one video of IMavatar's own layout; rename or link the videos to learn from and "
                               f"to hold out as <subject>_train and <subject>_test, and name one of them or the folder "
                               "they are in")
        video = root.resolve().parent / f"{base}_{split}"
        if not (video / MOTION).is_file():
            raise MissingAsset(f"{video}: no such folder with a {MOTION} in it beside {root}; the split '{split}' is "
                               "missing")
        return base, video
    subject = folder.subject(root, lambda path: bool(_videos(path)), f"<subject>_train/{MOTION}")
    videos = _videos(subject)
    fitting = [video for video in videos if video.name.endswith(f"_{split}")]
    own = [video for video in fitting if video.name == f"{subject.name}_{split}"]
    fitting = own or fitting
    if len(fitting) == 1:
        return fitting[0].name.removesuffix(f"_{split}"), fitting[0].resolve()
    if fitting:
        raise MissingAsset(f"{subject}: several videos are called _{split}: {folder.listing(fitting)}; name the one to read")
    raise MissingAsset(f"{subject}: no video is called <subject>_{split}; found {folder.listing(videos)}: rename or link the "
                       f"one to {'learn from' if split == 'train' else 'hold out'} as {subject.name}_{split}")


def _videos(path: Path) -> list[Path]:
    return [inner for inner in sorted(path.iterdir()) if (inner / MOTION).is_file()]


def _stem(video: Path, entry: Fields) -> Path:
    """Return where the frame's `image` would be, without an ending."""
    path = folder.inside(video, entry.text("file_path"), f"{entry.where}: 'file_path'")
    if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        path = path.with_suffix("")
    return video / "image" / path.name if path.parent == video else path


def _beside(stem: Path, name: str) -> Path:
    # Only the folder's own name is exchanged: a text "image" further up the path stays what it is.
    return stem.parent.parent / name / stem.name


def _masks(stems: list[Path], entries: list[Fields]) -> tuple[Path, ...]:
    if not (stems[0].parent.parent / "mask").is_dir():
        return ()  # the pictures may hold the matte themselves; `check` looks
    return tuple(folder.picture(_beside(stem, "mask"), entry.where) for stem, entry in zip(stems, entries, strict=True))


def _at_size(sequence: Sequence, size: tuple[int, int]) -> Sequence:
    """Return the cameras for pictures of `size`: the files hold shares of the width and height, not pixels."""
    held = sequence.cameras["size"].astype(np.float64)
    scale = np.asarray(size, np.float64) / held
    if (scale == 1).all():
        return sequence
    k = sequence.cameras["K"].astype(np.float64)
    k[:, :2] *= scale[:, :, None]
    cameras = {"K": k, "world_to_camera": sequence.cameras["world_to_camera"], "size": held * scale}
    return Sequence(sequence.basis, sequence.fps, sequence.expr, sequence.rotation, sequence.neck, sequence.jaw,
                    sequence.eyes, shape=sequence.shape, cameras=cameras)


def _points(video: Path, sequence: Sequence, entries: list[Fields], stems: list[Path]) -> dict[str, np.ndarray]:
    size = sequence.cameras["size"].astype(np.float64)
    found: dict[str, np.ndarray] = {}
    irises = None
    if all(entry.has("flame_keypoints") for entry in entries):
        rows = [entry.numbers("flame_keypoints") for entry in entries]
        for row, entry in zip(rows, entries, strict=True):
            if row.shape not in ((68, 2), (70, 2)) or row.shape != rows[0].shape:
                raise FormatError(f"{entry.where}: 'flame_keypoints': expected 68 or 70 points in every frame, got shape "
                                  f"{list(row.shape)}")
        # -1 and 1 are the picture's borders, y down.
        points = (np.stack(rows) + 1) / 2 * size[:, None]
        found["landmarks"] = points[:, :68]
        irises = points[:, 68:] if points.shape[1] == 70 else None
    elif (video / "keypoint.json").is_file():
        found["landmarks"] = _detected(video / "keypoint.json", stems, 68)
    if (video / "iris.json").is_file():
        irises = _detected(video / "iris.json", stems, 2)
    if irises is not None:
        found["irises"] = left_first(irises, found.get("landmarks"))
    return found


def _detected(path: Path, stems: list[Path], count: int) -> Float64[np.ndarray, "T count 2"]:
    """Return points by picture name, NaN where the detector failed: the tracker then used its last ones, we do not."""
    content: Any = read_json(path)
    if not isinstance(content, dict):
        raise FormatError(f"{path}: expected an object of points by picture name")
    points = np.full((len(stems), count, 2), np.nan)
    for i, stem in enumerate(stems):
        value = content.get(f"{stem.name}.png")
        if value in (None, []):
            continue
        row = as_numbers(value, f"{path}: '{stem.name}.png'") if isinstance(value, list) else np.zeros(0)
        if row.size != 2 * count:
            raise FormatError(f"{path}: '{stem.name}.png': expected {count} points, got {row.size} numbers")
        points[i] = row.reshape(count, 2)
    return points


def left_first(irises: np.ndarray, landmarks: np.ndarray | None) -> np.ndarray:
    """Return irises [T, 2, 2] as left, right: each goes to the lids it is nearer to, the two files differ in order."""
    if landmarks is None:
        return irises  # iris.json holds the subject's left eye first
    lids = np.stack([landmarks[:, LIDS[side]].mean(axis=1) for side in ("left", "right")], axis=1)
    straight = np.linalg.norm(irises - lids, axis=2).sum(axis=1)
    crossed = np.linalg.norm(irises[:, ::-1] - lids, axis=2).sum(axis=1)
    return np.where((crossed < straight)[:, None, None], irises[:, ::-1], irises)
