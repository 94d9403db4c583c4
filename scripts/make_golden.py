#!/usr/bin/env python3
"""Writes tests/golden: `posing`, small avatars as GLB, one clip, and what `formats.deform` makes of them at ten moments;
`small`, the same for files of grade `small` as Python reads them; `layers`, mesh layers, strands and networks, with pictures
(`scripts/golden_layers.py`); and `texels`, arrays and the bytes that packers make of them.

Every implementation of posing (TypeScript, the browser's shaders, C#) and of packing is compared with these files. Regenerating
them is a reviewed act: say in the commit why they changed. `tests/test_golden.py` and `tests/formats/test_packed_texels.py`
regenerate them in memory and compare.
"""

import argparse
import base64
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from exporter.targets import glb  # noqa: E402
from formats.avatar import Avatar, LinearDynamics, SplatLayer  # noqa: E402
from formats.camera import Camera  # noqa: E402
from formats.codecs import glb_avatar, packed_texels, sequence_json  # noqa: E402
from formats.codecs.glb import read_document  # noqa: E402
from formats.deform import PosedSplats, deform  # noqa: E402
from formats.files import replacing, write_bytes  # noqa: E402
from formats.head_model import HeadModel  # noqa: E402
from formats.rotations import normalize, quat_to_matrix  # noqa: E402
from formats.sequence import Sequence  # noqa: E402
from formats.spherical_harmonics import evaluate_sh  # noqa: E402
from scripts import golden_layers  # noqa: E402
from tests.builders import tiny_avatar, tiny_camera, tiny_head, tiny_sequence  # noqa: E402

FOLDER = ROOT / "tests" / "golden" / "posing"
TEXELS = ROOT / "tests" / "golden" / "texels"
MOMENTS = (0, 0.5, 1, 1.25, 2, 2.75, 3, 3.4, 4.6, 5)
"""Fractional frame indices of the clip."""
FRAMES = 6
DIGITS = 7
"""Significant digits stored: a hundredth of a micrometre on a head."""


def _light() -> HeadModel:
    """Return a head without correctives and seams, for cases that are about something else."""
    return tiny_head(correctives=False, uvs=False)


def _still(kind: str, head: HeadModel | None = None) -> Avatar:
    """Return a tiny avatar without its networks, which a GLB does not carry."""
    avatar = tiny_avatar(kind, head=head)
    layers = tuple(dataclasses.replace(layer, dynamics=None) for layer in avatar.layers if isinstance(layer, SplatLayer))
    return dataclasses.replace(avatar, layers=layers, networks={})


def _linear(space: str, sh_frame: str) -> Avatar:
    avatar = tiny_avatar("linear", n=16, head=_light())
    layer = avatar.layers[0]
    assert isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics)
    moved = dataclasses.replace(layer, dynamics=dataclasses.replace(layer.dynamics, space=space), sh_frame=sh_frame)
    return dataclasses.replace(avatar, layers=(moved,))


def _posed_lids() -> Avatar:
    head = dataclasses.replace(tiny_head(extra_joints=2), eyelid_space="posed")
    return tiny_avatar("own-skin-turning", n=16, degree=0, head=head)


def _many_joints() -> Avatar:
    return tiny_avatar("plain-face", n=16, degree=3, head=tiny_head(extra_joints=2))


