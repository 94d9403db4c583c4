"""Files that torch itself writes, in both containers, read without it: every number, and none before it is asked for."""

import argparse
import collections
import io
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats import codecs
from formats.codecs import torch_file, torch_tensor
from formats.codecs.torch_file import TorchTensor
from formats.errors import FormatError, MissingAsset

torch = pytest.importorskip("torch")
CONTAINERS = {"zip": True, "legacy": False}


@pytest.fixture(params=CONTAINERS)
def container(request) -> str:
    return request.param


def save(value: Any, path: Path, container: str = "zip", protocol: int = 2) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=CONTAINERS[container], pickle_protocol=protocol)
    return path


def same(expected: Any, found: Any, where: str = "") -> None:
    """Compare what went into `torch.save` with what came back, types included."""
    if isinstance(expected, torch.Tensor):
        expected = expected.detach().float().numpy() if expected.dtype == torch.bfloat16 else expected.detach().numpy()
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray) and found.dtype == expected.dtype and found.shape == expected.shape, where
        assert np.array_equal(found, expected) and not found.flags.writeable, where
    elif isinstance(expected, dict):
        assert type(found) is dict and list(found) == list(expected), where
        for key in expected:
            same(expected[key], found[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert type(found) is (list if isinstance(expected, list) else tuple) and len(found) == len(expected), where
        for one, other in zip(expected, found, strict=True):
            same(one, other, where)
    else:
        assert found == expected and type(found) is type(expected), where


def tensors() -> dict[str, Any]:
    base = torch.arange(24.0).reshape(4, 6)
    made: dict[str, Any] = {str(d): torch.tensor([[0, 1, 1], [1, 0, 2]]).to(d) for d in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64)}
    return made | {
        "parameter": torch.nn.Parameter(torch.randn(3, generator=torch.Generator().manual_seed(0))), "scalar": torch.tensor(2.5),
        "view": base[1:, ::2], "turned": base.t(), "shared": base, "column": base[:, 2], "one": base[2:3, 5:],
        "empty": torch.zeros(0, 3), "empty with a storage": base[:0], "repeated": torch.ones(1).expand(5, 2)}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors(tmp_path, container, protocol):
    made = tensors()
    path = save(made, tmp_path / "x.pth", container, protocol)
    with torch_file.open(path) as opened:
        assert opened.container == container
        for name, tensor in opened.root.items():
            assert isinstance(tensor, TorchTensor) and tensor.shape == tuple(made[name].shape), name
            assert tensor.nbytes == made[name].numel() * tensor.dtype.itemsize, name
    same(made, torch_file.read(path))
    same(made, torch_file.arrays(opened.root, "x.pth"))


def test_what_trainers_save(tmp_path, container):
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 20])
    network(torch.ones(5, 3)).sum().backward()
    optimizer.step()
    made = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
            "tuple": ((network.state_dict(), optimizer.state_dict()), (3, torch.ones(2), 0.5), 150000), "none": None,
            "ordered": collections.OrderedDict(b=1, a=[True, "text ü", b"raw"]), "negative": -5, "big": 1 << 40,
            "default": collections.defaultdict(dict, {140_000_000_000_000: {"step": 1}})}
    found = torch_file.read(save(made, tmp_path / "x", container))
    same({name: dict(value) if isinstance(value, dict) else value for name, value in made.items()}, found)


def test_what_is_no_tensor_comes_back_plain(tmp_path, container):
    made = {"size": torch.Size([2, 3]), "device": torch.device("cuda:0"), "type": torch.float32, "settings":
            argparse.Namespace(iterations=5, folder="x"), "numpy": {"a": np.arange(5.0), "s": np.float32(0.5),
                                                                    "f": np.asfortranarray(np.ones((3, 2)))}}
    found = torch_file.read(save(made, tmp_path / "x", container))
    same({"size": (2, 3), "device": "cuda:0", "type": "torch.float32", "settings": {"iterations": 5, "folder": "x"},
          "numpy": {"a": np.arange(5.0), "s": 0.5, "f": np.ones((3, 2))}}, found)


def test_a_tensor_with_attributes_and_one_on_its_own(tmp_path, container):
    tensor = torch.arange(3.0)
    tensor.note = "kept by torch, not by us"
    same({"x": torch.arange(3.0)}, torch_file.read(save({"x": tensor}, tmp_path / "x", container)))
    same(torch.arange(6).reshape(2, 3), torch_file.read(save(torch.arange(6).reshape(2, 3), tmp_path / "y", container)))


def test_locations_are_no_matter(tmp_path, container):
    """What was saved on a GPU says so with every storage."""
    path = save({"x": torch.arange(3.0)}, tmp_path / "x", container)
    data, old, new = path.read_bytes(), b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    assert data.count(old) == 1
    if container == "legacy":
        path.write_bytes(data.replace(old, new))
    else:
        rezip(path, lambda members: {n: d.replace(old, new) for n, d in members.items()})
    same({"x": torch.arange(3.0)}, torch_file.read(path))


