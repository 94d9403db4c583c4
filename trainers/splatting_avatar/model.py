"""SplattingAvatar: Gaussians embedded in a FLAME mesh, free to walk over it.

Shao et al., "SplattingAvatar: Realistic Real-Time Human Avatars with Mesh-Embedded Gaussian Splatting", CVPR 2024, section 3;
what the paper leaves open follows the released trainer for heads, as `reference/splattingavatar.md` of our notes describes it.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from formats.avatar import Avatar, FaceBinding, Meta, SplatLayer
from formats.conventions import SH_C0, logit
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from trainers import losses
from trainers.deform import TorchFaceBinding, TorchHead
from trainers.densify import ScreenRadii
from trainers.density import change_of, shrink, spread
from trainers.model import Batch, Drawing, Motion, View
from trainers.perceptual import Lpips
from trainers.sampling import Samples, nearest_distances
from trainers.scene import Scene, Values
from trainers.shown_colors import shown_colors
from trainers.splat_model import SplatModel, array
from trainers.splatting_avatar.config import Config
from trainers.splatting_avatar.embedding import NORMAL_FLOOR, Neighbours, phong_points, settle, shift_of, walk
from trainers.triangles import vertex_normals

PAPER = ("Shao et al., SplattingAvatar: Realistic Real-Time Human Avatars with Mesh-Embedded Gaussian Splatting, CVPR 2024, "
         "arXiv:2403.05087")


class SplattingAvatar(SplatModel):
    """The `trainers.model.Model` of SplattingAvatar.

    Learned per Gaussian: `uvd` [N, 3], a step across the triangle that the next walk takes and the distance along the Phong
    normal in units, `rotation` [N, 4] wxyz from the first frame's pose, `scaling` [N, 3], log, in units there, `opacity` [N]
    logit, `color` [N, 3] SH DC. Buffers: `face_index` [N] and `barycentric` [N, 3], `radii` [N] pixels, the largest on the
    pictures since Gaussians last came or went, and `crossings`, how many edges were crossed by walks.
    """

    GAUSSIANS = ("uvd", "rotation", "scaling", "opacity", "color")
    PLACES = ("face_index", "barycentric", "radii")

    barycentric: Tensor
    radii: Tensor
    crossings: Tensor

    def __init__(self, config: Config, head: HeadModel, store: Any) -> None:
        """Make the model for the frames of `store`, a `trainers.frame_store.FrameStore`, on its device.

        Args:
            config: Numbers.
            head: The tracked person's shape is put in where it is not yet.
            store: The training frames; the head's pose in the first is what everything is relative to.

        Raises:
            MissingAsset: `config.lpips_backbone` or `lpips_linear` names no file.
        """
        super().__init__(config, store)
        self.head_model = store.frames.personal(head) if head.shapedirs is not None else head
        device = store.device
        self.head = TorchHead(self.head_model).to(device)
        self.neighbours = Neighbours.of(self.head.faces)
        with torch.no_grad():
            motion = Motion(**{name: getattr(store.motion, name)[0] for name in store.motion.__dataclass_fields__})
            self.canonical = self.head.pose(motion).vertices
        samples = draw_places(len(head.faces), config.count, config.seed)
        count = len(samples)
        self.uvd = self.learned(np.zeros((count, 3)))
        self.rotation = self.learned(np.tile([1.0, 0, 0, 0], (count, 1)))
        self.scaling = self.learned(self._first_scales(samples))
        self.opacity = self.learned(np.full(count, logit(np.array(config.init_opacity))))
        gray = config.init_color == "gray"
        self.color = self.learned(np.zeros((count, 3)) if gray else shown_colors(
            self.head_model, samples, store, config.color_views, config.color_size))
        self.register_buffer("face_index", torch.from_numpy(samples.face_index.astype(np.int64)).to(device))
        self.register_buffer("barycentric", torch.from_numpy(samples.barycentric).to(device))
        self.register_buffer("radii", torch.zeros(count, device=device))
        self.register_buffer("crossings", torch.zeros((), dtype=torch.int64, device=device))
        self.has_eyelids = self.head_model.eyeliddirs is not None and bool((store.motion.eyelids != 0).any())
        if config.lpips_backbone:
            self.perceptual = Lpips(config.lpips_backbone, config.lpips_linear).to(device)
        self.screen = ScreenRadii()
        self.start()

    # --- Making -------------------------------------------------------------------------------------------------------

    def _first_scales(self, samples: Samples) -> np.ndarray:
        """Return log sizes in units: the root mean square distance of the three nearest others, floor 1e-7 on its square."""
        corners = array(self.canonical)[self.head_model.faces[samples.face_index]] / self.config.unit
        points = np.einsum("nk,nkc->nc", samples.barycentric, corners).astype(np.float32)
        square = np.square(nearest_distances(points, 3, self.store.device).astype(np.float64)).mean(axis=1)
        return np.repeat(np.log(np.sqrt(np.maximum(square, 1e-7)))[:, None], 3, axis=1)

    def _bind(self) -> TorchFaceBinding:
        scale = "log_area_ratio" if self.config.mesh_scaling else "none"
        return TorchFaceBinding(self.head, self.face_index, self.barycentric, "vertex", "none", scale, self.canonical,
                                self.config.unit)

    def ride(self) -> None:
        """Make what depends on which Gaussians there are."""
        super().ride()
        self.binding = self._bind()

    # --- Drawing ------------------------------------------------------------------------------------------------------

    def make_scene(self, values: Values, motion: Motion, corrections: tuple[Tensor, ...] = (), view: View | None = None) -> Scene:
        """Return the scene.

        x = P + d n on the Phong surface, q = blended turn of the surface times rotation, s = exp(scaling r). Source:
        SplattingAvatar, eq. 2 to 5, and its released arithmetic.
        """
        motion, moved = self.moved(motion, corrections, view)
        posed = self.head.pose(motion)
        c, uvd = self.config, values["uvd"]
        zero = torch.zeros_like(uvd[:, 2])
        shift = shift_of(uvd).t() if c.walk == "paper" else None
        means, quats, scales = self.binding.bind(posed, torch.stack([zero, c.unit * uvd[:, 2], zero], dim=1),
                                                 values["rotation"], c.unit * torch.exp(values["scaling"]), shift)
        return Scene(means, means if moved is None else means + moved, quats, scales, torch.sigmoid(values["opacity"]),
                     torch.relu(0.5 + SH_C0 * values["color"]), posed.vertices, motion=motion)

    # --- Learning -----------------------------------------------------------------------------------------------------

    def asked(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the picture [H, W, 3] and the matte [H, W]."""
        return batch.rgb, batch.mask

    def compare(self, image: Tensor, *given: Tensor) -> dict[str, Tensor]:
        """Return L1, MSE, and LPIPS of the pictures times the matte, or what stands in for it."""
        c, (target, mask) = self.config, given
        terms = {"rgb": c.l1_weight * losses.l1(image, target), "mse": c.l2_weight * losses.l2(image, target)}
        if self.perceptual is not None:
            terms["lpips"] = c.lpips_weight * self.perceptual(image * mask[..., None], target * mask[..., None])
        elif c.substitute != "none" and c.substitute_weight:
            other = losses.gradient if c.substitute == "gradient" else losses.dssim
            terms[c.substitute] = c.substitute_weight * other(image, target)
        return terms

    def scene_terms(self, values: Values, scene: Scene, visible: Tensor | None, aside: Tensor | None = None) -> dict[str, Tensor]:
        """Return the mean longest axis, in units, of Gaussians that are too large and too long."""
        c, log = self.config, values["scaling"]
        if not c.scale_weight:
            return {}
        longest = torch.exp(log.amax(dim=1))
        wrong = (longest > c.scale_limit) & (longest > c.scale_ratio * torch.exp(log.amin(dim=1)))
        return {"scale": c.scale_weight * losses.visible_mean(longest, wrong)}

    def after_step(self, step: int, drawing: Drawing) -> None:
        """Walk, let Gaussians come and go, reset opacities, lower the rate."""
        super().after_step(step, drawing)
        c = self.config
        learning = c.densify_every and not (c.densify_until and step > c.densify_until)
        if learning and c.prune_radius and step > c.prune_from:
            self.screen.add(self.radii, drawing)
        if c.walk == "paper" and c.walk_every and step % c.walk_every == 0:
            self.walk()
        if learning and step > c.densify_from and step % c.densify_every == 0:
            self.densify(step)
        if learning and c.reset_every and step % c.reset_every == 0:
            self.reset_opacity()
        if c.lr_steps:
            for group in self._optimizers["gaussians"].param_groups:
                if group["name"] == "uvd":
                    group["lr"] = c.lr_uvd * (c.lr_uvd_final / c.lr_uvd) ** min(step / c.lr_steps, 1.0)

    @torch.no_grad()
    def walk(self) -> None:
        """Take the steps that were learned over the mesh, and let Adam forget them. Source: SplattingAvatar, section 3.3."""
        face, weights, crossed = walk(self.neighbours, self.face_index, self.barycentric, shift_of(self.uvd))
        self.crossings += crossed.sum()
        self.face_index, self.barycentric = face, weights
        self.uvd[:, :2] = 0
        state = self._optimizers["gaussians"].state.get(self.uvd, {})
        for name in ("exp_avg", "exp_avg_sq"):
            if name in state:
                state[name][:, :2] = 0
        # In place: graphs of the scene stay good.
        fresh = self._bind()
        for name, value in self.binding.named_buffers():
            value.copy_(fresh.get_buffer(name))

    def densify(self, step: int) -> None:
        """Clone and split where pictures pull, remove what is faint or too large; parts of a split find places of their own."""
        c, held = self.config, self.gradients
        pull = held.total / held.seen.clamp_min(1)
        sizes = torch.exp(self.scaling.detach())
        change = change_of(pull, sizes.amax(dim=1), torch.sigmoid(self.opacity.detach()), self.radii, c, c.extent,
                           step > c.prune_from)
        self.take(change.rows, change.fresh)
        if change.parts:
            self._place_parts(change.parts, step)
        self.radii = torch.zeros_like(self.radii)
        held.clear(len(self))
        self.ride()

    @torch.no_grad()
    def _place_parts(self, parts: int, step: int) -> None:
        """Draw the last `parts` Gaussians from their parents in the canonical pose, and find where on the mesh they are."""
        face, weights, uvd = self.face_index[-parts:], self.barycentric[-parts:], self.uvd[-parts:].detach()
        vertices = self.canonical / self.config.unit
        normals = vertex_normals(vertices, self.head.faces, NORMAL_FLOOR)
        if self.config.walk == "paper":
            face, weights, _ = walk(self.neighbours, face, weights, shift_of(uvd))
        centres = phong_points(vertices, normals, self.head.faces, face, weights, uvd[:, 2])
        offsets = spread(self.rotation[-parts:], torch.exp(self.scaling[-parts:]), (self.config.seed, step))
        face, weights = settle(vertices, self.head.faces, self.neighbours, centres + offsets, face, weights, uvd[:, 2])
        self.face_index[-parts:], self.barycentric[-parts:] = face, weights
        self.uvd[-parts:, :2] = 0
        self.scaling[-parts:] -= float(np.log(shrink(self.config)))

    # --- Leaving ------------------------------------------------------------------------------------------------------

    def to_avatar(self) -> Avatar:
        """Return the avatar: FLAME's head, one splat layer, the tracked motion with cameras."""
        c, uvd = self.config, self.uvd.detach()
        along = np.zeros((len(self), 3))
        along[:, 1] = c.unit * array(uvd[:, 2]).astype(np.float64)
        dc = np.maximum(array(self.color), -0.5 / SH_C0)
        cloud = GaussianCloud(along, array(self.rotation), c.unit * np.exp(array(self.scaling).astype(np.float64)),
                              array(torch.sigmoid(self.opacity)), dc[:, None])
        weights = self.barycentric + shift_of(uvd) if c.walk == "paper" else self.barycentric
        binding = FaceBinding(array(self.face_index).astype(np.int32), array(weights), "vertex", "none",
                              "log_area_ratio" if c.mesh_scaling else "none", array(self.canonical), c.unit)
        return Avatar(head=self.head_model, layers=(SplatLayer(cloud, binding),), sequence=self.refined_sequence(),
                      meta=Meta(name=self.store.frames.name, system="splatting-avatar", paper=PAPER))


def draw_places(faces: int, count: int, seed: int) -> Samples:
    """Return `count` places: a triangle drawn evenly from all, whatever its size; u even in 0..1, v in 0..1 - u, in any order.

    Source: the released trainer of SplattingAvatar.
    """
    rng = np.random.default_rng(seed)
    face = rng.integers(0, faces, count)
    u = rng.uniform(0, 1, count)
    v = rng.uniform(0, 1, count) * (1 - u)
    weights = rng.permuted(np.stack([u, v, 1 - u - v], axis=1), axis=1)
    return Samples(face.astype(np.int32), weights.astype(np.float32), np.full(count, -1, np.int32))
