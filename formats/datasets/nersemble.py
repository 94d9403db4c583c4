"""NeRSemble's recordings, raw or as VHAP's preprocessing leaves them, with the motion that VHAP tracked.

    <id>/calibration/camera_params.json               world_2_cam {serial: 4x4 OpenCV}, one intrinsics 3x3 for 2200 x 3208
         sequences/<sequence>/images/cam_<serial>.mp4     version 2; or cam_<serial>_<moment>.jpg, alpha_maps/ the same
    camera_params/<id>/camera_params.json             version 1, with
    sequence_<X>_part-n/<id>/<sequence>/cam_<serial>.mp4     or <id>/<sequence>/images/cam_<serial>_<moment>.jpg

Recordings hold no FLAME: `tracked_flame_params_<epoch>.npz` is looked for in the sequence's folder and below, and beside it in
folders that have its name in theirs. Its world is these cameras', metres. Pictures of another size than the calibration's are
taken to be scaled. `landmark2d/` of VHAP's preprocessing is read where it is there.

Sequences without tracking are left out. Of one sequence the last 30 % of the moments are held out, of several FREE, else the last
by name; training does without the frontal camera (`formats.datasets.rig`). Kirschstein et al., "NeRSemble", ACM TOG 2023.
"""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from formats.codecs import npz_file
from formats.codecs.json_file import Fields, read_json
from formats.datasets import clips, folder, rig, vhap_tracks
from formats.datasets.frames import Frames
from formats.datasets.joining import join_frames, join_sequences
from formats.errors import FormatError, MissingAsset
from formats.sequence import Sequence

EDITION = vhap_tracks.EDITION
WIDTH, HEIGHT = 2200, 3208
"""Pixels of the whole pictures, where the calibration does not say them."""
CALIBRATION = "camera_params.json"
PATTERNS = (".", "*", "sequences/*", "*/sequences/*", "*/*", "*/*/*")
KINDS = ("images", "images_2", "images_4", "images_8", ".")
"""Where a sequence's pictures are, the largest first."""
NAME = re.compile(r"cam_(\d+)(?:_(\w+))?\.(mp4|jpg|jpeg|png)")
HELD = "FREE"
SKIPPED = "BACKGROUND"


@dataclass(frozen=True, eq=False)
class Recording:
    """One tracked sequence of one person."""

    person: str
    folder: Path
    calibration: Path
    tracked: Path | None


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by name when the nouns are built
def read(root: Path, split: str, edition: str | None = None) -> Frames:
    """Return one split of the person in `root`, or of the sequence `root`; clips are unpacked on first reading.

    Raises:
        MissingAsset: A file is not there; or nobody has tracked the sequences, and the message says with what to.
        FormatError: A file is damaged, or a clip is shorter than its tracking.
    """
    folder.check_split(split)
    recordings = _tracked(Path(root))
    picked, whole = _of_split(recordings, split)
    parts = [_frames(recording, split, whole, edition) for recording in picked]
    return join_frames(parts, recordings[0].person, str(root))


