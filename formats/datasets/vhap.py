"""VHAP's export folder, which GaussianAvatars and LAM learn from: several cameras or one, and UNION sets of several sequences.

    <root>/transforms_train.json transforms_test.json   per picture: camera-to-world, OpenGL axes, metres; intrinsics
           images/00000_08.png fg_masks/00000_08.png    moment, camera; on white already
           flame_param/00000.npz                        VHAP's names, one moment each

    UNION10_<subject>_...: the JSON files alone; the paths lead into its siblings, ../<sequence>/...

`cy` counts from the picture's bottom: VHAP's step to OpenGL axes sets it to height - cy. (Of one uncalibrated camera it is the
middle, where both are the same.) The world is the export's own, moved so that FLAME's mean translation is 0: cameras of another
export, or of the raw data, do not belong to it. FLAME 2023. Rows come moment by moment, then camera by camera.
Qian et al., "GaussianAvatars", CVPR 2024; facts of the files: VHAP's exporter.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from formats.codecs import flame_npz
from formats.codecs.json_file import Fields, read_json
from formats.conventions import CV_FROM_GL
from formats.datasets import folder, vhap_tracks
from formats.datasets.frames import Frames
from formats.datasets.joining import join_sequences
from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.sequence import Sequence

EDITION = "flame2023"
"""What VHAP tracks with."""
FRONT = 8
"""Index of the camera that VHAP keeps for validation: NeRSemble's frontal one."""
STEM, MASKS = "transforms", "fg_masks"


@dataclass(frozen=True, eq=False)
class Row:
    """One picture's entry."""

    fields: Fields
    moment: int
    camera: int
    parameters: Path


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by name when the nouns are built
def read(root: Path, split: str, edition: str | None = None) -> Frames:
    """Return one split of the export folder `root`, by the export's own JSON files.

    A folder's siblings are read where its paths lead there (UNION sets), nothing further out.

    Raises:
        MissingAsset: The folder, the split, a picture or a parameter file is not there.
        FormatError: A file is damaged, or names files outside the folder and its siblings.
        UnsupportedFeature: The export holds meshes in place of FLAME's parameters.
    """
    folder.check_split(split)
    subject = _subject(Path(root))
    path = subject / f"{STEM}_{split}.json"
    fields, rows = _rows(subject, path)
    images = tuple(folder.picture(_within(subject, row.fields, "file_path").with_suffix(""), row.fields.where) for row in rows)
    masks = ()
    if all(row.fields.has("fg_mask_path") for row in rows):
        masks = tuple(folder.picture(_within(subject, row.fields, "fg_mask_path").with_suffix(""), row.fields.where)
                      for row in rows)
    elif (images[0].parents[1] / MASKS).is_dir():  # older exports have them and do not name them
        masks = tuple(folder.picture(path.parents[1] / MASKS / path.stem, row.fields.where)
                      for path, row in zip(images, rows, strict=True))
    sequence = _sequence(rows, folder.edition_of(subject, edition, EDITION), folder.FPS)
    sequence = folder.with_cameras(sequence, _cameras(fields, rows), path)
    return Frames(subject.name, split, sequence, images, masks, tuple(f"{row.moment:05d}_{row.camera:02d}" for row in rows),
                  offset=_offset(rows[0].parameters))


@np.errstate(over="ignore", invalid="ignore")
def motion(root: Path, edition: str | None = None, fps: float | None = None) -> Sequence:
    """Return the moments of all splits as one camera sees them (index 8, else the last), no pictures needed.

    Moments that are in `train` come first, as the range of that name; those of `test` follow.

    Raises:
        MissingAsset: There is no export folder, or a parameter file is not there.
        FormatError: A file is damaged.
    """
    subject = _subject(Path(root))
    basis = folder.edition_of(subject, edition, EDITION)
    parts, trained, seen = [], 0, set()
    for split in (*folder.SPLITS, ""):
        path = subject / (f"{STEM}_{split}.json" if split else f"{STEM}.json")
        if not path.is_file() or not split and parts:
            continue
        fields, rows = _rows(subject, path)
        groups: dict[int, list[Row]] = {}
        for row in rows:
            groups.setdefault(row.moment, []).append(row)
        cameras = {row.camera for row in rows}
        front = FRONT if FRONT in cameras else max(cameras)
        picked = [min(group, key=lambda row: (row.camera != front, -row.camera)) for moment, group in sorted(groups.items())
                  if moment not in seen]
        seen |= set(groups)
        if picked:
            part = _sequence(picked, basis, folder.FPS if fps is None else fps)
            if not parts:
                vhap_tracks.warn_of_offset(picked[0].parameters)
            parts.append(folder.with_cameras(part, _cameras(fields, picked), path))
            trained += len(picked) if split == "train" else 0
    sequence = join_sequences(parts, str(subject))
    return folder.ranged(sequence, trained) if trained else sequence


def holds(root: Path) -> bool:
    """Tell whether `root` is an export folder: its frames name FLAME's parameters."""
    return root.is_dir() and (root / "canonical_flame_param.npz").is_file() and any(root.glob(f"{STEM}*.json"))


