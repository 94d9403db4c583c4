"""Gaussian Head Avatar: files as the original and its hair fork write them against what they draw, choices and refusals."""

import dataclasses
import itertools
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from formats import networks  # noqa: E402
from formats.avatar import Avatar, FaceBinding, SkinBinding, SplatLayer, StrandLayer  # noqa: E402
from formats.codecs import bundle  # noqa: E402
from formats.conventions import sh_to_rgb  # noqa: E402
from formats.deform import PosedSplats, deform  # noqa: E402
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature  # noqa: E402
from formats.importers import gha_files, gha_mesh  # noqa: E402
from formats.importers.gaussian_head_avatar import read  # noqa: E402
from formats.importers.gha_networks import Scalars  # noqa: E402
from formats.render import default_camera, render_avatar  # noqa: E402
from formats.rotations import axis_angle_to_matrix, quat_to_matrix  # noqa: E402
from tests.builders import assert_same  # noqa: E402
from tests.originals import gaussian_hair, gaussian_head_avatar  # noqa: E402
from tests.originals.posed import Original  # noqa: E402

METERS = 1e-5
VALUES = 1e-4
"""What a million-fold float32 sum in another order may differ by, with room; both are the round's bounds."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return gaussian_head_avatar.write(tmp_path_factory.mktemp("head"), n=800)


@pytest.fixture(scope="module")
def avatar(original: Original) -> Avatar:
    return read(original.path, original.head, original.sides, **original.options)


@pytest.fixture
def alone(original: Original, tmp_path: Path) -> Path:
    """The head's checkpoint in a folder of its own."""
    (tmp_path / "gaussianhead_latest").write_bytes(original.path.read_bytes())
    return tmp_path / "gaussianhead_latest"


