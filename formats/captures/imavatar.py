"""IMavatar's and PointAvatar's layout as FateAvatar packs it (two videos beside each other), for what all three load.

    OUT/<subject>_train/ OUT/<subject>_test/        <subject> is OUT's own name: FateAvatar builds the path so
        image/1.png         RGB, the whole picture                  mask/1.png   grey matte of the whole person
        matted/1.png        RGBA, background and clothing removed   semantic/1.png   CelebAMask ids, grey
        semantic_color/1.png                                        parsing/1_mouth.png 1_neckhead.png   0 or 255
        flame_params.json   motion and cameras
        keypoint.json iris.json code.json                           what the detectors and DECA saw
    OUT/capture.json OUT/head.safetensors                           ours

IMavatar and PointAvatar look for a video in `<data>/<subject>/<subject>/<video>`: link the two folders there. They do not
need `deca/` once flame_params.json exists, so it is not written. FateAvatar replaces the word `image` in the whole path by
`matted`: a folder above with that word in its name breaks it. It also takes the camera's rotation for the identity, which
holds but for the held-out angles. Their geometry is four times life size, cameras are OpenGL's, and the first focal length is
negative so that dividing by the negative depth gives an upright picture.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from formats.camera import Camera
from formats.captures import label_codes
from formats.captures.coefficients import columns, lens_of, refuse, shape_of
from formats.captures.landmarks import landmarks
from formats.captures.pictures import write_png
from formats.captures.shooting import shoot
from formats.captures.shots import Film, Shot, Take
from formats.captures.tag import write_tag
from formats.codecs.flame_params import SCALE
from formats.codecs.json_file import write_json
from formats.conventions import CV_FROM_GL
from formats.files import replacing_folder
from formats.rotations import axis_angle_to_matrix, matrix_to_quat, quat_to_axis_angle

EXPRESSIONS, IDENTITY = 50, 100
FOLDERS = ("image", "mask", "matted", "parsing", "semantic", "semantic_color")
Record = tuple[dict[str, Any], Any, Any, Any]
"""A moment's entries for flame_params.json, keypoint.json, iris.json and code.json."""


def write(film: Film, out: Path, progress: Callable[[str], None]) -> None:
    """Write `film` into the folder `out`, whole or not at all.

    `flame_keypoints` and `bbox` are the tracked head's own landmarks in the picture, `keypoint.json` what the camera saw of
    them; `iris.json` has null where an eye is shut, as detectors do.

    Args:
        film: Filmed for this layout: the head turns, lids stand in the expressions.
        out: The subject's folder.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: The film holds something that the layout has no place for.
        MissingAsset: The folder cannot be written.
    """
    lens_of(film)
    for take in film.takes:
        refuse(take, "eyelids", "translation")
    with replacing_folder(out) as folder:
        videos = {take.split: folder / f"{Path(out).resolve().name}_{take.split}" for take in film.takes}
        for video in videos.values():
            for name in FOLDERS:
                (video / name).mkdir(parents=True)
        taken = shoot(film, partial(_keep, film, videos), progress)
        for take, seen in zip(film.takes, taken, strict=True):
            write_records(film, take, seen, videos[take.split])
        write_tag(film, "imavatar", folder)


def _keep(film: Film, videos: dict[str, Path], take: Take, index: int, shot: Shot) -> Record:
    """Store one moment's pictures and return its record."""
    video, stem = videos[take.split], str(index + 1)
    write_pictures(video, stem, shot)
    write_png(video / "matted" / f"{stem}.png", shot.head_rgba)
    write_png(video / "semantic_color" / f"{stem}.png", label_codes.colored(shot.labels))
    write_png(video / "parsing" / f"{stem}_mouth.png", label_codes.mouth_mask(shot.labels))
    write_png(video / "parsing" / f"{stem}_neckhead.png", label_codes.neckhead_mask(shot.labels))
    return record(film, take, index, shot)


# --- What PointAvatar's videos share ----------------------------------------------------------------------------------


