"""The player's inner parts in a real browser: guests on foreign contexts, lost contexts, and what is left behind."""

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest

from exporter.targets import glb
from formats.avatar import SplatLayer
from scripts.made_avatars import on_triangles
from tests.web_viewer.browser import run, unavailable
from web_viewer import dist_folder

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "posing"
ESBUILD = HERE.parents[1] / "web_viewer" / "node_modules" / ".bin" / "esbuild"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page that offers `core.mjs` as `window.flameport`."""
    if not ESBUILD.exists():
        unavailable("web_viewer/node_modules is missing; run scripts/build --tests")
    out = tmp_path_factory.mktemp("core_page")
    subprocess.run([str(ESBUILD), str(HERE / "core.mjs"), "--bundle", "--format=esm", "--splitting",
                    "--external:*?url", "--external:*?worker&url", "--external:three/*", "--log-level=error",
                    f"--outdir={out}"], check=True)
    (out / "index.html").write_text('<!doctype html><meta charset="utf-8"><title>core</title>'
                                    '<script type="module" src="./core.js"></script>')
    return out


def _ask(page: Path, out: Path, tell: str, driver: str = "swiftshader", flags: tuple[str, ...] = (),
         files: Path = GOLDEN) -> dict:
    """Return what the asynchronous function body `tell` returns on the page, which sees `files`."""
    tell = f"(async () => {{ {tell} }})()"
    task = {"kind": "page", "name": "core", "width": 400, "height": 300, "ready": "window.flameport", "tell": tell}
    report = run(driver, [task], files, out, page, flags)
    assert not [line for line in report["errors"] if "Performance" not in line]
    return report["tasks"]["core"]


GUEST = """
const { GuestRenderer, Renderer, scene } = flameport;
const { avatar, view, pose } = await scene("edge-height", 1);
const { width, height } = view;
const own = document.createElement("canvas").getContext("webgl2");
Object.assign(own.canvas, { width, height });
const alone = new Renderer(own, avatar, false);
alone.pose(pose);
const wanted = await alone.readPixels(view, { rgb: [1, 1, 1], alpha: 1 }, false);

