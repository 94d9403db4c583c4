"""What the names that a FLAME pickle may use turn into: inert records, made and filled by our own functions.

No function of NumPy, SciPy or chumpy is ever called with what a stranger wrote; their arguments are checked here and
kept, and a plain array is made from them at the end. `ALLOWED` is the whole list of names; see `safe_pickle` for the
reader itself.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from formats.codecs.sparse_matrix import SparseMatrix
from formats.codecs.torch_tensor import Latin, Span, TorchTensor
from formats.errors import FormatError

AXIS_LIMIT = 1 << 31
KEY_LIMIT = 1 << 48
"""Whole numbers as keys: old optimisers count parameters by their addresses."""
RANK_LIMIT = 8

PLAIN_TYPE = re.compile(r"[<>|=]?(f[248]|[iu][1248]|b1|[SU][1-9]\d{0,5})")
OBJECT_TYPE = re.compile(r"\|?O[48]?")


@runtime_checkable
class Reader(Protocol):
    """What a record may ask of the reader that makes it."""

    where: str
    """The file, for messages."""

    def refuse(self, message: str) -> FormatError:
        """Return the error to raise, with file and byte in front."""
        ...

    def charge(self, size: int) -> None:
        """Count `size` bytes that are made rather than read, and raise once they are out of proportion."""
        ...


@dataclass(frozen=True)
class Name:
    """An allowed global: what calling it makes, and what making an object of it gives. It never *is* the thing."""

    name: str
    call: Callable[[Reader, tuple[Any, ...]], Any] | None = None
    """For REDUCE: from the reader and the arguments."""
    new: Callable[[], "Record"] | None = None
    """For NEWOBJ and `copyreg._reconstructor`: an object without state yet."""


class Record:
    """An object in the making. BUILD fills it once; `value` turns it into plain data at the end."""

    def build(self, reader: Reader, state: Any) -> None:
        """Take the object's state."""
        raise reader.refuse(f"gives a state to {type(self).__name__}, which has none")

    def value(self, reader: Reader, resolve: Callable[[Any], Any]) -> Any:
        """Return plain data; `resolve` does the same for what the record holds."""
        raise NotImplementedError


