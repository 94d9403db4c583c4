"""Networks as ONNX: plain graphs of fixed size that give the avatar's own numbers, and say what goes in and comes out."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporter import onnx_check, onnx_float16, onnx_plain
from exporter.export import export
from exporter.targets import onnx as target
from exporter.targets.onnx import Options
from formats import networks
from formats.avatar import Avatar, Network, SplatLayer
from formats.deform import coefficients_of, driver_values
from formats.errors import AvatarError, CheckpointMismatch, FormatError, UnsupportedFeature
from formats.importers.gha_networks import super_resolution
from formats.onnx_graph import OnnxGraph
from tests.builders import tiny_avatar, tiny_head, tiny_network

NETWORKED = ("world", "own-skin", "linear", "linear-network", "mesh-basis")


def about(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "networks.json").read_text())


def with_network(network: Network, kind: str = "world", name: str = "deformer") -> Avatar:
    avatar = tiny_avatar(kind)
    return dataclasses.replace(avatar, networks={**avatar.networks, name: network})


def decoded(scale: int = 4, channels: int = 5, seed: int = 0) -> Avatar:
    """An avatar with Gaussian Head Avatar's kind of decoder, for pictures of any size, and features for it."""
    rng = np.random.default_rng(seed)
    widths = [(channels, 6), (6, 6), (6, 4), (4, 4), (4, 4), (4, 4)]
    keys = ("inc.double_conv.0", "inc.double_conv.3", "up1.conv.double_conv.0", "up1.conv.double_conv.3",
            "up2.conv.double_conv.0", "up2.conv.double_conv.3")
    state = {f"{key}.weight": rng.normal(0, 0.3, (b, a, 3, 3)).astype(np.float32)
             for key, (a, b) in zip(keys, widths, strict=True)}
    state |= {"outc.conv.weight": rng.normal(0, 0.5, (3, 4, 1, 1)).astype(np.float32), "outc.conv.bias": np.zeros(3, np.float32)}
    decoder, _ = super_resolution(state, "test")
    head = tiny_head()
    features = tiny_network(head, ("expr", "jaw"), {"features": (24, channels)}, size=0.5)
    avatar = tiny_avatar("edge-height", degree=0)
    layer = avatar.layers[0]
    assert isinstance(layer, SplatLayer)
    return dataclasses.replace(avatar, layers=(dataclasses.replace(layer, dynamics="looks"),),
                               networks={"looks": features, "pictures": decoder}, decoder="pictures", decoder_scale=scale)


# --- What is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKED)
def test_every_network_is_written_and_gives_the_same(kind: str, tmp_path: Path) -> None:
    avatar = tiny_avatar(kind)
    report = export(avatar, "onnx", tmp_path / "nets", Options(float16=True))
    said = about(tmp_path / "nets")
    assert said["license_notices"] == list(avatar.meta.license_notices) and said["format"] == "flameport.networks/1"
    assert set(avatar.networks) <= set(said["networks"])
    assert {p.name for p in report.paths} == {"networks.json", *(e[k] for e in said["networks"].values()
                                                                 for k in ("file", "float16_file"))}
    for entry in said["networks"].values():
        assert max(entry["error"]["float32"].values()) <= 1e-5
        assert 0 < max(e["relative"] for e in entry["error"]["float16"].values()) < 2e-3
    checked = onnx_check.check(tmp_path / "nets", avatar)
    assert checked.ok and len(checked.measures) >= 2 * len(said["networks"])


@pytest.mark.parametrize("kind", ["own-skin", "linear-network", "mesh-basis"])
def test_files_say_what_networks_json_says(kind: str, tmp_path: Path) -> None:
    avatar = tiny_avatar(kind)
    export(avatar, "onnx", tmp_path / "nets", Options(float16=True))
    for name, entry in about(tmp_path / "nets")["networks"].items():
        for key in ("file", "float16_file"):
            model = onnx.load(tmp_path / "nets" / entry[key])
            found = target.metadata(model)
            assert found["name"] == name and found["license"] == "Made by the tests; free for any use."
            assert found["edition"] == avatar.head.edition
            for field in ("role", "layers", "space", "inputs", "outputs", "error"):
                assert found[field] == entry[field]
            assert [(e.domain, e.version) for e in model.opset_import] == [("", 15)] and model.ir_version == 8
            for value in (*model.graph.input, *model.graph.output):
                assert all(d.HasField("dim_value") for d in value.type.tensor_type.shape.dim), value.name
                assert value.type.tensor_type.elem_type == TensorProto.FLOAT


