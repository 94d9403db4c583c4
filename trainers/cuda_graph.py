"""A function as one CUDA graph: posing is a hundred small kernels, and launching them takes longer than running them.

    pose = graphed(lambda expr, jaw, offset, ...: head_and_binding(...), (expr, jaw, offset, ...))
    means, quats, scales = pose(expr, jaw, offset, ...)

Sizes are part of a graph: whoever changes the number of Gaussians, or makes new parameters, calls `graphed` again.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

TensorFunction = Callable[..., tuple[Tensor, ...]]


def graphed(function: TensorFunction, sample_args: tuple[Tensor, ...]) -> TensorFunction:
    """Return `function` captured with its gradient on CUDA, and `function` itself elsewhere.

    Args:
        function: Takes tensors and returns a tuple of tensors. Everything that wants a gradient is an argument, what it
            closes over is constant; it does not wait for the device.
        sample_args: One call's arguments, on one device. Parameters are used in place: pass the same ones ever after, and
            let optimisers write into them. Others are copied in at each call, and must want gradients whenever these do.

    What a call returns, and the gradients, lie in the graph's own memory: they last until the next call, so there is one
    backward per call, and gradients are cleared to None (`zero_grad(set_to_none=True)`) between steps, not added up.
    """
    if not any(value.is_cuda for value in sample_args):
        return function
    # The graph writes arguments into its samples; a row of somebody's table must not be one. Parameters come as aliases:
    # their own nodes in autograd belong to another stream.
    static = tuple((value.detach() if isinstance(value, nn.Parameter) else value.detach().clone())
                   .requires_grad_(value.requires_grad) for value in sample_args)
    with torch.enable_grad():
        _warm(function, static)
        # None of its own warm-up: that leaves a graph of the wrong stream alive during the capture.
        return cast(TensorFunction, torch.cuda.make_graphed_callables(function, static, 0, allow_unused_input=True))


def _warm(function: TensorFunction, args: tuple[Tensor, ...]) -> None:
    """Run `function` and its gradient as a capture wants it: on a stream beside, until libraries have set themselves up."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            outputs = [value for value in function(*args) if value.requires_grad]
            wanted = [value for value in args if value.requires_grad]
            if outputs:
                torch.autograd.grad(outputs, wanted, [torch.zeros_like(value) for value in outputs], allow_unused=True)
            del outputs
    torch.cuda.current_stream().wait_stream(side)