// A host that leaves everything in the way: flipped uploads, scissors, samplers, culling, a target of its own.
const gl = document.createElement("canvas").getContext("webgl2");
const guest = new GuestRenderer(gl, avatar, false);
const color = gl.createTexture(), depth = gl.createRenderbuffer(), target = gl.createFramebuffer();
gl.bindTexture(gl.TEXTURE_2D, color);
gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, width + 8, height + 4);
gl.bindRenderbuffer(gl.RENDERBUFFER, depth);
gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, width + 8, height + 4);
gl.bindFramebuffer(gl.FRAMEBUFFER, target);
gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, color, 0);
gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, depth);
const flip = (spoil) => {
  gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, spoil);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, spoil);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.bindSampler(0, gl.createSampler());
  gl.enable(gl.SCISSOR_TEST); gl.scissor(0, 0, 3, 3);
  gl.enable(gl.CULL_FACE); gl.cullFace(gl.FRONT_AND_BACK);
  gl.enable(gl.STENCIL_TEST); gl.stencilFunc(gl.NEVER, 0, 1);
  gl.blendEquation(gl.FUNC_SUBTRACT);
  gl.colorMask(true, false, true, false);
  gl.depthMask(false);
};
const draw = (left) => {
  gl.disable(gl.SCISSOR_TEST); gl.disable(gl.STENCIL_TEST);
  gl.colorMask(true, true, true, true); gl.depthMask(true);
  gl.clearColor(1, 1, 1, 1); gl.clearDepth(1);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  // Something flat stands in the left half, this many metres from the camera.
  gl.enable(gl.SCISSOR_TEST); gl.scissor(0, 0, 8 + width / 2, height + 4);
  const near = 0.1, far = 10;
  gl.clearDepth(0.5 + 0.5 * ((far + near) / (far - near) - (2 * far * near) / (far - near) / left));
  gl.clear(gl.DEPTH_BUFFER_BIT);
  flip(true);
  guest.pose(pose);
  flip(true);
  const before = gl.getParameter(gl.FRAMEBUFFER_BINDING) === target;
  guest.paintInto(view, { near, far }, { x: 8, y: 4, width, height });
  const after = gl.getParameter(gl.FRAMEBUFFER_BINDING) === target;
  const got = new Uint8Array(4 * width * height);
  gl.readPixels(8, 4, width, height, gl.RGBA, gl.UNSIGNED_BYTE, got);
  let apart = [0, 0], drawn = [0, 0];
  for (let y = 0; y < height; y++) for (let x = 0; x < 4 * width; x++) {
    const half = x < 2 * width ? 0 : 1, v = got[4 * width * (height - 1 - y) + x];
    apart[half] = Math.max(apart[half], Math.abs(wanted[4 * width * y + x] - v));
    if (v !== 255) drawn[half]++;
  }
  return { before, after, apart, drawn, error: gl.getError() };
};
const result = { behind: draw(5), infront: draw(0.15), shown: guest.shown };
guest.dispose();
return result;
"""


@pytest.mark.parametrize("driver", ["swiftshader", "llvmpipe"])
def test_a_guest_draws_into_a_foreign_scene(page, tmp_path, driver):
    found = _ask(page, tmp_path, GUEST, driver)
    assert found["shown"] > 0
    for case in (found["behind"], found["infront"]):
        assert case["before"] and case["after"] and case["error"] == 0
        assert case["apart"][1] <= 1 and case["drawn"][1] > 100
    assert found["behind"]["apart"][0] <= 1 and found["behind"]["drawn"][0] > 100
    assert found["infront"]["drawn"][0] == 0


LOST = """
const { loadAvatar, Player, json, frames, sleep, count } = flameport;
const canvas = document.createElement("canvas");
Object.assign(canvas, { width: 120, height: 100 });
const told = [];
const player = new Player(canvas, { near: 0.05, onError: (e) => told.push(e.name), onRestored: () => told.push("back") });
const extension = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
const until = async (word, n) => { while (told.filter((t) => t === word).length < n) await sleep(5); };
const lose = async (n) => { extension.loseContext(); await until("DeviceError", n); };
const restore = async (n) => { extension.restoreContext(); await until("back", n); };
const avatar = await loadAvatar("files/edge-height.glb");
const sum = async () => (await player.readPixels()).reduce((a, b) => a + b, 0);

await lose(1);                       // while the avatar comes
player.setAvatar(avatar);
const refused = await sum().catch((e) => e.name);
await restore(1);
const shown = await sum();
player.setAvatar(avatar);
const again = await sum();
player.setSequence(await json("edge-height.clip.json"));
player.setCamera((await json("edge-height.json")).camera);
player.seek({ frame: 1 });
const wanted = await sum();
await lose(2);                       // standing still
player.seek({ frame: 2 });
player.seek({ frame: 1 });
await restore(2);
const still = await sum();
player.play();
await frames(3);
await lose(3);                       // playing
await frames(3);
await restore(3);
await frames(3);
player.pause();
player.seek({ frame: 1 });
const played = await sum();
canvas.width = 61; canvas.height = 203;    // another shape, as a turned phone has
player.render();
const turned = await sum();
await lose(4);                       // and while it is thrown away
player.dispose();
player.dispose();
return { refused, shown, again, wanted, still, played, turned, told, left: count() };
"""


@pytest.mark.parametrize("driver", ["swiftshader", "llvmpipe"])
def test_a_lost_context_comes_back_in_every_state(page, tmp_path, driver):
    found = _ask(page, tmp_path, LOST, driver)
    assert found["refused"] == "DeviceError"
    assert found["shown"] == found["again"] < 255 * 4 * 120 * 100
    assert found["wanted"] == found["still"] == found["played"] < 255 * 4 * 120 * 100
    assert 0 < found["turned"] < 255 * 4 * 61 * 203
    assert found["told"].count("back") == 3
    assert found["left"] == 0  # what a lost device held was given back, and with it workers and networks


BROKEN = """
const { loadAvatar, Player, json, frames, sleep, count } = flameport;
const { prototype } = WebGL2RenderingContext;
const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
const told = [];
const player = new Player(canvas, { near: 0.05, onError: (e) => told.push(e.message), onRestored: () => told.push("back") });
const avatar = await loadAvatar("files/vertex-index-surface.glb");
const sum = async () => (await player.readPixels()).reduce((a, b) => a + b, 0);
const names = [], alive = [];
const spoilt = async (name, answer, work) => {
  const native = prototype[name];
  prototype[name] = function (...args) { return answer(args, () => native.apply(this, args)); };
  try { await work(); } finally { prototype[name] = native; }
};
// The card refuses: the tenth table, a framebuffer, or the very first table.
const refuse = async () => {
  try { player.setAvatar(avatar); } catch (error) { names.push(error.name); }
  alive.push(count());
};
let tables = 0;
await spoilt("getParameter", ([what], native) =>
  what === prototype.MAX_TEXTURE_SIZE && ++tables === 6 ? 0 : native(), refuse);
