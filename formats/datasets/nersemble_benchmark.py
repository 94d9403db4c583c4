"""The NeRSemble benchmark's `mono_flame_avatar`: one camera to learn from, FLAME 2023 tracked, pictures in MP4s.

    <id>/calibration/camera_params.json                   world_2_cam {serial: 4x4 OpenCV}, intrinsics {serial: 3x3} pixels
         sequences/<sequence>/images/cam_<serial>.mp4     background removed already
                              alpha_maps/cam_<serial>.mp4 mattes, first channel
                              tracking/flame2023_tracking_v2.npz
    ground_truth/<id>/<sequence>/cam_<serial>.mp4         beside mono_flame_avatar: in our captures only, with ground_truth_alpha

A head is placed by a similarity about the model's origin, v_world = scale * R * v + translation, R = Rx Ry Rz of the Euler
angles. Camera 222200037 of all sequences but the four test ones is the train split; what there are of pictures by the hold-out
cameras, or of the test sequences, is the test split. The benchmark keeps those: `motion` gives their coefficients and cameras.
Facts of the files: the benchmark's toolkit. Kirschstein et al., "NeRSemble", ACM TOG 2023.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from formats.codecs import npz_file
from formats.codecs.json_file import Fields, read_json
from formats.datasets import clips, folder
from formats.datasets.frames import Frames
from formats.datasets.joining import join_frames, join_sequences
from formats.datasets.placement import Similarity, placed, root_joints
from formats.errors import FormatError, MissingAsset, naming
from formats.head_model import HeadModel
from formats.rotations import euler_to_matrix
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
EDITION = "flame2023"
TRAIN_CAMERA = "222200037"
TEST_SEQUENCES = ("FREE", "EMO-1-shout+laugh", "SEN-09-frown_events_bad", "SEN-10-port_strong_smokey")
TRACKING = ("flame2023_tracking_v2.npz", "flame2023_tracking.npz")
"""The newer one first."""
PATTERNS = (".", "*", "mono_flame_avatar/*", "*/mono_flame_avatar/*")
KEPT = {"images": "ground_truth", "alpha_maps": "ground_truth_alpha"}
"""Folders beside `mono_flame_avatar` with clips of the test sequences, named as submissions are: <id>/<sequence>/cam_..."""
WIDTHS = {"rotation": 3, "translation": 3, "jaw": 3, "neck": 3, "eyes": 6}
SIZE = 512
"""Pixels of the pictures, where none is there to look at."""
EULER_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Tracking:
    """One sequence's rows."""

    path: Path
    sequence: Sequence
    """Root standing still, no cameras."""
    where: Similarity
    frames: np.ndarray
    """The video's frame of each row."""


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by name when the nouns are built
def read(root: Path, split: str, edition: str | None = None, head: HeadModel | None = None) -> Frames:
    """Return one split of the participant in `root`, sequence by sequence; the clips are unpacked on first reading.

    Args:
        root: The participant's folder, `mono_flame_avatar`, or the folder it is in.
        split: `train` or `test`.
        edition: FLAME edition of the coefficients.
        head: A head of that edition: then the head moves. Without it the cameras move about a still head, which shows the same.

    Raises:
        MissingAsset: A file is not there, or the benchmark keeps the split's pictures.
        FormatError: A file is damaged, or a clip and its tracking differ in length.
    """
    folder.check_split(split)
    subject = _subject(Path(root))
    cameras = _calibration(subject)
    parts = []
    for sequence in _sequences(subject):
        serials = [serial for serial in cameras if _clip(sequence, "images", serial).is_file()
                   and _split(sequence.name, serial) == split]
        if serials:
            parts.append(_frames(subject, sequence, serials, cameras, split, edition, head))
    if not parts:
        raise MissingAsset(
            f"{subject}: holds no pictures to {'learn from' if split == 'train' else 'test on'}; " + (
                f"expected sequences/<sequence>/images/cam_{TRAIN_CAMERA}.mp4" if split == "train" else
                "the benchmark keeps those of its hold-out cameras and test sequences. Evaluate on the split train, or draw its "
                "test sequences from the motion in this folder"))
    return join_frames(parts, subject.name, str(subject))


