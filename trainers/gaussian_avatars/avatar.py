"""What a GaussianAvatars model leaves behind: an `Avatar`."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from formats.avatar import Avatar, FaceBinding, Meta, SplatLayer
from formats.gaussians import GaussianCloud
from formats.sequence import Sequence

if TYPE_CHECKING:
    from trainers.gaussian_avatars.model import GaussianAvatars

PAPER = "Qian et al., GaussianAvatars: Photorealistic Head Avatars with Rigged 3D Gaussians, CVPR 2024, arXiv:2312.02069"


def avatar_of(model: "GaussianAvatars") -> Avatar:
    """Return what `model` learned; `formats.render` of it is the model's picture."""
    return Avatar(head=model.head_model, layers=(splat_layer(model),), sequence=refined_sequence(model),
                  meta=Meta(name=model.store.frames.name, system="gaussian-avatars", paper=PAPER))


def splat_layer(model: "GaussianAvatars") -> SplatLayer:
    """Return the Gaussians in the axes and sizes of their triangles, with the bands of SH in use, in world axes."""
    cloud = GaussianCloud(_array(model.means), _array(model.rotation), _array(torch.exp(model.scaling)),
                          _array(torch.sigmoid(model.opacity)), _array(model.harmonics_of(model.values())))
    face = _array(model.face_index).astype(np.int32)
    return SplatLayer(cloud, FaceBinding(face, np.full((len(face), 3), 1 / 3), "face", "edge_height", "edge_height"))


def refined_sequence(model: "GaussianAvatars") -> Sequence:
    """Return the training motion with the corrections that were learned."""
    sequence = model.store.frames.sequence
    rows = model.train_rows
    if rows is None:
        return sequence
    motion = rows.correct_all(model.store.motion)
    names = ("expr", "rotation", "neck", "jaw", "eyes", "translation")
    return dataclasses.replace(sequence, **{name: _array(getattr(motion, name)) for name in names})


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
