"""What the loop, the evaluation and the systems agree on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from formats.avatar import Avatar


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole camera on the device. OpenCV axes, pixels; the centre of the first pixel is (0.5, 0.5)."""

    viewmat: Tensor
    """World to camera, [4, 4] float32."""
    K: Tensor
    """[3, 3] float32."""
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Motion:
    """One frame's driving parameters, float32: the fields of `formats.sequence.Sequence`, without the leading axis."""

    expr: Tensor
    """[E]"""
    rotation: Tensor
    """[3], axis-angle, as those below."""
    neck: Tensor
    jaw: Tensor
    eyes: Tensor
    """[6]: left, right."""
    eyelids: Tensor
    """[2]: left, right."""
    translation: Tensor
    """[3], metres."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One frame as the loop hands it to a model."""

    index: int
    """Row in its `FrameStore`: where per-frame parameters live."""
    split: str
    """`train` or `test`."""
    rgb: Tensor
    """[H, W, 3] float32 display sRGB, composited on `background`."""
    mask: Tensor
    """[H, W] float32 matte, 0..1."""
    view: View
    motion: Motion
    background: Tensor
    """[3] display sRGB."""


@dataclass(eq=False)
class Drawing:
    """What a model's `render` gives back."""

    rgb: Tensor
    """[H, W, 3], not clipped."""
    alpha: Tensor
    """[H, W]"""
    means2d: Tensor
    """[N, 2] pixels, kept in the graph: after `backward`, `means2d.grad` is the gradient in pixels."""
    visible: Tensor
    """[N] bool: on the picture."""
    extra: Mapping[str, Any]
    """Whatever the model's own `losses` needs."""


class Model(Protocol):
    """A system. `torch.nn.Module` in all but name: `state_dict` and `load_state_dict` hold everything that learns.

    Sizes of parameters may change in `after_step`; `load_state_dict` takes the sizes it is given.
    """

    def render(self, batch: Batch) -> Drawing:
        """Return the picture of the model at `batch.motion` from `batch.view`, refined by its own per-frame parameters."""
        ...

    def losses(self, batch: Batch, drawing: Drawing) -> dict[str, Tensor]:
        """Return scalar terms by name, already weighted: the loss is their sum."""
        ...

    def optimizers(self) -> Mapping[str, Any]:
        """Return torch optimisers by name, made once; the loop zeroes, steps and stores them, `after_step` may reshape
        their state."""
        ...

    def after_step(self, step: int, drawing: Drawing) -> None:
        """Densify, prune, schedule. `step` counts from 1; anything random in it is seeded by (config.seed, step)."""
        ...

    def to_avatar(self) -> Avatar:
        """Return what was learned; `formats.render` of it is `render`'s picture."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor that a resume needs, optimisers' apart."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave; parameters and optimisers take on its sizes."""
        ...
