"""BakedAvatar's eight shells at their full size in the player: bytes, time to a picture, memory on the card, frames, decibels.

Called by `scripts/benchmark layers`, which adds the rows to benchmarks/layers.csv, and by a test of `scripts/test --long`. The
shells are made up (`made_avatars.shells`): 16 radiance bases, 8 features and an alpha of 1024 x 1024 each.
"""

import dataclasses
import functools
import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numpy as np

from exporter import glb_textures, ktx2
from exporter.targets import glb
from formats.avatar import Avatar
from formats.codecs import camera_json, glb_avatar, sequence_json
from formats.codecs.glb import read_document
from formats.picture import psnr
from formats.render import default_camera, render_avatar
from formats.sequence import Sequence
from scripts.made_avatars import shells
from tests.web_viewer.browser import DRIVERS, run
from tests.web_viewer.pictures import Show

Kind = Literal["ktx2", "webp"]
SIZE = 128
"""Pixels of the pictures: drivers without a card take seconds for larger ones."""
FRAMES = 10
DISTINCT = 4
"""Different radiance bases, which take ten seconds each to encode as KTX2; the file holds them again and again."""

PLAY = """(async () => {
  const { loadAvatar, Player } = flameport;
  const json = async (name) => (await fetch(`files/${name}`)).json();
  const put = (name, body) => fetch(`out/${name}`, { method: "PUT", body });
  const { kind, moments, seconds } = window.job;
  const tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries())).observe({ entryTypes: ["longtask"] });
  const camera = await json("camera.json");
  const clip = await json("clip.json");
  const canvas = Object.assign(document.createElement("canvas"), { width: camera.width, height: camera.height });
  document.body.append(canvas);
  const started = performance.now();
  const since = () => (performance.now() - started) / 1000;
  const told = { errors: [] };
  const player = new Player(canvas, { onError: (error) => told.errors.push(error.message) });
  const avatar = await loadAvatar(`files/${kind}.glb`);
  told.arrived = since();
  player.setAvatar(avatar);
  player.setSequence(clip);
  player.setCamera(camera);
  player.pause();
  player.seek({ frame: moments[0] });
  // Settles when everything is on the card, before anything is drawn.
  await player.readWorld();
  told.prepared = since();
  await player.readPixels();
  told.first = since();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const loading = tasks.filter(({ startTime }) => startTime >= started && startTime < started + 1000 * told.prepared);
  told.blocked = Math.max(0, ...loading.map(({ duration }) => duration));
  told.bytes = player.stats.gpuBytes;
  for (const [i, moment] of moments.entries()) {
    player.seek({ frame: moment });
    await put(`${kind}.${i}.half.f32`, await player.readPixels({ half: true }));
    await put(`${kind}.${i}.canvas.u8`, await player.readPixels());
  }
  let drawn = 0;
  player.onFrame = () => drawn++;
  player.loop = true;
  player.play();
  const from = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  told.fps = (1000 * drawn) / (performance.now() - from);
  player.dispose();
  window.told = told;
})().catch((error) => { window.told = { errors: [String(error)] }; })"""


def full_shells(layers: int = 8, side: int = 1024) -> Show:
    """Return shells, a clip of ten frames that moves everything, and a camera in front."""
    avatar = shells(layers, side, distinct=DISTINCT)
    rng = np.random.default_rng(1)
    clip = Sequence(avatar.head.edition, 25, rng.normal(0, 0.6, (FRAMES, 50)), rotation=rng.normal(0, 0.12, (FRAMES, 3)),
                    jaw=np.abs(rng.normal(0, 0.1, (FRAMES, 3))) * [1, 0, 0], expr_names=avatar.head.expr_names)
    return Show(avatar, clip, default_camera(avatar, SIZE, SIZE), tuple(np.linspace(0, FRAMES - 1, FRAMES).tolist()))


