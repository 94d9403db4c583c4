"""MonoGaussianAvatar's runs and FATE's version: posed as the original does (by covariance), and what is refused."""

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.avatar import Avatar, SkinBinding, SplatLayer
from formats.deform import deform
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.importers import fate, mono_appearance, mono_gaussian_avatar, mono_training
from formats.importers.signatures import recognise
from formats.networks import evaluate
from formats.retarget import with_head_motion
from formats.rotations import axis_angle_to_matrix, quat_to_matrix
from formats.spherical_harmonics import evaluate_sh
from tests.formats.originals import METERS, OTHER, assert_kept, clouds
from tests.originals.posed import Original

torch = pytest.importorskip("torch")
from tests.originals import fate_baselines  # noqa: E402 - these need torch
from tests.originals import mono_gaussian_avatar as originals  # noqa: E402


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return originals.write(tmp_path_factory.mktemp("mono"), n=300)


@pytest.fixture(scope="module")
def avatar(original: Original) -> Avatar:
    return mono_gaussian_avatar.read(original.path)


def layer_of(avatar: Avatar) -> tuple[SplatLayer, SkinBinding]:
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer) and isinstance(layer.binding, SkinBinding)
    return layer, layer.binding


def covariances(cloud: GaussianCloud) -> np.ndarray:
    m = quat_to_matrix(cloud.quats.astype(float)) * cloud.scales[:, None].astype(float)
    return m @ m.transpose(0, 2, 1)


def assert_drawn(avatar: Avatar, original: Original) -> None:
    """Fail unless means, covariances, opacities and colours are the original's. Rotations of near spheres mean nothing."""
    expected = original.posed
    assert expected.rgb is not None
    for t, cloud in enumerate(clouds(avatar, original.sequence, len(expected.means))):
        np.testing.assert_allclose(cloud.means, expected.means[t], atol=METERS, rtol=0)
        there = original.extras["covariances"][t]
        size = np.abs(there).max(axis=(1, 2))
        assert (np.abs(covariances(cloud) - there).max(axis=(1, 2)) / size).max() < OTHER
        np.testing.assert_allclose(cloud.opacities, expected.opacities[t], atol=OTHER)
        up = np.tile([0.0, 1.0, 0.0], (len(cloud), 1))
        np.testing.assert_allclose(evaluate_sh(cloud.sh.astype(float), up), expected.rgb[t], atol=OTHER)


