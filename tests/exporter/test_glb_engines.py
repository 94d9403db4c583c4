"""Outside checks of our GLB: the Khronos validator, and three.js' own pose."""

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from exporter import khronos
from exporter.capabilities import fit
from exporter.ops.limit_influences import limit_influences
from exporter.targets import glb
from formats import importers
from formats.avatar import Avatar
from formats.deform import deform_head
from formats.standin.head import standin_head
from tests.builders import tiny_avatar, tiny_head, tiny_sequence

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not khronos.available(), reason="needs Node and its packages: scripts/build --tests"),
]

THREE = 1e-5
"""Metres. Measured 1e-8: three.js keeps matrices in float64 and skins in float64 from float32 tables."""
KEYS = 12


def avatar_of(kind: str) -> Avatar:
    heads = {"flame-like": tiny_head(), "chain": tiny_head(extra_joints=4), "colors": tiny_head(uvs=False),
             "lids after skinning": dataclasses.replace(tiny_head(), eyelid_space="posed"),
             "two roots": dataclasses.replace(tiny_head(extra_joints=1), parents=[-1, 0, 1, 1, 1, -1])}
    ways = {"colors": "vertex-index", "flame-like": "everything", "chain": "linear"}
    head = heads[kind]
    avatar = tiny_avatar(ways.get(kind, "edge-height"), degree=3, head=head, sequence=False)
    clip = tiny_sequence(head, KEYS)
    return dataclasses.replace(fit(avatar, glb.CAPABILITIES).avatar, sequence=clip)


KINDS = ("flame-like", "chain", "colors", "lids after skinning", "two roots")


@pytest.mark.parametrize("grade", ["plain", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_khronos_validator_is_content(kind: str, grade: str, tmp_path: Path) -> None:
    [path] = glb.write(avatar_of(kind), tmp_path / "a.glb", glb.Options(grade=grade))  # type: ignore[arg-type]
    report = khronos.run(path)
    assert khronos.complaints(report) == []
    assert report["validatorVersion"] == "2.0.0-dev.3.10"
    # The filter hides exactly the splat attributes and nothing else.
    hidden = [m for m in report["messages"] if m["severity"] <= 1]
    assert {m["code"] for m in hidden} == {"MESH_PRIMITIVE_INVALID_ATTRIBUTE"}
    assert all("/attributes/KHR_gaussian_splatting:" in m["pointer"] for m in hidden)


def test_khronos_validator_would_complain(tmp_path: Path) -> None:
    data = glb.to_bytes(avatar_of("flame-like"))
    (tmp_path / "a.glb").write_bytes(data.replace(b'"WEIGHTS_0"', b'"WEIGHTS_9"'))
    assert any("WEIGHTS" in complaint or "JOINTS" in complaint
               for complaint in khronos.complaints(khronos.run(tmp_path / "a.glb")))


def three_vertices(path: Path, seconds: list[float]) -> tuple[np.ndarray, dict]:
    """Return what three.js poses, [times, vertices, 3], and what it says about the file."""
    out = path.with_suffix(".f64")
    done = subprocess.run(["node", str(khronos.FOLDER / "three_pose.mjs"), str(path), str(out), *map(str, seconds)],
                          capture_output=True, timeout=120, check=True)
    return np.fromfile(out, "<f8").reshape(len(seconds), -1, 3), json.loads(done.stdout)


def assert_three_agrees(avatar: Avatar, path: Path) -> dict:
    """Compare with what core glTF can say of the head: four joints a vertex, lids before skinning."""
    sequence = avatar.sequence
    assert sequence is not None and len(sequence) >= 10
    posed, told = three_vertices(path, [i / sequence.fps for i in range(len(sequence))])
    reachable = dataclasses.replace(limit_influences(avatar.head, 4), eyelid_space="rest")
    truth = np.stack([deform_head(reachable, sequence.take([i])).vertices for i in range(len(sequence))])
    assert np.linalg.norm(posed[:, :truth.shape[1]] - truth, axis=2).max() < THREE
    assert np.linalg.norm(np.diff(truth, axis=0), axis=2).max() > 1e-3  # it did move
    return told


@pytest.mark.parametrize("grade", ["plain", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_three_poses_the_head_as_we_do_at_keys(kind: str, grade: str, tmp_path: Path) -> None:
    avatar = avatar_of(kind)
    [path] = glb.write(avatar, tmp_path / "a.glb", glb.Options(grade=grade))  # type: ignore[arg-type]
    told = assert_three_agrees(avatar, path)
    assert told["scenes"] == ["mesh_scene", "splat_scene"] and told["points"] == [0, len(avatar.layers[0].cloud)]
    assert told["targets"][:6] == list(avatar.head.expr_names)


def test_a_head_of_flame_size(tmp_path: Path) -> None:
    head = standin_head()
    avatar = Avatar(head, sequence=tiny_sequence(head, 10))
    [path] = glb.write(avatar, tmp_path / "a.glb", glb.Options())
    told = assert_three_agrees(avatar, path)
    assert len(told["targets"]) == len(head.expr_names) + 38
    assert khronos.complaints(khronos.run(path)) == []


@pytest.mark.lam
def test_the_lam_avatar(lam_zip: Path, tmp_path: Path) -> None:
    avatar = importers.read("lam", lam_zip)
    assert avatar.sequence is not None
    avatar = dataclasses.replace(avatar, sequence=avatar.sequence.take(np.arange(10) * 20))
    [path] = glb.write(avatar, tmp_path / "a.glb", glb.Options())
    assert_three_agrees(avatar, path)
    assert khronos.complaints(khronos.run(path)) == []
