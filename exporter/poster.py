"""A still of an avatar's first moment, for an exported page: what is seen until the avatar is, and in previews of links."""

import html
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from formats.avatar import Avatar
from formats.deform import rest_sequence
from formats.errors import BindingError, MissingAsset, UnsupportedFeature
from formats.render import RenderOptions, default_camera, render_avatar

__all__ = ["PICTURE", "PREVIEW", "Head", "draw", "with_head", "write"]

PICTURE, PREVIEW = "poster.webp", "preview.jpg"
"""Transparent, over the page's own light; and opaque, as those who show previews of links read it."""
SIZE = 512
"""Pixels each way, the default camera's."""
MOST_BYTES = 30_000
QUALITIES = ((80, 256), (70, 128), (60, 128), (50, 64), (35, 64), (20, 32))
"""Of colours, and levels of alpha: WebP's own rounding of alpha shows as contours around soft hair."""
STUDIO = (244, 242, 238)
"""Display sRGB behind the preview: the page's studio light, between its middle and its rim."""
_PLACES = {"title": "<title>flameport viewer</title>", "head": "</head>", "body": "<body>",
           "poster": '<img id="poster" alt="" hidden />'}


@dataclass(frozen=True)
class Head:
    """What the page's HTML says before any script runs."""

    name: str
    description: str
    url: str
    """Where the page will be; empty where that is not known."""
    poster: bool
    expects: str
    """Words of `data-expects`: `clip`, and `ranges` where the clip has some."""


def draw(avatar: Avatar) -> Image.Image | None:
    """Return the first moment of the avatar's clip (without one, its neutral pose) from its default camera, RGBA, straight.

    None where the reference renderer cannot tell: an image decoder's picture, and networks that need a clip.
    """
    if avatar.decoder is not None:
        return None
    clip = rest_sequence(avatar.head) if avatar.sequence is None else avatar.sequence
    try:
        picture = render_avatar(avatar, clip, 0.0, default_camera(avatar, SIZE, SIZE), RenderOptions(background=(0.0, 0.0, 0.0)))
    except (BindingError, MissingAsset, UnsupportedFeature):
        return None
    # Over black, colours are those of the picture times its alpha.
    alpha = picture.alpha[..., None]
    straight = np.where(alpha > 0, picture.rgb / np.maximum(alpha, 1e-6), 0.0)
    rgba = np.concatenate([straight, alpha], axis=-1).clip(0, 1)
    return Image.fromarray((rgba * 255 + 0.5).astype(np.uint8))


def write(picture: Image.Image, folder: Path) -> list[Path]:
    """Write `PICTURE` and `PREVIEW` into a folder, each as good as fits into `MOST_BYTES`, and return their paths."""
    opaque = Image.new("RGB", picture.size, STUDIO)
    opaque.paste(picture, mask=picture.getchannel("A"))
    (folder / PICTURE).write_bytes(_small(picture, "WEBP", method=6))
    (folder / PREVIEW).write_bytes(_small(opaque, "JPEG", optimize=True))
    return [folder / PICTURE, folder / PREVIEW]


def _small(picture: Image.Image, kind: str, **options: int | bool) -> bytes:
    data = b""
    for quality, levels in QUALITIES:
        stream = io.BytesIO()
        rounded = _with_levels(picture, levels) if picture.mode == "RGBA" else picture
        rounded.save(stream, kind, quality=quality, **options)
        data = stream.getvalue()
        if len(data) <= MOST_BYTES:
            break
    return data


def _with_levels(picture: Image.Image, levels: int) -> Image.Image:
    """Return the picture with alpha of no more than so many levels."""
    out = picture.copy()
    out.putalpha(picture.getchannel("A").point([round(round(a * (levels - 1) / 255) * 255 / (levels - 1)) for a in range(256)]))
    return out


def with_head(page: str, head: Head) -> str:
    """Return the viewer's `index.html` with an avatar's name, its still, and what previews of links show.

    Raises:
        MissingAsset: The page is not the viewer's of this version.
    """
    missing = [place for place in _PLACES.values() if page.count(place) != 1]
    if missing:
        raise MissingAsset(f"web_viewer/dist/index.html: expected {missing[0]} once; build the viewer again with scripts/build")
    name, about = html.escape(head.name), html.escape(head.description)
    lines = [f'<meta name="description" content="{about}" />', '<meta property="og:type" content="website" />',
             f'<meta property="og:title" content="{name}" />', f'<meta property="og:description" content="{about}" />']
    if head.poster:
        # Whole addresses are what most readers of previews take; without one, the name at least.
        base = head.url if not head.url or head.url.endswith("/") else f"{head.url}/"
        lines += [f'<meta property="og:image" content="{html.escape(base + PREVIEW)}" />',
                  f'<meta property="og:image:width" content="{SIZE}" />',
                  f'<meta property="og:image:height" content="{SIZE}" />', '<meta name="twitter:card" content="summary" />']
    if head.url:
        lines.append(f'<meta property="og:url" content="{html.escape(head.url)}" />')
    lines.append('<link rel="preload" href="manifest.json" as="fetch" crossorigin />')
    page = page.replace(_PLACES["title"], f"<title>{name} · flameport</title>")
    page = page.replace(_PLACES["head"], "\n    ".join(["  " + lines[0], *lines[1:]]) + "\n  </head>")
    page = page.replace(_PLACES["body"], f'<body data-expects="{head.expects}">')
    return page.replace(_PLACES["poster"], f'<img id="poster" src="{PICTURE}" alt="" />') if head.poster else page
