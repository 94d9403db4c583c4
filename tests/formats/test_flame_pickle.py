"""FLAME models of every edition, written here as Python 2 and 3 write them; and the files that go with them."""

import dataclasses
import hashlib
import io
import pickle
import struct
import sys
import types

import numpy as np
import pytest
import scipy.sparse

from formats.codecs import flame_pickle, head_file
from formats.errors import FormatError, MissingAsset
from formats.standin.head import standin_head
from tests.builders import tiny_head
from tests.formats.flame_fixture import write_flame_pickle

EDITIONS = ("flame2020", "flame2023", "flame2023-open")


def tables(seed: int = 0) -> dict[str, object]:
    """FLAME's tables on the tiny head's mesh, float64 as files have them."""
    head, rng = tiny_head(), np.random.default_rng(seed)
    count = len(head.v_template)
    return {
        "v_template": head.v_template.astype(float), "f": head.faces.astype(np.uint32),
        "shapedirs": rng.normal(0, 0.002, (count, 3, 400)), "posedirs": rng.normal(0, 0.002, (count, 3, 36)),
        "J_regressor": scipy.sparse.csc_matrix(head.J_regressor.astype(float)), "J": np.zeros((5, 3)),
        "weights": head.lbs_weights.astype(float), "bs_type": "lrotmin", "bs_style": "lbs",
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.uint32),
    }


class Python2(pickle._Pickler):
    """Writes what Python 2's pickle wrote: bytes for every text, and the module names of its time."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_text(self, value):
        raw = value if isinstance(value, bytes) else value.encode("latin1")
        if self.proto:
            self.write(b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw)
        else:
            self.write(b"S" + repr(raw)[1:].encode("ascii") + b"\n")
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_text

    def save_global(self, obj, name=None):
        module, name = obj.__module__, name or obj.__qualname__
        module = {"copyreg": "copy_reg", "builtins": "__builtin__"}.get(module, module).replace("._core.", ".core.")
        module = module.replace("scipy.sparse._", "scipy.sparse.")
        self.write(f"c{module}\n{name}\n".encode())
        self.memoize(obj)

    dispatch[type] = dispatch[types.FunctionType] = dispatch[types.BuiltinFunctionType] = save_global


def python2(value: object, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    Python2(file, protocol).dump(value)
    return file.getvalue()


@pytest.fixture
def chumpy(monkeypatch):
    """A module of the name, as far as pickling needs it; gone again before anything is read."""
    modules = {"chumpy.ch": "Ch", "chumpy.reordering": "Select", "chumpy.ch_ops": "add"}
    made = types.SimpleNamespace()
    for module, name in modules.items():
        kind = type(name, (), {"__module__": module})
        setattr(made, name, kind)
        fake = types.ModuleType(module)
        setattr(fake, name, kind)
        monkeypatch.setitem(sys.modules, module, fake)

    def make(name, **state):
        result = getattr(made, name)()
        result.__dict__.update(state)
        return result

    return make


def ch(make, array):
    return make("Ch", x=array, _dirty_vars={"x"}, _itr=None, _depends_on_deps=False)


def read(tmp_path, data: bytes, edition: str | None = "flame2020"):
    (tmp_path / "model.pkl").write_bytes(data)
    return flame_pickle.read(tmp_path / "model.pkl", edition)


def refused(tmp_path, data: bytes, *words: str, edition: str | None = "flame2020"):
    with pytest.raises(FormatError) as caught:
        read(tmp_path, data, edition)
    message = str(caught.value)
    assert "model.pkl" in message and "\n" not in message
    for word in words:
        assert word in message, message


def assert_is(head, source) -> None:
    """The head holds the float32 roundings of these tables."""
    f4 = np.float32
    assert np.array_equal(head.v_template, source["v_template"].astype(f4))
    assert np.array_equal(head.faces, source["f"])
    assert np.array_equal(head.shapedirs, source["shapedirs"][:, :, :300].astype(f4))
    assert np.array_equal(head.exprdirs, source["shapedirs"][:, :, 300:].astype(f4))
    assert np.array_equal(head.posedirs, source["posedirs"].astype(f4))
    assert np.array_equal(head.lbs_weights, source["weights"].astype(f4))
    assert np.array_equal(head.J_regressor, source["J_regressor"].toarray().astype(f4))
    assert head.parents.tolist() == [-1, 0, 1, 1, 1]
    assert head.joint_names == ("root", "neck", "jaw", "left_eye", "right_eye")


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_python_2_with_chumpy(protocol, chumpy, tmp_path, monkeypatch):
    """2017, 2019 and 2020: chumpy arrays, a selection of a larger one, SciPy's old module names."""
    source = tables()
    whole = np.concatenate([source["shapedirs"], source["shapedirs"][:, :, :10]], axis=2)
    ids = np.arange(whole.size).reshape(whole.shape)[:, :, :400]
    stored = source | {
        "v_template": ch(chumpy, source["v_template"]), "posedirs": ch(chumpy, source["posedirs"]),
        "weights": ch(chumpy, source["weights"]),
        "shapedirs": chumpy("Select", a=ch(chumpy, whole), idxs=ids.ravel(), preferred_shape=(len(whole), 3, 400)),
    }
    data = python2(stored, protocol)
    assert b"cchumpy.ch\nCh\n" in data and b"numpy.core.multiarray" in data and b"scipy.sparse.csc\n" in data
    monkeypatch.undo()
    assert "chumpy.ch" not in sys.modules
    head = read(tmp_path, data)
    assert_is(head, source)
    assert head.edition == "flame2020"


