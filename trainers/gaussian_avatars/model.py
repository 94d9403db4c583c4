"""GaussianAvatars: Gaussians in the axes of a FLAME head's triangles.

Qian et al., "GaussianAvatars: Photorealistic Head Avatars with Rigged 3D Gaussians", CVPR 2024, section 3; what the paper
leaves open follows the released trainer, as `reference/gaussianavatars.md` of our notes describes it.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from formats.avatar import Avatar
from formats.conventions import SH_C0, logit
from formats.head_model import HeadModel
from trainers import losses
from trainers.deform import TorchFaceBinding, TorchHead
from trainers.densify import ScreenRadii
from trainers.density import change_of, shrink, spread
from trainers.gaussian_avatars.avatar import avatar_of
from trainers.gaussian_avatars.config import Config
from trainers.model import Drawing, Motion, View
from trainers.refinement import moments_of
from trainers.sampling import Samples
from trainers.scene import Scene, Values
from trainers.shown_colors import shown_colors
from trainers.spherical_harmonics import colors_from
from trainers.splat_model import SplatModel

LEAST_EXTENT = 0.1
"""Metres. Cameras closer together than this say nothing about the size of the scene."""


class GaussianAvatars(SplatModel):
    """The `trainers.model.Model` of GaussianAvatars.

    Learned per Gaussian: `means` [N, 3] and `scaling` [N, 3], log, in sizes of the triangle, `rotation` [N, 4] wxyz in its
    axes, `opacity` [N] logit, `color` [N, 3] and `harmonics` [N, K - 1, 3], SH seen in world axes. Buffers: `face_index` [N],
    `radii` [N], the largest on the pictures since Gaussians last came or went, pixels, and `bands`, the degree of SH in use.
    """

    GAUSSIANS = ("means", "rotation", "scaling", "opacity", "color", "harmonics")
    PLACES = ("face_index", "radii")
    MOVES = "translation"

    radii: Tensor
    bands: Tensor

    def __init__(self, config: Config, head: HeadModel, store: Any) -> None:
        """Make the model for the frames of `store`, a `trainers.frame_store.FrameStore`, on its device.

        Args:
            config: Numbers.
            head: As `head_of` makes it; the tracked person's shape is put in where it is not yet.
            store: The training frames.
        """
        super().__init__(config, store)
        self.head_model = store.frames.personal(head) if head.shapedirs is not None else head
        device, count = store.device, len(head.faces)
        self.head = TorchHead(self.head_model).to(device)
        self.extent = config.extent or extent_of(store.viewmats)

        self.means = self.learned(np.zeros((count, 3)))
        self.rotation = self.learned(np.tile([1.0, 0, 0, 0], (count, 1)))
        self.scaling = self.learned(np.full((count, 3), np.log(config.init_scale)))
        self.opacity = self.learned(np.full(count, logit(np.array(config.init_opacity))))
        self.color = self.learned(self._first_colors())
        self.harmonics = self.learned(np.zeros((count, (config.sh_degree + 1) ** 2 - 1, 3)))
        self.register_buffer("face_index", torch.arange(count, device=device))
        self.register_buffer("radii", torch.zeros(count, device=device))
        self.register_buffer("bands", torch.zeros((), dtype=torch.int64, device=device))
        self.degree = 0
        self.train_rows = None
        if config.refine:
            self.train_rows = self.make_rows(len(store), moments_of(store.motion), config.frame_adam == "dense")
        self.screen = ScreenRadii()
        self.start()

    # --- Making -------------------------------------------------------------------------------------------------------

    def _first_colors(self) -> np.ndarray:
        config, count = self.config, len(self.head_model.faces)
        if config.init_color == "gray":
            return np.random.default_rng(config.seed).uniform(0, 1 / 255, (count, 3))
        middles = Samples(np.arange(count, dtype=np.int32), np.full((count, 3), 1 / 3, np.float32), np.full(count, -1, np.int32))
        return shown_colors(self.head_model, middles, self.store, config.color_views, config.color_size)

    def rate(self, name: str) -> float:
        """Return a parameter's learning rate to start with; that of places grows with the scene."""
        return super().rate(name) * (self.extent if name == "means" else 1)

    def ride(self) -> None:
        """Make what depends on which Gaussians there are."""
        super().ride()
        middle = torch.full((len(self), 3), 1 / 3, device=self.face_index.device)
        self.binding = TorchFaceBinding(self.head, self.face_index, middle, "face", "edge_height", "edge_height")

    # --- Drawing ------------------------------------------------------------------------------------------------------

    def harmonics_of(self, values: Values) -> Tensor:
        """Return the coefficients of the bands in use, [N, K, 3]."""
        rest = (self.degree + 1) ** 2 - 1
        return torch.cat([values["color"][:, None], values["harmonics"][:, :rest]], dim=1)

    def make_scene(self, values: Values, motion: Motion, corrections: tuple[Tensor, ...] = (), view: View | None = None) -> Scene:
        """Return the scene; without a view, in its constant colours.

        x = k R mean + T, q = quat(R) rotation, s = k exp(scaling), R, k and T the axes, size and middle of the triangle.
        Source: GaussianAvatars, eq. 1 to 3.
        """
        motion, _ = self.moved(motion, corrections, view)
        posed = self.head.pose(motion)
        means, quats, scales = self.binding.bind(posed, values["means"], values["rotation"], torch.exp(values["scaling"]))
        if view is None:
            rgb = torch.relu(0.5 + SH_C0 * values["color"])
        else:
            rgb = colors_from(self.harmonics_of(values), means, view.viewmat)
        return Scene(means, means, quats, scales, torch.sigmoid(values["opacity"]), rgb, posed.vertices, motion=motion)

    # --- Learning -----------------------------------------------------------------------------------------------------

    def compare(self, image: Tensor, *given: Tensor) -> dict[str, Tensor]:
        """Return 0.8 L1 + 0.2 D-SSIM."""
        c, (target,) = self.config, given
        terms = {"rgb": c.l1_weight * losses.l1(image, target)}
        if c.dssim_weight:
            terms["dssim"] = c.dssim_weight * losses.dssim(image, target)
        return terms

    def scene_terms(self, values: Values, scene: Scene, visible: Tensor | None, aside: Tensor | None = None) -> dict[str, Tensor]:
        """Return what keeps visible Gaussians on their triangles, and as small. Source: GaussianAvatars, eq. 4 and 5."""
        c, terms = self.config, {}
        if c.position_weight:
            terms["position"] = c.position_weight * losses.distance_hinge(values["means"], c.position_limit, visible)
        if c.scale_weight:
            terms["scale"] = c.scale_weight * losses.size_hinge(torch.exp(values["scaling"]), c.scale_limit, visible)
        return terms

    def after_step(self, step: int, drawing: Drawing) -> None:
        """Let Gaussians come and go, reset opacities, add bands of SH, lower the rates."""
        super().after_step(step, drawing)
        c = self.config
        learning = c.densify_every and not (c.densify_until and step > c.densify_until)
        if learning and c.prune_radius and step > c.prune_from:
            self.screen.add(self.radii, drawing)
        if learning and step > c.densify_from and step % c.densify_every == 0:
            self.densify(step, drawing.extra["scene"].scales.detach())
        resets = c.reset_every and step % c.reset_every == 0
        if learning and (resets or (c.reset_every and c.background == "white" and step == c.densify_from)):
            self.reset_opacity()
        if c.sh_every and step % c.sh_every == 0 and self.degree < c.sh_degree:
            self._use_bands(self.degree + 1)
        self._lower_rates(step)

    def densify(self, step: int, scales: Tensor) -> None:
        """Clone and split where pictures pull, remove what is faint or too large.

        Args:
            step: Seeds what is drawn.
            scales: Of the Gaussians as they were last drawn, metres, [N, 3].
        """
        c, held = self.config, self.gradients
        pull = held.total / held.seen.clamp_min(1)
        change = change_of(pull, scales.amax(dim=1), torch.sigmoid(self.opacity.detach()), self.radii, c, self.extent,
                           step > c.prune_from, self.face_index)
        world = scales[change.rows]
        self.take(change.rows, change.fresh)
        if change.parts:
            with torch.no_grad():
                own = torch.exp(self.scaling[-change.parts:]) if c.split_in == "triangle" else world[-change.parts:]
                self.means[-change.parts:] += spread(self.rotation[-change.parts:], own, (c.seed, step))
                self.scaling[-change.parts:] -= float(np.log(shrink(c)))
        self.radii = torch.zeros_like(self.radii)
        held.clear(len(self))
        self.ride()

    def _use_bands(self, degree: int) -> None:
        self.degree = degree
        self.bands.fill_(degree)
        # Graphs evaluate as many as they were captured with.
        self.ride()

    def _lower_rates(self, step: int) -> None:
        c = self.config
        if not c.lr_steps:
            return
        far = min(step / c.lr_steps, 1.0)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                final = c.lr_means_final / c.lr_means if group["name"] == "means" else c.lr_final
                group["lr"] = self.rate(group["name"]) * final**far

    # --- Leaving and coming back --------------------------------------------------------------------------------------

    def to_avatar(self) -> Avatar:
        """Return the avatar: the head with teeth, one splat layer, the refined training motion with cameras."""
        return avatar_of(self)

    def load_state_dict(self, state: Any, *args: Any, **kwargs: Any) -> Any:
        """Take back what `state_dict` gave, see `SplatModel`."""
        if "bands" in state:
            self.degree = int(state["bands"])
        return super().load_state_dict(state, *args, **kwargs)


def extent_of(viewmats: Tensor) -> float:
    """Return E, metres: 1.1 times the farthest camera's distance from the middle of all, of world-to-camera [T, 4, 4].

    1 where that is less than `LEAST_EXTENT`: one camera that stands still says nothing.
    """
    centres = -(viewmats[:, :3, :3].transpose(1, 2) @ viewmats[:, :3, 3:])[:, :, 0]
    extent = 1.1 * float((centres - centres.mean(dim=0)).norm(dim=1).max())
    return extent if extent >= LEAST_EXTENT else 1.0
