"""UV attribute maps as pictures (16-bit PNG, or WebP planes), an albedo, a mask, and textures.json, which says what they mean."""

import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8, UInt16
from PIL import Image

from exporter import ktx2
from exporter.capabilities import Capabilities, Loss
from exporter.ops.dilate import dilate_maps
from formats.avatar import Avatar, FaceBinding, SplatLayer
from formats.codecs import deep_png
from formats.codecs.json_file import Fields, check_version, read_json, write_json
from formats.deform import triangle_frames
from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.files import read_bytes, replacing_folder
from formats.uv_maps import UVMaps

CAPABILITIES = Capabilities(subject="maps")
ABOUT, MASK, ALBEDO = "textures.json", "mask.png", "albedo"
FAMILY, MAJOR = "flameport.textures", 1
STEPS = 65535
EXACT = 1e-6
"""Of 1: pictures that are less off were made of 8 bits."""
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

    albedo: Literal["png", "webp", "ktx2"] = "png"
    """Format of the albedo: PNG, WebP without loss, about a third smaller, or KTX2 for graphics cards, with loss (needs Node)."""
    ktx2: Literal["uastc", "etc1s"] = "uastc"
    """How KTX2 is coded: UASTC, the better, or ETC1S, about a quarter of its size."""
    data: Literal["png16", "webp"] = "png16"
    """Format of data maps: PNG of 16 bits, or two WebP pictures of 8 bits without loss, high bytes and low, for browsers."""
    dilate: int = 0
    """Texels past the borders of UV islands that continue what is inside, for mip levels, filters and edits; 0 keeps what was
    baked there, which lookups at the very border see."""


@dataclass(frozen=True)
class Encoded:
    """A map as files, and what textures.json says about it."""

    files: Mapping[str, bytes]
    entry: Mapping[str, Any]


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the folder `out` and return its files. Rows run from the top (v = 0) down.

    A value of a data map is low + (high - low) q / 65535 with its channel's bounds from textures.json, q from the PNG, or
    256 times the high picture's byte and the low one's: half a step, (high - low) / 131070, off at most. Texels further than
    `GUTTER` from the mask are cut to the same bounds. Each map's `error` is what reading it back was measured to be off.

    Raises:
        MissingAsset: The avatar has no maps; or the package `av`, or for KTX2 Node and its package, is not installed.
        FormatError: A map's name is no file name, or `out` holds something that is no exported textures.
        UnsupportedFeature: A map has more channels than a picture, or KTX2 does not take the albedo's size.
    """
    out = Path(out)
    encoded = encode(avatar, options)
    if out.is_dir() and any(out.iterdir()) and not (out / ABOUT).is_file():
        raise FormatError(f"{out}: a folder with other things in it; choose a new --out, or empty it first")
    maps = avatar.maps
    assert maps is not None
    with replacing_folder(out) as folder:
        for each in encoded.values():
            for name, data in each.files.items():
                (folder / name).write_bytes(data)
        if maps.mask is not None:
            Image.fromarray(maps.mask.astype(np.uint8) * 255).save(folder / MASK, format="PNG")
        write_json({
            "format": f"{FAMILY}/{MAJOR}",
            "rows": "top first: row 0 is v = 0, texel (i, j) covers v = (i + 0.5) / height, u = (j + 0.5) / width",
            "lookup": "bilinear, held at the border, then the activation",
            "head": {"edition": avatar.head.edition, "content_hash": avatar.head.content_hash},
            "system": avatar.meta.system, "license_notices": list(avatar.meta.license_notices),
            **({} if maps.mask is None else {"mask": MASK}),
            **({"dilated": options.dilate} if options.dilate > 0 else {}),
            "maps": {name: each.entry for name, each in encoded.items()}}, folder / ABOUT)
        names = sorted(p.name for p in folder.iterdir())
    return [out / name for name in names]


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what each map is off by when it is read back, within its mask."""
    maps, found = avatar.maps, []
    if maps is None:
        return found
    for name, each in encode(avatar, options).items():
        error, lossy = each.entry["error"], "psnr" in each.entry["error"]
        if error["largest"] < EXACT and maps.color_spaces[name] == "srgb":
            continue
        depth = f"KTX2 ({options.ktx2})" if lossy else f"{each.entry['bits']} bits"
        amount = f"up to {error['largest']:.2g}{_in_space(avatar, name, error['largest'])}, rms {error['rms']:.2g}"
        decibels = error["psnr"] if lossy else _range_psnr(each.entry, error["rms"])
        found.append(Loss(f"map '{name}' stored as {depth}", f"{amount}, {decibels:.1f} dB", False))
    return found


