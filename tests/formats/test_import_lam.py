"""LAM zips: what they hold, how they pose against LAM's own arithmetic, and what is refused."""

import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from formats import importers
from formats.avatar import Avatar
from formats.codecs import arkit_json
from formats.codecs.glb import read_document
from formats.codecs.inria_ply import parse_fields
from formats.conventions import ARKIT_52, sh_to_rgb
from formats.deform import deform, deform_head, joint_transforms, rest_sequence
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.importers import lam_archive
from formats.importers.lam_clips import sample_keys
from formats.importers.lam_skeleton import read_nodes, read_skinned_mesh, world_matrices
from formats.inspection import inspect
from formats.retarget import retarget
from formats.sequence import Sequence
from tests.formats import lam_fixture as made

METERS = 1e-6
"""float32 files at 1.7 m resolve 1.2e-7; a few operations on them."""


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    return importers.read("lam", made.write_zip(tmp_path_factory.mktemp("lam") / "file.zip", made.arkit_files()))


def splats(avatar: Avatar) -> GaussianCloud:
    return avatar.layers[0].cloud  # type: ignore[union-attr]


def posed_means(avatar: Avatar, sequence: Sequence, t: float = 0) -> np.ndarray:
    return deform(avatar, sequence, t).layers[0].cloud.means  # type: ignore[union-attr]


# --- What is in it ----------------------------------------------------------------------------------------------------


def test_tables_follow_the_file(avatar: Avatar) -> None:
    head, mesh = avatar.head, made.mesh()
    assert (avatar.meta.name, avatar.meta.system, avatar.meta.source) == ("ada", "lam", "file.zip")
    assert "non-commercial" in avatar.meta.license_notices[0]
    assert head.edition == "arkit-51" and head.expr_names == made.NAMES
    np.testing.assert_allclose(head.v_template, mesh["positions"], atol=METERS)
    np.testing.assert_array_equal(head.faces, mesh["triangles"])
    np.testing.assert_allclose(head.exprdirs, made.target_directions(), atol=METERS)
    assert head.joint_names[0] == "hip" and set(head.joint_names) == set(made.JOINTS)
    assert head.joint_roles == {"root": 0, "neck": head.joint_names.index("head")}
    for j, name in enumerate(head.joint_names):
        parent = made.BONES[name][0]
        assert head.parents[j] == (head.joint_names.index(parent) if parent in head.joint_names else -1)
        np.testing.assert_allclose(head.J_template[j], made.world_of(name)[:3, 3], atol=METERS)
        given = (mesh["joints"] == made.JOINTS.index(name)) * mesh["weights"]
        np.testing.assert_allclose(head.lbs_weights[:, j], given.sum(axis=1), atol=METERS)


def test_gaussians_sit_off_their_vertices_in_final_colours(avatar: Avatar) -> None:
    columns, cloud = made.gaussians(), splats(avatar)

    def stack(*names: str) -> np.ndarray:
        return np.stack([columns[name].astype(float) for name in names], axis=1)

    np.testing.assert_allclose(cloud.means, made.mesh()["positions"] + stack("x", "y", "z"), atol=METERS)
    rgb = stack("f_dc_0", "f_dc_1", "f_dc_2")
    np.testing.assert_allclose(sh_to_rgb(cloud.sh[:, 0]), rgb, atol=1e-6)
    np.testing.assert_allclose(avatar.vertex_rgb, rgb, atol=1e-6)
    np.testing.assert_allclose(cloud.opacities, 1 / (1 + np.exp(-columns["opacity"].astype(float))), atol=1e-6)
    np.testing.assert_allclose(cloud.scales, np.exp(stack("scale_0", "scale_1", "scale_2")), rtol=1e-6)
    quats = stack("rot_0", "rot_1", "rot_2", "rot_3")
    np.testing.assert_allclose(cloud.quats, quats / np.linalg.norm(quats, axis=1, keepdims=True), atol=1e-6)
    binding = avatar.layers[0].binding
    assert binding.rotation == "surface"  # type: ignore[union-attr]
    np.testing.assert_array_equal(binding.vertex_index, np.arange(made.COUNT))  # type: ignore[union-attr]


