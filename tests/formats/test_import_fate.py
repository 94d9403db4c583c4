"""FATE's files, as its code writes them: they pose as FATE draws them, and damaged or foreign ones are refused by name."""

import dataclasses
import fractions
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.avatar import FaceBinding
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.head_model import HeadModel
from formats.importers import fate, fate_tracking
from formats.importers.fate_context import read_identity
from formats.rotations import axis_angle_to_matrix, euler_to_matrix, quat_to_matrix
from formats.sequence import Sequence
from tests.formats.originals import assert_kept, assert_posed, clouds
from tests.originals.posed import Original

torch = pytest.importorskip("torch")
fate_files = pytest.importorskip("tests.originals.fate")
Made = Callable[[str], Original]
COUNT = 70
"""Gaussians after training; bakes add 65 536."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    held: dict[str, Original] = {}

    def write(variant: str) -> Original:
        if variant not in held:
            held[variant] = fate_files.write(tmp_path_factory.mktemp(variant) / "anna", variant, COUNT, frames=2)
        return held[variant]

    return write


def sides(original: Original, *names: str) -> dict[str, Path]:
    return {name: original.sides[name] for name in names}


# --- Posing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["imavatar", "insta", "fullhead", "baked", "edited"])
def test_checkpoints_pose_as_fate_draws_them(made: Made, variant: str) -> None:
    original = made(variant)
    avatar = fate.read(original.path)
    assert avatar.meta.system == "fate" and avatar.meta.source == original.path.name
    assert avatar.head.edition == "flame2020" and avatar.head.faces.shape == (10006, 3) and avatar.head.shapedirs is None
    assert len(avatar.head.expr_names) == original.extras["n_exp"]
    assert_posed(avatar, original)


def test_the_benchmarks_checkpoint_takes_identity_and_motion_from_its_tracking(made: Made) -> None:
    original = made("nersemble")
    avatar = fate.read(original.path, sides=sides(original, "tracking"))
    assert avatar.head.edition == "flame2023"
    assert_posed(avatar, original)
    assert avatar.sequence is not None
    # Its root turns about the origin, ours about the joint: the clip must put the head where the similarity does.
    tracking = fate_tracking.read(original.sides["tracking"])
    still = dataclasses.replace(avatar.sequence, rotation=None, translation=None)
    for t in (0, len(avatar.sequence) - 1):
        moved, here = clouds(avatar, avatar.sequence.take([t]), 1)[0], clouds(avatar, still.take([t]), 1)[0]
        expected = here.means @ tracking.rotation[t].T + tracking.motion["translation"][t] / tracking.scale
        np.testing.assert_allclose(moved.means, expected, atol=1e-6)


def test_the_benchmarks_tracking_is_found_in_the_folders_above(made: Made, tmp_path: Path) -> None:
    original = made("nersemble")
    path = tmp_path / "EMO-1/run/checkpoints/FateAvatar_ep0005.pth"
    path.parent.mkdir(parents=True)
    shutil.copy(original.path, path)
    place = tmp_path / "EMO-1/tracking/flame2023_tracking.npz"
    place.parent.mkdir()
    shutil.copy(original.sides["tracking"], place)
    assert_posed(fate.read(path), original)


def test_euler_angles_of_the_tracking_are_intrinsic() -> None:
    angles = np.array([[0.3, -0.5, 0.7]])
    x, y, z = (axis_angle_to_matrix(np.eye(3)[i] * angles[0, i]) for i in range(3))
    np.testing.assert_allclose(euler_to_matrix(angles)[0], x @ y @ z, atol=1e-12)


def test_a_dump_with_its_bake_poses_as_looked_up(made: Made, tmp_path: Path) -> None:
    original = made("dump")
    avatar = fate.read(original.path, albedo_size=0)  # finds the bake that it is of
    assert avatar.meta.source == original.path.name
    assert_posed(avatar, original)
    lone = Path(shutil.copy(original.path, tmp_path / "005_tex_dump.pth"))
    assert_posed(fate.read(lone, sides=sides(original, "baked", "checkpoint"), albedo_size=0), original)


def test_a_dump_alone_has_the_covered_texels_and_no_padding(made: Made, tmp_path: Path,
                                                            caplog: pytest.LogCaptureFixture) -> None:
    original = made("dump")
    lone = Path(shutil.copy(original.path, tmp_path / "005_tex_dump.pth"))
    with caplog.at_level(logging.WARNING):
        alone = fate.read(lone, sides=sides(original, "checkpoint"), albedo_size=0)
    assert "random places" in caplog.text and "baked=" in caplog.text
    whole = fate.read(original.path, sides=sides(original, "baked"), albedo_size=0)
    own = COUNT
    here, there = alone.layers[0].binding, whole.layers[0].binding
    assert isinstance(here, FaceBinding) and isinstance(there, FaceBinding)
    np.testing.assert_array_equal(here.face_index[:own], there.face_index[:own])

    def texel(avatar: Any, first: int) -> np.ndarray:
        head, binding = avatar.head, avatar.layers[0].binding
        uv = np.einsum("nk,nkc->nc", binding.barycentric[first:], head.uvs[head.uv_faces[binding.face_index[first:]]])
        column, row = np.floor(uv * 256).astype(int).T
        return row * 256 + column

    ours, theirs = texel(alone, own), texel(whole, own)
    assert (np.diff(ours) > 0).all(), "row by row, from the top of the picture"
    # Centres on an edge go one way or the other by rounding.
    covered = theirs[:np.argmax(np.diff(theirs) <= 0) + 1]
    assert len(np.setxor1d(ours, covered)) < 1e-3 * len(covered)


def test_a_dumps_maps_are_its_functions_of_u_and_v(made: Made) -> None:
    original = made("dump")
    avatar = fate.read(original.path, albedo_size=64)
    assert avatar.maps is not None and avatar.maps.mask is not None
    dump = torch.load(original.path, map_location="cpu", weights_only=True)
    scaling = torch.load(original.sides["checkpoint"], map_location="cpu", weights_only=True)["model"]["_scaling"].double()
    mean, most = scaling.mean(), scaling.mean() + scaling.std()
    raw = {k: v.detach().double() for k, v in dump.items()}
    size = raw["color"].shape[-1]
    turn = torch.tanh(raw["rotation"])[0] * 2 * np.pi
    half = turn.norm(dim=0) / 2
    w, (x, y, z) = torch.cos(half), turn / turn.norm(dim=0) * torch.sin(half)
    expected = {"gs_features_uv": torch.tanh(raw["color"]) * 0.5 / 0.28209479177387814, "gs_opacity_uv": raw["opacity"],
                "local_scaling_uv": most - torch.nn.functional.softplus(most - raw["scaling"] - mean),
                "rot_delta_uv": torch.stack([z, w, x, y])[None], "local_position_uv": torch.tanh(raw["offset"])}
    centre = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    v, u = torch.meshgrid(1 - centre, centre, indexing="ij")
    grid = (2 * torch.stack([u, v], dim=-1) - 1)[None]
    for name, image in expected.items():
        at = torch.nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=True)[0].permute(1, 2, 0).numpy()
        if name == "local_position_uv":
            at = np.concatenate([0 * at, 0.05 * np.tanh(at), 0 * at], axis=2)
        np.testing.assert_allclose(avatar.maps.images[name], at, atol=2e-6, err_msg=name)
    assert avatar.maps.images["albedo"].shape == (64, 64, 3)
    assert avatar.maps.mask.shape == (size, size) and 0.3 < avatar.maps.mask.mean() < 1


# --- The systems that FATE compares with -------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["imavatar", "insta"])
@pytest.mark.parametrize("system", ["gaussian_avatars", "flash_avatar", "splatting_avatar"])
def test_fates_versions_of_other_systems_pose_as_it_draws_them(system: str, variant: str, tmp_path: Path) -> None:
    baselines = pytest.importorskip("tests.originals.fate_baselines")
    original = baselines.write(tmp_path / "anna", system, variant, frames=2)
    avatar = fate.read(original.path)
    assert avatar.meta.system == system.replace("_", "-")
    assert (avatar.sequence is not None) == (variant == "imavatar")
    assert_posed(avatar, original)


def test_fates_monogaussianavatar_has_the_covariances_it_draws(tmp_path: Path) -> None:
    baselines = pytest.importorskip("tests.originals.fate_baselines")
    original = baselines.write(tmp_path / "anna", "mono_gaussian_avatar", frames=2)
    avatar = fate.read(original.path)
    assert avatar.meta.system == "mono-gaussian-avatar"
    for t, cloud in enumerate(clouds(avatar, original.sequence, 2)):
        # Its quaternions are no rotations' (normalised over the points): only what they make of the scales is drawn.
        turned = quat_to_matrix(cloud.quats) * cloud.scales[:, None]
        expected = original.extras["covariances"][t]
        size = np.sqrt(np.trace(expected, axis1=1, axis2=2))[:, None, None]
        assert (np.abs(turned @ turned.transpose(0, 2, 1) - expected) / size**2).max() < 1e-3
        np.testing.assert_allclose(cloud.means, original.posed.means[t], atol=1e-5)
        np.testing.assert_allclose(cloud.opacities, original.posed.opacities[t], atol=1e-4)


# --- Clips and workspaces ---------------------------------------------------------------------------------------------


def test_the_clip_has_the_tuned_frames_and_the_cameras(made: Made) -> None:
    original = made("imavatar")
    sequence = fate.read(original.path).sequence
    identity = read_identity(original.sides["identity_dict"])
    assert sequence is not None
    frames = len(original.sequence)
    assert sequence.ranges["train"][0] == 0 and sequence.ranges["train"][1] == sequence.ranges["test"][0]
    assert sequence.ranges["test"][1] == len(sequence)
    for name in ("expr", "rotation", "neck", "jaw", "eyes"):
        np.testing.assert_allclose(getattr(sequence, name)[:frames], getattr(original.sequence, name), atol=1e-7)
    held = torch.load(original.path, map_location="cpu", weights_only=True)
    offset = np.concatenate([held[f"{split}_cam_pose"]["weight"].numpy() for split in ("train", "test")])
    world = sequence.cameras["world_to_camera"]
    np.testing.assert_allclose(world[:, :3, 3], offset, atol=1e-7)
    np.testing.assert_allclose(world[:, :3, :3], np.tile(np.diag([1, -1, -1]), (len(sequence), 1, 1)), atol=1e-7)
    assert world[0, 2, 3] > 0, "the head is before the camera"
    k, (width, height) = sequence.cameras["K"][0], sequence.cameras["size"][0]
    assert (width, height) == (512, 512)
    np.testing.assert_allclose(2 * np.arctan(width / 2 / k[0, 0]), identity.fov[0], rtol=1e-6)
    np.testing.assert_allclose(2 * np.arctan(height / 2 / k[1, 1]), identity.fov[1], rtol=1e-6)


def test_insta_files_hold_no_frames(made: Made) -> None:
    assert fate.read(made("insta").path).sequence is None


def test_a_checkpoint_needs_no_identity_but_for_cameras(made: Made, tmp_path: Path) -> None:
    original = made("imavatar")
    lone = Path(shutil.copy(original.path, tmp_path / "lone.pth"))
    avatar = fate.read(lone)
    assert avatar.meta.name == "lone" and avatar.sequence is not None and not avatar.sequence.cameras
    assert_posed(avatar, original)
    given = fate.read(lone, sides={"identity": original.sides["identity_dict"]})
    assert given.sequence is not None and given.sequence.cameras and given.sequence.shape is not None


def test_a_workspace_means_its_full_head_else_its_newest_checkpoint(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert fate.read(made("fullhead").extras["workspace"]).meta.source == "fullhead.pth"
    assert "fullhead.pth" in caplog.text
    original = made("imavatar")
    avatar = fate.read(original.extras["workspace"])
    assert avatar.meta.source == original.path.name and avatar.meta.name == "FateAvatar"
    newest = sorted(original.path.parent.glob("*.pth"))[-1]
    assert newest == original.path


def test_a_bakes_clip_is_that_of_the_checkpoint_it_was_made_from(made: Made, tmp_path: Path) -> None:
    original = made("baked")
    assert fate.read(original.path).sequence is not None
    lone = Path(shutil.copy(original.path, tmp_path / "lone.pth"))
    assert fate.read(lone).sequence is None
    before = sorted((original.extras["workspace"] / "checkpoints").glob("*.pth"))[-1]
    assert fate.read(lone, sides={"checkpoint": before}).sequence is not None
    with pytest.raises(CheckpointMismatch, match="head is not that of"):
        fate.read(lone, sides={"checkpoint": made("insta").path})


@pytest.mark.parametrize("variant", ["imavatar", "dump"])
def test_bundles_keep_it(made: Made, variant: str, tmp_path: Path) -> None:
    original = made(variant)
    avatar = fate.read(original.path, albedo_size=0)
    kept = assert_kept(avatar, original.sequence, tmp_path)
    assert (kept.maps is None) == (avatar.maps is None)


# --- Heads ------------------------------------------------------------------------------------------------------------


def test_a_head_lends_what_the_checkpoint_lacks(made: Made) -> None:
    original = made("insta")
    plain = fate.read(original.path).head
    state = torch.load(original.path, map_location="cpu", weights_only=True)["model"]
    given = dataclasses.replace(plain, v_template=np.zeros_like(plain.v_template), regions={"lips": np.arange(5)},
                                exprdirs=state["flame.shapedirs"][:, :, 300:].numpy(), content_hash="ab" * 32)
    avatar = fate.read(original.path, given)
    assert avatar.head.content_hash == "ab" * 32 and list(avatar.head.regions) == ["lips"]
    assert_posed(avatar, original)


def test_heads_of_another_edition_or_with_other_tables_are_refused(made: Made) -> None:
    original = made("insta")
    plain = fate.read(original.path).head

    def refused(head: HeadModel) -> str:
        with pytest.raises(CheckpointMismatch) as caught:
            fate.read(original.path, head)
        return str(caught.value)

    other = dataclasses.replace(plain, edition="flame2023")
    assert "'flame2023'" in refused(other) and "--set edition=flame2023" in refused(other)
    tables = torch.load(original.path, map_location="cpu", weights_only=True)["model"]["flame.shapedirs"].numpy()[:, :, 300:]
    other = dataclasses.replace(other, exprdirs=tables)
    avatar = fate.read(original.path, other, edition="flame2023")  # somebody gave FATE that one as its generic_model.pkl
    assert avatar.head.edition == "flame2023" and any("flame2023" in notice for notice in avatar.meta.license_notices)
    with pytest.raises(FormatError, match="unknown 'flame2024'"):
        fate.read(original.path, edition="flame2024")
    assert "mm" in refused(dataclasses.replace(plain, exprdirs=plain.exprdirs[:, ::-1].copy()))
    assert "expressions" in refused(dataclasses.replace(plain, exprdirs=plain.exprdirs[:, :, :20], expr_names=()))


# --- Refusals ---------------------------------------------------------------------------------------------------------


def altered(original: Original, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = torch.load(original.path, map_location="cpu", weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def spoil(key: str, value: float) -> Callable[[dict[str, Any]], object]:
    def change(content: dict[str, Any]) -> None:
        content["model"][key] = content["model"][key].clone()
        content["model"][key].view(-1)[1] = value

    return change


@pytest.mark.parametrize(("change", "said"), [
    (spoil("_scaling", float("nan")), "'_scaling'"),
    (spoil("_offset", float("inf")), "'_offset'"),
    (spoil("_opacity", float("nan")), "'_opacity'"),
    (spoil("flame.v_template", float("nan")), "'flame.v_template'"),
    (spoil("face_index", 10006), "'face_index'"),
    (spoil("uvfaces", -1), "'uvfaces'"),
    (spoil("face_scaling_canonical", 0.0), "no size"),
    (lambda c: c["model"].pop("bary_coords"), "'bary_coords' is missing"),
    (lambda c: c["model"].update(_rotation=torch.zeros(3, 4)), "'_rotation': expected shape [70, 4]"),
    (lambda c: c["model"].update(_rotation=torch.zeros(70, 4)), "'_rotation': 70 of 70 quaternions are zero"),
    (lambda c: c["train_flame_pose"].pop("weight"), "'weight'"),
    (lambda c: c.pop("test_cam_pose"), "'test_cam_pose' is missing"),
    (lambda c: c.update(model=[1]), "'model' is no dictionary"),
    (lambda c: c.pop("model"), "not a checkpoint of FATE"),
])
def test_damage_is_named(made: Made, tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str) -> None:
    path = altered(made("imavatar"), tmp_path / "bad.pth", change)
    with pytest.raises(FormatError) as caught:
        fate.read(path)
    assert said in str(caught.value) and "bad.pth" in str(caught.value) and "\n" not in str(caught.value)


def test_infinite_logits_are_opaque_or_clear(made: Made, tmp_path: Path) -> None:
    path = altered(made("imavatar"), tmp_path / "sure.pth", spoil("_opacity", float("inf")))
    assert fate.read(path).layers[0].cloud.opacities[1] == 1  # type: ignore[union-attr]


def test_wrapped_and_halved_models_read_the_same(made: Made, tmp_path: Path) -> None:
    def wrap(content: dict[str, Any]) -> None:
        content["model"] = {f"module.{key}": value.double() if key == "_scaling" else value
                            for key, value in content["model"].items()}

    original = made("imavatar")
    assert_posed(fate.read(altered(original, tmp_path / "wrapped.pth", wrap)), original)
    halved = fate.read(altered(original, tmp_path / "half.pth", lambda c: c["model"].update(
        _features_dc=c["model"]["_features_dc"].half(), _opacity=c["model"]["_opacity"].bfloat16())))
    whole = fate.read(original.path)
    a, b = (avatar.layers[0].cloud for avatar in (halved, whole))  # type: ignore[union-attr]
    np.testing.assert_allclose(a.sh, b.sh, rtol=1e-3)
    np.testing.assert_allclose(a.opacities, b.opacities, atol=1e-2)


def test_colours_that_depend_on_the_view_are_told(made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    original = made("imavatar")
    path = altered(original, tmp_path / "sh.pth", lambda c: c["model"].update(_features_rest=torch.full((70, 15, 3), 0.25)))
    with caplog.at_level(logging.WARNING):
        assert_posed(fate.read(path), original)
    assert "[70, 15, 3], up to 0.25" in caplog.text


def test_other_runs_and_unknown_models_are_refused(made: Made, tmp_path: Path) -> None:
    original = made("imavatar")
    with pytest.raises(CheckpointMismatch, match="expression"):
        fate.read(original.path, sides={"identity": made("insta").sides["identity_dict"]})
    path = altered(original, tmp_path / "other.pth", lambda c: c.update(model={"layer.weight": torch.zeros(2)}))
    with pytest.raises(UnsupportedFeature, match=r"layer\.weight"):
        fate.read(path)


def test_sides_that_are_needed_or_not_known_are_named(made: Made, tmp_path: Path) -> None:
    dump = Path(shutil.copy(made("dump").path, tmp_path / "005_tex_dump.pth"))
    empty = tmp_path / "nothing"
    empty.mkdir()
    with pytest.raises(MissingAsset, match="--side checkpoint="):
        fate.read(dump)
    with pytest.raises(MissingAsset, match=r"flame2023_tracking\.npz.*--side tracking="):
        fate.read(Path(shutil.copy(made("nersemble").path, tmp_path)))
    with pytest.raises(UnsupportedFeature, match="identity="):
        fate.read(made("insta").path, sides={"shape": tmp_path})
    with pytest.raises(UnsupportedFeature, match="baked="):
        fate.read(made("insta").path, sides={"baked": dump})
    with pytest.raises(UnsupportedFeature, match="tracking="):
        fate.read(made("insta").path, sides={"tracking": dump})
    with pytest.raises(MissingAsset, match="no FATE checkpoint"):
        fate.read(empty)
    with pytest.raises(CheckpointMismatch, match="one run"):
        fate.read(made("dump").path, sides={"baked": made("insta").path})


def test_a_moved_dump_takes_nobody_elses_checkpoint(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made("insta").path.parent, tmp_path / "checkpoints")
    (tmp_path / "downloads").mkdir()
    dump = Path(shutil.copy(made("dump").path, tmp_path / "downloads" / "005_tex_dump.pth"))
    with pytest.raises(MissingAsset, match="--side checkpoint="):
        fate.read(dump)


def test_dumps_with_wrong_maps_are_refused(made: Made, tmp_path: Path) -> None:
    original = made("dump")
    before = {"checkpoint": original.sides["checkpoint"]}
    content = torch.load(original.path, map_location="cpu", weights_only=True)
    for key, value, said in (("scaling", torch.zeros(1, 4, 64, 64), "'scaling'"), ("color", torch.zeros(1, 3, 32, 32), "sizes"),
                             ("offset", torch.full((1, 1, 64, 64), float("nan")), "'offset'"), ("opacity", 3, "'opacity'")):
        torch.save(content | {key: value}, tmp_path / "bad.pth")
        with pytest.raises(FormatError, match=said):
            fate.read(tmp_path / "bad.pth", sides=before)
    with pytest.raises(UnsupportedFeature, match="albedo_size"):
        fate.read(original.path, albedo_size=-1)


def test_cut_files_and_strangers_pickles_are_refused(made: Made, tmp_path: Path) -> None:
    whole = made("insta").path.read_bytes()
    for length in (1, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(AvatarError, match=r"cut\.pth"):
            fate.read(tmp_path / "cut.pth")
    identity = tmp_path / "identity_dict.pkl"
    for content, said in (({"shape_params": torch.zeros(1, 300)}, "'canonical_expression' is missing"), ([1], "dictionary")):
        identity.write_bytes(pickle.dumps(content))
        with pytest.raises(FormatError, match=said):
            read_identity(identity)
    identity.write_bytes(pickle.dumps({"shape_params": fractions.Fraction(1, 2)}))
    with pytest.raises(FormatError, match="fractions"):
        read_identity(identity)


def test_a_driver_of_another_edition_is_refused(made: Made) -> None:
    avatar = fate.read(made("insta").path)
    with pytest.raises(CheckpointMismatch, match="flame2023"):
        clouds(avatar, Sequence("flame2023", 25.0, np.zeros((1, 10))), 1)
