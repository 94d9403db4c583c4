"""Networks that become tables: known ones exactly, imported ones as near as asked, and what is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import flameport
from exporter.capabilities import fit
from exporter.ops import coefficient_fit
from exporter.ops.function_networks import functions_to_networks
from exporter.ops.linearise import Linearised, Options, beyond, linearise
from exporter.targets import glb, unity
from exporter.validate import validate
from formats import byte_tables
from formats.avatar import CHANNELS, Avatar, LinearDynamics, Network, SplatLayer
from formats.codecs import bundle, glb_avatar, packed_texels, packed_texels_reader, safetensors_file, sequence_json
from formats.codecs.glb import read_document
from formats.coefficient_function import FIELDS, CoefficientFunction
from formats.deform import PosedSplats, deform
from formats.errors import AvatarError, BindingError, CheckpointMismatch, FormatError, UnsupportedFeature
from formats.onnx_graph import OnnxGraph
from formats.rotations import quat_angle
from formats.sequence import Sequence
from tests.builders import assert_same, tiny_avatar, tiny_head, tiny_sequence

COUNT, RANK = 20, 3
LIVELY = 5
SIZES = {"means": 0.05, "rotvecs": 0.08, "log_scales": 0.1, "opacity_logits": 0.3, "rgb": 0.1}
"""Of what the made-up networks move, in each channel's unit; offsets are in triangle sizes."""


def talk(avatar: Avatar, frames: int, seed: int, size: float = 0.3) -> Sequence:
    """A lively clip: eight ways to move the face, the same for every seed, at other times; some jaw, gaze, lids and turning."""
    rng, ways = np.random.default_rng(seed), np.random.default_rng(99)
    width = len(avatar.head.expr_names) if avatar.sequence is None else avatar.sequence.expr.shape[1]
    basis = ways.normal(size=(8, width)) * 0.9**np.arange(width)
    basis *= size / np.linalg.norm(basis, axis=1, keepdims=True)
    t = np.arange(frames)[:, None] / 25

    def wave(count: int, much: float) -> np.ndarray:
        return much * np.sin(2 * np.pi * rng.uniform(0.2, 1.5, count) * t + rng.uniform(0, 6.3, count))

    jaw = np.concatenate([0.12 + wave(1, 0.1), np.zeros((frames, 2))], axis=1)
    names = () if avatar.sequence is None else avatar.sequence.expr_names
    return Sequence(avatar.head.edition, 25, (wave(8, 1) + wave(8, 0.5)) @ basis, jaw=jaw, eyes=wave(6, 0.1), expr_names=names,
                    eyelids=0.5 + wave(2, 0.4), rotation=wave(3, 0.1), neck=wave(3, 0.05))


def made(rank: int, bent: float = 0.0, space: str = "canonical", nan: bool = False) -> Avatar:
    """An avatar that a network moves: `rank` products of the driver, bent by a tanh where asked, times random tables."""
    rng = np.random.default_rng(4)
    avatar = tiny_avatar("edge-height", n=COUNT, head=tiny_head(correctives=False, uvs=False), sequence=False)
    graph, expressions = OnnxGraph(), len(avatar.head.expr_names)
    driver = graph("Concat", graph.input("expr", 1, expressions), graph.input("jaw", 1, 3), axis=1)
    c = graph("Add", graph("MatMul", driver, rng.normal(0, 1, (expressions + 3, rank))), rng.normal(0, 0.3, (1, rank)))
    if bent:
        c = graph("Tanh", graph("Mul", c, np.float32(bent)))
    if nan:
        c = graph("Log", graph("Sub", c, np.float32(100)))
    for name, width in CHANNELS.items():
        table = SIZES[name] * rng.normal(size=(rank, COUNT * width))
        graph.output(f"delta_{name}", graph("Reshape", graph("MatMul", c, table), np.array([COUNT, width])))
    (layer,) = avatar.layers
    return dataclasses.replace(avatar, layers=(dataclasses.replace(layer, dynamics="deformer"),),
                               networks={"deformer": graph.network(space)})


def layer_of(avatar: Avatar) -> tuple[SplatLayer, LinearDynamics]:
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics)
    return layer, layer.dynamics


def splats(avatar: Avatar, clip: Sequence, t: float) -> PosedSplats:
    (posed,) = deform(avatar, clip, t).layers
    assert isinstance(posed, PosedSplats)
    return posed