def _in_space(avatar: Avatar, name: str, largest: float) -> str:
    """Return what the error of an offset is on the avatar's largest triangle, in millimetres; nothing for other maps."""
    maps, head = avatar.maps, avatar.head
    if name != "local_position_uv" or maps is None or maps.images[name].shape[2] != 3 or not len(head.faces):
        return ""
    _, size, area = triangle_frames(head.v_template, head.faces)
    unit = float((size if _in_size_units(avatar) else area).max())
    return f" ({np.sqrt(3) * largest * unit * 1e3:.2g} mm)"


def _range_psnr(entry: Mapping[str, Any], rms: float) -> float:
    """Return a map's PSNR over its widest channel, 1 for pictures; 150 at most."""
    widest = max(np.subtract(entry["high"], entry["low"])) if "low" in entry else 1.0
    return float(min(20 * np.log10(widest / max(rms, 1e-30)), 150))


@functools.lru_cache(maxsize=1)
def encode(avatar: Avatar, options: Options) -> Mapping[str, Encoded]:
    """Return every map of `avatar` as files with its measured error; errors as `write`."""
    maps = avatar.maps
    if maps is None:
        raise MissingAsset("textures: the avatar has no UV maps; bake a trained run first (flameport bake RUN --out X.avatar)")
    for name, image in maps.images.items():
        _check(name, image, maps.color_spaces[name])
    meanings = SIZE_UNITS if _in_size_units(avatar) else {}
    grown, encoded = dilate_maps(maps, avatar.head, options.dilate), {}
    for name, image in grown.images.items():
        if maps.color_spaces[name] == "srgb":
            made, found = _encode_picture(name, image, options)
            image = np.clip(image, 0, 1)
        else:
            made, found = _encode_data(name, image, *bounds(maps, name), options, meanings)
        encoded[name] = Encoded(made.files, {**made.entry, "error": _error(image, found, maps.mask, made.entry["bits"] is None)})
    return encoded


def _error(image: np.ndarray, found: np.ndarray, mask: np.ndarray | None, lossy: bool) -> dict[str, float]:
    """Return the largest difference within the mask, and its root mean square; dB where the format has losses."""
    seen = mask if mask is not None and mask.shape == image.shape[:2] and mask.any() else np.ones(image.shape[:2], bool)
    gap = image[seen].astype(np.float64) - found[seen]
    square = float(np.mean(gap**2))
    error = {"largest": float(np.abs(gap).max()), "rms": float(np.sqrt(square))}
    return error | {"psnr": float(min(-10 * np.log10(max(square, 1e-15)), 150))} if lossy else error


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


def _encode_picture(name: str, image: np.ndarray, options: Options) -> tuple[Encoded, np.ndarray]:
    """Return a picture in display sRGB as a file, and what will be read from it."""
    kind = options.albedo if name == ALBEDO else "png"
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    entry: dict[str, Any] = {"file": f"{name}.{kind}", "bits": 8, "color_space": "srgb", "activation": "none",
                             "channels": list("rgba"[:image.shape[2]]), "size": [image.shape[1], image.shape[0]]}
    if kind == "ktx2":
        data = ktx2.encode(pixels, options.ktx2)
        found = ktx2.decode(data, entry["file"])[..., :image.shape[2]]
        entry |= {"bits": None, "coding": f"Basis Universal {options.ktx2.upper()}, with mip levels"}
    else:
        data, found = _picture_bytes(pixels, kind), pixels
    return Encoded({entry["file"]: data}, entry), found / 255


def _picture_bytes(pixels: np.ndarray, kind: str) -> bytes:
    """Return a PNG or a lossless WebP of bytes [H, W, C], C 1, 3 or 4."""
    memory = io.BytesIO()
    # `exact`: WebP may else change colours where alpha is zero.
    extra = {"lossless": True, "exact": True} if kind == "webp" else {}
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(memory, format=kind.upper(), **extra)
    return memory.getvalue()