def altered(original: Original, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Save the model again after `change`."""
    content = torch.load(original.path, map_location="cpu", weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def videos(original: Original) -> Path:
    return Path(f"{original.sides['first_video']},{original.sides['last_video']}")


# --- Posed as the originals do ----------------------------------------------------------------------------------------


def test_motion_given_to_the_head_changes_no_picture(original: Original, avatar: Avatar) -> None:
    """IMavatar's cameras move. With that in the root joint, the first camera must see what each camera saw."""
    assert avatar.sequence is not None
    world = np.array(avatar.sequence.cameras["world_to_camera"])
    world[:, :3, 3] += np.random.default_rng(3).normal(0, 0.03, (len(world), 3))
    still = dataclasses.replace(avatar.sequence, cameras={**avatar.sequence.cameras, "world_to_camera": world})
    moved = with_head_motion(still, avatar.head, "head")
    ghost = layer_of(avatar)[1].lbs_weights[:, -1]  # type: ignore[index]
    assert ghost.max() > 0.5 and np.abs(moved.translation).max() > 0.02
    for i in range(3):
        (there, camera), (here, first) = ((clouds(avatar, clip.take([i]), 1)[0], clip.cameras["world_to_camera"][i].astype(float))
                                          for clip in (still, moved))
        np.testing.assert_allclose(here.means @ first[:3, :3].T + first[:3, 3], there.means @ camera[:3, :3].T + camera[:3, 3],
                                   atol=1e-6)
        sizes = np.abs(covariances(there)).max(axis=(1, 2))
        assert (np.abs(covariances(here) - covariances(there)).max(axis=(1, 2)) / sizes).max() < 1e-4
        np.testing.assert_allclose(here.opacities, there.opacities, atol=1e-5)
        np.testing.assert_allclose(here.sh, there.sh, atol=1e-4)


@pytest.mark.parametrize("count", [12, 300])
def test_draws_what_the_original_draws(count: int, original: Original, tmp_path: Path) -> None:
    made = original if count == 300 else originals.write(tmp_path / "few", n=count)
    avatar = mono_gaussian_avatar.read(made.path)
    # Few points make large "rotations": the sheet's case that is far from axis-aligned.
    turned = np.abs(made.extras["raw_quats"]).max()
    assert turned > 0.4 if count == 12 else turned < 0.3
    assert_drawn(avatar, made)
    before = clouds(avatar, made.sequence, 1)[0]
    kept = assert_kept(avatar, made.sequence, tmp_path)
    np.testing.assert_allclose(clouds(kept, made.sequence, 1)[0].means, before.means, atol=1e-7)


def test_the_network_gives_the_originals_numbers(original: Original, avatar: Avatar) -> None:
    layer, _ = layer_of(avatar)
    held = avatar.networks[str(layer.dynamics)]
    assert held.space == "posed" and set(held.inputs) == {"posed_means", "translation"}
    means = original.posed.means[0].astype(np.float32)
    still = np.zeros((1, 3), np.float32)
    given = evaluate(held, {"posed_means": means, "translation": still})
    moved = evaluate(held, {"posed_means": means + np.float32(0.25), "translation": still + np.float32(0.25)})
    np.testing.assert_allclose(moved["delta_rgb"], given["delta_rgb"], atol=1e-5)
    # What the frame adds to the stored cloud, from what the original draws: the same numbers on another way.
    rgb = evaluate_sh(layer.cloud.sh.astype(float), np.tile([0.0, 1.0, 0.0], (len(means), 1)))
    assert original.posed.rgb is not None
    np.testing.assert_allclose(rgb + given["delta_rgb"], original.posed.rgb[0], atol=1e-5)
    assert np.abs(given["delta_rgb"]).max() > 1e-3, "the network does nothing in this test"


@pytest.mark.parametrize("spread", [0.1, 5.0])
@pytest.mark.parametrize("count", [4, 50, 1500])
def test_covariances_come_to_principal_axes_in_the_graph(spread: float, count: int) -> None:
    rng = np.random.default_rng(count)
    state: dict[str, np.ndarray] = {}
    for name, out, into in (("lin0", 64, 3), ("lin1", 64, 64), ("lin2", 64, 64), *(
            (f"{head}_layer.{i}", width if i else 64, 64) for head, width in
            (("scaling", 3), ("rotations", 4), ("opacity", 1), ("color", 3)) for i in (0, 2))):
        state |= {f"g.{name}.weight": rng.normal(size=(out, into)) / np.sqrt(into), f"g.{name}.bias": rng.normal(size=out) / 9}
    statics = mono_appearance.Statics(rng.normal(size=(count, 3)), spread * rng.normal(size=(count, 3)),
                                      rng.normal(size=(count, 4)), rng.normal(size=count))
    anchors = rng.normal(size=(count, 3))
    radius = 8e-4
    network = mono_appearance.appearance_network(state, "g.", statics, anchors, radius, "here")
    means = ((anchors + 0.3 * rng.normal(size=(count, 3))) / 4).astype(np.float32)
    out = evaluate(network, {"posed_means": means, "translation": np.zeros((1, 3), np.float32)})

    def through(name: str, x: np.ndarray) -> np.ndarray:
        return x @ state[f"g.{name}.weight"].T + state[f"g.{name}.bias"]

    x = means.astype(float) * 4 - anchors
    x = through("lin2", np.maximum(through("lin1", np.maximum(through("lin0", x), 0)), 0))
    added = {name: through(f"{name}_layer.2", np.maximum(through(f"{name}_layer.0", x), 0)) for name in ("scaling", "rotations")}
    scales = (0.025 / (1 + np.exp(-statics.scales - added["scaling"])) + radius) / 4
    q = statics.quats + added["rotations"]
    m = quat_to_matrix(q / np.linalg.norm(q, axis=0)) * scales[:, None]
    there = m @ m.transpose(0, 2, 1)
    stored_quats, stored_scales = mono_appearance.principal_axes(
        mono_appearance.covariances(statics.quats, mono_appearance.point_scales(statics.scales, radius)))
    turned = axis_angle_to_matrix(out["delta_rotvecs"])
    here = turned @ quat_to_matrix(stored_quats) * (stored_scales * np.exp(out["delta_log_scales"]))[:, None]
    here = here @ here.transpose(0, 2, 1)
    assert (np.abs(here - there).max(axis=(1, 2)) / np.abs(there).max(axis=(1, 2))).max() < 2e-5


def test_principal_axes_stay_near_the_axes() -> None:
    rng = np.random.default_rng(0)
    scales = np.sort(rng.uniform(0.1, 1, (50, 3)), axis=1)[:, rng.permutation(3)]
    small = quat_to_matrix(np.concatenate([np.ones((50, 1)), 0.02 * rng.normal(size=(50, 3))], axis=1))
    m = small * scales[:, None]
    quats, found = mono_appearance.principal_axes(m @ m.transpose(0, 2, 1))
    back = quat_to_matrix(quats) * found[:, None]
    np.testing.assert_allclose(back @ back.transpose(0, 2, 1), m @ m.transpose(0, 2, 1), atol=1e-12)
    assert quats[:, 0].min() > 0.7


def test_fates_version_draws_as_fate_does(tmp_path: Path) -> None:
    made = fate_baselines.write(tmp_path / "run", "mono_gaussian_avatar")
    avatar = fate.read(made.path)
    assert_drawn(avatar, made)
    assert_kept(avatar, made.sequence, tmp_path)
    assert avatar.meta.system == "mono-gaussian-avatar"
    alone = Path(shutil.copy(made.path, tmp_path / "alone.pth"))
    with pytest.raises(MissingAsset, match="identity_dict.pkl; give it with --side identity=PATH"):
        fate.read(alone)


# --- What is in it ----------------------------------------------------------------------------------------------------


def test_says_what_it_is(original: Original, avatar: Avatar) -> None:
    layer, binding = layer_of(avatar)
    assert (avatar.meta.name, avatar.meta.system, avatar.meta.source) == ("yufeng", "mono-gaussian-avatar", "latest.pth")
    assert any("FLAME" in n and "non-commercial" in n for n in avatar.meta.license_notices)
    assert binding.rotation == "none" and binding.lbs_weights is not None and binding.lbs_weights.shape == (300, 6)
    assert avatar.head.joint_names == ("root", "neck", "jaw", "left_eye", "right_eye", "ghost")
    assert avatar.head.parents.tolist() == [-1, 0, 1, 1, 1, -1] and avatar.head.joint_roles["right_eye"] == 4
    assert original.head is not None and avatar.head.edition == original.head.edition
    assert not avatar.head.lbs_weights[:, 5].any() and binding.lbs_weights[:, 5].max() > 0.5
    np.testing.assert_allclose(binding.lbs_weights.sum(axis=1), 1, atol=1e-6)
    assert binding.exprdirs is not None and binding.exprdirs.shape == (300, 3, 50)
    assert layer.cloud.sh_degree == 0 and len(avatar.head.expr_names) == 50 and avatar.head.edition == "flame2020"


def test_the_clip_is_the_refined_tracking_with_its_cameras(original: Original, avatar: Avatar) -> None:
    clip = avatar.sequence
    assert clip is not None and dict(clip.ranges) == {"train": (0, 8), "MVI_1810": (0, 3), "MVI_1814": (3, 8)}
    inputs = torch.load(original.path.parent.parent / "InputParameters" / "latest.pth", weights_only=True, map_location="cpu")
    np.testing.assert_array_equal(clip.expr, inputs["expression_state_dict"]["weight"].numpy())
    pose = inputs["flame_pose_state_dict"]["weight"].numpy()
    np.testing.assert_array_equal(np.concatenate([clip.rotation, clip.neck, clip.jaw, clip.eyes], axis=1), pose)
    frames = json.loads(original.sides["last_video"].read_text())["frames"]
    np.testing.assert_allclose(clip.cameras["world_to_camera"][3, :3, 3],
                               np.array(frames[0]["world_mat"])[:3, 3] / 4 * [1, -1, -1], atol=1e-6)
    assert clip.shape is not None
    np.testing.assert_allclose(clip.shape, original.extras["shape"], atol=1e-6)
    assert len(deform(avatar, clip, 7).layers) == 1


def test_folders_and_numbered_files_mean_the_same(original: Original, avatar: Avatar, tmp_path: Path) -> None:
    checkpoints = original.path.parent.parent
    for path in (checkpoints, original.path.parent, checkpoints.parent.parent, original.extras["model"]):
        again = mono_gaussian_avatar.read(path)
        np.testing.assert_array_equal(layer_of(again)[0].cloud.means, layer_of(avatar)[0].cloud.means)
    copied = tmp_path / "checkpoints"
    shutil.copytree(original.path.parent, copied / "ModelParameters")
    (copied / "ModelParameters" / "latest.pth").unlink()
    assert mono_training.model_file(copied).name == original.extras["model"].name
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingAsset, match="no ModelParameters/latest.pth"):
        mono_gaussian_avatar.read(tmp_path / "empty")


