"""What the names that a torch file may use turn into: tensors that still lie in their file, and plain values.

Nothing of torch is imported or called. A storage is a persistent id `('storage', class, key, location, elements)`; a
tensor is a call of `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)` on it. Locations (`cuda:0`)
say where the tensor lived, not how it is stored, and are ignored.

Format: the pickles that torch 1.0 to 2.13 write, taken apart with Python's pickletools.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from formats.codecs.pickle_records import RANK_LIMIT, Name, Reader, Ready, Record
from formats.codecs.torch_tensor import EXPANDED_LIMIT, Place, TorchTensor
from formats.errors import FormatError

COUNT_LIMIT = 1 << 40

STORAGES = {"torch.DoubleStorage": "f8", "torch.FloatStorage": "f4", "torch.HalfStorage": "f2",
            "torch.BFloat16Storage": "bfloat16", "torch.LongStorage": "i8", "torch.IntStorage": "i4",
            "torch.ShortStorage": "i2", "torch.CharStorage": "i1", "torch.ByteStorage": "u1", "torch.BoolStorage": "b1",
            "torch.storage.UntypedStorage": "u1", "torch.storage._UntypedStorage": "u1", "torch.UntypedStorage": "u1",
            "torch.UInt16Storage": "u2", "torch.UInt32Storage": "u4", "torch.UInt64Storage": "u8"}
"""Storage class to the element it holds."""

DTYPES = {"float64": "f8", "double": "f8", "float32": "f4", "float": "f4", "float16": "f2", "half": "f2",
          "bfloat16": "bfloat16", "int64": "i8", "long": "i8", "int32": "i4", "int": "i4", "int16": "i2", "short": "i2",
          "int8": "i1", "uint8": "u1", "bool": "b1", "uint16": "u2", "uint32": "u4", "uint64": "u8"}
"""torch's name of a number type to NumPy's."""


class Storage(Record):
    """A storage that a pickle names. A legacy file only says where it lies after the pickle that uses it."""

    def __init__(self, kind: str, name: str, count: int, order: str, place: Place | None = None) -> None:
        self.kind, self.name, self.count, self.order, self.at = kind, name, count, order, place
        """`at` is its place once that is known."""

    @property
    def item(self) -> int:
        """Bytes of an element."""
        return item_size(self.kind)

    @property
    def nbytes(self) -> int:
        """Bytes of the storage."""
        return self.count * self.item

    def read(self, start: int, count: int) -> bytes | bytearray:
        """Return `count` of its bytes from `start` on."""
        assert self.at is not None, f"storage {self.name} was never placed"
        return self.at.read(start, count)

    def tensor(self, shape: tuple[int, ...], kind: str, first: int, stride: tuple[int, ...] | None) -> TorchTensor:
        """Return the part of it that begins at byte `first`, as elements of `kind`."""
        return TorchTensor(shape, np.dtype("f4" if kind == "bfloat16" else kind), self, first, stride, self.order + kind)

    def value(self, reader: Reader, resolve: Callable[[Any], Any]) -> TorchTensor:
        return self.tensor((self.count,), self.kind, 0, None)


@dataclass(frozen=True)
class _Part:
    """Where an old view of a storage lies: in that storage."""

    storage: Storage
    start: int
    nbytes: int

    def read(self, start: int, count: int) -> bytes | bytearray:
        return self.storage.read(self.start + start, count)


class Storages:
    """The storages of one file, by the keys that its pickle gives them."""

    def __init__(self, where: str, order: str) -> None:
        self.where, self.order = where, order
        """`order` is the file's byte order, `<` or `>`."""
        self.found: dict[str, Storage] = {}

    def identify(self, pid: Any) -> Storage:
        """Return the storage that a persistent id names, the same one for the same key.

        Raises:
            FormatError: It is no storage of numbers, or contradicts an earlier one.
        """
        parts: tuple[Any, ...] = pid if isinstance(pid, tuple) else ()
        if not (len(parts) in (5, 6) and parts[0] == "storage" and isinstance(parts[1], Name)
                and parts[1].name in STORAGES and isinstance(parts[2], str | int) and type(parts[4]) is int
                and 0 <= parts[4] < COUNT_LIMIT):
            raise FormatError(f"{self.where}: a persistent id is no storage of numbers that torch.save writes")
        name, kind = str(parts[2]), STORAGES[parts[1].name]
        storage = self.found.setdefault(name, Storage(kind, name, parts[4], self.order))
        if storage.kind != kind or storage.count != parts[4]:
            raise FormatError(f"{self.where}: storage {ascii(name[:40])} is named with two different types or sizes")
        view = parts[5] if len(parts) == 6 else None
        if view is None:
            return storage
        if not (isinstance(view, tuple) and len(view) == 3 and all(type(n) is int and n >= 0 for n in view[1:])
                and view[1] + view[2] <= storage.count):
            raise FormatError(f"{self.where}: storage {ascii(name[:40])} has a view that reaches beyond it")
        part = _Part(storage, view[1] * storage.item, view[2] * storage.item)
        return Storage(kind, name, view[2], self.order, part)


