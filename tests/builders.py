"""Small, deterministic heads, clouds, sequences and avatars that every test may use. No files, no licensed data.

    head = tiny_head()                        a 9 cm ball with a nose, FLAME's five joints, correctives, UVs, eyelids
    tiny_avatar("edge-height")                one avatar per way of riding a head; names in AVATAR_KINDS
    tiny_sequence(head, 5)                    everything moves, cameras included when asked for

The same call gives the same bytes on every machine with the same NumPy.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from formats import byte_tables
from formats.avatar import (
    CHANNELS,
    Avatar,
    BasisMix,
    Dynamics,
    FaceBinding,
    LinearDynamics,
    MeshLayer,
    Meta,
    Network,
    SkinBinding,
    SplatLayer,
    StrandLayer,
)
from formats.camera import Camera, look_at
from formats.coefficient_function import CoefficientFunction
from formats.conventions import ARKIT_52
from formats.gaussians import GaussianCloud
from formats.head_model import ARKIT_TAIL, ROLES, HeadModel
from formats.rotations import normalize
from formats.sequence import Sequence
from formats.uv_maps import UVMaps

RINGS, SIDES = 9, 12
EXPRESSIONS = ("jawDrop", "smile", "pucker", "browInnerUp", "cheekPuff", "frown")
RADIUS = 0.09


def tiny_head(edition: str = "standin", identity: bool = False, correctives: bool = True, uvs: bool = True,
              extra_joints: int = 0) -> HeadModel:
    """Return a closed ball of 110 vertices and 216 faces with everything a FLAME head has, face towards +z.

    Args:
        edition: One of `head_model.EDITIONS`; an `arkit-*` one names its expressions as ARKit does.
        identity: Keep three identity directions, as a head file has and a bundle has not.
        correctives: Give it the 36 pose correctives.
        uvs: Give it texture coordinates (with a seam: more of them than vertices).
        extra_joints: Add a chain of joints `spine0`, ... that no role drives, and store rest joints instead of a
            regressor, as heads that come from a rigged mesh do.
    """
    rng = np.random.default_rng(7)
    v, faces, uv, uv_faces = _ball()
    arkit = edition.startswith("arkit")
    names = ARKIT_52[:int(edition[-2:])] if arkit else EXPRESSIONS
    joints = np.array([[0, -0.08, -0.02], [0, -0.05, -0.02], [0, -0.01, 0.0], [0.03, 0.02, 0.06], [-0.03, 0.02, 0.06]])
    chain = np.array([[0, -0.1 - 0.01 * i, -0.03] for i in range(extra_joints)]).reshape(-1, 3)
    weights = np.stack([_near(v, j, 0.05) for j in (*joints, *chain)], axis=1) + 0.02
    weights /= weights.sum(axis=1, keepdims=True)
    lids = np.stack([np.stack([0 * v[:, 0], -0.01 * _near(v, joints[j], 0.03), 0 * v[:, 0]], 1) for j in (3, 4)], 2)
    arkit_map = rng.normal(0, 0.2, (52, len(names) + ARKIT_TAIL))
    if arkit:
        arkit_map = np.zeros((52, len(names) + ARKIT_TAIL))
        arkit_map[[ARKIT_52.index(n) for n in names], np.arange(len(names))] = 1
    front = np.argsort(-v[:, 2])
    return HeadModel(
        edition=edition,
        v_template=v,
        faces=faces,
        exprdirs=_fields(rng, v, len(names), 0.006),
        lbs_weights=weights,
        parents=np.array([-1, 0, 1, 1, 1] + [0] * bool(extra_joints) + list(range(5, 4 + extra_joints))),
        J_regressor=None if extra_joints else _regressor(v, joints),
        J_template=np.concatenate([joints, chain]) if extra_joints else None,
        posedirs=_fields(rng, v, 36, 0.002) if correctives else None,
        shapedirs=_fields(rng, v, 3, 0.004) if identity else None,
        eyeliddirs=lids,
        expr_names=names,
        joint_names=(*ROLES, *(f"spine{i}" for i in range(extra_joints))),
        joint_roles={role: i for i, role in enumerate(ROLES)},
        uvs=uv if uvs else None,
        uv_faces=uv_faces if uvs else None,
        regions={"face": np.sort(front[:40]), "lip_ring": front[[3, 9, 5, 11]], "neck": np.arange(SIDES) + 1},
        landmarks={"static_lmk_faces_idx": np.arange(5) * 7, "static_lmk_bary_coords": np.full((5, 3), 1 / 3)},
        arkit_map=arkit_map,
    )


def tiny_cloud(n: int = 20, degree: int = 1, size: float = 0.005, seed: int = 1) -> GaussianCloud:
    """Return `n` random Gaussians with spherical harmonics of `degree`; means and scales are about `size`."""
    rng = np.random.default_rng(seed)
    k = (degree + 1) ** 2
    sh = rng.normal(0, 0.15, (n, k, 3))
    sh[:, 0] += rng.uniform(-1, 1, (n, 3))
    return GaussianCloud(
        means=rng.normal(0, size, (n, 3)), quats=normalize(rng.normal(size=(n, 4))),
        scales=size * np.exp(rng.normal(0, 0.4, (n, 3))), opacities=rng.uniform(0.05, 0.98, n), sh=sh)


def tiny_sequence(head: HeadModel | None = None, frames: int = 5, fps: float = 25.0, cameras: bool = False,
                  drivers: bool = True, edition: bool = False, named: bool = True, seed: int = 3) -> Sequence:
    """Return a clip in which every field moves.

    Args:
        head: Whose coefficients it holds; `tiny_head()` when absent.
        frames: How many.
        fps: Frames per second.
        cameras: Let a camera circle the head a little.
        drivers: Add the extra drivers `pose6` [T, 6] and `mood` [T, 1].
        edition: Tie it to the head's content hash.
        named: Name its expressions.
        seed: Of the random numbers.
    """
    head = head or tiny_head()
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 2 * np.pi, frames, endpoint=False)[:, None]

    def wave(width: int, size: float) -> np.ndarray:
        return size * np.sin(t * rng.integers(1, 4, width) + rng.uniform(0, 6, width))

    shots = {}
    if cameras:
        views = [tiny_camera(float(angle)) for angle in 0.3 * np.sin(t[:, 0])]
        shots = {"K": np.stack([c.K for c in views]), "world_to_camera": np.stack([c.world_to_camera for c in views]),
                 "size": np.array([[c.width, c.height] for c in views])}
    return Sequence(
        basis=head.edition, fps=fps, expr=wave(len(head.expr_names), 0.8), rotation=wave(3, 0.3), neck=wave(3, 0.2),
        jaw=wave(3, 0.2), eyes=wave(6, 0.3), eyelids=np.abs(wave(2, 0.9)), translation=wave(3, 0.02),
        shape=rng.normal(size=3), expr_names=head.expr_names if named else (),
        joints={name: wave(3, 0.1) for name in head.joint_names[len(ROLES):]},
        drivers={"pose6": wave(6, 1.0), "mood": wave(1, 1.0)} if drivers else {}, cameras=shots,
        ranges={"start": (0, 1), "all": (0, frames)}, edition=head.content_hash if edition else "")


def tiny_camera(angle: float = 0.0, size: int = 64, distance: float = 0.5) -> Camera:
    """Return a camera that looks at the head's middle from `angle` radians to its left, at a slightly wide picture."""
    eye = (distance * np.sin(angle), 0.02, distance * np.cos(angle))
    return look_at(np.array(eye), np.zeros(3), 0.5, size + size // 4, size)


# --- Avatars ----------------------------------------------------------------------------------------------------------

AVATAR_KINDS: dict[str, str] = {
    "edge-height": "GaussianAvatars: face frame, offsets and splats in units of the face",
    "normal": "FateAvatar: face frame, offset along the unnormalised normal, only splats scale",
    "vertex": "SplattingAvatar: blended vertex rotations, scales by log area ratio, metric offset",
    "vertex-quarter": "SplattingAvatar's own files: the same in units of a quarter metre",
    "vertex-coarse": "the same in units of 60 metres, whose floors reach triangles as large as `tiny_head`'s",
    "corner": "FlashAvatar's Wasserstein variant: a rotation towards the first corner, added",
    "root": "FlashAvatar: the root joint's axes, nothing scales, canonical deltas (here from tables)",
    "world": "FateAvatar's FlashAvatar: world axes, nothing scales (and posed deltas from a network)",
    "plain-face": "face frame in metres",
    "vertex-index": "LAM: one Gaussian per vertex, surface rotation",
    "vertex-index-still": "LAM as its own renderer draws it: no rotation",
    "own-skin": "MonoGaussianAvatar: own blendshapes and weights, no rotation, canonical deltas from a network",
    "own-skin-turning": "Gaussian Head Avatar: own weights that do not sum to 1, quaternions turn",
    "linear": "linear dynamics on the driver itself",
    "linear-network": "linear dynamics whose coefficients a small network gives",
    "fitted": "linear dynamics in bytes whose coefficients a small function gives",
    "mesh-texture": "a mesh layer with a texture",
    "mesh-basis": "two BakedAvatar shells with a radiance basis mixed by a network",
    "mesh-basis-bytes": "the same shells with maps of 8 bits",
    "strands": "hair strands over splats",
    "everything": "splats, a textured mesh and strands, maps, a default clip",
}
"""Every way of riding a head that `tiny_avatar` builds, and the system that does it."""


def tiny_avatar(kind: str = "edge-height", n: int = 24, degree: int = 1, head: HeadModel | None = None,
                sequence: bool = True) -> Avatar:
    """Return a small avatar of one of `AVATAR_KINDS`.

    Args:
        kind: A key of `AVATAR_KINDS`.
        n: How many Gaussians (one per vertex where the kind says so).
        degree: Spherical harmonics.
        head: The head it rides; `tiny_head()` when absent.
        sequence: Give it a default clip of four frames.
    """
    head = head or tiny_head()
    layers, networks = _LAYERS[kind](head, n, degree)
    maps = _maps(head) if kind in ("everything", "mesh-texture") and head.uvs is not None else None
    return Avatar(
        head=head, layers=layers, networks=networks, maps=maps,
        vertex_rgb=_skin_tone(head) if kind in ("everything", "vertex-index") else None,
        sequence=tiny_sequence(head, 4, edition=True) if sequence else None,
        meta=Meta(name=f"tiny {kind}", system="standin", source="builders.py", paper="none",
                  license_notices=("Made by the tests; free for any use.",), tool="flameport tests"))


def tiny_network(head: HeadModel, inputs: tuple[str, ...], outputs: dict[str, tuple[int, ...]],
                 space: str = "canonical", seed: int = 5, size: float = 0.002,
                 widths: dict[str, int] | None = None) -> Network:
    """Return a two-layer perceptron as ONNX (opset 15, fixed batch) from drivers to the named outputs.

    Args:
        head: For the width of `expr`.
        inputs: Driver names.
        outputs: Output name to shape, e.g. `{"delta_means": (24, 3)}`.
        space: Where deltas apply.
        seed: Of its weights.
        size: Scale of what comes out.
        widths: Widths of extra drivers; `pose6` and `mood` of `tiny_sequence` are known.
    """
    known = {"expr": len(head.expr_names), "rotation": 3, "neck": 3, "jaw": 3, "eyes": 6, "eyelids": 2,
             "translation": 3, "pose6": 6, "mood": 1} | (widths or {})
    rng = np.random.default_rng(seed)
    fan, hidden = sum(known[name] for name in inputs), 8
    weights: dict[str, np.ndarray] = {"w1": rng.normal(0, fan ** -0.5, (fan, hidden)), "b1": rng.normal(0, 0.3, hidden)}
    nodes = [helper.make_node("Concat", list(inputs), ["x"], axis=1),
             helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]), helper.make_node("Tanh", ["h"], ["a"])]
    shapes = []
    for i, (name, shape) in enumerate(outputs.items()):
        count = int(np.prod(shape))
        weights |= {f"w2_{i}": size * rng.normal(size=(hidden, count)), f"b2_{i}": size * rng.normal(size=count)}
        shapes.append(numpy_helper.from_array(np.array(shape, np.int64), f"shape_{i}"))
        nodes += [helper.make_node("Gemm", ["a", f"w2_{i}", f"b2_{i}"], [f"y_{i}"]),
                  helper.make_node("Reshape", [f"y_{i}", f"shape_{i}"], [name])]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, known[name]]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()] + shapes)
    model = helper.make_model(graph, producer_name="flameport-tests", opset_imports=[helper.make_opsetid("", 15)],
                              ir_version=8)
    onnx.checker.check_model(model)
    return Network(model.SerializeToString(deterministic=True), tuple(inputs), tuple(outputs), space)


