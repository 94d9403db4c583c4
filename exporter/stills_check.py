"""Proof for stills, one file or a numbered series: what PLY's and SPZ's checks share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from exporter import stills
from exporter.capabilities import fit
from exporter.validation_report import Measure, ValidationReport
from formats.avatar import Avatar

Check = Callable[[Path, Avatar, int | None], tuple[list[Measure], str]]
"""From a file, the avatar as the target carries it and the file's number in a series: measures, and what still it is."""


def check_stills(kind: str, path: Path, avatar: Avatar, target: ModuleType, one: Check, frames: int,
                 progress: Callable[[str], None] | None) -> ValidationReport:
    """Return the report on a file by `one`, or on a folder of numbered files the worst of those that are looked at."""
    tell, fitted = progress or (lambda _: None), fit(avatar, target.CAPABILITIES)
    if not Path(path).is_dir():
        tell("reading back")
        measures, name = one(Path(path), fitted.avatar, None)
        return ValidationReport(f"{kind}, {name}", tuple(measures), fitted.losses)
    found: list[list[Measure]] = []
    for number, file in stills.spread(Path(path), target.SUFFIX, frames):
        tell(f"reading back {file.name}")
        found.append(one(file, fitted.avatar, number)[0])
    return ValidationReport(f"{kind}, numbered frames", tuple(_worst(found)), fitted.losses)


def _worst(found: list[list[Measure]]) -> Iterator[Measure]:
    """Give, of measures of several files, the worst of each kind."""
    for same in zip(*found, strict=True):
        yield (min if same[0].at_least else max)(same, key=lambda measure: measure.value)