def rezip(path: Path, change=lambda members: members, method: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip again with changed members."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in change(members).items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("change", [
    lambda members: {n.replace("x/", "archive/"): d for n, d in members.items()},
    lambda members: {n.replace("x/", "any name/"): d for n, d in members.items()},
    lambda members: {n: d for n, d in members.items() if n.endswith("data.pkl") or "/data/" in n},
    lambda members: {**members, "x/.format_version": b"1", "x/.data/serialization_id": b"7" * 40, "x/later": b"?"},
    lambda members: dict(reversed(members.items())),
    lambda members: {**members, "__MACOSX/x/data.pkl": b"junk"},
], ids=["archive", "a name with a blank", "nothing but what is needed", "later versions", "another order", "mac litter"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_zips_of_any_version(tmp_path, change, method):
    made = {"x": torch.arange(3.0), "y": torch.arange(12).reshape(3, 4)[1:]}
    path = rezip(save(made, tmp_path / "x.pth"), change, method)
    same(made, torch_file.read(path))
    assert codecs.sniff(path) == "torch_file"


def test_big_endian_files(tmp_path):
    path = save({"x": torch.arange(3.0), "h": torch.ones(2).bfloat16()}, tmp_path / "x.pth")

    def swap(members):
        return {n: b"big" if n.endswith("byteorder") else np.frombuffer(d, ">f4").astype("<f4").tobytes() if n.endswith("data/0")
                else np.frombuffer(d, ">u2").astype("<u2").tobytes() if n.endswith("data/1") else d for n, d in members.items()}

    same({"x": torch.arange(3.0), "h": torch.ones(2).bfloat16()}, torch_file.read(rezip(path, swap)))


def test_a_storage_larger_than_its_tensors(tmp_path, container):
    """FATE's `_features_rest` has no elements and keeps a whole buffer; its `uvcoords_sample` skips every third number."""
    buffer = torch.arange(3000.0).reshape(1000, 3)
    made = {"rest": torch.zeros(1000, 45)[:, :0].reshape(1000, 0, 3), "uv": buffer[:, :2][None], "first": buffer[:1]}
    path = save(made, tmp_path / "x.pth", container)
    assert path.stat().st_size > 12000
    same(made, torch_file.read(path))


def test_views_as_old_torch_wrote_them(tmp_path):
    """Torch 0.4 named a view's storage by the storage it is in, and where in it."""
    path = save({"x": torch.arange(5.0)}, tmp_path / "x", "legacy")
    data = path.read_bytes()
    # ('storage', FloatStorage, key, 'cpu', 5, None): None becomes (key, 2, 3), and the tensor takes 3 elements at 0.
    at = data.index(b"K\x05Nt")
    data = data[:at] + b"K\x05X\x01\x00\x00\x00vK\x02K\x03\x87t" + data[at + 4:]
    at = data.index(b"K\x00K\x05\x85")
    path.write_bytes(data[:at] + b"K\x00K\x03\x85" + data[at + 5:])
    same({"x": torch.arange(2.0, 5.0)}, torch_file.read(path))


# --- NumPy arrays as text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 4])
def test_long_arrays_stay_in_the_file_until_asked_for(tmp_path, container, protocol):
    rng = np.random.default_rng(0)
    made = {"meshes": [{"vertices": rng.random((6000, 3), dtype=np.float32), "textures": rng.integers(0, 256, (4, 64, 64, 8),
                                                                                                    dtype=np.uint8)}],
            "turned": np.asfortranarray(rng.random((100, 120))), "short": np.arange(4), "ghostbone": True, "text": "ü" * 70000,
            "ascii": np.zeros((300, 300), np.uint8), "swapped": rng.random(9000).astype(">f8"), "bytes": bytes(70000)}
    path = save(made, tmp_path / "mesh_data.pkl", container, protocol)
    root = torch_file.open(path).root
    assert isinstance(root["meshes"][0]["vertices"], TorchTensor) and isinstance(root["turned"], TorchTensor)
    assert isinstance(root["short"], np.ndarray) and root["meshes"][0]["textures"].shape == (4, 64, 64, 8)
    made["swapped"] = made["swapped"].astype("<f8")
    same(made, torch_file.read(path))


def test_an_array_whose_text_is_not_what_it_says(tmp_path):
    path = save({"a": np.full(80000, 200, np.uint8)}, tmp_path / "x")
    rezip(path, lambda members: {n: d.replace(b"\xc3\x88", b"a\x00", 1) for n, d in members.items()})
    with pytest.raises(FormatError, match="more or fewer"):
        torch_file.read(path)
    rezip(path, lambda members: {n: d.replace(b"\xc3\x88", b"\xff\xff", 1) for n, d in members.items()})
    with pytest.raises(FormatError, match="stands for bytes is none"):
        torch_file.read(path)


def test_opening_reads_no_tensor_and_loading_makes_one_copy(tmp_path, container, monkeypatch):
    made = {"model": {f"k{i}": torch.zeros(500, 1000) for i in range(8)}, "array": np.full((2000, 1000), 200, np.uint8)}
    path = save(made, tmp_path / "x.pth", container)
    assert path.stat().st_size > 19_000_000
    reads: list[int] = []
    plain = torch_tensor.Span.read
    monkeypatch.setattr(torch_tensor.Span, "read", lambda self, start, count: reads.append(count) or plain(self, start, count))
    tracemalloc.start()
    try:
        root = torch_file.open(path).root
        assert not reads and tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.reset_peak()
        assert root["model"]["k3"].load().shape == (500, 1000)
        assert sum(reads) == 2_000_000 and tracemalloc.get_traced_memory()[1] < 3_000_000
        tracemalloc.reset_peak()
        assert root["array"].load().sum() == 400_000_000
        # The text has four million bytes; it passes through a window of one.
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    before = sum(reads)
    assert root["model"]["k0"].beginning(3).shape == (3, 1000) and sum(reads) - before == 12_000


def test_a_view_reads_only_what_it_spans(tmp_path, monkeypatch):
    path = save({"x": torch.arange(100_000.0)[50_000:50_010]}, tmp_path / "x.pth")
    reads: list[int] = []
    plain = torch_tensor.Span.read
    monkeypatch.setattr(torch_tensor.Span, "read", lambda self, start, count: reads.append(count) or plain(self, start, count))
    assert torch_file.open(path).root["x"].load()[0] == 50_000 and reads == [40]


# --- What is refused --------------------------------------------------------------------------------------------------


class Program(torch.nn.Module):
    """A class of somebody's program."""


def test_whole_objects_are_refused_by_name(tmp_path, container):
    path = save(Program(), tmp_path / "x.pth", container)
    with pytest.raises(FormatError, match=r"test_torch_file\.Program"):
        torch_file.open(path)


def test_arrays_names_the_entry(tmp_path):
    root = torch_file.open(save({"model": {"x": torch.ones(2), "y": 5}}, tmp_path / "x.pth")).root
    with pytest.raises(FormatError, match=r"x\.pth: model: 'y' is a int, expected a tensor"):
        torch_file.arrays(root["model"], "x.pth: model")
    with pytest.raises(FormatError, match=r"model: is a list"):
        torch_file.arrays([], "x.pth: model")


@pytest.mark.parametrize("share", range(0, 100, 7))
def test_every_cut_is_refused(tmp_path, container, share):
    made = {"x": torch.arange(2000.0), "y": {"z": np.arange(200.0)}}
    path = save(made, tmp_path / "x.pth", container)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) * share // 100])
    with pytest.raises(FormatError) as caught:
        torch_file.read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_another_file_is_none(tmp_path):
    with pytest.raises(MissingAsset):
        torch_file.open(tmp_path / "nothing.pth")
    for name, data in {"noise.pth": os.urandom(500), "text.pt": b"hello", "zip.ckpt": b"PK\x03\x04" + bytes(40)}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError, match=name):
            torch_file.open(tmp_path / name)


