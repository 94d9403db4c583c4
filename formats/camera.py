"""A pinhole camera."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from formats import checks
from formats.errors import FormatError
from formats.rotations import normalize


@dataclass(frozen=True, eq=False)
class Camera:
    """Where a picture is taken from. OpenCV axes, pixels with the origin at the image's top-left corner."""

    K: Float[np.ndarray, "3 3"]
    """Pixels; the centre of the first pixel is (0.5, 0.5)."""
    world_to_camera: Float[np.ndarray, "4 4"]
    width: int
    height: int

    def __post_init__(self) -> None:
        set_ = {name: checks.array("Camera", name, getattr(self, name), shape, {}, np.float64)
                for name, shape in (("K", (3, 3)), ("world_to_camera", (4, 4)))}
        checks.freeze(self, set_)
        if not (self.K[0, 0] > 0 and self.K[1, 1] > 0):
            raise FormatError(f"Camera.K: focal lengths must be positive, got {self.K[0, 0]}, {self.K[1, 1]}")
        rotation = self.world_to_camera[:3, :3]
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
            raise FormatError("Camera.world_to_camera: the upper 3x3 must be a rotation; fold scale into translation")
        for name in ("width", "height"):
            value = int(getattr(self, name))
            if not 1 <= value <= 16384:
                raise FormatError(f"Camera.{name}: expected 1..16384 pixels, got {value}")
            checks.freeze(self, {name: value})

    @property
    def position(self) -> np.ndarray:
        """The camera's centre in world space, metres, [3]."""
        return -self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3]


def look_at(eye: np.ndarray | tuple[float, float, float], target: np.ndarray | tuple[float, float, float],
            fov_y: float, width: int, height: int, up: tuple[float, float, float] = (0, 1, 0)) -> Camera:
    """Return a camera at `eye` looking at `target`.

    Args:
        eye: World position, metres.
        target: World point that lands in the middle of the image.
        fov_y: Vertical field of view, radians.
        width: Pixels.
        height: Pixels.
        up: World direction that points up in the image.
    """
    eye, target = np.asarray(eye, float), np.asarray(target, float)
    z = normalize(target - eye)
    x = normalize(np.cross(z, np.asarray(up, float)))
    rotation = np.stack([x, np.cross(z, x), z])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ eye
    f = 0.5 * height / np.tan(fov_y / 2)
    return Camera(np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]]), matrix, width, height)
