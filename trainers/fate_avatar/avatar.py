"""What a FATE model leaves behind: an `Avatar`."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from formats.avatar import Avatar, FaceBinding, Meta, SplatLayer
from formats.conventions import SH_C0
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.sequence import Sequence

if TYPE_CHECKING:
    from trainers.fate_avatar.model import FateAvatar

PAPER = ("Zhang et al., FATE: Full-head Gaussian Avatar with Textural Editing from Monocular Video, CVPR 2025, "
         "arXiv:2411.15604")


def avatar_of(model: "FateAvatar") -> Avatar:
    """Return what `model` learned; `formats.render` of it is the model's picture."""
    head = personal_head(model)
    return Avatar(head=head, layers=(splat_layer(model),), sequence=refined_sequence(model),
                  meta=Meta(name=model.store.frames.name, system="fate", paper=PAPER))


def personal_head(model: "FateAvatar") -> HeadModel:
    """Return the sealed head with the learned offsets folded into its tables; edition and content hash stay."""
    head = model.head_model
    exprdirs = head.exprdirs.copy()
    exprdirs[:, :, :model.expressions.shape[2]] += _array(model.expressions)
    changed: dict[str, np.ndarray] = {"v_template": head.v_template + _array(model.vertices), "exprdirs": exprdirs}
    if head.posedirs is not None and head.posedirs.shape[2]:
        changed["posedirs"] = head.posedirs + _array(model.correctives)
    return dataclasses.replace(head, shapedirs=None, **changed)  # type: ignore[arg-type]


def splat_layer(model: "FateAvatar") -> SplatLayer:
    """Return the Gaussians: on triangles, offsets in double areas along the normal, scales in triangle sizes."""
    along = np.zeros((len(model), 3))
    along[:, 1] = model.config.offset_limit * np.tanh(_array(model.offset).astype(np.float64))
    size = np.exp(_array(model.scaling).astype(np.float64) - _array(model.log_canonical).astype(np.float64))
    # Colours below black are cut as the picture cuts them; players that do not would otherwise show something else.
    dc = np.maximum(_array(model.color), -0.5 / SH_C0)
    cloud = GaussianCloud(along, _array(model.rotation), size, _array(torch.sigmoid(model.opacity.detach())), dc[:, None])
    binding = FaceBinding(_array(model.face_index).astype(np.int32), _array(model.barycentric), "face", "double_area",
                          "edge_height")
    return SplatLayer(cloud, binding)


def refined_sequence(model: "FateAvatar") -> Sequence:
    """Return the training motion and cameras with the corrections that were learned."""
    sequence = model.store.frames.sequence
    rows = model.train_rows
    if rows is None:
        return sequence
    motion = rows.correct_all(model.store.motion)
    fields = {name: _array(getattr(motion, name)) for name in ("expr", "rotation", "neck", "jaw", "eyes", "eyelids")}
    matrix = sequence.cameras["world_to_camera"].copy()
    matrix[:, :3, 3] += _array(rows.place.weight)
    return dataclasses.replace(sequence, **fields, cameras={**sequence.cameras, "world_to_camera": matrix})


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
