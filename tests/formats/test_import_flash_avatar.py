"""FlashAvatar's runs, its Wasserstein variant's and FATE's: posed as the original does, found beside, and what is refused."""

import dataclasses
import functools
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.avatar import Avatar, FaceBinding, SplatLayer
from formats.codecs.flame_sides import read_masks, read_template_mesh
from formats.deform import PosedSplats, deform, driver_values
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.importers import fate, flash_avatar, flash_checkpoint, flash_evidence, flash_surface
from formats.importers.flash_checkpoint import FlashCheckpoint
from formats.importers.flash_network import encode
from formats.importers.flash_surface import Places
from formats.importers.signatures import recognise
from formats.networks import evaluate
from formats.retarget import with_head_motion
from formats.rotations import quat_to_matrix
from tests.formats.originals import assert_kept, assert_posed, clouds
from tests.originals.posed import Original

torch = pytest.importorskip("torch")
from tests.originals import fate_baselines  # noqa: E402 - these need torch
from tests.originals import flash_avatar as originals  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return originals.write(tmp_path_factory.mktemp("base"), active_sh_degree=2)


@pytest.fixture(scope="module")
def wasserstein(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return originals.write(tmp_path_factory.mktemp("wasserstein"), kind="wasserstein")


@pytest.fixture(scope="module")
def avatar(base: Original) -> Avatar:
    return flash_avatar.read(base.path, base.head)


def layer_of(avatar: Avatar) -> tuple[SplatLayer, FaceBinding]:
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer) and isinstance(layer.binding, FaceBinding)
    return layer, layer.binding


def sides_of(original: Original) -> dict[str, Path]:
    """The side inputs by the names of the command line."""
    return {"frames": original.sides["frame"].parent, "mesh": original.sides["flame_mesh"],
            "masks": original.sides["flame_masks"], "eyelids": original.sides["l_eyelid"].parent}


def altered(original: Original, path: Path, change: Callable[[list[Any]], object]) -> Path:
    """Save the checkpoint again with its tuples as lists [network, Gaussians, iteration] in `change`."""
    content = torch.load(original.path, map_location="cpu", weights_only=True)
    lists = [list(content[0]), list(content[1]), content[2]]
    change(lists)
    made = [tuple(part) if isinstance(part, list) else part for part in lists]
    torch.save(tuple(made), path)
    return path


# --- Posed as the originals do ----------------------------------------------------------------------------------------


def test_poses_as_the_original(base: Original, avatar: Avatar, tmp_path: Path) -> None:
    assert_posed(avatar, base)
    assert_kept(avatar, base.sequence, tmp_path)


def test_the_variant_poses_as_its_original(wasserstein: Original, tmp_path: Path) -> None:
    made = flash_avatar.read(wasserstein.path, wasserstein.head)
    assert layer_of(made)[1].frame == "corner"
    assert_posed(made, wasserstein)
    assert_kept(made, wasserstein.sequence, tmp_path)


def test_the_variant_can_be_said(base: Original, wasserstein: Original) -> None:
    assert layer_of(flash_avatar.read(base.path, base.head, variant="wasserstein"))[1].frame == "corner"
    assert layer_of(flash_avatar.read(wasserstein.path, wasserstein.head, variant="base"))[1].frame == "root"
    with pytest.raises(UnsupportedFeature, match="unknown variant 'emd'; expected one of auto, base, wasserstein"):
        flash_avatar.read(base.path, base.head, variant="emd")


@pytest.mark.parametrize("kind", originals.KINDS)
def test_motion_given_to_the_head_changes_no_picture(kind: str, request: pytest.FixtureRequest) -> None:
    """The original's camera moves. With that motion in the root joint the first camera must see what each camera saw."""
    avatar = flash_avatar.read((made := request.getfixturevalue(kind)).path, made.head)
    still = avatar.sequence
    assert still is not None
    moved = with_head_motion(still, avatar.head, "head")
    assert np.degrees(np.linalg.norm(moved.rotation, axis=1)).max() > 5 and not np.any(still.rotation)
    clear = made.extras["clear"]
    for i in range(len(still)):
        seen = []
        for clip in (still, moved):
            world = clip.cameras["world_to_camera"][i].astype(float)
            (layer,) = deform(avatar, clip, i).layers
            assert isinstance(layer, PosedSplats)
            axes = world[:3, :3] @ quat_to_matrix(layer.cloud.quats) * layer.cloud.scales.astype(float)[:, None]
            seen.append((layer.cloud.means @ world[:3, :3].T + world[:3, 3], (axes @ axes.transpose(0, 2, 1))[clear],
                         world[:3, :3] @ layer.sh_rotation))
        (means, covariances, toward), (means_here, covariances_here, toward_here) = seen
        np.testing.assert_allclose(means_here, means, atol=1e-6)
        sizes = np.linalg.norm(covariances, axis=(1, 2))
        assert (np.abs(covariances_here - covariances).max(axis=(1, 2)) / sizes).max() < 1e-5
        np.testing.assert_allclose(toward_here, toward, atol=1e-6)


