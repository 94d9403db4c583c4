"""Finding the files that an original's checkpoint needs beside it: where the user says, else where the original keeps them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from formats.errors import MissingAsset, UnsupportedFeature


def check_names(path: Path, sides: Mapping[str, Path], known: Mapping[str, str]) -> None:
    """Raise `UnsupportedFeature` when `sides` names something that is not in `known` (name to what it is)."""
    for name in sides:
        if name not in known:
            listed = ", ".join(f"{key}= ({what})" for key, what in known.items())
            raise UnsupportedFeature(f"{path}: there is no side input '{name}'; known are {listed}")


def find(path: Path, sides: Mapping[str, Path], name: str, beside: Iterable[Path]) -> Path | None:
    """Return the side input `name` if the user gave it, else the first of `beside` that exists, else None.

    Raises:
        MissingAsset: The user's path does not exist.
    """
    if name in sides:
        given = Path(sides[name])
        if not given.exists():
            raise MissingAsset(f"{given}: no such file or folder; it was given as --side {name}= for {path.name}")
        return given
    return next((place for place in beside if place.exists()), None)


def missing(path: Path, name: str, what: str, beside: Iterable[Path]) -> MissingAsset:
    """Return the error that says which side input is needed, where it was looked for, and how to give it."""
    places = list(dict.fromkeys(str(place) for place in beside))
    shown = ", ".join(places[:3]) + (f" and {len(places) - 3} more places" if len(places) > 3 else "")
    looked = f"looked for {shown}" if places else "nothing says where it lies"
    return MissingAsset(f"{path}: needs {what}; {looked}; give it with --side {name}=PATH")


def ancestors(path: Path, count: int) -> list[Path]:
    """Return the folder of `path` and those above it, nearest first, `count` of them at most."""
    return list(path.resolve().parents)[:count]