def face_binding(head: HeadModel, n: int, seed: int = 11, unit: float = 1.0, **options: str) -> FaceBinding:
    """Return `n` random points on the head's faces, spread over all of them."""
    rng = np.random.default_rng(seed)
    faces = np.linspace(0, len(head.faces) - 1, n).round().astype(int)
    needs = options.get("frame") == "vertex" or options.get("splat_scale") == "log_area_ratio"
    return FaceBinding(faces, rng.dirichlet([2, 2, 2], n), canonical_vertices=head.v_template if needs else None,
                       unit=unit, **options)


def skin_binding(head: HeadModel, n: int, seed: int = 13, leak: float = 0.0, **options: str) -> SkinBinding:
    """Return own tables for `n` elements; their weights sum to 1 - `leak`."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(len(head.parents), 0.7), n) * (1 - leak)
    return SkinBinding(
        exprdirs=rng.normal(0, 0.003, (n, 3, len(head.expr_names))), posedirs=rng.normal(0, 0.001, (n, 3, 36)),
        eyeliddirs=rng.normal(0, 0.002, (n, 3, 2)), lbs_weights=weights, **options)


Layers = tuple[tuple[SplatLayer | MeshLayer | StrandLayer, ...], dict[str, Network]]

OFFSET_SIZES = {"none": 0.004, "edge_height": 0.2, "double_area": 5.0}
"""Standard deviations of offsets that come out as a few millimetres on `tiny_head`, by `offset_scale`."""


def _face_layer(head: HeadModel, n: int, degree: int, dynamics: Dynamics | None = None, sh_frame: str = "world",
                unit: float = 1.0, **options: str) -> SplatLayer:
    binding = face_binding(head, n, unit=unit, **options)
    cloud = tiny_cloud(n, degree, 0.3 if binding.splat_scale == "edge_height" else 0.004)
    offsets = tiny_cloud(n, 0, OFFSET_SIZES[binding.offset_scale], seed=2).means
    if binding.frame == "vertex" or binding.offset_scale == "double_area":
        offsets = offsets * np.float32([0, 1, 0])
    return SplatLayer(GaussianCloud(offsets, cloud.quats, cloud.scales, cloud.opacities, cloud.sh), binding, dynamics,
                      sh_frame)


def _on_faces(unit: float = 1.0, **options: str) -> Callable[[HeadModel, int, int], Layers]:
    return lambda head, n, degree: ((_face_layer(head, n, degree, unit=unit, **options),), {})


def _world(head: HeadModel, n: int, degree: int) -> Layers:
    outputs = {"delta_means": (n, 3), "delta_rotvecs": (n, 3), "delta_log_scales": (n, 3)}
    network = tiny_network(head, ("expr", "jaw", "eyes", "eyelids"), outputs, "posed")
    layer = _face_layer(head, n, degree, "deformer", "head", frame="none", offset_scale="none", splat_scale="none")
    return (layer,), {"deformer": network}


def _root(head: HeadModel, n: int, degree: int) -> Layers:
    width = len(head.expr_names) + 3
    dynamics = LinearDynamics(_tables(n, width), ("expr", "jaw"))
    return (_face_layer(head, n, degree, dynamics, "head", frame="root", offset_scale="none", splat_scale="none"),), {}


def _on_vertices(rotation: str) -> Callable[[HeadModel, int, int], Layers]:
    def build(head: HeadModel, n: int, degree: int) -> Layers:
        count = len(head.v_template)
        binding = SkinBinding(np.arange(count), rotation=rotation)
        return (SplatLayer(_rest_cloud(head, count, degree), binding),), {}

    return build


def _rest_cloud(head: HeadModel, n: int, degree: int) -> GaussianCloud:
    cloud = tiny_cloud(n, degree)
    pick = np.linspace(0, len(head.v_template) - 1, n).round().astype(int)
    return GaussianCloud(cloud.means + head.v_template[pick], cloud.quats, cloud.scales, cloud.opacities, cloud.sh)


def _own_skin(head: HeadModel, n: int, degree: int) -> Layers:
    outputs = {"delta_means": (n, 3), "delta_opacity_logits": (n, 1), "delta_rgb": (n, 3)}
    networks = {"appearance": tiny_network(head, ("expr", "neck", "jaw", "pose6"), outputs, size=0.02)}
    return (SplatLayer(_rest_cloud(head, n, degree), skin_binding(head, n), "appearance"),), networks


def _own_skin_turning(head: HeadModel, n: int, degree: int) -> Layers:
    binding = skin_binding(head, n, leak=0.15, rotation="skin")
    return (SplatLayer(_rest_cloud(head, n, degree), binding),), {}


def _tables(n: int, rank: int, channels: tuple[str, ...] = tuple(CHANNELS)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(17)
    sizes = {"means": 0.02, "rotvecs": 0.1, "log_scales": 0.1, "opacity_logits": 0.2, "rgb": 0.05}
    return {name: rng.normal(0, sizes[name], (n, rank, CHANNELS[name])) for name in channels}


def _linear(head: HeadModel, n: int, degree: int) -> Layers:
    driver = ("expr", "jaw", "mood")
    width = len(head.expr_names) + 3 + 1
    dynamics = LinearDynamics(_tables(n, width), driver, np.linspace(-0.1, 0.1, width, dtype=np.float32))
    return (_face_layer(head, n, degree, dynamics),), {}


def _linear_network(head: HeadModel, n: int, degree: int) -> Layers:
    network = tiny_network(head, ("expr", "eyelids"), {"coefficients": (1, 4)}, size=0.5)
    dynamics = LinearDynamics(_tables(n, 4, ("means", "rgb")), ("expr", "eyelids"), None, "coefficients", "posed")
    return (_face_layer(head, n, degree, dynamics),), {"coefficients": network}


def _fitted(head: HeadModel, n: int, degree: int) -> Layers:
    rng, rank, hidden, driver = np.random.default_rng(23), 5, 3, ("expr", "jaw", "mood")
    width = len(head.expr_names) + 3 + 1
    high = rng.uniform(0.1, 0.6, width)
    function = CoefficientFunction(
        linear=rng.normal(0, 0.5, (rank, width)), bias=rng.normal(0, 0.3, rank), inner=rng.normal(0, 0.8, (hidden, width)),
        inner_bias=rng.normal(0, 0.3, hidden), outer=rng.normal(0, 0.6, (rank, hidden)), low=-0.7 * high, high=high)
    tables = {name: byte_tables.rounded(table) for name, table in _tables(n, rank).items()}
    dynamics = LinearDynamics(tables, driver, np.linspace(-0.1, 0.1, width, dtype=np.float32), function=function)
    return (_face_layer(head, n, degree, dynamics),), {}


def _shell(head: HeadModel, name: str, thickness: float) -> dict:
    assert head.uvs is not None and head.uv_faces is not None
    normals = normalize(head.v_template.astype(np.float64))
    return {"vertices": head.v_template + thickness * normals, "normals": normals, "faces": head.faces,
            "uvs": head.uvs, "uv_faces": head.uv_faces, "binding": skin_binding(head, len(head.v_template)),
            "name": name}


def _mesh_texture(head: HeadModel, n: int, degree: int) -> Layers:
    texture = np.concatenate([_checks(8, 16), np.full((8, 16, 1), 200 / 255)], axis=2)
    return (MeshLayer(**_shell(head, "skin", 0.001), texture=texture),), {}


def _mesh_basis(head: HeadModel, n: int, degree: int) -> Layers:
    rng = np.random.default_rng(19)
    bases, depth, hidden = 3, 4, 5
    outputs = {"shading_weights": (1, hidden * (depth + 6) + bases * hidden)}
    network = tiny_network(head, ("expr", "rotation", "neck", "jaw"), outputs, size=0.3)
    alpha = rng.uniform(0.2, 1, (8, 16))

    def mix() -> BasisMix:
        features = rng.normal(0, 1, (8, 16, depth))
        return BasisMix(rng.uniform(0, 1, (bases, 8, 16, 3)), alpha, features, "shading", hidden)

    inner = MeshLayer(**_shell(head, "shell0", 0.0), shading=mix(), opaque=True)
    return (inner, MeshLayer(**_shell(head, "shell1", 0.002), shading=mix())), {"shading": network}


def _mesh_basis_bytes(head: HeadModel, n: int, degree: int) -> Layers:
    layers, networks = _mesh_basis(head, n, degree)
    rng = np.random.default_rng(31)

    def bytes_of(layer: MeshLayer) -> MeshLayer:
        mix = layer.shading
        assert mix is not None
        maps = {name: rng.integers(0, 256, getattr(mix, name).shape, np.uint8)
                for name in ("bases", "alpha", "position_features")}
        return dataclasses.replace(layer, shading=dataclasses.replace(mix, **maps))

    return tuple(bytes_of(layer) for layer in layers if isinstance(layer, MeshLayer)), networks


def _strands(head: HeadModel, n: int, degree: int) -> Layers:
    rng = np.random.default_rng(23)
    count, points = 6, 4
    up = np.linspace(0, 1, points)[None, :, None] * np.array([0.1, 1.2, 0.2])
    path = up * rng.uniform(0.5, 1, (count, 1, 1)) + np.cumsum(rng.normal(0, 0.05, (count, points, 3)), axis=1)
    hair = StrandLayer(path - path[:, :1], np.full((count, points), 0.0004), rng.uniform(0.1, 0.4, (count, points, 3)),
                       rng.uniform(0.5, 0.95, (count, points)), face_binding(head, count), "hair", 0.55)
    return (_face_layer(head, n, degree), hair), {}


def _everything(head: HeadModel, n: int, degree: int) -> Layers:
    splats, hair = _strands(head, n, degree)[0]
    return (splats, hair, _mesh_texture(head, n, degree)[0][0]), {}


_LAYERS: dict[str, Callable[[HeadModel, int, int], Layers]] = {
    "edge-height": _on_faces(),
    "normal": _on_faces(offset_scale="double_area"),
    "vertex": _on_faces(frame="vertex", offset_scale="none", splat_scale="log_area_ratio"),
    "vertex-quarter": _on_faces(0.25, frame="vertex", offset_scale="none", splat_scale="log_area_ratio"),
    "vertex-coarse": _on_faces(60.0, frame="vertex", offset_scale="none", splat_scale="log_area_ratio"),
    "corner": _on_faces(frame="corner", offset_scale="none", splat_scale="none"),
    "root": _root,
    "world": _world,
    "plain-face": _on_faces(offset_scale="none", splat_scale="none"),
    "vertex-index": _on_vertices("surface"),
    "vertex-index-still": _on_vertices("none"),
    "own-skin": _own_skin,
    "own-skin-turning": _own_skin_turning,
    "linear": _linear,
    "linear-network": _linear_network,
    "fitted": _fitted,
    "mesh-texture": _mesh_texture,
    "mesh-basis": _mesh_basis,
    "mesh-basis-bytes": _mesh_basis_bytes,
    "strands": _strands,
    "everything": _everything,
}


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Fail unless two nouns are equal bit for bit, naming the first field that differs."""
    assert type(a) is type(b), f"{where}: {type(a).__name__} and {type(b).__name__}"
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape, f"{where}: {a.dtype} {a.shape}, {b.dtype} {b.shape}"
        assert a.tobytes() == b.tobytes(), f"{where}: values differ"
    elif isinstance(a, Mapping):
        assert list(a) == list(b), f"{where}: {list(a)} and {list(b)}"
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key}]")
    elif isinstance(a, tuple):
        assert len(a) == len(b), f"{where}: {len(a)} and {len(b)} entries"
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b, f"{where}: {a!r} and {b!r}"


