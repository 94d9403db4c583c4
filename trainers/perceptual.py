"""Distances in the features of ImageNet networks. Their weights are the user's: none are shipped and none are fetched.

A backbone is a file with torchvision's state dict of VGG-16 or AlexNet (`features.0.weight`, ...), safetensors or .pth.
Networks: Simonyan and Zisserman, "Very deep convolutional networks", ICLR 2015; Krizhevsky, "One weird trick for
parallelizing convolutional neural networks", 2014.
"""

import pickle
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from formats.codecs import safetensors_file
from formats.errors import FormatError, UnsupportedFeature
from formats.files import check_readable

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB 0..1: what torchvision's networks were trained on."""
LPIPS_SHIFT, LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of RGB -1..1: the published input scaling of LPIPS, which its linear weights were fitted with."""
FATE_SIZE = 224
"""Pixels that FateAvatar's loss scales pictures to."""


@dataclass(frozen=True)
class Layer:
    """One entry of torchvision's `features`."""

    kind: str
    """`conv`, `relu` or `pool`."""
    channels: tuple[int, int] = (0, 0)
    """In and out, of a convolution."""
    kernel: int = 3
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Network:
    """A stack of convolutions, and where it is cut."""

    name: str
    layers: tuple[Layer, ...]
    lpips_cuts: tuple[int, ...]
    """LPIPS takes the features before these layers."""
    fate_cuts: tuple[int, ...] = ()
    """So does FateAvatar's loss."""

    def channels(self, cut: int) -> int:
        """Return how many features there are before layer `cut`."""
        return [layer.channels[1] for layer in self.layers[:cut] if layer.kind == "conv"][-1]


def _vgg16() -> Network:
    layers, width = [], 3
    for out in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if not out:
            layers.append(Layer("pool", kernel=2, stride=2))
            continue
        layers += [Layer("conv", (width, out)), Layer("relu")]
        width = out
    return Network("VGG-16", tuple(layers), (4, 9, 16, 23, 30), (4, 9, 16, 23))


def _alexnet() -> Network:
    pool = Layer("pool", kernel=3, stride=2)
    return Network("AlexNet", (
        Layer("conv", (3, 64), 11, 4, 2), Layer("relu"), pool, Layer("conv", (64, 192), 5, 1, 2), Layer("relu"), pool,
        Layer("conv", (192, 384)), Layer("relu"), Layer("conv", (384, 256)), Layer("relu"), Layer("conv", (256, 256)),
        Layer("relu"), pool), (2, 5, 8, 10, 12))


VGG16, ALEXNET = _vgg16(), _alexnet()