# --- Known networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["canonical", "posed"])
def test_a_linear_network_of_low_rank_is_found_exactly(space: str) -> None:
    avatar = made(RANK, space=space)
    without = dataclasses.replace(avatar, networks={"deformer": _without_turns(avatar.networks["deformer"])})
    clip = talk(without, 80, 1)
    found = linearise(without, clip, talk(without, 30, 2, size=0.15), Options(bits=32, size=64))
    _, dynamics = layer_of(found.avatar)
    # In world axes the average stays among the deltas, where it is one direction more.
    assert found.layers[0].rank == RANK + (space == "posed") and found.layers[0].energy > 1 - 1e-9
    assert found.layers[0].hidden == 0 and dynamics.space == space and found.avatar.networks == {}
    middle = dataclasses.replace(clip, expr=0.6 * clip.expr, jaw=0.6 * clip.jaw + 0.4 * clip.jaw.mean(axis=0))
    for t in (0, 7.5, 29):
        a, b = splats(without, middle, t).cloud, splats(found.avatar, middle, t).cloud
        np.testing.assert_allclose(b.means, a.means, atol=2e-6)
        np.testing.assert_allclose(b.scales, a.scales, rtol=2e-4)
        np.testing.assert_allclose(b.opacities, a.opacities, atol=5e-5)
        np.testing.assert_allclose(b.sh, a.sh, atol=5e-4)
    assert found.psnr_other > 60 and found.psnr_learned > 60


def _without_turns(network: Network) -> Network:
    """The same network without rotation vectors: their averages are turns, against which nothing is linear any more."""
    outputs = tuple(name for name in network.outputs if name != "delta_rotvecs")
    return dataclasses.replace(network, outputs=outputs)


def test_turns_are_kept_about_their_average() -> None:
    avatar = made(RANK)
    clip, other = talk(avatar, 80, 1), talk(avatar, 30, 2, size=0.15)
    found = linearise(avatar, clip, other, Options(bits=32, size=64))
    here, there = ([splats(each, other, t).cloud.quats.astype(float) for t in (0, 11, 29)] for each in (avatar, found.avatar))
    worst = max(float(quat_angle(a, b).max()) for a, b in zip(here, there, strict=True))
    moved = max(float(quat_angle(a, here[0]).max()) for a in here[1:])
    assert worst < 0.02 < 0.1 < moved
    assert found.psnr_other > 50


def test_a_hidden_layer_is_taken_where_ridge_is_not_enough() -> None:
    avatar = made(2, bent=2.5)
    clips = talk(avatar, 200, 1, size=0.5), talk(avatar, 40, 2, size=0.5)
    found = linearise(avatar, *clips, Options(size=64, decibels=45, frames=200))
    assert found.layers[0].hidden >= 8 and found.layers[0].numbers < coefficient_fit.NUMBERS
    assert found.psnr_other > 34
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    wanted = np.tanh(x @ rng.normal(size=(6, 3))) @ rng.normal(size=(3, 2))
    ridge = coefficient_fit.fit(x[:240], wanted[:240], (x[240:], wanted[240:]), np.ones(2), False)
    hidden = coefficient_fit.fit(x[:240], wanted[:240], (x[240:], wanted[240:]), np.ones(2), True)
    assert hidden[1] < ridge[1] / 10


def test_tables_of_bytes_are_near_tables_of_floats() -> None:
    avatar = made(16)
    clip, other = talk(avatar, 60, 1), talk(avatar, 12, 2, size=0.2)
    exact, small = (linearise(avatar, clip, other, Options(bits=bits, rank=9, size=64, decibels=30)) for bits in (32, 8))
    assert small.psnr_other > 40 and exact.psnr_other > small.psnr_other
    for table in layer_of(small.avatar)[1].tables.values():
        assert byte_tables.as_bytes(table) is not None
    assert all(byte_tables.as_bytes(table) is None for table in layer_of(exact.avatar)[1].tables.values())


# --- Storage ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sixteen() -> Linearised:
    """Every channel, 16 coefficients."""
    avatar = made(16)
    return linearise(avatar, talk(avatar, 60, 1), None, Options(rank=16, size=64, decibels=30))


