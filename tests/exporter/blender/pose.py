"""Plays the clip of a GLB in Blender and writes where it puts the head. Runs in Blender's own Python, knows nothing of ours.

    PYTHON pose.py FILE.glb REQUEST.json OUT.npz

REQUEST holds `seconds`, and `fps` of the scene. OUT holds `vertices` and `as_imported` [T, V, 3], metres, glTF's axes, and
`told`, JSON. The second is before the sliders of the shape keys were widened, see `widen_sliders`.
"""

import json
import sys

import bpy
import numpy as np

TO_GLTF = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)
"""Blender's z points up, glTF's y; both face the viewer with what is then left."""


def find_head():
    """Return the mesh that has shape keys or an armature; the importer also leaves a sphere to draw bones with."""
    found = [each for each in bpy.context.scene.objects if each.type == "MESH"
             and any(modifier.type == "ARMATURE" for modifier in each.modifiers)]
    if len(found) != 1:
        raise SystemExit(f"expected one skinned mesh in the open scene, found {[each.name for each in found]}")
    return found[0]


def widen_sliders(head):
    """Let shape keys go where the clip wants them.

    Blender clamps a shape key to its slider, also when it is animated. The importer of Blender 5.0 widens sliders of 0 to 1
    for the first key of a clip only, so coefficients that go below 0 or above 1 later are cut off.
    """
    for key in head.data.shape_keys.key_blocks[1:] if head.data.shape_keys else ():
        key.slider_min, key.slider_max = -10, 10  # as far as Blender lets them go


def evaluated(head):
    """Return the vertices [V, 3] that Blender itself would draw now: shape keys, then the armature, then the object."""
    posed = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = posed.to_mesh()
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    world = np.array(posed.matrix_world, np.float64)
    posed.to_mesh_clear()
    return (flat.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]) @ TO_GLTF.T


def describe(head):
    """Return what a user finds: scenes, objects, shape keys and their sliders, bones, the material's nodes, the clip."""
    keys = head.data.shape_keys.key_blocks[1:] if head.data.shape_keys else []
    material = head.data.materials[0]
    rig = next(modifier.object for modifier in head.modifiers if modifier.type == "ARMATURE")
    return {
        "version": bpy.app.version_string,
        "scenes": {scene.name: sorted(each.name for each in scene.objects) for scene in bpy.data.scenes},
        "open": bpy.context.scene.name,
        "shape_keys": [key.name for key in keys],
        "sliders": [[key.slider_min, key.slider_max] for key in keys],
        "bones": [bone.name for bone in rig.data.bones],
        "clips": {action.name: list(action.frame_range) for action in bpy.data.actions},
        "nodes": sorted(node.type for node in material.node_tree.nodes),
        "images": [[image.name, *image.size, image.colorspace_settings.name] for image in bpy.data.images if image.size[0]],
    }


def main(path, request, out):
    """Import, play, write."""
    with open(request, encoding="utf-8") as file:
        wanted = json.load(file)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    # Blender counts frames, and turns glTF's seconds into them when it imports.
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = wanted["fps"], 1.0
    bpy.ops.import_scene.gltf(filepath=path)
    head, start = find_head(), min(action.frame_range[0] for action in bpy.data.actions)

    def play():
        posed = []
        for time in wanted["seconds"]:
            frame = start + time * wanted["fps"]
            scene.frame_set(int(frame), subframe=frame - int(frame))
            posed.append(evaluated(head))
        return np.stack(posed)

    told, as_imported = describe(head), play()
    widen_sliders(head)
    np.savez(out, vertices=play(), as_imported=as_imported, told=json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:4])
