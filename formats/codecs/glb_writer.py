"""Building a GLB: arrays in, aligned accessors out, nothing stored twice.

    glb = GlbWriter()
    position = glb.accessor(vertices, target="vertex", bounds=True)
    mesh = glb.add("meshes", {"primitives": [{"attributes": {"POSITION": position}}]})
    data = glb.to_bytes()

The reading half is `formats.codecs.glb`.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from formats.codecs.glb import BIN_CHUNK, COMPONENTS, JSON_CHUNK, MAGIC, MESHOPT
from formats.errors import FormatError

TARGETS = {"vertex": 34962, "index": 34963}
SIZE_LIMIT = 2**32 - 1
"""Bytes; the container counts in 32 bits."""

_CODES = {dtype: code for code, dtype in COMPONENTS.items()}
_TYPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class GlbWriter:
    """A GLB under construction. Equal accessors and images are stored once; the same calls give the same bytes."""

    def __init__(self, generator: str = "flameport", zeros_first: bool = False) -> None:
        """Start a document.

        Args:
            generator: Who writes it.
            zeros_first: Make the first buffer view one of zeros, as long as the longest accessor that has no bytes. glTF
                needs none, but Godot before 4.1 reads the first view where an accessor names none. Naming it in those
                accessors would not do: Babylon.js writes sparse values into what they share.
        """
        self.json: dict[str, Any] = {"asset": {"version": "2.0", "generator": generator}}
        """The document; add anything that is not a list of objects directly."""
        self._chunks: list[bytes] = []
        self._length = 0
        self._known: dict[Any, int] = {}
        self._zeros_first = zeros_first
        if zeros_first:
            self._view(bytes(4))

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        """Append `entry` to the top-level list `kind` and return its index."""
        entries = self.json.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def accessor(self, values: np.ndarray, target: Literal["vertex", "index"] | None = None, bounds: bool = False,
                 normalized: bool = False) -> int:
        """Store an array as it is and return its accessor.

        Args:
            values: [count] or [count, 2 to 4] or [count, 4, 4] (row-major, turned to glTF's order), of a type that
                glTF knows; float64 and int64 are not narrowed here.
            target: What a GPU does with it.
            bounds: Write min and max, as glTF wants for POSITION and for times.
            normalized: Integers stand for fractions.
        """
        entry, data = self._entry(values, bounds, normalized)
        key = self._key(entry, data, target)
        if key not in self._known:
            entry["bufferView"] = self._view_of(values, data, target)
            self._known[key] = self.add("accessors", entry)
        return self._known[key]

    def floats(self, values: np.ndarray, exponent: int | np.ndarray, target: Literal["vertex"] | None = None,
               bounds: bool = False, stride: int | None = None) -> int:
        """Store floats that a smaller file may round to steps of 2^exponent; here they are stored as they are.

        Args:
            values: As `accessor` takes them.
            exponent: The step that is fine enough, for all or broadcasting against `values`.
            target: What a GPU does with it.
            bounds: Write min and max of what is stored.
            stride: Numbers that make a row of a table in an accessor of scalars; alike rows compress well.
        """
        del exponent, stride
        return self.accessor(values, target, bounds)

    def target(self, values: np.ndarray, cut: float = 0.0) -> int:
        """Store a morph target's deltas, shorter than 1, in the unit of POSITION: sparse where that is smaller.

        Rows shorter than `cut` may be left out.
        """
        return self.sparse_accessor(values, cut)

    def sparse_accessor(self, values: np.ndarray, cut: float = 0.0, bounds: bool = True) -> int:
        """Store float vectors over zeros, only the rows longer than `cut`, where that is smaller; return the accessor.

        Rows of zeros alone take no bytes at all.
        """
        rows = np.flatnonzero(np.linalg.norm(values, axis=1) > cut)
        index_type = np.dtype("<u2") if len(values) <= 65536 else np.dtype("<u4")
        if len(rows) * (index_type.itemsize + values[:1].nbytes) >= values.nbytes:
            return self.accessor(values, "vertex", bounds)
        kept = np.zeros_like(values)
        kept[rows] = values[rows]
        entry, _ = self._entry(kept, bounds, False)
        at, there = rows.astype(index_type).tobytes(), kept[rows].tobytes()
        key = self._key(entry, at + there, "sparse")
        if key not in self._known:
            if len(rows):
                entry["sparse"] = {"count": len(rows),
                                   "indices": {"bufferView": self._view(at), "componentType": _CODES[index_type]},
                                   "values": {"bufferView": self._view(there)}}
            self._known[key] = self.add("accessors", entry)
        return self._known[key]

    def image(self, data: bytes, mime_type: str, name: str) -> int:
        """Store an encoded image and return its index."""
        return self.add("images", {"name": name, "mimeType": mime_type, "bufferView": self._view(data)})

    def blob(self, data: bytes) -> int:
        """Store bytes of any other kind and return their buffer view, which has exactly their length."""
        return self._view(data)

    def put_first(self, accessors: Iterable[int]) -> None:
        """Lay the bytes of these accessors before all others; each group keeps its order, and no index changes."""
        views = self.json.get("bufferViews", [])
        # Every view brought one chunk.
        assert len(views) == len(self._chunks)
        first: set[int] = set()
        for index in accessors:
            accessor = self.json["accessors"][index]
            sparse = accessor.get("sparse", {})
            parts = (accessor, sparse.get("indices", {}), sparse.get("values", {}))
            first |= {part["bufferView"] for part in parts if "bufferView" in part}
        order = sorted(range(len(views)), key=lambda view: view not in first)
        start = 0
        for view in order:
            place = views[view].get("extensions", {}).get(MESHOPT, views[view])
            place["byteOffset"] = start
            start += len(self._chunks[view])
        self._chunks = [self._chunks[view] for view in order]

    def to_bytes(self) -> bytes:
        """Return the finished file.

        Raises:
            FormatError: It would be larger than the container can say.
        """
        if self._zeros_first:
            self._lay_zeros()
        content = dict(self.json)
        if self._length:
            content["buffers"] = self._buffers()
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        parts = [_words(len(text), JSON_CHUNK), text]
        if self._length:
            parts += [_words(self._length, BIN_CHUNK), *self._chunks]
        total = 12 + sum(map(len, parts))
        if total > SIZE_LIMIT:
            raise FormatError(f"the GLB would have {total} bytes, a GLB holds at most {SIZE_LIMIT}; export fewer frames "
                              "or fewer expressions")
        return b"".join([MAGIC, _words(2, total), *parts])

    def _lay_zeros(self) -> None:
        """Make the first view long enough for every accessor without bytes."""
        first = self.json["bufferViews"][0]
        bare = [each for each in self.json.get("accessors", []) if "bufferView" not in each]
        length = max((_bytes_of(each) for each in bare), default=0)
        if length > first["byteLength"]:
            first |= {"byteOffset": self._append(bytes(length)), "byteLength": length}

    def _buffers(self) -> list[dict[str, Any]]:
        return [{"byteLength": self._length}]

    def _entry(self, values: np.ndarray, bounds: bool, normalized: bool) -> tuple[dict[str, Any], bytes]:
        dtype = values.dtype.newbyteorder("<") if values.dtype.itemsize > 1 else values.dtype
        if dtype not in _CODES or values.shape[1:] not in _TYPES or not len(values):
            raise FormatError(f"glTF accessor: cannot hold {values.dtype} {list(values.shape)}")
        if values.ndim == 3:
            values = values.transpose(0, 2, 1)
        entry: dict[str, Any] = {"componentType": _CODES[dtype], "count": len(values), "type": _TYPES[values.shape[1:]]}
        if normalized:
            entry["normalized"] = True
        if bounds:
            entry["min"] = np.atleast_1d(values.min(axis=0)).tolist()
            entry["max"] = np.atleast_1d(values.max(axis=0)).tolist()
        return entry, np.ascontiguousarray(values, dtype).tobytes()

    @staticmethod
    def _key(entry: dict[str, Any], data: bytes, target: str | None) -> Any:
        return json.dumps(entry), hashlib.blake2b(data).digest(), target

    def _view_of(self, values: np.ndarray, data: bytes, target: str | None) -> int:
        """Return a view of `values`, which are `data` as bytes without gaps."""
        del values
        return self._view(data, TARGETS.get(target or ""))

    def _view(self, data: bytes, target: int | None = None) -> int:
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self._append(data), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        return self.add("bufferViews", view)

    def _append(self, data: bytes) -> int:
        """Add bytes to the binary chunk, aligned, and return where they start."""
        start, padded = self._length, data + bytes(-len(data) % 4)
        self._chunks.append(padded)
        self._length += len(padded)
        return start


def _bytes_of(accessor: dict[str, Any]) -> int:
    """Return how many bytes the elements of an accessor would take without gaps."""
    width = {name: int(np.prod(shape)) for shape, name in _TYPES.items()}[accessor["type"]]
    return accessor["count"] * width * COMPONENTS[accessor["componentType"]].itemsize


def _words(*values: int) -> bytes:
    return np.array(values, "<u4").tobytes()


def smallest_unsigned(values: np.ndarray) -> np.ndarray:
    """Return whole numbers as the smallest unsigned type that holds them."""
    high = int(values.max(initial=0))
    return values.astype("u1" if high < 256 else "<u2" if high < 65536 else "<u4")
