"""More tracked videos written by hand from the sheets' formulas: layouts of trackers and of several cameras.

As in `tests.formats.tracked_folders`: where points are on the head comes from `formats.deform`, how they get into files is
written out here, apart from the code that writes captures. A pixel's green says which moment it is.
"""

import functools
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from formats.deform import deform_head
from formats.rotations import axis_angle_to_matrix
from formats.sequence import Sequence
from tests.formats.tracked_folders import CENTRE, FOCAL, FRAMES, SIZE, head, motion, orbit, posed, rgba

RIG = 2
"""Cameras of the layouts with several."""
SHIFT = np.array([0.03, -0.02, 0.05])
"""Metres by which the moving head is moved at the first moment."""


def k_matrix(size: int = SIZE) -> np.ndarray:
    """Return the intrinsics of all cameras here, pixels."""
    return np.array([[FOCAL * size, 0, CENTRE[0] * size], [0, FOCAL * size, CENTRE[1] * size], [0, 0, 1]])


def view(camera: int) -> np.ndarray:
    """Return a still camera of the rig, world to OpenCV camera [4, 4]."""
    rotation, place = orbit(2 * camera + 1)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ place
    return matrix


@functools.cache
def walking() -> tuple[Sequence, np.ndarray]:
    """Return a head that turns and moves, VHAP's coefficients, and its 68 landmarks of every moment."""
    still = motion(100, 300, True)
    rng = np.random.default_rng(9)
    sequence = Sequence("standin", 25.0, still.expr, still.rotation, still.neck, still.jaw, still.eyes, shape=still.shape,
                        translation=SHIFT + np.cumsum(rng.normal(0, 0.003, (FRAMES, 3)), axis=0))
    return sequence, landmarks(sequence)


def landmarks(sequence: Sequence) -> np.ndarray:
    """Return the 68 landmarks [T, 68, 3] of a clip of the tests' head."""
    person = head().personalise(sequence.shape)
    faces = head().faces[head().landmarks["full_lmk_faces_idx"][0]]
    weights = head().landmarks["full_lmk_bary_coords"][0]
    return np.stack([(weights[:, :, None] * deform_head(person, sequence.take([i])).vertices[faces]).sum(axis=1)
                     for i in range(len(sequence))])


def pixels(points: np.ndarray, world_to_camera: np.ndarray, k: np.ndarray | None = None) -> np.ndarray:
    """Return where world points [..., 3] are seen."""
    seen = (points @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]) @ (k_matrix() if k is None else k).T
    return seen[..., :2] / seen[..., 2:]


def tag(folder: Path) -> None:
    """Say that the coefficients are the stand-in's."""
    (folder / "capture.json").write_text(json.dumps({"edition": "standin"}))


# --- metrical-tracker and FlashAvatar ---------------------------------------------------------------------------------


def torch_zip(value: Any, path: Path) -> None:
    """Write NumPy arrays as `torch.save` packs them: no tensors, so no storages."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (("data.pkl", pickle.dumps(value, 2)), ("byteorder", b"little"), ("version", b"3\n")):
            archive.writestr(f"{path.stem}/{name}", data)


def write_frames(folder: Path) -> None:
    """Write the tracker's checkpoint folder."""
    folder.mkdir(parents=True)
    sequence = motion(100, 300, False)
    for i in range(FRAMES):
        rotation, place = orbit(i)

        def six(vectors: np.ndarray) -> np.ndarray:
            return np.float32(axis_angle_to_matrix(vectors.reshape(-1, 3))[:, :2].reshape(1, -1))

        turned = np.diag([-1.0, -1, 1])
        torch_zip({
            "flame": {"exp": sequence.expr[i][None], "shape": sequence.shape[None], "tex": np.zeros((1, 140), np.float32),
                      "sh": np.zeros((1, 9, 3), np.float32), "eyes": six(sequence.eyes[i]), "jaw": six(sequence.jaw[i]),
                      "eyelids": sequence.eyelids[i][None]},
            "camera": {"R": np.float32((turned @ rotation).T[:2].reshape(1, 6)),
                       "t": np.float32(turned @ -rotation @ place)[None], "fl": np.float32([[2 * FOCAL]]),
                       "pp": np.float32([[1 - 2 * CENTRE[0], 1 - 2 * CENTRE[1]]])},
            "opencv": {"R": np.float32(rotation)[None], "t": np.float32(-rotation @ place)[None],
                       "K": np.float32(k_matrix())[None]},
            "img_size": np.array([SIZE, SIZE]), "frame_id": f"{i:05d}", "global_step": 9}, folder / f"{i:05d}.frame")


def write_metrical_tracker(root: Path, mattes: str = "alpha") -> Path:
    """Write `root`/track with the tracker's two trees, as the sheet's section 2 has them, and return that folder."""
    tree = root / "track"
    write_frames(tree / "output" / "bala" / "checkpoint")
    inputs = tree / "input" / "bala"
    for name in ("images", "kpt", "kpt_dense", mattes):
        (inputs / name).mkdir(parents=True)
    marks, irises = posed(100, 300, False)
    for i in range(FRAMES):
        rotation, place = orbit(i)
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ place
        picture, name = rgba(i), f"{i + 1:05d}"  # ffmpeg counts from 1
        picture.convert("RGB").save(inputs / "images" / f"{name}.png")
        (picture if mattes == "matted" else picture.getchannel("A")).save(inputs / mattes / f"{name}.png")
        np.save(inputs / "kpt" / f"{name}.npy", pixels(marks[i], matrix))
        dense = np.zeros((478, 2))
        dense[[473, 468]] = pixels(irises[i], matrix)
        np.save(inputs / "kpt_dense" / f"{name}.npy", dense)
    tag(tree)
    return tree


