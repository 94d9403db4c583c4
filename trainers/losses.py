"""Losses that more than one system uses. Images are [H, W, 3], display sRGB 0..1, prediction first."""

import functools
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainers.rotations import quat_to_axis_angle

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
"""Pixels: the window of Wang et al. 2004, and of every Gaussian splatting paper since."""


def l1(image: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference."""
    return (image - target).abs().mean()


def l2(image: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference."""
    return (image - target).square().mean()


def huber(image: Tensor, target: Tensor, delta: float) -> Tensor:
    """Return the mean of d^2 / 2 where |d| < delta, and delta (|d| - delta / 2) beyond. Source: Huber, 1964."""
    return functional.huber_loss(image, target, delta=delta)


@functools.lru_cache(maxsize=8)
def _window(device: torch.device, dtype: torch.dtype) -> Tensor:
    x = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    w = torch.exp(-x.square() / (2 * SSIM_SIGMA**2))
    return (w / w.sum()).to(device=device, dtype=dtype)


def ssim(image: Tensor, target: Tensor) -> Tensor:
    """Return the mean structural similarity, 1 for equal pictures.

    Windows of 11 pixels with sigma 1.5, zeros beyond the border (padding 5), constants 0.01 and 0.03 for a range of 1.
    Source: Wang et al., "Image quality assessment", IEEE TIP 2004, eq. 13.
    """
    w = _window(image.device, image.dtype)
    x, y = image.permute(2, 0, 1), target.permute(2, 0, 1)
    # The target's own two need no gradient: apart from the others.
    mx, xx, xy = _blur(torch.cat([x, x * x, x * y]), w).chunk(3)
    my, yy = _blur(torch.cat([y, y * y]), w).chunk(2)
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mx * my + c1) * (2 * (xy - mx * my) + c2)
    bottom = (mx * mx + my * my + c1) * (xx - mx * mx + yy - my * my + c2)
    return (top / bottom).mean()


def _blur(maps: Tensor, w: Tensor) -> Tensor:
    """Return maps [C, H, W] under a window along both axes, zeros beyond the border."""
    if maps.is_cuda:
        return _blur_channels(maps, w)
    half = SSIM_WINDOW // 2
    maps = functional.conv2d(maps[:, None], w.view(1, 1, 1, -1), padding=(0, half))
    return functional.conv2d(maps, w.view(1, 1, -1, 1), padding=(half, 0))[:, 0]


def _blur_channels(maps: Tensor, w: Tensor) -> Tensor:
    """`_blur` for cuDNN, which takes twice as long for a batch of one-channel pictures as for channels of one."""
    half, count = SSIM_WINDOW // 2, len(maps)
    maps = functional.conv2d(maps[None], w.expand(count, 1, 1, -1), padding=(0, half), groups=count)
    return functional.conv2d(maps, w[:, None].expand(count, 1, -1, 1), padding=(half, 0), groups=count)[0]


def dssim(image: Tensor, target: Tensor) -> Tensor:
    """Return 1 - SSIM, as the splatting papers weigh it (not halved)."""
    return 1 - ssim(image, target)


def gradient(image: Tensor, target: Tensor, levels: int = 3) -> Tensor:
    """Return the L1 distance of the pictures' slopes, over a pyramid.

    Forward differences along x and y at full size and at each halving (2 x 2 means), averaged over both axes and all
    levels. It asks for edges where the target has edges, at several widths: a cheap stand-in for a perceptual loss where
    no network weights are at hand. It says nothing about flat colour: use it beside L1.
    """
    difference = (image - target).permute(2, 0, 1)[None]
    total = difference.new_zeros(())
    for level in range(levels):
        if level:
            if min(difference.shape[2:]) < 4:
                break
            difference = functional.avg_pool2d(difference, 2)
        total = total + difference.diff(dim=3).abs().mean() + difference.diff(dim=2).abs().mean()
    return total / (2 * levels)


def ratio_hinge(log_scales: Tensor, limit: float) -> Tensor:
    """Return the mean of relu(longest / shortest - limit) over Gaussians [N, 3]: no needles, no pancakes beyond `limit`.

    Source: PhysGaussian (Xie et al., CVPR 2024), eq. 14; FateAvatar uses 9.
    """
    return functional.relu(torch.exp(log_scales.amax(1) - log_scales.amin(1)) - limit).mean()


