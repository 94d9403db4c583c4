"""NumPy's .npy, one array, read without pickles and with its size checked before it is allocated."""

import os
from pathlib import Path

import numpy as np

from formats.codecs import npz_file
from formats.files import SIZE_LIMIT, read_bytes, replacing


def read(path: str | os.PathLike[str], limit: int = SIZE_LIMIT) -> np.ndarray:
    """Return the array in a .npy, read-only: numbers, booleans or fixed-width text, never Python objects.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is damaged, larger than `limit` bytes, or holds pickled objects.
    """
    return npz_file.parse_array(read_bytes(path, limit), str(path))


def write(array: np.ndarray, path: str | os.PathLike[str]) -> Path:
    """Write `array` as a .npy of version 1.0 in C order, atomically, and return the path."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), (1, 0), allow_pickle=False)
    return Path(path)


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a .npy."""
    return head.startswith(b"\x93NUMPY")