@pytest.mark.parametrize("edition", (*EDITIONS, "standin"))
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_plain_arrays_with_more_keys(edition, protocol, tmp_path):
    """2023, 2023 without jaw, 2023 Open."""
    source = tables()
    more = {"supr_expression_metadata": {"n_expr": 100, "names": ["a", "b"]}, "vert_sym_idxs": np.arange(110),
            "weights_prior": source["J_regressor"], "trans": None}
    head = read(tmp_path, pickle.dumps(source | more, protocol), edition)
    assert_is(head, source)
    assert head.edition == edition


def test_older_names(tmp_path):
    source = tables()
    names = {"v_template": "default_v", "J_regressor": "joint_regressor", "posedirs": "blendshapes", "J": "joints"}
    head = read(tmp_path, pickle.dumps({names.get(k, k): v for k, v in source.items()}))
    assert_is(head, source)


@pytest.mark.parametrize("form", [scipy.sparse.csr_matrix, scipy.sparse.coo_matrix, lambda m: m.toarray()])
def test_other_regressors(form, tmp_path):
    source = tables()
    assert_is(read(tmp_path, pickle.dumps(source | {"J_regressor": form(source["J_regressor"])})), source)


@pytest.mark.parametrize("root", [-1, 0, 7])
def test_the_root_has_no_parent_whatever_the_file_says(root, tmp_path):
    tree = np.array([[root, 0, 1, 1, 1], range(5)], np.int64)
    assert read(tmp_path, pickle.dumps(tables() | {"kintree_table": tree})).parents[0] == -1


def test_the_edition_must_be_said(tmp_path):
    refused(tmp_path, pickle.dumps(tables()), "--edition", *EDITIONS, edition=None)
    refused(tmp_path, pickle.dumps(tables()), "arkit-52", *EDITIONS, edition="arkit-52")
    first, second = (read(tmp_path, pickle.dumps(tables()), edition) for edition in EDITIONS[:2])
    assert first.content_hash != second.content_hash


def test_a_known_file_is_recognized_and_the_caller_wins(tmp_path, monkeypatch, caplog):
    data = pickle.dumps(tables())
    monkeypatch.setitem(flame_pickle.KNOWN_FILES, hashlib.sha256(data).hexdigest(), "flame2023-open")
    assert read(tmp_path, data, None).edition == "flame2023-open"
    assert not caplog.text
    assert read(tmp_path, data, "flame2023").edition == "flame2023"
    assert "flame2023-open" in caplog.text


def broken(key, **options):
    value = tables()[key]
    value = value.toarray() if scipy.sparse.issparse(value) else np.array(value)
    value[options["at"]] = options["to"]
    return value


