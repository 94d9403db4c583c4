"""The page: what a person sees and does, in a real browser, from a sub-path."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import web_viewer
from exporter.targets import glb, web
from formats.codecs import sequence_json
from formats.errors import MissingAsset
from tests.builders import tiny_avatar, tiny_head, tiny_sequence
from tests.web_viewer.browser import run

SHOWN = "!document.querySelector('#title').hidden"
READY = "document.body.dataset.state === 'ready'"
FAILED = "!document.querySelector('#message').hidden"


def page(name: str, tell: str, steps: list[Any] | None = None, wait: str = SHOWN, **more: Any) -> dict[str, Any]:
    """Return a task that opens the page; see `browser.mjs`."""
    return {"kind": "page", "name": name, "width": 900, "height": 600, "steps": steps or [], "wait": wait,
            "tell": tell} | more


def test_a_missing_build_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(web_viewer, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(MissingAsset, match="scripts/build"):
        web_viewer.dist_folder()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    avatar = tiny_avatar("vertex-index", degree=1)
    glb.write(avatar, folder / "avatar.glb", glb.Options())
    (folder / "broken.glb").write_bytes((folder / "avatar.glb").read_bytes()[:5000])
    other = tiny_sequence(tiny_head("flame2020"), 3)
    sequence_json.write(other, folder / "other.json")
    return folder


@pytest.mark.browser
def test_an_exported_page_shows_the_avatar_and_obeys(files, tmp_path):
    exported = tmp_path / "page"
    web.write(tiny_avatar("edge-height", n=300), exported, web.Options())
    tell = """({title: document.title, name: document.querySelector('#name').textContent,
      facts: document.querySelector('#facts').textContent, panel: document.querySelector('#panel').textContent,
      transport: !document.querySelector('#transport').hidden, held: document.querySelectorAll('.held').length,
      scrolls: document.documentElement.scrollWidth > innerWidth,
      pose: [...flameport.player.getPose().expr], moved: window.moved, playing: flameport.player.isPlaying})"""
    steps = [
        # Playing moves the clip; the space bar stops it; a slider holds an expression at its value.
        """(async () => { for (let i = 0; i < 200 && !window.moved; i++) {
             await new Promise(r => setTimeout(r, 50)); window.moved = flameport.player.seconds; } })()""",
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: ' ', bubbles: true}))",
        "document.querySelector('#panel-toggle').click()",
        """{ const slider = document.querySelector('[title="smile"]').parentElement.querySelector('[type=range]');
             slider.value = 1.5; slider.dispatchEvent(new Event('input', {bubbles: true})); }""",
    ]
    tasks = [page("wide", tell, steps, ready=READY), page("phone", tell, steps, ready=READY, width=375, height=812)]
    report = run("swiftshader", tasks, files, tmp_path / "out", exported)
    assert not report["errors"]
    for name in ("wide", "phone"):
        seen = report["tasks"][name]
        assert "tiny edge-height" in seen["title"] and seen["name"] == "tiny edge-height"
        assert "300 Gaussians" in seen["facts"] and "free for any use" in seen["panel"]
        assert seen["transport"] and not seen["scrolls"] and not seen["playing"]
        assert seen["moved"] > 0, "the clip did not play"
        assert seen["held"] == 1 and 1.5 in seen["pose"]


@pytest.mark.browser
def test_a_still_stands_where_the_avatar_will_and_visitors_load_no_panel(files, tmp_path):
    exported, waiting = tmp_path / "page", tmp_path / "waiting"
    web.write(tiny_avatar("edge-height", n=300), exported, web.Options())
    shutil.copytree(exported, waiting)
    manifest = json.loads((waiting / "manifest.json").read_text())
    (waiting / "manifest.json").write_text(json.dumps(manifest | {"avatar": "slow/avatar.glb"}))
    box = "(name => { const { left, right, top, bottom } = document.querySelector(name).getBoundingClientRect(); " \
          "return [left, right, top, bottom]; })"
    loaded = "performance.getEntriesByType('resource').map(e => e.name.split('/').at(-1))"
    coming = page("coming", "window.told", [
        {"until": "!document.querySelector('#loading').hidden && document.querySelector('#poster').naturalWidth > 0"},
        f"window.told = {{still: {box}('#poster'), panel: {box}('#panel'), stage: {box}('#stage')}}",
        {"click": "#loading-stop"}, {"until": FAILED}, "told.gone = document.querySelector('#poster').hidden"],
        wait="true", width=1100)
    tell = f"({{hidden: document.querySelector('#poster').hidden, loaded: {loaded}, view: {box}('#view'), " \
           f"stage: {box}('#stage')}})"
    there = [page("there", tell, ready=READY, width=1100), page("bare", tell, ready=READY, query="?ui=none")]
    told = run("swiftshader", there, files, tmp_path / "out", exported)["tasks"]
    seen = run("swiftshader", [coming], files, tmp_path / "out", waiting)["tasks"]["coming"]
    assert told["there"]["hidden"] and told["bare"]["hidden"] and seen["gone"]
    assert any(name.startswith("desk") for name in told["there"]["loaded"])
    assert not [name for name in told["bare"]["loaded"] if name.startswith(("desk", "poster.webp.", "uv", "dialogs"))]
    left, right, top, bottom = told["there"]["view"]
    still = seen["still"]
    # A square in the middle of where the picture will be; nothing moves when it comes.
    assert seen["stage"] == told["there"]["stage"] and seen["panel"][0] == seen["stage"][1]
    assert (still[0] + still[1]) / 2 == pytest.approx((left + right) / 2, abs=1)
    assert (still[2], still[3]) == pytest.approx((top, bottom), abs=2)
    assert still[1] - still[0] == pytest.approx(still[3] - still[2])


@pytest.mark.browser
def test_a_named_range_plays_alone(files, tmp_path):
    exported = tmp_path / "page"
    web.write(tiny_avatar("edge-height", n=30), exported, web.Options())
    press = "[...document.querySelectorAll('#transport .ranges button')].find(b => b.textContent === 'start').click()"
    wait = "new Promise(r => setTimeout(r, 600))"  # the clip of four frames is 0.12 s long
    tell = """({range: flameport.player.range, seconds: flameport.player.seconds, playing: flameport.player.isPlaying,
      pressed: document.querySelectorAll('#transport .ranges [aria-pressed=true]').length})"""
    steps = [wait, press, wait]  # the page's clip.json takes the place of the GLB's own clip first
    tasks = [page("alone", tell, steps, ready=READY),
             page("all", tell, [*steps, press, wait], ready=READY),
             page("scrubbed", tell, [*steps, "flameport.player.pause()", "flameport.player.seek({frame: 2})"], ready=READY)]
    told = run("swiftshader", tasks, files, tmp_path / "out", exported)["tasks"]
    assert told["alone"]["range"] == "start" and told["alone"]["playing"] and told["alone"]["pressed"] == 1
    assert told["alone"]["seconds"] < 1 / 25  # the range is one frame
    assert told["all"]["range"] is None and told["all"]["pressed"] == 0
    assert told["scrubbed"]["range"] is None and told["scrubbed"]["seconds"] == pytest.approx(2 / 25)


DROP = """(async () => { const at = new DataTransfer();
  for (const name of NAMES) at.items.add(new File([await (await fetch('files/' + name)).arrayBuffer()], name));
  dispatchEvent(new DragEvent('drop', {dataTransfer: at, bubbles: true, cancelable: true})); })()"""


@pytest.mark.browser
def test_the_empty_page_takes_files_and_explains_bad_ones(files, tmp_path):
    message = "document.querySelector('#message-text').textContent"
    zone = "!document.querySelector('#drop').hidden"
    dropped = [DROP.replace("NAMES", json.dumps(["avatar.glb"]))]
    tasks = [
        page("empty", f"({{zone: {zone}}})", wait=zone),
        page("dropped", "flameport.player.avatar.count", dropped),
        page("broken", message, [DROP.replace("NAMES", json.dumps(["broken.glb"]))], wait=FAILED),
        page("other-clip", message, [DROP.replace("NAMES", json.dumps(["avatar.glb", "other.json"]))], wait=FAILED),
        page("missing", message, query="?avatar=nowhere.glb", wait=FAILED),
    ]
    told = run("swiftshader", tasks, files, tmp_path)["tasks"]
    assert told["empty"] == {"zone": True}
    assert told["dropped"] == 110
    assert "cut off" in told["broken"]
    assert "flame2020" in told["other-clip"]
    assert "nowhere.glb could not be loaded: 404" in told["missing"]


@pytest.mark.browser
def test_two_players_transparency_and_a_lost_device(files, tmp_path):
    script = """(async () => {
      const { loadAvatar, Player } = flameport, avatar = await loadAvatar('files/avatar.glb');
      const make = (options) => new Player(Object.assign(document.createElement('canvas'), {width: 64, height: 64}), options);
      const a = make({background: null}), b = make({background: [1, 0, 0]});
      for (const player of [a, b]) { player.setAvatar(avatar); player.pause(); player.seek({frame: 1.5}); }
      b.setExpression(avatar.head.exprNames[0], 2);
      const corner = async (player) => [...(await player.readPixels()).slice(0, 4)];
      const sum = async (player) => (await player.readPixels()).reduce((x, y) => x + y, 0);
      const told = {a: await corner(a), b: await corner(b), shown: a.stats.shown, before: await sum(a), errors: []};
      const c = make({onError: (e) => told.errors.push(e.message), onRestored: () => { told.restored = true; }});
      c.setAvatar(avatar); c.seek({frame: 1});
      const whole = await sum(c), gl = c.canvas.getContext('webgl2'), lose = gl.getExtension('WEBGL_lose_context');
      lose.loseContext();
      await new Promise(r => setTimeout(r, 100));
      try { c.render(); } catch (e) { told.thrown = e.name; }
      lose.restoreContext();
      for (let i = 0; i < 50 && !told.restored; i++) await new Promise(r => setTimeout(r, 50));
      told.same = await sum(c) === whole;
      b.dispose(); b.dispose();
      told.after = await sum(a);
      try { b.render(); } catch (e) { told.disposed = e.name; }
      window.told = told;
    })()"""
    task = page("players", "window.told", [script], wait="window.told")
    told = run("swiftshader", [task], files, tmp_path)["tasks"]["players"]
    assert told["a"] == [0, 0, 0, 0] and told["b"] == [255, 0, 0, 255]
    assert told["shown"] == 110 and told["before"] == told["after"] > 0
    assert told["errors"] and "lost" in told["errors"][0] and told["thrown"] == "DeviceError"
    assert told["restored"] and told["same"]
    assert told["disposed"] == "DeviceError"
