"""OSGAP's network: a portrait [B, 3, 512, 512] to a latent image [B, 96, 256, 256] on FLAME's texture layout.

The encoder of Trevithick et al., "Real-Time Radiance Fields for Single-Image Portrait View Synthesis" (Live 3D Portrait),
SIGGRAPH 2023, section 3 and its supplement, in the arrangement that OSGAP's checkpoints have. Names of modules are those of
the checkpoints' keys, so that they load strictly: 210 tensors, 100.1 million numbers.

    low     ResNet-34 up to its second stage (He et al. 2016), then DeepLabV3's pyramid (Chen et al. 2017), norms removed
    F       five transformer blocks (SegFormer, Xie et al. 2021) on it, brought to 256 x 256: 96 channels
    EHigh   convolutions on the picture itself: 96 channels
    Final   both together, one more block, 96 channels

The checkpoints hold two further stages of the ResNet, which are never run.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

LATENT = 96
SLOPE = 0.01


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Return a convolution that keeps the size but for its stride, with a bias."""
    return nn.Conv2d(inputs, outputs, size, stride, dilation * (size // 2), dilation)


class BasicBlock(nn.Module):
    """Two convolutions with a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.conv2 = convolution(outputs, outputs)
        self.downsample = nn.Sequential(convolution(inputs, outputs, 1, stride)) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(functional.relu(self.conv1(x)))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet34(nn.Module):
    """The trunk without norms, run to an eighth of the picture's size: 128 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = convolution(5, 64, 7, 2)
        self.layer1 = self._stage(3, 64, 64)
        self.layer2 = self._stage(4, 64, 128)
        self.layer3 = self._stage(6, 128, 256)
        self.layer4 = self._stage(3, 256, 512)

    @staticmethod
    def _stage(blocks: int, inputs: int, width: int) -> nn.Sequential:
        first = BasicBlock(inputs, width, 1 if inputs == width else 2)
        return nn.Sequential(first, *(BasicBlock(width, width, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 3, 2, 1)
        return self.layer2(self.layer1(x))


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: five views of different reach, projected together."""

    RATES = (12, 24, 36)

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), convolution(inputs, width, 1))
        wide = [nn.Sequential(convolution(inputs, width, 3, 1, rate)) for rate in self.RATES]
        self.convs = nn.ModuleList([nn.Sequential(convolution(inputs, width, 1)), *wide, pool])
        self.project = nn.Sequential(convolution(5 * width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        views = [functional.relu(view(x)) for view in self.convs]
        views[-1] = views[-1].expand_as(views[0])
        # Training drops half of this out.
        return functional.relu(self.project(torch.cat(views, dim=1)))


class PatchEmbed(nn.Module):
    """Overlapping patches of 7 x 7, every second one, as normalised tokens."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.proj = convolution(inputs, width, 7, 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor, int, int]:
        x = self.proj(x)
        return self.norm(x.flatten(2).transpose(1, 2)), x.shape[2], x.shape[3]


def as_image(tokens: Tensor, height: int, width: int) -> Tensor:
    """Return tokens [B, H W, C] as an image [B, C, H, W]."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)


class Attention(nn.Module):
    """Self-attention whose keys and values may come from a coarser image."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.proj = nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width)
        self.reduction = reduction

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        batch, count, channels = x.shape
        near = x
        if self.reduction > 1:
            near = self.norm(self.sr(as_image(x, height, width)).flatten(2).transpose(1, 2))
        q = self.q(x).reshape(batch, count, self.heads, -1).transpose(1, 2)
        k, v = self.kv(near).reshape(batch, near.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, channels))


class DepthwiseConvolution(nn.Module):
    """A 3 x 3 convolution of each channel by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        return self.dwconv(as_image(x, height, width)).flatten(2).transpose(1, 2)


class Mlp(nn.Module):
    """Two linear layers with a depthwise convolution before the nonlinearity."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.dwconv = DepthwiseConvolution(hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        return self.fc2(functional.gelu(self.dwconv(self.fc1(x), height, width)))


class Block(nn.Module):
    """A transformer block."""

    def __init__(self, width: int, heads: int, reduction: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, reduction)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 2 * width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x + self.attn(self.norm1(x), height, width)
        return x + self.mlp(self.norm2(x), height, width)


class LowEncoder(nn.Module):
    """`F_encoder`: [B, 256, 64, 64] to [B, 96, 256, 256]."""

    def __init__(self) -> None:
        super().__init__()
        self.patchembed = PatchEmbed(256, 1024)
        self.blocks = nn.ModuleList([Block(1024, 4) for _ in range(5)])
        self.net = nn.Sequential(convolution(256, 128), nn.ReLU(), nn.UpsamplingBilinear2d(scale_factor=2),
                                 convolution(128, 128), nn.ReLU(), convolution(128, LATENT))

    def forward(self, x: Tensor) -> Tensor:
        x, height, width = self.patchembed(x)
        for block in self.blocks:
            x = block(x, height, width)
        x = functional.pixel_shuffle(as_image(x, height, width), 2)
        return self.net(functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))


class HighEncoder(nn.Module):
    """`EHigh_encoder`: [B, 5, 512, 512] to [B, 96, 256, 256]."""

    def __init__(self) -> None:
        super().__init__()
        steps: list[nn.Module] = [convolution(5, 64, 7, 2), nn.LeakyReLU(SLOPE)]
        for inputs in (64, LATENT, LATENT, LATENT):
            steps += [convolution(inputs, LATENT), nn.LeakyReLU(SLOPE)]
        self.net = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class FinalEncoder(nn.Module):
    """`Final_encoder`: both of [B, 96, 256, 256] to the latent image."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(convolution(2 * LATENT, 256), nn.LeakyReLU(SLOPE), convolution(256, 128),
                                 nn.LeakyReLU(SLOPE))
        self.pathembed = PatchEmbed(128, 1024)
        self.block = Block(1024, 2, 2)
        self.output_net = nn.Sequential(
            convolution(256 + LATENT, 256), nn.LeakyReLU(SLOPE), convolution(256, 128), nn.LeakyReLU(SLOPE),
            convolution(128, 128), nn.LeakyReLU(SLOPE), convolution(128, LATENT))

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        x, height, width = self.pathembed(self.net(torch.cat([high, low], dim=1)))
        x = functional.pixel_shuffle(as_image(self.block(x, height, width), height, width), 2)
        return self.output_net(torch.cat([x, low], dim=1))


class Encoder(nn.Module):
    """The whole network. Sides of the picture must be multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ResNet34()
        self.decoder = nn.Sequential(Pyramid(128, 256), convolution(256, 256), nn.Identity(), nn.ReLU())
        self.F_encoder = LowEncoder()
        self.EHigh_encoder = HighEncoder()
        self.Final_encoder = FinalEncoder()

    def forward(self, image: Tensor) -> Tensor:
        """Return the latent image of pictures [B, 3, H, W], RGB 0..1, at half their size.

        The network sees where it is: each pixel's row and column number are channels of their own, unscaled.
        """
        rows, columns = torch.meshgrid(torch.arange(image.shape[2]), torch.arange(image.shape[3]), indexing="ij")
        place = torch.stack([rows, columns]).to(image).expand(len(image), -1, -1, -1)
        x = torch.cat([image, place], dim=1)
        low = self.F_encoder(self.decoder(self.encoder(x)))
        return self.Final_encoder(self.EHigh_encoder(x), low)
