"""The bundle: exact round trips, and one clear error for everything that can be wrong with one."""

import dataclasses
import json
import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from formats.codecs import bundle
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.uv_maps import UVMaps
from tests.builders import AVATAR_KINDS, assert_same, tiny_avatar, tiny_head

SCHEMA = json.loads((Path(bundle.__file__).parents[1] / "schemas" / "avatar.schema.json").read_text())


@pytest.fixture(scope="module")
def avatar():
    return tiny_avatar("everything")


@pytest.fixture
def folder(avatar, tmp_path):
    bundle.write(avatar, tmp_path / "x.avatar")
    return tmp_path / "x.avatar"


def change(folder: Path, edit) -> None:
    """Change `avatar.json` of a bundle by calling `edit` on it."""
    manifest = json.loads((folder / "avatar.json").read_text())
    edit(manifest)
    (folder / "avatar.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("kind", AVATAR_KINDS)
def test_every_kind_round_trips_to_the_bit_as_folder_and_zip(kind, tmp_path):
    avatar = tiny_avatar(kind)
    bundle.write(avatar, tmp_path / "x.avatar")
    bundle.write(avatar, tmp_path / "x.avatar.zip")
    assert_same(avatar, bundle.read(tmp_path / "x.avatar"))
    assert_same(avatar, bundle.read(tmp_path / "x.avatar.zip"))
    manifest = json.loads((tmp_path / "x.avatar" / "avatar.json").read_text())
    Draft202012Validator(SCHEMA).validate(manifest)
    assert bundle.pack(avatar) == bundle.pack(avatar)


def test_a_decoder_and_its_scale_round_trip(tmp_path):
    from formats.avatar import Network

    avatar = dataclasses.replace(tiny_avatar(), decoder="up", decoder_scale=4,
                                 networks={"up": Network(b"not run here", ("features",), ("image",))})
    bundle.write(avatar, tmp_path / "x.avatar")
    assert_same(avatar, bundle.read(tmp_path / "x.avatar"))
    Draft202012Validator(SCHEMA).validate(json.loads((tmp_path / "x.avatar" / "avatar.json").read_text()))
    change(tmp_path / "x.avatar", lambda manifest: manifest.pop("decoder_scale"))
    assert bundle.read(tmp_path / "x.avatar").decoder_scale == 1


def test_a_unit_that_is_not_there_is_a_metre_and_bytes_stay_bytes(tmp_path):
    for kind in ("vertex-quarter", "mesh-basis-bytes"):
        bundle.write(tiny_avatar(kind), tmp_path / f"{kind}.avatar")
    change(tmp_path / "vertex-quarter.avatar", lambda manifest: manifest["layers"][0]["binding"].pop("unit"))
    assert bundle.read(tmp_path / "vertex-quarter.avatar").layers[0].binding.unit == 1
    assert bundle.read(tmp_path / "mesh-basis-bytes.avatar").layers[1].shading.bases.dtype == np.uint8


@pytest.mark.parametrize("edition, joints", [("arkit-51", 3), ("flame2023", 0)])
def test_other_heads_round_trip(edition, joints, tmp_path):
    avatar = tiny_avatar("vertex-index", head=tiny_head(edition, extra_joints=joints))
    bundle.write(avatar, tmp_path / "x.avatar")
    assert_same(avatar, bundle.read(tmp_path / "x.avatar"))


def test_images_that_are_not_whole_levels_stay_floats(avatar, tmp_path):
    rng = np.random.default_rng(0)
    maps = UVMaps({"albedo": rng.uniform(0, 1, (4, 6, 3)), "Spe cial/..": avatar.maps.images["albedo"],
                   "deep": rng.normal(size=(3, 3, 7))}, None, {"Spe cial/..": "srgb"})
    changed = dataclasses.replace(avatar, maps=maps)
    bundle.write(changed, tmp_path / "x.avatar")
    assert_same(changed, bundle.read(tmp_path / "x.avatar"))
    assert not (tmp_path / "x.avatar" / "albedo.png").exists()
    assert (tmp_path / "x.avatar" / "spe_cial___.png").exists()


def test_small_indices_take_two_bytes_or_one(avatar, folder):
    from formats.codecs import safetensors_file

    assert safetensors_file.read(folder / "layer0.safetensors")["binding.face_index"].dtype == np.uint8
    big = safetensors_file.pack({"a": np.array([0, 70_000]), "b": np.array([0, 60_000]), "c": np.array([-1, 5])})
    types = {k: v.dtype.name for k, v in safetensors_file.parse(big, "x").items()}
    assert types == {"a": "int32", "b": "uint16", "c": "int32"}


def test_a_zip_made_by_hand_reads_with_a_folder_and_litter_inside(avatar, folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("__MACOSX/x.avatar/._avatar.json", b"litter")
        for file in sorted(folder.iterdir(), reverse=True):
            archive.write(file, f"x.avatar/{file.name}")
    assert_same(avatar, bundle.read(tmp_path / "x"))


def test_peek_tells_without_arrays(avatar, folder):
    (folder / "layer0.safetensors").write_bytes(b"not looked at")
    found = bundle.peek(folder)
    assert found["sequence"]["frame_count"] == 4 and found["head"]["vertices"] == 110
    assert [layer["kind"] for layer in found["layers"]] == ["splats", "strands", "mesh"]
    assert found["files"]["avatar.json"] > 500


def test_writing_replaces_a_bundle_as_a_whole(avatar, folder):
    bundle.write(tiny_avatar("world"), folder)
    assert sorted(p.name for p in folder.iterdir()) == [
        "avatar.json", "head.safetensors", "layer0.safetensors", "network0.onnx", "sequence.fpsq"]
    assert [p.name for p in folder.parent.iterdir()] == ["x.avatar"]


@pytest.mark.parametrize("content", [
    {"holiday.jpg": b"!"},
    {"avatar.json": b"not json"},
    {"avatar.json": b'{"format": "somebody else"}'},
    {"avatar.json": b'{"format": "flameport.avatar", "version": "1.0"}', "thesis.doc": b"!"},
])
def test_a_strangers_folder_is_never_replaced(avatar, tmp_path, content):
    target = tmp_path / "x.avatar"
    target.mkdir()
    for name, data in content.items():
        (target / name).write_bytes(data)
    with pytest.raises(FormatError, match="choose another --out"):
        bundle.write(avatar, target)
    assert {p.name: p.read_bytes() for p in target.iterdir()} == content


def test_an_empty_folder_is_filled_and_a_link_followed(avatar, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.avatar").symlink_to(tmp_path / "real")
    bundle.write(avatar, tmp_path / "link.avatar")
    bundle.write(avatar, tmp_path / "link.avatar")
    assert (tmp_path / "link.avatar").is_symlink()
    assert_same(avatar, bundle.read(tmp_path / "link.avatar"))


def test_a_failed_write_leaves_the_old_bundle(avatar, folder, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(MissingAsset, match="x.avatar: cannot be written: disk full"):
        bundle.write(tiny_avatar("world"), folder)
    monkeypatch.undo()
    assert before == {p.name: p.read_bytes() for p in folder.iterdir()}
    assert len(list(folder.parent.iterdir())) == 1


def test_unknown_optional_keys_warn_and_read(avatar, folder, caplog):
    change(folder, lambda m: m.update(version="1.7", sparkle=3) or m["layers"][0].update(glow=True))
    with caplog.at_level(logging.WARNING):
        assert_same(avatar, bundle.read(folder))
    assert "sparkle" in caplog.text and "glow" in caplog.text


CHANGES = {
    "another format": (lambda m: m.update(format="glTF"), FormatError, "format"),
    "no version": (lambda m: m.pop("version"), FormatError, "'version' is missing"),
    "odd version": (lambda m: m.update(version="one"), FormatError, "MAJOR.MINOR"),
    "next major": (lambda m: m.update(version="2.0"), UnsupportedFeature, "version 2.0"),
    "unknown layer": (lambda m: m["layers"][0].update(kind="volume"), UnsupportedFeature, "volume"),
    "unknown frame": (lambda m: m["layers"][0]["binding"].update(frame="moon"), UnsupportedFeature, "moon"),
    "unknown binding": (lambda m: m["layers"][0]["binding"].update(kind="glue"), UnsupportedFeature, "glue"),
    "unknown scale": (lambda m: m["layers"][0]["binding"].update(offset_scale="x"), UnsupportedFeature, "offset_scale"),
    "layers no list": (lambda m: m.update(layers={}), FormatError, "expected a list"),
    "layer no object": (lambda m: m.update(layers=[3]), FormatError, "expected an object"),
    "name a number": (lambda m: m["layers"][0].update(name=3), FormatError, "'name': expected text"),
    "two same names": (lambda m: m["layers"][0].update(name="hair"), FormatError, "same name"),
    "opaque a number": (lambda m: m["layers"][2].update(opaque=1), FormatError, "true or false"),
    "wrong edition": (lambda m: m["head"].update(edition="flame2020"), CheckpointMismatch, "edition"),
    "wrong hash": (lambda m: m["head"].update(content_hash="0"), CheckpointMismatch, "content_hash"),
    "missing file": (lambda m: m["layers"][0].update(file="absent.safetensors"), MissingAsset, "absent"),
    "file outside": (lambda m: m["layers"][0].update(file="../x.avatar/layer0.safetensors"), FormatError, "plain names"),
    "file absolute": (lambda m: m["head"].update(file="/etc/passwd"), FormatError, "plain names"),
    "another layer's file": (lambda m: m["layers"][0].update(file="layer1.safetensors"), FormatError, "no array"),
    "png for arrays": (lambda m: m["layers"][0].update(file="albedo.png"), FormatError, "safetensors"),
    "arrays for png": (lambda m: m["layers"][2]["shading"].update(file="head.safetensors"), FormatError, "PNG"),
    "no such network": (lambda m: m["layers"][0].update(dynamics={"kind": "network", "network": "n"}), FormatError,
                        "network 'n'"),
    "no such decoder": (lambda m: m.update(decoder="n"), FormatError, "network 'n'"),
    "notices no texts": (lambda m: m["meta"].update(license_notices=[1]), FormatError, "list of texts"),
    "color space": (lambda m: m["maps"]["images"]["albedo"].update(color_space="cmyk"), UnsupportedFeature, "cmyk"),
    "channels": (lambda m: m["maps"]["images"]["albedo"].update(channels=9), FormatError, "channels"),
    "no head": (lambda m: m.pop("head"), FormatError, "'file' is missing"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_wrong_manifests_end_in_one_clear_error(folder, case):
    edit, error, text = CHANGES[case]
    change(folder, edit)
    with pytest.raises(error, match=text) as caught:
        bundle.read(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"format": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000, b"\xff\xfe",
                                  b'{"format": "\\ud800"}', b'{"format": ' + b"9" * 5000 + b"}"])
def test_broken_json_is_refused(folder, text):
    (folder / "avatar.json").write_bytes(text)
    with pytest.raises(FormatError):
        bundle.read(folder)


def test_damaged_parts_are_refused(folder):
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        # A PNG without its last byte still has every pixel, and a manifest needs no last newline.
        exact = file.suffix in (".safetensors", ".fpsq")
        for part in (b"", whole[:len(whole) // 2], *([whole[:-1], whole + b"!"] if exact else [])):
            file.write_bytes(part)
            with pytest.raises(AvatarError, match="x.avatar"):
                bundle.read(folder)
        file.unlink()
        with pytest.raises(MissingAsset):
            bundle.read(folder)
        file.write_bytes(whole)


def test_nan_is_refused(folder):
    from formats.codecs import safetensors_file

    arrays = safetensors_file.read(folder / "layer0.safetensors")
    means = arrays["means"].copy()
    means[3, 1] = np.nan
    safetensors_file.write(arrays | {"means": means}, folder / "layer0.safetensors")
    with pytest.raises(FormatError, match="means: 1 of 72 values are not finite"):
        bundle.read(folder)


def hostile_zip(folder: Path, path: Path, kind: str) -> None:
    """Write a zip of the bundle with one thing wrong."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2 if kind == "bzip2" else zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
        if kind == "slip":
            archive.writestr("../../evil.txt", b"!")
        elif kind == "absolute":
            archive.writestr("/evil.txt", b"!")
        elif kind == "backslash":
            archive.writestr("..\\evil.txt", b"!")
        elif kind == "two bundles":
            archive.writestr("other/avatar.json", b"{}")
        elif kind == "duplicate":
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr("albedo.png", b"!")
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x05\x06"))
    if kind == "encrypted":
        data[entry + 8] |= 1
    elif kind == "bomb":
        data[entry + 24:entry + 28] = (1 << 30).to_bytes(4, "little")
    elif kind == "lie":
        data[entry + 24:entry + 28] = (7).to_bytes(4, "little")
    elif kind == "cut":
        del data[-40:]
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("kind, text", [
    ("slip", "outside"), ("absolute", "outside"), ("backslash", "outside|zip"), ("two bundles", "one avatar.json"),
    ("duplicate", "twice"), ("encrypted", "encrypted"), ("bomb", "claims"), ("lie", "bytes|damaged"),
    ("cut", "zip archive"), ("bzip2", "packed by a method")])
def test_hostile_zips_are_refused(folder, tmp_path, kind, text):
    hostile_zip(folder, tmp_path / "hostile.zip", kind)
    with pytest.raises(AvatarError, match=text):
        bundle.read(tmp_path / "hostile.zip")


def test_names_of_arrays_cannot_break_a_message(folder):
    file = folder / "layer0.safetensors"
    file.write_bytes(file.read_bytes().replace(b'"binding.face_index"', b'"binding.face_\\ndex"'))
    with pytest.raises(FormatError, match=r"layer0.safetensors: the name 'binding.face_\\ndex'") as caught:
        bundle.read(folder)
    assert "\n" not in str(caught.value)


def test_nothing_there_and_not_a_bundle(tmp_path):
    with pytest.raises(MissingAsset):
        bundle.read(tmp_path / "absent.avatar")
    with pytest.raises(MissingAsset, match="avatar.json"):
        bundle.read(tmp_path)
    (tmp_path / "file").write_bytes(b"hello")
    with pytest.raises(FormatError, match="zip"):
        bundle.read(tmp_path / "file")
    with pytest.raises(FormatError, match="is a file"):
        bundle.write(tiny_avatar(), tmp_path / "file")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A folder of each kind of file, and its files' bytes."""
    folder = tmp_path_factory.mktemp("fuzz") / "x.avatar"
    bundle.write(tiny_avatar("everything", n=4), folder)
    return folder, {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_never_raise_anything_else(packed, data):
    folder, contents = packed
    name = data.draw(st.sampled_from(sorted(contents)))
    damaged = bytearray(contents[name])
    # Headers are where the damage is interesting: half of the flips go to the first kilobyte.
    reach = data.draw(st.sampled_from([min(1024, len(damaged)), len(damaged)]))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, reach - 1))] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(damaged)
    try:
        bundle.read(folder)
    except AvatarError as error:
        assert "\n" not in str(error)
    finally:
        (folder / name).write_bytes(contents[name])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_in_a_zip_never_raise_anything_else(packed, tmp_path, data):
    from formats.codecs.bundle_files import write_zip

    small = {name: content for name, content in packed[1].items() if len(content) < 4000}
    write_zip(small.items(), tmp_path / "x.zip")
    damaged = bytearray((tmp_path / "x.zip").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "x.zip").write_bytes(damaged)
    with pytest.raises(AvatarError):
        bundle.read(tmp_path / "x.zip")


def test_schema_refuses_what_the_reader_refuses(folder):
    for case in ("unknown layer", "layers no list", "name a number", "next major", "color space", "file outside"):
        manifest = json.loads((folder / "avatar.json").read_text())
        CHANGES[case][0](manifest)
        assert list(Draft202012Validator(SCHEMA).iter_errors(manifest)), case
