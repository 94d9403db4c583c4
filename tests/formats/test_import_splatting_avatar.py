"""SplattingAvatar's runs, and FATE's version of it, pose as their code draws them; damaged or foreign files are refused."""

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.avatar import FaceBinding
from formats.codecs.inria_ply import parse_fields
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.importers import fate, splatting_avatar
from tests.formats.originals import assert_kept, assert_posed
from tests.originals.posed import Original, Posed

pytest.importorskip("torch")
files = pytest.importorskip("tests.originals.splatting_avatar")
VARIANTS = ("embedding", "canonical")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Original]:
    return {v: files.write(tmp_path_factory.mktemp(v) / "yufeng", v, splats_count=200, frames=2) for v in VARIANTS}


@pytest.fixture
def copy(originals: dict[str, Original], tmp_path: Path) -> tuple[Original, Path]:
    """A subject's folder of its own, and the PLY in it."""
    original = originals["embedding"]
    subject = original.sides["flame_params"].parent
    shutil.copytree(subject, tmp_path / "yufeng")
    return original, tmp_path / "yufeng" / original.path.relative_to(subject)


# --- Posing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_poses_as_the_original_draws(originals: dict[str, Original], variant: str,
                                        caplog: pytest.LogCaptureFixture) -> None:
    original = originals[variant]
    avatar = splatting_avatar.read(original.path, original.head, **original.options)
    assert_posed(avatar, original)
    assert (avatar.meta.name, avatar.meta.system, avatar.meta.source) == ("yufeng", "splatting-avatar", "point_cloud.ply")
    assert any("NC-SA" in notice for notice in avatar.meta.license_notices)
    assert any("FLAME" in notice for notice in avatar.meta.license_notices)
    binding = avatar.layers[0].binding
    assert isinstance(binding, FaceBinding) and (binding.frame, binding.unit) == ("vertex", 0.25)
    assert avatar.head.shapedirs is None
    assert not caplog.records, "the canonical mesh is the first frame's"


def test_the_clip_is_the_data_sets(originals: dict[str, Original]) -> None:
    original = originals["embedding"]
    sequence = splatting_avatar.read(original.path, original.head).sequence
    assert sequence is not None and sequence.shape is not None and len(sequence.shape) == 100
    for name in ("expr", "rotation", "neck", "jaw", "eyes"):
        np.testing.assert_allclose(getattr(sequence, name)[:2], getattr(original.sequence, name), atol=1e-7)
    assert sequence.cameras["world_to_camera"][0, 2, 3] > 0


def test_long_clips_hold_out_their_last_frames(copy: tuple[Original, Path]) -> None:
    original, path = copy
    motion = path.parents[4] / "flame_params.json"
    content = json.loads(motion.read_text())
    content["frames"] = content["frames"][:1] * 360
    motion.write_text(json.dumps(content))
    sequence = splatting_avatar.read(path, original.head).sequence
    assert sequence is not None and sequence.ranges == {"train": (0, 10), "test": (10, 360)}


@pytest.mark.parametrize("up", [1, 3])
def test_its_folder_or_its_run_stand_for_the_cloud(copy: tuple[Original, Path], up: int) -> None:
    original, path = copy
    (path.parents[1] / "iteration_700").mkdir()
    shutil.copy(path, path.parents[1] / "iteration_700")
    avatar = splatting_avatar.read(path.parents[up - 1], original.head)
    assert_posed(avatar, original)


def test_scales_stay_when_the_mesh_does_not_scale_them(originals: dict[str, Original]) -> None:
    original = originals["embedding"]
    avatar = splatting_avatar.read(original.path, original.head, mesh_scaling=False)
    binding = avatar.layers[0].binding
    assert isinstance(binding, FaceBinding) and binding.splat_scale == "none"
    stored = parse_fields(original.path.read_bytes(), "PLY")
    np.testing.assert_allclose(avatar.layers[0].cloud.scales[:, 1], np.exp(stored["scale_1"]) / 4,  # type: ignore[union-attr]
                               rtol=1e-6)


