"""Pickles that try something: every one is refused by name and nothing of it runs; honest ones read in all protocols."""

import collections
import io
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.codecs import safe_pickle
from formats.codecs.sparse_matrix import SparseMatrix
from formats.errors import FormatError

HONEST = {
    "real": np.arange(6.0).reshape(2, 3),
    "column_order": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "empty": np.zeros((0, 3)),
    "csc": scipy.sparse.csc_matrix([[0, 2.0], [3, 0]]),
    "csr": scipy.sparse.csr_matrix([[0, 2.0], [3, 0]]),
    "coo": scipy.sparse.coo_matrix([[0, 2.0], [3, 0]]),
    "scalar": np.float64(2.5),
    "ordered": collections.OrderedDict(x=[1, 2]),
    "set": {1, 2, "x"},
    "plain": (None, True, False, -5, 300, 70000, 10**12, -(10**15), 1.5, "text ü", b"raw \xff", b"", [], {}, (1, 2, 3)),
    "boxed": np.array({"k": np.arange(3)}, dtype=object),
}


def refused(data: bytes, *words: str) -> None:
    with pytest.raises(FormatError) as caught:
        safe_pickle.load(data, "file.pkl")
    message = str(caught.value)
    assert message.startswith("file.pkl") and "\n" not in message
    for word in words:
        assert word in message, message


