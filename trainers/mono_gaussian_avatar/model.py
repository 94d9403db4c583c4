"""MonoGaussianAvatar: free points that learn how FLAME's coefficients move them, and what they look like.

Chen et al., "MonoGaussianAvatar: Monocular Gaussian Point-based Head Avatar", SIGGRAPH 2024; what the paper leaves open follows
the released trainer, as `reference/monogaussianavatar.md` of our notes describes it.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from formats.avatar import Avatar, Meta
from formats.head_model import HeadModel
from formats.importers.mono_appearance import FACTOR, SPAN
from formats.importers.mono_gaussian_avatar import NETWORK, PAPER, layer_of, with_ghost
from trainers import losses
from trainers.deform import TorchHead, skin
from trainers.model import Drawing, Motion, View
from trainers.mono_gaussian_avatar import growth
from trainers.mono_gaussian_avatar.config import Config
from trainers.mono_gaussian_avatar.networks import Appearance, Deformer, Geometry, released_state
from trainers.rotations import inverse_and_determinant
from trainers.scene import MOTION, Scene, Values
from trainers.splat_model import SplatModel, array, weights_of

CHUNK = 1 << 14
"""Points whose nearest vertices are looked for together."""
FEWEST = 16
"""Points that pruning leaves, however faint."""


@dataclass(frozen=True, eq=False)
class MonoScene(Scene):
    """With what the deformer said."""

    directions: Tensor | None = None
    """[N, 3, 36 + E]"""
    weights: Tensor | None = None
    """[N, 6], the ghost's last."""