@np.errstate(over="ignore", invalid="ignore")
def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return all sequences as the train camera sees them, each a range of its name, `train` and `test` ones together.

    The cameras move about a still head. No pictures are needed.

    Raises:
        MissingAsset: There is no participant's folder, or tracking is absent.
        FormatError: A file is damaged.
    """
    subject = _subject(Path(root))
    cameras = _calibration(subject)
    serial = TRAIN_CAMERA if TRAIN_CAMERA in cameras else next(iter(cameras))
    ordered = sorted(_sequences(subject), key=lambda path: (path.name in TEST_SEQUENCES, path.name))
    parts = []
    for sequence in ordered:
        track = _tracking(sequence, _edition(subject, edition), folder.FPS if fps is None else fps)
        count = len(track.sequence)
        seen = _seen(cameras[serial], count, (SIZE, SIZE))
        parts.append(placed(folder.with_cameras(track.sequence, seen, track.path), track.where, None))
    trained = sum(len(part) for part, path in zip(parts, ordered, strict=True) if path.name not in TEST_SEQUENCES)
    joined = join_sequences(parts, str(subject))
    ends = np.cumsum([len(part) for part in parts]).tolist()
    named = {path.name: (end - len(part), end) for path, part, end in zip(ordered, parts, ends, strict=True)}
    ranges = folder.ranged(joined, trained).ranges if trained else {"test": (0, len(joined))}
    return folder.with_ranges(joined, dict(ranges) | named)


def holds(root: Path) -> bool:
    """Tell whether `root` is a participant's folder of the benchmark, or one of its folders above."""
    return any(any(_is_subject(path) for path in root.glob(pattern)) for pattern in ("mono_flame_avatar/*",)) or _is_subject(root)


def _is_subject(path: Path) -> bool:
    return (path / "calibration" / "camera_params.json").is_file() and any(
        any(path.glob(f"sequences/*/tracking/{name}")) for name in TRACKING)


def _subject(root: Path) -> Path:
    return folder.only(root, PATTERNS, _is_subject, "<id>/calibration and <id>/sequences/*/tracking")


def _edition(subject: Path, edition: str | None) -> str:
    return folder.edition_of(subject, edition, EDITION, above=2)


def _split(sequence: str, serial: str) -> str:
    return "train" if serial == TRAIN_CAMERA and sequence not in TEST_SEQUENCES else "test"


def _sequences(subject: Path) -> list[Path]:
    return [path for path in sorted((subject / "sequences").iterdir())
            if any((path / "tracking" / name).is_file() for name in TRACKING)]


def _clip(sequence: Path, kind: str, serial: str) -> Path:
    """Return where a clip is; of what the benchmark keeps, in our captures, beside `mono_flame_avatar`."""
    own = sequence / kind / f"cam_{serial}.mp4"
    subject = sequence.parents[1]
    kept = subject.parents[1] / KEPT[kind] / subject.name / sequence.name / own.name
    return kept if kept.is_file() and not own.is_file() else own


def _frames(subject: Path, sequence: Path, serials: list[str], cameras: dict[str, tuple[np.ndarray, np.ndarray]], split: str,
            edition: str | None, head: HeadModel | None) -> Frames:
    """Return one sequence by some cameras, moment by moment."""
    images, masks, seen, fps = {}, {}, {}, folder.FPS
    for serial in serials:
        images[serial], fps = _unpacked(subject, sequence, "images", serial)
        if _clip(sequence, "alpha_maps", serial).is_file():
            masks[serial], _ = _unpacked(subject, sequence, "alpha_maps", serial)
    track = _tracking(sequence, _edition(subject, edition), fps)
    count = len(track.sequence)
    for serial in serials:
        for kind, paths in (("images", images), ("alpha_maps", masks)):
            if serial in paths:
                paths[serial] = folder.matched(paths[serial], track.frames, str(_clip(sequence, kind, serial)))
        seen[serial] = _seen(cameras[serial], count, folder.picture_size(images[serial][0]))
    rows = [(i, serial) for i in range(count) for serial in serials]
    many = track.sequence.take([i for i, _ in rows])
    views = {name: np.stack([seen[serial][name][i] for i, serial in rows]) for name in ("K", "world_to_camera", "size")}
    many = folder.with_cameras(many, views, track.path)
    with naming(track.path):
        many = placed(many, track.where.take([i for i, _ in rows]), None if head is None else root_joints(head, many))
    if masks and len(masks) < len(serials):
        raise MissingAsset(f"{sequence / 'alpha_maps'}: holds mattes of some cameras only; copy those of "
                           f"{', '.join(serial for serial in serials if serial not in masks)} there")
    return Frames(subject.name, split, many, tuple(images[serial][i] for i, serial in rows),
                  tuple(masks[serial][i] for i, serial in rows) if masks else (),
                  tuple(f"{sequence.name}_{int(track.frames[i]):05d}_{serial}" for i, serial in rows))


