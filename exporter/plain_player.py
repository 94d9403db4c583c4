"""A GLB's head as a player sees it that knows core glTF 2.0 and nothing else: morph, animate, skin.

Only what a file may hold that we wrote: one skinned mesh, LINEAR samplers, node transforms without scale.
"""

import numpy as np
from jaxtyping import Float64

from formats import checks
from formats.codecs.glb import GlbDocument
from formats.codecs.json_file import Fields
from formats.conventions import xyzw_to_wxyz
from formats.deform import skin
from formats.errors import FormatError
from formats.rotations import quat_to_matrix, slerp

_REST = {"translation": np.zeros(3), "rotation": np.array([0.0, 0.0, 0.0, 1.0])}


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
            index = Fields(target, f"{primitive.where}: targets[{k}]").integer("POSITION")
            self._targets[k] = document.table(index, self._rest.shape, primitive.where)
        skeleton = document.item("skins", entry.integer("skin"))
        self._joints: list[int] = skeleton.items("joints")
        for joint in self._joints:
            document.item("nodes", joint)
        self._inverse = document.table(skeleton.integer("inverseBindMatrices"), (len(self._joints), 4, 4), skeleton.where)
        self._weights = np.zeros((len(self._rest), len(self._joints)))
        four = (len(self._rest), 4)
        which = document.table(attributes.integer("JOINTS_0"), four, attributes.where).astype(np.int64)
        checks.indices(attributes.where, "JOINTS_0", which, len(self._joints), "joints")
        np.add.at(self._weights, (np.arange(len(which))[:, None], which),
                  document.table(attributes.integer("WEIGHTS_0"), four, attributes.where))
        nodes = [document.item("nodes", i) for i in range(len(Fields(document.json, document.where).items("nodes")))]
        self._parents: dict[int, int] = {}
        for i, each in enumerate(nodes):
            for child in each.items("children", []):
                # A child before its parent is allowed; a ring is not, and would never end.
                if type(child) is not int or child in self._parents or child == i:
                    raise FormatError(f"{each.where}: child {child!r} is no node of its own")
                self._parents[child] = i
        for i in range(len(nodes)):
            self._lineage(i, len(nodes))
        self._places = [_numbers(each, "translation") for each in nodes]
        self._turns = [_numbers(each, "rotation") for each in nodes]
        self._channels: dict[tuple[int, str], np.ndarray] = {}
        self.times = np.zeros(1)
        """Seconds of the keys."""
        if Fields(document.json, document.where).items("animations", []):
            self._read_animation(document.item("animations", 0), document)

    def _lineage(self, node: int, limit: int) -> list[int]:
        """Return a node and the nodes above it, the topmost first."""
        line = [node]
        while line[-1] in self._parents:
            line.append(self._parents[line[-1]])
            if len(line) > limit:
                raise FormatError(f"nodes[{node}]: is above itself")
        return line[::-1]

    def _read_animation(self, animation: Fields, document: GlbDocument) -> None:
        samplers = animation.items("samplers")
        for raw in animation.items("channels"):
            channel = Fields(raw, animation.where)
            target = channel.fields("target")
            sampler = Fields(samplers[channel.integer("sampler", high=len(samplers) - 1)], animation.where)
            sampler.choice("interpolation", ("LINEAR",), "LINEAR")
            self.times = document.accessor(sampler.integer("input")).astype(np.float64)
            values = document.accessor(sampler.integer("output")).astype(np.float64)
            if values.size % len(self.times):
                raise FormatError(f"{sampler.where}: {values.size} numbers do not divide into {len(self.times)} keys")
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
        for joint in self._joints:
            above = np.eye(4)
            for node in self._lineage(joint, len(self._places)):
                if node not in worlds:
                    worlds[node] = above @ self._local(node, seconds)
                above = worlds[node]
        transforms = np.stack([worlds[joint] for joint in self._joints]) @ self._inverse
        return skin(moved, self._weights, transforms)

    def _local(self, node: int, seconds: float) -> np.ndarray:
        matrix, place = np.eye(4), self._value(node, "translation", seconds)
        matrix[:3, :3] = quat_to_matrix(self._turn(node, seconds))
        matrix[:3, 3] = self._places[node] if place is None else place
        return matrix

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


def _numbers(node: Fields, name: str) -> Float64[np.ndarray, " n"]:
    """Return a node's translation or rotation, the glTF default when absent."""
    default = _REST[name]
    values = node.numbers(name) if node.has(name) else default
    if values.shape != default.shape:
        raise FormatError(f"{node.where}: '{name}': expected {len(default)} numbers, got {values.size}")
    return values
