"""What the C# core's tests read about networks: operators one by one as onnxruntime answers, and avatars that networks move."""

import base64
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from exporter.glb_networks import StoredNetwork, stored_networks
from exporter.targets import unity
from formats.avatar import Avatar, SplatLayer
from formats.codecs import glb_avatar
from formats.codecs.packed_texels import pack
from formats.conventions import sh_to_rgb
from formats.deform import PosedSplats, deform, deform_head
from formats.importers import flash_avatar, mono_gaussian_avatar
from formats.onnx_graph import OnnxGraph
from formats.render import RenderOptions
from tests.builders import tiny_avatar, tiny_camera
from unity_sample.ci.player import moment_of, records_of

MOMENTS = (0.0, 1.5)
Case = tuple[str, dict[str, tuple[int, ...]], Callable[[OnnxGraph], str]]
"""A name, the inputs' shapes, and what is made of inputs of those names."""

A: tuple[int, ...] = (3, 4)
ANY = ("Abs", "Atan", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "LeakyRelu", "Neg", "Relu", "Round", "Sigmoid", "Sign", "Sin",
       "Softplus", "Tan", "Tanh", "Identity")
PAIRS = ("Add", "Sub", "Mul", "Div", "Max", "Min")
COMPARED = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
SHAPES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (((3, 4), (4,)), ((3, 1), (1, 4)), ((2, 3, 4), (3, 1)),
                                                               ((3, 4), ()),
                                                              ((5,), (2, 1, 5)), ((2, 1, 3, 1), (4, 1, 5)))


def _of(operator: str, *inputs: Any, **attributes: Any) -> Callable[[OnnxGraph], str]:
    return lambda g: g(operator, *inputs, **attributes)


def _cast(value: Callable[[OnnxGraph], str]) -> Callable[[OnnxGraph], str]:
    return lambda g: g("Cast", value(g), to=1)


