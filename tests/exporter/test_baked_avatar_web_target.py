"""BakedAvatar's demo folder: the original's own files come back bit for bit, and what the layout cannot hold is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")  # the fixture writes its pickle with it

from exporter import baked_shading, baked_web_check  # noqa: E402
from exporter.targets import baked_avatar_web as target  # noqa: E402
from formats.avatar import Avatar, BasisMix, MeshLayer, Network  # noqa: E402
from formats.codecs import baked_sequence, npy_file  # noqa: E402
from formats.deform import PosedMesh, deform  # noqa: E402
from formats.errors import AvatarError, CheckpointMismatch, FormatError, UnsupportedFeature  # noqa: E402
from formats.importers import baked_avatar  # noqa: E402
from formats.networks import evaluate  # noqa: E402
from formats.onnx_graph import OnnxGraph  # noqa: E402
from formats.render import default_camera, psnr, render_avatar  # noqa: E402
from tests.builders import assert_same, tiny_avatar, tiny_head, tiny_sequence  # noqa: E402
from tests.originals import baked_avatar as originals  # noqa: E402
from tests.originals.posed import Original  # noqa: E402


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return originals.write(tmp_path_factory.mktemp("baked"), layers=2)


@pytest.fixture(scope="module")
def imported(original: Original) -> Avatar:
    avatar = baked_avatar.read(original.extras["web"], original.head)
    return dataclasses.replace(avatar, sequence=original.sequence)


def refused(avatar: Avatar, folder: Path, message: str, error: type[AvatarError] = UnsupportedFeature) -> None:
    with pytest.raises(error, match=message):
        target.write(avatar, folder / "out", target.Options())
    assert not (folder / "out").exists()


def with_layer(avatar: Avatar, index: int = 0, **fields: object) -> Avatar:
    layers = list(avatar.layers)
    layers[index] = dataclasses.replace(layers[index], **fields)  # type: ignore[arg-type]
    return dataclasses.replace(avatar, layers=tuple(layers))


def test_the_originals_folder_comes_back(original: Original, imported: Avatar, tmp_path: Path) -> None:
    paths = target.write(imported, tmp_path / "out", target.Options())
    theirs, ours = original.extras["web"], tmp_path / "out" / "mesh_data"
    names = sorted(str(path.relative_to(theirs)) for path in theirs.rglob("*.npy"))
    assert names == sorted(str(path.relative_to(ours)) for path in ours.rglob("*.npy")) and len(paths) == len(names) + 4
    for name in names:
        a, b = npy_file.read(theirs / name), npy_file.read(ours / name)
        assert a.dtype == b.dtype and a.shape == b.shape, name
        if name.endswith("lbs_weights.npy"):
            np.testing.assert_array_equal(a[:, -5:], b[:, -5:])
            np.testing.assert_allclose(a, b, atol=1e-6)  # the ghost takes what the others leave
        elif name != "meshes_0/radiance_texture.npy":
            np.testing.assert_array_equal(a, b, name)
    ghostless = npy_file.read(theirs / "meshes_0/radiance_texture.npy")[..., :3]
    np.testing.assert_array_equal(npy_file.read(ours / "meshes_0/radiance_texture.npy")[..., :3], ghostless)


def test_metadata_says_what_lies_where(imported: Avatar, tmp_path: Path) -> None:
    target.write(imported, tmp_path / "out", target.Options())
    folder = tmp_path / "out" / "mesh_data"
    said = json.loads((folder / "metadata.json").read_text())
    assert (len(said["meshes"]), said["ghostbone"], said["num_texture_basis"]) == (2, True, 16)
    for group in (said["common"], said["global_mlp"], *said["meshes"]):
        for entry in (each for each in group.values() if isinstance(each, dict)):
            data = (folder / entry["path"]).read_bytes()
            assert data[:8] == b"\x93NUMPY\x01\x00" and data[9] == 0  # the demo reads the low byte of the header's length
            array = npy_file.read(folder / entry["path"])
            assert (list(array.shape), str(array.dtype)) == (entry["shape"], entry["dtype"])
    assert (tmp_path / "out" / "LICENSES.txt").read_text().count("\n") == len(imported.meta.license_notices)


def test_the_avatar_comes_back_bit_for_bit(original: Original, imported: Avatar, tmp_path: Path) -> None:
    target.write(imported, tmp_path / "out", target.Options())
    back = baked_avatar.read(tmp_path / "out", original.head)
    for one, other in zip(imported.layers, back.layers, strict=True):
        assert_same(one, other)
    assert_same(imported.head, back.head)
    assert_same(imported.networks, back.networks)
    clip = baked_sequence.read(tmp_path / "out" / "sequence_data")
    for name in ("rotation", "neck", "jaw", "eyes"):
        np.testing.assert_array_equal(getattr(clip, name), getattr(original.sequence, name))
    width = original.sequence.expr.shape[1]
    np.testing.assert_array_equal(clip.expr[:, :width], original.sequence.expr)
    report = baked_web_check.check(tmp_path / "out", imported)
    assert report.ok, report.failure
    told = target.losses(imported, target.Options())
    assert not any(loss.blocking for loss in told) and "pose correctives" in told[-1].what


def test_the_pickles_avatar_is_split_at_seams_and_looks_the_same(original: Original, tmp_path: Path) -> None:
    avatar = dataclasses.replace(baked_avatar.read(original.path, original.head), sequence=original.sequence)
    assert len(avatar.layers[0].uvs) > len(avatar.layers[0].vertices)
    target.write(avatar, tmp_path / "out", target.Options())
    report = baked_web_check.check(tmp_path / "out", avatar)
    assert report.ok, report.failure
    values = {measure.what: measure.value for measure in report.measures}
    assert values["layers' vertices"] < 1e-4 and values["picture"] > 100


def small_mix(avatar: Avatar, hidden: int = 4, depth: int = 4, bases: int = 3, temperature: float = 7.0) -> Avatar:
    """Return the tiny shells shaded by a network of the demo's form, smaller than the demo's."""
    rng, graph, width = np.random.default_rng(8), OnnxGraph(), len(avatar.head.expr_names)
    value = graph("Concat", graph.input("expr", 1, width), graph.input("jaw", 1, 3), axis=1)
    for i, (fan, out) in enumerate(((width + 3, 9), (9, 7), (7, hidden * (depth + 6 + bases)))):
        value = graph.linear(value, rng.normal(0, 0.5, (out, fan)), rng.normal(0, 0.3, out))
        if i < 2:
            value = graph("PRelu", value, rng.uniform(0, 0.5, out)) if i else graph("LeakyRelu", value, alpha=0.2)
    graph.output("shading_weights", value)
    layers = []
    for i, layer in enumerate(avatar.layers):
        assert isinstance(layer, MeshLayer)
        mix = BasisMix(rng.uniform(0, 1, (bases, 6, 5, 3)), rng.uniform(0.5, 1, (6, 5)), rng.uniform(0, 1, (6, 5, depth)),
                       "mixer", hidden, temperature)
        binding = dataclasses.replace(layer.binding, eyeliddirs=None)
        layers.append(dataclasses.replace(layer, shading=mix, opaque=i == 0, binding=binding))
    clip = tiny_sequence(avatar.head, 3, drivers=False)
    clip = dataclasses.replace(clip, eyelids=np.zeros((3, 2)), translation=np.zeros((3, 3)))
    return dataclasses.replace(avatar, layers=tuple(layers), networks={"mixer": graph.network()}, sequence=clip)


def test_smaller_networks_are_padded_to_the_demos_sizes(tmp_path: Path) -> None:
    avatar = small_mix(tiny_avatar("mesh-basis"))
    target.write(avatar, tmp_path / "out", target.Options())
    back = baked_avatar.read(tmp_path / "out" / "mesh_data", edition="standin")
    mix = back.layers[0].shading
    assert mix is not None and (mix.hidden, mix.position_features.shape[2], mix.temperature, len(mix.bases)) == (16, 8, 10.0, 3)
    sequence = avatar.sequence
    assert sequence is not None
    posed = deform(avatar, sequence, 1).layers[0]
    clip = dataclasses.replace(baked_sequence.read(tmp_path / "out" / "sequence_data"), basis="standin")
    other = deform(back, clip, 1).layers[0]
    assert isinstance(posed, PosedMesh) and isinstance(other, PosedMesh)
    a, b = posed.shading_weights, other.shading_weights
    assert a is not None and b is not None
    first = b[:16 * 14].reshape(16, 14)[:4]
    np.testing.assert_allclose(first[:, [0, 1, 2, 3, 8, 9, 10, 11, 12, 13]], a[:40].reshape(4, 10), atol=1e-5)
    np.testing.assert_allclose(b[16 * 14:].reshape(3, 16)[:, :4] * 10, a[40:].reshape(3, 4) * 7, atol=1e-4)
    report = baked_web_check.check(tmp_path / "out", avatar)
    assert report.ok, report.failure
    told = {loss.what: loss for loss in target.losses(avatar, target.Options())}
    assert float(told["maps rounded to 8 bits"].amount.split()[2]) <= 0.00197
    assert not any(loss.blocking for loss in told.values())


def test_textured_layers_become_equal_bases(tmp_path: Path) -> None:
    avatar = tiny_avatar("mesh-texture", sequence=False)
    layer = dataclasses.replace(avatar.layers[0], opaque=True)
    layer = dataclasses.replace(layer, binding=dataclasses.replace(layer.binding, eyeliddirs=None))
    avatar = dataclasses.replace(avatar, layers=(layer,))
    target.write(avatar, tmp_path / "out", target.Options())
    back = baked_avatar.read(tmp_path / "out" / "mesh_data", edition="standin")
    from formats.deform import rest_sequence

    camera = default_camera(avatar, 96, 96)
    pictures = [render_avatar(each, rest_sequence(each.head), 0, camera).rgb for each in (avatar, back)]
    assert psnr(*pictures) > 50
    # The demo does not start without a clip, and does not stop at the end of one of a single frame.
    clip = baked_sequence.read(tmp_path / "out" / "sequence_data")
    assert len(clip) == 2 and not clip.expr.any() and dict(clip.ranges) == {"neutral": (0, 2)}
    assert baked_web_check.check(tmp_path / "out", avatar).ok


def test_ranges_of_one_frame_are_held(imported: Avatar, tmp_path: Path) -> None:
    clip = imported.sequence
    assert clip is not None and len(clip) == 3
    avatar = dataclasses.replace(imported, sequence=dataclasses.replace(clip, ranges={"a": (0, 2), "b": (1, 2)}))
    target.write(avatar, tmp_path / "out", target.Options())
    back = baked_sequence.read(tmp_path / "out" / "sequence_data")
    assert dict(back.ranges) == {"a": (0, 2), "b": (3, 5)}
    np.testing.assert_array_equal(back.jaw, clip.jaw[[0, 1, 2, 1, 1]])
    assert baked_web_check.check(tmp_path / "out", avatar).ok


def test_a_graph_of_gemms_is_the_same_network() -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng, sizes = np.random.default_rng(4), ((9, 8), (8, 8), (8, 12))
    held, nodes, value = [], [helper.make_node("Concat", ["eyes", "jaw"], ["x"], axis=1)], "x"
    for i, (fan, out) in enumerate(sizes):
        held += [numpy_helper.from_array(rng.normal(size=(out, fan)).astype("f4"), f"w{i}"),
                 numpy_helper.from_array(rng.normal(size=out).astype("f4"), f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"l{i}"], transB=1))
        if i < 2:
            nodes.append(helper.make_node("Relu", [f"l{i}"], [f"r{i}"]))
        value = f"r{i}" if i < 2 else f"l{i}"
    nodes.append(helper.make_node("Identity", [value], ["shading_weights"]))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [info("eyes", TensorProto.FLOAT, [1, 6]), info("jaw", TensorProto.FLOAT, [1, 3])],
                              [info("shading_weights", TensorProto.FLOAT, [1, 12])], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    network = Network(model.SerializeToString(), ("eyes", "jaw"), ("shading_weights",))
    found = baked_shading._layers(network.onnx, 6, "g")
    feed = {"eyes": rng.normal(size=(1, 6)).astype("f4"), "jaw": rng.normal(size=(1, 3)).astype("f4")}
    x = np.concatenate([feed["jaw"][0], feed["eyes"][0], np.zeros(50)])
    for i in range(3):
        x = found[f"fc{i}_weight"] @ x + found[f"fc{i}_bias"]
        x = np.where(x > 0, x, 0) if i < 2 else x
    np.testing.assert_allclose(x, evaluate(network, feed)["shading_weights"][0], atol=1e-4)


def test_what_the_layout_cannot_hold_is_refused_by_name(imported: Avatar, tmp_path: Path) -> None:
    layer = imported.layers[0]
    nine = tuple(dataclasses.replace(layer, name=f"n{i}") for i in range(9))
    refused(dataclasses.replace(imported, layers=nine), tmp_path, "9 mesh layers; the demo draws 1 to 8")
    refused(dataclasses.replace(imported, layers=()), tmp_path, "0 mesh layers.*take web or glb")
    refused(tiny_avatar("edge-height"), tmp_path, "splats")
    refused(with_layer(imported, opaque=False), tmp_path, "'layer0' is not opaque")
    assert isinstance(layer, MeshLayer) and layer.shading is not None
    mix = dataclasses.replace(layer.shading, space="world")
    refused(with_layer(imported, shading=mix), tmp_path, "differ in network|world axes")
    tanh = tiny_avatar("mesh-basis")
    refused(with_layer(tanh, opaque=True), tmp_path, "Tanh where a PReLU is expected")
    chain = tiny_avatar("mesh-texture", head=tiny_head(extra_joints=2), sequence=False)
    refused(with_layer(chain, opaque=True), tmp_path, "7 joints that are not FLAME's five")


def test_losses_are_numbers(tmp_path: Path) -> None:
    avatar = small_mix(tiny_avatar("mesh-basis"))
    lids = dataclasses.replace(avatar.layers[0].binding, eyeliddirs=np.full((len(avatar.layers[0].vertices), 3, 2), 0.001))
    avatar = with_layer(avatar, binding=lids)
    avatar = dataclasses.replace(avatar, sequence=dataclasses.replace(
        avatar.sequence, eyelids=np.full((3, 2), 0.5), translation=np.full((3, 3), 0.02), fps=30.0))
    told = {loss.what: loss for loss in target.losses(avatar, target.Options())}
    assert told[f"layer '{avatar.layers[0].name}': eyelids"].amount == "up to 1.7 mm at coefficient 1"
    assert told["the clip's eyelids"].blocking and told["the clip's translation"].amount == "up to 0.02 m"
    assert not told["the clip's rate: it is sampled anew at 25 frames a second"].blocking
    assert "the clip's eyelids" not in {loss.what for loss in target.losses(avatar, target.Options(clip=False))}
    target.write(avatar, tmp_path / "out", target.Options())  # --allow-loss comes here
    assert baked_sequence.read(tmp_path / "out" / "sequence_data").fps == 25


def test_other_folders_and_other_avatars(imported: Avatar, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(FormatError, match="mine.txt"):
        target.write(imported, tmp_path / "out", target.Options())
    assert (tmp_path / "out" / "mine.txt").exists()
    target.write(imported, tmp_path / "good", target.Options())
    with pytest.raises(CheckpointMismatch, match="was it made from this bundle"):
        baked_web_check.check(tmp_path / "good", dataclasses.replace(imported, layers=imported.layers[:1]))
    moved = with_layer(imported, 1, vertices=imported.layers[1].vertices + np.float32(0.001))
    assert not baked_web_check.check(tmp_path / "good", moved).ok
