"""The network that FATE bakes with: a U-Net from fixed noise to attribute maps.

Zhang et al. 2025, section 3.3, after Ulyanov et al., "Deep image prior", CVPR 2018: maps that a convolutional network makes
are continuous where nothing asks for an edge, which maps that are optimised texel by texel are not.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class DoubleConv(nn.Sequential):
    """Twice: 3 x 3 convolution, batch normalisation, ReLU. Always by the batch's own statistics: there is one input."""

    def __init__(self, inputs: int, outputs: int, hidden: int | None = None) -> None:
        hidden = hidden or outputs
        super().__init__(
            nn.Conv2d(inputs, hidden, 3, padding=1, bias=False), nn.BatchNorm2d(hidden, track_running_stats=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs, track_running_stats=False),
            nn.ReLU(inplace=True))


class UNet(nn.Module):
    """A U-Net of five widths (w, 2w, 4w, 8w, 8w), halving and doubling four times; no activation at its end."""

    def __init__(self, channels: int, width: int = 64) -> None:
        """Make one.

        Args:
            channels: Of input and output.
            width: Of the first level; 64 is the paper's (17 M weights).
        """
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.down = nn.ModuleList(DoubleConv(a, b) for a, b in zip([channels, *widths], widths, strict=False))
        joined = [(16, 4), (8, 2), (4, 1), (2, 1)]
        self.up = nn.ModuleList(DoubleConv(a * width, b * width, a * width // 2) for a, b in joined)
        self.last = nn.Conv2d(width, channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the maps [1, C, H, W] made of `image` [1, C, H, W]; H and W are multiples of 16."""
        levels, x = [], image
        for depth, block in enumerate(self.down):
            x = block(x if depth == 0 else functional.max_pool2d(x, 2))
            levels.append(x)
        for block, skip in zip(self.up, reversed(levels[:-1]), strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = block(torch.cat([skip, x], dim=1))
        return self.last(x)
