"""Reference pictures beside an exported page, which compares itself with them."""

import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from formats.codecs import camera_json
from formats.codecs.json_file import Fields, check_version, read_json, write_json
from formats.errors import FormatError, MissingAsset

NAME = "reference.json"
FAMILY, VERSION = "flameport.reference", 1
"""`flameport.reference/1`: `pictures`, each with `file` and `frame` (and perhaps its own `camera`); `camera` of all that have
none; `background`, display sRGB 0..1, white when absent; `near`, metres, 0.2 when absent."""


def copy(source: Path, out: Path) -> list[Path]:
    """Copy what a folder holds to compare with into the folder `out`, and return the files written.

    Args:
        source: PNGs as `flameport render` writes them, 00012.png being frame 12, with a `camera.json` where they were not drawn
            with the default camera; or PNGs named by a `reference.json` beside them.
        out: Folder to make.

    Raises:
        MissingAsset: There is no such folder, or it holds no pictures, or not those that its `reference.json` names.
        FormatError: The `reference.json` makes no sense.
    """
    if not source.is_dir():
        raise MissingAsset(f"{source}: no such folder of reference pictures")
    found = _described(source) if (source / NAME).is_file() else _named_by_frame(source)
    out.mkdir(parents=True)
    for entry in found["pictures"]:
        target = out / entry["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / entry["file"], target)
    write_json(found, out / NAME)
    return sorted(path for path in out.rglob("*") if path.is_file())


def _described(source: Path) -> dict[str, Any]:
    """Return what `reference.json` says, after checking that it stays in its folder."""
    path = source / NAME
    found = read_json(path)
    fields = Fields(found, str(path))
    check_version(fields, "format", FAMILY, VERSION)
    for i, value in enumerate(fields.items("pictures")):
        entry = Fields(value, f"{path}: pictures[{i}]")
        file = entry.text("file")
        inside = PurePosixPath(file)
        if inside.is_absolute() or ".." in inside.parts or "\\" in file or inside.suffix.lower() != ".png":
            raise FormatError(f"{entry.where}: 'file' is {file!r}; expected a PNG below {source}")
        if not (source / file).is_file():
            raise MissingAsset(f"{entry.where}: {source / file}: no such file")
        if entry.number("frame") < 0:
            raise FormatError(f"{entry.where}: 'frame' is negative")
    return found


def _named_by_frame(source: Path) -> dict[str, Any]:
    pictures = sorted(path.name for path in source.glob("*.png"))
    if not pictures:
        raise MissingAsset(f"{source}: holds no .png; draw some with `flameport render X.avatar --out {source}`")
    wrong = [name for name in pictures if not name[:-4].isdecimal()]
    if wrong:
        raise FormatError(f"{source / wrong[0]}: expected the number of a frame as its name, as 00012.png; or name the "
                          f"pictures in a {NAME}")
    found: dict[str, Any] = {"format": f"{FAMILY}/{VERSION}"}
    if (source / "camera.json").is_file():
        camera = camera_json.read(source / "camera.json")
        found["camera"] = {"K": camera.K.tolist(), "world_to_camera": camera.world_to_camera.tolist(),
                           "width": camera.width, "height": camera.height}
    return found | {"pictures": [{"file": name, "frame": int(name[:-4])} for name in pictures]}
