"""Grade `plain` in Godot 3: import, morph targets, skeleton and clip, as a game has them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from formats.avatar import Avatar
from formats.codecs.glb import read_document
from tests.exporter import godot
from tests.exporter.engine_avatars import BOUNDS, MARKED, EngineCase, make_case
from tests.exporter.godot import EXACT, Imported
from tests.web_viewer.browser import unavailable

OWN_SETTINGS = 1e-3
"""Metres that Godot's own settings may lose. Measured: demo 5e-6, GaussianAvatars 1.5e-5, LAM, by dropped keys, 4.2e-4."""


@pytest.fixture(autouse=True)
def _tools() -> None:
    if godot.binary() is None:
        unavailable("needs Godot 3: apt-get install godot3-server")


@pytest.fixture(scope="module")
def imported(engine_case: Callable[[str, str], EngineCase],
             tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], tuple[EngineCase, Imported]]:
    """Return a function from an avatar's name, and whether Godot's own settings are used, to the case and what Godot has."""
    made: dict[tuple[str, bool], tuple[EngineCase, Imported]] = {}

    def get(name: str, own_settings: bool) -> tuple[EngineCase, Imported]:
        if (name, own_settings) not in made:
            case, folder = engine_case(name, "plain"), tmp_path_factory.mktemp("godot")
            made[name, own_settings] = case, godot.run(case.path, case.seconds, folder / "project",
                                                       None if own_settings else EXACT)
        return made[name, own_settings]

    return get


@pytest.mark.parametrize("name", MARKED)
def test_godot_poses_the_head_as_we_do_at_keys(name: str, imported: Callable[[str, bool], tuple[EngineCase, Imported]]) -> None:
    case, got = imported(name, False)
    assert case.error(got.vertices()) < BOUNDS["plain"]
    # And when nobody tells the player where to be: it runs from key to key.
    assert case.error(got.vertices("played")) < BOUNDS["plain"]
    assert np.linalg.norm(np.diff(case.vertices, axis=0), axis=2).max() > 1e-3  # it did move
    assert "ERROR: _decode_buffer_view" not in got.log


@pytest.mark.parametrize("name", MARKED)
def test_what_a_user_gets_who_changes_no_setting(name: str, imported: Callable[[str, bool], tuple[EngineCase, Imported]]) -> None:
    case, got = imported(name, True)
    assert case.error(got.vertices()) < OWN_SETTINGS
    assert got.told["shapes"] == read_document(case.path).json["meshes"][0]["extras"]["targetNames"]
    assert got.told["clips"] == ["clip"] and got.told["length"] == pytest.approx(case.seconds[-1], abs=1e-5)
    # What GLB.md tells Godot 3's users to mend: it ignores KHR_materials_unlit, and shows both scenes at once.
    assert got.told["material"]["both_sides"] and not got.told["material"]["unshaded"]
    assert got.told["material"]["texture"] == (case.avatar.maps is not None)
    assert [node for node, kind in got.told["nodes"] if kind == "MeshInstance"] == ["head", "splats"]


def test_a_clip_of_another_rate(engine_avatar: Callable[[str], Avatar], tmp_path: Path) -> None:
    """Godot 3 samples joints 15 times a second, unless the import setting says the clip's rate."""
    avatar = engine_avatar("gaussian-avatars")
    assert avatar.sequence is not None
    fast = dataclasses.replace(avatar, sequence=dataclasses.replace(avatar.sequence, fps=25.0))
    case = make_case("fast", "plain", fast, tmp_path)
    got = godot.run(case.path, case.seconds, tmp_path / "project", {**EXACT, "animation/fps": 25})
    assert case.error(got.vertices()) < BOUNDS["plain"]
