"""What the player's pictures are compared on: every binding, every kind of dynamics, every kind of layer, ten frames each.

`CASES` names them; `missing` says what the nouns allow and no case has. Small analytic avatars: what a picture of a person needs
besides (sizes, counts, textures of a megapixel) is in `test_pictures.py` and `scripts/benchmark layers`.
"""

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from exporter.ops.linearise import FEWEST, Options, linearise
from exporter.ops.resample import resample
from formats import importers
from formats.avatar import (
    CHANNELS,
    FRAMES,
    SKIN_ROTATIONS,
    Avatar,
    FaceBinding,
    LinearDynamics,
    MeshLayer,
    SkinBinding,
    SplatLayer,
    StrandLayer,
)
from formats.render import default_camera
from scripts import golden_layers
from tests.builders import AVATAR_KINDS, tiny_avatar, tiny_camera, tiny_head, tiny_sequence
from tests.web_viewer.pictures import Show

MOMENTS = (0, 0.5, 1, 1.25, 2, 2.75, 3, 3.4, 4.6, 5)
COUNT, SIZE, SIZE_WITH_EDGES = 60, 96, 192
"""Gaussians of a case, and rows of its pictures: a share of the pixels of hard silhouettes, the smaller the larger the picture,
falls to the other side."""
DEGREES = (0, 1, 2, 3)


def _kind(kind: str, degree: int = 1) -> Callable[[], Avatar]:
    return lambda: tiny_avatar(kind, n=COUNT, degree=degree)


def _linear(space: str, sh_frame: str) -> Callable[[], Avatar]:
    def make() -> Avatar:
        avatar = tiny_avatar("linear", n=COUNT)
        layer = avatar.layers[0]
        assert isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics)
        moved = dataclasses.replace(layer, dynamics=dataclasses.replace(layer.dynamics, space=space), sh_frame=sh_frame)
        return dataclasses.replace(avatar, layers=(moved,))

    return make


def _lids_after_skinning() -> Avatar:
    return tiny_avatar("own-skin-turning", n=COUNT, head=dataclasses.replace(tiny_head(extra_joints=2), eyelid_space="posed"))


CASES: dict[str, Callable[[], Avatar]] = {
    **{kind: _kind(kind) for kind in AVATAR_KINDS},
    **{f"harmonics of degree {degree}": _kind("edge-height", degree) for degree in DEGREES},
    "linear, posed": _linear("posed", "head"),
    "lids after skinning, more joints": _lids_after_skinning,
    # A network that looks at where the Gaussians are, coefficients of a driver less its mean, shells of two kinds, a decoder.
    **{f"{name}, golden": golden_layers.CASES[name] for name in ("deformed", "coefficients", "shells", "together", "decoded")},
}
"""A name to the avatar it stands for."""


def shows() -> Iterator[tuple[str, Show]]:
    """Yield every case with a clip in which everything moves."""
    for name, make in CASES.items():
        avatar = make()
        camera = tiny_camera(0.4, SIZE_WITH_EDGES if has_edges(avatar) else SIZE)
        yield name, Show(avatar, tiny_sequence(avatar.head, 6, seed=9), camera, MOMENTS)


IMPORTED: dict[str, dict[str, int]] = {
    "fate": {"splats_count": 800}, "gaussian_avatars": {"splats_count": 800}, "splatting_avatar": {"splats_count": 800},
    "osgap": {"splats_count": 800}, "baked_avatar": {"layers": 3, "texture": 32}, "gaussian_hair": {"n": 40, "heads": 150},
    "mono_gaussian_avatar": {"n": 300}, "flash_avatar": {}, "gaussian_head_avatar": {"n": 300}}
"""Systems whose files are written as `tests/originals` describes them and imported, and how large."""
SLOW = ("flash_avatar", "gaussian_head_avatar")
"""Those whose networks take long to write and to read."""
MOVED = ("mono_gaussian_avatar", "flash_avatar")
"""Those whose networks become linear dynamics, too."""
_SIDES = {"fate": ("checkpoint", "baked"), "gaussian_avatars": ("flame_param",), "osgap": ("flame_param",)}
"""What does not lie beside the file, by system; all of what the original has for heads of Gaussian Head Avatar."""