def test_a_configuration_that_says_otherwise_is_told(copy: tuple[Original, Path], caplog: pytest.LogCaptureFixture) -> None:
    original, path = copy
    config = path.parents[2] / "config.yaml"
    for value, told in (("true", False), ("false", True)):
        config.write_text(f"model:\n  max_n_gauss: 3\n  with_mesh_scaling: {value}\n")
        caplog.clear()
        splatting_avatar.read(path, original.head)
        assert ("--set mesh_scaling=false" in caplog.text) == told


@pytest.mark.parametrize("name", ["/home/ann/data/embedding.obj", r"D:\avatars\yufeng\embedding.obj", "../1/embedding.obj"])
def test_a_mesh_named_by_somebodys_path_is_the_one_beside_it(copy: tuple[Original, Path], name: str) -> None:
    original, path = copy
    embedding(lambda c: c.update(cano_mesh=name))(path.parent)
    assert_posed(splatting_avatar.read(path, original.head), original)


def test_renamed_files_can_be_given(copy: tuple[Original, Path]) -> None:
    original, path = copy
    places = {"embedding": "yufeng.json", "cano_mesh": "yufeng.obj"}
    for side, name in places.items():
        shutil.move(path.parent / original.sides[side].name, path.parent / name)
    with pytest.raises(MissingAsset, match="--side embedding="):
        splatting_avatar.read(path, original.head)
    given = {side: path.parent / name for side, name in places.items()}
    with pytest.raises(MissingAsset, match="--side cano_mesh="):
        splatting_avatar.read(path, original.head, {"embedding": given["embedding"]})
    assert_posed(splatting_avatar.read(path.rename(path.with_name("yufeng.ply")), original.head, given), original)


def test_weights_that_the_walk_clamped_sum_to_one(copy: tuple[Original, Path], caplog: pytest.LogCaptureFixture) -> None:
    original, path = copy
    weights = json.loads((path.parent / "embedding.json").read_text())["sample_bary"]
    weights[3] = [1.002, 0.0, 0.0]  # (1.002, -0.001, -0.001) with its negative ones clamped
    weights[4] = [0.7, 0.3009, 0.0]
    embedding(lambda c: c.update(sample_bary=weights))(path.parent)
    with caplog.at_level(logging.INFO):
        avatar = splatting_avatar.read(path, original.head)
    assert "of 2 of 200 Gaussians" in caplog.text
    binding = avatar.layers[0].binding
    assert isinstance(binding, FaceBinding)
    np.testing.assert_allclose(binding.barycentric[3:5], [[1, 0, 0], [0.7 / 1.0009, 0.3009 / 1.0009, 0]], atol=1e-7)
    np.testing.assert_allclose(binding.barycentric[5:], weights[5:], atol=1e-7)


def test_bundles_keep_it(originals: dict[str, Original], tmp_path: Path) -> None:
    original = originals["embedding"]
    assert_kept(splatting_avatar.read(original.path, original.head), original.sequence, tmp_path)


