"""Train several systems on one capture, each for as long, and measure what comes out: the systems side by side.

    python scripts/benchmark_quality.py train --out DIR [--systems fate,gaussian-avatars --seconds 60 --frames 300 --size 512]
    python scripts/benchmark_quality.py report DIR [DIR ...]

`train`, on a CUDA device: films the stand-in (or takes --data), asks two short trainings of each system how long a step takes,
lets the whole schedule of a preset (`paper`; others as `flash-avatar:wasserstein`) fit into what --seconds leave room for,
evaluates held-out pictures as tracked, times steps and frames, and leaves a JSON, an archive of the avatar in parts and a
contact sheet of each in DIR. `report`, anywhere: exports the avatars, photographs them in the browser, and adds rows to
benchmarks/quality.csv. No number is carried on from a shorter training to a longer one.
"""

import argparse
import csv
import dataclasses
import datetime
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

ROOT = Path(__file__).resolve().parents[1]
PROBES = (400, 1200, 4000)
"""Steps of short trainings; the last only where there is to be a much longer one."""
PART = 15 << 20
"""Bytes of a part of an archive."""
COLUMNS = ("date", "commit", "machine", "capture", "system", "seconds_asked", "seconds", "steps", "gaussians", "psnr",
           "psnr_masked", "ssim", "jitter_mm", "wobble_mm", "step_ms", "frame_ms", "peak_mb", "small_bytes", "browser_psnr",
           "note")


