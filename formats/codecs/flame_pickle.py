"""FLAME's model pickle, any edition, as a `HeadModel`; the files that go with it are in `flame_sides`.

    generic_model.pkl (2017, 2019, 2020), also renamed FLAME_NEUTRAL.pkl      Python 2 pickles with chumpy arrays
    flame2023.pkl, flame2023_no_jaw.pkl, flame2023_Open.pkl                   plain arrays, some with more keys

All have one layout: a dictionary of tables, 300 identity and 100 expression directions in `shapedirs`, five joints.
Nothing in it says which edition it is, and coefficients of one mean something else in another, so the caller says.
Rest joints are regressed anew; the stored `J` is not used.

FLAME: Li, Bolkart, Black, Li, Romero, "Learning a model of facial shape and expression from 4D scans", ACM TOG 2017.
"""

import hashlib
import logging
import os
from typing import Any

import numpy as np

from formats import files
from formats.codecs import safe_pickle
from formats.codecs.flame_sides import read_eyelids, read_landmarks, read_masks, read_template_obj
from formats.codecs.sparse_matrix import SparseMatrix
from formats.errors import AvatarError, FormatError
from formats.head_model import EDITIONS, HeadModel

__all__ = ["read", "read_eyelids", "read_landmarks", "read_masks", "read_template_obj", "sniff"]

FLAME_EDITIONS = tuple(name for name in EDITIONS if name.startswith("flame"))
"""What `edition` may be, besides `standin` for our own head written in FLAME's layout."""

KNOWN_FILES = {"e75a0990728ba038c7da2a420ae4396f7ddd7781366c13026066c5b24f127623": "flame2023-open"}
"""SHA-256 of files whose edition is reported by others: a hint where the caller says nothing, never a demand."""

ALIASES = {"default_v": "v_template", "template_v": "v_template", "joint_regressor": "J_regressor",
           "blendshapes": "posedirs", "joints": "J"}
"""Older names of the same tables."""

IDENTITY, EXPRESSION, CORRECTIVES = 300, 100, 36
PARENTS = (-1, 0, 1, 1, 1)
"""Root, neck, jaw, left eye, right eye."""

ROW_SUM_TOLERANCE = 1e-3
"""Of weights and regressor rows; float32 tables stay below 1e-6, a damaged or foreign table far above."""

log = logging.getLogger(__name__)


def read(path: str | os.PathLike[str], edition: str | None = None) -> HeadModel:
    """Return the FLAME model stored at `path`: mean head, identity and expression directions, correctives, skeleton.

    Args:
        path: The pickle. No code in it is run, and chumpy and SciPy are not needed.
        edition: One of `FLAME_EDITIONS`, or `standin`; only a file that is known by its SHA-256 may do without.

    Raises:
        MissingAsset: There is no such file.
        FormatError: The edition is not given, or the file is no FLAME model.
    """
    data, where = files.read_bytes(path, safe_pickle.BYTE_LIMIT), str(path)
    edition = _edition(data, edition, where)
    tables = _tables(safe_pickle.load(data, where), where)
    del data
    v_template = _array(tables, "v_template", (None, 3), where)
    count = len(v_template)
    directions = _array(tables, "shapedirs", (count, 3, IDENTITY + EXPRESSION), where)
    _expect(tables, "bs_type", "lrotmin", where)
    _expect(tables, "bs_style", "lbs", where)
    fields: dict[str, Any] = {
        "v_template": v_template,
        "faces": _faces(tables, count, where),
        "exprdirs": directions[:, :, IDENTITY:],
        "shapedirs": directions[:, :, :IDENTITY],
        "posedirs": _array(tables, "posedirs", (count, 3, CORRECTIVES), where),
        "lbs_weights": _rows_of_one("weights", _array(tables, "weights", (count, len(PARENTS)), where), where),
        "J_regressor": _regressor(tables, count, where),
        "parents": _parents(tables, where),
    }
    try:
        return HeadModel(edition=edition, **fields)
    except AvatarError as error:
        raise FormatError(f"{where}: {error}") from error


