"""Tracked videos written by hand from the sheets' formulas, ten frames each, apart from the code that writes captures.

The head is the stand-in with someone's shape; pictures are plain, their matte is a disc, and a pixel's green says which
frame it is. Where points are on the head comes from `formats.deform`; how they get into files is written out here.
"""

import functools
import json
from pathlib import Path

import numpy as np
from PIL import Image

from formats.deform import deform_head
from formats.head_model import HeadModel
from formats.rotations import axis_angle_to_matrix
from formats.sequence import Sequence
from formats.standin.head import standin_head

FRAMES, SIZE = 10, 96
FOCAL, CENTRE = 2.1, (0.52, 0.45)
"""In pictures' widths; the centre is off the middle so that a flip shows."""
DISTANCE = 1.0


@functools.cache
def head() -> HeadModel:
    """Return the head the videos are tracked with."""
    return standin_head("open-mouth")


@functools.cache
def motion(expressions: int, shapes: int, moving: bool) -> Sequence:
    """Return what happens; `moving` turns root and neck, else the camera must."""
    rng = np.random.default_rng(5)
    t = np.linspace(0, 1.6 * np.pi, FRAMES)[:, None]

    def wave(width: int, size: float) -> np.ndarray:
        return size * np.sin(t * rng.integers(1, 3, width) + rng.uniform(0, 6, width))

    turn = {"rotation": wave(3, 0.2), "neck": wave(3, 0.15)} if moving else {"eyelids": np.abs(wave(2, 0.4))}
    # The eyes differ, so that exchanging them shows.
    return Sequence("standin", 25.0, wave(expressions, 0.3), jaw=np.abs(wave(3, 0.15)) * [1, 0.1, 0.1], eyes=wave(6, 0.25),
                    shape=rng.normal(0, 0.8, shapes), **turn)


