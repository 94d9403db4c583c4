"""Our viewer beside the public LAM renderer and PlayCanvas, in one browser and run, and our frames against counts.

Called by `scripts/benchmark web`, which adds the rows to benchmarks/web.csv; about eight minutes. Needs Chromium, the LAM
sample avatar in FLAMEPORT_DATA, and npm for the peers. What is measured of a page, benchmarks/peers/measure.mjs says.
"""

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from made_avatars import on_triangles

import flameport
from formats.avatar import SplatLayer
from formats.camera import look_at
from formats.codecs import camera_json

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("FLAMEPORT_DATA", ROOT.parent / "shared" / "data"))

PEERS = ROOT / "benchmarks" / "peers"
PAGES = {"public_lam": "public_lam.html", "playcanvas": "playcanvas.html", "playcanvas_whole": "playcanvas.html?cull=0",
         "ours": "ours.html?avatar=lam.glb&clip=clip.json&camera=camera.json"}
COUNTS = (20_000, 65_000, 150_000, 500_000)


def rows(rounds: int = 3, seconds: int = 6) -> list[dict[str, object]]:
    """Return rows for benchmarks/web.csv, from both software drivers."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    archive = DATA / "lam_p2-1.zip"
    if not chromium or not archive.exists():
        raise SystemExit("web: needs Chromium on the PATH and the LAM sample avatar in FLAMEPORT_DATA")
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"], cwd=PEERS, check=True)
    for name in ("public_lam", "playcanvas", "ours"):
        # What the players load only when an avatar needs it stays outside.
        subprocess.run(["npx", "esbuild", f"{name}.mjs", "--bundle", "--format=esm", "--splitting", "--minify",
                        "--loader:.glsl=text", "--external:*?url", "--external:*?worker&url", "--external:three/*",
                        "--log-level=error", "--outdir=dist"], cwd=PEERS, check=True)
    with tempfile.TemporaryDirectory() as folder:
        assets = Path(folder)
        _web_assets(assets, archive)
        found: list[dict[str, object]] = []
        for driver in ("swiftshader", "llvmpipe"):
            found += _beside_peers(driver, _measure(driver, assets, chromium, rounds, seconds, PAGES))
            pages = {f"made {n}": f"ours.html?avatar=made{n}.glb" for n in COUNTS}
            for name, (run,) in _measure(driver, assets, chromium, 1, 4, pages).items():
                note = "made up, on triangles, posed and ordered anew every frame"
                found += [{"what": f"{driver} {name} Gaussians", "value": round(run["fps"], 2), "unit": "frames/s", "note": note},
                         *_script(f"{driver} {name}", run),
                         {"what": f"{driver} {name} on the card", "value": round(run["gpu_mb"], 1), "unit": "MB"},
                         {"what": f"{driver} {name} heap", "value": round(run["heap_mb"], 1), "unit": "MB"}]
    return found


def _web_assets(assets: Path, archive: Path) -> None:
    """Write what the pages load: the LAM avatar as every player takes it, and made-up ones of many sizes."""
    track = DATA / "lam_test_expression_1s.json"
    shutil.copy(archive, assets / "p2-1.zip")
    shutil.copy(track, assets / "track.json")
    for words in (["import", "lam", str(archive), "--out", "lam.avatar"],
                  ["sequence", str(track), "--for", "lam.avatar", "--out", "clip.json"],
                  ["export", "lam.avatar", "glb", "--out", "lam.glb", "--grade", "small", "--no-clip",
                   "--no-unweighted-joints", "--allow-loss"],
                  ["export", "lam.avatar", "ply", "--out", "static.ply", "--allow-loss"]):
        subprocess.run([sys.executable, "-m", "flameport", *words], check=True, cwd=assets, capture_output=True,
                       env=os.environ | {"PYTHONPATH": str(ROOT)})
    for count in COUNTS:
        # As in trained ones, the more there are the smaller they are: together they cover the same surface.
        avatar = on_triangles(count)
        (layer,) = avatar.layers
        assert isinstance(layer, SplatLayer)
        cloud = dataclasses.replace(layer.cloud, scales=layer.cloud.scales * (COUNTS[0] / count) ** 0.5)
        avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(layer, cloud=cloud),))
        flameport.export(avatar, "glb", assets / f"made{count}.glb", allow_loss=True)
    # The public renderer's own camera: (0, 1.8, 1), pitched 10 degrees down, 50 degrees high.
    eye, pitch = np.array([0, 1.8, 1.0]), np.radians(-10)
    camera_json.write(look_at(eye, eye + [0, np.sin(pitch), -np.cos(pitch)], np.radians(50), 512, 512), assets / "camera.json")


def _measure(driver: str, assets: Path, chromium: str, rounds: int, seconds: int, pages: dict[str, str]) -> dict[str, list]:
    """Return each page's runs, as `measure.mjs` describes them."""
    done = subprocess.run(["node", "measure.mjs", str(PEERS), str(assets), driver, str(rounds), str(seconds),
                           *(f"{name}={page}" for name, page in pages.items())], cwd=PEERS, check=False, text=True,
                          capture_output=True, env=os.environ | {"CHROMIUM": chromium})
    if done.returncode:
        raise SystemExit(f"web: {driver}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _script(of: str, found: dict[str, float]) -> list[dict[str, object]]:
    """Return what scripts of a page take: their work, and their work with waiting for drivers on the same cores."""
    return [{"what": f"{of} script a frame", "value": round(found["script_ms"], 2), "unit": "ms",
             "note": "the page's thread at work for its scripts"},
            {"what": f"{of} script a frame, waiting included", "value": round(found["waiting_ms"], 2), "unit": "ms"}]


def _beside_peers(driver: str, found: dict[str, list]) -> list[dict[str, object]]:
    """Return each player's numbers, medians unless said, and ours over theirs."""
    rows: list[dict[str, object]] = []
    rigged = "20 018 splats, 512 x 512, its own expression track"
    notes = {"public_lam": rigged, "ours": rigged,
             "playcanvas": "every splat displaced, no rig; drops small and faint ones, as it does by default",
             "playcanvas_whole": "every splat displaced, no rig; nothing dropped"}
    keys = ("fps", "cpu_ms", "script_ms", "waiting_ms", "first_s", "bytes", "heap_mb", "gpu_mb")
    median = {name: {key: statistics.median(run[key] for run in runs) for key in keys} for name, runs in found.items()}
    for name, runs in found.items():
        middle = median[name]
        rows += [{"what": f"{driver} {name} best", "value": round(max(run["fps"] for run in runs), 2), "unit": "frames/s"},
                 {"what": f"{driver} {name} median", "value": round(middle["fps"], 2), "unit": "frames/s", "note": notes[name]},
                 {"what": f"{driver} {name} processor time a frame", "value": round(middle["cpu_ms"], 1), "unit": "ms"},
                 *_script(f"{driver} {name}", middle),
                 {"what": f"{driver} {name} first picture", "value": round(middle["first_s"], 2), "unit": "s"},
                 {"what": f"{driver} {name} to first picture", "value": round(middle["bytes"]), "unit": "bytes"},
                 {"what": f"{driver} {name} heap", "value": round(middle["heap_mb"], 1), "unit": "MB"},
                 {"what": f"{driver} {name} on the card", "value": round(middle["gpu_mb"], 1), "unit": "MB"}]
    ours = median["ours"]
    for name in [name for name in found if name != "ours"]:
        best = max(run["fps"] for run in found["ours"]) / max(run["fps"] for run in found[name])
        middle = ours["fps"] / median[name]["fps"]
        rows += [{"what": f"{driver} ours / {name}, best", "value": round(best, 2), "unit": "ratio"},
                 {"what": f"{driver} ours / {name}, median", "value": round(middle, 2), "unit": "ratio"},
                 {"what": f"{driver} {name} / ours, processor time a frame", "unit": "ratio",
                  "value": round(median[name]["cpu_ms"] / ours["cpu_ms"], 2)}]
    lam = median["public_lam"]
    rows += [{"what": f"{driver} ours / public_lam, {what}", "value": round(ours[key] / lam[key], 3), "unit": "ratio"}
             for what, key in (("first picture", "first_s"), ("bytes to first picture", "bytes"), ("heap", "heap_mb"))]
    return rows
