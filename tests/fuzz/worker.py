"""Fuzz readers, each in a fork of one process that has all modules: `python -m tests.fuzz.worker FOLDER SECONDS JOBS NAME...`.

Importing modules with the counters of their lines takes seconds, which forks share. One line of JSON for each reader.
"""

import contextlib
import importlib
import io
import json
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

atheris: Any = importlib.import_module("atheris")  # an optional package

with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["formats", "exporter"]):
    import formats.importers.signatures  # noqa: F401
    from formats.errors import AvatarError
    from tests.fuzz.mutations import LONGEST, mutated
    from tests.fuzz.readers import READERS

MEMORY = 2 << 30
"""Bytes that a reader may take beyond what its modules take."""


def fuzz(name: str, folder: Path, seconds: int) -> None:
    """Fuzz one reader; ends the process."""
    reader = READERS[name]
    logging.disable(logging.CRITICAL)
    # In memory where there is such a place: a file is written for each input.
    home = Path(os.environ["FUZZ_HOME"]) / folder.name
    shutil.copytree(folder / "place", home)
    file = home / (folder / "file.txt").read_text()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))

    def one(data: bytes) -> None:
        file.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # A name from a file may hold a line's end here; the command line writes errors so that it does no harm.
            with contextlib.suppress(AvatarError):
                reader.read(file)

    atheris.Setup([sys.argv[0], str(folder / "corpus"), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096",
                   f"-max_len={LONGEST}", f"-artifact_prefix={folder}/", "-print_final_stats=0",
                   f"-seed={os.environ.get('FLAMEPORT_FUZZ_SEED', '0')}"], one,
                  custom_mutator=mutated)
    atheris.Fuzz()


def start(name: str, folder: Path, seconds: int) -> int:
    """Fuzz one reader in a fork, its output in a log; return the fork's id. The fork ends here."""
    child = os.fork()
    if child:
        return child
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # Not os._exit after this: libFuzzer keeps the input that did it while the process exits.
    fuzz(name, folder, seconds)
    sys.exit(0)


def tell(name: str, folder: Path, status: int) -> None:
    """Print what came of one reader."""
    lines = (folder / "log.txt").read_text(errors="replace").splitlines()
    code = os.waitstatus_to_exitcode(status)
    words = ("Error", "Exception", "ERROR", "Timeout") if code else ("DONE",)
    said = " | ".join(line for line in lines if any(word in line for word in words))[-600:]
    kept = [p.name for p in folder.iterdir() if p.name.startswith(("crash-", "timeout-", "oom-", "leak-"))]
    print(json.dumps({"reader": name, "code": code, "findings": kept, "said": said}), flush=True)


def shares(seconds: float, jobs: int, names: list[str]) -> dict[str, int]:
    """Return how many whole seconds each reader gets, so that all together take `seconds`; at least one each."""
    each, more = divmod(int(seconds * min(jobs, len(names))), len(names))
    return {name: max(each + (i < more), 1) for i, name in enumerate(names)}


def main(folder: Path, total: float, jobs: int, names: list[str]) -> None:
    """Fuzz the readers, `jobs` at a time."""
    running: dict[int, tuple[str, float]] = {}
    share = shares(total, jobs, names)
    waiting = list(names)
    while waiting or running:
        while waiting and len(running) < jobs:
            name = waiting.pop(0)
            seconds = share[name]
            running[start(name, folder / name.replace(" ", "-"), seconds)] = (name, time.monotonic() + seconds + 30)
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            name = running.pop(child)[0]
            tell(name, folder / name.replace(" ", "-"), status)
            continue
        for child, (_, end) in running.items():
            if time.monotonic() > end:  # libFuzzer's own limits come first; this is for what hangs outside Python
                os.kill(child, signal.SIGKILL)
        time.sleep(0.05)


if __name__ == "__main__":
    owner, home = os.getpid(), tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    os.environ["FUZZ_HOME"] = home
    try:
        main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    finally:
        if os.getpid() == owner:
            shutil.rmtree(home, ignore_errors=True)
