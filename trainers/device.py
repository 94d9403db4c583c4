"""The processor or GPU that a training runs on: which one, its name, its memory, its random numbers."""

import importlib.util
import sys

import torch

from formats.errors import FormatError, MissingAsset


def pick_device(name: str | None) -> torch.device:
    """Return the device called `name`, CUDA where there is one when None.

    Raises:
        MissingAsset: CUDA was asked for and is not there, or the package that draws on it.
        FormatError: There is no such device.
    """
    if name not in (None, "cuda", "cpu"):
        raise FormatError(f"--device {name}: expected cuda or cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingAsset("--device cuda: torch finds no CUDA device here; take --device cpu, or install a driver and a "
                           "CUDA build of torch")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if importlib.util.find_spec("gsplat") is None:
        raise MissingAsset("training on CUDA needs gsplat: pip install 'flameport[train]'; or take --device cpu")
    return torch.device("cuda", torch.cuda.current_device())


def device_name(device: torch.device) -> str:
    """Return a device's name for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def peak_memory(device: torch.device) -> float:
    """Return the most memory used so far, MB: of the device's tensors on CUDA, else of the process (0 where unknown)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Seed torch's generators for one step; a hundred times faster than `torch.manual_seed`."""
    value = (seed * 0x9E3779B97F4A7C15 + step) & (2**63 - 1)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(value)
