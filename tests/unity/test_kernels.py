"""The Unity package's kernels on a CPU Vulkan driver against `formats.deform` and `formats.render`, on the golden avatars."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from formats.avatar import Avatar, SplatLayer
from formats.camera import Camera
from formats.codecs import glb_avatar, sequence_json
from formats.codecs.packed_texels import pack
from formats.conventions import sh_to_rgb
from formats.deform import PosedSplats, deform
from formats.importers import lam
from formats.render import RenderOptions, default_camera
from formats.rotations import quat_angle
from formats.sequence import Sequence
from formats.standin.avatar import standin_avatar
from tests.builders import face_binding, tiny_avatar, tiny_camera, tiny_cloud, tiny_head, tiny_sequence
from tests.test_golden import make_golden
from tests.unity.lavapipe import needed
from unity_sample.ci import kernels
from unity_sample.ci.player import FRAMES, OFFSET_SCALES, SPLAT_SCALES, Player

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


def test_every_way_to_ride_a_triangle_poses_as_the_reference() -> None:
    """All 45 as layers of one avatar; the last face has no area."""
    head = tiny_head(uvs=False)
    a, b = head.faces[-1, :2]
    head = dataclasses.replace(head, faces=np.concatenate([head.faces, [[a, a, b]]]).astype(np.int32))
    ways = [dict(zip(("frame", "offset_scale", "splat_scale"), way, strict=True))
            for way in itertools.product(FRAMES, OFFSET_SCALES, SPLAT_SCALES)]
    layers = []
    for i, way in enumerate(ways):
        binding = face_binding(head, 12, seed=i, **way)
        index = binding.face_index.copy()
        index[-1] = len(head.faces) - 1
        layers.append(SplatLayer(tiny_cloud(12, seed=i), dataclasses.replace(binding, face_index=index), name=f"way {i}"))
    sequence = tiny_sequence(head)
    avatar = Avatar(head, tuple(layers), {}, meta=tiny_avatar().meta)
    _, world = posed(Player(pack(avatar, "float")), sequence, 1.5, tiny_camera(0.4))
    for i, (way, layer) in enumerate(zip(ways, deform(avatar, sequence, 1.5).layers, strict=True)):
        assert isinstance(layer, PosedSplats)
        rows, cloud = world[12 * i:12 * i + 12], layer.cloud
        np.testing.assert_allclose(rows[:, 0, :3], cloud.means, atol=FLOAT_BOUND, err_msg=str(way))
        np.testing.assert_allclose(rows[:, 2, :3], cloud.scales, rtol=2e-4, atol=1e-9, err_msg=str(way))
        seen = cloud.scales.max(axis=1) > 1e-6
        # Without area, the reference's own `corner` axes are the rounding of a cross product.
        seen[-1] &= way["frame"] != "corner"
        assert quat_angle(rows[seen, 1], cloud.quats[seen]).max(initial=0) < 1e-4, way


@pytest.mark.parametrize("kind", ["world", "own-skin"])
def test_networks_deltas_pose_as_the_reference(kind: str) -> None:
    avatar = tiny_avatar(kind)
    assert avatar.sequence is not None and avatar.networks
    # Another layer before it, and one after, so that places count.
    layer, still = avatar.layers[0], tiny_avatar("edge-height").layers[0]
    assert isinstance(layer, SplatLayer) and isinstance(still, SplatLayer)
    avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(layer, name="one"), dataclasses.replace(still,
                                                                                                             name="two"), layer))
    player, sequence = Player(pack(avatar, "float"), avatar.networks), avatar.sequence
    assert sequence is not None
    for t in (0, 1.5):
        _, world = posed(player, sequence, t, tiny_camera(0.4))
        clouds = [layer.cloud for layer in deform(avatar, sequence, t).layers if isinstance(layer, PosedSplats)]
        means, scales = (np.concatenate([getattr(cloud, name) for cloud in clouds]) for name in ("means", "scales"))
        np.testing.assert_allclose(world[:, 0, :3], means, atol=FLOAT_BOUND)
        np.testing.assert_allclose(world[:, 2, :3], scales, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(world[:, 0, 3], np.concatenate([cloud.opacities for cloud in clouds]), atol=1e-5)
        np.testing.assert_allclose(world[:, 3, :3], np.concatenate([sh_to_rgb(cloud.sh[:, 0]) for cloud in clouds]), atol=1e-5)
        quats = np.concatenate([cloud.quats for cloud in clouds])
        seen = scales.max(axis=1) > 1e-6
        assert quat_angle(world[seen, 1], quats[seen]).max() < 1e-4


def test_a_head_of_flame_s_size_poses_as_the_reference() -> None:
    avatar = standin_avatar(3000)
    assert avatar.sequence is not None
    player = Player(pack(avatar, "half"))
    vertices, world = posed(player, avatar.sequence, 118, default_camera(avatar, 64, 64))
    held, true = deform(player.avatar, avatar.sequence, 118), deform(avatar, avatar.sequence, 118)
    assert isinstance(held.layers[0], PosedSplats) and isinstance(true.layers[0], PosedSplats)
    np.testing.assert_allclose(vertices, held.head.vertices, atol=1e-6)
    np.testing.assert_allclose(world[:, 0, :3], held.layers[0].cloud.means, atol=1e-6)
    np.testing.assert_allclose(vertices, true.head.vertices, atol=HALF_BOUND)
    np.testing.assert_allclose(world[:, 0, :3], true.layers[0].cloud.means, atol=HALF_BOUND)


@pytest.mark.lam
def test_a_real_avatar_poses_as_the_reference(lam_zip: Path) -> None:
    avatar = lam.read(lam_zip)
    names = avatar.head.expr_names
    expr = np.clip(np.random.default_rng(0).normal(0, 0.4, (1, len(names))), 0, 1)
    sequence = Sequence(avatar.head.edition, 25, expr, rotation=np.array([[0.1, 0.2, -0.1]]), expr_names=names)
    _, world = posed(Player(pack(avatar, "float")), sequence, 0, default_camera(avatar, 64, 64))
    layer = deform(avatar, sequence, 0).layers[0]
    assert isinstance(layer, PosedSplats)
    np.testing.assert_allclose(world[:, 0, :3], layer.cloud.means, atol=FLOAT_BOUND)
    # This head stands 1.6 m above the origin: float32 leaves 1e-7 m of its vertices, 1e-4 of an edge of a millimetre.
    turns = quat_angle(world[:, 1], layer.cloud.quats)
    assert np.median(turns) < 5e-5 and np.quantile(turns, 0.999) < 1e-3


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
