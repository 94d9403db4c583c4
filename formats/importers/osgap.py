"""OSGAP: Gaussians in the texels of FLAME's layout, riding its triangles as GaussianAvatars' do.

PATH is one of

- `point_cloud.ply`, or a folder above it, as GaussianAvatars lays them out; SH of degree 0;
- `gs_attrs_uv_300X300_<iteration>.npz`, the attribute maps, of 300, 256 or any other size;
- `model_<iteration>.pth`, an encoder that makes such maps of a portrait: `trainers.osgap.import_with_image` runs it, with
  `image`, and comes back here with `avatar_of_maps`.

`flame_param.npz` has the person and the clip. Source: the released code of OSGAP (One-Shot Head Avatars via Generalizable
Gaussian Priors), for which there is no paper; posing is `formats.deform`'s frame `face` (Qian et al., "GaussianAvatars", CVPR
2024, section 3.1).

OSGAP draws the three colour numbers as they are, the modified GaussianAvatars that prepares its data as SH: see
`color_space`. It adds no clamp; here a colour below 0 is drawn as 0. `as_original` changes nothing.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from formats.avatar import Avatar, Meta, SplatLayer
from formats.codecs import inria_ply, torch_file
from formats.errors import FormatError, MissingAsset, UnsupportedFeature, naming
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.importers import flame_rig, gaussian_avatars, osgap_maps, side_files

PAPER = "OSGAP: One-Shot Head Avatars via Generalizable Gaussian Priors, released code, 2025"
LICENSE = ("OSGAP's code is under GPL 3.0 with parts of GaussianAvatars (CC BY-NC-SA 4.0), Inria's rasteriser and NVIDIA's EG3D "
           "under their non-commercial terms; check them and the consent of the person shown before you publish.")
SYSTEM = "OSGAP"
SIDES = {"flame_param": "flame_param.npz, the person and the clip", "image": "a portrait, for the encoder"}
SIZE = 256
"""Texels across of the encoder's maps."""
ENCODER_PREFIX = "Encoder."
ENCODER_KEYS = ("Encoder.F_encoder.patchembed.proj.weight", "Encoder.EHigh_encoder.net.0.weight",
                "Encoder.Final_encoder.output_net.0.weight")
LEVELS = 3
"""How many folders up the parameters of maps are looked for."""
CHECKPOINTS = (".pth", ".pt", ".ckpt")
LEGACY = ("backbone.", "mlp1s.", "mlp2s.", "latent_z", "latent_f")
"""Keys of the older network that OSGAP's training script makes, which its fine-tuning does not load."""


def read(path: Path, head: HeadModel | None = None, sides: Mapping[str, Path] | None = None, *, as_original: bool = False,
         edition: str = flame_rig.EDITION, fps: float = flame_rig.FPS, color_space: str = "auto",
         size: int = SIZE) -> Avatar:
    """Return the avatar of a PLY or of attribute maps.

    Args:
        path: See above; an encoder is refused here, as it needs torch.
        head: FLAME 2023 from `flameport head`, with or without teeth; for maps with texture coordinates.
        sides: `flame_param`: the file of that name, where it is not beside PATH.
        as_original: Changes nothing.
        edition: What the data were tracked with, where that was not FLAME 2023.
        fps: Frame rate of the clip, which no file says.
        color_space: `rgb` or `sh_dc` (`osgap_maps.COLOR_SPACES`); `auto` takes what the program that writes such files draws:
            `rgb` for a PLY and an encoder, `sh_dc` for maps.
        size: Texels across of the maps that an encoder makes; other files have their own.

    Raises:
        MissingAsset: A file, `flame_param.npz` or the head is missing.
        FormatError: A file is damaged.
        CheckpointMismatch: The head is of another edition, size or layout.
        UnsupportedFeature: An encoder, a checkpoint of the older network, an unknown side input or colour space.
    """
    del as_original
    path, sides = Path(path), sides or {}
    side_files.check_names(path, sides, SIDES)
    if path.suffix in CHECKPOINTS:
        encoder_of(torch_file.open(path).root, path)
        if "image" not in sides:
            raise MissingAsset(f"{path}: an encoder, which makes an avatar of a portrait; pass --side image=PORTRAIT")
        raise UnsupportedFeature(f"{path}: an encoder, which runs in torch: pip install 'flameport[train]', then call "
                                 "trainers.osgap.import_with_image, as `flameport import osgap` does")
    if size != SIZE:
        raise UnsupportedFeature(f"{path}: holds Gaussians already, and size={size} is for an encoder's maps; leave it out")
    if "image" in sides:
        raise UnsupportedFeature(f"{path}: holds Gaussians already and takes no --side image; a portrait is for an encoder, "
                                 "model_<iteration>.pth")
    if path.suffix == ".npz":
        space = _color_space(color_space, "sh_dc", path)
        return avatar_of_maps(osgap_maps.read(path), head, sides, where=path, color_space=space, edition=edition, fps=fps)
    return _read_ply(path, head, sides, edition, fps, color_space)


