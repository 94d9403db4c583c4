"""Functions as CUDA graphs: a training step is hundreds of small kernels, and launching them takes longer than running.

    pose = graphed(lambda expr, jaw, offset, ...: head_and_binding(...), (expr, jaw, offset, ...))
    means, quats, scales = pose(expr, jaw, offset, ...)

Sizes are part of a graph: whoever changes the number of Gaussians, or makes new parameters, calls `graphed` again.
"""

import gc
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

TensorFunction = Callable[..., tuple[Tensor, ...]]
IDLE_SHARE = 0.25
"""Of the device's memory: how much may lie idle before a capture."""


def graphed(function: TensorFunction, sample_args: tuple[Tensor, ...]) -> TensorFunction:
    """Return `function` captured with its gradient on CUDA, and `function` itself elsewhere.

    Args:
        function: Takes tensors and returns a tuple of tensors. Everything that wants a gradient is an argument, what it
            closes over is constant; it does not wait for the device. It is called a few times before it is captured.
        sample_args: One call's arguments, on one device. Parameters are used in place: pass the same ones ever after, and
            let optimisers write into them. Others are copied in at each call, and must want gradients whenever these do.

    What a call returns, and the gradients, lie in the graph's own memory: they last until the next call, so there is one
    backward per call, and gradients are cleared to None (`zero_grad(set_to_none=True)`) between steps, not added up. Made
    under `torch.no_grad()`, or of arguments that want no gradient, a graph has none.
    """
    if not any(value.is_cuda for value in sample_args):
        return function
    recorded = _Recorded(function, sample_args)
    return lambda *args: _Replay.apply(recorded, *args)


def capture(work: Callable[[], Any], pool: Any = None, stream: Any = None) -> tuple[torch.cuda.CUDAGraph, Any]:
    """Return a graph of what `work` launches, and what it returned: tensors that each `replay()` fills again.

    Nothing runs during the capture. Unlike `torch.cuda.graph` it does not collect garbage or empty the allocator's cache,
    which takes a tenth of a second: graphs are made again whenever Gaussians come or go.
    """
    graph, stream = torch.cuda.CUDAGraph(), stream or torch.cuda.Stream()
    torch.cuda.synchronize()
    _make_room()
    collecting = gc.isenabled()
    gc.disable()  # what it would free might be another graph, which a capture does not survive
    try:
        with torch.cuda.stream(stream):
            # Gradients are launched by a thread of their own, which may set up what it needs.
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                made = work()
            finally:
                graph.capture_end()
    finally:
        if collecting:
            gc.enable()
    return graph, made


def _make_room() -> None:
    """Give back what graphs that are gone have left, where it is much: a capture cannot, and would find no memory."""
    idle = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    if idle > IDLE_SHARE * torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory:
        torch.cuda.empty_cache()


class InPlace:
    """A function that writes into tensors in place: on CUDA a replayed graph, as long as these stay where they are."""

    def __init__(self, work: Callable[..., None]) -> None:
        """Hold `work(*into, *given, *numbers)`, which does not wait for the device."""
        self._work = work
        self._graph: Any = None
        self._key: tuple[Any, ...] = ()
        self._given: list[Tensor] = []

    def __call__(self, into: Sequence[Tensor], given: Sequence[Tensor], *numbers: float) -> None:
        """Do it: `into` tensors that are written, of `given` tensors, with numbers that seldom change."""
        if not given[0].is_cuda:
            return self._work(*into, *given, *numbers)
        key = (*(value.data_ptr() for value in into), *(value.shape for value in given), *numbers)
        if key != self._key:
            self._given, self._key = [value.clone() for value in given], key
            self._graph, _ = capture(lambda: self._work(*into, *self._given, *numbers))
        copy_all(self._given, list(given))
        self._graph.replay()


