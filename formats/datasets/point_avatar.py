"""IMavatar's and PointAvatar's own folders: several videos of one person, beside each other.

    <data>/<subject>/<subject>/<video>/flame_params.json image/1.png mask/1.png keypoint.json iris.json

Which video is held out stands in the systems' configurations, not in the data. Here it is the last by name; or the one that
`root` names, so `--data yufeng/yufeng/MVI_1812` holds MVI_1812 out and learns from its siblings. Of a lone video the last 15 %
are held out. A video is as in `formats.datasets.imavatar`. Zheng et al., "PointAvatar", CVPR 2023.
"""

from pathlib import Path

import numpy as np

from formats.datasets import folder, imavatar
from formats.datasets.frames import Frames
from formats.datasets.joining import join_frames, join_sequences, take_frames
from formats.errors import MissingAsset
from formats.sequence import Sequence

SHARE = 0.15
"""Of a lone video's frames."""
PATTERNS = (".", "*", "*/*")


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by name when the nouns are built
def read(root: Path, split: str, edition: str | None = None) -> Frames:
    """Return one split of the subject in `root`; or of the siblings of the video `root`, which is held out then.

    Raises:
        MissingAsset: A folder, the motion or a picture is not there.
        FormatError: The motion is damaged, or the videos differ in how they were tracked.
    """
    folder.check_split(split)
    subject, videos = _videos(Path(root), split)
    basis = _edition(subject, edition)
    parts = [imavatar.read_video(video, video.name, split, basis) for video in videos]
    labelled = join_frames(parts, subject.name, str(subject), [video.name for video in videos])
    if len(_all(subject)) > 1:
        return labelled
    return take_frames(labelled, folder.tail(len(labelled), split, round(SHARE * len(labelled))))


@np.errstate(over="ignore", invalid="ignore")
def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return the motion of all videos, each a range of its name, and `train` before `test`; no pictures are needed.

    Raises:
        MissingAsset: There is no such folder.
        FormatError: The motion is damaged.
    """
    subject, held = _videos(Path(root), "test")
    videos = [video for video in _all(subject) if video not in held] + held
    parts = [imavatar.video_motion(video, _edition(subject, edition), fps) for video in videos]
    joined = join_sequences(parts, str(subject))
    count = len(joined)
    trained = count - len(parts[-1]) if len(videos) > 1 else len(folder.tail(count, "train", round(SHARE * count)))
    ends = np.cumsum([len(part) for part in parts]).tolist()
    named = {video.name: (end - len(part), end) for video, part, end in zip(videos, parts, ends, strict=True)}
    return folder.with_ranges(joined, dict(folder.ranged(joined, trained).ranges) | named)


def holds(root: Path) -> bool:
    """Tell whether `root` is a subject's folder, with videos in it."""
    return bool(_all(root))


def _all(subject: Path) -> list[Path]:
    return [path.parent for path in sorted(subject.glob(f"*/{imavatar.MOTION}"))]


def _videos(root: Path, split: str) -> tuple[Path, list[Path]]:
    """Return the subject's folder and the videos of a split, by name."""
    if (root / imavatar.MOTION).is_file():
        held = root.resolve()
        subject, named = held.parent, True
    else:
        subject, named = folder.only(root, PATTERNS, holds, f"<video>/{imavatar.MOTION}"), False
        held = _all(subject)[-1]
    others = [video for video in _all(subject) if video != held]
    if not others:
        return subject, [held]
    if named and held.name.endswith("_train"):
        raise MissingAsset(f"{root}: would be held out, and its name says it is to be learned from; name the video to hold out, "
                           "or read this folder as --dataset imavatar")
    return subject, others if split == "train" else [held]


def _edition(subject: Path, edition: str | None) -> str:
    return folder.edition_of(subject, edition, above=2)
