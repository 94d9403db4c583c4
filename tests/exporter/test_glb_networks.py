"""Networks and decoders in a GLB: how they are stored, what float16 costs, and which are refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from exporter import glb_check, khronos
from exporter.export import export
from exporter.glb_networks import network_losses, stored_networks
from exporter.targets import glb, web
from exporter.validate import validate
from formats import networks
from formats.avatar import Network
from formats.codecs import glb_avatar
from formats.codecs.glb import GlbDocument, read_document
from formats.deform import deform
from formats.errors import FormatError
from tests.builders import tiny_avatar, tiny_head, tiny_sequence
from tests.exporter.every_target import stand_in_viewer
from tests.exporter.layer_documents import (
    document_of,
    golden,
    networks_of,
    primitives,
    shading_of,
)


def test_networks_say_their_sizes_and_keep_their_numbers() -> None:
    document = golden("coefficients")
    entry = document.json["extensions"]["FLAMEPORT_avatar"]["networks"]["coefficients"]
    assert entry["inputs"] == [{"name": "expr", "shape": [1, 6]}, {"name": "eyelids", "shape": [1, 2]}]
    assert entry["outputs"] == [{"name": "coefficients", "shape": [1, 4]}] and entry["space"] == "canonical"
    view = document.json["bufferViews"][entry["bufferView"]]
    assert document.binary[view["byteOffset"]:][:view["byteLength"]] == glb_avatar.from_document(
        document).networks["coefficients"].onnx


def test_a_decoder_keeps_its_open_sizes_and_draws_any_picture() -> None:
    document = golden("decoded")
    root = document.json["extensions"]["FLAMEPORT_avatar"]
    assert (root["decoder"], root["decoderScale"]) == ("upsampler", 2)
    assert root["networks"]["upsampler"]["inputs"] == [{"name": "features", "shape": [1, 4, None, None]}]
    back = glb_avatar.from_document(document)
    assert networks.input_shapes(back.networks["upsampler"])["features"] == (1, 4, None, None)


def test_a_layer_that_a_network_moves_keeps_its_order() -> None:
    avatar = tiny_avatar("world")
    document = document_of(avatar, grade="small")
    ours = primitives(document, "splats")[0]["extensions"]["KHR_gaussian_splatting"]["extensions"]["FLAMEPORT_avatar"]
    assert ours["dynamics"] == {"network": "deformer"} and "order" not in ours
    ours["order"] = 0  # never an order of 24, but that is not looked at
    with pytest.raises(FormatError, match="keeps the avatar's order"):
        glb_avatar.from_document(document)


@pytest.mark.parametrize("grade", ["plain", "small"])
def test_float16_networks_are_half_as_large_and_told(grade: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(khronos, "available", lambda: False)
    avatar = tiny_avatar("world", n=200)
    whole = len(stored_networks(avatar)["deformer"].onnx)
    assert len(stored_networks(avatar, True)["deformer"].onnx) < 0.6 * whole
    report = export(avatar, "glb", tmp_path / "a.glb", glb.Options(grade=grade, float16_networks=True))  # type: ignore[arg-type]
    told = [loss for loss in report.losses if "float16" in loss.what]
    assert len(told) == 3 and "delta_means" in told[0].what and any("dB" in loss.amount for loss in report.losses)
    checked = validate(tmp_path / "a.glb", avatar, 3)
    assert checked.ok, checked.failure


def test_a_decoder_of_open_sizes_is_measured_with_float16_weights_too() -> None:
    avatar = glb_avatar.from_document(golden("decoded"))
    [told] = [loss for loss in network_losses(stored_networks(avatar, True)) if "upsampler" in loss.what]
    assert told.what.endswith("image") and 0 < float(told.amount.split()[2]) < 0.01


def test_sizes_that_a_graph_leaves_unsaid_are_worked_out() -> None:
    onnx = pytest.importorskip("onnx")
    avatar = glb_avatar.from_document(golden("decoded"))
    model = onnx.load_model_from_string(avatar.networks["upsampler"].onnx)
    for size in model.graph.output[0].type.tensor_type.shape.dim:
        size.dim_param = "open"
    own = dataclasses.replace(avatar.networks["upsampler"], onnx=model.SerializeToString())
    document = document_of(dataclasses.replace(avatar, networks=avatar.networks | {"upsampler": own}))
    [output] = networks_of(document)["upsampler"]["outputs"]
    assert output["shape"][:2] == [1, 3] and glb_check.problems(document) == []
    output["shape"] = [None] * 4
    assert glb_check.problems(document) == []
    output["shape"][1] = 4
    assert any("upsampler" in problem for problem in glb_check.problems(document))


def test_options_about_what_is_not_there_say_nothing() -> None:
    avatar, options = tiny_avatar("linear"), glb.Options(float16_networks=True, layer_textures="webp")
    assert glb.losses(avatar, options) == glb.losses(avatar, glb.Options())


def test_a_graph_that_engines_may_not_run_is_stored_and_told() -> None:
    onnx = pytest.importorskip("onnx")
    avatar = tiny_avatar("own-skin")
    model = onnx.load_model_from_string(avatar.networks["appearance"].onnx)
    model.graph.node[2].op_type = "HardSigmoid"
    own = Network(model.SerializeToString(), *(getattr(avatar.networks["appearance"], n) for n in ("inputs", "outputs", "space")))
    avatar = dataclasses.replace(avatar, networks={"appearance": own})
    assert stored_networks(avatar)["appearance"].onnx == own.onnx
    [told] = [loss for loss in glb.losses(avatar, glb.Options()) if "stored as it is" in loss.what]
    assert "HardSigmoid" in told.what and not told.blocking


def test_lids_that_only_a_network_reads_are_in_the_clip() -> None:
    head = dataclasses.replace(tiny_head(), eyeliddirs=None)
    avatar = dataclasses.replace(tiny_avatar("world", head=head, sequence=False), sequence=tiny_sequence(head, 4))
    back = glb_avatar.from_document(document_of(avatar))
    assert back.sequence is not None and avatar.sequence is not None
    np.testing.assert_allclose(back.sequence.eyelids, avatar.sequence.eyelids, atol=1e-6)


def test_a_damaged_graph_is_refused_when_it_is_used_and_found_by_the_check() -> None:
    document = golden("deformed")
    view = document.json["bufferViews"][networks_of(document)["deformer"]["bufferView"]]
    spoilt = bytearray(document.binary)
    spoilt[view["byteOffset"]:view["byteOffset"] + 40] = bytes(40)
    damaged = GlbDocument(document.json, bytes(spoilt), document.where)
    avatar = glb_avatar.from_document(damaged)
    assert avatar.sequence is not None
    with pytest.raises(FormatError, match="network"):
        deform(avatar, avatar.sequence)
    assert any("deformer" in problem for problem in glb_check.problems(damaged))
    with pytest.raises(FormatError):
        glb.to_bytes(avatar)


def test_the_page_takes_the_same_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = stand_in_viewer(tmp_path / "viewer")
    monkeypatch.setattr("web_viewer.dist_folder", lambda: viewer)
    options = web.Options(grade="small", layer_textures="png", float16_networks=True)
    report = export(tiny_avatar("mesh-basis-bytes"), "web", tmp_path / "page", options)
    assert any("float16" in loss.what for loss in report.losses)
    document = read_document(tmp_path / "page" / "avatar.glb")
    assert networks_of(document)["shading"]["weights"] == "float16"
    assert document.json["images"][shading_of(document)["bases"][0]]["mimeType"] == "image/png"
