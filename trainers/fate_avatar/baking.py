"""Neural baking: a trained FATE run becomes continuous UV attribute maps, and an avatar made of them.

Zhang et al. 2025, section 3.3: a U-Net turns fixed noise into maps, Gaussians look their attributes up where they lie on the
layout, and the pictures train the network; head, places and canonical sizes are the run's and stay.

Maps follow `UVMaps` (row 0 at the top, texel centres at half texels, lookups bilinear, held at the border), where the
authors' are upside down and put the first texel's centre on the border: half a texel apart, and nothing else.

Of a bake stay: the maps in its bundle, rounded nowhere; and, in the newest checkpoint of RUN/bake, the network with its
noise and moments, the maps it corrects, and the tracking. `Run.open(RUN / "bake").load_model()` goes on from those (to
edit, or to learn further), `kept_maps` makes the maps of them without the run's data; both give the bundle's maps to the
bit, on the same machine.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from formats.albedo import albedo_of
from formats.avatar import Avatar
from formats.errors import CheckpointMismatch, MissingAsset
from formats.head_model import HeadModel
from formats.surface_fill import push_pull
from formats.texels import texels
from formats.uv_maps import UVMaps
from trainers import checkpoint, losses
from trainers.fate_avatar import avatar as leaving
from trainers.fate_avatar.attributes import CHANNELS, Bounds, activate, raw_of
from trainers.fate_avatar.bake_config import PRESETS, Config
from trainers.fate_avatar.model import FateAvatar
from trainers.fate_avatar.unet import UNet
from trainers.model import Batch, Drawing
from trainers.run import Run
from trainers.sampling import sample

__all__ = ["MAPS", "PRESETS", "Config", "Model", "kept_maps"]

MAPS = {"offset": "local_position_uv", "rotation": "rot_delta_uv", "scaling": "local_scaling_uv",
        "opacity": "gs_opacity_uv", "color": "gs_features_uv"}
"""The trainer's names to those of the maps in a bundle, which are OSGAP's."""
CENTRED = 1e-3
"""Texels that a Gaussian may lie beside its texel's centre and still count as there."""


