"""What a trained avatar must beat: the tracked head alone, with a texture painted from the training pictures."""

from collections.abc import Callable, Iterator

import numpy as np

from formats.avatar import Avatar, MeshLayer, Meta, SkinBinding
from formats.camera import Camera
from formats.datasets.frames import Frames
from formats.deform import deform_head, vertex_normals
from formats.head_model import HeadModel
from formats.lip_seal import seal_lips
from formats.reproject import reproject
from formats.uv_maps import UVMaps

VIEWS, SIZE = 24, 512
"""Training pictures the texture is painted from, and texels across it."""


def textured_mesh(head: HeadModel, frames: Frames, size: int = SIZE, views: int = VIEWS, width: int | None = None,
                  progress: Callable[[str], None] = lambda text: None) -> Avatar:
    """Return the person as a textured mesh and nothing else: no Gaussians, nothing learned, no correction of the tracking.

    The lips are sealed, so that an open mouth shows what the pictures show there on average, and not the background.

    Args:
        head: With texture coordinates; the tracked person's shape is put in where it is not yet.
        frames: Training pictures; texels are painted from `views` of them, spread evenly.
        size: Texels across.
        views: At most.
        width: Pixels the pictures are scaled to; their own when None.
        progress: Is told what happens.

    Raises:
        UnsupportedFeature: The head has no texture coordinates.
    """
    personal = head.personalise(frames.sequence.shape) if head.shapedirs is not None else head
    sealed = seal_lips(personal)
    rows = np.unique(np.linspace(0, len(frames) - 1, min(views, len(frames))).astype(int))
    progress(f"painting a texture of {size} x {size} from {len(rows)} training pictures")
    image, _ = reproject(sealed, _views(sealed, frames, rows, width), size)
    rgba = np.concatenate([image, np.ones((size, size, 1), np.float32)], axis=2)
    v = sealed.v_template
    assert sealed.uvs is not None and sealed.uv_faces is not None
    layer = MeshLayer(v, vertex_normals(v, sealed.faces).astype(np.float32), sealed.faces, sealed.uvs, sealed.uv_faces,
                      SkinBinding(vertex_index=np.arange(len(v), dtype=np.int32)), texture=rgba, opaque=True, name="head")
    return Avatar(head=sealed, layers=(layer,), maps=UVMaps({"albedo": image}), sequence=frames.sequence,
                  meta=Meta(name=frames.name, source="textured mesh"))


def _views(head: HeadModel, frames: Frames, rows: np.ndarray,
           width: int | None) -> Iterator[tuple[np.ndarray, Camera, np.ndarray]]:
    for row in rows:
        posed = deform_head(head, frames.sequence.take([int(row)]))
        yield posed.vertices, frames.camera(int(row), width), frames.picture(int(row), width)
