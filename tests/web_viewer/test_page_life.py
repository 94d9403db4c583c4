"""What happens to a page: it is hidden and comes back, its canvas changes size, a stranger's file has markup in its words."""

import dataclasses

import pytest

from exporter.targets import glb
from formats.avatar import Meta
from tests.builders import tiny_avatar, tiny_head, tiny_sequence
from tests.web_viewer.browser import run

pytestmark = pytest.mark.browser

LIFE = """(async () => {
  const { loadAvatar, Player } = flameport;
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const frames = async (n) => { for (let i = 0; i < n; i++) await new Promise(requestAnimationFrame); };
  const canvas = document.createElement("canvas");
  canvas.style.cssText = "position:fixed;left:0;top:0;z-index:9;width:120px;height:90px";
  document.body.append(canvas);
  const player = new Player(canvas, { resize: true });
  player.setAvatar(await loadAvatar("files/avatar.glb"));
  player.loop = true;
  player.speed = 0.1;
  player.play();
  await frames(5);
  const told = {};
  // Time stands while nobody looks, however long that takes, and goes on from there.
  let state = "visible";
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
  const look = (now) => { state = now; document.dispatchEvent(new Event("visibilitychange")); };
  look("hidden");
  await frames(2);
  const left = player.seconds;
  await sleep(700);
  await frames(2);
  told.hidden = player.seconds - left;
  look("visible");
  await frames(1);
  told.back = player.seconds - left;
  await sleep(200);
  await frames(2);
  told.on = player.seconds - left;
  player.pause();
  // As many pixels as the canvas has on the screen, two for one at most.
  const sizes = async (width, height, ratio) => {
    Object.defineProperty(window, "devicePixelRatio", { configurable: true, get: () => ratio });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    await frames(3);
    const pixels = await player.readPixels();
    let inked = 0;
    for (let i = 0; i < pixels.length; i += 4) inked += pixels[i] + pixels[i + 1] + pixels[i + 2] < 720 ? 1 : 0;
    const count = canvas.width * canvas.height;
    return { size: [canvas.width, canvas.height], whole: pixels.length === 4 * count, share: inked / count };
  };
  told.sizes = [];
  const asked = [[120, 90, 1], [240, 180, 1], [200, 150, 2], [160, 120, 3], [0, 0, 1]];
  for (const each of asked) told.sizes.push(await sizes(...each));
  player.dispose();
  window.told = told;
})().catch((error) => { window.told = { error: String(error.stack) }; })"""


def test_time_stands_while_a_page_is_hidden_and_pictures_fit_their_canvas(tmp_path):
    (tmp_path / "files").mkdir()
    glb.write(tiny_avatar("edge-height", n=200), tmp_path / "files" / "avatar.glb", glb.Options())
    task = {"kind": "page", "name": "life", "width": 400, "height": 300, "steps": [LIFE], "wait": "window.told",
            "tell": "window.told", "ready": "window.flameport"}
    told = run("swiftshader", [task], tmp_path / "files", tmp_path)["tasks"]["life"]
    assert "error" not in told, told
    assert told["hidden"] == 0 and 0 <= told["back"] < told["on"], told
    small, large, fine, finest, nothing = told["sizes"]
    assert [each["size"] for each in told["sizes"]] == [[120, 90], [240, 180], [400, 300], [320, 240], [1, 1]]
    assert all(each["whole"] for each in told["sizes"])
    # The head fills the same share of the picture, whatever its size.
    for each in (large, fine, finest):
        assert each["share"] == pytest.approx(small["share"], abs=0.03) and each["share"] > 0.05


HOSTILE = """<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>"""


def test_what_a_strangers_file_says_is_text(tmp_path):
    """Names, terms, and ranges with markup in them, wherever the page shows them, and in an element."""
    head = tiny_head()
    head = dataclasses.replace(head, expr_names=(HOSTILE, *head.expr_names[1:]))
    avatar = tiny_avatar("strands", n=60, head=head)
    clip = dataclasses.replace(tiny_sequence(head, 6), ranges={HOSTILE: (0, 3), "rest": (3, 6)})
    layers = tuple(dataclasses.replace(layer, name=f"{HOSTILE}{i}") for i, layer in enumerate(avatar.layers))
    avatar = dataclasses.replace(avatar, layers=layers, sequence=clip, meta=Meta(HOSTILE, license_notices=(f"{HOSTILE} terms",)))
    (tmp_path / "files").mkdir()
    glb.write(avatar, tmp_path / "files" / "avatar.glb", glb.Options())
    tell = """(async () => {
      for (const tab of document.querySelectorAll('[role=tab]')) { tab.click(); await new Promise((r) => setTimeout(r, 60)); }
      const named = document.querySelector('#name').textContent, text = document.body.innerHTML;
      return { named, hacked: window.hacked ?? null, images: document.querySelectorAll('img[src=x], [onerror]').length,
        escaped: text.split('&lt;img src=x').length - 1, whole: document.body.textContent.includes('onerror="window.hacked=1"') };
    })()"""
    task = {"kind": "page", "name": "hostile", "width": 900, "height": 700, "query": "?avatar=files/avatar.glb", "tell": tell,
            "ready": "!!document.querySelector('#name').textContent.includes('onerror')"}
    report = run("swiftshader", [task], tmp_path / "files", tmp_path)
    told = report["tasks"]["hostile"]
    assert told["named"] == HOSTILE and told["hacked"] is None and told["images"] == 0
    assert told["whole"] and told["escaped"] > 3, "names, terms and ranges are there, as text"
