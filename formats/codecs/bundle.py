"""The bundle `X.avatar`: an avatar as a folder (or a zip of it) of JSON, safetensors, ONNX and PNG files.

Reading gives back what was written, bit for bit. Specified field by field in `formats/SPEC.md`.
"""

import functools
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from formats.avatar import Avatar, Meta, Network
from formats.codecs import bundle_images, head_file, safetensors_file, sequence_binary
from formats.codecs.bundle_files import MANIFEST, BundleFiles, write_folder, write_zip
from formats.codecs.bundle_layers import pack_layer, unpack_layer
from formats.codecs.json_file import Fields, parse_json, read_json
from formats.errors import AvatarError, CheckpointMismatch, FormatError, UnsupportedFeature, naming
from formats.head_model import HeadModel
from formats.uv_maps import UVMaps

LOG = logging.getLogger(__name__)
FORMAT = "flameport.avatar"
MAJOR, MINOR = 1, 0
HEAD_FILE, MAPS_FILE, SEQUENCE_FILE = "head.safetensors", "maps.safetensors", "sequence.fpsq"
Files = dict[str, bytes | Callable[[], bytes]]
"""By name: bytes, or what makes them."""
_MANIFEST_LIMIT = 16 << 20
_META_TEXTS = ("name", "system", "source", "paper", "tool")


def read(path: str | os.PathLike[str]) -> Avatar:
    """Return the avatar in a bundle, a folder or a zip.

    Raises:
        MissingAsset: The bundle, or a file that it names, is absent.
        FormatError: A file is damaged, or a field has the wrong type or value.
        BindingError: A layer does not fit the head.
        CheckpointMismatch: The head or the clip is another one than `avatar.json` says.
        UnsupportedFeature: A later major version wrote it, or it holds a kind of layer this version does not know.
    """
    with BundleFiles(path) as files:
        manifest = _manifest(files)
        # Damaged numbers may overflow while they are checked; the checks are what refuses them.
        with naming(files.where), np.errstate(over="ignore", invalid="ignore"):
            return _avatar(manifest, files)


def write(avatar: Avatar, path: str | os.PathLike[str]) -> None:
    """Write `avatar` as a bundle, atomically: a zip when `path` ends in `.zip`, else a folder.

    A bundle that is there is replaced as a whole.

    Raises:
        FormatError: `path` is a folder that is no bundle, or holds files that are not the bundle's.
    """
    target = Path(path)
    if target.suffix.lower() == ".zip":
        write_zip(_files(avatar), target)
    else:
        target = target.resolve()
        _check_replaceable(target)
        write_folder(_files(avatar), target)