await spoilt("checkFramebufferStatus", () => 0, refuse);
await spoilt("getParameter", ([what], native) => (what === prototype.MAX_TEXTURE_SIZE ? 0 : native()), refuse);
player.setAvatar(avatar);
const wanted = await sum();
// A device that comes back as less than it was: an error of the player, not one of nobody's.
const extension = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
extension.loseContext();
while (told.length < 1) await sleep(5);
await spoilt("checkFramebufferStatus", () => 0, async () => {
  extension.restoreContext();
  while (told.length < 2) await sleep(5);
});
await frames(2);
player.setAvatar(avatar);
const afterwards = await sum();
// Disposed while an avatar comes.
let ended = "";
const loading = loadAvatar("files/own-skin.glb").then((late) => player.setAvatar(late)).catch((e) => { ended = e.message; });
player.dispose();
await loading;
return { names, alive, wanted, afterwards, told, ended, left: count() };
"""


@pytest.mark.parametrize("driver", ["swiftshader", "llvmpipe"])
def test_what_fails_half_way_leaves_nothing_behind(page, tmp_path, driver):
    found = _ask(page, tmp_path, BROKEN, driver)
    assert found["names"] == ["DeviceError"] * 3
    assert found["alive"] == [0, 0, 0]
    assert found["wanted"] == found["afterwards"] < 255 * 4 * 64 * 64
    assert len(found["told"]) == 2 and "floating-point" in found["told"][1]
    assert found["ended"] == "This player was disposed." and found["left"] == 0


EARLY = """
const { loadAvatar, Player, sleep, count } = flameport;
const size = 160;
const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
const errors = [];
const player = new Player(canvas, { near: 0.05, onError: (e) => errors.push(e.message) });
const psnr = (a, b) => {
  let sum = 0;
  a.forEach((v, i) => { sum += (v - b[i]) ** 2; });
  return sum ? 10 * Math.log10(255 ** 2 * a.length / sum) : 999;
};
const ink = (a) => a.filter((v) => v < 250).length;
const whole = await loadAvatar("files/detail.glb");
player.setAvatar(whole);
const wanted = await player.readPixels();

// From a server that stops half way: a picture is there, and an abort ends what is left.
const stop = new AbortController();
let found;
const half = new Promise((done) => (found = done));
const stopped = loadAvatar("slow/detail.glb", { signal: stop.signal, first: (avatar) => {
  player.setAvatar(avatar);
  found(avatar);
} }).catch((e) => e.name);
const { partial, layers } = await half;
const early = await player.readPixels();
stop.abort();
const aborted = await stopped;

