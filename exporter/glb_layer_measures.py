"""How far a GLB's mesh layers and networks are from the avatar's: what `validate` adds where there are some."""

import dataclasses

import numpy as np

from exporter.glb_surface import INFLUENCES
from exporter.glb_targets import own_tables
from exporter.ops.limit_influences import strongest_influences
from exporter.plain_player import PlainPlayer
from exporter.validation_report import Measure, largest_distance
from formats.avatar import Avatar, MeshLayer
from formats.codecs.glb import GlbDocument
from formats.codecs.glb_mesh_layers import EXTENSION
from formats.codecs.glb_skinned import read_places
from formats.codecs.json_file import Fields
from formats.deform import PosedMesh, deform_head, deform_mesh_points
from formats.sequence import Sequence

NORMALS = 1e-4
"""Of unit normals, where they are not rounded."""


def is_lossy(document: GlbDocument, root: Fields) -> bool:
    """Tell whether a file rounds textures or networks beyond what every grade does."""
    if root.text("grade") == "small" or has_half_networks(root):
        return True
    images = document.json.get("images", [])
    return any(isinstance(image, dict) and image.get("mimeType") != "image/png" for image in images)


def has_half_networks(root: Fields) -> bool:
    """Tell whether networks of a file have float16 weights."""
    entries = root.fields("networks")
    return any(entries.fields(name).text("weights", "float32") == "float16" for name in entries.values)


def mesh_errors(one: PosedMesh, other: PosedMesh) -> tuple[float, float]:
    """Return the largest distance of vertices, metres, and of normals."""
    return largest_distance(one.vertices, other.vertices), largest_distance(one.normals, other.normals)


def mesh_measures(errors: list[tuple[float, float]], bound: float, judged: bool) -> list[Measure]:
    """Return rows for people, of `mesh_errors` over layers and frames; nothing where there are none."""
    if not errors:
        return []
    vertices, normals = np.max(errors, axis=0)
    return [Measure("mesh layers' vertices", vertices * 1e3, "mm", bound * 1e3),
            Measure("mesh layers' normals", normals, "", NORMALS if judged else None)]


def plain_layer_measures(document: GlbDocument, root: Fields, back: Avatar, sequence: Sequence, times: list[float],
                         bound: float) -> list[Measure]:
    """Return what players that do not know us make of the mesh layers at keys.

    The bound is for what such a player can do: four joints a vertex, lids before skinning. What that costs is told.
    """
    key = truth = 0.0
    shown = dataclasses.replace(back, head=dataclasses.replace(back.head, eyelid_space="rest"))
    any_layer = False
    for raw, layer in zip(root.items("layers"), back.layers, strict=True):
        if not isinstance(layer, MeshLayer):
            continue
        any_layer, entry = True, Fields(raw, root.where)
        player = PlainPlayer(document, entry.integer("node"))
        ours = document.only_primitive(entry.integer("mesh")).fields("extensions").fields(EXTENSION)
        places = read_places(document, ours, len(layer.vertices))
        reachable = _reachable(layer, back)
        for t in times:
            posed, frame = player.vertices(t / sequence.fps)[places], sequence.sample(t)
            head = deform_head(back.head, frame)
            key = max(key, largest_distance(deform_mesh_points(reachable, shown, head)[0], posed))
            truth = max(truth, largest_distance(deform_mesh_points(layer, back, head)[0], posed))
    if not any_layer:
        return []
    return [Measure("mesh layers in a plain glTF player at keys", key * 1e3, "mm", bound * 1e3),
            Measure("mesh layers in a plain glTF player, against all joints and our lids", truth * 1e3, "mm")]


def _reachable(layer: MeshLayer, avatar: Avatar) -> MeshLayer:
    """Return the layer with its four strongest joints, where what rows lack counts as one that stays."""
    binding = own_tables(layer.binding, avatar.head)
    assert binding.lbs_weights is not None
    held = np.concatenate([binding.lbs_weights, np.maximum(1 - binding.lbs_weights.sum(axis=1, keepdims=True), 0)], axis=1)
    joints, kept = strongest_influences(held, INFLUENCES)
    weights = np.zeros(held.shape)
    np.add.at(weights, (np.arange(len(weights))[:, None], joints), kept)
    return dataclasses.replace(layer, binding=dataclasses.replace(binding, lbs_weights=weights[:, :-1].astype(np.float32)))