def say(text: str) -> None:
    """Print progress with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


# --- On the GPU -------------------------------------------------------------------------------------------------------


def trained(system: str, data: Path, folder: Path, steps: int, size: int, say: Any = lambda text: None) -> Any:
    """Train `steps` that a preset's whole schedule fits into; `system` may name one, as `flash-avatar:wasserstein`."""
    from trainers.loop import train

    shutil.rmtree(folder, ignore_errors=True)
    name, _, preset = system.partition(":")
    return train(name, data, "insta", folder, preset=preset or "paper", steps=steps, fit_schedule=True, device="cuda",
                 progress=say, overrides={"size": str(size), "log_every": str(max(100, steps // 20)),
                                         "save_every": str(steps)})


def measure(system: str, data: Path, work: Path, out: Path, seconds: float, size: int) -> dict[str, Any]:
    """Train one system for about `seconds`, evaluate and time it; return its row."""
    import torch

    from scripts.benchmark_gpu import TIMED, WARM, step_of, wall
    from trainers.evaluate import evaluate
    from trainers.run import Run
    from trainers.wasserstein import jitter, wobble

    asked, took, steps, a_step = PROBES[0], 0.0, 0, 1e-3
    for steps_asked in PROBES:
        if steps_asked > PROBES[1] and steps < 2 * steps_asked:
            break
        before, (asked, took) = (asked, took), (steps_asked, trained(system, data, work / "probe", steps_asked, size).seconds)
        a_step = max((took - before[1]) / max(asked - before[0], 1), 1e-5) if before[1] else took / asked
        steps = max(PROBES[0], int(asked + (seconds - took) / a_step))
    say(f"{system}: {a_step * 1e3:.2f} ms a step, so {steps} steps in {seconds:.0f} s")
    torch.cuda.reset_peak_memory_stats()
    short = system.replace(":", "-")
    folder = work / short
    summary = trained(system, data, folder, steps, size, say)
    row: dict[str, Any] = {"system": system, "seconds_asked": seconds, "seconds": round(summary.seconds, 1), "steps": steps,
                           "gaussians": summary.gaussians, "peak_mb": round(torch.cuda.max_memory_allocated() / 1e6)}
    found = evaluate(folder, "test", baseline=False, progress=say)
    row |= {name: round(found.mean("model", name) or 0, 4) for name in ("psnr", "psnr_masked", "ssim")}
    run = Run.open(folder)
    model, store = run.load_model(torch.device("cuda"))
    held_out = run.store("test", "cuda")
    row["jitter_mm"] = round(jitter(model, held_out), 4)
    batches = [held_out.batch(i) for i in range(min(len(held_out), 32))]
    with torch.no_grad():
        wall(lambda i: model.render(batches[i % len(batches)]), WARM)
        row["frame_ms"] = round(min(wall(lambda i: model.render(batches[i % len(batches)]), TIMED) for _ in range(3)), 3)
    step = step_of(model, store)
    wall(step, WARM)
    row["step_ms"] = round(min(wall(step, TIMED) for _ in range(3)), 3)
    row |= small(folder / "avatar.avatar", work)
    if row["jitter_mm"]:
        row["wobble_mm"] = round(wobble(model, held_out, 0.1), 4)
    data_of = Path(shutil.make_archive(str(work / short), "zip", folder / "avatar.avatar")).read_bytes()
    for i in range(0, len(data_of), PART):
        (out / f"{short}.zip.{i // PART}").write_bytes(data_of[i:i + PART])
    shutil.copy(folder / "eval" / "test.png", out / f"{short}.png")
    return row


def small(bundle: Path, work: Path) -> dict[str, Any]:
    """Return bytes of the avatar as GLB, grade `small`, or why there is none."""
    from exporter.export import export, options_type
    from formats.codecs import read_avatar

    try:
        export(read_avatar(bundle), "glb", work / "small.glb", options_type("glb")(grade="small"), None, True)
    except Exception as error:  # The rest of the row holds.
        return {"note": f"small: {error}"[:300]}
    return {"small_bytes": (work / "small.glb").stat().st_size}


def train_all(given: argparse.Namespace) -> int:
    """Do the `train` half."""
    import torch

    from formats.captures import capture
    from trainers.run import commit, versions

    given.out.mkdir(parents=True, exist_ok=True)
    data = given.data or given.work / f"capture-{given.frames}-{given.size}-{given.person}"
    if not data.exists():
        capture(data, "insta", given.frames, given.size, given.person, say)
    about = {"machine": f"{torch.cuda.get_device_name()}, torch {versions().get('torch', '')}",
             "commit": given.commit or (commit() or "")[:7],
             "date": datetime.date.today().isoformat(),
             "capture": f"stand-in {given.person}, insta, {given.frames} frames, {given.size} px"}
    for system in given.systems.split(","):
        try:
            row = measure(system, data, given.work, given.out, given.seconds, given.size)
        except Exception as error:  # A system that fails leaves the others their time.
            say(f"{system}: {type(error).__name__}: {error}")
            row = {"system": system, "seconds_asked": given.seconds, "note": f"failed: {error}"[:300]}
        (given.out / f"{system.replace(':', '-')}.json").write_text(json.dumps(about | row, indent=1))
        say(json.dumps(row))
    return 0


# --- Anywhere ---------------------------------------------------------------------------------------------------------


def report(given: argparse.Namespace) -> int:
    """Do the `report` half."""
    rows = []
    for folder in given.folders:
        for path in sorted(folder.glob("*.json")):
            row = json.loads(path.read_text())
            parts = sorted(folder.glob(f"{path.stem}.zip.*"), key=lambda part: int(part.suffix[1:]))
            if parts:
                row |= exported(b"".join(part.read_bytes() for part in parts), row["system"])
            rows.append(row)
            say(json.dumps(row))
    table = ROOT / "benchmarks" / "quality.csv"
    new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerows([{name: row.get(name, "") for name in COLUMNS} for row in rows])
    return 0


def exported(archive: bytes, system: str) -> dict[str, Any]:
    """Return bytes of the `small` GLB, and the worst PSNR of the browser's pictures of it against the reference."""
    from formats.camera import look_at
    from formats.codecs import read_avatar
    from tests.web_viewer.pictures import Show, photograph, write_show

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "x.zip").write_bytes(archive)
        shutil.unpack_archive(folder / "x.zip", folder / "x.avatar")
        avatar = read_avatar(folder / "x.avatar")
        sequence = avatar.sequence
        assert sequence is not None
        moments = tuple(float(t) for t in np.linspace(0, len(sequence) - 1, 10).round())
        show = Show(avatar, dataclasses.replace(sequence, cameras={}), look_at((0, 0, 0.95), (0, 0, 0), np.deg2rad(20), 256, 256),
                    moments)
        try:
            references = write_show(show, folder / "files", ("small",))
            drawn = photograph("llvmpipe", show, folder / "files", folder / "out", ("small",))
        except Exception as error:
            return {"note": f"{system}: {error}"[:300]}
        from formats.picture import psnr

        worst = min(psnr(canvas, reference) for (_, canvas), reference in zip(drawn["small"], references, strict=True))
        return {"small_bytes": (folder / "files" / "small.glb").stat().st_size, "browser_psnr": round(worst, 2)}


def main() -> int:
    """Run one half."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    halves = parser.add_subparsers(dest="half", required=True)
    first = halves.add_parser("train")
    first.add_argument("--out", type=Path, required=True)
    first.add_argument("--systems", default="fate,gaussian-avatars,flash-avatar,splatting-avatar,mono-gaussian-avatar")
    first.add_argument("--seconds", type=float, default=60)
    first.add_argument("--data", type=Path)
    first.add_argument("--frames", type=int, default=300)
    first.add_argument("--size", type=int, default=512)
    first.add_argument("--person", type=int, default=0)
    first.add_argument("--commit", help="where the checkout is no repository")
    first.add_argument("--work", type=Path, default=Path("/tmp/benchmark_quality"))
    second = halves.add_parser("report")
    second.add_argument("folders", type=Path, nargs="+")
    given = parser.parse_args()
    return train_all(given) if given.half == "train" else report(given)


if __name__ == "__main__":
    sys.exit(main())
