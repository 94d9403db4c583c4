"""A small avatar for every target: what it is made of, and what its output is called."""

import dataclasses
from pathlib import Path

from formats.avatar import Avatar, MeshLayer
from tests.builders import tiny_avatar, tiny_head

CASES = {"baked-avatar-web": ("mesh-texture", "folder"), "glb": ("linear", "a.glb"), "lam": ("edge-height", "a.zip"),
         "onnx": ("linear-network", "folder"), "ply": ("edge-height", "a.ply"), "sequence": ("linear", "a.json"),
         "spz": ("edge-height", "a.spz"), "textures": ("everything", "folder"),
         "unity": ("linear", "a.flameavatar"), "web": ("linear", "folder")}
"""Target to the kind of `tiny_avatar` that it takes, and a name of what it writes."""


def avatar_for(target: str, edition: str = "standin", n: int = 24) -> Avatar:
    """Return an avatar that `target` takes, on a head of `edition`; with `n` Gaussians where it has any."""
    avatar = tiny_avatar(CASES[target][0], n, head=tiny_head(edition))
    # BakedAvatar's demo draws its innermost layer without alpha.
    layers = [dataclasses.replace(layer, opaque=True) if isinstance(layer, MeshLayer) else layer for layer in avatar.layers]
    return dataclasses.replace(avatar, layers=tuple(layers))


def stand_in_viewer(folder: Path) -> Path:
    """Make what the page's target copies of the viewer, which scripts/build makes elsewhere: one page."""
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html>\n<html><head><title>flameport viewer</title></head>"
                                       '<body><img id="poster" alt="" hidden /></body></html>\n')
    return folder
