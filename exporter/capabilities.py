"""What a target can carry, what an avatar has, and what would be lost on the way: each loss with a number."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from exporter.ops.limit_influences import limit_influences
from formats.avatar import Avatar, FaceBinding, LinearDynamics, MeshLayer, SplatLayer, StrandLayer
from formats.deform import deform_head, deform_splats, rest_sequence, triangle_frames
from formats.errors import MissingAsset, UnsupportedFeature
from formats.head_model import HeadModel
from formats.sequence import Sequence

EXACT = 1e-5
"""Metres: what moves Gaussians less is no loss."""
MEASURED_FRAMES = 5
"""How many frames of a clip a measured loss looks at."""


@dataclass(frozen=True)
class Capabilities:
    """What a target can carry."""

    subject: Literal["avatar", "still", "clip", "maps", "networks"] = "avatar"
    """What the file is about; what lies outside its subject is not a loss. A still has no motion and no head, a clip only
    motion, maps only UV images, networks only networks."""
    layers: frozenset[str] = frozenset({"splats"})
    """Out of `splats`, `mesh`, `strands`."""
    dynamics: frozenset[str] = frozenset({"linear"})
    """Out of `linear`, `linear-network` (coefficients from a network), `network`."""
    decoder: bool = False
    """The network that makes the picture out of a feature image."""
    maps: tuple[str, ...] = ("albedo",)
    """Names of UV images."""
    foreign_players: bool = True
    """Players that do not know us show the head: four joints a vertex, eyelids before skinning."""


@dataclass(frozen=True)
class Loss:
    """Something that the file does not hold, or does not hold exactly."""

    what: str
    amount: str
    """How much of it, as text with a number and a unit."""
    blocking: bool = True
    """It changes how the avatar looks or moves in our players, so the user has to allow it. Others are only told."""
    foreign: bool = False
    """It shows only in players of glTF that do not know us, so it is none where only ours read the file."""


@dataclass(frozen=True, eq=False)
class Fit:
    """An avatar cut to what a target carries."""

    avatar: Avatar
    losses: tuple[Loss, ...]


def fit(avatar: Avatar, capabilities: Capabilities) -> Fit:
    """Return `avatar` without what the target cannot carry, and what that loses."""
    if capabilities.subject in ("clip", "maps", "networks"):
        return Fit(avatar, ())
    layers, losses = [], []
    for layer in avatar.layers:
        kind = _kind(layer)
        if kind not in capabilities.layers:
            losses.append(Loss(f"layer '{layer.name}' ({kind})", _size(layer)))
            continue
        if isinstance(layer, SplatLayer) and layer.dynamics is not None:
            motion = _dynamics_kind(layer)
            if motion not in capabilities.dynamics:
                still = dataclasses.replace(layer, dynamics=None)
                losses.append(Loss(f"layer '{layer.name}': {dynamics_name(layer)}", _moved(avatar, layer, still)))
                layer = still
        layers.append(layer)
    decoder = avatar.decoder
    if decoder is not None and not capabilities.decoder:
        losses.append(Loss(f"image decoder '{decoder}'", f"{len(avatar.networks[decoder].onnx) / 1e6:.2f} MB network"))
        decoder = None
    networks = {name: avatar.networks[name] for name in _used_networks(tuple(layers), decoder)}
    cut = dataclasses.replace(avatar, layers=tuple(layers), networks=networks, decoder=decoder)
    return Fit(cut, (*losses, *_notes(cut, capabilities)))


def require(avatar: Avatar, capabilities: Capabilities, target: str) -> None:
    """Raise `UnsupportedFeature` when `avatar` holds something that the target cannot carry."""
    refuse([loss for loss in fit(avatar, capabilities).losses if loss.blocking], target)


def refuse(losses: list[Loss], target: str) -> None:
    """Raise `UnsupportedFeature` naming `losses`, unless there are none."""
    if losses:
        listed = "; ".join(f"{loss.what} ({loss.amount})" for loss in losses)
        raise UnsupportedFeature(f"{target}: cannot carry {listed}. --allow-loss writes the rest, or choose another target")


# --- What would be lost -----------------------------------------------------------------------------------------------


def _kind(layer: SplatLayer | MeshLayer | StrandLayer) -> str:
    return {SplatLayer: "splats", MeshLayer: "mesh", StrandLayer: "strands"}[type(layer)]


def _size(layer: SplatLayer | MeshLayer | StrandLayer) -> str:
    if isinstance(layer, SplatLayer):
        return f"{len(layer.cloud)} Gaussians"
    return f"{len(layer.vertices)} vertices" if isinstance(layer, MeshLayer) else f"{len(layer.points)} strands"


def _dynamics_kind(layer: SplatLayer) -> str:
    if not isinstance(layer.dynamics, LinearDynamics):
        return "network"
    return "linear" if layer.dynamics.network is None else "linear-network"


def dynamics_name(layer: SplatLayer) -> str:
    """Return what a layer's dynamics are, with their rank where they have one, for people."""
    if not isinstance(layer.dynamics, LinearDynamics):
        return "its deformation network"
    rank = next(iter(layer.dynamics.tables.values())).shape[1]
    return f"linear dynamics of rank {rank}" + ("" if layer.dynamics.network is None else ", whose coefficients a network gives")


