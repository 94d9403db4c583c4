"""Real spherical harmonics to degree 3, with the signs and order that 3D Gaussian Splatting uses.

Coefficients are `sh` [..., K, 3], K = (degree + 1)^2, band after band; inside band l the order is m = -l..l.
Source: Sloan, "Stupid Spherical Harmonics Tricks", GDC 2008, appendix A2; Kerbl et al. 2023 take the same polynomials.
"""

import functools
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from formats.conventions import SH_C0

C1 = 0.4886025119029199
"""sqrt(3 / (4 pi))."""
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
"""sqrt(15 / (4 pi)), its negative, sqrt(5 / (16 pi)), and half the first."""
C3 = (-0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154, -0.4570457994644658,
      1.445305721320277, -0.5900435899266435)
"""sqrt(35 / (32 pi)), sqrt(105 / (4 pi)), sqrt(21 / (32 pi)), sqrt(7 / (16 pi)), sqrt(105 / (16 pi)), with signs."""


def degree_of(sh: np.ndarray) -> int:
    """Return the degree 0..3 of coefficients [..., K, 3]."""
    degree = round(sh.shape[-2] ** 0.5) - 1
    assert (degree + 1) ** 2 == sh.shape[-2] and 0 <= degree <= 3, f"sh of shape {sh.shape}"
    return degree


def sh_basis(directions: Float[np.ndarray, "*n 3"], degree: int) -> Float64[np.ndarray, "*n K"]:
    """Return the K = (degree + 1)^2 basis functions at unit `directions`."""
    x, y, z = np.moveaxis(np.asarray(directions, np.float64), -1, 0)
    return np.stack([np.full_like(x, SH_C0), *varying_basis(x, y, z, degree)], axis=-1)


def varying_basis(x: Any, y: Any, z: Any, degree: int) -> list[Any]:
    """Return the basis functions after the constant one, of a unit direction's components: arrays or tensors of any shape."""
    basis = []
    if degree >= 1:
        basis += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        basis += [C2[0] * x * y, C2[1] * y * z, C2[2] * (2 * zz - xx - yy), C2[3] * x * z, C2[4] * (xx - yy)]
        if degree >= 3:
            basis += [C3[0] * y * (3 * xx - yy), C3[1] * x * y * z, C3[2] * y * (4 * zz - xx - yy),
                      C3[3] * z * (2 * zz - 3 * xx - 3 * yy), C3[4] * x * (4 * zz - xx - yy), C3[5] * z * (xx - yy),
                      C3[6] * x * (xx - 3 * yy)]
    return basis


def evaluate_sh(sh: Float[np.ndarray, "*n K 3"], directions: Float[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
    """Return display colour at unit `directions` (camera to Gaussian): max(0, 0.5 + sum_k sh_k Y_k)."""
    basis = sh_basis(directions, degree_of(sh))
    return np.maximum(0.5 + np.einsum("...k,...kc->...c", basis, sh, optimize=True), 0)


def rotate_sh(sh: Float[np.ndarray, "*n K 3"], rotation: Float[np.ndarray, "3 3"]) -> Float64[np.ndarray, "*n K 3"]:
    """Return the coefficients of the turned function: at d it has the value that `sh` has at rotation^T d.

    The bands do not mix, so each is solved for on its own from values at fixed, well-spread directions, which is
    exact to rounding: D_l = pinv(Y_l(d)) Y_l(rotation^T d). Improper matrices (mirrors) work the same way.
    """
    degree = degree_of(sh)
    directions, inverses = _rotation_samples()
    turned = sh_basis(directions @ np.asarray(rotation, np.float64), degree)
    out = np.array(sh, dtype=np.float64)
    for band in range(1, degree + 1):
        own = slice(band * band, (band + 1) ** 2)
        out[..., own, :] = (inverses[band] @ turned[:, own]) @ out[..., own, :]
    return out


@functools.cache
def _rotation_samples() -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return directions [64, 3] on a golden spiral and, per band, the pseudo-inverse of its basis there."""
    i = np.arange(64) + 0.5
    z, turn = 1 - 2 * i / 64, np.pi * (1 + 5**0.5) * i
    ring = np.sqrt(1 - z * z)
    directions = np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1)
    basis = sh_basis(directions, 3)
    return directions, tuple(np.linalg.pinv(basis[:, b * b:(b + 1) ** 2]) for b in range(4))
