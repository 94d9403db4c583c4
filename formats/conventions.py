"""Every axis flip, component order and activation that the outside world uses; nowhere else.

Inside flameport: metres, radians, seconds; right-handed, +Y up, the face towards +Z; quaternions wxyz and unit;
scales linear; opacities 0..1; `sh` [N, K, 3] with the DC term first; colour is display sRGB; UV (0, 0) is the
top-left corner of the image; cameras are OpenCV (x right, y down, z forward).
"""

import numpy as np

SH_C0 = 0.28209479177387814
"""The constant band of real spherical harmonics: 1 / (2 sqrt(pi))."""

CV_FROM_GL = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL camera axes (x right, y up, looking along -z) to OpenCV's, as a 4x4."""

ARKIT_52 = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)
"""ARKit's 52 names, sorted; files order them differently, so always map by name."""


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function of `x`, without overflow."""
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def logit(p: np.ndarray) -> np.ndarray:
    """Return the inverse of `sigmoid`; 0 and 1 become the finite values that float32 files can hold."""
    p = np.clip(np.asarray(p, np.float64), 1e-7, 1 - 1e-7)
    return np.log(p) - np.log1p(-p)


def sh_to_rgb(dc: np.ndarray) -> np.ndarray:
    """Return the display colour of a DC coefficient, before the clamp at zero."""
    return dc * SH_C0 + 0.5


def rgb_to_sh(rgb: np.ndarray) -> np.ndarray:
    """Return the DC coefficient that shows `rgb`."""
    return (rgb - 0.5) / SH_C0


def wxyz_to_xyzw(q: np.ndarray) -> np.ndarray:
    """Return quaternions in glTF's order."""
    return q[..., [1, 2, 3, 0]]


def xyzw_to_wxyz(q: np.ndarray) -> np.ndarray:
    """Return quaternions in our order."""
    return q[..., [3, 0, 1, 2]]


def inria_sh_to_sh(f_dc: np.ndarray, f_rest: np.ndarray) -> np.ndarray:
    """Return `sh` [N, K, 3] from the INRIA PLY's DC [N, 3] and channel-major rest [N, 3 (K-1)]."""
    rest = f_rest.reshape(len(f_rest), 3, f_rest.shape[1] // 3).transpose(0, 2, 1)
    return np.concatenate([f_dc[:, None], rest], axis=1)


def sh_to_inria_sh(sh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the INRIA PLY's (f_dc, f_rest) from `sh` [N, K, 3]."""
    return sh[:, 0], sh[:, 1:].transpose(0, 2, 1).reshape(len(sh), 3 * (sh.shape[1] - 1))


def linear_to_srgb(x: np.ndarray) -> np.ndarray:
    """Return display sRGB of linear light (IEC 61966-2-1)."""
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-12) ** (1 / 2.4) - 0.055)


def srgb_to_linear(x: np.ndarray) -> np.ndarray:
    """Return linear light of display sRGB (IEC 61966-2-1)."""
    return np.where(x <= 0.04045, x / 12.92, ((np.maximum(x, 0) + 0.055) / 1.055) ** 2.4)