@functools.cache
def posed(expressions: int, shapes: int, moving: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return 68 landmarks and the irises (left, right) of every frame, metres."""
    sequence = motion(expressions, shapes, moving)
    person = head().personalise(sequence.shape)
    faces = head().faces[head().landmarks["full_lmk_faces_idx"][0]]
    weights = head().landmarks["full_lmk_bary_coords"][0]
    marks, irises = [], []
    for i in range(FRAMES):
        vertices = deform_head(person, sequence.take([i])).vertices
        marks.append((weights[:, :, None] * vertices[faces]).sum(axis=1))
        irises.append([vertices[head().regions[f"{side}_iris"]].mean(axis=0) for side in ("left", "right")])
    return np.stack(marks), np.array(irises)


def rgba(frame: int, size: int = SIZE) -> Image.Image:
    """Return a picture with a disc for a matte."""
    y, x = np.mgrid[:size, :size] + 0.5 - size / 2
    picture = np.full((size, size, 4), [200, 20 * frame, 30, 0], np.uint8)
    picture[..., 3] = 255 * (np.hypot(x, y) < 0.45 * size)
    return Image.fromarray(picture)


def write_imavatar(root: Path, masks: bool = False, iris: bool = True) -> Path:
    """Write `root`/anna with train and test, as the sheet's section 1 has it, and return that folder."""
    sequence = motion(50, 100, True)
    marks, irises = posed(50, 100, True)
    step = np.array([0.02, -0.01, -DISTANCE])
    for split in ("train", "test"):
        video = root / "anna" / f"anna_{split}"
        (video / "image").mkdir(parents=True)
        for name in ("mask",) if masks else ("matted",):
            (video / name).mkdir()
        frames = []
        for i in range(FRAMES):
            # The model is four times life size; the camera looks along -z, y up; fx is negative.
            world = 4 * step
            picture = rgba(i)
            picture.convert("RGB").save(video / "image" / f"{i + 1}.png")
            if masks:
                picture.getchannel("A").save(video / "mask" / f"{i + 1}.png")
            else:
                picture.save(video / "matted" / f"{i + 1}.png")
            points = np.concatenate([marks[i], irises[i, ::-1]]) * 4 + world
            u = CENTRE[0] + FOCAL * points[:, 0] / -points[:, 2]
            v = CENTRE[1] - FOCAL * points[:, 1] / -points[:, 2]
            pose = np.concatenate([sequence.rotation[i], sequence.neck[i], sequence.jaw[i], sequence.eyes[i]])
            frames.append({
                "file_path": f"./image/{i + 1}", "world_mat": np.column_stack([np.eye(3), world]).tolist(),
                "expression": sequence.expr[i].tolist(), "pose": pose.tolist(), "bbox": [-0.5, -0.5, 0.5, 0.5],
                "flame_keypoints": (2 * np.stack([u, v], axis=1) - 1)[:70 if iris else 68].tolist()})
        # As text sorts: 1, 10, 2, ...
        frames.sort(key=lambda frame: frame["file_path"])
        (video / "flame_params.json").write_text(json.dumps({
            "frames": frames, "intrinsics": [-FOCAL, FOCAL, *CENTRE], "shape_params": sequence.shape.tolist()}))
    (root / "anna" / "capture.json").write_text(json.dumps({"edition": "standin"}))
    return root / "anna"


def orbit(i: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rotation (world to OpenCV camera) and the camera's place of frame `i`."""
    rotation = np.diag([1.0, -1, -1]) @ axis_angle_to_matrix(np.array([0.1 * np.cos(i), 0.4 * np.sin(0.5 * i), 0.06 * i - 0.3]))
    return rotation, -rotation.T @ np.array([0.01, -0.02 + 0.003 * i, DISTANCE])


def write_insta(root: Path) -> Path:
    """Write `root`/bala, as the sheet's section 3 and FateAvatar's additions have it, and return that folder."""
    subject = root / "bala"
    sequence = motion(100, 300, False)
    marks, _ = posed(100, 300, False)
    for name in ("images", "seg_mask", "flame/exp", "flame/shape", "flame/jaw", "flame/eyes", "flame/eyelids"):
        (subject / name).mkdir(parents=True)

    def text(name: str, i: int, values: np.ndarray) -> None:
        (subject / "flame" / name / f"{i:05d}.txt").write_text("".join(f"{value:.8f}\n" for value in values.ravel()))

    frames = []
    for i in range(FRAMES):
        rotation, place = orbit(i)
        rgba(i).save(subject / "images" / f"{i:05d}.png")
        text("exp", i, sequence.expr[i])
        text("shape", i, sequence.shape)
        text("jaw", i, axis_angle_to_matrix(sequence.jaw[i])[:2])
        left, right = axis_angle_to_matrix(sequence.eyes[i].reshape(2, 3))[:, :2]
        text("eyes", i, np.stack([right, left]))
        text("eyelids", i, sequence.eyelids[i])
        mask = np.zeros((SIZE, SIZE, 3), np.uint8)
        y, x = np.mgrid[:SIZE, :SIZE] + 0.5
        for code, lids in ((210, slice(42, 48)), (200, slice(36, 42))):
            view = rotation @ (marks[i, lids].mean(axis=0) - place)
            u, v = (SIZE * (CENTRE[k] + FOCAL * view[k] / view[2]) for k in (0, 1))
            mask[np.hypot((x - u) / 1.6, y - v) < 2] = code, 0, 0
        Image.fromarray(mask).save(subject / "seg_mask" / f"{i:05d}.png")
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation.T, place
        frames.append({"transform_matrix": matrix.tolist(), "file_path": f"images/{i:05d}.png",
                       "exp_path": f"flame/exp/{i:05d}.txt", "mesh_path": f"meshes/{i:05d}.obj",
                       "seg_mask_path": f"seg_mask/{i:05d}.png"})
    file = {"w": float(SIZE), "h": float(SIZE), "fl_x": FOCAL * SIZE, "fl_y": FOCAL * SIZE, "cx": CENTRE[0] * SIZE,
            "cy": CENTRE[1] * SIZE, "integer_depth_scale": 0.001}
    # Out of order, and with the hole that a missing mesh leaves.
    (subject / "transforms_train.json").write_text(json.dumps(file | {"frames": [None, *frames[6::-1]]}))
    (subject / "transforms_test.json").write_text(json.dumps(file | {"frames": frames[7:]}))
    (root / "capture.json").write_text(json.dumps({"edition": "standin"}))
    return subject
