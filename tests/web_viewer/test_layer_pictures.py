"""Mesh layers, strands, what networks move and image decoders in a real browser, against the reference on the same frames."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporter.targets import glb, web
from formats.avatar import MeshLayer
from formats.errors import MissingAsset
from formats.picture import psnr
from formats.render import render_avatar
from scripts import benchmark_layers
from tests.builders import tiny_avatar, tiny_camera
from tests.web_viewer.browser import DRIVERS, run, unavailable
from tests.web_viewer.pictures import CANVAS_DB, EDGE_DB, HALF_DB, SMALL_DB, Show, write_show
from web_viewer import dist_folder

pytestmark = pytest.mark.browser

GOLDEN = Path(__file__).parents[1] / "golden" / "layers"


def _golden(name: str, files: Path) -> dict:
    """Copy a golden avatar's files to where the page reads them; return its numbers."""
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    (files / f"{name}.glb").write_bytes((GOLDEN / f"{name}.glb").read_bytes())
    (files / f"{name}.clip.json").write_bytes((GOLDEN / f"{name.split('.')[0]}.clip.json").read_bytes())
    (files / f"{name}.camera.json").write_text(json.dumps(golden["camera"]))
    return golden


def _task(kind: str, name: str, moments: list[float], exact: bool = False) -> dict:
    return {"kind": kind, "name": f"{name}.{kind}", "avatar": f"{name}.glb", "clip": f"{name}.clip.json",
            "camera": f"{name}.camera.json", "moments": moments, "near": 0.2, "exact": exact}


@pytest.mark.parametrize("driver", DRIVERS)
def test_golden_avatars_look_and_lie_as_the_reference(driver, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    # Their kinds in grade full: test_parity.py. All files are posed in web_viewer/test/layers.test.ts.
    cases = [path.stem for path in sorted(GOLDEN.glob("*.small.glb"))]
    # Decoded avatars have colours that nothing draws; shells have no Gaussians.
    splats = [f"{name}.plain" for name in ("coefficients", "deformed", "hair", "own-skin")] + ["hair.small"]
    golden = {name: _golden(name, files) for name in {*cases, *splats}}
    tasks = [_task("pictures", name, golden[name]["pictures"]) for name in cases]
    tasks += [_task("world", name, [f["t"] for f in golden[name]["frames"]], exact=True) for name in splats]
    report = run(driver, tasks, files, tmp_path)
    assert not [line for line in report["errors"] if "Performance" not in line]
    for name in cases:
        size = (golden[name]["camera"]["height"], golden[name]["camera"]["width"], 4)
        edges = name.startswith(("shells", "together")) and driver == "swiftshader"
        for i, t in enumerate(golden[name]["pictures"]):
            wanted = np.asarray(Image.open(GOLDEN / f"{name}.{t}.png").convert("RGB"), np.float32) / 255
            half = np.fromfile(tmp_path / f"{name}.pictures.{i}.half.f32", "<f4").reshape(size)[..., :3].clip(0, 1)
            canvas = np.fromfile(tmp_path / f"{name}.pictures.{i}.canvas.u8", "u1").reshape(size)[..., :3] / np.float32(255)
            assert wanted.std() > 0.02, "the golden picture is empty"
            assert psnr(half, wanted) > (EDGE_DB if edges else HALF_DB), f"{name} at {t} into half floats"
            assert psnr(canvas, wanted) > CANVAS_DB, f"{name} at {t} on the canvas"
    for name in splats:
        for i, frame in enumerate(golden[name]["frames"]):
            _assert_world(np.fromfile(tmp_path / f"{name}.world.{i}.f32", "<f4"), frame, f"{name} at {frame['t']}",
                          ordered=".small" in name)


def _assert_world(got: np.ndarray, frame: dict, where: str, ordered: bool) -> None:
    """Compare Gaussians on the card with a golden frame's; small files list them in another order."""
    wanted = {key: np.concatenate([np.array(layer[key]).reshape(len(layer["opacities"]), -1) for layer in frame["layers"]])
              for key in ("means", "quats", "scales", "opacities", "rgb")}
    n = len(wanted["opacities"])
    means, covariances, opacities, rgb = (part.reshape(n, -1) for part in np.split(got, [3 * n, 9 * n, 10 * n]))
    there = np.arange(n)
    if ordered:
        there = np.argmin(np.linalg.norm(means[:, None] - wanted["means"], axis=2), axis=1)
        assert len(set(there)) == n
    w, x, y, z = wanted["quats"].T
    turn = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z),
                     1 - 2 * (x * x + z * z), 2 * (y * z - w * x), 2 * (x * z - w * y), 2 * (y * z + w * x),
                     1 - 2 * (x * x + y * y)], axis=1).reshape(n, 3, 3)
    axes = turn * wanted["scales"][:, None]
    full = (axes @ axes.transpose(0, 2, 1))[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]][there]
    np.testing.assert_allclose(means, wanted["means"][there], atol=2e-6, err_msg=where)
    assert (np.abs(covariances - full).max(axis=1) < 2e-4 * np.abs(full).max(axis=1)).all(), where
    np.testing.assert_allclose(opacities, wanted["opacities"][there], atol=1e-4, err_msg=where)
    np.testing.assert_allclose(rgb, wanted["rgb"][there], atol=1e-4, err_msg=where)


