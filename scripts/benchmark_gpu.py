"""Train FATE on a CUDA device as the paper does, and measure: quality, speed, memory, and where the time of a step goes.

    python scripts/benchmark_gpu.py --out DIR [--frames 600 --size 512 --steps 30000 --parts capture,train,eval,speed,bake]

Films the stand-in (or takes --data), trains the `paper` preset, evaluates with and without test-time fitting, times one
training step and one frame, bakes, and writes CSV files, contact sheets and bundles to DIR. Needs torch with CUDA and
gsplat, which compiles itself on first use.
"""

import argparse
import contextlib
import csv
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch  # noqa: E402

from formats.captures import capture  # noqa: E402
from formats.files import replacing  # noqa: E402
from trainers.loop import train  # noqa: E402
from trainers.run import Run, versions  # noqa: E402

ORIGINAL_STEP, ORIGINAL_FRAME = 11.8, 4.4
"""Milliseconds that the authors' code takes on an H200 at 512 x 512 with 50 000 Gaussians: a step without the perceptual
loss, and a frame."""
WARM, TIMED = 50, 300
"""Steps before and while the clock runs."""


def say(text: str) -> None:
    """Print progress with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def record(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows of what, value, unit, note."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.DictWriter(file, ("what", "value", "unit", "note"))
        table.writeheader()
        for row in rows:
            table.writerow({"note": ""} | row)
            print(f"  {row['what']:58} {row['value']:>12} {row['unit']}  {row.get('note', '')}", flush=True)


def wall(work: Callable[[int], Any], count: int) -> float:
    """Return milliseconds a call, the device's own work included."""
    torch.cuda.synchronize()
    started = time.perf_counter()
    for i in range(count):
        work(i)
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / count * 1e3


class Sections:
    """Time between marks on the device, and on the host, summed by name."""

    def __init__(self) -> None:
        self.events: list[tuple[str, torch.cuda.Event, torch.cuda.Event, float]] = []

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block."""
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        started = time.perf_counter()
        first.record()
        yield
        last.record()
        self.events.append((name, first, last, time.perf_counter() - started))

    def means(self, count: int) -> dict[str, tuple[float, float]]:
        """Return milliseconds a step on the device and on the host, by name."""
        torch.cuda.synchronize()
        out: dict[str, tuple[float, float]] = {}
        for name, first, last, host in self.events:
            device, before = out.get(name, (0.0, 0.0))
            out[name] = device + first.elapsed_time(last) / count, before + host * 1e3 / count
        return out


def step_of(model: Any, store: Any, sections: Sections | None = None) -> Callable[[int], None]:
    """Return one training step, as the loop takes it."""
    optimizers = model.optimizers()

    def part(name: str) -> Any:
        return contextlib.nullcontext() if sections is None else sections.part(name)

    def step(i: int) -> None:
        with part("batch"):
            batch = store.batch(i % len(store))
            for optimizer in optimizers.values():
                optimizer.zero_grad(set_to_none=True)
        with part("render"):
            drawing = model.render(batch)
        with part("losses"):
            loss = torch.stack(tuple(model.losses(batch, drawing).values())).sum()
        with part("backward"):
            loss.backward()
        with part("optimizers"):
            for optimizer in optimizers.values():
                optimizer.step()
        with part("after_step"):
            model.after_step(1_000_001, drawing)

    return step


def speed(run: Run, out: Path, note: str) -> None:
    """Time a training step and a frame of the run's model, and show where the time goes."""
    model, store = run.load_model(torch.device("cuda"))
    rows: list[dict[str, Any]] = []
    step = step_of(model, store)
    wall(step, WARM)
    torch.cuda.reset_peak_memory_stats()
    milliseconds = min(wall(step, TIMED) for _ in range(3))
    rows.append({"what": f"training step{note}", "value": round(milliseconds, 3), "unit": "ms",
                 "note": f"{ORIGINAL_STEP / milliseconds:.1f} times the original's {ORIGINAL_STEP} ms; {len(model)} Gaussians"})
    rows.append({"what": f"peak memory of training{note}", "value": round(torch.cuda.max_memory_allocated() / 1e6),
                 "unit": "MB"})
    sections = Sections()
    timed = step_of(model, store, sections)
    for i in range(TIMED):
        timed(i)
    for name, (device, host) in sections.means(TIMED).items():
        rows.append({"what": f"  of it {name}{note}", "value": round(device, 3), "unit": "ms on the device",
                     "note": f"{host:.3f} ms on the host"})
    batches = [store.batch(i) for i in range(min(len(store), 64))]
    with torch.no_grad():
        wall(lambda i: model.render(batches[i % len(batches)]), WARM)
        milliseconds = min(wall(lambda i: model.render(batches[i % len(batches)]), TIMED) for _ in range(3))
    rows.append({"what": f"frame, parameters to picture{note}", "value": round(milliseconds, 3), "unit": "ms",
                 "note": f"{1000 / milliseconds:.0f} frames per second, {ORIGINAL_FRAME / milliseconds:.1f} times the "
                         f"original's {ORIGINAL_FRAME} ms"})
    record(out / f"speed{note.strip().replace(' ', '_')}.csv", rows)
    if hasattr(torch, "profiler"):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            for i in range(20):
                step(i)
        table = profiler.key_averages().table(sort_by="self_cuda_time_total", row_limit=25, max_name_column_width=70)
        (out / f"kernels{note.strip().replace(' ', '_')}.txt").write_text(table)


