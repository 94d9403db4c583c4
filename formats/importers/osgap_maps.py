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
from jaxtyping import Int64

from formats import checks
from formats.codecs import npz_file
from formats.conventions import rgb_to_sh, sigmoid
from formats.errors import CheckpointMismatch, FormatError, MissingAsset
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.texels import owned_texels, texels
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


def places(maps: Mapping[str, np.ndarray], head: HeadModel,
           where: str) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """Return (texel, face) of each Gaussian, row by row from the top: those texels that the head's layout covers.

    A file says itself which texels hold one: its maps, quaternions too, are zero elsewhere. Where a centre lies on an edge the
    original's rounding decided, and ours may not agree; such a texel keeps the first triangle that touches it.

    Raises:
        MissingAsset: The head has no texture coordinates.
        CheckpointMismatch: The file's texels are others than the layout's.
    """
    if head.uvs is None or head.uv_faces is None:
        raise MissingAsset(f"{where}: maps lie on FLAME's texture layout, and the head has no texture coordinates; convert it "
                           "again with `flameport head ... --template TEMPLATE.obj` (FLAME's head_template_mesh.obj)")
    size = len(maps["rot_delta_uv"])
    texel, face, _ = owned_texels(head.uvs, head.uv_faces, size, AREA_EXCESS)
    filled = maps["rot_delta_uv"].any(axis=2).ravel()
    if filled.all():
        return texel, face
    owner = np.full(size * size, -1, np.int64)
    owner[texel] = face
    lacking = int((~filled[texel]).sum())
    touched, touching, _ = texels(head, size)
    order = np.lexsort((-touching, touched))
    on_edge = np.full(size * size, -1, np.int64)
    on_edge[touched[order]] = touching[order]
    edges = filled & (owner < 0)
    owner[edges] = on_edge[edges]
    beside = int((filled & (owner < 0)).sum())
    if beside + lacking > TOLERANCE * len(texel):
        raise CheckpointMismatch(
            f"{where}: {int(filled.sum())} texels hold Gaussians, the head's layout covers {len(texel)} at this size; {beside} "
            f"lie beside it, {lacking} of its own are empty. The head needs FLAME's own texture coordinates "
            "(head_template_mesh.obj)")
    if beside or lacking or edges.any():
        LOG.warning("%s: of %d texels that hold Gaussians, %d lie on an edge of the head's layout, and %d beside it, which are "
                    "left out; %d of its texels are empty", where, int(filled.sum()), int(edges.sum()) - beside, beside, lacking)
    found = np.flatnonzero(filled & (owner >= 0))
    return found, owner[found]


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