def test_drivers_are_named_with_order_and_unit(tmp_path: Path) -> None:
    avatar = tiny_avatar("own-skin")
    export(avatar, "onnx", tmp_path / "nets")
    entry = about(tmp_path / "nets")["networks"]["appearance"]
    inputs = {value["name"]: value for value in entry["inputs"]}
    assert list(inputs) == ["expr", "neck", "jaw", "pose6"] and inputs["expr"]["order"] == list(avatar.head.expr_names)
    assert inputs["jaw"]["unit"] == "rad" and inputs["pose6"]["shape"] == [1, 6]
    assert {v["name"]: v["shape"] for v in entry["outputs"]} == {
        "delta_means": [24, 3], "delta_opacity_logits": [24, 1], "delta_rgb": [24, 3]}


def test_linear_dynamics_with_a_mean_and_a_network(tmp_path: Path) -> None:
    """The graph takes the driver as it is; network and tables in a row are what `formats.deform` computes."""
    avatar = tiny_avatar("linear-network")
    layer = avatar.layers[0]
    assert isinstance(layer, SplatLayer) and layer.dynamics is not None and avatar.sequence is not None
    mean = np.linspace(-0.4, 0.5, 8, dtype=np.float32)
    dynamics = dataclasses.replace(layer.dynamics, driver_mean=mean)  # type: ignore[type-var]
    avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(layer, dynamics=dynamics),))
    export(avatar, "onnx", tmp_path / "nets")
    said = about(tmp_path / "nets")["networks"]
    assert [v["normalisation"] for v in said["coefficients"]["inputs"]] == [
        {"kind": "subtract", "mean": [float(x) for x in part], "by": "the graph itself; give the driver as it is"}
        for part in (mean[:6], mean[6:])]
    frame = avatar.sequence.take([1])
    feed = driver_values(("expr", "eyelids"), avatar.head, frame)
    (c,) = target.run((tmp_path / "nets" / "coefficients.onnx").read_bytes(), [dict(feed)])
    np.testing.assert_allclose(c["coefficients"][0], coefficients_of(dynamics, avatar, frame), atol=1e-6)
    (deltas,) = target.run((tmp_path / "nets" / said["splats.deltas"]["file"]).read_bytes(), [c])
    np.testing.assert_allclose(deltas["delta_means"], np.einsum("nkc,k->nc", dynamics.tables["means"], c["coefficients"][0]),
                               atol=1e-7)
    assert onnx_check.check(tmp_path / "nets", avatar).ok


def test_a_network_may_list_its_inputs_in_another_order_than_the_driver(tmp_path: Path) -> None:
    avatar = tiny_avatar("linear-network")
    layer, head = avatar.layers[0], avatar.head
    assert isinstance(layer, SplatLayer) and layer.dynamics is not None and avatar.sequence is not None
    dynamics = dataclasses.replace(layer.dynamics, driver_mean=np.linspace(-0.4, 0.5, 8, dtype=np.float32))  # type: ignore[type-var]
    avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(layer, dynamics=dynamics),),
                                 networks={"coefficients": tiny_network(head, ("eyelids", "expr"), {"coefficients": (1, 4)})})
    export(avatar, "onnx", tmp_path / "nets")
    frame = avatar.sequence.take([1])
    feed = dict(driver_values(("eyelids", "expr"), head, frame))
    (c,) = target.run((tmp_path / "nets" / "coefficients.onnx").read_bytes(), [feed])
    np.testing.assert_allclose(c["coefficients"][0], coefficients_of(dynamics, avatar, frame), atol=1e-6)



def test_a_decoder_of_any_size_gets_one(tmp_path: Path) -> None:
    avatar = decoded()
    export(avatar, "onnx", tmp_path / "nets", Options(width=48, height=32, float16=True))
    entry = about(tmp_path / "nets")["networks"]["pictures"]
    assert entry["inputs"][0]["shape"] == [1, 5, 8, 12] and entry["outputs"][0]["shape"] == [1, 3, 32, 48]
    assert entry["decoder_scale"] == 4 and entry["float16"]["arithmetic"] == "float16" and "Resize" not in entry["operators"]
    assert entry["error"]["float16"]["image"]["largest"] < 0.02
    assert onnx_check.check(tmp_path / "nets", avatar).ok
    with pytest.raises(UnsupportedFeature, match="do not divide"):
        export(avatar, "onnx", tmp_path / "odd", Options(width=50))


