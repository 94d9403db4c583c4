"""IMavatar's layout as IMavatar and PointAvatar use it themselves: one folder per video, several videos of a person.

    OUT/<subject>/<video>/      <subject> is OUT's own name: they look in <data>/<subject>/<subject>/<video>
        image/1.png             RGB, the whole picture                  mask/1.png   grey matte of the whole person
        semantic/1.png          CelebAMask ids, grey
        flame_params.json       motion and cameras
        keypoint.json iris.json code.json                               what the detectors and DECA saw
    OUT/capture.json OUT/head.safetensors                               ours

The training take is cut into the videos `TRAIN`, the test take is `TEST`; which video is for what, their configuration says.
Numbers and units are those of `formats.captures.imavatar`. Not written: `deca/`, which they do not need once flame_params.json
exists, and the cropped source clips.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from formats.captures.coefficients import lens_of, refuse
from formats.captures.imavatar import Record, record, write_pictures, write_records
from formats.captures.shooting import shoot
from formats.captures.shots import Film, Shot, Take
from formats.captures.tag import write_tag
from formats.files import replacing_folder

TRAIN, TEST = ("MVI_0001", "MVI_0002"), "MVI_0003"
FOLDERS = ("image", "mask", "semantic")


def write(film: Film, out: Path, progress: Callable[[str], None]) -> None:
    """Write `film` into the folder `out`, whole or not at all.

    Args:
        film: Filmed for this layout: the head turns, lids stand in the expressions.
        out: The subject's folder in the data folder.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: The film holds something that the layout has no place for.
        MissingAsset: The folder cannot be written.
    """
    lens_of(film)
    for take in film.takes:
        refuse(take, "eyelids", "translation")
    with replacing_folder(out) as folder:
        subject = folder / Path(out).resolve().name
        for video in (*TRAIN, TEST):
            for name in FOLDERS:
                (subject / video / name).mkdir(parents=True)
        for take, seen in zip(film.takes, shoot(film, partial(_keep, film, subject), progress), strict=True):
            for video, part in videos(take).items():
                write_records(film, take, [seen[i] for i in part], subject / video)
        write_tag(film, "point-avatar", folder)


def videos(take: Take) -> dict[str, np.ndarray]:
    """Return the moments of each of a take's videos."""
    names = TRAIN if take.split == "train" else (TEST,)
    return dict(zip(names, np.array_split(np.arange(len(take.sequence)), len(names)), strict=True))


def _keep(film: Film, subject: Path, take: Take, index: int, shot: Shot) -> Record:
    """Store one moment's pictures and return its record."""
    video, first = next((video, part[0]) for video, part in videos(take).items() if index in part)
    write_pictures(subject / video, str(index - first + 1), shot)
    return record(film, take, index, shot)