def test_at_rest_nothing_moves(avatar: Avatar) -> None:
    posed = deform(avatar, rest_sequence(avatar.head))
    np.testing.assert_allclose(posed.head.vertices, made.mesh()["positions"], atol=METERS)
    np.testing.assert_allclose(posed.layers[0].cloud.means, splats(avatar).means, atol=METERS)  # type: ignore[union-attr]
    np.testing.assert_allclose(np.abs(np.sum(posed.layers[0].cloud.quats * splats(avatar).quats, axis=1)), 1,  # type: ignore[union-attr]
                               atol=1e-6)


def test_a_mesh_stored_in_another_space_comes_into_the_world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    change = np.diag([100.0, 100.0, 100.0, 1.0])
    change[:3, :3] = change[:3, :3] @ made.quat_matrix(np.array([0.7, 0, 0, 0.7]))
    path = made.write_zip(tmp_path / "a.zip", made.arkit_files() | {"skin.glb": made.skin_glb(change=change).bytes()})
    head = importers.read("lam", path).head
    np.testing.assert_allclose(head.v_template, made.mesh()["positions"], atol=20 * METERS)
    np.testing.assert_allclose(head.exprdirs, made.target_directions(), atol=20 * METERS)
    assert "from where it was bound" in caplog.text


def test_a_zip_without_folder_or_optional_members(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {name: made.arkit_files()[name] for name in ("skin.glb", "offset.ply")}
    plain = importers.read("lam", made.write_zip(tmp_path / "ben.zip", files, folder="", litter=False))
    assert plain.meta.name == "ben" and plain.sequence is None
    assert "no animation.glb" in caplog.text


# --- Clips ------------------------------------------------------------------------------------------------------------


def test_clips_become_named_ranges_with_the_idle_one_first(avatar: Avatar) -> None:
    clip = avatar.sequence
    assert clip is not None and clip.fps == 30 and clip.basis == "arkit-51"
    # 8 key intervals at 24 are 1/3 s: 10 frames and the first; 12 are 1/2 s.
    assert clip.ranges == {"yumi_idle": (0, 11), "yumi_wave": (11, 27)}
    assert set(clip.joints) == {"chestUpper", "neckLower", "lCollar"}
    assert not clip.expr.any()


@pytest.mark.parametrize("name", made.CLIPS)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_clips_pose_the_mesh_as_glTF_says(avatar: Avatar, name: str, step: int) -> None:
    """Key 4 of 24 is frame 5 of 30: nothing is interpolated there."""
    assert avatar.sequence is not None
    frame = avatar.sequence.ranges[name][0] + 5 * step
    means, weights = splats(avatar).means.astype(float), made.mesh()["weights"]
    joints = made.mesh()["joints"]
    moved = {j: made.world_of(j, name, 4 * step) @ np.linalg.inv(made.world_of(j)) for j in made.JOINTS}
    expected = np.zeros_like(means)
    for k in range(4):
        for i in range(made.COUNT):
            m = moved[made.JOINTS[joints[i, k]]]
            expected[i] += weights[i, k] * (m[:3, :3] @ means[i] + m[:3, 3])
    got = posed_means(avatar, avatar.sequence, frame)
    on_head = weights[:, 0] == 1
    np.testing.assert_allclose(got[on_head], expected[on_head], atol=5 * METERS)
    # The clip lifts the head by up to 6 mm off the neck, which one translation cannot say of both.
    np.testing.assert_allclose(got, expected, atol=6.1e-3)


def test_as_original_moves_everything_with_the_head_bone(tmp_path: Path) -> None:
    avatar = importers.read("lam", made.write_zip(tmp_path / "a.zip", made.arkit_files()), as_original=True)
    assert avatar.sequence is not None and avatar.layers[0].binding.rotation == "none"  # type: ignore[union-attr]
    m = made.world_of("head", "yumi_wave", 8) @ np.linalg.inv(made.world_of("head"))
    weights = np.random.default_rng(1).uniform(0, 1, len(made.NAMES))
    clip = avatar.sequence.take([avatar.sequence.ranges["yumi_wave"][0] + 10])
    frame = Sequence(clip.basis, 30, weights[None], expr_names=made.NAMES, rotation=clip.rotation, neck=clip.neck,
                     translation=clip.translation, joints=clip.joints)
    expected = splats(avatar).means + made.target_directions() @ weights
    posed = deform(avatar, frame).layers[0].cloud  # type: ignore[union-attr]
    np.testing.assert_allclose(posed.means, expected @ m[:3, :3].T + m[:3, 3], atol=5 * METERS)
    np.testing.assert_allclose(posed.quats, splats(avatar).quats, atol=1e-7)


def test_scaling_clips_warn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    animation = made.animation_glb()
    sampler = animation.json["animations"][0]["samplers"][2]
    sampler["output"] = animation.accessor(np.full((2, 3), 1.5, "<f4"))
    importers.read("lam", made.write_zip(tmp_path / "a.zip", made.arkit_files() | {"animation.glb": animation.bytes()}))
    assert "left out how it scales hip" in caplog.text


def test_keys_are_read_as_glTF_says() -> None:
    times, values = np.array([1.0, 2.0]), np.array([[0.0, 0, 0], [4.0, 2, 0]])
    t = np.array([0.0, 1.0, 1.25, 1.999, 2.0, 3.0])
    linear = sample_keys(times, values, "LINEAR", t, False)
    np.testing.assert_allclose(linear[:, 0], [0, 0, 1, 3.996, 4, 4])
    np.testing.assert_allclose(sample_keys(times, values, "STEP", t, False)[:, 0], [0, 0, 0, 0, 4, 4])
    # A cubic with zero tangents is the smoothstep 3 f^2 - 2 f^3.
    spline = np.stack([values * 0, values, values * 0], axis=1).reshape(6, 3)
    np.testing.assert_allclose(sample_keys(times, spline, "CUBICSPLINE", t, False)[2, 0], 4 * (3 / 16 - 2 / 64))
    np.testing.assert_allclose(sample_keys(times[:1], values[1:], "LINEAR", t, False)[:, 0], 4)
    turn = np.array([[1.0, 0, 0, 0], [0, 0, 0, 1]])  # half a turn about z
    np.testing.assert_allclose(sample_keys(times, turn, "LINEAR", np.array([1.5]), True)[0],
                               [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-12)


# --- FLAME export -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("obj_targets", [False, True])
def test_flame_export_poses_as_its_renderer_does(tmp_path: Path, obj_targets: bool) -> None:
    avatar = importers.read("lam", made.write_zip(tmp_path / "eve.zip", made.flame_files(obj_targets)))
    assert avatar.head.edition == ("flame2023" if obj_targets else "arkit-51")
    assert avatar.sequence is not None and len(avatar.sequence) == 3 and avatar.sequence.fps == 30
    count = 12 if obj_targets else len(made.NAMES)
    params, weights = made.flame_params(count), made.flame_weights()
    bones = np.array(made.BONE_POSITIONS)
    for t in range(3):
        angles = [params["rotation"][t], params["neck_pose"][t], params["jaw_pose"][t], *params["eyes_pose"][t].reshape(2, 3)]
        world: list[np.ndarray] = []
        for j, parent in enumerate((-1, 0, 1, 1, 1)):
            local, angle = np.eye(4), np.linalg.norm(angles[j])
            local[:3, :3] = made.quat_matrix([*(angles[j] / angle * np.sin(angle / 2)), np.cos(angle / 2)])
            local[:3, 3] = bones[j] - (bones[parent] if parent >= 0 else 0)
            world.append(local if parent < 0 else world[parent] @ local)
        center = splats(avatar).means + made.target_directions()[:, :, :count] @ params["expr"][t]
        expected = np.zeros_like(center)
        for j in range(5):
            expected += weights[:, j:j + 1] * ((center - bones[j]) @ world[j][:3, :3].T + world[j][:3, 3])
        np.testing.assert_allclose(posed_means(avatar, avatar.sequence, t), expected, atol=5 * METERS)


def test_flame_expressions_may_be_objects_by_name(tmp_path: Path) -> None:
    files = made.flame_files()
    params = json.loads(files["flame_params.json"])
    plain = importers.read("lam", made.write_zip(tmp_path / "a.zip", files)).sequence
    params["expr"] = [dict(reversed(list(zip(made.NAMES, row, strict=True)))) for row in params["expr"]]
    files["flame_params.json"] = json.dumps(params).encode()
    named = importers.read("lam", made.write_zip(tmp_path / "b.zip", files)).sequence
    assert plain is not None and named is not None
    np.testing.assert_array_equal(plain.expr, named.expr)


# --- What is refused --------------------------------------------------------------------------------------------------

Files = dict[str, bytes]


def _with(name: str, change: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    return lambda files: files | {name: change(files[name])}


def _glb(make: Callable[[], made.Glb], change: Callable[[made.Glb], object]) -> bytes:
    glb = make()
    change(glb)
    return glb.bytes()


def _skin(change: Callable[[made.Glb], object]) -> Callable[[Files], Files]:
    return lambda files: files | {"skin.glb": _glb(made.skin_glb, change)}


def _clip(change: Callable[[made.Glb], object]) -> Callable[[Files], Files]:
    return lambda files: files | {"animation.glb": _glb(made.animation_glb, change)}


def _column(name: str, value: float) -> Callable[[Files], Files]:
    columns = made.gaussians()
    columns[name] = np.where(np.arange(made.COUNT) == 7, np.float32(value), columns[name])
    return lambda files: files | {"offset.ply": made.ply(columns)}


def _joints(glb: made.Glb) -> None:
    start = len(glb.json["nodes"])
    glb.json["nodes"] += [{"name": f"b{i}"} for i in range(1100)]
    glb.json["skins"][0]["joints"] += range(start, start + 1100)


def _short_weights(files: Files) -> Files:
    return files | {"lbs_weight_20k.json": json.dumps(made.flame_weights()[:-1].tolist()).encode()}


BROKEN: dict[str, tuple[Callable[[Files], Files], type[AvatarError], str]] = {
    "no skin": (lambda f: {k: v for k, v in f.items() if k != "skin.glb"}, MissingAsset, "skin.glb"),
    "no offsets": (lambda f: {k: v for k, v in f.items() if k != "offset.ply"}, MissingAsset, "offset.ply"),
    "cut skin": (_with("skin.glb", lambda b: b[:len(b) // 2]), FormatError, "ada/skin.glb"),
    "cut offsets": (_with("offset.ply", lambda b: b[:-9]), FormatError, "ada/offset.ply"),
    "cut clips": (_with("animation.glb", lambda b: b[:-9]), FormatError, "ada/animation.glb"),
    "empty skin": (_with("skin.glb", lambda b: b""), FormatError, "ada/skin.glb"),
    "order is not JSON": (_with("vertex_order.json", lambda b: b[:-3]), FormatError, "ada/vertex_order.json"),
    "order of another mesh": (_with("vertex_order.json", lambda b: b"[0, 1, 2]"), FormatError, "vertex_order.json"),
    "order is text": (_with("vertex_order.json", lambda b: b'["a"]'), FormatError, "ada/vertex_order.json"),
    "nan in a colour": (_column("f_dc_1", np.nan), FormatError, "ada/offset.ply"),
    "infinite scale": (_column("scale_0", 1000), FormatError, "ada/offset.ply"),
    "fewer gaussians": (lambda f: f | {"offset.ply": made.ply({k: v[:-1] for k, v in made.gaussians().items()})},
                        CheckpointMismatch, "ada/offset.ply: 19 Gaussians"),
    "too many joints": (_skin(_joints), FormatError, "1107 joints"),
    "names missing": (_skin(lambda g: g.json["meshes"][0].pop("extras")), FormatError, "targetNames"),
    "too few names": (_skin(lambda g: g.json["meshes"][0]["extras"]["targetNames"].pop()), FormatError, "50 targetNames"),
    "foreign name": (_skin(lambda g: g.json["meshes"][0]["extras"].update(targetNames=["smirk", *made.NAMES[1:]])),
                     UnsupportedFeature, "smirk"),
    "huge count": (_skin(lambda g: g.json["accessors"][0].update(count=2**31 - 1)), FormatError, "ada/skin.glb"),
    "huge sparse count": (_skin(lambda g: g.json["accessors"][2].update(count=2**26)), FormatError, "accessors[2]"),
    "circle": (_skin(lambda g: g.json["nodes"][0].update(children=[len(made.NODES) - 1])), FormatError, "circle"),
    "two parents": (_skin(lambda g: g.json["nodes"][-1].update(children=[0])), FormatError, "two parents"),
    "child is text": (_skin(lambda g: g.json["nodes"][1].update(children=["head"])), FormatError, "ada/skin.glb"),
    "joint out of range": (_skin(lambda g: g.json["skins"][0].update(joints=[99])), FormatError, "nodes[99]"),
    "joint twice": (_skin(lambda g: g.json["skins"][0].update(joints=[0, 0])), FormatError, "twice"),
    "fewer joints than used": (_skin(lambda g: g.json["skins"][0].update(joints=[0], inverseBindMatrices=None)),
                               FormatError, "JOINTS_0"),
    "same names": (_skin(lambda g: g.json["nodes"][0].update(name="hip")), FormatError, "'hip'"),
    "zero rotation": (_skin(lambda g: g.json["nodes"][1].update(rotation=[0, 0, 0, 0])), FormatError, "nodes[1]"),
    "uneven scale": (_skin(lambda g: g.json["nodes"][1].update(scale=[1, 2, 1])), UnsupportedFeature, "unevenly"),
    "not skinned": (_skin(lambda g: g.json["nodes"][-1].pop("skin")), UnsupportedFeature, "0 skinned meshes"),
    "draco": (_skin(lambda g: g.json.update(extensionsRequired=["KHR_draco_mesh_compression"])), UnsupportedFeature,
              "KHR_draco_mesh_compression"),
    "index past the end": (_skin(lambda g: g.json["meshes"][0]["primitives"][0].update(
        indices=g.accessor(np.array([0, 1, 20], "<u2")))), FormatError, "indices"),
    "clip of a year": (_clip(lambda g: g.json["animations"][0]["samplers"][0].update(
        input=g.accessor(np.linspace(0, 3e7, 13).astype("<f4")))), FormatError, "animations[0]"),
    "times fall": (_clip(lambda g: g.json["animations"][1]["samplers"][0].update(
        input=g.accessor(np.linspace(1, 0, 9).astype("<f4")))), FormatError, "must rise"),
    "keys differ": (_clip(lambda g: g.json["animations"][0]["samplers"][0].update(
        input=g.accessor(np.arange(5).astype("<f4")))), FormatError, "animations[0]"),
    "same clip names": (_clip(lambda g: g.json["animations"][0].update(name="yumi_idle")), FormatError, "yumi_idle"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_zips_say_what_is_wrong(tmp_path: Path, case: str) -> None:
    change, error, message = BROKEN[case]
    path = made.write_zip(tmp_path / "ada.zip", change(made.arkit_files()))
    with pytest.raises(error) as caught:
        importers.read("lam", path)
    assert message in str(caught.value) and "ada.zip" in str(caught.value) and "\n" not in str(caught.value)


BROKEN_FLAME: dict[str, tuple[Callable[[Files], Files], type[AvatarError], str]] = {
    "no bones": (lambda f: {k: v for k, v in f.items() if k != "bone_tree.json"}, MissingAsset, "bone_tree.json"),
    "no weights": (lambda f: {k: v for k, v in f.items() if k != "lbs_weight_20k.json"}, MissingAsset, "lbs_weight_20k"),
    "fewer weights": (_short_weights, CheckpointMismatch, "19 rows"),
    "weights of another kind": (_with("lbs_weight_20k.json", lambda b: b"{}"), FormatError, "ada/lbs_weight_20k.json"),
    "weights not one": (_with("lbs_weight_20k.json", lambda b: json.dumps([[1] * 5] * made.COUNT).encode()), FormatError,
                        "sum to 1"),
    "one bone": (_with("bone_tree.json", lambda b: b'{"bones": [{"position": [0, 0, 0]}]}'), FormatError, "bone_tree"),
    "deep bones": (_with("bone_tree.json", lambda b: b'{"bones": [' + b'{"position": [0, 0, 0], "children": [' * 9
                         + b"]}" * 9 + b"]}"), FormatError, "five bones"),
    "params miss": (_with("flame_params.json", lambda b: b.replace(b"jaw_pose", b"chin_pose")), FormatError, "jaw_pose"),
    "params wrong": (_with("flame_params.json", lambda b: b'{"expr": [[0]], "rotation": [[1, 2]]}'), FormatError,
                     "ada/flame_params.json"),
    "obj differs": (_with("bs/expr3.obj", lambda b: b"\n".join(b.splitlines()[2:])), CheckpointMismatch, "ada/bs/expr3.obj"),
    "obj is text": (_with("bs/expr3.obj", lambda b: b.replace(b"v ", b"v x")), FormatError, "ada/bs/expr3.obj"),
    "obj gap": (lambda f: {k: v for k, v in f.items() if k != "bs/expr3.obj"}, FormatError, "without gaps"),
}


@pytest.mark.parametrize("case", BROKEN_FLAME)
def test_broken_flame_exports_say_what_is_wrong(tmp_path: Path, case: str) -> None:
    change, error, message = BROKEN_FLAME[case]
    path = made.write_zip(tmp_path / "ada.zip", change(made.flame_files(obj_targets=True)))
    with pytest.raises(error) as caught:
        importers.read("lam", path)
    assert message in str(caught.value) and "ada.zip" in str(caught.value)


@pytest.mark.parametrize("name", ["../evil.txt", "ada/../../evil.txt", "/etc/passwd", "C:/evil.txt", "..\\evil.txt"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = made.write_zip(tmp_path / "ada.zip", made.arkit_files())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(FormatError, match="points outside"):
        importers.read("lam", path)


def test_links_are_refused(tmp_path: Path) -> None:
    path = made.write_zip(tmp_path / "ada.zip", made.arkit_files())
    link = zipfile.ZipInfo("ada/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, b"/etc/passwd")
    with pytest.raises(FormatError, match="is a link"):
        importers.read("lam", path)


@pytest.mark.parametrize("size", [0xFFFFFF00, 1000])
def test_declared_sizes_are_not_believed(tmp_path: Path, size: int) -> None:
    """A bomb declares, or hides, gigabytes; the central directory holds the size at byte 24 of an entry."""
    path = made.write_zip(tmp_path / "ada.zip", made.arkit_files(), litter=False)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\1\2", 0, data.rindex(b"ada/skin.glb"))
    struct.pack_into("<I", data, entry + 24, size)
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"ada/skin\.glb"):
        importers.read("lam", path)


def test_a_bomb_that_hides_its_size_is_not_unpacked(tmp_path: Path) -> None:
    path = made.write_zip(tmp_path / "ada.zip", made.arkit_files() | {"skin.glb": bytes(64 << 20)}, litter=False)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\1\2", 0, data.rindex(b"ada/skin.glb")) + 24, 1000)
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=r"ada/skin\.glb"):
            importers.read("lam", path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_too_much_in_all_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made.write_zip(tmp_path / "ada.zip", made.arkit_files())
    monkeypatch.setattr(lam_archive, "TOTAL_LIMIT", 10_000)
    with pytest.raises(FormatError, match="unpacks to"):
        importers.read("lam", path)
    monkeypatch.setattr(lam_archive, "ENTRY_LIMIT", 3)
    with pytest.raises(FormatError, match="entries"):
        importers.read("lam", path)


def test_not_a_zip(tmp_path: Path) -> None:
    for name, data in (("text.zip", b"hello"), ("cut.zip", None)):
        path = tmp_path / name
        path.write_bytes(made.write_zip(tmp_path / "a.zip", made.arkit_files()).read_bytes()[:-100] if data is None else data)
        with pytest.raises(FormatError, match="not a zip"):
            importers.read("lam", path)
    with pytest.raises(MissingAsset, match="no such file"):
        importers.read("lam", tmp_path / "absent.zip")
    with pytest.raises(FormatError, match="is a folder"):
        importers.read("lam", tmp_path)


def test_damaged_bytes_are_noticed(tmp_path: Path) -> None:
    path = made.write_zip(tmp_path / "ada.zip", made.arkit_files(), litter=False)
    data = bytearray(path.read_bytes())
    at = data.index(b"ada/offset.ply") + 400
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"ada/offset\.ply: damaged"):
        importers.read("lam", path)


def test_the_table_of_importers(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="no system 'dall-e'"):
        importers.read("dall-e", tmp_path)
    path = made.write_zip(tmp_path / "a.zip", made.arkit_files())
    with pytest.raises(UnsupportedFeature, match="--side"):
        importers.read("lam", path, sides={"head": path})


# --- The public sample ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(lam_zip: Path) -> Avatar:
    return importers.read("lam", lam_zip)


@pytest.mark.lam
def test_the_sample_is_all_there(sample: Avatar) -> None:
    head, clip = sample.head, sample.sequence
    assert (len(head.v_template), len(head.faces), len(head.joint_names)) == (20018, 39904, 262)
    assert set(head.expr_names) == set(ARKIT_52) - {"tongueOut"} and sample.meta.name == "p2-1"
    assert head.joint_roles == {"root": 0, "neck": head.joint_names.index("head")}
    assert clip is not None and len(clip.ranges) == 12 and next(iter(clip.ranges)) == "yumi_h5_a3_idle"
    carried = {head.joint_names[j] for j in np.flatnonzero(head.lbs_weights.sum(axis=0))}
    assert carried == {"chestUpper", "lCollar", "rCollar", "neckLower", "neckUpper", "head"}
    numbers = clip.expr.size + clip.translation.size + 3 * len(clip) * (2 + len(clip.joints))  # type: ignore[union-attr]
    assert 4 * numbers < 2e6


@pytest.mark.lam
def test_the_sample_poses_as_the_public_renderer_does(lam_zip: Path, sample: Avatar) -> None:
    """Its shader: (vertex + offset + sum of weighted targets), then the head bone's matrix; bound 1e-5 m."""
    original = importers.read("lam", lam_zip, as_original=True)
    with zipfile.ZipFile(lam_zip) as archive:
        skin = read_document(archive.read("p2-1/skin.glb"))
        clips = read_document(archive.read("p2-1/animation.glb"))
        fields = parse_fields(archive.read("p2-1/offset.ply"), "offset.ply")
    primitive = skin.json["meshes"][0]["primitives"][0]
    centers = skin.accessor(primitive["attributes"]["POSITION"]) + np.stack([fields[k] for k in "xyz"], axis=1)
    weights = np.random.default_rng(0).uniform(0, 1, 51) * (np.arange(51) % 3 == 0)
    for target, w in zip(primitive["targets"], weights, strict=True):
        centers = centers + w * skin.accessor(target["POSITION"]).astype(float)
    nodes = skin.json["nodes"]
    names = [node["name"] for node in nodes]
    above = {child: i for i, node in enumerate(nodes) for child in node.get("children", [])}
    clip = clips.json["animations"][2]
    key = 80  # of 24 a second: frame 100 of 30

    def world(i: int) -> np.ndarray:
        local = {"translation": [0, 0, 0], "rotation": [0, 0, 0, 1], "scale": [1, 1, 1]} | nodes[i]
        for channel in clip["channels"]:
            if clips.json["nodes"][channel["target"]["node"]]["name"] == names[i]:
                values = clips.accessor(clip["samplers"][channel["sampler"]]["output"])
                local[channel["target"]["path"]] = values[min(key, len(values) - 1)]
        m = np.eye(4)
        m[:3, :3] = made.quat_matrix(np.asarray(local["rotation"])) * np.asarray(local["scale"])
        m[:3, 3] = local["translation"]
        return world(above[i]) @ m if i in above else m

    head = skin.json["skins"][0]["joints"].index(names.index("head"))
    bone = world(names.index("head")) @ skin.accessor(skin.json["skins"][0]["inverseBindMatrices"])[head]
    expected = centers @ bone[:3, :3].T + bone[:3, 3]
    assert original.sequence is not None and clip["name"] == "yumi_h5_a3_idle"
    frame = original.sequence.take([original.sequence.ranges[clip["name"]][0] + 100])
    frame = Sequence(frame.basis, 30, weights[None], rotation=frame.rotation, neck=frame.neck, joints=frame.joints,
                     translation=frame.translation)
    np.testing.assert_allclose(posed_means(original, frame), expected, atol=1e-5)
    # Skinned by us: the face is the same, shoulders stay on the chest.
    on_head = sample.head.lbs_weights[:, sample.head.joint_roles["neck"]] > 1 - 1e-6
    assert on_head.sum() > 15_000
    np.testing.assert_allclose(posed_means(sample, frame)[on_head], expected[on_head], atol=1e-5)


@pytest.mark.lam
def test_no_clip_tears_the_sample(sample: Avatar) -> None:
    clip = sample.sequence
    assert clip is not None
    faces, rest = sample.head.faces, sample.head.v_template

    def edges(vertices: np.ndarray) -> np.ndarray:
        return np.linalg.norm(vertices[faces] - vertices[np.roll(faces, 1, axis=1)], axis=2)

    for first, end in clip.ranges.values():
        vertices = deform_head(sample.head, clip.sample((first + end) // 2)).vertices
        assert np.abs(edges(vertices) - edges(rest)).max() < 2e-3
        assert np.linalg.norm(vertices - rest, axis=1).max() < 0.06


@pytest.mark.lam
def test_an_arkit_track_moves_the_sample(lam_zip: Path, sample: Avatar) -> None:
    path = lam_zip.with_name("lam_test_expression_1s.json")
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the sample avatar")
    driven = retarget(arkit_json.read(path), sample.head)
    moved = np.linalg.norm(deform_head(sample.head, driven.sample(249)).vertices - sample.head.v_template, axis=1)
    assert 2e-3 < moved.max() < 2e-2


@pytest.mark.lam
def test_the_sample_rests_where_it_was_bound(lam_zip: Path, sample: Avatar) -> None:
    with zipfile.ZipFile(lam_zip) as archive:
        document = read_document(archive.read("p2-1/skin.glb"))
    mesh = read_skinned_mesh(document)
    np.testing.assert_allclose(mesh.vertices, mesh.positions, atol=1e-6)
    nodes, order = read_nodes(document)
    world = world_matrices(nodes, order)
    np.testing.assert_allclose(sample.head.J_template, world[list(mesh.skeleton.joint_nodes), :3, 3], atol=1e-6)
    still = joint_transforms(sample.head, np.zeros(51), np.tile(np.eye(3), (262, 1, 1)), np.zeros(3))
    np.testing.assert_allclose(still, np.tile(np.eye(4), (262, 1, 1)), atol=1e-12)


def test_inspect_names_the_zip_and_the_line_to_run(tmp_path: Path) -> None:
    path = made.write_zip(tmp_path / "x.zip", made.arkit_files())
    found = inspect(path)
    assert (found["kind"], found["name"]) == ("lam avatar zip", "ada") and "skin.glb" in found["files"]
    assert found["import"] == f"flameport import lam {path} --out x.avatar"
    other = made.write_zip(tmp_path / "y.zip", {"head.obj": b"v 0 0 0"}, litter=False)
    with pytest.raises(FormatError, match="a zip of head.obj; expected a bundle"):
        inspect(other)