class Ready(Record):
    """A finished value, for callers that allow names of their own."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def value(self, reader: Reader, resolve: Callable[[Any], Any]) -> Any:
        return self.content


class Late(Record):
    """A long text, or long bytes, that stay in the file until they are wanted."""

    def __init__(self, span: Span, text: bool, latin: bool = False) -> None:
        self.span, self.text, self.latin = span, text, latin

    def encoded(self) -> "Late":
        """Return the bytes that the text stands for, still in the file."""
        return Late(self.span, text=False, latin=True)

    def array(self, reader: Reader, shape: tuple[int, ...], dtype: np.dtype, order: str) -> TorchTensor:
        """Return the array whose bytes these are."""
        nbytes, held = math.prod(shape) * dtype.itemsize, self.span.nbytes
        # A byte from 128 up takes two in UTF-8: how many there are is only known once they are decoded.
        if self.text or not (nbytes <= held <= 2 * nbytes if self.latin else held == nbytes):
            raise reader.refuse(f"an array {list(shape)} of {dtype} takes {nbytes} bytes, the file has {held} for it")
        stride = tuple(math.prod(shape[:axis]) for axis in range(len(shape))) if order == "F" else None
        return TorchTensor(shape, dtype.newbyteorder("="), Latin(self.span, nbytes) if self.latin else self.span,
                           stride=stride, stored=dtype.str)

    def value(self, reader: Reader, resolve: Callable[[Any], Any]) -> Any:
        reader.charge(4 * self.span.nbytes)
        raw = self.span.read(0, self.span.nbytes)
        if not self.text and not self.latin:
            return raw
        try:
            text = raw.decode("utf-8", "surrogatepass")
            return text.encode("latin1") if self.latin else text
        except UnicodeError as error:
            raise reader.refuse("a long text is not utf-8, or stands for bytes and is none") from error


# --- NumPy ------------------------------------------------------------------------------------------------------------


class _Type(Record):
    def __init__(self, reader: Reader, args: tuple[Any, ...]) -> None:
        text = _text(args[0]) if args else None
        if text is None or len(args) > 3 or not all(type(a) in (int, bool) for a in args[1:]):
            raise reader.refuse("numpy.dtype is called with something else than a type's name")
        if not PLAIN_TYPE.fullmatch(text) and not OBJECT_TYPE.fullmatch(text):
            raise reader.refuse(f"numpy.dtype {ascii(text[:40])} is none that a head has; expected numbers or texts")
        self.is_object = bool(OBJECT_TYPE.fullmatch(text))
        self.dtype = None if self.is_object else np.dtype(text)
        self._built = False

    def build(self, reader: Reader, state: Any) -> None:
        # (version, byte order, sub-array, field names, fields, element size, alignment, flags)
        if self._built or not isinstance(state, tuple) or not 5 <= len(state) <= 9 or any(
                part is not None for part in state[2:5]) or _text(state[1]) not in ("<", ">", "|", "="):
            raise reader.refuse("numpy.dtype has a state that no plain type has (fields, sub-arrays)")
        self._built = True
        if self.dtype is not None:
            order = "<" if _text(state[1]) == "=" else _text(state[1])
            assert order is not None
            self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class _Array(Record):
    def __init__(self) -> None:
        self._array: np.ndarray | TorchTensor | None = None
        self._only: list[Any] | None = None

    def build(self, reader: Reader, state: Any) -> None:
        built = self._array is not None or self._only is not None
        if built or not isinstance(state, tuple) or len(state) not in (4, 5):
            raise reader.refuse("an array's state is not (version, shape, type, order, bytes)")
        shape, dtype, fortran, raw = state[-4:]
        if type(fortran) not in (int, bool):
            raise reader.refuse("an array's memory order is neither true nor false")
        self.fill(reader, raw, dtype, shape, "F" if fortran else "C")

    def fill(self, reader: Reader, raw: Any, dtype: Any, shape: Any, order: str) -> None:
        """Take the array's bytes after checking that they are as many as its shape and type say."""
        if not isinstance(dtype, _Type):
            raise reader.refuse("an array's type is not a numpy.dtype")
        if not (isinstance(shape, tuple) and len(shape) <= RANK_LIMIT
                and all(type(n) is int and 0 <= n < AXIS_LIMIT for n in shape)):
            raise reader.refuse(f"an array's shape is {_brief(shape)}")
        count = 1
        for n in shape:
            count *= n
        if dtype.is_object:
            if count != 1 or not isinstance(raw, list) or len(raw) != 1:
                raise reader.refuse(f"an array of {count} Python objects; only arrays of numbers are read")
            self._only = raw
            return
        assert dtype.dtype is not None
        if isinstance(raw, Late) and not raw.text:
            self._array = raw.array(reader, shape, dtype.dtype, "F" if order == "F" else "C")
            return
        if isinstance(raw, str):  # Python 2's bytes
            raw = _latin1(reader, raw)
        if not isinstance(raw, bytes) or len(raw) != count * dtype.dtype.itemsize:
            found = f"{len(raw)} bytes" if isinstance(raw, bytes) else _brief(raw)
            raise reader.refuse(f"an array {list(shape)} of {dtype.dtype} takes {count * dtype.dtype.itemsize} bytes, "
                                f"the file has {found}")
        # A view of bytes that were read: read-only, and no second copy whatever the shape.
        flat = np.frombuffer(raw, dtype.dtype) if raw else np.zeros(0, dtype.dtype)
        try:
            self._array = flat.reshape(shape, order="F" if order == "F" else "C")
        except ValueError as error:  # an empty array with other sizes beyond what NumPy can count
            raise reader.refuse(f"an array's shape is {_brief(shape)}") from error

    def value(self, reader: Reader, resolve: Callable[[Any], Any]) -> Any:
        if self._only is not None:
            return resolve(self._only[0])
        if self._array is None:
            raise reader.refuse("an array without content")
        return self._array


def _reconstruct(reader: Reader, args: tuple[Any, ...]) -> Record:
    if len(args) != 3 or args[0] is not ALLOWED["numpy.ndarray"] or args[1] != (0,) or _text(args[2]) != "b":
        raise reader.refuse("_reconstruct is called with something else than (numpy.ndarray, (0,), 'b')")
    return _Array()


