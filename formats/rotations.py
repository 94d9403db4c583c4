"""Rotations: axis-angle, quaternions (wxyz, unit) and matrices, over any leading axes."""

from typing import Any

import numpy as np


def axis_angle_to_matrix(r: np.ndarray) -> np.ndarray:
    """Return rotation matrices [..., 3, 3] of axis-angle vectors [..., 3] (Rodrigues)."""
    return quat_to_matrix(axis_angle_to_quat(r))


def axis_angle_to_quat(r: np.ndarray) -> np.ndarray:
    """Return unit quaternions [..., 4] of axis-angle vectors [..., 3], radians; series expansion near zero."""
    r = np.asarray(r, np.float64)
    angle = np.linalg.norm(r, axis=-1, keepdims=True)
    half_sinc = np.where(angle > 1e-6, np.sin(angle / 2) / np.where(angle > 1e-6, angle, 1), 0.5 - angle**2 / 48)
    return np.concatenate([np.cos(angle / 2), r * half_sinc], axis=-1)


def quat_to_axis_angle(q: np.ndarray) -> np.ndarray:
    """Return axis-angle vectors [..., 3] with angle in 0..pi of unit quaternions [..., 4]."""
    q = np.asarray(q, np.float64)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine > 1e-9, angle / np.where(sine > 1e-9, sine, 1), 2.0)


def quat_to_matrix(q: np.ndarray) -> np.ndarray:
    """Return rotation matrices [..., 3, 3] of unit quaternions [..., 4]."""
    w, x, y, z = np.moveaxis(np.asarray(q, np.float64), -1, 0)
    return np.stack(matrix_entries(w, x, y, z), axis=-1).reshape(*w.shape, 3, 3)


def matrix_entries(w: Any, x: Any, y: Any, z: Any) -> tuple[Any, ...]:
    """Return the nine entries, row by row, of a unit quaternion's matrix: components are arrays or tensors of any shape."""
    return (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))


def shepperd_candidates(m: np.ndarray) -> np.ndarray:
    """Return Shepperd's four quaternions [..., 4, 4] of rotation matrices [..., 3, 3]: row i is 4 q_i q, and 4 q_i^2 stands on
    its diagonal; the largest is the best conditioned."""
    m = np.asarray(m, np.float64)
    d = np.diagonal(m, axis1=-2, axis2=-1)
    trace = d.sum(-1)
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 2, 0] + m[..., 0, 2], m[..., 2, 1] + m[..., 1, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    return np.stack([
        np.stack([1 + trace, wx, wy, wz], -1),
        np.stack([wx, 1 + 2 * d[..., 0] - trace, xy, xz], -1),
        np.stack([wy, xy, 1 + 2 * d[..., 1] - trace, yz], -1),
        np.stack([wz, xz, yz, 1 + 2 * d[..., 2] - trace], -1)], axis=-2)


def matrix_to_quat(m: np.ndarray) -> np.ndarray:
    """Return unit quaternions [..., 4] with w >= 0 of rotation matrices [..., 3, 3] (Shepperd's branches)."""
    candidates = shepperd_candidates(m)
    largest = np.argmax(np.diagonal(candidates, axis1=-2, axis2=-1), axis=-1)
    q = np.take_along_axis(candidates, largest[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def quat_multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Hamilton product a b, [..., 4]: first turn by b, then by a."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a, np.float64), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b, np.float64), -1, 0)
    return np.stack([aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
                     aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw], axis=-1)


def quat_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angles [...] between the rotations of unit quaternions [..., 4], 0..pi radians; q and -q are one rotation."""
    turn = quat_multiply(np.asarray(a) * np.array([1, -1, -1, -1]), b)
    return 2 * np.arctan2(np.linalg.norm(turn[..., 1:], axis=-1), np.abs(turn[..., 0]))


def euler_to_matrix(angles: np.ndarray) -> np.ndarray:
    """Return Rx Ry Rz [..., 3, 3] of intrinsic Euler angles XYZ [..., 3], radians."""
    x, y, z = (axis_angle_to_matrix(np.asarray(angles, np.float64)[..., i:i + 1] * axis) for i, axis in enumerate(np.eye(3)))
    return x @ y @ z


def normalize(v: np.ndarray, floor: float = 1e-20) -> np.ndarray:
    """Return `v` scaled to unit length over the last axis; lengths below `floor` are left as tiny as they are."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), floor)


def slerp(a: np.ndarray, b: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """Return the quaternions a fraction `t` along the shorter arc from a to b, [..., 4] (Shoemake 1985)."""
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b, dot = np.where(dot < 0, -b, b), np.abs(dot)
    near = dot > 1 - 1e-9
    angle = np.arccos(np.clip(dot, 0, 1))
    sine = np.where(near, 1, np.sin(angle))
    wa = np.where(near, 1 - t, np.sin((1 - t) * angle) / sine)
    wb = np.where(near, t, np.sin(t * angle) / sine)
    return normalize(wa * a + wb * b)


def polar_rotation(m: np.ndarray) -> np.ndarray:
    """Return the rotation nearest to each matrix [..., 3, 3]: U V^T of its singular value decomposition, det +1."""
    u, _, vt = np.linalg.svd(m)
    sign = np.sign(np.linalg.det(u @ vt))
    u[..., -1] *= np.where(sign == 0, 1, sign)[..., None]
    return u @ vt
