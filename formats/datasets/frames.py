"""A tracked video as every trainer sees it: pictures, motion and cameras, in our conventions, whatever wrote them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

from formats import checks
from formats.camera import Camera
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.head_model import HeadModel
from formats.sequence import Sequence
from formats.teeth import BARE, WITH_TEETH


@dataclass(frozen=True, eq=False)
class Frames:
    """One part of a tracked video: T moments, a picture and a camera each."""

    name: str
    """Of the subject."""
    split: str
    """`train` or `test`."""
    sequence: Sequence
    """T frames with `cameras` and, where the data says it, the person's `shape`. Its `basis` is the edition the video was
    tracked with."""
    images: tuple[Path, ...]
    """T pictures, RGBA where the file itself holds the matte."""
    masks: tuple[Path, ...] = ()
    """T grey mattes, white where the person is; empty when the pictures hold them."""
    labels: tuple[str, ...] = ()
    """T short names, as the data calls its frames; for reports."""
    points2d: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What a tracker saw, in pixels [T, L, 2], NaN where it saw nothing: `landmarks` (FLAME's 51 static or 68),
    `eyes` (middles of the left and the right eye's opening, [T, 2, 2]) or `irises` (their centres, which follow the gaze)."""
    offset: Float32[np.ndarray, "V 3"] | None = None
    """Metres that the tracker found the person's head at rest to differ by from what shape coefficients tell (VHAP's static
    offset), by vertex, teeth included or not; None where the data says nothing."""

    def __post_init__(self) -> None:
        count = len(self.sequence)
        if not self.sequence.cameras:
            raise FormatError(f"Frames '{self.name}': the sequence holds no cameras")
        for name in ("images", "masks", "labels"):
            held = tuple(getattr(self, name))
            if held and len(held) != count:
                raise FormatError(f"Frames '{self.name}': {len(held)} {name} for {count} frames of motion")
            checks.freeze(self, {name: held})
        if not self.images:
            raise FormatError(f"Frames '{self.name}': there are no pictures")
        labels = self.labels or tuple(path.stem for path in self.images)
        points = {}
        for name, value in self.points2d.items():
            array = np.asarray(value, np.float64)
            if array.ndim != 3 or array.shape[0] != count or array.shape[2] != 2:
                raise FormatError(f"Frames '{self.name}': points2d[{name}] is {array.shape}, expected ({count}, L, 2)")
            points[name] = array
        checks.freeze(self, {"labels": labels, "points2d": points})
        if self.offset is not None:
            checks.freeze(self, {"offset": checks.array(f"Frames '{self.name}'", "offset", self.offset, (None, 3), {})})

    def __len__(self) -> int:
        return len(self.images)

    def personal(self, head: HeadModel) -> HeadModel:
        """Return a head with the person in it: by shape and, where there is one, by offset. Teeth that it leaves out stay.

        Raises:
            CheckpointMismatch: The offset is of a head of other sizes.
        """
        if self.offset is None:
            return head.personalise(self.sequence.shape)
        count = len(head.v_template)
        if len(self.offset) != count and {len(self.offset), count} != {BARE[0], WITH_TEETH[0]}:
            raise CheckpointMismatch(f"{self.images[0].parent}: '{self.name}': the static offset has {len(self.offset)} rows, "
                                     f"the head {count} vertices; use the head that the video was tracked with")
        moved = np.zeros((count, 3))
        moved[:len(self.offset)] = self.offset[:count]
        return head.personalise(self.sequence.shape, moved)

    def camera(self, index: int, size: int | None = None) -> Camera:
        """Return the camera of one frame, for the picture at its own size or scaled to `size` pixels of width."""
        cameras = self.sequence.cameras
        width, height = (int(v) for v in cameras["size"][index])
        k: Float64[np.ndarray, "3 3"] = cameras["K"][index].astype(np.float64)
        matrix = cameras["world_to_camera"][index].astype(np.float64)
        # Files round; a camera's rotation is one exactly.
        u, _, vt = np.linalg.svd(matrix[:3, :3])
        matrix[:3, :3] = u @ vt
        if size is None or size == width:
            return Camera(k, matrix, width, height)
        scale = size / width
        return Camera(np.diag([scale, scale, 1]) @ k, matrix, size, max(1, round(height * scale)))

    def picture(self, index: int, size: int | None = None) -> UInt8[np.ndarray, "H W 4"]:
        """Return one frame's picture as straight RGBA, at its own size or scaled to `size` pixels of width.

        Raises:
            MissingAsset: The file is not there.
            FormatError: It is no picture, has no matte, or its size is not the camera's.
        """
        path = self.images[index]
        expected = tuple(int(v) for v in self.sequence.cameras["size"][index])
        image = _open(path)
        if image.size != expected:
            raise FormatError(f"{path}: is {image.size[0]} x {image.size[1]} pixels, its camera {expected[0]} x "
                              f"{expected[1]}; use the pictures the tracker saw")
        if image.mode in ("P", "LA", "PA"):
            image = image.convert("RGBA")
        if self.masks:
            matte = _open(self.masks[index]).convert("L")
            if matte.size != expected:
                raise FormatError(f"{self.masks[index]}: is {matte.size[0]} x {matte.size[1]} pixels, its picture "
                                  f"{expected[0]} x {expected[1]}")
            image = image.convert("RGB")
            image.putalpha(matte)
        elif image.mode != "RGBA":
            raise FormatError(f"{path}: has no alpha channel and there is no mask for it; cut the person out first "
                              "(background and clothing transparent)")
        if size is not None and size != image.width:
            camera = self.camera(index, size)
            # Colour under zero alpha is meaningless: weigh by alpha while scaling (Pillow does, for premultiplied RGBa).
            # A kernel that overshoots (Lanczos) would brighten colours at the matte's edge, where alpha is clipped: 7 %.
            image = image.convert("RGBa").resize((camera.width, camera.height), Image.Resampling.BOX
                                                 if image.width % size == 0 else Image.Resampling.HAMMING).convert("RGBA")
        return np.asarray(image, np.uint8)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError as error:
        raise MissingAsset(f"{path}: no such picture; the data set names it but does not hold it") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: not a picture that can be read: {error}") from error