def _from_buffer(reader: Reader, args: tuple[Any, ...]) -> Record:
    if len(args) != 4 or not isinstance(args[0], bytes | Late) or args[3] not in ("C", "F"):
        raise reader.refuse("_frombuffer is called with something else than (bytes, type, shape, 'C' or 'F')")
    result = _Array()
    result.fill(reader, *args)
    return result


def _scalar(reader: Reader, args: tuple[Any, ...]) -> Any:
    if len(args) != 2:
        raise reader.refuse("numpy scalar without (type, bytes)")
    box = _Array()
    box.fill(reader, args[1], args[0], (1,), "C")
    if not isinstance(box._array, np.ndarray):
        raise reader.refuse("numpy scalar of a Python object")
    try:
        return box._array[0].item()
    except ValueError as error:
        raise reader.refuse("numpy scalar of a text with impossible characters") from error


# --- SciPy and chumpy -------------------------------------------------------------------------------------------------


class _Stub(Record):
    """An object of a class that is not there: its attributes and nothing else."""

    kind = ""

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = None

    def build(self, reader: Reader, state: Any) -> None:
        if self.state is not None or not isinstance(state, dict) or not all(isinstance(k, str) for k in state):
            raise reader.refuse(f"{self.kind}: its state is not one dictionary of attributes")
        self.state = state

    def field(self, reader: Reader, name: str) -> Any:
        if self.state is None or name not in self.state:
            raise reader.refuse(f"{self.kind}: has no '{name}'")
        return self.state[name]


class _Ch(_Stub):
    kind = "chumpy.ch.Ch"

    def value(self, reader: Reader, resolve: Callable[[Any], Any]) -> Any:
        content = resolve(self.field(reader, "x"))
        if not isinstance(content, np.ndarray | float) and not (type(content) is int and abs(content) < AXIS_LIMIT):
            raise reader.refuse(f"{self.kind}: 'x' is no array, but {_brief(content)}")
        return np.asarray(content)


class _Select(_Stub):
    """Some elements of another array: ravel, take, reshape."""

    kind = "chumpy.reordering.Select"

    def value(self, reader: Reader, resolve: Callable[[Any], Any]) -> Any:
        source, ids = resolve(self.field(reader, "a")), resolve(self.field(reader, "idxs"))
        shape = resolve(self.field(reader, "preferred_shape"))
        if isinstance(shape, np.ndarray) and shape.dtype.kind in "iu" and shape.ndim == 1 and shape.size <= RANK_LIMIT:
            shape = shape.tolist()
        if not (isinstance(source, np.ndarray) and isinstance(ids, np.ndarray) and ids.dtype.kind in "iu"):
            raise reader.refuse(f"{self.kind}: 'a' and 'idxs' are not an array and whole numbers")
        if not (isinstance(shape, list | tuple) and len(shape) <= RANK_LIMIT
                and all(type(n) is int and 0 <= n < AXIS_LIMIT for n in shape)):
            raise reader.refuse(f"{self.kind}: 'preferred_shape' is {_brief(shape)}")
        count = 1
        for n in shape:
            count *= n
        if count != ids.size:
            raise reader.refuse(f"{self.kind}: {ids.size} elements do not make {list(shape)}")
        if ids.size and not (ids.min() >= 0 and ids.max() < source.size):
            raise reader.refuse(f"{self.kind}: takes elements {int(ids.min())}..{int(ids.max())} of {source.size}")
        reader.charge(ids.size * (source.itemsize + 8) + (0 if source.flags.c_contiguous else source.nbytes))
        return source.ravel()[ids.ravel().astype(np.int64)].reshape(shape)


class _Sparse(_Stub):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def value(self, reader: Reader, resolve: Callable[[Any], Any]) -> Any:
        if self.state is None:
            raise reader.refuse(f"{self.kind}: a sparse matrix without content")
        wanted = ("data", "indices", "indptr", "row", "col", "coords", "_shape", "shape")
        return SparseMatrix(self.kind, {k: resolve(self.state[k]) for k in wanted if k in self.state})


# --- Python -----------------------------------------------------------------------------------------------------------


def _encode(reader: Reader, args: tuple[Any, ...]) -> bytes | Late:
    if len(args) == 2 and isinstance(args[0], Late) and args[0].text and args[1] in ("latin1", "latin-1"):
        return args[0].encoded()
    if len(args) != 2 or not isinstance(args[0], str) or args[1] not in ("latin1", "latin-1"):
        raise reader.refuse("_codecs.encode is called with something else than (text, 'latin1')")
    return _latin1(reader, args[0])


