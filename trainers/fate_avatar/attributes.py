"""What the eleven channels of FATE's maps mean: raw network output to Gaussian attributes, and back.

Channels 0-2 colour (SH DC), 3 opacity (logit), 4-6 size (log metres at the canonical pose), 7-9 rotation (axis-angle in the
triangle's frame), 10 offset along the normal, as a share of the run's `offset_limit`. Source: FATE, section 3.3, and its
released trainer, with two differences. That stores quaternions as (z, w, x, y) by mistake, ours are (w, x, y, z). And of the
offset's two tanh it takes the second one after the lookup; ours takes both before, so that maps hold lengths and not what
becomes a length: they differ between texels, by less than a hundredth of an offset of microns.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from formats.conventions import SH_C0
from trainers.rotations import axis_angle_to_quat, quat_to_axis_angle

CHANNELS = 11
PARTS = {"color": 3, "opacity": 1, "scaling": 3, "rotation": 3, "offset": 1}
"""Order and widths of the raw channels."""
MARGIN = 1e-3
"""How near to its bounds an attribute may come when it is turned back into raw numbers."""


@dataclass(frozen=True)
class Bounds:
    """What the sizes of a run's Gaussians say about those that are baked; log metres."""

    mean: float
    most: float
    """No baked Gaussian is larger along any axis: the mean plus one standard deviation in the paper."""

    @classmethod
    def of(cls, scaling: Tensor, room: float = 1.0) -> "Bounds":
        """Return those of log sizes [N, 3], over all 3 N numbers, with the unbiased deviation times `room`."""
        mean = float(scaling.mean())
        return cls(mean, mean + max(room * float(scaling.std()), MARGIN))


def activate(raw: Tensor, bounds: Bounds) -> dict[str, Tensor]:
    """Return attributes by the names of `FateAvatar`'s parameters from raw channels [11, ...]; channels first.

    colour tanh(x) 0.5 / C0; opacity x; size M - softplus(M - x - m), with m and M of `bounds`; rotation the quaternion of
    the axis-angle 2 pi tanh(x), four channels; offset tanh(tanh(x)), the tanh of the parameter.
    """
    color, opacity, scaling, rotation, offset = raw.split(tuple(PARTS.values()))
    return {
        "color": torch.tanh(color) * (0.5 / SH_C0),
        "opacity": opacity,
        "scaling": bounds.most - functional.softplus(bounds.most - scaling - bounds.mean),
        "rotation": axis_angle_to_quat(torch.tanh(rotation) * (2 * math.pi), dim=0),
        "offset": torch.tanh(torch.tanh(offset)),
    }


def raw_of(attributes: dict[str, Tensor], bounds: Bounds) -> Tensor:
    """Return raw channels [N, 11] whose `activate` is `attributes` [N, ...], as near as its bounds allow."""

    def atanh(x: Tensor) -> Tensor:
        return torch.atanh(x.clamp(-1 + MARGIN, 1 - MARGIN))

    room = (bounds.most - attributes["scaling"]).clamp_min(MARGIN)
    scaling = bounds.most - bounds.mean - (room + torch.log(-torch.expm1(-room)))
    return torch.cat([atanh(attributes["color"] * (SH_C0 / 0.5)), attributes["opacity"].reshape(-1, 1), scaling,
                      atanh(quat_to_axis_angle(attributes["rotation"]) / (2 * math.pi)),
                      atanh(torch.atanh(attributes["offset"].reshape(-1, 1)))], dim=1)
