"""The head file: every field comes back bit for bit, sparse or dense; a damaged one is refused with file and field."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from formats.codecs import head_file
from formats.errors import FormatError, MissingAsset
from formats.head_model import HeadModel
from tests.builders import tiny_head

HEADS = {
    "flame": {}, "identity": {"identity": True}, "bare": {"uvs": False, "correctives": False},
    "joints": {"extra_joints": 80}, "arkit": {"edition": "arkit-51"},
}


def assert_same(a: HeadModel, b: HeadModel) -> None:
    """Every field, every bit."""
    for field in dataclasses.fields(HeadModel):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes(), field.name
        elif field.name in ("regions", "landmarks"):
            assert list(x) == list(y)
            for name in x:
                assert x[name].dtype == y[name].dtype and np.array_equal(x[name], y[name]), name
        else:
            assert x == y, field.name


def sparse_head(seed: int = 0, vertices: int = 300, joints: int = 40) -> HeadModel:
    """A head whose weights, regressor and directions are mostly zeros, with a negative zero in each."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((vertices, joints), np.float32)
    for row in weights:
        row[rng.choice(joints, rng.integers(1, 5), replace=False)] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    weights[3, np.flatnonzero(weights[3] == 0)[0]] = -0.0
    regressor = np.zeros((joints, vertices), np.float32)
    regressor[np.arange(joints), rng.integers(0, vertices, joints)] = 1
    regressor[2, 7] = -0.0
    directions = np.zeros((vertices, 3, 6), np.float32)
    for target in range(5):  # and one that moves nothing
        directions[rng.choice(vertices, 9, replace=False), :, target] = rng.normal(size=(9, 3))
    directions[11, 1, 4] = -0.0
    return HeadModel(
        edition="standin", v_template=rng.normal(size=(vertices, 3)), faces=rng.integers(0, vertices, (20, 3)),
        exprdirs=directions, lbs_weights=weights, parents=np.arange(-1, joints - 1), J_regressor=regressor)


@pytest.mark.parametrize("kind", HEADS)
def test_round_trip(kind, tmp_path):
    head = tiny_head(**HEADS[kind])
    assert head_file.write(head, tmp_path / "head.safetensors") == tmp_path / "head.safetensors"
    assert_same(head, head_file.read(tmp_path / "head.safetensors"))


def test_personalised_head_keeps_the_hash_of_its_source(tmp_path):
    head = tiny_head(identity=True)
    person = head.personalise(np.array([0.5, -1.0]))
    head_file.write(person, tmp_path / "head.safetensors")
    again = head_file.read(tmp_path / "head.safetensors")
    assert_same(person, again)
    assert again.content_hash == head.content_hash and again.shapedirs is None


def test_names_regions_and_empty_tables(tmp_path):
    head = dataclasses.replace(
        tiny_head(), exprdirs=np.zeros((110, 3, 0)), expr_names=(), arkit_map=None, eyelid_space="posed",
        regions={"zz": np.array([3, 1]), "a b/ü": np.array([1]), "none": np.zeros(0, int)},
        landmarks={"full_lmk_faces_idx": np.array([[1, 2]]), "full_lmk_bary_coords": np.full((1, 2, 3), 1 / 3)})
    head_file.write(head, tmp_path / "head.safetensors")
    assert_same(head, head_file.read(tmp_path / "head.safetensors"))


def test_mostly_zero_tables_are_stored_sparsely_and_exactly(tmp_path):
    head = sparse_head()
    tensors, metadata = head_file.to_tensors(head)
    assert not {"lbs_weights", "J_regressor", "exprdirs"} & set(tensors)
    assert tensors["lbs_joints"].shape[1] <= 5 and tensors["lbs_joints"].dtype == np.uint16
    assert_same(head, head_file.from_tensors(tensors, metadata, "head"))
    head_file.write(head, tmp_path / "head.safetensors")
    assert_same(head, head_file.read(tmp_path / "head.safetensors"))
    assert (tmp_path / "head.safetensors").stat().st_size < 30_000 < head.lbs_weights.nbytes


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 12))
def test_any_mix_of_zeros_comes_back(seed, vertices, joints):
    rng = np.random.default_rng(seed)
    head = sparse_head(seed, vertices + 12, joints + 5)
    fill = rng.random() < 0.5
    directions = head.exprdirs + (rng.random(head.exprdirs.shape) < (0.9 if fill else 0.1)).astype(np.float32)
    head = dataclasses.replace(head, exprdirs=directions)
    assert_same(head, head_file.from_tensors(*head_file.to_tensors(head), "head"))


