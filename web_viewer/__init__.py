"""The built web viewer, as files."""

from pathlib import Path

from formats.errors import MissingAsset


def dist_folder() -> Path:
    """Return the folder that holds the built viewer: index.html and what it loads.

    Raises:
        MissingAsset: The viewer was not built.
    """
    folder = Path(__file__).resolve().parent / "dist"
    if not (folder / "index.html").is_file():
        raise MissingAsset(f"{folder}: the web viewer is not built; run scripts/build in a checkout (it needs Node 20), or "
                           "install a released package, which contains it")
    return folder