def side_by_side(works: Sequence[Callable[[], Any]]) -> None:
    """Launch all but the last of `works` on streams of their own, beside the last one: branches of a graph in a capture.

    What comes after waits for all. Only the last one may want a gradient: its backward pass runs on the stream it ran on.
    """
    here = torch.cuda.current_stream()
    streams = [torch.cuda.Stream() for _ in works[1:]]
    for work, stream in zip(works, streams, strict=False):
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            work()
    works[-1]()
    for stream in streams:
        here.wait_stream(stream)


def copy_all(to: list[Tensor], values: list[Tensor]) -> None:
    """Copy tensors into others of the same shapes, in one launch per type of number."""
    kinds: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for place, value in zip(to, values, strict=True):
        places, given = kinds.setdefault(place.dtype, ([], []))
        places.append(place)
        given.append(value)
    for places, given in kinds.values():
        torch._foreach_copy_(places, given)  # type: ignore[attr-defined]


class _Recorded:
    """One function's graphs, and the tensors they read and write."""

    def __init__(self, function: TensorFunction, sample_args: tuple[Tensor, ...]) -> None:
        # The graph writes arguments into its samples; a row of somebody's table must not be one. Parameters come as
        # aliases: their own nodes in autograd belong to another stream.
        self.inputs = [(value.detach() if isinstance(value, nn.Parameter) else value.detach().clone())
                       .requires_grad_(value.requires_grad) for value in sample_args]
        self.copied = [i for i, value in enumerate(sample_args) if not isinstance(value, nn.Parameter)]
        self.places = [self.inputs[i].detach() for i in self.copied]
        self.wanted = [i for i, value in enumerate(self.inputs) if value.requires_grad and torch.is_grad_enabled()]
        pool, stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
        wanted = [self.inputs[i] for i in self.wanted]
        with torch.set_grad_enabled(bool(wanted)):
            self._warm(function, wanted, stream)
            self.forward, outputs = capture(lambda: function(*self.inputs), pool, stream)
            self.live = [i for i, value in enumerate(outputs) if value.requires_grad]
            self.seeds = [torch.zeros(outputs[i].shape, dtype=outputs[i].dtype, device=outputs[i].device)
                          for i in self.live]
            self.clean = [True] * len(self.live)
            self.backward, self.gradients = None, ()
            if self.live:
                live = [outputs[i] for i in self.live]
                self.backward, self.gradients = capture(
                    lambda: torch.autograd.grad(live, wanted, self.seeds, allow_unused=True), pool, stream)
        self.outputs = [value.detach() for value in outputs]

    def _warm(self, function: TensorFunction, wanted: list[Tensor], stream: Any) -> None:
        """Run the function and its gradient on the stream of the capture, until libraries have set themselves up."""
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                outputs = [value for value in function(*self.inputs) if value.requires_grad]
                if outputs:
                    torch.autograd.grad(outputs, wanted, [torch.zeros_like(value) for value in outputs], allow_unused=True)
                del outputs
        torch.cuda.current_stream().wait_stream(stream)

    def pull(self, grads: tuple[Tensor | None, ...]) -> None:
        """Put the gradients of what came out where the graph reads them; those that are missing are zeros."""
        given = [(place, grads[i]) for place, i in zip(self.seeds, self.live, strict=True)]
        for n, (place, grad) in enumerate(given):
            if grad is None and not self.clean[n]:
                place.zero_()
            self.clean[n] = grad is None
        there = [(place, grad) for place, grad in given if grad is not None]
        copy_all([place for place, _ in there], [grad for _, grad in there])


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recorded: _Recorded, *args: Tensor) -> tuple[Tensor, ...]:
        copy_all(recorded.places, [args[i] for i in recorded.copied])
        recorded.forward.replay()
        outputs = tuple(value.detach() for value in recorded.outputs)
        ctx.recorded = recorded
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(value for i, value in enumerate(outputs) if i not in recorded.live))
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        recorded = ctx.recorded
        recorded.pull(grads)
        recorded.backward.replay()
        out: list[Tensor | None] = [None] * (1 + len(recorded.inputs))
        for i, gradient in zip(recorded.wanted, recorded.gradients, strict=True):
            out[1 + i] = None if gradient is None else gradient.detach()
        return tuple(out)
