"""Files made to harm: each ends in one clear error, runs nothing, and takes neither much time nor much memory.

All of them are read by one child process whose memory, processes and time are bounded. What is valid but damaged is in
`tests.test_bad_input`; what a machine makes up, in `tests.fuzz`.
"""

import functools
import io
import json
import os
import pickle
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from formats.importers.osgap_maps import CHANNELS
from tests.breaking import zipped
from tests.formats.test_safe_pickle import calls
from tests.fuzz.readers import READERS

pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
SYSTEM = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
KEYS = pickle.dumps([], 2)
CHILD = """
import json, os, resource, signal, sys, time
from tests.fuzz.readers import READERS
from formats.errors import AvatarError
from formats.inspection import inspect
import PIL.Image, numpy, torch  # what READERS need later, so that it does not count
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), used + (2 << 30)))
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))

class Late(BaseException):
    pass

def late(number, frame):
    raise Late

signal.signal(signal.SIGALRM, late)
for line in sys.stdin:
    name, path = json.loads(line)
    for read in (READERS[name].read, inspect):
        signal.alarm(10)
        try:
            read(__import__("pathlib").Path(path))
            said = "read"
        except AvatarError as error:
            said = "refused: " + str(error)
        except BaseException as error:
            said = f"ESCAPED {type(error).__name__}: {error}"
        signal.alarm(0)
        print(json.dumps(said), flush=True)
"""


# --- Pickles that call something, in everything that holds one --------------------------------------------------------


