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


# --- Heads placed by a similarity about the model's origin ------------------------------------------------------------


@functools.cache
def similar() -> tuple[Sequence, np.ndarray, np.ndarray, np.ndarray]:
    """Return coefficients of a still root (100), Euler angles XYZ, translation and 68 landmarks, all at scale 1."""
    moving = motion(100, 300, True)
    sequence = Sequence("standin", 25.0, moving.expr, None, moving.neck, moving.jaw, moving.eyes, shape=moving.shape)
    rng = np.random.default_rng(11)
    angles = np.float32(rng.normal(0, 0.25, (FRAMES, 3)))
    translation = np.float32(SHIFT + np.cumsum(rng.normal(0, 0.004, (FRAMES, 3)), axis=0))
    return sequence, angles, translation, landmarks(sequence)


def euler(angles: np.ndarray) -> np.ndarray:
    """Return Rx Ry Rz, written out."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles.astype(np.float64)), np.sin(angles.astype(np.float64))
    return np.array([[cy * cz, -cy * sz, sy],
                     [cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy],
                     [sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy]])


def in_world(points: np.ndarray, i: int, scale: float, angles: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Return model points [..., 3] of moment `i` in the data's world."""
    return scale * points @ euler(angles[i]).T + translation[i]


def scaled_view(camera: int, scale: float) -> np.ndarray:
    """Return a camera of the rig for a world that is `scale` times as large."""
    matrix = view(camera)
    matrix[:3, 3] *= scale
    return matrix


def write_clip(pictures: list[Image.Image], path: Path) -> None:
    """Write an MP4."""
    from formats import video

    path.parent.mkdir(parents=True, exist_ok=True)
    video.write_mp4([np.asarray(picture.convert("RGB")) for picture in pictures], path, 25)


SCALE = 1.3
"""Of the benchmark's heads here."""
BENCHMARK_CAMERAS = ("222200037", "222200046")


def write_benchmark(root: Path, test: bool = True) -> Path:
    """Write `root`/mono_flame_avatar/393 with a train and a test sequence; `test` adds a hold-out camera's pictures."""
    subject = root / "mono_flame_avatar" / "393"
    sequence, angles, translation, _ = similar()
    (subject / "calibration").mkdir(parents=True)
    (subject / "calibration" / "camera_params.json").write_text(json.dumps({
        "world_2_cam": {serial: scaled_view(i, SCALE).tolist() for i, serial in enumerate(BENCHMARK_CAMERAS)},
        "intrinsics": {serial: k_matrix().tolist() for serial in BENCHMARK_CAMERAS}}))
    for name in ("EXP-2-eyes", "FREE"):
        tracking = subject / "sequences" / name / "tracking"
        tracking.mkdir(parents=True)
        np.savez(tracking / "flame2023_tracking_v2.npz", shape=sequence.shape[None], expression=sequence.expr, rotation=angles,
                 rotation_matrices=np.stack([euler(row) for row in angles]), translation=np.float32(SCALE * translation),
                 jaw=sequence.jaw, neck=sequence.neck, eyes=sequence.eyes, frames=np.arange(FRAMES),
                 scale=np.array([[SCALE]], np.float32))
    for serial in BENCHMARK_CAMERAS[:2 if test else 1]:
        folder = subject / "sequences" / "EXP-2-eyes"
        write_clip([rgba(i) for i in range(FRAMES)], folder / "images" / f"cam_{serial}.mp4")
        write_clip([rgba(i).getchannel("A") for i in range(FRAMES)], folder / "alpha_maps" / f"cam_{serial}.mp4")
    tag(root / "mono_flame_avatar")
    return subject


GHA_SERIALS = ("220700191", "222200037")
BFM_SCALE = 0.15


def write_gha(root: Path, flame: bool = False) -> Path:
    """Write `root`/031 as Gaussian Head Avatar's preprocessing has it: BFM's params, and the fork's FLAME_params beside."""
    subject = root / "031"
    sequence, angles, translation, points = similar()
    fifty = Sequence("standin", 25.0, sequence.expr[:, :50], jaw=sequence.jaw, eyes=sequence.eyes, shape=sequence.shape[:100])
    flame_points = landmarks(fifty)
    for i in range(FRAMES):
        frame = f"{3 * i:04d}"
        for name in ("images", "cameras", "params", "FLAME_params", "landmarks"):
            (subject / name / frame).mkdir(parents=True)
        turn = euler(angles[i])
        trace = np.arccos((np.trace(turn) - 1) / 2)
        axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / (2 * np.sin(trace))
        pose = np.concatenate([trace * axis, translation[i]])[None]
        np.savez(subject / "params" / frame / "params.npz", id_coeff=np.zeros((1, 100)), exp_coeff=sequence.expr[i][None, :64],
                 scale=np.array([BFM_SCALE]), pose=pose * [1, 1, 1, BFM_SCALE, BFM_SCALE, BFM_SCALE])
        world = in_world(flame_points[i], i, 1.0, angles, translation)
        np.save(subject / "params" / frame / "lmk_3d.npy", np.delete(BFM_SCALE * world, (48, 54), axis=0))
        np.savez(subject / "FLAME_params" / frame / "params.npz", id_coeff=fifty.shape[None],
                 exp_coeff=np.concatenate([fifty.expr[i], fifty.jaw[i], fifty.eyes[i]])[None], scale=np.ones((1, 1)), pose=pose)
        for camera, serial in enumerate(GHA_SERIALS):
            matrix = view(camera) if flame else scaled_view(camera, BFM_SCALE)
            np.savez(subject / "cameras" / frame / f"camera_{serial}.npz", extrinsic=matrix[:3], intrinsic=k_matrix())
            picture = rgba(i)
            picture.convert("RGB").save(subject / "images" / frame / f"image_{serial}.jpg", quality=100)
            picture.getchannel("A").save(subject / "images" / frame / f"mask_{serial}.jpg", quality=100)
            score = np.ones((68, 1))
            score[:3] = 0  # not seen
            np.save(subject / "landmarks" / frame / f"lmk_{serial}.npy",
                    np.concatenate([pixels(world, view(camera)), score], axis=1))
    if flame:
        tag(root)
    return subject


