"""What Gaussians start with: colours and sizes."""

from typing import Any

import numpy as np
from jaxtyping import Float32

from formats.head_model import HeadModel
from trainers.fate_avatar.config import Config
from trainers.sampling import Samples, nearest_distances
from trainers.shown_colors import shown_colors


def log_scales(config: Config, head: HeadModel, samples: Samples, device: Any = "cpu") -> Float32[np.ndarray, "N 3"]:
    """Return log sizes, from the distances between samples on the head at rest."""
    if config.init_scale == "mean":
        size = np.full(len(samples), nearest_distances(samples.points(head), 1, device).mean())
    else:
        size = nearest_distances(samples.points(head), 3, device).mean(axis=1)
    # Two samples may coincide.
    size = np.maximum(size * config.scale_factor, 1e-5)
    return np.repeat(np.log(size)[:, None], 3, axis=1).astype(np.float32)


def colors(config: Config, head: HeadModel, samples: Samples, store: Any) -> Float32[np.ndarray, "N 3"]:
    """Return SH DC coefficients: grey, or what training pictures show where each sample is."""
    if config.init_color == "gray":
        return np.zeros((len(samples), 3), np.float32)
    return shown_colors(head, samples, store, config.color_views, config.color_size)
