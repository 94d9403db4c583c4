"""Unity assets: what each grade holds, read back; what is refused or told; and damaged files."""

import dataclasses
import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from exporter import onnx_plain
from exporter.capabilities import fit
from exporter.export import export
from exporter.targets import glb, unity
from exporter.validate import validate
from formats import codecs
from formats.avatar import Avatar, LinearDynamics, Network, SplatLayer
from formats.codecs import glb_avatar, unity_avatar, unity_file
from formats.deform import PosedSplats, deform
from formats.errors import AvatarError, CheckpointMismatch, FormatError, UnsupportedFeature
from formats.onnx_graph import OnnxGraph
from tests.builders import tiny_avatar, tiny_head

METRES = 5e-5


def small(avatar: Avatar, **options: Any) -> bytes:
    return unity.to_bytes(avatar, dataclasses.replace(unity.Options(grade="small"), **options))


@pytest.mark.parametrize("grade", ["plain", "full"])
def test_plain_and_full_are_the_glbs_bytes(grade: Literal["plain", "full"], tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height", degree=2)
    report = export(avatar, "unity", tmp_path / "a.flameavatar", unity.Options(grade=grade))
    assert report.paths[0].read_bytes() == glb.to_bytes(avatar, glb.Options(grade=grade))
    assert validate(report.paths[0], avatar, 3).ok


def test_pictures_of_every_grade_are_png() -> None:
    avatar = tiny_avatar("mesh-texture")
    for grade in ("plain", "full"):
        data = unity.to_bytes(avatar, unity.Options(grade=grade))
        assert b"image/png" in data and b"image/webp" not in data
    textured = unity_file.parse(small(dataclasses.replace(avatar, layers=())), "a").chunks
    assert Image.open(io.BytesIO(textured["albedo"])).format == "PNG"
    assert len(textured["cornerUvs"]) == 24 * len(avatar.head.faces)


@pytest.mark.parametrize("kind", ["edge-height", "corner", "vertex-coarse", "world", "linear", "vertex-index",
                                  "own-skin-turning"])
def test_small_comes_back_within_its_bound(kind: str, tmp_path: Path) -> None:
    avatar = tiny_avatar(kind, degree=2)
    layers = tuple(layer if not isinstance(layer, SplatLayer) or isinstance(layer.dynamics, LinearDynamics)
                   else dataclasses.replace(layer, dynamics=None) for layer in avatar.layers)
    avatar = dataclasses.replace(avatar, layers=layers, networks={})
    path = export(avatar, "unity", tmp_path / "a.flameavatar", unity.Options(grade="small")).paths[0]
    assert codecs.sniff(path) == "unity_avatar"
    back = codecs.read_avatar(path)
    assert avatar.sequence is not None and back.sequence is not None
    for t in (0, 1.5, 3):
        one, other = deform(avatar, avatar.sequence, t), deform(back, back.sequence, t)
        (a,), (b,) = one.layers, other.layers
        assert isinstance(a, PosedSplats) and isinstance(b, PosedSplats)
        assert np.abs(one.head.vertices - other.head.vertices).max() < METRES
        assert np.abs(a.cloud.means - b.cloud.means).max() < METRES
    assert back.meta == avatar.meta and back.head.content_hash == avatar.head.content_hash
    assert (back.head.arkit_map is None) == (avatar.head.arkit_map is None)
    if avatar.vertex_rgb is not None:
        assert back.vertex_rgb is not None and np.abs(back.vertex_rgb - avatar.vertex_rgb).max() <= 0.5 / 255 + 1e-6
    report = validate(path, avatar, 3)
    assert report.ok and report.kind == "unity small"


def test_what_only_foreign_players_lose_is_not_told() -> None:
    avatar = tiny_avatar("edge-height")
    avatar = dataclasses.replace(avatar, head=dataclasses.replace(avatar.head, eyelid_space="posed"))
    assert any(loss.foreign for loss in fit(avatar, glb.CAPABILITIES).losses), "the avatar has nothing that other players lose"
    assert not any(loss.foreign for loss in [*fit(avatar, unity.CAPABILITIES).losses,
                                             *unity.losses(avatar, unity.Options())])


def test_what_half_cannot_hold_is_stored_as_float() -> None:
    avatar = tiny_avatar("own-skin-turning")
    layer = avatar.layers[0]
    assert isinstance(layer, SplatLayer)
    # Two Gaussians 30 metres apart: 16 bits of that are half a millimetre.
    means = layer.cloud.means.copy()
    means[0] += 30
    layer = dataclasses.replace(layer, dynamics=None, cloud=dataclasses.replace(layer.cloud, means=means))
    far = dataclasses.replace(avatar, layers=(layer,), networks={})
    file = unity_file.parse(small(far), "a")
    assert file.json["texels"]["variant"] == "float"
    assert unity_file.parse(small(avatar), "a").json["texels"]["variant"] == "half"


@pytest.mark.parametrize("kind", ["world", "own-skin", "linear-network"])
def test_networks_of_gaussians_are_carried(kind: str, tmp_path: Path) -> None:
    avatar = tiny_avatar(kind)
    report = export(avatar, "unity", tmp_path / "a.flameavatar")
    assert not any(loss.blocking for loss in report.losses)
    back = glb_avatar.read(report.paths[0])
    assert set(back.networks) == set(avatar.networks) and back.sequence is not None
    for t in (0, 1.5):
        (a,), (b,) = deform(avatar, avatar.sequence, t).layers, deform(back, back.sequence, t).layers  # type: ignore[arg-type]
        assert isinstance(a, PosedSplats) and isinstance(b, PosedSplats)
        assert np.abs(a.cloud.means - b.cloud.means).max() < 1e-5
    with pytest.raises(UnsupportedFeature, match=r"mm off"):
        export(avatar, "unity", tmp_path / "b.flameavatar", unity.Options(grade="small"))


def test_a_network_of_other_operators_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    avatar = tiny_avatar("world")
    network = avatar.networks["deformer"]
    model = onnx.load_model_from_string(network.onnx)
    # HardSwish is in the opset, and in no list of plain operators.
    for node in model.graph.node:
        if node.op_type == "Tanh":
            node.op_type = "HardSwish"
    other = Network(model.SerializeToString(), network.inputs, network.outputs, network.space)
    avatar = dataclasses.replace(avatar, networks={"deformer": other})
    with pytest.raises(UnsupportedFeature, match="does not run its network.*HardSwish.*--linearise"):
        export(avatar, "unity", tmp_path / "a.flameavatar")
    report = export(avatar, "unity", tmp_path / "a.flameavatar", allow_loss=True)
    held = glb_avatar.read(report.paths[0])
    assert not held.layers and not held.networks


def test_networks_and_layers_that_do_not_fit_are_refused_with_a_number(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match=r"mesh.*vertices"):
        export(tiny_avatar("mesh-texture"), "unity", tmp_path / "a.flameavatar", unity.Options(grade="small"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UnsupportedFeature, match="shading needs a network"):
        export(tiny_avatar("mesh-basis"), "unity", tmp_path / "a.flameavatar")
    report = export(tiny_avatar("mesh-basis"), "unity", tmp_path / "a.flameavatar", allow_loss=True)
    held = glb_avatar.read(report.paths[0])
    assert not held.networks and not held.layers and any(loss.blocking for loss in report.losses)
    report = export(tiny_avatar("everything"), "unity", tmp_path / "b.flameavatar", unity.Options(grade="small"), allow_loss=True)
    assert all(isinstance(layer, SplatLayer) for layer in codecs.read_avatar(report.paths[0]).layers)
    assert {type(layer).__name__ for layer in tiny_avatar("everything").layers} - {"SplatLayer"}


def test_options_limit_what_is_stored(tmp_path: Path) -> None:
    avatar = tiny_avatar("edge-height")
    options = unity.Options(grade="small", clip=False, max_expressions=2)
    report = export(avatar, "unity", tmp_path / "a.flameavatar", options)
    back = codecs.read_avatar(report.paths[0])
    assert back.sequence is None and len(back.head.expr_names) == 2
    assert any("expressions" in loss.what for loss in report.losses)
    assert validate(report.paths[0], avatar, 2).ok


def test_another_bundle_is_told(tmp_path: Path) -> None:
    path = export(tiny_avatar("edge-height"), "unity", tmp_path / "a.flameavatar", unity.Options(grade="small")).paths[0]
    with pytest.raises(CheckpointMismatch, match="rides head"):
        validate(path, tiny_avatar("edge-height", head=tiny_head(correctives=False)), 2)


def test_files_cut_off_or_changed_are_refused() -> None:
    data = small(tiny_avatar("linear"))
    assert unity_avatar.to_bytes(tiny_avatar("linear")) == unity_avatar.to_bytes(tiny_avatar("linear"))
    for i in range(24):
        with pytest.raises(FormatError):
            unity_avatar.parse(data[:len(data) * i // 24], "a")
    rng = np.random.default_rng(2)
    for _ in range(120):
        bad = bytearray(data)
        bad[rng.integers(min(len(bad), 6000))] = rng.integers(256)
        try:
            unity_avatar.parse(bytes(bad), "a")
        except AvatarError as error:
            assert "\n" not in str(error)


def test_lengths_are_checked_before_anything_is_made() -> None:
    file = unity_file.UnityFile({"grade": "small"}, {"a": b"x" * 1000})
    data = file.to_bytes()
    assert unity_file.parse(data, "a").chunks == {"a": b"x" * 1000}
    for old, new, said in ((b'"size":1000', b'"size":1001', "decodes to 1000"), (b'"size":1000', b'"size":999 ', "more than"),
                           (b'"size":1000', b'"size":9e9 ', "size"), (b"flameport.unity/1", b"flameport.unity/2", "update"),
                           (b"deflate", b"inflate", "codec")):
        with pytest.raises(AvatarError, match=said):
            unity_file.parse(data.replace(old, new), "a")
    with pytest.raises(FormatError, match="follow"):
        unity_file.parse(data + b"0", "a")
    with pytest.raises(UnsupportedFeature, match="version 2"):
        unity_file.parse(data[:4] + b"\2" + data[5:], "a")


def test_slow_networks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    avatar = tiny_avatar("world")
    assert not [loss for loss in unity.losses(avatar, unity.Options()) if "slow" in loss.what]
    monkeypatch.setattr(unity, "SLOW", 10)
    (told,) = [loss for loss in unity.losses(avatar, unity.Options()) if "slow" in loss.what]
    assert not told.blocking and "--linearise" in told.what and "products a frame" in told.amount


def test_products_of_a_graph_are_counted() -> None:
    pytest.importorskip("onnx")
    g = OnnxGraph()
    x = g.input("x", 5, 7)
    y = g("MatMul", x, np.ones((7, 3), np.float32))
    g.output("coefficients", g("Gemm", y, np.ones((5, 2), np.float32), transA=1))
    assert onnx_plain.products(g.network().onnx) == 5 * 7 * 3 + 3 * 5 * 2
