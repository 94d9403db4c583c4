"""What IMavatar's line shares (MonoGaussianAvatar, BakedAvatar): FLAME four times as large, and `flame_params.json`.

Bones are [ghost, root, neck, jaw, left eye, right eye]; a pose is 15 axis-angle numbers; identity is in `v_template`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.originals.flame import PARENTS, flame, joint_transforms, pose_feature, rodrigues

FACTOR = 4.0
"""Their unit is a quarter of a metre."""
IDENTITY, EXPRESSIONS = 100, 50
CANONICAL_JAW = 0.4


@dataclass(frozen=True, eq=False)
class Server:
    """Their FLAME: float64 holding float32 numbers, quarter metres, identity put in."""

    v_template: np.ndarray
    """[5023, 3]."""
    shapedirs: np.ndarray
    """[5023, 3, 150]: 100 identity directions, then 50 of expression."""
    posedirs: np.ndarray
    """[36, 15069]."""
    J_regressor: np.ndarray
    lbs_weights: np.ndarray

    def bones(self, expression: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the transforms [6, 4, 4] with the ghost first, and the pose feature [36]."""
        rotations = rodrigues(np.asarray(pose, np.float64).reshape(5, 3))
        shaped = self.v_template + self.shapedirs[:, :, IDENTITY:] @ np.asarray(expression, np.float64)
        transforms = joint_transforms(rotations, self.J_regressor @ shaped)
        return np.concatenate([np.eye(4)[None], transforms]), pose_feature(rotations)


def server(shape_params: np.ndarray) -> Server:
    """Return their FLAME of a person, from FLAME 2020's first 100 identity and first 50 expression directions."""
    tables = flame("flame2020")
    columns = np.r_[0:IDENTITY, 300:300 + EXPRESSIONS]

    def single(x: np.ndarray) -> np.ndarray:
        return x.astype(np.float32).astype(np.float64)

    shapedirs = single(FACTOR * tables["shapedirs"][:, :, columns])
    v_template = single(FACTOR * tables["v_template"] + shapedirs[:, :, :IDENTITY] @ shape_params.astype(np.float64))
    return Server(v_template, shapedirs, single(FACTOR * tables["posedirs"]), tables["J_regressor"], tables["weights"])


def parents() -> np.ndarray:
    """Return FLAME's [-1, 0, 1, 1, 1], int64."""
    return np.array(PARENTS, np.int64)


def write_flame_params(path: Path, expressions: np.ndarray, poses: np.ndarray, shape_params: np.ndarray) -> Path:
    """Write `flame_params.json` of one video: frames numbered from 1, normalised intrinsics with a negative fx."""
    frames = []
    for i, (expression, pose) in enumerate(zip(expressions, poses, strict=True)):
        frames.append({
            "file_path": f"./image/{i + 1}",
            "world_mat": [[1.0, 0.0, 0.0, 0.01], [0.0, 1.0, 0.0, 0.03], [0.0, 0.0, 1.0, -4.1]],
            "expression": [float(x) for x in expression], "pose": [float(x) for x in pose],
            "bbox": [-0.4, -0.5, 0.4, 0.5], "flame_keypoints": [[0.01 * k, -0.01 * k] for k in range(70)]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"frames": frames, "intrinsics": [-2.93, 2.93, 0.5, 0.5],
                                "shape_params": [float(x) for x in shape_params]}))
    return path
