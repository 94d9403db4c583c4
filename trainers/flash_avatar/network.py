"""FlashAvatar's network: from a place on the neutral head and the frame's condition to what its Gaussian does."""

import torch
from torch import Tensor, nn

from formats.importers.flash_network import ENCODED
from trainers.model import Motion
from trainers.rotations import axis_angle_to_matrix


class Offsets(nn.Module):
    """ReLU layers, then ten numbers through tanh; source: FlashAvatar, section 3.3."""

    def __init__(self, conditions: int, hidden: int, layers: int, first: float) -> None:
        """Make it.

        Args:
            conditions: How many numbers a frame's condition is.
            hidden: Width of the layers.
            layers: How many, before the last.
            first: What the last layer's first weights are multiplied by.
        """
        super().__init__()
        widths = [ENCODED + conditions, *[hidden] * layers]
        self.fcs = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.last = nn.Linear(hidden, 10)
        with torch.no_grad():
            for weights in self.last.parameters():
                weights.mul_(first)

    def forward(self, encoding: Tensor, condition: Tensor) -> Tensor:
        """Return tanh of ten numbers [N, 10] for encoded places [N, 51] and a condition [C]."""
        first = self.fcs[0]
        assert isinstance(first, nn.Linear)
        # What all Gaussians share is added once.
        shared = first.weight[:, ENCODED:] @ condition + first.bias
        x = torch.relu(encoding @ first.weight[:, :ENCODED].t() + shared)
        for layer in self.fcs[1:]:
            x = torch.relu(layer(x))
        return torch.tanh(self.last(x))

    def stored(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return weight and bias of each layer, as `formats.importers.flash_network.offset_network` takes them."""
        return tuple((layer.weight, layer.bias) for layer in (*self.fcs, self.last))  # type: ignore[union-attr]


def drivers(expressions: int) -> dict[str, int]:
    """Return what a frame's condition is made of, in order, and how many numbers each is."""
    return {"expr": expressions, "jaw_6d": 6, "eyes_6d": 12, "eyelids": 2}


def condition(motion: Motion, expressions: int) -> Tensor:
    """Return a frame's condition [expressions + 20]: expression, the first two rows of the rotations of jaw and eyes, lids."""
    expr = torch.nn.functional.pad(motion.expr, (0, expressions - len(motion.expr)))
    turns = axis_angle_to_matrix(torch.cat([motion.jaw, motion.eyes]).view(3, 3))[:, :2]
    return torch.cat([expr, turns.reshape(-1), motion.eyelids])