def _waves(shape: tuple[int, ...], side: int = 32) -> np.ndarray:
    """Return smooth images as bytes: blocks of four texels hold noise badly, and nobody paints it."""
    flat = np.arange(int(np.prod(shape[2:]) * shape[0]))[:, None, None]
    x, y = np.meshgrid(np.linspace(0, 4, side), np.linspace(0, 3, side))
    waves = 127.5 + 127.5 * np.sin(x * (1 + flat % 3) + y * (1 + flat % 2) + flat)
    return waves.reshape(shape[0], -1, side, side).transpose(0, 2, 3, 1).astype(np.uint8)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Show, list[np.ndarray]]:
    """Mesh layers whose radiance bases are KTX2."""
    avatar = tiny_avatar("mesh-basis-bytes")
    assert avatar.sequence is not None
    layers = []
    for layer in avatar.layers:
        assert isinstance(layer, MeshLayer) and layer.shading is not None
        maps = {"bases": _waves((3, 0, 3)), "alpha": _waves((1,))[0, ..., 0], "position_features": _waves((1, 0, 4))[0]}
        layers.append(dataclasses.replace(layer, shading=dataclasses.replace(layer.shading, **maps)))
    show = Show(dataclasses.replace(avatar, layers=tuple(layers)), avatar.sequence, tiny_camera(0.3, 192), (0.0, 1.5))
    files = tmp_path_factory.mktemp("compressed")
    wanted = write_show(show, files, ("full",), layer_textures="ktx2")
    assert b"image/ktx2" in (files / "full.glb").read_bytes()
    return files, show, wanted


BLOCKS = """(async () => {
  const { loadAvatar, Player } = flameport;
  const json = async (name) => (await fetch(`files/${name}`)).json();
  const { getExtension, compressedTexSubImage3D } = WebGL2RenderingContext.prototype;
  const told = {};
  const all = ["EXT_texture_compression_bptc", "WEBGL_compressed_texture_astc", "WEBGL_compressed_texture_etc"];
  for (const [missing, name] of ["bc7", "astc", "etc2", "bytes"].entries()) {
    WebGL2RenderingContext.prototype.getExtension = function (wanted) {
      return all.slice(0, missing).includes(wanted) ? null : getExtension.call(this, wanted);
    };
    WebGL2RenderingContext.prototype.compressedTexSubImage3D = function (...args) {
      told[name] = args[8].toString(16);
      compressedTexSubImage3D.apply(this, args);
    };
    const camera = await json("camera.json");
    const canvas = Object.assign(document.createElement("canvas"), { width: camera.width, height: camera.height });
    const player = new Player(canvas);
    player.setAvatar(await loadAvatar("files/full.glb"));
    player.setSequence(await json("clip.json"));
    player.setCamera(camera);
    player.pause();
    player.seek({ frame: 0 });
    await fetch(`out/${name}.u8`, { method: "PUT", body: await player.readPixels() });
    player.dispose();
  }
  window.told = told;
})().catch((error) => { window.told = { error: String(error.stack) }; })"""


