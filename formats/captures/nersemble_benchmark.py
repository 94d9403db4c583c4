"""The layout of NeRSemble's benchmark of avatars from one camera, `mono_flame_avatar`.

    OUT/mono_flame_avatar/<participant>/
        calibration/camera_params.json      world_2_cam {serial: 4x4} intrinsics {serial: 3x3}
        sequences/<SEQUENCE>/
            images/cam_222200037.mp4        background removed, on white    only of the training sequences, only of the
            alpha_maps/cam_222200037.mp4    matte, the same in R, G and B   training camera
            tracking/flame2023_tracking_v2.npz
    OUT/ground_truth/<participant>/<SEQUENCE>/cam_<serial>.mp4      what a submission would hold: the test sequences as
    OUT/ground_truth_alpha/<participant>/<SEQUENCE>/                every camera saw them, and their mattes (ours)
    OUT/capture.json OUT/head.safetensors                           ours

The training take is cut into the sequences `TRAIN`, the test take into `TEST`; of those there is tracking only, as in the
benchmark, which keeps their pictures. Cameras are world-to-camera in OpenCV's axes. A head is `scale * rotation * x +
translation` about the model's origin: `rotation` are intrinsic Euler angles (Rx Ry Rz), x has a straight root but a neck that
turns. A unit of the rig's world here is not quite a metre of the head's: `scale` is not 1.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from formats.captures import clips
from formats.captures.coefficients import camera_at, columns, refuse, shape_of
from formats.captures.origin_form import World
from formats.captures.pictures import on_white
from formats.captures.shooting import shoot
from formats.captures.shots import Film, Shot, Take
from formats.captures.tag import write_tag
from formats.codecs import npz_file
from formats.codecs.json_file import write_json
from formats.files import replacing_folder
from formats.rotations import axis_angle_to_matrix

EXPRESSIONS, IDENTITY = 100, 300
PARTICIPANTS = (393, 404, 461, 477, 486)
"""The benchmark's; a seed takes one of them."""
TRAIN = ("EXP-5-mouth", "EMO-2-surprise+fear", "EMO-4-disgust+happy")
TEST = ("EMO-1-shout+laugh", "FREE")
"""Test sequences of the benchmark."""
WORLD = World(axis_angle_to_matrix(np.array([0.15, -0.22, 0.08])), np.array([0.12, -0.07, 0.31]), 1.06)
"""The rig's own world."""
TRACKING = "flame2023_tracking_v2.npz"


def write(film: Film, out: Path, progress: Callable[[str], None]) -> None:
    """Write `film` into the folder `out`, whole or not at all.

    Args:
        film: Filmed for this layout: calibrated cameras, the head turns by root and neck and has a translation.
        out: The folder that holds `mono_flame_avatar`.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: The film holds something that the layout has no place for.
        MissingAsset: The folder cannot be written, or `av`, which writes clips, is not installed.
    """
    clips.check_encoder(out)
    for take in film.takes:
        refuse(take, "eyelids")
        columns(take.sequence.expr, EXPRESSIONS, "expression")
    participant = f"{PARTICIPANTS[film.seed % len(PARTICIPANTS)]:03d}"
    with replacing_folder(out) as folder:
        subject = folder / "mono_flame_avatar" / participant
        (subject / "calibration").mkdir(parents=True)
        write_json(_calibration(film), subject / "calibration" / "camera_params.json")
        for take in film.takes:
            for name, moments in sequences(take).items():
                place = subject / "sequences" / name / "tracking"
                place.mkdir(parents=True)
                npz_file.write(tracking(film, take, moments), place / TRACKING)
        shoot(film, partial(_keep, folder, participant), progress)
        clips.join(folder, film.fps)
        write_tag(film, "nersemble-benchmark", folder)


def sequences(take: Take) -> dict[str, np.ndarray]:
    """Return the moments of each of a take's sequences."""
    names = TRAIN if take.split == "train" else TEST
    parts = np.array_split(np.arange(len(take.sequence) // take.views), len(names))
    return {name: part for name, part in zip(names, parts, strict=True) if len(part)}


def _calibration(film: Film) -> dict[str, dict[str, list[list[float]]]]:
    """Return the lens and the place of every camera; the test take is seen by all."""
    take = film.takes[-1]
    cameras = {serial: camera_at(take, row) for row, serial in enumerate(take.cameras)}
    return {"world_2_cam": {serial: (WORLD.camera(camera.world_to_camera) + 0.0).tolist() for serial, camera in cameras.items()},
            "intrinsics": {serial: camera.K.tolist() for serial, camera in cameras.items()}}


def tracking(film: Film, take: Take, moments: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of a sequence's tracking file."""
    s = take.moments.take(moments)
    turn, place = WORLD.heads(film.head.personalise(shape_of(take, IDENTITY)), s)
    floats = {
        "shape": shape_of(take, IDENTITY)[None], "expression": columns(s.expr, EXPRESSIONS, "expression"),
        "rotation": euler_xyz(turn), "rotation_matrices": turn, "translation": place, "jaw": s.jaw, "neck": s.neck,
        "eyes": s.eyes, "scale": np.full((1, 1), WORLD.scale),
    }
    return {**{name: value.astype(np.float32) for name, value in floats.items()}, "frames": np.arange(len(moments))}


def euler_xyz(matrix: Float64[np.ndarray, "T 3 3"]) -> Float64[np.ndarray, "T 3"]:
    """Return angles a, b, c with `matrix` = Rx(a) Ry(b) Rz(c), b within a quarter turn."""
    return np.stack([np.arctan2(-matrix[:, 1, 2], matrix[:, 2, 2]), np.arcsin(np.clip(matrix[:, 0, 2], -1, 1)),
                     np.arctan2(-matrix[:, 0, 1], matrix[:, 0, 0])], axis=1)


def _keep(folder: Path, participant: str, take: Take, row: int, shot: Shot) -> None:
    """Keep one picture and its matte for the clips."""
    moment, serial = row // take.views, take.cameras[row % take.views]
    name, first = next((name, moments[0]) for name, moments in sequences(take).items() if moment in moments)
    place = f"mono_flame_avatar/{participant}/sequences/{name}"
    images, alphas = ((f"{place}/images", f"{place}/alpha_maps") if take.split == "train" else
                      (f"ground_truth/{participant}/{name}", f"ground_truth_alpha/{participant}/{name}"))
    clips.keep(folder, f"{images}/cam_{serial}.mp4", moment - first, on_white(shot.rgb, shot.matte))
    clips.keep(folder, f"{alphas}/cam_{serial}.mp4", moment - first, shot.matte)
