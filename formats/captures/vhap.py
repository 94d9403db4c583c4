"""VHAP's export folder of one sequence, parameters instead of meshes: what GaussianAvatars and LAM train from.

    OUT/images/00000_00.png             moment and camera; on white, faded to white below the neck
        fg_masks/00000_00.png
        flame_param/00000.npz           translation rotation neck_pose jaw_pose (1,3) eyes_pose (1,6) shape (300,) expr (1,100)
                                        static_offset (1,5143,3), zeros
        canonical_flame_param.npz       the person at rest, jaw 0.3 radians open
        transforms.json                 every frame
        transforms_train.json           moments of the training take, all cameras but the held-out one
        transforms_val.json             the same moments seen by camera 8, here by the last one
        transforms_test.json            the test take, all cameras
        transforms_backup.json          before the parameters were put in: no flame_param_path, the rig's own world
        transforms_backup_flame.json    after that: as transforms.json
    OUT/capture.json OUT/head.safetensors   ours

Cameras are camera-to-world in OpenGL's axes. `cy` counts from the BOTTOM, as the export has it for calibrated cameras; `cx`
from the left. The world is shifted so that the mean translation of the head over the sequence is zero, cameras with it. The
training take is the first 70 % of the moments, rounded up: the film is cut so for this layout.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from formats.captures.coefficients import camera_at, columns, first_moments, refuse, shape_of
from formats.captures.landmarks import on_picture
from formats.captures.pictures import on_white, write_png
from formats.captures.shooting import shoot
from formats.captures.shots import Film, Shot, Take
from formats.captures.tag import write_tag
from formats.captures.vhap_npz import EXPRESSIONS, IDENTITY, canonical, parameters
from formats.codecs import npz_file
from formats.codecs.json_file import write_json
from formats.conventions import CV_FROM_GL
from formats.files import replacing_folder

VALIDATION_CAMERA = 8
"""Held out; the last camera where there are not so many."""
FADE = 0.03
"""Of the picture's height: how the person ends above the neck's lower ring."""


def write(film: Film, out: Path, progress: Callable[[str], None]) -> None:
    """Write `film` into the folder `out`, whole or not at all.

    Args:
        film: Filmed for this layout: calibrated cameras, the head turns by root and neck and has a translation.
        out: The export folder.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: The film holds something that the layout has no place for.
        MissingAsset: The folder cannot be written.
    """
    for take in film.takes:
        refuse(take, "eyelids")
        columns(take.sequence.expr, EXPRESSIONS, "expression")
        shape_of(take, IDENTITY)
    shift = np.concatenate([take.moments.translation for take in film.takes]).astype(np.float64).mean(axis=0)
    with replacing_folder(out) as folder:
        for name in ("images", "fg_masks", "flame_param"):
            (folder / name).mkdir()
        taken = shoot(film, partial(_keep, film, folder, first_moments(film), shift), progress)
        npz_file.write(canonical(film.takes[0]), folder / "canonical_flame_param.npz")
        every = [frame for frames in taken for frame in frames]
        for name, chosen in _splits(every, len(taken[0])).items():
            write_json(_file(chosen), folder / f"transforms{name}.json")
        before = [{name: value for name, value in _moved(frame, shift).items() if name != "flame_param_path"}
                  for frame in every]
        write_json(_file(before), folder / "transforms_backup.json")
        write_tag(film, "vhap", folder)


def _splits(frames: list[dict[str, Any]], cut: int) -> dict[str, list[dict[str, Any]]]:
    """Return each transforms file's frames: `cut` of them are of the training take."""
    cameras = sorted({frame["camera_index"] for frame in frames})
    held = VALIDATION_CAMERA if VALIDATION_CAMERA in cameras else cameras[-1]
    seen = [frame["camera_index"] == held and len(cameras) > 1 for frame in frames[:cut]]
    return {
        "": frames, "_backup_flame": frames,
        "_train": [frame for frame, out in zip(frames, seen, strict=False) if not out],
        "_val": [frame for frame, out in zip(frames, seen, strict=False) if out],
        "_test": frames[cut:],
    }


def _file(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a transforms file: the last frame's lens stands for the file."""
    lens = ("cx", "cy", "fl_x", "fl_y", "h", "w", "camera_angle_x", "camera_angle_y")
    return {"frames": frames, **({name: frames[-1][name] for name in lens} if frames else {}),
            "timestep_indices": sorted({frame["timestep_index"] for frame in frames}),
            "camera_indices": sorted({frame["camera_index"] for frame in frames})}


def _moved(frame: dict[str, Any], by: np.ndarray) -> dict[str, Any]:
    matrix = np.array(frame["transform_matrix"])
    matrix[:3, 3] += by
    return {**frame, "transform_matrix": matrix.tolist()}


def _keep(film: Film, folder: Path, firsts: dict[str, int], shift: np.ndarray, take: Take, row: int,
          shot: Shot) -> dict[str, Any]:
    """Store one picture, and with a moment's first one its parameters; return its entry for the transforms files."""
    moment, view = firsts[take.split] + row // take.views, row % take.views
    stem = f"{moment:05d}_{view:02d}"
    camera = camera_at(take, row)
    alpha = np.rint(shot.head_rgba[..., 3] * above_line(film, shot, take, row)).astype(np.uint8)
    write_png(folder / "images" / f"{stem}.png", on_white(shot.head_rgba[..., :3], alpha))
    write_png(folder / "fg_masks" / f"{stem}.png", alpha)
    if view == 0:
        npz_file.write(parameters(take, row, shift), folder / "flame_param" / f"{moment:05d}.npz")
    matrix = np.linalg.inv(camera.world_to_camera) @ CV_FROM_GL
    matrix[:3, 3] -= shift
    k, width, height = camera.K, camera.width, camera.height
    return {
        "timestep_index": moment, "timestep_index_original": moment, "timestep_id": f"{moment:05d}",
        "camera_index": view, "camera_id": take.cameras[view] if take.cameras else "0",
        "cx": float(k[0, 2]), "cy": float(height - k[1, 2]), "fl_x": float(k[0, 0]), "fl_y": float(k[1, 1]),
        "h": height, "w": width, "camera_angle_x": float(2 * np.arctan(width / (2 * k[0, 0]))),
        "camera_angle_y": float(2 * np.arctan(height / (2 * k[1, 1]))), "transform_matrix": (matrix + 0.0).tolist(),
        "file_path": f"images/{stem}.png", "fg_mask_path": f"fg_masks/{stem}.png",
        "flame_param_path": f"flame_param/{moment:05d}.npz",
    }


def above_line(film: Film, shot: Shot, take: Take, row: int) -> Float64[np.ndarray, "H 1"]:
    """Return how much of each picture row is kept: 1 above the neck's lower ring, fading to 0 there."""
    camera = camera_at(take, row)
    ring = shot.vertices[film.head.regions["bottomline"]].astype(np.float64)
    line, rows = on_picture(ring, camera)[:, 1].mean(), np.arange(camera.height)[:, None] + 0.5
    return np.clip((line - rows) / (FADE * camera.height), 0, 1)