# --- Shapes -----------------------------------------------------------------------------------------------------------


def _ball() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices, faces, UVs and UV faces of a ball with a nose; seam at the back, poles top and bottom."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, RINGS + 2)
    longitude = np.linspace(-np.pi, np.pi, SIDES + 1)
    ring, side = np.meshgrid(latitude[1:-1], longitude[:-1], indexing="ij")
    v = np.stack([np.cos(ring) * np.sin(side), np.sin(ring), np.cos(ring) * np.cos(side)], -1).reshape(-1, 3)
    v = np.concatenate([[[0, -1, 0]], v, [[0, 1, 0]]]) * [0.8, 1.15, 0.95] * RADIUS
    v[:, 2] += 0.02 * np.exp(-((v[:, 0] / 0.015) ** 2 + ((v[:, 1] + 0.005) / 0.02) ** 2)) * (v[:, 2] > 0)
    row, column = np.meshgrid(np.arange(RINGS + 2), np.arange(SIDES + 1), indexing="ij")
    uv = np.stack([column / SIDES, 1 - row / (RINGS + 1)], -1).reshape(-1, 2) * 0.96 + 0.02
    faces, uv_faces = [], []

    def vertex(r: int, c: int) -> int:
        return 0 if r == 0 else len(v) - 1 if r == RINGS + 1 else 1 + (r - 1) * SIDES + c % SIDES

    for r in range(RINGS + 1):
        for c in range(SIDES):
            low, high = [(r, c), (r, c + 1), (r + 1, c + 1)], [(r, c), (r + 1, c + 1), (r + 1, c)]
            for corners in (low, high):
                ids = [vertex(*corner) for corner in corners]
                if len(set(ids)) == 3:
                    faces.append(ids)
                    uv_faces.append([a * (SIDES + 1) + b for a, b in corners])
    return v, np.array(faces), uv, np.array(uv_faces)


