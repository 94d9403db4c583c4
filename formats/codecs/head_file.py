"""The head file, `flameport.head/1`: a `HeadModel` in one safetensors file.

Every array is a tensor under its field's name, float32 or whole numbers of any width; `regions.NAME` and
`landmarks.NAME` are tensors too. What is not an array is one JSON text in the safetensors metadata under
`flameport.head`. A bundle stores its head with the same two functions, `to_tensors` and `from_tensors`.

Three tables are mostly zeros in some heads. Each is stored sparsely when that takes fewer bytes, and comes back bit for
bit (a negative zero counts as a value):

    lbs_weights   lbs_joints [V, k], lbs_values [V, k]              k influences a vertex, joints differ within a row
    J_regressor   J_regressor.joints [n], .vertices [n], .values [n]            ascending
    exprdirs      exprdirs.counts [E], .indices [n], .values [n, 3]             vertices ascend within a target
"""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from formats import checks, files, terms
from formats.codecs import safetensors_file
from formats.errors import AvatarError, FormatError
from formats.head_model import HeadModel

FORMAT = "flameport.head/1"
METADATA_KEY = "flameport.head"
"""One key only: safetensors does not keep the order of several, and equal heads should give equal files."""

ELEMENT_LIMIT = 1 << 26
"""Numbers in one table once expanded (256 MiB as float32). FLAME's largest table has 6 million."""

INDEX_LIMIT = 1 << 31

FLOAT_FIELDS = ("v_template", "exprdirs", "lbs_weights", "J_regressor", "J_template", "J_exprdirs", "posedirs",
                "shapedirs", "eyeliddirs", "uvs", "arkit_map")
INT_FIELDS = ("faces", "parents", "uv_faces")
log = logging.getLogger(__name__)


def read(path: str | os.PathLike[str]) -> HeadModel:
    """Return the head stored at `path`.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is not a head file, or a table in it is damaged, mistyped or too large.
    """
    data, where = files.read_bytes(path), str(path)
    return from_tensors(safetensors_file.parse(data, where), safetensors_file.metadata(data), where)


def write(head: HeadModel, path: str | os.PathLike[str]) -> Path:
    """Write `head` to `path` as one safetensors file and return the path. Equal heads give equal bytes."""
    tensors, metadata = to_tensors(head)
    return files.write_bytes(path, safetensors_file.pack(tensors, metadata))


def sniff(head: bytes) -> bool:
    """Tell whether a file that starts with `head` may be a head file: safetensors whose metadata begin with our key."""
    return safetensors_file.sniff(head) and f'"{METADATA_KEY}"'.encode() in head[:64]


