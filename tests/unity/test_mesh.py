"""Mesh layers in the Unity package's shaders on a CPU Vulkan driver, against `formats.deform` and `formats.render`."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from formats.avatar import Avatar, MeshLayer
from formats.codecs import glb_avatar, sequence_json
from formats.picture import psnr
from formats.render import RenderOptions, render_avatar
from formats.sequence import Sequence
from tests.builders import tiny_camera
from tests.unity.lavapipe import needed
from unity_sample.ci.meshes import MeshPlayer
from unity_sample.ci.pictures import Target

GOLDEN = Path(__file__).parents[1] / "golden" / "layers"
CASES = ("shells", "together")
"""Radiance bases mixed by a network; a texture, with lids that come after skinning (its splats and strands are left out)."""
BOUND = 60.0
"""dB (DESIGN.md, section 6)."""
SAMPLED = 45.0
"""dB where the driver's texture unit looks images up: it blends texels with eight bits."""


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    needed()


def shells(name: str) -> tuple[Avatar, Sequence, list[MeshLayer]]:
    avatar, sequence = glb_avatar.read(GOLDEN / f"{name}.plain.glb"), sequence_json.read(GOLDEN / f"{name}.clip.json")
    meshes = [layer for layer in avatar.layers if isinstance(layer, MeshLayer)]
    return dataclasses.replace(avatar, layers=tuple(meshes)), sequence, meshes


@pytest.mark.parametrize("name", CASES)
def test_vertices_and_normals_are_the_reference_ones(name: str) -> None:
    avatar, sequence, meshes = shells(name)
    assert meshes
    for layer in meshes:
        player = MeshPlayer(avatar, layer)
        wanted = player.pose(sequence, 1.25, tiny_camera(0.4), RenderOptions(near=0.05))
        vertices, normals = player.posed()
        np.testing.assert_allclose(vertices, wanted.vertices, atol=1e-5)
        np.testing.assert_allclose(normals, wanted.normals, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_layers_look_as_the_reference(name: str) -> None:
    avatar, sequence, meshes = shells(name)
    camera, options = tiny_camera(0.4, 192), RenderOptions()
    target = Target(camera.width, camera.height, "float")
    for t, exact, bound in ((0, True, BOUND), (1.25, True, BOUND), (1.25, False, SAMPLED)):
        wanted = render_avatar(avatar, sequence, t, camera).rgb
        assert wanted.std() > 0.02, "the reference picture is empty"
        target.clear((1.0, 1.0, 1.0, 1.0))
        for layer in meshes:
            player = MeshPlayer(avatar, layer)
            player.pose(sequence, t, camera, options)
            player.draw(target, exact)
        found = np.clip(target.read()[..., :3], 0, 1)
        # A pixel at a border between triangles may see the other one.
        near = np.abs(found - wanted).max(axis=2) < 0.02
        assert near.mean() > 0.999
        assert psnr(found[near], wanted[near]) > bound, (t, exact)
