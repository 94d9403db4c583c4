"""MonoGaussianAvatar's three networks, under the names of its files. Lengths are quarters of a metre.

The released code puts static looks into a row in one order and takes them out in another (`formats.importers.mono_networks`):
what it uses as scales is its rotation head, and no Gaussian turns. Here there is one head for scales and none for turns;
`released_state` puts things where the files have them.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from formats.importers.mono_networks import BETA, BONES, CORRECTIVES, FREQUENCIES, LAYERS, SHARPNESS, SKIP

ENCODED = 3 + 6 * FREQUENCIES


class Normed(nn.Module):
    """A linear layer whose row k is g_k v_k / |v_k|. Salimans and Kingma, "Weight normalization", NIPS 2016."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        plain = nn.Linear(inputs, outputs)
        self.weight_v = nn.Parameter(plain.weight.detach())
        self.weight_g = nn.Parameter(plain.weight.detach().norm(dim=1, keepdim=True))
        self.bias = nn.Parameter(plain.bias.detach())

    def start(self, weight: Tensor) -> None:
        """Begin at these weights, without bias."""
        with torch.no_grad():
            self.weight_v.copy_(weight)
            self.weight_g.copy_(weight.norm(dim=1, keepdim=True))
            self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Return rows [N, outputs] of rows [N, inputs]."""
        return functional.linear(x, self.weight_v * (self.weight_g / self.weight_v.norm(dim=1, keepdim=True)), self.bias)


def soft(x: Tensor) -> Tensor:
    """Return softplus with the steepness that all of them have."""
    return functional.softplus(x, beta=BETA)


class Deformer(nn.Module):
    """From a canonical point to how it moves: own correctives, expressions, an offset, and which bones hold it."""

    def __init__(self, width: int, expressions: int) -> None:
        super().__init__()
        self.expressions = expressions
        for i in range(4):
            self.add_module(f"lin{i}", Normed(width if i else 3, width))
        self.blendshapes = nn.Linear(width, 3 * CORRECTIVES + 3 * expressions + 3)
        self.skinning_linear = Normed(width, width)
        self.skinning = nn.Linear(width, BONES)
        for head in (self.blendshapes, self.skinning):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return offsets [N, 3], directions [N, 3, 36 + E] and weights [N, 6], the ghost's last."""
        x = points
        for i in range(4):
            x = soft(self.get_submodule(f"lin{i}")(x))
        out, split = self.blendshapes(x), 3 * CORRECTIVES
        posedirs = out[:, :split].view(-1, CORRECTIVES, 3).transpose(1, 2)
        exprdirs = out[:, split:-3].view(-1, 3, self.expressions)
        weights = torch.softmax(SHARPNESS * self.skinning(soft(self.skinning_linear(x))), dim=1)
        # Files have the ghost first, our heads have it last.
        return out[:, -3:], torch.cat([posedirs, exprdirs], dim=2), torch.cat([weights[:, 1:], weights[:, :1]], dim=1)


class Geometry(nn.Module):
    """From a canonical point to what it looks like before a frame has its say; nothing is activated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for i in range(LAYERS):
            inputs, outputs = (width if i else ENCODED), (width - ENCODED if i == SKIP - 1 else width)
            layer = Normed(inputs, outputs)
            # As for a signed distance (Atzmon and Lipman 2020): frequencies have no say at first.
            weight = torch.randn(outputs, inputs) * math.sqrt(2 / outputs)
            if i == 0:
                weight[:, 3:] = 0
            elif i == SKIP:
                weight[:, 3 - ENCODED:] = 0
            layer.start(weight)
            self.add_module(f"lin{i}", layer)
        self.out_layer = nn.Sequential(nn.Linear(width, width), nn.Softplus(BETA), nn.Linear(width, width), nn.Linear(width, 3))
        self.scaling_layer = nn.Sequential(nn.Linear(width, width), nn.Softplus(BETA), nn.Linear(width, 3))
        self.opacity_layer = nn.Sequential(nn.Linear(width, width), nn.Softplus(BETA), nn.Linear(width, 1))

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return colours [N, 3], scales [N, 3] and opacities [N, 1]."""
        waves = [f(points * 2.0**k) for k in range(FREQUENCIES) for f in (torch.sin, torch.cos)]
        first = torch.cat([points, *waves], dim=1)
        x = first
        for i in range(LAYERS):
            x = torch.cat([x, first], dim=1) / math.sqrt(2) if i == SKIP else x
            x = soft(self.get_submodule(f"lin{i}")(x))
        return self.out_layer(x), self.scaling_layer(x), self.opacity_layer(x)


class Appearance(nn.Module):
    """From how far a frame moved a point to what that adds to its looks."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lin0, self.lin1, self.lin2 = Normed(3, width), Normed(width, width), Normed(width, width)
        for name, outputs in (("color", 3), ("scaling", 3), ("opacity", 1)):
            self.add_module(f"{name}_layer", nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)))

    def forward(self, moved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is added to colours [N, 3], scales [N, 3] and opacities [N, 1]."""
        x = self.lin2(torch.relu(self.lin1(torch.relu(self.lin0(moved)))))
        return (self.get_submodule("color_layer")(x), self.get_submodule("scaling_layer")(x),
                self.get_submodule("opacity_layer")(x))


def released_state(points: Tensor, deformer: Deformer, geometry: Geometry, appearance: Appearance) -> dict[str, Tensor]:
    """Return the networks under the names, and in the slots, of the released trainer's files."""
    state = {"pc.points": points}
    for prefix, network in (("deformer_network", deformer), ("geometry_network", geometry),
                            ("gaussian_deformer_network", appearance)):
        state |= {f"{prefix}.{name}": value for name, value in network.state_dict().items()}
    name = "geometry_network.scaling_layer"
    weight, bias = state[f"{name}.2.weight"], state[f"{name}.2.bias"]
    # Scales are read from the rotation head; its fourth number and the scale head are the quaternion: (1, 0, 0, 0).
    state |= {"geometry_network.rotations_layer.0.weight": state[f"{name}.0.weight"],
              "geometry_network.rotations_layer.0.bias": state[f"{name}.0.bias"],
              "geometry_network.rotations_layer.2.weight": functional.pad(weight, (0, 0, 0, 1)),
              "geometry_network.rotations_layer.2.bias": functional.pad(bias, (0, 1), value=1.0),
              f"{name}.2.weight": torch.zeros_like(weight), f"{name}.2.bias": torch.zeros_like(bias)}
    width = len(state["gaussian_deformer_network.lin2.bias"])
    state |= {f"gaussian_deformer_network.rotations_layer.{i}.{kind}": points.new_zeros(shape)
              for i, outputs in ((0, width), (2, 4)) for kind, shape in (("weight", (outputs, width)), ("bias", (outputs,)))}
    return {key: value.detach() for key, value in state.items()}
