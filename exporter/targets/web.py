"""A page that any static server can host, from any sub-path: the viewer, the avatar as GLB, its clips and its camera."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import web_viewer
from exporter import poster, references, stills
from exporter.capabilities import Loss
from exporter.targets import glb
from exporter.targets.glb import CAPABILITIES
from formats.avatar import Avatar, MeshLayer
from formats.codecs import camera_json, sequence_json
from formats.codecs.json_file import write_json
from formats.errors import FormatError
from formats.files import replacing_folder
from formats.render import default_camera

__all__ = ["CAPABILITIES", "Options", "losses", "write"]


@dataclass(frozen=True)
class Options:
    """What goes into the page."""

    grade: Literal["plain", "full", "small"] = "plain"
    """How the avatar is stored: `plain` opens everywhere, `full` keeps floats exact, `small` is for shipping."""
    layer_textures: Literal["png", "webp", "ktx2"] | None = None
    """Format of mesh layers' radiance bases, as of `export glb`."""
    float16_networks: bool = False
    """Store networks' weights as float16, as `export glb` does."""
    compare: Path | None = None
    """Folder of reference pictures that the page compares itself with: PNGs as `flameport render` writes them."""
    poster: bool = True
    """Draw a still of the first moment, which is seen at once, and in previews of links to the page."""
    url: str = ""
    """Where the page will be, https://...: previews of links need whole addresses."""

    def for_glb(self) -> glb.Options:
        """Return how the GLB in the page is written."""
        return glb.Options(grade=self.grade, layer_textures=self.layer_textures, float16_networks=self.float16_networks)


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what the page's GLB rounds."""
    return glb.losses(avatar, options.for_glb())


def _never_asked_for(avatar: Avatar, options: Options) -> list[str]:
    """Return patterns of WebAssembly that the page of this avatar never fetches: twelve megabytes where it runs no networks."""
    meshes = any(isinstance(layer, MeshLayer) for layer in avatar.layers)
    compressed = meshes and options.layer_textures == "ktx2"
    return ["ort-wasm-*"] * (not avatar.networks) + ["basis_transcoder-*.wasm"] * (not compressed)


def _head(avatar: Avatar, url: str, has_poster: bool) -> poster.Head:
    """Return what the page says of the avatar before any script runs."""
    clip = avatar.sequence
    expects = "" if clip is None or len(clip) < 2 else "clip ranges" if clip.ranges else "clip"
    return poster.Head(avatar.meta.name, f"{avatar.meta.name}: a head avatar that moves, to be turned and driven.", url,
                       has_poster, expects)


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the folder `out` and return what is in it.

    The avatar's clip is stored twice on purpose: inside the GLB for any glTF player, and as sequence JSON that people
    can read, edit and swap. So are licence notices: the page shows the GLB's.

    Raises:
        MissingAsset: The viewer was not built.
        FormatError: `out` holds something that is not an exported page, or `url` is no address.
    """
    viewer = web_viewer.dist_folder()
    if options.url and not options.url.startswith(("https://", "http://")):
        raise FormatError(f"web: --url {options.url!r}; expected the page's whole address, https://...")
    if out.is_dir() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise FormatError(f"{out}: a folder with other things in it; choose a new --out, or empty it first")
    with replacing_folder(out) as folder:
        # `lib` is the npm package: the page's embed code names its modules, and nothing else of it is needed.
        ignored = shutil.ignore_patterns("*.map", "*.d.ts", "three.js", *_never_asked_for(avatar, options))
        shutil.copytree(viewer, folder, dirs_exist_ok=True, ignore=ignored)
        glb.write(avatar, folder / "avatar.glb", options.for_glb())
        camera_json.write(default_camera(avatar), folder / "camera.json")
        clips = []
        if avatar.sequence is not None:
            sequence_json.write(avatar.sequence, folder / "clip.json")
            clips.append({"name": "clip", "file": "clip.json"})
        manifest = {"format": "flameport.web/1", "name": avatar.meta.name, "avatar": "avatar.glb",
                    "sequences": clips, "camera": "camera.json"}
        still = poster.draw(avatar) if options.poster else None
        if still is not None:
            poster.write(still, folder)
            manifest["poster"] = poster.PICTURE
        index = folder / "index.html"
        head = _head(avatar, options.url, still is not None)
        index.write_text(poster.with_head(index.read_text(encoding="utf-8"), head), encoding="utf-8")
        if options.compare is not None:
            references.copy(options.compare, folder / "reference")
            manifest["reference"] = f"reference/{references.NAME}"
        write_json(manifest, folder / "manifest.json")
        if avatar.meta.license_notices:
            (folder / stills.NOTICES).write_text(stills.notices(avatar), encoding="utf-8")
    return sorted(p for p in out.rglob("*") if p.is_file())
