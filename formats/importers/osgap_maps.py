"""OSGAP's attribute maps: one Gaussian in each texel that FLAME's layout, teeth included, covers.

Five maps, float32, row 0 at the top, values as they are learned:

    local_position_uv  [S, S, 3]  offset in the triangle's axes, in units of its size
    rot_delta_uv       [S, S, 4]  quaternion wxyz in those axes, of any length
    local_scaling_uv   [S, S, 3]  logarithm of sizes in units of the triangle's size
    gs_opacity_uv      [S, S, 1]  logit
    gs_features_uv     [S, S, 3]  colour, see `COLOR_SPACES`

They are what `gs_attrs_uv_300X300_<iteration>.npz` holds, zero where no triangle is, and what the encoder makes of a portrait.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from formats import checks
from formats.codecs import npz_file
from formats.conventions import rgb_to_sh, sigmoid
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.texels import owned_texels
from formats.uv_maps import UVMaps

LOG = logging.getLogger(__name__)
CHANNELS = {"local_position_uv": 3, "rot_delta_uv": 4, "local_scaling_uv": 3, "gs_opacity_uv": 1, "gs_features_uv": 3}
COLOR_SPACES = ("rgb", "sh_dc")
"""What three colour numbers are: `rgb` the colour itself, as OSGAP draws them; `sh_dc` an SH coefficient, as the modified
GaussianAvatars that prepares OSGAP's data draws them."""
SIZE_LIMIT = 4096
AREA_EXCESS = 1e-8
"""The original rasteriser's guard: with it the teeth, whose rows overlap, get the texels they had, 360 + 432 at 300."""
TOLERANCE = 0.005
"""Share of texels by which a file may differ from the layout: those whose centres lie on an edge."""


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the maps of a `gs_attrs_uv_*.npz`.

    Raises:
        MissingAsset: There is no such file.
        FormatError: A map is missing, of another shape, or not finite.
    """
    names = npz_file.names(path)
    missing = [name for name in CHANNELS if name not in names]
    if missing:
        raise FormatError(f"{path}: {', '.join(missing)} missing; expected OSGAP's maps {', '.join(CHANNELS)}, found "
                          f"{', '.join(names[:12]) or 'nothing'}")
    return checked(npz_file.read(path, [name for name in names if name not in CHANNELS]), str(path))


def checked(maps: Mapping[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """Return the five maps as float32 of one square size, or raise `FormatError`."""
    sizes: dict[str, int] = {}
    found = {}
    for name, channels in CHANNELS.items():
        if name not in maps:
            raise FormatError(f"{where}: '{name}' is missing; expected {', '.join(CHANNELS)}")
        found[name] = checks.array(where, name, maps[name], ("S", "S", channels), sizes)
    if not 0 < sizes["S"] <= SIZE_LIMIT:
        raise FormatError(f"{where}: maps of {sizes['S']} texels across; expected up to {SIZE_LIMIT}")
    return found


def covered(head: HeadModel, size: int, where: str) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """Return (texel, face) of each texel that the head's layout covers, row by row from the top.

    Raises:
        MissingAsset: The head has no texture coordinates.
    """
    if head.uvs is None or head.uv_faces is None:
        raise MissingAsset(f"{where}: maps lie on FLAME's texture layout, and the head has no texture coordinates; convert it "
                           "again with `flameport head ... --template TEMPLATE.obj` (FLAME's head_template_mesh.obj)")
    texel, face, _ = owned_texels(head.uvs, head.uv_faces, size, AREA_EXCESS)
    return texel, face


def shared(maps: Mapping[str, np.ndarray], texel: Int64[np.ndarray, " P"], where: str) -> Bool[np.ndarray, " P"]:
    """Return which covered texels hold a Gaussian: a file's maps are zero, quaternions too, where it has none.

    Raises:
        CheckpointMismatch: The file's texels are others than the layout's.
    """
    filled = maps["rot_delta_uv"].any(axis=2).ravel()
    within = filled[texel]
    surplus, lacking = int(filled.sum() - within.sum()), int((~within).sum())
    if filled.all() or not surplus + lacking:
        return within
    if surplus + lacking > TOLERANCE * len(texel):
        raise CheckpointMismatch(
            f"{where}: {int(filled.sum())} texels hold Gaussians, the head's layout covers {len(texel)} at this size, and only "
            f"{int(within.sum())} are the same; the head needs FLAME's own texture coordinates (head_template_mesh.obj)")
    LOG.warning("%s: of %d texels that hold Gaussians, %d lie beside the head's layout and are left out; %d of its texels are "
                "empty", where, int(filled.sum()), surplus, lacking)
    return within


def cloud_of(maps: Mapping[str, np.ndarray], texel: Int64[np.ndarray, " P"], color_space: str) -> GaussianCloud:
    """Return the Gaussians in `texel`, activated: unit quaternions, exponentials of sizes, the sigmoid of logits."""
    rows = {name: maps[name].reshape(-1, channels)[texel].astype(np.float64) for name, channels in CHANNELS.items()}
    with np.errstate(over="ignore"):  # infinity is for the cloud to refuse
        return GaussianCloud(rows["local_position_uv"], rows["rot_delta_uv"], np.exp(rows["local_scaling_uv"]),
                             sigmoid(rows["gs_opacity_uv"][:, 0]), as_sh(rows["gs_features_uv"], color_space)[:, None])


def uv_maps(maps: Mapping[str, np.ndarray], texel: Int64[np.ndarray, " P"], color_space: str) -> UVMaps:
    """Return the maps with their colours as SH of degree 0, which the name stands for here, and what is covered."""
    size = len(maps["gs_opacity_uv"])
    mask = np.zeros(size * size, bool)
    mask[texel] = True
    mask = mask.reshape(size, size)
    images = {name: np.asarray(maps[name], np.float32) for name in CHANNELS}
    if color_space == "rgb":
        images["gs_features_uv"] = np.where(mask[..., None], as_sh(images["gs_features_uv"], color_space), 0)
    return UVMaps(images, mask)


def as_sh(color: np.ndarray, color_space: str) -> np.ndarray:
    """Return SH coefficients of degree 0 of colours in one of `COLOR_SPACES`."""
    return rgb_to_sh(color) if color_space == "rgb" else color