@pytest.mark.parametrize("variant", ["imavatar", "insta"])
def test_fates_version_poses_as_fate_draws_it(variant: str, tmp_path: Path) -> None:
    made = fate_baselines.write(tmp_path / "run", "flash_avatar", variant)
    avatar = fate.read(made.path)
    assert_posed(avatar, made)
    assert_kept(avatar, made.sequence, tmp_path)
    layer, binding = layer_of(avatar)
    assert layer.cloud.sh_degree == 0 and avatar.meta.system == "flash-avatar"
    np.testing.assert_array_equal(binding.face_index, made.extras["face_index"])
    np.testing.assert_allclose(binding.barycentric, made.extras["bary_coords"], atol=1e-4)


def test_the_network_gives_the_originals_numbers(base: Original, avatar: Avatar) -> None:
    network = originals.DeformNet()
    network.load_state_dict(torch.load(base.path, map_location="cpu", weights_only=True)[0][0])
    network = network.double()
    head, (layer, binding) = avatar.head, layer_of(avatar)
    corners = head.v_template[head.faces[binding.face_index]].astype(float)
    points = np.einsum("nj,njc->nc", binding.barycentric.astype(float), corners)
    held = avatar.networks[str(layer.dynamics)]
    frame = base.sequence.sample(1)
    feed = driver_values(held.inputs, head, frame)
    condition = np.concatenate([feed[name][0] for name in ("expr", "jaw_6d", "eyes_6d", "eyelids")])
    with torch.no_grad():
        offsets, turns, factors = (value.numpy() for value in network(
            torch.from_numpy(points), torch.from_numpy(condition.astype(float)).expand(len(points), -1)))
    given = evaluate(held, feed)
    np.testing.assert_allclose(given["delta_means"], offsets, atol=1e-5)
    w = turns / np.linalg.norm(turns, axis=1, keepdims=True)
    angle = np.linalg.norm(given["delta_rotvecs"], axis=1)
    np.testing.assert_allclose(np.cos(angle / 2), w[:, 0], atol=1e-5)
    stored = np.log(layer.cloud.scales.astype(float))
    np.testing.assert_allclose(given["delta_log_scales"], stored * (factors - 1), atol=1e-5 * np.abs(stored).max())


# --- What is in it ----------------------------------------------------------------------------------------------------


def test_says_what_it_is(base: Original, avatar: Avatar) -> None:
    layer, binding = layer_of(avatar)
    assert (avatar.meta.name, avatar.meta.system, avatar.meta.source) == ("Obama", "flash-avatar", base.path.name)
    assert any("FLAME" in n and "non-commercial" in n for n in avatar.meta.license_notices)
    assert (layer.sh_frame, layer.cloud.sh_degree) == ("head", 2)
    assert (binding.frame, binding.offset_scale, binding.splat_scale) == ("root", "none", "none")
    np.testing.assert_array_equal(binding.face_index, base.extras["face_index"])
    head = avatar.head
    assert len(head.faces) == 10006 and head.uvs is not None and len(head.uvs) == 5150
    assert head.eyelid_space == "posed" and head.shapedirs is None
    assert base.head is not None and head.content_hash == base.head.content_hash