def _in_size_units(avatar: Avatar) -> bool:
    bindings = [layer.binding for layer in avatar.layers if isinstance(layer, SplatLayer)]
    return any(isinstance(binding, FaceBinding) and binding.offset_scale == "edge_height" for binding in bindings)


def _encode_data(name: str, image: Float32[np.ndarray, "H W C"], low: np.ndarray, high: np.ndarray, options: Options,
                 meanings: Mapping[str, str]) -> tuple[Encoded, np.ndarray]:
    """Return a data map as files, and what will be read from them."""
    activation, channels, meaning = ACTIVATIONS.get(name, ("none", (), ""))
    meaning = meanings.get(name, meaning)
    if len(channels) != image.shape[2]:  # not the map that is known by this name
        activation, channels, meaning = "none", tuple(f"c{i}" for i in range(image.shape[2])), ""
    q = np.round(np.clip((image.astype(np.float64) - low) / (high - low), 0, 1) * STEPS).astype(np.uint16)
    if options.data == "png16":
        files, named = {f"{name}.png": deep_png.encode(_padded(q))}, {"file": f"{name}.png"}
    else:
        planes = {"high": (q >> 8).astype(np.uint8), "low": (q & 255).astype(np.uint8)}
        files = {f"{name}.{plane}.webp": _picture_bytes(_padded(part), "webp") for plane, part in planes.items()}
        named = {"high_file": f"{name}.high.webp", "low_file": f"{name}.low.webp"}
    entry = {**named, "bits": 16, "color_space": "data", "activation": activation, "channels": list(channels),
             "size": [image.shape[1], image.shape[0]], "low": low.tolist(), "high": high.tolist(),
             **({"meaning": meaning} if meaning else {})}
    return Encoded(files, entry), (low + (high - low) * q.astype(np.float64) / STEPS).astype(np.float32)


def _padded(q: UInt16[np.ndarray, "H W C"] | UInt8[np.ndarray, "H W C"]) -> np.ndarray:
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
    path = _beside(folder, entry.text("file" if entry.has("file") else "high_file"), entry.where)
    if space == "srgb":
        found = _read_picture(path, channels)
    else:
        low, high = entry.numbers("low"), entry.numbers("high")
        if low.shape != (channels,) or high.shape != (channels,):
            raise FormatError(f"{entry.where}: expected {channels} numbers as 'low' and as 'high', one for each channel")
        if entry.has("file"):
            q = deep_png.read(path)
        else:
            q = _planes(path, _beside(folder, entry.text("low_file"), entry.where), channels)
        if q.shape[2] == 3 and channels == 2:  # as `_padded` made it
            q = q[..., :2]
        with np.errstate(over="ignore", invalid="ignore"):  # what is out of range is refused as not finite
            found = low + (high - low) * q.astype(np.float64) / STEPS if q.shape[2] == channels else q
            found = found.astype(np.float32)
    if found.shape != (size[1], size[0], channels):
        raise FormatError(f"{path}: is {found.shape[1]} x {found.shape[0]} with {found.shape[2]} channels, {ABOUT} "
                          f"says {size[0]:g} x {size[1]:g} with {channels}")
    return found.astype(np.float32), space


def _planes(high: Path, low: Path, channels: int) -> UInt16[np.ndarray, "H W C"]:
    """Return the 16-bit values of two pictures of their bytes."""
    parts = [np.round(_read_picture(path, channels) * 255).astype(np.uint16) for path in (high, low)]
    if parts[0].shape != parts[1].shape:
        raise FormatError(f"{low}: is {parts[1].shape[1]} x {parts[1].shape[0]} pixels, {high.name} is "
                          f"{parts[0].shape[1]} x {parts[0].shape[0]}")
    return parts[0] * 256 + parts[1]


def _beside(folder: Path, name: str, where: str) -> Path:
    if Path(name).name != name or "\\" in name:
        raise FormatError(f"{where}: names the file '{name}'; files lie beside it, without folders")
    return Path(folder) / name


def _read_picture(path: Path, channels: int) -> np.ndarray:
    if path.suffix.lower() == ".ktx2":
        return (ktx2.decode(read_bytes(path), str(path))[..., :channels] / 255).astype(np.float32)
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
