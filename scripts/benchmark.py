"""Measure what the README says, and add dated rows to benchmarks/*.csv.

    export   time and peak memory of exporting 65k Gaussians to GLB; sizes
    demo     scripts/demo in a clean clone: cold (new environment) and warm
    pictures the browser player's pictures against the reference, per driver
    web      our viewer beside the public LAM renderer and PlayCanvas, same avatar, same browser, same run: frames per second,
             script time, bytes and time to the first picture, memory; and our frames at 20k to 500k Gaussians
             (about eight minutes; needs Chromium, the LAM sample avatar, and npm for the peers)
    webgpu   our WebGPU path beside our WebGL2 path at 20k to 500k Gaussians: time a frame, script time, bytes on the card
    layers   BakedAvatar's eight shells at their full size in the player: bytes, seconds to a picture, memory, frames, decibels
             (about ten minutes; needs Chromium and Node)
    unity    the Unity package's kernels on a CPU driver at 20k to 150k Gaussians: growth of times, bytes a Gaussian
             (needs unity_sample/ci/graphics_tools.sh)
    engines  how far engines pose our GLB from the definition, at key times: grades and avatars
"""

import csv
import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("FLAMEPORT_DATA", ROOT.parent / "shared" / "data"))


def machine() -> str:
    """Return the processor's name and how many cores this process may use."""
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores, {platform.system()}"


def record(file: str, rows: list[dict[str, object]]) -> None:
    """Add rows to benchmarks/<file>.csv, each with the date, the machine and the commit."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    common = {"date": datetime.date.today().isoformat(), "commit": commit.stdout.strip(), "machine": machine()}
    path = ROOT / "benchmarks" / f"{file}.csv"
    new = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, [*common, "what", "value", "unit", "note"])
        if new:
            writer.writeheader()
        for row in rows:
            writer.writerow(common | {"note": ""} | row)
            print(f"{row['what']:48} {row['value']:>12} {row['unit']}  {row.get('note', '')}")


def python(code: str) -> tuple[float, float]:
    """Return wall seconds that `code` prints as its last line, and its peak resident memory in MB."""
    done = subprocess.run([sys.executable, "-c", code + "\nimport resource; print(resource.getrusage("
                           "resource.RUSAGE_SELF).ru_maxrss / 1024)"], capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, memory = (float(line) for line in done.stdout.split()[-2:])
    return seconds, memory


def export() -> None:
    """Time the stand-in's export, in a fresh process, from a bundle on disk."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        bundle, glb = Path(folder) / "x.avatar", Path(folder) / "x.glb"
        subprocess.run([sys.executable, "-m", "flameport", "standin", "--out", str(bundle)], check=True, cwd=ROOT,
                       capture_output=True)
        for grade in ("plain", "full", "small"):
            seconds, memory = python(
                f"import time, flameport; t = time.perf_counter(); a = flameport.load({str(bundle)!r})\n"
                f"flameport.export(a, 'glb', {str(glb)!r}, grade={grade!r}, allow_loss=True); print(time.perf_counter() - t)")
            rows += [{"what": f"export stand-in glb {grade}", "value": round(seconds, 2), "unit": "s"},
                     {"what": f"export stand-in glb {grade} peak memory", "value": round(memory), "unit": "MB"},
                     {"what": f"stand-in glb {grade}", "value": glb.stat().st_size, "unit": "bytes"}]
        archive = DATA / "lam_p2-1.zip"
        if archive.exists():
            lam = Path(folder) / "lam.avatar"
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "flameport", "import", "lam", str(archive), "--out", str(lam)], check=True,
                           cwd=ROOT, capture_output=True)
            rows.append({"what": "import lam", "value": round(time.perf_counter() - started, 2), "unit": "s"})
            subprocess.run([sys.executable, "-m", "flameport", "export", str(lam), "glb", "--out", str(glb), "--allow-loss"],
                           check=True, cwd=ROOT, capture_output=True)
            rows.append(_lam_small(lam, Path(folder) / "small.glb"))
            packed = subprocess.run(["gzip", "-9", "-c", str(glb)], capture_output=True, check=True).stdout
            rows += [{"what": "lam glb plain", "value": glb.stat().st_size, "unit": "bytes"},
                     {"what": "lam glb plain, gzip -9", "value": len(packed), "unit": "bytes"},
                     {"what": "lam public zip", "value": archive.stat().st_size, "unit": "bytes"}]
        rows += _made_small(Path(folder))
    record("export", rows)


def _lam_small(bundle: Path, out: Path) -> dict[str, object]:
    """Return the size of the LAM avatar in grade small, and how it looks over ARKit frames against the avatar itself."""
    import flameport
    from formats.codecs import glb_avatar
    from formats.render import default_camera, psnr, render_avatar
    from formats.retarget import retarget

    avatar = flameport.load(bundle)
    flameport.export(avatar, "glb", out, grade="small", clip=False, unweighted_joints=False, allow_loss=True)
    track = flameport.load_sequence(DATA / "lam_test_expression_1s.json")
    back, camera, worst = glb_avatar.read(out), default_camera(avatar, 512, 512), 999.0
    track = retarget(track, avatar.head)
    for i in np.linspace(0, len(track) - 1, 8).round().astype(int):
        frame = dataclasses.replace(track.take([int(i)]), joints={})
        worst = min(worst, psnr(render_avatar(avatar, frame, 0, camera).rgb, render_avatar(back, frame, 0, camera).rgb))
    return {"what": "lam glb small, 51 targets, no clip, weighted joints", "value": out.stat().st_size, "unit": "bytes",
            "note": f"{worst:.1f} dB at 512 px, the worst of 8 frames of LAM's ARKit track"}