def write_pictures(video: Path, stem: str, shot: Shot) -> None:
    """Write the pictures that the video's trainers read: the whole picture, the matte and the labels."""
    for name, picture in (("image", shot.rgb), ("mask", shot.matte),
                          ("semantic", label_codes.recode(shot.labels, label_codes.CELEBA))):
        write_png(video / name / f"{stem}.png", picture)


def record(film: Film, take: Take, index: int, shot: Shot) -> Record:
    """Return what the video's files say of a moment: tracked, of the landmarks, of the irises, and DECA's."""
    open_eyes = all(label_codes.shows(shot.labels, name) for name in ("left_eye", "right_eye"))
    # Left eye's x, y, then the right eye's.
    return (_frame(film, take, index, shot), shot.landmarks.tolist(), shot.irises.ravel().tolist() if open_eyes else None,
            _code(take, index))


def write_records(film: Film, take: Take, seen: list[Record], video: Path) -> None:
    """Write a video's JSON files; its pictures are numbered from 1, in the order of `seen`."""
    k, width, height = lens_of(film)
    frames, points, irises, codes = zip(*seen, strict=True)
    numbers = range(1, len(seen) + 1)
    write_json({
        "frames": [{"file_path": f"./image/{n}", **frame} for n, frame in zip(numbers, frames, strict=True)],
        "intrinsics": [-k[0, 0] / width, k[1, 1] / height, k[0, 2] / width, k[1, 2] / height],
        "shape_params": shape_of(take, IDENTITY).tolist(),
    }, video / "flame_params.json")
    write_json({f"{n}.png": value for n, value in zip(numbers, points, strict=True)}, video / "keypoint.json")
    write_json({f"{n}.png": value for n, value in zip(numbers, irises, strict=True)}, video / "iris.json")
    write_json({str(n): value for n, value in zip(numbers, codes, strict=True)}, video / "code.json")


def _frame(film: Film, take: Take, index: int, shot: Shot) -> dict[str, Any]:
    s = take.sequence
    world = CV_FROM_GL @ s.cameras["world_to_camera"][index].astype(np.float64)  # the flip is its own inverse
    world[:3, 3] *= SCALE
    points = _tracked_points(film, take, index, shot)
    pose = np.concatenate([s.rotation[index], s.neck[index], s.jaw[index], s.eyes[index]])
    return {
        # Adding zero makes -0.0 plain.
        "world_mat": (world[:3] + 0.0).tolist(),
        "expression": columns(s.expr[index], EXPRESSIONS, "expression").tolist(),
        "pose": pose.astype(np.float64).tolist(),
        "bbox": [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()],
        "flame_keypoints": points.tolist(),
    }


def _tracked_points(film: Film, take: Take, index: int, shot: Shot) -> Float64[np.ndarray, "68 2"]:
    """Return the tracked head's landmarks; -1 and 1 are the picture's borders, y down."""
    cameras = take.sequence.cameras
    width, height = (int(v) for v in cameras["size"][index])
    camera = Camera(cameras["K"][index], cameras["world_to_camera"][index], width, height)
    return 2 * landmarks(film.head, shot.vertices.astype(np.float64), _turn(take, index), camera) / [width, height] - 1


def _turn(take: Take, index: int) -> Float64[np.ndarray, "3 3"]:
    return axis_angle_to_matrix(take.sequence.rotation[index]) @ axis_angle_to_matrix(take.sequence.neck[index])


def _code(take: Take, index: int) -> dict[str, Any]:
    """Return DECA's code: identity, expression, and the head's whole turn with the jaw's."""
    s = take.sequence
    pose = np.concatenate([quat_to_axis_angle(matrix_to_quat(_turn(take, index))), s.jaw[index]])
    return {"shape": [shape_of(take, IDENTITY).tolist()],
            "exp": [columns(s.expr[index], EXPRESSIONS, "expression").tolist()], "pose": [pose.tolist()]}