def item_size(kind: str) -> int:
    """Return the bytes of an element of a kind in `STORAGES`."""
    return 2 if kind == "bfloat16" else np.dtype(kind).itemsize


# --- Tensors ----------------------------------------------------------------------------------------------------------


def _rebuild(reader: Reader, storage: Any, offset: Any, size: Any, stride: Any, kind: str | None,
             repeat: bool = True) -> Ready:
    if not isinstance(storage, Storage):
        raise reader.refuse("a torch tensor is rebuilt without a storage")
    if not (type(offset) is int and 0 <= offset < COUNT_LIMIT and _whole(size) and _whole(stride)
            and len(size) == len(stride)):
        raise reader.refuse("a torch tensor's offset, size and stride are not whole numbers")
    kind = kind or storage.kind
    item = item_size(kind)
    held = storage.nbytes // item
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else -1
    if last >= held or count > max(held, EXPANDED_LIMIT if repeat else 0):
        raise reader.refuse(f"a torch tensor {list(size)} reaches beyond its storage of {held}")
    if count == 0 and math.prod(n for n in size if n) >= COUNT_LIMIT:
        raise reader.refuse(f"a torch tensor without elements has the shape {list(size)}")
    return Ready(storage.tensor(size, kind, offset * item, stride))


def rebuild(reader: Reader, args: tuple[Any, ...], repeat: bool = True) -> Ready:
    """Return the tensor of a call of `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)`, not loaded.

    Without `repeat`, one that has more elements than its storage (torch's `expand`) is refused.
    """
    if len(args) not in (4, 5, 6, 7):
        raise reader.refuse("torch._utils._rebuild_tensor_v2 is called with other than its arguments")
    return _rebuild(reader, args[0], args[1], _sizes(args[2]), _sizes(args[3]), None, repeat)


def _rebuild_v3(reader: Reader, args: tuple[Any, ...]) -> Record:
    kind = args[6].content if len(args) in (7, 8) and isinstance(args[6], Ready) else None
    if not isinstance(kind, str) or kind.removeprefix("torch.") not in DTYPES:
        raise reader.refuse("torch._utils._rebuild_tensor_v3 is called without a number type that we read")
    return _rebuild(reader, args[0], args[1], _sizes(args[2]), _sizes(args[3]), DTYPES[kind.removeprefix("torch.")])


def _rebuild_parameter(reader: Reader, args: tuple[Any, ...]) -> Any:
    if len(args) not in (3, 4) or not isinstance(args[0], Ready) or not isinstance(args[0].content, TorchTensor | np.ndarray):
        raise reader.refuse("a torch parameter is rebuilt without a tensor")
    return args[0]


def _rebuild_from_type(reader: Reader, args: tuple[Any, ...]) -> Any:
    """A tensor with Python attributes: (function, class, arguments, attributes). The attributes are left."""
    known = (len(args) == 4 and isinstance(args[0], Name) and args[0].name in _REBUILDS
             and isinstance(args[1], Name) and args[1].name in _CLASSES and isinstance(args[2], tuple))
    if not known:
        raise reader.refuse("torch._tensor._rebuild_from_type_v2 is called with something else than a tensor")
    return _REBUILDS[args[0].name](reader, args[2])