WRONG = [
    ("v_template", np.zeros((110, 2)), "'v_template'"), ("v_template", broken("v_template", at=(3, 1), to=np.nan), "finite"),
    ("v_template", "text", "a str"), ("v_template", np.zeros((110, 3), int), "real numbers"),
    ("v_template", broken("v_template", at=(0, 0), to=1e300), "finite"),
    ("f", broken("f", at=(0, 0), to=110), "110 vertices"), ("f", np.zeros((3, 4), int), "'f'"),
    ("f", np.zeros((3, 3)), "whole numbers"), ("f", np.full((3, 3), -1), "'f'"),
    ("shapedirs", np.zeros((110, 3, 10)), "400"), ("shapedirs", np.zeros((109, 3, 400)), "'shapedirs'"),
    ("posedirs", np.zeros((110, 3, 207)), "36"), ("posedirs", None, "NoneType"),
    ("weights", np.full((110, 5), 0.21), "'weights'"), ("weights", np.zeros((110, 24)), "another body model"),
    ("J_regressor", np.zeros((5, 110)), "'J_regressor'"), ("J_regressor", np.zeros((110, 5)), "'J_regressor'"),
    ("J_regressor", scipy.sparse.csc_matrix(np.eye(5)), "'J_regressor'"),
    ("J_regressor", broken("J_regressor", at=(0, 0), to=np.inf), "finite"),
    ("kintree_table", np.array([[2**32 - 1, 0, 1, 1, 2**32 - 1], range(5)], np.uint32), "kintree_table"),
    ("kintree_table", np.array([[-1, 0, 1, 1, 1], [0, 1, 2, 4, 3]]), "kintree_table"),
    ("kintree_table", np.zeros((2, 24), int), "another body model"), ("bs_type", "lrotmin2", "bs_type"),
    ("bs_style", "dqbs", "bs_style"),
]


@pytest.mark.parametrize(("name", "value", "word"), WRONG)
def test_wrong_tables(name, value, word, tmp_path):
    refused(tmp_path, pickle.dumps(tables() | {name: value}), word)


def test_what_is_no_model(tmp_path, chumpy):
    with pytest.raises(MissingAsset):
        flame_pickle.read(tmp_path / "absent.pkl", "flame2020")
    refused(tmp_path, pickle.dumps([1, 2]), "a list")
    refused(tmp_path, pickle.dumps({"v_template": np.zeros((3, 3))}), "shapedirs", "missing")
    refused(tmp_path, pickle.dumps({}), "found nothing")
    refused(tmp_path, pickle.dumps(tables())[:-2000], "cut short")
    refused(tmp_path, python2(tables() | {"v_template": chumpy("add", a=1)}), "chumpy.ch_ops.add", "plain NumPy")


def test_sniff():
    for data in (*(pickle.dumps(tables(), p) for p in range(6)), python2(tables(), 0), python2(tables(), 2)):
        assert flame_pickle.sniff(data[:64])
    for data in (b"PK\x03\x04", b"\x93NUMPY", b"", b"{}", b"\x80\x06", b"glTF"):
        assert not flame_pickle.sniff(data)


# --- Regions ----------------------------------------------------------------------------------------------------------


def test_masks(tmp_path):
    path = tmp_path / "FLAME_masks.pkl"
    masks = {"face": np.array([3, 1, 2]), "left_eyeball": np.arange(5)}
    for data in (pickle.dumps(masks), python2(masks), python2(masks, 0)):
        path.write_bytes(data)
        found = flame_pickle.read_masks(path)
        assert {k: v.tolist() for k, v in found.items()} == {"face": [3, 1, 2], "left_eyeball": [0, 1, 2, 3, 4]}
    for bad in ({}, [1], {"face": [1, 2]}, {"face": np.zeros(3)}, {"face": np.zeros((2, 2), int)},
                {"face": np.array([-1])}, {"face": np.array([2**40])}, {1: np.zeros(3, int)}):
        path.write_bytes(pickle.dumps(bad))
        with pytest.raises(FormatError, match="FLAME_masks.pkl"):
            flame_pickle.read_masks(path)


# --- Landmarks --------------------------------------------------------------------------------------------------------