@pytest.fixture(scope="module")
def haired(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return gaussian_hair.write(tmp_path_factory.mktemp("hair"), n=60, heads=200)


def posed_layer(avatar: Avatar, sequence: Any, t: int, layer: int = 0) -> PosedSplats:
    found = deform(avatar, sequence, t).layers[layer]
    assert isinstance(found, PosedSplats)
    return found


def assert_drawn(posed: PosedSplats, original: Original, t: int) -> None:
    cloud, wanted = posed.cloud, original.posed
    np.testing.assert_allclose(cloud.means, wanted.means[t], atol=METERS)
    turn = np.sum(cloud.quats * wanted.quats[t], axis=1) / np.linalg.norm(wanted.quats[t], axis=1)
    assert np.sqrt(np.maximum(0, 1 - np.abs(turn))).max() < VALUES * 10  # 1 - cos of half the angle
    seen = wanted.scales[t] > 1e-6
    np.testing.assert_allclose(cloud.scales[seen], wanted.scales[t][seen], rtol=VALUES)
    np.testing.assert_allclose(cloud.opacities, wanted.opacities[t], atol=VALUES)


# --- The head ---------------------------------------------------------------------------------------------------------


def test_every_frame_is_what_the_original_draws(original: Original, avatar: Avatar) -> None:
    assert len(original.sequence) > 2 and np.abs(np.diff(original.posed.means, axis=0)).max() > 0.01
    for t in range(len(original.sequence)):
        posed = posed_layer(avatar, original.sequence, t)
        assert_drawn(posed, original, t)
        assert posed.features is not None and original.posed.rgb is not None
        np.testing.assert_allclose(posed.features, original.extras["features"][t], atol=VALUES)
        np.testing.assert_allclose(sh_to_rgb(posed.cloud.sh[:, 0]), original.posed.rgb[t], atol=VALUES)
    local = avatar.layers[0].cloud  # type: ignore[union-attr]
    assert (original.extras["w_exp"] == 0).any() and (original.extras["w_exp"] == 1).any() and len(local) == 800


def test_the_older_container_reads_the_same(original: Original, avatar: Avatar, tmp_path: Path) -> None:
    old = gaussian_head_avatar.write(tmp_path, n=800, legacy=True)
    again = read(old.path, None, old.sides)
    np.testing.assert_array_equal(posed_layer(again, old.sequence, 1).cloud.means,
                                  posed_layer(avatar, original.sequence, 1).cloud.means)


def test_the_cloud_is_the_neutral_state(original: Original, avatar: Avatar) -> None:
    assert avatar.sequence is not None
    neutral = dataclasses.replace(avatar.sequence.take([0]), expr=np.zeros((1, 64)))
    network = avatar.networks["head"]
    pose = np.concatenate([neutral.rotation, neutral.translation], axis=1)
    deltas = networks.evaluate(network, {"expr": neutral.expr, "absolute_pose": pose})
    for name in ("delta_means", "delta_rotvecs", "delta_log_scales", "delta_opacity_logits", "delta_rgb"):
        np.testing.assert_allclose(deltas[name], 0, atol=2e-6, err_msg=name)
    moved = networks.evaluate(network, {"expr": original.sequence.expr[:1], "absolute_pose": pose})
    assert np.abs(moved["delta_means"]).max() > 1e-3


def test_the_clip_is_the_tracked_frames(original: Original, avatar: Avatar, alone: Path) -> None:
    assert avatar.sequence is not None and avatar.sequence.basis == "bfm09-64"
    for name in ("expr", "rotation", "translation"):
        np.testing.assert_allclose(getattr(avatar.sequence, name), getattr(original.sequence, name), atol=1e-6)
    deltas = original.path.with_name("delta_poses_latest")
    moved = read(alone, None, dict(original.sides) | {"delta_poses": deltas}).sequence
    assert moved is not None
    added = np.concatenate([moved.rotation - avatar.sequence.rotation, moved.translation - avatar.sequence.translation], 1)
    np.testing.assert_allclose(added, original.extras["delta_poses"], atol=1e-6)
    assert (avatar.meta.name, avatar.meta.system, avatar.meta.source) == ("037", "gaussian-head-avatar", "gaussianhead_latest")
    assert "non-commercial" in avatar.meta.license_notices[0] and "approximation" in avatar.meta.license_notices[1]


def test_turns_of_more_than_half_a_circle_reach_the_network_as_they_are_stored(alone: Path, tmp_path: Path) -> None:
    pose = np.array([0.0, 4.0, 0.3, 0.1, 0.2, 0.3])
    (tmp_path / "params" / "7").mkdir(parents=True)
    np.savez(tmp_path / "params" / "7" / "params.npz", exp_coeff=np.zeros((1, 64)), pose=pose[None], scale=np.full(1, 0.2))
    avatar = read(alone)  # finds params beside it
    assert avatar.sequence is not None
    np.testing.assert_allclose(avatar.sequence.drivers["absolute_pose"], pose[None], atol=1e-6)
    cloud, local = posed_layer(avatar, avatar.sequence, 0).cloud, avatar.layers[0].cloud  # type: ignore[union-attr]
    np.testing.assert_allclose(cloud.means, local.means @ axis_angle_to_matrix(pose[:3]).T + pose[3:], atol=METERS)


def test_the_decoder_is_the_originals(original: Original, avatar: Avatar) -> None:
    assert (avatar.decoder, avatar.decoder_scale) == ("supres", 4)
    image = networks.evaluate(avatar.networks["supres"], {"features": original.extras["feature_image"].astype(np.float32)})
    np.testing.assert_allclose(image["image"], original.extras["image"], atol=1e-5)
    assert np.ptp(image["image"]) > 0.1
    assert avatar.sequence is not None
    camera = default_camera(avatar, 96, 128)
    picture = render_avatar(avatar, avatar.sequence, 2, camera)
    assert picture.rgb.shape == (128, 96, 3) and np.ptp(picture.rgb) > 0.1 and picture.alpha.max() > 0.5


def test_a_folder_and_a_bundle_hold_the_same(original: Original, avatar: Avatar, tmp_path: Path) -> None:
    again = read(original.path.parent, None, original.sides)
    assert_same(dataclasses.replace(again, meta=avatar.meta), avatar)
    bundle.write(avatar, tmp_path / "head.avatar")
    assert_same(bundle.read(tmp_path / "head.avatar"), avatar)


# --- The mesh ---------------------------------------------------------------------------------------------------------


def test_the_mesh_is_the_closed_surface_and_rides_the_root(original: Original, avatar: Avatar) -> None:
    head = avatar.head
    directed = np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed)  # no edge twice the same way: faces agree on what is outside
    assert {tuple(e) for e in directed} == {tuple(e) for e in directed[:, ::-1]}  # and none is open
    a, b, c = (head.v_template[head.faces[:, i]].astype(np.float64) for i in range(3))
    assert np.einsum("fc,fc->", a, np.cross(b, c)) / 6 > 1e-4
    assert avatar.vertex_rgb is not None and np.ptp(avatar.vertex_rgb) > 0.01
    frame = dataclasses.replace(original.sequence.take([1]), expr=np.zeros((1, 64)))
    turned = head.v_template @ axis_angle_to_matrix(frame.rotation[0]).T + frame.translation[0]
    np.testing.assert_allclose(deform(avatar, frame).head.vertices, turned, atol=1e-6)


