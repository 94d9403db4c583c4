"""A portrait through OSGAP's encoder: the five attribute maps."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from torch import Tensor
from torch.nn import functional

from formats.codecs import torch_file
from formats.errors import CheckpointMismatch, FormatError
from formats.files import check_readable
from formats.importers import osgap, osgap_maps
from trainers.osgap.encoder import Encoder

LOG = logging.getLogger(__name__)
PICTURE = 512
"""Pixels across that the network sees; its latent image has half."""
PIXEL_LIMIT = 1 << 26
GROUPS = {"local_position_uv": (0, 9, 3), "rot_delta_uv": (9, 17, 4), "local_scaling_uv": (17, 26, 3),
          "gs_opacity_uv": (26, 28, 1), "gs_features_uv": (28, 96, 34)}
"""Map to its latent channels (first, end) and to how many values they make, each the mean of neighbouring channels. Of the
34 features the first three are the colour; the rest feed a network that fine-tuning leaves out."""


def encode(checkpoint: Path, image: Path, size: int = 256) -> dict[str, Float32[np.ndarray, "S S C"]]:
    """Return the attribute maps of a portrait, as learned: no activation is taken (`formats.importers.osgap_maps`).

    Args:
        checkpoint: `model_<iteration>.pth` of OSGAP's fine-tuning.
        image: The portrait, on white: what is transparent is shown on white.
        size: Texels across. OSGAP reads the maps, which have 256, at as many places evenly from border to border.

    Raises:
        MissingAsset: A file is missing.
        FormatError: The checkpoint or the picture is damaged, or `size` is out of bounds.
        CheckpointMismatch: The checkpoint's encoder is another network.
        UnsupportedFeature: It is of OSGAP's older network.
    """
    if not 2 <= size <= osgap_maps.SIZE_LIMIT:
        raise FormatError(f"{checkpoint}: size {size}: expected 2 to {osgap_maps.SIZE_LIMIT} texels across")
    picture = portrait(image)
    network = load(checkpoint)
    with torch.inference_mode():
        latent = network(picture)
        if latent.shape[2] != size:
            latent = functional.interpolate(latent, (size, size), mode="bilinear", align_corners=True)
        return {name: np.ascontiguousarray(value.permute(1, 2, 0).numpy()) for name, value in maps_of(latent[0]).items()}


def maps_of(latent: Float32[Tensor, "96 S S"]) -> dict[str, Float32[Tensor, "C S S"]]:
    """Return the attribute maps in a latent image, the colours of the features only."""
    maps = {}
    for name, (first, end, count) in GROUPS.items():
        maps[name] = latent[first:end].reshape(count, -1, *latent.shape[1:]).mean(dim=1)[:osgap_maps.CHANNELS[name]]
    return maps


def portrait(path: Path) -> Float32[Tensor, "1 3 512 512"]:
    """Return a picture as the network takes it: RGB 0..1, white beside it until it is square, 512 x 512.

    OSGAP pads left and right only, by whole pixels, and scales bilinearly without antialiasing; a picture that is wider than
    high is padded above and below (our choice, the original cannot).
    """
    check_readable(path)
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > PIXEL_LIMIT:
                raise FormatError(f"{path}: {opened.width} x {opened.height} pixels; make the portrait smaller")
            shown = opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: not a picture that can be read: {error}") from error
    pixels = np.asarray(Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB"), np.float32) / 255
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    across, along = max(shown.height - shown.width, 0) // 2, max(shown.width - shown.height, 0) // 2
    x = functional.pad(x, (across, across, along, along), value=1.0)
    return functional.interpolate(x, (PICTURE, PICTURE), mode="bilinear", align_corners=False)


def load(checkpoint: Path) -> Encoder:
    """Return the encoder of a checkpoint. Other parts of it, FLAME's tables among them, stay unread.

    Raises: as `encode`.
    """
    entries = osgap.encoder_of(torch_file.open(checkpoint).root, checkpoint)
    with torch.device("meta"):
        network = Encoder()
    wanted = network.state_dict()
    strange = sorted(entries.keys() ^ wanted.keys())
    if strange:
        what, more = "missing" if strange[0] in wanted else "not known", len(strange) - 1
        raise CheckpointMismatch(f"{checkpoint}: 'Encoder.{strange[0]}' is {what}{f', and {more} more' * (more > 0)}; expected "
                                 f"the {len(wanted)} tensors of OSGAP's fine-tuned encoder")
    state = {key: _tensor(entries[key], tuple(wanted[key].shape), f"{checkpoint}: 'Encoder.{key}'") for key in wanted}
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval()


def _tensor(entry: Any, shape: tuple[int, ...], where: str) -> Tensor:
    if not isinstance(entry, torch_file.TorchTensor | np.ndarray) or entry.dtype.kind != "f":
        raise FormatError(f"{where}: expected a tensor of numbers")
    if tuple(entry.shape) != shape:
        raise CheckpointMismatch(f"{where}: expected {list(shape)}, got {list(entry.shape)}; it is another network's")
    value = np.array(entry.load() if isinstance(entry, torch_file.TorchTensor) else entry, np.float32)
    if not np.isfinite(value).all():
        raise FormatError(f"{where}: not finite; training diverged or the file is damaged")
    return torch.from_numpy(value)
