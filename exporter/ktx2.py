"""Albedos as KTX2 (Basis Universal), through Node and the npm package ktx2-encoder (MIT; it carries Binomial's encoder)."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from formats.errors import FormatError, MissingAsset, UnsupportedFeature

FOLDER = Path(__file__).resolve().parent / "node"
"""Where the script is, and the packages unless `MODULES` says another place."""
MODULES = "FLAMEPORT_NODE_MODULES"
"""Environment variable: a node_modules folder that has ktx2-encoder, where FOLDER cannot be written to."""
TIMEOUT = 600
"""Seconds; a 1024 x 1024 albedo takes about 40 as UASTC, 10 as ETC1S."""
QUALITY = {"uastc": 2, "etc1s": 200}
"""UASTC's effort of 0 to 4; ETC1S's quality of 1 to 255."""
SIDE_LIMIT = 4096
MOST_PIXELS = 12 << 20
"""Of the encoder."""
MAGIC = b"\xabKTX 20\xbb\r\n\x1a\n"

Pixels = UInt8[np.ndarray, "H W C"]


def modules() -> Path:
    """Return the node_modules folder that holds the encoder.

    Raises:
        MissingAsset: Node or the package is not installed.
    """
    folder = Path(os.environ.get(MODULES, "") or FOLDER / "node_modules")
    if shutil.which("node") is None:
        raise MissingAsset("KTX2 needs Node 20 or later: install it, or pip install 'flameport[node]'; or choose --albedo webp")
    if not (folder / "ktx2-encoder" / "package.json").is_file():
        raise MissingAsset(f"KTX2 needs the npm package ktx2-encoder: npm ci --prefix {FOLDER}; or install ktx2-encoder@0.6.0 "
                           f"elsewhere and set {MODULES} to its node_modules; or choose --albedo webp")
    return folder


def available() -> bool:
    """Tell whether KTX2 can be written and read here."""
    try:
        modules()
    except MissingAsset:
        return False
    return True


def encode(pixels: Pixels, mode: Literal["uastc", "etc1s"] = "uastc", mips: bool = True) -> bytes:
    """Return a KTX2 of a picture in display sRGB, rows from the top.

    Args:
        pixels: 3 or 4 channels.
        mode: UASTC with Zstandard, the better, or ETC1S, a fifth of its size.
        mips: Also store the halved pictures.

    Raises:
        MissingAsset: Node or the package is not installed.
        UnsupportedFeature: Sides are not multiples of four, which glTF asks of KTX2, or too long.
    """
    height, width, channels = pixels.shape
    if width % 4 or height % 4 or max(width, height) > SIDE_LIMIT or width * height > MOST_PIXELS or channels not in (3, 4):
        raise UnsupportedFeature(f"KTX2: a picture of {width} x {height} with {channels} channels; sides are multiples of four "
                                 f"up to {SIDE_LIMIT}, {MOST_PIXELS} pixels at most, channels 3 or 4; choose --albedo webp")
    opaque = np.full((height, width, 1), 255, np.uint8)
    rgba = pixels if channels == 4 else np.concatenate([pixels, opaque], axis=2)
    data = _run("encode", np.ascontiguousarray(rgba).tobytes(), str(width), str(height), mode, str(QUALITY[mode]),
                "mips" if mips else "none")
    if not data.startswith(MAGIC):
        raise FormatError("KTX2: the encoder wrote something else")
    return data


def decode(data: bytes, where: str) -> UInt8[np.ndarray, "H W 4"]:
    """Return the picture in a KTX2; `where` names it in messages.

    Raises:
        MissingAsset: Node or the package is not installed.
        FormatError: It is no KTX2 with a Basis Universal picture, or damaged.
    """
    if not data.startswith(MAGIC):
        raise FormatError(f"{where}: is no KTX2")
    try:
        found = _run("decode", data)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error
    width, height = np.frombuffer(found[:8], "<u4").tolist()
    return np.frombuffer(found, np.uint8, offset=8).reshape(height, width, 4)


def _run(command: str, data: bytes, *words: str) -> bytes:
    packages = modules()
    with tempfile.TemporaryDirectory(prefix="flameport-ktx2-") as folder:
        given, made = Path(folder) / "in", Path(folder) / "out"
        given.write_bytes(data)
        line = ["node", str(FOLDER / "ktx2.mjs"), command, str(packages), str(given), str(made), *words]
        try:
            done = subprocess.run(line, capture_output=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired as error:
            raise FormatError(f"KTX2: the encoder did not answer in {TIMEOUT} seconds") from error
        if done.returncode or not made.is_file():
            said = [text for text in done.stderr.decode(errors="replace").splitlines() if "Error" in text]
            raise FormatError(f"KTX2: {said[-1].strip() if said else 'the encoder gave up'}")
        return made.read_bytes()