def write_flash(root: Path) -> Path:
    """Write `root`/flash as FlashAvatar's section 4 has it, clothes cut off by `parsing`, and return that folder."""
    tree = root / "flash"
    write_frames(tree / "metrical-tracker" / "output" / "obama" / "checkpoint")
    data = tree / "dataset" / "obama"
    for name in ("imgs", "alpha", "parsing"):
        (data / name).mkdir(parents=True)
    for i in range(FRAMES):
        picture, name = rgba(i), f"{i + 1:05d}"
        picture.convert("RGB").save(data / "imgs" / f"{name}.jpg", quality=100)
        picture.getchannel("A").save(data / "alpha" / f"{name}.jpg", quality=100)
        neckhead = np.full((SIZE, SIZE), 255, np.uint8)
        neckhead[3 * SIZE // 4:] = 0
        Image.fromarray(neckhead).save(data / "parsing" / f"{name}_neckhead.png")
        Image.fromarray(neckhead).save(data / "parsing" / f"{name}_mouth.png")
    tag(tree)
    return tree


# --- VHAP -------------------------------------------------------------------------------------------------------------

CANONICAL = {"translation": 3, "rotation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6, "expr": 100}


def vhap_parameters(sequence: Sequence, i: int) -> dict[str, np.ndarray]:
    """Return one moment under VHAP's names, a row each."""
    return {"translation": sequence.translation[i][None], "rotation": sequence.rotation[i][None],
            "neck_pose": sequence.neck[i][None], "jaw_pose": sequence.jaw[i][None], "eyes_pose": sequence.eyes[i][None],
            "shape": sequence.shape, "expr": sequence.expr[i][None], "static_offset": np.zeros((1, 5143, 3), np.float32)}


def write_vhap(root: Path) -> Path:
    """Write `root`/074 as VHAP exports it (section 5, several cameras), and return that folder."""
    subject = root / "074"
    sequence, _ = walking()
    for name in ("images", "fg_masks", "flame_param"):
        (subject / name).mkdir(parents=True)
    entries = []
    for i in range(FRAMES):
        np.savez(subject / "flame_param" / f"{i:05d}.npz", **vhap_parameters(sequence, i))
        for camera in range(RIG):
            picture, name = rgba(i), f"{i:05d}_{camera:02d}"
            white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
            white.alpha_composite(picture)
            white.convert("RGB").save(subject / "images" / f"{name}.png")
            picture.getchannel("A").save(subject / "fg_masks" / f"{name}.png")
            # Camera-to-world; the camera looks along -z, y up.
            place = np.linalg.inv(view(camera)) @ np.diag([1.0, -1, -1, 1])
            entries.append({
                "timestep_index": i, "timestep_index_original": 3 * i, "timestep_id": f"{3 * i:05d}", "camera_index": camera,
                "camera_id": str(camera), "cx": CENTRE[0] * SIZE, "cy": SIZE - CENTRE[1] * SIZE, "fl_x": FOCAL * SIZE,
                "fl_y": FOCAL * SIZE, "h": SIZE, "w": SIZE, "camera_angle_x": 2 * np.arctan(0.5 / FOCAL),
                "camera_angle_y": 2 * np.arctan(0.5 / FOCAL), "transform_matrix": place.tolist(),
                "file_path": f"images/{name}.png", "fg_mask_path": f"fg_masks/{name}.png",
                "flame_param_path": f"flame_param/{i:05d}.npz"})
    np.savez(subject / "canonical_flame_param.npz", shape=sequence.shape,
             **{name: np.zeros((1, width)) for name, width in CANONICAL.items()})
    last = {key: entries[-1][key] for key in ("cx", "cy", "fl_x", "fl_y", "h", "w", "camera_angle_x", "camera_angle_y")}
    head_of = FRAMES * 7 // 10
    splits = {"": entries, "_train": [entry for entry in entries if entry["timestep_index"] < head_of],
              "_val": [], "_test": [entry for entry in entries if entry["timestep_index"] >= head_of]}
    for name, part in splits.items():
        # Out of order.
        (subject / f"transforms{name}.json").write_text(json.dumps(last | {
            "frames": part[::-1], "timestep_indices": list(range(FRAMES)), "camera_indices": list(range(RIG))}))
    tag(root)
    return subject


def write_union(root: Path) -> Path:
    """Write a UNION set of the export `write_vhap` leaves and of a copy of it beside, and return its folder."""
    import shutil

    one = write_vhap(root)
    shutil.copytree(one, root / "075")
    union = root / "UNION2_074"
    union.mkdir()
    for split in ("train", "test"):
        frames = []
        for k, name in enumerate(("074", "075")):
            for entry in json.loads((one / f"transforms_{split}.json").read_text())["frames"]:
                entry = {key: value for key, value in entry.items() if key not in ("timestep_index_original", "timestep_id")}
                entry["timestep_index"] += k * FRAMES
                for key in ("file_path", "fg_mask_path", "flame_param_path"):
                    entry[key] = f"../{name}/{entry[key]}"
                frames.append(entry)
        (union / f"transforms_{split}.json").write_text(json.dumps({"frames": frames}))
    shutil.copy(one / "canonical_flame_param.npz", union)
    return union
