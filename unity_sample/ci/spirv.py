"""What a SPIR-V module binds: names, slots, sorts of resources, and where the members of its uniform block lie.

Reads the binary form (SPIR-V specification 1.6, sections 2.3 and 3.42). Only what glslang and slang emit for our shaders.
"""

import struct
from dataclasses import dataclass, field

MAGIC = 0x07230203
NAME, MEMBER_NAME, DECORATE, MEMBER_DECORATE = 5, 6, 71, 72
TYPE_INT, TYPE_FLOAT, TYPE_VECTOR, TYPE_IMAGE, TYPE_SAMPLER, TYPE_SAMPLED_IMAGE = 21, 22, 23, 25, 26, 27
TYPE_POINTER, VARIABLE, ENTRY_POINT, CONSTANT, ACCESS_CHAIN = 32, 59, 15, 43, 65
BLOCK, BUFFER_BLOCK, NON_WRITABLE, BINDING, SET, OFFSET = 2, 3, 24, 33, 34, 35
STORAGE_BUFFER, UNIFORM, UNIFORM_CONSTANT = 12, 2, 0


@dataclass(frozen=True)
class Slot:
    """One bound resource."""

    name: str
    group: int
    binding: int
    sort: str
    """`read` and `write` (storage buffers), `uniform`, `texture`, `sampler`."""


@dataclass(eq=False)
class Reflection:
    """What a module binds."""

    entry: str = ""
    slots: dict[str, Slot] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    """Bytes into the uniform block, by the name of the loose global; only those that the code reads."""
    floats: set[str] = field(default_factory=set)
    """Which of them are floats; the others are whole numbers."""


def reflect(code: bytes) -> Reflection:
    """Return what the module `code` binds, by its HLSL names.

    Raises:
        ValueError: It is no SPIR-V.
    """
    words = list(struct.unpack(f"<{len(code) // 4}I", code))
    if not words or words[0] != MAGIC:
        raise ValueError("no SPIR-V: expected the magic number 0x07230203")
    names: dict[int, str] = {}
    members: dict[tuple[int, int], str] = {}
    decorations: dict[int, dict[int, int]] = {}
    member_decorations: dict[tuple[int, int], dict[int, int]] = {}
    types: dict[int, tuple[int, list[int]]] = {}
    variables: list[tuple[int, int, int]] = []
    constants: dict[int, int] = {}
    chains: list[tuple[int, int]] = []
    out = Reflection()
    at = 5
    while at < len(words):
        size, op = words[at] >> 16, words[at] & 0xFFFF
        args = words[at + 1:at + size]
        if op == NAME:
            names[args[0]] = _text(args[1:])
        elif op == MEMBER_NAME:
            members[args[0], args[1]] = _text(args[2:])
        elif op == DECORATE:
            decorations.setdefault(args[0], {})[args[1]] = args[2] if len(args) > 2 else 1
        elif op == MEMBER_DECORATE:
            member_decorations.setdefault((args[0], args[1]), {})[args[2]] = args[3] if len(args) > 3 else 1
        elif op == ENTRY_POINT:
            out.entry = _text(args[2:])
        elif TYPE_INT <= op <= TYPE_POINTER:
            types[args[0]] = (op, args[1:])
        elif op == CONSTANT:
            constants[args[1]] = args[2]
        elif op == ACCESS_CHAIN:
            chains.append((args[2], args[3]))
        elif op == VARIABLE:
            variables.append((args[1], args[0], args[2]))
        at += size
    for identity, pointer, storage in variables:
        said = decorations.get(identity, {})
        if BINDING not in said:
            continue
        pointed = types[pointer][1][1]
        op, parts = types[pointed]
        if op == TYPE_SAMPLER:
            sort = "sampler"
        elif op in (TYPE_IMAGE, TYPE_SAMPLED_IMAGE):
            sort = "texture"
        elif storage == STORAGE_BUFFER or BUFFER_BLOCK in decorations.get(pointed, {}):
            fixed = NON_WRITABLE in said or NON_WRITABLE in member_decorations.get((pointed, 0), {})
            sort = "read" if fixed else "write"
        else:
            sort = "uniform"
            read = {constants[member] for base, member in chains if base == identity}
            for member in sorted(read):
                name = members[pointed, member]
                out.offsets[name] = member_decorations[pointed, member][OFFSET]
                element = parts[member]
                while types[element][0] == TYPE_VECTOR:
                    element = types[element][1][0]
                if types[element][0] == TYPE_FLOAT:
                    out.floats.add(name)
        name = names.get(identity) or names.get(pointed, "")
        if sort == "uniform":
            name = "$Globals"
        out.slots[name] = Slot(name, said.get(SET, 0), said[BINDING], sort)
    return out


def _text(words: list[int]) -> str:
    return struct.pack(f"<{len(words)}I", *words).split(b"\0", 1)[0].decode()


def in_group(code: bytes, group: int) -> bytes:
    """Return the module with everything it binds in descriptor set `group`, so that two stages' numbers do not meet."""
    words = list(struct.unpack(f"<{len(code) // 4}I", code))
    at = 5
    while at < len(words):
        if words[at] & 0xFFFF == DECORATE and words[at + 2] == SET:
            words[at + 3] = group
        at += words[at] >> 16
    return struct.pack(f"<{len(words)}I", *words)
