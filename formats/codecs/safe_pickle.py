"""Arrays out of a pickle from a stranger, without running anything in it.

A pickle is a program for a small stack machine that may import any name and call it. This is another machine for the
same instructions (protocols 0 to 5) that cannot: a name is looked up in a table of our own (`pickle_records.ALLOWED`),
never imported; a call runs one of our functions, which check their arguments; a state goes only into our own records.
Whatever else a file asks for is refused by its full name. An `Unpickler` subclass with a `find_class` would do less:
the C one fills memory at one instruction (a memo index of two thousand million), and lets a file set attributes on
the very classes that the table allows.

What a hostile file can cost is bounded too: its size, its instructions, the bytes that it makes us copy, the depth of
what it builds, and the kinds of dictionary keys. An array never takes more memory than the file has bytes for it.

Format: the comments in CPython's Lib/pickletools.py.
"""

import codecs
import mmap
import re
import struct
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from formats.codecs.pickle_records import ALLOWED, Late, Name, Record, key
from formats.codecs.sparse_matrix import SparseMatrix
from formats.codecs.torch_tensor import Span, TorchTensor
from formats.errors import FormatError

BYTE_LIMIT = 512 << 20
"""A FLAME pickle has about 53 MB, four times as many where it is text (protocol 0)."""
INSTRUCTION_LIMIT = 1 << 20
"""A FLAME pickle has a few hundred; lists of landmark arrays a few thousand."""
DEPTH_LIMIT = 64
NUMBER_LIMIT = 64
"""Characters or bytes of one whole number."""
COPY_FACTOR, COPY_SPARE = 4, 16 << 20
"""Bytes we may copy for a file: this many times its own, and some more."""
LATE_BYTES = 64 << 10
"""Texts and bytes of this length and more stay in the file when it is read lazily."""
LATE_COPIES = 512 << 20
"""Bytes we may copy for a file that is read lazily, whose size may be beyond memory."""

__all__ = ["SparseMatrix", "load", "load_next"]


def load(data: bytes, where: str, extra: Mapping[str, Name | Record] | None = None,
         persistent: Callable[[Any], Any] | None = None) -> Any:
    """Return what the pickle `data` holds, as plain Python values, read-only NumPy arrays and `SparseMatrix`.

    chumpy arrays come back as the array they hold, an array of one Python object as that object, an ordered
    dictionary as a dictionary. Bytes that Python 2 wrote come back as text, one character each (latin1).

    Args:
        data: The whole file.
        where: The file's name, for messages.
        extra: More names to allow, for files whose kind is known.
        persistent: What to make of a persistent id; absent, a file that uses them is refused.

    Raises:
        FormatError: It is no whole pickle, uses a name or an instruction that is not allowed, or is out of bounds.
    """
    return load_next(data, where, 0, extra, persistent)[0]


def load_next(data: bytes | mmap.mmap, where: str, start: int, extra: Mapping[str, Name | Record] | None = None,
              persistent: Callable[[Any], Any] | None = None, late: Span | None = None) -> tuple[Any, int]:
    """Return the value of the pickle that begins at byte `start`, and where it ends. See `load`.

    Args:
        data: The bytes, or the mapped file.
        where: The file's name, for messages.
        start: Where the pickle begins in `data`.
        extra: More names to allow.
        persistent: What to make of a persistent id.
        late: Where the pickle lies in its file (the same bytes as in `data`). Given, long texts are skipped, and the
            arrays in them come as `TorchTensor`, whatever the file's size.
    """
    if late is None and len(data) > BYTE_LIMIT:
        raise FormatError(f"{where}: {len(data)} bytes, more than the {BYTE_LIMIT} a pickle may have here")
    machine = _Machine(data, where, start, ALLOWED | dict(extra or {}), persistent, late)
    root = machine.run()
    return _Plain(machine).resolve(root), machine.at