def array_stream(shape: bytes, dtype: bytes = b"U\x02f8", raw: bytes = b"U\x00", version: bytes = b"K\x01") -> bytes:
    """A protocol 2 array, each part as instructions of its own."""
    make = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    kind = b"cnumpy\ndtype\n(" + dtype + b"K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return b"\x80\x02" + make + b"(" + version + b"(" + shape + b"t" + kind + b"\x89" + raw + b"tb."


@pytest.mark.parametrize("protocol", range(6))
def test_reads_what_python_writes(protocol):
    found = safe_pickle.load(pickle.dumps(HONEST, protocol), "file.pkl")
    for name in ("real", "column_order", "empty"):
        assert found[name].dtype == HONEST[name].dtype and np.array_equal(found[name], HONEST[name])
    for name in ("csc", "csr", "coo"):
        assert isinstance(found[name], SparseMatrix)
        assert np.array_equal(found[name].dense("file.pkl"), [[0, 2], [3, 0]])
    for name in ("scalar", "ordered", "set", "plain"):
        assert found[name] == HONEST[name]
    assert np.array_equal(found["boxed"]["k"], [0, 1, 2])


def test_shared_values_stay_shared():
    part = [np.arange(3)]
    found = safe_pickle.load(pickle.dumps({"a": part, "b": part}), "file.pkl")
    assert found["a"] is found["b"]


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        safe_pickle.load(pickle.dumps(np.arange(3)), "file.pkl")[0] = 1


# --- Things that would run --------------------------------------------------------------------------------------------


def calls(canary: str) -> dict[str, tuple[bytes, str]]:
    """Streams that would write the canary file under `pickle.load`, and the name that must be in the message."""
    shell = f"touch {canary}".encode()
    code = f"open({canary!r}, 'w').close()".encode()

    def text(value: bytes) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value

    return {
        "os.system": (b"cos\nsystem\n(S'" + shell + b"'\ntR.", "os.system"),
        "posix.system": (b"\x80\x02cposix\nsystem\n" + text(shell) + b"\x85R.", "posix.system"),
        "eval by reduce": (b"\x80\x04" + text(b"builtins") + text(b"eval") + b"\x93" + text(code) + b"\x85R.",
                           "builtins.eval"),
        "exec of python 2": (b"c__builtin__\nexec\n(S\"" + code + b"\"\ntR.", "__builtin__.exec"),
        "subprocess": (b"\x80\x02csubprocess\ncall\n](" + text(b"touch") + text(canary.encode()) + b"e\x85R.",
                       "subprocess.call"),
        "getattr": (b"\x80\x04" + text(b"builtins") + text(b"getattr") + b"\x93.", "builtins.getattr"),
        "dotted name": (b"\x80\x04" + text(b"numpy") + text(b"ndarray.tofile") + b"\x93.", "numpy.ndarray.tofile"),
        "dotted module": (b"\x80\x04" + text(b"numpy.dtype.__class__") + text(b"mro") + b"\x93.",
                          "numpy.dtype.__class__.mro"),
        "stack global from the memo": (
            b"\x80\x04" + text(b"os") + b"\x94" + text(b"system") + b"\x94" + b"h\x00h\x01\x93" + text(shell) + b"\x85R.",
            "os.system"),
        "old-style instance": (b"(S'" + shell + b"'\nios\nsystem\n.", "INST"),
        "old-style object": (b"(N" + text(shell) + b"o.", "OBJ"),
        "extension code 1": (b"\x80\x02\x82\x01.", "EXT1"),
        "extension code 2": (b"\x80\x02\x83\x01\x00.", "EXT2"),
        "extension code 4": (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
        "numpy load": (b"\x80\x02cnumpy\nload\n.", "numpy.load"),
        "pickle in pickle": (b"\x80\x02c_pickle\nloads\n.", "_pickle.loads"),
        "runstring": (b"\x80\x02cnumpy.testing._private.utils\nrunstring\n.", "numpy.testing._private.utils.runstring"),
        "chumpy sum": (b"\x80\x02cchumpy.ch_ops\nadd\n)\x81}b.", "chumpy.ch_ops.add"),
        "chumpy transpose": (b"\x80\x02cchumpy.reordering\ntranspose\n)\x81}b.", "chumpy.reordering.transpose"),
        "torch": (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.", "torch._utils._rebuild_tensor_v2"),
    }


@pytest.mark.parametrize("name", calls("canary"))
def test_nothing_runs(name, tmp_path):
    canary = tmp_path / "canary"
    data, word = calls(str(canary))[name]
    refused(data, word)
    assert not canary.exists()


def test_the_canary_would_sing(tmp_path):
    """The streams above are real: Python's own reader runs the first one."""
    canary = tmp_path / "canary"
    pickle.loads(calls(str(canary))["os.system"][0])
    assert canary.exists()


def test_objects_with_their_own_reduce(tmp_path):
    class Trap:
        def __reduce__(self):
            return eval, (f"open({str(tmp_path / 'canary')!r}, 'w').close()",)

    for protocol in range(6):
        refused(pickle.dumps({"v_template": np.zeros(3), "f": Trap()}, protocol), ".eval")
        refused(pickle.dumps(np.array([Trap()], dtype=object), protocol), ".eval")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(("data", "word"), [
    (b"\x80\x02cchumpy.ch\nCh\nN}U\x05valueK\x01s\x86b.", "state to something that is no allowed object"),
    (b"\x80\x02cnumpy\nndarray\n}b.", "state to something"),
    (b"\x80\x02}}b.", "state to something"),
    (b"\x80\x02]}b.", "state to something"),
    (b"\x80\x02cchumpy.ch\nCh\n)\x81}b}b.", "not one dictionary"),
    (b"\x80\x02cchumpy.ch\nCh\n)\x81N}\x86b.", "not one dictionary"),
    (b"\x80\x02cchumpy.ch\nCh\n)\x81.", "has no 'x'"),
    (b"\x80\x02cchumpy.ch\nCh\nK\x01\x85\x81.", "makes an object of chumpy.ch.Ch"),
    (b"\x80\x02cchumpy.ch\nCh\n)R.", "only allowed as a class"),
    (b"\x80\x02cnumpy\ndtype\n)\x81.", "makes an object of numpy.dtype"),
    (b"\x80\x02cnumpy\nndarray\n)R.", "only allowed as a class"),
    (b"\x80\x02cnumpy\nndarray\n(K\x05tR.", "only allowed as a class"),
    (b"\x80\x02K\x01)R.", "no allowed name"),
    (b"\x80\x02cnumpy\ndtype\n]R.", "no allowed name"),
    (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cchumpy.ch\nCh\nK\x00\x85U\x01btR.", "_reconstruct is called"),
    (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85U\x01btR.", "_reconstruct"),
    (b"\x80\x02ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nset\nNtR.", "_reconstructor is called"),
    (b"\x80\x02ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.", "_reconstructor is called"),
    (b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aU\x05rot13tR.", "_codecs.encode is called"),
    (b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.", "bytes is called"),
    (b"\x80\x02cnumpy\ndtype\n.", "holds the class"),
    (b"\x80\x02K\x01K\x02\x93.", "a name is not a text"),
    (b"P1\n.", "persistent id"),
    (b"\x80\x02K\x01Q.", "persistent id"),
    (b"\x80\x05\x97.", "NEXT_BUFFER"),
    (b"\x80\x04cchumpy.ch\nCh\n)}\x92.", "NEWOBJ_EX"),
    (b"\x80\x06N.", "protocol 6"),
    (b"\x80\xffN.", "protocol 255"),
])
def test_abuse_of_what_is_allowed(data, word):
    refused(data, word)


# --- Arrays that are not ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "word"), [
    (array_stream(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f"), "takes"),
    (array_stream(b"\x8a\x08" + struct.pack("<q", 1 << 62)), "shape"),
    (array_stream(b"K\x00" + b"J\xff\xff\xff\x7f" * 4), "shape"),
    (array_stream(b"J\xff\xff\xff\xff"), "shape"),
    (array_stream(b"K\x01" * 40), "shape"),
    (array_stream(b"\x88"), "shape"),
    (array_stream(b"K\x01", raw=b"U\x07" + bytes(7)), "takes 8 bytes, the file has 7"),
    (array_stream(b"K\x01", raw=b"N"), "the file has None"),
    (array_stream(b"K\x01", raw=b"X\x02\x00\x00\x00\xc4\x80"), "above 255"),
    (array_stream(b"K\x02", b"U\x02O8", b"](NNe"), "2 Python objects"),
    (array_stream(b"K\x01", b"U\x02V8"), "numpy.dtype 'V8'"),
    (array_stream(b"K\x01", b"U\x03M8s"), "numpy.dtype 'M8s'"),
    (array_stream(b"K\x01", b"U\x05f8,f8"), "numpy.dtype 'f8,f8'"),
    (array_stream(b"K\x01", b"U\x02S0"), "numpy.dtype 'S0'"),
    (array_stream(b"K\x01", b"]"), "numpy.dtype is called"),
    (array_stream(b"K\x01", b"U\x02f8", b"U\x08" + bytes(8))[:-1] + b"(K\x01K\x01\x85NNNtb.", "an array's state"),
    (b"\x80\x02cnumpy\ndtype\n(U\x02f8K\x00K\x01tR(K\x03U\x01<N(U\x01at}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.",
     "no plain type"),
    (b"\x80\x02cnumpy.core.multiarray\nscalar\n(K\x01U\x01atR.", "not a numpy.dtype"),
    (pickle.dumps(np.array([{}, {}], dtype=object)), "2 Python objects"),
    (pickle.dumps(np.zeros(2, "f4,i4")), "numpy.dtype 'V8'"),
    (pickle.dumps(np.array(["2020-01-01"], "M8[D]")), "numpy.dtype 'M8'"),
])
def test_arrays_that_are_not(data, word):
    refused(data, word)


@pytest.mark.parametrize(("change", "word"), [
    ({"indptr": np.array([0, 1, 5])}, "'indptr'"),
    ({"indptr": np.array([0, 3, 2])}, "'indptr'"),
    ({"indptr": np.array([0, 2])}, "'indptr'"),
    ({"indptr": np.array([0, 2**63 - 1, -(2**63) + 5, 2])}, "'indptr'"),
    ({"indices": np.array([0, 2])}, "span 0..2"),
    ({"indices": np.array([-1, 0])}, "span -1..0"),
    ({"data": np.array([1.0])}, "1 values"),
    ({"data": [1.0, 2.0]}, "'data' is not a list of numbers"),
    ({"_shape": (2**20, 2**20)}, "more than"),
    ({"_shape": (-2, 2)}, "shape of two sizes"),
    ({"_shape": (2, 2, 2)}, "shape of two sizes"),
])
def test_sparse_matrices_that_are_not(change, word):
    state = {"data": np.array([2.0, 3.0]), "indices": np.array([1, 0]), "indptr": np.array([0, 1, 2]), "_shape": (2, 2)}
    assert np.array_equal(SparseMatrix("csc", state).dense("f"), [[0, 3], [2, 0]])
    with pytest.raises(FormatError, match=word):
        SparseMatrix("csc", state | change).dense("file.pkl")


def test_entries_named_twice_add_up():
    state = {"row": np.array([0, 0]), "col": np.array([1, 1]), "data": np.array([2, 3]), "_shape": (1, 2)}
    assert np.array_equal(SparseMatrix("coo", state).dense("f"), [[0, 5]])


# --- Things that would be large or endless ----------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "word"), [
    (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62), "the file ends"),
    (b"\x80\x05\x96" + struct.pack("<Q", 1 << 40), "the file ends"),
    (b"\x80\x04\x8d" + struct.pack("<Q", (1 << 64) - 1), "the file ends"),
    (b"B\xff\xff\xff\xff", "the file ends"),
    (b"T\xff\xff\xff\xff.", "negative length"),
    (b"\x8b\xff\xff\xff\x7f.", "a whole number of"),
    (b"\x8b" + struct.pack("<i", 65) + bytes(65) + b".", "a whole number of 65 bytes"),
    (b"I" + b"9" * 5000 + b"\n.", "not written as one"),
    (b"L0x10L\n.", "not written as one"),
    (b"F" + b"9" * 5000 + b"\n.", "not written as one"),
    (b"Inothing\n.", "not written as one"),
    (b"S'\\x1'\n.", "broken escape"),
    (b"Sabc\n.", "quotation marks"),
    (b"X\x01\x00\x00\x00\xff.", "not utf-8"),
    (b"0.", "empty stack"),
    (b"(0.", "empty stack"),
    (b"1.", "mark"),
    (b".", "something else than one value"),
    (b"NN.", "something else than one value"),
    (b"(N.", "something else than one value"),
    (b"h\x05.", "not remembered"),
    (b"q\x05.", "empty stack"),
    (b"NNa.", "adds to a list"),
    (b"N(Ne.", "adds to a list"),
    (b"](NNu.", "adds to a dictionary"),
    (b"}(Nu.", "a key and no value"),
    (b"}NNs.", "key or set element is None"),
    (b"}G\x00\x00\x00\x00\x00\x00\x00\x00Ns.", "key or set element is 0.0"),
    (b"}\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x1fNs.", "key or set element"),
    (b"}K\x01\x85Ns.", "key or set element"),
    (b"\x8f(]\x90.", "key or set element"),
    (b"]q\x00h\x00a.", "without end"),
    (b"}q\x00U\x01ah\x00s.", "without end"),
    (b"]" * 1000 + b"a" * 999 + b".", "deep"),
    (b"N" + b"\x85" * 200_000 + b".", "deep"),
    (b"N0" * 600_000 + b"N.", "instructions"),
    (b"", "the file ends"),
    (b"PK\x03\x04 this is a zip", "the file ends"),
    (b"hello", "not remembered"),
    (b"# Blender v2.82 OBJ File\n", "no instruction"),
])
def test_damaged_or_made_to_hurt(data, word):
    refused(data, word)


def test_a_memo_index_costs_nothing():
    tracemalloc.start()
    try:
        assert safe_pickle.load(b"\x80\x02Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.", "file.pkl") is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_doubled_tuples_are_one_object_each():
    """2**60 leaves if written out; as a key they would be hashed one by one."""
    found = safe_pickle.load(b"N" + b"2\x86" * 60 + b".", "file.pkl")
    assert found[0] is found[1]
    refused(b"}N" + b"2\x86" * 60 + b"Ns.", "key or set element is a tuple")


def test_copies_of_one_text_are_counted():
    """One text of a megabyte, made into bytes again and again."""
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00"
    again = b"c_codecs\nencode\n(h\x00U\x06latin1tR0"
    assert safe_pickle.load(b"\x80\x02" + text + again * 10 + b".", "file.pkl")
    refused(b"\x80\x02" + text + again * 100 + b".", "far more than the file holds")


def test_select_counts_what_it_makes():
    """A chain of selections, each of which makes the same array anew."""
    def dump(value: object) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    ids = dump(np.zeros(100_000, np.int64)) + b"r\x00\x10\x00\x000"
    shape = b"U\x0fpreferred_shapeJ" + struct.pack("<i", 100_000) + b"\x85"

    def select(source: bytes) -> bytes:
        return b"cchumpy.reordering\nSelect\n)\x81}(U\x01a" + source + b"U\x04idxsj\x00\x10\x00\x00" + shape + b"ub"

    one = select(dump(np.arange(5.0)))
    assert len(safe_pickle.load(b"\x80\x02" + ids + one + b".", "file.pkl")) == 100_000
    many = b"".join(select(b"j\x01\x10\x00\x00") for _ in range(40))
    stream = b"\x80\x02" + ids + dump(np.arange(5.0)) + b"r\x01\x10\x00\x000(" + many + b"l."
    refused(stream, "far more than the file holds")


def test_a_whole_file_is_bounded(monkeypatch):
    monkeypatch.setattr(safe_pickle, "BYTE_LIMIT", 10)
    refused(pickle.dumps(HONEST), "more than the 10")


def test_every_cut_is_refused():
    data = pickle.dumps(HONEST, 4)
    for end in range(len(data)):
        refused(data[:end])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6))
def test_damage_is_refused_or_read_and_never_anything_else(protocol, changes):
    data = bytearray(pickle.dumps(HONEST, protocol))
    for at, value in changes:
        data[at % len(data)] = value
    try:
        found = safe_pickle.load(bytes(data), "file.pkl")
        for value in found.values() if isinstance(found, dict) else ():
            if isinstance(value, SparseMatrix):
                value.dense("file.pkl")
    except FormatError:
        pass


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused_or_read(data):
    try:
        safe_pickle.load(data, "file.pkl")
    except FormatError:
        pass


def test_one_after_another():
    file = io.BytesIO()
    pickle.dump(1, file)
    pickle.dump([2], file)
    first, at = safe_pickle.load_next(file.getvalue(), "file.pkl", 0)
    assert (first, safe_pickle.load_next(file.getvalue(), "file.pkl", at)[0]) == (1, [2])
