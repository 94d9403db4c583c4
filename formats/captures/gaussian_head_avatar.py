"""Gaussian Head Avatar's layout of a subject, with the FLAME parameters of its strand-hair fork.

    OUT/images/0000/image_<serial>.jpg image_lowres_<serial>.jpg    the whole picture, and an eighth as wide
                    mask_ mask_lowres_                              matte of the whole person
                    visible_ visible_lowres_                        255: nothing is cropped beyond the picture here
        cameras/0000/camera_<serial>.npz    extrinsic (3,4) intrinsic (3,3)
        params/0000/params.npz              id_coeff (1,80) exp_coeff (1,64) scale (1,) pose (1,6)
        FLAME_params/0000/params.npz        id_coeff (1,100) exp_coeff (1,59) scale (1,1) pose (1,6)
            lmk_3d.npy (66,3) vertices.npy  beside either params.npz, in the world
        landmarks/0000/lmk_<serial>.npy     (68,3): x and y in pixels, score
        background/image_<serial>.jpg       the room without the person
    OUT/capture.json OUT/head.safetensors   ours

Moments of the test take follow those of the training take. Cameras are world-to-camera in OpenCV's axes; the world is the
rig's own, in metres. A head is `scale * rotation * x + translation` about the model's origin, `pose` its axis-angle and
translation. In `params` the model's unit is 0.15 metres, as BFM's heads are fitted; in `FLAME_params` it is the metre, and
`exp_coeff` holds 50 expressions, the jaw and both eyes.

The stand-in is no BFM head: `params` holds its own coefficients. A BFM head opens its mouth and looks by coefficients, so the
jaw and the eyes stand in columns whose shapes are zero (`JOINT_COLUMNS`), three times their radians. The landmarks of
`params` are iBUG's 68 without the corners of the inner mouth's outline, 48 and 54, in the stand-in's static embedding.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image

from formats.captures.coefficients import camera_at, columns, first_moments, refuse, shape_of
from formats.captures.origin_form import World
from formats.captures.pictures import write_jpg
from formats.captures.scene import wall
from formats.captures.shooting import shoot
from formats.captures.shots import Film, Shot, Take
from formats.captures.tag import write_tag
from formats.codecs import npz_file
from formats.conventions import ARKIT_52
from formats.files import replacing_folder
from formats.head_model import HeadModel
from formats.rotations import axis_angle_to_matrix, matrix_to_quat, quat_to_axis_angle

BFM_IDENTITY, BFM_EXPRESSIONS, FLAME_IDENTITY, FLAME_EXPRESSIONS = 80, 64, 100, 50
BFM_UNIT = 0.15
"""Metres of the model's unit in `params`: the fitter starts there."""
LOW = 8
"""How many times smaller the small pictures are: 2048 against 256."""
WORLD = World(axis_angle_to_matrix(np.array([0.06, -0.11, 0.03])), np.array([0.021, -0.034, 0.052]))
"""The rig's own world, metres."""
JOINT_COLUMNS = ("jawOpen", "jawLeft", "jawRight", "eyeLookUpLeft", "eyeLookOutLeft", "eyeLookInLeft", "eyeLookUpRight",
                 "eyeLookInRight", "eyeLookOutRight")
"""Where `params` holds the jaw's and the eyes' nine numbers: joints, not shapes, make these motions of the stand-in."""
JOINT_WEIGHT = 3.0
"""Coefficient per radian."""
KEPT = np.delete(np.arange(68), [48, 54])
"""Of iBUG's landmarks."""