def until_near(log: Path, decibels: float = 0.5) -> tuple[float, float]:
    """Return seconds until the log's PSNR was last further than `decibels` from its final one, and that final one."""
    rows = list(csv.DictReader(log.open()))
    values = [(float(r["seconds"]), float(r["psnr"])) for r in rows]
    final = sum(p for _, p in values[-10:]) / len(values[-10:])
    away = [s for s, p in values if p < final - decibels]
    return (away[-1] if away else 0.0), final


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=30_000)
    parser.add_argument("--bake-steps", type=int, help="of the bake; left out: the preset's, 5 epochs")
    parser.add_argument("--parts", default="capture,train,eval,speed,bake")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the training")
    parser.add_argument("--work", type=Path, default=Path("/tmp/benchmark_gpu"))
    given = parser.parse_args()
    parts, out, work = given.parts.split(","), given.out, given.work
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    data, folder = given.data or work / "capture", work / "run"
    rows: list[dict[str, Any]] = [{"what": "machine", "value": torch.cuda.get_device_name(), "unit": "",
                                   "note": ", ".join(f"{k} {v}" for k, v in versions().items())}]
    if "capture" in parts:
        started = time.perf_counter()
        capture(data, "insta", given.frames, given.size, 0, say)
        rows.append({"what": f"capture of {given.frames} frames, {given.size} px", "value": round(time.perf_counter() - started),
                     "unit": "s"})
    if "train" in parts:
        shutil.rmtree(folder, ignore_errors=True)
        summary = train("fate", data, "insta", folder, preset="paper", steps=given.steps, device="cuda",
                        overrides={"size": str(given.size), "log_every": "250", "save_every": str(given.steps),
                                   **dict(word.split("=", 1) for word in given.set)}, progress=say)
        near, final = until_near(folder / "log.csv")
        rows += [{"what": "training", "value": round(summary.seconds, 1), "unit": "s", "note": f"{given.steps} steps"},
                 {"what": "iterations per second, over all of it", "value": round(given.steps / summary.seconds, 1), "unit": ""},
                 {"what": "until within 0.5 dB of the final training PSNR", "value": near, "unit": "s",
                  "note": f"{final:.2f} dB"},
                 {"what": "Gaussians at the end", "value": summary.gaussians, "unit": ""}]
        shutil.copy(folder / "log.csv", out / "log.csv")
        shutil.make_archive(str(out / "fate65k"), "zip", folder / "avatar.avatar")
    if "eval" in parts:
        from trainers.evaluate import evaluate

        found = evaluate(folder, "test", refit=50, progress=say)
        (out / "eval.json").write_text(json.dumps(found.as_dict(), indent=1))
        rows += [{"what": f"held out: {row[0]}", "value": " | ".join(str(v) for v in row[1:]), "unit": ""}
                 for row in found.rows()]
        shutil.copy(folder / "eval" / "test.png", out / "eval.png")
    if "speed" in parts:
        speed(Run.open(folder), out, "")
    if "bake" in parts:
        import trainers

        started = time.perf_counter()
        baked = trainers.bake(folder, work / "baked.avatar", preset="paper", steps=given.bake_steps, device="cuda",
                              progress=say)
        rows += [{"what": f"bake: {row[0]}", "value": row[1], "unit": ""} for row in baked.rows()]
        rows.append({"what": "bake, in all", "value": round(time.perf_counter() - started, 1), "unit": "s"})
        shutil.make_archive(str(out / "baked"), "zip", work / "baked.avatar")
    record(out / "train.csv", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
