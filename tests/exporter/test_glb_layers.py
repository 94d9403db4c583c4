"""Mesh layers and strands in a GLB: what comes back, and what plain viewers see."""

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter import glb_check, khronos
from exporter.export import export
from exporter.glb_losses import as_plain_players_show, farthest
from exporter.glb_textures import encode, fallback, with_drivers
from exporter.ops.byte_maps import byte_maps
from exporter.plain_player import PlainPlayer
from exporter.targets import glb
from exporter.validate import validate
from formats import networks
from formats.avatar import BasisMix, MeshLayer, SkinBinding, SplatLayer, StrandLayer
from formats.codecs import glb_avatar
from formats.codecs.glb_skinned import read_places
from formats.codecs.json_file import Fields
from formats.conventions import CV_FROM_GL
from formats.deform import deform, deform_head, deform_mesh_points, rest_sequence
from formats.mesh_shading import mix_bases
from formats.rotations import normalize
from formats.texels import covered_texels
from tests.builders import skin_binding, tiny_avatar, tiny_head
from tests.exporter.layer_documents import (
    GOLDEN,
    document_of,
    golden,
    layer_of,
    primitives,
    root_of,
)

POSED = 1e-7
POINTS = 5e-5


# --- Mesh layers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grade", ["plain", "small"])
def test_a_shell_comes_back_with_its_surface_and_bytes(grade: str) -> None:
    avatar = tiny_avatar("mesh-basis-bytes")
    back = glb_avatar.from_document(document_of(avatar, grade=grade))
    for one, other in zip(avatar.layers, back.layers, strict=True):
        assert isinstance(one, MeshLayer) and isinstance(other, MeshLayer) and one.shading and other.shading
        assert (one.name, one.opaque) == (other.name, other.opaque)

        def corners(layer: MeshLayer) -> set:
            return {tuple(map(tuple, zip(face, map(tuple, np.round(layer.uvs[uv], 3)), strict=True)))
                    for face, uv in zip(layer.faces.tolist(), layer.uv_faces, strict=True)}

        assert corners(one) == corners(other)
        # Maps of noise are more than lossy WebP holds, so they are lossless: all three come back to the bit.
        for name in ("bases", "position_features", *(() if one.opaque else ("alpha",))):
            np.testing.assert_array_equal(getattr(other.shading, name), getattr(one.shading, name))
        assert [getattr(other.shading, n) for n in ("weights_from", "hidden", "temperature", "space")] == [
            getattr(one.shading, n) for n in ("weights_from", "hidden", "temperature", "space")]
    assert (layer_of(back, MeshLayer).shading.alpha == 255).all()


def test_smooth_maps_are_lossy_and_good_enough() -> None:
    # Smooth, and an odd number of rows and columns.
    v, u = np.mgrid[0:161, 0:175] / 170
    smooth = np.stack([np.sin(5 * u), np.cos(4 * v), np.sin(3 * u + 2 * v)], axis=2) * 100 + 128
    pixels = (smooth + np.random.default_rng(1).normal(0, 1.5, smooth.shape)).astype(np.uint8)
    lossless, lossy = (encode(pixels, "webp", flag)[0] for flag in (True, False))
    assert len(lossy) < 0.7 * len(lossless)


def test_float_maps_are_rounded_once_within_their_range() -> None:
    avatar = tiny_avatar("mesh-basis")
    less = byte_maps(avatar)
    for one, other in zip(avatar.layers, less.layers, strict=True):
        assert isinstance(one, MeshLayer) and isinstance(other, MeshLayer) and one.shading and other.shading
        assert other.shading.bases.dtype == np.uint8
        features, span = one.shading.position_features, np.ptp(one.shading.position_features, axis=(0, 1))
        assert (np.abs(other.shading.position_features - features) <= span / 509).all()
    back = glb_avatar.from_document(document_of(less))
    for one, other in zip(less.layers, back.layers, strict=True):
        np.testing.assert_allclose(other.shading.position_features, one.shading.position_features, atol=1e-6)  # type: ignore[union-attr]
    assert byte_maps(tiny_avatar("mesh-basis-bytes")).layers[0].shading.bases.dtype == np.uint8  # type: ignore[union-attr]


