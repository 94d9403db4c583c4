"""Gaussian Head Avatar's data set, and its hair fork's: NeRSemble's cameras cropped to squares, tracked with BFM or FLAME.

    <subject>/images/0000/image_<serial>.jpg mask_<serial>.jpg      image_lowres_, mask_lowres_ where these are absent
              cameras/0000/camera_<serial>.npz                      extrinsic [3, 4] OpenCV, intrinsic [3, 3] pixels
              params/0000/params.npz lmk_3d.npy                     BFM: exp_coeff [1, 64], pose [1, 6], scale [1]
              FLAME_params/0000/params.npz                          fork: exp_coeff [1, 59] = 50, jaw 3, eyes 6; pose, scale 1
              FLAME_params_VHAP/0000/params.npz                     fork: VHAP's names
              landmarks/0000/lmk_<serial>.npy                       [68, 3] pixels and score

The fork has <subject>/sequences/<sequence>/ of these. `pose` is a rotation vector and a translation about the model's origin:
x_world = scale * R * x + T. The scale goes into the cameras. With BFM's coefficients (edition bfm09-64, the default) the head's
only joint is the origin, so R is the rotation and T / scale the translation, and the networks' `absolute_pose` keeps the file's
numbers. A FLAME edition reads the fork's folders (VHAP's for flame2023 where it is there). There is no split in the files: see
`formats.datasets.rig`. Xu et al., "Gaussian Head Avatar", CVPR 2024.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from formats.codecs import flame_npz, npy_file, npz_file
from formats.datasets import folder, rig
from formats.datasets.frames import Frames
from formats.datasets.joining import join_sequences
from formats.datasets.placement import Similarity, placed, root_joints
from formats.errors import FormatError, MissingAsset, naming
from formats.head_model import HeadModel
from formats.rotations import axis_angle_to_matrix
from formats.sequence import Sequence

EDITION = "bfm09-64"
PARAMS, FLAME, VHAP = "params", "FLAME_params", "FLAME_params_VHAP"
PATTERNS = (".", "*", "sequences/*", "*/sequences/*")
SIZE, LOW = 2048, "_lowres"
"""Pixels of the pictures that `intrinsic` is for; what smaller copies are called."""
EXPRESSIONS = 50
"""Of the fork's 59 coefficients; then jaw 3 and eyes 6."""
CORNERS = (48, 54)
"""Of the mouth, which the 66 three-dimensional landmarks lack of iBUG's 68."""
PARAMETER_FILE = "params.npz"


@dataclass(frozen=True, eq=False)
class Tracked:
    """Every moment's head, as the files have it."""

    frames: tuple[str, ...]
    sequence: Sequence
    """Coefficients and joints; placed already when `where` is None."""
    where: Similarity | None


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by name when the nouns are built
def read(root: Path, split: str, edition: str | None = None, head: HeadModel | None = None) -> Frames:
    """Return one split of the subject in `root`, or of the sequence `root` of the fork's.

    `points2d` has `landmarks` [T, 68, 2] where the detectors' files are there, else the projections of `lmk_3d`.

    Args:
        root: The subject's folder, or the one it is in.
        split: `train` or `test`.
        edition: `bfm09-64`, or the FLAME edition of the fork's parameters.
        head: A FLAME head of that edition: then the head moves. Without it the cameras move about a still head, which shows
            the same. Not needed for BFM or for VHAP's parameters.

    Raises:
        MissingAsset: A folder, a picture, a camera or the parameters of a moment are not there.
        FormatError: A file is damaged; the message names it.
    """
    folder.check_split(split)
    subject = _subject(Path(root))
    tracked = _tracked(subject, edition, folder.FPS)
    moments = rig.moments(len(tracked.frames), split, folder.told_split(subject, len(tracked.frames)))
    shots: list[tuple[int, str, Path, bool]] = []
    serials = sorted({serial for frame in tracked.frames for serial in _pictures(subject, frame)})
    kept = rig.kept_cameras(serials, folder.told_cameras(subject)) if split == "train" else ()
    for i in moments:
        found = _pictures(subject, tracked.frames[i])
        if not found:
            raise MissingAsset(f"{subject / 'images' / tracked.frames[i]}: holds no image_<serial>.jpg; copy the moment's "
                               "pictures there, or remove its parameters")
        shots += [(i, serial, *picture) for serial, picture in found.items() if serial not in kept]
    rows = [i for i, *_ in shots]
    cameras = [_camera(subject, tracked.frames[i], serial, picture, low) for i, serial, picture, low in shots]
    sequence = _placed(tracked, rows, cameras, head, subject)
    images = tuple(picture for *_, picture, _ in shots)
    masks = tuple(picture.with_name(picture.name.replace("image_", "mask_", 1)) for picture in images)
    absent = next((path for path in masks if not path.is_file()), None)
    if absent is not None and any(path.is_file() for path in masks):
        raise MissingAsset(f"{absent}: no such mask; write the masks of all pictures")
    return Frames(_name(subject), split, sequence, images, () if absent else masks,
                  tuple(f"{tracked.frames[i]}_{serial}" for i, serial, *_ in shots),
                  _points(subject, tracked, shots, cameras, _folder(subject, edition)))