@contextmanager
def encoded_once():  # noqa: ANN201 - a context manager
    """Encode equal pictures once."""
    encode, known = glb_textures.encode, {}

    def once(pixels: np.ndarray, kind: glb_textures.Kind, lossless: bool = True) -> glb_textures.Encoded:
        key = pixels.shape, pixels.tobytes(), kind, lossless
        if key not in known:
            known[key] = encode(pixels, kind, lossless)
        return known[key]

    with mock.patch.object(glb_textures, "encode", once):
        yield


def write(show: Show, folder: Path, kind: Kind) -> Avatar:
    """Write `KIND.glb`, the clip and the camera; return the avatar as the file has it, decoded."""
    folder.mkdir(parents=True, exist_ok=True)
    decode = functools.cache(lambda data: ktx2.decode(data, kind))
    with encoded_once():
        data = glb.to_bytes(dataclasses.replace(show.avatar, sequence=None), glb.Options(layer_textures=kind))
    (folder / f"{kind}.glb").write_bytes(data)
    sequence_json.write(show.sequence, folder / "clip.json")
    camera_json.write(show.camera, folder / "camera.json")
    return glb_avatar.from_document(read_document(data), lambda data, _: decode(bytes(data)))


def play(driver: str, show: Show, folder: Path, out: Path, kind: Kind, seconds: float) -> dict[str, Any]:
    """Return what the player told, and its pictures as `half` and `canvas`, display sRGB 0..1."""
    job = {"kind": kind, "moments": list(show.moments), "seconds": seconds}
    task = {"kind": "page", "name": kind, "width": 400, "height": 300, "ready": "window.flameport", "wait": "window.told",
            "steps": [f"window.job = {json.dumps(job)}", PLAY], "tell": "window.told"}
    report = run(driver, [task], folder, out)
    told = report["tasks"][kind]
    errors = told["errors"] + [line for line in report["errors"] if "Performance" not in line]
    if errors:
        raise AssertionError(errors)
    shape = (show.camera.height, show.camera.width, 4)
    for target, suffix, kept, most in (("half", "half.f32", "<f4", 1), ("canvas", "canvas.u8", "u1", 255)):
        files = (out / f"{kind}.{i}.{suffix}" for i in range(len(show.moments)))
        told[target] = [np.fromfile(file, kept).reshape(shape)[..., :3].astype(np.float32) / most for file in files]
    return told


def measure(seconds: float = 6) -> list[dict[str, object]]:
    """Return rows for benchmarks/layers.csv, from both software drivers."""
    rows: list[dict[str, object]] = []
    show = full_shells()
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("ktx2", "webp"):
            files = Path(folder) / kind
            back = write(show, files, kind)
            wanted = [render_avatar(back, show.sequence, t, show.camera).rgb for t in show.moments]
            rows.append({"what": f"8 shells, {kind}", "value": (files / f"{kind}.glb").stat().st_size, "unit": "bytes",
                         "note": "16 bases, 8 features, alpha, 1024 x 1024 each; noise, which packs badly"})
            for driver in DRIVERS:
                told = play(driver, show, files, Path(folder) / driver / kind, kind, seconds)
                worst = {target: min(psnr(a.clip(0, 1), b) for a, b in zip(told[target], wanted, strict=True))
                         for target in ("half", "canvas")}
                name, load = f"{driver} 8 shells, {kind}", f"load of the machine {os.getloadavg()[0]:.0f}"
                rows += [{"what": f"{name}, to the first picture", "value": round(told["first"], 2), "unit": "s", "note": load},
                         {"what": f"{name}, longest task of the page while it loads", "value": round(told["blocked"]),
                          "unit": "ms", "note": load},
                         {"what": f"{name}, on the card", "value": round(told["bytes"] / 1e6, 1), "unit": "MB"},
                         {"what": f"{name}, playing", "value": round(told["fps"], 2), "unit": "frames/s",
                          "note": f"{SIZE} x {SIZE}, {load}"},
                         {"what": f"{name}, half floats", "value": round(float(worst["half"]), 1), "unit": "dB",
                          "note": f"worst of {FRAMES} frames"},
                         {"what": f"{name}, canvas", "value": round(float(worst["canvas"]), 1), "unit": "dB",
                          "note": f"worst of {FRAMES} frames"}]
    return rows
