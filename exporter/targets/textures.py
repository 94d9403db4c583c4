"""UV attribute maps as pictures: one 16-bit PNG per map, an albedo, a mask, and textures.json, which says what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt16
from PIL import Image

from exporter.capabilities import Capabilities
from formats.avatar import Avatar, FaceBinding, SplatLayer
from formats.codecs import deep_png
from formats.codecs.json_file import Fields, check_version, read_json, write_json
from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.files import replacing_folder
from formats.uv_maps import UVMaps

CAPABILITIES = Capabilities(subject="maps")
ABOUT, MASK, ALBEDO = "textures.json", "mask.png", "albedo"
FAMILY, MAJOR = "flameport.textures", 1
STEPS = 65535
GUTTER = 2
"""Texels beyond the mask that lookups at its edge still touch, and that ranges therefore include."""

ACTIVATIONS = {
    "local_position_uv": ("none", ("x", "y", "z"),
                          "offset in the triangle's frame (first edge, normal, their cross product), times its double area"),
    "rot_delta_uv": ("normalize", ("w", "x", "y", "z"), "rotation in the triangle's frame, quaternion"),
    "local_scaling_uv": ("exp", ("x", "y", "z"), "standard deviations in metres, on the head's canonical pose"),
    "gs_opacity_uv": ("sigmoid", ("logit",), "opacity"),
    "gs_features_uv": ("0.5 + 0.28209479177387814 x, not below 0", ("r", "g", "b"),
                       "SH of degree 0; the colour is display sRGB"),
}
"""Map name to what turns a looked-up value into the attribute, channel names, and meaning. Other maps hold plain numbers."""
SIZE_UNITS = {
    "local_position_uv": "offset in the triangle's frame (first edge, normal, their cross product), times its size, the mean of "
                         "its first edge and its height",
    "local_scaling_uv": "standard deviations, times the triangle's size",
}
"""What two of them mean instead where Gaussians ride with `offset_scale` `edge_height`, as OSGAP's do."""


