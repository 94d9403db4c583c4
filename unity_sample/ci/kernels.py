"""The Unity package's shaders on a CPU: compiled by glslang, run by wgpu on Mesa's lavapipe. For tests and benchmarks only.

A kernel's buffers are bound by their HLSL names and its constants are set by name, as Unity does, so a misspelt one is found.
"""

import functools
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unity_sample.ci.spirv import Reflection, reflect

SHADERS = Path(__file__).parents[1] / "Packages" / "com.flameport.avatar" / "Shaders"
KERNELS = SHADERS / "AvatarKernels.compute"
DRIVER = Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json")
TOOLS = "FLAMEPORT_UNITY_TOOLS"
"""Environment variable: the folder into which graphics_tools.sh put wgpu; one in the environment when absent."""
MOST_BUFFERS = 8
"""Storage buffers of one shader stage that every WebGPU-class device has."""


class Missing(Exception):
    """A tool that is not installed, and how to get it."""


def tools_folder() -> Path:
    """Return where graphics_tools.sh puts Python packages."""
    return Path(os.environ.get(TOOLS) or Path(sys.prefix) / "share" / "flameport-ci" / "graphics")


@functools.cache
def library() -> Any:
    """Return the module wgpu, set to use lavapipe.

    Raises:
        Missing: wgpu or the driver is not there.
    """
    if not DRIVER.is_file():
        raise Missing(f"Mesa's CPU driver is not installed ({DRIVER}); apt-get install mesa-vulkan-drivers libvulkan1")
    os.environ["VK_ICD_FILENAMES"] = str(DRIVER)
    if tools_folder().is_dir() and str(tools_folder()) not in sys.path:
        sys.path.append(str(tools_folder()))
    try:
        return importlib.import_module("wgpu")
    except ImportError as error:
        raise Missing(f"wgpu is not installed ({error}); run unity_sample/ci/graphics_tools.sh") from error


@functools.cache
def device() -> Any:
    """Return the wgpu device on lavapipe.

    Raises:
        Missing: wgpu or the driver is not there, or the driver is another one.
    """
    adapter = library().gpu.request_adapter_sync(power_preference="high-performance")
    if adapter is None or "llvmpipe" not in adapter.info["device"]:
        raise Missing(f"the adapter is {adapter and adapter.info['device']}; expected llvmpipe")
    wanted = ("float32-blendable", "float32-filterable")
    return adapter.request_device_sync(required_features=[name for name in wanted if name in adapter.features])


def compiler() -> str:
    """Return glslang's path.

    Raises:
        Missing: It is not installed.
    """
    found = shutil.which("glslangValidator") or shutil.which("glslang")
    if found is None:
        raise Missing("glslang is not installed; apt-get install glslang-tools")
    return found


