"""What the C# core makes of an avatar for the shaders, as unity_sample/ci/player.py makes it: for FrameTests.cs."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from formats.avatar import Avatar, SplatLayer
from formats.camera import Camera
from formats.codecs import glb_avatar, sequence_json
from formats.codecs.packed_texels import pack
from formats.deform import PosedSplats, deform, deform_head
from formats.render import RenderOptions, project
from formats.sequence import Sequence
from tests.builders import tiny_camera
from unity_sample.ci.player import key_range, moment_of, records_of, rings_of

NAMES = ("corner", "edge-height", "fitted", "linear-canonical", "linear-posed", "own-skin", "own-skin-turning-posed-lids",
         "plain-face-many-joints", "vertex", "vertex-index-surface")
MOMENT, NEAR, FAR = 1.5, 0.05, 30.0
MIRROR = np.diag([-1.0, 1, 1, 1])


def engine_matrices(camera: Camera, rng: np.random.Generator) -> dict[str, Any]:
    """Return what Unity would say of a camera: matrices, row-major, of a device with reversed depth that flips pictures."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    place = np.eye(4)
    place[:3, :3], place[:3, 3] = turn * np.sign(np.linalg.det(turn)), rng.normal(size=3)
    view = np.eye(4)
    view[:3] = camera.world_to_camera[:3]
    to_camera = np.diag([1.0, -1, -1, 1]) @ view @ MIRROR @ np.linalg.inv(place)
    w, h, k = camera.width, camera.height, camera.K
    lens = np.array([[2 * k[0, 0] / w, 0, 1 - 2 * k[0, 2] / w, 0], [0, 2 * k[1, 1] / h, 2 * k[1, 2] / h - 1, 0],
                     [0, 0, -(FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)], [0, 0, -1, 0]])
    device = lens.copy()
    device[1] *= -1
    device[2] = (lens[3] - lens[2]) / 2
    return {"localToWorld": place.ravel().tolist(), "worldToCamera": to_camera.ravel().tolist(),
            "projection": lens.ravel().tolist(), "deviceProjection": device.ravel().tolist(), "width": w, "height": h,
            "near": NEAR, "nearest": 1.0, "farthest": 0.0}


def ellipses_of(avatar: Avatar, sequence: Sequence, camera: Camera) -> list[list[float]]:
    """Return what the reference sees, back to front: place 2, depth, covariance 3, colour 3, opacity."""
    rows = []
    for layer in deform(avatar, sequence, MOMENT).layers:
        assert isinstance(layer, PosedSplats)
        seen = project(layer.cloud, camera, RenderOptions(near=NEAR), layer.sh_rotation)
        rows.append(np.column_stack([seen.means2d, seen.depths, seen.covariances, seen.rgb, seen.opacities])[seen.visible])
    found = np.concatenate(rows)
    return found[np.argsort(-found[:, 2], kind="stable")].tolist()


def plan_of(avatar: Avatar, turned: list[int], bits: int) -> list[list[Any]]:
    """Return the dispatches of a frame: kernel, record, groups, shift."""
    def groups(count: int) -> int:
        return -(-count // 64)

    clouds = [(i + 1, len(layer.cloud)) for i, layer in enumerate(avatar.layers) if isinstance(layer, SplatLayer)]
    vertices, tiles = groups(len(avatar.head.v_template)), -(-sum(n for _, n in clouds) // 1024)
    steps: list[list[Any]] = [["PoseVertices", 0, vertices, 0]]
    steps += [["TurnVertices", record, vertices, 0] for record in turned]
    steps += [["PoseSplats", record, groups(n), 0] for record, n in clouds]
    steps += [["ProjectSplats", record, groups(n), 0] for record, n in clouds]
    for shift in range(0, bits, 8):
        steps += [["CountDigits", 0, tiles, shift], ["ScanDigits", 0, 32, shift], ["Scatter", 0, tiles, shift]]
    return steps


def write(golden: Path, folder: Path) -> None:
    """Write, for each of NAMES, the fixed rows of both variants, the rows of a moment, and what a camera sees."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(11)
    for name in NAMES:
        avatar = glb_avatar.read(golden / "posing" / f"{name}.glb")
        sequence = sequence_json.read(golden / "posing" / f"{name}.clip.json")
        camera, options = tiny_camera(0.4, 64, 1.2), RenderOptions(near=NEAR)
        said: dict[str, Any] = {"moment": MOMENT, "camera": engine_matrices(camera, rng)}
        for variant in ("float", "half"):
            records = records_of(pack(avatar, variant))
            said[variant] = {"records": records.rows.ravel().tolist(), "posed": records.posed, "total": records.total,
                             "turned": records.turned}
        frame, posed = sequence.sample(MOMENT), deform_head(avatar.head, sequence.sample(MOMENT))
        for bits in (16, 32):
            span = key_range(avatar.head, posed, camera) if bits == 16 else (0.0, 0.0)
            said[f"frame{bits}"] = moment_of(avatar, frame, posed, camera, options, span).ravel().tolist()
            said[f"plan{bits}"] = plan_of(avatar, said["half"]["turned"], bits)
        said["rings"] = rings_of(avatar.head).tolist()
        said["ellipses"] = ellipses_of(avatar, sequence, camera)
        (folder / f"{name}.json").write_text(json.dumps(said))