def _near(v: np.ndarray, centre: np.ndarray, reach: float) -> np.ndarray:
    return np.exp(-np.sum((v - centre) ** 2, axis=1) / (2 * reach**2))


def _fields(rng: np.random.Generator, v: np.ndarray, count: int, size: float) -> np.ndarray:
    """Return smooth displacement fields [V, 3, count], strongest in front."""
    waves = np.cos(v @ rng.normal(0, 30, (3, count)) + rng.uniform(0, 6, count))
    front = 0.3 + 0.7 * (v[:, 2] > 0)
    return size * waves[:, None] * rng.normal(0, 0.6, (3, count)) * front[:, None, None]


def _regressor(v: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Return [J, V] that hits the joints exactly, with rows that sum to 1: least change from nearby means."""
    near = np.stack([_near(v, j, 0.04) for j in joints])
    near /= near.sum(axis=1, keepdims=True)
    system = np.concatenate([v.T, np.ones((1, len(v)))])
    wanted = np.concatenate([joints.T, np.ones((1, len(joints)))])
    return near + (np.linalg.pinv(system) @ (wanted - system @ near.T)).T


def _checks(height: int, width: int) -> np.ndarray:
    """Return an sRGB chequerboard [H, W, 3] of whole 8-bit levels."""
    row, column = np.mgrid[:height, :width]
    on = ((row + column) % 2)[..., None]
    return (np.array([190, 120, 90]) + on * np.array([40, 60, 80])) / np.float32(255)


def _skin_tone(head: HeadModel) -> np.ndarray:
    return np.clip(0.6 + 3 * head.v_template, 0, 1)


def _maps(head: HeadModel) -> UVMaps:
    rng = np.random.default_rng(29)
    mask = np.ones((16, 16), bool)
    mask[:2] = False
    return UVMaps({"albedo": _checks(16, 16), "offset": rng.normal(0, 0.003, (16, 16, 1))}, mask)
