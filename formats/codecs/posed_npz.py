"""Posed avatars as numbers: one .npz, stacked over frames, under fixed names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from formats.avatar import Avatar, Network, SplatLayer
from formats.codecs import npz_file
from formats.conventions import sh_to_rgb
from formats.deform import PosedMesh, PosedSplats, deform, driver_values
from formats.errors import FormatError
from formats.networks import evaluate
from formats.sequence import Sequence


def posed_arrays(avatar: Avatar, sequence: Sequence, frames: list[float],
                 progress: Callable[[str], None] = lambda text: None) -> dict[str, np.ndarray]:
    """Return the arrays that `flameport pose` writes, float32, metres, world space.

    `vertices` [T, V, 3]; over all splat and strand layers in order `means` [T, N, 3], `quats` [T, N, 4] wxyz, `scales`
    [T, N, 3], `opacities` [T, N], `rgb` [T, N, 3] (the DC colour, clamped at zero), `sh` [N, K, 3] above degree 0;
    `layer<i>_vertices` and `layer<i>_normals` of mesh layers; `network_<name>` outputs; `frames` [T].
    """
    if not frames:
        raise FormatError("pose: no frames were asked for")
    stacks: dict[str, list[np.ndarray]] = {}

    def put(name: str, value: np.ndarray) -> None:
        stacks.setdefault(name, []).append(np.asarray(value, np.float32))

    for count, t in enumerate(frames):
        progress(f"frame {count + 1} of {len(frames)}")
        posed = deform(avatar, sequence, t)
        put("vertices", posed.head.vertices)
        clouds = [layer.cloud for layer in posed.layers if isinstance(layer, PosedSplats)]
        if clouds:
            for name in ("means", "quats", "scales", "opacities"):
                put(name, np.concatenate([getattr(cloud, name) for cloud in clouds]))
            put("rgb", np.concatenate([np.maximum(sh_to_rgb(cloud.sh[:, 0].astype(np.float64)), 0) for cloud in clouds]))
        for index, layer in enumerate(posed.layers):
            if isinstance(layer, PosedMesh):
                put(f"layer{index}_vertices", layer.vertices)
                put(f"layer{index}_normals", layer.normals)
        for name, network in avatar.networks.items():
            for output, value in _outputs(network, avatar, sequence.sample(t)).items():
                put(f"network_{name}" if len(network.outputs) == 1 else f"network_{name}_{output}", value)
    arrays = {name: np.stack(values) for name, values in stacks.items()}
    arrays["frames"] = np.asarray(frames, np.float32)
    degrees = [layer.cloud.sh for layer in avatar.layers if isinstance(layer, SplatLayer)]
    if degrees and max(sh.shape[1] for sh in degrees) > 1 and len(degrees) == len(avatar.layers):
        widest = max(sh.shape[1] for sh in degrees)
        arrays["sh"] = np.concatenate([np.pad(sh, ((0, 0), (0, widest - sh.shape[1]), (0, 0))) for sh in degrees])
    return arrays


def _outputs(network: Network, avatar: Avatar, frame: Sequence) -> dict[str, np.ndarray]:
    # Coefficients are fed by tables; posed means and feature images are made on the way, and show in what is posed.
    alone = "coefficients" not in network.outputs and not {"posed_means", "features"} & set(network.inputs)
    return evaluate(network, driver_values(network.inputs, avatar.head, frame)) if alone else {}


def write(avatar: Avatar, sequence: Sequence, frames: list[float], path: Path,
          progress: Callable[[str], None] = lambda text: None) -> None:
    """Write `posed_arrays` to `path`."""
    npz_file.write(posed_arrays(avatar, sequence, frames, progress), path)
