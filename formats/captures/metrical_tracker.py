"""metrical-tracker's own folders, what INSTA and FlashAvatar start from, and FlashAvatar's pictures beside them.

    OUT/input/<actor>/                                              <actor> is OUT's own name
        source/00001.png        the video's pictures, as ffmpeg numbers them: from 1
        images/00001.png        the crop; the whole picture here    kpt/00001.npy kpt_dense/00001.npy   landmarks in pixels
        identity.npy            300 identity coefficients
    OUT/output/<actor>/                                             numbers count from 0: output k is source k + 1
        checkpoint/00000.frame  coefficients and cameras            depth/00000.png   16 bit, millimetres, mouth sealed
        mesh/00000.ply          the tracked head                    canonical.obj     the person, jaw 12 degrees open
        input/00000.png video/00000.jpg                             the picture again
    OUT/dataset/<actor>/                                            FlashAvatar's; numbers count from 1
        imgs/00001.jpg alpha/00001.jpg parsing/00001_neckhead.png 00001_mouth.png
    OUT/capture.json OUT/head.safetensors                           ours

The training take comes first; numbers run on into the test take, and `capture.json` says how many frames each has. A
`.frame` holds the camera twice: `opencv` in pixels, and `camera` as PyTorch3D has it (row vectors, x left, y up, NDC). Head
and neck never turn; of `eyes`, the first six numbers are the left eye's. FlashAvatar looks for the checkpoints in
`metrical-tracker/output/<actor>`: link it there.

`kpt_dense` has MediaPipe's 478 rows, but of points of the stand-in's face in its own order, then five of each iris, right
one first. `tex` and `sh` (texture and light) are zero: the stand-in is not in their texture space. Not written: `bbox.pt`,
`train.log`, `logs/`, and `initialization/` and `pyramid/`, pictures of the optimisation under way.
"""

import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32

from formats.captures import label_codes
from formats.captures.canonical import canonical
from formats.captures.coefficients import camera_at, columns, first_moments, lens_of, refuse, shape_of
from formats.captures.frame_file import write_frame
from formats.captures.landmarks import on_picture
from formats.captures.mesh_ply import write_ply
from formats.captures.pictures import depth_levels, write_jpg, write_png
from formats.captures.shooting import shoot
from formats.captures.shots import Film, Shot, Take
from formats.captures.tag import write_tag
from formats.captures.wavefront import face_lines, write_obj
from formats.files import replacing_folder
from formats.head_model import HeadModel
from formats.lip_seal import seal_lips
from formats.rotations import axis_angle_to_matrix

EXPRESSIONS, IDENTITY, TEXTURE, LIGHT = 100, 300, 140, 9
DEPTH_UNIT = 0.001
"""Metres per level of a depth picture."""
DENSE, IRIS = 478, 5
"""MediaPipe's landmarks; the last ones are of the irises."""
STEPS = 0
"""`global_step`: no optimisation was run."""
PYTORCH3D = np.diag([-1.0, -1, 1])
"""OpenCV's camera axes against PyTorch3D's: x left, y up."""
INPUTS = ("source", "images", "kpt", "kpt_dense")
OUTPUTS = ("checkpoint", "mesh", "depth", "input", "video")
PICTURES = ("imgs", "alpha", "parsing")


def write(film: Film, out: Path, progress: Callable[[str], None]) -> None:
    """Write `film` into the folder `out`, whole or not at all.

    Args:
        film: Filmed for this layout: the camera moves around a head that never turns.
        out: The folder that holds `input`, `output` and `dataset`.
        progress: Is told what happens, a line at a time.

    Raises:
        UnsupportedFeature: The film holds something that the layout has no place for.
        MissingAsset: The folder cannot be written.
    """
    lens_of(film)
    for take in film.takes:
        refuse(take, "rotation", "neck", "translation")
    firsts = first_moments(film)
    with replacing_folder(out) as folder:
        actor = Path(out).resolve().name
        places = {name: folder / name / actor for name in ("input", "output", "dataset")}
        for place, names in zip(places.values(), (INPUTS, OUTPUTS, PICTURES), strict=True):
            for name in names:
                (place / name).mkdir(parents=True)
        np.save(places["input"] / "identity.npy", shape_of(film.takes[0], IDENTITY).astype(np.float32))
        shoot(film, partial(_keep, film, places, firsts), progress)
        write_obj(places["output"] / "canonical.obj", canonical(film), face_lines(seal_lips(film.head).faces))
        write_tag(film, "metrical-tracker", folder)


