"""FlashAvatar's `chkpnt<iteration>.pth`: a nested tuple of a network, Gaussians and their optimisers' states.

    ( (mlp state, Adam state),
      (active SH degree, xyz, features_dc, features_rest, scaling, rotation, opacity, radii, gradients, denominators,
       Adam state, spatial scale),
      iteration )

Scales are logarithms, opacities logits, rotations wxyz. `xyz` is where the last training picture had them, for a check alone.
The subject's shape, the UV layout and the frames are not in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from formats.codecs import torch_file
from formats.codecs.torch_tensor import TorchTensor
from formats.errors import FormatError, UnsupportedFeature
from formats.importers.recognition import unwrapped

Layer = tuple[np.ndarray, np.ndarray]
"""Weight [out, in] and bias [out]."""
HIDDEN, WIDTH, OUTPUTS = 6, 256, 10
GAUSSIAN_FIELDS = 12
GAUSSIAN_LIMIT = 1 << 22
TENSORS = {"features_dc": (2, (None, 1, 3)), "features_rest": (3, (None, None, 3)),
           "scaling": (4, (None, 3)), "rotation": (5, (None, 4)), "opacity": (6, (None, 1))}
"""Name to its place in the second tuple, and its shape."""


@dataclass(frozen=True, eq=False)
class FlashCheckpoint:
    """What a checkpoint holds, as stored."""

    layers: tuple[Layer, ...]
    """Six hidden ones and the last."""
    sh_degree: int
    """Up to which colours are drawn."""
    sh: Float64[np.ndarray, "N K 3"]
    scaling: Float64[np.ndarray, "N 3"]
    rotation: Float64[np.ndarray, "N 4"]
    opacity: Float64[np.ndarray, " N"]
    iteration: int
    xyz: Float64[np.ndarray, "N 3"] | None = None
    """Where the last picture that was drawn had the Gaussians."""

    def __len__(self) -> int:
        return len(self.scaling)


def read(path: Path) -> FlashCheckpoint:
    """Return the checkpoint at `path`.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is no such tuple, or holds something that is not finite.
        UnsupportedFeature: It comes from the Wasserstein variant's U-Net modes.
    """
    where = str(path)
    with torch_file.open(path) as file:
        root = file.root
        if not (isinstance(root, tuple) and len(root) in (3, 4) and isinstance(root[0], tuple)):
            raise FormatError(f"{where}: expected FlashAvatar's tuple (network, Gaussians, iteration), got {_kind(root)}; is it "
                              "another system's checkpoint?")
        network = tuple(unwrapped(part) for part in root[0])
        extra = [part for part in (*network[2:], *root[1:-1]) if isinstance(part, Mapping)]
        if len(root) == 4 or len(network) != 2 or extra or _is_unet(network[0]):
            raise UnsupportedFeature(f"{where}: comes from a U-Net mode of FlashAvatar's Wasserstein variant (a further state "
                                     "dict beside the MLP's); only its MLP mode and FlashAvatar's own files are read")
        gaussians, iteration = root[1], root[2]
        if not (isinstance(gaussians, tuple) and len(gaussians) == GAUSSIAN_FIELDS and type(iteration) is int):
            raise FormatError(f"{where}: expected {GAUSSIAN_FIELDS} entries of Gaussians and the iteration in FlashAvatar's "
                              f"tuple, got {_kind(gaussians)} and {_kind(iteration)}")
        layers = mlp_layers(torch_file.arrays(network[0], f"{where}: network"), "", f"{where}: network")
        degree = gaussians[0]
        if type(degree) is not int or not 0 <= degree <= 3:
            raise FormatError(f"{where}: active_sh_degree: expected 0..3, got {degree if type(degree) is int else _kind(degree)}")
        held = {name: _tensor(gaussians[place], shape, f"{where}: Gaussians[{place}] ({name})")
                for name, (place, shape) in TENSORS.items()}
        last = gaussians[1].load() if isinstance(gaussians[1], TorchTensor) else gaussians[1]
    count = len(held["scaling"])
    for name, value in held.items():
        if len(value) != count:
            raise FormatError(f"{where}: {name} has {len(value)} rows, scaling {count}; the file is damaged")
    sh = np.concatenate([held["features_dc"], held["features_rest"]], axis=1)
    if sh.shape[1] < (degree + 1)**2:
        raise FormatError(f"{where}: features_rest has {sh.shape[1] - 1} coefficients, too few for its SH degree {degree}")
    return FlashCheckpoint(layers, degree, sh[:, :(degree + 1)**2], held["scaling"], held["rotation"], held["opacity"][:, 0],
                           iteration, _if_whole(last, count))


def mlp_layers(state: Mapping[str, np.ndarray], prefix: str, where: str) -> tuple[Layer, ...]:
    """Return the seven layers of the offset network whose keys start with `prefix`.

    Raises:
        FormatError: A key is missing, or of another shape, or not finite.
    """
    layers, width = [], None
    for name in (*(f"fcs.{i}" for i in range(HIDDEN)), "output_linear"):
        out = OUTPUTS if name == "output_linear" else WIDTH
        weight = _array(state, f"{prefix}{name}.weight", (out, width), where)
        layers.append((weight, _array(state, f"{prefix}{name}.bias", (out,), where)))
        width = out
    return tuple(layers)


def _array(state: Mapping[str, np.ndarray], key: str, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    if key not in state:
        found = ", ".join(ascii(str(name)[:40])[1:-1] for name in list(state)[:8])
        raise FormatError(f"{where}: '{key}' is missing; found {found or 'nothing'}")
    return _checked(np.asarray(state[key]), shape, f"{where}: '{key}'")


def _tensor(value: Any, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    if not isinstance(value, (TorchTensor, np.ndarray)):
        raise FormatError(f"{where}: expected a tensor, got {_kind(value)}")
    if not value.shape or value.shape[0] > GAUSSIAN_LIMIT:
        raise FormatError(f"{where}: shape {list(value.shape)}; at most {GAUSSIAN_LIMIT} Gaussians are read")
    return _checked(value.load() if isinstance(value, TorchTensor) else value, shape, where)


def _checked(value: np.ndarray, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    fits = value.ndim == len(shape) and all(w in (None, g) for w, g in zip(shape, value.shape, strict=True))
    if not fits or value.dtype.kind != "f":
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise FormatError(f"{where}: expected real numbers [{wanted}], got {value.dtype} {list(value.shape)}")
    if not np.isfinite(value).all():
        bad = int(value.size - np.isfinite(value).sum())
        raise FormatError(f"{where}: {bad} of {value.size} values are not finite; training diverged or the file is damaged")
    return value.astype(np.float64)


def _if_whole(value: Any, count: int) -> np.ndarray | None:
    whole = isinstance(value, np.ndarray) and value.shape == (count, 3) and value.dtype.kind == "f" and np.isfinite(value).all()
    return value.astype(np.float64) if whole else None


def _is_unet(state: Any) -> bool:
    return isinstance(state, Mapping) and "output_linear.weight" not in state and any(
        "conv" in str(key).lower() or "unet" in str(key).lower() for key in state)


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, (tuple, list, dict)) else "")
