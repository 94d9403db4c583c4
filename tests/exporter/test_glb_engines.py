"""Outside checks of our GLB: the Khronos validator, and the poses of three.js and Babylon.js, in every grade."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter import khronos
from exporter.capabilities import fit
from exporter.targets import glb
from formats.avatar import Avatar, SplatLayer
from formats.standin.head import standin_head
from tests.builders import tiny_avatar, tiny_head, tiny_sequence
from tests.exporter import node_engines
from tests.exporter.engine_avatars import BOUNDS, GRADES, MARKED, EngineCase, make_case
from tests.web_viewer.browser import unavailable

pytestmark = pytest.mark.node

ENGINES = tuple(node_engines.SCRIPTS)
KEYS = 12


@pytest.fixture(autouse=True)
def _tools() -> None:
    if not khronos.available() or not all(map(node_engines.available, ENGINES)):
        unavailable("needs Node and its packages: scripts/build --tests")


def avatar_of(kind: str) -> Avatar:
    heads = {"flame-like": tiny_head(), "chain": tiny_head(extra_joints=4), "colors": tiny_head(uvs=False),
             "lids after skinning": dataclasses.replace(tiny_head(), eyelid_space="posed"),
             "two roots": dataclasses.replace(tiny_head(extra_joints=1), parents=[-1, 0, 1, 1, 1, -1])}
    ways = {"colors": "vertex-index", "chain": "linear"}
    head = heads[kind]
    avatar = tiny_avatar(ways.get(kind, "edge-height"), degree=3, head=head, sequence=False)
    clip = tiny_sequence(head, KEYS)
    return dataclasses.replace(fit(avatar, glb.CAPABILITIES).avatar, sequence=clip)


KINDS = ("flame-like", "chain", "colors", "lids after skinning", "two roots")


def assert_valid(path: Path) -> None:
    """Let the Khronos validator find nothing but splat attributes, which it does not know."""
    report = khronos.run(path)
    assert report["validatorVersion"] == "2.0.0-dev.3.10"
    assert khronos.complaints(report) == []
    # The filter hides exactly the splat attributes and nothing else.
    hidden = [m for m in report["messages"] if m["severity"] <= 1]
    assert {m["code"] for m in hidden} == {"MESH_PRIMITIVE_INVALID_ATTRIBUTE"}
    assert all("/attributes/KHR_gaussian_splatting:" in m["pointer"] for m in hidden)


def assert_poses(engine: str, case: EngineCase) -> dict[str, Any]:
    """Pose a case in an engine at its keys, and compare with what core glTF can say of the head."""
    posed, told = node_engines.pose(engine, case.path, case.seconds)
    assert len(case.seconds) >= 10
    assert case.error(posed) < BOUNDS[case.grade], engine
    assert np.linalg.norm(np.diff(case.vertices, axis=0), axis=2).max() > 1e-3  # it did move
    assert told["targets"][:len(case.avatar.head.expr_names)] == list(case.avatar.head.expr_names)
    assert told["unlit"] is True
    return told


# --- Every way of storing a head --------------------------------------------------------------------------------------


@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize("kind", KINDS)
def test_engines_pose_the_head_as_we_do_at_keys(kind: str, grade: str, tmp_path: Path) -> None:
    avatar = avatar_of(kind)
    [layer] = avatar.layers
    assert isinstance(layer, SplatLayer)
    case = make_case("head", grade, avatar, tmp_path)
    assert_valid(case.path)
    told = assert_poses("three.js", case)
    assert told["scenes"] == ["mesh_scene", "splat_scene"] and told["points"] == [0, len(layer.cloud)]
    if grade != "full":  # which differs from plain in what sparse targets leave out
        assert_poses("Babylon.js", case)


def test_khronos_validator_would_complain(tmp_path: Path) -> None:
    data = glb.to_bytes(avatar_of("flame-like"))
    (tmp_path / "a.glb").write_bytes(data.replace(b'"WEIGHTS_0"', b'"WEIGHTS_9"'))
    assert any("WEIGHTS" in complaint or "JOINTS" in complaint
               for complaint in khronos.complaints(khronos.run(tmp_path / "a.glb")))


# --- Whole avatars ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize("name", MARKED)
def test_engines_pose_whole_avatars_as_we_do_at_keys(name: str, grade: str,
                                                     engine_case: Callable[[str, str], EngineCase]) -> None:
    case = engine_case(name, grade)
    assert_valid(case.path)
    for engine in ENGINES:
        told = assert_poses(engine, case)
        if case.avatar.head.posedirs is not None:
            names, most = told["targets"][-36:], told["influences"][-36:]
            assert all("corrective" in each for each in names) and max(most) > 0.05  # correctives played their part


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_would_be_caught(engine: str, engine_case: Callable[[str, str], EngineCase]) -> None:
    """Times between keys, or another order of vertices, are far off: the comparison has teeth."""
    case = engine_case("gaussian-avatars", "plain")
    posed, _ = node_engines.pose(engine, case.path, case.seconds + 0.01)
    assert case.error(posed) > 1e-3
    assert case.error(np.roll(posed, 1, axis=1)) > 1e-3


def test_a_head_of_flame_size(tmp_path: Path) -> None:
    head = standin_head()
    case = make_case("standin", "plain", Avatar(head, sequence=tiny_sequence(head, 10)), tmp_path)
    told = assert_poses("three.js", case)
    assert len(told["targets"]) == len(head.expr_names) + 38
    assert khronos.complaints(khronos.run(case.path)) == []