// From one that goes on after a while; meanwhile somebody moves the head and the camera.
const bytes = new Uint8Array(await (await fetch("files/detail.glb")).arrayBuffer());
let open;
const gate = new Promise((done) => (open = done));
const native = window.fetch;
window.fetch = async () => {
  let sent = 0;
  return new Response(new ReadableStream({ async pull(controller) {
    if (sent >= bytes.length / 2) await gate;
    if (sent >= bytes.length) return controller.close();
    controller.enqueue(bytes.slice(sent, (sent += 65536)));
  } }));
};
const stages = [];
const arrived = new Promise((done) => (found = done));
const loading = loadAvatar("a.glb", {
  progress: (loaded, total, stage) => { if (stage !== stages.at(-1)) stages.push(stage); },
  first: (avatar) => { player.setAvatar(avatar); found(); },
});
await arrived;
const camera = player.getCamera();
const near = { ...camera, fx: 1.2 * camera.fx, fy: 1.2 * camera.fy };
const turn = { rotation: [0, 0.3, 0] };
player.setCamera(near);
player.setPose(turn);
const middle = await player.readPixels();
open();
player.setAvatar(await loading);
const final = await player.readPixels();
window.fetch = native;
player.setAvatar(whole);
player.setCamera(near);
player.setPose(turn);
const exact = await player.readPixels();
player.dispose();
return { partial, degree: layers[0].degree, early: psnr(early, wanted), ink: ink(early), aborted, stages,
  middle: psnr(middle, exact), final: psnr(final, exact), errors, left: count() };
"""


@pytest.fixture(scope="module")
def detailed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `detail.glb`, of which most is how colours change with the direction, and `cut.glb`, which lacks its end."""
    files = tmp_path_factory.mktemp("detailed")
    avatar = on_triangles(3000)
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer)
    cloud, rng = layer.cloud, np.random.default_rng(3)
    # By what trained ones do: about 4 % of the range.
    more = rng.normal(0, 0.03, (len(cloud.sh), 15, 3)).astype(np.float32)
    cloud = dataclasses.replace(cloud, sh=np.concatenate([cloud.sh[:, :1], more], axis=1))
    head = dataclasses.replace(avatar.head, exprdirs=avatar.head.exprdirs[:, :, :4], expr_names=avatar.head.expr_names[:4],
                               posedirs=None, arkit_map=None, J_exprdirs=None)
    avatar = dataclasses.replace(avatar, head=head, layers=(dataclasses.replace(layer, cloud=cloud),))
    glb.write(avatar, files / "detail.glb", glb.Options())
    data = (files / "detail.glb").read_bytes()
    (files / "cut.glb").write_bytes(data[:int(0.8 * len(data))])
    return files


@pytest.mark.parametrize("driver", ["swiftshader", "llvmpipe"])
def test_a_picture_is_there_before_the_avatar_is(page, detailed, tmp_path, driver):
    found = _ask(page, tmp_path, EARLY, driver, files=detailed)
    assert not found["errors"] and found["left"] == 0
    assert found["partial"] is True and found["degree"] == 0 and found["ink"] > 1000
    assert found["aborted"] == "AvatarFormatError" and found["stages"] == ["first", "rest"]
    # All that is missing is how colours change with the direction.
    assert found["early"] > 30 and found["middle"] > 30
    assert found["final"] == 999, "the picture of what came in two parts is that of what came at once"


def test_the_page_shows_a_face_while_the_rest_arrives_and_says_when_it_does_not(detailed, tmp_path):
    shown = "window.flameport?.player?.stats.shown > 0"
    tell = ("({ state: document.body.dataset.state, message: document.querySelector('#message').textContent.trim(),"
            " shown: flameport.player.stats.shown, partial: flameport.player.avatar.partial === true })")
    base = {"kind": "page", "width": 500, "height": 400, "tell": tell}
    tasks = [base | {"name": "slow", "query": "?avatar=slow/detail.glb", "wait": shown},
             base | {"name": "cut", "query": "?avatar=files/cut.glb",
                     "wait": f"{shown} && document.body.dataset.state === 'ready'"}]
    found = run("swiftshader", tasks, detailed, tmp_path)["tasks"]
    assert found["slow"]["state"] == "loading" and found["slow"]["partial"] and not found["slow"]["message"]
    assert found["cut"]["partial"] and found["cut"]["shown"] > 0
    assert "The file was cut off" in found["cut"]["message"]


