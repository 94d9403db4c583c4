"""JSON read strictly: no NaN, no repeated keys, bounded size, and one clear error for every surprise."""

import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from formats.errors import FormatError, UnsupportedFeature
from formats.files import read_bytes, write_bytes

LOG = logging.getLogger(__name__)
JSON_LIMIT = 512 << 20
"""Bytes; an hour of motion is about 200 MB of text."""


def read_json(path: str | os.PathLike[str], limit: int = JSON_LIMIT) -> Any:
    """Return what the JSON file at `path` holds.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is not JSON, or holds NaN, infinity or a repeated key.
    """
    return parse_json(read_bytes(path, limit), str(path))


def parse_json(data: bytes, where: str) -> Any:
    """Return what `data` holds; `where` names the file in messages."""

    def refuse(token: str) -> None:
        raise FormatError(f"{where}: holds {token}, which JSON forbids; the file is damaged or training diverged")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise FormatError(f"{where}: the key '{twice}' appears twice in one object")
        return result

    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=refuse, object_pairs_hook=once)
        if b"\\u" in data:
            # Half of a surrogate pair is legal JSON and no text: it could not be shown or written again.
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as error:
        raise FormatError(f"{where}: holds half a surrogate pair, which is no text") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: expected UTF-8 text, byte {error.start} is not") from error
    except json.JSONDecodeError as error:
        raise FormatError(f"{where}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}; cut off or "
                          "damaged, copy or write it again") from error
    except RecursionError as error:
        raise FormatError(f"{where}: nested too deeply to be one of our files") from error
    except ValueError as error:
        raise FormatError(f"{where}: holds a number too long to read") from error


def as_numbers(value: Any, where: str) -> np.ndarray:
    """Return nested lists of JSON numbers as float64, refusing text, booleans, null and ragged rows."""
    try:
        kinds = {type(x) for x in _leaves(value)}
    except RecursionError as error:
        raise FormatError(f"{where}: nested too deeply") from error
    wrong = kinds - {int, float}
    if wrong:
        names = {str: "text", bool: "true or false", type(None): "null", dict: "an object"}
        raise FormatError(f"{where}: expected numbers, found {names.get(wrong.pop(), 'something else')}")
    try:
        numbers = np.array(value, np.float64)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{where}: rows differ in length, or a number is out of range") from error
    if not np.isfinite(numbers).all():
        raise FormatError(f"{where}: a number is not finite: beyond what a float can hold")
    return numbers


def _leaves(value: Any):  # noqa: ANN202 - a generator of whatever JSON holds
    if isinstance(value, list):
        for item in value:
            if isinstance(item, list):
                yield from _leaves(item)
            else:
                yield item
    else:
        yield value


class Fields:
    """One JSON object, read field by field with messages that name file and field."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{where}: expected an object, got {_kind(value)}")
        self.values: dict[str, Any] = value
        self.where = where
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Tell whether the field is there and not null."""
        self._read.add(name)
        return self.values.get(name) is not None

    def _get(self, name: str, expected: str, kinds: tuple[type, ...], default: Any) -> Any:
        if not self.has(name):
            if default is None:
                raise FormatError(f"{self.where}: '{name}' is missing; expected {expected}")
            return default
        value = self.values[name]
        if type(value) not in kinds:
            raise FormatError(f"{self.where}: '{name}': expected {expected}, got {_kind(value)}")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text field; `default` when absent, an error when that is None."""
        return self._get(name, "text", (str,), default)

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """Return a text field out of a list; `UnsupportedFeature` for one that this version does not know."""
        value = self.text(name, default)
        if value not in allowed:
            raise UnsupportedFeature(f"{self.where}: '{name}': unknown '{value}'; this version reads "
                                     f"{', '.join(allowed)}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number field."""
        try:
            value = float(self._get(name, "a number", (int, float), default))
        except OverflowError as error:
            raise FormatError(f"{self.where}: '{name}': the number is out of range") from error
        if not math.isfinite(value):
            raise FormatError(f"{self.where}: '{name}': the number is out of range")
        return value

    def integer(self, name: str, default: int | None = None, low: int = 0, high: int = 2**31 - 1) -> int:
        """Return a whole-number field in `low`..`high`."""
        value = self._get(name, "a whole number", (int,), default)
        if not low <= value <= high:
            raise FormatError(f"{self.where}: '{name}': expected {low}..{high}, got {value}")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Return a true-or-false field."""
        return self._get(name, "true or false", (bool,), default)

    def items(self, name: str, default: list[Any] | None = None) -> list[Any]:
        """Return a list field."""
        return self._get(name, "a list", (list,), default)

    def texts(self, name: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return a list of texts."""
        values = self.items(name, None if default is None else list(default))
        for value in values:
            if not isinstance(value, str):
                raise FormatError(f"{self.where}: '{name}': expected a list of texts, one entry is {_kind(value)}")
        return tuple(values)

    def numbers(self, name: str) -> np.ndarray:
        """Return nested lists of numbers, float64."""
        return as_numbers(self.items(name), f"{self.where}: '{name}'")

    def fields(self, name: str) -> "Fields":
        """Return an object field, empty when absent."""
        return Fields(self._get(name, "an object", (dict,), {}), f"{self.where}: {name}")

    def note(self, *names: str) -> None:
        """Accept fields that are there for people and not read."""
        self._read.update(names)

    def warn_unknown(self) -> None:
        """Log the fields nobody asked for: a newer minor version may add optional ones."""
        unknown = [name for name in self.values if name not in self._read]
        if unknown:
            LOG.warning("%s: ignored unknown %s; a newer version may have written it", self.where,
                        ", ".join(f"'{name}'" for name in unknown))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), f"the number {value}" if isinstance(value, float) else "a number")


def check_version(fields: Fields, name: str, family: str, major: int) -> None:
    """Raise unless the text field `name` is `family`/`major`."""
    if not fields.has(name):
        raise FormatError(f"{fields.where}: '{name}' is missing; expected '{family}/{major}', or fields of another kind of "
                          "file we know")
    value = fields.text(name)
    start, _, version = value.partition("/")
    if start != family or not version.isdecimal():
        raise FormatError(f"{fields.where}: '{name}': expected '{family}/{major}', got '{value}'")
    if int(version) != major:
        raise UnsupportedFeature(f"{fields.where}: written as {value}, this version reads {family}/{major}; update "
                                 "flameport, or write the file again with this version")


def dump_line(value: Any) -> str:
    """Return `value` as compact JSON on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "), allow_nan=False)


def write_json(value: Any, path: str | os.PathLike[str]) -> Path:
    """Write `value` as indented JSON, atomically, and return the path."""
    return write_bytes(path, (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode())
