"""Pictures on disk: PNG files, and MP4 clips through the optional package `av`."""

import os
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from formats.errors import FormatError, MissingAsset
from formats.files import replacing, replacing_folder
from formats.picture import Picture

BT709, SRGB_TRANSFER, LIMITED_RANGE = 1, 13, 1
"""ITU-T H.273 codes: BT.709 matrix and primaries, sRGB transfer, 16..235. Untagged clips change colour by player."""
CRF = 16
"""x264's constant quality: visually lossless on faces."""
FRAME_NAME = re.compile(r"\d{5,}\.png")


def write(pictures: Iterable[Picture | UInt8[np.ndarray, "H W 3"]], path: str | os.PathLike[str], fps: float) -> Path:
    """Write `pictures` as what `path` names and return it: an .mp4, one .png, or a folder of 00000.png, 00001.png, ...

    The pictures are taken one at a time, so a generator never holds the whole clip. Nothing half-written is left.

    Raises:
        FormatError: There are no pictures, or more than one for a .png; or the folder holds files of another kind,
            which writing it anew would remove.
        MissingAsset: As `write_mp4`.
    """
    path = Path(path)
    if path.suffix.lower() == ".mp4":
        return write_mp4(pictures, path, fps)
    if path.suffix.lower() == ".png":
        every = list(pictures)
        if len(every) != 1:
            raise FormatError(f"{path}: a .png holds one picture, got {len(every)}; give a folder or an .mp4")
        return write_png(every[0], path)
    foreign = [p.name for p in sorted(path.iterdir()) if not FRAME_NAME.fullmatch(p.name)] if path.is_dir() else []
    if foreign:
        raise FormatError(f"{path}: holds '{foreign[0]}', which is no picture of a clip; give a folder of its own")
    with replacing_folder(path) as temporary:
        count = 0
        for picture in pictures:
            write_png(picture, temporary / f"{count:05d}.png")
            count += 1
        if count == 0:
            raise FormatError(f"{path}: there are no pictures to write")
    return path


def write_png(picture: Picture | UInt8[np.ndarray, "H W 3"], path: str | os.PathLike[str]) -> Path:
    """Write an 8-bit sRGB PNG and return its path; an existing file is replaced in one step."""
    image = Image.fromarray(_pixels(picture))
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")
    return Path(path)


def write_mp4(pictures: Iterable[Picture | UInt8[np.ndarray, "H W 3"]], path: str | os.PathLike[str],
              fps: float) -> Path:
    """Write an MP4 that browsers play (H.264, yuv420p, BT.709) and return its path.

    The pictures are taken one at a time. An odd width or height grows by
    one repeated column or row, because 4:2:0 colour comes in pairs.

    Raises:
        MissingAsset: The package `av` is not installed, or was built without an H.264 encoder.
        FormatError: There are no pictures, or they differ in size.
    """
    try:
        import av
    except ImportError as error:
        raise MissingAsset(f"{path}: MP4 needs the package av: pip install 'flameport[export]', or give --out a folder "
                           "for PNG files") from error
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4",
                                               options={"movflags": "+faststart"}) as container:
        stream, size = None, None
        for picture in pictures:
            pixels = _pixels(picture)
            if stream is None:
                size = pixels.shape
                try:
                    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
                except (ValueError, LookupError) as error:
                    raise MissingAsset(f"{path}: this build of av has no H.264 encoder; give --out a folder for PNG "
                                       "files") from error
                stream.height, stream.width = (n + n % 2 for n in size[:2])
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": str(CRF), "preset": "medium"}
                context = stream.codec_context
                context.colorspace = context.color_primaries = BT709
                context.color_trc, context.color_range = SRGB_TRANSFER, LIMITED_RANGE
            if pixels.shape != size:
                raise FormatError(f"{path}: pictures of one clip must share a size; got {list(size or ())} and "
                                  f"{list(pixels.shape)}")
            even = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        if stream is None:
            raise FormatError(f"{path}: there are no pictures to write")
        container.mux(stream.encode())
    return Path(path)


def _pixels(picture: Picture | np.ndarray) -> np.ndarray:
    return picture.to_uint8() if isinstance(picture, Picture) else picture
