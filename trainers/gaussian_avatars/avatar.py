"""What a GaussianAvatars model leaves behind: an `Avatar`."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from formats.avatar import Avatar, FaceBinding, Meta, SplatLayer
from formats.gaussians import GaussianCloud
from trainers.splat_model import array

if TYPE_CHECKING:
    from trainers.gaussian_avatars.model import GaussianAvatars

PAPER = "Qian et al., GaussianAvatars: Photorealistic Head Avatars with Rigged 3D Gaussians, CVPR 2024, arXiv:2312.02069"


def avatar_of(model: "GaussianAvatars") -> Avatar:
    """Return what `model` learned; `formats.render` of it is the model's picture."""
    return Avatar(head=model.head_model, layers=(splat_layer(model),), sequence=model.refined_sequence(),
                  meta=Meta(name=model.store.frames.name, system="gaussian-avatars", paper=PAPER))


def splat_layer(model: "GaussianAvatars") -> SplatLayer:
    """Return the Gaussians in the axes and sizes of their triangles, with the bands of SH in use, in world axes."""
    cloud = GaussianCloud(array(model.means), array(model.rotation), array(torch.exp(model.scaling)),
                          array(torch.sigmoid(model.opacity)), array(model.harmonics_of(model.values())))
    face = array(model.face_index).astype(np.int32)
    return SplatLayer(cloud, FaceBinding(face, np.full((len(face), 3), 1 / 3), "face", "edge_height", "edge_height"))
