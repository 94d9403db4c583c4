"""Tiny avatars in LAM's two zip layouts, written by hand from the facts of the format, with nothing of ours.

    files = arkit_files(); path = write_zip(tmp_path / "ada.zip", files)      members by name, to break at will
    files = flame_files()

The mesh is a bent grid of 5 x 4 vertices by a head 1.6 m above the ground. The skeleton has LAM's ways: an armature with
a scale of 0.01 turned about x, joints listed children first, rest rotations, bones without weight.
"""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from formats.conventions import ARKIT_52

NAMES = tuple(name for name in ARKIT_52[::-1] if name != "tongueOut")
"""ARKit's 51, in an order of the file's own."""
COLUMNS, ROWS = 5, 4
COUNT = COLUMNS * ROWS
BONES: dict[str, tuple[str | None, tuple[float, ...], tuple[float, ...], float]] = {
    "Armature.001": (None, (0, 0, 0), (0.70710678, 0, 0, 0.70710678), 0.01),
    "hip": ("Armature.001", (0, 2, -105), (-0.70710678, 0, 0, 0.70710678), 1),
    "chestUpper": ("hip", (0, 40, -2), (0.1, 0.02, -0.05, 0.99), 1),
    "lCollar": ("chestUpper", (3, 5, 0), (0, 0.2, 0, 0.98), 1),
    "neckLower": ("chestUpper", (0, 8, 1), (-0.15, 0, 0.1, 0.98), 1),
    "head": ("neckLower", (0, 6, 1), (0, 0, -0.1, 0.99), 1),
    "head_end": ("head", (0, 10, 0), (0, 0, 0, 1), 1),
    "lToe": ("hip", (4, -90, 3), (0.3, 0.1, 0, 0.95), 1)}
"""Name to parent, translation (centimetres below the armature), rotation xyzw, scale."""
NODES = ("head_end", "head", "lCollar", "neckLower", "lToe", "chestUpper", "hip", "Armature.001")
"""The scene's order: children first, as Blender writes it."""
JOINTS = tuple(name for name in NODES if name != "Armature.001")
CLIPS = {"yumi_wave": 13, "yumi_idle": 9}
"""Clip to keys, at 24 a second; the idle one comes second."""


def quat_matrix(q: np.ndarray) -> np.ndarray:
    """Return the rotation of a quaternion xyzw, from how it turns the axes: v + 2 w (u x v) + 2 u x (u x v)."""
    q = np.asarray(q, float) / np.linalg.norm(q)
    turned = [v + 2 * q[3] * np.cross(q[:3], v) + 2 * np.cross(q[:3], np.cross(q[:3], v)) for v in np.eye(3)]
    return np.stack(turned, axis=1)


def world_of(name: str, clip: str | None = None, key: int = 0) -> np.ndarray:
    """Return a bone's world matrix at rest, or at a key of a clip."""
    parent, translation, rotation, scale = BONES[name]
    if clip is not None and name in clip_bones(clip):
        translation, rotation = (values[key] for values in clip_bones(clip)[name])
    local = np.eye(4)
    local[:3, :3], local[:3, 3] = quat_matrix(np.asarray(rotation)) * scale, translation
    return local if parent is None else world_of(parent, clip, key) @ local