# --- FATE's version ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fates(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A checkpoint with the keys of FATE's SplattingAvatar, in metres, around a subject of FATE's."""
    from tests.originals import fate as fate_files
    from tests.originals import phong, splats, torch_save

    rng = np.random.default_rng(5)
    person = fate_files.subject(100, 50)
    buffers = fate_files.flame_buffers(person)
    faces = np.asarray(buffers["flame.faces_tensor"])
    count, frames = 150, 2
    codes, theta = 0.4 * rng.normal(size=(frames, 50)), 0.15 * rng.normal(size=(frames, 15))
    nothing = {"delta_vertex": np.zeros((5023, 3)), "delta_shapedirs": np.zeros((5023, 3, 150)),
               "delta_posedirs": np.zeros((36, 15069))}
    vertices = [fate_files.personal_vertices(person, nothing, codes[t], theta[t]) for t in range(frames)]
    jaw = np.zeros(15)
    jaw[6] = 0.2
    canonical = splats.float32(fate_files.personal_vertices(person, nothing, np.zeros(50), jaw))
    weights = rng.uniform(size=(count, 3))
    face, bary = rng.integers(0, len(faces), count), splats.float32(weights / weights.sum(axis=1, keepdims=True))
    uvd = splats.float32(np.concatenate([rng.normal(size=(count, 2)), 0.003 * rng.normal(size=(count, 1))], axis=1))
    rotation, scaling = splats.float32(rng.normal(size=(count, 4))), splats.float32(rng.normal(-6.5, 0.4, (count, 3)))
    opacity, dc = splats.float32(rng.normal(size=(count, 1))), splats.float32(rng.normal(size=(count, 1, 3)))
    model = {"_uvd": uvd, "_features_dc": dc, "_features_rest": np.zeros((count, 0, 3)), "_scaling": scaling,
             "_rotation": rotation, "_opacity": opacity, "sample_fidxs": face, "sample_bary": bary, **buffers,
             "quat_helper.cano_verts": canonical, "quat_helper.cano_faces": faces,
             "quat_helper.cano_triangles": canonical[faces][None],
             "quat_helper.face_areas": phong.areas(canonical, faces)[:, None], "phongsurf.V": canonical, "phongsurf.F": faces}
    path = tmp_path_factory.mktemp("fates") / "SplattingAvatar_ep0010.pth"
    torch_save.save({"epoch": 10, "global_step": 99, "model": torch_save.state_dict(model)}, path)
    drawn = [phong.draw(canonical, v, faces, face, bary, uvd[:, 2], rotation, scaling) for v in vertices]
    means, quats, scales = (np.stack([d[key] for d in drawn]) for key in ("means", "quats", "scales"))
    posed = Posed(means, quats, scales, np.tile(splats.sigmoid(opacity[:, 0]), (frames, 1)),
                  np.tile(splats.rgb_of_dc(dc[:, 0]), (frames, 1, 1)))
    return Original(path, posed, fate_files.sequence_of(codes, theta))


def test_fates_version_is_in_metres(fates: Original) -> None:
    avatar = fate.read(fates.path)
    binding = avatar.layers[0].binding
    assert isinstance(binding, FaceBinding) and (binding.unit, binding.splat_scale) == (1, "log_area_ratio")
    assert avatar.meta.system == "splatting-avatar" and avatar.meta.name == "SplattingAvatar"
    assert_posed(avatar, fates)


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_heads_that_do_not_fit_are_refused(originals: dict[str, Original]) -> None:
    original = originals["embedding"]
    head = original.head
    assert head is not None
    with pytest.raises(MissingAsset, match="--head"):
        splatting_avatar.read(original.path)
    with pytest.raises(CheckpointMismatch, match="'flame2023'"):
        splatting_avatar.read(original.path, dataclasses.replace(head, edition="flame2023"))
    with pytest.raises(CheckpointMismatch, match="identity directions"):
        splatting_avatar.read(original.path, head.personalise())
    with pytest.raises(CheckpointMismatch, match=r"5023.*9976"):
        splatting_avatar.read(original.path, dataclasses.replace(head, faces=head.faces[:, [1, 2, 0]], uvs=None, uv_faces=None))
    assert head.shapedirs is not None
    with pytest.raises(CheckpointMismatch, match="identity"):
        splatting_avatar.read(original.path, dataclasses.replace(head, shapedirs=head.shapedirs[:, :, :40]))


def test_another_persons_motion_is_noticed(copy: tuple[Original, Path], caplog: pytest.LogCaptureFixture) -> None:
    original, path = copy
    motion = path.parents[4] / "flame_params.json"
    content = json.loads(motion.read_text())
    content["shape_params"][0] = 3.0
    motion.write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        splatting_avatar.read(path, original.head)
    assert "of this person" in caplog.text


def test_the_motion_is_looked_for_and_can_be_given(copy: tuple[Original, Path], tmp_path: Path) -> None:
    original, path = copy
    motion = path.parents[4] / "flame_params.json"
    moved = tmp_path / "elsewhere" / "motion.json"
    moved.parent.mkdir()
    shutil.move(motion, moved)
    with pytest.raises(MissingAsset, match=r"flame_params\.json.*--side flame_params="):
        splatting_avatar.read(path, original.head)
    assert_posed(splatting_avatar.read(path, original.head, {"flame_params": moved}), original)
    with pytest.raises(UnsupportedFeature, match="flame_params="):
        splatting_avatar.read(path, original.head, {"motion": moved})
    content = json.loads(moved.read_text())
    del content["shape_params"]
    moved.write_text(json.dumps(content))
    with pytest.raises(FormatError, match="shape_params"):
        splatting_avatar.read(path, original.head, {"flame_params": moved})


