"""Mesh layers of the Unity package without Unity: the tables, textures and passes that Shaders/README.md describes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8, UInt32

from formats.avatar import Avatar, MeshLayer
from formats.camera import Camera
from formats.deform import PosedMesh, deform
from formats.render import RenderOptions
from formats.sequence import Sequence
from unity_sample.ci import kernels
from unity_sample.ci.kernels import kernel
from unity_sample.ci.pictures import Target
from unity_sample.ci.player import NONE, ROWS, THREADS, VERTICES, moment_of

ARRAY = {"texture": {"sample_type": "float", "view_dimension": "2d-array"}}
Image = Float[np.ndarray, "H W C"] | UInt8[np.ndarray, "H W C"]


@dataclass(eq=False)
class MeshTables:
    """A mesh layer's texels and its record (number 0)."""

    texels: Float32[np.ndarray, "T 4"]
    rows: UInt32[np.ndarray, "R 4"]


def tables_of(layer: MeshLayer, avatar: Avatar) -> MeshTables:
    """Return a layer's tables, all float32: rest, normals, displacements shape by shape, joints, weights."""
    head, binding, count = avatar.head, layer.binding, len(layer.vertices)
    source: Any = head if binding.vertex_index is not None else binding
    pick = slice(None) if binding.vertex_index is None else binding.vertex_index
    groups = [None if d is None else d[pick] for d in (source.exprdirs, source.posedirs, source.eyeliddirs)]
    shapes = [0 if d is None else d.shape[2] for d in groups]
    weights = np.asarray(source.lbs_weights, np.float64)[pick]
    order = np.argsort(-weights, axis=1, kind="stable")
    most = max(1, int((weights > 0).sum(axis=1).max()))
    per_item = -(-most // 4)
    joints = np.pad(order[:, :most], ((0, 0), (0, 4 * per_item - most)))
    chosen = np.pad(np.take_along_axis(weights, order[:, :most], axis=1), ((0, 0), (0, 4 * per_item - most)))
    deltas = [np.pad(d.transpose(2, 0, 1).reshape(-1, 3), ((0, 0), (0, 1))) for d in groups if d is not None]
    parts = [np.pad(layer.vertices, ((0, 0), (0, 1))), np.pad(layer.normals, ((0, 0), (0, 1))),
             np.concatenate([*deltas, np.zeros((0, 4))]), joints.astype(np.uint32).view(np.float32).reshape(-1, 4),
             chosen.reshape(-1, 4)]
    places = np.cumsum([0, *(len(p) for p in parts)])
    record = np.zeros((ROWS + -(-weights.shape[1] // 4), 4), np.uint32)
    record[0] = [count, 0, VERTICES, 1]
    record[1] = [places[0], places[1], 0, 0]
    record[9] = [*shapes, places[2]]
    record[10] = [places[3], places[4], per_item, ROWS]
    record[11] = [count, head.eyelid_space == "posed", 0, 0]
    record[13] = [0, 0, NONE, count]
    record[15, 0] = bool(np.abs(weights.sum(axis=1) - 1).max() < 1e-5)
    record[ROWS:].reshape(-1)[:weights.shape[1]] = np.arange(weights.shape[1])
    return MeshTables(np.concatenate([np.ascontiguousarray(p, dtype=np.float32) for p in parts]), record)


def corners_of(layer: MeshLayer) -> UInt32[np.ndarray, "C 4"]:
    """Return the rows of `_Corners`."""
    uvs = layer.uvs[layer.uv_faces.ravel()].astype(np.float32).view(np.uint32)
    return np.column_stack([layer.faces.ravel().astype(np.uint32), uvs, np.zeros(len(uvs), np.uint32)])


def images(pictures: list[Image]) -> Any:
    """Return a texture array of float images 0..1, with up to four channels."""
    wgpu, device = kernels.library(), kernels.device()
    height, width = pictures[0].shape[:2]
    usage = wgpu.TextureUsage.TEXTURE_BINDING | wgpu.TextureUsage.COPY_DST
    texture = device.create_texture(size=(width, height, len(pictures)), format="rgba32float", usage=usage)
    for i, picture in enumerate(pictures):
        values = picture / np.float32(255) if picture.dtype == np.uint8 else picture
        padded = np.pad(values, ((0, 0), (0, 0), (0, 4 - values.shape[2]))).astype(np.float32)
        device.queue.write_texture({"texture": texture, "origin": (0, 0, i)}, padded.tobytes(),
                                   {"bytes_per_row": 16 * width, "rows_per_image": height}, (width, height, 1))
    return texture.create_view(dimension="2d-array"), ARRAY


class MeshPlayer:
    """A mesh layer on the CPU driver."""

    def __init__(self, avatar: Avatar, layer: MeshLayer) -> None:
        self.avatar, self.layer = avatar, layer
        tables = tables_of(layer, avatar)
        self.count = len(layer.vertices)
        posed = kernels.empty(32 * self.count)
        self.resources: dict[str, Any] = {
            "_Texels": kernels.upload(tables.texels), "_Records": kernels.upload(tables.rows), "_Posed": posed, "_PosedIn": posed,
            "_Corners": kernels.upload(corners_of(layer))}
        mix = layer.shading
        self.constants: dict[str, Any] = {"_Record": 0, "_Opaque": int(layer.opaque), "_Linear": 0.0, "_BaseCount": 0,
                                          "_FeatureCount": 0, "_FeatureChannels": 3, "_Hidden": 0, "_ViewSpace": 0,
                                          "_Temperature": 1.0}
        ranges = np.zeros((1, 2))
        if mix is None:
            assert layer.texture is not None
            self.resources["_Bases"] = self.resources["_Features"] = self.resources["_Alpha"] = images([layer.texture])
        else:
            depth = mix.position_features.shape[2]
            features = [mix.position_features[:, :, c:c + 3] for c in range(0, depth, 3)]
            self.resources |= {"_Bases": images(list(mix.bases)), "_Features": images(features),
                               "_Alpha": images([mix.alpha[..., None]])}
            self.constants |= {"_BaseCount": len(mix.bases), "_FeatureCount": depth, "_Hidden": mix.hidden,
                               "_ViewSpace": int(mix.space == "view"), "_Temperature": float(mix.temperature)}
            ranges = np.tile([0.0, 1.0], (depth, 1))
        sampler = kernels.device().create_sampler(mag_filter="linear", min_filter="linear")  # clamps where nothing is said
        self.resources["sampler_linear_clamp"] = sampler, {"sampler": {"type": "filtering"}}
        self.resources["_FeatureRange"] = kernels.upload(ranges.astype(np.float32))

    def pose(self, sequence: Sequence, t: float, camera: Camera, options: RenderOptions) -> PosedMesh:
        """Pose the layer; return what the reference makes of it."""
        frame, posed = sequence.sample(t), deform(self.avatar, sequence, t)
        wanted = posed.layers[self.avatar.layers.index(self.layer)]
        assert isinstance(wanted, PosedMesh)
        shading = np.zeros(1) if wanted.shading_weights is None else wanted.shading_weights
        self.resources["_Shading"] = kernels.upload(shading.astype(np.float32))
        self.resources["_Frame"] = kernels.upload(moment_of(self.avatar, frame, posed.head, camera, options))
        kernel("PoseVertices").run(self.resources, self.constants, -(-self.count // THREADS))
        self.constants |= {"_Picture": [float(camera.width), float(camera.height), 1.0, 0.0],
                           "_Depth": [1.0, -options.near, 0.0, 0.0]}
        return wanted

    def posed(self) -> Float32[np.ndarray, "2 V 3"]:
        """Return vertices and normals."""
        return kernels.download(self.resources["_Posed"], np.float32, 8 * self.count).reshape(2, -1, 4)[..., :3]

    def draw(self, target: Target, exact: bool = True) -> None:
        """Draw the layer over what is there; `exact`: textures are looked up in full precision, not by a sampler."""
        corners = 3 * len(self.layer.faces)
        target.draw("AvatarMesh.shader", "Depth", corners, self.resources, self.constants, clear_depth=True)
        target.draw("AvatarMesh.shader", "Color", corners, self.resources, self.constants,
                    defines=("EXACT_LOOKUP",) if exact else ())
