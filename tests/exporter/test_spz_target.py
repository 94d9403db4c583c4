"""SPZ: read back by us and by the format's makers, what rounding costs, series, and damaged files."""

import dataclasses
import gzip
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from exporter import spz_check, stills
from exporter.targets import spz as target
from formats import codecs
from formats.codecs import spz
from formats.deform import PosedSplats, deform
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.retarget import with_head_motion
from formats.rotations import quat_angle
from formats.spherical_harmonics import evaluate_sh
from tests.builders import tiny_avatar, tiny_cloud, tiny_sequence

PACKAGES = Path(__file__).parent / "node"
PEER = PACKAGES / "node_modules" / "@adobe" / "spz"
ANGLE = 0.006
"""Radians: three components in steps of 1 / (511 sqrt 2), and the fourth made up for."""


def wide_cloud(degree: int = 3) -> GaussianCloud:
    """Return Gaussians within 30 cm whose values span what the format can say."""
    cloud = tiny_cloud(300, degree, 0.004)
    rng = np.random.default_rng(2)
    return dataclasses.replace(cloud, means=rng.uniform(-0.3, 0.3, (300, 3)), scales=np.exp(rng.uniform(-9.9, -2, (300, 3))),
                               opacities=np.linspace(0, 1, 300))


def versions() -> list[int]:
    try:
        import zstandard  # noqa: F401
    except ImportError:
        return [3]
    return [3, 4]


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_comes_back_is_within_a_step(version: int, degree: int, tmp_path: Path) -> None:
    cloud = wide_cloud(degree)
    spz.write(cloud, tmp_path / "a.spz", version, 15)
    back = spz.read(tmp_path / "a.spz")
    assert np.linalg.norm(back.means - cloud.means, axis=1).max() <= 5e-5
    assert np.abs(back.means - cloud.means).max() <= 2.0**-16 * 1.001
    assert np.abs(np.log(back.scales / cloud.scales)).max() <= 1 / 32 + 1e-5
    assert np.abs(back.opacities - cloud.opacities).max() <= 0.5 / 255 + 1e-6
    assert np.abs(back.sh[:, 0] - cloud.sh[:, 0]).max() <= 0.5 / 38.25 + 1e-5
    assert np.abs(back.sh[:, 1:] - cloud.sh[:, 1:]).max(initial=0) <= 0.5 / 128 + 1e-5
    assert quat_angle(cloud.quats, back.quats).max() < ANGLE
    head = spz.header_of((tmp_path / "a.spz").read_bytes(), "a")
    assert (head.version, head.count, head.sh_degree, head.fractional_bits) == (version, 300, degree, 15)
    assert spz.sniff((tmp_path / "a.spz").read_bytes()[:codecs.HEAD_BYTES])


@pytest.mark.parametrize("version", versions())
def test_repacking_changes_nothing(version: int) -> None:
    data = spz.pack(wide_cloud(), version, 14)
    assert spz.pack(spz.parse(data, "a"), version, 14) == data


def test_bytes_are_where_the_format_has_them() -> None:
    turn = np.array([[np.cos(0.3), 0, 0, -np.sin(0.3)]])
    cloud = GaussianCloud([[1.5, -0.25, 0.125]], turn, np.exp([[-4, -5, -6.5]]), [0.6], [[[1.0, 0, -1]]])
    body = gzip.decompress(spz.pack(cloud, 3, 12))
    assert struct.unpack("<4sIIBBBB", body[:16]) == (b"NGSP", 3, 1, 0, 12, 0, 0)
    assert body[16:25] == b"\x00\x18\x00" + b"\x00\xfc\xff" + b"\x00\x02\x00"
    assert body[25:26] == bytes([153]) and body[26:29] == bytes([166, 128, 89]) and body[29:32] == bytes([96, 80, 56])
    packed = int.from_bytes(body[32:], "little")
    assert packed >> 30 == 3  # w is left out
    assert [packed >> 20 & 1023, packed >> 10 & 1023] == [0, 0]
    assert packed & 1023 == 512 | round(np.sin(0.3) * np.sqrt(2) * 511)