_REBUILDS: dict[str, Callable[[Reader, tuple[Any, ...]], Any]] = {
    "torch._utils._rebuild_tensor": rebuild, "torch._utils._rebuild_tensor_v2": rebuild,
    "torch._utils._rebuild_tensor_v3": _rebuild_v3, "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
}
_CLASSES = ("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")


# --- Plain values -----------------------------------------------------------------------------------------------------


class _Attributes(Record):
    """An `argparse.Namespace`: settings that trainers save beside their weights. It becomes a dictionary."""

    def __init__(self) -> None:
        self._state: dict[Any, Any] = {}

    def build(self, reader: Reader, state: Any) -> None:
        if self._state or not isinstance(state, dict) or not all(isinstance(k, str) for k in state):
            raise reader.refuse("argparse.Namespace: its state is not one dictionary of names")
        self._state = state

    def value(self, reader: Reader, resolve: Callable[[Any], Any]) -> dict[str, Any]:
        return {k: resolve(v) for k, v in self._state.items()}


def _size(reader: Reader, args: tuple[Any, ...]) -> tuple[int, ...]:
    if len(args) != 1 or not _whole(_sizes(args[0])):
        raise reader.refuse("torch.Size is called with something else than whole numbers")
    return tuple(args[0])


def _device(reader: Reader, args: tuple[Any, ...]) -> str:
    if not (1 <= len(args) <= 2 and isinstance(args[0], str) and len(args[0]) < 64
            and all(type(a) is int and abs(a) < 1 << 16 for a in args[1:])):
        raise reader.refuse("torch.device is called with something else than a name and a number")
    return ":".join(str(a) for a in args)


def _counter(reader: Reader, args: tuple[Any, ...]) -> dict[Any, Any]:
    """`collections.Counter`, in which learning-rate schedules keep their milestones."""
    content = args[0] if args else {}
    if len(args) > 1 or type(content) is not dict:
        raise reader.refuse("collections.Counter is called with something else than a dictionary")
    return content


def _default_dict(reader: Reader, args: tuple[Any, ...]) -> dict[Any, Any]:
    if len(args) > 1 or not all(a is None or isinstance(a, Name) for a in args):
        raise reader.refuse("collections.defaultdict is called with something else than a class")
    return {}


def _path(reader: Reader, args: tuple[Any, ...]) -> str:
    if not all(isinstance(a, str) for a in args) or sum(map(len, args)) > 4096:
        raise reader.refuse("a path is made of something else than texts")
    return "/".join(args).replace("//", "/")


def _sizes(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) and len(value) <= RANK_LIMIT else value


def _whole(value: Any) -> bool:
    return (isinstance(value, tuple) and len(value) <= RANK_LIMIT
            and all(type(n) is int and 0 <= n < COUNT_LIMIT for n in value))


def _names() -> dict[str, Name | Record]:
    names: dict[str, Name | Record] = {name: Name(name) for name in (*STORAGES, *_CLASSES)}
    calls = dict(_REBUILDS) | {
        "torch._tensor._rebuild_from_type_v2": _rebuild_from_type, "torch._tensor._rebuild_from_type": _rebuild_from_type,
        "torch.Size": _size, "torch.device": _device, "collections.Counter": _counter,
        "collections.defaultdict": _default_dict}
    calls |= {f"{module}.{name}": _path for module in ("pathlib", "pathlib._local")
              for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")}
    names |= {name: Name(name, call) for name, call in calls.items()}
    names |= {f"torch.{name}": Ready(f"torch.{name}") for name in DTYPES}
    names["argparse.Namespace"] = Name("argparse.Namespace", new=_Attributes)
    for module in ("builtins", "__builtin__"):
        names |= {f"{module}.{name}": Name(name) for name in ("dict", "list", "int", "float")}
    return names


NAMES: dict[str, Name | Record] = _names()
"""Every name that a torch file may use besides `pickle_records.ALLOWED`."""
