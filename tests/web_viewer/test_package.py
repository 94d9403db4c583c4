"""The npm package: what it weighs, and that a stranger's project can use it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from formats.errors import MissingAsset
from tests.web_viewer.browser import unavailable
from web_viewer import dist_folder

VIEWER = Path(__file__).parents[2] / "web_viewer"
TOOLS = VIEWER / "node_modules" / ".bin"
BUDGET = 40_000
"""Gzipped bytes of script that play the LAM avatar in grade `small`."""

CONSUMER = """
import { AvatarFormatError, Gaze, Idle, loadAvatar, loadSequence, Player, type PinholeCamera } from "flameport-viewer";
import { FlameAvatarElement } from "flameport-viewer/element";
import { FlameAvatar } from "flameport-viewer/three";
import { Scene, WebGLRenderer } from "three";

const player = new Player(document.createElement("canvas"), { background: null, clock: () => 0 });
const avatar = await loadAvatar("anna.glb", { progress: (loaded, total) => console.log(loaded, total) });
player.setAvatar(avatar);
player.fadeTo(await loadSequence("talk.json", avatar.head, { neutral: "mean" }), 0.5);
player.addDriver(new Idle({ seed: 3 }));
player.addDriver((pose, { seconds }) => { pose.neck[1] = Math.sin(seconds); });
const gaze = new Gaze();
gaze.lookAt([0, 0, 1]);
const camera: PinholeCamera | null = player.getCamera();
const element: FlameAvatarElement = document.createElement("flame-avatar");
element.src = "anna.glb";
const guest = await FlameAvatar.load(new WebGLRenderer(), "anna.glb");
new Scene().add(guest);
guest.actor.play();
// @ts-expect-error a seed is a number
new Idle({ seed: "3" });
// @ts-expect-error there is no such neutral
loadSequence("talk.json", avatar.head, { neutral: "median" });
export { AvatarFormatError, camera };
"""


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def viewer() -> Path:
    """The viewer's folder, with its tools and its built package."""
    try:
        built = (dist_folder() / "lib" / "three.js").is_file()
    except MissingAsset as error:
        unavailable(str(error))
        raise
    if not built or not TOOLS.is_dir() or shutil.which("npm") is None:
        unavailable("the viewer's package is not built, or npm is missing; run scripts/build")
    return VIEWER


def test_playing_an_avatar_costs_less_than_the_budget(viewer):
    told = json.loads(_run(["node", "scripts/sizes.mjs"], viewer))
    rows = {row["name"]: row for row in told["rows"]}
    assert told["needed"] == [], "what plays an avatar is one file"
    assert 20_000 < rows["program"]["gzip"] < BUDGET
    assert {"extras", "networks", "onnx_runner", "ort-wasm", "ktx2", "basis_transcoder", "gpu"} <= rows.keys()
    # The element and the adapter are thin.
    for name in ("element", "three"):
        assert rows[name]["gzip"] < rows["program"]["gzip"] + 12_000
    readme = (viewer / "README.md").read_text()
    table = readme[readme.index("<!-- sizes -->"):readme.index("<!-- /sizes -->")]
    assert all(row["why"] in table for row in rows.values()), "node scripts/sizes.mjs --write"


def test_a_strangers_project_installs_compiles_and_bundles_it(viewer, tmp_path):
    packed = json.loads(_run(["npm", "pack", "--json", "--silent", "--pack-destination", str(tmp_path)], viewer))[0]
    names = [file["path"] for file in packed["files"]]
    assert {"dist/lib/index.js", "dist/lib/index.d.ts", "dist/lib/element.js", "dist/lib/three.js", "README.md"} <= set(names)
    assert not [name for name in names if name.startswith(("src/", "test/", "node_modules/")) or name.endswith(".test.ts")]
    project = tmp_path / "project"
    (project / "node_modules").mkdir(parents=True)
    (project / "package.json").write_text('{"name": "stranger", "private": true, "type": "module"}')
    # Three is the stranger's own; no registry is asked.
    for name in ("three", "@types/three"):
        (project / "node_modules" / name).parent.mkdir(exist_ok=True)
        (project / "node_modules" / name).symlink_to(viewer / "node_modules" / name)
    package = project / "node_modules" / "flameport-viewer"
    shutil.unpack_archive(tmp_path / packed["filename"], project / "unpacked", "gztar", filter="data")
    (project / "unpacked" / "package").rename(package)
    manifest = json.loads((package / "package.json").read_text())
    assert "dependencies" not in manifest and manifest["peerDependenciesMeta"]["three"]["optional"]

    (project / "program.ts").write_text(CONSUMER)
    options = {"strict": True, "target": "ES2022", "lib": ["ES2022", "DOM"], "noEmit": True, "types": [], "skipLibCheck": True}
    for resolution, module in (("bundler", "ESNext"), ("node16", "Node16"), ("nodenext", "NodeNext")):
        config = {"compilerOptions": options | {"moduleResolution": resolution, "module": module}, "include": ["program.ts"]}
        (project / "tsconfig.json").write_text(json.dumps(config))
        _run([str(TOOLS / "tsc"), "-p", "."], project)
    _run([str(TOOLS / "vite"), "build", "--logLevel", "error", "--outDir", "out", "--config", _config(project)], project)
    files = list((project / "out").rglob("*"))
    assert any(file.suffix == ".wasm" for file in files), "the networks' runtime comes along, as a file of its own"
    main = next(file for file in files if file.name.startswith("program") and file.suffix == ".js")
    assert "OffscreenCanvas" not in main.name and main.stat().st_size > 50_000
    for file in files:
        if file.suffix == ".js" and "onnx" not in file.name and "ktx2" not in file.name:
            text = file.read_text()
            assert "eval(" not in text and "new Function" not in text


def _config(project: Path) -> str:
    config = {"base": "./", "build": {"target": "es2022", "assetsInlineLimit": 0, "chunkSizeWarningLimit": 5000,
                                      "rollupOptions": {"input": "program.ts"}}}
    (project / "vite.config.js").write_text(f"export default {json.dumps(config)};\n")
    return "vite.config.js"