@dataclass(frozen=True)
class Options:
    """How pictures are stored."""

    albedo: Literal["png", "webp"] = "png"
    """Format of the albedo: PNG, or WebP without loss, about a third smaller."""


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the folder `out` and return its files. Rows run from the top (v = 0) down.

    A value of a data map is low + (high - low) q / 65535 with its channel's bounds from textures.json, q from the PNG: half
    a step, (high - low) / 131070, off at most. Texels further than `GUTTER` from the mask are cut to the same bounds.

    Raises:
        MissingAsset: The avatar has no maps; or the package `av` is not installed.
        FormatError: A map's name is no file name, or `out` holds something that is no exported textures.
        UnsupportedFeature: A map has more channels than a picture.
    """
    maps = avatar.maps
    if maps is None:
        raise MissingAsset("textures: the avatar has no UV maps; bake a trained run first (flameport bake RUN --out X.avatar)")
    for name, image in maps.images.items():
        _check(name, image, maps.color_spaces[name])
    out = Path(out)
    if out.is_dir() and any(out.iterdir()) and not (out / ABOUT).is_file():
        raise FormatError(f"{out}: a folder with other things in it; choose a new --out, or empty it first")
    entries: dict[str, Any] = {}
    with replacing_folder(out) as folder:
        for name, image in maps.images.items():
            if maps.color_spaces[name] == "srgb":
                entries[name] = _write_picture(name, image, folder, options)
            else:
                meanings = SIZE_UNITS if _in_size_units(avatar) else {}
                entries[name] = _write_data(name, image, *bounds(maps, name), folder, meanings)
        if maps.mask is not None:
            Image.fromarray(maps.mask.astype(np.uint8) * 255).save(folder / MASK, format="PNG")
        write_json({
            "format": f"{FAMILY}/{MAJOR}",
            "rows": "top first: row 0 is v = 0, texel (i, j) covers v = (i + 0.5) / height, u = (j + 0.5) / width",
            "lookup": "bilinear, held at the border, then the activation",
            "head": {"edition": avatar.head.edition, "content_hash": avatar.head.content_hash},
            "system": avatar.meta.system, "license_notices": list(avatar.meta.license_notices),
            **({} if maps.mask is None else {"mask": MASK}),
            "maps": entries}, folder / ABOUT)
        names = sorted(p.name for p in folder.iterdir())
    return [out / name for name in names]


def bounds(maps: UVMaps, name: str) -> tuple[Float64[np.ndarray, " C"], Float64[np.ndarray, " C"]]:
    """Return what 0 and 65535 stand for in each channel of a data map: the least and largest values that lookups on the
    surface can touch, and never the same number twice."""
    image = maps.images[name].astype(np.float64)
    within = _within(maps, image)
    known = image[within] if within.any() else image.reshape(-1, image.shape[2])
    low, high = known.min(axis=0), known.max(axis=0)
    return low, np.where(high > low, high, low + 1)


def _check(name: str, image: np.ndarray, space: str) -> None:
    """Raise unless a map can be a picture beside the others."""
    reserved = (Path(MASK).stem, Path(ABOUT).stem)
    if Path(name).name != name or "\\" in name or name.startswith(".") or name in reserved:
        raise FormatError(f"textures: the map '{name}' cannot be a file of that name beside {ABOUT} and {MASK}; rename it")
    most = (1, 3, 4) if space == "srgb" else (1, 2, 3, 4)
    if image.shape[2] not in most or not image.size:
        raise UnsupportedFeature(f"textures: the map '{name}' is {list(image.shape)}; pictures of {space} hold "
                                 f"{', '.join(map(str, most))} channels")


def _write_picture(name: str, image: np.ndarray, folder: Path, options: Options) -> dict[str, Any]:
    kind = options.albedo if name == ALBEDO else "png"
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    picture.save(folder / f"{name}.{kind}", format=kind.upper(), **({"lossless": True} if kind == "webp" else {}))
    return {"file": f"{name}.{kind}", "bits": 8, "color_space": "srgb", "activation": "none",
            "channels": list("rgba"[:image.shape[2]]), "size": [image.shape[1], image.shape[0]]}


def _in_size_units(avatar: Avatar) -> bool:
    bindings = [layer.binding for layer in avatar.layers if isinstance(layer, SplatLayer)]
    return any(isinstance(binding, FaceBinding) and binding.offset_scale == "edge_height" for binding in bindings)


def _write_data(name: str, image: Float32[np.ndarray, "H W C"], low: np.ndarray, high: np.ndarray, folder: Path,
                meanings: Mapping[str, str]) -> dict[str, Any]:
    activation, channels, meaning = ACTIVATIONS.get(name, ("none", (), ""))
    meaning = meanings.get(name, meaning)
    if len(channels) != image.shape[2]:  # not the map that is known by this name
        activation, channels, meaning = "none", tuple(f"c{i}" for i in range(image.shape[2])), ""
    q = np.round(np.clip((image.astype(np.float64) - low) / (high - low), 0, 1) * STEPS).astype(np.uint16)
    (folder / f"{name}.png").write_bytes(deep_png.encode(_padded(q)))
    return {"file": f"{name}.png", "bits": 16, "color_space": "data", "activation": activation, "channels": list(channels),
            "size": [image.shape[1], image.shape[0]], "low": low.tolist(), "high": high.tolist(),
            **({"meaning": meaning} if meaning else {})}


def _padded(q: UInt16[np.ndarray, "H W C"]) -> UInt16[np.ndarray, "H W D"]:
    # PNG has no pictures of two channels (but grey with alpha, which few tools edit): the third is empty.
    return np.concatenate([q, np.zeros_like(q[..., :1])], axis=2) if q.shape[2] == 2 else q


def _within(maps: UVMaps, image: np.ndarray) -> Bool[np.ndarray, "H W"]:
    """Return the texels whose values lookups on the surface can touch."""
    if maps.mask is None or maps.mask.shape != image.shape[:2]:
        return np.ones(image.shape[:2], bool)
    grown = maps.mask.copy()
    for _ in range(GUTTER):
        padded = np.pad(grown, 1)
        grown = np.any([padded[i:i + grown.shape[0], j:j + grown.shape[1]] for i in range(3) for j in range(3)], axis=0)
    return grown


def read(folder: Path) -> UVMaps:
    """Return the maps in a folder that `write` made, or that somebody edited since.

    Raises:
        MissingAsset: A file that textures.json names is not there; or the package `av` is not installed.
        FormatError: Something in it is not what it says.
    """
    where = Path(folder) / ABOUT
    fields = Fields(read_json(where), str(where))
    check_version(fields, "format", FAMILY, MAJOR)
    images, spaces = {}, {}
    if not fields.has("maps"):
        raise FormatError(f"{where}: 'maps' is missing; export the textures again")
    entries = fields.fields("maps")
    for name in entries.values:
        entry = entries.fields(name)
        images[name], spaces[name] = _read_map(entry, folder)
    mask = None
    if fields.has("mask"):
        mask = _read_picture(_beside(folder, fields.text("mask"), str(where)), 1)[..., 0] > 0.5
    return UVMaps(images, mask, spaces)


def _read_map(entry: Fields, folder: Path) -> tuple[Float32[np.ndarray, "H W C"], str]:
    """Return a map and its colour space."""
    size, channels = entry.numbers("size"), len(entry.texts("channels"))
    if size.shape != (2,):
        raise FormatError(f"{entry.where}: 'size': expected width and height")
    space = entry.choice("color_space", ("srgb", "data"))
    path = _beside(folder, entry.text("file"), entry.where)
    if space == "srgb":
        found = _read_picture(path, channels)
    else:
        low, high = entry.numbers("low"), entry.numbers("high")
        if low.shape != (channels,) or high.shape != (channels,):
            raise FormatError(f"{entry.where}: expected {channels} numbers as 'low' and as 'high', one for each channel")
        q = deep_png.read(path)
        if q.shape[2] == 3 and channels == 2:  # as `_padded` made it
            q = q[..., :2]
        found = low + (high - low) * q.astype(np.float64) / STEPS if q.shape[2] == channels else q
    if found.shape != (size[1], size[0], channels):
        raise FormatError(f"{path}: is {found.shape[1]} x {found.shape[0]} with {found.shape[2]} channels, {ABOUT} "
                          f"says {size[0]:g} x {size[1]:g} with {channels}")
    return found.astype(np.float32), space


def _beside(folder: Path, name: str, where: str) -> Path:
    if Path(name).name != name or "\\" in name:
        raise FormatError(f"{where}: names the file '{name}'; files lie beside it, without folders")
    return Path(folder) / name


def _read_picture(path: Path, channels: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.width * image.height > deep_png.TEXEL_LIMIT:
                raise FormatError(f"{path}: is {image.width} x {image.height} pixels, at most {deep_png.TEXEL_LIMIT} are read")
            pixels = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}.get(channels, "RGB")))
    except FileNotFoundError as error:
        raise MissingAsset(f"{path}: no such file") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: not a picture that can be read: {error}") from error
    return (pixels.reshape(*pixels.shape[:2], -1) / 255).astype(np.float32)