# --- Recordings and PointAvatar's own layout --------------------------------------------------------------------------

NERSEMBLE_SERIALS = ("222200037", "222200044", "222200046")


def write_tracks(sequence: Sequence, path: Path, ids: list[str]) -> None:
    """Write what VHAP's tracker saves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, expr=sequence.expr, rotation=sequence.rotation, translation=sequence.translation, neck_pose=sequence.neck,
             jaw_pose=sequence.jaw, eyes_pose=sequence.eyes, shape=sequence.shape, timestep_id=np.array(ids),
             n_processed_frames=np.array(len(ids)), tex=np.zeros(100), static_offset=np.zeros((1, 5143, 3)))


def write_nersemble(root: Path, names: tuple[str, ...] = ("EXP-2-eyes",), beside: bool = False) -> Path:
    """Write `root`/017 as version 2 delivers it, tracked by VHAP, and return that folder. Pictures are a quarter of K's size."""
    subject = root / "017"
    truth, marks = walking()
    (subject / "calibration").mkdir(parents=True)
    (subject / "calibration" / "camera_params.json").write_text(json.dumps({
        "world_2_cam": {serial: view(i).tolist() for i, serial in enumerate(NERSEMBLE_SERIALS)},
        "intrinsics": k_matrix(4 * SIZE).tolist(), "width": 4 * SIZE, "height": 4 * SIZE}))
    (subject / "sequences" / "BACKGROUND").mkdir(parents=True)
    for serial in NERSEMBLE_SERIALS:
        Image.new("RGB", (SIZE, SIZE)).save(subject / "sequences" / "BACKGROUND" / f"image_{serial}.jpg")
    for name in names:
        folder = subject / "sequences" / name
        for i, serial in enumerate(NERSEMBLE_SERIALS):
            write_clip([rgba(k) for k in range(FRAMES)], folder / "images" / f"cam_{serial}.mp4")
            write_clip([rgba(k).getchannel("A") for k in range(FRAMES)], folder / "alpha_maps" / f"cam_{serial}.mp4")
            points = np.concatenate([pixels(marks, view(i)) / SIZE, np.ones((FRAMES, 68, 1))], axis=2)
            points[:, 4] = -1  # missing
            (folder / "landmark2d" / "STAR").mkdir(parents=True, exist_ok=True)
            np.savez(folder / "landmark2d" / "STAR" / f"cam_{serial}.npz", face_landmark_2d=points,
                     bounding_box=np.zeros((FRAMES, 5)))
        place = root / f"017_{name}_tracked" if beside else folder
        for epoch in (2, 10):
            # Only the larger one is right.
            write_tracks(truth if epoch == 10 else Sequence("standin", 25.0, truth.expr * 0, shape=truth.shape),
                         place / "2024-01-01_00-00-00" / f"tracked_flame_params_{epoch}.npz", [f"{k:05d}" for k in range(FRAMES)])
    tag(root)
    return subject


def write_nersemble_pictures(root: Path) -> Path:
    """Write version 1 as VHAP's preprocessing leaves it: pictures of every third moment, `root`/data."""
    truth, _ = walking()
    place = root / "data"
    (place / "camera_params" / "017").mkdir(parents=True)
    (place / "camera_params" / "017" / "camera_params.json").write_text(json.dumps({
        "world_2_cam": {serial: view(i).tolist() for i, serial in enumerate(NERSEMBLE_SERIALS)},
        "intrinsics": (np.diag([2200 / SIZE, 3208 / SIZE, 1]) @ k_matrix()).tolist()}))
    folder = place / "017" / "EXP-2-eyes"
    for name in ("images_4", "alpha_maps"):
        (folder / name).mkdir(parents=True)
        for serial in NERSEMBLE_SERIALS:
            for k in range(FRAMES):
                picture = rgba(k) if name == "images_4" else rgba(k).getchannel("A")
                picture.convert("RGB").save(folder / name / f"cam_{serial}_{3 * k:06d}.jpg")
    write_tracks(truth, folder / "tracked_flame_params_30.npz", [f"{3 * k:06d}" for k in range(FRAMES)])
    tag(place)
    return place


def write_point_avatar(root: Path) -> Path:
    """Write `root`/anna/anna with three videos, as the sheet's section 1 has them, and return that folder."""
    import shutil

    from tests.formats.tracked_folders import write_imavatar

    first = write_imavatar(root / "made", masks=True)
    for name, split in (("MVI_1810", "train"), ("MVI_1812", "test"), ("MVI_1814", "train")):
        shutil.copytree(first / f"anna_{split}", root / "data" / "anna" / "anna" / name)
    shutil.rmtree(root / "made")
    tag(root / "data" / "anna")
    return root / "data" / "anna" / "anna"
