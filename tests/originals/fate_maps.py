"""FATE's baked maps: raw values as a UVDecoder would leave them, and their activations (fact sheet section 3)."""

import numpy as np

from tests.originals.splats import C0, axis_angle_quaternions


def raw_maps(size: int, seed: int = 6) -> np.ndarray:
    """Return raw maps [11, S, S], smooth with a little noise, float32 numbers."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1.0, (11, 9, 9))
    at = np.linspace(0, 8 - 1e-9, size)
    low, f = at.astype(int), at % 1
    rows = coarse[:, low] * (1 - f)[None, :, None] + coarse[:, low + 1] * f[None, :, None]
    maps = rows[:, :, low] * (1 - f) + rows[:, :, low + 1] * f + 0.02 * rng.normal(size=(11, size, size))
    maps[3] *= 3
    maps[10] *= 2
    maps[7:10] *= 0.35
    return maps.astype(np.float32).astype(np.float64)


def scaling_scalars(log_scales: np.ndarray) -> tuple[float, float]:
    """Return the two numbers the scale activation needs: mean, and mean + unbiased deviation, of all entries."""
    mean = float(log_scales.mean())
    return mean, mean + float(log_scales.std(ddof=1))


def activate(raw: np.ndarray, mean: float, most: float) -> dict[str, np.ndarray]:
    """Return activated maps by name, [C, S, S] each; rotation is (w,x,y,z) stored as (z,w,x,y), offset tanh'ed once."""
    softplus = np.logaddexp(0, most - raw[4:7] - mean)
    quats = np.moveaxis(axis_angle_quaternions(np.moveaxis(np.tanh(raw[7:10]) * 2 * np.pi, 0, -1)), -1, 0)
    return {"color": np.tanh(raw[0:3]) * 0.5 / C0, "opacity": raw[3:4], "scaling": most - softplus,
            "rotation": quats[[3, 0, 1, 2]], "offset": np.tanh(raw[10:11])}


def blend_sticker(maps: dict[str, np.ndarray], seed: int = 9) -> dict[str, np.ndarray]:
    """Return maps with a picture of random stripes blended over a part of the colour."""
    size = maps["color"].shape[-1]
    content = np.random.default_rng(seed).integers(0, 256, (3, 1, size)).repeat(size, axis=1) / 255
    mask = np.zeros((1, size, size))
    mask[:, size // 3:size // 2, size // 3:2 * size // 3] = 200 / 255
    color = mask * (content * 2 - 1) * 0.5 / C0 + (1 - mask) * maps["color"]
    return maps | {"color": color}
