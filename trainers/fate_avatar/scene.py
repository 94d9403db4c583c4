"""From a motion to Gaussians in the world: one function of tensors, replayed as a CUDA graph on a GPU.

Posing and binding are some two hundred small kernels; launching them one by one takes longer than drawing. A graph replays
them in one launch. It is made again whenever Gaussians come or go.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from formats.conventions import SH_C0
from trainers.model import Motion

if TYPE_CHECKING:
    from trainers.fate_avatar.model import FateAvatar

MOTION = tuple(field.name for field in fields(Motion))


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn, world space. From a graph: good until the next scene is made."""

    means: Tensor
    quats: Tensor
    """Not unit."""
    scales: Tensor
    opacities: Tensor
    rgb: Tensor
    vertices: Tensor
    """[V, 3] of the personalised head."""
    flame: Tensor | None
    """[V, 3] of the head without what was learned, at the same motion, without gradient; where it is asked for."""


def scene_of(model: "FateAvatar", motion: Motion, flame: bool) -> Scene:
    """Return the scene at `motion`, kernel by kernel.

    mean = sum_i w_i v_i + limit tanh(offset) (v1 - v0) x (v2 - v0); scale = exp(scaling) k / k_canonical; quat =
    quat(axes) rotation; opacity = sigmoid(opacity); rgb = max(0, 0.5 + C0 color). Source: FATE, section 3.1.
    """
    posed = model.pose(motion)
    along = model.config.offset_limit * torch.tanh(model.offset)
    zero = torch.zeros_like(along)
    means, quats, scales = model.binding.bind(posed, torch.stack([zero, along, zero], dim=1), model.rotation,
                                              torch.exp(model.scaling - model.log_canonical))
    plain = None
    if flame:
        with torch.no_grad():
            plain = model.head.pose(motion).vertices
    return Scene(means, quats, scales, torch.sigmoid(model.opacity), torch.relu(0.5 + SH_C0 * model.color),
                 posed.vertices, plain)


class SceneGraph:
    """`scene_of` of one model as a pair of CUDA graphs, forward and backward, for the sizes it has now."""

    def __init__(self, model: "FateAvatar", motion: Motion, flame: bool) -> None:
        self.flame = flame
        # Gradients arrive from the graph's own stream, on purpose; newer versions of torch warn of it.
        quiet = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
        if quiet is not None:
            quiet(False)
        learning = model.train_rows is not None or model.test_rows is not None
        # Eyelids carry a gradient only where the data has them; a graph must know before.
        samples = [getattr(motion, name).detach().clone().requires_grad_(
            learning and name != "translation" and (name != "eyelids" or model.has_eyelids)) for name in MOTION]
        self.replay: Any = torch.cuda.make_graphed_callables(_Whole(model, flame), tuple(samples), allow_unused_input=True)

    def __call__(self, motion: Motion) -> Scene:
        """Return the scene at `motion`, in one launch."""
        made = self.replay(*(getattr(motion, name) for name in MOTION))
        means, quats, scales, opacities, rgb, vertices = made[:6]
        return Scene(means, quats, scales, opacities, rgb, vertices, made[6] if self.flame else None)


class _Whole(nn.Module):
    """`scene_of` as a module whose parameters are the model's: what a graph of a backward pass needs to see."""

    def __init__(self, model: "FateAvatar", flame: bool) -> None:
        super().__init__()
        self.__dict__["model"] = model  # not a submodule: its optimisers and rows are no part of this
        self.flame = flame
        for name in ("color", "opacity", "scaling", "rotation", "offset", "vertices", "expressions", "correctives"):
            setattr(self, name, getattr(model, name))

    def forward(self, *motion: Tensor) -> tuple[Tensor, ...]:
        scene = scene_of(self.__dict__["model"], Motion(**dict(zip(MOTION, motion, strict=True))), self.flame)
        made = (scene.means, scene.quats, scene.scales, scene.opacities, scene.rgb, scene.vertices)
        return made if scene.flame is None else (*made, scene.flame)
