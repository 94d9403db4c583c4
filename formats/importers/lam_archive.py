"""The zip around a LAM avatar: one folder of files, read with bounds and never extracted.

What macOS adds (`__MACOSX`, `.DS_Store`, `._*`) is ignored. The folder's name is the avatar's name.
"""

import os
import stat
import zipfile
import zlib
from pathlib import Path

from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.files import check_readable

ENTRY_LIMIT = 10_000
MEMBER_LIMIT = 256 << 20
"""Bytes unpacked; the largest member of a 20 018 vertex avatar has 4 MB."""
TOTAL_LIMIT = 1 << 30
"""Bytes unpacked, all members together."""


class LamArchive:
    """The members of an avatar zip by their name inside its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        check_readable(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise MissingAsset(f"{path}: cannot be read: {error.strerror or error}") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise FormatError(f"{path}: not a zip, or cut off ({error}); expected the file that LAM exports") from error
        try:
            self._members, self.name = _members(self._zip.infolist(), path)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> "LamArchive":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def names(self) -> list[str]:
        """Return the members' names inside the folder."""
        return list(self._members)

    def where(self, name: str) -> str:
        """Return how messages name a member."""
        return f"{self.path}: {self._members[name].filename if name in self._members else name}"

    def read(self, name: str) -> bytes:
        """Return the bytes of a member.

        Raises:
            MissingAsset: There is no such member.
            FormatError: It is damaged.
            UnsupportedFeature: It is encrypted or packed in an unusual way.
        """
        info = self._members.get(name)
        if info is None:
            raise MissingAsset(f"{self.path}: holds no {name}; found {', '.join(sorted(self._members)[:12])}. "
                               "Export the avatar again")
        if info.flag_bits & 1:
            raise UnsupportedFeature(f"{self.where(name)}: is encrypted; pack the folder without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnsupportedFeature(f"{self.where(name)}: packed by method {info.compress_type}; pack it with deflate")
        try:
            # With a size: without one, zipfile unpacks up to 2 GiB before it looks at what the entry declares.
            with self._zip.open(info) as member:
                data = member.read(info.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            raise FormatError(f"{self.where(name)}: damaged: {error}; copy or export the zip again") from error
        if len(data) != info.file_size:
            raise FormatError(f"{self.where(name)}: {info.file_size} bytes declared, {len(data)} found; copy the zip again")
        return data


def _members(entries: list[zipfile.ZipInfo], path: Path) -> tuple[dict[str, zipfile.ZipInfo], str]:
    """Return the files of the avatar's folder by name, and the folder's name."""
    if len(entries) > ENTRY_LIMIT:
        raise FormatError(f"{path}: {len(entries)} entries, at most {ENTRY_LIMIT} are read; not an avatar zip")
    kept: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for info in entries:
        _check_name(info, path)
        parts = info.filename.rstrip("/").split("/")
        if parts[0] == "__MACOSX" or parts[-1] == ".DS_Store" or parts[-1].startswith("._"):
            continue
        if info.file_size > MEMBER_LIMIT:
            raise FormatError(f"{path}: {info.filename}: unpacks to {info.file_size} bytes, at most {MEMBER_LIMIT} are "
                              "read; not an avatar")
        total += info.file_size
        if info.filename in kept:
            raise FormatError(f"{path}: {info.filename}: is in the zip twice")
        kept[info.filename] = info
    if total > TOTAL_LIMIT:
        raise FormatError(f"{path}: unpacks to {total} bytes, at most {TOTAL_LIMIT} are read; not an avatar")
    folders = [name[:-len("skin.glb")] for name in kept if name == "skin.glb" or name.endswith("/skin.glb")]
    if not folders:
        raise MissingAsset(f"{path}: holds no skin.glb; found {', '.join(list(kept)[:12]) or 'nothing'}. Expected the "
                           "zip that LAM exports: a folder with skin.glb, offset.ply, animation.glb, vertex_order.json")
    folder = folders[0]
    members = {name[len(folder):]: info for name, info in kept.items() if name.startswith(folder) and not info.is_dir()}
    return members, folder.rstrip("/").rsplit("/", 1)[-1] or path.stem


def _check_name(info: zipfile.ZipInfo, path: Path) -> None:
    """Refuse names that would leave the folder, and links: nothing is extracted here, but such a zip is an attack."""
    name = info.filename
    escapes = ".." in name.replace("\\", "/").split("/") or name.startswith(("/", "\\")) or name[1:2] == ":"
    if escapes or "\0" in info.orig_filename or os.sep != "/" and os.sep in name:
        raise FormatError(f"{path}: {name!r}: points outside the zip's folder; do not trust this file")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise FormatError(f"{path}: {name!r}: is a link; expected plain files")
