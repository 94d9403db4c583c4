"""What every system of Gaussians on a FLAME head shares: parameters whose rows come and go with their optimisers' memory,
pictures, corrections of the tracking, graphs on a GPU, leaving and coming back.

A system's `Model` derives from `SplatModel`, names its parameters, buffers and networks in the tuples at the top, sets them (and
`head`, a `TorchHead`) in `__init__`, ends that with `start()`, and fills in

- `make_scene`: from a motion to Gaussians in the world;
- `compare`: terms that compare pictures; `scene_terms`: terms that do not;
- `ride`, where something depends on which Gaussians there are; `after_step`; `to_avatar`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from formats.conventions import logit
from formats.sequence import Sequence
from trainers.cuda_graph import TensorFunction, graphed
from trainers.deform import TorchHead
from trainers.densify import ScreenGradients, forget, reindex, swap
from trainers.graph_adam import GraphAdam
from trainers.model import Batch, Drawing, Motion, View
from trainers.rasterize import paint, rasterize
from trainers.refinement import Refinement, corrected, shift
from trainers.scene import MOTION, Scene, SceneGraphs, Values


class SplatModel(nn.Module):
    """A `trainers.model.Model`, but for what makes a system; see this module's text.

    Its `config` has, beside what the loop asks for: `cuda_graph`, `refit_steps`, a rate `lr_NAME` for every parameter, and
    `lr_frame_expr`, `lr_frame_pose`, `lr_frame_camera` or `lr_frame_translation` where tracking is corrected.
    """

    GAUSSIANS: ClassVar[tuple[str, ...]] = ()
    """Parameters with one row per Gaussian, at least one; `opacity`, where there is one, holds logits."""
    PLACES: ClassVar[tuple[str, ...]] = ("face_index",)
    """Buffers with one row per Gaussian."""
    SHARED: ClassVar[tuple[str, ...]] = ()
    """Other parameters that a scene is made of."""
    NETWORKS: ClassVar[tuple[str, ...]] = ()
    """Submodules that a scene is made by; `values` has their parameters under dotted names, see `weights_of`."""
    MOVES: ClassVar[str] = "camera"
    """What corrections of the tracking move: one of `trainers.refinement.MOVES`."""

    head: TorchHead
    face_index: Tensor

    def __init__(self, config: Any, store: Any) -> None:
        """Begin the model for the frames of `store`, a `trainers.frame_store.FrameStore`."""
        super().__init__()
        self.config, self.store = config, store
        self.has_eyelids = False
        self.train_rows: Refinement | None = None
        self.test_rows: Refinement | None = None
        self.perceptual: Callable[[Tensor, Tensor], Tensor] | None = None

    # --- What makes a system ------------------------------------------------------------------------------------------

    def make_scene(self, values: Values, motion: Motion, corrections: tuple[Tensor, ...] = (), view: View | None = None) -> Scene:
        """Return the scene at `motion`, kernel by kernel, without branching on values or waiting for the device.

        Args:
            values: What is learned: `values()`, or aliases of it in a graph.
            motion: Of one frame.
            corrections: That frame's row of a `Refinement`, where there is one; `moved` applies it.
            view: The camera; corrections of cameras and view-dependent colours need it.
        """
        raise NotImplementedError

    def scene_terms(self, values: Values, scene: Scene, visible: Tensor | None, aside: Tensor | None = None) -> dict[str, Tensor]:
        """Return the weighted terms that see no picture.

        Args:
            values: What is learned.
            scene: Of a frame.
            visible: bool [N], what is on the picture; None for all.
            aside: What `beside` returned, where it was called.
        """
        return {}

    def works_beside(self) -> bool:
        """Tell whether `beside` has something to do."""
        return False

    def beside(self, motion: Motion, corrections: tuple[Tensor, ...]) -> Tensor | None:
        """Return what `scene_terms` needs of the motion and no gradient: a graph makes it on a stream of its own."""
        return None

    def compare(self, image: Tensor, *given: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms that compare a picture [H, W, 3] with what `asked` gives of a batch."""
        raise NotImplementedError

    def asked(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return what pictures are compared with: the frame, [H, W, 3]."""
        return (batch.rgb,)

    def ride(self) -> None:
        """Make what depends on which Gaussians there are; systems add their bindings."""
        self._graphs = SceneGraphs()

    # --- Making -------------------------------------------------------------------------------------------------------

    def learned(self, value: np.ndarray | Tensor) -> nn.Parameter:
        """Return a parameter on the store's device."""
        return nn.Parameter(torch.as_tensor(value, dtype=torch.float32).to(self.store.device))

    def start(self) -> None:
        """Make optimisers, and what depends on which Gaussians there are; the last line of a system's `__init__`."""
        self.gradients = ScreenGradients(len(self), self.store.device)
        self._comparisons: dict[tuple[int, ...], tuple[tuple[str, ...], TensorFunction]] = {}
        self._optimizers = self.make_optimizers()
        self.ride()

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam of the Gaussians and of what else is learned, and the optimiser of the tracking's corrections."""
        # eps as in 3DGS for Gaussians: their gradients are tiny, being shares of a mean over pixels.
        made: dict[str, torch.optim.Optimizer] = {
            "gaussians": GraphAdam(self.groups(self.GAUSSIANS), self.config.cuda_graph, eps=1e-15)}
        if self.SHARED:
            made["head"] = GraphAdam(self.groups(self.SHARED), self.config.cuda_graph)
        if self.NETWORKS:
            made["networks"] = GraphAdam([{"params": list(getattr(self, name).parameters()), "lr": self.rate(name), "name": name}
                                          for name in self.NETWORKS], self.config.cuda_graph)
        if self.train_rows is not None:
            made["frames"] = self.train_rows.optimizer(*self._frame_rates())
        return made

    def groups(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Return an optimiser's groups, one for each parameter."""
        return [{"params": [getattr(self, name)], "lr": self.rate(name), "name": name} for name in names]

    def rate(self, name: str) -> float:
        """Return a parameter's learning rate to start with."""
        return float(getattr(self.config, f"lr_{name}"))

    def _frame_rates(self) -> tuple[float, float, float]:
        return self.rate("frame_expr"), self.rate("frame_pose"), self.rate(f"frame_{self.MOVES}")

    def make_rows(self, frames: int, moments: Tensor | None = None, dense: bool = False) -> Refinement:
        """Return corrections of as many pictures, all zero."""
        return Refinement(frames, self.store.motion.expr.shape[1], self.has_eyelids, self.store.device, self.MOVES, dense,
                          moments)

    def __len__(self) -> int:
        return len(getattr(self, self.GAUSSIANS[0]))

    # --- Drawing ------------------------------------------------------------------------------------------------------

    def rows(self, split: str) -> Refinement | None:
        """Return the corrections of a split, where there are any."""
        return self.train_rows if split == "train" else self.test_rows

    def moved(self, motion: Motion, corrections: tuple[Tensor, ...], view: View | None) -> tuple[Motion, Tensor | None]:
        """Return a motion with its corrections, and what to add to points, [3], for a camera's; None for none."""
        if not corrections:
            return motion, None
        if self.MOVES == "translation":
            return corrected(motion, *corrections), None
        assert view is not None
        return corrected(motion, corrections[0], corrections[1]), shift(view, corrections[2])

    def values(self) -> dict[str, Tensor]:
        """Return what is learned, by name, without the tracking's corrections."""
        weights = {f"{name}.{inner}": p for name in self.NETWORKS for inner, p in getattr(self, name).named_parameters()}
        return {name: getattr(self, name) for name in (*self.GAUSSIANS, *self.SHARED)} | weights

    def scene(self, motion: Motion) -> Scene:
        """Return the Gaussians and the head at `motion`."""
        return self.make_scene(self.values(), motion)

    def render(self, batch: Batch) -> Drawing:
        """Return the picture at the batch's motion and camera, with the corrections of its frame where there are any.

        `extra` holds the `scene`.
        """
        rows, values = self.rows(batch.split), self.values()
        corrections = () if rows is None else rows.row(batch.index)
        if self._replays:
            scene = self._graphs(self, values, batch, corrections)
        else:
            scene = self.make_scene(values, batch.motion, corrections, batch.view)
        if scene.projected:
            drawing = paint(scene.projected, scene.opacities, scene.rgb, batch.view, batch.background)
        else:
            drawing = rasterize(scene.shown, scene.quats, scene.scales, scene.opacities, scene.rgb, batch.view,
                                batch.background)
        if drawing.means2d.requires_grad:
            drawing.means2d.retain_grad()
        drawing.extra = {**drawing.extra, "scene": scene}
        return drawing

    @property
    def _replays(self) -> bool:
        return getattr(self, self.GAUSSIANS[0]).is_cuda and self.config.cuda_graph

    # --- Learning -----------------------------------------------------------------------------------------------------

    def losses(self, batch: Batch, drawing: Drawing) -> dict[str, Tensor]:
        """Return the weighted terms: those of the picture, and those that see none."""
        scene: Scene = drawing.extra["scene"]
        terms = self.picture_losses(batch, drawing)
        if scene.terms is not None:
            return terms | dict(scene.terms)
        return terms | self.scene_terms(self.values(), scene, drawing.visible)

    def picture_losses(self, batch: Batch, drawing: Drawing) -> dict[str, Tensor]:
        """Return the terms that compare pictures; on CUDA a replayed graph, but for a perceptual network."""
        asked = self.asked(batch)
        if not (self._replays and self.perceptual is None and drawing.rgb.requires_grad):
            return self.compare(drawing.rgb, *asked)
        size = tuple(drawing.rgb.shape)
        if size not in self._comparisons:
            names = tuple(self.compare(drawing.rgb.detach(), *asked))
            self._comparisons[size] = names, graphed(lambda *given: tuple(self.compare(*given).values()),
                                                     (drawing.rgb, *asked))
        names, compare = self._comparisons[size]
        return dict(zip(names, compare(drawing.rgb, *asked), strict=True))

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimisers by name."""
        return self._optimizers

    def after_step(self, step: int, drawing: Drawing) -> None:
        """Note how the picture pulls; systems add what they schedule."""
        gradient = drawing.means2d.grad
        if gradient is not None:
            height, width = drawing.alpha.shape
            self.gradients.add(gradient, drawing.visible, width, height)

    def take(self, rows: Tensor, fresh: int = 0) -> None:
        """Let Gaussians be `rows` of what they were, int64 [M], with their optimiser's memory but for the last `fresh`.

        Call `ride`, and see to `gradients`, when all has been changed.
        """
        for name in self.GAUSSIANS:
            setattr(self, name, reindex([self._optimizers["gaussians"]], getattr(self, name), rows, fresh))
        for name in self.PLACES:
            setattr(self, name, getattr(self, name)[rows])

    def keep(self, rows: Tensor) -> None:
        """Leave out all Gaussians but `rows`, int64 [M], each once."""
        self.take(rows)
        self.gradients.keep(rows)
        self.ride()

    def reset_opacity(self) -> None:
        """Cap opacities at `config.reset_opacity` and let Adam forget them."""
        opacity = self.get_parameter("opacity")
        with torch.no_grad():
            opacity.clamp_(max=float(logit(np.array(self.config.reset_opacity))))
        forget(self._optimizers.values(), opacity)

    def refined_sequence(self) -> Sequence:
        """Return the training motion and cameras with the corrections that were learned."""
        sequence, rows = self.store.frames.sequence, self.train_rows
        if rows is None:
            return sequence
        motion = rows.correct_all(self.store.motion)
        changed: dict[str, Any] = {name: array(getattr(motion, name)) for name in MOTION}
        if self.MOVES == "camera":
            matrix = sequence.cameras["world_to_camera"].copy()
            matrix[:, :3, 3] += array(rows.place.weight)
            changed["cameras"] = {**sequence.cameras, "world_to_camera": matrix}
        return dataclasses.replace(sequence, **changed)

    # --- Held-out frames ----------------------------------------------------------------------------------------------

    def refit(self, store: Any, steps: int | None = None, progress: Callable[[str], None] = lambda text: None) -> None:
        """Fit the tracking of other frames, with everything else frozen; `render` then uses it for their split, `test`.

        FATE's paper does so before it measures (50 steps a frame). Each frame is fitted on its own by the terms that compare
        pictures; rows of the training frames stay as they are. What was fitted before is thrown away.

        Args:
            store: The frames, a `FrameStore` whose split is `test`.
            steps: A frame; `config.refit_steps` when None.
            progress: Is told how far it is.
        """
        count = int(self.config.refit_steps) if steps is None else steps
        rows = self.make_rows(len(store))
        self.test_rows = rows
        optimizer = rows.optimizer(*self._frame_rates())
        learning = [p for name, p in self.named_parameters() if p.requires_grad and not name.startswith("test_rows.")]
        try:
            for parameter in learning:
                parameter.requires_grad_(False)
            for index in range(len(store)):
                batch = store.batch(index)
                for _ in range(count):
                    optimizer.zero_grad(set_to_none=True)
                    torch.stack(tuple(self.picture_losses(batch, self.render(batch)).values())).sum().backward()
                    optimizer.step()
                if (index + 1) % 10 == 0 or index + 1 == len(store):
                    progress(f"fitted the tracking of {index + 1} of {len(store)} held-out frames")
        finally:
            for parameter in learning:
                parameter.requires_grad_(True)

    # --- Leaving and coming back --------------------------------------------------------------------------------------

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Return every tensor that a resume needs; `test_rows.*` too, after a `refit`."""
        held = super().state_dict(*args, **kwargs)
        return {k: v for k, v in held.items() if not k.startswith("perceptual.")} | {
            "gradients.total": self.gradients.total, "gradients.seen": self.gradients.seen}

    def load_state_dict(self, state: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Take back what `state_dict` gave, whatever number of Gaussians it holds; optimisers forget and take on its sizes.

        Raises:
            RuntimeError: Names or shapes are not this model's.
        """
        own = {name for name in self.state_dict() if not name.startswith("test_rows.")}
        given = {name for name in state if not name.startswith("test_rows.")}
        if own != given:
            raise RuntimeError(f"missing {', '.join(sorted(own - given)) or 'nothing'}; unknown "
                               f"{', '.join(sorted(given - own)) or 'nothing'}")
        count = len(state[self.GAUSSIANS[0]])
        per_row = (*self.GAUSSIANS, *self.PLACES, "gradients.total", "gradients.seen")
        for name in own:
            mine = self.get_tensor(name)
            expected = (count, *mine.shape[1:]) if name in per_row else tuple(mine.shape)
            if tuple(state[name].shape) != expected:
                raise RuntimeError(f"'{name}' is {list(state[name].shape)}, expected {list(expected)}")
        for name in self.GAUSSIANS:
            setattr(self, name, swap([self._optimizers["gaussians"]], getattr(self, name), state[name]))
        device = self.store.device
        for name in self.PLACES:
            setattr(self, name, state[name].to(device, getattr(self, name).dtype, copy=True))
        self.gradients.total = state["gradients.total"].to(device, copy=True)
        self.gradients.seen = state["gradients.seen"].to(device, copy=True)
        with torch.no_grad():
            for name in own.difference(per_row):
                self.get_tensor(name).copy_(state[name])
        self.test_rows = None
        fitted = {k.removeprefix("test_rows."): v for k, v in state.items() if k.startswith("test_rows.")}
        if fitted:
            self.test_rows = self.make_rows(len(fitted["expr.weight"]))
            self.test_rows.load_state_dict(fitted)
        self.ride()
        return None

    def get_tensor(self, name: str) -> Tensor:
        """Return what is called so in `state_dict`."""
        owner, _, leaf = name.rpartition(".")
        return getattr(self.gradients if owner == "gradients" else self.get_submodule(owner), leaf)


def array(value: Tensor) -> np.ndarray:
    """Return a tensor's numbers, on the host."""
    return value.detach().cpu().numpy()


def weights_of(values: Values, name: str) -> dict[str, Tensor]:
    """Return the parameters of the network `name` as `torch.func.functional_call` takes them."""
    return {key[len(name) + 1:]: value for key, value in values.items() if key.startswith(f"{name}.")}
