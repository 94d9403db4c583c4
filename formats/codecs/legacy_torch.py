"""Torch tensors that were pickled on their own, read without torch.

Inside a plain pickle (DECA's landmark embedding, an .npy) a tensor is a call of `torch._utils._rebuild_tensor_v2` on a
storage, and a storage is a call of `torch.storage._load_from_bytes` on the bytes of a whole legacy torch file
(`torch_legacy`). Pass `NAMES` as `extra` to `safe_pickle.load`; the tensors come as arrays.
"""

from typing import Any

from formats.codecs import torch_legacy, torch_records
from formats.codecs.pickle_records import Name, Reader, Ready, Record
from formats.codecs.torch_records import Storage
from formats.codecs.torch_tensor import Memory, TorchTensor


def _load_from_bytes(reader: Reader, args: tuple[Any, ...]) -> Record:
    if len(args) != 1 or not isinstance(args[0], bytes):
        raise reader.refuse("torch.storage._load_from_bytes is called with something else than bytes")
    data = args[0]
    reader.charge(len(data))
    root = torch_legacy.read(data, f"{reader.where}: a torch tensor in it",
                             lambda start, size: Memory(data[start:start + size]))
    if not isinstance(root, TorchTensor) or len(root.shape) != 1:
        raise reader.refuse("a torch tensor without its storage")
    return Storage(root.stored[1:], "in a pickle", root.shape[0], root.stored[0], root.place)


def _rebuild_tensor(reader: Reader, args: tuple[Any, ...]) -> Record:
    built = torch_records.rebuild(reader, args, repeat=False)
    reader.charge(built.content.nbytes)
    return Ready(built.content.load())


NAMES: dict[str, Name | Record] = torch_records.NAMES | {
    "torch._utils._rebuild_tensor_v2": Name("torch._utils._rebuild_tensor_v2", _rebuild_tensor),
    "torch.storage._load_from_bytes": Name("torch.storage._load_from_bytes", _load_from_bytes)}
"""What `safe_pickle.load` must allow besides its own names."""
