"""Writing files so that nothing is ever half-written, and reading them with bounds."""

import contextlib
import ctypes
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from formats.errors import FormatError, MissingAsset

SIZE_LIMIT = 2 << 30
"""Bytes; no single file we read is larger (a 50 MB avatar is big, a FLAME pickle about 100 MB)."""


def read_bytes(path: str | os.PathLike[str], limit: int = SIZE_LIMIT) -> bytes:
    """Return the bytes of the file at `path`.

    Raises:
        MissingAsset: There is no such file, or it may not be read.
        FormatError: It is a folder, a device or a pipe, empty, or larger than `limit` bytes.
    """
    check_readable(path, limit)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise MissingAsset(f"{path}: cannot be read: {error.strerror}") from error


def check_readable(path: str | os.PathLike[str], limit: int = SIZE_LIMIT) -> None:
    """Raise what `read_bytes` would unless `path` is a file with something in it and at most `limit` bytes."""
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise MissingAsset(f"{path}: no such file") from error
    except OSError as error:
        raise MissingAsset(f"{path}: cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise FormatError(f"{path}: is a folder, expected a file")
    if not stat.S_ISREG(status.st_mode):
        # Neither says how long it is, and a pipe can be read only once.
        raise FormatError(f"{path}: is a device or a pipe, expected a file; save it to disk first")
    if status.st_size == 0:
        raise FormatError(f"{path}: is empty (0 bytes); copy or write it again")
    if status.st_size > limit:
        raise FormatError(f"{path}: {status.st_size} bytes, more than the {limit} this format may have")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path` to write one file to; it takes its place when the block ends well.

    When the block raises, the previous file stays and the temporary one is removed.
    """
    target = Path(path)
    if target.is_dir():
        raise FormatError(f"{target}: is a folder, expected to write a file; give --out a file name")
    _make_parent(target)
    with _writing(target):
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.tmp-", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            with _named(temporary, target):
                yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; it takes its place when the block ends well.

    An existing folder at `path` is replaced as a whole, and kept when the block raises. Where the system can exchange two
    names in one step (Linux), there is no moment without a folder at `path`; elsewhere the old one is moved aside first,
    and moved back if the second step fails.
    """
    target = Path(path)
    if target.is_file():
        raise FormatError(f"{target}: is a file, expected to write a folder; remove it or choose another --out")
    _make_parent(target)
    with _writing(target):
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.tmp-", dir=target.parent))
        try:
            with _named(temporary, target):
                yield temporary
            os.chmod(temporary, 0o777 & ~_umask())
            if not target.exists():
                os.replace(temporary, target)
            elif not _exchange(temporary, target):
                aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.tmp-", dir=target.parent))
                os.replace(target, aside)
                try:
                    os.replace(temporary, target)
                except OSError:
                    os.replace(aside, target)
                    raise
                shutil.rmtree(aside, ignore_errors=True)
        finally:
            if temporary.exists():
                shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Say which output the system refused: no space, no permission, too long a name."""
    try:
        yield
    except BrokenPipeError:  # of the terminal that is told of progress
        raise
    except OSError as error:
        raise MissingAsset(f"{target}: cannot be written: {error.strerror or error}; make room, or choose another "
                           "--out") from error


@contextlib.contextmanager
def _named(temporary: Path, target: Path) -> Iterator[None]:
    """Let errors of what is written inside name `target`: the temporary name is gone when somebody looks for it."""
    try:
        yield
    except MissingAsset as error:
        raise MissingAsset(str(error).replace(str(temporary), str(target))) from error


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step, and tell whether the system could."""
    here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux's renameat2
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write `data` to `path` through `replacing`, and return the path."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def _make_parent(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingAsset(f"{target.parent}: cannot be made: {error.strerror}") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