def points(*shape: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 9000, shape), rng.dirichlet([1, 1, 1], shape)


def npy(content: bytes, header: bytes = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }") -> bytes:
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def in_array(value: object, pickler=pickle.dumps) -> bytes:
    return pickler(np.array(value, dtype=object))


class Tensor:
    """Pickles as a torch tensor does, to legacy storage bytes written here by hand."""

    def __init__(self, array, **changes):
        self.array, self.changes = np.ascontiguousarray(array), changes

    def storage(self) -> bytes:
        flat, key = self.array.reshape(-1), b"94205"
        kind = {"f": b"Float", "i": b"Long"}[flat.dtype.kind]
        count = struct.pack("<i", self.changes.get("count", flat.size))
        pid = (b"\x80\x02(X\x07\x00\x00\x00storagectorch\n" + self.changes.get("kind", kind + b"Storage") + b"\n"
               b"X\x05\x00\x00\x00" + key + b"X\x03\x00\x00\x00cpuJ" + count + b"NtQ.")
        system = {"protocol_version": 1001, "little_endian": self.changes.get("little", True),
                  "type_sizes": {"short": 2, "int": 4, "long": 4}}
        head = [self.changes.get("magic", 0x1950A86A20F9469CFC6C), 1001, system]
        parts = [pickle.dumps(part, 2) for part in head] + [pid, pickle.dumps([key.decode()], 2)]
        raw = flat.astype("<f4" if flat.dtype.kind == "f" else "<i8").tobytes()
        return b"".join(parts) + struct.pack("<q", flat.size) + raw[:self.changes.get("keep")]

    def __reduce__(self):
        steps = [n // self.array.itemsize for n in self.array.strides]
        return _rebuild_tensor_v2, (Storage(self.storage()), self.changes.get("offset", 0),
                                    self.changes.get("size", self.array.shape),
                                    self.changes.get("stride", tuple(steps)), False, None)


class Storage:
    def __init__(self, data):
        self.data = data

    def __reduce__(self):
        return _load_from_bytes, (self.data,)


def _rebuild_tensor_v2(*args): ...


def _load_from_bytes(*args): ...


def with_torch_names(value: object, protocol: int = 3) -> bytes:
    """Pickle, with the functions of this module renamed to torch's (protocol 3 has no frames or lengths to mind)."""
    data = pickle.dumps(np.array(value, dtype=object), protocol)
    for name, module in (("_rebuild_tensor_v2", "torch._utils"), ("_load_from_bytes", "torch.storage")):
        data = data.replace(f"c{__name__}\n{name}\n".encode(), f"c{module}\n{name}\n".encode())
    return data


def test_static_embeddings(tmp_path):
    path = tmp_path / "embedding.pkl"
    for count, prefix, shape in ((51, "static", (51,)), (68, "full", (1, 68))):
        idx, weights = points(count)
        for pickler in (pickle.dumps, python2):
            path.write_bytes(pickler({"lmk_face_idx": idx.astype(np.uint32), "lmk_b_coords": weights}))
            found = flame_pickle.read_landmarks(path)
            assert sorted(found) == [f"{prefix}_lmk_bary_coords", f"{prefix}_lmk_faces_idx"]
            assert found[f"{prefix}_lmk_faces_idx"].shape == shape
            assert np.array_equal(found[f"{prefix}_lmk_faces_idx"].ravel(), idx)
            assert np.array_equal(found[f"{prefix}_lmk_bary_coords"].reshape(-1, 3), weights.astype(np.float32))


def test_dynamic_embedding(tmp_path):
    """A list of arrays, pickled by Python 2 inside an .npy whose header it also wrote."""
    idx, weights = points(79, 17)
    path = tmp_path / "flame_dynamic_embedding.npy"
    path.write_bytes(npy(in_array({"lmk_face_idx": list(idx), "lmk_b_coords": list(weights)}, python2)))
    found = flame_pickle.read_landmarks(path)
    assert np.array_equal(found["dynamic_lmk_faces_idx"], idx)
    assert np.array_equal(found["dynamic_lmk_bary_coords"], weights.astype(np.float32))


def deca(**changes) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """DECA's six arrays, and the same with the dynamic ones as torch tensors."""
    parts = {"static": points(51, seed=1), "dynamic": points(79, 17, seed=2), "full": points(1, 68, seed=3)}
    plain = {f"{name}_lmk_{part}": value for name, pair in parts.items()
             for part, value in zip(("faces_idx", "bary_coords"), pair, strict=True)}
    stored: dict[str, object] = dict(plain)
    for name in ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"):
        stored[name] = Tensor(plain[name], **changes)
    return plain, stored


def test_deca_embedding_with_torch_tensors(tmp_path):
    plain, stored = deca()
    path = tmp_path / "landmark_embedding.npy"
    path.write_bytes(npy(with_torch_names(stored)))
    assert b"torch._utils" in path.read_bytes() and b"torch.storage" in path.read_bytes()
    found = flame_pickle.read_landmarks(path)
    assert sorted(found) == sorted(plain)
    for name, value in plain.items():
        assert found[name].shape == value.shape
        assert np.array_equal(found[name], value.astype(np.int32 if "idx" in name else np.float32)), name


def test_torch_tensors_that_are_a_view(tmp_path):
    plain, stored = deca()
    turned = Tensor(plain["dynamic_lmk_faces_idx"].T.copy(), size=(79, 17), stride=(1, 79))
    path = tmp_path / "landmark_embedding.npy"
    path.write_bytes(npy(with_torch_names(stored | {"dynamic_lmk_faces_idx": turned})))
    assert np.array_equal(flame_pickle.read_landmarks(path)["dynamic_lmk_faces_idx"], plain["dynamic_lmk_faces_idx"])


@pytest.mark.parametrize(("changes", "word"), [
    ({"magic": 5}, "protocol 1001"), ({"little": False}, "elements"), ({"kind": b"HalfStorage"}, "float16"),
    ({"kind": b"load"}, "torch.load"), ({"count": 7}, "7 elements"), ({"count": -1}, "no storage of numbers"),
    ({"count": 2**31 - 1}, "elements"), ({"keep": -1}, "bytes"), ({"offset": 1}, "beyond its storage"),
    ({"offset": -1}, "whole numbers"), ({"size": (10**6, 10**6)}, "beyond its storage"),
    ({"size": (10**6,), "stride": (0,)}, "beyond its storage"), ({"stride": (-1, -1)}, "whole numbers"),
    ({"stride": (17,)}, "whole numbers"), ({"size": (3, 3), "stride": (10**9, 10**9)}, "beyond its storage"),
])
def test_torch_tensors_that_are_not(changes, word, tmp_path):
    path = tmp_path / "landmark_embedding.npy"
    path.write_bytes(npy(with_torch_names(deca(**changes)[1])))
    with pytest.raises(FormatError, match="landmark_embedding.npy") as caught:
        flame_pickle.read_landmarks(path)
    assert word in str(caught.value)


def test_mediapipe_embedding(tmp_path):
    idx, weights = points(105)
    path = tmp_path / "mediapipe_landmark_embedding.npz"
    np.savez(path, lmk_face_idx=idx.astype(np.uint32), lmk_b_coords=weights, landmark_indices=np.arange(105) * 4)
    found = flame_pickle.read_landmarks(path)
    assert np.array_equal(found["mediapipe_lmk_faces_idx"], idx)
    assert np.array_equal(found["mediapipe_lmk_bary_coords"], weights.astype(np.float32))
    assert np.array_equal(found["mediapipe_landmark_idx"], np.arange(105) * 4)


def test_landmarks_fit_a_head(tmp_path):
    """HeadModel takes every array as it comes, as long as its faces are there."""
    path = tmp_path / "landmark_embedding.npy"
    path.write_bytes(npy(with_torch_names(deca()[1])))
    found = flame_pickle.read_landmarks(path)
    with pytest.raises(FormatError, match="there are 216 faces"):
        dataclasses.replace(tiny_head(), landmarks=found)
    found |= {name: ids % 216 for name, ids in found.items() if name.endswith("faces_idx")}
    head = dataclasses.replace(tiny_head(), landmarks=found)
    assert head.landmarks["dynamic_lmk_bary_coords"].shape == (79, 17, 3)


@pytest.mark.parametrize("data", [
    b"", b"\x93NUMPY", npy(b""), npy(b"", b"{"), npy(b"N."), npy(in_array({})), npy(in_array([1])), pickle.dumps({}),
    npy(in_array({"lmk_face_idx": 3, "lmk_b_coords": 4})), npy(b"", b"__import__('os').getcwd()"),
    npy(in_array({}), b"{'descr': '|O', 'fortran_order': False, 'shape': (9,), }"),
    npy(bytes(9), b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }"),
    npy(b"", b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -8), }"), b"PK\x03\x04 no zip",
    pickle.dumps({"lmk_face_idx": np.arange(51)}),
    pickle.dumps({"lmk_face_idx": np.arange(51), "lmk_b_coords": np.ones((51, 3))}),
    pickle.dumps({"lmk_face_idx": np.arange(51), "lmk_b_coords": np.full((50, 3), 1 / 3)}),
    pickle.dumps({"lmk_face_idx": np.arange(51) - 1, "lmk_b_coords": np.full((51, 3), 1 / 3)}),
    pickle.dumps({"lmk_face_idx": np.arange(51), "lmk_b_coords": np.full((51, 3), np.nan)}),
    pickle.dumps({"lmk_face_idx": [np.arange(3), np.arange(4)], "lmk_b_coords": [np.zeros(3)] * 2}),
    pickle.dumps({"lmk_face_idx": np.arange(5), "lmk_b_coords": np.full((5, 3), 1 / 3), "landmark_indices": np.arange(4)}),
    pickle.dumps({"static_lmk_faces_idx": np.arange(5)}), pickle.dumps({"full_lmk_bary_coords": np.zeros((1, 5, 3))}),
])
def test_landmarks_that_are_not(data, tmp_path):
    (tmp_path / "landmarks.bin").write_bytes(data)
    with pytest.raises(FormatError, match="landmarks.bin"):
        flame_pickle.read_landmarks(tmp_path / "landmarks.bin")


