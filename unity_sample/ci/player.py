"""A frame of the Unity package without Unity: the buffers that Shaders/README.md describes, and the kernels in their order.

The arithmetic is the shaders'; Python makes what a player makes on the CPU: fixed records, rings of faces, a moment's numbers.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt32

from formats.avatar import Avatar, LinearDynamics, Network, SplatLayer
from formats.camera import Camera
from formats.codecs.packed_texels import PackedTexels, pack
from formats.codecs.packed_texels_reader import read
from formats.deform import PosedHead, coefficients_of, deform_head, deform_splats, deltas_of, space_of
from formats.head_model import HeadModel
from formats.render import RenderOptions, intrinsics_of
from formats.sequence import Sequence
from unity_sample.ci import kernels
from unity_sample.ci.kernels import kernel

ROWS, NONE, THREADS, FIRST_JOINT = 16, 0xFFFFFFFF, 64, 12
DELTA_ROWS = 4
"""Rows of `_Frame` that a Gaussian has where a network moves it."""
VERTICES, FACE, SHARED_SKIN, OWN_SKIN = range(4)
FRAMES = ("face", "vertex", "none", "corner", "root")
OFFSET_SCALES = ("none", "edge_height", "double_area")
SPLAT_SCALES = ("none", "edge_height", "log_area_ratio")
ROTATIONS = ("none", "skin", "surface")
CHANNEL_BITS = {"means": 1, "rotvecs": 2, "log_scales": 4, "opacity_logits": 8, "rgb": 16}


def _bits(*values: float) -> list[int]:
    return np.asarray(values, np.float32).view(np.uint32).tolist()


@dataclass(eq=False)
class Records:
    """What is fixed: the rows of `_Records`, and how long the buffers are that kernels write."""

    rows: UInt32[np.ndarray, "R 4"]
    posed: int
    """Rows of `_Posed`."""
    turned: list[int]
    """Records that need TurnVertices."""
    total: int
    """Gaussians of all layers."""


def records_of(packed: PackedTexels, networks: Mapping[str, Network] | None = None) -> Records:
    """Return the records of packed texels: 0 is the head, 1 + i layer i. `networks` are those that move layers."""
    said, layers = packed.descriptor["head"], packed.descriptor["layers"]
    exact = int(packed.descriptor["variant"] == "float")
    vertices = said["vertices"]
    rows = np.zeros((ROWS * (1 + len(layers)), 4), np.uint32)
    palettes: list[np.ndarray] = []
    posed, total, turned = 4 * vertices, 0, []

    def place(name: str) -> int:
        facts = packed.facts(name)
        return facts["offset"] // 16 if facts else NONE

    def tables(record: np.ndarray, prefix: str, count: int, shapes: dict[str, int]) -> None:
        """Fill what displacement and skinning need (rows 9, 10, 11.x, 15.x)."""
        record[9] = [shapes["expr"], shapes["pose"], shapes["eyelids"], place(f"{prefix}deltas")]
        record[11, 0] = count if exact else -(-count // 2)
        facts = packed.facts(f"{prefix}skinJoints" if exact else f"{prefix}skin")
        palette = np.array(facts["palette"], np.uint32)
        at = len(rows) + sum(len(p) for p in palettes)
        palettes.append(np.pad(palette, (0, -len(palette) % 4)).reshape(-1, 4))
        record[10] = [facts["offset"] // 16, place(f"{prefix}skinWeights"), facts["perItem"], at]
        record[15, 0] = int(facts["sumsToOne"])

    lids_posed = int(said["eyelidSpace"] == "posed")
    head = rows[:ROWS]
    head[0] = [vertices, 0, VERTICES, exact]
    head[1] = [place("head.rest"), NONE, 0, 0]
    tables(head, "head.", vertices, said["shapes"])
    head[11, 1] = lids_posed
    head[13] = [0, 0, vertices, NONE]
    for i, layer in enumerate(layers):
        record, prefix, binding = rows[ROWS * (i + 1):ROWS * (i + 2)], f"layer{i}.", layer["binding"]
        record[0] = [layer["count"], total, FACE, exact]
        total += layer["count"]
        record[1] = [place(f"{prefix}splat{letter}") for letter in "ABCD"]
        record[2, 3] = place(f"{prefix}point")
        if not exact:
            for row, name in ((2, "splatA"), (4, "splatB")):
                low, high = (np.array(packed.facts(prefix + name)[end]) for end in ("low", "high"))
                record[row, :3], record[row + 1, :3] = _bits(*low), _bits(*(high - low))
            if binding["kind"] == "face":
                low, high = (np.array(packed.facts(f"{prefix}point")[end]) for end in ("low", "high"))
                record[6] = _bits(*low, *(high - low))
        record[4, 3], record[5, 3] = place(f"{prefix}sh"), layer["shDegree"]
        if layer["shDegree"]:
            record[11, 3] = packed.facts(f"{prefix}sh")["count"] // layer["count"]
        record[11, 1:3] = [lids_posed, int(layer["shFrame"] == "head")]
        record[14] = [vertices, place("head.faces"), 0, vertices]
        record[15, 1] = place("head.rest")
        record[13, 2:] = NONE
        turns = False
        if binding["kind"] == "face":
            record[7] = [FRAMES.index(binding["frame"]), OFFSET_SCALES.index(binding["offsetScale"]),
                         SPLAT_SCALES.index(binding["splatScale"]), place(f"{prefix}canonical")]
            unit = binding["unit"]
            record[8, :3] = _bits(unit, 1e-4 * unit**2, 1e-6 * unit**2)
            turns = binding["frame"] == "vertex"
        else:
            record[0, 2] = SHARED_SKIN if binding["sharesVertices"] else OWN_SKIN
            record[8, 3] = ROTATIONS.index(binding["rotation"])
            turns = binding["rotation"] == "surface"
            record[7, 3] = place("head.rest")
            if not binding["sharesVertices"]:
                tables(record, prefix, layer["count"], binding["shapes"])
        if turns:
            record[13, 2:] = [posed, posed + vertices]
            posed += 2 * vertices
            turned.append(i + 1)
        dynamics = layer.get("dynamics")
        if dynamics and dynamics["kind"] == "linear":
            record[12] = [place(f"{prefix}dynamics"), dynamics["rank"], sum(CHANNEL_BITS[c] for c in dynamics["channels"]),
                          packed.facts(f"{prefix}dynamics")["count"] // layer["count"]]
            record[13, 1] = int(dynamics["space"] == "posed")
        elif dynamics and networks and dynamics["network"] in networks:
            network = networks[dynamics["network"]]
            record[12] = [NONE, 1, sum(bit for name, bit in CHANNEL_BITS.items() if f"delta_{name}" in network.outputs), 0]
            record[13, 1] = int(network.space == "posed")
    # Coefficients of dynamics lie after the pairs of as many shapes as there are, where they are all active.
    at = FIRST_JOINT + 3 * len(said["jointNames"]) + sum(-(-n // 2) for n in said["shapes"].values())
    for i in range(len(layers)):
        record = rows[ROWS * (i + 1):ROWS * (i + 2)]
        record[13, 0] = at
        at += DELTA_ROWS * int(record[0, 0]) if record[12, 0] == NONE else -(-int(record[12, 1]) // 4)
    return Records(np.concatenate([rows, *palettes]), posed, turned, total)


def rings_of(head: HeadModel) -> UInt32[np.ndarray, " M"]:
    """Return where each vertex's faces begin (V + 1 numbers), then the faces."""
    corners = head.faces.ravel()
    order = np.argsort(corners, kind="stable")
    starts = len(head.v_template) + 1 + np.concatenate([[0], np.cumsum(np.bincount(corners, minlength=len(head.v_template)))])
    return np.concatenate([starts, order // 3]).astype(np.uint32)


def moment_of(avatar: Avatar, frame: Sequence, posed: PosedHead, camera: Camera, options: RenderOptions,
              key_range: tuple[float, float] = (0.0, 0.0)) -> Float32[np.ndarray, "M 4"]:
    """Return the rows of `_Frame`; `key_range` is the depth that has key 0 and keys per metre, or zeros for 32-bit keys."""
    head = avatar.head
    joints = posed.joint_transforms
    groups = [posed.expr, posed.pose_feature, posed.eyelids if head.eyeliddirs is not None else np.zeros(0)]
    pairs, counts, starts = [], [], []
    at = first = FIRST_JOINT + 3 * len(joints)
    for values in groups:
        active = np.flatnonzero(values)
        two = np.zeros((-(-len(active) // 2) * 2, 2))
        two[:len(active)] = np.column_stack([active, values[active]])
        pairs.append(two.reshape(-1, 4))
        counts.append(len(active))
        starts.append(at)
        at += len(two) // 2
    room = sum(-(-n // 2) for n in (head.exprdirs.shape[2], 0 if head.posedirs is None else head.posedirs.shape[2],
                                    0 if head.eyeliddirs is None else 2))
    spare = np.zeros((first + room - at, 4))
    coefficients = []
    for layer in avatar.layers:
        if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics):
            c = coefficients_of(layer.dynamics, avatar, frame)
            coefficients.append(np.pad(c, (0, -len(c) % 4)).reshape(-1, 4))
        elif isinstance(layer, SplatLayer) and layer.dynamics is not None:
            coefficients.append(_deltas(layer, avatar, posed, frame))
    out = np.zeros((FIRST_JOINT, 4))
    out[:3] = camera.world_to_camera[:3]
    out[3] = [*camera.position, options.near]
    out[4] = intrinsics_of(camera)
    out[5] = [camera.width, camera.height, *key_range]
    out[6:9, :3] = posed.root_rotation
    out[9, :3], out[10, :3], out[11, 0] = counts, starts, FIRST_JOINT
    return np.concatenate([out, joints[:, :3].reshape(-1, 4), *pairs, spare, *coefficients]).astype(np.float32)


def _deltas(layer: SplatLayer, avatar: Avatar, posed: PosedHead, frame: Sequence) -> Float32[np.ndarray, "R 4"]:
    """Return what a network makes of a frame as rows of `_Frame`."""
    assert isinstance(layer.dynamics, str)
    means = None
    if space_of(layer.dynamics, avatar) == "posed":
        means = deform_splats(dataclasses.replace(layer, dynamics=None), avatar, posed, frame).cloud.means
    deltas = deltas_of(layer.dynamics, avatar, frame, means)
    rows = np.zeros((len(layer.cloud), DELTA_ROWS, 4), np.float32)
    for row, name in enumerate(("means", "rotvecs", "log_scales", "rgb")):
        if name in deltas:
            rows[:, row, :3] = deltas[name]
    if "opacity_logits" in deltas:
        rows[:, 0, 3] = deltas["opacity_logits"][:, 0]
    return rows.reshape(-1, 4)


def key_range(head: HeadModel, posed: PosedHead, camera: Camera) -> tuple[float, float]:
    """Return the depths that 16-bit keys span: the head's bounding sphere, moved by the root and 1.15 times as large."""
    middle = (head.v_template.min(axis=0) + head.v_template.max(axis=0)) / 2
    radius = 1.15 * float(np.linalg.norm(head.v_template - middle, axis=1).max())
    root = posed.joint_transforms[head.joint_roles.get("root", 0)]
    depth = float(camera.world_to_camera[2] @ [*(root[:3, :3] @ middle + root[:3, 3]), 1])
    return depth - radius, 65535 / (2 * radius)


def in_numbers(packed: PackedTexels) -> tuple[PackedTexels, Avatar]:
    """Return texels with dynamics in numbers of the variant, as shaders read them, where they were bytes; and what those hold."""
    avatar = read(packed)
    functions = [layer.dynamics.function if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics) else None
                 for layer in avatar.layers]

    def having(avatar: Avatar, given: list[Any]) -> Avatar:
        layers = [replace(layer, dynamics=replace(layer.dynamics, function=function))
                  if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics) else layer
                  for layer, function in zip(avatar.layers, given, strict=True)]
        return replace(avatar, layers=tuple(layers))

    numbers = pack(having(avatar, [None] * len(functions)), packed.descriptor["variant"])
    return numbers, having(read(numbers), functions)


class Player:
    """An avatar on the CPU driver."""

    def __init__(self, packed: PackedTexels, networks: Mapping[str, Network] | None = None) -> None:
        self.packed = packed
        self.avatar = read(packed, networks)
        if any(fact["name"].endswith("dynamicsSteps") for fact in packed.descriptor["tables"]):
            self.packed, self.avatar = in_numbers(packed)
            packed = self.packed
        self.records = records_of(packed, networks)
        total = self.records.total
        self.buffers: dict[str, Any] = {
            "_Texels": kernels.upload(np.frombuffer(packed.data, np.uint8)), "_Records": kernels.upload(self.records.rows),
            "_Rings": kernels.upload(rings_of(self.avatar.head)), "_Posed": kernels.empty(16 * self.records.posed),
            "_World": kernels.empty(64 * total), "_Ellipses": kernels.empty(48 * total), "_Keys": kernels.empty(4 * total)}
        self.buffers["_WorldIn"] = self.buffers["_World"]

    def look(self, frame: Sequence, camera: Camera, options: RenderOptions, bits: int = 16) -> None:
        """Upload a moment."""
        posed = deform_head(self.avatar.head, frame)
        span = key_range(self.avatar.head, posed, camera) if bits == 16 else (0.0, 0.0)
        self.buffers["_Frame"] = kernels.upload(moment_of(self.avatar, frame, posed, camera, options, span))

    def dispatch(self, name: str, record: int, count: int) -> None:
        """Run a kernel for a record."""
        kernel(name).run(self.buffers, {"_Record": record, "_Total": self.records.total}, -(-count // THREADS))

    def pose(self) -> None:
        """Pose the head and all Gaussians."""
        vertices = len(self.avatar.head.v_template)
        self.dispatch("PoseVertices", 0, vertices)
        for record in self.records.turned:
            self.dispatch("TurnVertices", record, vertices)
        for i, layer in enumerate(self.avatar.layers):
            assert isinstance(layer, SplatLayer)
            self.dispatch("PoseSplats", i + 1, len(layer.cloud))

    def project(self) -> None:
        """Make ellipses and keys."""
        for i, layer in enumerate(self.avatar.layers):
            assert isinstance(layer, SplatLayer)
            self.dispatch("ProjectSplats", i + 1, len(layer.cloud))

    def order(self, bits: int = 16) -> Any:
        """Return the buffer of Gaussians, back to front."""
        return kernels.sort(self.buffers["_Keys"], self.records.total, bits)

    def vertices(self) -> Float32[np.ndarray, "V 3"]:
        """Return the posed head."""
        count = len(self.avatar.head.v_template)
        return kernels.download(self.buffers["_Posed"], np.float32).reshape(-1, 4)[:count, :3]

    def world(self) -> Float32[np.ndarray, "N 4 4"]:
        """Return all posed Gaussians: mean and opacity, quaternion, scale, colour."""
        return kernels.download(self.buffers["_World"], np.float32)[:16 * self.records.total].reshape(-1, 4, 4)
