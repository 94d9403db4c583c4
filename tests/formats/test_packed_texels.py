"""Packed texels: golden bytes, bits as the specification says, errors within their bounds, and no crash on damage."""

import base64
import dataclasses
import importlib.util
import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter import texel_errors
from formats.avatar import Avatar, SplatLayer
from formats.codecs import packed_texels, packed_texels_reader
from formats.codecs import texel_numbers as bits
from formats.codecs.packed_texels import VARIANTS, WIDTH, PackedTexels, from_bytes, pack
from formats.conventions import rgb_to_sh
from formats.deform import PosedSplats, deform
from formats.errors import AvatarError, FormatError, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.rotations import normalize
from tests.builders import AVATAR_KINDS, tiny_avatar, tiny_cloud, tiny_head

_SCRIPT = Path(__file__).parents[2] / "scripts" / "make_golden.py"
_SPEC = importlib.util.spec_from_file_location("make_golden_texels", _SCRIPT)
assert _SPEC is not None and _SPEC.loader is not None
make_golden = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(make_golden)

SPLATS = sorted(set(AVATAR_KINDS) - {"mesh-texture", "mesh-basis", "mesh-basis-bytes", "strands", "everything"})


def only(avatar: Avatar) -> SplatLayer:
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer)
    return layer


# --- Golden bytes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", make_golden.TEXEL_CASES)
def test_packing_gives_the_golden_bytes(name: str) -> None:
    stored = json.loads((make_golden.TEXELS / f"{name}.json").read_text())
    made = make_golden.golden_texels(make_golden.TEXEL_CASES[name]())
    assert stored["head"] == made["head"] and stored["layer"] == made["layer"], "the builders changed"
    for variant in VARIANTS:
        assert stored["variants"][variant]["descriptor"] == made["variants"][variant]["descriptor"]
        for table, data in stored["variants"][variant]["tables"].items():
            assert made["variants"][variant]["tables"][table] == data, f"{variant}: {table}"


def test_the_golden_files_are_small_and_none_is_left_over() -> None:
    files = list(make_golden.TEXELS.iterdir())
    assert {p.stem for p in files} == set(make_golden.TEXEL_CASES) and sum(p.stat().st_size for p in files) < 1e6


def test_every_kind_of_table_is_in_a_golden_file() -> None:
    named = {entry["name"].split(".")[1] for name in make_golden.TEXEL_CASES
             for variant in json.loads((make_golden.TEXELS / f"{name}.json").read_text())["variants"].values()
             for entry in variant["descriptor"]["tables"]}
    assert named == {"rest", "deltas", "deltaScales", "skin", "skinJoints", "skinWeights", "faces", "jointRest", "splatA",
                     "splatB", "splatC", "splatD", "point", "sh", "shScales", "dynamics", "dynamicsScales"}


# --- What a player makes of them --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", SPLATS)
def test_read_back_they_pose_within_the_bounds(kind: str, variant: str) -> None:
    avatar = tiny_avatar(kind, degree=2)
    report = texel_errors.errors(avatar, from_bytes(pack(avatar, variant).to_bytes(), "test"), picture=False)
    assert all(measure.ok for measure in report), report
    values = {measure.what: measure.value for measure in report}
    limits = {"float": (2e-6, 1e-6, 1e-6, 1e-6), "half": (1e-3, 4e-3, 2e-4, 0.012), "quantised": (5e-3, 0.02, 4e-3, 0.012)}
    for what, limit in zip(("rotations", "scales", "opacities", "colours (SH)"), limits[variant], strict=True):
        assert values[f"Gaussian {what}"] <= limit, what


def test_pictures_and_sizes_per_variant() -> None:
    avatar = tiny_avatar("linear", n=60, degree=1)
    values = texel_errors.table(avatar)
    assert values["float"]["picture"] > 100 and values["half"]["picture"] > 45 and values["quantised"]["picture"] > 40
    assert "| picture, dB |" in texel_errors.as_markdown(values, "test")
    counts = {v: sum(t["count"] for t in pack(avatar, v).descriptor["tables"]) for v in VARIANTS}
    assert counts["quantised"] < 0.75 * counts["half"] < 0.5 * counts["float"]


