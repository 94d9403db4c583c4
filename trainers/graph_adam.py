"""Adam whose step on a GPU is one replayed graph, where everything it reads stays in its place."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from trainers.cuda_graph import capture, side_by_side


class GraphAdam(torch.optim.Adam):
    """`torch.optim.Adam`, fused; on CUDA a graph from the third step on, as long as no tensor moves.

    Gradients from a graph (`trainers.cuda_graph.graphed`) come to lie in the same memory at each step; those from elsewhere
    rarely do, and then steps are plain ones. Learning rates may change at any time. Reshaping parameters and their state,
    as `trainers.densify` does, makes two plain steps and another graph.
    """

    def __init__(self, params: Iterable[Any], replay: bool = True, **options: Any) -> None:
        """Make it of parameters or groups, with Adam's options; without `replay` every step is a plain one."""
        params = list(params)
        first = params[0]["params"][0] if isinstance(params[0], dict) else params[0]
        super().__init__(params, fused=True, capturable=first.is_cuda, **options)
        self.replay = replay
        self._graph: torch.cuda.CUDAGraph | None = None
        self._captured: list[Any] | None = None
        self._last: list[Any] | None = None
        self._rates: list[Tensor] = []
        self._set: list[float] = []

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step."""
        places = self._places() if self.replay and closure is None else None
        if places is None:
            return super().step(closure)
        if places != self._captured:
            if places != self._last:
                self._last = places
                return super().step()
            self._capture()
            self._captured = places
        assert self._graph is not None
        for i, (group, rate) in enumerate(zip(self.param_groups, self._rates, strict=True)):
            if group["lr"] != self._set[i]:
                rate.fill_(group["lr"])
                self._set[i] = group["lr"]
        self._graph.replay()
        return None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; torch's own takes ten times as long to set a few to None."""
        if not set_to_none:
            return super().zero_grad(set_to_none)
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def _move(self, group: dict[str, Any]) -> None:
        """Take one group's step."""
        groups, self.param_groups = self.param_groups, [group]
        try:
            super().step()
        finally:
            self.param_groups = groups

    def _places(self) -> list[Any] | None:
        """Return where everything lies that a step reads; None before the state is there, or off CUDA."""
        places: list[Any] = []
        for group in self.param_groups:
            for p in group["params"]:
                if not p.is_cuda:
                    return None
                if p.grad is None:
                    places.append(None)
                    continue
                state = self.state.get(p)
                if not state:
                    return None
                places += [len(p), p.data_ptr(), p.grad.data_ptr(), state["exp_avg"].data_ptr(),
                           state["exp_avg_sq"].data_ptr(), state["step"].data_ptr()]
        return places

    def _capture(self) -> None:
        """Capture a step, with rates on the device: a graph would keep numbers as they are now."""
        device = next(p.device for group in self.param_groups for p in group["params"])
        self._set = [float(group["lr"]) for group in self.param_groups]
        self._rates = [torch.tensor(rate, device=device) for rate in self._set]
        try:
            for group, rate in zip(self.param_groups, self._rates, strict=True):
                group["lr"] = rate
            parts = [functools.partial(self._move, group) for group in self.param_groups]
            self._graph, _ = capture(lambda: side_by_side(parts))
        finally:
            for group, rate in zip(self.param_groups, self._set, strict=True):
                group["lr"] = rate