def write(film: Film, out: Path, progress: Callable[[str], None]) -> None:
    """Write `film` into the folder `out`, whole or not at all.

    Args:
        film: Filmed for this layout: calibrated cameras, the head moves as one piece.
        out: The subject's folder.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: The film holds something that the layout has no place for.
        MissingAsset: The folder cannot be written.
    """
    poses = {}
    for take in film.takes:
        refuse(take, "eyelids", "neck")
        columns(take.sequence.expr, FLAME_EXPRESSIONS, "expression")
        poses[take.split] = _poses(film.head.personalise(shape_of(take, BFM_IDENTITY)), take)
    with replacing_folder(out) as folder:
        (folder / "background").mkdir()
        for row, serial in enumerate(film.takes[-1].cameras):
            camera = camera_at(film.takes[-1], row)
            write_jpg(folder / "background" / f"image_{serial}.jpg", wall(camera.width, camera.height))
        shoot(film, partial(_keep, film, folder, first_moments(film), poses), progress)
        write_tag(film, "gaussian-head-avatar", folder)


def _poses(person: HeadModel, take: Take) -> Float64[np.ndarray, "T 6"]:
    turn, place = WORLD.heads(person, take.sequence)
    return np.concatenate([quat_to_axis_angle(matrix_to_quat(turn)), place], axis=1)


def _keep(film: Film, folder: Path, firsts: dict[str, int], poses: dict[str, np.ndarray], take: Take, row: int,
          shot: Shot) -> None:
    """Store one picture with its camera, and with a moment's first one its parameters."""
    stem, serial = f"{firsts[take.split] + row // take.views:04d}", take.cameras[row % take.views]
    camera = camera_at(take, row)
    places = {name: folder / name / stem for name in ("images", "cameras", "params", "FLAME_params", "landmarks")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    small = max(camera.width // LOW, 1), max(camera.height // LOW, 1)
    for name, pixels in (("image", shot.rgb), ("mask", shot.matte), ("visible", np.full_like(shot.matte, 255))):
        write_jpg(places["images"] / f"{name}_{serial}.jpg", pixels)
        shrunk = np.asarray(Image.fromarray(pixels).resize(small, Image.Resampling.BOX))
        write_jpg(places["images"] / f"{name}_lowres_{serial}.jpg", shrunk)
    npz_file.write({"extrinsic": WORLD.camera(camera.world_to_camera)[:3].astype(np.float32),
                    "intrinsic": camera.K.astype(np.float32)}, places["cameras"] / f"camera_{serial}.npz")
    scores = np.ones((len(shot.landmarks), 1), np.float32)
    np.save(places["landmarks"] / f"lmk_{serial}.npy", np.concatenate([shot.landmarks, scores], axis=1))
    if row % take.views:
        return
    vertices = WORLD.points(shot.vertices)
    parameters = _parameters(take, row, poses[take.split][row])
    for name in ("params", "FLAME_params"):
        npz_file.write({key: (value + 0.0).astype(np.float32) for key, value in parameters[name].items()},
                       places[name] / "params.npz")
        np.save(places[name] / "vertices.npy", vertices.astype(np.float32))
        np.save(places[name] / "lmk_3d.npy", _landmarks(film.head, vertices).astype(np.float32))


def _parameters(take: Take, row: int, pose: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    s = take.sequence
    expr, joints = columns(s.expr[row], FLAME_EXPRESSIONS, "expression"), np.concatenate([s.jaw[row], s.eyes[row]])
    own = columns(expr, BFM_EXPRESSIONS, "expression")
    own[[ARKIT_52.index(name) for name in JOINT_COLUMNS]] = JOINT_WEIGHT * joints
    return {
        "params": {"id_coeff": shape_of(take, BFM_IDENTITY)[None], "exp_coeff": own[None], "scale": np.array([BFM_UNIT]),
                   "pose": pose[None]},
        "FLAME_params": {"id_coeff": shape_of(take, FLAME_IDENTITY)[None],
                         "exp_coeff": np.concatenate([expr, joints])[None], "scale": np.ones((1, 1)), "pose": pose[None]},
    }


def _landmarks(head: HeadModel, vertices: np.ndarray) -> Float64[np.ndarray, "66 3"]:
    table = head.landmarks
    corners = vertices[head.faces[table["full_lmk_faces_idx"][0]]]
    return np.einsum("lk,lkc->lc", table["full_lmk_bary_coords"][0], corners)[KEPT]