def test_dynamics_of_a_network_need_it_back() -> None:
    avatar = tiny_avatar("linear-network")
    packed = pack(avatar)
    assert only(packed_texels_reader.read(packed)).dynamics is None
    assert only(packed_texels_reader.read(packed, avatar.networks)).dynamics is not None
    assert packed.descriptor["licenseNotices"] == list(avatar.meta.license_notices)


# --- Layout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_tables_are_whole_rows_one_after_another(variant: str) -> None:
    packed, at = pack(tiny_avatar("linear"), variant), 0
    for entry in packed.descriptor["tables"]:
        assert entry["offset"] == at and entry["rows"] == -(-entry["count"] // WIDTH)
        end = at + entry["rows"] * WIDTH * 16
        assert not any(packed.data[at + entry["count"] * 16:end])
        at = end
    assert at == len(packed.data)
    whole = packed.to_bytes()
    assert (4 + int.from_bytes(whole[:4], "little")) % 16 == 0 and from_bytes(whole, "t").data == packed.data


def test_a_half_splat_read_with_nothing_of_ours() -> None:
    avatar = tiny_avatar("edge-height", n=9)
    layer, packed, i = only(avatar), pack(avatar, "half"), 5
    entry = packed.facts("layer0.splatA")
    x, y, z, spare, *q = struct.unpack_from("<4H4h", packed.data, entry["offset"] + 16 * i)
    low, high = np.array(entry["low"]), np.array(entry["high"])
    found = low + (high - low) * np.array([x, y, z]) / 65535
    np.testing.assert_allclose(found, layer.cloud.means[i], atol=1e-5 * (high - low).max())
    np.testing.assert_allclose(np.array(q) / 32767, layer.cloud.quats[i], atol=2e-5)
    entry = packed.facts("layer0.splatB")
    *log_scale, logit = struct.unpack_from("<4e", packed.data, entry["offset"] + 16 * i)
    r, g, b, a, index = struct.unpack_from("<4BI", packed.data, entry["offset"] + 16 * i + 8)
    np.testing.assert_allclose(np.exp(log_scale), layer.cloud.scales[i], rtol=4e-3)
    assert abs(1 / (1 + np.exp(-logit)) - layer.cloud.opacities[i]) < 1e-3 and abs(a / 255 - layer.cloud.opacities[i]) < 0.003
    assert index == layer.binding.face_index[i] and spare == 0  # type: ignore[union-attr]
    color = 0.5 + 0.28209479177387814 * layer.cloud.sh[i, 0]
    low, high = np.array(entry["low"]), np.array(entry["high"])
    np.testing.assert_allclose(low + (high - low) * np.array([r, g, b]) / 255, color, atol=0.0021 * (high - low).max())


def test_half_deltas_hold_two_vertices_and_begin_every_shape_anew() -> None:
    head = tiny_head()
    head = dataclasses.replace(head, v_template=head.v_template[:109], exprdirs=head.exprdirs[:109],
                               lbs_weights=head.lbs_weights[:109], posedirs=None, eyeliddirs=None, J_regressor=None,
                               J_template=np.zeros((5, 3)), faces=head.faces[(head.faces < 109).all(axis=1)], uvs=None,
                               uv_faces=None, regions={}, landmarks={})
    packed = pack(Avatar(head), "half")
    entry = packed.facts("head.deltas")
    assert entry["count"] == 6 * 55 and entry["perTexel"] == 2
    for shape, vertex in ((0, 0), (1, 0), (3, 108), (5, 77)):
        at = entry["offset"] + 16 * (shape * 55 + vertex // 2) + 8 * (vertex % 2)
        assert struct.unpack_from("<4e", packed.data, at) == (
            *head.exprdirs[vertex, :, shape].astype(np.float16).tolist(), 0.0)


def test_weights_sum_to_one_exactly_with_a_fifth_implied() -> None:
    head = tiny_head()
    words = pack(Avatar(head), "half").table("head.skin")
    assert len(words) == 110 and (words[:, 3] > 0).all()
    weights = np.stack([words[:, 0] & 0xFFFF, words[:, 0] >> 16, words[:, 1] & 0xFFFF, words[:, 1] >> 16], axis=1)
    assert (weights.sum(axis=1) < 65535).all() and (np.diff(weights.astype(int), axis=1) <= 0).all()
    back = packed_texels_reader.read(pack(Avatar(head), "half")).head.lbs_weights
    assert np.abs(back - head.lbs_weights).max() < 2.5 / 65535  # the fifth bears four roundings
    four = head.lbs_weights.copy()
    four[np.arange(110), four.argmin(axis=1)] = 0
    packed = pack(Avatar(dataclasses.replace(head, lbs_weights=four / four.sum(axis=1, keepdims=True))), "half")
    words = packed.table("head.skin")
    weights = np.stack([words[:, 0] & 0xFFFF, words[:, 0] >> 16, words[:, 1] & 0xFFFF, words[:, 1] >> 16], axis=1)
    assert (weights.sum(axis=1) == 65535).all() and not words[:, 3].any() and packed.facts("head.skin")["sumsToOne"]


def test_more_joints_take_a_second_texel_or_are_refused() -> None:
    def headed(joints: int) -> Avatar:
        head = tiny_head(extra_joints=joints - 5)
        return Avatar(dataclasses.replace(head, lbs_weights=np.full((110, joints), 1 / joints)))

    packed = pack(headed(7), "half")
    assert packed.facts("head.skin")["perItem"] == 2
    assert np.abs(packed_texels_reader.read(packed).head.lbs_weights - 1 / 7).max() < 3e-5
    with pytest.raises(UnsupportedFeature, match="9 joints move one vertex"):
        pack(headed(9), "half")
    assert np.abs(packed_texels_reader.read(pack(headed(9), "float")).head.lbs_weights - 1 / 9).max() < 1e-7
    with pytest.raises(UnsupportedFeature, match="a byte names 255"):
        pack(headed(260), "float")


def test_many_joints_of_which_few_are_used() -> None:
    head = tiny_head(extra_joints=295)
    weights = np.zeros((110, 300))
    weights[:, [2, 270]] = 0.5
    packed = pack(Avatar(dataclasses.replace(head, lbs_weights=weights)), "quantised")
    assert packed.facts("head.skin")["palette"] == [2, 270]
    np.testing.assert_allclose(packed_texels_reader.read(packed).head.lbs_weights, weights, atol=1e-5)


@pytest.mark.parametrize("variant", ["half", "quantised"])
def test_colours_outside_widen_their_box(variant: str) -> None:
    avatar = tiny_avatar("edge-height", degree=0)
    layer = only(avatar)
    rgb = np.linspace(-0.5, 1.75, 24 * 3).reshape(24, 1, 3)
    bright = dataclasses.replace(layer, cloud=dataclasses.replace(layer.cloud, sh=rgb_to_sh(rgb)))
    back = only(packed_texels_reader.read(pack(dataclasses.replace(avatar, layers=(bright,)), variant)))
    assert np.abs(back.cloud.sh - bright.cloud.sh).max() <= 2.25 / 510 / 0.282 + 1e-6


def test_quaternions_that_are_added_keep_their_sign() -> None:
    avatar = tiny_avatar("corner")
    packed = pack(avatar, "quantised")
    assert packed.descriptor["layers"][0]["splat"] == "half"
    assert np.abs(only(packed_texels_reader.read(packed)).cloud.quats - only(avatar).cloud.quats).max() < 5e-5
    assert pack(tiny_avatar("edge-height"), "quantised").descriptor["layers"][0]["splat"] == "quantised"


def test_an_empty_layer_and_a_flat_box() -> None:
    avatar = tiny_avatar("normal", n=6)  # offsets along the normal: two columns are zero
    layer = only(avatar)
    still = dataclasses.replace(layer, cloud=dataclasses.replace(layer.cloud, means=np.zeros((6, 3), np.float32)))
    for variant in VARIANTS:
        back = only(packed_texels_reader.read(pack(dataclasses.replace(avatar, layers=(still,)), variant)))
        assert not back.cloud.means.any()
    empty = SplatLayer(GaussianCloud(*(v[:0] for v in dataclasses.astuple(tiny_cloud(2, 0))[:5])),
                       dataclasses.replace(layer.binding, face_index=np.zeros(0, np.int32), barycentric=np.zeros((0, 3))))
    for variant in VARIANTS:
        assert len(only(packed_texels_reader.read(pack(dataclasses.replace(avatar, layers=(empty,)), variant))).cloud) == 0


# --- Numbers ----------------------------------------------------------------------------------------------------------


def test_half_is_ieee() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(0, 10, 500), [0, -0.0, 1e-8, 6e-8, 65504, 1e9, -1e9, 1 / 3]])
    for value, found in zip(values, bits.to_half(values), strict=True):
        bounded = float(np.float32(np.clip(value, -65504, 65504)))
        assert struct.pack("<e", bounded) == struct.pack("<H", int(found))
    assert np.abs(bits.from_half(bits.to_half(values)) - np.clip(values, -65504, 65504)).max() < 0.02


