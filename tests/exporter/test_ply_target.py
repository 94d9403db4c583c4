"""PLY: a still that other viewers read."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from exporter import ply_check
from exporter.export import export
from exporter.targets import ply
from formats.codecs import inria_ply
from formats.deform import PosedSplats, deform
from formats.errors import AvatarError, BindingError, CheckpointMismatch, FormatError, UnsupportedFeature
from formats.spherical_harmonics import evaluate_sh
from tests.builders import tiny_avatar, tiny_sequence

STORED = {"rtol": 1e-5, "atol": 1e-6}
"""Scales and opacities go through logarithms and logits in float32."""


def written(avatar, tmp_path: Path, allow_loss: bool = False, **options):  # noqa: ANN001, ANN003, ANN201
    report = export(avatar, "ply", tmp_path / "a.ply", ply.Options(**options), allow_loss=allow_loss)
    return inria_ply.read(report.paths[0]), report


@pytest.mark.parametrize("frame", [0, 2.5])
def test_a_frame_is_what_the_reference_poses(frame: float, tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", degree=2)
    cloud, report = written(avatar, tmp_path, frame=frame)
    assert avatar.sequence is not None
    layer = deform(avatar, avatar.sequence, frame).layers[0]
    assert isinstance(layer, PosedSplats)
    for name in ("means", "quats", "scales", "opacities", "sh"):
        np.testing.assert_allclose(getattr(cloud, name), getattr(layer.cloud, name), **STORED)
    assert [loss.what for loss in report.losses] == ["motion: the file is one still"]


def test_at_rest_and_as_stored(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    rest, _ = written(avatar, tmp_path)
    stored, _ = written(avatar, tmp_path, local=True)
    np.testing.assert_allclose(stored.means, avatar.layers[0].cloud.means, **STORED)
    assert np.linalg.norm(rest.means, axis=1).min() > 0.03  # on the head, not at the origin


def test_networks_and_strands_are_in_the_still(tmp_path: Path) -> None:
    avatar = tiny_avatar("own-skin")
    cloud, report = written(avatar, tmp_path, frame=1)
    layer = deform(avatar, avatar.sequence, 1).layers[0]
    np.testing.assert_allclose(cloud.means, layer.cloud.means, **STORED)
    assert not any(loss.blocking for loss in report.losses)
    hair = tiny_avatar("strands")
    cloud, _ = written(hair, tmp_path)
    assert len(cloud) == 24 + 6 * 3
    with pytest.raises(BindingError, match="--frame"):
        written(avatar, tmp_path)


def test_mesh_layers_are_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="'skin' \\(mesh\\)"):
        written(tiny_avatar("everything"), tmp_path)
    cloud, report = written(tiny_avatar("everything"), tmp_path, allow_loss=True)
    assert len(cloud) == 42 and report.losses[0].amount == "110 vertices"


def test_sh_in_head_axes_is_turned_into_the_world(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", degree=3)
    layer = dataclasses.replace(avatar.layers[0], sh_frame="head")
    avatar = dataclasses.replace(avatar, layers=(layer,))
    cloud, _ = written(avatar, tmp_path, frame=2)
    posed = deform(avatar, avatar.sequence, 2).layers[0]
    direction = np.tile([0.36, -0.48, 0.8], (len(cloud), 1))
    truth = evaluate_sh(posed.cloud.sh, direction @ posed.sh_rotation)
    np.testing.assert_allclose(evaluate_sh(cloud.sh, direction), truth, atol=1e-6)
    assert np.abs(evaluate_sh(posed.cloud.sh, direction) - truth).max() > 1e-3  # the turn mattered


def test_sh_is_padded_and_never_cut(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", degree=1)
    cloud, _ = written(avatar, tmp_path, sh_degree=3)
    assert cloud.sh.shape[1] == 16 and not cloud.sh[:, 4:].any()
    with pytest.raises(UnsupportedFeature, match="choose 1 to 3"):
        written(avatar, tmp_path, sh_degree=0)


@pytest.mark.parametrize(("kind", "options", "error"), [
    ("edge-height", {"frame": 9}, FormatError), ("edge-height", {"frame": -0.1}, FormatError),
    ("strands", {"local": True}, UnsupportedFeature), ("edge-height", {"local": True, "frame": 0}, UnsupportedFeature)])
def test_stills_that_do_not_exist_are_refused(kind: str, options: dict, error: type[AvatarError], tmp_path: Path) -> None:
    with pytest.raises(error):
        written(tiny_avatar(kind), tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_numbered_series(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", degree=1)
    report = export(avatar, "ply", tmp_path / "s", ply.Options(frames="0:4:3", pad_sh=True))
    assert [path.name for path in report.paths] == ["LICENSES.txt", "frame_00000.ply", "frame_00003.ply"]
    assert (tmp_path / "s" / "LICENSES.txt").read_text() == "Made by the tests; free for any use.\n"
    for path, frame in zip(report.paths[1:], (0, 3), strict=True):
        cloud = inria_ply.read(path)
        layer = deform(avatar, avatar.sequence, frame).layers[0]
        np.testing.assert_allclose(cloud.means, layer.cloud.means, **STORED)
        assert cloud.sh_degree == 3
    export(avatar, "ply", tmp_path / "s", ply.Options(frames="1"))
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["LICENSES.txt", "frame_00001.ply"]


def test_rest_and_world(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    rest, _ = written(avatar, tmp_path, space="rest")
    assert np.array_equal(rest.means, written(avatar, tmp_path)[0].means)
    world, _ = written(avatar, tmp_path, space="world")
    np.testing.assert_allclose(world.means, deform(avatar, avatar.sequence, 0).layers[0].cloud.means, **STORED)
    assert np.abs(world.means - rest.means).max() > 1e-3
    still = dataclasses.replace(avatar, sequence=None)
    assert np.array_equal(written(still, tmp_path, space="world")[0].means, rest.means)


def test_licences_are_comments_that_other_readers_skip(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    odd = dataclasses.replace(avatar.meta, license_notices=("Für alle,\nsays end_header.", "Second."))
    _, report = written(dataclasses.replace(avatar, meta=odd), tmp_path, pad_sh=True)
    head = report.paths[0].read_bytes()[:400].split(b"\n")
    assert head[2:5] == [b"comment licence: F?r alle, says end_header.", b"comment licence: Second.", b"element vertex 24"]
    plyfile = pytest.importorskip("plyfile")
    vertex = plyfile.PlyData.read(report.paths[0])["vertex"]
    assert vertex.count == 24 and len(vertex.properties) == 6 + 3 + 45 + 1 + 3 + 4


@pytest.mark.parametrize("options", [{"local": True, "frames": "all"}, {"local": True, "space": "rest"},
                                     {"frame": 1, "frames": "all"}, {"space": "rest", "frames": "all"}])
def test_options_that_contradict_each_other(options: dict, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="--local|--frames"):
        written(tiny_avatar("edge-height"), tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_series_and_stills_are_checked(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", degree=1)
    avatar = dataclasses.replace(avatar, sequence=tiny_sequence(avatar.head, 4, cameras=True))
    for mode in ("head", "camera"):
        export(avatar, "ply", tmp_path / mode, ply.Options(frames="all", head_motion=mode))
        report = ply_check.check(tmp_path / mode, avatar, 3)
        assert report.ok and report.kind == "ply, numbered frames", report.failure
    for name, options in {"as stored": {"local": True}, "at rest": {}, "frame 2": {"frame": 2, "pad_sh": True}}.items():
        [path] = ply.write(avatar, tmp_path / "a.ply", ply.Options(**options))
        report = ply_check.check(path, avatar)
        assert report.ok and report.kind == f"ply, {name}", report.failure
    shutil.copy(tmp_path / "head" / "frame_00001.ply", tmp_path / "head" / "frame_00003.ply")
    assert not ply_check.check(tmp_path / "head", avatar).ok
    shutil.copy(tmp_path / "head" / "frame_00001.ply", tmp_path / "head" / "frame_00009.ply")
    with pytest.raises(CheckpointMismatch, match="frame 9, the bundle's clip has 4"):
        ply_check.check(tmp_path / "head", avatar)
