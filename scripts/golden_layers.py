"""The cases of tests/golden/layers: mesh layers, strands, networks and a decoder, for readers of GLB in other languages."""

import dataclasses
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from exporter.targets import glb  # noqa: E402
from formats import networks  # noqa: E402
from formats.avatar import Avatar, BasisMix, LinearDynamics, MeshLayer, SkinBinding, SplatLayer  # noqa: E402
from formats.camera import Camera  # noqa: E402
from formats.codecs import glb_avatar, sequence_json  # noqa: E402
from formats.codecs.glb import read_document  # noqa: E402
from formats.deform import Posed, PosedMesh, PosedSplats, deform, deform_splats, driver_values  # noqa: E402
from formats.files import replacing, write_bytes  # noqa: E402
from formats.head_model import HeadModel  # noqa: E402
from formats.onnx_graph import OnnxGraph  # noqa: E402
from formats.render import RenderOptions, render_avatar  # noqa: E402
from formats.rotations import normalize  # noqa: E402
from formats.sequence import Sequence  # noqa: E402
from formats.spherical_harmonics import evaluate_sh  # noqa: E402
from tests.builders import skin_binding, tiny_avatar, tiny_camera, tiny_head, tiny_network, tiny_sequence  # noqa: E402

FOLDER = ROOT / "tests" / "golden" / "layers"
GRADES = ("plain", "small")
MOMENTS = (0, 1.25, 3)
"""Fractional frame indices of the clip."""
PICTURED = (0, 1.25)
FRAMES = 4
DIGITS = 7