# --- Texture coordinates ----------------------------------------------------------------------------------------------


def obj(head, order=None, turn: int = 0, extra: str = "") -> str:
    order = np.arange(len(head.faces)) if order is None else order
    lines = ["# a template", "mtllib head.mtl", "o head"]
    lines += [f"v {x:.6f} {y + 1.5:.6f} {z:.6f}" for x, y, z in head.v_template]
    lines += [f"vt {u:.6f} {1 - v:.6f}" for u, v in head.uvs]
    faces, uvs = np.roll(head.faces[order], turn, axis=1) + 1, np.roll(head.uv_faces[order], turn, axis=1) + 1
    lines += ["s off", *(f"f {a[0]}/{b[0]} {a[1]}/{b[1]}/1 {a[2]}/{b[2]}" for a, b in zip(faces, uvs, strict=True))]
    return "\n".join([*lines, extra, ""])


@pytest.mark.parametrize(("turn", "shuffled", "extra"), [
    (0, False, ""), (1, False, ""), (2, True, ""), (0, True, "f 1/1 5/2 9/3\nf 1/1 20/2 30/3")])
def test_template(turn, shuffled, extra, tmp_path):
    """Texture triangles follow the head's, however the OBJ sorts and turns them, and with a sealed mouth in it."""
    head = tiny_head()
    order = np.random.default_rng(1).permutation(len(head.faces)) if shuffled else None
    (tmp_path / "head.obj").write_text(obj(head, order, turn, extra))
    uvs, uv_faces = flame_pickle.read_template_obj(tmp_path / "head.obj", head.faces)
    assert np.abs(uvs - head.uvs).max() < 1e-6  # six decimals in the file
    assert np.array_equal(uv_faces, head.uv_faces)


