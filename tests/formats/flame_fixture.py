"""Write a head as the FLAME model files are on disk, to test readers with: layouts as published, numbers our own.

The 2020 and 2023 editions are Python 2 pickles (protocol 2, byte strings, old module names, chumpy arrays); the Open one
is a Python 3 pickle of plain arrays. Nothing here imports chumpy: `Ch` below only looks like its class in the stream.
"""

import io
import pickle
from pathlib import Path

import numpy as np
from scipy.sparse import csc_matrix

from formats.head_model import HeadModel

ROOT_PARENT = 4294967295
"""-1 as the unsigned integer that FLAME's kintree_table holds for the root."""

OLD_MODULES = {
    "numpy._core.multiarray": "numpy.core.multiarray", "scipy.sparse._csc": "scipy.sparse.csc",
    "builtins": "__builtin__", "copyreg": "copy_reg",
}


class Ch:
    """Looks like chumpy's array in a pickle: a new-style object whose state holds the numbers as `x`."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self._dirty_vars = {"x"}
        self._itr = None
        self._status = "new"
        self._depends_on_deps = {}


Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"


class _OldNames(pickle._Pickler):  # noqa: SLF001 - only the pure Python pickler lets us choose opcodes
    """A pickler that names modules as NumPy 1 and SciPy of the time did."""

    modules = {key: value for key, value in OLD_MODULES.items() if key.startswith("numpy")}
    dispatch = pickle._Pickler.dispatch.copy()  # noqa: SLF001

    def save_global(self, obj: object, name: str | None = None) -> None:
        module = obj.__module__ if obj.__module__ is not None else "builtins"
        name = name or getattr(obj, "__qualname__", obj.__name__)
        self.write(pickle.GLOBAL + f"{self.modules.get(module, module)}\n{name}\n".encode())
        self.memoize(obj)

    def save_type(self, obj: type) -> None:
        self.save_global(obj)

    dispatch[type] = save_type
    for _kind in (type(np.dot), type(lambda: 0), type(len)):
        dispatch[_kind] = save_global


class _Python2(_OldNames):
    """A pickler that writes what Python 2 wrote: every string is a byte string."""

    modules = OLD_MODULES
    dispatch = _OldNames.dispatch.copy()

    def save_string(self, obj: str | bytes) -> None:
        data = obj if isinstance(obj, bytes) else obj.encode("latin1")
        if len(data) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.write(pickle.BINSTRING + len(data).to_bytes(4, "little", signed=True) + data)
        self.memoize(obj)

    dispatch[str] = dispatch[bytes] = save_string


def flame_tables(head: HeadModel) -> dict[str, object]:
    """Return a head's tables under FLAME's names, shapes and types, before any of them is wrapped for a pickle."""
    assert head.shapedirs is not None and head.posedirs is not None and head.J_regressor is not None
    regressor = head.J_regressor.astype(np.float64)
    joints = len(head.parents)
    parents = head.parents.astype(np.int64)
    parents[0] = ROOT_PARENT
    return {
        "v_template": head.v_template.astype(np.float64),
        "f": head.faces.astype(np.uint32),
        "shapedirs": np.concatenate([head.shapedirs, head.exprdirs], axis=2).astype(np.float64),
        "posedirs": head.posedirs.astype(np.float64),
        "J_regressor": csc_matrix(regressor),
        "J": regressor @ head.v_template.astype(np.float64),
        "weights": head.lbs_weights.astype(np.float64),
        "kintree_table": np.stack([parents, np.arange(joints)]).astype(np.uint32),
        "bs_type": "lrotmin",
        "bs_style": "lbs",
    }


def write_flame_pickle(head: HeadModel, path: Path, edition: str = "flame2020", chumpy: bool = True) -> Path:
    """Write `head` as FLAME's model file of `edition` is laid out, and return the path.

    Args:
        head: A head with 300 identity and 100 expression directions.
        path: Where to.
        edition: `flame2020`, `flame2023` or `flame2023-open`.
        chumpy: Wrap the arrays that the older editions hold as chumpy objects. The Open edition never has any.
    """
    tables = flame_tables(head)
    wrapped = {"flame2020": ("v_template", "shapedirs", "posedirs", "weights"),
               "flame2023": ("shapedirs", "posedirs"), "flame2023-open": ()}[edition]
    if chumpy:
        tables |= {name: Ch(tables[name]) for name in wrapped}
    if edition == "flame2023-open":
        tables["supr_expression_metadata"] = {"n_expr": int(head.exprdirs.shape[2])}
    else:
        tables["vert_sym_idxs"] = np.arange(len(head.v_template))
    buffer = io.BytesIO()
    pickler = _OldNames(buffer, 2, fix_imports=False) if edition == "flame2023-open" else _Python2(buffer, 2)
    pickler.dump(tables)
    path = Path(path)
    path.write_bytes(buffer.getvalue())
    return path
