"""NeRSemble's layout as it is delivered (version 2), with VHAP's tracking beside: raw data hold no FLAME.

    OUT/<participant>/calibration/camera_params.json        world_2_cam {serial: 4x4}, one intrinsics 3x3, height, width
        calibration/color_calibration.json                  {serial: 3x4}: no correction
        sequences/<SEQUENCE>/images/cam_<serial>.mp4        the whole picture
            alpha_maps/cam_<serial>.mp4                     matte of the whole person (VHAP's folder name, as clips)
            landmark2d/face-alignment/cam_<serial>.npz      face_landmark_2d (T,68,3): x, y in 0..1, score; bounding_box (T,5)
            tracked_flame_params_30.npz                     VHAP's result (ours to put it there)
        sequences/BACKGROUND/image_<serial>.jpg             the room without the person
    OUT/capture.json OUT/head.safetensors                   ours

The training take is the first of `SEQUENCES`, the test take the second. Cameras are world-to-camera in OpenCV's axes.
`intrinsics` are for pictures of `width` x `height`, which is the size of the clips here; NeRSemble's own are 2200 x 3208. The
rig's world is the one that VHAP aligns its own to, so its parameters need no turn. They are of T moments, in the world as it
is: the shift of VHAP's export is not in them.

Not written: the tables of participants and sequences (`metadata_*.csv`).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from formats.captures import clips
from formats.captures.coefficients import camera_at, columns, lens_of, refuse
from formats.captures.pictures import write_jpg
from formats.captures.scene import wall
from formats.captures.shooting import shoot
from formats.captures.shots import Film, Shot, Take
from formats.captures.tag import write_tag
from formats.captures.vhap_npz import EXPRESSIONS, tracked
from formats.codecs import npz_file
from formats.codecs.json_file import write_json
from formats.files import replacing_folder

FIRST_PARTICIPANT = 18
"""The number of seed 0's person; others follow."""
SEQUENCES = {"train": "EMO-4-disgust+happy", "test": "FREE"}
LANDMARKS = "landmark2d/face-alignment"
EPOCH = 30
"""VHAP's number of its last result."""


def write(film: Film, out: Path, progress: Callable[[str], None]) -> None:
    """Write `film` into the folder `out`, whole or not at all.

    Args:
        film: Filmed for this layout: calibrated cameras, the head turns by root and neck and has a translation.
        out: The folder that holds the participant's.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: The film holds something that the layout has no place for.
        MissingAsset: The folder cannot be written, or `av`, which writes clips, is not installed.
    """
    clips.check_encoder(out)
    k, width, height = lens_of(film)
    for take in film.takes:
        refuse(take, "eyelids")
        columns(take.sequence.expr, EXPRESSIONS, "expression")
    cameras = {serial: camera_at(film.takes[0], row) for row, serial in enumerate(film.takes[0].cameras)}
    participant = f"{(FIRST_PARTICIPANT + film.seed) % 1000:03d}"
    with replacing_folder(out) as folder:
        calibration, rooms = (folder / participant / name for name in ("calibration", "sequences/BACKGROUND"))
        for place in (calibration, rooms):
            place.mkdir(parents=True)
        write_json({"world_2_cam": {serial: (camera.world_to_camera + 0.0).tolist() for serial, camera in cameras.items()},
                    "intrinsics": k.tolist(), "height": height, "width": width}, calibration / "camera_params.json")
        write_json({serial: np.eye(3, 4).tolist() for serial in cameras}, calibration / "color_calibration.json")
        for serial in cameras:
            write_jpg(rooms / f"image_{serial}.jpg", wall(width, height))
        seen = shoot(film, partial(_keep, folder, participant), progress)
        clips.join(folder, film.fps)
        for take, marks in zip(film.takes, seen, strict=True):
            place = folder / participant / "sequences" / SEQUENCES[take.split]
            (place / LANDMARKS).mkdir(parents=True)
            for view, serial in enumerate(take.cameras):
                npz_file.write(_detected(np.stack(marks[view::take.views]), width, height),
                               place / LANDMARKS / f"cam_{serial}.npz")
            npz_file.write(tracked(take, width, height), place / f"tracked_flame_params_{EPOCH}.npz")
        write_tag(film, "nersemble", folder)


def _keep(folder: Path, participant: str, take: Take, row: int, shot: Shot) -> Float32[np.ndarray, "68 2"]:
    """Keep one picture and its matte for their clips; return what a detector finds in it."""
    serial, place = take.cameras[row % take.views], f"{participant}/sequences/{SEQUENCES[take.split]}"
    for name, pixels in (("images", shot.rgb), ("alpha_maps", shot.matte)):
        clips.keep(folder, f"{place}/{name}/cam_{serial}.mp4", row // take.views, pixels)
    return shot.landmarks


def _detected(points: Float32[np.ndarray, "T 68 2"], width: int, height: int) -> dict[str, np.ndarray]:
    """Return a camera's landmark file; every landmark is found, and the box is around them."""
    marks = np.concatenate([points / np.array([width, height]), np.ones((*points.shape[:2], 1))], axis=2)
    boxes = np.concatenate([marks[:, :, :2].min(axis=1), marks[:, :, :2].max(axis=1), np.ones((len(marks), 1))], axis=1)
    return {"face_landmark_2d": marks.astype(np.float32), "bounding_box": boxes.astype(np.float32)}