CASES: dict[str, Callable[[], Avatar]] = {
    "edge-height": lambda: tiny_avatar("edge-height", n=16, degree=3),
    "normal": lambda: tiny_avatar("normal", n=16, head=_light()),
    "vertex": lambda: tiny_avatar("vertex", n=16, head=_light()),
    "vertex-coarse": lambda: tiny_avatar("vertex-coarse", n=16, head=_light()),
    "corner": lambda: tiny_avatar("corner", n=16, head=_light()),
    "root": lambda: tiny_avatar("root", n=16, head=_light()),
    "world": lambda: _still("world", _light()),
    "plain-face-many-joints": _many_joints,
    "vertex-index-surface": lambda: tiny_avatar("vertex-index", degree=0),
    "vertex-index-still": lambda: tiny_avatar("vertex-index-still", degree=0, head=_light()),
    "own-skin": lambda: _still("own-skin"),
    "own-skin-turning-posed-lids": _posed_lids,
    "linear-canonical": lambda: _linear("canonical", "world"),
    "linear-posed": lambda: _linear("posed", "head"),
    "fitted": lambda: tiny_avatar("fitted", n=16, head=_light()),
}
"""One avatar per way of riding a head that a GLB can carry."""


def clip_of(avatar: Avatar) -> Sequence:
    """Return the clip that drives a case: every field moves, joints beyond FLAME's too."""
    return tiny_sequence(avatar.head, FRAMES, seed=9)


def camera() -> Camera:
    """Return the camera whose view directions the golden colours are for."""
    return tiny_camera(0.4)


def golden_frames(avatar: Avatar) -> dict[str, Any]:
    """Return what a case's JSON holds: the camera, and per moment the head and the Gaussians in world space."""
    sequence, view = clip_of(avatar), camera()
    frames = []
    for t in MOMENTS:
        posed = deform(avatar, sequence, t)
        (splats,) = posed.layers
        assert isinstance(splats, PosedSplats)
        axes = quat_to_matrix(splats.cloud.quats) * splats.cloud.scales.astype(np.float64)[:, None]
        covariance = axes @ axes.transpose(0, 2, 1)
        directions = normalize(splats.cloud.means.astype(np.float64) - view.position) @ splats.sh_rotation
        frames.append({
            "t": t, "vertices": _numbers(posed.head.vertices), "means": _numbers(splats.cloud.means),
            "covariances": _numbers(covariance[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]),
            "opacities": _numbers(splats.cloud.opacities), "rgb": _numbers(evaluate_sh(splats.cloud.sh, directions))})
    return {"camera": {"K": view.K.tolist(), "world_to_camera": view.world_to_camera.tolist(), "width": view.width,
                       "height": view.height}, "frames": frames}


def _numbers(value: np.ndarray) -> list[float]:
    return [float(f"{x:.{DIGITS}g}") for x in np.asarray(value, np.float64).ravel()]


def write(folder: Path) -> None:
    """Write every case to `folder`."""
    for name, make in CASES.items():
        avatar = dataclasses.replace(make(), sequence=None)
        avatar = dataclasses.replace(avatar, sequence=clip_of(avatar))
        write_bytes(folder / f"{name}.glb", glb.to_bytes(avatar, glb.Options(grade="full")))
        write_bytes(folder / f"{name}.json", (json.dumps(golden_frames(avatar), separators=(",", ":")) + "\n").encode())
        with replacing(folder / f"{name}.clip.json") as temporary:
            sequence_json.write(clip_of(avatar), temporary)


# --- Grade small ------------------------------------------------------------------------------------------------------


SMALL_CASES: dict[str, Callable[[], Avatar]] = {
    "faces-dynamics": lambda: _linear("canonical", "head"),
    "fitted": lambda: tiny_avatar("fitted", n=16, head=_light()),
    "own-skin": lambda: _still("own-skin", tiny_head(uvs=False)),
    "vertices": lambda: tiny_avatar("vertex-index", degree=2, head=_light()),
    "seams": lambda: tiny_avatar("edge-height", n=16, degree=1, head=tiny_head(correctives=False, extra_joints=2)),
}
"""Avatars that between them use everything grade `small` stores in its own way."""


def small_glb(name: str) -> bytes:
    """Return a case's file."""
    avatar = dataclasses.replace(SMALL_CASES[name](), sequence=None)
    avatar = dataclasses.replace(avatar, sequence=clip_of(avatar))
    return glb.to_bytes(avatar, glb.Options(grade="small"))


