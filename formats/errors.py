"""What can go wrong with a file or an avatar.

    AvatarError                 anything the user can put right
    ├── FormatError             a file is not what its format says
    ├── BindingError            a layer does not fit the head it rides
    ├── CheckpointMismatch      two inputs do not belong together (editions, counts)
    ├── MissingAsset            a file or an optional package is needed and absent
    ├── UnsupportedFeature      valid, but this reader or target cannot carry it
    └── TrainingError           training diverged or ran out of memory

A message says what and where, what was expected and what was found, and what to do next, in one line.
"""

import contextlib
from collections.abc import Iterator
from os import PathLike


class AvatarError(Exception):
    """The base of every error a user can put right; the command line prints it as one line and exits 1."""


class FormatError(AvatarError):
    """A file is not what its format says."""


class BindingError(AvatarError):
    """A layer does not fit the head it rides."""


class CheckpointMismatch(AvatarError):
    """Two inputs do not belong together."""


class MissingAsset(AvatarError):
    """A file or an optional package is needed and absent."""


class UnsupportedFeature(AvatarError):
    """A valid input that this reader, target or operation cannot carry."""


class TrainingError(AvatarError):
    """Training cannot go on: numbers are no longer finite, or the memory is used up."""


@contextlib.contextmanager
def naming(where: str | PathLike[str]) -> Iterator[None]:
    """Put `where` in front of errors that do not say it yet: nouns name their fields, only readers know the file."""
    try:
        yield
    except AvatarError as error:
        if str(error).startswith(str(where)):
            raise
        raise type(error)(f"{where}: {error}") from error