def test_training_clips_may_be_given(original: Original, avatar: Avatar, tmp_path: Path,
                                     caplog: pytest.LogCaptureFixture) -> None:
    path = Path(shutil.copy(original.path, tmp_path / "latest.pth"))
    with pytest.raises(MissingAsset, match="flame_params.json.*--side flame_params=PATH"):
        mono_gaussian_avatar.read(path)
    given = mono_gaussian_avatar.read(path, sides={"flame_params": videos(original)})
    np.testing.assert_array_equal(layer_of(given)[0].cloud.means, layer_of(avatar)[0].cloud.means)
    assert given.sequence is not None and given.meta.name == "latest"
    tracked = json.loads(original.sides["first_video"].read_text())["frames"]
    np.testing.assert_allclose(given.sequence.expr[1], tracked[1]["expression"], atol=1e-6)
    folder = {"flame_params": original.sides["flame_params"], "conf": original.sides["config"]}
    np.testing.assert_array_equal(layer_of(mono_gaussian_avatar.read(path, sides=folder))[0].cloud.means,
                                  layer_of(avatar)[0].cloud.means)
    # Other frames are another rest expression, and a warning where the run's own clip shows it.
    with caplog.at_level(logging.WARNING):
        fewer = mono_gaussian_avatar.read(original.path, sides={"flame_params": original.sides["first_video"]})
    assert "holds 8 frames, the flame_params.json given 3" in caplog.text
    assert fewer.sequence is not None and not fewer.sequence.cameras and len(fewer.sequence) == 8
    assert np.abs(layer_of(fewer)[0].cloud.means - layer_of(avatar)[0].cloud.means).max() > 1e-4
    stepped = mono_gaussian_avatar.read(path, sides={"flame_params": videos(original)}, subsample=2)
    assert stepped.sequence is not None and len(stepped.sequence) == 2 + 3