def embedding(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        content = json.loads((folder / "embedding.json").read_text())
        change(content)
        (folder / "embedding.json").write_text(json.dumps(content))

    return write


def replaced(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


@pytest.mark.parametrize(("damage", "error", "said"), [
    (lambda f: (f / "embedding.json").unlink(), MissingAsset, "neither embedding.json nor canonical.sample.json"),
    (lambda f: (f / "embedding.obj").unlink(), MissingAsset, "embedding.obj: no such file"),
    (embedding(lambda c: c.update(cano_mesh="../../secret.obj")), FormatError, "outside the folder"),
    (embedding(lambda c: c.pop("_rotation")), FormatError, "'_rotation' is missing"),
    (embedding(lambda c: c["sample_fidxs"].pop()), FormatError, "'sample_fidxs'"),
    (embedding(lambda c: c["sample_fidxs"].__setitem__(0, 9976)), FormatError, "face_index"),
    (embedding(lambda c: c["sample_bary"].__setitem__(0, [1, 1, 1])), FormatError, "barycentric"),
    (embedding(lambda c: c["_xyz"].__setitem__(0, [0, 0, None])), FormatError, "null"),
    (embedding(lambda c: c["_rotation"].__setitem__(0, [0, 0, 0, 0])), FormatError, "zero"),
    (embedding(lambda c: [c[k].pop() for k in ("sample_fidxs", "sample_bary", "_xyz", "_rotation")]), CheckpointMismatch,
     "200 Gaussians"),
    (replaced("embedding.json", lambda b: b[:len(b) // 2]), FormatError, "embedding.json"),
    (replaced("embedding.obj", lambda b: b.replace(b"v ", b"v x", 1)), FormatError, "line"),
    (replaced("embedding.obj", lambda b: b.rstrip().rsplit(b"\n", 1)[0]), CheckpointMismatch, "9975 faces"),
    (replaced("point_cloud.ply", lambda b: b[:-5]), FormatError, "cut off"),
    (replaced("point_cloud.ply", lambda b: b[:-20] + np.full(1, np.nan, "<f4").tobytes() + b[-16:]), FormatError, "scales"),
])
def test_damage_is_named(copy: tuple[Original, Path], damage: Callable[[Path], object], error: type, said: str) -> None:
    original, path = copy
    damage(path.parent)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - looked at below
        splatting_avatar.read(path, original.head)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert isinstance(caught.value, error) or error is FormatError and type(caught.value).__name__ == "BindingError"


def test_colours_that_depend_on_the_view_are_refused_and_padding_is_not(copy: tuple[Original, Path]) -> None:
    original, path = copy
    fields = parse_fields(path.read_bytes(), "PLY")
    for value in (0.0, 0.1):
        names = [*fields, *(f"f_rest_{i}" for i in range(9))]
        rows = np.stack([*fields.values(), *(np.full(len(fields["x"]), value) for _ in range(9))], axis=1).astype("<f4")
        header = "\n".join(["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}",
                            *(f"property float {name}" for name in names), "end_header", ""])
        path.write_bytes(header.encode() + rows.tobytes())
        if value:
            with pytest.raises(UnsupportedFeature, match="SH degree 0"):
                splatting_avatar.read(path, original.head)
        else:
            assert_posed(splatting_avatar.read(path, original.head), original)


@pytest.mark.parametrize("corner", ["9" * 30, "-" + "9" * 30])
def test_a_mesh_with_numbers_beyond_all_counts_is_refused(corner: str, tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 {corner}\n")
    with pytest.raises(FormatError, match="line 4"):
        splatting_avatar.read_obj(tmp_path / "a.obj")
