"""INSTA's layout (metrical-tracker's results), with the parameters and masks that FateAvatar's authors add to it.

    OUT/images/00000.png    RGBA, background and clothing removed   matted/00000.png   RGBA, the whole person
        seg_mask/00000.png  class codes in red                      depth/00000.png    16 bit, millimetres, mouth sealed
        meshes/00000.obj    the tracked head                        canonical.obj      the person, jaw 12 degrees open
        flame/{exp,shape,eyes,jaw,eyelids}/00000.txt                100, 300, 12, 6, 2 numbers, one a line
        alpha/00000.jpg imgs/00000.jpg parsing/00000_mouth.png 00000_neckhead.png
        transforms_train.json transforms_test.json transforms_val.json transforms.json
        capture.json head.safetensors                               ours

Numbers run on from the train take into the test take; `val` is the last 20 frames of `test`. The head stands still and the
camera, camera-to-world in OpenCV's axes in spite of the NeRF-like name, moves. Rotations are 6D: the first two rows of the
matrix. Of `eyes`, the first six numbers are the RIGHT eye's and the last six the left's: so FateAvatar reads them.
(metrical-tracker's own checkpoints hold the left eye first; a dump of those looks cross-wise to FateAvatar.)

Not written: `checkpoint/*.frame`, which are torch pickles and which nothing but the tracker needs. Meshes keep FLAME's 9976
triangles and 30 that close the lips; INSTA's own have 8090 of a reduced topology, with 958 of the 5023 vertices unused.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from formats.captures import label_codes
from formats.captures.canonical import canonical
from formats.captures.coefficients import columns, first_moments, lens_of, refuse, shape_of
from formats.captures.pictures import depth_levels, with_alpha, write_jpg, write_png
from formats.captures.shooting import shoot
from formats.captures.shots import Film, Shot, Take
from formats.captures.tag import write_tag
from formats.captures.wavefront import face_lines, write_obj
from formats.codecs.json_file import write_json
from formats.files import replacing_folder
from formats.lip_seal import seal_lips
from formats.rotations import axis_angle_to_matrix

EXPRESSIONS, IDENTITY = 100, 300
DEPTH_UNIT = 0.001
"""Metres per level of a depth picture: `integer_depth_scale`."""
VALIDATION = 20
"""Frames of `transforms_val.json`, the last of the test take."""
FOLDERS = ("images", "matted", "seg_mask", "depth", "meshes", "alpha", "imgs", "parsing", "flame/exp", "flame/shape",
           "flame/eyes", "flame/jaw", "flame/eyelids")


def write(film: Film, out: Path, progress: Callable[[str], None]) -> None:
    """Write `film` into the folder `out`, whole or not at all.

    Args:
        film: Filmed for this layout: the camera moves around a head that never turns.
        out: The subject's folder.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: The film holds something that the layout has no place for.
        MissingAsset: The folder cannot be written.
    """
    head = _lens_fields(film)
    for take in film.takes:
        refuse(take, "rotation", "neck", "translation")
    firsts = first_moments(film)
    faces = face_lines(seal_lips(film.head).faces)
    with replacing_folder(out) as folder:
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)
        frames = dict(zip(firsts, shoot(film, partial(_keep, folder, firsts, faces), progress), strict=True))
        write_obj(folder / "canonical.obj", canonical(film), faces)
        for name, entries in (("_train", frames["train"]), ("_test", frames["test"]),
                              ("_val", frames["test"][-VALIDATION:]), ("", frames["train"] + frames["test"])):
            write_json({**head, "frames": entries}, folder / f"transforms{name}.json")
        write_tag(film, "insta", folder)


def _lens_fields(film: Film) -> dict[str, float]:
    """Return what the transforms files say of all frames: pixels, radians, degrees."""
    k, width, height = lens_of(film)
    angles = [2 * np.arctan(size / (2 * k[axis, axis])) for axis, size in enumerate((width, height))]
    return {
        "w": float(width), "h": float(height), "cx": float(k[0, 2]), "cy": float(k[1, 2]),
        "fl_x": float(k[0, 0]), "fl_y": float(k[1, 1]),
        "camera_angle_x": float(angles[0]), "camera_angle_y": float(angles[1]),
        "x_fov": float(np.degrees(angles[0])), "y_fov": float(np.degrees(angles[1])),
        "integer_depth_scale": DEPTH_UNIT,
    }


def _keep(folder: Path, firsts: dict[str, int], faces: bytes, take: Take, index: int, shot: Shot) -> dict[str, Any]:
    """Store one moment's files and return its entry for the transforms files."""
    stem = f"{firsts[take.split] + index:05d}"
    codes = label_codes.recode(shot.labels, label_codes.INSTA)
    for name, picture in (
            ("images", shot.head_rgba), ("matted", with_alpha(shot.rgb, shot.matte)),
            ("seg_mask", label_codes.red_only(codes)), ("depth", depth_levels(shot.depth, DEPTH_UNIT))):
        write_png(folder / name / f"{stem}.png", picture)
    write_png(folder / "parsing" / f"{stem}_mouth.png", label_codes.mouth_mask(shot.labels))
    write_png(folder / "parsing" / f"{stem}_neckhead.png", label_codes.neckhead_mask(shot.labels))
    # FlashAvatar's names for picture and matte, with these folders' numbers.
    write_jpg(folder / "imgs" / f"{stem}.jpg", shot.rgb)
    write_jpg(folder / "alpha" / f"{stem}.jpg", shot.matte)
    write_obj(folder / "meshes" / f"{stem}.obj", shot.vertices, faces)
    for name, values in _parameters(take, index).items():
        text = "".join(f"{value:.8f}\n" for value in (values.ravel() + 0.0).tolist())
        (folder / "flame" / name / f"{stem}.txt").write_bytes(text.encode())
    matrix = np.linalg.inv(take.sequence.cameras["world_to_camera"][index].astype(np.float64))
    return {
        "transform_matrix": (matrix + 0.0).tolist(), "file_path": f"images/{stem}.png", "mesh_path": f"meshes/{stem}.obj",
        "exp_path": f"flame/exp/{stem}.txt", "depth_path": f"depth/{stem}.png", "seg_mask_path": f"seg_mask/{stem}.png",
    }


def _parameters(take: Take, index: int) -> dict[str, np.ndarray]:
    s = take.sequence
    left, right = axis_angle_to_matrix(s.eyes[index].reshape(2, 3))[:, :2]
    return {
        "exp": columns(s.expr[index], EXPRESSIONS, "expression"),
        "shape": shape_of(take, IDENTITY),
        "eyes": np.stack([right, left]),
        "jaw": axis_angle_to_matrix(s.jaw[index])[:2],
        "eyelids": s.eyelids[index].astype(np.float64),
    }