class Features(nn.Module):
    """The features of a network before its cuts. Nothing in it learns, and nothing of it is in a checkpoint."""

    def __init__(self, network: Network, weights: Mapping[str, Tensor], cuts: tuple[int, ...], where: str) -> None:
        """Take the convolutions before the last cut from `weights`, by torchvision's names.

        Args:
            network: Which.
            weights: `features.N.weight` and `features.N.bias`; others are left alone.
            cuts: Before which layers features are taken, rising.
            where: The file, for messages.

        Raises:
            FormatError: A tensor is missing, of another shape, or not finite.
        """
        super().__init__()
        self.network, self.cuts = network, cuts
        for number, layer in enumerate(network.layers[:cuts[-1]]):
            if layer.kind != "conv":
                continue
            width, out = layer.channels
            for name, shape in (("weight", (out, width, layer.kernel, layer.kernel)), ("bias", (out,))):
                value = _tensor(weights, f"features.{number}.{name}", shape, where, f"torchvision's {network.name}")
                self.register_buffer(f"{name}_{number}", value, persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features [B, C, h, w] of pictures [B, 3, H, W], scaled as the network wants them."""
        found = []
        for number, layer in enumerate(self.network.layers[:self.cuts[-1]], 1):
            if layer.kind == "conv":
                image = functional.conv2d(image, getattr(self, f"weight_{number - 1}"), getattr(self, f"bias_{number - 1}"),
                                          layer.stride, layer.padding)
            elif layer.kind == "relu":
                image = functional.relu(image)
            else:
                image = functional.max_pool2d(image, layer.kernel, layer.stride)
            if number in self.cuts:
                found.append(image)
        return found


class Perceptual(nn.Module):
    """FateAvatar's perceptual loss: the sum over VGG-16's cuts of the mean L1 distance of features, at 224 pixels.

    Pictures [H, W, 3] are scaled (bilinear) and normalised by ImageNet's mean and deviation. Source: Johnson, Alahi,
    Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", ECCV 2016; cuts as FateAvatar's.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, path: str | Path) -> None:
        """Read VGG-16 from `path`.

        Raises:
            MissingAsset: There is no such file.
            FormatError: It does not hold VGG-16's features.
        """
        super().__init__()
        self.features = Features(VGG16, read_weights(path), VGG16.fate_cuts, str(path))
        self.register_buffer("shift", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """Return the distance; `target` gets no gradient."""
        with torch.no_grad():
            there = self.features(self._input(target))
        pairs = zip(self.features(self._input(image)), there, strict=True)
        return torch.stack([(a - b).abs().mean() for a, b in pairs]).sum()

    def _input(self, image: Tensor) -> Tensor:
        batch = ((image.permute(2, 0, 1) - self.shift) / self.scale)[None]
        return functional.interpolate(batch, size=(FATE_SIZE, FATE_SIZE), mode="bilinear", align_corners=False)


class Lpips(nn.Module):
    """LPIPS: how different two pictures look, 0 for equal ones.

    Per cut: features made unit along channels, squared differences weighted by a learned vector, mean over the picture;
    summed over cuts. Source: Zhang, Isola, Efros, Shechtman, Wang, "The unreasonable effectiveness of deep features as a
    perceptual metric", CVPR 2018, eq. 1, version 0.1 of its weights.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: str | Path, linear: str | Path) -> None:
        """Read a backbone and the published linear weights `lin0.model.1.weight` ... that belong to it.

        Raises:
            MissingAsset: A file is not there.
            FormatError: `backbone` is neither VGG-16 nor AlexNet, or `linear` does not belong to it.
        """
        super().__init__()
        weights = read_weights(backbone)
        network = _recognise(weights, backbone)
        self.network = network.name
        self.features = Features(network, weights, network.lpips_cuts, str(backbone))
        published = read_weights(linear)
        for number, cut in enumerate(network.lpips_cuts):
            value = _tensor(published, f"lin{number}.model.1.weight", (1, network.channels(cut), 1, 1), str(linear),
                            f"LPIPS's linear layers for {network.name}")
            self.register_buffer(f"linear_{number}", value, persistent=False)
        self.register_buffer("shift", torch.tensor(LPIPS_SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(LPIPS_SCALE).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """Return the distance of two pictures [H, W, 3] of one size.

        Raises:
            UnsupportedFeature: They are too small for the network.
        """
        least = 32
        if min(image.shape[:2]) < least:
            raise UnsupportedFeature(f"LPIPS: pictures of {image.shape[1]} x {image.shape[0]} pixels; {self.network} needs "
                                     f"{least} either way")
        total = image.new_zeros(())
        pairs = zip(self._unit_features(image), self._unit_features(target), strict=True)
        for number, (a, b) in enumerate(pairs):
            total = total + functional.conv2d((a - b).square(), getattr(self, f"linear_{number}")).mean()
        return total

    def _unit_features(self, image: Tensor) -> list[Tensor]:
        batch = ((2 * image.permute(2, 0, 1) - 1 - self.shift) / self.scale)[None]
        # The gradient of a length is not finite at 0; 1e-10 is the release's.
        return [f / ((f.square().sum(dim=1, keepdim=True) + 1e-20).sqrt() + 1e-10) for f in self.features(batch)]


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file or a torch state dict, on the CPU.

    Torch files are read with `weights_only=True`: no code in them runs.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is neither, or is damaged.
    """
    check_readable(path)
    with open(path, "rb") as file:
        head = file.read(16)
    if safetensors_file.sniff(head):
        return {name: torch.from_numpy(np.array(value)) for name, value in safetensors_file.read(path).items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols it may not know; then it fails below, or it does not
            held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, OSError, AttributeError, TypeError,
            AssertionError, OverflowError, struct.error) as error:
        reason = (str(error).splitlines() or [""])[0][:120]
        raise FormatError(f"{path}: neither safetensors nor a torch file with tensors alone ({reason}); give a state dict, "
                          "as torchvision's weights are") from error
    if not isinstance(held, Mapping) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in held.items()):
        raise FormatError(f"{path}: holds {type(held).__name__}, expected a state dict of names to tensors")
    return dict(held)


def _recognise(weights: Mapping[str, Tensor], path: str | Path) -> Network:
    first = weights.get("features.0.weight")
    for network in (VGG16, ALEXNET):
        layer = network.layers[0]
        if first is not None and tuple(first.shape) == (layer.channels[1], 3, layer.kernel, layer.kernel):
            return network
    found = "is missing" if first is None else f"is {list(first.shape)}"
    raise FormatError(f"{path}: 'features.0.weight' {found}; expected torchvision's VGG-16 ([64, 3, 3, 3]) or AlexNet "
                      "([64, 3, 11, 11]): name the backbone first, then LPIPS's linear layers")


def _tensor(weights: Mapping[str, Tensor], name: str, shape: tuple[int, ...], where: str, what: str) -> Tensor:
    value = weights.get(name)
    if value is None or tuple(value.shape) != shape:
        found = "is missing" if value is None else f"is {list(value.shape)}"
        raise FormatError(f"{where}: '{name}' {found}, expected {list(shape)}; give {what} weights by their published names")
    value = value.detach().to(torch.float32)
    if not bool(torch.isfinite(value).all()):
        raise FormatError(f"{where}: '{name}' holds numbers that are not finite; download it again")
    return value
