"""A tracked video in memory: pictures, motion and cameras on the device, composited when a frame is asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from formats.datasets.frames import Frames
from formats.errors import FormatError, UnsupportedFeature
from trainers.model import Batch, Motion, View

DEVICE_SHARE = 0.4
"""Of a GPU's free memory that pictures may take; when they need more they stay on the host, pinned."""

HOST_SHARE = 0.8
"""Of the machine's free memory that pictures may take at all."""

THREADS = 8
"""That decode: PNGs are read and unpacked outside the interpreter's lock."""

FIELDS = ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation")

Background = Tensor | tuple[float, float, float]


class FrameStore:
    """One split of a tracked video, decoded once, as a trainer reads it."""

    def __init__(self, frames: Frames, size: int | None = None, device: str | torch.device = "cpu",
                 background: tuple[float, float, float] = (1, 1, 1), limit: int | None = None,
                 progress: Callable[[str], None] = lambda text: None) -> None:
        """Decode T pictures into straight 8-bit RGBA [T, H, W, 4].

        Args:
            frames: The video.
            size: Pixels of width to scale to; the pictures' own when None.
            device: Where batches live.
            background: Display sRGB 0..1 behind the person, unless a batch asks for another.
            limit: Bytes of pictures to keep on the GPU; a share of what is free there when None. Above it they stay in
                pinned memory of the host and are copied a frame at a time.
            progress: Is told what happens, a line at a time.

        Raises:
            FormatError: A picture is broken, or has another size than the first; the message names it.
            MissingAsset: A picture is not there.
            UnsupportedFeature: The pictures do not fit into memory.
        """
        self.frames, self.device = frames, torch.device(device)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())
        cameras = [frames.camera(i, size) for i in range(len(frames))]
        self.width, self.height = cameras[0].width, cameras[0].height
        for label, path, camera in zip(frames.labels, frames.images, cameras, strict=True):
            if (camera.width, camera.height) != (self.width, self.height):
                raise FormatError(f"{path}: frame '{label}' is {camera.width} x {camera.height} pixels, the first "
                                  f"{self.width} x {self.height}; one split's pictures must have one size")
        needed = len(frames) * self.height * self.width * 4
        on_device = self.device.type != "cuda" or needed <= (_device_room(self.device) if limit is None else limit)
        pinned = self.device.type == "cuda" and not on_device
        if not on_device or self.device.type == "cpu":
            _check_room(frames, needed)
        self.pictures = self._decode(size, pinned, needed, progress)
        """uint8 RGBA [T, H, W, 4], on the device or pinned on the host."""
        if on_device:
            self.pictures = self.pictures.to(self.device)
        if pinned:
            progress(f"{frames.name} {frames.split}: the pictures need {needed / 1e9:.1f} GB, more than the GPU can spare; "
                     "they stay on the host. A smaller size makes training faster")
        self.motion = Motion(**{name: self._tensor(getattr(frames.sequence, name)) for name in FIELDS})
        """Every field with a leading axis of T."""
        self.viewmats = self._tensor(np.stack([c.world_to_camera for c in cameras]))
        """World to camera, [T, 4, 4]."""
        self.Ks = self._tensor(np.stack([c.K for c in cameras]))
        """Pixels, [T, 3, 3]."""
        self.background = self._tensor(np.asarray(background, np.float32))
        # Rows of all that, once: ten look-ups a frame would take longer than compositing it.
        columns = [getattr(self.motion, name).unbind() for name in FIELDS]
        self._motions = [Motion(**dict(zip(FIELDS, row, strict=True))) for row in zip(*columns, strict=True)]
        self._views = [View(viewmat, K, self.width, self.height)
                       for viewmat, K in zip(self.viewmats.unbind(), self.Ks.unbind(), strict=True)]

    def _tensor(self, value: np.ndarray) -> Tensor:
        return torch.tensor(value, dtype=torch.float32, device=self.device)

    def _decode(self, size: int | None, pinned: bool, needed: int, progress: Callable[[str], None]) -> Tensor:
        frames, count = self.frames, len(self.frames)
        pictures = torch.empty((count, self.height, self.width, 4), dtype=torch.uint8, pin_memory=pinned)
        array, told = pictures.numpy(), 0
        name = f"{frames.name} {frames.split}"
        with ThreadPoolExecutor(THREADS) as pool:
            done = pool.map(lambda i: array.__setitem__(i, frames.picture(i, size)), range(count))
            try:
                for i, _ in enumerate(done, 1):
                    if i * 4 // count > told:
                        told = i * 4 // count
                        progress(f"{name}: {i} of {count} pictures read, {self.width} x {self.height}"
                                 + (f", {needed / 1e6:.1f} MB" if i == count else ""))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # one bad picture: do not read the other thousand first
                raise
        return pictures

    def __len__(self) -> int:
        return len(self.frames)

    def view(self, index: int) -> View:
        """Return one frame's camera; its tensors are rows of the store's."""
        return self._views[index]

    def batch(self, index: int, background: Background | None = None) -> Batch:
        """Return one frame, composited.

        Args:
            index: Which.
            background: Display sRGB [3]; the store's when None. A tensor on the device saves a copy.
        """
        ground = self.background if background is None else torch.as_tensor(background, dtype=torch.float32,
                                                                             device=self.device)
        rgb, mask = composite(self.pictures[index].to(self.device, non_blocking=True), ground)
        return Batch(index, self.frames.split, rgb, mask, self._views[index], self._motions[index], ground)

    def numpy_picture(self, index: int) -> UInt8[np.ndarray, "H W 4"]:
        """Return one frame's picture as straight 8-bit RGBA."""
        return self.pictures[index].cpu().numpy()


def composite(picture: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Return colours [H, W, 3] over a background [3], and the matte [H, W], of straight 8-bit RGBA [H, W, 4]."""
    straight = picture.to(torch.float32).div_(255)
    mask = straight[..., 3]
    return torch.lerp(background, straight[..., :3], mask[..., None]), mask.contiguous()


def order(count: int, seed: int, epoch: int) -> Int64[np.ndarray, " count"]:
    """Return a permutation of 0..count-1 that depends on its arguments alone, so that a resumed run sees the same."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def _device_room(device: torch.device) -> int:
    return int(torch.cuda.mem_get_info(device)[0] * DEVICE_SHARE)


def _check_room(frames: Frames, needed: int) -> None:
    room = _host_room()
    if needed > room:
        raise UnsupportedFeature(f"{frames.name} {frames.split}: {len(frames)} pictures need {needed / 1e9:.1f} GB of "
                                 f"memory, {room / 1e9:.1f} GB can be had; train with smaller pictures or fewer frames")


def _host_room() -> int:
    """Return bytes of memory that can be had; where the system does not say, whatever is asked for."""
    try:
        with open("/proc/meminfo") as lines:
            free = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB\n")}
        return int(free["MemAvailable"] * HOST_SHARE)
    except (OSError, KeyError):
        return 1 << 62