def imported(system: str, folder: Path) -> Show:
    """Return an avatar that the original system's files, written to `folder`, became."""
    original = importlib.import_module(f"tests.originals.{system}").write(folder, **IMPORTED[system])
    known = original.sides if system in ("gaussian_head_avatar", "gaussian_hair") else _SIDES.get(system, ())
    name = {"gaussian_hair": "gaussian-head-avatar"}.get(system, system.replace("_", "-"))
    sides = {side: path for side, path in original.sides.items() if side in known}
    avatar = importers.read(name, original.path, original.head, sides, **original.options)
    moments = np.linspace(0, len(original.sequence) - 1, len(MOMENTS)).tolist()
    # An image decoder takes one size: pictures of 128 pixels here.
    size = SIZE_WITH_EDGES if has_edges(avatar) else 128
    return Show(avatar, original.sequence, default_camera(avatar, size, size), tuple(moments))


def linearised(show: Show) -> Show:
    """Return the same with tables and a function in the place of the network that moves it; of its own clip, drawn out."""
    clip = resample(show.sequence, 16 * show.sequence.fps)
    made = linearise(show.avatar, clip, options=Options(rank=4, size=64, frames=FEWEST))
    return dataclasses.replace(show, avatar=made.avatar)


def has_edges(avatar: Avatar) -> bool:
    """Tell whether triangles make hard silhouettes."""
    return any(isinstance(layer, MeshLayer) for layer in avatar.layers)


ALLOWED = {
    *(f"frame {value}" for value in FRAMES),
    *(f"offsets {value}" for value in ("none", "edge_height", "double_area")),
    *(f"sizes {value}" for value in ("none", "edge_height", "log_area_ratio")),
    *(f"on vertices, rotation {value}" for value in SKIN_ROTATIONS if value != "skin"),
    *(f"own tables, rotation {value}" for value in SKIN_ROTATIONS if value != "surface"),
    *(f"harmonics {degree} in {frame}" for degree, frame in [*((d, "world") for d in DEGREES), (1, "head")]),
    *(f"linear {by}" for by in ("driver", "network", "function")),
    *(f"linear {space}" for space in ("canonical", "posed")),
    *(f"linear {channel}" for channel in CHANNELS),
    *(f"network {space}" for space in ("canonical", "posed")),
    *(f"network delta_{channel}" for channel in CHANNELS),
    "network posed_means", "mean of the driver", "features", "decoder", "strands",
    "mesh textured", "mesh opaque", "mesh blended", "mesh in view", "mesh in world", "bytes in maps", "floats in maps",
}
"""What a picture can be made of, as `found` names it."""


def found(avatar: Avatar) -> set[str]:
    """Return which of `ALLOWED` an avatar has."""
    has = set[str]()
    if avatar.decoder:
        has.add("decoder")
    for layer in avatar.layers:
        if isinstance(layer, SplatLayer):
            has |= _binding(layer.binding) | _dynamics(layer, avatar)
            has.add(f"harmonics {round(layer.cloud.sh.shape[1] ** 0.5) - 1} in {layer.sh_frame}")
        elif isinstance(layer, StrandLayer):
            has |= {"strands"} | _binding(layer.binding)
        else:
            mix = layer.shading
            has.add("mesh textured" if mix is None else f"mesh in {mix.space}")
            has.add("mesh opaque" if layer.opaque else "mesh blended")
            if mix is not None:
                has.add("bytes in maps" if mix.bases.dtype == np.uint8 else "floats in maps")
    return has


def _binding(binding: FaceBinding | SkinBinding) -> set[str]:
    if isinstance(binding, FaceBinding):
        return {f"frame {binding.frame}", f"offsets {binding.offset_scale}", f"sizes {binding.splat_scale}"}
    return {f"{'own tables' if binding.vertex_index is None else 'on vertices'}, rotation {binding.rotation}"}


def _dynamics(layer: SplatLayer, avatar: Avatar) -> set[str]:
    how = layer.dynamics
    if how is None:
        return set()
    if isinstance(how, LinearDynamics):
        by = "network" if how.network else "function" if how.function is not None else "driver"
        mean = {"mean of the driver"} if how.driver_mean is not None else set()
        return {f"linear {by}", f"linear {how.space}", *(f"linear {channel}" for channel in how.tables)} | mean
    network = avatar.networks[how]
    return {f"network {network.space}", *(f"network {name}" for name in network.outputs if name != "features"),
            *(f"network {name}" for name in network.inputs if name == "posed_means"),
            *(name for name in network.outputs if name == "features")}


def missing() -> set[str]:
    """Return what is allowed and no case has."""
    return ALLOWED - set().union(*(found(make()) for make in CASES.values()))