def test_equal_heads_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        head_file.write(tiny_head(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert head_file.sniff((tmp_path / "a").read_bytes()[:64])
    assert not head_file.sniff(save({"x": np.zeros(3)})[:64])


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "head.safetensors"
    head_file.write(tiny_head(), path)
    before = path.read_bytes()
    with pytest.raises(FormatError):
        head_file.write(tiny_head(), tmp_path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


# --- Files that are not -----------------------------------------------------------------------------------------------


def refused(tensors, metadata, *words):
    with pytest.raises(FormatError) as caught:
        head_file.from_tensors(tensors, metadata, "some.safetensors")
    message = str(caught.value)
    assert message.startswith("some.safetensors") and "\n" not in message
    for word in words:
        assert word in message, message


DENSE = {
    "v_template": [np.zeros((110, 2), "f4"), np.zeros((110, 3), "f8"), np.full((110, 3), np.nan, "f4"),
               np.zeros((110, 3), "i4"), np.zeros((), "f4")],
    "faces": [np.full((4, 3), 110, "i4"), np.full((4, 3), -1, "i4"), np.zeros((4, 3), "f4"), np.zeros(4, "i4"),
              np.full((4, 3), 2**40, "i8"), np.full((4, 3), 2**63, "u8")],
    "parents": [np.array([0, 0, 1, 1, 1], "i4"), np.array([-1, 2, 1, 1, 1], "i4"), np.zeros((5, 1), "i4"),
                np.zeros(4, "i4"), np.zeros((), "i4")],
    "lbs_weights": [np.zeros((110, 5), "f4"), np.full((110, 5), np.inf, "f4")],
    "exprdirs": [np.zeros((109, 3, 6), "f4"), np.zeros((110, 3, 5), "f4")],
    "posedirs": [np.zeros((110, 3, 35), "f4")],
    "uv_faces": [np.full((216, 3), 10**6, "i4")],
    "arkit_map": [np.zeros((52, 6), "f4")],
    "regions.face": [np.array([110], "i4"), np.zeros(3, "f4")],
    "landmarks.static_lmk_bary_coords": [np.full((5, 3), np.nan, "f4")],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in DENSE.items() for v in values])
def test_wrong_tables(name, value):
    tensors, metadata = head_file.to_tensors(tiny_head())
    refused(tensors | {name: value}, metadata, "weights" if name == "lbs_weights" else "")


@pytest.mark.parametrize("name", ["v_template", "faces", "exprdirs", "lbs_weights", "parents", "J_regressor", "uvs",
                                  "regions.face", "landmarks.static_lmk_faces_idx"])
def test_missing_tables(name):
    tensors, metadata = head_file.to_tensors(tiny_head())
    del tensors[name]
    refused(tensors, metadata, name.split(".")[0])


def bad_sparse():
    tensors, _ = head_file.to_tensors(sparse_head())
    joints, values = tensors["lbs_joints"], tensors["lbs_values"]
    yield {"lbs_joints": np.full_like(joints, 40)}, "lbs_joints"
    yield {"lbs_joints": np.zeros_like(joints)}, "twice"
    yield {"lbs_joints": joints[:, :2]}, "lbs_values"
    yield {"lbs_joints": joints[:-1]}, "lbs_joints"
    yield {"lbs_values": values * 2}, "sum to 1"
    yield {"lbs_values": np.full_like(values, np.nan)}, "not finite"
    yield {"lbs_values": None}, "lbs_values"
    yield {"lbs_weights": np.zeros((300, 40), "f4")}, "stored twice"
    yield {"J_regressor.vertices": tensors["J_regressor.vertices"] + 300}, "J_regressor.vertices"
    yield {"J_regressor.joints": tensors["J_regressor.joints"][::-1]}, "ascend"
    yield {"J_regressor.joints": tensors["J_regressor.joints"][:-1]}, "J_regressor.joints"
    yield {"J_regressor.values": np.full_like(tensors["J_regressor.values"], np.inf)}, "J_regressor.values"
    yield {"J_regressor.vertices": None}, "J_regressor.vertices"
    yield {"exprdirs.counts": tensors["exprdirs.counts"] + 1}, "exprdirs.counts"
    yield {"exprdirs.counts": -tensors["exprdirs.counts"]}, "exprdirs.counts"
    yield {"exprdirs.counts": np.array([2**31 - 1] * 3, "i4")}, "exprdirs.counts"
    yield {"exprdirs.indices": tensors["exprdirs.indices"][::-1]}, "ascend"
    yield {"exprdirs.indices": tensors["exprdirs.indices"] - 300}, "exprdirs.indices"
    yield {"exprdirs.values": tensors["exprdirs.values"][:, :2]}, "exprdirs.values"


@pytest.mark.parametrize(("change", "word"), list(bad_sparse()))
def test_wrong_sparse_tables(change, word):
    tensors, metadata = head_file.to_tensors(sparse_head())
    tensors = {k: v for k, v in (tensors | change).items() if v is not None}
    refused(tensors, metadata, word)


def test_a_small_file_does_not_unfold_to_a_huge_table(monkeypatch):
    tensors, metadata = head_file.to_tensors(sparse_head())
    parents = np.arange(-1, 2**21 - 1, dtype=np.int32)
    refused(tensors | {"parents": parents}, metadata, "lbs_weights", "more than")
    monkeypatch.setattr(head_file, "ELEMENT_LIMIT", 300 * 3 * 6 - 1)
    del tensors["lbs_joints"], tensors["lbs_values"], tensors["J_regressor.joints"], tensors["J_regressor.values"]
    refused(tensors, metadata, "exprdirs", "more than")


@pytest.mark.parametrize(("change", "word"), [
    ({"format": "flameport.head/9"}, "flameport.head/9"), ({"format": 1}, "format"), ({"edition": "flame1999"}, "flame1999"),
    ({"edition": None}, "edition"), ({"content_hash": ""}, "content_hash"), ({"content_hash": "g" * 64}, "content_hash"),
    ({"eyelid_space": "sideways"}, "eyelid_space"), ({"expr_names": ["a"]}, "expr_names"),
    ({"expr_names": "abc"}, "expr_names"), ({"expr_names": ["a"] * 6}, "expr_names"), ({"joint_names": [1]}, "joint_names"),
    ({"joint_roles": []}, "joint_roles"), ({"joint_roles": {"root": True}}, "joint_roles"),
    ({"joint_roles": {"tail": 0}}, "tail"), ({"joint_roles": {"root": 9}}, "root"), ({"regions": ["gone"]}, "regions.gone"),
])
def test_wrong_metadata(change, word):
    tensors, metadata = head_file.to_tensors(tiny_head())
    about = json.loads(metadata[head_file.METADATA_KEY]) | change
    refused(tensors, {head_file.METADATA_KEY: json.dumps(about)}, word)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "null"])
