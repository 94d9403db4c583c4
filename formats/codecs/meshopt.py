"""The bitstreams of `EXT_meshopt_compression`, version 0: rows of bytes, sequences of indices, and its float filter.

    packed = encode_rows(rows)                    # [count, stride] bytes, stride a multiple of 4
    rows = decode_rows(packed, count, stride)

Written from the extension's specification (glTF, ratified, appendices A and B). Rows are split into blocks, a block into
planes (byte 0 of each row, byte 1, ...), a plane into groups of 16 zigzag differences from the row before, which take 0, 2,
4 or 8 bits each. Neighbouring rows should be alike: order them in space before.
"""

import numpy as np
from jaxtyping import Float32, UInt8, UInt32

from formats.errors import FormatError

ROWS_MAGIC = 0xA0
INDICES_MAGIC = 0xD1
GROUP = 16
BLOCK_BYTES, BLOCK_ROWS = 8192, 256
TAIL = 32
"""Bytes that end the rows at least, the first row among them, so that a decoder may read ahead."""
_CODES = [bytes([byte >> shift & 3 for shift in (0, 2, 4, 6)]) for byte in range(256)]
"""Widths of four groups, by the byte that says them."""
MANTISSA_LIMIT = (1 << 23) - 1
EXPONENTS = (-100, 100)


