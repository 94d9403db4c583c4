"""GaussianAvatars' runs: posed as the original does, found in its folders, and what is refused."""

import builtins
import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.avatar import FaceBinding, SplatLayer
from formats.codecs import inria_ply, npz_file
from formats.deform import deform_head
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.importers import fate, gaussian_avatars
from formats.teeth import add_teeth
from tests.formats.originals import assert_kept, assert_posed
from tests.originals import fate_baselines
from tests.originals.gaussian_avatars import write
from tests.originals.posed import Original


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return write(tmp_path_factory.mktemp("original") / "run306")


@pytest.fixture
def copied(original: Original, tmp_path: Path) -> Original:
    """The run in a folder of its own, to change."""
    run = tmp_path / "run306"
    shutil.copytree(original.extras["run"], run)
    return dataclasses.replace(original, path=run / original.path.relative_to(original.extras["run"]), sides={},
                               extras=original.extras | {"run": run})


def change(path: Path, **arrays: Any) -> None:
    """Rewrite a .npz with some arrays replaced, or left out when None."""
    held = npz_file.read(path) | arrays
    np.savez(path, **{k: v for k, v in held.items() if v is not None})


def repack(path: Path, **columns: np.ndarray | None) -> None:
    """Rewrite a PLY with some columns replaced, or left out when None."""
    fields = {k: v for k, v in (inria_ply.read_fields(path) | columns).items() if v is not None}
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(fields['x'])}",
             *(f"property float {name}" for name in fields), "end_header", ""]
    table = np.stack([np.asarray(v, "<f4") for v in fields.values()], axis=1)
    path.write_bytes("\n".join(lines).encode() + table.tobytes())


@pytest.mark.parametrize("variant", ["flame2023", "flame2020", "rows5023"])
def test_poses_as_the_original(variant: str, tmp_path: Path) -> None:
    made = write(tmp_path / "run", variant)
    assert made.head is not None
    avatar = gaussian_avatars.read(made.path, made.head, edition=made.head.edition)
    assert_posed(avatar, made)
    assert (len(avatar.head.v_template), len(avatar.head.faces)) == (5143, 10144)
    assert avatar.head.content_hash == made.head.content_hash
    assert_kept(avatar, made.sequence, tmp_path)


def test_says_what_it_is_and_brings_its_clip(original: Original) -> None:
    avatar = gaussian_avatars.read(original.path, original.head, fps=30)
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer) and isinstance(layer.binding, FaceBinding)
    assert layer.cloud.sh_degree == 3 and layer.sh_frame == "world"
    np.testing.assert_array_equal(layer.binding.face_index, original.extras["binding"])
    assert (avatar.meta.name, avatar.meta.system, avatar.meta.source) == ("run306", "gaussian-avatars", "point_cloud.ply")
    assert any("FLAME" in n and "non-commercial" in n for n in avatar.meta.license_notices)
    assert any("CC BY-NC-SA" in n for n in avatar.meta.license_notices)
    assert avatar.sequence is not None and avatar.sequence.fps == 30 and avatar.sequence.basis == "flame2023"
    for name in ("expr", "rotation", "neck", "jaw", "eyes", "translation"):
        np.testing.assert_allclose(getattr(avatar.sequence, name), getattr(original.sequence, name), atol=1e-7)


def test_the_head_is_the_originals_mesh(original: Original) -> None:
    avatar = gaussian_avatars.read(original.path, original.head)
    for t, expected in enumerate(original.extras["vertices"]):
        np.testing.assert_allclose(deform_head(avatar.head, original.sequence.sample(t)).vertices, expected, atol=1e-6)


def test_a_head_that_has_teeth_gives_the_same(original: Original) -> None:
    assert original.head is not None
    one, other = (gaussian_avatars.read(original.path, head) for head in (original.head, add_teeth(original.head)))
    np.testing.assert_array_equal(one.head.v_template, other.head.v_template)