def _subject(root: Path) -> Path:
    def export(path: Path) -> bool:
        return any((path / f"{STEM}_{split}.json").is_file() for split in folder.SPLITS) or (path / f"{STEM}.json").is_file()

    return folder.subject(root, export, f"VHAP's {STEM}_train.json")


def _rows(subject: Path, path: Path) -> tuple[Fields, list[Row]]:
    """Return the file's fields and its entries, moment by moment."""
    if not path.is_file():
        raise MissingAsset(f"{path}: no such file; found {folder.listing(sorted(subject.glob(f'{STEM}*.json')))}. VHAP's "
                           "export_as_nerf_dataset writes the split: the last 30 % of the moments are held out")
    fields = Fields(read_json(path), str(path))
    entries = [Fields(entry, f"{path}: frame {i}") for i, entry in enumerate(fields.items("frames"))]
    if not entries:
        raise FormatError(f"{path}: 'frames' is empty; give the split some frames, or train without it")
    rows = []
    for entry in entries:
        if not entry.has("flame_param_path"):
            mesh = entry.has("mesh_path") or entry.has("exp_path")
            raise (UnsupportedFeature if mesh else FormatError)(
                f"{entry.where}: 'flame_param_path' is missing; " + ("the export holds meshes: export again with FLAME's "
                "parameters (VHAP's target mode 'param')" if mesh else "no export of FLAME's parameters by VHAP"))
        rows.append(Row(entry, entry.integer("timestep_index"), entry.integer("camera_index", 0),
                        _within(subject, entry, "flame_param_path")))
    rows.sort(key=lambda row: (row.moment, row.camera))
    for one, other in zip(rows, rows[1:], strict=False):
        if (one.moment, one.camera) == (other.moment, other.camera):
            raise FormatError(f"{other.fields.where}: moment {one.moment} of camera {one.camera} comes twice; remove one")
    return fields, rows


def _within(subject: Path, entry: Fields, name: str) -> Path:
    """Return a path that an entry names: in the folder, or in a sibling of it (UNION sets)."""
    text, where = entry.text(name), f"{entry.where}: '{name}'"
    if not text.replace("\\", "/").strip().startswith("../"):
        return folder.inside(subject, text, where)
    return folder.inside(subject.parent, f"{subject.name}/{text}", where)


def _sequence(rows: list[Row], basis: str, fps: float) -> Sequence:
    """Return the rows' parameters; each file is read once. The person's shape is that of the first."""
    known: dict[Path, Sequence] = {}
    for row in rows:
        if row.parameters not in known:
            frame = flame_npz.read(row.parameters, basis, fps)
            if len(frame) != 1:
                raise FormatError(f"{row.parameters}: holds {len(frame)} moments, expected 1; export again with VHAP")
            known[row.parameters] = frame
    return join_sequences([known[row.parameters] for row in rows], str(rows[0].parameters.parent))


def _offset(path: Path) -> np.ndarray | None:
    """Return the person's static offset [V, 3], metres, as the first moment's file has it; None for none."""
    offset = flame_npz.read_identity(path)[1]
    return offset if offset is not None and offset.any() else None


def _cameras(file: Fields, rows: list[Row]) -> dict[str, np.ndarray]:
    k, world, size = [], [], []
    for row in rows:
        entry = row.fields
        value = {name: entry.number(name) if entry.has(name) else file.number(name)
                 for name in ("w", "h", "cx", "cy")}
        width, height = value["w"], value["h"]
        if not (width == int(width) and height == int(height) and 1 <= width <= 16384 and 1 <= height <= 16384):
            raise FormatError(f"{entry.where}: 'w' and 'h': expected whole pixels in 1..16384, got {width:g} x {height:g}")
        fl_x = _focal(entry, file, "x", width)
        fl_y = _focal(entry, file, "y", height) if entry.has("fl_y") or file.has("fl_y") else fl_x
        if not (fl_x > 0 and fl_y > 0):
            raise FormatError(f"{entry.where}: 'fl_x' and 'fl_y': expected positive pixels, got {fl_x:g} and {fl_y:g}")
        # From the bottom: see above.
        k.append([[fl_x, 0, value["cx"]], [0, fl_y, height - value["cy"]], [0, 0, 1]])
        world.append(_world_to_camera(entry))
        size.append([width, height])
    return {"K": np.array(k), "world_to_camera": np.stack(world), "size": np.array(size)}


def _focal(entry: Fields, file: Fields, axis: str, length: float) -> float:
    fields = entry if entry.has(f"fl_{axis}") or entry.has(f"camera_angle_{axis}") else file
    if fields.has(f"fl_{axis}"):
        return fields.number(f"fl_{axis}")
    return length / 2 / math.tan(fields.number(f"camera_angle_{axis}") / 2)


def _world_to_camera(entry: Fields) -> np.ndarray:
    return CV_FROM_GL @ folder.inverse_camera(entry.numbers("transform_matrix"), f"{entry.where}: 'transform_matrix'")