def tilt(quats: Tensor) -> Tensor:
    """Return the mean square of the x and z components of the rotation vectors of `quats` [N, 4], wxyz, not unit.

    Zero for Gaussians that only turn about y, the normal of the triangle they ride.
    """
    # A slice: a list of columns is a copy from the host, which no CUDA graph allows.
    return quat_to_axis_angle(quats)[:, ::2].square().mean()


def neighbours(faces: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return each edge of a mesh in both directions [E, 2] int64, and the number of neighbours [V] float32."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).long()
    edges = torch.unique(torch.cat([edges, edges.flip(1)]), dim=0)
    degree = torch.zeros(count, device=faces.device).index_add_(0, edges[:, 0], torch.ones(len(edges), device=faces.device))
    return edges, degree


class UniformLaplacian:
    """The uniform Laplacian of a mesh: each vertex's neighbours' mean less the vertex; 0 for a vertex without any."""

    RING = 10
    """Neighbours in the table; a pole's many more are added one by one."""

    def __init__(self, faces: Tensor, count: int) -> None:
        edges, degree = neighbours(faces, count)
        # A table of rings: one gather forwards and, neighbours being mutual, one backwards too.
        first = torch.searchsorted(edges[:, 0].contiguous(), torch.arange(count, device=faces.device))
        place = torch.arange(len(edges), device=faces.device) - first[edges[:, 0]]
        ring = torch.full((self.RING, count), count, dtype=torch.long, device=faces.device)
        held = place < self.RING
        ring[place[held], edges[held, 0]] = edges[held, 1]
        self.ring, self.more = ring.reshape(-1), edges[~held].t().contiguous()
        self.inverse = torch.where(degree > 0, 1 / degree.clamp_min(1), torch.zeros_like(degree))[:, None]
        self.own = (degree > 0).float()[:, None]

    def __call__(self, values: Tensor) -> Tensor:
        """Return L `values`, [V, C]."""
        return _Laplacian.apply(values, self)  # type: ignore[no-any-return]

    def ring_sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` [V, C] over each vertex's neighbours."""
        padded = functional.pad(values, (0, 0, 0, 1))
        total = padded.index_select(0, self.ring).view(self.RING, *values.shape).sum(dim=0)
        if self.more.shape[1]:
            total.index_add_(0, self.more[0], values.index_select(0, self.more[1]))
        return total


class _Laplacian(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, mesh: UniformLaplacian) -> Tensor:
        ctx.mesh = mesh
        return mesh.ring_sum(values) * mesh.inverse - values * mesh.own

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        mesh, (g,) = ctx.mesh, grads
        return mesh.ring_sum(g * mesh.inverse) - g * mesh.own, None


def square_length(values: Tensor) -> Tensor:
    """Return the mean over rows [V, C] of their squared lengths."""
    return values.square().sum(dim=1).mean()


def psnr(image: Tensor, target: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB of unclipped pictures; for progress lines."""
    error = float(l2(image.detach(), target))
    return -10 * math.log10(max(error, 1e-12))


def visible_mean(values: Tensor, visible: Tensor | None) -> Tensor:
    """Return the mean of values [N] where `visible` [N], bool; 0 where none is, and of all without it."""
    if visible is None:
        return values.mean()
    return torch.where(visible, values, torch.zeros_like(values)).sum() / visible.sum().clamp_min(1)


def distance_hinge(means: Tensor, limit: float, visible: Tensor | None = None) -> Tensor:
    """Return the mean of relu(|mean| - limit) over Gaussians [N, 3]. Source: GaussianAvatars, eq. 4."""
    return visible_mean(functional.relu(means.norm(dim=1) - limit), visible)


def size_hinge(scales: Tensor, limit: float, visible: Tensor | None = None) -> Tensor:
    """Return the mean of |relu(scales - limit)| over Gaussians [N, 3]. Source: GaussianAvatars, eq. 5."""
    return visible_mean(functional.relu(scales - limit).norm(dim=1), visible)