def test_the_clip_is_the_folder_of_frames(base: Original, avatar: Avatar) -> None:
    clip = avatar.sequence
    assert clip is not None and len(clip) == len(base.extras["frames"]) and clip.basis == "flame2020"
    for name in ("expr", "jaw", "eyes", "eyelids"):
        np.testing.assert_allclose(getattr(clip, name), getattr(base.sequence, name), atol=1e-6)
    stored = torch.load(base.extras["frames"][1], weights_only=False)
    np.testing.assert_array_equal(clip.drivers["jaw_6d"][1], stored["flame"]["jaw"][0].astype(np.float32))
    np.testing.assert_array_equal(clip.drivers["eyes_6d"][1], stored["flame"]["eyes"][0].astype(np.float32))
    np.testing.assert_allclose(clip.cameras["world_to_camera"][1, :3, :3], stored["opencv"]["R"][0], atol=1e-6)
    np.testing.assert_allclose(clip.cameras["world_to_camera"][1, :3, 3], stored["opencv"]["t"][0], atol=1e-6)
    height, width = stored["img_size"]
    first = torch.load(base.extras["frames"][0], weights_only=False)["opencv"]["K"][0]
    expected = [[first[0, 0], 0, width / 2], [0, first[1, 1], height / 2], [0, 0, 1]]
    np.testing.assert_allclose(clip.cameras["K"][1], expected, rtol=1e-6)
    assert clip.shape is not None
    np.testing.assert_allclose(clip.shape, base.extras["shape"], atol=1e-6)


def test_import_finds_what_inspect_found(base: Original, avatar: Avatar, tmp_path: Path) -> None:
    """Also when the checkpoint was moved up and renamed: then a folder's name above it is the subject's."""
    run = tmp_path / "project"
    shutil.copytree(base.path.parents[4], run)
    path = (run / base.path.relative_to(base.path.parents[4])).rename(run / "dataset/Obama/best.pth")
    found = recognise(path)
    assert found is not None and "--side" not in found["import"]
    made = flash_avatar.read(path, base.head)
    np.testing.assert_array_equal(clouds(made, base.sequence, 1)[0].means, clouds(avatar, base.sequence, 1)[0].means)
    (run / "metrical-tracker").rename(run / "elsewhere")
    found = recognise(path)
    assert found is not None and "--side frames=PATH" in found["import"]
    with pytest.raises(MissingAsset, match="looked for .*metrical-tracker/output/Obama/checkpoint.*--side frames=PATH"):
        flash_avatar.read(path, base.head)