def test_sixteen_coefficients_of_all_channels_take_240_bytes(sixteen: Linearised, tmp_path: Path) -> None:
    layer, dynamics = layer_of(sixteen.avatar)
    rank = len(dynamics.function.bias)  # type: ignore[union-attr]
    assert set(dynamics.tables) == set(CHANNELS) and rank <= 16
    each = 13 * rank + 4 * len(CHANNELS)
    assert each <= 240
    stored = sixteen.layers[0].bytes - 4 * sixteen.layers[0].numbers
    assert stored == COUNT * each
    # On disk, in a GLB, and in texels, where rows are filled up to 16 bytes.
    bundle.write(sixteen.avatar, tmp_path / "a.avatar")
    header = (tmp_path / "a.avatar" / "layer0.safetensors").read_bytes()
    length = int.from_bytes(header[:8], "little")
    entries = json.loads(header[8:8 + length])
    tables = [name for name in entries if name.split(".")[0] == "dynamics" and name.split(".")[1] in CHANNELS]
    assert sum(np.subtract(*entries[name]["data_offsets"][::-1]) for name in tables) == COUNT * each
    packed = packed_texels.pack(sixteen.avatar, "half")
    rows = [packed.facts(f"layer0.{name}")["count"] for name in ("dynamics", "dynamicsSteps")]
    assert 16 * sum(rows) // COUNT == 16 * -(-13 * rank // 16) + 32 <= 240
    document = read_document(glb.to_bytes(sixteen.avatar))
    view = sum(document.json["accessors"][i]["count"] for i in _table_accessors(document.json))
    assert view == COUNT * 13 * rank
    assert {document.json["accessors"][i]["componentType"] for i in _table_accessors(document.json)} == {5120}


def _table_accessors(document: dict) -> list[int]:
    return list(_dynamics_entry(document)["tables"].values())


def _dynamics_entry(document: dict) -> dict:
    (entry,) = [primitive["extensions"]["KHR_gaussian_splatting"]["extensions"]["FLAMEPORT_avatar"]["dynamics"]
                for mesh in document["meshes"] for primitive in mesh["primitives"] if "KHR_gaussian_splatting" in
                primitive.get("extensions", {})]
    return entry


@pytest.mark.parametrize("way", ["bundle", "plain", "small", "texels", "unity"])
def test_tables_and_functions_come_back_to_the_bit(way: str, sixteen: Linearised, tmp_path: Path) -> None:
    layer, dynamics = layer_of(sixteen.avatar)
    if way == "bundle":
        bundle.write(sixteen.avatar, tmp_path / "a.avatar")
        back = bundle.read(tmp_path / "a.avatar")
    elif way == "texels":
        back = packed_texels_reader.read(packed_texels.pack(sixteen.avatar, "quantised"))
    elif way == "unity":
        (tmp_path / "a.flameavatar").write_bytes(unity.to_bytes(sixteen.avatar, unity.Options(grade="small")))
        back = flameport.load(tmp_path / "a.flameavatar")
    else:
        (tmp_path / "a.glb").write_bytes(glb.to_bytes(sixteen.avatar, glb.Options(grade=way)))  # type: ignore[arg-type]
        back = flameport.load(tmp_path / "a.glb")
    there = layer_of(back)[1]
    assert there.driver == dynamics.driver and there.space == dynamics.space
    assert_same(there.function, dynamics.function)
    assert set(there.tables) == set(dynamics.tables)
    for name, table in dynamics.tables.items():
        assert_same(there.tables[name], table, name)


@pytest.mark.parametrize(("change", "message"), [
    (lambda a: a.pop("dynamics.means.scales"), "no array 'dynamics.means.scales'"),
    (lambda a: a.update({"dynamics.means.scales": np.zeros((COUNT, 2), np.float32)}), "expected \\[N, K, C\\] and floats"),
    (lambda a: a.update({"dynamics.means.scales": np.full(COUNT, np.nan, np.float32)}), "not finite"),
    (lambda a: a.pop("dynamics.function.outer"), "no array 'dynamics.function.outer'"),
    (lambda a: a.update({"dynamics.function.linear": np.zeros((2, 2), np.float32)}), "expected shape"),
    (lambda a: a.update({"dynamics.function.bias": np.zeros(2, np.float32)}), "expected shape")])
def test_damaged_bundles_are_named(change, message: str, sixteen: Linearised, tmp_path: Path) -> None:
    bundle.write(sixteen.avatar, tmp_path / "a.avatar")
    path = tmp_path / "a.avatar" / "layer0.safetensors"
    arrays = dict(safetensors_file.read(path))
    change(arrays)
    safetensors_file.write(arrays, path)
    with pytest.raises(AvatarError, match=message):
        bundle.read(tmp_path / "a.avatar")


@pytest.mark.parametrize(("key", "message"), [
    ("linear", "expected \\["), ("bias", "expected \\["), ("high", "expected"), ("scales", "scales")])
