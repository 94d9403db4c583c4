"""Images on a head's UV layout."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool

from formats import checks
from formats.errors import FormatError


@dataclass(frozen=True, eq=False)
class UVMaps:
    """Named float images on one UV layout. Row 0 is the top (v = 0); texel (i, j) covers v = (i + 0.5) / H."""

    images: Mapping[str, np.ndarray]
    """Name to [H, W, C] float32. `albedo` is display sRGB in 0..1; other names are attribute maps with their own units."""
    mask: Bool[np.ndarray, "H W"] | None = None
    """Where a triangle covers the texel; None means everywhere."""
    color_spaces: Mapping[str, str] = field(default_factory=dict)
    """`srgb` or `data` per name; `srgb` for albedo and `data` otherwise when absent."""

    def __post_init__(self) -> None:
        images = {k: checks.array("UVMaps", k, v, (None, None, None), {}) for k, v in self.images.items()}
        spaces = {k: self.color_spaces.get(k, "srgb" if k == "albedo" else "data") for k in images}
        for name, space in spaces.items():
            if space not in ("srgb", "data"):
                raise FormatError(f"UVMaps.color_spaces[{name}]: expected 'srgb' or 'data', got '{space}'")
        mask = None if self.mask is None else checks.array("UVMaps", "mask", self.mask, (None, None), {}, np.bool_)
        checks.freeze(self, {"images": images, "color_spaces": spaces, "mask": mask})
