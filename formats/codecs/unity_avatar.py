"""An avatar as a small Unity asset: packed texels, and beside them what they do not hold. Specified in `exporter/UNITY.md`."""

import dataclasses
import io
import os
import warnings
from typing import Any

import numpy as np
from PIL import Image

from formats.avatar import Avatar, Meta
from formats.codecs import packed_texels, packed_texels_reader, sequence_binary, unity_file
from formats.codecs.json_file import Fields
from formats.codecs.packed_texels import PackedTexels
from formats.codecs.unity_file import UnityFile
from formats.errors import FormatError, naming
from formats.files import read_bytes
from formats.head_model import ARKIT_TAIL
from formats.uv_maps import UVMaps

PIXEL_LIMIT = 1 << 28
STORED = frozenset({"albedo"})
"""Chunks that deflate does not make smaller."""


def to_bytes(avatar: Avatar, variant: str = "half") -> bytes:
    """Return the file of `avatar`, whose layers are all splats.

    Raises:
        UnsupportedFeature: A layer is no splats, or more joints move a vertex than texels name.
    """
    packed, meta = packed_texels.pack(avatar, variant), avatar.meta
    chunks = {"texels": packed.data} | _beside(avatar)
    said = {"name": meta.name, "system": meta.system, "source": meta.source, "paper": meta.paper,
            "licenseNotices": list(meta.license_notices), "tool": meta.tool}
    return UnityFile({"grade": "small", "meta": said, "texels": packed.descriptor}, chunks).to_bytes(STORED)


def _beside(avatar: Avatar) -> dict[str, bytes]:
    """Return the chunks beside the texels."""
    head, chunks = avatar.head, {}
    if head.arkit_map is not None:
        chunks["arkitMap"] = head.arkit_map.astype("<f4").tobytes()
    if avatar.sequence is not None:
        chunks["clip"] = sequence_binary.pack(avatar.sequence)
    albedo = None if avatar.maps is None else avatar.maps.images.get("albedo")
    if albedo is not None and head.uvs is not None and head.uv_faces is not None:
        out = io.BytesIO()
        Image.fromarray(np.round(np.clip(albedo[..., :3], 0, 1) * 255).astype(np.uint8)).save(out, "PNG", optimize=True)
        chunks["albedo"] = out.getvalue()
        chunks["cornerUvs"] = head.uvs[head.uv_faces].astype("<f4").tobytes()
    elif avatar.vertex_rgb is not None:
        bytes_ = np.round(np.clip(avatar.vertex_rgb, 0, 1) * 255).astype(np.uint8)
        chunks["vertexColors"] = np.pad(bytes_, ((0, 0), (0, 1)), constant_values=255).tobytes()
    return chunks


def read(path: str | os.PathLike[str]) -> Avatar:
    """Return the avatar in a small Unity asset.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is damaged, or no such asset.
        UnsupportedFeature: A later version wrote it.
    """
    return parse(read_bytes(path), str(path))


def parse(data: bytes, where: str) -> Avatar:
    """Return the avatar in `data`; `where` names the file in messages."""
    file = unity_file.parse(data, where)
    fields = Fields(file.json, where)
    fields.choice("grade", ("small",))
    if "texels" not in file.chunks:
        raise FormatError(f"{where}: chunk 'texels' is missing; export the avatar again")
    descriptor = fields.fields("texels").values
    entries = descriptor.get("tables")
    if not isinstance(entries, list):
        raise FormatError(f"{where}: texels: 'tables' is missing; export the avatar again")
    for entry in entries:
        each = Fields(entry, f"{where}: texels: tables")
        each.text("name")
        each.integer("offset", high=1 << 40)
        each.integer("count")
    with naming(where):
        bare = packed_texels_reader.read(PackedTexels(descriptor, file.chunks["texels"]))
        return _with_chunks(bare, file, Fields(file.json, where).fields("meta"), where)


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a small Unity asset."""
    return unity_file.sniff(head)


def _with_chunks(bare: Avatar, file: UnityFile, meta: Fields, where: str) -> Avatar:
    head, held = bare.head, file.chunks
    changes: dict[str, Any] = {"meta": Meta(
        name=meta.text("name", "avatar"), system=meta.text("system", ""), source=meta.text("source", ""),
        paper=meta.text("paper", ""), license_notices=meta.texts("licenseNotices", ()), tool=meta.text("tool", ""))}
    if "arkitMap" in held:
        wide = len(head.expr_names) + ARKIT_TAIL
        head = dataclasses.replace(head, arkit_map=_array(held["arkitMap"], "<f4", (52, wide), f"{where}: 'arkitMap'"))
    if "albedo" in held:
        uvs = _array(held.get("cornerUvs", b""), "<f4", (3 * len(head.faces), 2), f"{where}: 'cornerUvs'")
        corners = np.arange(len(uvs), dtype=np.int32).reshape(-1, 3)
        head = dataclasses.replace(head, uvs=uvs, uv_faces=corners)
        changes["maps"] = UVMaps({"albedo": _picture(held["albedo"], f"{where}: 'albedo'")})
    elif "vertexColors" in held:
        rgba = _array(held["vertexColors"], "u1", (len(head.v_template), 4), f"{where}: 'vertexColors'")
        changes["vertex_rgb"] = rgba[:, :3].astype(np.float32) / 255
    if "clip" in held:
        changes["sequence"] = sequence_binary.parse(held["clip"], f"{where}: 'clip'")
    return dataclasses.replace(bare, head=head, **changes)


def _array(data: bytes, kind: str, shape: tuple[int, int], where: str) -> np.ndarray:
    expected = shape[0] * shape[1] * np.dtype(kind).itemsize
    if len(data) != expected:
        raise FormatError(f"{where}: expected {expected} bytes, got {len(data)}; export the avatar again")
    return np.frombuffer(data, kind).reshape(shape)


def _picture(data: bytes, where: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                if image.width * image.height > PIXEL_LIMIT:
                    raise FormatError(f"{where}: an image of {image.width} x {image.height} pixels is too large")
                return np.asarray(image.convert("RGB"), np.float32) / 255
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FormatError(f"{where}: the image cannot be read: {error}") from error