def clip_bones(clip: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return per bone its translations [keys, 3] and rotations xyzw [keys, 4] in a clip."""
    t = np.arange(CLIPS[clip])[:, None] / 8
    size = 1.0 if clip == "yumi_wave" else 0.3
    moves = {}
    for i, name in enumerate(("hip", "chestUpper", "neckLower", "lCollar", "head")):
        _, translation, rotation, _ = BONES[name]
        shift = 3 * size * np.sin(t * [1.0, 1.4, 0.6]) * (name == "hip") + np.array([0, 0.6 * size, 0]) * (name == "head")
        moves[name] = (translation + shift + 0 * t, np.asarray(rotation) + 0.2 * size * np.sin(t * [1, 2, 3, 0] + i))
    return moves


def mesh() -> dict[str, np.ndarray]:
    """Return positions [20, 3], triangles, sparse targets as (rows, values), joints and weights, all made up."""
    x, y = np.meshgrid(np.linspace(-0.08, 0.08, COLUMNS), np.linspace(1.5, 1.72, ROWS))
    positions = np.stack([x.ravel(), y.ravel(), 0.1 - 6 * x.ravel() ** 2], axis=1).astype("<f4")
    corner = (np.arange(ROWS - 1)[:, None] * COLUMNS + np.arange(COLUMNS - 1)).ravel()[:, None]
    triangles = np.concatenate([corner + [0, 1, COLUMNS], corner + [1, COLUMNS + 1, COLUMNS]]).astype("<u2")
    rng = np.random.default_rng(3)
    joints = np.tile([JOINTS.index(n) for n in ("head", "neckLower", "lCollar", "chestUpper")], (COUNT, 1)).astype("u1")
    weights = rng.dirichlet([2, 1, 1, 1], COUNT).astype("<f4")
    weights[COUNT // 2:] = [1, 0, 0, 0]
    return {"positions": positions, "triangles": triangles, "joints": joints, "weights": weights}


def targets() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return per target its non-zero rows and their deltas; the third moves nothing."""
    rng = np.random.default_rng(4)
    made = []
    for e in range(len(NAMES)):
        rows = np.sort(rng.choice(COUNT, 6, replace=False)).astype("<u2")
        made.append((rows, (0.01 * rng.normal(size=(6, 3)) * (e != 2)).astype("<f4")))
    return made


def target_directions() -> np.ndarray:
    """Return the targets as dense directions [20, 3, 51]."""
    dense = np.zeros((COUNT, 3, len(NAMES)))
    for e, (rows, values) in enumerate(targets()):
        dense[rows, :, e] = values
    return dense


def gaussians() -> dict[str, np.ndarray]:
    """Return the 17 columns of `offset.ply` by name."""
    rng = np.random.default_rng(5)
    named = {f"{axis}": 0.01 * rng.normal(size=COUNT) for axis in "xyz"}
    named |= {f"n{axis}": np.zeros(COUNT) for axis in "xyz"}
    named |= {f"f_dc_{i}": rng.uniform(0, 1, COUNT) for i in range(3)}
    named |= {"opacity": rng.normal(size=COUNT)} | {f"scale_{i}": rng.normal(-6, 0.5, COUNT) for i in range(3)}
    named |= {f"rot_{i}": rng.normal(size=COUNT) for i in range(4)}
    return {name: values.astype("<f4") for name, values in named.items()}


def ply(columns: dict[str, np.ndarray]) -> bytes:
    """Return a binary PLY of float columns."""
    count = len(next(iter(columns.values())))
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {count}",
             *(f"property float {name}" for name in columns), "end_header\n"]
    return "\n".join(lines).encode() + np.stack(list(columns.values()), axis=1).astype("<f4").tobytes()