def peek(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `avatar.json` says, the header of the default clip, and the size of each file; no arrays are read."""
    with BundleFiles(path) as files:
        manifest = _manifest(files)
        found = dict(manifest.values)
        if manifest.has("sequence"):
            name = manifest.fields("sequence").text("file")
            header = sequence_binary.read_header(files.read(name), f"{files.where}/{name}")
            found["sequence"] = {key: value for key, value in header.items() if key != "blocks"}
        found["files"] = files.sizes()
        return found


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is an `avatar.json`, or a zip that begins with one."""
    if head.startswith(b"PK\x03\x04") and len(head) > 30:
        return head[30:30 + int.from_bytes(head[26:28], "little")].rpartition(b"/")[2] == MANIFEST.encode()
    return head.lstrip().startswith(b"{") and f'"{FORMAT}"'.encode() in head


# --- Writing ----------------------------------------------------------------------------------------------------------


def pack(avatar: Avatar) -> dict[str, bytes]:
    """Return the files of a bundle by name, `avatar.json` first."""
    return dict(_files(avatar))


def _files(avatar: Avatar) -> Iterator[tuple[str, bytes]]:
    """Give `pack`'s files one by one; a layer's bytes are made when it is their turn, for they may be large."""
    manifest, files = _contents(avatar)
    yield MANIFEST, (json.dumps(manifest, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()
    for name, data in files.items():
        yield name, data if isinstance(data, bytes) else data()


def _contents(avatar: Avatar) -> tuple[dict[str, Any], Files]:
    files: Files = {}
    head, meta = avatar.head, avatar.meta
    manifest: dict[str, Any] = {
        "format": FORMAT, "version": f"{MAJOR}.{MINOR}",
        "meta": {name: getattr(meta, name) for name in _META_TEXTS} | {"license_notices": list(meta.license_notices)},
        "head": {"file": HEAD_FILE, "edition": head.edition, "content_hash": head.content_hash,
                 "vertices": len(head.v_template), "faces": len(head.faces), "expressions": len(head.expr_names),
                 "joints": len(head.parents)},
        "layers": [], "networks": {}}
    tensors, text = head_file.to_tensors(head)
    files[HEAD_FILE] = save(tensors, text)
    for index, layer in enumerate(avatar.layers):
        packed = pack_layer(layer, index)
        manifest["layers"].append(packed.entry)
        files[packed.entry["file"]] = functools.partial(safetensors_file.pack, packed.arrays)
        files |= packed.files
    for index, (name, network) in enumerate(avatar.networks.items()):
        file = f"network{index}.onnx"
        manifest["networks"][name] = {"file": file, "inputs": list(network.inputs), "outputs": list(network.outputs),
                                      "space": network.space}
        files[file] = network.onnx
    _pack_maps(avatar, manifest, files)
    if avatar.sequence is not None:
        manifest["sequence"] = {"file": SEQUENCE_FILE}
        files[SEQUENCE_FILE] = sequence_binary.pack(avatar.sequence)
    if avatar.decoder is not None:
        manifest["decoder"] = avatar.decoder
        manifest["decoder_scale"] = int(avatar.decoder_scale)
    return manifest, files


def _pack_maps(avatar: Avatar, manifest: dict[str, Any], files: Files) -> None:
    arrays = {} if avatar.vertex_rgb is None else {"vertex_rgb": avatar.vertex_rgb}
    if arrays:
        manifest["vertex_rgb"] = {"file": MAPS_FILE}
    if avatar.maps is not None:
        images = {}
        for name, image in avatar.maps.images.items():
            space = avatar.maps.color_spaces[name]
            png = bundle_images.to_png(image) if space == "srgb" else None
            file = MAPS_FILE if png is None else _file_name(name, files)
            images[name] = {"file": file, "color_space": space, "channels": image.shape[2]}
            if png is None:
                arrays[f"image.{name}"] = image
            else:
                files[file] = png
        manifest["maps"] = {"images": images}
        if avatar.maps.mask is not None:
            manifest["maps"]["mask"] = {"file": MAPS_FILE}
            arrays["mask"] = avatar.maps.mask
    if arrays:
        files[MAPS_FILE] = safetensors_file.pack(arrays)


def _file_name(name: str, taken: Files) -> str:
    stem = re.sub(r"[^a-z0-9_-]", "_", name.lower())[:64].lstrip("-") or "map"
    while f"{stem}.png" in taken:
        stem += "_"
    return f"{stem}.png"


def _check_replaceable(target: Path) -> None:
    """Raise unless `target` is absent, empty, or a bundle and nothing but a bundle: never delete a stranger's folder."""
    if not target.is_dir():
        return
    inside = {entry.name for entry in target.iterdir()}
    if not inside:
        return
    advice = "it will not be replaced; choose another --out, or remove it yourself"
    if MANIFEST not in inside:
        raise FormatError(f"{target}: is a folder with {len(inside)} entries and no {MANIFEST}, so not a bundle; {advice}")
    try:
        manifest = read_json(target / MANIFEST, _MANIFEST_LIMIT)
    except AvatarError as error:
        raise FormatError(f"{target}: its {MANIFEST} cannot be read, so {advice}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FormatError(f"{target}: its {MANIFEST} is not a bundle's; {advice}")
    foreign = sorted(inside - _named_files(manifest) - {MANIFEST})
    if foreign:
        raise FormatError(f"{target}: holds '{foreign[0]}', which is not part of the bundle; {advice}")


def _named_files(value: Any) -> set[str]:
    """Return every file that a manifest names."""
    if isinstance(value, list):
        return set().union(*(_named_files(item) for item in value))
    if isinstance(value, dict):
        own = {value["file"]} if isinstance(value.get("file"), str) else set()
        return own.union(*(_named_files(item) for item in value.values()))
    return set()


# --- Reading ----------------------------------------------------------------------------------------------------------


def _manifest(files: BundleFiles) -> Fields:
    where = f"{files.where}/{MANIFEST}"
    manifest = Fields(parse_json(files.read(MANIFEST, _MANIFEST_LIMIT), where), where)
    if manifest.text("format") != FORMAT:
        raise FormatError(f"{where}: 'format': expected '{FORMAT}', got '{manifest.text('format')}'")
    version = re.fullmatch(r"(\d{1,6})\.(\d{1,6})", manifest.text("version"), re.ASCII)
    if version is None:
        raise FormatError(f"{where}: 'version': expected MAJOR.MINOR such as {MAJOR}.{MINOR}, got "
                          f"'{manifest.text('version')}'")
    if int(version[1]) != MAJOR:
        raise UnsupportedFeature(f"{where}: a bundle of version {version[0]}, this flameport reads {MAJOR}.x; update it, "
                                 "or write the bundle again with this one")
    return manifest


def _avatar(manifest: Fields, files: BundleFiles) -> Avatar:
    head = _head(manifest.fields("head"), files)
    layers = tuple(unpack_layer(Fields(entry, f"{manifest.where}: layers[{i}]"), files)
                   for i, entry in enumerate(manifest.items("layers")))
    networks = manifest.fields("networks")
    maps, vertex_rgb = _maps(manifest, files)
    sequence = None
    if manifest.has("sequence"):
        name = manifest.fields("sequence").text("file")
        sequence = sequence_binary.parse(files.read(name), f"{files.where}/{name}")
    decoder = manifest.text("decoder") if manifest.has("decoder") else None
    scale = manifest.integer("decoder_scale", 1, low=1, high=64)
    meta = _meta(manifest.fields("meta"))
    manifest.warn_unknown()
    return Avatar(head, layers, {name: _network(networks.fields(name), files) for name in networks.values}, maps,
                  vertex_rgb, sequence, decoder, scale, meta)


def _head(entry: Fields, files: BundleFiles) -> HeadModel:
    name = entry.text("file")
    where = f"{files.where}/{name}"
    data = files.read(name)
    head = head_file.from_tensors(safetensors_file.parse(data, where), safetensors_file.metadata(data), where)
    for field in ("edition", "content_hash"):
        if entry.text(field) != getattr(head, field):
            raise CheckpointMismatch(f"{where}: {field} {getattr(head, field)[:20]}, but {MANIFEST} says "
                                     f"{entry.text(field)[:20]}; the file belongs to another bundle")
    entry.note("vertices", "faces", "expressions", "joints")
    entry.warn_unknown()
    return head


def _network(entry: Fields, files: BundleFiles) -> Network:
    network = Network(files.read(entry.text("file")), entry.texts("inputs"), entry.texts("outputs"),
                      entry.text("space", "canonical"))
    entry.warn_unknown()
    return network


def _maps(manifest: Fields, files: BundleFiles) -> tuple[UVMaps | None, Any]:
    loaded: dict[str, dict[str, Any]] = {}

    def array(file: str, name: str) -> Any:
        where = f"{files.where}/{file}"
        if file not in loaded:
            loaded[file] = safetensors_file.parse(files.read(file), where)
        if name not in loaded[file]:
            raise FormatError(f"{where}: no array '{name}'; found {', '.join(sorted(loaded[file])) or 'none'}")
        return loaded[file][name]

    vertex_rgb = None
    if manifest.has("vertex_rgb"):
        vertex_rgb = array(manifest.fields("vertex_rgb").text("file"), "vertex_rgb")
    if not manifest.has("maps"):
        return None, vertex_rgb
    entry = manifest.fields("maps")
    images, spaces = {}, {}
    for name in entry.fields("images").values:
        image = entry.fields("images").fields(name)
        file, spaces[name] = image.text("file"), image.choice("color_space", ("srgb", "data"))
        if file.endswith(".png"):
            images[name] = bundle_images.from_png(files.read(file), image.integer("channels"), f"{files.where}/{file}")
        else:
            images[name] = array(file, f"image.{name}")
        image.note("channels")
        image.warn_unknown()
    mask = array(entry.fields("mask").text("file"), "mask") if entry.has("mask") else None
    entry.warn_unknown()
    return UVMaps(images, mask, spaces), vertex_rgb


def _meta(entry: Fields) -> Meta:
    meta = Meta(**{name: entry.text(name, getattr(Meta, name)) for name in _META_TEXTS},
                license_notices=entry.texts("license_notices", ()))
    entry.warn_unknown()
    return meta
