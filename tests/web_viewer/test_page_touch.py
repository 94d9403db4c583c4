"""The page under fingers: gestures, sizes of what is tapped, the sheet. Touches are the browser's own."""

from pathlib import Path
from typing import Any

import pytest

from exporter.targets import web
from tests.builders import tiny_avatar
from tests.web_viewer.browser import run
from tests.web_viewer.test_page import READY, page

pytestmark = pytest.mark.browser

TOOLS = """window.told = {}; window.note = (name, value) => { told[name] = value; };
  window.box = (selector) => { const b = document.querySelector(selector).getBoundingClientRect();
    return [b.left, b.top, b.right, b.bottom].map(Math.round); };
  window.camera = () => { const { rotation, translation } = flameport.player.getCamera(); return [...rotation, ...translation]; };
  window.seen = (element) => element.getClientRects().length && !element.closest('.visually-hidden');
  window.wide = () => [...document.querySelectorAll('html, main *, #panel *, dialog *')].filter(e => seen(e) &&
    !e.closest('.ranges, pre') && (e === document.documentElement ? e.scrollWidth : e.getBoundingClientRect().right) >
    innerWidth + 1).map(e => `${e.tagName}#${e.id}.${e.className}`);
  window.small = () => [...document.querySelectorAll('button, select, summary, a, input:not([type=checkbox])')].filter(seen)
    .filter(e => { const { width, height } = e.getBoundingClientRect(), dense = e.closest('.sliders, .slider, table, .ranges');
      return Math.min(width, height) < (dense ? 24 : 44) - 0.5; }).map(e => `${e.tagName}.${e.className} ` +
      `${e.getAttribute('aria-label') ?? e.textContent} ${JSON.stringify(e.getBoundingClientRect())}`);"""
SLIDER = "document.querySelector('#tabpanel-Face .slider [type=range]')"
SCROLL = "document.querySelector('#tabpanel-Face').scrollTop"
SOON = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
PAUSED = "flameport.player.pause(), flameport.player.seek({frame: 0})"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("touched") / "page"
    web.write(tiny_avatar("edge-height", n=300), folder, web.Options())
    return folder


def test_fingers_turn_move_pinch_tap_scrub_and_paint(exported, tmp_path):
    steps: list[Any] = [
        TOOLS, PAUSED, "note('rest', camera())",
        {"fingers": [["#view", 0.4, 0.5, 0.6, 0.5]]}, SOON, "note('turned', camera())",
        {"tap": "#panel-toggle"}, {"until": "!document.querySelector('#panel').hidden"}, "note('sheet', box('#panel'))",
        # Along a slider: its value, and nothing scrolls; across it: the sheet scrolls, and no value changes.
        f"{SLIDER}.scrollIntoView({{block: 'center'}}), note('scroll', {SCROLL})",
        {"fingers": [["#tabpanel-Face .slider [type=range]", 0.1, 0.5, 0.7, 0.6]]}, SOON,
        f"note('dragged', [{SLIDER}.valueAsNumber, {SCROLL}])",
        {"fingers": [["#tabpanel-Face", 0.3, 0.9, 0.32, 0.2]]}, "new Promise(done => setTimeout(done, 300))",
        f"note('swept', [{SLIDER}.valueAsNumber, {SCROLL}])",
        *[step for name in ("Pose", "View", "Compare", "Info", "Face")
          for step in ({"tap": f"#tab-{name}"}, f"note('{name}', [small(), wide()])")],
        # The maps: a finger paints, and neither turns nor scrolls.
        {"tap": "#tab-View"}, {"tap": "#tabpanel-View [role=radio]:nth-child(4)"},
        {"until": "!document.querySelector('#uv').hidden"}, {"tap": "#panel-toggle"},
        {"until": "document.querySelector('#panel').hidden && document.querySelector('#uv-canvas').clientWidth > 120"},
        "note('maps', [small(), wide()])",
        "window.before = camera(), window.colors = flameport.player.avatar.layers[0].sh.slice()",
        {"fingers": [["#uv-canvas", 0.3, 0.3, 0.7, 0.7]]}, SOON, SOON,
        "note('painted', flameport.player.avatar.layers[0].sh.filter((x, i) => x !== colors[i]).length)",
        "note('still', camera().join() === before.join())",
        {"tap": "#panel-toggle"}, {"tap": "#tabpanel-View [role=radio]:nth-child(1)"}, {"tap": "#panel-toggle"},
        # Two fingers beside each other move it, away from each other bring it nearer.
        "note('before', camera())", {"fingers": [[150, 200, 150, 260], [210, 200, 210, 260]]}, SOON, "note('moved', camera())",
        {"pinch": [187, 230, 60, 180]}, SOON, "note('pinched', camera())",
        {"tap": "#transport .play"}, {"until": "flameport.player.isPlaying"},
        {"tap": "#transport .play"}, {"until": "!flameport.player.isPlaying"},
        {"fingers": [["#transport .line input", 0.02, 0.5, 0.75, 0.6]]}, SOON,
        "note('scrubbed', flameport.player.seconds / flameport.player.sequence.duration)",
        {"resize": [667, 375]}, "new Promise(done => setTimeout(done, 200))", "note('sideways', [small(), wide()])",
        {"tap": "#panel-toggle"}, {"until": "!document.querySelector('#panel').hidden"}, SOON,
        "note('beside', [small(), wide()])", "note('boxes', ['#panel', '#transport', '#view'].map(box))",
    ]
    task = page("phone", "({told, scrolled: scrollY})", steps, ready=READY, width=375, height=667, touch=2,
                safe={"top": 20, "bottom": 30, "left": 0, "right": 0})
    report = run("swiftshader", [task], tmp_path, tmp_path / "out", exported)
    assert not report["errors"] and report["tasks"]["phone"]["scrolled"] == 0
    told = report["tasks"]["phone"]["told"]
    assert told["turned"][:9] != told["rest"][:9]
    left, top, right, bottom = told["sheet"]
    assert (left, right, bottom) == (0, 375, 667) and 300 < top < 420
    value, scroll = told["dragged"]
    assert value > 0.5 and scroll == told["scroll"]
    assert told["swept"][0] == value and told["swept"][1] > scroll + 20
    for name in ("Face", "Pose", "View", "Compare", "Info", "maps", "sideways", "beside"):
        assert told[name] == [[], []], name
    assert told["painted"] > 0 and told["still"]
    assert max(abs(a - b) for a, b in zip(told["moved"][:9], told["before"][:9], strict=True)) < 1e-6
    assert abs(told["moved"][10] - told["before"][10]) > 0.01
    assert told["pinched"][11] < 0.6 * told["moved"][11]
    assert 0.6 < told["scrubbed"] < 0.9
    panel, bar, view = told["boxes"]
    assert panel[2] == 667 and panel[0] >= view[2] and bar[2] <= view[2] and bar[3] <= 375 - 30
