"""UV maps as pictures: what is written, what is read back, what validation finds, and what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")

from exporter.export import export  # noqa: E402
from exporter.targets import textures  # noqa: E402
from exporter.validate import validate  # noqa: E402
from formats.avatar import Avatar  # noqa: E402
from formats.codecs import deep_png  # noqa: E402
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature  # noqa: E402
from formats.uv_maps import UVMaps  # noqa: E402
from tests.builders import tiny_avatar, tiny_head  # noqa: E402

WIDE, HIGH = 24, 16
CHANNELS = {"local_position_uv": 3, "rot_delta_uv": 4, "local_scaling_uv": 3, "gs_opacity_uv": 1, "gs_features_uv": 3,
            "pair": 2}


def avatar_with(maps: UVMaps | None, **changes: Any) -> Avatar:
    return dataclasses.replace(tiny_avatar(), maps=maps, **changes)


def maps_of(mask: bool = True, seed: int = 4) -> UVMaps:
    """Return maps whose channels differ in range by ten orders of magnitude, with wild values far from the mask."""
    rng = np.random.default_rng(seed)
    images = {name: rng.normal(0, 10.0 ** rng.uniform(-6, 4, count), (HIGH, WIDE, count)) for name, count in CHANNELS.items()}
    images["gs_opacity_uv"][0, 0] = 1e9
    images["local_position_uv"][..., 0] = 0
    images["albedo"] = rng.uniform(-0.1, 1.1, (2 * HIGH, 2 * WIDE, 3))
    covered = np.zeros((HIGH, WIDE), bool)
    covered[5:12, 4:18] = True
    return UVMaps(images, covered if mask else None)


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return avatar_with(maps_of())


@pytest.fixture
def folder(avatar: Avatar, tmp_path: Path) -> Path:
    export(avatar, "textures", tmp_path / "maps")
    return tmp_path / "maps"


def edit(folder: Path, change: Any) -> None:
    about = json.loads((folder / "textures.json").read_text())
    change(about)
    (folder / "textures.json").write_text(json.dumps(about))


# --- Writing and reading ----------------------------------------------------------------------------------------------


def test_what_is_written(avatar: Avatar, folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*(f"{name}.png" for name in CHANNELS), "albedo.png", "mask.png", "textures.json"])
    about = json.loads((folder / "textures.json").read_text())
    assert about["format"] == "flameport.textures/1" and about["head"]["content_hash"] == avatar.head.content_hash
    assert about["license_notices"] == list(avatar.meta.license_notices) and about["system"] == avatar.meta.system
    opacity, quats = about["maps"]["gs_opacity_uv"], about["maps"]["rot_delta_uv"]
    assert opacity["activation"] == "sigmoid" and opacity["size"] == [WIDE, HIGH] and opacity["bits"] == 16
    assert quats["channels"] == ["w", "x", "y", "z"] and about["maps"]["albedo"]["size"] == [2 * WIDE, 2 * HIGH]


def test_rows_run_from_the_top_and_q_is_what_is_said(avatar: Avatar, folder: Path) -> None:
    about = json.loads((folder / "textures.json").read_text())["maps"]["gs_features_uv"]
    q = deep_png.read(folder / about["file"]).astype(float)
    assert avatar.maps is not None
    said = np.array(about["low"]) + (np.array(about["high"]) - about["low"]) * q / 65535
    inside = (slice(5, 12), slice(4, 18))
    step = (np.array(about["high"]) - about["low"]) / 65535
    assert (np.abs(said - avatar.maps.images["gs_features_uv"])[inside] <= 0.501 * step).all()
    with Image.open(folder / "mask.png") as mask:
        assert np.array_equal(np.asarray(mask) > 0, np.asarray(avatar.maps.mask))


@pytest.mark.parametrize("mask", [True, False])
def test_they_come_back_within_half_a_step(mask: bool, tmp_path: Path) -> None:
    maps = maps_of(mask)
    export(avatar_with(maps), "textures", tmp_path / "maps")
    back = textures.read(tmp_path / "maps")
    assert set(back.images) == set(maps.images) and back.color_spaces == maps.color_spaces
    assert (back.mask is None) == (not mask) and (not mask or np.array_equal(np.asarray(back.mask), np.asarray(maps.mask)))
    seen = np.ones((HIGH, WIDE), bool) if maps.mask is None else maps.mask
    for name, count in CHANNELS.items():
        image, low_high = maps.images[name], textures.bounds(maps, name)
        step = (low_high[1] - low_high[0]) / 65535
        assert back.images[name].shape == (HIGH, WIDE, count)
        assert (np.abs(image - back.images[name])[seen] <= 0.501 * step + 1e-6 * np.abs(image[seen])).all(), name
    assert np.abs(np.clip(maps.images["albedo"], 0, 1) - back.images["albedo"]).max() <= 0.501 / 255


def test_values_off_the_layout_do_not_widen_the_range(avatar: Avatar) -> None:
    assert avatar.maps is not None
    assert textures.bounds(avatar.maps, "gs_opacity_uv")[1].max() < 1e6
    # Lookups at the edge of the mask touch texels beside it.
    images = {"m": np.zeros((HIGH, WIDE, 1))}
    images["m"][4, 4] = 3
    assert textures.bounds(UVMaps(images, avatar.maps.mask), "m")[1] == 3


def test_a_channel_that_does_not_change(folder: Path) -> None:
    assert (textures.read(folder).images["local_position_uv"][..., 0] == 0).all()


def test_webp_loses_nothing(avatar: Avatar, folder: Path, tmp_path: Path) -> None:
    export(avatar, "textures", tmp_path / "webp", textures.Options(albedo="webp"))
    assert (tmp_path / "webp" / "albedo.webp").is_file() and not (tmp_path / "webp" / "albedo.png").exists()
    assert np.array_equal(textures.read(tmp_path / "webp").images["albedo"], textures.read(folder).images["albedo"])
    assert validate(tmp_path / "webp", avatar).ok


def test_a_head_without_texture_coordinates(tmp_path: Path) -> None:
    """Maps are pictures for themselves; nothing is looked up to write them."""
    head = dataclasses.replace(tiny_head(), uvs=None, uv_faces=None)
    bare = Avatar(head=head, maps=maps_of())
    export(bare, "textures", tmp_path / "maps")
    assert validate(tmp_path / "maps", bare).ok


def test_a_known_name_with_other_channels_gets_no_activation(tmp_path: Path) -> None:
    export(avatar_with(UVMaps({"gs_features_uv": np.ones((4, 4, 4))})), "textures", tmp_path / "maps")
    entry = json.loads((tmp_path / "maps" / "textures.json").read_text())["maps"]["gs_features_uv"]
    assert entry["activation"] == "none" and entry["channels"] == ["c0", "c1", "c2", "c3"]


# --- Validation -------------------------------------------------------------------------------------------------------


def test_a_good_export_passes(avatar: Avatar, folder: Path) -> None:
    report = validate(folder, avatar)
    assert report.ok and report.kind == "textures" and len(report.measures) == 8


@pytest.mark.parametrize("name", ["rot_delta_uv", "gs_opacity_uv"])
def test_one_changed_texel_fails(avatar: Avatar, folder: Path, name: str) -> None:
    q = deep_png.read(folder / f"{name}.png")
    q[8, 10, 0] = q[8, 10, 0] + 3 if q[8, 10, 0] < 30000 else q[8, 10, 0] - 3
    (folder / f"{name}.png").write_bytes(deep_png.encode(q))
    report = validate(folder, avatar)
    assert not report.ok and [m.what.split(":")[0] for m in report.measures if not m.ok] == [name]


def test_changed_ranges_albedo_and_mask_fail(avatar: Avatar, folder: Path) -> None:
    edit(folder, lambda about: about["maps"]["gs_features_uv"]["high"].__setitem__(1, 1e5))
    for name in ("albedo.png", "mask.png"):
        with Image.open(folder / name) as image:
            pixels = np.array(image)
        pixels[10:12, 10:12] ^= 255
        Image.fromarray(pixels).save(folder / name)
    wrong = {m.what.split(":")[0] for m in validate(folder, avatar).measures if not m.ok}
    assert wrong == {"gs_features_uv", "mask", "albedo"}


def test_a_mask_too_many_fails(avatar: Avatar, folder: Path) -> None:
    assert avatar.maps is not None
    bare = avatar_with(UVMaps(avatar.maps.images))
    assert not validate(folder, bare).ok


def test_another_avatars_maps(avatar: Avatar, folder: Path) -> None:
    assert avatar.maps is not None
    images = dict(avatar.maps.images)
    for other in (avatar_with(None), avatar_with(UVMaps({"albedo": images["albedo"]})),
                  avatar_with(UVMaps(images | {"pair": np.zeros((HIGH, WIDE, 3))}))):
        with pytest.raises(CheckpointMismatch):
            validate(folder, other)


# --- What is refused --------------------------------------------------------------------------------------------------


def test_an_avatar_without_maps(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="flameport bake"):
        export(avatar_with(None), "textures", tmp_path / "maps")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a/b", "../a", "..", ".hidden", "a\\b", "mask", "textures", "a/"])
def test_names_that_are_no_files(name: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be a file"):
        export(avatar_with(UVMaps({name: np.zeros((4, 4, 3))})), "textures", tmp_path / "maps")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("space, count", [("data", 5), ("srgb", 2)])
def test_channels_that_pictures_do_not_hold(space: str, count: int, tmp_path: Path) -> None:
    maps = UVMaps({"wide": np.zeros((4, 4, count))}, None, {"wide": space})
    with pytest.raises(UnsupportedFeature, match="'wide'"):
        export(avatar_with(maps), "textures", tmp_path / "maps")
    assert not list(tmp_path.iterdir())


def test_somebody_elses_folder_stays(avatar: Avatar, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(FormatError, match="other things"):
        export(avatar, "textures", tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_failed_export_keeps_the_one_before(avatar: Avatar, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(*args: Any) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(deep_png, "encode", full)
    with pytest.raises(MissingAsset, match="No space left"):
        export(avatar, "textures", folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before and len(list(folder.parent.iterdir())) == 1


def shallow(folder: Path) -> None:
    Image.fromarray(np.zeros((HIGH, WIDE), np.uint8)).save(folder / "gs_opacity_uv.png")


def entry(name: str, field: str, value: Any) -> Any:
    return lambda folder: edit(folder, lambda about: about["maps"][name].__setitem__(field, value))


BROKEN: dict[str, tuple[Any, type[AvatarError], str]] = {
    "8 bits": (shallow, FormatError, "8 bits a channel, expected 16"),
    "file gone": (lambda f: (f / "rot_delta_uv.png").unlink(), MissingAsset, "no such file"),
    "albedo gone": (lambda f: (f / "albedo.png").unlink(), MissingAsset, "no such file"),
    "mask gone": (lambda f: (f / "mask.png").unlink(), MissingAsset, "no such file"),
    "about gone": (lambda f: (f / "textures.json").unlink(), MissingAsset, "textures.json"),
    "albedo damaged": (lambda f: (f / "albedo.png").write_bytes(b"\x89PNG\r\n"), FormatError, "albedo.png"),
    "other size": (lambda f: (f / "gs_opacity_uv.png").write_bytes(deep_png.encode(np.zeros((4, 4, 1), np.uint16))),
                   FormatError, "4 x 4"),
    "other channels": (lambda f: (f / "gs_features_uv.png").write_bytes(
        deep_png.encode(np.zeros((HIGH, WIDE, 4), np.uint16))), FormatError, "4 channels"),
    "size of one": (entry("pair", "size", [WIDE]), FormatError, "'size'"),
    "size no number": (entry("pair", "size", ["wide", 3]), FormatError, "size"),
    "size turned": (entry("pair", "size", [HIGH, WIDE]), FormatError, "says 16 x 24"),
    "low too short": (entry("rot_delta_uv", "low", [0, 0, 0]), FormatError, "expected 4 numbers"),
    "no high": (lambda f: edit(f, lambda a: a["maps"]["pair"].pop("high")), FormatError, "'high' is missing"),
    "other space": (entry("pair", "color_space", "linear"), UnsupportedFeature, "'linear'"),
    "file outside": (entry("pair", "file", "../pair.png"), FormatError, "without folders"),
    "file in a folder": (entry("pair", "file", "a/pair.png"), FormatError, "without folders"),
    "channels a number": (entry("pair", "channels", 2), FormatError, "channels"),
    "no maps": (lambda f: edit(f, lambda a: a.pop("maps")), FormatError, "'maps' is missing"),
    "later version": (lambda f: edit(f, lambda a: a.__setitem__("format", "flameport.textures/2")), UnsupportedFeature, "/2"),
    "not json": (lambda f: (f / "textures.json").write_text("{"), FormatError, "not JSON"),
}


@pytest.mark.parametrize("way", BROKEN)
def test_wrong_folders_end_in_one_clear_line(way: str, folder: Path) -> None:
    damage, error, match = BROKEN[way]
    damage(folder)
    with pytest.raises(error, match=match) as raised:
        textures.read(folder)
    assert "\n" not in str(raised.value)