def test_a_second_runtime_agrees(tmp_path: Path) -> None:
    """onnx's own reference evaluator, which shares nothing with onnxruntime."""
    from onnx.reference import ReferenceEvaluator

    avatar = decoded()
    export(avatar, "onnx", tmp_path / "nets", Options(width=32, height=32))
    for entry in about(tmp_path / "nets")["networks"].values():
        data = (tmp_path / "nets" / entry["file"]).read_bytes()
        rng = np.random.default_rng(2)
        feed = {v["name"]: rng.normal(size=v["shape"]).astype(np.float32) for v in entry["inputs"]}
        names = [v["name"] for v in entry["outputs"]]
        second = ReferenceEvaluator(onnx.load_from_string(data)).run(names, feed)
        for name, value in zip(names, second, strict=True):
            np.testing.assert_allclose(target.run(data, [feed])[0][name], value, atol=2e-5)


def test_the_same_network_under_two_means_is_two_files(tmp_path: Path) -> None:
    avatar = tiny_avatar("linear-network")
    layer = avatar.layers[0]
    assert isinstance(layer, SplatLayer) and layer.dynamics is not None
    moved = dataclasses.replace(layer.dynamics, driver_mean=np.ones(8, np.float32))  # type: ignore[type-var]
    other = dataclasses.replace(layer, name="more", dynamics=moved)
    both = dataclasses.replace(avatar, layers=(layer, other))
    export(both, "onnx", tmp_path / "nets", Options(tables=False))
    assert set(about(tmp_path / "nets")["networks"]) == {"coefficients.splats", "coefficients.more"}
    assert onnx_check.check(tmp_path / "nets", both).ok


# --- Made plain -------------------------------------------------------------------------------------------------------


def model_of(nodes: list[Any], constants: dict[str, np.ndarray], opset: int = 15, size: Any = 6) -> bytes:
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("expr", TensorProto.FLOAT, [1, size])],
        [helper.make_tensor_value_info("coefficients", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def test_sizes_that_are_computed_are_folded() -> None:
    """What torch writes for x.view(x.shape[0], -1, 2): Shape, Gather, Unsqueeze, Concat, Reshape."""
    node = helper.make_node
    data = model_of(
        [node("Shape", ["expr"], ["shape"]), node("Gather", ["shape", "zero"], ["first"], axis=0),
         node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([0]))),
         node("Unsqueeze", ["first", "axes"], ["batch"]), node("Concat", ["batch", "rest"], ["wanted"], axis=0),
         node("Reshape", ["expr", "wanted"], ["cut"]), node("Unsqueeze", ["cut", "axes"], ["more"]),
         node("Flatten", ["more"], ["flat"], axis=2), node("ReduceSum", ["flat", "axes"], ["coefficients"], keepdims=1)],
        {"zero": np.array(0), "rest": np.array([-1, 2])}, size="n")
    model = onnx_plain.plain(data, {"expr": (1, 6)}, "test")
    assert onnx_plain.operators(model) == {"ReduceSum": 1, "Reshape": 3}
    x = np.arange(6, dtype=np.float32)[None]
    found = target.run(model.SerializeToString(), [{"expr": x}])[0]["coefficients"]
    own = networks.evaluate(Network(data, ("expr",), ("coefficients",)), {"expr": x})["coefficients"]
    np.testing.assert_array_equal(found, own)


@pytest.mark.parametrize("opset", [11, 17])
def test_other_opsets_are_converted(opset: int) -> None:
    data = model_of([helper.make_node("Tanh", ["expr"], ["a"]), helper.make_node("Add", ["a", "b"], ["coefficients"])],
                    {"b": np.ones(6, np.float32)}, opset)
    model = onnx_plain.plain(data, {"expr": (1, 6)}, "test")
    assert model.opset_import[0].version == 15