@functools.cache
def compile_shader(source: Path, entry: str, stage: str = "comp", defines: tuple[str, ...] = ()) -> bytes:
    """Return SPIR-V of one entry point; `stage` is `comp`, `vert` or `frag`.

    Raises:
        ValueError: It does not compile; the message is the compiler's.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "shader.spv"
        done = subprocess.run(
            [compiler(), "-D", "-V", "--target-env", "vulkan1.1", "--auto-map-bindings", "--hlsl-iomap", f"-I{SHADERS}",
             "-S", stage, "-e", entry, *(f"-D{name}" for name in defines), str(source), "-o", str(out)],
            capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"{source.name}: {entry}: {done.stdout.strip()}")
        return out.read_bytes()


def upload(values: np.ndarray) -> Any:
    """Return a storage buffer of the array's bytes, filled to 16 at least."""
    data = np.ascontiguousarray(values).tobytes()
    return device().create_buffer_with_data(data=data + b"\0" * (max(16, -(-len(data) // 4) * 4) - len(data)),
                                            usage=_usage("STORAGE", "COPY_SRC", "COPY_DST"))


def empty(size: int) -> Any:
    """Return a storage buffer of `size` bytes of zeros."""
    return device().create_buffer(size=max(16, size), usage=_usage("STORAGE", "COPY_SRC", "COPY_DST"))


def download(buffer: Any, dtype: Any, count: int | None = None) -> np.ndarray:
    """Return a buffer's content."""
    values = np.frombuffer(device().queue.read_buffer(buffer), dtype)
    return values if count is None else values[:count]


def _usage(*names: str) -> int:
    wgpu = library()
    return functools.reduce(lambda a, b: a | b, (getattr(wgpu.BufferUsage, name) for name in names))


def check_slots(reflection: Reflection, given: Mapping[str, Any], where: str) -> None:
    """Raise ValueError where a shader takes a resource that is not given, or more buffers than every device has."""
    missing = [name for name in reflection.slots if name != "$Globals" and name not in given]
    if missing:
        raise ValueError(f"{where}: nothing is bound to {', '.join(missing)}")
    buffers = [slot.name for slot in reflection.slots.values() if slot.sort in ("read", "write")]
    if len(buffers) > MOST_BUFFERS:
        raise ValueError(f"{where}: {len(buffers)} storage buffers ({', '.join(buffers)}); at most {MOST_BUFFERS}")


def constants_block(reflection: Reflection, values: Mapping[str, Any], where: str) -> Any:
    """Return the uniform buffer of a shader's loose globals.

    Raises:
        ValueError: A global has no value, or a fraction for a whole number.
    """
    wgpu = library()
    data = bytearray(256)
    for name, offset in reflection.offsets.items():
        if name not in values:
            raise ValueError(f"{where}: no value for {name}")
        value = np.asarray(values[name])
        if name not in reflection.floats and value.dtype.kind == "f":
            raise ValueError(f"{where}: {name} is a whole number; got {values[name]}")
        bits = value.astype("<f4" if name in reflection.floats else "<u4").tobytes()
        data[offset:offset + len(bits)] = bits
    return device().create_buffer_with_data(data=bytes(data), usage=wgpu.BufferUsage.UNIFORM)


def bindings(reflection: Reflection, resources: Mapping[str, Any], values: Mapping[str, Any], visibility: int,
             where: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return bind group layout entries and bind group entries."""
    check_slots(reflection, resources, where)
    layout, entries = [], []
    for slot in reflection.slots.values():
        entry: dict[str, Any] = {"binding": slot.binding, "visibility": visibility}
        if slot.sort in ("read", "write", "uniform"):
            kind = {"read": "read-only-storage", "write": "storage", "uniform": "uniform"}[slot.sort]
            buffer = constants_block(reflection, values, where) if slot.sort == "uniform" else resources[slot.name]
            entry["buffer"] = {"type": kind}
            resource = {"buffer": buffer, "offset": 0, "size": buffer.size}
        else:
            resource, extra = resources[slot.name]
            entry.update(extra)
        layout.append(entry)
        entries.append({"binding": slot.binding, "resource": resource})
    return layout, entries


class Kernel:
    """One compute kernel."""

    def __init__(self, name: str, source: Path = KERNELS, code: bytes | None = None) -> None:
        """Compile it, or take SPIR-V that another compiler made."""
        self.name = name
        self.code = code or compile_shader(source, name)
        self.reflection = reflect(self.code)
        self._module = device().create_shader_module(code=self.code)
        self._pipeline: Any = None

    def run(self, buffers: Mapping[str, Any], constants: Mapping[str, Any], groups: int, encoder: Any = None) -> None:
        """Dispatch `groups` groups; at once, or into `encoder`."""
        wgpu = library()
        layout, entries = bindings(self.reflection, buffers, constants, wgpu.ShaderStage.COMPUTE, self.name)
        group_layout = device().create_bind_group_layout(entries=layout)
        if self._pipeline is None:
            self._pipeline = device().create_compute_pipeline(
                layout=device().create_pipeline_layout(bind_group_layouts=[group_layout]),
                compute={"module": self._module, "entry_point": self.reflection.entry})
        own = encoder or device().create_command_encoder()
        run = own.begin_compute_pass()
        run.set_pipeline(self._pipeline)
        run.set_bind_group(0, device().create_bind_group(layout=group_layout, entries=entries))
        run.dispatch_workgroups(groups)
        run.end()
        if encoder is None:
            device().queue.submit([own.finish()])


@functools.cache
def kernel(name: str) -> Kernel:
    """Return a kernel of AvatarKernels.compute, compiled once."""
    return Kernel(name)


SORT_TILE, SORT_DIGITS, DIGIT_GROUPS = 1024, 256, 32


def sort(keys: Any, count: int, bits: int) -> Any:
    """Sort numbers by `keys` (a buffer of `count` words; key k is number count - 1 - k's) and return the buffer of numbers.

    Args:
        keys: Overwritten.
        count: How many.
        bits: 16 or 32: two or four passes.
    """
    tiles = -(-count // SORT_TILE)
    other, values = empty(4 * count), [empty(4 * count), empty(4 * count)]
    both, places = [keys, other], empty(4 * SORT_DIGITS * (tiles + 1))
    encoder = device().create_command_encoder()
    for step in range(bits // 8):
        now, then = step % 2, (step + 1) % 2
        buffers = {"_KeysIn": both[now], "_KeysOut": both[then], "_ValuesIn": values[now], "_ValuesOut": values[then],
                   "_Places": places, "_PlacesIn": places}
        constants = {"_Count": count, "_Shift": 8 * step}
        kernel("CountDigits").run(buffers, constants, tiles, encoder)
        kernel("ScanDigits").run(buffers, constants, DIGIT_GROUPS, encoder)
        kernel("Scatter").run(buffers, constants, tiles, encoder)
    device().queue.submit([encoder.finish()])
    return values[bits // 8 % 2]