def test_damaged_glbs_are_named(key: str, message: str, sixteen: Linearised) -> None:
    data = glb.to_bytes(sixteen.avatar)
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20:20 + length])
    entry = _dynamics_entry(document)
    held = entry["scales"] if key == "scales" else entry["function"]
    held["means" if key == "scales" else key] = document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = text + data[20 + length:]
    sizes = [size.to_bytes(4, "little") for size in (20 + len(rest), len(text))]
    whole = data[:8] + sizes[0] + sizes[1] + data[16:20] + rest
    with pytest.raises(AvatarError, match=message):
        glb_avatar.from_document(read_document(whole))


def test_functions_are_written_as_graphs(sixteen: Linearised, tmp_path: Path) -> None:
    avatar = dataclasses.replace(sixteen.avatar, sequence=talk(sixteen.avatar, 5, 4, size=1.0))
    flameport.export(avatar, "onnx", tmp_path / "graphs")
    about = json.loads((tmp_path / "graphs" / "networks.json").read_text())
    assert sorted(entry["role"] for entry in about["networks"].values()) == ["coefficients", "tables"]
    assert validate(tmp_path / "graphs", avatar).ok
    bent = functions_to_networks(tiny_avatar("fitted"))
    frame = tiny_sequence(bent.head, 3)
    for t in range(3):
        a, b = splats(tiny_avatar("fitted"), frame, t).cloud, splats(bent, frame, t).cloud
        np.testing.assert_allclose(b.means, a.means, atol=1e-6)
    assert functions_to_networks(bent) is bent


def test_targets_take_them_without_a_loss(sixteen: Linearised) -> None:
    for target in (glb, unity):
        assert not [loss for loss in fit(sixteen.avatar, target.CAPABILITIES).losses if loss.blocking]


# --- Imported systems -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Avatar]:
    """A FlashAvatar with fewer Gaussians, and a MonoGaussianAvatar."""
    torch = pytest.importorskip("torch")
    from formats.importers import flash_avatar, mono_gaussian_avatar
    from tests.originals import flash_avatar as flash
    from tests.originals import mono_gaussian_avatar as mono

    base = flash.write(tmp_path_factory.mktemp("flash"), frame_count=1)
    points = mono.write(tmp_path_factory.mktemp("mono"), n=600)
    (networks, other), *rest = torch.load(base.path, map_location="cpu", weights_only=True)
    # Nobody trained the fixtures' networks; those that were listen to the face more.
    networks["fcs.0.weight"][:, 51:] *= LIVELY
    networks["output_linear.weight"][3:] *= 2
    torch.save(((networks, other), *rest), base.path)
    held = torch.load(points.path, map_location="cpu", weights_only=True)
    for name, weight in held["model_state_dict"].items():
        if name.startswith("gaussian_deformer_network.") and name.endswith("layer.2.weight"):
            weight *= 4 * LIVELY
    torch.save(held, points.path)
    return {"flash-avatar": flash_avatar.read(base.path, base.head),
            "mono-gaussian-avatar": mono_gaussian_avatar.read(points.path)}


@pytest.mark.slow
@pytest.mark.parametrize("system", ["flash-avatar", "mono-gaussian-avatar"])
def test_imported_networks_reach_40_decibels_on_another_clip(system: str, imported: dict[str, Avatar]) -> None:
    avatar = imported[system]
    found = linearise(avatar, talk(avatar, 60, 1, 0.6), talk(avatar, 6, 2, 0.6), Options(frames=40, size=128))
    assert found.reached and found.psnr_other >= 40, found.rows()
    assert found.avatar.networks == {}
    assert not [loss for loss in fit(found.avatar, unity.CAPABILITIES).losses if loss.blocking]
    # The tables do something.
    assert found.psnr_other > found.psnr_still + 2


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_an_avatar_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                caplog: pytest.LogCaptureFixture) -> None:
    avatar = made(RANK)
    flameport.save(avatar, tmp_path / "a.avatar")
    sequence_json.write(talk(avatar, 60, 1), tmp_path / "clip.json")
    sequence_json.write(talk(avatar, 12, 2, size=2.0), tmp_path / "other.json")
    arguments = ["bake", str(tmp_path / "a.avatar"), "--linearise", "--sequence", str(tmp_path / "clip.json"),
                 "--against", str(tmp_path / "other.json"), "--out", str(tmp_path / "b.avatar")]
    assert flameport.main(arguments) == 0
    said = " ".join(capsys.readouterr().err.split())
    for word in ("rank", "of the energy", "PSNR, learned frames", "PSNR, another clip", "kB", "ms", "leaves what the clip showed",
                 "expr in 1"):
        assert word in said, said
    _, dynamics = layer_of(flameport.load(tmp_path / "b.avatar"))
    assert dynamics.function is not None
    caplog.clear()
    assert flameport.main(["pose", str(tmp_path / "b.avatar"), "--sequence", str(tmp_path / "other.json"), "--frames", "0",
                           "--out", str(tmp_path / "posed.npz")]) == 0
    assert "leaves what linear dynamics were fitted to" in caplog.text and "expr in 1" in caplog.text
    assert flameport.main([*arguments[:2], "--rank", "4", "--out", str(tmp_path / "c.avatar")]) == 1
    assert "--rank goes with --linearise" in capsys.readouterr().err


