"""A SciPy sparse matrix as a pickle describes it, written out without SciPy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from formats.errors import FormatError

DENSE_LIMIT = 1 << 26
"""Numbers in an expanded matrix. FLAME's regressor has 25 thousand."""


@dataclass(frozen=True)
class SparseMatrix:
    """A SciPy sparse matrix as its file describes it, not yet checked."""

    kind: str
    """`csc`, `csr` or `coo`."""
    state: Mapping[str, Any]

    def dense(self, where: str) -> Float64[np.ndarray, "rows columns"]:
        """Return the matrix written out; entries named twice add up, as SciPy has it.

        Raises:
            FormatError: An index is outside the matrix, the parts disagree, or it has more than `DENSE_LIMIT` numbers.
        """
        shape = self.state.get("_shape", self.state.get("shape"))
        if not (isinstance(shape, tuple) and len(shape) == 2 and all(type(n) is int and n >= 0 for n in shape)):
            raise FormatError(f"{where}: sparse matrix without a shape of two sizes")
        if shape[0] * shape[1] > DENSE_LIMIT:
            raise FormatError(f"{where}: sparse matrix of {list(shape)}, more than {DENSE_LIMIT} numbers")
        data = self._part(where, "data", "fiu")
        if self.kind == "coo":
            rows, columns = self._coordinates(where)
        else:
            inner = self._part(where, "indices", "iu").astype(np.int64)
            starts = self._part(where, "indptr", "iu").astype(np.int64)
            lines = shape[self.kind == "csc"]
            # The range first: differences of numbers near the ends of int64 wrap round.
            if (len(starts) != lines + 1 or starts.min() < 0 or starts.max() > len(inner)
                    or starts[0] != 0 or starts[-1] != len(inner) or (np.diff(starts) < 0).any()):
                raise FormatError(f"{where}: sparse matrix of {list(shape)}: 'indptr' does not ascend from 0 to "
                                  f"{len(inner)} in {lines} steps")
            outer = np.repeat(np.arange(lines), np.diff(starts))
            rows, columns = (inner, outer) if self.kind == "csc" else (outer, inner)
        if not len(rows) == len(columns) == len(data):
            raise FormatError(f"{where}: sparse matrix with {len(data)} values, but {len(rows)} row and "
                              f"{len(columns)} column numbers")
        for axis, ids in enumerate((rows, columns)):
            if ids.size and not (ids.min() >= 0 and ids.max() < shape[axis]):
                raise FormatError(f"{where}: sparse matrix of {list(shape)}: indices on axis {axis} span "
                                  f"{int(ids.min())}..{int(ids.max())}")
        result = np.zeros(shape)
        np.add.at(result, (rows, columns), data.astype(np.float64))
        return result

    def _coordinates(self, where: str) -> tuple[np.ndarray, np.ndarray]:
        pair = self.state.get("coords")
        if isinstance(pair, tuple) and len(pair) == 2:  # SciPy 1.13 and later
            parts = SparseMatrix("coo", {"row": pair[0], "col": pair[1]})
        else:
            parts = self
        return parts._part(where, "row", "iu").astype(np.int64), parts._part(where, "col", "iu").astype(np.int64)

    def _part(self, where: str, name: str, kinds: str) -> np.ndarray:
        value = self.state.get(name)
        if not (isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in kinds):
            raise FormatError(f"{where}: sparse matrix whose '{name}' is not a list of numbers")
        return value
