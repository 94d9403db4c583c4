"""Folders of motion: what `read_sequence` makes of trackers' and data sets' folders, with and without their pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from formats.codecs import baked_sequence, read_sequence
from formats.datasets.motion import LAYOUTS, sniff_layout
from formats.errors import AvatarError, FormatError, MissingAsset
from formats.rotations import axis_angle_to_matrix
from formats.sequence import Sequence
from tests.formats import tracked_folders as folders
from tests.formats import tracked_folders_more as more
from tests.formats.tracked_folders import FRAMES, SIZE


def write_tracks(root: Path) -> Path:
    """Write VHAP's output folder with two runs and two epochs, of one uncalibrated camera, and return it."""
    truth, _ = more.walking()
    for day, epoch, scale in ((1, 30, 0.0), (2, 2, 0.0), (2, 10, 1.0)):
        path = root / "tracked" / f"2024-01-0{day}_00-00-00" / f"tracked_flame_params_{epoch}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, expr=scale * truth.expr, rotation=truth.rotation, translation=truth.translation, neck_pose=truth.neck,
                 jaw_pose=truth.jaw, eyes_pose=truth.eyes, shape=truth.shape,
                 timestep_id=np.array([f"{i:05d}" for i in range(FRAMES)]), n_processed_frames=np.array(FRAMES),
                 focal_length=np.array([1.5]), image_size=np.array([SIZE, 2 * SIZE]),
                 static_offset=np.zeros((1, 5143, 3)))
    more.tag(root / "tracked")
    return root / "tracked"


def write_baked(root: Path) -> Path:
    """Write BakedAvatar's folder and return it."""
    truth = folders.motion(50, 100, True)
    return baked_sequence.write(Sequence("flame2020", 25.0, truth.expr, truth.rotation, truth.neck, truth.jaw, truth.eyes,
                                         ranges={"talk": (0, 4), "smile": (4, FRAMES)}), root / "demo" / "sequence_data").parent


def write_frames(root: Path) -> Path:
    """Write a bare folder of the tracker's frames and return it."""
    more.write_frames(root / "frames")
    more.tag(root / "frames")
    return root / "frames"


def write_gha(root: Path) -> Path:
    """Write Gaussian Head Avatar's folder, FLAME's parameters told apart by the tag."""
    return more.write_gha(root, flame=True)


WRITERS = {"point-avatar": more.write_point_avatar, "nersemble": more.write_nersemble,
           "nersemble-benchmark": more.write_benchmark, "gaussian-head-avatar": write_gha,
           "imavatar": folders.write_imavatar, "insta": folders.write_insta, "vhap": more.write_vhap,
           "vhap-tracks": write_tracks, "metrical-tracker": write_frames, "baked-sequence": write_baked}
TRAINED = {"point-avatar": 20, "nersemble": 7, "nersemble-benchmark": 10, "gaussian-head-avatar": 7,
           "imavatar": 10, "insta": 7, "vhap": 7, "metrical-tracker": 8}
"""How many moments come in the range `train`."""


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_folder_is_told_apart_and_read_without_pictures(name, tmp_path):
    root = WRITERS[name](tmp_path)
    if name != "nersemble":  # whose cameras' names are those of their clips
        for pictures in [path for ending in ("png", "jpg", "mp4") for path in root.rglob(f"*.{ending}")]:
            pictures.unlink()
    assert sniff_layout(root) == sniff_layout(root.parent) == name
    sequence = read_sequence(root)
    truths = {"vhap": more.walking()[0], "insta": folders.motion(100, 300, False), "imavatar": folders.motion(50, 100, True),
              "nersemble-benchmark": more.similar()[0]}
    same = {"vhap-tracks": "vhap", "nersemble": "vhap", "metrical-tracker": "insta", "point-avatar": "imavatar",
            "baked-sequence": "imavatar", "gaussian-head-avatar": "nersemble-benchmark"}
    truth = truths[same.get(name, name)]
    for field in ("expr", "rotation", "neck", "jaw", "eyes", "translation"):
        if name == "gaussian-head-avatar" and field in ("expr", "neck"):
            continue  # 50 of them, and no neck
        np.testing.assert_allclose(getattr(sequence, field)[:FRAMES], getattr(truth, field), atol=1e-6, err_msg=field)
    assert sequence.fps == 25 and sequence.basis == ("flame2020" if name == "baked-sequence" else "standin")
    if name in TRAINED:
        trained = TRAINED[name]
        assert sequence.ranges["train"] == (0, trained) and sequence.ranges["test"] == (trained, len(sequence))
    # The user's word goes before the files'.
    assert (read_sequence(root, "flame2019", 60).basis, read_sequence(root, fps=60).fps) == ("flame2019", 60)


