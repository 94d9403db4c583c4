"""GLB: the container, the avatar in it, and back."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from exporter import glb_check
from exporter.capabilities import fit
from exporter.export import export
from exporter.glb_clip import bake_clip
from exporter.glb_head import texture_seams
from exporter.plain_player import PlainPlayer
from exporter.targets import glb
from formats import codecs
from formats.avatar import Avatar, LinearDynamics, SplatLayer
from formats.codecs import glb_avatar
from formats.codecs.glb import GlbDocument, read_document
from formats.codecs.glb_writer import GlbWriter
from formats.deform import PosedMesh, deform, deform_head
from formats.errors import AvatarError, FormatError, UnsupportedFeature
from formats.sequence import Sequence
from formats.uv_maps import UVMaps
from tests.builders import AVATAR_KINDS, skin_binding, tiny_avatar, tiny_cloud, tiny_head, tiny_sequence

SCHEMA = Path(glb_check.__file__).parent / "schemas" / "FLAMEPORT_avatar.schema.json"
POSED = 1e-7
"""Metres: float32 rounds coordinates of a 0.2 m head at 1.5e-8, and the clip goes through quaternions and back."""


def document_of(avatar: Avatar, **options: object) -> GlbDocument:
    return read_document(glb.to_bytes(avatar, glb.Options(**options)))  # type: ignore[arg-type]


def carried(kind: str, **options: object) -> Avatar:
    return fit(tiny_avatar(kind, **options), glb.CAPABILITIES).avatar  # type: ignore[arg-type]


def assert_same_motion(avatar: Avatar, back: Avatar, times: tuple[float, ...] = (0, 1.3, 3)) -> None:
    assert avatar.sequence is not None and back.sequence is not None
    for t in times:
        one, other = deform(avatar, avatar.sequence, t), deform(back, back.sequence, t)
        np.testing.assert_allclose(other.head.vertices, one.head.vertices, atol=POSED)
        for a, b in zip(one.layers, other.layers, strict=True):
            if isinstance(a, PosedMesh):
                assert_same_mesh(a, b)
                continue
            np.testing.assert_allclose(b.cloud.means, a.cloud.means, atol=POSED)
            # A quaternion and its negative are one rotation.
            sign = np.sign(np.sum(a.cloud.quats * b.cloud.quats, axis=1, keepdims=True))
            np.testing.assert_allclose(b.cloud.quats * sign, a.cloud.quats, atol=1e-6)
            np.testing.assert_allclose(b.cloud.scales, a.cloud.scales, rtol=1e-5)
            np.testing.assert_allclose(b.cloud.opacities, a.cloud.opacities, atol=1e-6)
            np.testing.assert_allclose(b.cloud.sh, a.cloud.sh, atol=1e-6)
            np.testing.assert_allclose(b.sh_rotation, a.sh_rotation, atol=1e-6)
            if a.features is not None:
                np.testing.assert_allclose(b.features, a.features, atol=1e-5)


def assert_same_mesh(a: PosedMesh, b: PosedMesh) -> None:
    np.testing.assert_allclose(b.vertices, a.vertices, atol=POSED)
    np.testing.assert_allclose(b.normals, a.normals, atol=1e-6)
    if a.shading_weights is not None:
        np.testing.assert_allclose(b.shading_weights, a.shading_weights, atol=1e-5)


# --- The avatar -------------------------------------------------------------------------------------------------------


def _extent(content: dict, index: int) -> tuple[int, int]:
    """Return where the bytes of an accessor begin and end in the binary chunk; nothing for one without bytes."""
    accessor = content["accessors"][index]
    sparse = accessor.get("sparse", {})
    views = [part["bufferView"] for part in (accessor, sparse.get("indices", {}), sparse.get("values", {}))
             if "bufferView" in part]
    places = [view.get("extensions", {}).get("EXT_meshopt_compression", view) for view in
              (content["bufferViews"][i] for i in views)]
    return (min((p["byteOffset"] for p in places), default=0),
            max((p["byteOffset"] + p["byteLength"] for p in places), default=0))


@pytest.mark.parametrize("grade", ["plain", "small"])
def test_the_bytes_of_a_first_picture_come_first(grade):
    document = document_of(carried("linear"), grade=grade)
    content = document.json
    root = content["extensions"]["FLAMEPORT_avatar"]
    (primitive,) = content["meshes"][root["layers"][0]["mesh"]]["primitives"]
    names = primitive["attributes"]
    ours = primitive["extensions"]["KHR_gaussian_splatting"]["extensions"]["FLAMEPORT_avatar"]
    head = content["meshes"][root["head"]["mesh"]]["primitives"][0]
    needed = [head["indices"], head["attributes"]["POSITION"], *(target["POSITION"] for target in head["targets"]),
              *(names[f"KHR_gaussian_splatting:{name}"] for name in ("ROTATION", "SCALE", "OPACITY", "SH_DEGREE_0_COEF_0")),
              ours["binding"]["face"], ours["binding"]["barycentric"]]
    late = [*ours["dynamics"]["tables"].values(),
            *(index for name, index in names.items() if name.startswith("KHR_gaussian_splatting:SH_DEGREE_1"))]
    assert max(_extent(content, i)[1] for i in needed) <= min(_extent(content, i)[0] for i in late)


@pytest.mark.parametrize("grade", ["plain", "full"])
@pytest.mark.parametrize("kind", AVATAR_KINDS)
def test_avatar_comes_back_moving_the_same(kind: str, grade: str) -> None:
    avatar = carried(kind, degree=2)
    assert_same_motion(avatar, glb_avatar.from_document(document_of(avatar, grade=grade)))


HEADS = {
    "lids after skinning": lambda: dataclasses.replace(tiny_head(), eyelid_space="posed"),
    "a longer skeleton": lambda: tiny_head(extra_joints=3),
    "two skeleton roots": lambda: dataclasses.replace(tiny_head(extra_joints=1), parents=[-1, 0, 1, 1, 1, -1]),
    "no correctives, no lids": lambda: dataclasses.replace(tiny_head(correctives=False), eyeliddirs=None),
    "no texture coordinates": lambda: tiny_head(uvs=False),
    "ARKit": lambda: tiny_head("arkit-51"),
    "no expressions": lambda: dataclasses.replace(
        tiny_head(), exprdirs=np.zeros((110, 3, 0)), expr_names=(), arkit_map=None),
    "three joints without eyes": lambda: dataclasses.replace(
        tiny_head(), lbs_weights=np.full((110, 3), 1 / 3), parents=[-1, 0, 1], joint_names=("root", "neck", "jaw"),
        joint_roles={"root": 0, "neck": 1, "jaw": 2}, J_regressor=tiny_head().J_regressor[:3]),  # type: ignore[index]
}


@pytest.mark.parametrize("name", HEADS)
def test_every_kind_of_head_comes_back(name: str) -> None:
    head = HEADS[name]()
    clip = tiny_sequence(head, 4, drivers=False)
    if "eyes" in name:
        clip = dataclasses.replace(clip, eyes=np.zeros((4, 6)))
    avatar = tiny_avatar("edge-height", head=head, sequence=False)
    avatar = dataclasses.replace(avatar, sequence=clip)
    document = document_of(avatar, grade="full")
    back = glb_avatar.from_document(document)
    assert_same_motion(avatar, back)
    assert back.head.expr_names == head.expr_names and back.head.joint_names == head.joint_names
    assert back.head.content_hash == head.content_hash and dict(back.head.joint_roles) == dict(head.joint_roles)
    np.testing.assert_array_equal(back.head.faces, head.faces)
    assert glb_check.problems(document) == []


def test_extra_joints_drivers_and_ranges_come_back() -> None:
    head = tiny_head(extra_joints=2)
    turns = {"spine1": 0.2 * np.sin(np.arange(15).reshape(5, 3))}
    clip = dataclasses.replace(tiny_sequence(head, 5), joints=turns, ranges={"blink": (1, 3)})
    avatar = dataclasses.replace(tiny_avatar("linear", head=head, sequence=False), sequence=clip)
    back = glb_avatar.from_document(document_of(avatar))
    assert back.sequence is not None and dict(back.sequence.ranges) == {"blink": (1, 3)}
    np.testing.assert_allclose(back.sequence.joints["spine1"], turns["spine1"], atol=1e-6)
    np.testing.assert_array_equal(back.sequence.drivers["mood"], clip.drivers["mood"])
    assert_same_motion(avatar, back)


@pytest.mark.parametrize("joints", ["all", "no eyes"])
def test_dynamics_may_read_what_is_made_from_the_fields(joints: str) -> None:
    head = tiny_head() if joints == "all" else HEADS["three joints without eyes"]()
    names = ("jaw_6d", "eyes_6d", "absolute_pose")
    tables = {"means": np.random.default_rng(1).normal(0, 0.02, (9, 24, 3))}
    layer = dataclasses.replace(tiny_avatar("plain-face", n=9, head=head).layers[0], dynamics=LinearDynamics(tables, names))
    avatar = Avatar(head, (layer,), sequence=tiny_sequence(head, 4, drivers=False))
    assert_same_motion(avatar, glb_avatar.from_document(document_of(avatar)))


def test_lids_that_only_a_layer_has_still_move_it() -> None:
    head = dataclasses.replace(tiny_head(), eyeliddirs=None)
    layer = SplatLayer(tiny_cloud(9, 0, 0.05), skin_binding(head, 9))
    avatar = Avatar(head, (layer,), sequence=tiny_sequence(head, 4))
    assert_same_motion(avatar, glb_avatar.from_document(document_of(avatar)))


def test_rotations_past_half_a_turn_stay_on_one_hemisphere() -> None:
    head = tiny_head()
    angles = np.linspace(0, 7, 30)[:, None] * np.array([0, 1, 0])
    clip = Sequence(head.edition, 25, np.zeros((30, 6)), rotation=angles)
    quats = bake_clip(head, clip).rotations[:, 0]
    assert np.sum(quats[1:] * quats[:-1], axis=1).min() > 0.9


def test_pictures_colors_and_meta_come_back() -> None:
    avatar = carried("everything")
    back = glb_avatar.from_document(document_of(avatar))
    assert avatar.maps is not None and back.maps is not None
    # The builder's texture has whole 8-bit levels, so PNG is exact.
    np.testing.assert_allclose(back.maps.images["albedo"], avatar.maps.images["albedo"], atol=1e-6)
    assert back.meta == avatar.meta
    plain = tiny_avatar("vertex-index", head=tiny_head(uvs=False))
    shown = glb_avatar.from_document(document_of(plain))
    assert plain.vertex_rgb is not None and shown.vertex_rgb is not None and shown.maps is None
    np.testing.assert_allclose(shown.vertex_rgb, plain.vertex_rgb, atol=1e-6)


def test_texture_with_alpha_comes_back() -> None:
    image = np.linspace(0, 255, 4 * 8 * 4).round().reshape(4, 8, 4) / 255
    avatar = dataclasses.replace(carried("edge-height"), maps=UVMaps({"albedo": image}))
    back = glb_avatar.from_document(document_of(avatar))
    assert back.maps is not None
    np.testing.assert_allclose(back.maps.images["albedo"], image, atol=1e-6)


def test_seams_keep_every_corner_and_split_no_more_than_needed() -> None:
    head = tiny_head()
    assert head.uvs is not None and head.uv_faces is not None
    faces, sources, uvs = texture_seams(head)
    np.testing.assert_array_equal(uvs[faces], head.uvs[head.uv_faces])
    whole = np.concatenate([np.arange(len(head.v_template)), sources])
    np.testing.assert_array_equal(whole[faces], head.faces)
    pairs = {(int(v), *map(float, uv)) for v, uv in zip(head.faces.ravel(), head.uvs[head.uv_faces.ravel()], strict=True)}
    assert len(uvs) == len(pairs)


def test_a_plain_player_is_exact_at_keys() -> None:
    head = tiny_head("arkit-51", extra_joints=1)
    avatar = tiny_avatar("edge-height", head=head)
    assert avatar.sequence is not None
    reachable = dataclasses.replace(head, lbs_weights=np.eye(6)[np.arange(110) % 6])
    avatar = dataclasses.replace(avatar, head=reachable)
    document = document_of(avatar)
    player = PlainPlayer(document, document.json["extensions"]["FLAMEPORT_avatar"]["head"]["node"])
    for i in range(len(avatar.sequence)):
        truth = deform_head(reachable, avatar.sequence.take([i])).vertices
        np.testing.assert_allclose(player.vertices(i / avatar.sequence.fps)[:110], truth, atol=POSED)


@pytest.mark.parametrize("kind", AVATAR_KINDS)
def test_extension_follows_its_schema(kind: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    content = document_of(carried(kind)).json
    jsonschema.validate(content["extensions"]["FLAMEPORT_avatar"], schema)
    for mesh in content["meshes"]:
        extensions = mesh["primitives"][0].get("extensions", {})
        if "KHR_gaussian_splatting" in extensions:
            ours = extensions["KHR_gaussian_splatting"]["extensions"]["FLAMEPORT_avatar"]
            assert_keeps_to(schema, "strands" if "points" in ours else "splats", ours)
        elif extensions:
            assert_keeps_to(schema, "meshLayer", extensions["FLAMEPORT_avatar"])


def assert_keeps_to(schema: dict, part: str, content: dict) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(content, schema["$defs"][part] | {"$defs": schema["$defs"]})


def test_scenes_swap_and_never_mix() -> None:
    avatar = carried("edge-height")
    names = [[scene["name"] for scene in document_of(avatar, shows=shows).json["scenes"]] for shows in ("mesh", "splats")]
    assert names == [["mesh_scene", "splat_scene"], ["splat_scene", "mesh_scene"]]
    with pytest.raises(UnsupportedFeature, match="no splat layer"):
        glb.to_bytes(dataclasses.replace(avatar, layers=()), glb.Options(shows="splats"))


def test_same_avatar_same_bytes() -> None:
    assert glb.to_bytes(carried("linear")) == glb.to_bytes(carried("linear"))


def test_another_frame_rate_keeps_the_motion() -> None:
    avatar = carried("edge-height")
    back = glb_avatar.from_document(document_of(avatar, fps=50.0))
    assert back.sequence is not None and back.sequence.fps == 50 and len(back.sequence) == 7
    assert avatar.sequence is not None
    a = deform_head(avatar.head, avatar.sequence.sample(1.5)).vertices
    np.testing.assert_allclose(deform_head(back.head, back.sequence.sample(3)).vertices, a, atol=POSED)


def test_a_head_without_triangles_is_refused_by_name() -> None:
    bare = dataclasses.replace(tiny_head(uvs=False), faces=np.zeros((0, 3)), landmarks={})
    with pytest.raises(UnsupportedFeature, match="no triangles.*--head"):
        glb.to_bytes(Avatar(bare))


def test_clip_can_be_left_out() -> None:
    document = document_of(carried("edge-height"), clip=False)
    assert "animations" not in document.json and glb_avatar.from_document(document).sequence is None


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", AVATAR_KINDS)
def test_nothing_has_to_be_left_out(kind: str, tmp_path: Path) -> None:
    avatar = tiny_avatar(kind)
    report = export(avatar, "glb", tmp_path / "a.glb")
    assert not any(loss.blocking for loss in report.losses)
    assert len(codecs.read_avatar(tmp_path / "a.glb").layers) == len(avatar.layers)


def test_weights_that_do_not_sum_to_one_are_a_loss_with_a_number(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    layer = avatar.layers[0]
    binding = dataclasses.replace(layer.binding, barycentric=layer.binding.barycentric * np.float32(0.9992))
    leaning = dataclasses.replace(avatar, layers=(dataclasses.replace(layer, binding=binding),))
    with pytest.raises(UnsupportedFeature, match=r"barycentric.*0\.0\d+ mm"):
        export(leaning, "glb", tmp_path / "a.glb")


def test_unknown_targets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="unknown export target"):
        export(carried("edge-height"), "fbx", tmp_path / "a.fbx")


def test_misspelt_splat_attributes_are_found() -> None:
    document = document_of(carried("edge-height", degree=3))
    assert glb_check.problems(document) == []
    primitive = next(m for m in document.json["meshes"] if m["name"] == "splats")["primitives"][0]
    attributes = primitive["attributes"]
    attributes["KHR_gaussian_splatting:OPACITIES"] = attributes.pop("KHR_gaussian_splatting:OPACITY")
    attributes.pop("KHR_gaussian_splatting:SH_DEGREE_2_COEF_4")
    attributes["KHR_gaussian_splatting:SCALE"] = attributes["KHR_gaussian_splatting:SH_DEGREE_0_COEF_0"]
    primitive["extensions"]["KHR_gaussian_splatting"]["colorSpace"] = "srgb"
    document.json["extensionsUsed"].remove("KHR_materials_unlit")
    document.json["scenes"][0]["nodes"] += document.json["scenes"][1]["nodes"]
    found = " | ".join(glb_check.problems(document))
    for expected in ("OPACITIES is misspelt", "OPACITY is missing", "4 of 5", "scale is negative", "colorSpace",
                     "KHR_materials_unlit is used", "at once"):
        assert expected in found


def test_not_ours_and_later_versions_say_so() -> None:
    document = document_of(carried("edge-height"))
    root = document.json["extensions"]["FLAMEPORT_avatar"]
    root["version"] = "2.0"
    with pytest.raises(UnsupportedFeature, match="update flameport"):
        glb_avatar.from_document(document)
    document.json["extensions"] = {}
    with pytest.raises(FormatError, match="not an avatar of ours"):
        glb_avatar.from_document(document)


# --- The container ----------------------------------------------------------------------------------------------------


def container(accessor: dict, data: bytes, **more: object) -> GlbDocument:
    view = {"buffer": 0, "byteLength": len(data)}
    return GlbDocument({"accessors": [accessor], "bufferViews": [view], "buffers": [{"byteLength": len(data)}], **more},
                       data)


def test_normalized_integers_and_matrices_are_read_as_the_specification_says() -> None:
    document = container({"componentType": 5120, "count": 3, "type": "SCALAR", "bufferView": 0, "normalized": True},
                         bytes([0x80, 0x81, 127]))
    np.testing.assert_array_equal(document.accessor(0), np.float32([-1, -1, 1]))
    matrix = np.arange(16, dtype="<f4").reshape(1, 4, 4)
    writer = GlbWriter()
    writer.accessor(matrix)
    np.testing.assert_array_equal(read_document(writer.to_bytes()).accessor(0), matrix)


def test_strides_are_followed() -> None:
    data = np.arange(12, dtype="<f4").tobytes()
    document = container({"componentType": 5126, "count": 3, "type": "VEC2", "bufferView": 0, "byteOffset": 4}, data)
    document.json["bufferViews"][0]["byteStride"] = 16
    np.testing.assert_array_equal(document.accessor(0), [[1, 2], [5, 6], [9, 10]])


def test_sparse_accessors_are_stored_only_where_smaller_and_come_back() -> None:
    values = np.zeros((500, 3), np.float32)
    values[[3, 77, 499]] = [[1, 2, 3], [-4, 5, 6], [1e-9, 0, 0]]
    full = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    writer = GlbWriter()
    ids = [writer.sparse_accessor(values), writer.sparse_accessor(values, cut=1e-8), writer.sparse_accessor(full),
           writer.sparse_accessor(0 * full)]
    document = read_document(writer.to_bytes())
    assert ["sparse" in document.json["accessors"][i] for i in ids] == [True, True, False, False]
    np.testing.assert_array_equal(document.accessor(ids[0]), values)
    np.testing.assert_array_equal(document.accessor(ids[1])[499], 0)
    np.testing.assert_array_equal(document.accessor(ids[2]), full)
    np.testing.assert_array_equal(document.accessor(ids[3]), 0 * full)
    assert document.json["accessors"][ids[0]]["max"] == [1, 5, 6]


def test_writer_stores_equal_arrays_once_and_aligned() -> None:
    writer, odd = GlbWriter(), np.arange(5, dtype=np.uint8)
    first = writer.accessor(odd)
    assert writer.accessor(odd.copy()) == first and writer.accessor(odd, "vertex") != first
    assert all(view["byteOffset"] % 4 == 0 for view in writer.json["bufferViews"])
    with pytest.raises(FormatError, match="float64"):
        writer.accessor(np.zeros(3))


FLOATS = {"componentType": 5126, "count": 2, "type": "SCALAR", "bufferView": 0}


@pytest.mark.parametrize(("accessor", "data", "says"), [
    (FLOATS | {"count": 3}, bytes(8), "needs 12 bytes"),
    (FLOATS | {"count": 2**31 - 1}, bytes(8), "needs"),
    (FLOATS | {"byteOffset": 8}, bytes(8), "needs 16 bytes"),
    (FLOATS, np.float32([1, np.nan]).tobytes(), "NaN"),
    (FLOATS | {"componentType": 5124}, bytes(8), "componentType"),
    (FLOATS | {"type": "VEC5"}, bytes(8), "unknown 'VEC5'"),
    (FLOATS | {"count": -1}, bytes(8), "count"),
    (FLOATS | {"count": 0}, bytes(8), "count"),
    (FLOATS | {"bufferView": 7}, bytes(8), "bufferViews"),
    ({"componentType": 5126, "count": 2**30, "type": "MAT4"}, bytes(8), "without bytes"),
    (FLOATS | {"sparse": {"count": 2, "indices": {"bufferView": 0, "componentType": 5123},
                          "values": {"bufferView": 0}}}, bytes(8), "rise strictly"),
    (FLOATS | {"normalized": True}, bytes(8), "normalized"),
])
def test_lying_accessors_are_refused(accessor: dict, data: bytes, says: str) -> None:
    with pytest.raises(AvatarError, match=says):
        container(accessor, data).accessor(0)


def test_data_outside_the_file_and_compression_are_refused() -> None:
    document = container(FLOATS, bytes(8), images=[{"uri": "../secret.png"}])
    with pytest.raises(UnsupportedFeature, match="outside"):
        document.image_bytes(0)
    document.json["bufferViews"][0]["extensions"] = {"KHR_meshopt_compression": {}}
    with pytest.raises(UnsupportedFeature, match="compressed"):
        document.accessor(0)
    del document.json["bufferViews"][0]["extensions"]
    document.json["buffers"][0]["uri"] = "data.bin"
    with pytest.raises(UnsupportedFeature, match="another file"):
        document.accessor(0)
    document.json["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    with pytest.raises(UnsupportedFeature, match="draco"):
        document.check_required()


def test_cut_files_are_refused() -> None:
    data = glb.to_bytes(carried("edge-height"))
    for length in [*range(0, 40), *range(40, len(data), 1501)]:
        with pytest.raises(AvatarError):
            glb_avatar.from_document(read_document(data[:length]))


def test_damaged_files_never_do_worse_than_an_error() -> None:
    data = glb.to_bytes(carried("linear", n=6), glb.Options(clip=True))
    rng = np.random.default_rng(4)
    text_end = 20 + int(np.frombuffer(data, "<u4", 1, 12)[0])
    refused = 0
    for _ in range(300):
        broken = bytearray(data)
        for position in rng.integers(12, text_end, 3):
            broken[position] = rng.integers(32, 127)
        try:
            glb_avatar.from_document(read_document(bytes(broken)))
        except AvatarError:
            refused += 1
    assert refused > 200


def swap(value: object, rng: np.random.Generator) -> object:
    """Return JSON with one random part replaced by something of another kind."""
    choices: list[object] = [None, -1, 10**6, 1.5, "x", [], {}, True, [0], {"a": 1}]
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = list(value)[int(rng.integers(len(value)))]
        return {**value, key: swap(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        i = int(rng.integers(len(value)))
        return [*value[:i], swap(value[i], rng), *value[i + 1:]]
    return choices[int(rng.integers(len(choices)))]


def test_json_of_the_wrong_kind_never_does_worse_than_an_error() -> None:
    document = document_of(carried("linear", n=6))
    rng = np.random.default_rng(5)
    for _ in range(600):
        content = swap(document.json, rng)
        if isinstance(content, dict):
            broken = GlbDocument(content, document.binary)
            try:
                glb_avatar.from_document(broken)
                glb_check.problems(broken)
            except AvatarError:
                pass