def avatar_of_maps(maps: Mapping[str, np.ndarray], head: HeadModel | None, sides: Mapping[str, Path] | None = None, *,
                   where: Path, color_space: str = "rgb", edition: str = flame_rig.EDITION,
                   fps: float = flame_rig.FPS) -> Avatar:
    """Return the avatar of five attribute maps: its Gaussians in raster order, and the maps with what they cover.

    Args:
        maps: By `osgap_maps.CHANNELS`' names, [S, S, C], as learned; all zero where there is no Gaussian.
        head: FLAME 2023 with texture coordinates, with or without teeth.
        sides: `flame_param`, where `flame_param.npz` is not where OSGAP puts it.
        where: The file the maps come from: for messages, and for what lies beside it.
        color_space: `rgb` or `sh_dc`.
        edition: What the data were tracked with.
        fps: Frame rate of the clip.

    Raises:
        MissingAsset, FormatError, CheckpointMismatch, UnsupportedFeature: As `read`.
    """
    sides = sides or {}
    side_files.check_names(where, sides, SIDES)
    space = _color_space(color_space, "rgb", where)
    maps = osgap_maps.checked(maps, str(where))
    bare = flame_rig.bare_head(head, edition, SYSTEM, where)
    person, clip = flame_rig.put_person(bare, flame_rig.find_param(where, sides, beside(where)), fps)
    texel, face = osgap_maps.places(maps, bare, str(where))
    with naming(where):
        cloud = osgap_maps.cloud_of(maps, texel, space)
    layer = SplatLayer(cloud, gaussian_avatars.on_faces(face.astype(np.int32)))
    return Avatar(person, (layer,), maps=osgap_maps.uv_maps(maps, texel, space), sequence=clip, meta=_meta(where))


def encoder_of(root: Any, path: Path) -> dict[str, Any]:
    """Return the encoder's entries of a checkpoint's state dict by key, `module.` and `Encoder.` taken off, not loaded.

    Raises:
        UnsupportedFeature: It is of the older network.
        FormatError: It is no checkpoint of OSGAP.
    """
    entries = root.items() if isinstance(root, Mapping) else ()
    state = {key.removeprefix("module."): value for key, value in entries if isinstance(key, str)}
    if all(key in state for key in ENCODER_KEYS):
        return {key.removeprefix(ENCODER_PREFIX): value for key, value in state.items() if key.startswith(ENCODER_PREFIX)}
    old = sorted({name for key in state for name in LEGACY if key.startswith(name)})
    if old:
        raise UnsupportedFeature(
            f"{path}: a checkpoint of OSGAP's older network ({', '.join(name.rstrip('.') for name in old)}), which its training "
            "script makes and its fine-tuning does not load; import a model_<iteration>.pth of finetune.py, or maps or a PLY")
    missing = next(key for key in ENCODER_KEYS if key not in state)
    raise FormatError(f"{path}: '{missing}' is missing; expected a state dict of OSGAP's fine-tuning, found "
                      f"{', '.join(list(state)[:6]) or 'no dictionary of tensors'}")


def _read_ply(path: Path, head: HeadModel | None, sides: Mapping[str, Path], edition: str, fps: float,
              color_space: str) -> Avatar:
    space = _color_space(color_space, "rgb", path)
    ply = gaussian_avatars.find_ply(path, SYSTEM)
    bare = flame_rig.bare_head(head, edition, SYSTEM, ply)
    person, clip = flame_rig.put_person(bare, flame_rig.find_param(ply, sides), fps)
    fields = inria_ply.read_fields(ply)
    stored = inria_ply.cloud_of(fields, str(ply))
    if stored.sh_degree:
        raise UnsupportedFeature(f"{ply}: SH of degree {stored.sh_degree}, which OSGAP does not write; is it GaussianAvatars'? "
                                 "`flameport import gaussian-avatars` reads those")
    cloud = GaussianCloud(stored.means, stored.quats, stored.scales, stored.opacities,
                          osgap_maps.as_sh(stored.sh.astype(np.float64), space))
    layer = SplatLayer(cloud, gaussian_avatars.binding_of(fields, len(person.faces), str(ply)))
    return Avatar(person, (layer,), sequence=clip, meta=_meta(ply))


def beside(path: Path) -> list[Path]:
    """Return where `flame_param.npz` of maps or an encoder may lie: the run's PLY folders, newest first, and folders above."""
    folders = {int(match[1]): folder for folder in (path.parent / "point_cloud").glob("iteration_*")
               if (match := re.fullmatch(r"iteration_(\d{1,12})", folder.name))}
    return [*(folders[n] for n in sorted(folders, reverse=True)), *side_files.ancestors(path, LEVELS)[1:]]


def _color_space(name: str, usual: str, path: Path) -> str:
    if name not in ("auto", *osgap_maps.COLOR_SPACES):
        raise UnsupportedFeature(f"{path}: unknown color_space '{name}'; expected auto, {', '.join(osgap_maps.COLOR_SPACES)}")
    return usual if name == "auto" else name


def _meta(path: Path) -> Meta:
    return Meta(name=gaussian_avatars.run_name(path), system="osgap", source=path.name, paper=PAPER, license_notices=(LICENSE,))