class Glb:
    """Puts arrays into one GLB, the plain way."""

    TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
    COMPONENTS = {"u1": 5121, "u2": 5123, "f4": 5126}

    def __init__(self) -> None:
        self.data = bytearray()
        self.json: dict[str, Any] = {"asset": {"version": "2.0", "generator": "by hand"}, "scene": 0, "accessors": [],
                                     "bufferViews": []}

    def view(self, array: np.ndarray) -> int:
        """Add an array's bytes."""
        self.data += b"\0" * (-len(self.data) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes})
        self.data += array.tobytes()
        return len(self.json["bufferViews"]) - 1

    def accessor(self, array: np.ndarray) -> int:
        """Add an accessor over an array; matrices are given row-major and stored column-major."""
        shape = array.shape[1:]
        stored = array.transpose(0, 2, 1) if shape == (4, 4) else array
        code = array.dtype.str[1:]
        self.json["accessors"].append({"bufferView": self.view(np.ascontiguousarray(stored)), "count": len(array),
                                       "componentType": self.COMPONENTS[code], "type": self.TYPES[shape]})
        return len(self.json["accessors"]) - 1

    def sparse(self, count: int, rows: np.ndarray, values: np.ndarray) -> int:
        """Add a sparse accessor over zeros."""
        sparse = {"count": len(rows), "indices": {"bufferView": self.view(rows), "componentType": 5123},
                  "values": {"bufferView": self.view(values)}}
        self.json["accessors"].append({"count": count, "componentType": 5126, "type": "VEC3", "sparse": sparse})
        return len(self.json["accessors"]) - 1

    def bytes(self) -> bytes:
        """Return the file."""
        self.json["buffers"] = [{"byteLength": len(self.data)}]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        body = bytes(self.data) + b"\0" * (-len(self.data) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(body), 0x004E4942) + body
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def bone_nodes(order: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return glTF nodes for bones."""
    nodes = []
    for name in order:
        _, translation, rotation, scale = BONES[name]
        unit = np.asarray(rotation, float) / np.linalg.norm(rotation)
        nodes.append({"name": name, "translation": list(translation), "rotation": unit.tolist(), "scale": [scale] * 3,
                      "children": [order.index(n) for n in order if BONES[n][0] == name]})
    return [{k: v for k, v in node.items() if v != []} for node in nodes]


def skin_glb(skinned: bool = True, shapes: bool = True, change: np.ndarray | None = None) -> Glb:
    """Return `skin.glb`, still open to changes.

    Args:
        skinned: With skeleton.
        shapes: With targets.
        change: Store the mesh in another space: `change @ p`, and bind it so that it rests where it would have.
    """
    glb, made = Glb(), mesh()
    change = np.eye(4) if change is None else change
    positions = (made["positions"] @ change[:3, :3].T + change[:3, 3]).astype("<f4")
    primitive: dict[str, Any] = {"attributes": {"POSITION": glb.accessor(positions)},
                                 "indices": glb.accessor(made["triangles"].reshape(-1))}
    glb.json["meshes"] = [{"name": "face", "primitives": [primitive]}]
    if shapes:
        primitive["targets"] = [{"POSITION": glb.sparse(COUNT, rows, (values @ change[:3, :3].T).astype("<f4"))}
                                for rows, values in targets()]
        glb.json["meshes"][0]["extras"] = {"targetNames": list(NAMES)}
    if not skinned:
        glb.json |= {"nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}]}
        return glb
    primitive["attributes"] |= {"JOINTS_0": glb.accessor(made["joints"]), "WEIGHTS_0": glb.accessor(made["weights"])}
    nodes = bone_nodes(NODES)
    # The mesh node hangs below the scaled armature: a skinned mesh must ignore that.
    nodes[NODES.index("Armature.001")]["children"].append(len(nodes))
    glb.json |= {"nodes": [*nodes, {"name": "head_final", "mesh": 0, "skin": 0}],
                 "scenes": [{"nodes": [NODES.index("Armature.001")]}]}
    inverse = np.stack([np.linalg.inv(change @ world_of(name)) for name in JOINTS])
    glb.json["skins"] = [{"joints": [NODES.index(n) for n in JOINTS],
                          "inverseBindMatrices": glb.accessor(inverse.astype("<f4"))}]
    return glb


def animation_glb() -> Glb:
    """Return `animation.glb`: its own tree in another order, clips keyed at 24, scales held by two STEP keys."""
    glb, order = Glb(), tuple(name for name in NODES[::-1] if name != "lToe")
    glb.json |= {"nodes": bone_nodes(order), "scenes": [{"nodes": [0]}], "animations": []}
    for clip, keys in CLIPS.items():
        times, ends = (np.arange(keys) / 24).astype("<f4"), np.array([0, (keys - 1) / 24], "<f4")
        channels, samplers = [], []
        for name, (translation, rotation) in clip_bones(clip).items():
            unit = rotation / np.linalg.norm(rotation, axis=1, keepdims=True)
            for path, at, values, how in (("translation", times, translation, "LINEAR"), ("rotation", times, unit, "LINEAR"),
                                          ("scale", ends, np.ones((2, 3)), "STEP")):
                channels.append({"sampler": len(samplers), "target": {"node": order.index(name), "path": path}})
                samplers.append({"input": glb.accessor(at), "output": glb.accessor(values.astype("<f4")),
                                 "interpolation": how})
        glb.json["animations"].append({"name": clip, "channels": channels, "samplers": samplers})
    return glb


def arkit_files() -> dict[str, bytes]:
    """Return the members of an ARKit export by name."""
    return {"skin.glb": skin_glb().bytes(), "offset.ply": ply(gaussians()), "animation.glb": animation_glb().bytes(),
            "vertex_order.json": json.dumps(list(range(COUNT))[::-1]).encode()}


BONE_POSITIONS = ((0, -0.14, -0.08), (0, -0.016, -0.058), (0, -0.009, -0.05), (0.03, 0.02, 0.02), (-0.03, 0.02, 0.02))


def flame_weights() -> np.ndarray:
    """Return weights [20, 5]; in most rows one of the five is zero."""
    weights = np.random.default_rng(6).dirichlet(np.ones(5), COUNT)
    weights[3:, 4] = 0
    return weights / weights.sum(axis=1, keepdims=True)


def flame_params(expressions: int = len(NAMES), frames: int = 3) -> dict[str, np.ndarray]:
    """Return recorded parameters by name."""
    rng = np.random.default_rng(7)
    return {"expr": rng.normal(0, 0.5, (frames, expressions)), "rotation": rng.normal(0, 0.2, (frames, 3)),
            "neck_pose": rng.normal(0, 0.2, (frames, 3)), "jaw_pose": rng.normal(0, 0.2, (frames, 3)),
            "eyes_pose": rng.normal(0, 0.2, (frames, 6))}


def flame_files(obj_targets: bool = False) -> dict[str, bytes]:
    """Return the members of a FLAME ("h5") export by name; with targets as `bs/expr*.obj` when `obj_targets`."""
    root, neck, *rest = [{"name": name, "position": list(at)} for name, at in
                         zip(("root", "neck", "jaw", "leftEye", "rightEye"), BONE_POSITIONS, strict=True)]
    tree = {"bones": [root | {"children": [neck | {"children": rest}]}]}
    files = {"skin.glb": skin_glb(shapes=not obj_targets, skinned=False).bytes(), "offset.ply": ply(gaussians()),
             "vertex_order.json": json.dumps(list(range(COUNT))).encode(), "bone_tree.json": json.dumps(tree).encode(),
             "lbs_weight_20k.json": json.dumps(flame_weights().tolist()).encode(),
             "flame_params.json": json.dumps({k: v.tolist() for k, v in
                                              flame_params(12 if obj_targets else len(NAMES)).items()}).encode()}
    if obj_targets:
        for e in range(12):
            moved = mesh()["positions"] + target_directions()[:, :, e]
            lines = ["# by hand", *(f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in moved), "f 1 2 3"]
            files[f"bs/expr{e}.obj"] = "\n".join(lines).encode()
    return files


def write_zip(path: Path, files: dict[str, bytes], folder: str = "ada/", litter: bool = True) -> Path:
    """Write members into a zip as LAM's is: a folder entry first, and what macOS leaves behind."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        if folder:
            archive.writestr(folder, b"")
        if litter:
            archive.writestr(f"__MACOSX/._{folder.rstrip('/')}", b"x")
            archive.writestr(f"{folder}.DS_Store", b"x")
            archive.writestr(f"__MACOSX/{folder}._skin.glb", b"x")
        for name, data in files.items():
            archive.writestr(folder + name, data)
    path.write_bytes(buffer.getvalue())
    return path
