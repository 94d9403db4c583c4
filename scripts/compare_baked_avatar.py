#!/usr/bin/env python3
"""Put the picture of BakedAvatar's own web demo beside ours, from one camera, and print how far they are apart.

    scripts/compare_baked_avatar.py DEMO PEERS FOLDER OUT.png [--edition flame2020]

FOLDER is what `flameport export X.avatar baked-avatar-web` wrote. DEMO is `web_demo` of BakedAvatar's repository, built: beside
it `npm i --ignore-scripts ndarray@1.0.19 cwise@0.4.0 zeros@1.0.0 ndarray-gemm@1.0.0 ndarray-ops@1.2.2 ndarray-unsqueeze@1.0.3
ndarray-concat-cols@1.0.0 ndarray-concat-rows@1.0.1 npyjs@0.4.0 buffer`, then `esbuild src/index.js --bundle --format=iife
--define:global=window --outfile=dist/main.js`. PEERS is a folder in which `npm i playwright-core` was run. OUT.png shows the
demo, ours with `as_original`, ours, and four times the difference of the first two.

The demo plays the first clip to its end, at 80 % of its size as it does, and so do we. Its edges are the graphics driver's,
and tiles bleed into each other at their borders: about 40 dB is the same picture.
"""

import argparse
import base64
import dataclasses
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

from formats.camera import look_at  # noqa: E402 - the repository need not be installed
from formats.codecs import baked_sequence  # noqa: E402
from formats.importers import baked_avatar  # noqa: E402
from formats.render import psnr, render_avatar  # noqa: E402

DISTANCE, HEIGHT = 4.5 / 4, float(np.deg2rad(14))
"""Metres and radians of the demo's camera."""
AMPLITUDE = 0.8
"""What the demo's smoothing of 0.2 leaves of a clip."""

SHOT = """
import { createRequire } from 'module';
const [peers, browser, profile, url, milliseconds] = process.argv.slice(2);
const { chromium } = createRequire(peers + '/package.json')('playwright-core');
const context = await chromium.launchPersistentContext(profile, { executablePath: browser, headless: true,
  viewport: { width: 1200, height: 900 }, ignoreDefaultArgs: ['--disable-gpu'], args: ['--no-sandbox', '--use-gl=angle',
  '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-background-networking', '--no-first-run'] });
const page = context.pages()[0] || await context.newPage();
page.on('pageerror', (e) => console.error(String(e.stack || e).slice(0, 800)));
await page.addInitScript(() => {
  const next = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (draw) => next((t) => Promise.resolve(draw(t)).then(() => {
    const gl = window.gl;
    if (!gl || !window.__wanted) return;
    window.__wanted = false;
    const size = [gl.drawingBufferWidth, gl.drawingBufferHeight], bytes = new Uint8Array(size[0] * size[1] * 4);
    gl.readPixels(0, 0, ...size, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    let text = '';
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode.apply(null, bytes.subarray(i, i + 8192));
    window.__picture = { size, rgba: btoa(text), error: gl.getError() };
  }));
});
await page.goto(url);
await page.waitForSelector('#ani1', { timeout: 180000 });
await page.waitForTimeout(1000);
await page.evaluate(() => document.querySelector('#ani1').onclick());
await page.waitForTimeout(Number(milliseconds));
await page.evaluate(() => { window.__wanted = true; });
await page.waitForFunction(() => window.__picture, null, { timeout: 60000 });
process.stdout.write(JSON.stringify(await page.evaluate(() => window.__picture)));
await context.close();
"""


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("demo", "peers", "folder", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--edition", default="flame2020", help="of the head the folder was exported with")
    words = parser.parse_args()
    clip = baked_sequence.read(words.folder / "sequence_data", words.edition)
    first, end = next(iter(clip.ranges.values()))
    theirs = _picture(words, 3000 + 4000 * (end - first) / clip.fps)
    frame = clip.take([end - 1])
    frame = dataclasses.replace(frame, **{name: np.float32(AMPLITUDE) * getattr(frame, name)
                                          for name in ("expr", "rotation", "neck", "jaw", "eyes")})
    camera = look_at(np.array([0, 0, DISTANCE]), np.zeros(3), HEIGHT, theirs.shape[1], theirs.shape[0])
    pictures = []
    for name, original in (("as_original", True), ("ours", False)):
        avatar = baked_avatar.read(words.folder / "mesh_data", as_original=original, edition=words.edition)
        pictures.append(np.asarray(render_avatar(avatar, frame, 0, camera).rgb, np.float32))
        print(f"{name} against BakedAvatar's demo: {psnr(pictures[-1], theirs):.2f} dB")
    difference = np.clip(np.abs(pictures[0] - theirs) * 4, 0, 1)
    sheet = np.concatenate([theirs, *pictures, difference], axis=1)
    Image.fromarray((sheet * 255 + 0.5).astype(np.uint8)).save(words.out)
    print(f"wrote {words.out}: BakedAvatar's demo, as_original, ours, 4 x difference of the first two")
    return 0


def _picture(words: argparse.Namespace, milliseconds: float) -> np.ndarray:
    """Return the demo's picture at the end of the first clip, [H, W, 3] in 0..1."""
    with tempfile.TemporaryDirectory() as name:
        site, shot = Path(name) / "site", Path(name) / "shot.mjs"
        shutil.copytree(words.demo, site, ignore=shutil.ignore_patterns("node_modules", "mesh_data", "sequence_data"))
        for part in ("mesh_data", "sequence_data"):
            (site / part).symlink_to((words.folder / part).resolve())
        shot.write_text(SHOT)
        handler = functools.partial(_Quiet, directory=str(site))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium"
        try:
            done = subprocess.run(["node", shot, words.peers.resolve(), browser, Path(name) / "profile",
                                   f"http://127.0.0.1:{server.server_port}/", str(int(milliseconds))],
                                  check=True, timeout=600, stdout=subprocess.PIPE)
        finally:
            server.shutdown()
            server.server_close()
    picture = json.loads(done.stdout)
    width, height = picture["size"]
    rgba = np.frombuffer(base64.b64decode(picture["rgba"]), np.uint8).reshape(height, width, 4)
    return rgba[::-1, :, :3].astype(np.float32) / 255


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    sys.exit(main())
