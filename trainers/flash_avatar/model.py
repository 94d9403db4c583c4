"""FlashAvatar: a Gaussian on each texel of a FLAME head, and a network that moves, turns and sizes it for each expression.

Xiang, Gao, Guo, Zhang, "FlashAvatar: High-fidelity Head Avatar with Efficient Gaussian Embedding", CVPR 2024, section 3; the
temporal term after Deng, Shi, Li, Guo, "Physics of Motion, Geometry of Cohesion", IEEE Signal Processing Letters 2025. What
the papers leave open follows the released trainers, as `reference/flashavatar.md` of our notes describes them.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from formats.avatar import Avatar, FaceBinding, Meta, SplatLayer
from formats.conventions import SH_C0, logit, rgb_to_sh
from formats.errors import FormatError
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.importers.flash_avatar import NETWORK, PAPER, WASSERSTEIN_PAPER
from formats.importers.flash_network import encode, offset_network
from trainers import losses
from trainers.deform import PosedTorchHead, TorchFaceBinding, TorchHead
from trainers.flash_avatar.config import Config
from trainers.flash_avatar.head import RING, border_faces, mouth_faces
from trainers.flash_avatar.network import Offsets, condition, drivers
from trainers.model import Batch, Drawing, Motion, View
from trainers.rotations import matrix_to_quat, normalize, quat_conjugate, quat_multiply
from trainers.sampling import Samples, nearest_distances, sample
from trainers.scene import MOTION, Scene, Values
from trainers.shown_colors import shown_colors
from trainers.spherical_harmonics import colors_from
from trainers.splat_model import SplatModel, array, weights_of
from trainers.wasserstein import Splats, wasserstein_squared

NEAREST = 1e-7
"""Square metres: the least that a first size is made of."""


@dataclass(frozen=True, eq=False)
class FlashScene(Scene):
    """With what the network said, and where Gaussians were a frame before."""

    offsets: Tensor | None = None
    """[N, 3]"""
    here: Splats | None = None
    """In the axes of the head's root."""
    before: Splats | None = None


class Neighbours:
    """The motion of the frame before each, as a row of numbers that a scene is made with."""

    def __init__(self, motion: Motion) -> None:
        """Take the tracked motion of consecutive frames, [T, ...]; pictures of one moment share it."""
        table = torch.cat([getattr(motion, name).reshape(len(motion.expr), -1) for name in MOTION], dim=1)
        changes = (table[1:] != table[:-1]).any(dim=1).nonzero()[:, 0] + 1
        starts = [0, *changes.tolist()]
        ends = [*starts[1:], len(table)]
        # The first moment's neighbour is the second.
        earlier = [starts[min(1, len(starts) - 1)], *starts[:-1]]
        self._index = [before for before, start, end in zip(earlier, starts, ends, strict=True) for _ in range(start, end)]
        self._motion = motion

    def row(self, index: int) -> tuple[Tensor, ...]:
        """Return the motion before frame `index`, by `MOTION`."""
        return tuple(getattr(self._motion, name)[self._index[index]] for name in MOTION)


