"""The file of the Unity package's self-test: avatars' tables, every kernel's steps, and what the reference says comes out.

    python unity_sample/ci/self_test.py           writes Editor/SelfTest/SelfTest.bytes in the package

It is a container like a small asset's (`exporter/UNITY.md`) with grade `self-test`. `Core/SelfTest/SelfTestFile.cs` reads it;
what is in it is said there. Expected numbers are from `formats.deform` and `formats.render`, never from a shader.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from formats.avatar import Avatar  # noqa: E402
from formats.camera import Camera  # noqa: E402
from formats.codecs import glb_avatar, sequence_json, unity_avatar  # noqa: E402
from formats.codecs.packed_texels import pack  # noqa: E402
from formats.codecs.packed_texels_reader import read  # noqa: E402
from formats.codecs.unity_file import UnityFile, parse  # noqa: E402
from formats.conventions import sh_to_rgb  # noqa: E402
from formats.deform import PosedSplats, deform, deform_head  # noqa: E402
from formats.render import RenderOptions, default_camera, project, render_avatar  # noqa: E402
from formats.sequence import Sequence  # noqa: E402
from formats.standin.avatar import standin_avatar  # noqa: E402
from unity_sample.ci.kernels import DIGIT_GROUPS, SORT_DIGITS, SORT_TILE  # noqa: E402
from unity_sample.ci.player import THREADS, moment_of, records_of, rings_of  # noqa: E402

OUT = ROOT / "unity_sample/Packages/com.flameport.avatar/Editor/SelfTest/SelfTest.bytes"
GOLDEN = ROOT / "tests/golden/posing"
TRIANGLES = "linear-posed", "vertex", "own-skin-turning-posed-lids"
"""Golden avatars: face frames with linear dynamics; turns around vertices; own tables with turns, and lids after skinning."""
GAUSSIANS, EXPRESSIONS, MOMENT = 3000, 3, 118.0
"""Of the portrait: enough for a face, few enough for a file that everybody downloads; the moment has a blink and speech."""
SIZE = 128
"""Pixels of the picture, each way."""
SORTED = 150_000
"""Keys of the sort that is timed: as many Gaussians as large avatars have."""


class Builder:
    """What goes into the file, as it is put together."""

    def __init__(self) -> None:
        self.chunks: dict[str, bytes] = {}
        self.buffers: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []
        self.checks: list[dict[str, Any]] = []

    def buffer(self, name: str, rows: int, stride: int, data: np.ndarray | None = None, **more: Any) -> str:
        """Add a buffer of zeros, or of `data`, and return its name."""
        entry = {"name": name, "rows": max(rows, 1), "stride": stride, **more}
        if data is not None:
            entry["chunk"] = self.chunk(name, data)
        self.buffers.append(entry)
        return name

    def chunk(self, name: str, data: np.ndarray) -> str:
        """Add an array's bytes and return the chunk's name."""
        self.chunks[name] = np.ascontiguousarray(data).tobytes()
        return name

    def step(self, kernel: str, groups: int, buffers: dict[str, str], **constants: int) -> None:
        """Add a dispatch."""
        self.steps.append({"kernel": kernel, "groups": groups, "buffers": buffers, "constants": constants})

    def check(self, name: str, kernel: str, buffer: str, expected: np.ndarray, bound: float, at: int = 0, every: int = 0,
              kind: str = "near") -> None:
        """Compare rows of `expected`, [N, width], with floats `at`, ... of every `every` of a buffer; NaN is skipped."""
        values = np.ascontiguousarray(expected, np.float32)
        self.checks.append({"name": name, "kernel": kernel, "buffer": buffer, "kind": kind, "bound": bound, "at": at,
                            "every": every or values.shape[1], "width": values.shape[1],
                            "chunk": self.chunk(f"expected{len(self.checks)}", values)})

    def sort(self, prefix: str, keys: str, count: int) -> str:
        """Add the steps that sort numbers by 32-bit keys and return the buffer of numbers."""
        tiles = -(-count // SORT_TILE)
        both = [keys, self.buffer(f"{prefix}.otherKeys", count, 4)]
        values = [self.buffer(f"{prefix}.values{i}", count, 4) for i in range(2)]
        places = self.buffer(f"{prefix}.places", SORT_DIGITS * (tiles + 1), 4)
        for i in range(4):
            one, other = i % 2, (i + 1) % 2
            bound = {"_KeysIn": both[one], "_KeysOut": both[other], "_ValuesIn": values[one], "_ValuesOut": values[other],
                     "_Places": places, "_PlacesIn": places}
            used = {"CountDigits": ("_KeysIn", "_Places"), "ScanDigits": ("_Places",),
                    "Scatter": ("_KeysIn", "_KeysOut", "_ValuesIn", "_ValuesOut", "_PlacesIn")}
            for kernel, groups in (("CountDigits", tiles), ("ScanDigits", DIGIT_GROUPS), ("Scatter", tiles)):
                self.step(kernel, groups, {name: bound[name] for name in used[kernel]}, _Count=count, _Shift=8 * i)
        return values[0]


def scene(made: Builder, prefix: str, avatar: Avatar, frame: Sequence, camera: Camera, inside: str = "") -> str:
    """Add an avatar at one moment to `made`: its buffers, the steps that pose it, what comes out; return the buffer of the order.

    Args:
        made: What the file is made of.
        prefix: Begins the names of its buffers.
        avatar: Of splat layers.
        frame: One frame.
        camera: For the projection.
        inside: Chunk that is a small asset whose texels these are; stored beside otherwise.
    """
    packed, options = pack(avatar, "half"), RenderOptions()
    held = read(packed)
    records, posed, head = records_of(packed), deform(held, frame, 0), deform_head(held.head, frame)
    total, vertices = records.total, len(held.head.v_template)
    texels = np.frombuffer(packed.data, np.uint8)
    names = {
        "_Texels": made.buffer(f"{prefix}.texels", len(texels) // 16, 16, None if inside else texels,
                               **({"chunk": inside, "inside": "texels"} if inside else {})),
        "_Records": made.buffer(f"{prefix}.records", len(records.rows), 16, records.rows),
        "_Rings": made.buffer(f"{prefix}.rings", len(rings := rings_of(held.head)), 4, rings),
        "_Frame": made.buffer(f"{prefix}.frame", len(moment := moment_of(held, frame, head, camera, options)), 16, moment),
        "_Posed": made.buffer(f"{prefix}.posed", records.posed, 16), "_World": made.buffer(f"{prefix}.world", 4 * total, 16),
        "_Ellipses": made.buffer(f"{prefix}.ellipses", 3 * total, 16), "_Keys": made.buffer(f"{prefix}.keys", total, 4)}
    names["_WorldIn"] = names["_World"]
    made.step("PoseVertices", -(-vertices // THREADS), used(names, "PoseVertices"), _Record=0)
    for record in records.turned:
        made.step("TurnVertices", -(-vertices // THREADS), used(names, "TurnVertices"), _Record=record)
    made.check(f"{prefix}: head vertices, metres", "PoseVertices", names["_Posed"], head.vertices, 1e-5, 0, 4)
    at = 0
    for i, layer in enumerate(posed.layers):
        assert isinstance(layer, PosedSplats)
        cloud = layer.cloud
        groups = -(-len(cloud) // THREADS)
        made.step("PoseSplats", groups, used(names, "PoseSplats"), _Record=i + 1)
        made.step("ProjectSplats", groups, used(names, "ProjectSplats"), _Record=i + 1, _Total=total)
        # A Gaussian smaller than a micrometre shows no rotation.
        quats = np.where(cloud.scales.max(axis=1, keepdims=True) > 1e-6, cloud.quats, np.nan)
        kernel = "TurnVertices, PoseSplats" if i + 1 in records.turned else "PoseSplats"
        for name, values, bound, row, kind in (
                ("means, metres", cloud.means, 1e-5, 0, "near"), ("opacities", cloud.opacities[:, None], 2e-5, 3, "near"),
                ("rotations, quaternions", quats, 1e-4, 4, "turn"), ("scales, relative", cloud.scales, 2e-4, 8, "relative"),
                ("colours", sh_to_rgb(cloud.sh[:, 0]), 2e-5, 12, "near")):
            made.check(f"{prefix}: {name}", kernel, names["_World"], values, bound, 16 * at + row, 16, kind)
        seen = project(cloud, camera, options, layer.sh_rotation)
        for name, values, bound, row in (("places, pixels", seen.means2d, 2e-3, 0),
                                         ("depths, metres", seen.depths[:, None], 1e-5, 3),
                                         ("seen colours and opacities", np.column_stack([seen.rgb, seen.opacities]), 3e-5, 8)):
            values = np.where(seen.visible[:, None], values, np.nan)
            made.check(f"{prefix}: {name}", "ProjectSplats", names["_Ellipses"], values, bound, 12 * at + row, 12)
        at += len(cloud)
    return made.sort(prefix, names["_Keys"], total)


def used(names: dict[str, str], kernel: str) -> dict[str, str]:
    """Return the buffers that a kernel has, by their names in HLSL."""
    wanted = {"PoseVertices": "_Texels _Records _Frame _Posed", "TurnVertices": "_Texels _Records _Rings _Posed",
              "PoseSplats": "_Texels _Records _Frame _Posed _World",
              "ProjectSplats": "_Texels _Records _Frame _WorldIn _Ellipses _Keys"}
    return {name: names[name] for name in wanted[kernel].split()}


def portrait() -> tuple[Avatar, Sequence]:
    """Return the avatar that is drawn, without what nothing draws, and its frame."""
    from exporter.targets import glb  # Only this command needs it.

    whole = standin_avatar(GAUSSIANS)
    less = glb.limited(dataclasses.replace(whole, maps=None), glb.Options(max_expressions=EXPRESSIONS))
    assert less.sequence is not None
    bare = dataclasses.replace(less, head=dataclasses.replace(less.head, arkit_map=None), sequence=None, vertex_rgb=None)
    names = less.head.expr_names
    frame = less.sequence.sample(MOMENT)
    given = frame.expr_names or whole.head.expr_names
    return bare, dataclasses.replace(frame, expr=frame.expr[:, [given.index(name) for name in names]], expr_names=names)


def build() -> bytes:
    """Return the file."""
    made = Builder()
    for name in TRIANGLES:
        avatar = glb_avatar.read(GOLDEN / f"{name}.glb")
        clip = sequence_json.read(GOLDEN / f"{name}.clip.json")
        scene(made, name, avatar, clip.sample(1.5), default_camera(avatar, SIZE, SIZE))
    face, frame = portrait()
    made.chunks["portrait"] = unity_avatar.to_bytes(face)
    held = unity_avatar.parse(made.chunks["portrait"], "the portrait")
    assert parse(made.chunks["portrait"], "").chunks["texels"] == pack(face, "half").data
    camera = default_camera(face, SIZE, SIZE)
    order = scene(made, "portrait", face, frame, camera, "portrait")
    picture = render_avatar(held, frame, 0, camera).rgb
    made.chunks["picture"] = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8).tobytes()
    keys = made.buffer("large.keys", SORTED, 4, pattern="keys")
    values = made.sort("large", keys, SORTED)
    made.checks.append({"name": f"order of {SORTED} keys, numbers at a wrong place", "kernel": "CountDigits, ScanDigits, Scatter",
                        "buffer": values, "kind": "sorted", "bound": 0})
    fields = ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation")
    said = {"grade": "self-test", "buffers": made.buffers, "steps": made.steps, "checks": made.checks,
            "picture": {"chunk": "picture", "width": SIZE, "height": SIZE, "order": order, "ellipses": "portrait.ellipses",
                        "total": len(held.layers[0].cloud), "bound": 45.0},  # pyright: ignore[reportAttributeAccessIssue]
            "player": {"chunk": "portrait", "bound": 42.0, "worldToCamera": camera.world_to_camera.ravel().tolist(),
                       "focal": float(camera.K[1, 1]),
                       "pose": {name: getattr(frame, name)[0].astype(float).tolist() for name in fields}}}
    return UnityFile(said, made.chunks).to_bytes(frozenset({"portrait"}))


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(build())
    sys.stdout.write(f"{OUT.relative_to(ROOT)}: {OUT.stat().st_size} bytes\n")