def _used_networks(layers: tuple[SplatLayer | MeshLayer | StrandLayer, ...], decoder: str | None) -> list[str]:
    names = [decoder] if decoder else []
    for layer in layers:
        if isinstance(layer, SplatLayer) and layer.dynamics is not None:
            named = layer.dynamics if isinstance(layer.dynamics, str) else layer.dynamics.network
            names += [named] if named else []
        elif isinstance(layer, MeshLayer) and layer.shading is not None:
            names.append(layer.shading.weights_from)
    return list(dict.fromkeys(names))


def measured_frames(head: HeadModel, sequence: Sequence | None) -> Iterator[Sequence]:
    """Give a few frames spread over the clip; without one, a turned head with an open mouth and half-closed eyes."""
    if sequence is not None:
        for i in np.unique(np.linspace(0, len(sequence) - 1, MEASURED_FRAMES).round().astype(int)):
            yield sequence.take([int(i)])
        return
    yield dataclasses.replace(rest_sequence(head), rotation=np.array([[0.1, 0.4, 0.0]]),
                              neck=np.array([[0.1, 0.2, 0.0]]), jaw=np.array([[0.25, 0.0, 0.0]]),
                              eyelids=np.array([[0.5, 0.5]]))


def _moved(avatar: Avatar, layer: SplatLayer, still: SplatLayer) -> str:
    """Return how far the Gaussians of `still` are from those of `layer`, over a few frames."""
    largest = 0.0
    try:
        for frame in measured_frames(avatar.head, avatar.sequence):
            posed = deform_head(avatar.head, frame)
            means = [deform_splats(each, avatar, posed, frame).cloud.means for each in (layer, still)]
            largest = max(largest, float(np.linalg.norm(means[0] - means[1], axis=1).max()))
    except MissingAsset:
        return f"{len(layer.cloud)} Gaussians stay still; not measured, onnxruntime is not installed"
    return f"{len(layer.cloud)} Gaussians stay still, up to {largest * 1e3:.3g} mm off"