def test_old_versions_are_read() -> None:
    head = struct.pack("<4sIIBBBB", b"NGSP", 2, 1, 0, 12, 0, 0)
    body = struct.pack("<9B", 0, 0x18, 0, 0, 0xFC, 0xFF, 0, 2, 0) + bytes([153, 166, 128, 89, 96, 80, 56, 128, 128, 200])
    cloud = spz.parse(gzip.compress(head + body), "two")
    np.testing.assert_allclose(cloud.means[0], [1.5, -0.25, 0.125])
    np.testing.assert_allclose(cloud.quats[0], [np.sqrt(1 - (200 / 127.5 - 1) ** 2), 0, 0, 200 / 127.5 - 1], atol=5e-3)
    halves = np.array([1.5, -0.25, 0.125], "<f2").tobytes()
    one = spz.parse(gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", 1, 1, 0, 0, 0, 0) + halves + body[9:]), "one")
    np.testing.assert_allclose(one.means[0], [1.5, -0.25, 0.125])


@pytest.mark.node
@pytest.mark.skipif(not PEER.is_dir() or shutil.which("node") is None,
                    reason="needs Node and its packages: scripts/build --tests")
@pytest.mark.parametrize("version", versions())
def test_the_makers_library_reads_the_same(version: int, tmp_path: Path) -> None:
    cloud = wide_cloud(3)
    spz.write(cloud, tmp_path / "a.spz", version, 15)
    ours = spz.read(tmp_path / "a.spz")
    run = subprocess.run(["node", str(Path(__file__).with_name("spz_peer.mjs")), str(PACKAGES), str(tmp_path / "a.spz")],
                         capture_output=True, text=True, check=True, timeout=60)
    theirs = json.loads(run.stdout.split("@@")[1])
    assert (theirs["count"], theirs["degree"]) == (300, 3)
    np.testing.assert_allclose(np.reshape(theirs["positions"], (-1, 3)), ours.means, atol=1e-7)
    np.testing.assert_allclose(np.exp(np.reshape(theirs["scales"], (-1, 3))), ours.scales, rtol=1e-5)
    quats = np.reshape(theirs["rotations"], (-1, 4))[:, [3, 0, 1, 2]]
    assert quat_angle(dataclasses.replace(ours, quats=quats).quats, ours.quats).max() < 1e-3
    np.testing.assert_allclose(np.reshape(theirs["colors"], (-1, 3)), ours.sh[:, 0], atol=1e-5)
    np.testing.assert_allclose(np.reshape(theirs["sh"], (-1, 15, 3)), ours.sh[:, 1:], atol=0.005)
    inside = slice(1, -1)  # their alphas are logits, infinite at both ends
    alphas = 1 / (1 + np.exp(-np.array([np.inf if a is None else a for a in theirs["alphas"]])[inside]))
    np.testing.assert_allclose(alphas, ours.opacities[inside], atol=1e-5)


def test_a_frame_and_what_it_loses(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", degree=2)
    paths = target.write(avatar, tmp_path / "a.spz", target.Options(frame=2))
    assert [path.name for path in paths] == ["a.spz", "a.spz.license.txt"]
    assert paths[1].read_text() == "Made by the tests; free for any use.\n"
    posed = deform(avatar, avatar.sequence, 2).layers[0]
    assert isinstance(posed, PosedSplats)
    assert np.linalg.norm(spz.read(paths[0]).means - posed.cloud.means, axis=1).max() < 5e-5
    told = {loss.what.split(" rounded")[0]: loss for loss in target.losses(avatar, target.Options(frame=2))}
    assert {"positions", "rotations", "scales", "opacities", "colours", "spherical harmonics"} <= set(told)
    assert not any(loss.blocking for loss in told.values())
    assert float(told["positions"].amount.split()[2]) <= 0.05
    report = spz_check.check(paths[0], avatar)
    assert report.ok and report.kind == "spz, frame 2", report.failure
    other = dataclasses.replace(avatar, layers=(dataclasses.replace(avatar.layers[0], cloud=dataclasses.replace(
        avatar.layers[0].cloud, means=avatar.layers[0].cloud.means + np.float32(0.02))),))
    assert not spz_check.check(paths[0], other).ok


def test_sh_in_head_axes_is_turned(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", degree=1)
    avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(avatar.layers[0], sh_frame="head"),))
    [path, _] = target.write(avatar, tmp_path / "a.spz", target.Options(frame=1))
    back, posed = spz.read(path), deform(avatar, avatar.sequence, 1).layers[0]
    way = np.tile([0.36, -0.48, 0.8], (len(back), 1))
    assert np.abs(evaluate_sh(back.sh, way) - evaluate_sh(posed.cloud.sh, way @ posed.sh_rotation)).max() < 0.012


def test_a_larger_unit_keeps_thin_gaussians(tmp_path: Path) -> None:
    avatar = tiny_avatar("plain-face", degree=0)
    cloud = avatar.layers[0].cloud
    thin = dataclasses.replace(cloud, scales=cloud.scales * np.float32([1, 1, 0]) + np.float32([0, 0, 1e-5]))
    avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(avatar.layers[0], cloud=thin),))
    told = [loss.what for loss in target.losses(avatar, target.Options())]
    assert any(what.startswith("scales outside 0.0454 mm") for what in told)
    told = [loss.what for loss in target.losses(avatar, target.Options(scale=10))]
    assert not any(what.startswith("scales outside") for what in told)
    [path, _] = target.write(avatar, tmp_path / "a.spz", target.Options(scale=10))
    np.testing.assert_allclose(spz.read(path).scales[:, 2], 1e-4, rtol=0.032)
    report = spz_check.check(path, avatar)
    assert report.ok and "10 units a metre" in report.kind, report.failure