def _waves(rows: int, columns: int, channels: int, seed: int) -> np.ndarray:
    """Return smooth maps [rows, columns, channels] between 0.05 and 0.95."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[0:rows, 0:columns] / [[[rows]], [[columns]]]
    phase, pace = rng.uniform(0, 6, (2, channels)), rng.integers(1, 3, (2, channels))
    return 0.5 + 0.45 * np.sin(6.28 * u[..., None] * pace[0] + phase[0]) * np.cos(3.14 * v[..., None] * pace[1] + phase[1])


def _shell(head: HeadModel, name: str, thickness: float, mix: BasisMix, opaque: bool, leak: float) -> MeshLayer:
    assert head.uvs is not None and head.uv_faces is not None
    own = skin_binding(head, len(head.v_template), seed=len(name), leak=leak)
    sparse = head.lbs_weights * np.float32(1 - leak) if opaque else own.lbs_weights
    binding = SkinBinding(exprdirs=head.exprdirs[:, :, :4], posedirs=own.posedirs, eyeliddirs=own.eyeliddirs, lbs_weights=sparse)
    normals = normalize(head.v_template.astype(np.float64))
    return MeshLayer(vertices=head.v_template + thickness * normals, normals=normals, faces=head.faces, uvs=head.uvs,
                     uv_faces=head.uv_faces, binding=binding, shading=mix, opaque=opaque, name=name)


def _shells() -> Avatar:
    """Return two shells: four expressions of six, one with maps of bytes and weights that leak, one with features of a range."""
    head = tiny_head(correctives=False)
    bases, depth, hidden = 3, 4, 5
    weights = {"shading_weights": (1, hidden * (depth + 6 + bases))}
    network = tiny_network(head, ("expr", "jaw", "eyes", "mood"), weights, size=0.3)
    maps = [np.stack([_waves(24, 32, 3, 10 * i + k) for k in range(bases)]) for i in range(2)]
    features = [_waves(24, 32, depth, 50 + i) for i in range(2)]
    alpha = _waves(24, 32, 1, 71)[..., 0]
    inner = BasisMix(np.round(maps[0] * 255).astype(np.uint8), np.full((24, 32), 255, np.uint8),
                     np.round(features[0] * 255).astype(np.uint8), "shading", hidden, 4.0)
    outer = BasisMix(maps[1], alpha, 4 * features[1] - 2, "shading", hidden, 3.0, "world")
    layers = (_shell(head, "inner", 0.0, inner, True, 0.0), _shell(head, "outer", 0.004, outer, False, 0.2))
    return Avatar(head, layers, {"shading": network})


def _hair() -> Avatar:
    return dataclasses.replace(tiny_avatar("strands", n=12, head=tiny_head(correctives=False, uvs=False)), maps=None)


def _together() -> Avatar:
    """Return splats, strands and a textured mesh with lids that are added after skinning, over a head with a texture."""
    head = dataclasses.replace(tiny_head(correctives=False), eyelid_space="posed")
    return tiny_avatar("everything", n=12, head=head)


def _deformed() -> Avatar:
    """Return splats that a network moves in posed space, after a look at where they are."""
    head, n = tiny_head(correctives=False, uvs=False), 12
    avatar = tiny_avatar("world", n=n, head=head)
    graph = OnnxGraph()
    means, expr = graph.input("posed_means", n, 3), graph.input("expr", 1, len(head.expr_names))
    rng = np.random.default_rng(4)
    bent = graph("Tanh", graph("Add", graph("MatMul", means, rng.normal(0, 8, (3, 6))), graph("MatMul", expr, rng.normal(
        0, 0.5, (len(head.expr_names), 6)))))
    for name, width, size in (("delta_means", 3, 0.003), ("delta_rotvecs", 3, 0.2), ("delta_log_scales", 3, 0.2),
                              ("delta_opacity_logits", 1, 0.5), ("delta_rgb", 3, 0.1)):
        graph.output(name, graph("MatMul", bent, rng.normal(0, size, (6, width))))
    return dataclasses.replace(avatar, networks={"deformer": graph.network("posed")})


def _own_skin() -> Avatar:
    return tiny_avatar("own-skin", n=12, head=tiny_head(uvs=False))


def _coefficients() -> Avatar:
    """Return linear dynamics whose coefficients a network makes out of the driver less its mean."""
    avatar = tiny_avatar("linear-network", n=12, head=tiny_head(correctives=False, uvs=False))
    layer = avatar.layers[0]
    assert isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics)
    mean = np.linspace(-0.2, 0.3, len(avatar.head.expr_names) + 2, dtype=np.float32)
    moved = dataclasses.replace(layer, dynamics=dataclasses.replace(layer.dynamics, driver_mean=mean))
    return dataclasses.replace(avatar, layers=(moved,))


def _decoded() -> Avatar:
    """Return splats with four features, and a decoder that makes two by two pixels of each of the feature image's."""
    head, n, channels = tiny_head(correctives=False, uvs=False), 12, 4
    avatar = tiny_avatar("plain-face", n=n, head=head)
    moves = OnnxGraph()
    taken = [moves.input("expr", 1, len(head.expr_names)), moves.input("jaw", 1, 3)]
    rng = np.random.default_rng(6)
    hidden = moves("Tanh", moves("MatMul", moves("Concat", *taken, axis=1), rng.normal(0, 0.5, (len(head.expr_names) + 3, 8))))
    for name, width, size, rest in (("delta_means", 3, 0.002, 0.0), ("features", channels, 0.4, 0.0)):
        flat = moves("Add", moves("MatMul", hidden, rng.normal(0, size, (8, n * width))), np.full((1, n * width), rest))
        moves.output(name, moves("Reshape", flat, np.array([n, width])))
    network = moves.network("posed")
    graph = OnnxGraph()
    image = graph("Conv", graph.input("features", 1, channels, "h", "w"), rng.normal(0.03, 0.15, (12, channels, 3, 3)),
                  rng.normal(0, 0.05, 12), pads=[1, 1, 1, 1])
    graph.output("image", graph("Sigmoid", graph("DepthToSpace", image, blocksize=2)))
    layer = avatar.layers[0]
    assert isinstance(layer, SplatLayer)
    layer = dataclasses.replace(layer, dynamics="features", cloud=dataclasses.replace(layer.cloud, scales=layer.cloud.scales * 4))
    return dataclasses.replace(avatar, layers=(layer,), networks={"features": network, "upsampler": graph.network()},
                               decoder="upsampler", decoder_scale=2)


CASES: dict[str, Callable[[], Avatar]] = {
    "shells": _shells, "hair": _hair, "together": _together, "deformed": _deformed, "own-skin": _own_skin,
    "coefficients": _coefficients, "decoded": _decoded}
"""Avatars that between them have every kind of layer and of network."""


def clip_of(avatar: Avatar) -> Sequence:
    """Return the clip that drives a case."""
    return tiny_sequence(avatar.head, FRAMES, seed=9)


def camera() -> Camera:
    """Return the camera of the golden pictures and of the view directions of colours: 120 x 96 pixels."""
    return tiny_camera(0.4, 96)


