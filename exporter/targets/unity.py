"""One file for the Unity package: a GLB with PNG pictures, or packed texels. Specified in `exporter/UNITY.md`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

from exporter import onnx_plain
from exporter.capabilities import Capabilities, Loss, fit, require
from exporter.glb_losses import farthest, limit_losses, rounding_losses
from exporter.glb_networks import stored_networks
from exporter.targets import glb
from formats.avatar import Avatar, Dynamics, LinearDynamics, MeshLayer, SplatLayer
from formats.codecs import unity_avatar
from formats.errors import UnsupportedFeature
from formats.files import write_bytes

CAPABILITIES = Capabilities(layers=frozenset({"splats", "mesh", "strands"}),
                            dynamics=frozenset({"linear", "linear-network", "network"}), foreign_players=False)
SMALL_CAPABILITIES = dataclasses.replace(CAPABILITIES, layers=frozenset({"splats"}), dynamics=frozenset({"linear"}))
SLOW = 20_000_000
"""Products of a network beyond which the package warns (`NetworkProgram.Slow`)."""
_MADE: "WeakKeyDictionary[Avatar, tuple[Options, _Small]]" = WeakKeyDictionary()
"""Small files whose losses were just told: `write` usually comes next."""


@dataclass(frozen=True)
class Options:
    """How the asset is stored."""

    grade: Literal["plain", "full", "small"] = "plain"
    """`plain` and `full` are GLBs with PNG pictures, `full` with every delta; `small` is packed texels, for shipping."""
    fps: float | None = None
    """Keys per second of the clip; its own rate when absent."""
    clip: bool = True
    """Store the clip; --no-clip leaves it out."""
    head_motion: Literal["head", "camera"] = "head"
    """Where relative motion goes when the clip moves the camera instead of the head."""
    expressions: tuple[str, ...] = ()
    """Keep only the expressions of these names. All of them when absent."""
    max_expressions: int | None = None
    """Keep at most so many expressions, those of the highest energy."""
    keep_arkit: bool = False
    """Keep every expression that has a name of ARKit's, whatever the two options above say."""

    def for_glb(self) -> glb.Options:
        """Return how the GLB of grades `plain` and `full` is written."""
        return glb.Options(grade="full" if self.grade == "full" else "plain", fps=self.fps, clip=self.clip,
                           head_motion=self.head_motion, expressions=self.expressions, max_expressions=self.max_expressions,
                           keep_arkit=self.keep_arkit, layer_textures="png")


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what the options leave out and what grade `small` rounds, measured on the file that would be written."""
    if options.grade != "small":
        stored = glb.losses(_runnable(avatar), options.for_glb())
        return [*_unrun(avatar), *_slow(avatar), *(loss for loss in stored if not loss.foreign)]
    blocking = [loss for loss in fit(avatar, SMALL_CAPABILITIES).losses if loss.blocking]
    less = fit(avatar, SMALL_CAPABILITIES).avatar
    made = _small(less, options)
    _MADE[avatar] = options, made
    return [*blocking, *limit_losses(less, made.limited), *rounding_losses(made.limited, made.back, made.error)]


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the asset `out` and return its path.

    Raises:
        UnsupportedFeature: The avatar holds what the asset cannot carry, or an option names what it does not hold.
    """
    return [write_bytes(out, to_bytes(avatar, options))]


def to_bytes(avatar: Avatar, options: Options | None = None) -> bytes:
    """Return the bytes of the asset. Of grade `small`, only splat layers: `losses` tells of the others."""
    options = options or Options()
    require(avatar, CAPABILITIES, "unity")
    if options.grade != "small":
        return glb.to_bytes(_runnable(avatar), options.for_glb())
    told, made = _MADE.pop(avatar, (None, None))
    if told == options and made is not None:
        return made.data
    return _small(fit(avatar, SMALL_CAPABILITIES).avatar, options).data


def _unrun(avatar: Avatar) -> list[Loss]:
    """Return the layers whose networks the package does not run: of shading, or of other operators and open sizes."""
    strange = _strange(avatar)
    lost = [Loss(f"layer '{layer.name}': its shading needs a network, and the Unity package runs none of those",
                 f"{len(layer.vertices)} vertices") for layer in avatar.layers if isinstance(layer, MeshLayer) and layer.shading]
    return lost + [Loss(f"layer '{layer.name}': the Unity package does not run its network ({strange[name]}); 'flameport bake X "
                        "--linearise' makes tables of it", f"{len(layer.cloud)} Gaussians") for layer in avatar.layers
                   if isinstance(layer, SplatLayer) and (name := _network_of(layer.dynamics)) in strange]


def _slow(avatar: Avatar) -> list[Loss]:
    """Return what is told of networks that take the package more than some 20 ms a frame on the processor."""
    names = {_network_of(layer.dynamics) for layer in avatar.layers if isinstance(layer, SplatLayer)} - {None}
    stored = stored_networks(avatar) if names else {}
    work = {name: onnx_plain.products(each.onnx) for name, each in stored.items() if name in names and not each.note}
    return [Loss(f"network '{name}' is slow in Unity where no Inference package is installed; 'flameport bake X --linearise' "
                 "makes fast tables of it", f"{products / 1e6:.0f} million products a frame", False)
            for name, products in work.items() if products > SLOW]


def _network_of(dynamics: Dynamics | None) -> str | None:
    """Return the network that dynamics need; None where they need none."""
    return dynamics.network if isinstance(dynamics, LinearDynamics) else dynamics


def _strange(avatar: Avatar) -> dict[str, str]:
    """Return the networks of Gaussians that could not be made plain, and why."""
    names = {_network_of(layer.dynamics) for layer in avatar.layers if isinstance(layer, SplatLayer)} - {None}
    stored = stored_networks(avatar) if names else {}
    return {name: each.note for name, each in stored.items() if name in names and each.note}


def _runnable(avatar: Avatar) -> Avatar:
    """Return `avatar` without layers whose networks the package does not run, and without networks that nothing uses."""
    strange = _strange(avatar)
    layers = tuple(layer for layer in avatar.layers if getattr(layer, "shading", None) is None
                   and _network_of(getattr(layer, "dynamics", None)) not in strange)
    return avatar if len(layers) == len(avatar.layers) else fit(dataclasses.replace(avatar, layers=layers), CAPABILITIES).avatar


@dataclass(frozen=True, eq=False)
class _Small:
    data: bytes
    limited: Avatar
    """What was asked to be stored."""
    back: Avatar
    """What a reader makes of `data`."""
    error: float
    """Metres that posed points are off."""


def _small(avatar: Avatar, options: Options) -> _Small:
    """Return the small file: half where that holds the grade's bound, else float."""
    if not len(avatar.head.faces):
        raise UnsupportedFeature("unity: the avatar's head has no triangles (its file holds none); import the avatar again with "
                                 "--head")
    less = glb.limited(avatar, options.for_glb())
    result = None
    for variant in ("half", "float"):
        data = unity_avatar.to_bytes(less, variant)
        back = unity_avatar.parse(data, "the asset just made")
        result = _Small(data, less, back, farthest(less, back))
        if result.error <= glb.SMALL_BOUND:
            break
    assert result is not None
    return result