class FlashAvatar(SplatModel):
    """The `trainers.model.Model` of FlashAvatar.

    Learned per Gaussian: `color` [N, 3] and `harmonics` [N, K - 1, 3], SH seen in the head's axes, `opacity` [N] logit,
    `scaling` [N, 3] log, `rotation` [N, 4] wxyz; and the network `offsets`. Buffers: `face_index` [N]; `taken`, steps so far,
    which say how many bands of SH there are and which terms count.
    """

    GAUSSIANS = ("opacity", "rotation", "scaling", "color", "harmonics")
    NETWORKS = ("offsets",)

    offsets: Offsets
    opacity: Tensor
    rotation: Tensor
    scaling: Tensor
    color: Tensor
    harmonics: Tensor
    taken: Tensor

    def __init__(self, config: Config, head: HeadModel, store: Any) -> None:
        """Make the model for the frames of `store`, a `trainers.frame_store.FrameStore`, on its device.

        Args:
            config: Numbers.
            head: As `head_of` makes it; the tracked person's shape is put in where it is not yet.
            store: The training frames.

        Raises:
            UnsupportedFeature: The head has no texture coordinates.
            FormatError: The settings leave no Gaussian, or no hidden layer.
            MissingAsset: `config.vgg_weights` names no file.
        """
        super().__init__(config, store)
        if config.layers < 1 or config.hidden < 1 or config.tex_size < 4 or not 0 <= config.sh_degree <= 3:
            raise FormatError(f"flash-avatar: layers {config.layers}, hidden {config.hidden}, tex_size {config.tex_size}, "
                              f"sh_degree {config.sh_degree}; expected at least 1, 1 and 4, and 0..3")
        self.head_model = store.frames.personal(head) if head.shapedirs is not None else head
        device = store.device
        self.head = TorchHead(self.head_model).to(device)
        places = sample(self.head_model, config.tex_size, False, config.seed)
        inside = ~border_faces(self.head_model)[places.face_index]
        places = Samples(places.face_index[inside], places.barycentric[inside], places.texel[inside])
        if len(places) < 4:
            raise FormatError(f"flash-avatar: {len(places)} texels of {config.tex_size} x {config.tex_size} lie on the head; "
                              "raise tex_size")
        self.places, points = places, places.points(self.head_model)
        self.encoding = torch.as_tensor(encode(points), dtype=torch.float32).to(device)
        self.setback = torch.zeros(len(points), 3, device=device)
        self.setback[torch.as_tensor(mouth_faces(self.head_model)[places.face_index], device=device), 2] = -config.mouth_offset

        count = len(places)
        size = np.sqrt(np.maximum(np.square(nearest_distances(points, 3, device)).mean(axis=1), NEAREST))
        self.opacity = self.learned(np.full(count, logit(np.array(config.init_opacity))))
        self.rotation = self.learned(np.tile([1.0, 0, 0, 0], (count, 1)))
        self.scaling = self.learned(np.tile(np.log(size)[:, None], (1, 3)))
        self.color = self.learned(self._first_colors())
        self.harmonics = self.learned(np.zeros((count, (config.sh_degree + 1)**2 - 1, 3)))
        self.offsets = Offsets(sum(drivers(self.head.expression_count).values()), config.hidden, config.layers,
                               config.init_offsets).to(device)
        self.register_buffer("face_index", torch.as_tensor(places.face_index.astype(np.int64)).to(device))
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64, device=device))
        self.steps_taken = 0
        self._ring = torch.as_tensor(self.head_model.regions.get(RING, np.zeros(0, np.int32)).astype(np.int64), device=device)
        self._mouths: dict[tuple[str, int], Tensor] = {}
        self._neighbours = Neighbours(store.motion)
        # Held in a list, so that its weights are no part of the model; `perceptual` is set when it begins to count.
        self._perceptual: list[Any] = []
        if config.vgg_weights:
            self._perceptual.append(importlib.import_module("trainers.perceptual").Perceptual(config.vgg_weights).to(device))
        self.start()
        self._go_on_from(0)

    # --- Making -------------------------------------------------------------------------------------------------------

    def _first_colors(self) -> np.ndarray:
        config = self.config
        if config.init_color == "gray":
            return np.zeros((len(self.places), 3))
        return rgb_to_sh(shown_colors(self.head_model, self.places, self.store, config.color_views, config.color_size))

    def rate(self, name: str) -> float:
        """Return a parameter's learning rate to start with; with the frame `corner` stored rotations stay what they are."""
        return 0.0 if name == "rotation" and self.config.frame == "corner" else super().rate(name)

    def ride(self) -> None:
        """Make what depends on which Gaussians there are; they stay the same for life."""
        super().ride()
        weights = torch.as_tensor(self.places.barycentric).to(self.face_index.device)
        self.binding = TorchFaceBinding(self.head, self.face_index, weights, self.config.frame, "none", "none")

    # --- Drawing ------------------------------------------------------------------------------------------------------

    @property
    def degree(self) -> int:
        """The degree of SH in use."""
        c = self.config
        return min(c.sh_degree, self.steps_taken // c.sh_every) if c.sh_every else c.sh_degree

    @property
    def smooths(self) -> bool:
        """Whether the temporal term counts now."""
        c = self.config
        return c.wasserstein and c.wasserstein_weight > 0 and self.steps_taken >= c.wasserstein_from

    def rows(self, split: str) -> Any:
        """Return the corrections of a split; of the training frames, which have none, where each was a frame before."""
        if split == "train":
            return self._neighbours if self.smooths and torch.is_grad_enabled() else None
        return super().rows(split)

    def harmonics_of(self, values: Values) -> Tensor:
        """Return the coefficients of the bands in use, [N, K, 3]."""
        return torch.cat([values["color"][:, None], values["harmonics"][:, :(self.degree + 1)**2 - 1]], dim=1)

    def _splats(self, values: Values, motion: Motion, posed: PosedTorchHead) -> tuple[Splats, Tensor]:
        """Return Gaussians in the world at a motion, and their offsets.

        x = p + dx, q = q dq, s = exp(log s exp(t)): the factor multiplies the logarithm. Source: FlashAvatar, eq. 4 and 5.
        """
        said = functional_call(self.offsets, weights_of(values, "offsets"),
                               (self.encoding, condition(motion, self.head.expression_count)))
        offsets = said[:, :3]
        turn = torch.cat([torch.exp(said[:, 3:4]), said[:, 4:7]], dim=1)
        quats = normalize(quat_multiply(values["rotation"], turn))
        scales = torch.exp(values["scaling"] * torch.exp(said[:, 7:10]))
        return self.binding.bind(posed, self.setback + offsets, quats, scales), offsets

    def _on_head(self, splats: Splats, posed: PosedTorchHead) -> Splats:
        """Return Gaussians in the axes of the head's root."""
        root, (means, quats, scales) = posed.joint_transforms[0], splats
        back = quat_conjugate(matrix_to_quat(posed.root_rotation))[None].expand_as(quats)
        return (means - root[:, 3]) @ root[:, :3], quat_multiply(back.contiguous(), quats), scales

    def make_scene(self, values: Values, motion: Motion, corrections: tuple[Tensor, ...] = (), view: View | None = None
                   ) -> FlashScene:
        """Return the scene; without a view, in its constant colours. `corrections` as long as a motion are the one before."""
        follows = len(corrections) == len(MOTION)
        motion, added = self.moved(motion, () if follows else corrections, view)
        posed = self.head.pose(motion)
        splats, offsets = self._splats(values, motion, posed)
        means, quats, scales = splats
        if view is None:
            rgb = torch.relu(0.5 + SH_C0 * values["color"])
        else:
            # SH in the head's axes: camera and Gaussians are turned back together.
            turn = posed.root_rotation
            seen = means if added is None else means + added
            rgb = colors_from(self.harmonics_of(values), seen @ turn, torch.cat([view.viewmat[:3, :3] @ turn,
                                                                                  view.viewmat[:3, 3:]], dim=1))
        here = before = None
        if follows:
            earlier = Motion(**dict(zip(MOTION, corrections, strict=True)))
            there = self.head.pose(earlier)
            here, before = self._on_head(splats, posed), self._on_head(self._splats(values, earlier, there)[0], there)
        return FlashScene(means, means if added is None else means + added, quats, scales, torch.sigmoid(values["opacity"]), rgb,
                          posed.vertices, motion=motion, offsets=offsets, here=here, before=before)

    # --- Learning -----------------------------------------------------------------------------------------------------

    def asked(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the frame [H, W, 3], and where its mouth is, [H, W, 1]; the latter alone where nobody knows."""
        if not (self.config.mouth_weight and len(self._ring)):
            return (batch.rgb,)
        return batch.rgb, self.mouth_of(batch)

    def mouth_of(self, batch: Batch) -> Tensor:
        """Return 1 within an ellipse around the lips' ring, as tracked, and 0 elsewhere, [H, W, 1]."""
        view, key = batch.view, (batch.split, batch.index)
        if key not in self._mouths:
            with torch.no_grad():
                points = self.head.pose(batch.motion).vertices[self._ring]
                there = points @ view.viewmat[:3, :3].t() + view.viewmat[:3, 3]
                pixels = there[:, :2] / there[:, 2:].clamp_min(1e-3) * view.K.diagonal()[:2] + view.K[:2, 2]
                low, high = pixels.amin(dim=0), pixels.amax(dim=0)
                half = (high - low) / 2
                self._mouths[key] = torch.cat([(low + high) / 2, half + self.config.mouth_margin * 2 * half[:1]])
        middle, reach = self._mouths[key].split(2)
        rows, columns = (torch.arange(n, device=middle.device) + 0.5 for n in (view.height, view.width))
        x, y = (columns - middle[0]) / reach[0], (rows - middle[1]) / reach[1]
        return (x.square()[None] + y.square()[:, None] < 1).float()[..., None]

    def compare(self, image: Tensor, *given: Tensor) -> dict[str, Tensor]:
        """Return the Huber distances of the picture and of the mouth, and the perceptual one when it counts."""
        c, target = self.config, given[0]
        terms = {"rgb": c.rgb_weight * losses.huber(image, target, c.huber_delta)}
        if len(given) > 1:
            terms["mouth"] = c.mouth_weight * losses.huber(image * given[1], target * given[1], c.huber_delta)
        if self.perceptual is not None:
            terms["perceptual"] = c.perceptual_weight * self.perceptual(image, target)
        return terms

    def scene_terms(self, values: Values, scene: Scene, visible: Tensor | None, aside: Tensor | None = None) -> dict[str, Tensor]:
        """Return what keeps Gaussians where they were a frame before, and on the surface, when those count."""
        c, terms = self.config, {}
        assert isinstance(scene, FlashScene)
        if scene.here is not None and scene.before is not None:
            terms["wasserstein"] = c.wasserstein_weight * wasserstein_squared(scene.here, scene.before).mean()
        if c.offset_weight and self.steps_taken >= c.wasserstein_from and scene.offsets is not None:
            terms["offset"] = c.offset_weight * (scene.offsets.square().sum() + 1e-12).sqrt()
        return terms

    def after_step(self, step: int, drawing: Drawing) -> None:
        """Count, add bands of SH, let terms begin, lower the network's rate. No Gaussian comes or goes."""
        super().after_step(step, drawing)
        self._go_on_from(step)

    def _go_on_from(self, step: int) -> None:
        c = self.config
        before = self.degree, self.smooths, self._presses
        self.steps_taken = step
        self.taken.fill_(step)
        if self._perceptual and step >= c.perceptual_from:
            self.perceptual = self._perceptual[0]
        far = min(step / max(c.steps, 1), 1.0)
        for group in self._optimizers["networks"].param_groups:
            group["lr"] = c.lr_offsets * (c.lr_offsets_final / c.lr_offsets)**far
        if (self.degree, self.smooths, self._presses) != before:
            # Graphs evaluate as many bands and terms as they were captured with.
            self.ride()

    @property
    def _presses(self) -> bool:
        return bool(self.config.offset_weight) and self.steps_taken >= self.config.wasserstein_from

    # --- Leaving and coming back --------------------------------------------------------------------------------------

    def load_state_dict(self, state: Any, *args: Any, **kwargs: Any) -> Any:
        """Take back what `state_dict` gave, see `SplatModel`."""
        result = super().load_state_dict(state, *args, **kwargs)
        self._go_on_from(int(self.taken))
        return result

    def to_avatar(self) -> Avatar:
        """Return the avatar: the head with its mouth closed, a layer that the network moves, the training motion."""
        stored = tuple((array(weight), array(bias)) for weight, bias in self.offsets.stored())
        log_scales = array(self.scaling)
        network = offset_network(stored, array(self.encoding), drivers(self.head.expression_count), log_scales,
                                 np.ones(len(log_scales)))
        rotation = array(normalize(self.rotation.detach()))
        cloud = GaussianCloud(array(self.setback), rotation, np.exp(log_scales.astype(np.float64)),
                              array(torch.sigmoid(self.opacity)), array(self.harmonics_of(self.values())))
        binding = FaceBinding(self.places.face_index, self.places.barycentric, self.config.frame, "none", "none")
        paper = WASSERSTEIN_PAPER if self.config.wasserstein else PAPER
        return Avatar(head=self.head_model, layers=(SplatLayer(cloud, binding, NETWORK, "head"),), networks={NETWORK: network},
                      sequence=self.store.frames.sequence,
                      meta=Meta(name=self.store.frames.name, system="flash-avatar", paper=paper))