def test_ktx2_textures_become_the_blocks_that_a_device_samples(compressed, tmp_path):
    """BC7 on computers, ASTC or ETC2 on phones, bytes where there is none of them; they stay compressed on the card."""
    files, show, wanted = compressed
    task = {"kind": "page", "name": "blocks", "width": 400, "height": 300, "steps": [BLOCKS], "wait": "window.told",
            "tell": "window.told", "ready": "window.flameport"}
    told = run("swiftshader", [task], files, tmp_path)["tasks"]["blocks"]
    # The numbers of COMPRESSED_RGBA_BPTC_UNORM, _RGBA_ASTC_4x4 and _RGBA8_ETC2_EAC.
    assert told == {"bc7": "8e8c", "astc": "93b0", "etc2": "9278"}
    for name in ("bc7", "astc", "etc2", "bytes"):
        picture = np.fromfile(tmp_path / f"{name}.u8", "u1").reshape(show.camera.height, show.camera.width, 4)[..., :3]
        # ETC2 has one line of colours in half a block, and these images are as small and lively as none is: 34.5 dB.
        assert psnr(picture / np.float32(255), wanted[0]) > (33 if name == "etc2" else SMALL_DB), name


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Show, list[np.ndarray]]:
    """BakedAvatar's eight shells: 16 radiance bases as KTX2, 8 features and an alpha of 1024 x 1024 each; 160 MB."""
    files, show = tmp_path_factory.mktemp("full"), benchmark_layers.full_shells()
    back = benchmark_layers.write(show, files, "ktx2")
    return files, show, [render_avatar(back, show.sequence, t, show.camera).rgb for t in show.moments]


@pytest.mark.long
@pytest.mark.parametrize("driver", DRIVERS)
def test_shells_of_full_size_look_as_the_reference(driver, full_size, tmp_path):
    files, show, wanted = full_size
    told = benchmark_layers.play(driver, show, files, tmp_path, "ktx2", 1)
    half, canvas = (min(psnr(a.clip(0, 1), b) for a, b in zip(told[kind], wanted, strict=True)) for kind in ("half", "canvas"))
    assert half > (EDGE_DB if driver == "swiftshader" else HALF_DB) and canvas > CANVAS_DB, (half, canvas)
    # Bases stay blocks of a byte a texel; features and alpha are as they are.
    assert told["bytes"] < 8 * 1024**2 * (16 + 9 + 1) + 10e6


PAINT = """(async () => {
  const { loadAvatar, Player } = flameport;
  const shade = (width, height, [r, g, b]) => {
    const data = new Uint8ClampedArray(4 * width * height);
    for (let i = 0; i < data.length; i += 4) data.set([r, g, b, 255], i);
    return new ImageData(data, width, height);
  };
  const told = {};
  for (const name of ["textured", "splats"]) {
    const player = new Player(Object.assign(document.createElement("canvas"), { width: 96, height: 96 }));
    player.setAvatar(await loadAvatar(`files/${name}.glb`));
    player.pause();
    const middle = async () => [...(await player.readPixels()).subarray(4 * (48 * 96 + 48), 4 * (48 * 96 + 48) + 3)];
    told[name] = { names: await player.textures(), before: await middle() };
    if (name === "textured") await player.setTexture("skin", shade(4, 4, [255, 0, 0]));
    else await player.setMap("color", shade(8, 8, [255, 0, 0]));
    told[name].red = await middle();
    if (name === "splats") {
      await player.setMap("opacity", shade(8, 8, [0, 0, 0]));
      told[name].gone = await middle();
      await player.setMap("opacity", null);
      await player.setMap("color", null);
      told[name].again = await middle();
    }
    told[name].error = await player.setTexture("hat", shade(1, 1, [0, 0, 0])).catch((error) => error.message);
    player.dispose();
  }
  window.told = told;
})()"""