def write_small(folder: Path) -> None:
    """Write every case of grade `small`, and what a reader in Python makes of it, to `folder`."""
    for name in SMALL_CASES:
        data = small_glb(name)
        back = glb_avatar.from_document(read_document(data))
        write_bytes(folder / f"{name}.glb", data)
        write_bytes(folder / f"{name}.json", (json.dumps(golden_frames(back), separators=(",", ":")) + "\n").encode())
        with replacing(folder / f"{name}.clip.json") as temporary:
            sequence_json.write(clip_of(back), temporary)


# --- Packed texels ----------------------------------------------------------------------------------------------------


def _texel_head() -> HeadModel:
    # Joints at rest are stored and not regressed, so that no sum's order shows in the bytes.
    return tiny_head(correctives=False, uvs=False, extra_joints=2)


TEXEL_CASES: dict[str, Callable[[], Avatar]] = {
    "faces-dynamics": lambda: tiny_avatar("linear", n=7, degree=2, head=_texel_head()),
    "corner": lambda: tiny_avatar("corner", n=5, degree=0, head=_texel_head()),
    "own-skin": lambda: tiny_avatar("own-skin-turning", n=7, degree=0, head=_texel_head()),
    "vertices": lambda: tiny_avatar("vertex-index", degree=0, head=_texel_head()),
}
"""Avatars whose tables between them have every kind of texel."""


def golden_texels(avatar: Avatar) -> dict[str, Any]:
    """Return what a case's JSON holds: the arrays that go into a packer, and what comes out, for every variant."""
    head = avatar.head
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer)
    rest, motion = head.rest_joints()
    arrays = {"v_template": head.v_template, "faces": head.faces, "exprdirs": head.exprdirs, "posedirs": head.posedirs,
              "eyeliddirs": head.eyeliddirs, "lbs_weights": head.lbs_weights, "joint_rest": rest.astype(np.float32),
              "joint_dirs": motion.astype(np.float32) if motion.any() else None}
    splats: dict[str, Any] = {name: getattr(layer.cloud, name) for name in ("means", "quats", "scales", "opacities", "sh")}
    splats |= {name: getattr(layer.binding, name, None) for name in (
        "face_index", "barycentric", "vertex_index", "exprdirs", "posedirs", "eyeliddirs", "lbs_weights", "canonical_vertices")}
    if isinstance(layer.dynamics, LinearDynamics):
        splats |= {f"dynamics_{name}": table for name, table in layer.dynamics.tables.items()}
    made = {variant: packed_texels.pack(avatar, variant) for variant in packed_texels.VARIANTS}
    return {"head": _arrays(arrays), "layer": _arrays(splats), "variants": {
        variant: {"descriptor": packed.descriptor, "tables": {
            entry["name"]: _base64(packed.table(entry["name"]).astype("<u4")) for entry in packed.descriptor["tables"]}}
        for variant, packed in made.items()}}


def _arrays(values: dict[str, np.ndarray | None]) -> dict[str, Any]:
    return {name: {"shape": list(v.shape), "type": v.dtype.name, "base64": _base64(v.astype(v.dtype.newbyteorder("<")))}
            for name, v in values.items() if v is not None}


def _base64(value: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()


def write_texels(folder: Path) -> None:
    """Write every case of packed texels to `folder`."""
    for name, make in TEXEL_CASES.items():
        text = json.dumps(golden_texels(make()), indent=1)
        write_bytes(folder / f"{name}.json", (text + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER.parent)
    out = parser.parse_args().out
    write(out / "posing")
    write_texels(out / "texels")
    write_small(out / "small")
    golden_layers.write(out / "layers")
    for folder in (out / "posing", out / "texels", out / "small", out / "layers"):
        files = sorted(folder.iterdir())
        print(f"{folder}: {len(files)} files, {sum(f.stat().st_size for f in files) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
