"""Motion as BakedAvatar's web demo plays it: the folder `sequence_data/`.

`flame_sequences.npy` holds float32 [N, 65], a frame per row: 50 expression coefficients of FLAME 2020, then axis-angles of
root, neck, jaw, left eye and right eye. `flame_sequences.json` names runs of frames, `{"NAME": {"start", "end"}}`, end
excluded; the demo makes a button of each, in order. It plays 25 frames a second and moves no head: there is no translation.
Duan et al., "BakedAvatar", ACM TOG 2023; facts of the files: its released exporter and demo.
"""

import os
from pathlib import Path

import numpy as np

from formats.codecs import npy_file
from formats.codecs.json_file import Fields, read_json, write_json
from formats.errors import CheckpointMismatch, FormatError, UnsupportedFeature
from formats.files import replacing_folder
from formats.sequence import Sequence

FRAMES_FILE, RANGES_FILE = "flame_sequences.npy", "flame_sequences.json"
EXPRESSIONS, WIDTH = 50, 65
FPS = 25.0
BASIS = "flame2020"
NAMES = tuple(f"expr{i:03d}" for i in range(EXPRESSIONS))
"""What a head calls its first expressions when it has no names of its own."""
DEFAULT_RANGE = "flameport_clip"
"""Name of the one run of a clip without ranges; the original's are two folders' names, joined by `_`."""


def read(path: str | os.PathLike[str], basis: str = BASIS) -> Sequence:
    """Return the motion in a `sequence_data` folder.

    Args:
        path: The folder, or the `flame_sequences.npy` in it; without a JSON beside it there are no ranges.
        basis: The FLAME edition it was tracked with, which the files do not say.

    Raises:
        MissingAsset: There is no such folder or file.
        FormatError: A file is damaged, or a range lies outside the frames.
    """
    folder = Path(path)
    file = folder / FRAMES_FILE if folder.is_dir() else folder
    rows = npy_file.read(file)
    if rows.ndim != 2 or rows.shape[1] != WIDTH or rows.dtype.kind != "f" or not len(rows):
        raise FormatError(f"{file}: expected numbers [frames, {WIDTH}] (50 expressions, 15 rotations), got {rows.dtype} "
                          f"{list(rows.shape)}")
    ranges, names = {}, file.with_name(RANGES_FILE)
    if names.is_file():
        table = Fields(read_json(names), str(names))
        for name in table.values:
            run = table.fields(name)
            ranges[name] = first, end = run.integer("start"), run.integer("end")
            if not first < end <= len(rows):
                raise FormatError(f"{names}: '{name}': frames {first} to {end} are not inside 0..{len(rows)}")
    try:
        pose = rows[:, EXPRESSIONS:]
        return Sequence(basis, FPS, rows[:, :EXPRESSIONS], rotation=pose[:, :3], neck=pose[:, 3:6], jaw=pose[:, 6:9],
                        eyes=pose[:, 9:], ranges=ranges)
    except FormatError as error:
        raise FormatError(f"{file}: {error}") from error


def write(sequence: Sequence, path: str | os.PathLike[str]) -> Path:
    """Write `sequence` as the folder `path`, replacing one that is there, and return the path.

    Expressions beyond the fiftieth, eyelids, translation and further joints have no place here, and 25 frames a second is
    the only rate: they are refused where they say anything. Cameras, drivers and identity play no part in the demo and are
    left out.

    Raises:
        CheckpointMismatch: Its coefficients are not FLAME 2020's.
        UnsupportedFeature: It moves something that has no place here; each is named with a number.
        FormatError: `path` is a folder with other files in it.
    """
    folder = Path(path)
    if sequence.basis != BASIS:
        raise CheckpointMismatch(f"{folder}: the sequence is in '{sequence.basis}' coefficients, BakedAvatar's demo plays "
                                 f"'{BASIS}'; convert it first, `flameport sequence SRC --for AVATAR`")
    expr = _fifty(sequence, folder)
    lost = [f"{name} (up to {value:.3g})" for name in ("eyelids", "translation")
            if (value := float(np.abs(getattr(sequence, name)).max())) > 0]
    lost += [f"joint '{name}'" for name, turn in sequence.joints.items() if turn.any()]
    if sequence.fps != FPS:
        lost.append(f"{sequence.fps:g} frames a second (resample it to {FPS:g})")
    if lost:
        raise UnsupportedFeature(f"{folder}: a sequence_data folder has no place for {', '.join(lost)}")
    if folder.is_dir():
        foreign = sorted({entry.name for entry in folder.iterdir()} - {FRAMES_FILE, RANGES_FILE})
        if foreign:
            raise FormatError(f"{folder}: holds '{foreign[0]}', which is no part of a sequence_data folder; choose another name")
    rows = np.concatenate([expr, sequence.rotation, sequence.neck, sequence.jaw, sequence.eyes], axis=1)
    ranges = dict(sequence.ranges) or {DEFAULT_RANGE: (0, len(sequence))}
    with replacing_folder(folder) as temporary:
        npy_file.write(rows.astype("<f4"), temporary / FRAMES_FILE)
        write_json({name: {"start": first, "end": end} for name, (first, end) in ranges.items()}, temporary / RANGES_FILE)
    return folder


def _fifty(sequence: Sequence, folder: Path) -> np.ndarray:
    """Return the first fifty expressions in FLAME's order, [T, 50]; what is not named is zero."""
    names = sequence.expr_names or tuple(f"expr{i:03d}" for i in range(sequence.expr.shape[1]))
    expr = np.zeros((len(sequence), EXPRESSIONS), np.float32)
    for name, column in zip(names, sequence.expr.T, strict=True):
        if name in NAMES:
            expr[:, NAMES.index(name)] = column
        elif column.any():
            raise UnsupportedFeature(f"{folder}: a sequence_data folder has no place for expression '{name}' (up to "
                                     f"{np.abs(column).max():.3g}); it holds the first {EXPRESSIONS}")
    return expr
