#!/usr/bin/env python3
"""Put the public LAM renderer's picture beside ours, from one camera, and print how far they are apart.

    scripts/compare_lam.py PEERS AVATAR.zip OUT.png                            neutral face, no clip
    scripts/compare_lam.py PEERS AVATAR.zip OUT.png --track T.json --frame 40  a frame of an ARKit track
    scripts/compare_lam.py PEERS AVATAR.zip OUT.png --clip yumi_h5_a3_hello --time 1.0

PEERS is a folder in which `npm i gaussian-splat-renderer-for-lam@0.0.8 playwright-core esbuild` was run. OUT.png shows
the public renderer, ours with `as_original`, ours, and four times the difference of the first two. Never commit it: it
shows a real person. Node, and Chromium (at $CHROMIUM, else `chromium`), are needed; software GL takes about half a minute.

The public renderer is set up as a picture: its fade-in is ended, its clips are stopped, and its own gains on ARKit
weights are taken out, so that what is left to differ is how an avatar is posed and drawn.
"""

import argparse
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from formats import importers  # noqa: E402 - the repository need not be installed
from formats.avatar import Avatar  # noqa: E402
from formats.camera import Camera, look_at  # noqa: E402
from formats.codecs import arkit_json  # noqa: E402
from formats.deform import rest_sequence  # noqa: E402
from formats.render import psnr, render_avatar  # noqa: E402
from formats.retarget import retarget  # noqa: E402
from formats.sequence import Sequence  # noqa: E402

SIZE = 512

PAGE = """<!doctype html><meta charset=utf-8><title>lam</title>
<style>html,body{margin:0;background:#fff;overflow:hidden}#d{width:512px;height:512px;position:relative}</style>
<div id=d></div><script type=module src="page.js"></script>"""

ENTRY = """
import * as lam from 'gaussian-splat-renderer-for-lam';
const spec = await (await fetch('/spec.json')).json();
let loaded;
const ready = new Promise((resolve) => { loaded = resolve; });
const options = { getChatState: () => 'Idle', getExpressionData: () => ({ ...spec.weights }),
  backgroundColor: '0xffffff', loadProgress: (p) => { if (p === 1) loaded(); } };
const r = await lam.GaussianSplatRenderer.getInstance(document.getElementById('d'), '/avatar.zip', options);
await ready;
r.motioncfg = undefined;
const mixer = r.mixer;
mixer.stopAllAction();
if (spec.clip) {
  const action = mixer._actions.find((a) => a.getClip().name === spec.clip);
  action.reset(); action.enabled = true; action.setEffectiveTimeScale(1); action.setEffectiveWeight(1); action.play();
  mixer.setTime(spec.time);
}
r.mixer = { update() {} };
r.animManager = { update() {} };
const mesh = r.viewer.splatMesh;
Object.defineProperty(mesh.material.uniforms.fadeInComplete, 'value', { get: () => 1, set() {} });
let frames = 0;
const tick = () => { frames += 1; if (frames > 8) window.__done = true; else requestAnimationFrame(tick); };
tick();
"""