def test_clips_have_the_originals_ranges(base: Original, wasserstein: Original, avatar: Avatar,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    assert avatar.sequence is not None and not avatar.sequence.ranges  # too short to hold 500 frames back
    monkeypatch.setattr(flash_avatar, "HELD_OUT", 1)
    clip = flash_avatar.read(base.path, base.head).sequence
    assert clip is not None and dict(clip.ranges) == {"train": (0, 2), "test": (2, 3)}
    clip = flash_avatar.read(wasserstein.path, wasserstein.head).sequence
    assert clip is not None and dict(clip.ranges) == {"train": (0, 3)}


def test_a_network_that_was_wrapped_is_read(base: Original, avatar: Avatar, tmp_path: Path) -> None:
    """DataParallel puts `module.` before every key."""
    def wrap(parts: list[Any]) -> None:
        parts[0][0] = {f"module.{key}": value for key, value in parts[0][0].items()}

    path = altered(base, tmp_path / "renamed.pt", wrap)
    made = flash_avatar.read(path, base.head, sides_of(base) | {"frames": base.sides["frame"].parent.parent})
    np.testing.assert_array_equal(clouds(made, base.sequence, 1)[0].means, clouds(avatar, base.sequence, 1)[0].means)
    found = recognise(path)
    assert found is not None and (found["system"], found["network_inputs"]) == ("flash-avatar", 171)


def test_side_inputs_may_lie_elsewhere(base: Original, avatar: Avatar, tmp_path: Path) -> None:
    path = Path(shutil.copy(base.path, tmp_path / "chkpnt.pth"))
    sides = sides_of(base)
    made = flash_avatar.read(path, base.head, sides)
    np.testing.assert_array_equal(clouds(made, base.sequence, 1)[0].means, clouds(avatar, base.sequence, 1)[0].means)
    left, right = base.sides["l_eyelid"], base.sides["r_eyelid"]
    pair = flash_avatar.read(path, base.head, sides | {"eyelids": Path(f"{left},{right}"), "frames": base.sides["frame"]})
    assert pair.head.eyeliddirs is not None and pair.sequence is not None and len(pair.sequence) == 1
    np.testing.assert_array_equal(pair.head.eyeliddirs, made.head.eyeliddirs)
    assert made.meta.name == "chkpnt"


def test_the_heads_own_mask_and_lids_will_do(base: Original, avatar: Avatar, tmp_path: Path) -> None:
    assert base.head is not None
    path = Path(shutil.copy(base.path, tmp_path / "chkpnt.pth"))
    boundary = pickle.loads(base.sides["flame_masks"].read_bytes(), encoding="latin1")["boundary"]
    sides = {name: side for name, side in sides_of(base).items() if name in ("frames", "mesh")}
    head = dataclasses.replace(base.head, regions={"boundary": boundary}, eyeliddirs=avatar.head.eyeliddirs)
    made = flash_avatar.read(path, head, sides)
    np.testing.assert_array_equal(layer_of(made)[1].face_index, layer_of(avatar)[1].face_index)
    bare = dataclasses.replace(base.head, regions={}, eyeliddirs=None)
    with pytest.raises(MissingAsset, match="l_eyelid.npy.*--side eyelids="):
        flash_avatar.read(path, bare, sides)
    with pytest.raises(MissingAsset, match="FLAME_masks.pkl.*--side masks="):
        flash_avatar.read(path, bare, sides | {"eyelids": base.sides["l_eyelid"]})


def test_a_zero_quaternion_draws_as_no_rotation(base: Original, tmp_path: Path) -> None:
    def zero(parts: list[Any]) -> None:
        parts[1][5].data[:3] = 0

    made = flash_avatar.read(altered(base, tmp_path / "chkpnt.pth", zero), base.head, sides_of(base))
    quats = clouds(made, base.sequence, 1)[0].quats
    np.testing.assert_allclose(quats[:3], [[1, 0, 0, 0]] * 3, atol=1e-6)
    assert np.abs(quats[3:, 1:]).max(axis=1).min() > 1e-5


@pytest.mark.parametrize("decimals", [4, 6, 7])
def test_the_rasterisers_coordinates_come_to_the_last_bit(decimals: int, tmp_path: Path) -> None:
    """The original computes 2 v - 1 in float32 of what the OBJ says, v upward; we keep v turned over, in float32."""
    written = np.random.default_rng(5).uniform(0, 1, (3000, 2)).round(decimals)
    lines = [f"v {i} 0 0" for i in range(3)] + [f"vt {u:.{decimals}f} {v:.{decimals}f}" for u, v in written]
    lines += [f"f 1/{i + 1} 2/{i + 2} 3/{i + 3}" for i in range(0, 3000, 3)]
    (tmp_path / "mesh.obj").write_text("\n".join(lines))
    _, uvs, _ = read_template_mesh(tmp_path / "mesh.obj")
    original = written.astype(np.float32) * np.float32(2) - np.float32(1)
    ours = (2 * flash_surface.as_written(uvs) - 1).astype(np.float32)
    np.testing.assert_array_equal(ours, original * np.float32([1, -1]))
    assert (2 * uvs - 1 != ours).any()


# --- The rasteriser's guard -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def readings(base: Original, avatar: Avatar) -> list[Places]:
    boundary = read_masks(base.sides["flame_masks"])["boundary"]
    return [flash_surface.places(avatar.head, boundary, guard) for guard in (0.0, flash_surface.GUARD)]


def moved_to(base: Original, avatar: Avatar, at: Places, stored: FlashCheckpoint) -> Avatar:
    """The avatar with its Gaussians at other places."""
    network, cloud = flash_avatar._gaussians(stored, encode(at.points(avatar.head)), flash_avatar.DRIVERS, True, base.path)
    binding = FaceBinding(at.face_index, at.barycentric, "none", "none", "none")
    return dataclasses.replace(avatar, layers=(SplatLayer(cloud, binding, "offsets"),), networks={"offsets": network})


@pytest.mark.parametrize(("guarded", "noise"), [(False, 1e-5), (True, 0.0), (True, 1e-5), (True, 1e-3)])
def test_the_stored_positions_tell_how_texels_were_found(base: Original, avatar: Avatar, readings: list[Places], guarded: bool,
                                                         noise: float, caplog: pytest.LogCaptureFixture) -> None:
    sums = readings[1].barycentric.sum(axis=1)
    assert (readings[0].barycentric.sum(axis=1) == 1).all() and np.abs(sums - 1).max() > 1e-5 and np.median(sums) < 1
    stored, make = flash_checkpoint.read(base.path), functools.partial(moved_to, base, avatar)
    assert avatar.sequence is not None
    drawn = clouds(make(readings[int(guarded)], stored), avatar.sequence, 2)[1].means.astype(float)
    # One step of training lies between the picture and the file: neighbours move alike. A large one drowns the guard.
    drawn = drawn + noise * np.sin(100 * readings[0].points(avatar.head)[:, [1, 2, 0]])
    with caplog.at_level(logging.INFO):
        found = flash_evidence.settled(dataclasses.replace(stored, xyz=drawn), readings[0], readings[1], avatar.head, make)
    np.testing.assert_array_equal(found.barycentric, readings[int(guarded and noise < 1e-3)].barycentric)
    assert "frame 1 of the clip is the checkpoint's last picture" in caplog.text


def test_positions_of_no_frame_tell_nothing(base: Original, avatar: Avatar, readings: list[Places],
                                            caplog: pytest.LogCaptureFixture) -> None:
    stored, make = flash_checkpoint.read(base.path), functools.partial(moved_to, base, avatar)
    with caplog.at_level(logging.INFO):
        for xyz in (None, base.posed.means[1] + 0.1):
            at = dataclasses.replace(stored, xyz=xyz)
            assert flash_evidence.settled(at, readings[0], readings[1], avatar.head, make) is readings[0]
    assert caplog.text.count("no frame of the clip") == 1


def test_the_stored_positions_tell_which_of_two_triangles_a_texel_shows(base: Original, avatar: Avatar,
                                                                        readings: list[Places]) -> None:
    # Lay a triangle that has no texel of its own over one that has many, as the mouth's filling lies over itself.
    own, count = np.unique(readings[0].face_index, return_counts=True)
    below, above = own[np.argmax(count)], np.setdiff1d(np.arange(own[np.argmax(count)] + 1, 10006), own)[-1]
    assert avatar.head.uv_faces is not None and avatar.head.uvs is not None
    uv_faces = avatar.head.uv_faces.copy()
    uv_faces[above] = uv_faces[below]
    head = dataclasses.replace(avatar.head, uv_faces=uv_faces)
    laid = dataclasses.replace(avatar, head=head)
    plain = flash_surface.places(head, read_masks(base.sides["flame_masks"])["boundary"])
    np.testing.assert_array_equal(plain.face_index, readings[0].face_index)
    rows, others = flash_surface.rivals(head, plain)
    assert len(rows) == count.max() and set(others.face_index) == {above}
    face = plain.face_index.copy()
    face[rows[::2]] = above
    truth = Places(plain.texel, face, plain.barycentric)
    stored, make = flash_checkpoint.read(base.path), functools.partial(moved_to, base, laid)
    assert laid.sequence is not None
    drawn = clouds(make(truth, stored), laid.sequence, 1)[0].means.astype(float)
    found = flash_evidence.settled(dataclasses.replace(stored, xyz=drawn), plain, plain, head, make)
    np.testing.assert_array_equal(found.face_index, face)


# --- Refused ----------------------------------------------------------------------------------------------------------


def test_counts_must_agree(base: Original, tmp_path: Path) -> None:
    masks = pickle.loads(base.sides["flame_masks"].read_bytes(), encoding="latin1")
    masks["boundary"] = masks["boundary"][:0]
    (tmp_path / "FLAME_masks.pkl").write_bytes(pickle.dumps(masks))
    count, covered = len(base.posed.means[0]), base.extras["covered"]
    covered = covered if isinstance(covered, int) else len(covered)
    with pytest.raises(CheckpointMismatch, match=f"{count} Gaussians.* give {covered} texels"):
        flash_avatar.read(base.path, base.head, {"masks": tmp_path / "FLAME_masks.pkl"})
    masks["boundary"] = np.array([5023])
    (tmp_path / "FLAME_masks.pkl").write_bytes(pickle.dumps(masks))
    with pytest.raises(CheckpointMismatch, match="'boundary' names vertex 5023"):
        flash_avatar.read(base.path, base.head, {"masks": tmp_path / "FLAME_masks.pkl"})


def test_heads_that_do_not_fit_are_refused(base: Original) -> None:
    assert base.head is not None
    with pytest.raises(MissingAsset, match="--head"):
        flash_avatar.read(base.path)
    for changes, said in (({"edition": "flame2023"}, "rides FLAME 2020 .* is 'flame2023'"),
                          ({"shapedirs": None}, "no identity directions"),
                          ({"exprdirs": base.head.exprdirs[:, :, :50], "expr_names": base.head.expr_names[:50]},
                           "100 expressions, got 5023, 9976 and 50")):
        with pytest.raises(CheckpointMismatch, match=said):
            flash_avatar.read(base.path, dataclasses.replace(base.head, **changes))


def test_sides_that_are_needed_or_not_known_are_named(base: Original, tmp_path: Path) -> None:
    path = Path(shutil.copy(base.path, tmp_path / "chkpnt.pth"))
    with pytest.raises(MissingAsset, match="metrical-tracker's folder of .frame files.*--side frames=PATH"):
        flash_avatar.read(path, base.head)
    with pytest.raises(MissingAsset, match="FlameMesh.obj.*--side mesh=PATH"):
        flash_avatar.read(path, base.head, {"frames": base.sides["frame"]})
    with pytest.raises(UnsupportedFeature, match="no side input 'flame'; known are frames=.*mesh=.*masks=.*eyelids="):
        flash_avatar.read(path, base.head, {"flame": path})
    with pytest.raises(MissingAsset, match="nothing.obj: no such file"):
        flash_avatar.read(base.path, base.head, {"mesh": tmp_path / "nothing.obj"})


def test_another_mesh_is_refused(base: Original, tmp_path: Path) -> None:
    lines = base.sides["flame_mesh"].read_text().splitlines()
    faces = [i for i, line in enumerate(lines) if line.startswith("f ")]
    lines[faces[0]], lines[faces[1]] = lines[faces[1]], lines[faces[0]]
    (tmp_path / "other.obj").write_text("\n".join(lines))
    with pytest.raises(CheckpointMismatch, match="first 9976 triangles are not the head's"):
        flash_avatar.read(base.path, base.head, {"mesh": tmp_path / "other.obj"})


def _spoil(place: int) -> Callable[[list[Any]], object]:
    def change(parts: list[Any]) -> None:
        parts[1][place].data.view(-1)[0] = float("nan")
    return change


@pytest.mark.parametrize(("change", "error", "said"), [
    (lambda parts: parts[0].insert(1, {"inc.conv.weight": torch.zeros(1)}), UnsupportedFeature, "U-Net"),
    (lambda parts: parts.insert(1, {"inc.conv.weight": torch.zeros(1)}), UnsupportedFeature, "U-Net"),
    (lambda parts: parts[0].__setitem__(0, {"inc.conv.weight": torch.zeros(1)}), UnsupportedFeature, "U-Net"),
    (lambda parts: parts[0][0].pop("fcs.3.bias"), FormatError, "'fcs.3.bias' is missing"),
    (lambda parts: parts[0][0].__setitem__("fcs.2.weight", torch.zeros(256, 255)), FormatError, r"'fcs.2.weight'.*\[256, 255\]"),
    (lambda parts: parts[0][0].__setitem__("fcs.0.weight", torch.zeros(256, 160)), CheckpointMismatch,
     "takes 160 .* expected 171"),
    (lambda parts: parts[1].pop(), FormatError, "12 entries"),
    (lambda parts: parts[1].__setitem__(0, 4), FormatError, "active_sh_degree: expected 0..3, got 4"),
    (lambda parts: parts[1].__setitem__(6, parts[1][6][:5]), FormatError, "opacity has 5 rows"),
    (lambda parts: parts[1].__setitem__(3, parts[1][3][:, :3]), FormatError, "too few for its SH degree 2"),
    (_spoil(4), FormatError, r"Gaussians\[4\] \(scaling\): 1 of .* not finite"),
    (_spoil(5), FormatError, "rotation.*not finite"),
    (_spoil(6), FormatError, "opacity.*not finite"),
    (lambda parts: parts.pop(), FormatError, "FlashAvatar's tuple"),
])
def test_damage_is_named(base: Original, tmp_path: Path, change: Callable[[list[Any]], object], error: type[AvatarError],
                         said: str) -> None:
    path = altered(base, tmp_path / "chkpnt.pth", change)
    with pytest.raises(error, match=said) as caught:
        flash_avatar.read(path, base.head, sides_of(base))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_other_files_are_refused(base: Original, tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "fate.pth")
    with pytest.raises(FormatError, match="another system's checkpoint"):
        flash_avatar.read(tmp_path / "fate.pth", base.head)
    (tmp_path / "cut.pth").write_bytes(base.path.read_bytes()[:5000])
    with pytest.raises(FormatError, match="cut.pth"):
        flash_avatar.read(tmp_path / "cut.pth", base.head)
    with pytest.raises(MissingAsset, match="none.pth"):
        flash_avatar.read(tmp_path / "none.pth", base.head)


def test_fates_places_must_be_on_its_template(tmp_path: Path) -> None:
    made = fate_baselines.write(tmp_path / "run", "flash_avatar")
    content = torch.load(made.path, map_location="cpu", weights_only=True)
    content["model"]["verts_sampling"][0, :, 1] += 0.01
    torch.save(content, made.path)
    with pytest.raises(CheckpointMismatch, match="'verts_sampling' are not where their texels are"):
        fate.read(made.path)
