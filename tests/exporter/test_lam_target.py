"""LAM zips: imports go back as they were, others are converted with measured losses, and the public renderer plays both."""

import dataclasses
import importlib.util
import io
import json
import os
import shutil
import sys
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from exporter import lam_check, lam_glb, lam_model
from exporter.targets import lam as target
from formats import importers
from formats.avatar import Avatar
from formats.codecs import arkit_json, inria_ply
from formats.conventions import ARKIT_52
from formats.deform import deform
from formats.errors import AvatarError, CheckpointMismatch, UnsupportedFeature
from formats.importers import lam as reader
from formats.render import psnr, render_avatar
from formats.retarget import retarget
from formats.sequence import Sequence
from tests.builders import tiny_avatar, tiny_head
from tests.formats import lam_fixture

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(os.environ.get("FLAMEPORT_PEERS") or ROOT / "benchmarks" / "peers")
"""Where `scripts/benchmark web` installs the public renderer."""
NEEDED = [PACKAGES / "node_modules" / name for name in ("gaussian-splat-renderer-for-lam", "playwright-core", "esbuild")]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    path = lam_fixture.write_zip(tmp_path_factory.mktemp("lam") / "ada.zip", lam_fixture.arkit_files())
    return reader.read(path)


def assert_round_trip(avatar: Avatar, path: Path) -> None:
    """Tables, Gaussians and clips come back; weights are made to sum to 1 again, and means are offsets from vertices."""
    back = reader.read(path)
    head, other = avatar.head, back.head
    for name in ("v_template", "faces", "exprdirs", "parents", "J_template", "arkit_map"):
        np.testing.assert_array_equal(getattr(other, name), getattr(head, name), name)
    np.testing.assert_allclose(other.lbs_weights, head.lbs_weights, atol=1e-7)
    assert (other.edition, other.expr_names, other.joint_names) == (head.edition, head.expr_names, head.joint_names)
    assert other.joint_roles == head.joint_roles
    a, b = avatar.layers[0].cloud, back.layers[0].cloud
    np.testing.assert_allclose(b.means, a.means, atol=1.5e-7)
    for name, bound in (("quats", 1e-6), ("scales", 1e-8), ("opacities", 1e-6), ("sh", 1e-6)):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), atol=bound)
    assert avatar.sequence is not None and back.sequence is not None
    assert len(back.sequence.ranges) >= 12
    for name, (first, end) in list(avatar.sequence.ranges.items())[:3]:
        start, stop = back.sequence.ranges[name]
        assert stop - start == end - first
        for t in (0, (end - first) // 2, end - first - 1):
            posed = [deform(each, sequence, at) for each, sequence, at in (
                (avatar, avatar.sequence, first + t), (back, back.sequence, start + t))]
            np.testing.assert_allclose(posed[1].head.vertices, posed[0].head.vertices, atol=1e-5)


def test_an_import_goes_back_as_it_was(imported: Avatar, tmp_path: Path) -> None:
    [path] = target.write(imported, tmp_path / "ada.zip", target.Options())
    assert_round_trip(imported, path)
    report = lam_check.check(path, imported)
    assert report.ok and report.kind == "lam", report.failure
    assert not any(loss.blocking for loss in target.losses(imported, target.Options()))
    assert path.read_bytes() == target.to_bytes(imported)  # the same avatar gives the same zip


def test_the_zip_is_laid_out_as_the_player_takes_it(imported: Avatar) -> None:
    with zipfile.ZipFile(io.BytesIO(target.to_bytes(imported, target.Options(name="Ädä, the 2nd")))) as archive:
        names = archive.namelist()
        assert [name for name in names if name.endswith("/")] == ["Ada-the-2nd/"]
        held = {name.removeprefix("Ada-the-2nd/"): archive.read(name) for name in names}
    assert set(held) == {"", "skin.glb", "offset.ply", "animation.glb", "vertex_order.json", "LICENSES.txt"}
    skin, clips = (json.loads(held[name][20:20 + int.from_bytes(held[name][12:16], "little")])
                   for name in ("skin.glb", "animation.glb"))
    assert "animations" not in skin and len(clips["animations"]) == 12
    bones = [skin["nodes"][j]["name"] for j in skin["skins"][0]["joints"]]
    assert {"hip", "head"} <= set(bones) and bones == [node["name"] for node in clips["nodes"]]
    assert "idle" in clips["animations"][2]["name"]
    assert all(animation["channels"] for animation in clips["animations"])
    fields = inria_ply.parse_fields(held["offset.ply"], "offset.ply")
    assert list(fields) == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1",
                            "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert 0 <= fields["f_dc_0"].min() <= fields["f_dc_0"].max() <= 1
    assert sorted(json.loads(held["vertex_order.json"])) == list(range(lam_fixture.COUNT))


def test_offsets_are_the_files_own(imported: Avatar) -> None:
    with zipfile.ZipFile(io.BytesIO(target.to_bytes(imported))) as archive:
        written = inria_ply.parse_fields(archive.read(f"{imported.meta.name}/offset.ply"), "offset.ply")
    theirs = lam_fixture.gaussians()
    length = np.sqrt(sum(theirs[f"rot_{i}"].astype(float) ** 2 for i in range(4)))
    for name, values in theirs.items():
        wanted = values / length if name.startswith("rot") else values
        np.testing.assert_allclose(written[name], wanted, atol=2e-6, err_msg=name)


def clip(frames: int, **ranges: tuple[int, int]) -> Sequence:
    return Sequence("arkit-51", 30.0, np.zeros((frames, 1)), expr_names=("jawOpen",), ranges=ranges)


def test_clips_stand_where_the_player_looks_for_them() -> None:
    names = [name for name, _, _ in lam_glb.slots(clip(4))]
    assert names == ["hello_1", "hello_2", "idle", *(f"speak_{i}" for i in range(1, 7)), "think_1", "think_2", "think_3"]
    mixed = lam_glb.slots(clip(9, speak_b=(0, 2), my_idle=(2, 4), dance=(4, 6), hello=(6, 7), thinking=(7, 9), nod=(0, 9)))
    assert [name for name, _, _ in mixed] == ["hello", "dance", "my_idle", "speak_b", *(f"speak_{i}" for i in range(1, 6)),
                                              "thinking", "think_1", "think_2", "nod"]
    assert mixed[0][1:] == (6, 7) and mixed[4][1:] == (2, 4) and mixed[-1][1:] == (0, 9)
    twelve = lam_glb.slots(clip(12, idle=(0, 1), **{f"c{i}": (i, i + 1) for i in range(1, 12)}))
    assert [name for name, _, _ in twelve] == ["c1", "c2", "idle", *(f"c{i}" for i in range(3, 12))]


KINDS = ("edge-height", "vertex", "linear", "strands", "own-skin-turning", "vertex-index")


@pytest.mark.parametrize("kind", KINDS)
def test_any_gaussians_are_converted_with_a_measured_loss(kind: str, tmp_path: Path) -> None:
    avatar = tiny_avatar(kind, degree=0)
    [path] = target.write(avatar, tmp_path / "a.zip", target.Options())
    back = reader.read(path)
    shift = lam_model.EYES - avatar.head.rest_joints()[0][3:5].mean(axis=0)
    held = {} if avatar.sequence is None else {k: v.mean(axis=0, keepdims=True) for k, v in avatar.sequence.drivers.items()}
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight"):
        track = Sequence("arkit-52", 30.0, np.ones((1, 1)), expr_names=(name,))
        means = [np.concatenate([layer.cloud.means for layer in deform(
            each, dataclasses.replace(retarget(track, each.head), drivers=held)).layers]) for each in (avatar, back)]
        np.testing.assert_allclose(means[1] - shift, means[0], atol=1e-6, err_msg=name)
    told = {loss.what.split(",")[0]: loss for loss in target.losses(avatar, target.Options())}
    assert told["motion"].blocking and "mm off" in told["motion"].amount
    assert told["how Gaussians turn"].blocking
    assert ("drivers mood" in told) == (kind == "linear")
    report = lam_check.check(path, avatar, frames=2)
    assert report.ok and report.kind == "lam, converted", report.failure


def test_the_head_turns_by_its_clip(tmp_path: Path) -> None:
    avatar = tiny_avatar("own-skin-turning", degree=0)
    binding = avatar.layers[0].binding
    rigid = np.zeros((len(binding), 5))
    rigid[:, 1] = 1  # all on the neck, so that two bones say it exactly
    still = dataclasses.replace(binding, lbs_weights=rigid, exprdirs=None, posedirs=None, eyeliddirs=None)
    avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(avatar.layers[0], binding=still),))
    [path] = target.write(avatar, tmp_path / "a.zip", target.Options())
    back = reader.read(path)
    assert avatar.sequence is not None and back.sequence is not None
    start, stop = back.sequence.ranges["start"]
    assert stop - start == 2  # one frame is held, for a clip without length divides by it
    first = deform(back, back.sequence, start).layers[0].cloud.means
    wanted = deform(avatar, dataclasses.replace(avatar.sequence, expr=0 * avatar.sequence.expr), 0).layers[0].cloud.means
    shift = lam_model.EYES - avatar.head.rest_joints()[0][3:5].mean(axis=0)
    # Joints move with the expression, which the clip's turns were taken with.
    np.testing.assert_allclose(first - shift, wanted, atol=3e-3)
    exact = dataclasses.replace(avatar, sequence=dataclasses.replace(avatar.sequence, expr=0 * avatar.sequence.expr))
    back = reader.read(target.write(exact, tmp_path / "b.zip", target.Options())[0])
    first = deform(back, back.sequence, start).layers[0].cloud.means
    np.testing.assert_allclose(first - shift, wanted, atol=1e-6)