def test_textures_and_maps_are_painted_while_it_plays(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    glb.write(tiny_avatar("mesh-texture"), files / "textured.glb", glb.Options())
    glb.write(tiny_avatar("edge-height", n=600, degree=0), files / "splats.glb", glb.Options())
    task = {"kind": "page", "name": "paint", "width": 400, "height": 300, "steps": [PAINT], "wait": "window.told",
            "tell": "window.told", "ready": "window.flameport"}
    report = run("swiftshader", [task], files, tmp_path)
    told = report["tasks"]["paint"]
    for name in ("textured", "splats"):
        red, before = told[name]["red"], told[name]["before"]
        assert red[0] > 240 and red[0] - red[1] > before[0] - before[1] + 60, told[name]
        assert "hat" in told[name]["error"]
    assert told["textured"]["names"] == ["albedo", "skin"]
    assert told["splats"]["gone"] == [255, 255, 255] and told["splats"]["again"] == told["splats"]["before"]


LIVES = """(async () => {
  const { loadAvatar, Player } = flameport;
  const alive = new Map();
  for (const kind of ["Texture", "Buffer", "Framebuffer", "Renderbuffer", "VertexArray", "Program", "Shader"]) {
    const context = WebGL2RenderingContext.prototype;
    const [make, drop] = [context[`create${kind}`], context[`delete${kind}`]];
    alive.set(kind, 0);
    context[`create${kind}`] = function (...args) { alive.set(kind, alive.get(kind) + 1); return make.apply(this, args); };
    context[`delete${kind}`] = function (object) { if (object) alive.set(kind, alive.get(kind) - 1); drop.call(this, object); };
  }
  const told = {};
  for (const name of ["shells.plain", "decoded.plain", "deformed.plain"]) {
    const avatar = await loadAvatar(`files/${name}.glb`);
    const canvas = Object.assign(document.createElement("canvas"), { width: 120, height: 96 });
    const restored = { then: null };
    const player = new Player(canvas, { onRestored: () => restored.then?.() });
    player.setAvatar(avatar);
    player.pause();
    const before = (await player.readPixels()).join();
    const lose = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
    const back = new Promise((resolve) => { restored.then = resolve; });
    canvas.addEventListener("webglcontextlost", () => setTimeout(() => lose.restoreContext(), 50));
    lose.loseContext();
    await back;
    told[name] = { again: (await player.readPixels()).join() === before };
    // One avatar in the place of another while that is still being prepared.
    for (const key of alive.keys()) alive.set(key, 0);
    const second = new Player(Object.assign(document.createElement("canvas"), { width: 64, height: 48 }));
    for (let i = 0; i < 3; i++) second.setAvatar(avatar);
    await second.readPixels();
    second.setAvatar(avatar);
    second.dispose();
    await new Promise((resolve) => setTimeout(resolve, 300));
    told[name].left = Object.fromEntries([...alive].filter(([, count]) => count));
    player.dispose();
  }
  window.told = told;
})()"""


def test_layers_come_back_with_a_lost_device_and_leave_nothing_behind(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    for name in ("shells.plain", "decoded.plain", "deformed.plain"):
        _golden(name, files)
    task = {"kind": "page", "name": "lives", "width": 400, "height": 300, "steps": [LIVES], "wait": "window.told",
            "tell": "window.told", "ready": "window.flameport"}
    told = run("swiftshader", [task], files, tmp_path)["tasks"]["lives"]
    for name, found in told.items():
        assert found["again"], name
        assert found["left"] == {}, name


FAILS = """(async () => {
  const { loadAvatar, Player } = flameport;
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const until = async (holds) => { for (let i = 0; i < 600 && !holds(); i++) await sleep(20); };
  const said = [];
  const player = new Player(Object.assign(document.createElement("canvas"), { width: 64, height: 48 }), {
    onError: (error) => said.push(`${error.name}: ${error.message}`),
  });
  const told = {};
  // Nothing but the first picture is asked for: what goes wrong with it is told all the same, and told once.
  const decoded = await loadAvatar("files/decoded.plain.glb");
  player.setAvatar({ ...decoded, decoder: { ...decoded.decoder, scale: 3 } });
  await until(() => said.length);
  for (let i = 0; i < 3; i++) {
    player.setCamera({ ...player.getCamera() });
    await sleep(100);
  }
  told.decoder = said.splice(0);
  const moved = await loadAvatar("files/deformed.plain.glb");
  for (const network of moved.networks.values()) network.onnx.fill(7, 0, 40);
  player.setAvatar(moved);
  await until(() => said.length);
  await sleep(100);
  told.network = said.splice(0);
  // Devices that hold less, as small ones do: images of 32 x 24, three of them together.
  const shells = await loadAvatar("files/shells.plain.glb");
  const { getParameter } = WebGL2RenderingContext.prototype;
  for (const [limit, most] of [["MAX_TEXTURE_SIZE", 16], ["MAX_ARRAY_TEXTURE_LAYERS", 2], ["MAX_FRAGMENT_UNIFORM_VECTORS", 20]]) {
    WebGL2RenderingContext.prototype.getParameter = function (name) {
      return name === this[limit] ? most : getParameter.call(this, name);
    };
    player.setAvatar(shells);
    await until(() => said.length);
    told[limit] = said.splice(0);
  }
  WebGL2RenderingContext.prototype.getParameter = getParameter;
  // Another avatar is shown as if nothing had been.
  player.setAvatar(decoded);
  told.colors = new Set(new Uint32Array((await player.readPixels()).buffer)).size;
  // What is being made when the avatar goes is for nobody.
  player.setCamera({ ...player.getCamera() });
  player.render();
  const asked = player.readPixels().then(() => "a picture", (error) => `${error.name}: ${error.message}`);
  player.dispose();
  told.asked = await asked;
  await sleep(300);
  told.after = said;
  window.told = told;
})()"""


def test_what_networks_and_decoders_cannot_do_is_told_at_once_and_once(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    for name in ("decoded.plain", "deformed.plain", "shells.plain"):
        _golden(name, files)
    task = {"kind": "page", "name": "fails", "width": 400, "height": 300, "steps": [FAILS], "wait": "window.told",
            "tell": "window.told", "ready": "window.flameport"}
    report = run("swiftshader", [task], files, tmp_path)
    told = report["tasks"]["fails"]
    assert len(told["decoder"]) == 1 and told["decoder"][0].startswith("AvatarFormatError: Network “upsampler”"), told
    assert len(told["network"]) == 1 and told["network"][0].startswith("AvatarFormatError: Network “deformer”"), told
    assert told["colors"] > 50
    limits = {"MAX_TEXTURE_SIZE": "this device holds 16 x 16", "MAX_ARRAY_TEXTURE_LAYERS": "this device holds 2 together",
              "MAX_FRAGMENT_UNIFORM_VECTORS": "this device holds 20"}
    for limit, words in limits.items():
        assert len(told[limit]) == 1 and told[limit][0].startswith("DeviceError: ") and words in told[limit][0], told
    assert told["asked"].startswith("DeviceError: ") and told["after"] == [] and report["errors"] == [], (told, report["errors"])


# --- Beyond our own canvas ----------------------------------------------------------------------------------------------

PAGES = Path(__file__).with_name("layers")
CSP = ("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; "
       "require-trusted-types-for 'script'")


@pytest.fixture
def mounts() -> dict[str, Path]:
    """What the pages of `layers/` read: the npm package as it is built, and three.js."""
    try:
        library = dist_folder() / "lib"
    except MissingAsset as error:
        unavailable(str(error))
        raise
    if not (library / "three.js").is_file():
        unavailable(f"{library} is missing; run scripts/build")
    return {"lib": library, "three": library.parents[1] / "node_modules" / "three" / "build"}


def test_mesh_layers_stand_in_a_three_scene(mounts, tmp_path):
    task = {"kind": "page", "name": "three", "width": 400, "height": 300, "query": "three.html", "ready": "window.told",
            "tell": "window.told"}
    report = run("swiftshader", [task], GOLDEN, tmp_path, PAGES, mounts=mounts)
    assert not [line for line in report["errors"] if "Performance" not in line]
    told = report["tasks"]["three"]
    assert "failed" not in told and told["errors"] == [] and told["glError"] == 0, told
    assert told["vertexArray"] and told["disturbed"] == 0, told
    # The same numbers; on the rim of a layer, a pixel or two may fall to the other side.
    assert told["alone"]["many"] < 30 and told["again"] == 0, told
    assert told["front"] > 0.99, "what is nearer hides the layers"
    assert 0.3 < told["behind"] < 0.95, "what is farther is hidden by them, and nothing else of it"


def test_networks_and_ktx2_need_one_word_of_a_strict_policy(mounts, compressed, tmp_path):
    """WebAssembly, and nothing else that a policy forbids: no code from strings, no other host; workers where it allows them."""
    files, _, _ = compressed
    policies = {"policy": CSP, "alone": f"{CSP}; worker-src 'none'"}
    tasks = [{"kind": "open", "name": name, "query": f"policy.html?{name}", "csp": csp} for name, csp in policies.items()]
    run("swiftshader", tasks, files, tmp_path, PAGES, mounts=mounts)
    policy, alone = (json.loads((tmp_path / f"{name}.json").read_text()) for name in policies)
    assert policy["violations"] == [] and "error" not in policy and policy["colors"] > 50, policy
    assert policy["workers"] == 1 and alone["workers"] == 0
    # Without workers the page transcodes itself, after asking for one in vain.
    assert alone["colors"] == policy["colors"] and "error" not in alone, alone
    assert {violation.split()[0] for violation in alone["violations"]} == {"worker-src"}


def test_an_exported_page_has_the_webassembly_that_its_avatar_needs(tmp_path):
    try:
        dist_folder()
    except MissingAsset as error:
        unavailable(str(error))

    def of(kind: str, **options: Any) -> set[str]:
        web.write(tiny_avatar(kind), tmp_path / kind, web.Options(**options))
        return {path.name.split("-")[0] for path in (tmp_path / kind).rglob("*.wasm")}

    assert of("edge-height") == set() and of("mesh-texture") == set()
    assert of("linear-network") == {"ort"}
