"""Small arithmetic that several originals share: quaternions wxyz, triangle frames, activations. Float64."""

import numpy as np

C0 = 0.28209479177387814


def unit(v: np.ndarray, floor: float = 1e-10) -> np.ndarray:
    """Return vectors of length 1; `floor` is the least length that is divided by."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), floor)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Hamilton products."""
    w, x, y, z = np.moveaxis(a, -1, 0)
    s, i, j, k = np.moveaxis(b, -1, 0)
    return np.stack([w * s - x * i - y * j - z * k, w * i + x * s + y * k - z * j,
                     w * j - x * k + y * s + z * i, w * k + x * j - y * i + z * s], axis=-1)


def quaternions(matrices: np.ndarray) -> np.ndarray:
    """Return unit quaternions with w >= 0 of rotation matrices [N, 3, 3], from the largest of the four squares."""
    m = matrices
    d = np.stack([m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]], axis=1)
    squares = np.stack([1 + d.sum(axis=1), *(1 + 2 * d[:, i] - d.sum(axis=1) for i in range(3))], axis=1)
    rows = np.arange(len(m))
    low, skew = m + m.transpose(0, 2, 1), m - m.transpose(0, 2, 1)
    outer = np.empty((len(m), 4, 4))
    for i, (a, b) in enumerate(((2, 1), (0, 2), (1, 0))):
        outer[:, 0, i + 1] = outer[:, i + 1, 0] = skew[:, a, b]
        outer[:, i + 1, i + 1] = squares[:, i + 1]
        for j in range(3):
            if i != j:
                outer[:, i + 1, j + 1] = low[:, i, j]
    outer[:, 0, 0] = squares[:, 0]
    q = unit(outer[rows, squares.argmax(axis=1)])
    return np.where(q[:, :1] < 0, -q, q)


def edge_frames(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per face FATE's and GaussianAvatars' frame [F, 3, 3] (columns edge, normal, third), scale [F], normal [F, 3].

    The normal is the plain cross product, its length twice the area.
    """
    v0, v1, v2 = (vertices[faces[:, i]] for i in range(3))
    e = unit(v1 - v0)
    normal = np.cross(v1 - v0, v2 - v0)
    m = unit(np.cross(e, v2 - v0))
    b = -unit(np.cross(m, e))
    scale = (np.linalg.norm(v1 - v0, axis=1) + np.abs((b * (v2 - v0)).sum(axis=1))) / 2
    return np.stack([e, m, b], axis=2), scale, normal


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def rgb_of_dc(dc: np.ndarray) -> np.ndarray:
    """Return the colour of degree 0 harmonics, clamped below only."""
    return np.maximum(0.0, 0.5 + C0 * dc)


def float32(values: np.ndarray) -> np.ndarray:
    """Return float64 numbers that float32 can hold, as a file would give them back."""
    return np.asarray(values, np.float64).astype(np.float32).astype(np.float64)


def axis_angle_quaternions(vectors: np.ndarray) -> np.ndarray:
    """Return (cos, sin * axis) of half angles, [..., 4] wxyz."""
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), vectors * np.sinc(angle / 2 / np.pi) / 2], axis=-1)
