"""Feed every reader files that a machine makes up, guided by which lines of ours they reach, and tell what goes wrong.

    python -m tests.fuzz [--seconds 90] [--reader NAME ...] [--keep FOLDER] [--jobs 2]

Anything but `AvatarError` that comes out of a reader is a finding; so are more than 10 seconds or 2 GB for one file. The time
is shared among the readers. Findings are kept as files in FOLDER (`NAME/crash-...`), and the exit code is 1. The corpus is
kept there, too, so that a later run goes on from it. Needs atheris (pip install 'flameport[fuzz]'): Linux, Python 3.11 to 3.13.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

WORKER = [sys.executable, "-m", "tests.fuzz.worker"]
SEEDS = [sys.executable, "-m", "tests.fuzz.seeds"]
ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run, and return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=90, help="in all, shared among the readers")
    parser.add_argument("--reader", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--keep", type=Path, help="where corpus and findings go; a new folder of the system's, else")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 8), help="readers at a time")
    wanted = parser.parse_args()
    from tests.fuzz.readers import READERS

    unknown = [name for name in wanted.reader if name not in READERS]
    if unknown:
        parser.error(f"no reader '{unknown[0]}'; there are {', '.join(READERS)}")
    names = wanted.reader or list(READERS)
    folder = wanted.keep or Path(tempfile.mkdtemp(prefix="flameport-fuzz-"))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([*SEEDS, str(folder), *names], cwd=ROOT, env=environment, check=True)
    done = subprocess.run([*WORKER, str(folder), str(wanted.seconds), str(wanted.jobs), *names], cwd=ROOT, env=environment,
                          stdout=subprocess.PIPE, text=True, check=True)
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    bad = [result for result in results if result["code"]]
    for result in sorted(results, key=lambda result: names.index(result["reader"])):
        print(json.dumps(result))
    print(f"{len(results)} readers in {wanted.seconds:g} s, {len(bad)} with findings; corpus and findings in {folder}")
    return 1 if bad or len(results) < len(names) else 0


if __name__ == "__main__":
    sys.exit(main())