def test_every_folder_above_the_file_will_do(copied: Original, caplog: pytest.LogCaptureFixture) -> None:
    run, highest = copied.extras["run"], copied.path.parent
    expected = gaussian_avatars.read(copied.path, copied.head).layers[0].cloud.means  # type: ignore[union-attr]
    lower = highest.with_name("iteration_70000")
    shutil.copytree(highest, lower)
    repack(lower / "point_cloud.ply", x=np.zeros(len(expected)))
    (run / "cfg_args").write_text("raise SystemExit('evaluated')")
    for path in (highest, run / "point_cloud", run):
        with caplog.at_level(logging.WARNING):
            found = gaussian_avatars.read(path, copied.head)
        np.testing.assert_array_equal(found.layers[0].cloud.means, expected)  # type: ignore[union-attr]
    assert "importing the highest, 600000" in caplog.text
    assert not gaussian_avatars.read(lower, copied.head).layers[0].cloud.means[:, 0].any()  # type: ignore[union-attr]


def test_nothing_is_evaluated(copied: Original, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("evaluated")

    (copied.extras["run"] / "cfg_args").write_text("refuse()")
    monkeypatch.setattr(builtins, "eval", refuse)
    gaussian_avatars.read(copied.extras["run"], copied.head)


def test_the_parameters_may_lie_elsewhere(copied: Original, tmp_path: Path) -> None:
    beside, moved = copied.path.with_name("flame_param.npz"), tmp_path / "person.npz"
    beside.rename(moved)
    with pytest.raises(MissingAsset, match=r"flame_param.npz.*looked for .*iteration_600000.*--side flame_param=PATH"):
        gaussian_avatars.read(copied.path, copied.head)
    assert_posed(gaussian_avatars.read(copied.path, copied.head, {"flame_param": moved}), copied)
    moved.rename(copied.path.with_name("point_cloud_flame_param.npz"))  # as a fork of Gaussian Head Avatar names it
    assert_posed(gaussian_avatars.read(copied.path, copied.head), copied)


def test_offsets_that_move_are_left_out_and_said(copied: Original, caplog: pytest.LogCaptureFixture) -> None:
    param = copied.path.with_name("flame_param.npz")
    with caplog.at_level(logging.WARNING):
        gaussian_avatars.read(copied.path, copied.head)
    assert not caplog.text
    moving = np.zeros((3, 5143, 3), np.float32)
    moving[1, 40, 2] = -0.0025
    change(param, dynamic_offset=moving)
    with caplog.at_level(logging.WARNING):
        assert_posed(gaussian_avatars.read(copied.path, copied.head), copied)
    assert "dynamic_offset" in caplog.text and "2.5 mm" in caplog.text


def test_offsets_are_never_held_and_other_extras_never_read(copied: Original, monkeypatch: pytest.MonkeyPatch) -> None:
    """62 KB a frame, so gigabytes for long clips; and trackers' own additions may be Python objects."""
    param = copied.path.with_name("flame_param.npz")
    change(param, settings=np.array({"lr": 1}, object), T3=np.zeros((3, 1, 3)), dynamic_offset=np.zeros((300, 5143, 3)))
    taken, whole = [], npz_file.take

    def take(archive: Any, info: Any, where: str) -> bytes:
        taken.append(info.filename)
        return whole(archive, info, where)

    monkeypatch.setattr(npz_file, "take", take)
    assert_posed(gaussian_avatars.read(copied.path, copied.head), copied)
    assert set(taken) == {f"{name}.npy" for name in (
        "expr", "rotation", "neck_pose", "jaw_pose", "eyes_pose", "translation", "shape", "static_offset")}


def test_scanning_finds_the_largest_and_what_is_not_finite(tmp_path: Path) -> None:
    values = np.zeros((3, 2_000_000), ">f4")
    values[1, 77] = -2.5
    np.savez(tmp_path / "a.npz", values=values, text=np.array("no"))
    assert npz_file.scan(tmp_path / "a.npz", "values") == (values.dtype, values.shape, 2.5)
    values[2, -1] = np.nan
    np.savez_compressed(tmp_path / "b.npz", values=values)
    assert npz_file.scan(tmp_path / "b.npz", "values")[2] == np.inf
    with pytest.raises(FormatError, match="'nothing' is missing"):
        npz_file.scan(tmp_path / "a.npz", "nothing")
    with pytest.raises(FormatError, match="'text': holds <U2; expected numbers"):
        npz_file.scan(tmp_path / "a.npz", "text")
    damaged = (tmp_path / "a.npz").read_bytes().replace(b"\xc0\x20\0\0", b"\xc0\x30\0\0")
    (tmp_path / "a.npz").write_bytes(damaged)
    with pytest.raises(FormatError, match="'values': is damaged .*copy it again"):
        npz_file.scan(tmp_path / "a.npz", "values")


def test_turns_that_are_not_there_are_said(copied: Original, caplog: pytest.LogCaptureFixture) -> None:
    change(copied.path.with_name("flame_param.npz"), eyes_pose=None, translation=None)
    with caplog.at_level(logging.WARNING):
        avatar = gaussian_avatars.read(copied.path, copied.head)
    assert "eyes_pose, translation missing; taken as zero" in caplog.text
    assert avatar.sequence is not None and not avatar.sequence.translation.any()


@pytest.mark.parametrize("order", ["ascii", "binary_big_endian", "binary_little_endian"])
def test_columns_may_be_in_any_order_and_precision(order: str, copied: Original) -> None:
    """As editors write them again: other columns first, more of them, doubles, whole numbers as such, no normals."""
    fields = {k: v for k, v in reversed(inria_ply.read_fields(copied.path).items()) if not k.startswith("n")}
    fields = {"label": np.zeros(len(fields["x"])), **fields}
    kinds = {name: ("int", "i4") if name == "binding_0" else ("double", "f8") for name in fields}
    lines = ["ply", f"format {order} 1.0", "comment edited", f"element vertex {len(fields['x'])}",
             *(f"property {kinds[name][0]} {name}" for name in fields), "end_header", ""]
    table = np.rec.fromarrays(list(fields.values()), dtype=[
        (name, (">" if "big" in order else "<") + kinds[name][1]) for name in fields])
    body = "\n".join(" ".join(map(str, row)) for row in table.tolist()).encode() if order == "ascii" else table.tobytes()
    copied.path.write_bytes("\n".join(lines).encode() + body)
    assert_posed(gaussian_avatars.read(copied.path, copied.head), copied)


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_fewer_harmonics_are_read_as_they_are(degree: int, copied: Original) -> None:
    kept = 3 * ((degree + 1) ** 2 - 1)
    rest = {f"f_rest_{i}": None for i in range(kept, 45)}
    stored = inria_ply.read_fields(copied.path)
    per = kept // 3
    moved = {f"f_rest_{c * per + i}": stored[f"f_rest_{15 * c + i}"] for c in range(3) for i in range(per)}
    repack(copied.path, **rest, **moved)
    cloud = gaussian_avatars.read(copied.path, copied.head).layers[0].cloud  # type: ignore[union-attr]
    assert cloud.sh_degree == degree
    np.testing.assert_allclose(cloud.sh, copied.posed.sh[0][:, :per + 1], atol=1e-6)  # type: ignore[index]


def test_a_file_without_offsets_is_a_person_too(copied: Original) -> None:
    change(copied.path.with_name("flame_param.npz"), static_offset=None, dynamic_offset=None)
    avatar = gaussian_avatars.read(copied.path, copied.head)
    with_offsets = copied.extras["vertices"][0]
    assert np.abs(deform_head(avatar.head, copied.sequence.sample(0)).vertices - with_offsets).max() > 1e-5


# --- Refusals ---------------------------------------------------------------------------------------------------------


def refused(copied: Original, error: type[AvatarError], match: str, path: Path | None = None, **arguments: Any) -> None:
    arguments = {"head": copied.head} | arguments
    with pytest.raises(error, match=match) as caught:
        gaussian_avatars.read(path or copied.path, **arguments)
    assert "\n" not in str(caught.value)


def test_other_heads_are_refused(copied: Original) -> None:
    head = copied.head
    assert head is not None and head.uv_faces is not None
    refused(copied, MissingAsset, "rides FLAME.*flameport head flame2023.pkl --edition flame2023", head=None)
    other = dataclasses.replace(head, edition="flame2020", content_hash="")
    refused(copied, CheckpointMismatch, "FLAME 2023.*the head is 'flame2020'.*--set edition=flame2020", head=other)
    refused(copied, CheckpointMismatch, "expected 'flame2020', the head is 'flame2023'", edition="flame2020")
    refused(copied, CheckpointMismatch, "a person is in it already", head=head.personalise())
    fewer = dataclasses.replace(head, faces=head.faces[1:], uv_faces=head.uv_faces[1:])
    refused(copied, CheckpointMismatch, "5023 vertices and 9975 faces", head=fewer)
    assert head.shapedirs is not None
    short = dataclasses.replace(head, shapedirs=head.shapedirs[:, :, :100])
    refused(copied, CheckpointMismatch, "'shape' has 300 coefficients, the head 100", head=short)
    short = dataclasses.replace(head, exprdirs=head.exprdirs[:, :, :50], expr_names=(), arkit_map=None)
    refused(copied, CheckpointMismatch, "'expr' has 100 coefficients, the head 50", head=short)


def test_other_files_are_refused(copied: Original, tmp_path: Path) -> None:
    checkpoint = tmp_path / "chkpnt60000.pth"
    checkpoint.write_bytes(b"PK\x03\x04")
    refused(copied, UnsupportedFeature, r"training checkpoint.*moments.*point_cloud/iteration_<n>/point_cloud.ply", checkpoint)
    (tmp_path / "empty").mkdir()
    refused(copied, MissingAsset, "holds no point_cloud.ply", tmp_path / "empty")
    refused(copied, MissingAsset, "no such file or folder", tmp_path / "absent.ply")
    refused(copied, UnsupportedFeature, "no side input 'flame'; known are flame_param=", sides={"flame": tmp_path})


def test_damaged_clouds_are_refused(copied: Original) -> None:
    count, whole = len(copied.extras["binding"]), copied.path.read_bytes()
    for columns, error, match in (
            ({"binding_0": None}, FormatError, "'binding_0' is missing"),
            ({"binding_0": np.full(count, 2.5)}, FormatError, "'binding_0': expected face numbers, Gaussian 0 has 2.5"),
            ({"binding_0": np.full(count, np.nan)}, FormatError, "'binding_0': expected face numbers"),
            ({"binding_0": np.full(count, 10144)}, CheckpointMismatch, "10144..10144 are named, the head has 10144"),
            ({"binding_0": np.full(count, -1)}, CheckpointMismatch, "made on another mesh"),
            ({"opacity": np.full(count, np.nan)}, FormatError, r"point_cloud.ply: GaussianCloud.opacities: 400 of 400"),
            ({"scale_0": np.full(count, np.inf)}, FormatError, "point_cloud.ply: GaussianCloud.scales"),
            ({"f_rest_44": None}, FormatError, "f_rest")):
        repack(copied.path, **columns)  # type: ignore[arg-type]
        refused(copied, error, match)
        copied.path.write_bytes(whole)
    copied.path.write_bytes(whole[:-4])
    refused(copied, FormatError, "cut off")


def test_damaged_parameters_are_refused(copied: Original) -> None:
    param = copied.path.with_name("flame_param.npz")
    whole = param.read_bytes()
    broken = np.zeros((1, 5143, 3), np.float32)
    broken[0, 7, 1] = np.nan
    for arrays, error, match in (
            ({"shape": None}, FormatError, r"flame_param.npz: 'shape' .* is missing"),
            ({"shape": np.full(300, np.inf, np.float32)}, FormatError, "flame_param.npz: Sequence.shape"),
            ({"static_offset": broken}, FormatError, "flame_param.npz.static_offset"),
            ({"static_offset": np.zeros((1, 5000, 3), np.float32)}, CheckpointMismatch, "'static_offset' has 5000 rows"),
            ({"expr": None}, FormatError, "'expr' missing"),
            ({"dynamic_offset": np.float32(1)}, FormatError, r"'dynamic_offset': expected \[T, V, 3\]"),
            ({"dynamic_offset": np.full((1, 5143, 3), np.nan, np.float32)}, FormatError, "'dynamic_offset': not finite"),
            ({"jaw_pose": np.zeros((2, 3), np.float32)}, FormatError, "'jaw_pose' has 2 frames, 'expr' 3"),
            ({"rotation": np.full((3, 3), np.nan, np.float32)}, FormatError, "flame_param.npz.*rotation")):
        change(param, **arrays)
        refused(copied, error, match)
        param.write_bytes(whole)


# --- FATE's version ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["imavatar", "insta"])
def test_fates_version_has_no_teeth_and_draws_dc_only(variant: str, tmp_path: Path) -> None:
    made = fate_baselines.write(tmp_path / "run", "gaussian_avatars", variant)
    avatar = fate.read(made.path)
    assert_posed(avatar, made)
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer) and layer.cloud.sh_degree == 0 and len(avatar.head.faces) == 9976
    assert avatar.meta.system == "gaussian-avatars" and len(avatar.meta.license_notices) == 3
    assert_kept(avatar, made.sequence, tmp_path)