def known_edition(path: str | os.PathLike[str]) -> str | None:
    """Return the edition of a file that is known by its SHA-256, else None."""
    return KNOWN_FILES.get(hashlib.sha256(files.read_bytes(path, safe_pickle.BYTE_LIMIT)).hexdigest())


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` may be a pickled dictionary, of protocol 0 to 5."""
    return head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5") or head.startswith((b"(dp", b"}q", b"(d"))


def _edition(data: bytes, given: str | None, where: str) -> str:
    known = KNOWN_FILES.get(hashlib.sha256(data).hexdigest())
    if given is None and known is None:
        raise FormatError(f"{where}: a FLAME pickle does not say which edition it is, and their coefficients do not "
                          f"mix; pass --edition with one of {', '.join(FLAME_EDITIONS)}")
    if given is not None and given not in (*FLAME_EDITIONS, "standin"):
        raise FormatError(f"{where}: '{given}' is no edition of FLAME; --edition is one of {', '.join(FLAME_EDITIONS)}")
    if given is not None and known not in (None, given):
        log.warning("%s: looks like %s by its SHA-256, read as %s as asked", where, known, given)
    chosen = given or known
    assert chosen is not None
    return chosen


def _tables(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise FormatError(f"{where}: holds a {type(content).__name__}, expected a dictionary of FLAME's tables")
    named = {k.decode("latin1") if isinstance(k, bytes) else str(k): v for k, v in content.items()}
    tables = {new: named[old] for old, new in ALIASES.items() if old in named} | named
    needed = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
    missing = [name for name in needed if name not in tables]
    if missing:
        found = ", ".join(ascii(name[:40])[1:-1] for name in list(named)[:12])
        raise FormatError(f"{where}: no FLAME model, {', '.join(missing)} missing; found {found or 'nothing'}")
    return tables


def _array(tables: dict[str, Any], name: str, shape: tuple[int | None, ...], where: str, kinds: str = "f") -> np.ndarray:
    value = tables[name]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
        found = f"{value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise FormatError(f"{where}: '{name}' holds {found}, expected {'real' if kinds == 'f' else 'whole'} numbers")
    if value.ndim != len(shape) or any(
            want is not None and want != got for want, got in zip(shape, value.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise FormatError(f"{where}: '{name}' is {list(value.shape)}, expected [{wanted}]; another body model?")
    if kinds == "f" and not np.isfinite(value).all():
        raise FormatError(f"{where}: '{name}' has values that are not finite; the file is damaged")
    return value


def _faces(tables: dict[str, Any], count: int, where: str) -> np.ndarray:
    faces = _array(tables, "f", (None, 3), where, "iu")
    if faces.size and not 0 <= int(faces.min()) <= int(faces.max()) < count:
        raise FormatError(f"{where}: 'f' spans {faces.min()}..{faces.max()}, but there are {count} vertices")
    return faces


def _regressor(tables: dict[str, Any], count: int, where: str) -> np.ndarray:
    stored = tables["J_regressor"]
    if isinstance(stored, SparseMatrix):
        stored = stored.dense(f"{where}: 'J_regressor'")
    dense = _array({"J_regressor": stored}, "J_regressor", (len(PARENTS), count), where)
    return _rows_of_one("J_regressor", dense, where)


def _rows_of_one(name: str, table: np.ndarray, where: str) -> np.ndarray:
    sums = table.sum(axis=1, dtype=np.float64)
    if sums.size and np.abs(sums - 1).max() > ROW_SUM_TOLERANCE:
        raise FormatError(f"{where}: rows of '{name}' must sum to 1, they span {sums.min():.4g}..{sums.max():.4g}")
    return table


def _parents(tables: dict[str, Any], where: str) -> np.ndarray:
    tree = _array(tables, "kintree_table", (2, len(PARENTS)), where, "iu")
    # The root's entry is -1 or 4294967295 as its type has it: it is overwritten, never cast.
    parents = [-1, *(int(n) for n in tree[0, 1:])]
    if tuple(parents) != PARENTS or [int(n) for n in tree[1]] != list(range(len(PARENTS))):
        raise FormatError(f"{where}: 'kintree_table' has parents {parents}, expected FLAME's {list(PARENTS)} (root, "
                          "neck, jaw, left eye, right eye) in joint order")
    return np.array(parents, np.int32)


def _expect(tables: dict[str, Any], name: str, wanted: str, where: str) -> None:
    """Refuse a model that is posed in another way than FLAME, where it says so."""
    value = tables.get(name, wanted)
    value = value.decode("latin1") if isinstance(value, bytes) else value
    if value != wanted:
        shown = ascii(value[:40]) if isinstance(value, str) else f"a {type(value).__name__}"
        raise FormatError(f"{where}: '{name}' is {shown}, expected '{wanted}': it is posed in another way than FLAME")