SOAK = """
const { loadAvatar, Player, json, frames, sleep, count, heap } = flameport;
const names = ["vertex", "linear-posed", "vertex-index-surface"];
const canvas = document.createElement("canvas");
Object.assign(canvas, { width: 96, height: 96 });
document.body.append(canvas);
const errors = [];
const extension = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
let losses = 0, back = 0;
const start = () => new Player(canvas, {
  near: 0.05,
  onError: (e) => (e.message.includes("device was lost") ? losses++ : errors.push(e.message)),
  onRestored: () => back++,
});
let player = start();
const bytes = Object.fromEntries(names.map((name) => [name, []]));
const cycle = async (loses) => {
  for (const name of names) {
    // Two at once, one of which nobody waits for.
    const stop = new AbortController();
    loadAvatar(`files/${name}.glb`, { signal: stop.signal }).catch(() => {});
    const loading = loadAvatar(`files/${name}.glb`, { first: (avatar) => player.setAvatar(avatar) });
    stop.abort();
    player.setAvatar(await loading);
    player.setSequence(await json(`${name}.clip.json`));
    player.play();
    await frames(2);
    player.seek({ frame: Math.random() * 2 });
    canvas.width = 80 + Math.floor(Math.random() * 40);
    canvas.height = 80 + Math.floor(Math.random() * 40);
    await frames(1);
    bytes[name].push(player.stats.gpuBytes);
  }
  if (!loses) return;
  extension.loseContext();
  for (const gone = losses; losses === gone; ) await sleep(5);
  await sleep(30);
  extension.restoreContext();
  for (const before = back; back === before; ) await sleep(5);
  await frames(2);
};
const made = [], held = [];
const end = performance.now() + 1000 * SECONDS;
await cycle(true);
do {
  await cycle(made.length % 3 === 1);
  if (made.length % 4 === 3) {
    player.dispose();
    made.push(count());
    player = start();
  } else {
    made.push(count());
  }
  held.push(await heap());
} while (performance.now() < end || made.length < 6);
player.dispose();
const sizes = Object.values(bytes).map((each) => new Set(each).size);
return { made, held, errors, losses, back, sizes, left: count(), cycles: made.length };
"""


