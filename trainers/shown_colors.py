"""What training pictures show where Gaussians start: their first colours."""

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32

from formats.camera import Camera
from formats.conventions import rgb_to_sh
from formats.deform import deform_head
from formats.head_model import HeadModel
from trainers.sampling import Samples, nearest_rows


def shown_colors(head: HeadModel, samples: Samples, store: Any, views: int, size: int) -> Float32[np.ndarray, "N 3"]:
    """Return SH DC coefficients of what pictures show at each sample; grey where the head has no texture coordinates.

    A sample that no picture shows takes the colour of the nearest one that is shown.

    Args:
        head: The person's.
        samples: Where.
        store: The training frames, a `trainers.frame_store.FrameStore`.
        views: How many pictures to look at, spread evenly.
        size: Texels across the texture that they are gathered in.
    """
    if head.uvs is None or head.uv_faces is None:
        return np.zeros((len(samples), 3), np.float32)
    reproject = importlib.import_module("formats.reproject").reproject
    albedo, seen = reproject(head, _views(head, store, views), size)
    uv = np.einsum("nk,nkc->nc", samples.barycentric, head.uvs[head.uv_faces[samples.face_index]])
    column, row = np.clip((uv * size).astype(int), 0, size - 1).T
    rgb, known = albedo[row, column].astype(np.float32), seen[row, column]
    if not known.any():
        return np.zeros((len(samples), 3), np.float32)
    points = samples.points(head)
    rgb[~known] = rgb[known][nearest_rows(points[~known], points[known])]
    return rgb_to_sh(rgb).astype(np.float32)


def _views(head: HeadModel, store: Any, count: int) -> Iterator[tuple[np.ndarray, Camera, np.ndarray]]:
    """Yield training frames spread evenly over the video: posed vertices, camera, RGBA picture."""
    frames = store.frames
    for index in np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int)):
        posed = deform_head(head, frames.sequence.take([int(index)]))
        yield posed.vertices, frames.camera(int(index), store.width), store.numpy_picture(int(index))