def test_template_in_its_own_order_and_counted_backwards(tmp_path):
    text = "v 0 0 0\nv 1 0 0\r\nv 0 1 0\nvt 0.25 0.75 0\nvt 1 0\nvt 0 1\nf -3/-3 -2/-2 -1/-1\n"
    (tmp_path / "head.obj").write_text(text)
    uvs, uv_faces = flame_pickle.read_template_obj(tmp_path / "head.obj")
    assert np.allclose(uvs, [[0.25, 0.25], [1, 1], [0, 0]], atol=0) and uv_faces.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("text", [
    "", "v 0 0 0\n", "v 0 0 0\nf 1 1 1\n", "v 0 0 0\nvt 0 0\nf 1//1 1//1 1//1\n", "v 0 0 0\nvt 0 0\nf 1/1 1/1 1/1 1/1\n",
    "v 0 0 0\nvt 0 0\nf 1/1 1/1 2/1\n", "v 0 0 0\nvt 0 0\nf 1/1 1/1 1/2\n", "v 0 0 0\nvt 0 0\nf 1/1 1/1 0/1\n",
    "v 0 0 0\nvt 0 0\nf 1/1 1/1 -9/1\n", "v 0 0 0\nvt nan 0\nf 1/1 1/1 1/1\n", "v 0 0 0\nvt 0\nf 1/1 1/1 1/1\n",
    "v 0 0 0\nvt 0 0\nf 1/1 1/1 99999999999999999999999999/1\n", "v 0 0 0\nvt a b\n", "\x00\x01\x02",
])
def test_templates_that_are_not(text, tmp_path):
    (tmp_path / "head.obj").write_text(text)
    with pytest.raises(FormatError, match="head.obj"):
        flame_pickle.read_template_obj(tmp_path / "head.obj")