@pytest.mark.parametrize("name, attributes", [("LSTM", None), ("Einsum", {"equation": "ij,ij->ij"}), ("Conv", None)])
def test_operators_off_the_list_are_refused(name: str, attributes: dict | None) -> None:
    node = helper.make_node
    if name == "Einsum":
        nodes, held = [node("Einsum", ["expr", "expr"], ["coefficients"], **(attributes or {}))], {}
    elif name == "Conv":
        nodes = [node("Reshape", ["expr", "s"], ["x"]), node("Conv", ["x", "w"], ["coefficients"])]
        held = {"s": np.array([1, 1, 6]), "w": np.ones((1, 1, 3), np.float32)}
    else:
        nodes = [node("Reshape", ["expr", "s"], ["x"]), node("LSTM", ["x", "w", "r"], ["coefficients"], hidden_size=1)]
        held = {"s": np.array([1, 1, 6]), "w": np.ones((1, 4, 6), np.float32), "r": np.ones((1, 4, 1), np.float32)}
    with pytest.raises(UnsupportedFeature, match=f"uses {name}"):
        onnx_plain.plain(model_of(nodes, held), {"expr": (1, 6)}, "test")


def test_sizes_that_depend_on_values_are_refused() -> None:
    data = model_of([helper.make_node("NonZero", ["expr"], ["where"]),
                     helper.make_node("Cast", ["where"], ["coefficients"], to=TensorProto.FLOAT)], {})
    with pytest.raises(UnsupportedFeature, match="depends on values|uses NonZero"):
        onnx_plain.plain(data, {"expr": (1, 6)}, "test")


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(FormatError, match="not an ONNX graph"):
        onnx_plain.plain(b"\xff\xff hello", {"expr": (1, 6)}, "test")
    with pytest.raises(FormatError, match="expected jaw"):
        onnx_plain.plain(model_of([helper.make_node("Tanh", ["expr"], ["coefficients"])], {}), {"jaw": (1, 3)}, "test")


@pytest.mark.parametrize("mode", ["align_corners", "half_pixel", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("factor", [(2.0, 2.0), (0.5, 3.0), (1.0, 1.0)])
def test_bilinear_resize_is_plain_and_the_same(mode: str, factor: tuple[float, float]) -> None:
    g = OnnxGraph()
    x = g.input("features", 1, 2, 6, 4)
    g.output("image", g("Resize", x, None, np.array([1, 1, *factor], np.float32), mode="linear",
                        coordinate_transformation_mode=mode))
    network = g.network()
    model = onnx_plain.plain(network.onnx, {"features": (1, 2, 6, 4)}, "test", pictures=True)
    assert not {"Resize", "Conv"} & set(onnx_plain.operators(model))
    feed = {"features": np.random.default_rng(0).normal(size=(1, 2, 6, 4)).astype(np.float32)}
    np.testing.assert_allclose(target.run(model.SerializeToString(), [feed])[0]["image"],
                               networks.evaluate(network, feed)["image"], atol=1e-6)


# --- float16 ----------------------------------------------------------------------------------------------------------


def test_numbers_beyond_float16_keep_float32_arithmetic(tmp_path: Path) -> None:
    g = OnnxGraph()
    wide = np.random.default_rng(0).normal(size=(6, 24 * 3)).astype(np.float32)
    x = g("Mul", g("MatMul", g.input("expr", 1, 6), wide), np.float32(1e6))
    g.output("delta_means", g("Reshape", g("Mul", x, np.float32(1e-9)), np.array([24, 3])))
    avatar = with_network(g.network("posed"))
    export(avatar, "onnx", tmp_path / "nets", Options(float16=True))
    entry = about(tmp_path / "nets")["networks"]["deformer"]
    assert entry["float16"]["arithmetic"].startswith("float32")
    assert entry["error"]["float16"]["delta_means"]["relative"] < 1e-3
    half = onnx.load(tmp_path / "nets" / entry["float16_file"])
    kinds = {t.data_type for t in half.graph.initializer}
    assert TensorProto.FLOAT16 in kinds and TensorProto.FLOAT in kinds
    assert onnx_check.check(tmp_path / "nets", avatar).ok


def test_float16_is_half_the_size_and_told_as_a_note(tmp_path: Path) -> None:
    avatar = tiny_avatar("linear")
    paths = export(avatar, "onnx", tmp_path / "nets", Options(float16=True)).paths
    sizes = {p.name: p.stat().st_size for p in paths}
    model = onnx.load(tmp_path / "nets" / "splats.deltas.onnx")
    weights = sum(len(t.raw_data) for t in model.graph.initializer)
    assert sizes["splats.deltas.onnx"] - sizes["splats.deltas.float16.onnx"] > 0.4 * weights
    told = target.losses(avatar, Options(float16=True))
    assert len(told) == 5 and not any(loss.blocking for loss in told) and "m off" in told[0].amount
    assert target.losses(avatar, Options()) == []


def test_a_wrong_variant_would_be_found() -> None:
    """The measured error is of the float16 graph: one bad weight shows."""
    model = onnx_plain.plain(tiny_network(tiny_head(), ("expr",), {"coefficients": (1, 4)}, size=0.5).onnx, {"expr": (1, 6)}, "t")
    half = onnx_float16.float16_arithmetic(model)
    feeds = [{"expr": np.ones((1, 6), np.float32)}]
    truth = target.run(model.SerializeToString(), feeds)
    assert target.errors(target.run(half.SerializeToString(), feeds), truth)["coefficients"]["relative"] < 2e-3
    for tensor in half.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float16(1.1), tensor.name))
    assert target.errors(target.run(half.SerializeToString(), feeds), truth)["coefficients"]["relative"] > 2e-2


