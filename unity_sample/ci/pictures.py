"""Passes of the Unity package's .shader files, drawn on the CPU driver."""

import functools
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from unity_sample.ci.kernels import SHADERS, bindings, compile_shader, device, library
from unity_sample.ci.spirv import in_group, reflect

FORMATS = {"half": ("rgba16float", np.float16), "float": ("rgba32float", np.float32)}


@functools.cache
def programs(shader: str) -> dict[str, dict[str, str]]:
    """Return, per pass of a ShaderLab file, its HLSL and the names of its vertex and fragment functions and its states."""
    text = (SHADERS / shader).read_text()
    found = {}
    for part in text.split("Pass\n")[1:]:
        name = re.search(r'Name "(\w+)"', part)
        body = re.search(r"HLSLPROGRAM(.*?)ENDHLSL", part, re.S)
        assert name and body, f"{shader}: a pass without a name or a program"
        said = dict(re.findall(r"#pragma (vertex|fragment) (\w+)", body[1]))
        states = dict(re.findall(r"^ +(Cull|ZWrite|ZTest|Blend|ColorMask) (.+)$", part[:body.start()], re.M))
        found[name[1]] = {"code": body[1], **said, **states}
    return found


@functools.cache
def compiled_pass(shader: str, name: str, defines: tuple[str, ...]) -> tuple[bytes, bytes]:
    program = programs(shader)[name]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{name}.hlsl"
        source.write_text(program["code"])
        return (compile_shader(source, program["vertex"], "vert", defines),
                in_group(compile_shader(source, program["fragment"], "frag", defines), 1))


class Target:
    """A picture of half floats, or of floats, with a depth buffer."""

    def __init__(self, width: int, height: int, depth: str = "half") -> None:
        wgpu = library()
        self.width, self.height = width, height
        self.format, self.dtype = FORMATS[depth]
        usage = wgpu.TextureUsage.RENDER_ATTACHMENT | wgpu.TextureUsage.COPY_SRC | wgpu.TextureUsage.TEXTURE_BINDING
        self.color = device().create_texture(size=(width, height, 1), format=self.format, usage=usage)
        self.depth = device().create_texture(size=(width, height, 1), format="depth32float",
                                             usage=wgpu.TextureUsage.RENDER_ATTACHMENT)

    def read(self) -> Float32[np.ndarray, "H W 4"]:
        """Return the picture."""
        row = 4 * np.dtype(self.dtype).itemsize * self.width
        data = device().queue.read_texture({"texture": self.color}, {"bytes_per_row": row}, (self.width, self.height, 1))
        return np.frombuffer(data, self.dtype).reshape(self.height, self.width, 4).astype(np.float32)

    def clear(self, color: tuple[float, float, float, float]) -> None:
        """Fill the picture."""
        encoder = device().create_command_encoder()
        encoder.begin_render_pass(color_attachments=[{"view": self.color.create_view(), "clear_value": color,
                                                      "load_op": "clear", "store_op": "store"}]).end()
        device().queue.submit([encoder.finish()])

    def draw(self, shader: str, name: str, vertices: int, resources: Mapping[str, Any], constants: Mapping[str, Any],
             clear: tuple[float, float, float, float] | None = None, clear_depth: bool = False,
             defines: tuple[str, ...] = ()) -> None:
        """Draw `vertices` vertices of a pass over what is there, or over `clear`; the pass's own states apply."""
        wgpu = library()
        program, stages = programs(shader)[name], compiled_pass(shader, name, defines)
        layouts, groups = [], []
        for code, visibility in zip(stages, (wgpu.ShaderStage.VERTEX, wgpu.ShaderStage.FRAGMENT), strict=True):
            layout, entries = bindings(reflect(code), resources, constants, visibility, f"{shader}: {name}")
            layouts.append(device().create_bind_group_layout(entries=layout))
            groups.append(device().create_bind_group(layout=layouts[-1], entries=entries))
        over = {"src_factor": "one", "dst_factor": "one-minus-src-alpha", "operation": "add"}
        fragment = {"format": self.format, "write_mask": 0 if program.get("ColorMask") == "0" else 0xF}
        if "Blend" in program:
            fragment["blend"] = {"color": over, "alpha": over}
        compare = {"LEqual": "less-equal", "Always": "always", "Equal": "equal"}[program.get("ZTest", "LEqual")]
        vertex, paint = (reflect(code).entry for code in stages)
        pipeline = device().create_render_pipeline(
            layout=device().create_pipeline_layout(bind_group_layouts=layouts),
            vertex={"module": device().create_shader_module(code=stages[0]), "entry_point": vertex, "buffers": []},
            primitive={"topology": "triangle-list", "front_face": "cw",
                       "cull_mode": {"Off": "none", "Back": "back", "Front": "front"}[program.get("Cull", "Back")]},
            depth_stencil={"format": "depth32float", "depth_write_enabled": program.get("ZWrite", "On") == "On",
                           "depth_compare": compare},
            fragment={"module": device().create_shader_module(code=stages[1]), "entry_point": paint, "targets": [fragment]})
        encoder = device().create_command_encoder()
        run = encoder.begin_render_pass(
            color_attachments=[{"view": self.color.create_view(), "clear_value": clear or (0, 0, 0, 0),
                                "load_op": "clear" if clear else "load", "store_op": "store"}],
            depth_stencil_attachment={"view": self.depth.create_view(), "depth_clear_value": 1.0,
                                      "depth_load_op": "clear" if clear or clear_depth else "load", "depth_store_op": "store"})
        run.set_pipeline(pipeline)
        for i, group in enumerate(groups):
            run.set_bind_group(i, group)
        run.draw(vertices)
        run.end()
        device().queue.submit([encoder.finish()])


