"""The Unity package's kernels on a CPU Vulkan driver against `formats.deform` and `formats.render`, on the golden avatars."""

import numpy as np
import pytest

from formats.avatar import Avatar
from formats.camera import Camera
from formats.codecs import glb_avatar, sequence_json
from formats.codecs.packed_texels import pack
from formats.conventions import sh_to_rgb
from formats.deform import PosedSplats, deform
from formats.render import RenderOptions
from formats.rotations import quat_angle
from formats.sequence import Sequence
from tests.builders import tiny_camera
from tests.test_golden import make_golden
from tests.unity.lavapipe import needed
from unity_sample.ci import kernels
from unity_sample.ci.player import Player

CASES = sorted(make_golden.CASES)
FLOAT_BOUND, HALF_BOUND = 1e-5, 5e-5
"""Metres (DESIGN.md, section 6), of vertices and means."""


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    needed()


def golden(name: str) -> tuple[Avatar, Sequence]:
    return (glb_avatar.read(make_golden.FOLDER / f"{name}.glb"), sequence_json.read(make_golden.FOLDER / f"{name}.clip.json"))


def posed(player: Player, sequence: Sequence, t: float, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    player.look(sequence.sample(t), camera, RenderOptions(near=0.05))
    player.pose()
    return player.vertices(), player.world()


@pytest.mark.parametrize("name", CASES)
def test_float_tables_pose_as_the_reference(name: str) -> None:
    avatar, sequence = golden(name)
    player = Player(pack(avatar, "float"))
    for t in (0, 1.5, 2.75):
        vertices, world = posed(player, sequence, t, tiny_camera(0.4))
        wanted = deform(avatar, sequence, t)
        layer = wanted.layers[0]
        assert isinstance(layer, PosedSplats)
        cloud = layer.cloud
        np.testing.assert_allclose(vertices, wanted.head.vertices, atol=FLOAT_BOUND)
        np.testing.assert_allclose(world[:, 0, :3], cloud.means, atol=FLOAT_BOUND)
        # A Gaussian smaller than a micrometre shows no rotation.
        seen = cloud.scales.max(axis=1) > 1e-6
        assert quat_angle(world[seen, 1], cloud.quats[seen]).max() < 1e-4
        np.testing.assert_allclose(world[:, 2, :3], cloud.scales, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(world[:, 0, 3], cloud.opacities, atol=1e-5)
        np.testing.assert_allclose(world[:, 3, :3], sh_to_rgb(cloud.sh[:, 0]), atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_half_tables_pose_as_what_they_hold_and_near_the_avatar(name: str) -> None:
    avatar, sequence = golden(name)
    player = Player(pack(avatar, "half"))
    for t in (1.5, 2.75):
        vertices, world = posed(player, sequence, t, tiny_camera(0.4))
        held, true = deform(player.avatar, sequence, t), deform(avatar, sequence, t)
        assert isinstance(held.layers[0], PosedSplats) and isinstance(true.layers[0], PosedSplats)
        cloud = held.layers[0].cloud
        np.testing.assert_allclose(vertices, held.head.vertices, atol=FLOAT_BOUND)
        np.testing.assert_allclose(world[:, 0, :3], cloud.means, atol=FLOAT_BOUND)
        np.testing.assert_allclose(world[:, 2, :3], cloud.scales, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(world[:, 0, 3], cloud.opacities, atol=1e-5)
        np.testing.assert_allclose(world[:, 3, :3], sh_to_rgb(cloud.sh[:, 0]), atol=1e-5)
        np.testing.assert_allclose(vertices, true.head.vertices, atol=HALF_BOUND)
        np.testing.assert_allclose(world[:, 0, :3], true.layers[0].cloud.means, atol=HALF_BOUND)


@pytest.mark.parametrize(("count", "bits", "different"), [
    (1, 16, 1), (64, 16, 1), (1000, 32, 2**32), (1024, 16, 3), (1025, 32, 40), (60_000, 16, 2**16), (60_000, 32, 2**32),
    (150_000, 16, 2**16), (150_000, 32, 500)])
def test_sorting_is_exact_and_puts_the_larger_number_first_among_equals(count: int, bits: int, different: int) -> None:
    rng = np.random.default_rng(count)
    keys = (rng.integers(0, different, count, dtype=np.uint64) * (2**bits // different)).astype(np.uint32)
    order = kernels.download(kernels.sort(kernels.upload(keys), count, bits), np.uint32, count)
    numbers = np.arange(count)[::-1]
    np.testing.assert_array_equal(order, numbers[np.argsort(keys, kind="stable")])


@pytest.mark.parametrize("falling", [False, True])
def test_sorting_keys_that_are_in_order_already(falling: bool) -> None:
    keys = np.arange(5000, dtype=np.uint32)[::-1 if falling else 1]
    order = kernels.download(kernels.sort(kernels.upload(keys), len(keys), 16), np.uint32, len(keys))
    np.testing.assert_array_equal(order, np.arange(5000) if falling else np.arange(5000)[::-1])


def test_no_kernel_binds_more_buffers_than_every_device_has() -> None:
    names = [line.split()[-1] for line in kernels.KERNELS.read_text().splitlines() if line.startswith("#pragma kernel")]
    assert len(names) >= 7
    for name in names:
        slots = kernels.kernel(name).reflection.slots.values()
        assert sum(slot.sort in ("read", "write") for slot in slots) <= kernels.MOST_BUFFERS, name
