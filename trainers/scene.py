"""From a motion to Gaussians in the world, and a system's terms that see no picture: one function of tensors.

On a GPU a graph replays it (`trainers.cuda_graph`): some two hundred small kernels, which would take longer to launch than
to run. A graph is made again whenever Gaussians come or go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainers.cuda_graph import graphed, side_by_side
from trainers.model import Batch, Motion, View
from trainers.rasterize import project

if TYPE_CHECKING:
    from trainers.splat_model import SplatModel

MOTION = tuple(field.name for field in fields(Motion))

Values = Mapping[str, Tensor]
"""What is learned, by the names of a model's parameters."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn, world space. From a graph: good until the next scene is made."""

    means: Tensor
    shown: Tensor
    """`means` moved by what the camera's correction comes to: what is drawn from the tracked camera."""
    quats: Tensor
    """Not unit."""
    scales: Tensor
    opacities: Tensor
    rgb: Tensor
    vertices: Tensor
    """[V, 3] of the head."""
    projected: tuple[Tensor, ...] = ()
    """What `trainers.rasterize.paint` draws, from a graph."""
    motion: Motion | None = None
    """With corrections; None from a graph."""
    terms: Mapping[str, Tensor] | None = None
    """The model's terms of it, where a graph has them already."""


PARTS = ("means", "shown", "quats", "scales", "opacities", "rgb", "vertices")
"""The tensors of a scene, in order."""


class SceneGraphs:
    """Scenes and terms of one model as CUDA graphs, for the sizes it has now: one for training, one for looking."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[Callable[..., tuple[Tensor, ...]], list[str] | None]] = {}

    def __call__(self, model: "SplatModel", values: Values, batch: Batch, corrections: tuple[Tensor, ...]) -> Scene:
        """Return the scene of a frame, in one launch."""
        view = batch.view
        args = (*(getattr(batch.motion, name) for name in MOTION), view.viewmat, view.K, *corrections, *values.values())
        key = (torch.is_grad_enabled(), len(corrections), view.width, view.height, *(_kind(value) for value in values.values()))
        if key not in self._made:
            self._made[key] = self._capture(model, view, tuple(values), len(corrections), args)
        replay, names = self._made[key]
        made = replay(*args)
        count = len(made) - len(names or ())
        return Scene(*made[:len(PARTS)], projected=made[len(PARTS):count],
                     terms=None if names is None else dict(zip(names, made[count:], strict=True)))

    def _capture(self, model: "SplatModel", view: View, of: tuple[str, ...], corrections: int,
                 args: tuple[Tensor, ...]) -> tuple[Callable[..., tuple[Tensor, ...]], list[str] | None]:
        names: list[str] = []
        learning = torch.is_grad_enabled() and any(value.requires_grad for value in args[-len(of):])
        beside = learning and model.works_beside()

        def work(*given: Tensor) -> tuple[Tensor, ...]:
            motion = Motion(**dict(zip(MOTION, given, strict=False)))
            (viewmat, K), rest = given[len(MOTION):][:2], given[len(MOTION) + 2:]
            camera = replace(view, viewmat=viewmat, K=K)
            values = dict(zip(of, rest[corrections:], strict=True))
            rows = rest[:corrections]
            scenes: list[Scene] = []
            asides: list[Tensor | None] = []
            side_by_side([
                *([lambda: asides.append(model.beside(motion, rows))] if beside else []),
                lambda: scenes.append(model.make_scene(values, motion, rows, camera))])
            scene = scenes[0]
            # A picture of nothing has a projection of its own.
            projected = project(scene.shown, scene.quats, scene.scales, scene.opacities, camera) if len(scene.shown) else ()
            terms = {}
            if learning:
                terms = model.scene_terms(values, scene, projected[-1] if projected else None, asides[0] if asides else None)
            names[:] = terms
            # What was projected carries the gradients of what it was made of.
            done = ("means", "shown", "quats", "scales", "vertices") if projected else ()
            parts = {name: getattr(scene, name) for name in PARTS}
            return (*(v.detach() if name in done else v for name, v in parts.items()), *projected, *terms.values())

        return graphed(work, args), names if learning else None


def _kind(value: Tensor) -> tuple[object, ...]:
    """Return what a graph takes for granted about a tensor: of a parameter its place, of others their size."""
    parameter = isinstance(value, nn.Parameter)
    return parameter, value.data_ptr() if parameter else 0, len(value), value.requires_grad