def test_rounding_float_maps_is_told_in_decibels(tmp_path: Path) -> None:
    [told] = [loss for loss in export(tiny_avatar("mesh-basis"), "glb", tmp_path / "a.glb").losses if "8 bits" in loss.what]
    assert "shell0, shell1" in told.what and "dB" in told.amount and not told.blocking
    assert not any("8 bits" in loss.what for loss in export(tiny_avatar("mesh-basis-bytes"), "glb", tmp_path / "b.glb").losses)


BINDINGS: dict[str, Callable[[Any], SkinBinding]] = {
    "shared": lambda head: SkinBinding(np.arange(len(head.v_template))[::-1].copy()),
    "leaking": lambda head: skin_binding(head, len(head.v_template), leak=0.3),
    "one joint": lambda head: SkinBinding(lbs_weights=np.eye(5, dtype=np.float32)[np.zeros(len(head.v_template), int)] * 0.5),
    "nothing moves": lambda head: SkinBinding(lbs_weights=np.zeros((len(head.v_template), 5))),
    "few expressions": lambda head: dataclasses.replace(skin_binding(head, len(head.v_template)), posedirs=None, eyeliddirs=None,
                                                        exprdirs=head.exprdirs[:, :, :2]),
}


@pytest.mark.parametrize("grade", ["plain", "small"])
@pytest.mark.parametrize("name", BINDINGS)
def test_every_way_a_shell_may_ride_comes_back(name: str, grade: str) -> None:
    head = dataclasses.replace(tiny_head(), eyelid_space="posed" if name == "leaking" else "rest")
    avatar = tiny_avatar("mesh-basis", head=head)
    layers = tuple(dataclasses.replace(layer, binding=BINDINGS[name](head)) for layer in avatar.layers)
    avatar = dataclasses.replace(avatar, layers=layers)
    document = document_of(avatar, grade=grade)
    back = glb_avatar.from_document(document)
    assert avatar.sequence is not None
    for t in (0, 1.3):
        for a, b in zip(deform(avatar, avatar.sequence, t).layers, deform(back, avatar.sequence, t).layers, strict=True):
            bound = POSED if grade == "plain" else POINTS
            assert np.linalg.norm(a.vertices - b.vertices, axis=1).max() < bound  # type: ignore[union-attr]
            np.testing.assert_allclose(b.normals, a.normals, atol=1e-6 if grade == "plain" else 2e-3)  # type: ignore[union-attr]
    assert glb_check.problems(document) == []


def test_layers_move_in_plain_players_by_the_heads_own_samplers() -> None:
    avatar = tiny_avatar("mesh-basis")
    joints = np.eye(5)[np.arange(110) % 5] * 0.8  # the fifth of each row stays put
    binding = dataclasses.replace(skin_binding(avatar.head, 110), lbs_weights=joints)
    avatar = dataclasses.replace(avatar, layers=tuple(dataclasses.replace(layer, binding=binding) for layer in avatar.layers))
    document = document_of(avatar)
    content = document.json
    root = content["extensions"]["FLAMEPORT_avatar"]
    nodes = [entry["node"] for entry in root["layers"]]
    channels = content["animations"][0]["channels"]
    weights = {c["target"]["node"]: c["sampler"] for c in channels if c["target"]["path"] == "weights"}
    assert set(weights) == {root["head"]["node"], *nodes} and len(set(weights.values())) == 1
    head_mesh = content["meshes"][root["head"]["mesh"]]
    assert avatar.sequence is not None
    for entry, layer in zip(root["layers"], avatar.layers, strict=True):
        assert isinstance(layer, MeshLayer)
        mesh = content["meshes"][entry["mesh"]]
        assert mesh["extras"] == head_mesh["extras"]
        assert len(mesh["primitives"][0]["targets"]) == len(head_mesh["primitives"][0]["targets"])
        player = PlainPlayer(document, entry["node"])
        for i in range(len(avatar.sequence)):
            posed = deform_head(avatar.head, avatar.sequence.take([i]))
            truth = deform_mesh_points(layer, avatar, posed)[0]
            np.testing.assert_allclose(player.vertices(i / avatar.sequence.fps)[:110], truth, atol=POSED)


def test_directions_that_move_nothing_have_no_bytes() -> None:
    avatar = tiny_avatar("mesh-basis")
    binding = BINDINGS["few expressions"](avatar.head)
    avatar = dataclasses.replace(avatar, layers=tuple(dataclasses.replace(layer, binding=binding) for layer in avatar.layers))
    for grade in ("plain", "small"):
        document = document_of(avatar, grade=grade)
        targets = primitives(document, "mesh")[0]["targets"]
        empty = [t for t in targets if not {"bufferView", "sparse"} & set(document.json["accessors"][t["POSITION"]])]
        assert len(targets) == 44 and len(empty) == 42 and len({t["POSITION"] for t in empty}) == 1