def block_rows(stride: int) -> int:
    """Return how many rows of `stride` bytes a block has."""
    return min(BLOCK_BYTES // stride & ~(GROUP - 1), BLOCK_ROWS)


# --- Rows -------------------------------------------------------------------------------------------------------------


def encode_rows(rows: UInt8[np.ndarray, "N S"]) -> bytes:
    """Return rows in mode ATTRIBUTES; S is a multiple of 4 up to 256."""
    count, stride = rows.shape
    assert count and stride and not stride % 4 and stride <= 256, rows.shape
    before = np.concatenate([rows[:1], rows[:-1]])
    step = (rows - before).view(np.int8)
    zigzag = ((step << 1) ^ (step >> 7)).view(np.uint8)
    size = block_rows(stride)
    whole = count // size * size
    parts = [bytes([ROWS_MAGIC])]
    if whole:
        parts.append(_encode_blocks(zigzag[:whole].reshape(-1, size, stride)))
    if whole < count:
        padded = np.zeros((-(-(count - whole) // GROUP) * GROUP, stride), np.uint8)
        padded[:count - whole] = zigzag[whole:]
        parts.append(_encode_blocks(padded[None]))
    return b"".join([*parts, bytes(max(TAIL - stride, 0)), rows[0].tobytes()])


def _encode_blocks(blocks: UInt8[np.ndarray, "B R S"]) -> bytes:
    """Return blocks of R rows, a multiple of 16: per plane the groups' widths, 2 bits each, and the groups."""
    count, size, stride = blocks.shape
    groups = size // GROUP
    values = blocks.transpose(0, 2, 1).reshape(-1, GROUP)
    small, middle = values >= 3, values >= 15
    lengths = np.stack([np.where(values.any(axis=1), 99, 0), 4 + small.sum(axis=1), 8 + middle.sum(axis=1),
                        np.full(len(values), GROUP)], axis=1)
    width = np.argmin(lengths, axis=1)
    payload = np.zeros((len(values), GROUP), np.uint8)
    for code, over, bits in ((1, small, 2), (2, middle, 4)):
        at = np.flatnonzero(width == code)
        outliers, chosen = over[at], values[at]
        per_byte = 8 // bits
        pieces = np.where(outliers, (1 << bits) - 1, chosen).reshape(-1, GROUP // per_byte, per_byte)
        shifts = np.arange(per_byte - 1, -1, -1, dtype=np.uint8) * bits
        head = GROUP // per_byte
        payload[at, :head] = np.bitwise_or.reduce(pieces << shifts, axis=2).astype(np.uint8)
        row, column = np.nonzero(outliers)
        place = head + np.cumsum(outliers, axis=1)[row, column] - 1
        payload[at[row], place] = chosen[row, column]
    payload[width == 3] = values[width == 3]
    header = np.zeros((count * stride, -(-groups // 4) * 4), np.uint8)
    header[:, :groups] = width.reshape(-1, groups)
    quarters = header.reshape(count * stride, header.shape[1] // 4, 4) << np.array([0, 2, 4, 6], np.uint8)
    header = np.bitwise_or.reduce(quarters, axis=2)
    length = np.take_along_axis(lengths, width[:, None], 1)
    kept = np.concatenate([np.ones(header.shape, bool),
                           (np.arange(GROUP) < length).reshape(count * stride, -1)], axis=1)
    return np.concatenate([header.astype(np.uint8), payload.reshape(count * stride, -1)], axis=1)[kept].tobytes()


def decode_rows(data: bytes, count: int, stride: int, where: str = "meshopt") -> UInt8[np.ndarray, "N S"]:
    """Return `count` rows of `stride` bytes from mode ATTRIBUTES.

    Raises:
        FormatError: It is another version, cut off, or too long.
    """
    if count < 1 or stride < 4 or stride > 256 or stride % 4:
        raise FormatError(f"{where}: {count} rows of {stride} bytes; expected a stride of 4 to 256, a multiple of 4")
    tail = max(TAIL, stride)
    size = block_rows(stride)
    # Each plane of a block says two bits for every group.
    if len(data) < 1 + stride * -(-count // (4 * GROUP)) + tail:
        raise FormatError(f"{where}: {len(data)} bytes are too few for {count} rows of {stride} bytes")
    if data[0] != ROWS_MAGIC:
        raise FormatError(f"{where}: starts with byte {data[0]:#x}; expected {ROWS_MAGIC:#x}, version 0 of the codec")
    packed = np.frombuffer(data, np.uint8)
    end = len(data) - tail
    offsets, widths, end_of_groups = _walk(packed, count, stride, size, end, where)
    if end_of_groups != end:
        raise FormatError(f"{where}: {end - end_of_groups} bytes are left over")
    values = _unpack(packed, offsets, widths)
    out = np.empty((count, stride), np.uint8)
    group = start = 0
    for rows in _block_sizes(count, size):
        groups = -(-rows // GROUP) * stride
        out[start:start + rows] = values[group:group + groups].reshape(stride, -1)[:, :rows].T
        group, start = group + groups, start + rows
    signed = (out >> 1) ^ -(out & 1)
    signed[0] += packed[len(data) - stride:]
    return np.cumsum(signed, axis=0, dtype=np.uint8)


def _block_sizes(count: int, size: int) -> list[int]:
    return [size] * (count // size) + ([count % size] if count % size else [])


def _walk(packed: np.ndarray, count: int, stride: int, size: int, end: int,
          where: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Return where each group starts and its width code, in file order, and where the last one ends."""
    # How long a group would be if it started at a byte: for every byte, so that only the walk itself is a loop.
    bits = [(packed >> shift) & 3 == 3 for shift in (0, 2, 4, 6)]
    nibbles = [(packed >> shift) & 15 == 15 for shift in (0, 4)]
    longs = []
    for flags, head in ((bits, 4), (nibbles, 8)):
        total = np.concatenate([[0], np.cumsum(np.sum(flags, axis=0, dtype=np.uint8), dtype=np.int32)])
        starts = np.minimum(np.arange(len(packed)) + head, len(packed))
        longs.append((head + total[starts] - total[:-1]).astype(np.uint8).tobytes())
    two, four = longs
    raw = packed.tobytes()
    offsets: list[int] = []
    widths = bytearray()
    add, at = offsets.append, 1
    for rows in _block_sizes(count, size):
        groups = -(-rows // GROUP)
        head = -(-groups // 4)
        for _ in range(stride):
            codes = b"".join([_CODES[byte] for byte in raw[at:at + head]])[:groups]
            widths += codes
            at += head
            for code in codes:
                add(at)
                if code == 3:
                    at += GROUP
                elif code:
                    if at >= end:
                        raise FormatError(f"{where}: cut off at byte {end}")
                    at += two[at] if code == 1 else four[at]
            if at > end:
                raise FormatError(f"{where}: cut off at byte {end}")
    return np.array(offsets, np.int64), np.frombuffer(widths, np.uint8), at


def _unpack(packed: np.ndarray, offsets: np.ndarray, widths: np.ndarray) -> UInt8[np.ndarray, "G 16"]:
    values = np.zeros((len(offsets), GROUP), np.uint8)
    for code, bits in ((1, 2), (2, 4)):
        at = np.flatnonzero(widths == code)
        head = 2 * bits
        shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
        pieces = packed[offsets[at, None] + np.arange(head)]
        chosen = ((pieces[:, :, None] >> shifts) & ((1 << bits) - 1)).reshape(len(at), GROUP)
        over = chosen == (1 << bits) - 1
        row, column = np.nonzero(over)
        chosen[row, column] = packed[offsets[at[row]] + head + np.cumsum(over, axis=1)[row, column] - 1]
        values[at] = chosen
    at = np.flatnonzero(widths == 3)
    values[at] = packed[offsets[at, None] + np.arange(GROUP)]
    return values


# --- Indices ----------------------------------------------------------------------------------------------------------


def encode_indices(indices: np.ndarray) -> bytes:
    """Return unsigned numbers [N] in mode INDICES, which keeps their order: differences from one of two last ones."""
    out, last, current = bytearray([INDICES_MAGIC]), [0, 0], 0
    for index in indices.tolist():
        if abs(index - last[current]) >= 30:
            current ^= 1
        step = index - last[current]
        last[current] = index
        value = ((step << 1) ^ (step >> 63)) & 0xFFFFFFFF
        value = value << 1 | current
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
    return bytes(out) + bytes(4)


def decode_indices(data: bytes, count: int, where: str = "meshopt") -> UInt32[np.ndarray, " N"]:
    """Return `count` unsigned numbers from mode INDICES.

    Raises:
        FormatError: It is another version, cut off, or too long.
    """
    if len(data) < 1 + count + 4:
        raise FormatError(f"{where}: {len(data)} bytes are too few for {count} indices")
    if data[0] != INDICES_MAGIC:
        raise FormatError(f"{where}: starts with byte {data[0]:#x}; expected {INDICES_MAGIC:#x}")
    packed = np.frombuffer(data, np.uint8, len(data) - 5, 1).astype(np.int64)
    ends = np.flatnonzero(packed < 128)
    if len(ends) != count or ends[-1] != len(packed) - 1 or np.diff(ends, prepend=-1).max() > 5:
        raise FormatError(f"{where}: does not hold {count} indices; copy or write the file again")
    starts = np.concatenate([[0], ends[:-1] + 1])
    values = np.zeros(count, np.int64)
    for k in range(5):
        here = starts + k <= ends
        values[here] |= (packed[starts[here] + k] & 127) << 7 * k
    steps = (values >> 2) ^ -(values >> 1 & 1)
    out = np.empty(count, np.int64)
    for which in (0, 1):
        at = values & 1 == which
        out[at] = np.cumsum(steps[at])
    return (out & 0xFFFFFFFF).astype(np.uint32)


# --- The filter EXPONENTIAL -------------------------------------------------------------------------------------------


def to_exponential(values: np.ndarray, exponent: int | np.ndarray) -> UInt32[np.ndarray, "..."]:
    """Return floats as mantissa * 2^exponent in 32 bits each: 24 bits and 8, both signed.

    Args:
        values: Any shape.
        exponent: The step is 2^exponent; broadcasts against `values`. Values too large for it get the least that holds them.
    """
    values = np.ascontiguousarray(values, np.float64)
    least = np.where(values != 0, np.frexp(values / MANTISSA_LIMIT)[1], EXPONENTS[0])
    exponent = np.maximum(np.clip(exponent, *EXPONENTS), least).astype(np.int32)
    mantissa = np.round(np.ldexp(values, -exponent)).astype(np.int32)
    return ((mantissa & 0xFFFFFF) | (exponent << 24)).astype(np.int32).view(np.uint32)


def rounded(values: np.ndarray, exponent: int | np.ndarray) -> Float32[np.ndarray, "..."]:
    """Return what `from_exponential` will make of these floats."""
    return from_exponential(to_exponential(values, exponent))


def from_exponential(words: UInt32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Return the floats that `to_exponential` packed."""
    signed = words.view(np.int32)
    with np.errstate(over="ignore"):  # a damaged file's infinities are refused where accessors are read
        return np.ldexp(((signed << 8) >> 8).astype(np.float32), signed >> 24)
