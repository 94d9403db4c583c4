"""Numbers by which Unity's files name objects that importers make: 64 bits of xxHash of the object's type and identifier.

Unity does not document this. It gives the number under which every project refers to Shader Graph's shaders (identifier `MainAsset`)
and to the Input System's action assets (`<root>`), which `tests/unity/test_static.py` checks. So a scene that is written by hand can
name what a scripted importer will make.
"""

_MASK = (1 << 64) - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
SCRIPT, MAIN, SHADER, COMPUTE, TEXT = 11500000, 11400000, 4800000, 7200000, 4900000
"""Of a C# file, of an asset file's own object, and of what Unity's importers make of shaders and texts."""


def imported(kind: str, identifier: str) -> int:
    """Return the number of what a scripted importer added as `identifier`; `kind` is the native type's name.

    Scriptable objects are of type `MonoBehaviour` there.
    """
    value = xxh64(f"Type:{kind}->{identifier}0".encode())
    return value - (1 << 64) if value >> 63 else value


def xxh64(data: bytes, seed: int = 0) -> int:
    """Return the xxHash of 64 bits of `data` (Collet's specification, XXH64)."""
    at, size = 0, len(data)
    if size >= 32:
        lanes = [seed + _P1 + _P2 & _MASK, seed + _P2 & _MASK, seed, seed - _P1 & _MASK]
        while at <= size - 32:
            lanes = [_round(lane, _word(data, at + 8 * i, 8)) for i, lane in enumerate(lanes)]
            at += 32
        value = sum(_turned(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            value = (value ^ _round(0, lane)) * _P1 + _P4 & _MASK
    else:
        value = seed + _P5 & _MASK
    value = value + size & _MASK
    while at + 8 <= size:
        value = _turned(value ^ _round(0, _word(data, at, 8)), 27) * _P1 + _P4 & _MASK
        at += 8
    if at + 4 <= size:
        value = _turned(value ^ _word(data, at, 4) * _P1 & _MASK, 23) * _P2 + _P3 & _MASK
        at += 4
    for byte in data[at:]:
        value = _turned(value ^ byte * _P5 & _MASK, 11) * _P1 & _MASK
    value = (value ^ value >> 33) * _P2 & _MASK
    value = (value ^ value >> 29) * _P3 & _MASK
    return value ^ value >> 32


def _word(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at:at + size], "little")


def _turned(value: int, by: int) -> int:
    return (value << by | value >> 64 - by) & _MASK


def _round(lane: int, word: int) -> int:
    return _turned(lane + word * _P2 & _MASK, 31) * _P1 & _MASK