def _keep(film: Film, places: dict[str, Path], firsts: dict[str, int], take: Take, index: int, shot: Shot) -> None:
    """Store one moment's files."""
    number = firsts[take.split] + index
    source, stem = f"{number + 1:05d}", f"{number:05d}"
    given, made, pictures = places["input"], places["output"], places["dataset"]
    for path in (given / "source" / f"{source}.png", given / "images" / f"{source}.png", made / "input" / f"{stem}.png"):
        write_png(path, shot.rgb)
    write_jpg(made / "video" / f"{stem}.jpg", shot.rgb)
    np.save(given / "kpt" / f"{source}.npy", shot.landmarks)
    np.save(given / "kpt_dense" / f"{source}.npy", _dense(film.head, take, index, shot))
    write_png(made / "depth" / f"{stem}.png", depth_levels(shot.depth, DEPTH_UNIT))
    write_ply(made / "mesh" / f"{stem}.ply", shot.vertices, film.head.faces)
    write_frame(_frame(take, index, stem), made / "checkpoint" / f"{stem}.frame")
    write_jpg(pictures / "imgs" / f"{source}.jpg", shot.rgb)
    write_jpg(pictures / "alpha" / f"{source}.jpg", shot.matte)
    write_png(pictures / "parsing" / f"{source}_mouth.png", label_codes.mouth_mask(shot.labels))
    write_png(pictures / "parsing" / f"{source}_neckhead.png", label_codes.neckhead_mask(shot.labels))


def _frame(take: Take, index: int, stem: str) -> dict[str, Any]:
    s, camera = take.sequence, camera_at(take, index)
    k, rotation, translation = camera.K, camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
    half = min(camera.width, camera.height) / 2
    flame = {
        "exp": columns(s.expr[index], EXPRESSIONS, "expression"), "shape": shape_of(take, IDENTITY),
        "tex": np.zeros(TEXTURE), "sh": np.zeros((LIGHT, 3)), "eyes": _six(s.eyes[index].reshape(2, 3)).ravel(),
        "eyelids": s.eyelids[index], "jaw": _six(s.jaw[index]),
    }
    lens = {
        # Row vectors: the matrix is transposed, and its first two rows are kept.
        "R": (PYTORCH3D @ rotation).T[:2].ravel(), "t": PYTORCH3D @ translation, "fl": k[:1, 0] / half,
        "pp": ([camera.width / 2, camera.height / 2] - k[:2, 2]) / half,
    }
    opencv = {"R": rotation, "t": translation, "K": k}
    blocks = {block: {name: np.asarray(value, np.float32)[None] for name, value in values.items()}
              for block, values in (("flame", flame), ("camera", lens), ("opencv", opencv))}
    return {**blocks, "img_size": np.array([camera.height, camera.width], np.int64), "frame_id": stem, "global_step": STEPS}


def _six(turn: np.ndarray) -> Float64[np.ndarray, "*n 6"]:
    """Return axis-angle turns [..., 3] as the first two rows of their matrices."""
    return axis_angle_to_matrix(turn)[..., :2, :].reshape(*turn.shape[:-1], 6)


def _dense(head: HeadModel, take: Take, index: int, shot: Shot) -> Float32[np.ndarray, "478 2"]:
    return on_picture(shot.vertices[dense_points(head)].astype(np.float64), camera_at(take, index)).astype(np.float32)


@functools.lru_cache(maxsize=2)
def dense_points(head: HeadModel) -> Int32[np.ndarray, " 478"]:
    """Return the vertices that stand for MediaPipe's points: spread over the face, then five of each iris, right first."""
    face = head.regions["face"]
    spread = face[np.linspace(0, len(face) - 1, DENSE - 2 * IRIS).round().astype(int)]
    irises = []
    for side in ("right", "left"):
        ids = head.regions[f"{side}_iris"]
        points, middle = head.v_template[ids], head.v_template[ids].mean(axis=0)
        # The middle, then the farthest to the subject's left, up, to its right and down.
        near = np.argmin(np.sum((points - middle)[:, :2] ** 2, axis=1))
        irises += [ids[near], *(ids[np.argmax(points[:, :2] @ way)] for way in ((1, 0), (0, 1), (-1, 0), (0, -1)))]
    return np.concatenate([spread, irises]).astype(np.int32)
