"""A GLB's head as a player sees it that knows core glTF 2.0 and nothing else: morph, animate, skin.

Only what a file may hold that we wrote: one skinned mesh, LINEAR samplers, node transforms without scale.
"""

import numpy as np
from jaxtyping import Float64

from formats.codecs.glb import GlbDocument
from formats.codecs.json_file import Fields
from formats.conventions import xyzw_to_wxyz
from formats.deform import skin
from formats.errors import FormatError
from formats.rotations import quat_to_matrix, slerp


class PlainPlayer:
    """The skinned mesh at node `node` of a document, and its first animation if there is one."""

    def __init__(self, document: GlbDocument, node: int) -> None:
        entry = document.item("nodes", node)
        self._node = node
        primitive = Fields(document.item("meshes", entry.integer("mesh")).items("primitives")[0], entry.where)
        attributes = primitive.fields("attributes")
        self._rest = document.accessor(attributes.integer("POSITION")).astype(np.float64)
        targets = primitive.items("targets", [])
        self._targets = np.zeros((len(targets), *self._rest.shape), np.float32)
        for k, target in enumerate(targets):
            self._targets[k] = document.accessor(target["POSITION"])
        self._joints: list[int] = document.item("skins", entry.integer("skin")).items("joints")
        self._inverse = document.accessor(document.item("skins", entry.integer("skin")).integer("inverseBindMatrices"))
        self._weights = np.zeros((len(self._rest), len(self._joints)))
        which = document.accessor(attributes.integer("JOINTS_0")).astype(np.int64)
        np.add.at(self._weights, (np.arange(len(which))[:, None], which),
                  document.accessor(attributes.integer("WEIGHTS_0")))
        self._parents: dict[int, int] = {}
        self._places: dict[int, np.ndarray] = {}
        self._turns: dict[int, np.ndarray] = {}
        for i in range(len(document.json["nodes"])):
            each = document.item("nodes", i)
            self._parents |= {child: i for child in each.items("children", [])}
            self._places[i] = np.array(each.values.get("translation", [0, 0, 0]), np.float64)
            self._turns[i] = np.array(each.values.get("rotation", [0, 0, 0, 1]), np.float64)
        self._channels: dict[tuple[int, str], np.ndarray] = {}
        self.times = np.zeros(1)
        """Seconds of the keys."""
        if document.json.get("animations"):
            self._read_animation(document.item("animations", 0), document)

    def _read_animation(self, animation: Fields, document: GlbDocument) -> None:
        samplers = animation.items("samplers")
        for raw in animation.items("channels"):
            target = Fields(raw, animation.where).fields("target")
            sampler = Fields(samplers[raw["sampler"]], animation.where)
            sampler.choice("interpolation", ("LINEAR",), "LINEAR")
            self.times = document.accessor(sampler.integer("input")).astype(np.float64)
            values = document.accessor(sampler.integer("output")).astype(np.float64)
            self._channels[target.integer("node"), target.text("path")] = values.reshape(len(self.times), -1)

    def vertices(self, seconds: float, mute: slice | None = None) -> Float64[np.ndarray, "V 3"]:
        """Return the posed vertices at a time of the animation.

        Args:
            seconds: Held at both ends.
            mute: Morph targets to leave at zero, for seeing what they do.
        """
        weights = self._value(self._node, "weights", seconds)
        weights = np.zeros(len(self._targets)) if weights is None else weights.copy()
        if len(weights) != len(self._targets):
            raise FormatError(f"animation: {len(weights)} weights for {len(self._targets)} morph targets")
        if mute is not None:
            weights[mute] = 0
        moved = self._rest + np.tensordot(weights, self._targets, 1)
        worlds: dict[int, np.ndarray] = {}

        def world(node: int) -> np.ndarray:
            if node not in worlds:
                local = np.eye(4)
                local[:3, :3] = quat_to_matrix(self._turn(node, seconds))
                place = self._value(node, "translation", seconds)
                local[:3, 3] = self._places[node] if place is None else place
                parent = self._parents.get(node)
                worlds[node] = local if parent is None else world(parent) @ local
            return worlds[node]

        transforms = np.stack([world(joint) for joint in self._joints]) @ self._inverse
        return skin(moved, self._weights, transforms)

    def _between(self, seconds: float) -> tuple[int, int, float]:
        after = int(np.clip(np.searchsorted(self.times, seconds), 1, max(len(self.times) - 1, 1)))
        if len(self.times) == 1:
            return 0, 0, 0.0
        first, second = self.times[after - 1], self.times[after]
        return after - 1, after, float(np.clip((seconds - first) / (second - first), 0, 1))

    def _value(self, node: int, path: str, seconds: float) -> np.ndarray | None:
        values = self._channels.get((node, path))
        if values is None:
            return None
        before, after, f = self._between(seconds)
        return values[before] * (1 - f) + values[after] * f

    def _turn(self, node: int, seconds: float) -> np.ndarray:
        values = self._channels.get((node, "rotation"))
        if values is None:
            return xyzw_to_wxyz(self._turns[node])
        before, after, f = self._between(seconds)
        return slerp(xyzw_to_wxyz(values[before]), xyzw_to_wxyz(values[after]), f)
