"""Takes a picture of a flameport GLB in Blender, of its textured head as any glTF viewer shows it.

    scripts/blender scripts/blender_picture.py X.glb --out X.png [--frame N] [--size PX] [--camera CAM.json]

Runs in Blender's own Python, so it knows nothing of flameport: a GLB in, a PNG out.
"""

import argparse
import json
import math
import sys

import bpy
from mathutils import Matrix, Vector

FROM_GLTF = Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 0), (0, 0, 0, 1)))
"""glTF's y points up, Blender's z."""
FROM_OPENCV = Matrix.Diagonal((1, -1, -1, 1))
"""Camera axes: OpenCV looks along z with y down, Blender along -z with y up."""
FIELD_OF_VIEW = math.radians(25)
SAMPLES = 16
"""Rays per pixel: nothing is lit, so they only smooth edges."""


def load(path):
    """Open a GLB in an empty scene and return the meshes that its scene shows, skinned, free to go as far as the clip does."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    # One frame is one second: the clip's rate is in flameport's part of the file, which Blender does not read.
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 1, 1.0
    bpy.ops.import_scene.gltf(filepath=path)
    for each in bpy.context.scene.objects:
        # The importer hides the file's other scenes from the eye only.
        each.hide_render = not each.visible_get()
    shown = [each for each in bpy.context.scene.objects if each.type == "MESH" and not each.hide_render
             and any(modifier.type == "ARMATURE" for modifier in each.modifiers)]
    if not shown:
        raise SystemExit(f"{path}: no skinned mesh in the scene that the file opens with; exported with --shows splats?")
    for mesh in shown:
        for key in mesh.data.shape_keys.key_blocks[1:] if mesh.data.shape_keys else ():
            # Blender clamps animated shape keys to their sliders, and its importer leaves most at 0 to 1.
            key.slider_min, key.slider_max = -10, 10
    return shown


def key_times():
    """Return the keys of the clip, seconds; [0] where there is no clip."""
    curves = [curve for action in bpy.data.actions for layer in action.layers for strip in layer.strips
              for bag in strip.channelbags for curve in bag.fcurves]
    return sorted({point.co.x for point in curves[0].keyframe_points}) if curves else [0.0]


def place(shown, camera):
    """Put the scene's camera where CAM.json says (OpenCV, metres, glTF's world), or before the face."""
    scene = bpy.context.scene
    lens = bpy.data.cameras.new("camera")
    scene.camera = bpy.data.objects.new("camera", lens)
    scene.collection.objects.link(scene.camera)
    lens.clip_start = 0.01
    lens.sensor_fit = "HORIZONTAL"
    if camera is None:
        sides = list(zip(*(corner for mesh in shown for corner in mesh.bound_box), strict=True))
        middle = Vector([(min(side) + max(side)) / 2 for side in sides])
        half = max(max(side) - min(side) for side in sides) / 2
        distance = half / math.tan(FIELD_OF_VIEW / 2) * 1.25
        scene.camera.matrix_world = Matrix.Translation(middle + Vector((0, -distance, 0))) @ Matrix.Rotation(math.pi / 2, 4, "X")
        lens.angle = FIELD_OF_VIEW
        return
    with open(camera, encoding="utf-8") as file:
        told = json.load(file)
    (fx, _, cx), (_, fy, cy), _ = told["K"]
    width, height = told["width"], told["height"]
    lens.lens = fx * lens.sensor_width / width
    lens.shift_x, lens.shift_y = (width / 2 - cx) / width, (cy - height / 2) / width * fx / fy
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = max(1, fy / fx), max(1, fx / fy)
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.camera.matrix_world = FROM_GLTF @ Matrix(told["world_to_camera"]).inverted() @ FROM_OPENCV


def draw(out):
    """Render on white; colours are display sRGB, as they are in the texture."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = SAMPLES, False, False
    # A pixel is the mean over its own square, and nothing outside.
    scene.cycles.pixel_filter_type = "BOX"
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    scene.render.dither_intensity = 0
    scene.world = bpy.data.worlds.new("white")
    if scene.world.node_tree is None:  # before Blender 5
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"
    scene.render.filepath = out
    bpy.ops.render.render(write_still=True)


def main():
    """Read the command line, load, pose, draw."""
    parser = argparse.ArgumentParser(description="A picture of a GLB's textured head, by Blender.")
    parser.add_argument("glb")
    parser.add_argument("--out", required=True, help="PNG to write")
    parser.add_argument("--frame", type=int, default=0, help="key of the clip, from 0")
    parser.add_argument("--size", type=int, default=512, help="pixels across, without --camera")
    parser.add_argument("--camera", help="a flameport camera.json instead of a view from the front")
    words = parser.parse_args()
    shown, scene = load(words.glb), bpy.context.scene
    times = key_times()
    if not 0 <= words.frame < len(times):
        raise SystemExit(f"--frame {words.frame}: the clip of {words.glb} has {len(times)} keys")
    scene.frame_set(math.floor(times[words.frame]), subframe=times[words.frame] % 1)
    scene.render.resolution_x = scene.render.resolution_y = words.size
    scene.render.resolution_percentage = 100
    place(shown, words.camera)
    draw(words.out)


if __name__ == "__main__":
    sys.exit(main())