def _cases() -> list[Case]:
    found: list[Case] = []
    found += [(name, {"x": A}, _of(name, "x")) for name in ANY]
    inside: tuple[tuple[str, Callable[[OnnxGraph], str]], ...] = tuple(
        (name, lambda g, name=name: g(name, g("Add", g("Abs", g("Tanh", "x")), np.float32(1e-3))))
        for name in ("Log", "Sqrt", "Reciprocal"))
    found += [(name, {"x": A}, make) for name, make in inside]
    found += [(name, {"x": A}, lambda g, name=name: g(name, g("Tanh", "x"))) for name in ("Acos", "Asin")]
    found += [(name, {"x": A, "y": A}, _of(name, "x", "y")) for name in PAIRS]
    found += [(f"{name} {one} {two}", {"x": one, "y": two}, _of(name, "x", "y")) for one, two in SHAPES for name in ("Sub",
                                                                                                                     "Div")]
    found += [(name, {"x": A, "y": (4,)}, _cast(_of(name, "x", "y"))) for name in COMPARED]
    found += [("equal", {"x": A}, _cast(lambda g: g("Equal", g("Round", "x"), np.float32(1)))),
              ("logic", {"x": A, "y": A}, _cast(lambda g: g("And", g("Not", g("Less", "x", "y")),
                                                            g("Or", g("Less", "x", np.float32(0)), g("Less", np.float32(1),
                                                                                                     "y"))))),
              ("Where", {"x": A, "y": (4,), "z": (3, 1)}, lambda g: g("Where", g("Less", "x", "y"), "z", "y")),
              ("Pow", {"x": A}, lambda g: g("Pow", g("Abs", "x"), np.float32(1.7))),
              ("PRelu", {"x": A}, _of("PRelu", "x", np.array([0.1, 0.2, -0.3, 2]))),
              ("Max of three", {"x": A, "y": (4,), "z": (3, 1)}, _of("Max", "y", "x", "z")),
              ("Min of one", {"x": A}, _of("Min", "x")),
              ("Clip", {"x": A}, _of("Clip", "x", np.float32(-0.4), np.float32(0.9))),
              ("Clip above", {"x": A}, _of("Clip", "x", None, np.float32(0.2))),
              ("Elu 0.3", {"x": A}, _of("Elu", "x", alpha=0.3)), ("LeakyRelu 0.4", {"x": A}, _of("LeakyRelu", "x", alpha=0.4)),
              ("whole", {"x": A}, lambda g: g("Cast", g("Div", g("Cast", g("Mul", "x", np.float32(9)), to=7), np.array(4)),
                                              to=1)),
              ("truth", {"x": A}, lambda g: g("Cast", g("Cast", g("Relu", "x"), to=9), to=1))]
    found += [("Reshape", {"x": (2, 3, 4)}, _of("Reshape", "x", np.array([0, -1]))),
              ("Expand", {"x": (3, 1)}, _of("Expand", "x", np.array([2, 1, 4]))),
              ("Tile", {"x": (2, 3)}, _of("Tile", "x", np.array([3, 2]))),
              ("Transpose", {"x": (2, 3, 4)}, _of("Transpose", "x", perm=[2, 0, 1])),
              ("Transpose all", {"x": (2, 3, 4)}, _of("Transpose", "x")),
              ("Concat", {"x": (2, 3, 4), "y": (2, 1, 4)}, _of("Concat", "x", "y", "x", axis=1)),
              ("Concat last", {"x": A, "y": A}, _of("Concat", "x", "y", axis=-1)),
              ("Gather", {"x": (5, 4)}, _of("Gather", "x", np.array([[0, 4], [-1, 2]]))),
              ("Gather one", {"x": (2, 5)}, _of("Gather", "x", np.array(3), axis=1)),
              ("Slice", {"x": (5, 6)}, _of("Slice", "x", np.array([1, -4]), np.array([2**62, -1]), np.array([0, 1]),
                                           np.array([2, 1]))),
              ("Slice back", {"x": (5, 6)}, _of("Slice", "x", np.array([-1]), np.array([-(2**62)]), np.array([1]),
                                                np.array([-2]))),
              ("Slice none", {"x": (5, 6)}, _of("Slice", "x", np.array([2]), np.array([4]))),
              ("Split", {"x": (2, 7)}, lambda g: g("Mul", *g("Split", "x", np.array([3, 1, 3]), outputs=3, axis=1)[::2])),
              ("Split even", {"x": (2, 6)}, lambda g: g("Sub", *g("Split", "x", outputs=2, axis=-1)))]
    found += [("MatMul", {"x": (5, 7), "y": (7, 3)}, _of("MatMul", "x", "y")),
              ("MatMul many", {"x": (2, 1, 5, 7), "y": (3, 7, 2)}, _of("MatMul", "x", "y")),
              ("MatMul row", {"x": (7,), "y": (2, 7, 3)}, _of("MatMul", "x", "y")),
              ("MatMul column", {"x": (2, 5, 7), "y": (7,)}, _of("MatMul", "x", "y")),
              ("MatMul weights", {"x": (6, 9)}, _of("MatMul", "x", np.linspace(-1, 1, 63).reshape(9, 7))),
              ("Gemm", {"x": (5, 7), "y": (7, 3), "z": (3,)}, _of("Gemm", "x", "y", "z", alpha=0.7, beta=-1.5)),
              ("Gemm turned", {"x": (7, 5), "y": (3, 7), "z": (5, 1)}, _of("Gemm", "x", "y", "z", transA=1, transB=1)),
              ("Gemm bare", {"x": (5, 7)}, _of("Gemm", "x", np.linspace(-1, 1, 21).reshape(3, 7), transB=1)),
              ("ReduceSum", {"x": (2, 3, 4)}, _of("ReduceSum", "x", np.array([1]), keepdims=0)),
              ("ReduceSum two", {"x": (2, 3, 4)}, _of("ReduceSum", "x", np.array([0, -1]))),
              ("ReduceSum all", {"x": (2, 3, 4)}, _of("ReduceSum", "x")),
              ("ReduceSum none", {"x": (2, 3)}, _of("ReduceSum", "x", noop_with_empty_axes=1)),
              ("ReduceMean", {"x": (2, 3, 4)}, _of("ReduceMean", "x", axes=[0, 2], keepdims=0)),
              ("ReduceMax", {"x": (2, 3, 4)}, _of("ReduceMax", "x", axes=[-2])),
              ("ReduceMin", {"x": (2, 3, 4)}, _of("ReduceMin", "x")),
              ("Softmax", {"x": (2, 3, 4)}, _of("Softmax", "x", axis=1)), ("Softmax last", {"x": A}, _of("Softmax", "x")),
              ("constants", {"x": A}, lambda g: g("Add", "x", g("Expand", g("Mul", np.float32(3), np.float32(0.5)),
                                                                np.array([3, 4])))),
              ("reused", {"x": A}, _reused), ("rotvec", {"x": (9, 4)}, lambda g: g.rotvec("x"))]
    return found


def _reused(g: OnnxGraph) -> str:
    # Memory of what is gone is used again, around something that is made once.
    x = g("Mul", g("Add", "x", np.float32(1)), np.float32(2))
    x = g("Tanh", g("Sin", x))
    once = g("Exp", np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4))
    for _ in range(3):
        x = g("Mul", g("Sin", g("Add", x, once)), x)
    return x


