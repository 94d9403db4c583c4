"""Pictures inside a GLB as arrays: PNG, JPEG and WebP; other formats through whoever can decode them."""

import io
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from formats.codecs.glb import WEBP, GlbDocument
from formats.codecs.json_file import Fields
from formats.errors import FormatError, UnsupportedFeature

PIXEL_LIMIT = 1 << 28
"""Pixels of one image; 16384 x 16384."""
LAYER_LIMIT = 1 << 31
"""Bytes of all images of one mesh layer, decoded: sixteen bases and eight features of 4096 x 4096 are 1.0e9."""
KTX2 = b"\xabKTX 20\xbb\r\n\x1a\n"

Decoder = Callable[[bytes, str], UInt8[np.ndarray, "H W 4"]]
"""From the bytes of a KTX2 and a name for messages to its picture: `exporter.ktx2.decode`, which needs Node."""


def picture(document: GlbDocument, index: Any, mode: Literal["L", "RGB", "RGBA", "as stored"], where: str,
            decoder: Decoder | None = None) -> UInt8[np.ndarray, "H W C"]:
    """Return an image of a document, display values as they are stored.

    Args:
        document: Holds it.
        index: Of the image.
        mode: Channels wanted: one, three or four; `as stored` gives three, or four where there is alpha.
        where: Names who refers to it.
        decoder: For KTX2.

    Raises:
        FormatError: It is damaged, too large, or of no known format.
        UnsupportedFeature: It is a KTX2, and there is no decoder.
    """
    data = document.image_bytes(index)
    if data.startswith(KTX2):
        if decoder is None:
            raise UnsupportedFeature(f"{where}: images[{index}] is a KTX2, which needs Node to be read; export the avatar "
                                     "again with --layer-textures webp, or use `flameport validate`")
        pixels = decoder(data, f"{where}: images[{index}]")
        return pixels if mode == "RGBA" else pixels[..., :1] if mode == "L" else pixels[..., :3]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
                if image.width * image.height > PIXEL_LIMIT:
                    raise FormatError(f"{where}: an image of {image.width} x {image.height} pixels is too large")
                wanted = mode if mode != "as stored" else "RGBA" if image.mode in ("RGBA", "LA", "PA") else "RGB"
                if wanted == "L" and image.mode != "L":
                    # Pillow would weigh the channels; a grey picture in three channels has its values in the first.
                    return np.array(image.convert("RGB"))[..., :1]
                pixels = np.array(image.convert(wanted))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FormatError(f"{where}: the image cannot be read: {error}") from error
    return pixels if pixels.ndim == 3 else pixels[..., None]


def size_of(document: GlbDocument, index: Any, where: str, decoder: Decoder | None = None) -> tuple[int, int]:
    """Return height and width of an image without decoding it, where its format allows; errors as `picture`."""
    data = document.image_bytes(index)
    if data.startswith(KTX2):
        height, width = (int(n) for n in np.frombuffer(data[20:28].ljust(8, b"\0"), "<u4")[::-1])
        return height, width
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
                return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FormatError(f"{where}: the image cannot be read: {error}") from error


def base_color(document: GlbDocument, primitive: Fields) -> UInt8[np.ndarray, "H W C"] | None:
    """Return the base colour texture of a primitive's material, three channels or four; None when it has none."""
    if not primitive.has("material"):
        return None
    surface = document.item("materials", primitive.integer("material")).fields("pbrMetallicRoughness")
    if not surface.has("baseColorTexture"):
        return None
    texture = document.item("textures", surface.fields("baseColorTexture").integer("index"))
    webp = texture.fields("extensions").fields(WEBP)
    return picture(document, (webp if webp.has("source") else texture).integer("source"), "as stored", texture.where)
