"""What a FATE model leaves behind: an `Avatar`."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch

from formats.avatar import Avatar, FaceBinding, Meta, SplatLayer
from formats.conventions import SH_C0
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from trainers.splat_model import array

if TYPE_CHECKING:
    from trainers.fate_avatar.model import FateAvatar

PAPER = ("Zhang et al., FATE: Full-head Gaussian Avatar with Textural Editing from Monocular Video, CVPR 2025, "
         "arXiv:2411.15604")


def avatar_of(model: "FateAvatar") -> Avatar:
    """Return what `model` learned; `formats.render` of it is the model's picture."""
    head = personal_head(model)
    return Avatar(head=head, layers=(splat_layer(model),), sequence=model.refined_sequence(),
                  meta=Meta(name=model.store.frames.name, system="fate", paper=PAPER))


def personal_head(model: "FateAvatar") -> HeadModel:
    """Return the sealed head with the learned offsets folded into its tables; edition and content hash stay."""
    head = model.head_model
    exprdirs = head.exprdirs.copy()
    exprdirs[:, :, :model.expressions.shape[2]] += array(model.expressions)
    changed: dict[str, np.ndarray] = {"v_template": head.v_template + array(model.vertices), "exprdirs": exprdirs}
    if head.posedirs is not None and head.posedirs.shape[2]:
        changed["posedirs"] = head.posedirs + array(model.correctives)
    return dataclasses.replace(head, shapedirs=None, **changed)  # type: ignore[arg-type]


def splat_layer(model: "FateAvatar") -> SplatLayer:
    """Return the Gaussians: on triangles, offsets in double areas along the normal, scales in triangle sizes."""
    along = np.zeros((len(model), 3))
    along[:, 1] = model.config.offset_limit * np.tanh(array(model.offset).astype(np.float64))
    size = np.exp(array(model.scaling).astype(np.float64) - array(model.log_canonical).astype(np.float64))
    # Colours below black are cut as the picture cuts them; players that do not would otherwise show something else.
    dc = np.maximum(array(model.color), -0.5 / SH_C0)
    cloud = GaussianCloud(along, array(model.rotation), size, array(torch.sigmoid(model.opacity.detach())), dc[:, None])
    binding = FaceBinding(array(model.face_index).astype(np.int32), array(model.barycentric), "face", "double_area",
                          "edge_height")
    return SplatLayer(cloud, binding)