def _notes(avatar: Avatar, capabilities: Capabilities) -> Iterator[Loss]:
    """Give what the layers that stay lose; most of it does not change the avatar in our players."""
    head, clip = avatar.head, avatar.sequence
    if capabilities.subject == "still":
        if clip is not None:
            yield Loss("motion: the file is one still", f"{len(clip)} frames", False)
        return
    if clip is not None and clip.cameras:
        yield Loss("the clip's cameras", f"{len(clip)} frames", False)
    if clip is not None and clip.shape is not None:
        yield Loss("the clip's identity coefficients; the head already has them", f"{len(clip.shape)} numbers", False)
    if head.shapedirs is not None and head.shapedirs.shape[2]:
        yield Loss("identity directions of the head", f"{head.shapedirs.shape[2]} directions", False)
    if head.regions or head.landmarks:
        yield Loss("named regions and landmarks of the head", f"{len(head.regions)} and {len(head.landmarks)}", False)
    if avatar.maps is not None:
        images = {name: image for name, image in avatar.maps.images.items()
                  if name not in capabilities.maps or head.uvs is None}
        if images:
            yield Loss(f"UV maps {', '.join(images)}", f"{len(images)} image{'s' * (len(images) > 1)}", False)
        if "albedo" in avatar.maps.images and "albedo" not in images:
            albedo = avatar.maps.images["albedo"]
            error = np.abs(np.round(np.clip(albedo, 0, 1) * 255) / 255 - albedo).max(initial=0)
            if error > 1e-6:
                yield Loss("albedo rounded to 8 bits", f"up to {error:.2g} of 1", False)
            if avatar.vertex_rgb is not None:
                yield Loss("vertex colours; the albedo texture shows instead", f"{len(avatar.vertex_rgb)} vertices", False)
    for layer in avatar.layers:
        if isinstance(layer, SplatLayer):
            yield from _binding_losses(layer, head)
        elif isinstance(layer, StrandLayer) and "strands" in capabilities.layers:
            yield from _strand_losses(layer)
        elif isinstance(layer, MeshLayer) and "mesh" in capabilities.layers:
            flat = int((~layer.normals.any(axis=1)).sum())
            if flat:
                yield Loss(f"layer '{layer.name}': normals of no length become +z", f"{flat} vertices", False)
    if capabilities.foreign_players:
        yield from _in_foreign_players(head, clip)


def _binding_losses(layer: SplatLayer, head: HeadModel) -> Iterator[Loss]:
    """Give what a binding's stored form cannot say exactly: two barycentric weights, scales on the rest head."""
    binding = layer.binding
    if not isinstance(binding, FaceBinding) or not len(binding):
        return
    missing = np.abs(1 - binding.barycentric.sum(axis=1, dtype=np.float64))
    shift = float((missing * np.linalg.norm(head.v_template[head.faces[binding.face_index, 2]], axis=1)).max())
    if shift > EXACT:
        yield Loss(f"layer '{layer.name}': barycentric weights do not sum to 1, and will",
                   f"Gaussians up to {shift * 1e3:.3g} mm off")
    if binding.splat_scale == "edge_height":
        flat = int((triangle_frames(head.v_template, head.faces)[1][binding.face_index] < 1e-12).sum())
        if flat:
            yield Loss(f"layer '{layer.name}': scales on triangles without size at rest", f"{flat} Gaussians vanish")


def _strand_losses(layer: StrandLayer) -> Iterator[Loss]:
    """Give what strands lose: their last points' width, colour and opacity, which no segment is drawn with."""
    last = max(float(np.abs(values[:, -1].astype(np.float64) - values[:, -2]).max(initial=0))
               for values in (layer.widths, layer.rgb, layer.opacities))
    if last > 0:
        yield Loss(f"layer '{layer.name}': widths, colours and opacities of last points, which nothing draws",
                   f"{len(layer.points)} strands", False)


def _in_foreign_players(head: HeadModel, clip: Sequence | None) -> Iterator[Loss]:
    """Give how far a player that does not know us poses the head from the truth, in millimetres."""
    variants: dict[str, HeadModel] = {}
    held = (head.lbs_weights > 1e-8).sum(axis=1)
    if held.max(initial=0) > 4:
        variants[f"plain glTF players use four joints a vertex, {int((held > 4).sum())} of {len(held)} vertices have up to "
                 f"{held.max()}; ours use all"] = limit_influences(head, 4)
    if head.eyeliddirs is not None and head.eyelid_space == "posed":
        variants["plain glTF players add eyelids before skinning; ours after, as trained"] = dataclasses.replace(
            head, eyelid_space="rest")
    for what, variant in variants.items():
        largest = max(float(np.linalg.norm(deform_head(variant, frame).vertices - deform_head(head, frame).vertices,
                                           axis=1).max()) for frame in measured_frames(head, clip))
        yield Loss(what, f"head vertices up to {largest * 1e3:.3g} mm off there", False, foreign=True)
