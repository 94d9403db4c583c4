"""FATE's scene: from a motion to Gaussians in the world, and the terms that hold them in place; captured by `trainers.scene`."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from formats.conventions import SH_C0
from trainers import losses
from trainers.model import Motion, View
from trainers.scene import Scene, Values
from trainers.triangles import triangle_frames

if TYPE_CHECKING:
    from trainers.fate_avatar.model import FateAvatar

GAUSSIANS = ("color", "opacity", "scaling", "rotation", "offset")
"""What is learned with one row per Gaussian."""
HEAD = ("vertices", "expressions", "correctives")
"""What is learned of the personalised head."""


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
    motion, moved = model.moved(motion, corrections, view)
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
    c, terms = model.config, {}
    if c.scale_weight:
        terms["scale"] = c.scale_weight * losses.ratio_hinge(values["scaling"], c.scale_ratio)
    if c.rotation_weight:
        terms["rotation"] = c.rotation_weight * losses.tilt(values["rotation"])
    if not asks_flame(model):
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


def asks_flame(model: "FateAvatar") -> bool:
    """Tell whether a term compares with the head without what was learned."""
    c = model.config
    return bool(c.laplacian_weight or c.flame_weight or c.normal_weight)
