"""A trainer's frozen `Config` as text and JSON: settings by name from the command line, and back from a run's folder."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from formats.errors import FormatError, UnsupportedFeature

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def preset_of(presets: Mapping[str, Any], name: str, system: str) -> Any:
    """Return the settings called `name`.

    Raises:
        UnsupportedFeature: There are none of that name; the message lists those there are.
    """
    if name not in presets:
        raise UnsupportedFeature(f"--preset {name}: '{system}' has no such preset{_close(name, presets)}; available are "
                                 f"{', '.join(presets)}")
    return presets[name]


def override(config: Any, overrides: Mapping[str, str]) -> Any:
    """Return the dataclass `config` with fields set from text, each converted as its annotation says.

    Args:
        config: A frozen dataclass of numbers, texts, choices, and tuples of them.
        overrides: Field name to text: `3e-4`, `12`, `true`, `none`, or `0.1,0.2` for a tuple.

    Raises:
        FormatError: There is no such field, or the text is no value for it; the message lists the fields.
    """
    hints = typing.get_type_hints(type(config))
    names = [field.name for field in dataclasses.fields(config)]
    values = {}
    for name, text in overrides.items():
        if name not in names:
            listed = ", ".join(f"{n} ({_shown(getattr(config, n))})" for n in names)
            raise FormatError(f"--set {name}={text}: there is no setting '{name}'{_close(name, names)}; the settings are "
                              f"{listed}")
        try:
            values[name] = _from_text(text.strip(), hints[name])
        except ValueError as error:
            raise FormatError(f"--set {name}={text}: expected {error}; it is {_shown(getattr(config, name))} "
                              "now") from error
    return dataclasses.replace(config, **values)


def fitted(config: Any, steps: int, names: tuple[str, ...]) -> Any:
    """Return settings whose whole schedule takes `steps`.

    Args:
        config: A frozen dataclass with `steps`.
        steps: From 1.
        names: Fields that count steps, a trainer's `IN_STEPS`; 0 stays 0, which says never. Rounded up, so that nothing that
            comes again and again comes once more at the end.
    """
    ratio = steps / config.steps
    return dataclasses.replace(config, steps=steps, **{
        name: math.ceil(getattr(config, name) * ratio) for name in names})


def to_json(config: Any) -> dict[str, Any]:
    """Return every field of the dataclass `config` as JSON holds it; tuples become lists."""
    return {field.name: _to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_json(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Return the dataclass `kind` whose `to_json` is `values`; `where` names the file in messages.

    Raises:
        FormatError: A field is missing, unknown, or of another type.
    """
    hints, names = typing.get_type_hints(kind), [field.name for field in dataclasses.fields(kind)]
    missing, unknown = [n for n in names if n not in values], [n for n in values if n not in names]
    if missing or unknown:
        said = "; ".join(f"{what} {', '.join(found)}" for what, found in (("missing", missing), ("unknown", unknown)) if found)
        raise FormatError(f"{where}: 'config' does not fit this version's settings: {said}; use the version that wrote it, "
                          "or train again")
    read = {}
    for name in names:
        try:
            read[name] = _from_json(values[name], hints[name])
        except ValueError as error:
            raise FormatError(f"{where}: 'config.{name}': expected {error}, got {_shown(values[name])}") from error
    return kind(**read)


def check(config: Any) -> None:
    """Raise `FormatError` unless the settings that every trainer has are ones the loop can follow."""
    for name, low in (("steps", 1), ("size", 0), ("seed", 0), ("log_every", 1), ("save_every", 1)):
        value = getattr(config, name)
        if value < low:
            raise FormatError(f"--set {name}={value}: expected a whole number from {low}")
    if config.background not in ("white", "black", "random"):
        raise FormatError(f"--set background={config.background}: expected white, black or random")


def changed(one: Any, other: Any) -> list[str]:
    """Return the names of fields in which two settings differ."""
    return [field.name for field in dataclasses.fields(one) if getattr(one, field.name) != getattr(other, field.name)]


def _from_text(text: str, hint: Any) -> Any:
    """Return `text` as `hint` says; a ValueError's message is what was expected."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        for choice in args:
            if str(choice) == text:
                return choice
        raise ValueError(f"one of {', '.join(str(a) for a in args)}")
    if origin in (typing.Union, types.UnionType):
        if type(None) in args and text.lower() == "none":
            return None
        for kind in (a for a in args if a is not type(None)):
            try:
                return _from_text(text, kind)
            except ValueError as error:
                said = error
        raise ValueError(f"{said}{' or none' if type(None) in args else ''}")
    if origin is tuple:
        words = [word.strip() for word in text.strip("()[] ").split(",") if word.strip()]
        return _tuple(words, args, _from_text)
    if hint is bool:
        if text.lower() in TRUE + FALSE:
            return text.lower() in TRUE
        raise ValueError("true or false")
    if hint is int:
        try:
            return int(text.replace("_", ""))
        except ValueError as error:
            raise ValueError("a whole number") from error
    if hint is float:
        try:
            return _finite(float(text))
        except ValueError as error:
            raise ValueError("a number") from error
    if hint is str:
        return text
    raise ValueError(f"{hint}, which cannot be given as text")


def _from_json(value: Any, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value in args:
            return value
        raise ValueError(f"one of {', '.join(str(a) for a in args)}")
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        for kind in (a for a in args if a is not type(None)):
            try:
                return _from_json(value, kind)
            except ValueError as error:
                said = error
        raise ValueError(str(said))
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError("a list")
        return _tuple(value, args, _from_json)
    if hint is float and type(value) in (int, float):
        return _finite(float(value))
    if type(value) is hint:
        return value
    raise ValueError({bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(hint, str(hint)))


def _tuple(values: list[Any], args: tuple[Any, ...], read: Any) -> tuple[Any, ...]:
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(read(value, args[0]) for value in values)
    if len(values) != len(args):
        raise ValueError(f"{len(args)} values separated by commas")
    return tuple(read(value, kind) for value, kind in zip(values, args, strict=True))


def _to_json(value: Any) -> Any:
    return [_to_json(v) for v in value] if isinstance(value, tuple) else value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("a number")
    return value


def _shown(value: Any) -> str:
    return ",".join(_shown(v) for v in value) if isinstance(value, (tuple, list)) else str(value)


def _close(name: str, names: Any) -> str:
    near = difflib.get_close_matches(name, list(names), 3, 0.5)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
