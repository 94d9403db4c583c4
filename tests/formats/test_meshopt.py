"""The bitstreams of EXT_meshopt_compression: known bytes, round trips, damage, and the reference decoder's opinion."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from formats.codecs import meshopt
from formats.errors import FormatError

NODE = Path(__file__).parents[1] / "exporter" / "node"
SHAPES = [(1, 4), (15, 4), (16, 8), (17, 12), (255, 4), (256, 4), (257, 16), (5143, 12), (300, 256), (1000, 100)]


def rows_of(kind: str, count: int, stride: int) -> np.ndarray:
    rng = np.random.default_rng(count + stride)
    if kind == "noise":
        return rng.integers(0, 256, (count, stride)).astype(np.uint8)
    if kind == "smooth":
        return np.cumsum(rng.integers(-2, 3, (count, stride)), axis=0).astype(np.uint8)
    return ((rng.random((count, stride)) < 0.02) * 7).astype(np.uint8)


def test_known_bytes() -> None:
    # Two rows: byte 0 goes from 1 to 2 (zigzag 2, two bits, the second value of the first group), the rest stay.
    rows = np.array([[1, 0, 0, 9], [2, 0, 0, 9]], np.uint8)
    packed = bytes([0xA0, 0b01, 0b00100000, 0, 0, 0, 0, 0, 0]) + bytes(28) + bytes([1, 0, 0, 9])
    assert meshopt.encode_rows(rows) == packed
    np.testing.assert_array_equal(meshopt.decode_rows(packed, 2, 4), rows)
    # 5 is +5 from 0 on baseline 0; 100 is too far, so baseline 1; 6 is near 5 again.
    indices = bytes([0xD1, 10 << 1, 0x91, 0x03, 2 << 1, 0, 0, 0, 0])
    assert meshopt.encode_indices(np.array([5, 100, 6])) == indices
    np.testing.assert_array_equal(meshopt.decode_indices(indices, 3), [5, 100, 6])
    np.testing.assert_array_equal(meshopt.from_exponential(np.array([0xFE000005, 0x02FFFFFF], np.uint32)), [1.25, -4])


@pytest.mark.parametrize("kind", ["noise", "smooth", "rare"])
@pytest.mark.parametrize(("count", "stride"), SHAPES)
def test_rows_come_back(kind: str, count: int, stride: int) -> None:
    rows = rows_of(kind, count, stride)
    packed = meshopt.encode_rows(rows)
    np.testing.assert_array_equal(meshopt.decode_rows(packed, count, stride), rows)
    if kind != "noise" and count > 1000:
        assert len(packed) < rows.size / 1.8


def test_indices_come_back() -> None:
    rng = np.random.default_rng(0)
    for indices in (np.arange(1000), rng.integers(0, 2**20, 3000), np.zeros(1, int), np.array([2**28, 0, 2**28])):
        np.testing.assert_array_equal(meshopt.decode_indices(meshopt.encode_indices(indices), len(indices)), indices)


def test_floats_are_off_by_half_a_step_at_most() -> None:
    values = np.random.default_rng(1).normal(size=(500, 3))
    assert np.abs(meshopt.rounded(values, -12) - values).max() <= 2.0**-13
    exponents = np.random.default_rng(2).integers(-18, -4, (500, 1))
    assert (np.abs(meshopt.rounded(values, exponents) - values) <= 2.0**(exponents - 1)).all()
    # What does not fit in 24 bits gets the finest step it can have, and nothing else does.
    np.testing.assert_allclose(meshopt.rounded(np.array([1e6, 1e-6]), -40), [1e6, 1e-6], rtol=1e-6)
    assert not meshopt.rounded(np.zeros(4), -10).any()


@pytest.mark.parametrize("kind", ["noise", "smooth", "rare"])
def test_damage_is_refused_or_harmless(kind: str) -> None:
    rows, rng = rows_of(kind, 300, 12), np.random.default_rng(3)
    packed = meshopt.encode_rows(rows)
    for length in range(0, len(packed), max(len(packed) // 60, 1)):
        with pytest.raises(FormatError):
            meshopt.decode_rows(packed[:length], 300, 12)
    for _ in range(200):
        broken = bytearray(packed)
        broken[rng.integers(len(packed))] ^= int(rng.integers(1, 256))
        try:
            assert meshopt.decode_rows(bytes(broken), 300, 12).shape == (300, 12)
        except FormatError:
            pass
    for count, stride in ((1 << 40, 4), (0, 4), (300, 6), (300, 260), (200, 12), (300, 16)):
        with pytest.raises(FormatError):
            meshopt.decode_rows(packed, count, stride)
    indices = meshopt.encode_indices(np.arange(0, 9000, 9))
    for length in range(0, len(indices), 37):
        with pytest.raises(FormatError):
            meshopt.decode_indices(indices[:length], 1000)
    with pytest.raises(FormatError):
        meshopt.decode_indices(bytes([0xE1]) + indices[1:], 1000)


DECODE = """
import { readFileSync } from "node:fs";
import { MeshoptDecoder } from "three/addons/libs/meshopt_decoder.module.js";
await MeshoptDecoder.ready;
const bad = JSON.parse(readFileSync(0)).filter(({ count, stride, packed, wanted, mode, filter }) => {
  const out = new Uint8Array(count * stride);
  MeshoptDecoder.decodeGltfBuffer(out, count, stride, Buffer.from(packed, "hex"), mode, filter);
  return Buffer.from(out).toString("hex") !== wanted;
});
process.stdout.write(JSON.stringify(bad.map(({ count, stride, mode }) => [count, stride, mode])));
"""


@pytest.mark.node
@pytest.mark.skipif(shutil.which("node") is None or not (NODE / "node_modules" / "three").is_dir(),
                    reason="needs Node and its packages: scripts/build --tests")
def test_the_reference_decoder_reads_the_same() -> None:
    cases = []
    for kind in ("noise", "smooth", "rare"):
        for count, stride in SHAPES:
            rows = rows_of(kind, count, stride)
            cases.append({"count": count, "stride": stride, "packed": meshopt.encode_rows(rows).hex(),
                          "wanted": rows.tobytes().hex(), "mode": "ATTRIBUTES", "filter": "NONE"})
    indices = np.random.default_rng(0).integers(0, 70_000, 3000).astype("<u4")
    cases.append({"count": 3000, "stride": 4, "packed": meshopt.encode_indices(indices).hex(),
                  "wanted": indices.tobytes().hex(), "mode": "INDICES", "filter": "NONE"})
    words = meshopt.to_exponential(np.random.default_rng(1).normal(size=(500, 3)), -14)
    cases.append({"count": 500, "stride": 12, "packed": meshopt.encode_rows(words.view(np.uint8).reshape(500, 12)).hex(),
                  "wanted": meshopt.from_exponential(words).tobytes().hex(), "mode": "ATTRIBUTES", "filter": "EXPONENTIAL"})
    done = subprocess.run(["node", "--input-type=module", "-e", DECODE], cwd=NODE, input=json.dumps(cases).encode(),
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == []
