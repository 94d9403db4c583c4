"""`flameport.camera/1`: one camera, or several. Specified in `formats/SPEC.md`."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from formats.camera import Camera
from formats.codecs.json_file import Fields, check_version, dump_line, read_json
from formats.errors import FormatError
from formats.files import write_bytes

FORMAT = "flameport.camera"
VERSION = 1


def read(path: str | os.PathLike[str]) -> Camera:
    """Return the camera in a JSON file that holds one; `FormatError` when it holds several, else as `read_all`."""
    first, *more = read_all(path)
    if more:
        raise FormatError(f"{path}: expected one camera, it holds {1 + len(more)}; keep the one you want")
    return first


def read_all(path: str | os.PathLike[str]) -> tuple[Camera, ...]:
    """Return the cameras in a JSON file, at least one.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It holds no camera, or a field has the wrong type, shape or value.
        UnsupportedFeature: A later major version wrote it.
    """
    where = str(path)
    fields = Fields(read_json(path), where)
    check_version(fields, "format", FORMAT, VERSION)
    if not fields.has("cameras"):
        return (_camera(fields),)
    cameras = tuple(_camera(Fields(entry, f"{where}: camera {i}")) for i, entry in enumerate(fields.items("cameras")))
    if not cameras:
        raise FormatError(f"{where}: 'cameras' is empty; expected at least one")
    fields.warn_unknown()
    return cameras


def write(value: Camera | Iterable[Camera], path: str | os.PathLike[str]) -> None:
    """Write one camera or several, atomically; reading gives the same float64 values to the bit."""
    head = f'{{\n"format": "{FORMAT}/{VERSION}",\n'
    if isinstance(value, Camera):
        text = head + ",\n".join(f'"{k}": {dump_line(v)}' for k, v in _entry(value).items()) + "\n}\n"
    else:
        cameras = tuple(value)
        if not cameras:
            raise FormatError(f"{Path(path)}: no camera to write")
        text = head + '"cameras": [\n' + ",\n".join(dump_line(_entry(camera)) for camera in cameras) + "\n]\n}\n"
    write_bytes(path, text.encode())


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` holds our cameras."""
    return f'"{FORMAT}/'.encode() in head


def _entry(camera: Camera) -> dict[str, Any]:
    return {"K": camera.K.tolist(), "world_to_camera": camera.world_to_camera.tolist(), "width": camera.width,
            "height": camera.height}


def _camera(fields: Fields) -> Camera:
    values: dict[str, Any] = {name: fields.numbers(name) for name in ("K", "world_to_camera")}
    values |= {name: fields.integer(name, low=1, high=16384) for name in ("width", "height")}
    fields.warn_unknown()
    try:
        return Camera(**values)
    except FormatError as error:
        raise FormatError(f"{fields.where}: {error}") from error