def test_vhaps_newest_run_and_largest_epoch_count_and_its_camera_is_kept(tmp_path):
    sequence = read_sequence(write_tracks(tmp_path))
    np.testing.assert_allclose(sequence.cameras["K"][3], [[1.5 * 2 * SIZE, 0, SIZE], [0, 1.5 * 2 * SIZE, SIZE / 2], [0, 0, 1]])
    # At (0, 0, 1), looking along -z: what is at the origin lies one metre ahead.
    np.testing.assert_allclose(sequence.cameras["world_to_camera"][0] @ [0, 0.1, 0, 1], [0, -0.1, 1, 1], atol=1e-7)
    assert sequence.cameras["size"][0].tolist() == [2 * SIZE, SIZE]


def test_vhaps_export_is_seen_by_one_camera(tmp_path):
    sequence = read_sequence(more.write_vhap(tmp_path))
    assert len(sequence) == FRAMES  # once a moment
    np.testing.assert_allclose(sequence.cameras["world_to_camera"], np.tile(more.view(1), (FRAMES, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(sequence.cameras["K"][0], more.k_matrix(), rtol=1e-6)


def test_a_union_set_holds_all_its_moments_train_first(tmp_path):
    union = more.write_union(tmp_path)
    sequence = read_sequence(union)
    assert dict(sequence.ranges) == {"train": (0, 14), "test": (14, 20)}


def test_one_video_of_imavatars_has_no_ranges(tmp_path):
    root = folders.write_imavatar(tmp_path)
    assert len(read_sequence(root / "anna_test")) == FRAMES and not read_sequence(root / "anna_test").ranges


def test_a_heads_similarity_goes_into_the_cameras(tmp_path):
    _, angles, translation, points = more.similar()
    sequence = read_sequence(more.write_benchmark(tmp_path))
    assert {"EXP-2-eyes", "FREE"} < set(sequence.ranges)
    for i in (0, 7):
        world = more.in_world(points[i], i, more.SCALE, angles, more.SCALE * translation)
        np.testing.assert_allclose(more.pixels(points[i], sequence.cameras["world_to_camera"][i]),
                                   more.pixels(world, more.scaled_view(0, more.SCALE)), atol=1e-3)


def test_bfm_moves_as_imported_avatars_do(tmp_path):
    _, angles, translation, _ = more.similar()
    sequence = read_sequence(more.write_gha(tmp_path))
    assert sequence.basis == "bfm09-64" and sequence.expr.shape == (FRAMES, 64)
    np.testing.assert_allclose(axis_angle_to_matrix(sequence.rotation[4]), more.euler(angles[4]), atol=1e-6)
    # In the file's metres: its scale is in the imported avatar.
    np.testing.assert_allclose(sequence.translation, more.BFM_SCALE * translation, atol=1e-6)
    np.testing.assert_allclose(sequence.cameras["world_to_camera"][4], more.scaled_view(1, more.BFM_SCALE), atol=1e-6)


@pytest.mark.parametrize("make, error, message", [
    (lambda p: p / "nobody", MissingAsset, "no such file"),
    (lambda p: p, FormatError, "no folder of motion; known are imavatar, point-avatar.*found nothing"),
    (lambda p: [shutil.copytree(write_frames(p), p / "more")] and p, FormatError, "several folders of motion: frames, more"),
])
def test_what_is_no_folder_of_motion(make, error, message, tmp_path):
    with pytest.raises(error, match=message) as caught:
        read_sequence(make(tmp_path))
    assert "\n" not in str(caught.value) and isinstance(caught.value, AvatarError)


def test_a_bundle_is_no_motion(tmp_path):
    (tmp_path / "avatar.json").write_text("{}")
    with pytest.raises(FormatError, match="is bundle, expected motion"):
        read_sequence(tmp_path)
