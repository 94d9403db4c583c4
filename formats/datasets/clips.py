"""Frames of MP4s as PNG files: unpacked once into a folder of ours beside the data, by the optional package `av`.

    <subject>/.flameport/<sequence>/<kind>/<clip>/00000.png ... clip.json

A clip's folder appears when it is whole. It is unpacked again when the clip has changed.
"""

import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from formats.codecs.json_file import Fields, read_json, write_json
from formats.errors import FormatError, MissingAsset
from formats.files import check_readable, replacing_folder

LOG = logging.getLogger(__name__)
CACHE = ".flameport"
RECORD = "clip.json"
BT709, UNSPECIFIED = 1, 2
"""Matrix codes of ITU-T H.273."""
HIGH = 720
"""Rows from which untagged clips are BT.709, by players' custom; smaller ones are BT.601."""
EVERY = 100
"""Frames between two lines of progress."""
FRAME_LIMIT, SIZE_LIMIT = 1 << 20, 16384


def unpack(clip: Path, out: Path, grey: bool = False) -> tuple[tuple[Path, ...], float]:
    """Return a clip's frames as PNG files in order, and its frames a second.

    Args:
        clip: The video.
        out: Folder for its frames, ours alone.
        grey: Keep the first channel, for mattes.

    Raises:
        MissingAsset: There is no such clip; the package `av` is not installed; or `out` cannot be written.
        FormatError: It is no video, or damaged.
    """
    check_readable(clip, 1 << 40)
    status = clip.stat()
    sign = {"bytes": status.st_size, "changed": status.st_mtime_ns, "grey": grey}
    record = out / RECORD
    if record.is_file():
        fields = Fields(read_json(record), str(record))
        if all(fields.values.get(name) == value for name, value in sign.items()):
            count = fields.integer("frames", low=1, high=FRAME_LIMIT)
            paths = tuple(out / f"{i:05d}.png" for i in range(count))
            if all(path.is_file() for path in paths):
                return paths, fields.number("fps")
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise MissingAsset(f"{clip}: reading videos needs the package av: pip install 'flameport[export]'") from error
    LOG.info("%s: unpacking its frames into %s, once", clip, out)
    count, fps = 0, 25.0
    with replacing_folder(out) as temporary:
        try:
            with av.open(str(clip)) as container:
                if not container.streams.video:
                    raise FormatError(f"{clip}: holds no video")
                stream = container.streams.video[0]
                fps = float(stream.average_rate or Fraction(25))
                for frame in container.decode(stream):
                    if max(frame.width, frame.height) > SIZE_LIMIT or count >= FRAME_LIMIT:
                        raise FormatError(f"{clip}: frames of {frame.width} x {frame.height} pixels, or more than "
                                          f"{FRAME_LIMIT} of them; cut the clip")
                    pixels = _pixels(frame)
                    Image.fromarray(np.ascontiguousarray(pixels[..., 0]) if grey else pixels).save(
                        temporary / f"{count:05d}.png", compress_level=1)
                    count += 1
                    if count % EVERY == 0:
                        LOG.info("%s: %d of %s frames", clip, count, stream.frames or "its")
        except (FFmpegError, ValueError, OverflowError) as error:
            raise FormatError(f"{clip}: not a video that can be read: {str(error).splitlines()[0][:200]}") from error
        if not count:
            raise FormatError(f"{clip}: holds no frame")
        if not 0 < fps <= 1000:
            raise FormatError(f"{clip}: {fps:g} frames a second")
        write_json(sign | {"frames": count, "fps": fps}, temporary / RECORD)
    return tuple(out / f"{i:05d}.png" for i in range(count)), fps


def _pixels(frame: "av.VideoFrame") -> np.ndarray:  # type: ignore[name-defined] # noqa: F821
    matrix = int(frame.colorspace)
    if matrix in (0, UNSPECIFIED, 3):
        matrix = BT709 if frame.height >= HIGH else 5
    space = "ITU709" if matrix == BT709 else "ITU601"
    return frame.reformat(format="rgb24", src_colorspace=space, dst_color_range="JPEG").to_ndarray()
