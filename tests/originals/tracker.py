"""metrical-tracker's output folder: `checkpoint/%05d.frame`, torch files that hold dictionaries of NumPy arrays.

FLAME's root and neck stay at rest, the head's motion is the camera's. Rotations are six raw numbers as the optimiser left
them: their two rows are neither unit nor orthogonal.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from formats.sequence import Sequence
from tests.originals import torch_archive
from tests.originals.flame import rotation_6d

SIZE = 512
FOCAL = 1250.0


def raw_6d(axis_angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return six float32 numbers [T, 6] that Gram-Schmidt turns into these rotations [T, 3]; not orthonormal."""
    matrix = Rotation.from_rotvec(axis_angle).as_matrix()
    lengths = rng.uniform(0.7, 1.3, (len(matrix), 2, 1))
    second = matrix[:, 1] * lengths[:, 1] + matrix[:, 0] * rng.normal(0, 0.2, (len(matrix), 1))
    return np.concatenate([matrix[:, 0] * lengths[:, 0], second], axis=1).astype(np.float32)


def axis_angle(six: np.ndarray) -> np.ndarray:
    """Return rotation vectors [..., 3] of raw six numbers [..., 6]."""
    matrix = rotation_6d(six)
    return Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_rotvec().reshape(*matrix.shape[:-2], 3)


def motion(frames: int, seed: int = 3) -> dict[str, np.ndarray]:
    """Return a clip that moves everything, float32: exp [T,100], shape [300], jaw [T,6], eyes [T,12], eyelids [T,2].

    Also R [T,3,3] and t [T,3], world to OpenCV camera, metres.
    """
    rng = np.random.default_rng(seed)
    jaw = rng.normal(0, 0.06, (frames, 3)) + np.array([0.3, 0, 0])
    eyes = rng.normal(0, 0.25, (2, frames, 3)) * np.array([1, 1, 0.1])
    head = Rotation.from_rotvec(rng.normal(0, 0.15, (frames, 3))).as_matrix()
    return {
        "exp": rng.normal(0, 1.0, (frames, 100)).astype(np.float32),
        "shape": rng.normal(0, 0.8, 300).astype(np.float32),
        "jaw": raw_6d(jaw, rng), "eyes": np.concatenate([raw_6d(e, rng) for e in eyes], axis=1),
        "eyelids": rng.uniform(0.15, 0.9, (frames, 2)).astype(np.float32),
        "R": (np.diag([1.0, -1, -1]) @ head).astype(np.float32),
        "t": (np.array([0, 0, 1.2]) + rng.normal(0, 0.03, (frames, 3))).astype(np.float32),
    }


def write(folder: Path, clip: Mapping[str, np.ndarray], first: int = 0, old: bool = True) -> list[Path]:
    """Write `folder/%05d.frame` for each frame of a `motion`; numbering starts at `first`, 0 in the original.

    `old`: as torch 1 with NumPy 1 names things in the file, see `torch_archive`.
    """
    folder.mkdir(parents=True)
    rng, written = np.random.default_rng(0), []
    # PyTorch3D's axes: x left, y up, z forward, row vectors.
    to_p3d = np.diag([-1.0, -1, 1])
    for i in range(len(clip["exp"])):
        turn = (to_p3d @ clip["R"][i]).T
        focal = np.array([[FOCAL * 2 / SIZE]], np.float32)
        principal = np.array([[0.01, -0.02]], np.float32)
        k = np.array([[FOCAL, 0, SIZE / 2 * (1 - principal[0, 0])], [0, FOCAL, SIZE / 2 * (1 - principal[0, 1])],
                      [0, 0, 1]], np.float32)
        frame = {
            "flame": {
                "exp": clip["exp"][i:i + 1], "shape": clip["shape"][None],
                "tex": rng.normal(0, 0.5, (1, 140)).astype(np.float32),
                "sh": rng.normal(0, 0.5, (1, 9, 3)).astype(np.float32), "eyes": clip["eyes"][i:i + 1],
                "eyelids": clip["eyelids"][i:i + 1], "jaw": clip["jaw"][i:i + 1],
            },
            "camera": {"R": turn[:2].reshape(1, 6).astype(np.float32),
                       "t": (to_p3d @ clip["t"][i])[None].astype(np.float32), "fl": focal, "pp": principal},
            "opencv": {"R": clip["R"][i:i + 1], "t": clip["t"][i:i + 1], "K": k[None]},
            "img_size": np.array([SIZE, SIZE]), "frame_id": f"{first + i:05d}", "global_step": 620 + 130 * i,
        }
        written.append(torch_archive.save(frame, folder / f"{first + i:05d}.frame", old))
    return written


def sequence(clip: Mapping[str, np.ndarray]) -> Sequence:
    """Return the clip as we drive heads: orthonormal rotations, and the raw numbers as drivers `jaw_6d`, `eyes_6d`."""
    frames = len(clip["exp"])
    return Sequence(basis="flame2020", fps=25, expr=clip["exp"], jaw=axis_angle(clip["jaw"]),
                    eyes=axis_angle(clip["eyes"].reshape(frames, 2, 6)).reshape(frames, 6), eyelids=clip["eyelids"],
                    shape=clip["shape"], drivers={"jaw_6d": clip["jaw"], "eyes_6d": clip["eyes"]})
