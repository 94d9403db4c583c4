"""Pictures side by side on one sheet: what was asked for, what came out, and how far apart they are."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from formats.errors import CheckpointMismatch

GAP, LINE, FONT = 6, 18, 12
"""Pixels: between tiles, height of a caption, and of its letters."""
PAPER, INK = (250, 250, 250), (35, 35, 35)
"""8-bit sRGB."""


def contact_sheet(rows: Sequence[Sequence[UInt8[np.ndarray, "H W 3"] | None]], columns: Sequence[str] = (),
                  captions: Sequence[str | Sequence[str]] = (), tile: int = 256) -> UInt8[np.ndarray, "H W 3"]:
    """Return one picture of rows of pictures.

    Args:
        rows: Pictures, of any size; None leaves a place empty.
        columns: A word above each column.
        captions: Under each row: one text for the row, or one for each of its pictures.
        tile: Pixels of a tile's longer side; larger pictures are scaled down, smaller ones up.

    Raises:
        CheckpointMismatch: There is no picture, or another number of words than of pictures.
    """
    pictures = [[None if p is None else _scaled(p, tile) for p in row] for row in rows]
    sizes = [p.size for row in pictures for p in row if p is not None]
    width = max((len(row) for row in rows), default=0)
    if not sizes:
        raise CheckpointMismatch("contact sheet: there are no pictures")
    if columns and len(columns) != width or captions and len(captions) != len(rows):
        raise CheckpointMismatch(f"contact sheet: {len(columns)} column words and {len(captions)} captions for {width} columns "
                                 f"and {len(rows)} rows")
    across, down = max(w for w, _ in sizes), max(h for _, h in sizes)
    head, foot = LINE * bool(columns), LINE * bool(captions)
    sheet = Image.new("RGB", (GAP + width * (across + GAP), GAP + head + len(rows) * (down + foot + GAP)), PAPER)
    pen, font = ImageDraw.Draw(sheet), _font()

    def write(text: str, x: int, y: int, room: int) -> None:
        pen.text((x, y + (LINE - FONT) // 2 - 1), _cut(text, room, font), INK, font)

    for column, word in enumerate(columns):
        write(word, GAP + column * (across + GAP), GAP - 2, across)
    for number, row in enumerate(pictures):
        top = GAP + head + number * (down + foot + GAP)
        for column, picture in enumerate(row):
            if picture is not None:
                sheet.paste(picture, (GAP + column * (across + GAP) + (across - picture.width) // 2,
                                      top + (down - picture.height) // 2))
        if not captions:
            continue
        words = captions[number]
        if isinstance(words, str):
            write(words, GAP, top + down, width * (across + GAP) - GAP)
            continue
        if len(words) > width:
            raise CheckpointMismatch(f"contact sheet: row {number} has {len(words)} captions for {width} columns")
        for column, word in enumerate(words):
            write(word, GAP + column * (across + GAP), top + down, across)
    return np.asarray(sheet, np.uint8)


def difference(a: UInt8[np.ndarray, "H W 3"], b: UInt8[np.ndarray, "H W 3"], gain: float = 4) -> UInt8[np.ndarray, "H W 3"]:
    """Return `gain` times the absolute difference of two pictures: black where they are equal.

    Raises:
        CheckpointMismatch: Their sizes differ.
    """
    if a.shape != b.shape:
        raise CheckpointMismatch(f"difference: pictures of {list(a.shape)} and {list(b.shape)} cannot be compared; draw both "
                                 "with the same camera")
    return np.clip(np.abs(a.astype(np.float32) - b) * gain, 0, 255).astype(np.uint8)


def _scaled(picture: np.ndarray, tile: int) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture))
    longer = max(image.size)
    if longer == tile:
        return image
    size = tuple(max(1, round(side * tile / longer)) for side in image.size)
    # Small test pictures stay pixels that can be counted.
    return image.resize(size, Image.Resampling.BOX if longer > tile else Image.Resampling.NEAREST)  # type: ignore[arg-type]


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.load_default(FONT)
    except (TypeError, ImportError, OSError):  # before Pillow 10.1, or built without FreeType: letters of one size
        return ImageFont.load_default()


def _cut(text: str, room: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """Return `text` shortened to fit into `room` pixels, in letters that every font has."""
    plain = text.encode("latin-1", "replace").decode("latin-1")
    if font.getlength(plain) <= room:
        return plain
    while plain and font.getlength(plain + "...") > room:
        plain = plain[:-1]
    return plain + "..."