def test_the_canonical_jaw_can_be_said(original: Original, avatar: Avatar, tmp_path: Path) -> None:
    same = mono_gaussian_avatar.read(original.path, canonical_jaw=originals.CANONICAL_JAW)
    np.testing.assert_array_equal(layer_of(same)[0].cloud.means, layer_of(avatar)[0].cloud.means)
    config = tmp_path / "runconf.conf"
    config.write_text("model{\n canonical_pose = 0.2 # of the jaw\n}\n")
    by_file = mono_gaussian_avatar.read(original.path, sides={"conf": config, "flame_params": videos(original)})
    by_option = mono_gaussian_avatar.read(original.path, canonical_jaw=0.2)
    np.testing.assert_array_equal(layer_of(by_file)[0].cloud.means, layer_of(by_option)[0].cloud.means)
    assert np.abs(layer_of(by_file)[0].cloud.means - layer_of(avatar)[0].cloud.means).max() > 1e-4


def test_a_run_may_rest_on_no_expression(original: Original, avatar: Avatar, tmp_path: Path) -> None:
    conf = tmp_path / "runconf.conf"
    text = original.sides["config"].read_text()
    conf.write_text(text.replace("use_mean_expression = True", "use_mean_expression = False"))
    zero = mono_gaussian_avatar.read(original.path, None, {"conf": conf, "flame_params": videos(original)})
    one, other = layer_of(avatar), layer_of(zero)
    assert one[1].exprdirs is not None
    # Without an expression at rest, nothing of it is taken off; its joints hardly move.
    step = one[1].exprdirs.astype(float) @ original.extras["canonical_expression"]
    np.testing.assert_allclose(other[0].cloud.means - one[0].cloud.means, step, atol=0.1 * np.abs(step).max())
    conf.write_text(text.replace("use_mean_expression = True", "use_mean_expression = sometimes"))
    with pytest.raises(FormatError, match="'use_mean_expression': expected true or false, got 'sometimes'"):
        mono_gaussian_avatar.read(original.path, None, {"conf": conf, "flame_params": videos(original)})