def test_the_bare_head_has_a_scene_of_its_own() -> None:
    for shows, names in (("mesh", ["mesh_scene", "splat_scene", "head_scene"]),
                         ("splats", ["splat_scene", "mesh_scene", "head_scene"])):
        document = document_of(tiny_avatar("everything"), shows=shows)
        content, root = document.json, document.json["extensions"]["FLAMEPORT_avatar"]
        scenes = {scene["name"]: scene["nodes"] for scene in content["scenes"]}
        assert [scene["name"] for scene in content["scenes"]] == names and content["scene"] == 0
        meshes = {name: [content["nodes"][n]["mesh"] for n in held if "mesh" in content["nodes"][n]]
                  for name, held in scenes.items()}
        kinds = {kind: [e["mesh"] for e in root["layers"] if (e["kind"] == "mesh") == kind] for kind in (True, False)}
        assert meshes == {"mesh_scene": kinds[True], "splat_scene": kinds[False], "head_scene": [root["head"]["mesh"]]}
        everywhere = [n for nodes in scenes.values() for n in nodes]
        assert len(everywhere) == len(set(everywhere))  # three.js lets a node be in one scene only
        assert glb_check.problems(document) == []


def test_a_head_shown_over_its_layers_is_found() -> None:
    document = document_of(tiny_avatar("mesh-texture"))
    scenes = {scene["name"]: scene["nodes"] for scene in document.json["scenes"]}
    scenes["mesh_scene"].append(scenes["head_scene"].pop(0))
    assert any("at once" in problem for problem in glb_check.problems(document))


@pytest.mark.parametrize(("kind", "version"), [("edge-height", "1.0"), ("linear", "1.0"), ("mesh-texture", "1.1"),
                                               ("strands", "1.1"), ("world", "1.1"), ("linear-network", "1.1")])
def test_only_what_old_readers_do_not_know_has_the_new_version(kind: str, version: str) -> None:
    assert document_of(tiny_avatar(kind)).json["extensions"]["FLAMEPORT_avatar"]["version"] == version


