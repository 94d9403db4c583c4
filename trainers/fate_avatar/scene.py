"""From a motion to Gaussians in the world, and the terms that hold them in place: one function of tensors.

On a GPU a graph replays it (`trainers.cuda_graph`): some two hundred small kernels, which would take longer to launch than
to run. A graph is made again whenever Gaussians come or go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from formats.conventions import SH_C0
from trainers import losses
from trainers.cuda_graph import graphed, side_by_side
from trainers.fate_avatar.refinement import corrected, shift
from trainers.model import Batch, Motion, View
from trainers.rasterize import project
from trainers.triangles import triangle_frames

if TYPE_CHECKING:
    from trainers.fate_avatar.model import FateAvatar

MOTION = tuple(field.name for field in fields(Motion))

GAUSSIANS = ("color", "opacity", "scaling", "rotation", "offset")
"""What is learned with one row per Gaussian."""
HEAD = ("vertices", "expressions", "correctives")
"""What is learned of the personalised head."""

Values = Mapping[str, Tensor]
"""What is learned, by the names of `FateAvatar`'s parameters."""


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
    """[V, 3] of the personalised head."""
    projected: tuple[Tensor, ...] = ()
    """What `trainers.rasterize.paint` draws, from a graph."""
    motion: Motion | None = None
    """With corrections; None from a graph."""
    terms: Mapping[str, Tensor] | None = None
    """`terms_of` it, where a graph has them already."""


PARTS = ("means", "shown", "quats", "scales", "opacities", "rgb", "vertices")
"""The tensors of a scene, in order."""


def scene_of(model: "FateAvatar", values: Values, motion: Motion, corrections: tuple[Tensor, ...] = (),
             view: View | None = None) -> Scene:
    """Return the scene at `motion`, kernel by kernel.

    mean = sum_i w_i v_i + limit tanh(offset) (v1 - v0) x (v2 - v0); scale = exp(scaling) k / k_canonical; quat =
    quat(axes) rotation; opacity = sigmoid(opacity); rgb = max(0, 0.5 + C0 color). Source: FATE, section 3.1.

    Args:
        model: What does not learn: the head's tables, where Gaussians ride, settings.
        values: What does.
        motion: Of one frame.
        corrections: That frame's row of a `Refinement`, where there is one.
        view: The camera; corrections need it.
    """
    moved = None
    if corrections:
        assert view is not None
        motion, moved = corrected(motion, corrections[0], corrections[1]), shift(view, corrections[2])
    posed = model.head.pose(motion, values["vertices"], values["expressions"],
                            values["correctives"] if model.head.corrective_count else None)
    along = model.config.offset_limit * torch.tanh(values["offset"])
    zero = torch.zeros_like(along)
    means, quats, scales = model.binding.bind(posed, torch.stack([zero, along, zero], dim=1), values["rotation"],
                                              torch.exp(values["scaling"] - model.log_canonical))
    return Scene(means, means if moved is None else means + moved, quats, scales, torch.sigmoid(values["opacity"]),
                 torch.relu(0.5 + SH_C0 * values["color"]), posed.vertices, motion=motion)


def terms_of(model: "FateAvatar", values: Values, scene: Scene, flame: Tensor | None = None) -> dict[str, Tensor]:
    """Return the weighted terms that see no picture: of sizes, of turns, and those that hold the personalised head near
    FLAME's at the same motion, which gets no gradient; `flame` is `flame_of` it, where it is at hand."""
    if scene.terms is not None:
        return dict(scene.terms)
    c, terms = model.config, {}
    if c.scale_weight:
        terms["scale"] = c.scale_weight * losses.ratio_hinge(values["scaling"], c.scale_ratio)
    if c.rotation_weight:
        terms["rotation"] = c.rotation_weight * losses.tilt(values["rotation"])
    if not _asks_flame(model):
        return terms
    if flame is None:
        assert scene.motion is not None
        flame = flame_of(model, scene.motion)
    moved = scene.vertices - flame
    if c.laplacian_weight:
        terms["laplacian"] = c.laplacian_weight * losses.square_length(model.laplacian(moved))
    if c.flame_weight:
        terms["flame"] = c.flame_weight * losses.square_length(moved)
    if c.normal_weight:
        normals = [triangle_frames(v, model.head.faces)[0][:, :, 1] for v in (scene.vertices, flame)]
        terms["normal"] = c.normal_weight * (1 - (normals[0] * normals[1]).sum(dim=1)).mean()
    return terms


