"""What Gaussians start with: colours and sizes."""

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32

from formats.camera import Camera
from formats.conventions import rgb_to_sh
from formats.deform import deform_head
from formats.head_model import HeadModel
from trainers.fate_avatar.config import Config
from trainers.fate_avatar.sampling import Samples, nearest_distances, nearest_rows


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
    """Return SH DC coefficients: grey, or what training pictures show where each sample is.

    A sample that no picture shows takes the colour of the nearest one that is shown.
    """
    if config.init_color == "gray" or head.uvs is None or head.uv_faces is None:
        return np.zeros((len(samples), 3), np.float32)
    reproject = importlib.import_module("formats.reproject").reproject
    albedo, seen = reproject(head, _views(config, head, store), config.color_size)
    uv = np.einsum("nk,nkc->nc", samples.barycentric, head.uvs[head.uv_faces[samples.face_index]])
    column, row = np.clip((uv * config.color_size).astype(int), 0, config.color_size - 1).T
    rgb, known = albedo[row, column].astype(np.float32), seen[row, column]
    if not known.any():
        return np.zeros((len(samples), 3), np.float32)
    points = samples.points(head)
    rgb[~known] = rgb[known][nearest_rows(points[~known], points[known])]
    return rgb_to_sh(rgb).astype(np.float32)


def _views(config: Config, head: HeadModel, store: Any) -> Iterator[tuple[np.ndarray, Camera, np.ndarray]]:
    """Yield training frames spread evenly over the video: posed vertices, camera, RGBA picture."""
    frames = store.frames
    for index in np.unique(np.linspace(0, len(frames) - 1, min(config.color_views, len(frames))).astype(int)):
        posed = deform_head(head, frames.sequence.take([int(index)]))
        yield posed.vertices, frames.camera(int(index), store.width), store.numpy_picture(int(index))
