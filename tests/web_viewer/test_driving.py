"""The custom element, three.js scenes and the examples in a real browser; retargeting and recordings against Python."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporter.targets import glb
from formats.avatar import Avatar
from formats.codecs import camera_json, sequence_binary, sequence_json
from formats.errors import MissingAsset
from formats.head_model import HeadModel
from formats.render import default_camera, render_avatar
from formats.retarget import neutral_of, retarget
from formats.sequence import Sequence
from formats.standin.avatar import standin_avatar
from formats.video import write_png
from tests.builders import tiny_avatar, tiny_head, tiny_sequence
from tests.web_viewer.browser import run, unavailable
from web_viewer import dist_folder

PAGES = Path(__file__).with_name("driving")
VIEWER = Path(__file__).parents[2] / "web_viewer"


@pytest.fixture(scope="module")
def library() -> Path:
    """The built npm package."""
    try:
        folder = dist_folder() / "lib"
    except MissingAsset as error:
        unavailable(str(error))
        raise
    if not (folder / "three.js").is_file():
        unavailable(f"{folder} is missing; run scripts/build")
    return folder


@pytest.fixture(scope="module")
def standin() -> Avatar:
    return standin_avatar(6000)


@pytest.fixture(scope="module")
def files(standin: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    assert standin.sequence is not None
    glb.write(standin, folder / "avatar.glb", glb.Options(grade="small"))
    sequence_json.write(standin.sequence, folder / "clip.json")
    camera_json.write(default_camera(standin, 256, 256), folder / "camera.json")
    return folder


def _page(name: str, query: str, tell: str, steps: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"kind": "page", "name": name, "width": 800, "height": 360, "query": query, "tell": tell,
            "steps": steps or []} | more


@pytest.fixture
def ask(library: Path, files: Path, tmp_path: Path):
    """Return a function that runs tasks on the pages of `driving/` and returns what they told."""
    mounts = {"lib": library, "dist": library.parent, "examples": VIEWER / "examples",
              "three": VIEWER / "node_modules" / "three" / "build", "node_modules": VIEWER / "node_modules"}

    def get(tasks: list[dict[str, Any]], driver: str = "llvmpipe", forgiven: tuple[str, ...] = ()) -> dict[str, Any]:
        report = run(driver, tasks, files, tmp_path / "out", PAGES, mounts=mounts)
        # Drivers tell that reading pixels stalls; nothing else may be on the console.
        left = [line for line in report["errors"]
                if "Performance" not in line and not any(word in line for word in forgiven)]
        assert not left
        return report["tasks"]

    return get


# --- three.js -----------------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("driver", ["swiftshader", "llvmpipe"])
def test_an_avatar_stands_in_a_three_scene(ask, driver):
    told = ask([_page("three", "three.html", "window.told", wait="window.told", ready="window.told")], driver)["three"]
    assert "failed" not in told, told
    assert told["alone"]["shown"] == 6000
    # The same numbers go to the same shaders; in a turned and scaled world they are rounded otherwise.
    assert told["alone"]["most"] <= 1
    assert told["moved"]["most"] <= 3 and (told["moved"]["db"] or 99) > 55
    assert told["target"]["most"] <= 2 and told["second"] == 6000
    assert told["front"][0] > 245 and told["front"][2] < 10, "what is nearer hides the avatar"
    assert told["counts"]["red"] == told["bare"]["red"]
    assert 50 < told["counts"]["blue"] < 0.8 * told["bare"]["blue"], "what is farther is hidden by the avatar"
    assert told["again"] == 0 and told["outside"] == 0 and told["glError"] == 0
    assert told["errors"] == [] and "alike" in told["odd"] and "perspective" in told["flat"]


# --- The element --------------------------------------------------------------------------------------------------------

CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
       "require-trusted-types-for 'script'")
LOADED = "window.happened && ['a', 'b'].every(id => happened[id].some(e => e.name === 'load')) && happened.c.length > 0"


@pytest.mark.browser
def test_elements_load_when_seen_and_tell_what_happens(ask):
    tell = """(async () => { const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(id => document.getElementById(id));
      const canvas = a.shadowRoot.querySelector('canvas');
      return {happened, drawn: [await drawn(a), await drawn(b)], far: d.player, paused: [a.paused, b.paused],
        duration: b.duration, frames: b.player.sequence.frames, camera: b.player.getCamera().width,
        label: canvas.getAttribute('aria-label'), role: canvas.getAttribute('role'), focus: canvas.tabIndex,
        quiet: b.shadowRoot.querySelector('canvas').tabIndex,
        fallback: getComputedStyle(c.shadowRoot.querySelector('.fallback')).display,
        hidden: getComputedStyle(b.shadowRoot.querySelector('.fallback')).display,
        reflects: (a.loop = false, !a.hasAttribute('loop')), src: d.src, lazy: d.loading}; })()"""
    told = ask([_page("elements", "element.html", tell, ["new Promise(r => setTimeout(r, 500))"], ready=LOADED)],
               forgiven=("404",))["elements"]
    names = {key: [event["name"] for event in events] for key, events in told["happened"].items()}
    assert names["a"][:2] == ["progress", "frame"] or names["a"][:2] == ["progress", "load"]
    assert "load" in names["a"] and "play" not in names["a"] and "play" in names["b"]
    assert next(e for e in told["happened"]["a"] if e["name"] == "progress")["loaded"] > 10_000
    assert names["c"] == ["error"] and "404" in told["happened"]["c"][0]["message"]
    assert names["d"] == [] and told["far"] is None, "what nobody sees is not loaded"
    assert told["drawn"] == [True, True] and told["paused"] == [True, False]
    assert told["frames"] > 100 and told["duration"] > 4 and told["camera"] == 256
    assert told["label"].startswith("Anna") and told["role"] == "img" and told["focus"] == 0 and told["quiet"] == -1
    assert told["fallback"] == "grid" and told["hidden"] == "none"
    assert told["reflects"] and told["src"] == "files/avatar.glb" and told["lazy"] == "lazy"


@pytest.mark.browser
def test_an_element_obeys_mouse_keys_and_programs(ask):
    canvas = "document.getElementById('a').shadowRoot.querySelector('canvas')"
    eye = "(window.eyes ??= []).push([...document.getElementById('a').player.getCamera().rotation])"
    active = "(window.active ??= []).push(document.activeElement.shadowRoot?.activeElement?.tagName)"
    play = "(window.plays ??= []).push(document.getElementById('a').paused)"
    steps = ["document.getElementById('b').pause()", eye, {"drag": [135, 200, 200, 210]}, eye, f"{canvas}.focus()",
             {"press": "ArrowRight"}, eye, {"press": "0"}, eye, active, {"press": " "}, play, {"press": " "}, play,
             {"press": "Tab"}, active, {"press": "Enter"}, play, {"press": "Enter"}, play, {"press": "Tab"}, active,
             """(() => { const a = document.getElementById('a'); a.seek({frame: 10}); window.at = a.currentTime;
                 a.currentTime = 1; window.then = a.player.seconds; a.controls = false; })()"""]
    tell = """(async () => { const b = document.getElementById('b'), main = b.parentElement, before = b.currentTime = 0.5;
      const old = b.player; b.play(); b.pause(); b.remove(); await new Promise(r => setTimeout(r, 100));
      const gone = b.player, again = new Promise(r => b.addEventListener('load', r, {once: true}));
      main.append(b); await again;
      const moved = new Promise(r => setTimeout(r, 50)); const same = b.player; main.prepend(b); await moved;
      let disposed; try { old.render(); } catch (e) { disposed = e.message; }
      return {eyes, active, plays, at, then, gone, disposed, kept: b.currentTime, before, drawn: await drawn(b),
        stays: b.player === same, tab: document.getElementById('a').shadowRoot.querySelector('canvas').tabIndex}; })()"""
    told = ask([_page("controls", "element.html", tell, steps, ready=LOADED)], forgiven=("404",))["controls"]
    eyes = [np.array(eye) for eye in told["eyes"]]
    assert np.linalg.norm(eyes[1] - eyes[0]) > 0.1 and np.linalg.norm(eyes[2] - eyes[1]) > 0.05
    assert np.allclose(eyes[3], eyes[0])
    assert told["active"] == ["CANVAS", "BUTTON", "INPUT"]
    assert told["plays"] == [False, True, False, True]
    assert told["at"] == pytest.approx(10 / 25) and told["then"] == 1
    assert told["gone"] is None and "disposed" in told["disposed"]
    assert told["kept"] == pytest.approx(told["before"]) and told["drawn"] and told["stays"] and told["tab"] == -1


@pytest.mark.browser
def test_an_element_can_come_and_go_and_show_another(ask):
    script = """(async () => { const b = document.getElementById('b'), d = document.getElementById('d'), told = {};
      const next = (avatar, name) => new Promise(r => avatar.addEventListener(name, r, {once: true}));
      const main = b.parentElement;
      told.poster = getComputedStyle(d.shadowRoot.querySelector('.cover')).display;
      // More often than browsers allow contexts at once; each must be given back.
      for (let i = 0; i < 20; i++) {
        b.remove(); await new Promise(r => setTimeout(r, 5));
        const loaded = next(b, 'load'); main.append(b); await loaded;
      }
      told.drawn = await drawn(b);
      b.src = 'files/nowhere.glb'; told.error = (await next(b, 'error')).detail.message;
      told.without = [b.player, b.duration, b.currentTime];
      b.poster = 'files/poster.png'; told.img = b.shadowRoot.querySelector('img').src.endsWith('files/poster.png');
      b.removeAttribute('sequence'); b.src = 'files/avatar.glb'; await next(b, 'load');
      told.again = await drawn(b);
      const clip = b.player.sequence; b.sequence = 'files/clip.json';
      while (b.player.sequence === clip) await new Promise(r => setTimeout(r, 20));
      b.sequence = 'files/camera.json'; told.clip = (await next(b, 'error')).detail.message;
      told.stays = b.player.sequence.frames;
      d.loading = 'eager'; await next(d, 'load');
      told.cover = getComputedStyle(d.shadowRoot.querySelector('.cover')).display;
      b.driver = 'idle pointer'; b.seek(0); b.pause(); const frames = happened.b.length;
      await next(b, 'frame'); await next(b, 'frame'); told.idles = true;
      const other = document.createElement('flame-avatar'); other.src = 'files/avatar.glb'; other.loading = 'eager';
      main.append(other); other.remove(); await new Promise(r => setTimeout(r, 50)); told.never = other.player;
      window.told = told; })()"""
    told = ask([_page("come-and-go", "element.html", "window.told", [script], ready=LOADED)], forgiven=("404",))["come-and-go"]
    assert told["poster"] == "grid" and told["cover"] == "none" and told["img"]
    assert told["drawn"] and told["again"] and told["idles"] and told["never"] is None
    assert "404" in told["error"] and told["without"] == [None, 0, 0]
    assert "neither" in told["clip"] and told["stays"] == 250, "a clip that cannot be read changes nothing"


@pytest.mark.browser
def test_an_element_needs_nothing_that_a_strict_policy_forbids(ask, tmp_path):
    ask([{"kind": "open", "name": "alone", "query": "element.html?alone", "csp": CSP}], forgiven=("404",))
    told = json.loads((tmp_path / "out" / "alone.json").read_text())
    assert told["drawn"] and told["violations"] == [] and told["button"] > 10 and told["sheets"] == 1


# --- Examples -----------------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_every_example_shows_somebody(ask, files, standin, tmp_path):
    out = tmp_path / "out"
    camera = default_camera(standin, 192, 192)
    assert standin.sequence is not None
    camera_json.write(camera, files / "portrait.json")
    write_png(render_avatar(standin, standin.sequence, 40, camera).to_uint8(), files / "picture.png")
    at = "avatar=../files/avatar.glb&sequence=../files/clip.json"
    status = "document.querySelector('[role=status]').textContent"
    pause = "new Promise(r => setTimeout(r, 400))"
    wide = "document.querySelectorAll('input')[24]"
    elements = "[...document.querySelectorAll('flame-avatar')]"
    compared = "camera=../files/portrait.json&frame=40&picture=../files/picture.png"
    tasks = [
        _page("load", f"examples/load.html?{at}", status, [pause], ready=f"{status}.includes('Gaussians')"),
        _page("drive_from_json", f"examples/drive_from_json.html?{at}",
              f"""({{status: {status}, scrub: document.querySelector('input').valueAsNumber,
                   save: document.querySelector('a').download}})""",
              [pause, "document.getElementById('record').click()", "document.getElementById('other').click()", pause,
               "document.getElementById('record').click()"], ready=f"{status}.includes('frames')"),
        _page("drive_live", f"examples/drive_live.html?{at}", "document.querySelectorAll('label').length",
              [{"move": [500, 100]}, pause, f"{wide}.value = 0.8; {wide}.dispatchEvent(new Event('input'))", pause],
              ready=f"{status}.includes('follow')"),
        _page("two_avatars", f"examples/two_avatars.html?{at}", f"{elements}.map(a => a.paused)", [pause],
              ready=f"{elements}.every(a => a.player && a.shadowRoot.querySelector('.shown'))"),
        _page("three_scene", f"examples/three_scene.html?{at}", "document.querySelector('canvas').width",
              ["new Promise(r => setTimeout(r, 2500))"], ready="document.querySelector('canvas')"),
        _page("compare", f"examples/compare.html?{at}&{compared}", status, ready=f"!{status}.includes('Loading')"),
    ]
    told = ask(tasks)
    assert "6000 Gaussians" in told["load"]
    assert "250 frames" in told["drive_from_json"]["status"] and told["drive_from_json"]["scrub"] > 0
    assert told["drive_from_json"]["save"] == "recording.json"
    assert told["drive_live"] == 53
    assert told["two_avatars"] == [False, True]
    for name in told:
        colors = np.asarray(Image.open(out / f"{name}.png").convert("RGB")).reshape(-1, 3)
        assert len(np.unique(colors, axis=0)) > 2000, f"{name} shows nobody"
    decibels = [float(word) for word in told["compare"].split() if word[0].isdigit()]
    assert decibels[0] > 40 and decibels[1] > 40, told["compare"]


# --- Against Python -----------------------------------------------------------------------------------------------------


def _in_node(library: Path, jobs: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    node = shutil.which("node")
    if node is None:
        unavailable("node is not installed")
    (folder / "jobs.json").write_text(json.dumps(jobs))
    done = subprocess.run([str(node), str(PAGES / "package.mjs"), str(library / "index.js"), str(folder / "jobs.json")],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def _arkit(frames: int) -> Sequence:
    rng = np.random.default_rng(2)
    names = ("jawOpen", "browInnerUp", "mouthSmileLeft", "eyeBlinkLeft", "noSuchShape")
    return Sequence("arkit-52", 30, rng.uniform(0, 1, (frames, len(names))), rotation=rng.normal(0, 0.1, (frames, 3)),
                    jaw=rng.normal(0, 0.1, (frames, 3)), expr_names=names)


@pytest.mark.parametrize("binary", [False, True])
def test_clips_are_retargeted_as_the_command_line_does(library, tmp_path, binary):
    head: HeadModel = tiny_head()
    own = tiny_sequence(head, 6, named=False)
    own = Sequence(own.basis, own.fps, own.expr, ranges={"train": (1, 4)}, drivers=own.drivers)
    cases = {
        "avatar": (tiny_avatar("edge-height", n=20), None),
        "trained": (tiny_avatar("edge-height", n=20), own),
        "arkit": (tiny_avatar("edge-height", n=20, head=tiny_head("arkit-51")), None),
    }
    clips = {"same": tiny_sequence(head, 7, drivers=True), "arkit": _arkit(5),
             "wide": Sequence("standin", 25, np.random.default_rng(1).normal(size=(4, 9)))}
    codec, suffix = (sequence_binary, "fpsq") if binary else (sequence_json, "json")
    for name, clip in clips.items():
        codec.write(clip, tmp_path / f"{name}.{suffix}")
    jobs, wanted = [], []
    for kind, (avatar, clip) in cases.items():
        avatar = dataclasses.replace(avatar, sequence=clip)
        glb.write(avatar, tmp_path / f"{kind}.glb", glb.Options(grade="full"))
        for name, neutral in [("same", "none"), ("same", "mean"), ("same", "first"), ("arkit", "none"), ("arkit", "mean"),
                              ("wide", "first")]:
            if kind == "arkit" and name != "arkit":
                continue
            jobs.append({"glb": str(tmp_path / f"{kind}.glb"), "sequence": str(tmp_path / f"{name}.{suffix}"),
                         "neutral": neutral, "own": True})
            wanted.append((retarget(clips[name], avatar.head, neutral, own=neutral_of(avatar)), avatar.head))
    for job, told, (clip, head) in zip(jobs, _in_node(library, jobs, tmp_path), wanted, strict=True):
        if job["sequence"].endswith(f"wide.{suffix}"):
            assert "Cut 9 expressions" in told["lost"][0]
        if "arkit.glb" in job["glb"] or job["sequence"].endswith(f"arkit.{suffix}"):
            assert "noSuchShape" in told["lost"][-1]
        assert (told["frames"], told["fps"], told["basis"]) == (len(clip), clip.fps, clip.basis)
        assert told["edition"] == clip.edition
        for name, values in told["fields"].items():
            rows = np.reshape(values, (len(clip), -1))
            if name == "expr":
                full = np.zeros((len(clip), len(head.expr_names)))
                full[:, told["columns"]] = rows
                columns = [head.expr_names.index(n) for n in clip.expr_names] or slice(clip.expr.shape[1])
                rows = full[:, columns]
            # Python keeps float32.
            np.testing.assert_allclose(rows, getattr(clip, name), atol=2e-6)


def test_a_recording_is_a_clip_in_python_too(library, tmp_path):
    avatar = tiny_avatar("edge-height", n=20, head=tiny_head(extra_joints=3))
    glb.write(avatar, tmp_path / "avatar.glb", glb.Options(grade="full"))
    (told,) = _in_node(library, [{"glb": str(tmp_path / "avatar.glb"), "record": 2, "fps": 20}], tmp_path)
    (tmp_path / "recording.json").write_text(told["text"])
    clip = sequence_json.read(tmp_path / "recording.json")
    assert len(clip) == 40 and clip.fps == 20 and clip.basis == avatar.head.edition
    assert clip.edition == avatar.head.content_hash and clip.expr_names == avatar.head.expr_names
    for i, name in enumerate(("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation")):
        shown = np.array([pose[i] for pose in told["poses"]], np.float32)
        assert np.array_equal(getattr(clip, name), shown)
    assert np.ptp(clip.eyelids) > 0 and set(clip.joints) == set(avatar.sequence.joints if avatar.sequence else ())
