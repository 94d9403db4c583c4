"""Driving motion: what a head does over time."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from formats import checks, rotations
from formats.errors import FormatError
from formats.head_model import EDITIONS

ROTATION_FIELDS = ("rotation", "neck", "jaw", "eyes")
LINEAR_FIELDS = ("expr", "eyelids", "translation")


@dataclass(frozen=True, eq=False)
class Sequence:
    """T frames of coefficients and joint rotations at a steady rate. Axis-angle radians, metres, float32."""

    basis: str
    """Whose coefficients these are: one of `head_model.EDITIONS`."""
    fps: float
    expr: Float32[np.ndarray, "T E"]
    rotation: Float32[np.ndarray, "T 3"] = None  # type: ignore[assignment]
    """Of the root, about the root joint. Zeros when None is given, as every field below to `translation`."""
    neck: Float32[np.ndarray, "T 3"] = None  # type: ignore[assignment]
    jaw: Float32[np.ndarray, "T 3"] = None  # type: ignore[assignment]
    eyes: Float32[np.ndarray, "T 6"] = None  # type: ignore[assignment]
    """Left eye, then right eye."""
    eyelids: Float32[np.ndarray, "T 2"] = None  # type: ignore[assignment]
    """Left, right."""
    translation: Float32[np.ndarray, "T 3"] = None  # type: ignore[assignment]
    """Added after skinning."""
    shape: Float32[np.ndarray, " S"] | None = None
    """Identity of the tracked person; for making avatars, never used by `deform`."""
    expr_names: tuple[str, ...] = ()
    joints: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Rotations [T, 3] of further joints by name, in the head's rest-aligned axes, relative to the parent."""
    drivers: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Further per-frame numbers [T, D] that a network needs, by name."""
    cameras: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Optionally `K` [T, 3, 3] pixels, `world_to_camera` [T, 4, 4] (OpenCV axes) and `size` [T, 2] (width, height)."""
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Named clips: first frame, one past the last."""
    edition: str = ""
    """`content_hash` of the head model the coefficients were made with, where known."""

    def __post_init__(self) -> None:
        own, sizes = "Sequence", {}
        if self.basis not in EDITIONS:
            raise FormatError(f"Sequence.basis: unknown '{self.basis}'; expected one of {', '.join(EDITIONS)}")
        if not 0 < self.fps <= 1000:
            raise FormatError(f"Sequence.fps: expected a rate in 0..1000, got {self.fps}")
        set_ = {"expr": checks.array(own, "expr", self.expr, ("T", "E"), sizes), "fps": float(self.fps)}
        frames = sizes["T"]
        if frames == 0:
            raise FormatError("Sequence: there are no frames")
        for name, width in (("rotation", 3), ("neck", 3), ("jaw", 3), ("eyes", 6), ("eyelids", 2), ("translation", 3)):
            value = getattr(self, name)
            set_[name] = checks.array(own, name, np.zeros((frames, width)) if value is None else value,
                                      ("T", width), sizes)
        if self.shape is not None:
            set_["shape"] = checks.array(own, "shape", self.shape, ("S",), sizes)
        set_["joints"] = {k: checks.array(own, f"joints[{k}]", v, ("T", 3), sizes) for k, v in self.joints.items()}
        set_["drivers"] = {k: checks.array(own, f"drivers[{k}]", v, ("T", None), sizes)
                           for k, v in self.drivers.items()}
        shapes = {"K": ("T", 3, 3), "world_to_camera": ("T", 4, 4), "size": ("T", 2)}
        if self.cameras and set(self.cameras) != set(shapes):
            raise FormatError(f"Sequence.cameras: expected {', '.join(shapes)}; got {', '.join(self.cameras)}")
        set_["cameras"] = {k: checks.array(own, f"cameras[{k}]", v, shapes[k], sizes) for k, v in self.cameras.items()}
        set_["ranges"] = {k: (int(a), int(b)) for k, (a, b) in self.ranges.items()}
        for name, (first, end) in set_["ranges"].items():
            if not 0 <= first < end <= frames:
                raise FormatError(f"Sequence.ranges[{name}]: {first}..{end} is not inside 0..{frames}")
        if self.expr_names and len(self.expr_names) != sizes["E"]:
            raise FormatError(f"Sequence.expr_names: expected {sizes['E']} names, got {len(self.expr_names)}")
        set_["expr_names"] = tuple(self.expr_names)
        checks.freeze(self, set_)

    def __len__(self) -> int:
        return len(self.expr)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return (len(self) - 1) / self.fps

    def take(self, frames: np.ndarray | list[int]) -> "Sequence":
        """Return the frames at whole indices `frames`, in that order, without named ranges."""
        pick = np.asarray(frames, int)
        if pick.size and (pick.min() < 0 or pick.max() >= len(self)):
            raise FormatError(f"frames {pick.min()}..{pick.max()} asked for, the sequence has 0..{len(self) - 1}")
        each = {name: getattr(self, name)[pick] for name in (*ROTATION_FIELDS, *LINEAR_FIELDS)}
        many = {name: {k: v[pick] for k, v in getattr(self, name).items()} for name in ("joints", "drivers", "cameras")}
        return dataclasses.replace(self, **each, **many, ranges={})

    def sample(self, t: float) -> "Sequence":
        """Return one frame at the fractional frame index `t` (seconds times fps), held at both ends.

        Coefficients, translation and drivers are linear between frames; rotations follow the shorter arc (slerp).
        """
        t = float(np.clip(t, 0, len(self) - 1))
        first = min(int(t), len(self) - 1)
        second, f = min(first + 1, len(self) - 1), t - first

        def linear(v: np.ndarray) -> np.ndarray:
            return (v[first].astype(np.float64) * (1 - f) + v[second].astype(np.float64) * f)[None]

        def spherical(v: np.ndarray) -> np.ndarray:
            if f == 0:
                return v[first][None]
            a, b = (rotations.axis_angle_to_quat(v[i].reshape(-1, 3)) for i in (first, second))
            return rotations.quat_to_axis_angle(rotations.slerp(a, b, f)).reshape(1, -1)

        each = {name: linear(getattr(self, name)) for name in LINEAR_FIELDS}
        each |= {name: spherical(getattr(self, name)) for name in ROTATION_FIELDS}
        cameras = {}
        if self.cameras:
            cameras = {k: linear(v) for k, v in self.cameras.items()}
            a, b = (rotations.matrix_to_quat(self.cameras["world_to_camera"][i, :3, :3]) for i in (first, second))
            cameras["world_to_camera"][0, :3, :3] = rotations.quat_to_matrix(rotations.slerp(a, b, f))
        return dataclasses.replace(self, **each, joints={k: spherical(v) for k, v in self.joints.items()},
                                   drivers={k: linear(v) for k, v in self.drivers.items()}, cameras=cameras, ranges={})