def _unpacked(subject: Path, sequence: Path, kind: str, serial: str) -> tuple[tuple[Path, ...], float]:
    clip = _clip(sequence, kind, serial)
    return clips.unpack(clip, subject / clips.CACHE / sequence.name / kind / clip.stem, kind == "alpha_maps")


def _seen(camera: tuple[np.ndarray, np.ndarray], count: int, size: tuple[int, int]) -> dict[str, np.ndarray]:
    return {"K": np.tile(camera[0], (count, 1, 1)), "world_to_camera": np.tile(camera[1], (count, 1, 1)),
            "size": np.tile(np.array(size, np.float64), (count, 1))}


def _calibration(subject: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return K and world-to-camera by serial, in the order of the serials."""
    path = subject / "calibration" / "camera_params.json"
    fields = Fields(read_json(path), str(path))
    world, intrinsics = fields.fields("world_2_cam"), fields.fields("intrinsics")
    folder.check_serials(world.values, path)
    return {serial: (folder.intrinsics(intrinsics.numbers(serial), f"{path}: intrinsics '{serial}'"),
                     folder.rigid(world.numbers(serial), f"{path}: world_2_cam '{serial}'"))
            for serial in sorted(world.values)}


def _tracking(sequence: Path, edition: str, fps: float) -> Tracking:
    path = next(path for path in (sequence / "tracking" / name for name in TRACKING) if path.is_file())
    arrays = npz_file.read(path)
    names = ("shape", "expression", "scale", *WIDTHS)
    absent = [name for name in names if name not in arrays]
    if absent:
        raise FormatError(f"{path}: '{absent[0]}' is missing; found {', '.join(list(arrays)[:12])}")
    if arrays["expression"].ndim != 2:
        raise FormatError(f"{path}: 'expression': expected numbers [T, 100], got {list(arrays['expression'].shape)}")
    count = len(arrays["expression"])
    for name in names:
        value = arrays[name]
        rows, width = (value.size // max(value.shape[-1], 1) if value.ndim else 1), value.shape[-1] if value.ndim else 1
        expected = (count if name in WIDTHS or name == "expression" else 1), WIDTHS.get(name, width)
        if value.dtype.kind not in "fiu" or (rows, width) != expected or not np.isfinite(value).all():
            raise FormatError(f"{path}: '{name}': expected finite numbers [{expected[0]}, {expected[1]}], got {value.dtype} "
                              f"{list(value.shape)}")
        arrays[name] = value.reshape(rows, width)
    scale = float(arrays["scale"].reshape(-1)[0])
    if arrays["scale"].size != 1 or not scale > 0:
        raise FormatError(f"{path}: 'scale': expected one positive number, got {arrays['scale'].reshape(-1)[:3].tolist()}")
    turn = euler_to_matrix(arrays["rotation"])
    stored = arrays.get("rotation_matrices")
    if stored is not None and (stored.shape != turn.shape or stored.dtype.kind not in "fiu"
                               or np.abs(stored - turn).max() > EULER_TOLERANCE):
        LOG.warning("%s: 'rotation_matrices' are not Rx Ry Rz of 'rotation'; the angles are used", path)
    frames = arrays.get("frames", np.arange(count)).reshape(-1)
    if len(frames) != count or frames.dtype.kind not in "iuf" or not np.isfinite(frames).all():
        raise FormatError(f"{path}: 'frames': expected {count} numbers, got {len(frames)}")
    where = Similarity(turn, arrays["translation"].astype(np.float64), np.full(count, scale))
    with naming(path):
        return Tracking(path, Sequence(edition, fps, arrays["expression"], neck=arrays["neck"], jaw=arrays["jaw"],
                                       eyes=arrays["eyes"], shape=arrays["shape"].reshape(-1)), where, frames.astype(np.int64))