def test_a_series(tmp_path: Path) -> None:
    avatar = tiny_avatar("linear")
    paths = target.write(avatar, tmp_path / "s", target.Options(frames="1:4:2"))
    assert [path.name for path in paths] == [stills.NOTICES, "frame_00001.spz", "frame_00003.spz"]
    assert spz_check.check(tmp_path / "s", avatar).ok
    again = target.write(avatar, tmp_path / "s", target.Options(frames="0"))
    assert [path.name for path in again] == [stills.NOTICES, "frame_00000.spz"]
    (tmp_path / "s" / "mine.txt").write_text("keep")
    with pytest.raises(FormatError, match="mine.txt"):
        target.write(avatar, tmp_path / "s", target.Options(frames="all"))
    assert (tmp_path / "s" / "mine.txt").exists()
    with pytest.raises(CheckpointMismatch, match="frame_NNNNN"):
        (tmp_path / "empty").mkdir()
        spz_check.check(tmp_path / "empty", avatar)


def test_motion_of_the_camera_goes_to_the_head(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", degree=0)
    avatar = dataclasses.replace(avatar, sequence=tiny_sequence(avatar.head, 4, cameras=True))
    assert avatar.sequence is not None
    for mode in ("head", "camera"):
        moved = dataclasses.replace(avatar, sequence=with_head_motion(avatar.sequence, avatar.head, mode))
        wanted = deform(moved, moved.sequence, 3).layers[0].cloud.means
        for options in (target.Options(frame=3, head_motion=mode), target.Options(frames="3", head_motion=mode)):
            path = target.write(avatar, tmp_path / f"{mode}{options.frames}", options)[-1 if options.frames else 0]
            assert np.linalg.norm(spz.read(path).means - wanted, axis=1).max() < 5e-5
            assert spz_check.check(path, avatar).ok
    assert np.abs(spz.read(tmp_path / "head").means - spz.read(tmp_path / "camera").means).max() > 1e-3


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"frames": "0:9:0"}, FormatError, "expected all"), ({"frames": "9"}, FormatError, "frames 0..3"),
    ({"frames": "2:2"}, FormatError, "0 frames"), ({"frames": "1,1"}, FormatError, "each once"),
    ({"frame": 1, "frames": "all"}, UnsupportedFeature, "give one"), ({"frame": 7}, FormatError, "frames 0..3"),
    ({"space": "rest", "frame": 1}, UnsupportedFeature, "rest"), ({"scale": 0.0}, UnsupportedFeature, "--scale"),
    ({"fractional_bits": 23, "scale": 100}, FormatError, "reach"), ({"sh_bits": 0}, UnsupportedFeature, "bits")])
def test_what_cannot_be_written_is_refused(options: dict, error: type[AvatarError], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        target.write(tiny_avatar("edge-height"), tmp_path / "a", target.Options(**options))
    assert list(tmp_path.iterdir()) == []


def damaged() -> dict[str, bytes]:
    good = spz.pack(wide_cloud(1), 3)
    body = gzip.decompress(good)
    cases = {"cut": good[:-40], "not": b"plainly not", "gzip of something": gzip.compress(b"hello" * 9),
             "short inside": gzip.compress(body[:-1]), "version": gzip.compress(body[:4] + b"\x09" + body[5:]),
             "degree": gzip.compress(body[:12] + b"\x04" + body[13:]),
             "count": gzip.compress(body[:8] + b"\xff\xff\xff\xff" + body[12:]), "header": gzip.compress(body[:10])}
    if 4 in versions():
        four = spz.pack(wide_cloud(1), 4)
        cases |= {"four cut": four[:-9], "four header": four[:20], "four streams": four[:15] + b"\x03" + four[16:],
                  "four table": four[:16] + b"\xff\xff\xff\x7f" + four[20:],
                  "four size": four[:40] + b"\xff\xff\xff\xff" + four[44:], "four stream": four[:-300] + bytes(300)}
    return cases


@pytest.mark.parametrize("case", damaged())
def test_damage_is_told(case: str, tmp_path: Path) -> None:
    (tmp_path / "bad.spz").write_bytes(damaged()[case])
    with pytest.raises(AvatarError, match="bad.spz") as caught:
        spz.read(tmp_path / "bad.spz")
    assert "\n" not in str(caught.value)


def test_without_zstandard_version_4_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingAsset, match="pip install zstandard"):
        spz.pack(wide_cloud(), 4)
