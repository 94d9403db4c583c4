"""A cloud of 3D Gaussians (Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", 2023)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from formats import checks
from formats.errors import FormatError


@dataclass(frozen=True, eq=False)
class GaussianCloud:
    """N Gaussians, with activated values always: linear scales, opacities 0..1, unit quaternions. Float32.

    What space `means`, `quats` and `scales` live in is for whoever holds the cloud to say: a `SplatLayer`'s binding,
    or world space for a posed cloud.
    """

    means: Float32[np.ndarray, "N 3"]
    quats: Float32[np.ndarray, "N 4"]
    """wxyz; made unit here, and refused when one is zero."""
    scales: Float32[np.ndarray, "N 3"]
    opacities: Float32[np.ndarray, " N"]
    sh: Float32[np.ndarray, "N K 3"]
    """K is 1, 4, 9 or 16, the DC term first."""

    def __post_init__(self) -> None:
        own, sizes = "GaussianCloud", {}
        set_ = {"means": checks.array(own, "means", self.means, ("N", 3), sizes)}
        quats = checks.array(own, "quats", self.quats, ("N", 4), sizes, np.float64)
        set_["scales"] = checks.array(own, "scales", self.scales, ("N", 3), sizes)
        set_["opacities"] = checks.array(own, "opacities", self.opacities, ("N",), sizes)
        set_["sh"] = checks.array(own, "sh", self.sh, ("N", "K", 3), sizes)
        lengths = np.linalg.norm(quats, axis=1)
        if lengths.size and lengths.min() < 1e-12:
            raise FormatError(f"GaussianCloud.quats: {int((lengths < 1e-12).sum())} quaternions are zero")
        unit = quats.astype(np.float32) if np.abs(lengths - 1).max(initial=0) < 1e-6 else quats / lengths[:, None]
        set_["quats"] = checks.array(own, "quats", unit, ("N", 4), sizes)
        if sizes["K"] not in (1, 4, 9, 16):
            raise FormatError(f"GaussianCloud.sh: expected 1, 4, 9 or 16 coefficients, got {sizes['K']}")
        if set_["scales"].size and set_["scales"].min() < 0:
            raise FormatError("GaussianCloud.scales: a scale is negative; were log scales passed?")
        o = set_["opacities"]
        if o.size and (o.min() < 0 or o.max() > 1):
            raise FormatError(f"GaussianCloud.opacities: expected 0..1, got {o.min():.4g}..{o.max():.4g}; logits?")
        checks.freeze(self, set_)

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """0 to 3."""
        return int(round(self.sh.shape[1] ** 0.5)) - 1
