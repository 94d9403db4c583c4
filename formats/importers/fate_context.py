"""What a FATE checkpoint holds besides the model, for whichever of the systems that FATE trains: head, clip, identity.

FATE (Zhang et al., CVPR 2025) saves every system in one envelope: `epoch`, `global_step`, `model`, and for data sets that it
tracks anew (IMavatar's kind) per-frame expression, pose and camera translation under `train_*` and `test_*`. The rest of the
camera, and the mean expression, lie in `identity_dict.pkl` at the top of its workspace.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from formats.avatar import Meta
from formats.codecs import legacy_torch, safe_pickle
from formats.errors import CheckpointMismatch, FormatError, naming
from formats.files import read_bytes
from formats.head_model import HeadModel
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
FPS = 25.0
"""FATE's videos; its data sets do not say a rate."""
IDENTITY_LIMIT = 1 << 20
SPLITS = ("train", "test")
TRACKED = ("expression", "flame_pose", "cam_pose")
FACING = np.diag([1.0, -1.0, -1.0])
"""World to camera of a camera that looks at the face: FLAME's y is up, OpenCV's down."""
FRAME_LIMIT = 1 << 20
DISTANT = 2.5
"""Metres; a camera further away than this is in units of a quarter of a metre (MonoGaussianAvatar's four-fold heads)."""
PAPER = ("Zhang et al., FATE: Full-head Gaussian Avatar with Textural Editing from Monocular Video, CVPR 2025, "
         "arXiv:2411.15604")
FATE_NOTICE = ("FATE's code is under the MIT licence, but bundles parts for non-commercial research only (Inria's 3D Gaussian "
               "Splatting among them); check their terms and the consent of the person shown before you publish.")


@dataclass(frozen=True, eq=False)
class Identity:
    """What `identity_dict.pkl` holds."""

    shape: Float64[np.ndarray, " S"]
    """FLAME identity; already in the checkpoint's template."""
    canonical_expression: Float64[np.ndarray, " E"]
    """Mean over the training frames."""
    camera_rotation: Float64[np.ndarray, "3 3"]
    """As stored: the identity for IMavatar's data, though what is drawn with is `FACING`."""
    camera_translation: Float64[np.ndarray, " 3"]
    """World to camera, of the first training frame."""
    fov: tuple[float, float]
    """Radians across the picture's width and height, the centre in the middle."""
    size: tuple[int, int]
    """Pixels, width and height."""
    dataset_type: str
    """`insta` or `imavatar`."""

    @property
    def world_to_camera(self) -> Float64[np.ndarray, "3 3"]:
        """Rotation of the training camera. FATE keeps its transpose, and patches IMavatar's identity when it draws."""
        return FACING if np.allclose(self.camera_rotation, np.eye(3)) else self.camera_rotation.T


@dataclass(frozen=True, eq=False)
class FateContext:
    """What `from_fate(model, context)` gets besides the arrays of the model."""

    where: str
    """Path of the checkpoint, for messages."""
    source: str
    """Its file name."""
    name: str
    """Of the avatar: the run's."""
    kind: str
    """Which system: `fate`, `gaussian-avatars`, `flash-avatar`, `splatting-avatar` or `mono-gaussian-avatar`."""
    head: HeadModel
    """Of the `flame.` buffers, metres (MonoGaussianAvatar's too): FLAME's own 9976 faces, identity in the template, the last
    `n_exp` columns as expressions; no learned offsets."""
    n_exp: int
    identity: Identity | None
    sequence: Sequence | None
    """The tracked clip, ranges `train` and `test`; with cameras where there is an identity. None for INSTA's data."""
    benchmark_shape: Float64[np.ndarray, " S"] | None = None
    """Identity that NeRSemble's tracking holds beside the checkpoint; `head` has it already. None for all others."""
    as_original: bool = False

    def meta(self, paper: str = PAPER, notices: tuple[str, ...] = (), suffix: str = "") -> Meta:
        """Return where the avatar comes from; `notices` are the system's own terms, FATE's are added."""
        return Meta(name=self.name, system=self.kind, source=f"{self.source}{suffix}", paper=paper,
                    license_notices=(*notices, FATE_NOTICE))