# --- What is refused, and what is said --------------------------------------------------------------------------------


def test_it_is_said_where_a_clip_leaves_the_range() -> None:
    avatar = made(RANK)
    found = linearise(avatar, talk(avatar, 60, 1), None, Options(size=64))
    within, without = talk(avatar, 20, 1, size=0.1), talk(avatar, 20, 3, size=1.5)
    assert not [line for line in beyond(found.avatar, within) if "expr" in line]
    (said,) = [line for line in beyond(found.avatar, without) if "expr" in line]
    assert "of 20 frames, by up to" in said
    # Held at the end of the range, not carried on.
    far = [splats(found.avatar, dataclasses.replace(without, expr=without.expr * much), 5).cloud.means for much in (10, 1e6)]
    assert np.abs(far[0] - deform(found.avatar, within, 0).layers[0].cloud.means).max() < 0.5  # type: ignore[union-attr]
    assert np.isfinite(far[1]).all()


@pytest.mark.parametrize(("change", "error", "message"), [
    (lambda a: (tiny_avatar("edge-height"), talk(a, 40, 1)), UnsupportedFeature, "no network moves a layer"),
    (lambda a: (a, None), FormatError, "no clip of its own"),
    (lambda a: (a, talk(a, 1, 1)), FormatError, "a clip of 1 frames; at least 24"),
    (lambda a: (made(RANK, nan=True), talk(a, 40, 1)), FormatError, "gives NaN or infinity for 'means'"),
    (lambda a: (a, dataclasses.replace(talk(a, 40, 1), basis="flame2020", expr_names=())), CheckpointMismatch, "flame2020")])
def test_what_cannot_be_made_linear_is_named(change, error: type[AvatarError], message: str) -> None:
    avatar, clip = change(made(RANK))
    with pytest.raises(error, match=message):
        linearise(avatar, clip, None, Options(size=64))


def test_networks_of_features_are_refused() -> None:
    avatar = made(RANK)
    graph = OnnxGraph()
    expr = graph.input("expr", 1, len(avatar.head.expr_names))
    flat = graph("MatMul", expr, np.zeros((len(avatar.head.expr_names), COUNT * 4)))
    graph.output("features", graph("Reshape", flat, np.array([COUNT, 4])))
    with pytest.raises(UnsupportedFeature, match="gives features for a decoder"):
        linearise(dataclasses.replace(avatar, networks={"deformer": graph.network()}), talk(avatar, 40, 1))


@pytest.mark.parametrize("options", [{"bits": 4}, {"rank": 0}, {"decibels": 400}, {"size": 3}, {"frames": 2}])
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(UnsupportedFeature, match="linearise: "):
        Options(**options)


def test_functions_of_other_sizes_are_refused() -> None:
    good = {name: np.zeros(tuple({"K": 2, "D": 3, "H": 1}[axis] for axis in axes)) for name, axes in FIELDS.items()}
    function = CoefficientFunction(**good)
    assert function.numbers == 6 + 2 + 3 + 1 + 2
    with pytest.raises(BindingError, match="expected 3 driving numbers, got 4"):
        function.coefficients(np.zeros(4))
    with pytest.raises(BindingError, match="expected shape"):
        CoefficientFunction(**{**good, "outer": np.zeros((2, 5))})
    with pytest.raises(BindingError, match="low is above high at number 1"):
        CoefficientFunction(**{**good, "low": np.array([0, 1.0, 0])})
    with pytest.raises(BindingError, match="tables of rank 4, a function of 2"):
        LinearDynamics({"means": np.zeros((5, 4, 3))}, ("expr",), function=function)
    with pytest.raises(BindingError, match="one of them gives"):
        LinearDynamics({"means": np.zeros((5, 2, 3))}, ("expr",), network="net", function=function)
    assert tiny_sequence(tiny_head(), 2).expr.shape[0] == 2
