"""The files of a bundle, in a folder or in a zip, by plain names and with bounds."""

import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from formats.codecs import npz_file
from formats.errors import AvatarError, FormatError, MissingAsset
from formats.files import SIZE_LIMIT, read_bytes, replacing, replacing_folder

MANIFEST = "avatar.json"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class BundleFiles:
    """Read access to the files of one bundle. Use as a context manager."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the folder or zip at `path`.

        Raises:
            MissingAsset: There is nothing there, or no `avatar.json` in it.
            FormatError: It is neither a folder nor a sound zip.
        """
        self.where = str(path)
        self._folder = Path(path)
        self._archive: zipfile.ZipFile | None = None
        self._entries: dict[str, zipfile.ZipInfo] = {}
        if self._folder.is_dir():
            if not (self._folder / MANIFEST).is_file():
                raise MissingAsset(f"{path}: no {MANIFEST} in this folder; expected a bundle, X.avatar")
            return
        self._archive = npz_file.open_zip(path)
        try:
            self._entries = self._inside(npz_file.members(self._archive, self.where))
        except AvatarError:
            self._archive.close()
            raise

    def _inside(self, entries: dict[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        homes = [name[:-len(MANIFEST)] for name in entries
                 if name.rpartition("/")[2] == MANIFEST and not name.startswith("__MACOSX/")]
        if len(homes) != 1:
            raise MissingAsset(f"{self.where}: expected one {MANIFEST} in the zip, found {len(homes)}")
        return {name.removeprefix(homes[0]): info for name, info in entries.items() if name.startswith(homes[0])}

    def __enter__(self) -> "BundleFiles":
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    def read(self, name: str, limit: int = SIZE_LIMIT) -> bytes:
        """Return the bytes of the file `name`, which may not lead out of the bundle.

        Raises:
            MissingAsset: The bundle lacks it.
            FormatError: The name is not a plain one, or the file is larger than `limit` bytes.
        """
        if not _PLAIN_NAME.fullmatch(name):
            raise FormatError(f"{self.where}: refers to the file '{name}'; a bundle's files have plain names, without "
                              "folders")
        if self._archive is None:
            return read_bytes(self._folder / name, limit)
        if name not in self._entries:
            raise MissingAsset(f"{self.where}: no file '{name}' in the zip")
        if self._entries[name].file_size > limit:
            raise FormatError(f"{self.where}: '{name}' has {self._entries[name].file_size} bytes, more than {limit}")
        return npz_file.take(self._archive, self._entries[name], self.where)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file, by name."""
        if self._archive is not None:
            return {name: info.file_size for name, info in sorted(self._entries.items())}
        return {p.name: p.stat().st_size for p in sorted(self._folder.iterdir()) if p.is_file()}


def write_folder(contents: Iterable[tuple[str, bytes]], path: Path) -> None:
    """Write files, pairs of name and bytes, into the folder `path`, replacing it as a whole."""
    with replacing_folder(path) as temporary:
        for name, data in contents:
            (temporary / name).write_bytes(data)


def write_zip(contents: Iterable[tuple[str, bytes]], path: Path) -> None:
    """Write files, pairs of name and bytes, as a zip, atomically; the same files give the same bytes."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in contents:
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