def picture_of(player: Any, order: Any, width: int, height: int, depth: str = "half") -> Float32[np.ndarray, "H W 4"]:
    """Return the premultiplied display sRGB picture of a player's Gaussians, on nothing."""
    target = Target(width, height, depth)
    target.draw("Avatar.shader", "Splats", 3 * player.records.total,
                {"_Order": order, "_EllipsesIn": player.buffers["_Ellipses"]},
                {"_Picture": [float(width), float(height), 1.0, 0.0], "_Depth": [0.5, 0.0, 0.0, 0.0], "_Linear": 0.0},
                clear=(0, 0, 0, 0))
    return target.read()


def texture_of(rows: Float32[np.ndarray, "R 4"], width: int = 2048) -> tuple[Any, Mapping[str, Any]]:
    """Return rows of four floats as a texture `width` wide that shaders read with Load."""
    wgpu = library()
    height = -(-len(rows) // width)
    texture = device().create_texture(size=(width, height, 1), format="rgba32float",
                                      usage=wgpu.TextureUsage.TEXTURE_BINDING | wgpu.TextureUsage.COPY_DST)
    data = np.zeros((height * width, 4), np.float32)
    data[:len(rows)] = rows
    device().queue.write_texture({"texture": texture}, data.tobytes(), {"bytes_per_row": 16 * width}, (width, height, 1))
    return texture.create_view(), TEXTURE


def fallback_picture(rows: Float32[np.ndarray, "R 4"], width: int, height: int,
                     depth: str = "half") -> Float32[np.ndarray, "H W 4"]:
    """Return the picture of ellipses, three rows each, back to front, as devices without compute shaders draw it."""
    target = Target(width, height, depth)
    target.draw("AvatarFallback.shader", "Splats", len(rows), {"_EllipseTexels": texture_of(rows)},
                {"_Picture": [float(width), float(height), 1.0, 0.0], "_Depth": [0.5, 0.0, 0.0, 0.0], "_Linear": 0.0},
                clear=(0, 0, 0, 0))
    return target.read()


TEXTURE = {"texture": {"sample_type": "unfilterable-float", "view_dimension": "2d"}}
"""Layout of a texture that shaders read with Load."""
