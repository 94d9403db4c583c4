"""Shape and value checks that every noun makes when it is built."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from formats.errors import AvatarError, FormatError


def array(owner: str, field: str, value: Any, shape: tuple[int | str | None, ...], sizes: dict[str, int],
          dtype: Any = np.float32, error: type[AvatarError] = FormatError) -> np.ndarray:
    """Return `value` as a read-only C-contiguous array of `dtype`, after checking its shape.

    Args:
        owner: Name of the noun being built, for the message.
        field: Name of its field, for the message.
        value: Anything NumPy can read.
        shape: One entry per axis: a number, a shape letter bound in `sizes` (bound on first use), or None for any.
        sizes: The letters bound so far; extended in place.
        dtype: Target dtype. Float targets refuse NaN and infinity; integer targets refuse fractions.
        error: What to raise.
    """
    given = np.asarray(value)
    if given.dtype == object or given.dtype.kind not in "fiub":
        raise error(f"{owner}.{field}: expected numbers, got an array of {given.dtype}")
    if given.dtype.kind == "b" and np.dtype(dtype).kind != "b":
        raise error(f"{owner}.{field}: expected numbers, got true and false")
    expected = tuple(sizes.get(n, n) if isinstance(n, str) else n for n in shape)
    fits = given.ndim == len(shape) and all(
        not isinstance(want, int) or want == got for want, got in zip(expected, given.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in expected)
        raise error(f"{owner}.{field}: expected shape [{wanted}], got {list(given.shape)}")
    for letter, got in zip(shape, given.shape, strict=True):
        if isinstance(letter, str):
            sizes[letter] = got
    kind = np.dtype(dtype).kind
    if kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            given = given.astype(dtype)
        if given.size and not np.isfinite(given).all():
            bad = int(np.size(given) - np.count_nonzero(np.isfinite(given)))
            raise error(f"{owner}.{field}: {bad} of {given.size} values are not finite; the file is damaged or "
                        "training diverged")
    elif given.dtype.kind == "f" and given.size and not (given == np.round(given)).all():
        raise error(f"{owner}.{field}: expected whole numbers")
    if given is value and given.dtype == dtype and given.flags.c_contiguous and not given.flags.writeable:
        return given
    result = np.array(given, dtype=dtype, order="C")
    result.flags.writeable = False
    return result


def indices(owner: str, field: str, value: np.ndarray, limit: int, of: str,
            error: type[AvatarError] = FormatError) -> None:
    """Raise unless every entry of `value` is in 0..limit-1."""
    if value.size and (int(value.min()) < 0 or int(value.max()) >= limit):
        raise error(f"{owner}.{field}: indices span {int(value.min())}..{int(value.max())}, but there are {limit} {of}")


def freeze(owner: object, values: Mapping[str, Any]) -> None:
    """Set fields of a frozen dataclass from inside its `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)
