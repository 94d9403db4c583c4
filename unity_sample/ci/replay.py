"""A recorded play of the Unity package (dotnet/Stage.cs on stand-ins) done again on a CPU Vulkan driver with the package's shaders.

The trace says what the engine would have told the card. Here it is told to wgpu on lavapipe, as strictly as a card could be: every
buffer that a shader reads is bound, alive, of the element size that the shader declares and no larger than the hardware takes.
"""

import functools
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from unity_sample.ci import kernels
from unity_sample.ci.kernels import MOST_BUFFERS, SHADERS, Kernel, bindings, device, library
from unity_sample.ci.pictures import compiled_pass, programs
from unity_sample.ci.spirv import reflect

COLOR = {"ARGBHalf": "rgba16float", "DefaultHDR": "rgba16float", "ARGBFloat": "rgba32float", "ARGB32": "rgba8unorm",
         "Default": "rgba8unorm"}
TEXELS = {"RGBAFloat": ("rgba32float", 16), "RGBAHalf": ("rgba16float", 8), "RGBA32": ("rgba8unorm", 4), "RFloat": ("r32float", 4)}
ELEMENTS = {"float4": 16, "uint4": 16, "int4": 16, "float2": 8, "uint2": 8, "float": 4, "uint": 4, "int": 4}
DTYPES = {"rgba16float": np.float16, "rgba32float": np.float32, "rgba8unorm": np.uint8}


class Mistake(Exception):
    """Something that a card or the engine would refuse, or do nothing about."""


@functools.cache
def elements() -> dict[str, int]:
    """Return bytes of an element of each structured buffer that the shaders declare, by name."""
    found: dict[str, int] = {}
    for path in sorted([*SHADERS.glob("*.hlsl"), *SHADERS.glob("*.shader"), *SHADERS.glob("*.compute")]):
        for kind, name in re.findall(r"StructuredBuffer<(\w+)>\s+(\w+)\s*;", path.read_text()):
            assert found.setdefault(name, ELEMENTS[kind]) == ELEMENTS[kind], f"{name} is declared in two ways"
    return found


@functools.cache
def kernel(shader: str, name: str) -> Kernel:
    """Return a kernel, compiled once."""
    return Kernel(name, SHADERS / shader)


PIPELINES: dict[str, tuple[list[Any], Any]] = {}
"""Layouts and pipelines of passes, by all that they depend on: making one takes longer than drawing with it."""


@dataclass(eq=False)
class Picture:
    """What a camera showed at the end of its drawing."""

    camera: str
    frame: int
    rgba: Float32[np.ndarray, "H W 4"]
    """Row 0 on top, whichever way up the device had it."""


@dataclass(eq=False)
class Block:
    """A buffer on the card."""

    buffer: Any
    count: int
    stride: int


@dataclass(eq=False)
class Surface:
    """A picture on the card: a render target, or a texture that was filled."""

    width: int
    height: int
    format: str
    color: Any = None
    depth: Any = None
    layers: int = 1
    filter: str = "Point"
    clear: tuple[float, ...] | None = None
    """Colour that the next draw begins with."""
    clear_depth: float | None = None
    drawn: bool = False