def test_expressions_of_a_clip(imported: Avatar, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).uniform(0, 1, (4, 2))
    talking = dataclasses.replace(imported, sequence=Sequence("arkit-51", 25.0, rows, expr_names=("jawOpen", "mouthPucker")))
    told = target.losses(talking, target.Options())[0]
    assert "expressions.json" in told.what and not told.blocking
    with zipfile.ZipFile(io.BytesIO(target.to_bytes(talking))) as archive:
        (tmp_path / "t.json").write_bytes(archive.read(f"{imported.meta.name}/expressions.json"))
    track = arkit_json.read(tmp_path / "t.json")
    np.testing.assert_allclose(track.expr[:, track.expr_names.index("mouthPucker")], rows[:, 1], atol=1e-6)
    assert track.fps == 25
    told = target.losses(tiny_avatar("edge-height"), target.Options())[0]
    assert "retarget an ARKit track" in told.what and told.blocking


def test_what_cannot_be_played_is_refused(imported: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(avatar: Avatar, message: str, error: type[AvatarError] = UnsupportedFeature) -> None:
        with pytest.raises(error, match=message):
            target.write(avatar, tmp_path / "a.zip", target.Options())
        assert list(tmp_path.iterdir()) == []

    refused(tiny_avatar("mesh-texture"), "'skin' \\(mesh\\)|mesh")
    bare = dataclasses.replace(tiny_head(), arkit_map=None)
    refused(tiny_avatar("edge-height", head=bare, sequence=False), "no map of them \\(arkit_map\\)")
    monkeypatch.setattr(lam_model, "POINT_LIMIT", 20)
    refused(tiny_avatar("edge-height"), "24 Gaussians, the player has room for 20")


def test_sh_and_strong_colours_are_losses() -> None:
    avatar = tiny_avatar("edge-height", degree=1)
    told = {loss.what.split(",")[0]: loss for loss in target.losses(avatar, target.Options())}
    assert told["view-dependent colour"].blocking
    loud = dataclasses.replace(avatar.layers[0].cloud, sh=avatar.layers[0].cloud.sh * np.float32(8))
    loud = dataclasses.replace(avatar, layers=(dataclasses.replace(avatar.layers[0], cloud=loud),))
    told = {loss.what: loss for loss in target.losses(loud, target.Options())}
    assert told["colours cut to 0..1"].blocking


def test_the_check_notices(imported: Avatar, tmp_path: Path) -> None:
    [path] = target.write(imported, tmp_path / "a.zip", target.Options())
    cloud = imported.layers[0].cloud
    moved = dataclasses.replace(imported.layers[0], cloud=dataclasses.replace(cloud, means=cloud.means + np.float32(1e-3)))
    assert not lam_check.check(path, dataclasses.replace(imported, layers=(moved,))).ok
    with pytest.raises(CheckpointMismatch, match="was it made from this bundle"):
        lam_check.check(path, tiny_avatar("edge-height"))


# --- The real thing ---------------------------------------------------------------------------------------------------


@pytest.mark.lam
def test_the_sample_goes_back_as_it_was(lam_zip: Path, tmp_path: Path) -> None:
    avatar = importers.read("lam", lam_zip)
    [path] = target.write(avatar, tmp_path / "p2-1.zip", target.Options())
    assert_round_trip(avatar, path)
    assert path.stat().st_size < lam_zip.stat().st_size


def _compare_lam() -> object:
    spec = importlib.util.spec_from_file_location("compare_lam", ROOT / "scripts" / "compare_lam.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_lam"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.lam
@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(not all(path.is_dir() for path in NEEDED) or shutil.which("chromium") is None or shutil.which("node") is None,
                    reason="needs Chromium, Node and npm's gaussian-splat-renderer-for-lam, playwright-core and esbuild, which "
                           "`npm install` in benchmarks/peers brings; or name another folder in FLAMEPORT_PEERS")
def test_the_public_renderer_plays_it(lam_zip: Path, tmp_path: Path) -> None:
    """Its picture of our zip is its picture of the sample, to the last bit but for order, and is ours to 40 dB."""
    tool = _compare_lam()
    avatar = importers.read("lam", lam_zip)
    [path] = target.write(avatar, tmp_path / "p2-1.zip", target.Options())
    weights = dict.fromkeys(ARKIT_52[:-1], 0.0) | {"jawOpen": 0.5, "eyeBlinkLeft": 0.9, "mouthSmileRight": 0.6}
    pictures = [tool._screenshot(Namespace(peers=PACKAGES, avatar=zip_, clip=None, time=0.0), weights)  # type: ignore[attr-defined]
                for zip_ in (lam_zip, path)]
    assert psnr(*(picture.astype(np.float32) for picture in pictures)) > 60
    original = importers.read("lam", path, as_original=True)
    row = np.array([list(weights.values())])
    frame = retarget(Sequence("arkit-51", 30.0, row, expr_names=tuple(weights)), original.head)
    ours = render_avatar(original, frame, 0.0, tool.camera()).rgb  # type: ignore[attr-defined]
    assert psnr(np.asarray(ours, np.float32), pictures[1].astype(np.float32)) > 40
