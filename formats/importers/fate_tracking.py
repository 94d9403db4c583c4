"""`flame2023_tracking.npz` of the NeRSemble benchmark, which FATE's checkpoints for it do not repeat: identity and motion.

Arrays: `shape` (1, 300), `expression` (T, 100), `jaw` (T, 3), `neck` (T, 3), `eyes` (T, 6), axis-angle, `rotation_matrices`
(T, 3, 3) or `rotation` (T, 3, intrinsic Euler angles X, Y, Z), `translation` (T, 3), `scale` (1, 1). The head is posed
without its root and then moved about the origin: s R v + t. Ours turns about the root joint J0, which moves with the expression:
translation = t / s + R J0 - J0, in a world that is s times smaller.
"""

import os
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from formats.codecs import npz_file
from formats.datasets.placement import Similarity, about_root
from formats.errors import FormatError, naming
from formats.head_model import HeadModel
from formats.rotations import euler_to_matrix, matrix_to_quat, quat_to_axis_angle
from formats.sequence import Sequence

WIDTHS = {"expression": None, "jaw": 3, "neck": 3, "eyes": 6, "translation": 3}
FRAME_LIMIT = 1 << 20
FPS = 25.0
"""The benchmark's submissions are."""


@dataclass(frozen=True, eq=False)
class Tracking:
    """The file's content, checked, float64."""

    where: str
    shape: Float64[np.ndarray, " S"]
    motion: dict[str, np.ndarray]
    """`expression`, `jaw`, `neck`, `eyes`, `translation`, [T, D] each."""
    rotation: Float64[np.ndarray, "T 3 3"]
    scale: float


def read(path: str | os.PathLike[str]) -> Tracking:
    """Return the content of a `flame2023_tracking.npz`.

    Raises:
        MissingAsset: There is no such file.
        FormatError: An array is missing, or not what it should be.
    """
    where = str(path)
    held = npz_file.read(path)
    if "shape" not in held or "expression" not in held:
        raise FormatError(f"{where}: 'shape' or 'expression' is missing; expected NeRSemble's flame2023_tracking.npz, found "
                          f"{', '.join(list(held)[:12]) or 'nothing'}")
    frames = len(held["expression"]) if held["expression"].ndim == 2 else 0
    if not 0 < frames <= FRAME_LIMIT:
        raise FormatError(f"{where}: 'expression': expected [T, 100], got {list(held['expression'].shape)}")

    def table(name: str, *shape: int | None) -> np.ndarray:
        value = held.get(name)
        if value is None:
            raise FormatError(f"{where}: '{name}' is missing; expected NeRSemble's flame2023_tracking.npz")
        if value.dtype.kind not in "fiu" or value.ndim != len(shape) + 1 or len(value) != frames or any(
                w not in (None, g) for w, g in zip(shape, value.shape[1:], strict=True)):
            raise FormatError(f"{where}: '{name}': expected {frames} rows of {shape}, got {value.dtype} {list(value.shape)}")
        if not np.isfinite(value.astype(np.float64)).all():
            raise FormatError(f"{where}: '{name}': not finite")
        return value.astype(np.float64)

    for name, value in (("shape", held["shape"]), ("scale", held.get("scale", np.ones(1)))):
        if value.dtype.kind not in "fiu" or not value.size:
            raise FormatError(f"{where}: '{name}': expected numbers, got {value.dtype} {list(value.shape)}")
    shape = held["shape"].astype(np.float64).reshape(-1)
    scale = float(held.get("scale", np.ones(1)).astype(np.float64).reshape(-1)[0])
    if not np.isfinite(shape).all() or not 0 < scale < 1e6:
        raise FormatError(f"{where}: 'shape' is not finite, or 'scale' {scale} is no scale")
    rotation = table("rotation_matrices", 3, 3) if "rotation_matrices" in held else euler_to_matrix(table("rotation", 3))
    return Tracking(where, shape, {name: table(name, width) for name, width in WIDTHS.items()}, rotation, scale)


def sequence_of(tracking: Tracking, head: HeadModel) -> Sequence:
    """Return the motion for `head`, which must be the one that is drawn: its root joint is what we turn about."""
    expr = tracking.motion["expression"][:, :len(head.expr_names)]
    rest, moving = head.rest_joints()
    joint = rest[0] + np.einsum("ce,te->tc", moving[0], expr)
    where = Similarity(tracking.rotation, tracking.motion["translation"], np.full(len(expr), tracking.scale))
    with naming(tracking.where):
        return Sequence(head.edition, FPS, expr, rotation=quat_to_axis_angle(matrix_to_quat(tracking.rotation)),
                        neck=tracking.motion["neck"], jaw=tracking.motion["jaw"], eyes=tracking.motion["eyes"],
                        translation=about_root(where, joint), shape=tracking.shape)
