"""FateAvatar: Gaussians on the UV texels of a FLAME head that learns the person's shape and expressions.

Zhang et al., "FATE: Full-head Gaussian Avatar with Textural Editing from Monocular Video", CVPR 2025, section 3.1; what
the paper leaves open follows the released trainer, as `reference/fate.md` of our notes describes it.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from formats.avatar import Avatar
from formats.conventions import logit
from formats.head_model import HeadModel
from formats.lip_seal import seal_lips
from trainers import losses
from trainers.cuda_graph import TensorFunction, graphed
from trainers.deform import TorchFaceBinding, TorchHead
from trainers.densify import ScreenGradients, draw_rows, forget, random_barycentric, reindex, swap
from trainers.fate_avatar import initial
from trainers.fate_avatar.avatar import avatar_of
from trainers.fate_avatar.config import Config
from trainers.fate_avatar.refinement import Refinement
from trainers.fate_avatar.sampling import sample
from trainers.fate_avatar.scene import GAUSSIANS, HEAD, Scene, SceneGraphs, scene_of, terms_of
from trainers.graph_adam import GraphAdam
from trainers.model import Batch, Drawing, Motion
from trainers.rasterize import paint, rasterize
from trainers.triangles import triangle_frames

PER_GAUSSIAN, PER_HEAD = GAUSSIANS, HEAD
"""Names of parameters, and of their learning rates: with one row per Gaussian, and of the personalised head."""
FEWEST = 16
"""Gaussians that pruning leaves, however faint."""


class FateAvatar(nn.Module):
    """The `trainers.model.Model` of FATE.

    Learned per Gaussian: `color` [N, 3] SH DC, `opacity` [N] logit, `scaling` [N, 3] log, in metres at the canonical pose,
    `rotation` [N, 4] wxyz in the triangle's frame, `offset` [N] along its normal before tanh. Learned for the head:
    `vertices` [V, 3], `expressions` [V, 3, E], `correctives` [V, 3, 36], metres. Buffers `face_index` [N] and
    `barycentric` [N, 3] say where Gaussians ride; `canonical_size` [F] is k of the canonical pose.
    """

    face_index: Tensor
    barycentric: Tensor
    canonical_size: Tensor

    def __init__(self, config: Config, head: HeadModel, store: Any) -> None:
        """Make the model for the frames of `store`, a `trainers.frame_store.FrameStore`, on its device.

        Args:
            config: Numbers.
            head: With texture coordinates; the tracked person's shape is put in where it is not yet.
            store: The training frames.

        Raises:
            UnsupportedFeature: The head has no texture coordinates.
            MissingAsset: `config.vgg_weights` names no file.
        """
        super().__init__()
        self.config, self.store = config, store
        shape = store.frames.sequence.shape
        personal = head.personalise(shape) if head.shapedirs is not None else head
        self.head_model = seal_lips(personal)
        device = store.device
        self.head = TorchHead(self.head_model).to(device)
        motion: Motion = store.motion
        expressions, correctives = motion.expr.shape[1], self.head.corrective_count

        samples = sample(self.head_model, config.tex_size, config.pad, config.seed)
        count = len(samples)
        dc = initial.colors(config, self.head_model, samples, store)
        log_scale = initial.log_scales(config, self.head_model, samples, device)

        def learned(value: np.ndarray | Tensor) -> nn.Parameter:
            return nn.Parameter(torch.as_tensor(value, dtype=torch.float32).to(device))

        self.color = learned(dc)
        self.opacity = learned(np.full(count, logit(np.array(config.init_opacity))))
        self.scaling = learned(log_scale)
        self.rotation = learned(np.tile([1.0, 0, 0, 0], (count, 1)))
        self.offset = learned(np.zeros(count))
        vertices = len(self.head_model.v_template)
        self.vertices = learned(np.zeros((vertices, 3)))
        self.expressions = learned(np.zeros((vertices, 3, expressions)))
        self.correctives = learned(np.zeros((vertices, 3, correctives)))
        self.register_buffer("face_index", torch.from_numpy(samples.face_index.astype(np.int64)).to(device))
        self.register_buffer("barycentric", torch.from_numpy(samples.barycentric).to(device))
        self.register_buffer("canonical_size", self._canonical_size(motion))
        self.has_eyelids = self.head_model.eyeliddirs is not None and bool((motion.eyelids != 0).any())
        self.train_rows = Refinement(len(store), expressions, self.has_eyelids, device) if config.refine else None
        self.test_rows: Refinement | None = None

        self.laplacian = losses.UniformLaplacian(self.head.faces, vertices)
        self.perceptual = self._perceptual_loss()
        self.gradients = ScreenGradients(count, device)
        self._comparisons: dict[tuple[int, ...], tuple[tuple[str, ...], TensorFunction]] = {}
        self._optimizers = self._make_optimizers()
        self._riding()

    # --- Making -------------------------------------------------------------------------------------------------------

    def _canonical_size(self, motion: Motion) -> Tensor:
        """Return k [F] of the head, not personalised by learning, at the mean expression and `config.jaw`."""
        zero = {name: torch.zeros_like(getattr(motion, name)[0])
                for name in ("rotation", "neck", "jaw", "eyes", "eyelids", "translation")}
        zero["jaw"][0] = self.config.jaw
        with torch.no_grad():
            posed = self.head.pose(Motion(expr=motion.expr.mean(dim=0), **zero))
            size = triangle_frames(posed.vertices, self.head.faces)[1]
        # Triangles of no size cannot be divided by; nothing on them is seen.
        return size.clamp_min(1e-7)

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        def groups(names: Iterable[str]) -> list[dict[str, Any]]:
            return [{"params": [getattr(self, name)], "lr": self._rate(name), "name": name} for name in names]

        # eps as in 3DGS for Gaussians: their gradients are tiny, being shares of a mean over pixels.
        made: dict[str, torch.optim.Optimizer] = {
            "gaussians": GraphAdam(groups(PER_GAUSSIAN), self.config.cuda_graph, eps=1e-15),
            "head": GraphAdam(groups(PER_HEAD), self.config.cuda_graph)}
        if self.train_rows is not None:
            made["frames"] = self.train_rows.optimizer(*self._frame_rates())
        return made

    def _rate(self, name: str) -> float:
        return float(getattr(self.config, f"lr_{name}"))

    def _frame_rates(self) -> tuple[float, float, float]:
        return self._rate("frame_expr"), self._rate("frame_pose"), self._rate("frame_camera")

    def _perceptual_loss(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        if not self.config.vgg_weights:
            return None
        module = importlib.import_module("trainers.perceptual").Perceptual(self.config.vgg_weights)
        return module.to(self.color.device)

    def _riding(self) -> None:
        """Make what depends on which Gaussians there are."""
        self.binding = TorchFaceBinding(self.head, self.face_index, self.barycentric, "face", "double_area", "edge_height")
        self.log_canonical = self.canonical_size[self.face_index].log()[:, None]
        self._graphs = SceneGraphs()

    def __len__(self) -> int:
        return len(self.face_index)

    # --- Drawing ------------------------------------------------------------------------------------------------------

    def rows(self, split: str) -> Refinement | None:
        """Return the corrections of a split, where there are any."""
        return self.train_rows if split == "train" else self.test_rows

    def values(self) -> dict[str, Tensor]:
        """Return what is learned, by name, without the tracking's corrections."""
        return {name: getattr(self, name) for name in (*PER_GAUSSIAN, *PER_HEAD)}

    def scene(self, motion: Motion) -> Scene:
        """Return the Gaussians and the head at `motion`."""
        return scene_of(self, self.values(), motion)

    def render(self, batch: Batch) -> Drawing:
        """Return the picture at the batch's motion and camera, with the corrections of its frame where there are any.

        `extra` holds the `scene`.
        """
        rows, values = self.rows(batch.split), self.values()
        corrections = () if rows is None else rows.row(batch.index)
        if self._replays:
            scene = self._graphs(self, values, batch, corrections)
        else:
            scene = scene_of(self, values, batch.motion, corrections, batch.view)
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
        return self.color.is_cuda and self.config.cuda_graph

    # --- Learning -----------------------------------------------------------------------------------------------------

    def losses(self, batch: Batch, drawing: Drawing) -> dict[str, Tensor]:
        """Return the weighted terms: those of the picture, of the Gaussians, and of the head."""
        return self.picture_losses(batch, drawing) | terms_of(self, self.values(), drawing.extra["scene"])

    def picture_losses(self, batch: Batch, drawing: Drawing) -> dict[str, Tensor]:
        """Return the terms that compare pictures; on CUDA a replayed graph, but for a perceptual network."""
        if not (self._replays and self.perceptual is None and drawing.rgb.requires_grad):
            return self._compare(drawing.rgb, batch.rgb)
        size = tuple(drawing.rgb.shape)
        if size not in self._comparisons:
            names = tuple(self._compare(drawing.rgb.detach(), batch.rgb))
            self._comparisons[size] = names, graphed(lambda *pair: tuple(self._compare(*pair).values()),
                                                     (drawing.rgb, batch.rgb))
        names, compare = self._comparisons[size]
        return dict(zip(names, compare(drawing.rgb, batch.rgb), strict=True))

    def _compare(self, image: Tensor, target: Tensor) -> dict[str, Tensor]:
        c = self.config
        distance = losses.l1 if c.rgb_loss == "l1" else losses.l2
        terms = {"rgb": c.rgb_weight * distance(image, target)}
        if self.perceptual is not None and c.perceptual_weight:
            terms["perceptual"] = c.perceptual_weight * self.perceptual(image, target)
        elif self.perceptual is None and c.substitute != "none" and c.substitute_weight:
            other = losses.gradient if c.substitute == "gradient" else losses.dssim
            terms[c.substitute] = c.substitute_weight * other(image, target)
        return terms

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return Adam for Gaussians and for the head, and `RowAdam` for the training frames' corrections."""
        return self._optimizers

    def after_step(self, step: int, drawing: Drawing) -> None:
        """Add where the picture pulls, remove what is faint, reset opacities, lower the rates.

        Source: FATE, section 3.1 (sampling-based densification) and its released trainer.
        """
        c = self.config
        gradient = drawing.means2d.grad
        if gradient is not None:
            height, width = drawing.alpha.shape
            self.gradients.add(gradient, drawing.visible, width, height)
        late = c.densify_until and step > c.densify_until
        if c.densify_every and step % c.densify_every == 0 and len(self) < c.densify_limit and not late:
            self.densify(min(c.densify_count, c.densify_limit - len(self)), step)
        if c.prune_every and step % c.prune_every == 0:
            self.prune()
        if c.reset_every and step % c.reset_every == 0:
            self.reset_opacity()
        self._lower_rates(step)

    def densify(self, count: int, step: int) -> None:
        """Add `count` Gaussians on the triangles of parents drawn by how hard the pictures pulled them since last time.

        A child has its parent's colour, opacity, rotation and offset, `child_scale` of its size, and a random place.
        """
        c = self.config
        parents = draw_rows(self.gradients.total, count, (c.seed, step))
        rows = torch.cat([torch.arange(len(self), device=parents.device), parents])
        self._take(rows, fresh=count)
        places = torch.from_numpy(random_barycentric(count, (c.seed, step, 1))).to(self.barycentric)
        with torch.no_grad():
            self.barycentric[-count:] = places
            self.scaling[-count:] += float(np.log(c.child_scale))
        self.gradients.clear(len(self))
        self._riding()

    def prune(self) -> None:
        """Remove Gaussians fainter than `prune_opacity`."""
        opacity = torch.sigmoid(self.opacity.detach())
        least = torch.minimum(opacity.new_tensor(self.config.prune_opacity), opacity.topk(min(FEWEST, len(self))).values[-1])
        rows = torch.nonzero(opacity >= least)[:, 0]
        if len(rows) < len(self):
            self._take(rows)
            self.gradients.keep(rows)
            self._riding()

    def reset_opacity(self) -> None:
        """Cap opacities at `reset_opacity` and let Adam forget them."""
        with torch.no_grad():
            self.opacity.clamp_(max=float(logit(np.array(self.config.reset_opacity))))
        forget(self._optimizers.values(), self.opacity)

    def _take(self, rows: Tensor, fresh: int = 0) -> None:
        for name in PER_GAUSSIAN:
            setattr(self, name, reindex([self._optimizers["gaussians"]], getattr(self, name), rows, fresh))
        self.face_index, self.barycentric = self.face_index[rows], self.barycentric[rows].clone()

    def _lower_rates(self, step: int) -> None:
        c = self.config
        if c.lr_final == 1 or not c.lr_steps:
            return
        factor = c.lr_final ** min(step / c.lr_steps, 1.0)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = factor * self._rate(group["name"])

    # --- Held-out frames ----------------------------------------------------------------------------------------------

    def refit(self, store: Any, steps: int | None = None, progress: Callable[[str], None] = lambda text: None) -> None:
        """Fit the tracking of other frames, with everything else frozen; `render` then uses it for their split, `test`.

        The paper does so before it measures (50 steps a frame). Each frame is fitted on its own by the terms that compare
        pictures; rows of the training frames stay as they are. What was fitted before is thrown away.

        Args:
            store: The frames, a `FrameStore` whose split is `test`.
            steps: A frame; `config.refit_steps` when None.
            progress: Is told how far it is.
        """
        steps = self.config.refit_steps if steps is None else steps
        rows = Refinement(len(store), self.expressions.shape[2], self.has_eyelids, self.color.device)
        self.test_rows = rows
        optimizer = rows.optimizer(*self._frame_rates())
        learning = [p for name, p in self.named_parameters() if p.requires_grad and not name.startswith("test_rows.")]
        try:
            for parameter in learning:
                parameter.requires_grad_(False)
            for index in range(len(store)):
                batch = store.batch(index)
                for _ in range(steps):
                    optimizer.zero_grad(set_to_none=True)
                    torch.stack(tuple(self.picture_losses(batch, self.render(batch)).values())).sum().backward()
                    optimizer.step()
                if (index + 1) % 10 == 0 or index + 1 == len(store):
                    progress(f"fitted the tracking of {index + 1} of {len(store)} held-out frames")
        finally:
            for parameter in learning:
                parameter.requires_grad_(True)

    # --- Leaving and coming back --------------------------------------------------------------------------------------

    def to_avatar(self) -> Avatar:
        """Return the avatar: the personalised, sealed head, one splat layer, the refined training motion with cameras."""
        return avatar_of(self)

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
        count = len(state["face_index"])
        per_row = (*PER_GAUSSIAN, "face_index", "barycentric", "gradients.total", "gradients.seen")
        for name in own:
            mine = self.gradients.total if name == "gradients.total" else (
                self.gradients.seen if name == "gradients.seen" else self.get_parameter_or_buffer(name))
            expected = (count, *mine.shape[1:]) if name in per_row else tuple(mine.shape)
            if tuple(state[name].shape) != expected:
                raise RuntimeError(f"'{name}' is {list(state[name].shape)}, expected {list(expected)}")
        for name in PER_GAUSSIAN:
            setattr(self, name, swap([self._optimizers["gaussians"]], getattr(self, name), state[name]))
        device = self.color.device
        self.face_index = state["face_index"].to(device, torch.int64, copy=True)
        self.barycentric = state["barycentric"].to(device, copy=True)
        self.gradients.total = state["gradients.total"].to(device, copy=True)
        self.gradients.seen = state["gradients.seen"].to(device, copy=True)
        with torch.no_grad():
            for name in own.difference(per_row):
                self.get_parameter_or_buffer(name).copy_(state[name])
        self.test_rows = None
        fitted = {k.removeprefix("test_rows."): v for k, v in state.items() if k.startswith("test_rows.")}
        if fitted:
            frames, expressions = fitted["expr.weight"].shape
            self.test_rows = Refinement(frames, expressions, self.has_eyelids, device)
            self.test_rows.load_state_dict(fitted)
        self._riding()
        return None

    def get_parameter_or_buffer(self, name: str) -> Tensor:
        """Return a parameter or buffer by its name in `state_dict`."""
        owner, _, leaf = name.rpartition(".")
        return getattr(self.get_submodule(owner), leaf)