SHOT = """
import { createRequire } from 'module';
const [peers, browser, profile, url, out] = process.argv.slice(2);
const { chromium } = createRequire(peers + '/package.json')('playwright-core');
const context = await chromium.launchPersistentContext(profile, { executablePath: browser, headless: true,
  viewport: { width: 512, height: 512 }, ignoreDefaultArgs: ['--disable-gpu'], args: ['--no-sandbox', '--use-gl=angle',
  '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-background-networking', '--no-first-run'] });
const page = context.pages()[0] || await context.newPage();
page.on('pageerror', (e) => console.error(String(e.stack || e).slice(0, 800)));
await page.goto(url);
await page.waitForFunction(() => window.__done === true, null, { timeout: 180000 });
await page.screenshot({ path: out });
await context.close();
"""


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", type=Path)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--track", type=Path, help="ARKit track, JSON or CSV")
    parser.add_argument("--frame", type=int, default=0)
    parser.add_argument("--clip", help="a clip of the avatar's animation.glb")
    parser.add_argument("--time", type=float, default=0.0, help="seconds into the clip")
    words = parser.parse_args()
    original = importers.read("lam", words.avatar, as_original=True)
    ours = importers.read("lam", words.avatar)
    sequence, t = _pose(ours, words)
    theirs = _screenshot(words, _weights(sequence, t))
    pictures = [np.asarray(render_avatar(a, sequence, t, camera()).rgb, np.float64) for a in (original, ours)]
    for name, picture in zip(("as_original", "ours"), pictures, strict=True):
        print(f"{name} against the public renderer: {psnr(picture.astype(np.float32), theirs.astype(np.float32)):.2f} dB, "
              f"mean difference {255 * np.mean(picture - theirs):+.2f} / 255")
    difference = np.clip(np.abs(pictures[0] - theirs) * 4, 0, 1)
    sheet = np.concatenate([theirs, *pictures, difference], axis=1)
    Image.fromarray((sheet * 255 + 0.5).astype(np.uint8)).save(words.out)
    print(f"wrote {words.out}: public renderer, as_original, ours, 4 x difference of the first two")
    return 0


def camera() -> Camera:
    """Return the camera that the public renderer stands at: (0, 1.8, 1), pitched down 10 degrees, 50 degrees high."""
    eye, pitch = np.array([0, 1.8, 1.0]), np.deg2rad(-10)
    return look_at(eye, eye + [0, np.sin(pitch), -np.cos(pitch)], float(np.deg2rad(50)), SIZE, SIZE)


def _pose(avatar: Avatar, words: argparse.Namespace) -> tuple[Sequence, float]:
    if words.clip:
        if avatar.sequence is None or words.clip not in avatar.sequence.ranges:
            raise SystemExit(f"--clip {words.clip}: the avatar has {', '.join(getattr(avatar.sequence, 'ranges', {}))}")
        return avatar.sequence, avatar.sequence.ranges[words.clip][0] + words.time * avatar.sequence.fps
    if not words.track:
        return rest_sequence(avatar.head), 0.0
    return retarget(arkit_json.read(words.track), avatar.head), float(words.frame)


def _weights(sequence: Sequence, t: float) -> dict[str, float]:
    frame = sequence.sample(t)
    return {name: float(w) for name, w in zip(frame.expr_names, frame.expr[0], strict=bool(frame.expr_names))}


def _screenshot(words: argparse.Namespace, weights: dict[str, float]) -> np.ndarray:
    """Return the public renderer's picture, [512, 512, 3] in 0..1."""
    peers = words.peers.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = folder / "site"
        site.mkdir()
        shutil.copy(words.avatar, site / "avatar.zip")
        (site / "index.html").write_text(PAGE)
        (site / "spec.json").write_text(json.dumps({"weights": weights, "clip": words.clip, "time": words.time}))
        (folder / "entry.mjs").write_text(ENTRY)
        (folder / "shot.mjs").write_text(SHOT)
        subprocess.run([peers / "node_modules/.bin/esbuild", folder / "entry.mjs", "--bundle", "--format=esm",
                        "--log-level=error", f"--outfile={site / 'page.js'}"], check=True,
                       env={**os.environ, "NODE_PATH": str(peers / "node_modules")})
        handler = functools.partial(_Quiet, directory=str(site))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            subprocess.run(["node", folder / "shot.mjs", peers,
                            os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium", folder / "profile",
                            f"http://127.0.0.1:{server.server_port}/", folder / "shot.png"], check=True, timeout=300)
        finally:
            server.shutdown()
            server.server_close()
        return np.asarray(Image.open(folder / "shot.png").convert("RGB"), np.float64) / 255


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    sys.exit(main())
