"""What a GLB's options leave out and what grade `small` rounds, in numbers."""

import dataclasses
import io
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64
from PIL import Image

from exporter.capabilities import MEASURED_FRAMES, Loss, measured_frames
from exporter.glb_packing import POSE_LENGTH, probe_coefficients
from exporter.glb_textures import Kind, fallback_image, with_drivers
from exporter.ops.resample import resample
from exporter.stills import thin_losses
from formats import networks
from formats.avatar import Avatar, Layer, MeshLayer, SplatLayer
from formats.camera import Camera
from formats.deform import deform_head, deform_mesh_points, deform_splats, deform_strands
from formats.errors import MissingAsset
from formats.gaussians import GaussianCloud
from formats.render import RenderOptions, default_camera, psnr, render_avatar
from formats.sequence import Sequence

PROMISE = 5e-5
"""Metres: what grade `small` promises for posed vertices and means."""
RANDOM_FRAMES = 3
"""How many random poses are tried beside the clip's frames."""
PICTURE = 256
"""Pixels each way."""


def tried_frames(avatar: Avatar) -> Iterator[Sequence]:
    """Give frames of the clip, and random expressions (`glb_packing.LENGTH`) on a turned head."""
    head, rng = avatar.head, np.random.default_rng(8)
    frames = [with_drivers(frame, avatar, *avatar.networks) for frame in measured_frames(head, avatar.sequence)]
    yield from frames
    base = frames[0]
    for expr in probe_coefficients(head, avatar.sequence)[-RANDOM_FRAMES:]:
        turns = rng.normal(size=15)
        turns *= POSE_LENGTH / 2 / np.linalg.norm(turns)
        yield dataclasses.replace(
            base, expr=expr[None].astype(np.float32), expr_names=head.expr_names, rotation=turns[None, :3],
            neck=turns[None, 3:6], jaw=turns[None, 6:9], eyes=turns[None, 9:], eyelids=rng.uniform(0, 1, (1, 2)))


def farthest(avatar: Avatar, back: Avatar) -> float:
    """Return the largest distance, metres, between posed vertices and means of two avatars over `tried_frames`.

    What networks add is left out: it is the same in both, and costs more time than all the rest.
    """
    largest = 0.0
    for frame in tried_frames(avatar):
        one, other = (posed_points(each, frame) for each in (avatar, back))
        largest = max(largest, *(float(np.linalg.norm(a - b, axis=1).max(initial=0))
                                 for a, b in zip(one, other, strict=True)))
    return largest


def posed_points(avatar: Avatar, frame: Sequence) -> list[Float64[np.ndarray, "N 3"]]:
    """Return the head's vertices, and each layer's vertices or means, without what networks add."""
    head = deform_head(avatar.head, frame)
    points = [head.vertices]
    for layer in avatar.layers:
        if isinstance(layer, MeshLayer):
            points.append(deform_mesh_points(layer, avatar, head)[0])
        elif isinstance(layer, SplatLayer):
            points.append(deform_splats(_bare(layer), avatar, head, frame).cloud.means.astype(np.float64))
        else:
            points.append(deform_strands(layer, avatar, head).cloud.means.astype(np.float64))
    return points


def limit_losses(avatar: Avatar, less: Avatar) -> list[Loss]:
    """Return what leaving out expressions, joints and keys does to the posed head; asked for, so nobody has to allow it."""
    found = _clip_losses(avatar, less.sequence)
    gone = [name for name in avatar.head.expr_names if name not in less.head.expr_names]
    if gone:
        largest = 0.0
        for frame in tried_frames(avatar):
            keep = [i for i, name in enumerate(frame.expr_names or avatar.head.expr_names[:frame.expr.shape[1]])
                    if name in less.head.expr_names]
            names = [(frame.expr_names or avatar.head.expr_names)[i] for i in keep]
            cut = dataclasses.replace(frame, expr=frame.expr[:, keep], expr_names=names)
            a, b = (deform_head(avatar.head, each).vertices for each in (frame, cut))
            largest = max(largest, float(np.linalg.norm(a - b, axis=1).max()))
        listed = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
        found.append(Loss(f"{len(gone)} of {len(avatar.head.expr_names)} expressions ({listed})",
                          f"head vertices up to {largest * 1e3:.3g} mm off", False))
    joints = [name for name in avatar.head.joint_names if name not in less.head.joint_names]
    if joints:
        found.append(Loss(f"{len(joints)} of {len(avatar.head.joint_names)} joints, which move nothing ({joints[0]}, ...)"
                          if len(joints) > 1 else f"joint {joints[0]}, which moves nothing", "0 mm", False))
    return found


def _clip_losses(avatar: Avatar, kept: Sequence | None) -> list[Loss]:
    """Return what became of the avatar's clip when it was left out, or stored with keys at another rate."""
    head, clip = avatar.head, avatar.sequence
    if clip is None:
        return []
    if kept is None:
        return [Loss("the clip, left out as asked", f"{len(clip)} frames", False)]
    if kept.fps == clip.fps:
        return []
    other, largest = resample(clip, kept.fps), 0.0
    # A few frames, each with the one after it, since every so many frames keys of both rates fall together.
    firsts = np.linspace(0, len(clip) - 1, MEASURED_FRAMES).round().astype(int)
    for i in np.unique((firsts[:, None] + [0, 1]).clip(max=len(clip) - 1)):
        at = min(i / clip.fps * other.fps, len(other) - 1)
        a, b = (deform_head(head, each).vertices for each in (clip.take([int(i)]), other.sample(at)))
        largest = max(largest, float(np.linalg.norm(a - b, axis=1).max()))
    return [Loss(f"the clip, with {kept.fps:g} keys a second instead of {clip.fps:g}",
                 f"head vertices up to {largest * 1e3:.3g} mm off between keys", False)]


