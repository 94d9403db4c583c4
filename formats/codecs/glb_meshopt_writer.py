"""A GLB under construction whose accessors are compressed by `EXT_meshopt_compression`, and floats rounded to steps.

Accessors mean what they mean without compression: a reader that can undo it sees floats, indices and integers as ever.
"""

import math
from typing import Any, Literal

import numpy as np

from formats.codecs import meshopt
from formats.codecs.glb import MESHOPT
from formats.codecs.glb_writer import TARGETS, GlbWriter

STRIDE_LIMIT = 256
SMALLEST = 64
"""Bytes: what is shorter is stored plainly, its JSON would grow more than it saves."""


class MeshoptGlbWriter(GlbWriter):
    """A `GlbWriter` that compresses. The file requires `EXT_meshopt_compression`."""

    def __init__(self, generator: str = "flameport") -> None:
        super().__init__(generator)
        self._decoded = 0
        self.quantizes = False
        """Whether morph targets are integers, so that `KHR_mesh_quantization` must be named."""

    def floats(self, values: np.ndarray, exponent: int | np.ndarray, target: Literal["vertex"] | None = None,
               bounds: bool = False, stride: int | None = None) -> int:
        """Store floats rounded to whole multiples of 2^exponent (filter EXPONENTIAL) and return their accessor."""
        words = meshopt.to_exponential(values, exponent)
        stored = meshopt.from_exponential(words)
        entry, _ = self._entry(stored, bounds, False)
        data = words.transpose(0, 2, 1).tobytes() if words.ndim == 3 else words.tobytes()
        key = self._key(entry, data, f"{target} rounded {stride}")
        if key not in self._known:
            row = 4 * (stride or math.prod(values.shape[1:]))
            entry["bufferView"] = self._compressed(data, row, stored.tobytes(), target, "EXPONENTIAL")
            self._known[key] = self.add("accessors", entry)
        return self._known[key]

    def target(self, values: np.ndarray, cut: float = 0.0) -> int:
        """Store a morph target's deltas, dense, as fractions of 32767: sparse ones cannot be compressed.

        `cut` is not needed. Zeros alone take no bytes. The file then requires `KHR_mesh_quantization`.
        """
        assert np.abs(values).max(initial=0) <= 1, "deltas longer than the unit of POSITION"
        whole = np.round(values.astype(np.float64) * 32767).astype("<i2")
        self.quantizes = True
        if whole.any():
            return self.accessor(whole, "vertex", bounds=True, normalized=True)
        key = ("zeros", whole.shape)
        if key not in self._known:
            self._known[key] = self.add("accessors", self._entry(whole, True, True)[0])
        return self._known[key]

    def _view_of(self, values: np.ndarray, data: bytes, target: str | None) -> int:
        size = len(data) // len(values)
        if target == "index":
            packed = meshopt.encode_indices(values)
            return self._compressed_view(packed, size, len(values), "INDICES", target) if len(packed) < len(data) else (
                self._view(data, TARGETS[target]))
        if target == "vertex" and size % 4:
            # Vertex attributes start at multiples of four bytes.
            wide = np.zeros((len(values), -(-size // 4) * 4), np.uint8)
            wide[:, :size] = np.frombuffer(data, np.uint8).reshape(len(values), size)
            packed = meshopt.encode_rows(wide)
            return self._compressed_view(packed, wide.shape[1], len(values), "ATTRIBUTES", target, strided=True)
        return self._compressed(data, size * (4 // math.gcd(size, 4)), data, target, None)

    def _compressed(self, data: bytes, row: int, plain: bytes, target: str | None, filter_: str | None) -> int:
        """Return a view of `data` in rows of `row` bytes, or of `plain` where that is no larger."""
        if row > STRIDE_LIMIT:
            row = max(n for n in range(4, STRIDE_LIMIT + 1, 4) if not row % n)
        padded = data + bytes(-len(data) % row)
        packed = meshopt.encode_rows(np.frombuffer(padded, np.uint8).reshape(-1, row))
        if len(packed) + SMALLEST >= len(plain):
            return self._view(plain, TARGETS.get(target or ""))
        return self._compressed_view(packed, row, len(padded) // row, "ATTRIBUTES", target, filter_)

    def _compressed_view(self, packed: bytes, stride: int, count: int, mode: str, target: str | None,
                         filter_: str | None = None, strided: bool = False) -> int:
        how: dict[str, Any] = {"buffer": 0, "byteOffset": self._append(packed), "byteLength": len(packed),
                               "byteStride": stride, "count": count, "mode": mode}
        if filter_:
            how["filter"] = filter_
        view: dict[str, Any] = {"buffer": 1, "byteOffset": self._decoded, "byteLength": stride * count}
        if strided:
            view["byteStride"] = stride
        if target is not None:
            view["target"] = TARGETS[target]
        self._decoded += -(-stride * count // 4) * 4
        return self.add("bufferViews", view | {"extensions": {MESHOPT: how}})

    def _buffers(self) -> list[dict[str, Any]]:
        buffers = super()._buffers()
        # Where decoded bytes would lie; it has none of its own, and no reader that knows the extension asks for it.
        return [*buffers, {"byteLength": self._decoded, "extensions": {MESHOPT: {"fallback": True}}}]

    @property
    def compresses(self) -> bool:
        """Whether anything is compressed, so that the extension must be named."""
        return self._decoded > 0