def torch_zip(stream: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    return archive({"x/data.pkl": stream, "x/byteorder": b"little"}, method)


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def object_npy(stream: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (-(11 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + stream


def nested(stream: bytes) -> bytes:
    """A trap in the torch file that a tensor inside a plain pickle is."""
    inner = MAGIC + SYSTEM + stream + KEYS
    return b"\x80\x02ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(inner)) + inner + b"\x85R."


def text(value: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value


def persistent(stream: bytes) -> bytes:
    """A trap as the class of a storage."""
    return b"\x80\x02(" + text(b"storage") + stream.removesuffix(b".") + text(b"0") + text(b"cpu") + b"K\x01tQ."


HOLDERS = {
    "torch zip": [("torch zip", torch_zip), ("inspect torch", lambda s: torch_zip(s, zipfile.ZIP_DEFLATED)),
                  ("fate", torch_zip), ("flash-avatar", torch_zip), ("mono-gaussian-avatar", torch_zip),
                  ("gaussian-head-avatar", torch_zip), ("baked-avatar", torch_zip), ("tracker frame", torch_zip),
                  ("torch zip", lambda s: torch_zip(persistent(s)))],
    "torch legacy": [("torch legacy", lambda s: MAGIC + SYSTEM + s + KEYS),
                     ("tracker frame", lambda s: MAGIC + SYSTEM + s + KEYS),
                     ("torch legacy", lambda s: MAGIC + s + pickle.dumps(1, 2) + KEYS),
                     ("torch legacy", lambda s: MAGIC + SYSTEM + pickle.dumps(1, 2) + s)],
    "pickle": [("flame pickle", lambda s: s), ("flame masks", lambda s: s), ("flame landmarks", lambda s: s),
               ("fate identity", lambda s: s), ("fate identity", nested), ("flame landmarks", nested)],
    "array": [("npy", object_npy), ("flame landmarks npy", object_npy), ("baked-avatar motion", object_npy),
              ("npz", lambda s: zipped({"a.npy": object_npy(s)})), ("vhap npz", lambda s: zipped({"expr.npy": object_npy(s)})),
              ("osgap maps", lambda s: zipped({"local_position_uv.npy": object_npy(s)}))],
}


def traps(canary: Path) -> Iterator[tuple[str, str, bytes]]:
    for holders in HOLDERS.values():
        for i, (reader, wrap) in enumerate(holders):
            for name, (stream, _) in calls(str(canary)).items():
                yield f"{name} in {reader} {i}", reader, wrap(stream)


# --- Sizes, depths and names ------------------------------------------------------------------------------------------


def storage(count: int, key: bytes = b"0", offset: int = 0, size: int | None = None) -> bytes:
    """A tensor of a float storage of `count` elements."""
    def number(n: int) -> bytes:
        return b"\x8a\x08" + struct.pack("<q", n)

    pid = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(key) + text(b"cpu") + number(count) + b"tQ"
    size = count if size is None else size
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + number(offset) + number(size) + b"\x85K\x01\x85\x89NtR"


@functools.cache
def zeros(size: int) -> tuple[bytes, int]:
    """Deflated zeros, and their checksum."""
    packer, piece, crc, data = zlib.compressobj(1, zlib.DEFLATED, -15), bytes(1 << 20), 0, []
    for _ in range(size >> 20):
        data.append(packer.compress(piece))
        crc = zlib.crc32(piece, crc)
    return b"".join([*data, packer.flush()]), crc


def deflated(name: str, size: int) -> bytes:
    """A zip whose member honestly unpacks to `size` zeros."""
    packed, crc = zeros(size)
    raw = name.encode()
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0, crc, len(packed), size, len(raw), 0) + raw + packed
    central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 0, crc, len(packed), size, len(raw),
                          0, 0, 0, 0, 0, 0) + raw
    return local + central + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


def overlapping(count: int) -> bytes:
    """A zip whose entries are all the same megabyte."""
    data = archive({"x/data.pkl": b"N.", "x/data/0": bytes(1 << 20)})
    start = data.index(b"PK\1\2")
    middle = data.index(b"PK\1\2", start + 4)
    end = data.rindex(b"PK\5\6")
    central = data[start:middle]
    for i in range(count):
        name = f"x/data/{i:04}".encode()
        entry = bytearray(data[middle:end])
        struct.pack_into("<H", entry, 28, len(name))
        central += bytes(entry[:46]) + name
    return data[:start] + central + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count + 1, count + 1, len(central), start, 0)


def twice(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr(name, b"N.")
        file.writestr(name, b"K\x01.")
    return buffer.getvalue()


def link(name: str, target: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, target)
    return buffer.getvalue()


def png(width: int, height: int, depth: int = 8, kind: int = 6) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)) + chunk(
        b"IDAT", rows) + chunk(b"IEND", b"")


def safetensors(header: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if size is None else size) + header


PLY = b"ply\nformat binary_little_endian 1.0\nelement vertex 999999999999999\n" + b"".join(
    b"property float %s\n" % name for name in (b"x", b"y", b"z", b"opacity")) + b"end_header\n"
LONG = text(b"a" * (1 << 20)) + b"q\x00"
ARRAY = (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR(K\x01J\x00\x00\x10\x00\x85"
         b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR(K\x03" + text(b"|") +
         b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89h\x01tb")
LATIN = LONG + b"0c_codecs\nencode\n(h\x00" + text(b"latin1") + b"tRq\x010"
DEEP = "[" * 200_000


def tensor(pickled: bytes, held: int = 16) -> bytes:
    """A torch zip of a pickle's body and a storage of zeros."""
    return archive({"x/data.pkl": b"\x80\x02" + pickled + b".", "x/data/0": bytes(held)})


def sizes() -> Iterator[tuple[str, str, bytes]]:
    """What announces more than it has."""
    yield "a tensor of a tebibyte", "torch zip", tensor(storage(1 << 38))
    yield "a tensor behind its storage", "torch zip", tensor(storage(4, offset=5))
    yield "a tensor without a storage", "torch zip", tensor(storage(4, b"7"))
    yield "a storage that leaves", "torch zip", torch_zip(b"\x80\x02" + storage(4, b"../../etc/passwd") + b".")
    yield "a storage of two sizes", "torch zip", tensor(b"](" + storage(4) + storage(2) + b"e")
    yield "a legacy tensor of a tebibyte", "torch legacy", (
        MAGIC + SYSTEM + b"\x80\x02" + storage(1 << 38) + b"." + pickle.dumps(["0"], 2) + struct.pack("<q", 1 << 38))
    yield "a thousand views of a megabyte", "torch zip", tensor(
        b"](" + storage(1 << 18) * 1000 + b"e", 1 << 20)
    yield "a thousand arrays of one text", "torch zip", torch_zip(b"\x80\x02" + LATIN + b"](" + ARRAY * 1000 + b"e.")
    yield "a storage that unpacks to a gibibyte", "torch zip", deflated("x/data/0", 1 << 30)
    yield "a pickle that unpacks to a gibibyte", "torch zip", deflated("x/data.pkl", 1 << 30)
    yield "an array that unpacks to a gibibyte", "npz", deflated("a.npy", 1 << 30)
    yield "a bundle that unpacks to a gibibyte", "bundle zip", deflated("avatar.json", 1 << 30)
    yield "a lam that unpacks to a gibibyte", "lam", deflated("a/skin.glb", 1 << 30)
    for reader in ("torch zip", "npz", "bundle zip", "lam"):
        yield f"entries on one another in {reader}", reader, overlapping(4000)
    for reader, member in (("torch zip", "x/data.pkl"), ("npz", "a.npy"), ("bundle zip", "avatar.json"), ("lam", "a/skin.glb")):
        yield f"one name twice in {reader}", reader, twice(member)
        for name in (f"../{member}", f"/{member}", f"C:\\{member}", f"a/../../{member}"):
            yield f"{name} in {reader}", reader, archive({member: b"N.", name: b"N."})
        yield f"a link in {reader}", reader, link(member, "/etc/passwd")
    for shape in ("(10**12,)", "(1000000000000,)", "(2147483647, 2147483647)", "(-1,)", "(0, 9223372036854775807, 4)"):
        for reader in ("npy", "flame landmarks npy", "baked-avatar motion"):
            yield f"{shape} in {reader}", reader, npy_of(shape)
        yield f"{shape} in npz", "npz", zipped({"a.npy": npy_of(shape)})
        yield f"{shape} in maps", "osgap maps", zipped({f"{name}.npy": npy_of(shape) for name in CHANNELS})
    yield "a header that is a program", "npy", npy_of("(__import__('os').system('true'),)")
    yield "a header of brackets", "npy", npy_of("(" * 5000)
    yield "many vertices", "ply", PLY
    yield "a header of an exbibyte", "safetensors", safetensors(b"{}", 1 << 60)
    yield "a tensor beyond the file", "safetensors", safetensors(
        b'{"a": {"dtype": "F32", "shape": [1099511627776], "data_offsets": [0, 4398046511104]}}')
    yield "a tensor of two sizes", "head file", safetensors(
        b'{"a": {"dtype": "F32", "shape": [-1, -4], "data_offsets": [0, 16]}}')
    for size in ((60_000, 60_000), (1 << 30, 1 << 30), (0, 0), (100_000, 10)):
        yield f"a picture of {size}", "picture", png(*size)
        yield f"a deep picture of {size}", "deep png", png(*size, 16, 2)


def npy_of(shape: str) -> bytes:
    """An .npy that says it has this shape."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(11 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)


def depths() -> Iterator[tuple[str, str, bytes]]:
    """What goes deep, or does not end."""
    for reader in ("sequence json", "camera", "flame_params", "arkit json", "arkit map", "splatting-avatar", "imavatar", "insta"):
        yield f"brackets in {reader}", reader, DEEP.encode()
        yield f"braces in {reader}", reader, b'{"a":' * 200_000
        yield f"a long number in {reader}", reader, b'{"fps": ' + b"9" * 2_000_000 + b"}"
        yield f"a large exponent in {reader}", reader, b'{"fps": 1e999999999, "frames": []}'
    yield "brackets in glb", "glb", struct.pack("<4sIIII", b"glTF", 2, 20 + 200_000, 200_000, 0x4E4F534A) + DEEP.encode()
    yield "brackets in safetensors", "safetensors", safetensors(DEEP.encode())
    yield "brackets in a bundle", "bundle zip", zipped({"avatar.json": DEEP.encode()})
    yield "numbers without end", "flame template", b"v " + b"9" * 5_000_000 + b" 0 0\nf 1/1 1/1 1/1\n"
    yield "an exponent in numbers", "insta numbers", b"1e999999999\n" * 100
    yield "a column without end", "arkit csv", b"Timecode,BlendShapeCount," + b"a" * 5_000_000
    yield "lists in lists", "torch zip", torch_zip(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")
    yield "a list in itself", "torch zip", torch_zip(b"\x80\x02]q\x00h\x00a.")
    yield "tuples in tuples", "torch legacy", MAGIC + SYSTEM + b"\x80\x02N" + b"\x85" * 200_000 + b"." + KEYS
    yield "instructions", "torch zip", torch_zip(b"\x80\x02" + b"N0" * 600_000 + b"N.")
    yield "copies of one text", "torch zip", torch_zip(b"\x80\x02" + text(b"a" * 60_000) + b"q\x00" + (
        b"c_codecs\nencode\n(h\x00" + text(b"latin1") + b"tR0") * 20_000 + b".")


CUT = ("bundle zip", "glb", "ply", "head file", "sequence binary", "npz", "npy", "vhap npz", "flame pickle", "flame masks",
       "flame landmarks", "lam", "torch zip", "torch legacy", "fate identity", "tracker frame", "osgap maps",
       "baked-avatar motion", "deep png", "sequence json", "camera", "flame_params", "arkit json", "imavatar", "insta")
"""Readers whose files say where they end."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory and processes are Linux's")
def test_hostile_files_end_in_one_error(tmp_path):
    canary = tmp_path / "canary"
    cases = [*traps(canary), *sizes(), *depths()]
    for name in CUT:
        place = tmp_path / "whole"
        place.mkdir(exist_ok=True)
        data = READERS[name].write(place).read_bytes()
        cases += [(f"{name} cut at {share} %", name, data[:len(data) * share // 100]) for share in range(0, 100, 10)]
    jobs, folders = [], {}
    for i, (_, reader, data) in enumerate(cases):
        if reader not in folders:
            folders[reader] = tmp_path / "places" / str(len(folders))
            folders[reader].mkdir(parents=True)
            folders[reader] = READERS[reader].write(folders[reader])
        path = folders[reader]
        case = tmp_path / "cases" / str(i)
        case.mkdir(parents=True)
        base = next(p for p in path.parents if p.parent.name == "places")
        for each in base.rglob("*"):  # what lies beside it
            if each.is_file() and each != path:
                beside = case / each.relative_to(base)
                beside.parent.mkdir(parents=True, exist_ok=True)
                os.link(each, beside)
        file = case / path.relative_to(base)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        jobs.append((reader, str(file)))
    done = subprocess.run([sys.executable, "-c", CHILD], input="".join(json.dumps(job) + "\n" for job in jobs), text=True,
                          capture_output=True, cwd=ROOT, timeout=300, check=False,
                          env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2 * len(cases), done.stderr[-2000:] + str(lines[-1:]) + cases[len(lines) // 2][0]
    wrong = []
    for (name, _, _), read, inspected in zip(cases, lines[::2], lines[1::2], strict=True):
        for said in (read, inspected):
            if said.startswith("ESCAPED") or "\n" in said:
                wrong.append(f"{name}: {said[:300]}")
        if not read.startswith("refused: "):
            wrong.append(f"{name}: was read")
    assert not wrong, "\n".join(wrong[:40])
    assert not canary.exists()