def _reconstructor(reader: Reader, args: tuple[Any, ...]) -> Record:
    if (len(args) != 3 or not isinstance(args[0], Name) or args[0].new is None or args[2] is not None
            or args[1] is not ALLOWED["builtins.object"]):
        raise reader.refuse("copyreg._reconstructor is called with something else than (class, object, None)")
    return args[0].new()


def _ordered_dict(reader: Reader, args: tuple[Any, ...]) -> dict[Any, Any]:
    pairs = args[0] if args else []
    if len(args) > 1 or not isinstance(pairs, list | tuple) or not all(
            isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise reader.refuse("collections.OrderedDict is called with something else than pairs")
    reader.charge(128 * len(pairs))
    return {key(reader, k): v for k, v in pairs}


def _set(reader: Reader, args: tuple[Any, ...]) -> set[Any]:
    items = args[0] if args else []
    if len(args) > 1 or not isinstance(items, list | tuple):
        raise reader.refuse("set is called with something else than a list")
    reader.charge(128 * len(items))
    return {key(reader, item) for item in items}


def _empty_bytes(reader: Reader, args: tuple[Any, ...]) -> bytes:
    if args:
        raise reader.refuse("bytes is called with arguments")
    return b""


def key(reader: Reader, value: Any) -> str | bytes | int:
    """Return a dictionary key or set element after checking that it is cheap to hash, however the file is made."""
    if isinstance(value, str | bytes) or (type(value) in (int, bool) and abs(value) < KEY_LIMIT):
        return value
    raise reader.refuse(f"a dictionary key or set element is {_brief(value)}, expected a text or a small number")


def _latin1(reader: Reader, text: str) -> bytes:
    reader.charge(len(text))
    try:
        return text.encode("latin1")
    except UnicodeEncodeError as error:
        raise reader.refuse("a text that stands for bytes has characters above 255") from error


def _text(value: Any) -> str | None:
    """Return a short text that Python 2 or 3 wrote, or None."""
    if isinstance(value, bytes) and len(value) < 64:
        return value.decode("latin1")
    return value if isinstance(value, str) and len(value) < 64 else None


def _brief(value: Any) -> str:
    """Describe a value in a few words, without walking into it."""
    if value is None or type(value) in (int, float, bool) and abs(value) < 1e12:
        return str(value)
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, tuple) and len(value) <= RANK_LIMIT and all(type(n) is int for n in value):
        return str(value)
    return f"a {type(value).__name__}"


def _names() -> dict[str, Name]:
    calls: dict[str, Callable[[Reader, tuple[Any, ...]], Any] | None] = {
        "numpy.ndarray": None, "numpy.dtype": _Type,
        "_codecs.encode": _encode, "collections.OrderedDict": _ordered_dict,
        "copy_reg._reconstructor": _reconstructor, "copyreg._reconstructor": _reconstructor,
        "builtins.set": _set, "__builtin__.set": _set,
        # How Python 3 writes b"" for Python 2: the content of an empty array.
        "builtins.bytes": _empty_bytes, "__builtin__.bytes": _empty_bytes,
    }
    for core in ("numpy.core", "numpy._core"):
        calls |= {f"{core}.multiarray._reconstruct": _reconstruct, f"{core}.multiarray.scalar": _scalar,
                  f"{core}.numeric._frombuffer": _from_buffer}
    names = {name: Name(name, call) for name, call in calls.items()}
    names["builtins.object"] = names["__builtin__.object"] = Name("object")
    names["chumpy.ch.Ch"] = Name("chumpy.ch.Ch", new=_Ch)
    names["chumpy.reordering.Select"] = Name("chumpy.reordering.Select", new=_Select)
    for kind in ("csc", "csr", "coo"):
        for module in (f"scipy.sparse.{kind}", f"scipy.sparse._{kind}"):
            name = f"{module}.{kind}_matrix"
            names[name] = Name(name, new=lambda kind=kind: _Sparse(kind))
    return names


ALLOWED: dict[str, Name] = _names()
"""Every name that a pickle may use, as `module.name`."""