@dataclass(eq=False)
class Replay:
    """Does a trace again.

    With `exact`, targets have floats, whatever the trace says: this driver cuts half floats off where cards round, and what is
    left is the arithmetic.
    """

    folder: Path
    exact: bool = True
    buffers: dict[int, Block] = field(default_factory=dict)
    surfaces: dict[int, Surface] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    """How often each operation came, and each kernel and pass."""
    uploaded: int = 0
    """Bytes."""
    unset: set[str] = field(default_factory=set)
    """Constants that draws read and nobody set: the engine makes them 0."""
    answers: list[bytes] = field(default_factory=list)
    """What was read back, in order."""

    def run(self) -> "Replay":
        """Do everything.

        Raises:
            Mistake: With the line and what is wrong.
        """
        self.data = (self.folder / "trace.bin").read_bytes()
        self.reversed = True
        self.target: tuple[int, int] = (0, 0)
        self.viewport: list[float] | None = None
        for number, line in enumerate((self.folder / "trace.jsonl").read_text().splitlines(), 1):
            said = json.loads(line)
            self.counts[said["op"]] += 1
            try:
                getattr(self, f"_{said['op']}")(said)
            except (Mistake, ValueError) as error:
                raise Mistake(f"line {number}: {said['op']}: {error}") from error
        return self

    def _bytes(self, said: dict[str, Any]) -> bytes:
        return self.data[said["at"]:said["at"] + said["bytes"]]

    # Memory

    def _buffer(self, said: dict[str, Any]) -> None:
        self.buffers[said["id"]] = Block(kernels.empty(said["count"] * said["stride"]), said["count"], said["stride"])

    def _upload(self, said: dict[str, Any]) -> None:
        data = self._bytes(said)
        device().queue.write_buffer(self.buffers[said["id"]].buffer, said["offset"], data)
        self.uploaded += len(data)

    def _free(self, said: dict[str, Any]) -> None:
        if self.buffers.pop(said["id"], None) is None:
            self.surfaces.pop(said["id"], None)

    def _target(self, said: dict[str, Any]) -> None:
        wgpu = library()
        only_depth = said["format"] == "Depth"
        kind = "depth" if only_depth else "rgba32float" if self.exact else COLOR[said["format"]]
        made = Surface(said["width"], said["height"], kind)
        size = (made.width, made.height, 1)
        if not only_depth:
            made.color = device().create_texture(size=size, format=kind, usage=wgpu.TextureUsage.RENDER_ATTACHMENT
                                                 | wgpu.TextureUsage.COPY_SRC | wgpu.TextureUsage.TEXTURE_BINDING)
        if said["depth"]:
            made.depth = device().create_texture(size=size, format="depth32float", usage=wgpu.TextureUsage.RENDER_ATTACHMENT)
        self.surfaces[said["id"]] = made

    def _texture(self, said: dict[str, Any]) -> None:
        wgpu = library()
        if said["format"] not in TEXELS:
            raise Mistake(f"a texture of format {said['format']}, which the replay does not know")
        kind, texel = TEXELS[said["format"]]
        if kind == "rgba8unorm" and not said["linear"]:
            kind = "rgba8unorm-srgb" if self.linear_project else kind
        size = (said["width"], said["height"], said["layers"])
        known = self.surfaces.get(said["id"])
        if known is None or (known.width, known.height, known.layers) != size:
            known = self.surfaces[said["id"]] = Surface(size[0], size[1], kind, layers=size[2])
            known.color = device().create_texture(size=size, format=kind,
                                                  usage=wgpu.TextureUsage.TEXTURE_BINDING | wgpu.TextureUsage.COPY_DST)
        known.filter = said["filter"]
        device().queue.write_texture({"texture": known.color}, self._bytes(said),
                                     {"bytes_per_row": texel * size[0], "rows_per_image": size[1]}, size)

    # What cameras do

    linear_project = False

    def _camera(self, said: dict[str, Any]) -> None:
        self.reversed, self.linear_project = said["reversedZ"], said["linear"]

    def _set(self, said: dict[str, Any]) -> None:
        self.target, self.viewport = (said["target"], said["depth"]), None

    def _viewport(self, said: dict[str, Any]) -> None:
        surface = self.surfaces[self.target[0]]
        if said["area"] != [0, 0, surface.width, surface.height]:
            raise Mistake(f"a viewport of {said['area']} on {surface.width} x {surface.height} pixels")

    def _clear(self, said: dict[str, Any]) -> None:
        color, depth = (self.surfaces.get(number) for number in self.target)
        if said["color"] and color is not None:
            color.clear = tuple(said["value"])
        if said["depth"] and depth is not None:
            # The engine turns the number round where depth runs from far to near.
            depth.clear_depth = 1 - said["number"] if self.reversed else said["number"]

    def _mesh(self, said: dict[str, Any]) -> None:
        pass  # scene meshes, which are drawn by shaders of the engine

    def _present(self, said: dict[str, Any]) -> None:
        surface = self.surfaces[said["target"]]
        self._begin(surface, None)
        if surface.clear is not None:
            self._pass(surface, None).end()
            self._submit()
        rgba = self._pixels(surface)
        self.pictures.append(Picture(said["name"], said["frame"], rgba[::-1] if said["flipped"] else rgba))

    def _readback(self, said: dict[str, Any]) -> None:
        if said["format"] == "buffer":
            data = bytes(device().queue.read_buffer(self.buffers[said["id"]].buffer, said["offset"], said["bytes"]))
        else:
            # As it lies in memory: the engine turns nothing round either.
            rgba = self._pixels(self.surfaces[said["id"]])
            if said["format"] == "RGBAFloat":
                data = rgba.astype("<f4").tobytes()
            else:
                channels = {"RGB24": 3, "RGBA32": 4}[said["format"]]
                data = np.round(np.clip(rgba[..., :channels], 0, 1) * 255).astype(np.uint8).tobytes()
        self.answers.append(data)

    def write_answers(self, path: Path) -> Path:
        """Write what was read back for a second play (Headless/Readbacks.cs)."""
        path.write_bytes(b"".join(len(data).to_bytes(4, "little") + data for data in self.answers))
        return path

    def _pixels(self, surface: Surface) -> Float32[np.ndarray, "H W 4"]:
        """Return a target as it lies in memory."""
        dtype = DTYPES[surface.format]
        # Rows begin at multiples of 256 bytes.
        row = -(-4 * np.dtype(dtype).itemsize * surface.width // 256) * 256
        data = device().queue.read_texture({"texture": surface.color}, {"bytes_per_row": row, "rows_per_image": surface.height},
                                           (surface.width, surface.height, 1))
        rows = np.frombuffer(data, dtype).reshape(surface.height, -1)[:, :4 * surface.width]
        return rows.reshape(surface.height, surface.width, 4).astype(np.float32) / (255 if dtype == np.uint8 else 1)

    # Work

    def _resources(self, said: dict[str, Any], reads: set[str]) -> dict[str, Any]:
        """Return what is bound under the names that a shader reads, checked."""
        found: dict[str, Any] = {}
        for name, number in said["buffers"].items():
            if name not in reads:
                continue
            if number < 0 or number not in self.buffers:
                raise Mistake(f"{name}: buffer {abs(number)} was released")
            block = self.buffers[number]
            if block.stride != elements()[name]:
                raise Mistake(f"{name}: elements of {block.stride} bytes; the shader declares {elements()[name]}")
            found[name] = block.buffer
        for name, number in said["textures"].items():
            if name not in reads:
                continue
            if number not in self.surfaces:
                raise Mistake(f"{name}: picture {number} was released")
            if number in self.target and self.surfaces[number].color is not None and number == self.target[0] and "pass" in said:
                raise Mistake(f"{name} is read while it is drawn into")
            found[name] = self._texture_of(self.surfaces[number])
        for name in reads:
            if name.startswith("sampler"):
                filtering = "linear" if "linear" in name else "nearest"
                address = "clamp-to-edge" if "clamp" in name else "repeat"
                sampler = device().create_sampler(mag_filter=filtering, min_filter=filtering, address_mode_u=address,
                                                  address_mode_v=address)
                found[name] = sampler, {"sampler": {"type": "filtering" if filtering == "linear" else "non-filtering"}}
        return found

    def _texture_of(self, surface: Surface) -> Any:
        array = surface.layers > 1 or surface.format == "rgba8unorm"
        sample = "float" if surface.format.startswith("rgba8") or surface.format == "rgba16float" else "unfilterable-float"
        return (surface.color.create_view(dimension="2d-array" if array else "2d"),
                {"texture": {"sample_type": sample, "view_dimension": "2d-array" if array else "2d"}})

    def _dispatch(self, said: dict[str, Any]) -> None:
        name = said["kernel"]
        self.counts[name] += 1
        made = kernel(said["shader"], name)
        reads = {slot for slot in made.reflection.slots if slot != "$Globals"}
        resources = self._resources(said, reads)
        writes = [slot.name for slot in made.reflection.slots.values() if slot.sort == "write"]
        for slot in writes:
            if sum(resources.get(other) is resources.get(slot) for other in reads if other in resources) > 1:
                raise Mistake(f"{name}: {slot} is bound a second time")
        if said["groups"][1:] != [1, 1]:
            raise Mistake(f"{name}: {said['groups']} groups; the kernels have one dimension")
        self._check_sizes(said, reads)
        made.run(resources, said["constants"], said["groups"][0])

    def _check_sizes(self, said: dict[str, Any], reads: set[str]) -> None:
        """Fail where buffers are smaller than what Shaders/README.md says that the kernel touches."""
        values, name, groups = said["constants"], said["kernel"], said["groups"][0]
        held = {key: self.buffers[number].count for key, number in said["buffers"].items() if key in reads}
        need: dict[str, int] = {}
        if name in ("CountDigits", "ScanDigits", "Scatter"):
            count = values["_Count"]
            tiles = -(-count // 1024)
            need = {key: count for key in ("_KeysIn", "_KeysOut", "_ValuesIn", "_ValuesOut")}
            need |= {"_Places": 256 * (tiles + 1), "_PlacesIn": 256 * (tiles + 1)}
            if groups != (32 if name == "ScanDigits" else tiles):
                raise Mistake(f"{name}: {groups} groups for {count} numbers")
        elif name in ("PoseSplats", "ProjectSplats"):
            rows = np.frombuffer(device().queue.read_buffer(self.buffers[said["buffers"]["_Records"]].buffer), np.uint32).reshape(-1, 4)
            count, first = rows[16 * int(values.get("_Record", 0)), :2].tolist()
            need = {"_World": 4 * (first + count), "_WorldIn": 4 * (first + count), "_Ellipses": 3 * (first + count),
                    "_Keys": values.get("_Total", 0)}
            if groups != -(-count // 64) or (name == "ProjectSplats" and first + count > values.get("_Total", 1 << 32)):
                raise Mistake(f"{name}: {groups} groups for {count} Gaussians of {values.get('_Total')}")
        for key, least in need.items():
            if key in held and held[key] < least:
                raise Mistake(f"{name}: {key} has {held[key]} elements; it takes {least}")

    def _draw(self, said: dict[str, Any]) -> None:
        shader, name = said["shader"], said["pass"]
        self.counts[f"{shader}: {name}"] += 1
        if said["topology"] != "Triangles" or said["instances"] != 1:
            raise Mistake(f"{said['instances']} instances of {said['topology']}; the shaders take triangles by vertex number")
        if said["target"] != self.target[0]:
            raise Mistake("the trace lost its target")
        wgpu = library()
        code, program = compiled_pass(shader, name, ()), programs(shader)[name]
        reflections = [reflect(part) for part in code]
        reads = {slot for part in reflections for slot in part.slots if slot != "$Globals"}
        resources = self._resources(said, reads)
        color, depth = self.surfaces[said["target"]], self.surfaces.get(said["depth"])
        depth = depth if depth is not None and depth.depth is not None else None
        said_layouts, said_entries = [], []
        for part, visibility in zip(reflections, (wgpu.ShaderStage.VERTEX, wgpu.ShaderStage.FRAGMENT), strict=True):
            if sum(slot.sort in ("read", "write") for slot in part.slots.values()) > MOST_BUFFERS:
                raise Mistake(f"{shader}: {name}: more than {MOST_BUFFERS} buffers in a stage")
            unset = {constant: 0 for constant in part.offsets if constant not in said["constants"]}
            self.unset |= set(unset)
            layout, entries = bindings(part, resources, said["constants"] | unset, visibility, f"{shader}: {name}")
            said_layouts.append(layout)
            said_entries.append(entries)
        # The engine turns winding round with the picture: what is front stays front.
        flipped = said["constants"].get("_Picture", [0, 0, 1])[2] < 0
        key = repr((shader, name, color.format, depth is None, flipped, self.reversed, said_layouts))
        if key not in PIPELINES:
            layouts = [device().create_bind_group_layout(entries=layout) for layout in said_layouts]
            PIPELINES[key] = layouts, self._pipeline(program, code, reflections, layouts, color, depth, flipped)
        layouts, pipeline = PIPELINES[key]
        run = self._pass(color, depth)
        run.set_pipeline(pipeline)
        for i, entries in enumerate(said_entries):
            run.set_bind_group(i, device().create_bind_group(layout=layouts[i], entries=entries))
        run.draw(said["vertices"])
        run.end()
        self._submit()

    def _pipeline(self, program: dict[str, str], code: tuple[bytes, bytes], reflections: list[Any], layouts: list[Any],
                  color: Surface, depth: Surface | None, flipped: bool) -> Any:
        over = {"src_factor": "one", "dst_factor": "one-minus-src-alpha", "operation": "add"}
        target = {"format": color.format, "write_mask": 0 if program.get("ColorMask") == "0" else 0xF}
        if "Blend" in program:
            target["blend"] = {"color": over, "alpha": over}
        compare = {"LEqual": "less-equal", "Always": "always", "Equal": "equal"}[program.get("ZTest", "LEqual")]
        if self.reversed:
            compare = compare.replace("less", "greater")
        return device().create_render_pipeline(
            layout=device().create_pipeline_layout(bind_group_layouts=layouts),
            vertex={"module": device().create_shader_module(code=code[0]), "entry_point": reflections[0].entry, "buffers": []},
            primitive={"topology": "triangle-list", "front_face": "ccw" if flipped else "cw",
                       "cull_mode": {"Off": "none", "Back": "back", "Front": "front"}[program.get("Cull", "Back")]},
            depth_stencil=None if depth is None else {
                "format": "depth32float", "depth_write_enabled": program.get("ZWrite", "On") == "On", "depth_compare": compare},
            fragment={"module": device().create_shader_module(code=code[1]), "entry_point": reflections[1].entry,
                      "targets": [target]})

    def _begin(self, color: Surface, depth: Surface | None) -> None:
        for surface in (color, depth):
            if surface is not None and not surface.drawn and surface.clear is None and surface.clear_depth is None:
                surface.clear = (0.0, 0.0, 0.0, 0.0) if surface.color is not None else None
                surface.clear_depth = 0.0 if surface.depth is not None else None

    def _pass(self, color: Surface, depth: Surface | None) -> Any:
        self._begin(color, depth)
        self.encoder = device().create_command_encoder()
        attachments: dict[str, Any] = {"color_attachments": [{
            "view": color.color.create_view(), "clear_value": color.clear or (0, 0, 0, 0),
            "load_op": "load" if color.clear is None else "clear", "store_op": "store"}]}
        color.clear, color.drawn = None, True
        if depth is not None:
            attachments["depth_stencil_attachment"] = {
                "view": depth.depth.create_view(), "depth_clear_value": depth.clear_depth or 0.0,
                "depth_load_op": "load" if depth.clear_depth is None else "clear", "depth_store_op": "store"}
            depth.clear_depth, depth.drawn = None, True
        return self.encoder.begin_render_pass(**attachments)

    def _submit(self) -> None:
        device().queue.submit([self.encoder.finish()])