@np.errstate(over="ignore", invalid="ignore")
def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return the tracked motion as the frontal camera sees it, `train` before `test`; no pictures are needed.

    Raises:
        MissingAsset: Nobody has tracked the sequences.
        FormatError: A file is damaged.
    """
    recordings = _tracked(Path(root))
    trained, whole = _of_split(recordings, "train")
    held = [] if not whole else _of_split(recordings, "test")[0]
    parts = []
    for recording in (*trained, *held):
        assert recording.tracked is not None
        track = vhap_tracks.read(recording.tracked, _edition(recording, edition), folder.FPS if fps is None else fps)
        cameras, size = _calibration(recording.calibration)
        serial = rig.front_camera(sorted(cameras))
        k, world = cameras[serial]
        count = len(track.sequence)
        seen = {"K": np.tile(k, (count, 1, 1)), "world_to_camera": np.tile(world, (count, 1, 1)),
                "size": np.tile(np.array(size, np.float64), (count, 1))}
        parts.append(folder.with_cameras(track.sequence, seen, recording.tracked))
    joined = join_sequences(parts, str(root))
    first = sum(len(part) for part in parts[:len(trained)]) if whole else len(rig.moments(len(joined), "train"))
    return folder.ranged(joined, first)


def holds(root: Path) -> bool:
    """Tell whether `root` is a person's folder of recordings, or a sequence's."""
    return any(_is_sequence(path) and _calibration_of(path) is not None
               for path in (root, *root.glob("*"), *root.glob("sequences/*")))


# --- What is there ----------------------------------------------------------------------------------------------------


def _tracked(root: Path) -> list[Recording]:
    if not root.is_dir():
        raise MissingAsset(f"{root}: no such folder; --data names the person's folder, with calibration/ and sequences/ in it")
    found: dict[Path, Recording] = {}
    for pattern in PATTERNS:
        for path in [root] if pattern == "." else sorted(root.glob(pattern)):
            inner = path.resolve()
            if inner.name == SKIPPED or clips.CACHE in inner.parts or not _is_sequence(inner):
                continue
            calibration = _calibration_of(inner)
            if calibration is not None:
                found.setdefault(inner, Recording(_person(inner).name, inner, calibration, None))
    if not found:
        raise MissingAsset(f"{root}: not a folder of this layout; expected calibration/{CALIBRATION} and "
                           f"sequences/<sequence>/images/cam_<serial>.mp4 in it, found "
                           f"{folder.listing(sorted(root.iterdir())) or 'nothing'}")
    people = sorted({_person(path) for path in found})
    if len({path.name for path in people}) > 1:
        raise MissingAsset(f"{root}: holds several subjects: {folder.listing(people)}; name one of them")
    if len(people) > 1 and len({recording.calibration for recording in found.values()}) > 1:
        owners = sorted({root / path.relative_to(root.resolve()).parts[0] for path in people})
        raise MissingAsset(f"{root}: holds several subjects: {folder.listing(owners)}; name one of them")
    alone = len(found) == 1
    recordings = [Recording(one.person, one.folder, one.calibration, _tracking_of(one.folder, alone)) for one in found.values()]
    tracked = sorted((one for one in recordings if one.tracked is not None), key=lambda one: one.folder.name)
    if not tracked:
        raise MissingAsset(
            f"{recordings[0].folder}: holds no {vhap_tracks.PATTERN}: NeRSemble's recordings have no FLAME parameters. Track "
            f"{', '.join(sorted(one.folder.name for one in recordings)[:3])} by VHAP (vhap/track_nersemble_v2.py, or "
            "track_nersemble.py for version 1) and copy its output folder there")
    return tracked


def _is_sequence(path: Path) -> bool:
    if not path.is_dir() or path.name in (*KINDS, "alpha_maps"):
        return False
    return any(NAME.fullmatch(file.name) for kind in KINDS if (path / kind).is_dir() for file in (path / kind).glob("cam_*"))


def _person(sequence: Path) -> Path:
    return sequence.parents[1] if sequence.parent.name == "sequences" else sequence.parent


def _calibration_of(sequence: Path) -> Path | None:
    sequence = sequence.resolve()
    person = _person(sequence)
    for place in (sequence / CALIBRATION, person / "calibration" / CALIBRATION, person / CALIBRATION,
                  *(above / "camera_params" / person.name / CALIBRATION for above in list(person.parents)[:2])):
        if place.is_file():
            return place
    return None


def _tracking_of(sequence: Path, alone: bool) -> Path | None:
    """Return the sequence's tracked file: within it, else in folders beside it that are called after it."""
    places = [[sequence], [path for pattern in ("*", "*/*") for path in sequence.glob(pattern)]]
    person = _person(sequence)
    for base in dict.fromkeys((sequence.parent, person, person.parent)):
        named = [path for path in base.iterdir() if path.is_dir() and path != sequence and sequence.name in path.name
                 and (base != person.parent or person.name in path.name)]
        places += [named, [inner for path in named for inner in path.iterdir()]]
        # One folder for all of a person's tracks: .../tracking/<sequence>[/<run>].
        deeper = [path for inner in base.iterdir() if inner.is_dir() and inner != sequence
                  for path in inner.glob(f"*{_escaped(sequence.name)}*") if path != sequence
                  and (base != person.parent or person.name in (path.name, inner.name) or person.name in path.name)]
        places += [deeper, [inner for path in deeper if path.is_dir() for inner in path.iterdir()]]
    if alone:
        places += [[person], [path for path in person.iterdir() if path.is_dir()]]
    for group in places:
        found = vhap_tracks.newest(group)
        if found is not None:
            return found
    return None


def _escaped(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)


def _of_split(recordings: list[Recording], split: str) -> tuple[list[Recording], bool]:
    """Return the recordings of a split, and whether they are in it as wholes."""
    if len(recordings) == 1:
        return recordings, False
    held = next((one for one in recordings if one.folder.name == HELD), recordings[-1])
    return ([held] if split == "test" else [one for one in recordings if one is not held]), True


def _edition(recording: Recording, edition: str | None) -> str:
    return folder.edition_of(recording.folder, edition, EDITION, above=3)


# --- One sequence -----------------------------------------------------------------------------------------------------