class _Machine:
    def __init__(self, data: bytes | mmap.mmap, where: str, start: int, names: Mapping[str, Name | Record],
                 persistent: Callable[[Any], Any] | None, late: Span | None) -> None:
        self.data, self.where, self.at, self.names, self.persistent = data, where, start, names, persistent
        self.late = late
        self.end = len(data) if late is None else late.start + late.nbytes
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.allowance = COPY_FACTOR * (self.end - start) + COPY_SPARE
        if late is not None:
            self.allowance = min(self.allowance, LATE_COPIES)

    def run(self) -> Any:
        for _ in range(INSTRUCTION_LIMIT):
            code = self.take(1)
            if code == b".":
                if len(self.stack) != 1 or self.marks:
                    raise self.refuse("the pickle ends with something else than one value")
                return self.stack[0]
            step = _STEPS.get(code)
            if step is None:
                reason = _REFUSED.get(code, "is no instruction of pickle protocols 0 to 5; not a pickle?")
                raise self.refuse(f"instruction {code!r} {reason}")
            step(self)
        raise self.refuse(f"more than {INSTRUCTION_LIMIT} instructions; no head takes that many")

    def refuse(self, message: str) -> FormatError:
        return FormatError(f"{self.where}: byte {self.at}: {message}")

    def charge(self, size: int) -> None:
        self.allowance -= size
        if self.allowance < 0:
            raise self.refuse("builds far more than the file holds; refused as a trap")

    # Reading

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > self.end:
            raise self.refuse(f"the file ends, {count} more bytes were announced; cut short, or not a pickle")
        piece, self.at = self.data[self.at:end], end
        return piece

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.at, self.end)
        if end < 0:
            raise self.refuse("the file ends within a line; cut short, or not a pickle")
        piece, self.at = self.data[self.at:end], end + 1
        return piece

    def number(self, form: str) -> int:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def counted(self, form: str) -> bytes:
        count = self.number(form)
        if count < 0:
            raise self.refuse(f"a negative length ({count})")
        if self.late is not None:
            self.charge(count)
        return self.take(count)

    def long_piece(self, form: str, text: bool) -> str | bytes | Late:
        if self.late is not None:
            start, count = self.at, self.number(form)
            if count >= LATE_BYTES:
                if count > self.end - self.at:
                    raise self.refuse(f"the file ends, {count} more bytes were announced; cut short")
                self.at += count
                return Late(Span(self.late.path, self.at - count, count), text)
            self.at = start
        piece = self.counted(form)
        return self.decoded(piece, "utf-8") if text else piece

    def decoded(self, piece: bytes, encoding: str) -> str:
        try:
            return piece.decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")
        except UnicodeDecodeError as error:
            raise self.refuse(f"a text is not {encoding}") from error

    def integer_line(self) -> int:
        text = self.line()
        if len(text) > NUMBER_LIMIT or not re.fullmatch(rb"\s*[+-]?\d+L?\s*", text):
            raise self.refuse("a whole number is not written as one")
        return int(text.strip().rstrip(b"L"))

    # The stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.refuse("takes a value from an empty stack; damaged, or not a pickle")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise self.refuse("looks for a mark that was not set; damaged, or not a pickle")
        height = self.marks.pop()
        items = self.stack[height:]
        del self.stack[height:]
        return items

    def top(self, kind: type, what: str) -> Any:
        value = self.pop()
        if type(value) is not kind:
            raise self.refuse(f"adds to {what}, but there is none")
        self.push(value)
        return value

    # What instructions do beyond that

    def remember(self, index: int) -> None:
        value = self.pop()
        self.push(value)
        self.memo[index] = value

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise self.refuse(f"recalls value {index}, which was not remembered")
        self.push(self.memo[index])

    def find(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.refuse("a name is not a text")
        full = f"{module}.{name}"
        if full not in self.names:
            short = full if len(full) <= 200 and full.isprintable() else ascii(full[:200])
            hint = ("an evaluated chumpy object, which cannot be read without running it; save it again as plain NumPy "
                    "arrays" if module.split(".")[0] == "chumpy" else "nothing was run; is the file what it claims?")
            raise self.refuse(f"uses '{short}', which no head file needs: {hint}")
        self.push(self.names[full])

    def call(self) -> None:
        arguments, target = self.pop(), self.pop()
        if not isinstance(target, Name) or not isinstance(arguments, tuple):
            raise self.refuse("calls something that is no allowed name")
        if target.call is None:
            raise self.refuse(f"calls '{target.name}', which is only allowed as a class")
        self.push(target.call(self, arguments))

    def new(self) -> None:
        arguments, target = self.pop(), self.pop()
        if not isinstance(target, Name) or target.new is None or arguments != ():
            name = target.name if isinstance(target, Name) else "something that is no allowed class"
            raise self.refuse(f"makes an object of {name} in a way that is not allowed")
        self.push(target.new())

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if type(target) is dict and isinstance(state, dict) and "_metadata" in state:  # an ordered one's attributes
            self.push(target)
            return
        if not isinstance(target, Record):
            raise self.refuse("gives a state to something that is no allowed object")
        target.build(self, state)
        self.push(target)

    def identify(self, pid: Any) -> None:
        if self.persistent is None:
            raise self.refuse("uses a persistent id, which no head file needs")
        self.push(self.persistent(pid))

    def duplicate(self) -> None:
        value = self.pop()
        self.stack += [value, value]

    def append(self, items: list[Any]) -> None:
        self.top(list, "a list").extend(items)

    def set_items(self, pairs: list[Any], fresh: dict[Any, Any] | None = None) -> None:
        if len(pairs) % 2:
            raise self.refuse("a dictionary entry has a key and no value")
        if fresh is not None:
            self.push(fresh)
        target = self.top(dict, "a dictionary")
        for k, v in zip(pairs[::2], pairs[1::2], strict=True):
            target[key(self, k)] = v

    def add_items(self, items: list[Any], fresh: set[Any] | None = None) -> None:
        if fresh is not None:
            self.push(fresh)
        self.top(set, "a set").update(key(self, item) for item in items)

    def small_tuple(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(items)))

    def protocol(self) -> None:
        version = self.number("<B")
        if version > 5:
            raise self.refuse(f"pickle protocol {version}; expected 0 to 5")

    def integer_or_bool(self) -> None:
        if self.data[self.at:self.at + 3] in (b"00\n", b"01\n"):
            self.push(self.line() == b"01")
        else:
            self.push(self.integer_line())

    def float_line(self) -> None:
        text = self.line()
        if len(text) > NUMBER_LIMIT or not re.fullmatch(rb"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", text):
            raise self.refuse("a number is not written as one")
        self.push(float(text))

    def long(self, form: str) -> None:
        count = self.number(form)
        if not 0 <= count <= NUMBER_LIMIT:
            raise self.refuse(f"a whole number of {count} bytes")
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def quoted(self) -> None:
        text = self.line().strip()
        if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
            raise self.refuse("a text has no quotation marks")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes that Python does not know and keeps as they are
            try:
                piece = codecs.escape_decode(text[1:-1])[0]
            except ValueError as error:
                raise self.refuse("a text has a broken escape") from error
        self.push(piece.decode("latin1"))


