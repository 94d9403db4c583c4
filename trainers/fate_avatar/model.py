"""FateAvatar: Gaussians on the UV texels of a FLAME head that learns the person's shape and expressions.

Zhang et al., "FATE: Full-head Gaussian Avatar with Textural Editing from Monocular Video", CVPR 2025, section 3.1; what
the paper leaves open follows the released trainer, as `reference/fate.md` of our notes describes it.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from formats.avatar import Avatar
from formats.conventions import logit
from formats.head_model import HeadModel
from formats.lip_seal import seal_lips
from trainers import losses
from trainers.deform import TorchFaceBinding, TorchHead
from trainers.densify import draw_rows, random_barycentric
from trainers.fate_avatar import initial
from trainers.fate_avatar.avatar import avatar_of
from trainers.fate_avatar.config import Config
from trainers.fate_avatar.scene import GAUSSIANS, HEAD, asks_flame, flame_of, scene_of, terms_of
from trainers.model import Drawing, Motion, View
from trainers.refinement import corrected
from trainers.sampling import sample
from trainers.scene import Scene, Values
from trainers.splat_model import SplatModel
from trainers.triangles import triangle_frames

FEWEST = 16
"""Gaussians that pruning leaves, however faint."""


class FateAvatar(SplatModel):
    """The `trainers.model.Model` of FATE.

    Learned per Gaussian: `color` [N, 3] SH DC, `opacity` [N] logit, `scaling` [N, 3] log, in metres at the canonical pose,
    `rotation` [N, 4] wxyz in the triangle's frame, `offset` [N] along its normal before tanh. Learned for the head:
    `vertices` [V, 3], `expressions` [V, 3, E], `correctives` [V, 3, 36], metres. Buffers `face_index` [N] and
    `barycentric` [N, 3] say where Gaussians ride; `canonical_size` [F] is k of the canonical pose.
    """

    GAUSSIANS, PLACES, SHARED = GAUSSIANS, ("face_index", "barycentric"), HEAD

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
        super().__init__(config, store)
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

        self.color = self.learned(dc)
        self.opacity = self.learned(np.full(count, logit(np.array(config.init_opacity))))
        self.scaling = self.learned(log_scale)
        self.rotation = self.learned(np.tile([1.0, 0, 0, 0], (count, 1)))
        self.offset = self.learned(np.zeros(count))
        vertices = len(self.head_model.v_template)
        self.vertices = self.learned(np.zeros((vertices, 3)))
        self.expressions = self.learned(np.zeros((vertices, 3, expressions)))
        self.correctives = self.learned(np.zeros((vertices, 3, correctives)))
        self.register_buffer("face_index", torch.from_numpy(samples.face_index.astype(np.int64)).to(device))
        self.register_buffer("barycentric", torch.from_numpy(samples.barycentric).to(device))
        self.register_buffer("canonical_size", self._canonical_size(motion))
        self.has_eyelids = self.head_model.eyeliddirs is not None and bool((motion.eyelids != 0).any())
        self.train_rows = self.make_rows(len(store)) if config.refine else None

        self.laplacian = losses.UniformLaplacian(self.head.faces, vertices)
        self.perceptual = self._perceptual_loss()
        self.start()

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

    def _perceptual_loss(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        if not self.config.vgg_weights:
            return None
        module = importlib.import_module("trainers.perceptual").Perceptual(self.config.vgg_weights)
        return module.to(self.color.device)

    def ride(self) -> None:
        """Make what depends on which Gaussians there are."""
        super().ride()
        self.binding = TorchFaceBinding(self.head, self.face_index, self.barycentric, "face", "double_area", "edge_height")
        self.log_canonical = self.canonical_size[self.face_index].log()[:, None]

    # --- Drawing ------------------------------------------------------------------------------------------------------

    def make_scene(self, values: Values, motion: Motion, corrections: tuple[Tensor, ...] = (), view: View | None = None) -> Scene:
        """Return `scene_of` the model."""
        return scene_of(self, values, motion, corrections, view)

    # --- Learning -----------------------------------------------------------------------------------------------------

    def scene_terms(self, values: Values, scene: Scene, visible: Tensor | None, aside: Tensor | None = None) -> dict[str, Tensor]:
        """Return `terms_of` the scene: of the Gaussians, and of the head."""
        return terms_of(self, values, scene, aside)

    def works_beside(self) -> bool:
        """Tell whether a term compares with FLAME's head."""
        return asks_flame(self)

    def beside(self, motion: Motion, corrections: tuple[Tensor, ...]) -> Tensor:
        """Return FLAME's vertices [V, 3] at the corrected motion."""
        return flame_of(self, corrected(motion, *corrections[:2]) if corrections else motion)

    def compare(self, image: Tensor, *given: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms that compare pictures."""
        (target,) = given
        c = self.config
        distance = losses.l1 if c.rgb_loss == "l1" else losses.l2
        terms = {"rgb": c.rgb_weight * distance(image, target)}
        if self.perceptual is not None and c.perceptual_weight:
            terms["perceptual"] = c.perceptual_weight * self.perceptual(image, target)
        elif self.perceptual is None and c.substitute != "none" and c.substitute_weight:
            other = losses.gradient if c.substitute == "gradient" else losses.dssim
            terms[c.substitute] = c.substitute_weight * other(image, target)
        return terms

    def after_step(self, step: int, drawing: Drawing) -> None:
        """Add where the picture pulls, remove what is faint, reset opacities, lower the rates.

        Source: FATE, section 3.1 (sampling-based densification) and its released trainer.
        """
        super().after_step(step, drawing)
        c = self.config
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
        self.take(rows, fresh=count)
        places = torch.from_numpy(random_barycentric(count, (c.seed, step, 1))).to(self.barycentric)
        with torch.no_grad():
            self.barycentric[-count:] = places
            self.scaling[-count:] += float(np.log(c.child_scale))
        self.gradients.clear(len(self))
        self.ride()

    def prune(self) -> None:
        """Remove Gaussians fainter than `prune_opacity`."""
        opacity = torch.sigmoid(self.opacity.detach())
        least = torch.minimum(opacity.new_tensor(self.config.prune_opacity), opacity.topk(min(FEWEST, len(self))).values[-1])
        rows = torch.nonzero(opacity >= least)[:, 0]
        if len(rows) < len(self):
            self.keep(rows)

    def _lower_rates(self, step: int) -> None:
        c = self.config
        if c.lr_final == 1 or not c.lr_steps:
            return
        factor = c.lr_final ** min(step / c.lr_steps, 1.0)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = factor * self.rate(group["name"])

    # --- Leaving ------------------------------------------------------------------------------------------------------

    def to_avatar(self) -> Avatar:
        """Return the avatar: the personalised, sealed head, one splat layer, the refined training motion with cameras."""
        return avatar_of(self)