def _frames(recording: Recording, split: str, whole: bool, edition: str | None) -> Frames:
    assert recording.tracked is not None
    track = vhap_tracks.read(recording.tracked, _edition(recording, edition), folder.FPS)
    cameras, calibrated = _calibration(recording.calibration)
    kind = next(kind for kind in KINDS if _serials(recording.folder / kind))
    serials = [serial for serial in _serials(recording.folder / kind) if serial in cameras]
    if not serials:
        raise MissingAsset(f"{recording.calibration}: names none of the cameras in {recording.folder / kind}: "
                           f"{', '.join(_serials(recording.folder / kind)[:4])}")
    if split == "train":
        kept = rig.kept_cameras(serials, folder.told_cameras(recording.folder, 4))
        serials = [serial for serial in serials if serial not in kept]
    moments = list(range(len(track.moments)) if whole else rig.moments(len(track.moments), split))
    images, masks, fps = {}, {}, folder.FPS
    for serial in serials:
        images[serial], fps = _pictures(recording, kind, serial, track.moments, fps)
        if (recording.folder / "alpha_maps").is_dir():
            masks[serial], _ = _pictures(recording, "alpha_maps", serial, track.moments, fps)
    rows = [(i, serial) for i in moments for serial in serials]
    views = {name: [] for name in ("K", "world_to_camera", "size")}
    sizes = {serial: folder.picture_size(images[serial][moments[0]]) for serial in serials}
    for _, serial in rows:
        k, world = cameras[serial]
        scale = np.array(sizes[serial], np.float64) / calibrated
        views["K"].append(np.diag([*scale, 1]) @ k)
        views["world_to_camera"].append(world)
        views["size"].append(np.array(sizes[serial], np.float64))
    sequence = dataclasses.replace(track.sequence.take([i for i, _ in rows]), fps=fps)
    sequence = folder.with_cameras(sequence, {name: np.stack(value) for name, value in views.items()}, recording.tracked)
    points = _points(recording, serials, len(track.moments), sizes)
    seen = {"landmarks": np.stack([points[serial][i] for i, serial in rows])} if points else {}
    return Frames(recording.person, split, sequence, tuple(images[serial][i] for i, serial in rows),
                  tuple(masks[serial][i] for i, serial in rows) if masks else (),
                  tuple(f"{recording.folder.name}_{track.moments[i]}_{serial}" for i, serial in rows), seen)


def _serials(path: Path) -> list[str]:
    """Return the cameras whose pictures are in a folder, sorted."""
    if not path.is_dir():
        return []
    return sorted({match[1] for file in path.glob("cam_*") if (match := NAME.fullmatch(file.name))})


def _pictures(recording: Recording, kind: str, serial: str, moments: tuple[str, ...],
              fps: float) -> tuple[tuple[Path, ...], float]:
    """Return a camera's pictures or mattes, one per tracked moment, and the frame rate of its clip."""
    place = recording.folder / kind
    clip = place / f"cam_{serial}.mp4"
    if clip.is_file():
        out = (_person(recording.folder) / clips.CACHE / recording.folder.name / ("images" if kind == "." else kind) / clip.stem)
        paths, fps = clips.unpack(clip, out, kind == "alpha_maps")
        return folder.matched(paths, _numbers(recording, moments), str(clip)), fps
    return tuple(folder.picture(place / f"cam_{serial}_{moment}", str(recording.tracked)) for moment in moments), fps


def _numbers(recording: Recording, moments: tuple[str, ...]) -> np.ndarray:
    digits = [re.search(r"(\d+)$", moment) for moment in moments]
    if not all(digits):
        return np.arange(len(moments))
    return np.array([int(match[1][-9:]) for match in digits if match])


def _calibration(path: Path) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[float, float]]:
    """Return K and world-to-camera by serial, and the size of the pictures that K is for."""
    fields = Fields(read_json(path), str(path))
    world = fields.fields("world_2_cam")
    folder.check_serials(world.values, path)
    own = isinstance(fields.values.get("intrinsics"), dict)  # one for each, as the benchmark has it
    cameras = {}
    for serial in sorted(world.values):
        k = (fields.fields("intrinsics").numbers(serial) if own else fields.numbers("intrinsics"))
        cameras[serial] = (folder.intrinsics(k, f"{path}: 'intrinsics'"),
                           folder.rigid(world.numbers(serial), f"{path}: world_2_cam '{serial}'"))
    width, height = fields.number("width", float(WIDTH)), fields.number("height", float(HEIGHT))
    if not (1 <= width <= 16384 and 1 <= height <= 16384):
        raise FormatError(f"{path}: 'width' and 'height': {width:g} x {height:g} pixels is no picture's size")
    return cameras, (width, height)


def _points(recording: Recording, serials: list[str], count: int, sizes: dict[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    """Return landmarks [T, 68, 2] by serial from `landmark2d`; empty unless every camera has them."""
    base, found = recording.folder / "landmark2d", {}
    for serial in serials:
        path = next(iter(sorted(base.rglob(f"*{serial}*.npz"))), None) if base.is_dir() else None
        if path is None:
            return {}
        value = npz_file.read(path, ("bounding_box",)).get("face_landmark_2d")
        if value is None or value.shape != (count, 68, 3) or value.dtype.kind not in "fiu":
            raise FormatError(f"{path}: 'face_landmark_2d': expected [{count}, 68, 3] numbers, "
                              f"{'which is missing' if value is None else f'got {list(value.shape)}'}")
        found[serial] = np.where(value[..., 2:] > 0, value[..., :2] * np.array(sizes[serial], np.float64), np.nan)
    return found