_STEPS: dict[bytes, Callable[[_Machine], object]] = {
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"0": _Machine.pop,
    b"1": _Machine.pop_to_mark,
    b"2": _Machine.duplicate,
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _Machine.integer_or_bool,
    b"L": lambda m: m.push(m.integer_line()),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.long("<B"),
    b"\x8b": lambda m: m.long("<i"),
    b"F": _Machine.float_line,
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"S": _Machine.quoted,
    b"T": lambda m: m.push(m.counted("<i").decode("latin1")),
    b"U": lambda m: m.push(m.counted("<B").decode("latin1")),
    b"V": lambda m: m.push(m.decoded(m.line(), "raw-unicode-escape")),
    b"X": lambda m: m.push(m.long_piece("<I", text=True)),
    b"\x8c": lambda m: m.push(m.decoded(m.counted("<B"), "utf-8")),
    b"\x8d": lambda m: m.push(m.long_piece("<Q", text=True)),
    b"B": lambda m: m.push(m.long_piece("<I", text=False)),
    b"C": lambda m: m.push(m.counted("<B")),
    b"\x8e": lambda m: m.push(m.long_piece("<Q", text=False)),
    b"\x96": lambda m: m.push(m.long_piece("<Q", text=False)),  # a bytearray; nothing here writes to it
    b"\x98": lambda m: None,  # makes the buffer on top read-only, which it is
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.pop_to_mark())),
    b"\x85": lambda m: m.small_tuple(1),
    b"\x86": lambda m: m.small_tuple(2),
    b"\x87": lambda m: m.small_tuple(3),
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.pop_to_mark()),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.pop_to_mark()),
    b"}": lambda m: m.push({}),
    b"d": lambda m: m.set_items(m.pop_to_mark(), {}),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    b"\x8f": lambda m: m.push(set()),
    b"\x90": lambda m: m.add_items(m.pop_to_mark()),
    b"\x91": lambda m: m.add_items(m.pop_to_mark(), set()),
    b"p": lambda m: m.remember(m.integer_line()),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"g": lambda m: m.recall(m.integer_line()),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"c": lambda m: m.find(m.decoded(m.line(), "utf-8"), m.decoded(m.line(), "utf-8")),
    b"\x93": lambda m: m.find(*[m.pop(), m.pop()][::-1]),
    b"R": _Machine.call,
    b"\x81": _Machine.new,
    b"b": _Machine.build,
    b"P": lambda m: m.identify(m.decoded(m.line(), "utf-8")),
    b"Q": lambda m: m.identify(m.pop()),
    b"\x80": _Machine.protocol,
    b"\x95": lambda m: m.number("<Q"),  # a frame's length: a hint for reading ahead
}
"""What each instruction does; pickletools names them in the same groups."""

_REFUSED = {
    b"\x82": "(EXT1) calls by a registered number, which is not allowed",
    b"\x83": "(EXT2) calls by a registered number, which is not allowed",
    b"\x84": "(EXT4) calls by a registered number, which is not allowed",
    b"i": "(INST) makes an object of an old-style class, which is not allowed",
    b"o": "(OBJ) makes an object of an old-style class, which is not allowed",
    b"\x92": "(NEWOBJ_EX) makes an object with keywords, which is not allowed",
    b"\x97": "(NEXT_BUFFER) needs data from outside the file",
}


class _Plain:
    """Turns records into plain data, each object once however often it is shared: a small file stays small."""

    def __init__(self, machine: _Machine) -> None:
        self._machine = machine
        self._done: dict[int, Any] = {}
        self._depth = 0

    def resolve(self, value: Any) -> Any:
        if value is None or isinstance(value, str | bytes | int | float | set | np.ndarray | TorchTensor):
            return value
        if id(value) in self._done:
            return self._done[id(value)]
        if isinstance(value, Name):
            raise self._machine.refuse(f"holds the class '{value.name}' where data belongs")
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self._machine.refuse(f"values within values, more than {DEPTH_LIMIT} deep or without end")
        if isinstance(value, Record):
            result = value.value(self._machine, self.resolve)
        elif isinstance(value, dict):
            result = {k: self.resolve(v) for k, v in value.items()}
        else:
            result = type(value)(self.resolve(v) for v in value)
        self._depth -= 1
        self._done[id(value)] = result
        return result
