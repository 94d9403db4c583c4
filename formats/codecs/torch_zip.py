"""The container that `torch.save` writes since torch 1.6: a zip of one pickle and one member for each storage.

`TOP/data.pkl` is the content, `TOP/data/KEY` a storage, `TOP/byteorder` says `little` or `big` (absent: little); TOP is
any name. Other members come and go with torch's version and are left alone. Torch stores members unpacked, so they are
read where they lie; a file that was zipped again (deflated) is read, too.
"""

import mmap
import zipfile
from pathlib import Path
from typing import Any

from formats.codecs import npz_file, safe_pickle
from formats.codecs.torch_records import NAMES, Storages
from formats.codecs.torch_tensor import Packed, Place, Span
from formats.errors import FormatError

_LOCAL = 30
"""Bytes of a member's own header before its name."""


def content(names: list[str]) -> str | None:
    """Return the name of the one member that is a torch file's content, among a zip's `names`."""
    found = [n for n in names if (n == "data.pkl" or n.endswith("/data.pkl")) and not n.startswith("__MACOSX/")]
    least = min((n.count("/") for n in found), default=0)
    outer = [n for n in found if n.count("/") == least]
    return outer[0] if len(outer) == 1 else None


def read(path: Path, data: mmap.mmap, where: str) -> Any:
    """Return the content of the zip at `path`, mapped as `data`, its tensors not loaded.

    Raises:
        FormatError: It is damaged, no torch file, or uses a name that is not allowed.
    """
    with npz_file.open_zip(path) as archive:
        members = npz_file.members(archive, where)
        npz_file.check_unpacked(members.values(), where)
        name = content(list(members))
        if name is None:
            raise FormatError(f"{where}: a zip without one TOP/data.pkl; torch.save writes one")
        top = name.removesuffix("data.pkl")
        order = b"little"
        if f"{top}byteorder" in members and members[f"{top}byteorder"].file_size <= 8:
            order = npz_file.take(archive, members[f"{top}byteorder"], where)
        if order not in (b"little", b"big"):
            raise FormatError(f"{where}: {ascii(f'{top[:80]}byteorder')} says {order!r}, expected 'little' or 'big'")
        storages = Storages(where, "<" if order == b"little" else ">")
        spot = _place(path, data, members[name], where)
        if isinstance(spot, Span):
            root, end = safe_pickle.load_next(data, where, spot.start, NAMES, storages.identify, spot)
            used = end - spot.start
        else:
            unpacked = npz_file.take(archive, members[name], where)
            root, used = safe_pickle.load_next(unpacked, where, 0, NAMES, storages.identify)
        if used != spot.nbytes:
            raise FormatError(f"{where}: {ascii(name[:120])} goes on for {spot.nbytes - used} bytes after its pickle")
        for storage in storages.found.values():
            info, shown = members.get(f"{top}data/{storage.name}"), ascii(f"{top[:80]}data/{storage.name[:40]}")
            if info is None:
                raise FormatError(f"{where}: {shown} is missing, which a tensor needs; cut short?")
            if info.file_size < storage.nbytes:
                raise FormatError(f"{where}: {shown} has {info.file_size} bytes, its tensors need {storage.nbytes}")
            storage.at = _place(path, data, info, where)
        return root


def _place(path: Path, data: mmap.mmap, info: zipfile.ZipInfo, where: str) -> Place:
    """Return where a member's bytes lie."""
    if info.compress_type != zipfile.ZIP_STORED:
        return Packed(path, info)
    shown = f"the zip entry {ascii(info.filename[:120])}"
    header = data[info.header_offset:info.header_offset + _LOCAL]
    if header[:4] != b"PK\x03\x04" or len(header) < _LOCAL:
        raise FormatError(f"{where}: byte {info.header_offset}: {shown} is not there; copy it again")
    start = info.header_offset + _LOCAL + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    if info.file_size != info.compress_size or start + info.file_size > len(data):
        raise FormatError(f"{where}: {shown} reaches beyond the file; copy it again")
    return Span(path, start, info.file_size)