def test_a_model_that_was_wrapped_is_read(original: Original, avatar: Avatar, tmp_path: Path) -> None:
    """DataParallel puts `module.` before every key."""
    path = altered(original, tmp_path / "renamed.pt", lambda content: content.update(
        model_state_dict={f"module.{key}": value for key, value in content["model_state_dict"].items()} | {"module.note": ""}))
    made = mono_gaussian_avatar.read(path, None, {"conf": original.sides["config"], "flame_params": videos(original)})
    np.testing.assert_array_equal(layer_of(made)[0].cloud.means, layer_of(avatar)[0].cloud.means)
    found = recognise(path)
    assert found is not None and (found["system"], found["gaussians"]) == ("mono-gaussian-avatar", 300)


def test_inspect_finds_what_the_import_finds(original: Original, tmp_path: Path) -> None:
    shutil.copytree(original.path.parents[8], tmp_path / "run")
    path = tmp_path / "run" / original.path.relative_to(original.path.parents[8])
    found = recognise(path)
    assert found is not None and "--side" not in found["import"]
    mono_gaussian_avatar.read(path)
    last = tmp_path / "run" / original.sides["last_video"].relative_to(original.path.parents[8])
    last.unlink()  # the mean is over all videos: one of them is not enough
    found = recognise(path)
    assert found is not None and "--side flame_params=PATH" in found["import"]
    with pytest.raises(MissingAsset, match="--side flame_params=PATH"):
        mono_gaussian_avatar.read(path)