def test_a_sphere_marches_to_a_sphere() -> None:
    n = 17
    line = np.linspace(-1, 1, n)
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = np.stack(np.meshgrid(*[np.arange(n - 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    paths = [np.cumsum([np.zeros(3, int), *np.eye(3, dtype=int)[list(order)]], axis=0)
             for order in itertools.permutations(range(3))]
    tets = np.concatenate([(cells[:, None] + path) @ [n * n, n, 1] for path in paths])
    vertices, faces, feature = gha_mesh.march(points, tets, np.linalg.norm(points, axis=1) - 0.7, points[:, :2])
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.7).max() < (2 / (n - 1)) ** 2
    np.testing.assert_allclose(feature, vertices[:, :2], atol=1e-12)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    assert (np.einsum("fc,fc->f", np.cross(b - a, c - a), a + b + c) > 0).all()
    volume = np.einsum("fc,fc->", a, np.cross(b, c)) / 6
    np.testing.assert_allclose(volume, 4 / 3 * np.pi * 0.7**3, rtol=0.02)
    assert [len(v) for v in gha_mesh.march(points, tets, np.ones(len(points)), points)] == [0, 0, 0]


def test_mesh_colours_and_expressions_follow_the_networks() -> None:
    """One-layer networks on one tetrahedron cut by the plane z = 0, whose values can be said by hand."""
    rng = np.random.default_rng(0)
    state = {"tet_verts": np.array([[0, 0, 1], [0, 0, -1], [1, 0, -1], [0, 1, -1]], np.float32), "tets": np.array([[0, 1, 2, 3]]),
             "landmarks_3d_neutral": np.zeros((1, 3), np.float32)}
    sizes = {"geo": (3, 6), "exp_color": (2 + 4, 3), "pose_color": (2 + 6, 3), "exp_deform": (3 + 4, 3),
             "pose_deform": (3 + 6, 3)}
    for name, (width, out) in sizes.items():
        state[f"{name}_mlp.conv0.weight"] = rng.normal(size=(out, width, 1)).astype(np.float32)
        state[f"{name}_mlp.conv0.bias"] = rng.normal(size=out).astype(np.float32)
    geo, bias = state["geo_mlp.conv0.weight"][..., 0], state["geo_mlp.conv0.bias"]
    geo[:4], bias[:4] = 0, 0
    geo[0, 2] = 0.5  # sdf tanh(z / 2), no offsets
    scalars, pose = Scalars(near=0.1, far=0.6), rng.normal(size=6)
    mesh = gha_mesh.read_mesh(state, "x", scalars, pose, 4)
    assert mesh.faces.shape == (1, 3)

    def net(name: str, *parts: np.ndarray) -> np.ndarray:
        x = np.concatenate(parts)
        return state[f"{name}_mlp.conv0.weight"][..., 0] @ x + state[f"{name}_mlp.conv0.bias"]

    places = {(0.0, 0.0): 1, (0.5, 0.0): 2, (0.0, 0.5): 3}  # the cut edges' middles, and their lower corners
    for (x, y), low in places.items():
        base = np.array([x, y, 0.0])
        share = np.clip((0.6 - base @ base) / 0.5, 0, 1)
        feature = (np.tanh(net("geo", np.array([0, 0, 1.0]))) + np.tanh(net("geo", state["tet_verts"][low])))[4:] / 2

        def moved(expr: np.ndarray, base: np.ndarray = base, share: float = share) -> np.ndarray:
            return base + 0.3 * share * np.tanh(net("exp_deform", base, expr))

        still = moved(np.zeros(4))
        wanted = still + 0.3 * (1 - share) * np.tanh(net("pose_deform", still, pose))
        i = int(np.argmin(np.linalg.norm(mesh.vertices - wanted, axis=1)))
        np.testing.assert_allclose(mesh.vertices[i], wanted, atol=1e-6)
        for e in range(4):
            np.testing.assert_allclose(mesh.exprdirs[i, :, e], moved(np.eye(4)[e]) - still, atol=1e-6)
        color = (share / (1 + np.exp(-net("exp_color", feature, np.zeros(4))))
                 + (1 - share) / (1 + np.exp(-net("pose_color", feature, pose))))
        np.testing.assert_allclose(mesh.rgb[i], color, atol=1e-6)


# --- Hair -------------------------------------------------------------------------------------------------------------


def axes(cloud: Any) -> np.ndarray:
    return quat_to_matrix(cloud.quats if hasattr(cloud, "quats") else cloud)[..., :, 0]


@pytest.mark.parametrize("trained", [True, False])
def test_hair_alone_is_what_the_fork_draws_unmoved(tmp_path: Path, trained: bool) -> None:
    made = gaussian_hair.write(tmp_path, n=40, heads=50, trained_opacity=trained)
    strands = read(made.path, None, made.sides)
    splats = read(made.path, None, made.sides, hair_as="splats")
    kept = made.extras["points"].shape[1]
    assert isinstance(strands.layers[0], StrandLayer) and isinstance(strands.layers[0].binding, FaceBinding)
    assert strands.layers[0].points.shape == (kept, 100, 3) and isinstance(splats.layers[0], SplatLayer)
    assert isinstance(splats.layers[0].binding, SkinBinding) and "rigid" in strands.meta.license_notices[-1]
    for t, avatar in itertools.product(range(len(made.sequence)), (strands, splats)):
        cloud, wanted = posed_layer(avatar, made.sequence, t).cloud, made.posed
        np.testing.assert_allclose(cloud.means, wanted.means[t], atol=METERS)
        # Segments are as long as float32 positions tell: about 1e-8 m of perhaps 1e-5 m.
        length = wanted.scales[t][:, :1] / 0.55
        assert (np.linalg.norm(axes(cloud) - axes(wanted.quats[t]), axis=1) * length[:, 0]).max() < 1e-7
        np.testing.assert_allclose(cloud.scales, wanted.scales[t], atol=1e-7)
        np.testing.assert_allclose(cloud.opacities, wanted.opacities[t], atol=VALUES)
    if made.posed.sh is not None:
        np.testing.assert_allclose(posed_layer(splats, made.sequence, 0).cloud.sh, made.posed.sh[0], atol=VALUES)
        constant = posed_layer(strands, made.sequence, 0).cloud.sh[:, 0]
        np.testing.assert_allclose(sh_to_rgb(constant), np.maximum(sh_to_rgb(made.posed.sh[0, :, 0]), 0), atol=VALUES)
    assert strands.sequence is not None
    np.testing.assert_allclose(strands.sequence.translation, made.sequence.translation, atol=1e-6)


def test_hair_on_the_head_rides_its_pose_at_the_fitted_offset(haired: Original, tmp_path: Path,
                                                              caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        avatar = read(haired.extras["head"], None, haired.sides)
    assert [layer.name for layer in avatar.layers] == ["head", "hair"] and avatar.decoder is None
    assert "fitted to 2 frames; it is off by 0.00 degrees and 0.00 mm" in caplog.text
    sequence = haired.extras["head_sequence"]
    for t in range(len(sequence)):
        np.testing.assert_allclose(posed_layer(avatar, sequence, t, 1).cloud.means, haired.posed.means[t], atol=METERS)
    bundle.write(avatar, tmp_path / "haired.avatar")
    assert_same(bundle.read(tmp_path / "haired.avatar"), avatar)
    assert len(read(haired.extras["head"], None, haired.sides, hair_as="none").layers) == 1
    assert [layer.name for layer in read(haired.path.parent, None, haired.sides).layers] == ["head", "hair"]
    with pytest.raises(MissingAsset, match="FLAME_params/<frame>/params.npz .*--side flame_params=, or .*hair_as=none"):
        read(haired.extras["head"], None, {"params": haired.sides["params"]})


def changed(path: Path, folder: Path, name: str, **changes: Any) -> Path:
    """Write a checkpoint anew with some keys replaced, or left out where None."""
    state = dict(torch.load(path, map_location="cpu", weights_only=True)) | changes
    torch.save({k: v for k, v in state.items() if v is not None}, folder / name)
    return folder / name


def test_hair_that_cannot_be_read_is_refused(haired: Original, tmp_path: Path) -> None:
    count = len(haired.extras["mask"])
    for i, (changes, error, text) in enumerate((
            ({"points_raw": None, "dir_raw": torch.zeros(count * 99, 3)}, UnsupportedFeature, "dir_raw"),
            ({"opacity_mask": torch.zeros(count, dtype=torch.bool)}, FormatError, "keeps none of its 60"),
            ({"opacity_raw": torch.full((count * 99, 1), torch.nan)}, FormatError, "'opacity_raw'.*finite"),
            ({"points_raw": torch.full((count, 99, 3), torch.inf)}, FormatError, "'points_raw'.*finite"),
            ({"width_raw": torch.ones(count + 1, 1)}, FormatError, r"'width_raw': expected shape \[60, 1\]"),
            ({"features_rest_raw": torch.ones(count * 99, 4, 3)}, FormatError, "4 coefficients"))):
        with pytest.raises(error, match=text):
            read(changed(haired.path, tmp_path, f"gaussianhair_latest_{i}", **changes))
    with pytest.raises(UnsupportedFeature, match="iteration 9000.*Perm"):
        read(changed(haired.path, tmp_path, "gaussianhair_iter_9000"))
    with pytest.raises(UnsupportedFeature, match="hair_as is 'fur'"):
        read(haired.path, hair_as="fur")


# --- Choices and refusals ---------------------------------------------------------------------------------------------


def test_the_newest_checkpoint_is_taken_and_its_companions_are_of_the_same_age(tmp_path: Path) -> None:
    def made(*names: str) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name in names:
            (folder / name).touch()
        return folder

    many = made("gaussianhead_epoch_9", "gaussianhead_epoch_10", "supres_epoch_9", "supres_epoch_10", "supres_latest", "notes")
    assert gha_files.newest(many, "gaussianhead") == many / "gaussianhead_epoch_10"
    assert gha_files.beside(many / "gaussianhead_epoch_9", "supres") == many / "supres_epoch_9"
    assert gha_files.beside(many / "gaussianhead_epoch_7", "supres") == many / "supres_latest"
    seeds = made("gaussianhead_latest_17", "gaussianhead_latest_9", "gaussianhead_iter_80000", "gaussianhair_latest_9")
    assert gha_files.newest(seeds, "gaussianhead") == seeds / "gaussianhead_latest_17"
    assert gha_files.newest(made("gaussianhead_latest", "gaussianhead_latest_9"), "gaussianhead").name == "gaussianhead_latest"  # type: ignore
    assert gha_files.newest(made(), "gaussianhead") is None
    (tmp_path / "meshhead_ada").mkdir()
    (tmp_path / "meshhead_ada" / "meshhead_latest").touch()
    assert gha_files.beside(tmp_path / "gaussianhead_ada" / "gaussianhead_latest", "meshhead") == (
        tmp_path / "meshhead_ada" / "meshhead_latest")


def test_scalars_come_from_the_yaml_the_options_or_the_papers_files(original: Original, avatar: Avatar, alone: Path,
                                                                    tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("meshheadmodule:\n  deform_scale: 9\ngaussianheadmodule:\n  pos_freq: 4 # octaves\n"
                    "  dist_threshold_near: 0.12\n  exp_deform_mlp: [91, 256, 3]\n"
                    "  deform_scale: '0.4'\nrecorder:\n  attributes_scale: 7\n")
    assert gha_files.read_scalars(file) == Scalars(0.12, 0.2, 0.4, 0.05)  # the rest: what the code takes
    by_hand = read(alone, None, {"params": original.sides["params"]}, near=0.12, far=0.2, deform_scale=0.4,
                   attributes_scale=0.05)
    by_yaml = read(alone, None, {"params": original.sides["params"], "yaml": file})
    mixed = read(alone, None, {"params": original.sides["params"], "yaml": file}, near=0.01)
    cloud, other, third = (a.layers[0].cloud.means for a in (by_hand, by_yaml, mixed))  # type: ignore[union-attr]
    np.testing.assert_array_equal(cloud, other)
    assert np.abs(cloud - third).max() > 1e-5 and np.abs(cloud - avatar.layers[0].cloud.means).max() > 1e-4  # type: ignore
    file.write_text("gaussianheadmodule:\n  deform_scale: fast\n")
    with pytest.raises(FormatError, match="line 2: 'deform_scale' is 'fast'"):
        gha_files.read_scalars(file)
    file.write_text("meshheadmodule:\n  deform_scale: 9\n")
    with pytest.raises(FormatError, match="no section 'gaussianheadmodule:'"):
        gha_files.read_scalars(file)


def test_without_companions_there_is_a_coarse_picture_a_hidden_triangle_and_no_clip(
        original: Original, alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(MissingAsset, match="--side params=FOLDER .*--set scale="):
        read(alone)
    avatar = read(alone, scale=0.15)
    assert "the picture is the coarse one" in caplog.text
    assert avatar.decoder is None and avatar.sequence is None and list(avatar.networks) == ["head"]
    assert avatar.head.v_template.shape == (3, 3) and np.ptp(avatar.head.v_template) < 0.011 and avatar.vertex_rgb is None
    cloud = posed_layer(avatar, original.sequence, 1).cloud
    np.testing.assert_allclose(cloud.means, original.posed.means[1], atol=METERS)
    bundle.write(avatar, tmp_path / "alone.avatar")
    assert_same(bundle.read(tmp_path / "alone.avatar"), avatar)
    given = read(alone, None, {"params": original.sides["params"].parent, "supres": original.extras["supres"],
                               "mesh": original.extras["meshhead"]})
    assert given.decoder == "supres" and given.sequence is not None and len(given.head.v_template) > 100
    picky = changed(original.extras["supres"], tmp_path, "supres_latest", **{
        "upsampler.inc.double_conv.0.weight": torch.zeros(128, 26, 3, 3)})
    assert read(alone, None, {"supres": picky}, scale=0.15).decoder is None and "takes 26 channels" in caplog.text


def test_infinite_features_and_entries_that_nothing_is_drawn_with_are_read(original: Original, avatar: Avatar,
                                                                          tmp_path: Path) -> None:
    state = torch.load(original.path, map_location="cpu", weights_only=True)
    feature = state["feature"].clone()
    feature[5, 7] = 20.0  # tanh makes 1 of either
    told = changed(original.path, tmp_path, "gaussianhead_latest_1", feature=feature)
    feature[5, 7] = torch.inf
    odd = changed(original.path, tmp_path, "gaussianhead_latest_2", feature=feature, seg_label=torch.full((800, 3), torch.nan))
    one, other = (posed_layer(read(path, None, original.sides), original.sequence, 1) for path in (told, odd))
    np.testing.assert_array_equal(one.cloud.sh, other.cloud.sh)
    np.testing.assert_array_equal(one.cloud.means, other.cloud.means)


def test_names_with_an_extension_and_wrapped_dictionaries_read_the_same(original: Original, avatar: Avatar,
                                                                       tmp_path: Path) -> None:
    for kind in ("gaussianhead", "supres", "meshhead"):
        state = torch.load(original.path.with_name(f"{kind}_latest"), map_location="cpu", weights_only=True)
        torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / f"{kind}_latest.pth")
    again = read(tmp_path, None, original.sides)
    assert_same(dataclasses.replace(again, meta=avatar.meta), avatar)


def test_scalars_that_are_in_no_checkpoint_are_told(alone: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        read(alone, scale=0.15, far=0.3)
    assert "dist_threshold_far 0.3" in caplog.text and "--side yaml=" in caplog.text


def test_the_trainings_yaml_is_found(original: Original, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "checkpoints" / "gaussianhead_N031" / "gaussianhead_latest"
    for place, text, found in (
            ("config/train_gaussianhead_N031.yaml", "recorder:\n  name: 'gaussianhead_N031'\n", True),
            ("config/train_gaussianhead_N031.yaml", "recorder:\n  name: 'gaussianhead_N037'\n", False),
            ("checkpoints/gaussianhead_N031/mine.yaml", "", True), ("config/other.yml", "", False)):
        path.parent.mkdir(parents=True)
        path.write_bytes(original.path.read_bytes())
        yaml = tmp_path / place
        yaml.parent.mkdir(exist_ok=True)
        yaml.write_text(f"{text}gaussianheadmodule:\n  dist_threshold_far: 0.3\n  deform_scale: 0.2\n")
        with caplog.at_level(logging.INFO):
            caplog.clear()
            read(path, scale=0.15)
        assert ("dist_threshold_far 0.3, deform_scale 0.2, attributes_scale 0.05" in caplog.text) == found
        assert ("no yaml" in caplog.text) != found
        shutil.rmtree(tmp_path / "checkpoints")
        shutil.rmtree(tmp_path / "config", ignore_errors=True)


def test_what_is_no_such_avatar_is_refused(original: Original, avatar: Avatar, tmp_path: Path) -> None:
    def refused(error: type[AvatarError], text: str, path: Path = original.path, sides: dict[str, Path] | None = None,
                head: Any = None, **options: Any) -> None:
        with pytest.raises(error, match=text) as caught:
            read(path, head, original.sides if sides is None else sides, **options)
        assert "\n" not in str(caught.value)

    refused(UnsupportedFeature, "does not ride a FLAME head", head=avatar.head)
    refused(UnsupportedFeature, "no side input is called 'net'; known are supres, mesh, hair", sides={"net": tmp_path})
    refused(UnsupportedFeature, "use `import gaussian-avatars`", tmp_path / "head_latest_7.ply")
    refused(MissingAsset, "no such file", tmp_path / "gaussianhead_latest")
    refused(MissingAsset, "holds no gaussianhead_", tmp_path)
    (tmp_path / "head_latest_7.ply").touch()
    refused(MissingAsset, "head_latest_7.ply is a FLAME-bound head, which `import gaussian-avatars` reads", tmp_path)
    refused(FormatError, "first stage's mesh; give it as --side mesh=", original.extras["meshhead"])
    refused(FormatError, "super-resolution; give it as --side supres=", original.extras["supres"])
    refused(UnsupportedFeature, "expected 0 <= near < far", sides={}, scale=0.15, near=0.3)
    refused(MissingAsset, "holds no <frame>/params.npz; --side params=", sides={"params": tmp_path})
    (tmp_path / "params" / "0000").mkdir(parents=True)
    frame = tmp_path / "params" / "0000" / "params.npz"
    np.savez(frame, exp_coeff=np.zeros((1, 59)), pose=np.zeros((1, 6)), scale=np.ones((1, 1)))
    refused(CheckpointMismatch, "59 expression coefficients, expected 64; FLAME parameters", sides={"params": tmp_path})
    np.savez(frame, exp_coeff=np.zeros((1, 64)), pose=np.zeros((1, 3)), scale=np.ones(1))
    refused(FormatError, "'pose': expected 6 numbers", sides={"params": tmp_path})
    np.savez(frame, exp_coeff=np.zeros((1, 64)), pose=np.zeros((1, 6)), scale=np.full(1, 0.1))
    deltas = {"params": tmp_path, "delta_poses": original.path.with_name("delta_poses_latest")}
    refused(CheckpointMismatch, "3 rows, .* has 1 frames", sides=deltas)

    state = torch.load(original.path, map_location="cpu", weights_only=True)
    for changes, error, text in (
            ({"xyz": state["xyz"] * torch.nan}, FormatError, "'xyz': 2400 of 2400 values are not finite"),
            ({"feature": None}, FormatError, "'feature': expected shape .* got none"),
            ({"opacity": state["opacity"][:-1]}, FormatError, "'opacity': 799 rows, 'xyz' has 800"),
            ({"exp_color_mlp.conv1.weight": None}, FormatError, "exp_color|colour"),
            ({"exp_deform_mlp.conv0.bias": None}, FormatError, "'exp_deform_mlp.conv0.bias': expected 256 numbers"),
            ({"exp_deform_mlp.conv3.weight": torch.zeros(256, 300, 1)}, FormatError, "takes 300 numbers; expected 256, or 347"),
            ({"pose_attributes_mlp.conv0.weight": None}, FormatError, "'pose_attributes_mlp.conv0.weight' is missing"),
            ({"feature": state["feature"][:, :120]}, CheckpointMismatch, "72 expression coefficients, expected the 64")):
        refused(error, text, changed(original.path, tmp_path, "gaussianhead_latest_9", **changes), sides={}, scale=0.15)
    refused(FormatError, "'other' is no part of the super-resolution", sides={
        "supres": changed(original.extras["supres"], tmp_path, "supres_latest", other=torch.zeros(1))}, scale=0.15)
    refused(FormatError, "'tets': expected indices into", sides={
        "mesh": changed(original.extras["meshhead"], tmp_path, "meshhead_latest", tets=torch.full((5, 4), 10**6))}, scale=0.15)