def to_tensors(head: HeadModel) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors and the string metadata that hold `head`."""
    tensors: dict[str, np.ndarray] = {}
    for name in (*FLOAT_FIELDS, *INT_FIELDS):
        value = getattr(head, name)
        if value is not None:
            packed = _PACKERS[name](value) if name in _PACKERS else None
            dense = {name: value}
            tensors |= packed if packed is not None and _size(packed) < _size(dense) else dense
    tensors |= {f"regions.{name}": ids for name, ids in head.regions.items()}
    tensors |= {f"landmarks.{name}": value for name, value in head.landmarks.items()}
    about = {
        "format": FORMAT,
        "edition": head.edition,
        "content_hash": head.content_hash,
        "eyelid_space": head.eyelid_space,
        "expr_names": list(head.expr_names),
        "joint_names": list(head.joint_names),
        "joint_roles": dict(head.joint_roles),
        "regions": list(head.regions),
        "landmarks": list(head.landmarks),
    }
    notice = terms.table_notice(head.edition)
    if notice:  # for whoever opens the file; readers go by the edition
        about["license_notices"] = [notice]
    return tensors, {METADATA_KEY: json.dumps(about, separators=(",", ":"))}


def from_tensors(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str], where: str) -> HeadModel:
    """Return the head that `to_tensors` turned into `tensors` and `metadata`.

    Args:
        tensors: Tensors by name. Names that no head has are left out with a warning in the log.
        metadata: The string metadata; only `flameport.head` is read.
        where: The file, for messages.

    Raises:
        FormatError: A table is absent, mistyped, inconsistent, not finite, or larger than `ELEMENT_LIMIT`.
    """
    about = _About(metadata, where)
    source = _Tensors(tensors, where)
    fields: dict[str, Any] = {name: source.take(name, np.float32) for name in FLOAT_FIELDS}
    fields |= {name: source.take(name, np.int32) for name in INT_FIELDS}
    fields["regions"] = {name: source.need(f"regions.{name}", np.int32) for name in about.names("regions")}
    fields["landmarks"] = {name: source.need(f"landmarks.{name}", np.int32 if "idx" in name else np.float32)
                           for name in about.names("landmarks")}
    _unpack(fields, source)
    for name in ("v_template", "faces", "exprdirs", "lbs_weights", "parents"):
        if fields[name] is None:
            raise FormatError(f"{where}: tensor '{name}' is missing; the file is no head, or was cut")
    if source.left():
        log.warning("%s: tensors that no head has are left out: %s", where, ", ".join(source.left()))
    try:
        return HeadModel(
            edition=about.text("edition"), content_hash=about.digest("content_hash"),
            eyelid_space=about.text("eyelid_space"), expr_names=about.names("expr_names"),
            joint_names=about.names("joint_names"), joint_roles=about.roles("joint_roles"), **fields)
    except AvatarError as error:
        raise FormatError(f"{where}: {error}") from error


# --- Sparse tables ----------------------------------------------------------------------------------------------------


def _size(tensors: Mapping[str, np.ndarray]) -> int:
    return sum(value.nbytes for value in tensors.values())


def _filled(table: np.ndarray) -> np.ndarray:
    """Return where a float32 table holds anything but +0.0; by bits, so that -0.0 survives the round trip."""
    return table.view(np.uint32) != 0


def _pack_weights(table: np.ndarray) -> dict[str, np.ndarray] | None:
    vertices, joints = table.shape
    if not table.size or joints > 1 << 16:
        return None
    filled = _filled(table)
    most = int(filled.sum(axis=1).max())
    # Filled ones first, each kind in joint order; short rows are padded with other joints, whose values are zeros.
    order = np.argsort(~filled, axis=1, kind="stable")[:, :most]
    return {"lbs_joints": order.astype(np.uint16),
            "lbs_values": np.ascontiguousarray(np.take_along_axis(table, order, axis=1))}


def _pack_regressor(table: np.ndarray) -> dict[str, np.ndarray] | None:
    if len(table) > 1 << 16:
        return None
    joints, vertices = np.nonzero(_filled(table))
    return {"J_regressor.joints": joints.astype(np.uint16), "J_regressor.vertices": vertices.astype(np.int32),
            "J_regressor.values": table[joints, vertices]}


def _pack_directions(table: np.ndarray) -> dict[str, np.ndarray]:
    targets, vertices = np.nonzero(_filled(table).any(axis=1).T)
    return {"exprdirs.counts": np.bincount(targets, minlength=table.shape[2]).astype(np.int32),
            "exprdirs.indices": vertices.astype(np.int32),
            "exprdirs.values": np.ascontiguousarray(table[vertices, :, targets])}


_PACKERS = {"lbs_weights": _pack_weights, "J_regressor": _pack_regressor, "exprdirs": _pack_directions}


def _unpack(fields: dict[str, Any], source: "_Tensors") -> None:
    """Expand whatever is stored sparsely into `fields`."""
    vertices = 0 if fields["v_template"] is None else len(np.atleast_1d(fields["v_template"]))
    joints = 0 if fields["parents"] is None else len(np.atleast_1d(fields["parents"]))
    if source.holds("lbs_joints", "lbs_values", "lbs_weights", fields):
        rows = source.shaped("lbs_joints", np.int32, vertices, None)
        values = source.shaped("lbs_values", np.float32, vertices, None)
        source.same("lbs_joints", rows, "lbs_values", values)
        source.within("lbs_joints", rows, joints, "joints")
        ascending = np.sort(rows, axis=1)
        if (ascending[:, 1:] == ascending[:, :-1]).any():
            raise FormatError(f"{source.where}: tensor 'lbs_joints' names a joint twice for one vertex")
        dense = source.zeros("lbs_weights", vertices, joints)
        np.put_along_axis(dense, rows.astype(np.int64), values, axis=1)
        fields["lbs_weights"] = dense
    if source.holds("J_regressor.joints", "J_regressor.values", "J_regressor", fields):
        values = source.shaped("J_regressor.values", np.float32, None)
        rows = source.shaped("J_regressor.joints", np.int32, len(values))
        columns = source.shaped("J_regressor.vertices", np.int32, len(values))
        source.within("J_regressor.joints", rows, joints, "joints")
        source.within("J_regressor.vertices", columns, vertices, "vertices")
        dense = source.zeros("J_regressor", joints, vertices)
        source.once("J_regressor.vertices", rows.astype(np.int64) * vertices + columns)
        dense[rows, columns] = values
        fields["J_regressor"] = dense
    if source.holds("exprdirs.counts", "exprdirs.values", "exprdirs", fields):
        counts = source.shaped("exprdirs.counts", np.int32, None)
        values = source.shaped("exprdirs.values", np.float32, None, 3)
        rows = source.shaped("exprdirs.indices", np.int32, len(values))
        source.within("exprdirs.indices", rows, vertices, "vertices")
        if counts.size and counts.min() < 0 or int(counts.sum(dtype=np.int64)) != len(values):
            raise FormatError(f"{source.where}: tensor 'exprdirs.counts' adds up to {int(counts.sum(dtype=np.int64))}, "
                              f"but 'exprdirs.values' has {len(values)} rows")
        targets = np.repeat(np.arange(len(counts)), counts)
        dense = source.zeros("exprdirs", vertices, 3, len(counts))
        source.once("exprdirs.indices", targets * vertices + rows)
        dense[rows, :, targets] = values
        fields["exprdirs"] = dense


# --- Reading what a stranger wrote ------------------------------------------------------------------------------------


class _Tensors:
    """Tensors of one file, each checked as it is taken."""

    def __init__(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        self.where, self._tensors, self._taken = where, tensors, set[str]()

    def take(self, name: str, dtype: type) -> np.ndarray | None:
        """Return the tensor, or None where the file has none of that name."""
        value = self._tensors.get(name)
        if value is None:
            return None
        self._taken.add(name)
        self._bound(name, value.shape)
        if value.dtype == dtype:
            return value
        if dtype is np.float32 or value.dtype.kind not in "iu":
            wanted = "float32" if dtype is np.float32 else "whole numbers"
            raise FormatError(f"{self.where}: tensor '{name}' holds {value.dtype}, expected {wanted}")
        if value.size and not -INDEX_LIMIT <= int(value.min()) <= int(value.max()) < INDEX_LIMIT:
            raise FormatError(f"{self.where}: tensor '{name}' has numbers beyond {INDEX_LIMIT}")
        return value.astype(np.int32)

    def need(self, name: str, dtype: type) -> np.ndarray:
        value = self.take(name, dtype)
        if value is None:
            raise FormatError(f"{self.where}: tensor '{name}' is missing; the file is no head, or was cut")
        return value

    def shaped(self, name: str, dtype: type, *shape: int | None) -> np.ndarray:
        """Return the tensor after checking its shape; None stands for any size."""
        return checks.array(f"{self.where}: head", name, self.need(name, dtype), shape, {}, dtype)

    def holds(self, first: str, second: str, dense: str, fields: Mapping[str, Any]) -> bool:
        """Tell whether a table is stored sparsely, and refuse one that is stored both ways."""
        sparse = first in self._tensors or second in self._tensors
        if sparse and fields[dense] is not None:
            raise FormatError(f"{self.where}: '{dense}' is stored twice, dense and sparse ('{first}')")
        return sparse

    def within(self, name: str, ids: np.ndarray, limit: int, of: str) -> None:
        checks.indices(f"{self.where}: head", name, ids, limit, of)

    def same(self, first: str, a: np.ndarray, second: str, b: np.ndarray) -> None:
        if a.shape != b.shape:
            raise FormatError(f"{self.where}: tensor '{first}' is {list(a.shape)}, but '{second}' is {list(b.shape)}")

    def once(self, name: str, keys: np.ndarray) -> None:
        if (np.diff(keys) <= 0).any():
            raise FormatError(f"{self.where}: tensor '{name}' must ascend and name no entry twice")

    def zeros(self, name: str, *shape: int) -> np.ndarray:
        self._bound(name, shape)
        return np.zeros(shape, np.float32)

    def left(self) -> list[str]:
        """Return the names that nobody took."""
        return sorted(set(self._tensors) - self._taken)

    def _bound(self, name: str, shape: tuple[int, ...]) -> None:
        count = 1
        for n in shape:
            count *= n
        if count > ELEMENT_LIMIT:
            raise FormatError(f"{self.where}: '{name}' would be {list(shape)}, more than {ELEMENT_LIMIT} numbers")


class _About:
    """The JSON text in the metadata, each entry checked as it is taken."""

    def __init__(self, metadata: Mapping[str, str], where: str) -> None:
        self._where = where
        text = metadata.get(METADATA_KEY)
        if text is None:
            raise FormatError(f"{where}: no '{METADATA_KEY}' in the safetensors metadata; not a head file of ours. "
                              "Make one with 'flameport head FLAME.pkl --out HEAD.safetensors'")
        try:
            self._values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{where}: metadata '{METADATA_KEY}' is not JSON: {error}") from error
        if not isinstance(self._values, dict):
            raise FormatError(f"{where}: metadata '{METADATA_KEY}' is not a JSON object")
        if self.text("format") != FORMAT:
            raise FormatError(f"{where}: the head's format is '{self.text('format')}', this version reads '{FORMAT}'; "
                              "update flameport, or write the head again with this version")

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def digest(self, name: str) -> str:
        value = self.text(name)
        if len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise self._wrong(name, "a SHA-256 in 64 hexadecimal digits")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value) or len(set(value)) != len(value):
            raise self._wrong(name, "a list of different texts")
        return tuple(value)

    def roles(self, name: str) -> dict[str, int]:
        value = self._values.get(name)
        if not isinstance(value, dict) or not all(type(v) is int for v in value.values()):
            raise self._wrong(name, "an object of joint numbers")
        return value

    def _wrong(self, name: str, expected: str) -> FormatError:
        return FormatError(f"{self._where}: metadata '{METADATA_KEY}.{name}' is not {expected}")