def flame_of(model: "FateAvatar", motion: Motion) -> Tensor:
    """Return the vertices [V, 3] of the head without what was learned, without gradient."""
    with torch.no_grad():
        return model.head.pose(motion).vertices


def _asks_flame(model: "FateAvatar") -> bool:
    c = model.config
    return bool(c.laplacian_weight or c.flame_weight or c.normal_weight)


class SceneGraphs:
    """`scene_of` and `terms_of` of one model as CUDA graphs, for the sizes it has now: one for training, one for looking."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[Callable[..., tuple[Tensor, ...]], list[str]]] = {}

    def __call__(self, model: "FateAvatar", values: Values, batch: Batch, corrections: tuple[Tensor, ...]) -> Scene:
        """Return the scene of a frame, in one launch."""
        view = batch.view
        args = (*(getattr(batch.motion, name) for name in MOTION), view.viewmat, view.K, *corrections, *values.values())
        key = (torch.is_grad_enabled(), len(corrections), view.width, view.height, *(_kind(value) for value in values.values()))
        if key not in self._made:
            self._made[key] = self._capture(model, view, tuple(values), len(corrections), args)
        replay, names = self._made[key]
        made = replay(*args)
        count = len(made) - len(names)
        return Scene(*made[:len(PARTS)], projected=made[len(PARTS):count],
                     terms=dict(zip(names, made[count:], strict=True)) if names else None)

    def _capture(self, model: "FateAvatar", view: View, of: tuple[str, ...], corrections: int,
                 args: tuple[Tensor, ...]) -> tuple[Callable[..., tuple[Tensor, ...]], list[str]]:
        names: list[str] = []
        learning = torch.is_grad_enabled() and model.vertices.requires_grad
        asks = learning and _asks_flame(model)

        def work(*given: Tensor) -> tuple[Tensor, ...]:
            motion = Motion(**dict(zip(MOTION, given, strict=False)))
            (viewmat, K), rest = given[len(MOTION):][:2], given[len(MOTION) + 2:]
            camera = replace(view, viewmat=viewmat, K=K)
            values = dict(zip(of, rest[corrections:], strict=True))
            rows = rest[:corrections]
            scenes: list[Scene] = []
            heads: list[Tensor | None] = []
            side_by_side([
                lambda: heads.append(flame_of(model, corrected(motion, *rows[:2]) if rows else motion) if asks else None),
                lambda: scenes.append(scene_of(model, values, motion, rows, camera))])
            scene = scenes[0]
            terms = terms_of(model, values, scene, heads[0]) if learning else {}
            # A picture of nothing has a projection of its own.
            projected = project(scene.shown, scene.quats, scene.scales, scene.opacities, camera) if len(scene.shown) else ()
            names[:] = terms
            # What was projected carries the gradients of what it was made of.
            done = ("means", "shown", "quats", "scales", "vertices") if projected else ()
            parts = {name: getattr(scene, name) for name in PARTS}
            return (*(v.detach() if name in done else v for name, v in parts.items()), *projected, *terms.values())

        return graphed(work, args), names


def _kind(value: Tensor) -> tuple[object, ...]:
    """Return what a graph takes for granted about a tensor: of a parameter its place, of others their size."""
    parameter = isinstance(value, nn.Parameter)
    return parameter, value.data_ptr() if parameter else 0, len(value), value.requires_grad