@np.errstate(over="ignore", invalid="ignore")
def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return the motion with the frontal camera, `train` before `test`; no pictures are needed.

    With BFM's coefficients the world is the file's own, metres, as avatars that are imported from Gaussian Head Avatar's
    checkpoints have it. Of a FLAME edition the cameras move about a still head, but for VHAP's parameters.

    Raises:
        MissingAsset: The parameters or cameras of a moment are not there.
        FormatError: A file is damaged.
    """
    subject = _subject(Path(root))
    tracked = _tracked(subject, edition, folder.FPS if fps is None else fps)
    cameras = []
    for frame in tracked.frames:
        serials = sorted(path.stem.removeprefix("camera_") for path in (subject / "cameras" / frame).glob("camera_*.npz"))
        if not serials:
            raise MissingAsset(f"{subject / 'cameras' / frame}: holds no camera_<serial>.npz; copy the cameras there")
        cameras.append(_camera(subject, frame, rig.front_camera(serials), None, False))
    rows = list(range(len(cameras)))
    if tracked.sequence.basis == EDITION and tracked.where is not None:
        where, held = tracked.where, _stacked(cameras)
        sequence = dataclasses.replace(tracked.sequence, translation=where.translation, cameras=held)
    else:
        sequence = _placed(tracked, rows, cameras, None, subject)
    return folder.ranged(sequence, len(rig.moments(len(sequence), "train", folder.told_split(subject, len(sequence)))))


def holds(root: Path) -> bool:
    """Tell whether `root` is a subject's or a sequence's folder of this layout."""
    return any(_is_subject(path) for path in (root, *(root / "sequences").glob("*"))) if root.is_dir() else False


def _is_subject(path: Path) -> bool:
    return (path / "cameras").is_dir() and any((path / name).is_dir() for name in (PARAMS, FLAME, VHAP))


def _subject(root: Path) -> Path:
    return folder.only(root, PATTERNS, _is_subject, "cameras/ and params/")


def _name(subject: Path) -> str:
    return f"{subject.parents[1].name}_{subject.name}" if subject.parent.name == "sequences" else subject.name


# --- Parameters -------------------------------------------------------------------------------------------------------


def _edition(subject: Path, edition: str | None) -> str:
    return folder.edition_of(subject, edition, EDITION, above=3)


def _folder(subject: Path, edition: str | None) -> str:
    """Return the folder whose parameters are in the edition."""
    basis = _edition(subject, edition)
    wanted = ((PARAMS,) if basis == EDITION else
              (VHAP, FLAME) if basis.startswith("flame2023") else (FLAME, VHAP))
    if basis == "standin":  # a capture of ours may hold BFM's form only
        wanted = (*wanted, PARAMS)
    for name in wanted:
        if (subject / name).is_dir():
            return name
    raise MissingAsset(f"{subject}: holds no {' or '.join(wanted)}, which would be in {basis} coefficients; found "
                       f"{folder.listing(sorted(subject.iterdir()))}. Name another --edition: bfm09-64 is params")


def _tracked(subject: Path, edition: str | None, fps: float) -> Tracked:
    basis, name = _edition(subject, edition), _folder(subject, edition)
    frames = sorted((path.name for path in (subject / name).iterdir() if path.is_dir()),
                    key=lambda text: (len(text), text))
    if not frames:
        raise MissingAsset(f"{subject / name}: holds no folder per moment, as 0000/{PARAMETER_FILE}")
    files = [subject / name / frame / PARAMETER_FILE for frame in frames]
    if name == VHAP:
        parts = [flame_npz.read(path, basis, fps) for path in files]
        odd = next((path for path, part in zip(files, parts, strict=True) if len(part) != 1), None)
        if odd is not None:
            raise FormatError(f"{odd}: holds several moments, expected 1")
        return Tracked(tuple(frames), join_sequences(parts, str(subject / name)), None)
    rows: dict[str, list[np.ndarray]] = {"exp_coeff": [], "pose": [], "scale": [], "id_coeff": []}
    for path in files:
        arrays = npz_file.read(path)
        for key, width in (("exp_coeff", None), ("pose", 6), ("scale", 1), ("id_coeff", None)):
            value = arrays.get(key)
            held = rows[key]
            wide = len(held[0]) if held else width
            if value is None or value.dtype.kind not in "fiu" or value.size < 1 or wide is not None and value.size != wide:
                found = "is missing" if value is None else f"has {value.size} numbers"
                raise FormatError(f"{path}: '{key}' {found}; expected {wide or 'some'} numbers")
            held.append(value.reshape(-1).astype(np.float64))
    table = {key: np.stack(value) for key, value in rows.items()}
    if not (table["scale"] > 0).all():
        raise FormatError(f"{files[int(np.argmin(table['scale']))]}: 'scale': expected a positive number")
    where = Similarity(axis_angle_to_matrix(table["pose"][:, :3]), table["pose"][:, 3:], table["scale"][:, 0])
    expr = table["exp_coeff"]
    joints: dict[str, Any] = {}
    if name == FLAME:
        if expr.shape[1] != EXPRESSIONS + 9:
            raise FormatError(f"{files[0]}: 'exp_coeff': expected {EXPRESSIONS} expressions, jaw 3 and eyes 6, got "
                              f"{expr.shape[1]} numbers")
        joints = {"jaw": expr[:, EXPRESSIONS:EXPRESSIONS + 3], "eyes": expr[:, EXPRESSIONS + 3:]}
        expr = expr[:, :EXPRESSIONS]
    elif basis == EDITION:
        joints = {"rotation": table["pose"][:, :3], "translation": where.translation / where.scale[:, None],
                  "drivers": {"absolute_pose": table["pose"]}}
    with naming(subject / name):
        return Tracked(tuple(frames), Sequence(basis, fps, expr, shape=table["id_coeff"][0], **joints), where)


def _placed(tracked: Tracked, rows: list[int], cameras: list[dict[str, np.ndarray]], head: HeadModel | None,
            subject: Path) -> Sequence:
    sequence = folder.with_cameras(tracked.sequence.take(rows), _stacked(cameras), subject / "cameras")
    if tracked.where is None:
        return sequence
    where = tracked.where.take(rows)
    if sequence.basis == EDITION:  # its only joint is the origin; rotation and translation are there already
        world = sequence.cameras["world_to_camera"].astype(np.float64)
        world[:, :3, 3] /= where.scale[:, None]
        return dataclasses.replace(sequence, cameras=dict(sequence.cameras) | {"world_to_camera": world})
    with naming(subject):
        return placed(sequence, where, None if head is None else root_joints(head, sequence))


# --- Pictures and cameras ---------------------------------------------------------------------------------------------


def _pictures(subject: Path, frame: str) -> dict[str, tuple[Path, bool]]:
    """Return a moment's pictures by their cameras' serials, and whether each is the small copy."""
    found: dict[str, tuple[Path, bool]] = {}
    for low in (True, False):  # large ones replace small ones
        start = f"image{LOW if low else ''}_"
        for ending in ("png", "jpg"):
            for path in sorted((subject / "images" / frame).glob(f"{start}*.{ending}")):
                serial = path.stem.removeprefix(start)
                if low or not serial.startswith(LOW.strip("_") + "_"):
                    found[serial] = path, low
    return dict(sorted(found.items()))


def _camera(subject: Path, frame: str, serial: str, picture: Path | None, low: bool) -> dict[str, np.ndarray]:
    path = subject / "cameras" / frame / f"camera_{serial}.npz"
    arrays = npz_file.read(path)
    values = {}
    for name, shapes in (("extrinsic", ((3, 4), (4, 4))), ("intrinsic", ((3, 3),))):
        value = arrays.get(name)
        if value is None or value.dtype.kind not in "fiu" or value.shape not in shapes:
            raise FormatError(f"{path}: '{name}': expected {list(shapes[0])} numbers, "
                              f"{'which is missing' if value is None else f'got {list(value.shape)}'}")
        values[name] = value.astype(np.float64)
    k, world = values["intrinsic"], np.eye(4)
    world[:3] = values["extrinsic"][:3]
    if not (np.isfinite(world).all() and np.isfinite(k).all()):
        raise FormatError(f"{path}: holds numbers that are not finite")
    size = folder.picture_size(picture) if picture is not None else _guess(subject, frame, serial)
    if low:
        k = np.diag([size[0] / SIZE, size[1] / SIZE, 1]) @ k
    return {"K": k, "world_to_camera": world, "size": np.array(size, np.float64)}


def _guess(subject: Path, frame: str, serial: str) -> tuple[int, int]:
    """Return the size of a picture that need not be there."""
    found = _pictures(subject, frame).get(serial)
    return folder.picture_size(found[0]) if found and not found[1] else (SIZE, SIZE)


def _stacked(cameras: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([camera[name] for camera in cameras]) for name in cameras[0]}


def _points(subject: Path, tracked: Tracked, shots: list[tuple[int, str, Path, bool]], cameras: list[dict[str, np.ndarray]],
            params: str) -> dict[str, np.ndarray]:
    points = np.full((len(shots), 68, 2), np.nan)
    for row, ((i, serial, _, low), camera) in enumerate(zip(shots, cameras, strict=True)):
        frame = tracked.frames[i]
        path = subject / "landmarks" / frame / f"lmk_{serial}.npy"
        if path.is_file():
            seen = _array(path, (68,))
            known = (seen[:, 2] > 0) & np.isfinite(seen).all(axis=1)
            points[row, known] = seen[known, :2] * (camera["size"] / SIZE if low else 1)
            continue
        path = subject / params / frame / "lmk_3d.npy"
        if path.is_file():
            world = _array(path, (66, 68))
            view = (world @ camera["world_to_camera"][:3, :3].T + camera["world_to_camera"][:3, 3]) @ camera["K"].T
            kept = [k for k in range(68) if len(world) == 68 or k not in CORNERS]
            ahead = view[:, 2] > 1e-6
            points[row, np.array(kept)[ahead]] = view[ahead, :2] / view[ahead, 2:]
    return {"landmarks": points} if np.isfinite(points).any() else {}


def _array(path: Path, counts: tuple[int, ...]) -> np.ndarray:
    value = npy_file.read(path, 1 << 20)
    if value.ndim != 2 or len(value) not in counts or value.shape[1] != 3 or value.dtype.kind not in "fiu":
        raise FormatError(f"{path}: expected [{' or '.join(map(str, counts))}, 3] numbers, got {value.dtype} "
                          f"{list(value.shape)}")
    return value.astype(np.float64)