def test_what_a_tensor_claims_is_checked_against_its_storage(tmp_path, container):
    """A pickle that asks for more elements than its storage has, or for a place behind it."""
    for size, stride, offset in (((9,), (1,), 0), ((3,), (5,), 0), ((1,), (1,), 10), ((1 << 33, 1 << 33), (0, 0), 0)):
        path = save({"x": torch.arange(8.0)}, tmp_path / "x.pth", container)
        data = path.read_bytes()
        old = b"K\x00K\x08\x85q\x06K\x01\x85q\x07"
        new = pack(offset) + b"".join(map(pack, size)) + tuple_of(len(size)) + b"q\x06" + b"".join(map(pack, stride)) + tuple_of(
            len(stride)) + b"q\x07"
        if container == "zip":
            rezip(path, lambda members, old=old, new=new: {n: swapped(d, old, new) if n.endswith("data.pkl") else d
                                                          for n, d in members.items()})
        else:
            path.write_bytes(swapped(data, old, new))
        with pytest.raises(FormatError, match="reaches beyond its storage of 8"):
            torch_file.open(path)


def swapped(data: bytes, old: bytes, new: bytes) -> bytes:
    """Change a tensor's offset, size and stride, whatever its memo numbers are."""
    bare = data.index(b"K\x00K\x08\x85")
    rest = data.index(b"K\x01\x85", bare)
    end = rest + 3 + 2  # behind the stride's memo
    return data[:bare] + new.replace(b"q\x06", b"").replace(b"q\x07", b"") + data[end:]


def pack(n: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", n)


def tuple_of(count: int) -> bytes:
    return {1: b"\x85", 2: b"\x86"}[count]


def test_sniffing(tmp_path, container):
    head = save({"x": torch.ones(2)}, tmp_path / "x", container, 2).read_bytes()[:8192]
    assert torch_file.sniff(head) and not torch_file.sniff(b"") and not torch_file.sniff(io.BytesIO(b"PK\x03\x04").read())
    assert codecs.sniff(tmp_path / "x") == "torch_file"