def _ports(shapes: dict[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    return [{"name": name, "shape": list(shape)} for name, shape in shapes.items()]


def operators() -> list[dict[str, Any]]:
    """Return every operator as a graph of its own, with numbers, and what onnxruntime makes of them."""
    import onnxruntime

    rng, written = np.random.default_rng(8), []
    for name, inputs, make in _cases():
        g = OnnxGraph()
        for key, shape in inputs.items():
            g.input(key, *shape)
        made = make(g)
        g.output("coefficients", made)
        # Ranks of outputs are not declared as they are; nothing depends on that.
        model = g._onnx.load_model_from_string(_model(g))
        feeds = {key: rng.normal(size=shape).astype(np.float32) for key, shape in inputs.items()}
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        answer = np.asarray(session.run(None, feeds)[0])
        written.append({"name": name, "onnx": base64.b64encode(model.SerializeToString()).decode(), "inputs": _ports(inputs),
                        "outputs": _ports({"coefficients": answer.shape}), "feeds": [v.ravel().tolist() for v in feeds.values()],
                        "answers": [answer.ravel().astype(float).tolist()]})
    return written


def _model(g: OnnxGraph) -> bytes:
    helper, kinds = g._onnx.helper, g._onnx.TensorProto
    graph = helper.make_graph(g._nodes, "one", list(g._inputs.values()), [helper.make_tensor_value_info("coefficients",
                                                                                                        kinds.FLOAT, None)],
                              list(g._constants.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()


def _refused() -> list[dict[str, Any]]:
    import onnx
    from onnx import TensorProto, helper

    def model(nodes: list[Any], tensors: tuple[Any, ...] = (), **more: Any) -> bytes:
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 4])], list(tensors), **more)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)]).SerializeToString()

    node = helper.make_node
    outside = onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")
    outside.data_location, outside.raw_data = TensorProto.EXTERNAL, b""
    outside.external_data.add(key="location", value="/etc/passwd")
    body = helper.make_graph([node("Identity", ["x"], ["b"])], "body", [], [helper.make_tensor_value_info("b",
                                                                                                          TensorProto.FLOAT,
                                                                                                          None)])
    size = onnx.numpy_helper.from_array(np.array([3, 1 << 30]), "s")
    many = onnx.numpy_helper.from_array(np.array([3000, 3000, 1, 1]), "s")
    function = onnx.ModelProto.FromString(model([node("Identity", ["x"], ["y"])]))
    function.functions.add(name="f")
    cases = {
        "operator": (model([node("Conv", ["x", "x"], ["y"])]), "uses Conv"),
        "domain": (model([node("Identity", ["x"], ["y"], domain="com.other")]), "operators of its own"),
        "function": (function.SerializeToString(), "operators of its own"),
        "loop": (model([node("If", ["x"], ["y"], then_branch=body, else_branch=body)]), "a graph in a graph"),
        "outside": (model([node("Add", ["x", "w"], ["y"])], (outside,)), "outside of the file"),
        "moving size": (model([node("Reshape", ["x", "x"], ["y"])]), "sizes that depend"),
        "huge": (model([node("Expand", ["x", "s"], ["y"])], (size,)), "damaged"),
        "large": (model([node("Expand", ["x", "s"], ["a"]), node("Identity", ["x"], ["y"])], (many,)), "too large"),
        "twice": (model([node("Identity", ["x"], ["y"]), node("Neg", ["x"], ["y"])]), "damaged"),
        "nowhere": (model([node("Add", ["x", "q"], ["y"])]), "damaged"),
        "nothing": (b"", "damaged"), "text": (b"GLB or not", "damaged"),
    }
    taken, given = _ports({"x": (3, 4)}), _ports({"y": (3, 4)})
    return [{"name": name, "onnx": base64.b64encode(data).decode(), "inputs": taken, "outputs": given, "says": says}
            for name, (data, says) in cases.items()]


def _means() -> Avatar:
    """An avatar whose network is told where its Gaussians are."""
    avatar = tiny_avatar("world")
    count, g = 24, OnnxGraph()
    means, jaw = g.input("posed_means", count, 3), g.input("jaw", 1, 3)
    waves = g("Sin", g("Mul", means, np.float32(60)))
    mixed = g("Tanh", g.linear(g("Concat", waves, g("Expand", jaw, np.array([count, 3])), axis=1), np.linspace(-1, 1,
                                                                                                               30).reshape(5, 6)))
    g.output("delta_means", g.linear(mixed, np.linspace(-0.004, 0.006, 15).reshape(3, 5)))
    g.output("delta_opacity_logits", g.linear(mixed, np.linspace(-1, 1, 5).reshape(1, 5)))
    return dataclasses.replace(avatar, networks={"deformer": g.network("posed")})