def test_configurations_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "runconf.conf"
    path.write_text("train{\n  exps_folder = exps // not data\n}\ndataset{\n data_folder = ../data/datasets\n"
                    " subject_name = yufeng\n json_name = flame_params.json\n train{\n  sub_dir = [MVI_1810, MVI_1814]\n"
                    "  img_res = [512, 512]\n  subsample = [10, 200]\n }\n test{\n  sub_dir = [MVI_1812]\n  subsample = 200\n"
                    " }\n}\n"
                    "model{\n canonical_pose = 0.4\n}\n")
    assert mono_training.read_config(path) == mono_training.Config(
        0.4, "../data/datasets", "yufeng", "flame_params.json", ("MVI_1810", "MVI_1814"), (10, 200))
    for line, said in (("canonical_pose = wide\n", "'canonical_pose'"), ("canonical_pose = nan\n", "'canonical_pose'"),
                       ("train{\n sub_dir=[a]\n subsample = 0\n}", "'subsample'"),
                       ("train{\n sub_dir=[a]\n subsample = all\n}", "'subsample'")):
        path.write_text(line)
        with pytest.raises(FormatError, match=said):
            mono_training.read_config(path)


# --- Refused ----------------------------------------------------------------------------------------------------------


def _nan(key: str) -> Callable[[dict[str, Any]], object]:
    def change(content: dict[str, Any]) -> None:
        content["model_state_dict"][key].view(-1)[0] = float("nan")
    return change


@pytest.mark.parametrize(("change", "error", "said"), [
    (lambda c: c.pop("radius"), FormatError, "'radius': expected a length in 0..1, got None"),
    (lambda c: c.update(radius=7.0), FormatError, "'radius'"),
    (lambda c: c.pop("model_state_dict"), FormatError, "expected epoch, radius and model_state_dict"),
    (lambda c: c["model_state_dict"].pop("pc.points"), FormatError, "'pc.points' is missing"),
    (lambda c: c["model_state_dict"].pop("geometry_network.lin2.weight_g"), FormatError, "'geometry_network.lin2.weight_g'"),
    (lambda c: c["model_state_dict"]["deformer_network.lin1.weight_v"].zero_(), FormatError, "a row is zero"),
    (lambda c: c["model_state_dict"].update({"pc.points": torch.zeros(0, 3)}), FormatError, "0 points"),
    (lambda c: c["model_state_dict"].update({"deformer_network.blendshapes.bias": torch.zeros(260)}), FormatError, "blendshapes"),
    (_nan("pc.points"), FormatError, "'pc.points': 1 of 900 values are not finite"),
    (_nan("gaussian_deformer_network.color_layer.2.bias"), FormatError, "color_layer.2.bias.*not finite"),
    (_nan("FLAMEServer.v_template"), FormatError, "v_template.*not finite"),
])
def test_damage_is_named(original: Original, tmp_path: Path, change: Callable[[dict[str, Any]], object], error: type[AvatarError],
                         said: str) -> None:
    path = altered(original, tmp_path / "latest.pth", change)
    with pytest.raises(error, match=said) as caught:
        mono_gaussian_avatar.read(path, sides={"flame_params": videos(original)})
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_other_sides_heads_and_clips_are_refused(original: Original, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="no side input 'json'; known are flame_params="):
        mono_gaussian_avatar.read(original.path, sides={"json": original.path})
    with pytest.raises(FormatError, match="canonical_jaw 9"):
        mono_gaussian_avatar.read(original.path, canonical_jaw=9)
    content = json.loads(original.sides["first_video"].read_text())
    for frame in content["frames"]:
        frame["expression"] = frame["expression"][:40]
    (tmp_path / "flame_params.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointMismatch, match="40"):
        mono_gaussian_avatar.read(original.path, sides={"flame_params": tmp_path / "flame_params.json"})
    inputs = tmp_path / "run" / "InputParameters"
    inputs.mkdir(parents=True)
    (tmp_path / "run" / "ModelParameters").mkdir()
    path = Path(shutil.copy(original.path, tmp_path / "run" / "ModelParameters" / "latest.pth"))
    torch.save({"epoch": 1}, inputs / "latest.pth")
    with pytest.raises(FormatError, match="'expression_state_dict' is missing"):
        mono_gaussian_avatar.read(path, sides={"flame_params": videos(original)})