def map_losses(avatar: Avatar, less: Avatar) -> list[Loss]:
    """Return what rounding the maps of mesh layers to bytes does to a picture."""
    changed = [a.name for a, b in zip(avatar.layers, less.layers, strict=True)
               if isinstance(a, MeshLayer) and isinstance(b, MeshLayer)
               and (a.texture is not b.texture or _maps(a) is not _maps(b))]
    if not changed:
        return []
    frame = next(tried_frames(avatar))
    amount = _decibels(dataclasses.replace(avatar, decoder=None), dataclasses.replace(less, decoder=None), frame)
    return [Loss(f"maps of mesh layers {', '.join(changed)} rounded to 8 bits", amount, False)]


def fallback_losses(avatar: Avatar, kind: Kind) -> list[Loss]:
    """Return how far a picture of what plain glTF players show of shaded mesh layers is from the avatar's."""
    shaded = [layer for layer in avatar.layers if isinstance(layer, MeshLayer) and layer.shading is not None]
    if not shaded or avatar.decoder is not None:
        return []
    seen = as_plain_players_show(avatar, kind)
    return [Loss(f"plain glTF players show the shading of {len(shaded)} mesh layers as it is at rest, head-on",
                 f"{_decibels(avatar, seen, next(tried_frames(avatar)))} there", False, foreign=True)]


def as_plain_players_show(avatar: Avatar, kind: Kind) -> Avatar:
    """Return `avatar` with fallback textures in the place of mesh layers' shading."""

    def plain(layer: Layer) -> Layer:
        if not isinstance(layer, MeshLayer) or layer.shading is None:
            return layer
        with Image.open(io.BytesIO(fallback_image(layer, avatar, kind)[0])) as image:
            texture = np.asarray(image.convert("RGBA"), np.float32) / 255
        return dataclasses.replace(layer, shading=None, texture=texture)

    return dataclasses.replace(avatar, layers=tuple(map(plain, avatar.layers)))


def _maps(layer: MeshLayer) -> object:
    return None if layer.shading is None else layer.shading.bases


def rounding_losses(avatar: Avatar, back: Avatar, error: float) -> list[Loss]:
    """Return what grade `small` rounds: posed points (`error`, metres), and the rest by what it does to a picture.

    An avatar that the grade cannot keep its promise for (Gaussians metres away from their triangles) needs the user's leave.
    """
    amount, kept = f"posed vertices and means up to {error * 1e3:.3g} mm off", error <= PROMISE
    if not kept:
        amount += f", more than the {PROMISE * 1e3:g} mm it promises"
    found = [Loss("grade small rounds", amount, not kept)]
    return [*found, *picture_losses(avatar, back, "grade small rounds"), *thin_losses(_cloud_pairs(avatar, back))]


def _cloud_pairs(avatar: Avatar, back: Avatar) -> list[tuple[GaussianCloud, GaussianCloud]]:
    """Return the posed Gaussians of both at one frame, without what networks add."""
    frame, pairs = next(tried_frames(avatar)), []
    heads = [deform_head(each.head, frame) for each in (avatar, back)]
    for a, b in zip(avatar.layers, back.layers, strict=True):
        if isinstance(a, SplatLayer) and isinstance(b, SplatLayer):
            pairs.append((deform_splats(_bare(a), avatar, heads[0], frame).cloud,
                          deform_splats(_bare(b), back, heads[1], frame).cloud))
    return pairs


def _bare(layer: SplatLayer) -> SplatLayer:
    return dataclasses.replace(layer, dynamics=None) if isinstance(layer.dynamics, str) else layer


def picture_losses(avatar: Avatar, back: Avatar, what: str) -> list[Loss]:
    """Return how far the picture of what was read back is from the avatar's; nothing for an avatar without layers."""
    if not avatar.layers:
        return []
    return [Loss(what, _decibels(avatar, back, next(tried_frames(avatar))), False)]


def _decibels(one: Avatar, other: Avatar, frame: Sequence) -> str:
    camera, options = picture_camera(one, PICTURE), RenderOptions()
    try:
        a, b = (render_avatar(each, frame, 0, camera, options).rgb for each in (one, other))
    except MissingAsset:
        return "not measured: onnxruntime is not installed"
    return f"picture at {psnr(a, b):.3g} dB"


def picture_camera(avatar: Avatar, size: int) -> Camera:
    """Return a camera for pictures of `size` pixels each way, or of the size that the avatar's decoder makes."""
    width = height = size
    if avatar.decoder is not None:
        fixed = networks.input_shapes(avatar.networks[avatar.decoder]).get("features", ())[2:]
        scale = avatar.decoder_scale
        height, width = (n * scale if n else -(-size // scale) * scale for n in (*fixed, None, None)[:2])
    return default_camera(avatar, width, height)
