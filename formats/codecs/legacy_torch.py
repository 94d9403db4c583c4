"""Torch tensors that were pickled on their own, read without torch.

Inside a plain pickle (DECA's landmark embedding, an .npy) a tensor is a call of `torch._utils._rebuild_tensor_v2` on a
storage, and a storage is a call of `torch.storage._load_from_bytes` on the bytes of a whole legacy torch file. Those are
five pickles in a row (magic number, protocol, a system-info dictionary, the storage's persistent id, a list of one
key), the element count as int64, and the elements.

Pass `NAMES` as `extra` to `safe_pickle.load`. A torch file of today is a zip and another matter.
"""

import math
from typing import Any

import numpy as np

from formats.codecs import safe_pickle
from formats.codecs.pickle_records import RANK_LIMIT, Name, Reader, Ready, Record

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {"torch.LongStorage": "<i8", "torch.IntStorage": "<i4", "torch.FloatStorage": "<f4",
            "torch.DoubleStorage": "<f8"}


def _load_from_bytes(reader: Reader, args: tuple[Any, ...]) -> Record:
    if len(args) != 1 or not isinstance(args[0], bytes):
        raise reader.refuse("torch.storage._load_from_bytes is called with something else than bytes")
    data, where = args[0], f"{reader.where}: a torch tensor in it"
    reader.charge(len(data))

    def persistent(pid: Any) -> Ready:
        known = (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and isinstance(pid[1], Name)
                 and pid[1].name in STORAGES and type(pid[4]) is int and pid[4] >= 0)
        if not known or (len(pid) == 6 and pid[5] is not None):
            raise reader.refuse("a torch storage of a kind that no landmark file has")
        return Ready((pid[1].name, pid[4]))

    names = {name: Name(name) for name in STORAGES}
    parts, at = [], 0
    for _ in range(5):
        part, at = safe_pickle.load_next(data, where, at, names, persistent)
        parts.append(part)
    magic, protocol, system, storage, _ = parts
    if magic != MAGIC or protocol != PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise reader.refuse("a torch tensor is not stored as torch's little-endian protocol 1001")
    if not (isinstance(storage, tuple) and len(storage) == 2 and storage[0] in STORAGES):
        raise reader.refuse("a torch tensor without its storage")
    kind, count = storage
    dtype = np.dtype(STORAGES[kind])
    if len(data) - at != 8 + count * dtype.itemsize or int.from_bytes(data[at:at + 8], "little") != count:
        raise reader.refuse(f"a torch tensor of {count} elements has {len(data) - at - 8} bytes")
    return Ready(np.frombuffer(data, dtype, count, at + 8) if count else np.zeros(0, dtype))


def _rebuild_tensor(reader: Reader, args: tuple[Any, ...]) -> Record:
    storage = args[0].content if len(args) in (6, 7) and isinstance(args[0], Ready) else None
    if not isinstance(storage, np.ndarray) or storage.ndim != 1:
        raise reader.refuse("torch._utils._rebuild_tensor_v2 is called without a storage")
    offset, size, stride = args[1:4]
    if not (type(offset) is int and offset >= 0 and _whole(size) and _whole(stride) and len(size) == len(stride)):
        raise reader.refuse("a torch tensor's offset, size and stride are not whole numbers")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else offset
    # More elements than the storage has would repeat some: nothing that is saved does.
    if count > storage.size or last >= max(storage.size, 1):
        raise reader.refuse(f"a torch tensor {list(size)} reaches beyond its storage of {storage.size}")
    if count == 0:
        return Ready(np.zeros(0, storage.dtype))
    reader.charge(storage.nbytes)
    steps = [n * storage.itemsize for n in stride]
    return Ready(np.array(np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)))


def _whole(value: Any) -> bool:
    return (isinstance(value, tuple) and len(value) <= RANK_LIMIT
            and all(type(n) is int and 0 <= n < 1 << 31 for n in value))


NAMES = {"torch._utils._rebuild_tensor_v2": Name("torch._utils._rebuild_tensor_v2", _rebuild_tensor),
         "torch.storage._load_from_bytes": Name("torch.storage._load_from_bytes", _load_from_bytes)}
"""What `safe_pickle.load` must allow besides its own names."""
