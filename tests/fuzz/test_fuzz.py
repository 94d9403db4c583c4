"""The readers against made-up files, shortly; `scripts/fuzz --seconds 3600` goes on longer."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from formats.errors import AvatarError
from tests.fuzz.readers import READERS

pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]
SECONDS = int(os.environ.get("FLAMEPORT_FUZZ_SECONDS", "90"))
SEED = os.environ.get("FLAMEPORT_FUZZ_SEED", "1")
"""The same way every time, so that what a test says does not hang on luck; scripts/fuzz takes another one each time."""
REFUSED = {"any pickle", "flame landmarks npy", "fate", "flash-avatar", "mono-gaussian-avatar", "gaussian-head-avatar",
           "baked-avatar", "baked-avatar page", "splatting-avatar"}
"""Readers whose seeds are made of the right parts and too small to be whole: real ones have megabytes."""

FAULTS = {"fate tracking": ({"scale": np.zeros(0)}, {"shape": np.array(["x"])})}
"""What fuzzing found: arrays with which something else than AvatarError came out."""


@pytest.mark.parametrize(("name", "change"), [(name, change) for name, changes in FAULTS.items() for change in changes])
def test_what_was_found_is_refused(name, change, tmp_path):
    path = READERS[name].write(tmp_path)
    np.savez(path, **(dict(np.load(path)) | change))
    with pytest.raises(AvatarError):
        READERS[name].read(path)


@pytest.mark.parametrize("name", READERS)
def test_seeds_are_read(name, tmp_path):
    path = READERS[name].write(tmp_path)
    if name in REFUSED:
        with pytest.raises(AvatarError):
            READERS[name].read(path)
    else:
        READERS[name].read(path)


@pytest.mark.parametrize("name", [name for name in READERS if name not in {*REFUSED, "mono config"}])  # any text is one
def test_what_is_damaged_is_read(name, tmp_path):
    path = READERS[name].write(tmp_path)
    path.write_bytes(b"\0\0\0\0nothing of the kind")
    with pytest.raises(AvatarError):
        READERS[name].read(path)


@pytest.mark.fuzz
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None,
                    reason="atheris is not installed: pip install 'flameport[fuzz]' (Linux, Python 3.11 to 3.13)")
def test_made_up_files_end_in_clear_errors(tmp_path):
    names = list(READERS)
    words = ["--seconds", str(SECONDS), "--keep", str(tmp_path), "--jobs", "2", *(f"--reader={name}" for name in names)]
    done = subprocess.run([sys.executable, "-m", "tests.fuzz", *words], cwd=ROOT, capture_output=True, text=True,
                          timeout=3 * SECONDS + 300, check=False, env=os.environ | {"FLAMEPORT_FUZZ_SEED": SEED})
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert {result["reader"] for result in results} == set(names), done.stderr[-2000:]
    assert not [result for result in results if result["code"]], done.stdout
    assert done.returncode == 0