def test_the_fallback_is_the_shading_at_rest_head_on() -> None:
    avatar = tiny_avatar("mesh-basis-bytes")
    layer = layer_of(avatar, MeshLayer, 1)
    mix, image = layer.shading, fallback(layer, avatar)
    height, width = mix.alpha.shape
    texel, face, corner = covered_texels(layer.uvs, layer.uv_faces, height, width)
    _, first = np.unique(texel, return_index=True)
    texel, face, corner = texel[first], face[first], corner[first]
    uvs = np.stack([(texel % width + 0.5) / width, (texel // width + 0.5) / height], axis=1)
    normals = normalize(np.einsum("pi,pic->pc", corner, layer.normals[layer.faces[face]]))
    shading = networks.evaluate(avatar.networks["shading"], {
        "expr": np.zeros((1, 6), np.float32), **{n: np.zeros((1, 3), np.float32) for n in ("rotation", "neck", "jaw")}})
    truth = mix_bases(mix, shading["shading_weights"][0], uvs, normals, -normals, CV_FROM_GL[:3, :3])
    assert np.abs(image.reshape(-1, 4)[texel, :3] / 255 - truth).max() < 0.503 / 255
    np.testing.assert_array_equal(image[..., 3], mix.alpha)
    primitive = primitives(document_of(avatar), "mesh")[1]
    document = document_of(avatar)
    materials = [document.json["materials"][p["material"]] for p in primitives(document, "mesh")]
    assert [m["alphaMode"] for m in materials] == ["OPAQUE", "BLEND"] and not any(m.get("doubleSided") for m in materials)
    assert primitive["extensions"]["FLAMEPORT_avatar"]["opaque"] is False


def test_what_plain_players_lack_is_told_in_decibels() -> None:
    avatar = tiny_avatar("mesh-basis-bytes")
    [told] = [loss for loss in glb.losses(avatar, glb.Options()) if "head-on" in loss.what]
    assert "2 mesh layers" in told.what and "dB there" in told.amount and not told.blocking
    seen = as_plain_players_show(avatar, "png")
    assert all(isinstance(layer, MeshLayer) and layer.texture is not None for layer in seen.layers)


def test_large_fallbacks_are_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.glb_textures.FALLBACK_SIDE", 8)
    avatar = tiny_avatar("mesh-basis-bytes")
    assert fallback(layer_of(avatar, MeshLayer), avatar).shape == (4, 8, 4)


def test_texels_of_a_picture_that_is_not_square() -> None:
    uvs = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    texel, face, corner = covered_texels(uvs, np.array([[0, 1, 2], [0, 2, 3]], np.int32), 3, 5)
    assert set(texel.tolist()) == set(range(15))
    at = np.einsum("pi,pic->pc", corner, uvs[np.array([[0, 1, 2], [0, 2, 3]])[face]])
    np.testing.assert_allclose(at, np.stack([(texel % 5 + 0.5) / 5, (texel // 5 + 0.5) / 3], axis=1), atol=1e-6)


def test_drivers_that_a_network_lacks_are_zero() -> None:
    avatar = tiny_avatar("own-skin", sequence=False)
    frame = with_drivers(rest_sequence(avatar.head), avatar, *avatar.networks)
    assert frame.drivers["pose6"].shape == (1, 6) and set(frame.drivers) == {"pose6"}
    assert glb.losses(avatar, glb.Options(grade="small"))


# --- Strands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grade", ["plain", "small"])
def test_strands_come_back_in_their_order(grade: str) -> None:
    avatar = tiny_avatar("strands")
    hair = layer_of(avatar, StrandLayer)
    # Faces out of order, so that a small file sorts the strands.
    binding = dataclasses.replace(hair.binding, face_index=hair.binding.face_index[::-1])
    hair = dataclasses.replace(hair, binding=binding)
    avatar = dataclasses.replace(avatar, layers=(avatar.layers[0], hair))
    back = layer_of(glb_avatar.from_document(document_of(avatar, grade=grade)), StrandLayer)
    exact = grade == "plain"
    if exact:
        np.testing.assert_array_equal(back.binding.face_index, hair.binding.face_index)
    np.testing.assert_allclose(back.points, hair.points, atol=0 if exact else 1e-2)
    np.testing.assert_allclose(back.widths[:, :-1], hair.widths[:, :-1], rtol=1e-6 if exact else 0.005)
    np.testing.assert_allclose(back.rgb[:, :-1], hair.rgb[:, :-1], atol=1e-6 if exact else 0.005)
    np.testing.assert_allclose(back.opacities[:, :-1], hair.opacities[:, :-1], atol=1e-6 if exact else 0.002)
    np.testing.assert_array_equal(back.widths[:, -1], back.widths[:, -2])
    assert back.segment_scale == pytest.approx(0.55) and back.name == "hair"


def test_strands_are_splats_for_everybody_else() -> None:
    avatar = tiny_avatar("strands")
    document = document_of(avatar)
    [primitive] = primitives(document, "strands")
    posed = deform(avatar, rest_sequence(avatar.head)).layers[1]
    np.testing.assert_allclose(document.accessor(primitive["attributes"]["POSITION"]), posed.cloud.means, atol=POSED)  # type: ignore[union-attr]
    splat_scene = next(scene for scene in document.json["scenes"] if scene["name"] == "splat_scene")
    assert len(splat_scene["nodes"]) == 2 and glb_check.problems(document) == []


def test_long_strands_on_small_triangles_keep_the_promise() -> None:
    avatar = tiny_avatar("strands")
    hair = layer_of(avatar, StrandLayer)
    long = dataclasses.replace(hair, points=hair.points * 100)
    avatar = dataclasses.replace(avatar, layers=(avatar.layers[0], long))
    document = document_of(avatar, grade="small")
    # Sixteen bits of the longest delta would leave tips a millimetre off.
    assert "KHR_mesh_quantization" not in document.json["extensionsRequired"] and glb_check.problems(document) == []
    back = glb_avatar.from_document(document)
    assert farthest(avatar, back) < POINTS


# --- Outside, and in numbers ------------------------------------------------------------------------------------------


@pytest.mark.node
@pytest.mark.skipif(not khronos.available(), reason="needs Node and its packages: scripts/build --tests")
@pytest.mark.parametrize("name", ["shells", "hair", "deformed", "decoded"])
@pytest.mark.parametrize("grade", ["plain", "small"])
def test_khronos_validator_is_content(name: str, grade: str) -> None:
    assert khronos.complaints(khronos.run(GOLDEN / f"{name}.{grade}.glb")) == []


@pytest.mark.node
@pytest.mark.skipif(not khronos.available(), reason="needs Node and its packages: scripts/build --tests")
@pytest.mark.parametrize("grade", ["plain", "small"])
def test_three_poses_the_layers(grade: str, tmp_path: Path) -> None:
    """three.js moves the last skinned mesh of the scenes: each layer in turn, alone with its skeleton."""
    avatar = tiny_avatar("mesh-basis-bytes")
    joints = np.eye(5)[np.arange(110) % 5] * 0.8 + np.eye(5)[np.arange(110) % 2] * 0.1
    binding = dataclasses.replace(skin_binding(avatar.head, 110), lbs_weights=joints)
    avatar = dataclasses.replace(avatar, layers=tuple(dataclasses.replace(layer, binding=binding) for layer in avatar.layers))
    document, sequence = document_of(avatar, grade=grade), avatar.sequence
    assert sequence is not None
    shown = document.json["scenes"][0]["nodes"]
    back = glb_avatar.from_document(document)
    for entry, layer in zip(root_of(document)["layers"], back.layers, strict=True):
        assert isinstance(layer, MeshLayer)
        content = document.json | {"scenes": [{"nodes": [entry["node"], shown[-1]]}]}
        text = json.dumps(content).encode()
        text += b" " * (-len(text) % 4)
        chunks = b"".join(len(c).to_bytes(4, "little") + kind + c for c, kind in ((text, b"JSON"), (document.binary, b"BIN\0")))
        path = tmp_path / "layer.glb"
        path.write_bytes(b"glTF" + (2).to_bytes(4, "little") + (12 + len(chunks)).to_bytes(4, "little") + chunks)
        seconds = [str(i / sequence.fps) for i in range(len(sequence))]
        told = subprocess.run(["node", str(khronos.FOLDER / "three_pose.mjs"), str(path), str(tmp_path / "out"), *seconds],
                              capture_output=True, timeout=120, check=True)
        assert json.loads(told.stdout)["name"] == layer.name
        posed = np.fromfile(tmp_path / "out", "<f8").reshape(len(seconds), -1, 3)
        primitive = document.json["meshes"][entry["mesh"]]["primitives"][0]
        places = read_places(document, Fields(primitive["extensions"]["FLAMEPORT_avatar"], ""), 110)
        for i in range(len(sequence)):
            truth = deform_mesh_points(layer, back, deform_head(back.head, sequence.take([i])))[0]
            assert np.linalg.norm(posed[i, places] - truth, axis=1).max() < (1e-5 if grade == "plain" else 2e-5)


@pytest.mark.parametrize("kind", ["mesh-basis", "everything", "own-skin"])
@pytest.mark.parametrize("grade", ["plain", "small"])
def test_validate_passes_it(kind: str, grade: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(khronos, "available", lambda: False)
    avatar = tiny_avatar(kind)
    [path] = glb.write(avatar, tmp_path / "a.glb", glb.Options(grade=grade))  # type: ignore[arg-type]
    report = validate(path, avatar, 3)
    assert report.ok, report.failure
    names = {m.what: m for m in report.measures}
    if kind != "own-skin":
        assert names["mesh layers' vertices"].bound == (0.05 if grade == "small" else 0.01)
        assert names["mesh layers in a plain glTF player at keys"].value < (0.05 if grade == "small" else 1e-3)
    assert ("Gaussian means" in names) == (kind != "mesh-basis")


def test_validate_finds_another_shading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(khronos, "available", lambda: False)
    avatar = tiny_avatar("mesh-basis-bytes")
    layer = layer_of(avatar, MeshLayer, 1)
    darker = dataclasses.replace(layer, shading=dataclasses.replace(layer.shading, bases=layer.shading.bases // 2))
    [path] = glb.write(dataclasses.replace(avatar, layers=(avatar.layers[0], darker)), tmp_path / "a.glb", glb.Options())
    report = validate(path, avatar, 2)
    assert not report.ok and report.failure is not None and "picture" in report.failure


def test_layers_are_what_they_were() -> None:
    back = glb_avatar.from_document(golden("hair"))
    assert [type(layer) for layer in back.layers] == [SplatLayer, StrandLayer]
    shells = glb_avatar.from_document(golden("shells"))
    assert all(isinstance(layer, MeshLayer) and isinstance(layer.shading, BasisMix) for layer in shells.layers)