class MonoGaussianAvatar(SplatModel):
    """The `trainers.model.Model` of MonoGaussianAvatar.

    Learned: `points` [N, 3], canonical, and three networks; lengths are quarters of a metre, as in the released files. Buffers:
    `seen` bool [N], whether a point was opaque in this epoch; `nearest` [N], each point's vertex of FLAME; `canonical_expr` [E],
    the mean of the tracked expressions; `spread`, what is added to scales; `lbs_weight`; `variance` [E] of the expressions.
    """

    GAUSSIANS, PLACES = ("points",), ("seen", "nearest")
    NETWORKS = ("deformer", "geometry", "appearance")

    points: Tensor
    seen: Tensor
    nearest: Tensor
    canonical_expr: Tensor
    spread: Tensor
    lbs_weight: Tensor
    variance: Tensor

    def __init__(self, config: Config, head: HeadModel, store: Any) -> None:
        """Make the model for the frames of `store`, a `trainers.frame_store.FrameStore`, on its device.

        Args:
            config: Numbers.
            head: FLAME; the tracked person's shape is put in where it is not yet.
            store: The training frames.

        Raises:
            FormatError: The schedule is none.
            MissingAsset: `config.vgg_weights` names no file.
        """
        growth.check(config)
        super().__init__(config, store)
        shape, device = store.frames.sequence.shape, store.device
        self.head_model = head.personalise(shape) if head.shapedirs is not None else head
        self.head = TorchHead(with_ghost(self.head_model)).to(device)
        motion: Motion = store.motion
        expressions = motion.expr.shape[1]
        self.register_buffer("canonical_expr", motion.expr.mean(dim=0))
        variance = motion.expr.var(dim=0, correction=0)
        # An expression that never moves says nothing; one that hardly does must not outweigh all others.
        self.register_buffer("variance", variance.clamp_min(1e-3 * max(float(variance.max()), 1e-6)))
        self._canonical = self._canonical_pose(motion)

        count = growth.count_at(config, 0)
        directions = torch.rand(count, 3) * 2 - 1
        points = FACTOR * config.sphere * torch.nn.functional.normalize(directions, dim=1)
        self.points = self.learned(points)
        self.deformer = Deformer(config.deformer_width, expressions).to(device)
        self.geometry = Geometry(config.geometry_width).to(device)
        self.appearance = Appearance(config.appearance_width).to(device)
        self.register_buffer("seen", torch.zeros(count, dtype=torch.bool, device=device))
        self.register_buffer("nearest", torch.zeros(count, dtype=torch.long, device=device))
        self.register_buffer("spread", torch.zeros((), device=device))
        self.register_buffer("lbs_weight", torch.zeros((), device=device))
        self.train_rows = self.make_rows(len(store)) if config.refine else None
        if config.vgg_weights:
            self.perceptual = importlib.import_module("trainers.perceptual").Perceptual(config.vgg_weights).to(device)
        self.start()
        self._schedule(0)
        self.find_nearest()

    # --- Making -------------------------------------------------------------------------------------------------------

    def _canonical_pose(self, motion: Motion) -> tuple[Tensor, Tensor]:
        """Return the canonical state's joint transforms [6, 3, 4] and pose feature [36]."""
        still = {name: torch.zeros_like(getattr(motion, name)[0]) for name in MOTION if name != "expr"}
        still["jaw"][0] = self.config.jaw
        with torch.no_grad():
            posed = self.head.pose(Motion(expr=self.canonical_expr, **still))
        return posed.joint_transforms, posed.pose_feature

    # --- Drawing ------------------------------------------------------------------------------------------------------

    def make_scene(self, values: Values, motion: Motion, corrections: tuple[Tensor, ...] = (),
                   view: View | None = None) -> MonoScene:
        """Return the points where the frame puts them: taken back from the canonical state by their own directions and weights,
        and posed by the same. Source: MonoGaussianAvatar, section 3.2, and IMavatar (Zheng et al., CVPR 2022), eq. 2 to 4."""
        moved, added = self.moved(motion, corrections, view)
        points = values["points"]
        offsets, directions, weights = functional_call(self.deformer, weights_of(values, "deformer"), (points,))
        colors, sizes, opacities = functional_call(self.geometry, weights_of(values, "geometry"), (points,))
        anchors = points + offsets

        posed = self.head.pose(moved)
        there, feature = self._canonical
        neutral = unskinned(anchors / FACTOR, weights, there)
        change = torch.cat([posed.pose_feature - feature, moved.expr - self.canonical_expr])
        means = skin(neutral + directions @ change / FACTOR, weights.t(), posed.joint_transforms)

        # No gradient goes from looks to places.
        reach = (FACTOR * (means - moved.translation) - anchors).detach()
        more = functional_call(self.appearance, weights_of(values, "appearance"), (reach,))
        return MonoScene(
            means, means if added is None else means + added,
            torch.nn.functional.pad(torch.ones_like(means[:, :1]), (0, 3)),
            (SPAN * torch.sigmoid(sizes + more[1]) + FACTOR * self.spread) / FACTOR,
            torch.sigmoid(opacities + more[2])[:, 0], torch.sigmoid(colors + more[0]), posed.vertices,
            directions=directions, weights=weights)

    # --- Learning -----------------------------------------------------------------------------------------------------

    def scene_terms(self, values: Values, scene: Scene, visible: Tensor | None, aside: Tensor | None = None) -> dict[str, Tensor]:
        """Return the distance of each point's own directions and weights from those of FLAME's nearest vertex."""
        assert isinstance(scene, MonoScene) and scene.directions is not None and scene.weights is not None
        expressions = len(self.variance)
        posed, shaped = scene.directions.split([scene.directions.shape[2] - expressions, expressions], dim=2)
        weights = (scene.weights - self.head.weights.t()[self.nearest]).square().mean()
        poses = posed.new_zeros(())
        if self.head.corrective_count:
            poses = (10 * (posed - FACTOR * self.head.posedirs[self.nearest])).square().mean()
        shapes = (10 * (shaped - FACTOR * self.head.exprdirs[self.nearest, :, :expressions])).square()
        shapes = (shapes / (50 * self.variance)).mean()
        return {"lbs": self.lbs_weight * (0.1 * weights + 10 * poses + 10 * shapes)}

    def compare(self, image: Tensor, *given: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms that compare pictures."""
        (target,), c = given, self.config
        terms = {"rgb": c.rgb_weight * losses.l1(image, target), "dssim": c.dssim_weight * losses.dssim(image, target)}
        if self.perceptual is not None:
            terms["perceptual"] = c.perceptual_weight * self.perceptual(image, target)
        return terms

    def after_step(self, step: int, drawing: Drawing) -> None:
        """Note who was seen; at an epoch's end remove and add points, and let everything that shrinks shrink."""
        super().after_step(step, drawing)
        c = self.config
        self.seen.logical_or_(drawing.extra["scene"].opacities.detach() >= c.prune_opacity)
        if step % c.epoch_steps == 0:
            epoch = step // c.epoch_steps
            self.renew(epoch)
            self._schedule(epoch)
            self.find_nearest()
        elif step % c.nearest_every == 0:
            self.find_nearest()

    def renew(self, epoch: int) -> None:
        """Remove points that nobody saw, and add copies of the others beside them, up to the epoch's number."""
        c = self.config
        chances = torch.Generator().manual_seed((c.seed * 1_000_003 + epoch) & (2**63 - 1))
        kept = self.seen.nonzero()[:, 0]
        if len(kept) < FEWEST:
            kept = torch.arange(min(FEWEST, len(self)), device=kept.device)
        wanted = growth.count_at(c, epoch)
        if len(kept) > wanted:
            kept = kept[:wanted]
        fresh = wanted - len(kept)
        if fresh or len(kept) < len(self):
            parents = kept[torch.randint(len(kept), (fresh,), generator=chances).to(kept.device)]
            self.take(torch.cat([kept, parents]), fresh)
            reach = FACTOR * (growth.spread_at(c, epoch) / 2 if epoch <= c.jitter_until else c.jitter)
            noise = (torch.rand((fresh, 3), generator=chances) * 2 - 1) * reach
            with torch.no_grad():
                self.points[len(kept):] += noise.to(self.points)
            self.gradients.clear(len(self))
            self.ride()
        self.seen.zero_()
        if c.forget:
            for name in ("gaussians", "networks"):
                self._optimizers[name].state.clear()

    def _schedule(self, epoch: int) -> None:
        c = self.config
        self.spread.fill_(growth.spread_at(c, epoch))
        self.lbs_weight.fill_(growth.lbs_weight_at(c, epoch))
        if "frames" in self._optimizers:
            for group in self._optimizers["frames"].param_groups:
                group["lr"] = self.rate(group["name"]) if epoch >= c.refine_from else 0.0

    @torch.no_grad()
    def find_nearest(self) -> None:
        """Look for each point's vertex of FLAME in the canonical state."""
        transforms, feature = self._canonical
        coefficients = torch.cat([feature, self.head.lid_dirs.new_zeros(2 * self.head.has_rest_lids), self.canonical_expr])
        table = self.head.rest_dirs[:, :, :len(coefficients)]
        vertices = FACTOR * skin(self.head.v_template + table @ coefficients, self.head.weights, transforms)
        for rows in torch.arange(len(self), device=vertices.device).split(CHUNK):
            points = self.points[rows]
            offsets, _, _ = self.deformer(points)
            self.nearest[rows] = torch.cdist(points + offsets, vertices).argmin(dim=1)

    # --- Leaving ------------------------------------------------------------------------------------------------------

    def to_avatar(self) -> Avatar:
        """Return the avatar, by way of the released trainer's files: they are read as anybody's are."""
        state = {name: array(value) for name, value in
                 released_state(self.points, self.deformer, self.geometry, self.appearance).items()}
        name = self.store.frames.name
        layer, network = layer_of(state, self.head_model, array(self.canonical_expr).astype(np.float64), self.config.jaw,
                                  FACTOR * float(self.spread), name)
        return Avatar(head=with_ghost(self.head_model), layers=(layer,), networks={NETWORK: network},
                      sequence=self.refined_sequence(), meta=Meta(name=name, system="mono-gaussian-avatar", paper=PAPER))


def unskinned(points: Tensor, weights: Tensor, transforms: Tensor) -> Tensor:
    """Return where points [N, 3] were before `skin` with weights [N, J] and transforms [J, 3, 4] put them there."""
    blended = torch.einsum("nj,jab->nab", weights, transforms)
    inverse, _ = inverse_and_determinant(blended[:, :, :3])
    return (inverse @ (points - blended[:, :, 3])[:, :, None])[:, :, 0]