def made(name: str, grade: str) -> bytes:
    """Return a case's file."""
    avatar = dataclasses.replace(CASES[name](), sequence=None)
    avatar = dataclasses.replace(avatar, sequence=clip_of(avatar))
    return glb.to_bytes(avatar, glb.Options(grade=grade))  # type: ignore[arg-type]


def read(data: bytes) -> Avatar:
    """Return what Python reads in a case's file."""
    return glb_avatar.from_document(read_document(data))


def golden_frames(avatar: Avatar) -> dict[str, Any]:
    """Return what a case's JSON holds: the camera, and per moment the head, every layer, and what networks are given and give."""
    sequence, view = clip_of(avatar), camera()
    frames = []
    for t in MOMENTS:
        posed = deform(avatar, sequence, t)
        frames.append({"t": t, "vertices": _numbers(posed.head.vertices), "layers": [_layer(each, view) for each in posed.layers],
                       "networks": _networks(avatar, posed, sequence.sample(t))})
    return {"camera": {"K": view.K.tolist(), "world_to_camera": view.world_to_camera.tolist(), "width": view.width,
                       "height": view.height}, "near": RenderOptions().near, "pictures": list(PICTURED), "frames": frames}


def _layer(layer: PosedSplats | PosedMesh, view: Camera) -> dict[str, Any]:
    if isinstance(layer, PosedMesh):
        return {"name": layer.name, "vertices": _numbers(layer.vertices), "normals": _numbers(layer.normals)}
    cloud = layer.cloud
    directions = normalize(cloud.means.astype(np.float64) - view.position) @ layer.sh_rotation
    return {"name": layer.name, "means": _numbers(cloud.means), "quats": _numbers(cloud.quats), "scales": _numbers(cloud.scales),
            "opacities": _numbers(cloud.opacities), "rgb": _numbers(evaluate_sh(cloud.sh, directions))}


def _networks(avatar: Avatar, posed: Posed, frame: Sequence) -> dict[str, Any]:
    """Return inputs and outputs of each network at a moment; not the decoder's, whose picture is there."""
    found = {}
    for name, network in avatar.networks.items():
        if name == avatar.decoder:
            continue
        feed = dict(driver_values(tuple(n for n in network.inputs if n != "posed_means"), avatar.head, frame))
        for layer in avatar.layers:
            dynamics = getattr(layer, "dynamics", None)
            if dynamics == name and "posed_means" in network.inputs:
                assert isinstance(layer, SplatLayer)
                still = dataclasses.replace(layer, dynamics=None)
                feed["posed_means"] = deform_splats(still, avatar, posed.head, frame).cloud.means
            elif isinstance(dynamics, LinearDynamics) and dynamics.driver_mean is not None:
                start = 0
                for driver in network.inputs:
                    width = feed[driver].shape[1]
                    feed[driver] = feed[driver] - dynamics.driver_mean[None, start:start + width]
                    start += width
        both = {"inputs": feed, "outputs": networks.evaluate(network, feed)}
        found[name] = {side: {key: _numbers(value) for key, value in each.items()} for side, each in both.items()}
    return found


def _numbers(value: np.ndarray) -> list[float]:
    return [float(f"{x:.{DIGITS}g}") for x in np.asarray(value, np.float64).ravel()]


def picture(avatar: Avatar, t: float) -> np.ndarray:
    """Return the reference picture at a moment, on white, in 8 bits [H, W, 3]."""
    rgb = render_avatar(avatar, clip_of(avatar), t, camera()).rgb
    return np.round(rgb * 255).astype(np.uint8)


def write(folder: Path) -> None:
    """Write every case in both grades, what a reader in Python makes of it, and pictures, to `folder`."""
    for name in CASES:
        for grade in GRADES:
            data, stem = made(name, grade), f"{name}.{grade}"
            avatar = read(data)
            write_bytes(folder / f"{stem}.glb", data)
            write_bytes(folder / f"{stem}.json", (json.dumps(golden_frames(avatar), separators=(",", ":")) + "\n").encode())
            for t in PICTURED:
                stream = io.BytesIO()
                Image.fromarray(picture(avatar, t)).save(stream, "PNG", optimize=True)
                write_bytes(folder / f"{stem}.{t:g}.png", stream.getvalue())
        with replacing(folder / f"{name}.clip.json") as temporary:
            sequence_json.write(clip_of(read(made(name, "plain"))), temporary)