def test_smallest_three_of_random_and_special_rotations() -> None:
    q = normalize(np.concatenate([np.random.default_rng(1).normal(size=(2000, 4)), np.eye(4), -np.eye(4), [[1, 1, 1, 1]]]))
    back = bits.from_smallest_three(bits.to_smallest_three(q))
    angle = 2 * np.arccos(np.clip(np.abs(np.sum(q * back, axis=1)), 0, 1))
    assert angle.max() < 5e-3 and np.array_equal(back[2000:2004], np.eye(4))


def test_norms_reach_their_ends() -> None:
    low, high = np.float32([-1.0]), np.float32([3.0])
    assert bits.to_unorm(np.array([[-1], [3], [1], [9]]), low, high, 16).ravel().tolist() == [0, 65535, 32768, 65535]
    assert bits.to_snorm(np.array([-1, 0, 1, 0.5]), 8).tolist() == [0x81, 0, 127, 64]
    assert bits.from_snorm(np.array([0x80, 0x81, 127]), 8).tolist() == [-1, -1, 1]
    v = np.array([[1, -1, 1], [0, 0, -1], [0.3, -0.7, 0.2]])
    assert np.abs(bits.from_11_11_10(bits.to_11_11_10(v)) - v).max() <= 0.5 / 511
    box = bits.box_of(np.array([[0.1, 1e-9], [0.7, 0.3]]))
    assert (box[0] <= [0.1, 1e-9]).all() and (box[1] >= [0.7, 0.3]).all() and box[0].dtype == np.float32