class Model(nn.Module):
    """The bake as a `trainers.model.Model`, so that the one loop trains, saves, stops and resumes it.

    `source` is the trained `FateAvatar`, frozen but for its tracking where `config.refine`; `network` and the buffer `noise`
    make the maps, added to the buffer `base`; `uv` [N, 2] is where Gaussians look them up.
    """

    noise: Tensor
    base: Tensor
    uv: Tensor

    def __init__(self, config: Config, head: HeadModel, store: Any) -> None:
        """Make the bake of the run in the folder `config.source`.

        Args:
            config: Numbers.
            head: The run's head.
            store: The training frames.

        Raises:
            MissingAsset: The run or its checkpoint is gone.
            UnsupportedFeature: The head has no texture coordinates.
        """
        super().__init__()
        self.config, self.store = config, store
        run = Run.open(Path(config.source))
        # A bake that goes on must find the run as it was.
        self.source, self.source_step = trained(run, head, store)
        device = store.device
        for name, parameter in self.source.named_parameters():
            parameter.requires_grad_(config.refine and name.startswith("train_rows."))
        own = len(self.source)
        with torch.no_grad():
            # What maps should be where the run's own Gaussians are.
            self.bounds = Bounds.of(self.source.scaling, config.size_room)
            parts = {name: getattr(self.source, name).detach().clone() for name in MAPS}
            self.target = raw_of(parts | {"offset": torch.tanh(parts["offset"])}, self.bounds)
        self._add_raster()
        uvs, uv_faces = self.source.head_model.uvs, self.source.head_model.uv_faces
        assert uvs is not None and uv_faces is not None, "FateAvatar refuses such a head"
        face = self.source.face_index.cpu().numpy()
        corners = torch.from_numpy(uvs[uv_faces[face]]).to(device)
        self.register_buffer("uv", torch.einsum("nk,nkc->nc", self.source.barycentric, corners))
        self.own = own

        noise = torch.from_numpy(np.random.default_rng(config.seed).uniform(-1, 1, (1, CHANNELS, config.map_size,
                                                                                   config.map_size)).astype(np.float32))
        self.register_buffer("noise", noise.to(device))
        torch.manual_seed(config.seed)
        self.network = UNet(CHANNELS, config.width).to(device)
        base = torch.zeros_like(self.noise[0])
        with torch.no_grad():
            assert self.network.last.bias is not None
            if config.start == "run":
                base = self._laid_out().to(device)
                self.network.last.weight.zero_()
                self.network.last.bias.zero_()
            else:
                self.network.last.bias.copy_(self.target.mean(dim=0))
        self.register_buffer("base", base)
        self._optimizers: dict[str, torch.optim.Optimizer] = {
            "network": torch.optim.Adam([{"params": list(self.network.parameters()), "lr": config.lr, "name": "network"}])}
        if config.refine and "frames" in self.source.optimizers():
            self._optimizers["frames"] = self.source.optimizers()["frames"]

    def _add_raster(self) -> None:
        """Give the source a further Gaussian for each texel of a fresh layout; what they are like, the maps say."""
        if not self.config.raster_size:
            return
        source = self.source
        fresh = sample(source.head_model, self.config.raster_size, True, self.config.seed)
        device = source.face_index.device
        source.face_index = torch.cat([source.face_index, torch.from_numpy(fresh.face_index.astype(np.int64)).to(device)])
        source.barycentric = torch.cat([source.barycentric, torch.from_numpy(fresh.barycentric).to(device)])
        source.ride()

    def __len__(self) -> int:
        return len(self.uv)

    # --- Maps ---------------------------------------------------------------------------------------------------------

    def maps(self) -> dict[str, Tensor]:
        """Return the attribute maps [C, H, W] by the trainer's names."""
        return activate(self.raw(), self.bounds)

    def raw(self) -> Tensor:
        """Return what maps are made of, [11, H, W]."""
        return self.base + self.network(self.noise)[0]

    def _laid_out(self) -> Tensor:
        """Return the run's own raw attributes [11, H, W], each texel as the Gaussian at its centre has them.

        Where none is centred the mean of those that lie in it stands, where there are none what is near.
        """
        size = self.config.map_size
        at = self.uv[:self.own].cpu().numpy().astype(np.float64) * size
        column, row = np.clip(at.astype(int), 0, size - 1).T
        weight = np.where(np.abs(at - np.floor(at) - 0.5).max(axis=1) < CENTRED, 1.0, 1e-6)
        texel, target = row * size + column, self.target.cpu().numpy().astype(np.float64)
        total = np.bincount(texel, weight, size * size)
        sums = np.stack([np.bincount(texel, weight * target[:, c], size * size) for c in range(CHANNELS)], axis=1)
        image = (sums / np.maximum(total, 1e-12)[:, None]).reshape(size, size, CHANNELS)
        filled = push_pull(image, (total > 0).reshape(size, size))
        return torch.from_numpy(np.ascontiguousarray(filled.transpose(2, 0, 1)).astype(np.float32))

    def look_up(self, maps: Tensor) -> Tensor:
        """Return what maps [C, H, W] hold for the Gaussians, [N, C]."""
        grid = (2 * self.uv - 1)[None, None]
        return functional.grid_sample(maps[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0].t()

    def attributes(self) -> dict[str, Tensor]:
        """Return the Gaussians' attributes [N, C], looked up."""
        maps = self.maps()
        values = self.look_up(torch.cat(list(maps.values())))
        return dict(zip(maps, values.split([len(m) for m in maps.values()], dim=1), strict=True))

    def _fill(self, attributes: Mapping[str, Tensor]) -> None:
        """Let the source draw with `attributes` in place of its own."""
        for name, value in attributes.items():
            self.source._parameters.pop(name, None)
            if name == "offset":
                value = torch.atanh(value)  # of which the source takes the tanh; at most tanh(1)
            setattr(self.source, name, value[:, 0] if name in ("opacity", "offset") else value)

    def settle(self) -> FateAvatar:
        """Look the maps up once, without gradient, and return the source: it draws them until the next `render` here."""
        with torch.no_grad():
            self._fill(self.attributes())
        return self.source

    def _distance(self) -> Tensor:
        """Return how far raw maps are from the run's own attributes, where its Gaussians are; mean of Huber distances."""
        return functional.smooth_l1_loss(self.look_up(self.raw())[:self.own], self.target, beta=0.1)

    # --- Model --------------------------------------------------------------------------------------------------------

    def render(self, batch: Batch) -> Drawing:
        """Return the picture of the baked avatar."""
        self._fill(self.attributes())
        return self.source.render(batch)

    def losses(self, batch: Batch, drawing: Drawing) -> dict[str, Tensor]:
        """Return the weighted terms: the picture's, and those that keep Gaussians round and flat on the skin."""
        c, source = self.config, self.source
        terms = source.picture_losses(batch, drawing)
        if c.scale_weight:
            terms["scale"] = c.scale_weight * losses.ratio_hinge(source.scaling, c.scale_ratio)
        if c.rotation_weight:
            terms["rotation"] = c.rotation_weight * losses.tilt(source.rotation)
        if c.keep_weight:
            terms["keep"] = c.keep_weight * self._distance()
        return terms

    def optimizers(self) -> Mapping[str, Any]:
        """Return Adam for the network and, where tracking is refined, SparseAdam for it."""
        return self._optimizers

    def after_step(self, step: int, drawing: Drawing) -> None:
        """Lower the network's rate."""
        c = self.config
        if c.lr_final != 1:
            for group in self._optimizers["network"].param_groups:
                group["lr"] = c.lr * c.lr_final ** min(step / c.steps, 1.0)

    def refit(self, *args: Any, **kwargs: Any) -> None:
        """Fit the tracking of other frames, as `FateAvatar.refit`."""
        self.settle().refit(*args, **kwargs)

    def to_avatar(self) -> Avatar:
        """Return the baked avatar: its maps, and the Gaussians that lie on them."""
        with torch.no_grad():
            maps = self.maps()
        source = self.settle()
        images = {MAPS[name]: value.permute(1, 2, 0).cpu().numpy() for name, value in maps.items()}
        # The offset is one number along the normal; the name stands for a position in the triangle's frame.
        along = np.float32(source.config.offset_limit) * images[MAPS["offset"]]
        images[MAPS["offset"]] = np.concatenate([0 * along, along, 0 * along], axis=2)
        size = self.config.map_size
        mask = np.zeros(size * size, bool)
        mask[texels(source.head_model, size)[0]] = True
        bare = leaving.avatar_of(source)
        images["albedo"] = albedo_of(bare, self.config.albedo_size)
        meta = dataclasses.replace(bare.meta, source=f"{Path(self.config.source).name}, baked")
        return dataclasses.replace(bare, meta=meta, maps=UVMaps(images, mask.reshape(size, size)))

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Return the network, its noise, what it corrects, the tracking, `bounds` and the run's step."""
        held = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        held |= {"noise": self.noise, "base": self.base, "source_step": torch.tensor(self.source_step),
                 "bounds": torch.tensor(dataclasses.astuple(self.bounds), dtype=torch.float64)}
        if self.source.train_rows is not None:
            held |= {f"train_rows.{k}": v for k, v in self.source.train_rows.state_dict().items()}
        return held

    def load_state_dict(self, state: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Take back what `state_dict` gave.

        Raises:
            RuntimeError: Names or shapes are not this model's, or the run has learned further since.
        """
        if int(state["source_step"]) != self.source_step:
            raise RuntimeError(f"it baked the run at step {int(state['source_step'])}, which is at step {self.source_step} "
                               "now; bake anew")
        if state["noise"].shape != self.noise.shape:
            raise RuntimeError(f"'noise' is {list(state['noise'].shape)}, expected {list(self.noise.shape)}")
        self.network.load_state_dict(_part(state, "network"))
        with torch.no_grad():
            self.noise.copy_(state["noise"])
            self.base.copy_(state["base"])
        self.bounds = Bounds(*state["bounds"].tolist())
        if self.source.train_rows is not None:
            self.source.train_rows.load_state_dict(_part(state, "train_rows"))
        return None


def trained(run: Run, head: HeadModel, store: Any) -> tuple[FateAvatar, int]:
    """Return the model of a trained run, for the frames of `store`, and its step.

    It draws without a graph, which would go on drawing the Gaussians that it was captured with.

    Raises:
        MissingAsset: There is no checkpoint yet.
        CheckpointMismatch: It does not fit.
    """
    model = FateAvatar(dataclasses.replace(run.config(), cuda_graph=False, init_color="gray"), head, store)
    return model, run.restore(model, store.device).step


def kept_maps(run: Run, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Return the maps [C, H, W] that the newest checkpoint of a bake makes, by the trainer's names, as `Model.maps`.

    Args:
        run: RUN/bake.
        device: Where to make them.

    Raises:
        MissingAsset: There is no checkpoint yet.
        CheckpointMismatch: It is not of this bake.
    """
    path = run.latest_checkpoint()
    if path is None:
        raise MissingAsset(f"{run.path}: there is no checkpoint yet; go on with its bake by --resume")
    state = checkpoint.read(path).model
    network = UNet(CHANNELS, run.config().width).to(device)
    try:
        network.load_state_dict(_part(state, "network"))
        noise, base, bounds = state["noise"].to(device), state["base"].to(device), Bounds(*state["bounds"].tolist())
    except (KeyError, RuntimeError) as error:
        raise CheckpointMismatch(f"{path}: does not fit this bake: {' '.join(str(error).split())}") from error
    with torch.no_grad():
        return activate(base + network(noise)[0], bounds)


def _part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