@pytest.mark.parametrize("seconds", [pytest.param(60, marks=pytest.mark.slow), pytest.param(600, marks=pytest.mark.long)])
def test_playing_seeking_and_swapping_avatars_leaves_nothing_behind(page, tmp_path, seconds):
    flags = ("--js-flags=--expose-gc", "--enable-precise-memory-info")
    found = _ask(page, tmp_path, SOAK.replace("SECONDS", str(seconds)), flags=flags)
    assert not found["errors"]
    assert found["left"] == 0 and found["cycles"] >= 6
    assert found["losses"] == found["back"] >= 2
    assert found["sizes"] == [1, 1, 1], "an avatar takes other bytes on the card than before"
    level = [n for i, n in enumerate(found["made"]) if i % 4 != 3]
    assert len(set(level)) == 1, "WebGL objects pile up"
    assert {n for i, n in enumerate(found["made"]) if i % 4 == 3} <= {0}
    # The smallest heap of the last third against that of the first: engines keep up to half a megabyte of code and caches.
    third = max(1, len(found["held"]) // 3)
    assert min(found["held"][-third:]) < min(found["held"][:third]) + 1e6, found["held"]


LATE = """
let started = 0, answers = 0;
const Native = Worker;
window.Worker = class extends Native {
  constructor(...how) {
    super(...how);
    started++;
    this.addEventListener("message", () => answers++);
  }
};
const { loadAvatar, Player } = await import("./lib/index.js");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const size = 96;
const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
document.body.append(canvas);
const errors = [];
const player = new Player(canvas, { near: 0.05, onError: (error) => errors.push(error.message) });
const copy = Object.assign(document.createElement("canvas"), { width: size, height: size })
  .getContext("2d", { willReadFrequently: true });
let pictures = 0;
player.onFrame = () => { pictures++; copy.drawImage(canvas, 0, 0); };
player.setAvatar(await loadAvatar("files/many.glb"));
while (answers < 1) await sleep(10);          // the worker runs
const camera = player.getCamera();
for (let i = 1; i <= 4; i++) {
  player.setPose({ rotation: [0, 0.8 * i, 0] });
  const before = pictures;
  while (pictures === before) await sleep(5);
}
const settle = async () => {
  for (let seen = -1; seen !== pictures; ) { seen = pictures; await sleep(1500); }
};
await settle();
const shown = copy.getImageData(0, 0, size, size).data;
const drawn = pictures;
const exact = await player.readPixels();
let apart = 0;
for (let i = 0; i < exact.length; i++) apart = Math.max(apart, Math.abs(exact[i] - shown[i]));
const ink = exact.filter((v) => v < 250).length;
player.dispose();
return { started, answers, apart, ink, drawn, errors };
"""


DEAD = """
const workers = [];
const Native = Worker;
window.Worker = class extends Native {
  constructor(...how) {
    super(...how);
    this.answers = 0;
    workers.push(this);
    this.addEventListener("message", () => this.answers++);
  }
};
const { loadAvatar, Player } = await import("./lib/index.js");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const size = 64;
const said = [], apart = [];
window.addEventListener("error", (event) => { said.push(event.message); event.preventDefault(); });
const avatar = await loadAvatar("files/many.glb");
for (const how of ["error", "silence"]) {
  const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
  document.body.append(canvas);
  const copy = Object.assign(document.createElement("canvas"), { width: size, height: size })
    .getContext("2d", { willReadFrequently: true });
  const player = new Player(canvas, { near: 0.05 });
  player.onFrame = () => copy.drawImage(canvas, 0, 0);
  player.setAvatar(avatar);
  while (!(workers[apart.length]?.answers > 0)) await sleep(10);   // it runs
  await sleep(100);
  const before = said.length;
  workers.at(-1).terminate();
  if (how === "error") workers.at(-1).dispatchEvent(new Event("error"));
  player.setPose({ rotation: [0, 2, 0] });
  while (said.length === before) await sleep(20);
  await sleep(1000);
  const shown = copy.getImageData(0, 0, size, size).data;
  const exact = await player.readPixels();
  apart.push(exact.reduce((most, v, i) => Math.max(most, Math.abs(v - shown[i])), 0));
  player.dispose();
  canvas.remove();
}
return { said, apart, workers: workers.length };
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `many.glb`, an avatar of more Gaussians than the page orders by itself."""
    files = tmp_path_factory.mktemp("many")
    avatar = on_triangles(101_000)
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer)
    cloud = dataclasses.replace(layer.cloud, scales=layer.cloud.scales * 0.3)
    avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(layer, cloud=cloud),))
    glb.write(avatar, files / "many.glb", glb.Options())
    return files


def _ask_built(page: Path, files: Path, out: Path, tell: str) -> dict:
    """Return what `tell` returns on a page that has the built package as `lib`."""
    lib = dist_folder() / "lib"
    if not lib.is_dir():
        unavailable("web_viewer/dist/lib is missing; run scripts/build --tests")
    task = {"kind": "page", "name": "built", "width": 300, "height": 200, "ready": "window.flameport",
            "tell": f"(async () => {{ {tell} }})()"}
    return run("swiftshader", [task], files, out, page, mounts={"lib": lib})["tasks"]["built"]


def test_pictures_have_their_order_when_the_worker_has_died(page, many, tmp_path):
    found = _ask_built(page, many, tmp_path, DEAD)
    assert len(found["said"]) == found["workers"] == 2, "told once for each"
    assert all("ordered on the page from now on" in line for line in found["said"])
    assert found["apart"] == [0, 0]


def test_a_worker_orders_many_gaussians_and_the_last_picture_has_its_own_order(page, many, tmp_path):
    found = _ask_built(page, many, tmp_path, LATE)
    assert not found["errors"] and found["started"] == 1
    assert found["answers"] >= 3  # that it runs, and orders
    assert found["apart"] == 0 and found["ink"] > 1000