# --- Refusals and damage ----------------------------------------------------------------------------------------------


def test_what_cannot_be_packed() -> None:
    with pytest.raises(UnsupportedFeature, match="'hair' is no splats"):
        pack(tiny_avatar("strands"))
    with pytest.raises(UnsupportedFeature, match="unknown variant"):
        pack(tiny_avatar("edge-height"), "tiny")


def change(packed: PackedTexels, edit: Any) -> PackedTexels:
    descriptor = json.loads(json.dumps(packed.descriptor))
    edit(descriptor)
    return PackedTexels(descriptor, packed.data)


def entry(descriptor: dict[str, Any], name: str) -> dict[str, Any]:
    return next(e for e in descriptor["tables"] if e["name"] == name)


@pytest.mark.parametrize("edit", [
    lambda d: d["tables"].pop(), lambda d: d["tables"].clear(), lambda d: entry(d, "head.rest").__setitem__("offset", 10**12),
    lambda d: entry(d, "head.deltas").__setitem__("count", 3), lambda d: d["head"].pop("shapes"),
    lambda d: d["head"]["shapes"].__setitem__("expr", 5), lambda d: entry(d, "head.skin").__setitem__("palette", [9]),
    lambda d: d["layers"][0].__setitem__("count", 23), lambda d: d["layers"].append(7),
    lambda d: d["layers"][0]["binding"].__setitem__("frame", "other"), lambda d: entry(d, "layer0.sh").__setitem__("bits", 0),
    lambda d: d["head"].__setitem__("edition", "flame1999"), lambda d: entry(d, "layer0.splatA").pop("low")])
