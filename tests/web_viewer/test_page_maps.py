"""Maps that a visitor changes: drawn on, replaced by pictures, saved, undone; and what is dropped onto the page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporter.targets import glb
from formats.codecs import bundle, sequence_json
from formats.render import default_camera, render_avatar
from formats.video import write_png
from tests.builders import tiny_avatar, tiny_sequence
from tests.web_viewer.browser import run
from tests.web_viewer.test_page import READY, page

pytestmark = pytest.mark.browser

RED, BLUE = (230, 10, 20), (10, 40, 220)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar whose head has an albedo, with a mesh layer that has a texture; and pictures of right and wrong shapes."""
    folder = tmp_path_factory.mktemp("given")
    avatar, other = tiny_avatar("edge-height", n=300), tiny_avatar("mesh-texture")
    mixed = replace(avatar, layers=avatar.layers + other.layers, maps=other.maps, meta=replace(avatar.meta, name="anna"))
    glb.write(mixed, folder / "anna.glb", glb.Options())
    for name, color, size in (("red.png", RED, (64, 64)), ("blue.jpg", BLUE, (32, 32)), ("anna-albedo.webp", BLUE, (128, 128)),
                              ("wide.png", RED, (64, 40)), ("half.png", RED, (32, 16))):
        Image.new("RGB", size, color).save(folder / name, quality=100, lossless=True)
    (folder / "not.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    inner = folder / "given" / "inside"
    inner.mkdir(parents=True)
    glb.write(avatar, inner / "a.glb", glb.Options())
    sequence_json.write(tiny_sequence(frames=7), folder / "given" / "seven.json")
    bundle.write(tiny_avatar("vertex-index"), folder / "bundle.zip")
    camera = default_camera(avatar, 64, 64)
    assert avatar.sequence is not None
    for frame in (0, 2):
        write_png(render_avatar(avatar, avatar.sequence, frame, camera).to_uint8(), folder / "given" / f"{frame:05d}.png")
    return folder


LOOK = """window.told = {}; window.note = (name, value) => { told[name] = value; };
  window.said = () => document.querySelector('#said').textContent + document.querySelector('#message-text').textContent;
  window.frames = (n) => new Promise(done => { const go = () => n-- > 0 ? requestAnimationFrame(go) : done(); go(); });
  window.uv = () => [...document.querySelector('#uv-canvas').getContext('2d').getImageData(40, 40, 1, 1).data];
  window.colors = () => { const { sh, degree, count } = flameport.player.avatar.layers[0], s = 3 * (degree + 1) ** 2;
    return Array.from({ length: count }, (_, i) => [0, 1, 2].map(c => Math.round(255 * (0.5 + 0.28209479 * sh[s * i + c])))); };
  window.shown = async () => { const bytes = await flameport.player.readPixels(); let r = 0, b = 0;
    for (let i = 0; i < bytes.length; i += 4) { r += bytes[i]; b += bytes[i + 2]; } return [r, b]; };
  window.mesh = async () => { await frames(3); const from = document.querySelector('#mesh');
    const { width, height } = from, to = new OffscreenCanvas(width, height).getContext('2d');
    flameport.player.setExpression('smile', null);  // asks for a picture, which is read in its own frame
    await new Promise(done => requestAnimationFrame(() => { to.drawImage(from, 0, 0); done(); }));
    const { data } = to.getImageData(0, 0, width, height); let n = 0, sum = [0, 0, 0];
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 250) { n++; for (let c = 0; c < 3; c++) sum[c] += data[i + c]; }
    return sum.map(x => Math.round(x / n)); };
  window.tool = (name) => [...document.querySelectorAll('#uv .tools button')].find(b => b.title.startsWith(name)).click();
  window.pickMap = (text) => { const list = document.querySelector('#uv select');
    list.selectedIndex = [...list.options].findIndex(o => o.text === text); list.dispatchEvent(new Event('change')); };"""
PICKER = "#uv input[type=file]"

STEPS: list[Any] = [
    LOOK, "flameport.player.pause(), flameport.player.seek({frame: 1})", "note('names', null)",
    "(async () => note('names', await flameport.player.textures()))()", {"press": "4"},
    {"until": "!!document.querySelector('#uv option')"}, "frames(3)",
    "note('maps', [...document.querySelector('#uv select').options].map(o => o.text))",
    "note('first', colors()), document.querySelector('#uv [aria-label=\"Undo (Ctrl+Z)\"]').disabled && note('no undo', true)",
    # A stroke of the brush, in a colour, at full strength; the Gaussians under it change, others stay.
    "document.querySelector('#uv [type=color]').value = '#00ff00'",
    """{ const one = [...document.querySelectorAll('#uv .slider')].find(row => row.textContent === 'Strength');
         const input = one.querySelector('[type=range]'); input.value = 100; input.dispatchEvent(new Event('input')); }""",
    """{ const one = [...document.querySelectorAll('#uv .slider')].find(row => row.textContent === 'Size');
         const input = one.querySelector('[type=range]'); input.value = 12; input.dispatchEvent(new Event('input')); }""",
    {"fingers": [["#uv-canvas", 0.5, 0.5, 0.5, 0.5]]}, "frames(3)", "note('touched', colors())",
    "document.querySelector('#uv-canvas').focus()", {"press": "ArrowRight"}, {"press": "Shift+ArrowUp"}, {"press": " "},
    "frames(3)", "note('by key', colors())", {"press": "Control+z"}, "frames(3)", "note('undone', colors())",
    "(async () => note('seen', await shown()))()", {"until": "!!told.seen"},
    # The pipette takes what is there and gives the brush back.
    "tool('Take a colour')", {"fingers": [["#uv-canvas", 0.5, 0.5, 0.5, 0.5]]},
    "note('picked', document.querySelector('#uv [type=color]').value)",
    # Pictures in its place: chosen, of a wrong shape, of no kind, dropped; saved; as it was.
    {"open": ["red.png"], "into": PICKER}, {"until": "said().includes('red.png')"}, "note('red', colors())",
    "(async () => note('redder', await shown()))()", {"until": "!!told.redder"}, "note('sheet', uv())",
    {"drop": ["wide.png"]}, {"until": "said().includes('64 x 40')"}, "note('wide', said())",
    {"drop": ["not.png"]}, {"until": "said().includes('not.png')"}, "note('not', said())",
    {"drop": ["blue.jpg"]}, {"until": "said().includes('blue.jpg')"}, "note('blue', colors())",
    "tool('Save')", {"until": "said().includes('saved')"}, "tool('Make it again')",
    {"until": "JSON.stringify(colors()) === JSON.stringify(told.first)"}, "note('again', true)",
    "pickMap('Gaussians’ opacity')", "frames(4)", {"open": ["red.png"], "into": PICKER},
    {"until": "said().includes('opacity')"}, "note('opacity', [...flameport.player.avatar.layers[0].opacities])",
    "tool('Make it again')", "frames(3)",
    # The head's albedo: its mesh shows beside it, and the picture on it; a file of its name finds it from any view.
    "pickMap('Mesh’s albedo')", {"until": "!document.querySelector('#mesh').hidden"}, "frames(5)",
    "note('splats', flameport.player.visible)", "(async () => note('before', await mesh()))()", {"until": "!!told.before"},
    {"press": "1"}, {"drop": ["anna-albedo.webp"]}, {"until": "said().includes('anna-albedo.webp')"},
    {"until": "document.querySelector('#stage').dataset.view === 'uv'"}, "frames(4)",
    "(async () => note('albedo', await mesh()))()", {"until": "!!told.albedo"},
    "document.querySelector('#uv [type=color]').value = '#ff0000'",
    {"fingers": [["#uv-canvas", 0.1, 0.5, 0.9, 0.5]]}, "new Promise(done => setTimeout(done, 400))",
    "(async () => note('stroke', await mesh()))()", {"until": "!!told.stroke"},
    "tool('Make it again')", "new Promise(done => setTimeout(done, 400))",
    "(async () => note('after', await mesh()))()", {"until": "!!told.after"},
    # A mesh layer's texture, through the same tools.
    "pickMap('skin')", {"until": "document.querySelector('#mesh').hidden"}, "frames(4)",
    "(async () => note('skin', await shown()))()", {"until": "!!told.skin"},
    {"open": ["half.png"], "into": PICKER}, {"until": "said().includes('“skin”')"},
    "(async () => note('red skin', await shown()))()", {"until": "!!told['red skin']"}, "tool('Make it again')", "frames(4)",
    "(async () => note('own skin', await shown()))()", {"until": "!!told['own skin']"},
    {"press": "1"},
]


def test_maps_are_drawn_on_replaced_saved_and_given_back(files, tmp_path):
    dropped = [
        LOOK, {"drop": ["given"]}, {"until": "document.querySelectorAll('#panel tbody tr').length === 2"},
        {"until": "[...document.querySelectorAll('#panel tbody td:last-child')].every(td => td.textContent.endsWith('dB'))"},
        "note('frames', flameport.player.sequence.frames), note('drawn', flameport.player.visible)",
        """{ const wipe = document.querySelector('#compare .frame input');
             wipe.value = 20; wipe.dispatchEvent(new Event('input'));
             note('cut', document.querySelector('#compare').style.getPropertyValue('--cut')); }""",
        "document.querySelectorAll('#panel tbody button')[1].click()",
        {"until": "document.querySelector('.told').textContent.includes('00002')"},
        "[...document.querySelectorAll('#panel button')].find(b => b.textContent === 'End comparing').click()",
        "note('back', flameport.player.visible)",
        {"drop": ["bundle.zip"]}, {"until": "document.querySelector('#name').textContent.includes('vertex-index')"},
    ]
    tasks = [page("maps", "window.told", STEPS, ready=READY, query="?avatar=files/anna.glb", width=1100, height=760),
             page("dropped", "window.told", dropped, ready=READY, width=900, height=700)]
    report = run("swiftshader", tasks, files, tmp_path)
    assert not report["errors"]
    told = report["tasks"]["maps"]
    assert told["names"] == ["albedo", "skin"]
    assert told["maps"] == ["Gaussians’ colour", "Gaussians’ opacity", "Mesh’s albedo", "skin"] and told["no undo"]
    first, touched, by_key = (np.array(told[name]) for name in ("first", "touched", "by key"))
    changed = (touched != first).any(axis=1)
    assert 0 < changed.sum() < len(first) / 2 and (touched[changed, 1] > first[changed, 1]).any()
    assert ((by_key != touched).any(axis=1)).sum() > 0 and told["undone"] == told["touched"]
    assert told["picked"] == "#00ff00"
    assert np.abs(np.array(told["red"]) - RED).max() <= 1 and np.abs(np.array(told["blue"]) - BLUE).max() <= 8
    assert told["redder"][0] > told["seen"][0] and told["sheet"][:3] == list(RED)
    assert "64 x 40" in told["wide"] and "shape" in told["wide"] and "PNG, JPEG or WebP" in told["not"] and told["again"]
    assert np.allclose(told["opacity"], RED[0] / 255, atol=1 / 255)
    with Image.open(tmp_path / "anna-color.png") as saved:
        assert saved.size == (512, 512) and np.abs(np.asarray(saved.convert("RGB"), int) - BLUE).max() <= 8
    assert told["splats"] is False
    assert np.abs(np.array(told["albedo"]) - BLUE).max() <= 3 and told["before"] != told["albedo"]
    assert told["stroke"][0] > told["albedo"][0] + 10 and told["after"] == told["before"]
    assert told["red skin"] != told["skin"] and told["own skin"] == told["skin"]
    told = report["tasks"]["dropped"]
    assert told["frames"] == 7 and told["drawn"] is False and told["cut"] == "20%" and told["back"] is True
