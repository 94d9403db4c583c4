"""A reader that is not ours opens our GLB: pygltflib."""

from pathlib import Path

import numpy as np
import pygltflib

from exporter.targets import glb
from tests.builders import tiny_avatar


def test_pygltflib_reads_the_same_numbers(tmp_path: Path) -> None:
    avatar = tiny_avatar("everything")
    avatar = type(avatar)(avatar.head, avatar.layers[:1], maps=avatar.maps)
    glb.write(avatar, tmp_path / "x.glb", glb.Options(grade="full"))
    gltf = pygltflib.GLTF2().load(str(tmp_path / "x.glb"))
    assert gltf is not None
    primitive = gltf.meshes[0].primitives[0]
    accessor = gltf.accessors[primitive.attributes.POSITION]
    view, blob = gltf.bufferViews[accessor.bufferView], gltf.binary_blob()
    start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
    positions = np.frombuffer(blob, "<f4", 3 * accessor.count, start).reshape(-1, 3)
    count = len(avatar.head.v_template)
    np.testing.assert_array_equal(positions[:count], avatar.head.v_template)
    assert gltf.meshes[0].extras["targetNames"][:len(avatar.head.expr_names)] == list(avatar.head.expr_names)
    assert "KHR_gaussian_splatting" in gltf.extensionsUsed and not gltf.extensionsRequired
    assert len(gltf.scenes) == 2