# --- Refusals and checks ----------------------------------------------------------------------------------------------


def test_an_avatar_without_networks(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="no networks"):
        export(tiny_avatar("edge-height"), "onnx", tmp_path / "nets")
    assert not list(tmp_path.iterdir())


def test_somebody_elses_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(FormatError, match="other things"):
        export(tiny_avatar("world"), "onnx", tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_names_that_are_no_files(tmp_path: Path) -> None:
    avatar = tiny_avatar("world")
    layer = dataclasses.replace(avatar.layers[0], dynamics="../a b")
    odd = dataclasses.replace(avatar, layers=(layer,), networks={"../a b": avatar.networks["deformer"]})
    paths = export(odd, "onnx", tmp_path / "nets").paths
    assert all(p.parent == tmp_path / "nets" for p in paths) and onnx_check.check(tmp_path / "nets", odd).ok


def test_changed_weights_fail_the_check(tmp_path: Path) -> None:
    avatar = tiny_avatar("world")
    export(avatar, "onnx", tmp_path / "nets")
    path = tmp_path / "nets" / "deformer.onnx"
    model = onnx.load(path)
    first = next(t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)
    first.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(first) * np.float32(1.05), first.name))
    onnx.save(model, path)
    report = onnx_check.check(tmp_path / "nets", avatar)
    assert not report.ok and "deformer" in report.failure


def test_graphs_with_damaged_bytes_end_in_one_clear_line(tmp_path: Path) -> None:
    avatar, rng = tiny_avatar("world"), random.Random(3)
    export(avatar, "onnx", tmp_path / "nets")
    path = tmp_path / "nets" / "deformer.onnx"
    raw = path.read_bytes()
    for _ in range(40):
        data = bytearray(raw)
        for _ in range(3):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            onnx_check.check(tmp_path / "nets", avatar)
        except AvatarError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("damage, error, match", [
    (lambda f: (f / "deformer.onnx").write_bytes(b"\xff\xff"), FormatError, "not an ONNX graph"),
    (lambda f: (f / "deformer.onnx").unlink(), Exception, "no such file"),
    (lambda f: edit(f, lambda a: a["networks"]["deformer"].__setitem__("file", "../x.onnx")), FormatError, "without folders"),
    (lambda f: edit(f, lambda a: a["networks"]["deformer"].__setitem__("space", "canonical")), FormatError, "another 'space'"),
    (lambda f: edit(f, lambda a: a["networks"].__setitem__("two", a["networks"]["deformer"])), CheckpointMismatch, "'two'"),
    (lambda f: edit(f, lambda a: a["networks"].clear()), CheckpointMismatch, "no graph"),
    (lambda f: edit(f, lambda a: a["head"].__setitem__("content_hash", "00")), CheckpointMismatch, "another head"),
])
def test_wrong_folders_end_in_one_clear_line(damage: Any, error: Any, match: str, tmp_path: Path) -> None:
    avatar = tiny_avatar("world")
    export(avatar, "onnx", tmp_path / "nets")
    damage(tmp_path / "nets")
    with pytest.raises(error, match=match) as raised:
        onnx_check.check(tmp_path / "nets", avatar)
    assert "\n" not in str(raised.value)


def edit(folder: Path, change: Any) -> None:
    said = about(folder)
    change(said)
    (folder / "networks.json").write_text(json.dumps(said))
