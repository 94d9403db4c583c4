"""UV maps as pictures: what is written, what is read back, what validation finds, and what is refused."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")

from exporter import khronos, ktx2, textures_check  # noqa: E402
from exporter.export import export  # noqa: E402
from exporter.ops.dilate import dilate, dilate_maps  # noqa: E402
from exporter.targets import textures  # noqa: E402
from exporter.validate import validate  # noqa: E402
from formats.avatar import Avatar  # noqa: E402
from formats.codecs import deep_png  # noqa: E402
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature  # noqa: E402
from formats.mesh_shading import sample_bilinear  # noqa: E402
from formats.texels import texels  # noqa: E402
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


# --- WebP planes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [True, False])
def test_two_planes_hold_what_the_png_holds(mask: bool, tmp_path: Path) -> None:
    avatar = avatar_with(maps_of(mask))
    export(avatar, "textures", tmp_path / "png")
    export(avatar, "textures", tmp_path / "webp", textures.Options(data="webp"))
    names = {p.name for p in (tmp_path / "webp").iterdir()}
    assert {f"{name}.{plane}.webp" for name in CHANNELS for plane in ("high", "low")} < names and "gs_opacity_uv.png" not in names
    one, other = textures.read(tmp_path / "png"), textures.read(tmp_path / "webp")
    for name in CHANNELS:
        np.testing.assert_array_equal(one.images[name], other.images[name], err_msg=name)
    assert textures_check.check(tmp_path / "webp", avatar).ok and validate(tmp_path / "webp", avatar).ok


def test_planes_read_with_nothing_of_ours(tmp_path: Path) -> None:
    """Colours under alpha 0 too, which WebP drops unless told."""
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (HIGH, WIDE, 4)).astype(np.float32)
    image[..., 3] = np.where(rng.random((HIGH, WIDE)) < 0.5, image[..., 3].min(), image[..., 3])
    export(avatar_with(UVMaps({"rot_delta_uv": image})), "textures", tmp_path / "maps", textures.Options(data="webp"))
    said = json.loads((tmp_path / "maps" / "textures.json").read_text())["maps"]["rot_delta_uv"]
    planes = []
    for key in ("high_file", "low_file"):
        with Image.open(tmp_path / "maps" / said[key]) as picture:
            assert picture.format == "WEBP" and picture.mode == "RGBA"
            planes.append(np.asarray(picture).astype(float))
    low, high = np.array(said["low"]), np.array(said["high"])
    found = low + (high - low) * (256 * planes[0] + planes[1]) / 65535
    assert np.abs(found - image).max() <= 0.501 * (high - low).max() / 65535


def test_planes_of_different_sizes(tmp_path: Path) -> None:
    export(avatar_with(maps_of()), "textures", tmp_path / "maps", textures.Options(data="webp"))
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "maps" / "gs_features_uv.low.webp", lossless=True)
    with pytest.raises(FormatError, match="is 4 x 4 pixels"):
        textures.read(tmp_path / "maps")


# --- Errors and losses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["png16", "webp"])
def test_every_map_says_what_it_is_off_by(avatar: Avatar, data: Any, tmp_path: Path) -> None:
    export(avatar, "textures", tmp_path / "maps", textures.Options(data=data))
    said = json.loads((tmp_path / "maps" / "textures.json").read_text())["maps"]
    back, own = textures.read(tmp_path / "maps"), avatar.maps
    assert own is not None
    for name, image in own.images.items():
        seen = own.mask if own.mask is not None and own.mask.shape == image.shape[:2] else np.ones(image.shape[:2], bool)
        wanted = np.clip(image, 0, 1) if name == "albedo" else image
        gap = np.abs(wanted.astype(float) - back.images[name])[seen]
        assert said[name]["error"]["largest"] == pytest.approx(gap.max(), rel=1e-3, abs=1e-9), name
        assert said[name]["error"]["rms"] == pytest.approx(np.sqrt((gap**2).mean()), rel=1e-3, abs=1e-9), name
    told = textures.losses(avatar, textures.Options(data=data))
    assert len(told) == len(own.images) and not any(loss.blocking for loss in told)
    exact = dataclasses.replace(own, images={"albedo": np.round(own.images["albedo"].clip(0, 1) * 255) / 255}, color_spaces={})
    assert textures.losses(avatar_with(exact), textures.Options(data=data)) == []
    assert "16 bits" in told[0].what and "up to" in told[0].amount
    assert textures.losses(avatar_with(None), textures.Options()) == []


# --- Dilation ---------------------------------------------------------------------------------------------------------


def test_dilation_copies_outwards_ring_by_ring() -> None:
    image = np.arange(49, dtype=np.float32).reshape(7, 7, 1)
    covered = np.zeros((7, 7), bool)
    covered[3, 3] = True
    once, twice = dilate(image, covered, 1)[..., 0], dilate(image, covered, 2)[..., 0]
    assert (once[2:5, 2:5] == 24).all() and (twice[1:6, 1:6] == 24).all()
    assert once[1, 3] == image[1, 3, 0] and twice[0, 0] == 0 and (dilate(image, covered, 99) == 24).all()


def test_what_is_covered_stays_and_islands_meet_half_way() -> None:
    rng = np.random.default_rng(3)
    image, covered = rng.normal(size=(9, 12, 4)).astype(np.float32), np.zeros((9, 12), bool)
    covered[:, 0], covered[:, 11] = True, True
    grown = dilate(image, covered, 20)
    assert np.array_equal(grown[covered], image[covered])
    assert np.array_equal(grown[:, 5], image[:, 0]) and np.array_equal(grown[:, 6], image[:, 11])


def test_exported_maps_are_dilated_when_asked(avatar: Avatar, folder: Path, tmp_path: Path) -> None:
    export(avatar, "textures", tmp_path / "grown", textures.Options(dilate=3))
    plain, grown = textures.read(folder), textures.read(tmp_path / "grown")
    mask = plain.mask
    assert mask is not None and textures_check.check(tmp_path / "grown", avatar).ok
    for name in CHANNELS:
        assert np.array_equal(plain.images[name][mask], grown.images[name][mask]), name
    quats = grown.images["rot_delta_uv"]
    assert np.array_equal(quats[4, 8], quats[5, 8]) and np.array_equal(quats[2, 8], quats[5, 8])
    assert json.loads((tmp_path / "grown" / "textures.json").read_text())["dilated"] == 3


def test_an_albedo_of_another_size_is_covered_where_the_head_is() -> None:
    """A lookup up to two texels past an island then sees the island, and nothing of the ground."""
    head, size = tiny_head(), 64
    white = np.zeros((size, size, 3), np.float32)
    texel = texels(head, size)[0]
    white.reshape(-1, 3)[texel] = 1
    mask = np.zeros((16, 16), bool)  # of another size: not the albedo's
    grown = dilate_maps(UVMaps({"albedo": white}, mask), head, 2).images["albedo"]
    y, x = np.divmod(texel, size)
    points = np.stack([x + 0.5, y + 0.5], axis=1) / size
    for away in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.9, -0.9)):
        moved = np.clip(points + np.array(away) / size, 0, 1)
        assert sample_bilinear(grown, moved).min() == pytest.approx(1) and sample_bilinear(white, moved).min() < 1
    flat = dataclasses.replace(head, uvs=None, uv_faces=None)
    assert np.array_equal(dilate_maps(UVMaps({"albedo": white}, mask), flat, 2).images["albedo"], white)


# --- KTX2 -------------------------------------------------------------------------------------------------------------

needs_ktx2 = pytest.mark.skipif(not ktx2.available(), reason="needs Node and the package in exporter/node")


def painted(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width] / 8
    return np.stack([0.6 + 0.3 * np.sin(x), 0.5 + 0.3 * np.cos(y), 0.4 + 0.2 * np.sin(x + y)], axis=2).astype(np.float32)


@needs_ktx2
@pytest.mark.parametrize("mode, least", [("uastc", 40.0), ("etc1s", 30.0)])
def test_an_albedo_as_ktx2(mode: Any, least: float, tmp_path: Path) -> None:
    avatar = avatar_with(UVMaps({"albedo": painted(32, 64)}))
    options = textures.Options(albedo="ktx2", ktx2=mode)
    export(avatar, "textures", tmp_path / "maps", options)
    said = json.loads((tmp_path / "maps" / "textures.json").read_text())["maps"]["albedo"]
    assert said["file"] == "albedo.ktx2" and said["bits"] is None and said["error"]["psnr"] > least
    back = textures.read(tmp_path / "maps").images["albedo"]
    assert back.shape == (32, 64, 3)
    assert -10 * np.log10(np.mean((back - painted(32, 64)) ** 2)) == pytest.approx(said["error"]["psnr"], abs=0.01)
    report = textures_check.check(tmp_path / "maps", avatar)
    assert report.ok and report.measures[1].unit == "dB"
    assert mode in textures.losses(avatar, options)[0].what and "dB" in textures.losses(avatar, options)[0].amount


@needs_ktx2
def test_a_ktx2_is_what_another_transcoder_reads(tmp_path: Path) -> None:
    """three.js' own, which every browser loads."""
    if not khronos.available():
        pytest.skip("needs scripts/build --tests")
    pixels = np.round(painted(32, 64) * 255).astype(np.uint8)
    (tmp_path / "a.ktx2").write_bytes(ktx2.encode(pixels))
    done = subprocess.run(["node", str(Path(__file__).parent / "ktx2_transcode.mjs"), str(khronos.FOLDER / "node_modules"),
                           str(tmp_path / "a.ktx2"), str(tmp_path / "a.rgba")], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["width"], said["height"], said["levels"]) == (64, 32, 7) and said["dfdTransfer"] == 2  # sRGB
    found = np.fromfile(tmp_path / "a.rgba", np.uint8).reshape(32, 64, 4)
    assert np.array_equal(found, ktx2.decode((tmp_path / "a.ktx2").read_bytes(), "a"))


@needs_ktx2
def test_no_ktx2_in_one_clear_line(tmp_path: Path) -> None:
    good = ktx2.encode(np.zeros((8, 8, 4), np.uint8))
    for bad in (b"", b"\x89PNG", good[:90], good[:40] + b"\xff" * 60):
        with pytest.raises(FormatError, match="a.ktx2") as raised:
            ktx2.decode(bad, "a.ktx2")
        assert "\n" not in str(raised.value)


def test_sizes_that_ktx2_does_not_take(tmp_path: Path) -> None:
    avatar = avatar_with(UVMaps({"albedo": painted(30, 64)}))
    with pytest.raises(UnsupportedFeature, match="multiples of four"):
        export(avatar, "textures", tmp_path / "maps", textures.Options(albedo="ktx2"))
    assert not list(tmp_path.iterdir())


def test_ktx2_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ktx2.MODULES, str(tmp_path))
    assert not ktx2.available()
    with pytest.raises(MissingAsset, match="npm ci --prefix|Node 20"):
        ktx2.encode(np.zeros((8, 8, 4), np.uint8))


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

    monkeypatch.setattr(textures, "write_json", full)
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