def test_metadata_that_is_no_json_object(text):
    tensors, _ = head_file.to_tensors(tiny_head())
    refused(tensors, {head_file.METADATA_KEY: text}, "flameport.head")


def test_other_tensors_are_left_out_and_named(caplog):
    tensors, metadata = head_file.to_tensors(tiny_head())
    assert_same(tiny_head(), head_file.from_tensors(tensors | {"extra": np.zeros(3)}, metadata, "head"))
    assert "extra" in caplog.text


def test_files_that_are_not(tmp_path):
    path = tmp_path / "head.safetensors"
    head_file.write(tiny_head(), path)
    data = path.read_bytes()
    with pytest.raises(MissingAsset):
        head_file.read(tmp_path / "absent.safetensors")
    huge = save({"x": np.zeros((0, 2), "f4")}).replace(b"[0,2]", b"[0,4611686018427387904,4611686018427387904]")
    huge = len(huge[8:].rstrip()).to_bytes(8, "little") + huge[8:].rstrip()
    for bad in (b"", data[:7], data[:100], data[:-1], data + b"x", b"\xff" * 8 + data[8:], save({"x": np.zeros(3)}),
                b"\x80\x02}q\x00.", huge):
        path.write_bytes(bad)
        with pytest.raises(FormatError, match="head.safetensors"):
            head_file.read(path)


@settings(max_examples=150, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5),
       near=st.booleans())
def test_damage_is_refused_or_read(tmp_path_factory, changes, near):
    path = tmp_path_factory.mktemp("damage") / "head.safetensors"
    head_file.write(sparse_head(vertices=20, joints=6), path)
    data = bytearray(path.read_bytes())
    for at, value in changes:
        data[at % (1500 if near else len(data))] = value
    path.write_bytes(data)
    try:
        head_file.read(path)
    except FormatError as error:
        assert "head.safetensors" in str(error)