def read_identity(path: str | os.PathLike[str]) -> Identity:
    """Return the content of an `identity_dict.pkl`, without running any of it.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is not one.
    """
    where = str(path)
    content = safe_pickle.load(read_bytes(path, IDENTITY_LIMIT), where, legacy_torch.NAMES)
    if not isinstance(content, dict):
        raise FormatError(f"{where}: expected a dictionary as FATE's identity_dict.pkl")

    def numbers(key: str, count: int | None) -> np.ndarray:
        if key not in content:
            raise FormatError(f"{where}: '{key}' is missing; expected FATE's identity_dict.pkl")
        value = np.asarray(content[key])
        if value.dtype.kind not in "fiu" or count is not None and value.size != count or value.size > 1000:
            raise FormatError(f"{where}: '{key}': expected {count or 'a few'} numbers, got {value.dtype} {list(value.shape)}")
        if not np.isfinite(value.astype(np.float64)).all():
            raise FormatError(f"{where}: '{key}': not finite")
        return value.astype(np.float64).reshape(-1)

    shape, expression = numbers("shape_params", None), numbers("canonical_expression", None)
    for key, held in (("n_shape", shape), ("n_exp", expression)):
        if key in content and numbers(key, 1)[0] != held.size:
            raise FormatError(f"{where}: '{key}' is {content[key]}, but there are {held.size} coefficients")
    fov = (float(numbers("camera_fovx", 1)[0]), float(numbers("camera_fovy", 1)[0]))
    height, width = numbers("img_res", 2)
    kind = content.get("dataset_type", "")
    if not all(0 < angle < np.pi for angle in fov) or not 0 < min(width, height) <= max(width, height) <= 1 << 16:
        raise FormatError(f"{where}: fields of view {fov[0]:.4g}, {fov[1]:.4g} rad for {width:g} x {height:g} pixels are no "
                          "camera's")
    return Identity(shape, expression, numbers("camera_rotation", 9).reshape(3, 3), numbers("camera_translation", 3), fov,
                    (int(width), int(height)), kind if isinstance(kind, str) else "")


def clip(tracked: Mapping[str, np.ndarray], edition: str, n_exp: int, identity: Identity | None, where: str) -> Sequence | None:
    """Return the tracked frames of a checkpoint: those trained on, then those held out. None where it has none.

    FATE draws them with the root turned, not the camera: its rotation is the same in every frame, and only its translation
    was refined. Rows are in the data set's order.

    Args:
        tracked: `train_expression` [F, E], `train_flame_pose` [F, 15], `train_cam_pose` [F, 3], the same for `test`.
        edition: Of the head.
        n_exp: The head's expressions.
        identity: For the rest of the camera.
        where: Names the file in messages.

    Raises:
        FormatError: A table is missing or damaged.
        CheckpointMismatch: Coefficients of another length than the head's.
    """
    parts: list[list[np.ndarray]] = []
    ranges: dict[str, tuple[int, int]] = {}
    count = 0
    for split in SPLITS:
        names = [f"{split}_{part}" for part in TRACKED]
        held = [name for name in names if name in tracked]
        if not held:
            continue
        if len(held) < len(names):
            missing = next(name for name in names if name not in tracked)
            raise FormatError(f"{where}: '{missing}' is missing, '{held[0]}' is there; the file is damaged")
        rows = [tracked[name] for name in names]
        frames = len(rows[0]) if rows[0].ndim else 0
        for name, row, width in zip(names, rows, (n_exp, 15, 3), strict=True):
            if row.ndim == 2 and width == n_exp != row.shape[1]:
                raise CheckpointMismatch(f"{where}: '{name}' has {row.shape[1]} coefficients, the head {n_exp}")
            if row.shape != (frames, width) or frames > FRAME_LIMIT:
                raise FormatError(f"{where}: '{name}': expected [{frames}, {width}], got {list(row.shape)}")
            if not np.isfinite(row).all():
                raise FormatError(f"{where}: '{name}': not finite; training diverged or the file is damaged")
        if frames:
            ranges[split] = (count, count + frames)
            count += frames
            parts.append(rows)
    if not parts:
        return None
    expr, pose, offset = (np.concatenate([rows[i] for rows in parts]).astype(np.float64) for i in range(3))
    with naming(where):
        return Sequence(edition, FPS, expr, rotation=pose[:, :3], neck=pose[:, 3:6], jaw=pose[:, 6:9], eyes=pose[:, 9:],
                        shape=None if identity is None else identity.shape, ranges=ranges,
                        cameras={} if identity is None else _cameras(identity, offset, where))


def _cameras(identity: Identity, offset: np.ndarray, where: str) -> dict[str, Any]:
    frames, (width, height) = len(offset), identity.size
    k = np.array([[width / 2 / np.tan(identity.fov[0] / 2), 0, width / 2],
                  [0, height / 2 / np.tan(identity.fov[1] / 2), height / 2], [0, 0, 1]])
    far = float(np.median(np.linalg.norm(offset, axis=1)))
    if far > DISTANT:
        LOG.warning("%s: its cameras are %.3g units away; taken as quarters of a metre", where, far)
        offset = offset / 4
    world = np.tile(np.eye(4), (frames, 1, 1))
    world[:, :3, :3] = identity.world_to_camera
    world[:, :3, 3] = offset
    return {"K": np.tile(k, (frames, 1, 1)), "world_to_camera": world, "size": np.tile([width, height], (frames, 1))}


def checked(identity: Identity | None, n_exp: int, where: str) -> Identity | None:
    """Return `identity` unless it speaks of another number of expressions than the checkpoint."""
    if identity is not None and len(identity.canonical_expression) != n_exp:
        raise CheckpointMismatch(f"{where}: identity_dict.pkl has {len(identity.canonical_expression)} expression coefficients, "
                                 f"the checkpoint {n_exp}; are they of one run?")
    return identity