def _made_small(folder: Path) -> list[dict[str, object]]:
    """Time grade small on avatars made up for it: own skin tables as MonoGaussianAvatar has them, up to a million Gaussians on
    triangles, and BakedAvatar's eight shells at their full size."""
    rows: list[dict[str, object]] = []
    for kind, count in (("own skin tables", 100_000), ("on triangles", 100_000), ("on triangles", 300_000),
                        ("on triangles", 1_000_000), ("shells", 8)):
        out = folder / "made.glb"
        maker = kind.replace("own skin", "own").replace(" ", "_")
        seconds, memory = python(
            "import sys, time\nfrom pathlib import Path\nsys.path[:0] = ['.', 'scripts']\nimport flameport\n"
            f"from made_avatars import on_triangles, own_tables, shells\na = {maker}({count})\n"
            "t = time.perf_counter(); c = time.process_time()\n"
            f"r = flameport.export(a, 'glb', Path({str(out)!r}), grade='small', allow_loss=True)\n"
            f"Path({str(folder / 'told')!r}).write_text('; '.join(l.amount for l in r.losses if 'small' in l.what) + "
            "f', {time.process_time() - c:.1f} s of processor time')\nprint(time.perf_counter() - t)")
        what, told = f"small, {count} {kind}", (folder / "told").read_text()
        rows += [{"what": f"export {what}", "value": round(seconds, 1), "unit": "s", "note": told},
                 {"what": f"export {what} peak memory", "value": round(memory), "unit": "MB",
                  "note": "the avatar itself included"},
                 {"what": what, "value": out.stat().st_size, "unit": "bytes"}]
    return rows


def demo() -> None:
    """Time scripts/demo in a clean clone, with a new environment and then again."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "flameport"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = {k: v for k, v in os.environ.items() if k not in ("FLAMEPORT_VENV", "VIRTUAL_ENV")}
        environment["PATH"] = os.pathsep.join(p for p in environment["PATH"].split(os.pathsep) if "venv" not in p)
        for name in ("cold", "warm"):
            started = time.perf_counter()
            subprocess.run(["scripts/demo", "--no-open"], cwd=clone, check=True, env=environment, capture_output=True)
            rows.append({"what": f"scripts/demo {name}", "value": round(time.perf_counter() - started, 1), "unit": "s",
                         "note": "a clean clone; packages from a nearby mirror"})
        rows += _trained(clone / "demo" / "run")
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "flameport", "capture", "--out", str(Path(folder) / "film"), "--size", "256"],
                       check=True, cwd=ROOT, capture_output=True)
        rows.append({"what": "capture, 152 frames of 256 px", "value": round(time.perf_counter() - started, 1), "unit": "s"})
    record("demo", rows)


def _trained(run: Path) -> list[dict[str, object]]:
    """Return what the demo's training, baking and evaluation came to."""
    trained, baked = (json.loads((run / part / "run.json").read_text())["seconds"] for part in (".", "bake"))
    found = json.loads((run / "eval" / "test.json").read_text())
    rows: list[dict[str, object]] = [
        {"what": "demo: training", "value": round(trained, 1), "unit": "s", "note": f"{found['gaussians']} Gaussians"},
        {"what": "demo: baking", "value": round(baked, 1), "unit": "s"}]
    for subject, measures in found["means"].items():
        rows += [{"what": f"demo: {subject}, held out, {name}", "value": round(value, 4), "unit": "dB" * name.startswith("psnr")}
                 for name, value in measures.items()]
    return rows


def web() -> None:
    """Measure our viewer beside other people's, and against counts, in browsers."""
    import benchmark_web

    record("web", benchmark_web.rows())


def pictures() -> None:
    """Record the worst of ten frames of each avatar in each browser driver, against the reference picture."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "pictures.jsonl"
        subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/web_viewer/test_pictures.py", "-k", "match_the_reference or "
                        "real_avatar", "--run-long"], cwd=ROOT, check=True, env=os.environ | {"FLAMEPORT_PICTURES": str(found)})
        rows = [json.loads(line) for line in found.read_text().splitlines()]
    record("pictures", [row | {"unit": "dB", "note": "worst of 10 frames"} for row in rows])


def engines() -> None:
    """Record how far each engine that is installed poses each avatar from the definition."""
    from benchmark_engines import rows

    record("engines", rows())


def webgpu() -> None:
    """Time WebGPU beside WebGL2 in one browser, offscreen, on a software adapter."""
    sys.path.insert(0, str(ROOT))
    from benchmark_webgpu import measure

    record("webgpu", measure(ROOT, DATA))


def layers() -> None:
    """Play mesh layers with textures of real sizes in browsers."""
    sys.path.insert(0, str(ROOT))
    from scripts.benchmark_layers import measure

    record("layers", measure())


def unity() -> None:
    """Time the Unity package's kernels on a CPU driver."""
    sys.path.insert(0, str(ROOT))
    from benchmark_unity import measure

    record("unity", measure())


if __name__ == "__main__":
    for task in sys.argv[1:] or ["export", "demo"]:
        {"export": export, "demo": demo, "engines": engines, "pictures": pictures, "web": web,
         "webgpu": webgpu, "layers": layers, "unity": unity}[task]()