def _wide() -> Avatar:
    """An avatar with a perceptron over each Gaussian's own numbers and what drives it, as FlashAvatar has."""
    avatar, rng = tiny_avatar("world"), np.random.default_rng(4)
    count, g = 24, OnnxGraph()
    parts = [g("Expand", g.input(name, 1, width), np.array([count, width])) for name, width in (("expr", 6), ("jaw", 3),
                                                                                                ("eyes", 6))]
    x = g("Concat", rng.normal(size=(count, 10)), *parts, axis=1)
    for fan, hidden in ((25, 48), (48, 48)):
        x = g("Relu", g.linear(x, rng.normal(0, fan**-0.5, (hidden, fan)), rng.normal(0, 0.1, hidden)))
    x = g.linear(x, rng.normal(0, 0.1, (14, 48)))
    g.output("delta_means", g("Mul", g("Tanh", g.columns(x, 0, 3)), np.float32(0.004)))
    g.output("delta_rotvecs", g.rotvec(g("Add", g.columns(x, 3, 7), np.array([[1.0, 0, 0, 0]]))))
    g.output("delta_log_scales", g("Mul", g.columns(x, 7, 10), np.float32(0.3)))
    g.output("delta_opacity_logits", g.columns(x, 10, 11))
    g.output("delta_rgb", g("Sub", g("Sigmoid", g.columns(x, 11, 14)), np.float32(0.5)))
    return dataclasses.replace(avatar, networks={"deformer": g.network()})


def _imported(folder: Path) -> dict[str, Avatar]:
    from tests.originals import flash_avatar as flash
    from tests.originals import mono_gaussian_avatar as mono

    made = flash.write(folder / "flash", active_sh_degree=2)
    return {"flash-avatar": flash_avatar.read(made.path, made.head),
            "mono-gaussian-avatar": mono_gaussian_avatar.read(mono.write(folder / "mono", n=40).path)}


def moving() -> dict[str, StoredNetwork]:
    """Return networks of two avatars, as files hold them."""
    avatars = {"means": _means(), "wide": _wide()}
    return {name: stored for name, avatar in avatars.items() for stored in stored_networks(avatar).values()}


def still() -> dict[str, Any]:
    """Return a network whose numbers nothing drives, which engines are not asked to run."""
    g = OnnxGraph()
    g.input("x", 3)
    g.output("coefficients", g("Exp", np.zeros(3, np.float32)))
    return {"name": "still", "onnx": base64.b64encode(_model(g)).decode(), "inputs": _ports({"x": (3,)}),
            "outputs": _ports({"coefficients": (3,)})}


def write(folder: Path, work: Path) -> None:
    """Write operators.json, and for each avatar its asset and what the reference makes of it; `work` is for originals."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "operators.json").write_text(json.dumps({"cases": operators(), "refused": _refused()}))
    avatars = {kind: tiny_avatar(kind) for kind in ("world", "own-skin", "linear-network")}
    for name, avatar in {**avatars, "means": _means(), "wide": _wide(), **_imported(work)}.items():
        data = unity.to_bytes(avatar)
        (folder / f"{name}.flameavatar").write_bytes(data)
        held = glb_avatar.read(folder / f"{name}.flameavatar")
        clip = held.sequence
        assert clip is not None and not [each.note for each in stored_networks(avatar).values() if each.note]
        frames = []
        for t in MOMENTS:
            layer = deform(held, clip, t).layers[0]
            assert isinstance(layer, PosedSplats)
            cloud = layer.cloud
            frames.append({"t": t, **{key: value.ravel().astype(float).tolist() for key, value in (
                ("means", cloud.means), ("scales", cloud.scales), ("opacities", cloud.opacities), ("quats", cloud.quats),
                ("rgb", sh_to_rgb(cloud.sh[:, 0])))}})
        said: dict[str, Any] = {"frames": frames}
        if isinstance(held.layers[0], SplatLayer) and isinstance(held.layers[0].dynamics, str):
            frame = clip.sample(1.5)
            said["records"] = records_of(pack(held, "float"), held.networks).rows.ravel().tolist()
            said["moment"] = moment_of(held, frame, deform_head(held.head, frame), tiny_camera(0.4),
                                       RenderOptions()).ravel().astype(float).tolist()
        (folder / f"{name}.json").write_text(json.dumps(said))