def test_the_template_of_another_mesh(tmp_path):
    head = tiny_head()
    (tmp_path / "head.obj").write_text(obj(head, np.arange(200)))
    with pytest.raises(FormatError, match="16 of the head's 216"):
        flame_pickle.read_template_obj(tmp_path / "head.obj", head.faces)


# --- Eyelids ----------------------------------------------------------------------------------------------------------


def test_eyelids(tmp_path):
    lids = np.random.default_rng(2).normal(0, 0.003, (2, 110, 3))
    for name, lid in zip("lr", lids, strict=True):
        np.save(tmp_path / f"{name}_eyelid.npy", lid)
    found = flame_pickle.read_eyelids(tmp_path / "l_eyelid.npy", tmp_path / "r_eyelid.npy")
    assert found.dtype == np.float32 and np.array_equal(found, lids.transpose(1, 2, 0).astype(np.float32))
    for bad in (lids[0, :50], lids[0, :, :2], np.full((110, 3), np.nan), np.zeros((110, 3), int),
                np.array({"x": 1}, dtype=object)):
        np.save(tmp_path / "r_eyelid.npy", bad, allow_pickle=True)
        with pytest.raises(FormatError, match="r_eyelid.npy"):
            flame_pickle.read_eyelids(tmp_path / "l_eyelid.npy", tmp_path / "r_eyelid.npy")


# --- The stand-in head, in FLAME's sizes, written by another hand -----------------------------------------------------


@pytest.fixture(scope="module")
def standin():
    return standin_head()


@pytest.mark.parametrize(("edition", "chumpy"), [("flame2020", True), ("flame2020", False), ("flame2023", True),
                                                 ("flame2023-open", False)])
def test_the_standin_head_in_flames_layout(standin, edition, chumpy, tmp_path):
    path = write_flame_pickle(standin, tmp_path / "generic_model.pkl", edition, chumpy)
    assert (b"chumpy" in path.read_bytes()) == chumpy
    head = flame_pickle.read(path, edition)
    assert head.edition == edition and head.v_template.shape == (5023, 3) and head.faces.shape == (9976, 3)
    for name in ("v_template", "faces", "exprdirs", "shapedirs", "posedirs", "lbs_weights", "J_regressor", "parents"):
        assert np.array_equal(getattr(head, name), getattr(standin, name)), name
    path.unlink()  # 50 MB each


def test_from_pickle_to_head_file(standin, tmp_path):
    path = write_flame_pickle(standin, tmp_path / "generic_model.pkl")
    head = flame_pickle.read(path, "flame2020")
    path.unlink()
    head_file.write(head, tmp_path / "head.safetensors")
    again = head_file.read(tmp_path / "head.safetensors")
    assert again.content_hash == head.content_hash and again._hash() == head.content_hash