def test_descriptors_that_do_not_fit_end_in_one_clear_line(edit: Any) -> None:
    packed = change(pack(tiny_avatar("linear"), "half"), edit)
    with pytest.raises(AvatarError) as raised:
        packed_texels_reader.read(packed)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("variant", VARIANTS)
def test_counts_without_tables_take_no_memory(variant: str) -> None:
    def edit(descriptor: dict[str, Any]) -> None:
        for table in descriptor["tables"]:
            if table["name"].startswith("head.skin"):
                table["count"] = 0
        descriptor["head"]["vertices"] = 10**11

    with pytest.raises(FormatError, match="0 influences for 100000000000 items"):
        packed_texels_reader.read(change(pack(tiny_avatar("edge-height"), variant), edit))


def leaves(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [leaf for key in keys for leaf in leaves(value[key])]


@pytest.mark.parametrize("kind, variant", [("linear", "float"), ("own-skin-turning", "half"), ("vertex-index", "quantised")])
def test_random_damage_gives_an_avatar_or_one_clear_line(kind: str, variant: str) -> None:
    packed, rng = pack(tiny_avatar(kind), variant), random.Random(kind)
    refused = 0
    for _ in range(150):
        descriptor = json.loads(json.dumps(packed.descriptor))
        owner, key = rng.choice(leaves(descriptor))
        owner[key] = rng.choice([None, -1, 0, 1.5, 10**9, 1e308, "x", [], {}])
        data = bytearray(packed.data)
        for _ in range(20):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            packed_texels_reader.read(from_bytes(PackedTexels(descriptor, bytes(data)).to_bytes(), "test"))
        except AvatarError as error:
            refused += 1
            assert "\n" not in str(error)
    assert 30 < refused < 150


def test_files_that_are_cut_or_something_else() -> None:
    data = pack(tiny_avatar("edge-height")).to_bytes()
    for bad in (b"", b"\x01", b"\xff" * 64, data[:100], data[:4] + b"[]" + data[6:], b"\x02\0\0\0{}" + data):
        with pytest.raises(FormatError):
            from_bytes(bad, "test")
    with pytest.raises(FormatError, match="of .* there are"):
        packed_texels_reader.read(from_bytes(data[:-WIDTH * 16 * 2], "test"))
    with pytest.raises(UnsupportedFeature, match="texels/2"):
        from_bytes(data.replace(b"flameport.texels/1", b"flameport.texels/2"), "test")


def test_golden_numbers_are_what_the_tables_decode_to() -> None:
    """The golden file is read as another language would: base64, words, bits."""
    stored = json.loads((make_golden.TEXELS / "faces-dynamics.json").read_text())
    words = np.frombuffer(base64.b64decode(stored["variants"]["half"]["tables"]["layer0.splatB"]), "<u4").reshape(-1, 4)
    assert words[:, 3].tolist() == np.frombuffer(base64.b64decode(stored["layer"]["face_index"]["base64"]), "<i4").tolist()
    avatar = make_golden.TEXEL_CASES["faces-dynamics"]()
    posed = deform(avatar, avatar.sequence, 1).layers[0]
    assert isinstance(posed, PosedSplats) and len(posed.cloud) == len(words)
    assert packed_texels.CONVENTIONS["quaternions"] == "w, x, y, z"
