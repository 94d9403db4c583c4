"""FATE's texture dumps: raw attribute maps, and the avatar that they stand for.

`NNN_tex_dump.pth` holds five tensors [1, C, S, S], before their activation: `color`, `opacity`, `scaling`, `rotation`,
`offset`. Everything else is in the checkpoint that was baked: the head, the places of its own Gaussians, and the sizes
whose mean m and largest value M = m + (unbiased) standard deviation bound the baked ones. Row 0 is v = 0, the OBJ's
bottom; the first texel's centre lies on the border (u = 0) and the last one's on the other.

    dc = 0.5 tanh(color) / C0    opacity as it is    scaling = M - softplus(M - scaling - m)    offset = tanh(offset)
    rotation: the quaternion (w, x, y, z) of the axis-angle 2 pi tanh(rotation), stored as (z, w, x, y) and used as wxyz

are maps still; Gaussians look them up bilinearly, held at the border, and are then drawn like those of any checkpoint: the
offset through a second tanh. FATE's own bake adds one Gaussian for each of 256 x 256 texels: one at every texel that a
triangle covers (59 099 on its template), and 6437 copies at random places. A dump does not say which places, so that those
are left out; a baked checkpoint of the same run holds them.

Zhang et al., CVPR 2025, section 3.3; facts of the files: its released code.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from formats.albedo import albedo_of
from formats.avatar import Avatar
from formats.codecs.torch_file import TorchTensor
from formats.conventions import SH_C0
from formats.errors import CheckpointMismatch, FormatError
from formats.importers.fate_context import FateContext
from formats.importers.fate_flame import array_of
from formats.importers.fate_splats import NORMAL_OFFSET, canonical_sizes, personal_head, places, splat_layer
from formats.rotations import axis_angle_to_quat
from formats.texels import owned_texels, texels
from formats.uv_maps import UVMaps

CHANNELS = {"color": 3, "opacity": 1, "scaling": 3, "rotation": 3, "offset": 1}
RASTER = 256
"""Texels across of the layout that a bake adds Gaussians on."""
SIZE_LIMIT = 4096
NAMES = {"rotation": "rot_delta_uv", "scaling": "local_scaling_uv", "opacity": "gs_opacity_uv", "color": "gs_features_uv"}
"""Attributes to the names of bundle's maps that hold them as they are; `local_position_uv` is made of the offset."""
KEYS = {"color": "_features_dc", "opacity": "_opacity", "scaling": "_scaling", "rotation": "_rotation", "offset": "_offset"}


def is_dump(root: Any) -> bool:
    """Tell whether the content of a torch file is a texture dump."""
    return isinstance(root, dict) and CHANNELS.keys() <= root.keys()


def raw_maps(root: Mapping[str, Any], where: str) -> dict[str, np.ndarray]:
    """Return the raw maps [C, S, S], float64, of a dump's content.

    Raises:
        FormatError: A map is missing, of another shape, or not finite.
    """
    sizes: set[int] = set()
    for name, channels in CHANNELS.items():
        tensor = root.get(name)
        if not isinstance(tensor, TorchTensor) or len(tensor.shape) != 4:
            raise FormatError(f"{where}: '{name}': expected a map [1, {channels}, S, S]")
        if tensor.shape != (1, channels, tensor.shape[2], tensor.shape[2]) or not 1 < tensor.shape[2] <= SIZE_LIMIT:
            raise FormatError(f"{where}: '{name}': expected [1, {channels}, S, S] with S up to {SIZE_LIMIT}, got "
                              f"{list(tensor.shape)}")
        sizes.add(tensor.shape[2])
    if len(sizes) != 1:
        raise FormatError(f"{where}: maps of different sizes: {', '.join(map(str, sorted(sizes)))}")
    maps = {}
    for name in CHANNELS:
        value = root[name].load()[0].astype(np.float64)
        if not np.isfinite(value).all():
            raise FormatError(f"{where}: '{name}': not finite; the bake diverged or the file is damaged")
        maps[name] = value
    return maps


def bounds(scaling: np.ndarray) -> tuple[float, float]:
    """Return m and M of the sizes [N, 3] of the checkpoint that was baked: mean, and mean plus unbiased deviation."""
    values = scaling.astype(np.float64)
    return float(values.mean()), float(values.mean() + values.std(ddof=1))


def activate(raw: Mapping[str, np.ndarray], mean: float, most: float) -> dict[str, np.ndarray]:
    """Return attribute maps [C, S, S] of raw ones, with the formulas above."""
    turn = axis_angle_to_quat(np.moveaxis(np.tanh(raw["rotation"]) * (2 * math.pi), 0, -1))
    return {"color": np.tanh(raw["color"]) * (0.5 / SH_C0), "opacity": raw["opacity"],
            "scaling": most - np.logaddexp(0, most - raw["scaling"] - mean),
            "rotation": np.moveaxis(turn[..., [3, 0, 1, 2]], -1, 0), "offset": np.tanh(raw["offset"])}


def look_up(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Return what a map [C, S, S], row 0 at v = 0, shows at uv [N, 2], v upward: [N, C], bilinear, held at the border."""
    size = image.shape[1]
    at = np.clip(uv * (size - 1), 0, size - 1)
    low = np.minimum(at.astype(int), size - 2)
    (x, y), (fx, fy) = low.T, (at - low).T
    return (image[:, y, x] * ((1 - fx) * (1 - fy)) + image[:, y, x + 1] * (fx * (1 - fy))
            + image[:, y + 1, x] * ((1 - fx) * fy) + image[:, y + 1, x + 1] * (fx * fy)).T


def raster(uvcoords: np.ndarray, uvfaces: np.ndarray, size: int = RASTER) -> tuple[np.ndarray, np.ndarray]:
    """Return face [P] and barycentric weights [P, 3] of every texel whose centre a triangle covers, in FATE's order.

    Row by row with v falling, u growing. Triangles that lie flipped in the layout are culled. Centres within rounding of an
    edge, a handful, may go another way than on the machine that baked.

    Args:
        uvcoords: [U, 2], v upward, as the checkpoint has them.
        uvfaces: [F, 3].
        size: Texels across.
    """
    a, b, c = (uvcoords[uvfaces[:, i]].astype(np.float64) for i in range(3))
    front = np.flatnonzero((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]) > 0)
    # The same arithmetic whichever way rows run: theirs come back from the bottom up.
    texel, face, weights = owned_texels(uvcoords.astype(np.float32), uvfaces[front].astype(np.int32), size)
    order = np.lexsort((texel % size, -(texel // size)))
    return front[face[order]], weights[order]


def from_dump(raw: Mapping[str, np.ndarray], model: Mapping[str, np.ndarray], context: FateContext,
              baked: Mapping[str, np.ndarray] | None, baked_where: str, albedo_size: int) -> Avatar:
    """Return the avatar that raw maps and the checkpoint `model` that was baked stand for, with its maps.

    Args:
        raw: As `raw_maps` gives them.
        model: The checkpoint from before the bake.
        context: Its context.
        baked: A baked checkpoint of the run, for the places of its Gaussians; None for the texels alone.
        baked_where: Names that file in messages.
        albedo_size: Texels across of a texture that is gathered from the avatar; 0 for none.
    """
    head = personal_head(model, context)
    maps = activate(raw, *bounds(array_of(model, "_scaling", (None, 3), context.where)))
    uvs, uv_faces = array_of(model, "uvcoords", (None, 2), context.where), array_of(model, "uvfaces", (None, 3), context.where)
    if baked is None:
        (face, barycentric), (more, more_weights) = places(model, context.where), raster(uvs, uv_faces)
        face, barycentric = np.concatenate([face, more]), np.concatenate([barycentric, more_weights])
    else:
        if not np.array_equal(model["faces"], array_of(baked, "faces", (None, 3), baked_where)):
            raise CheckpointMismatch(f"{baked_where}: its faces are not those of {context.where}; are they of one run?")
        face, barycentric = places(baked, baked_where)
    uv = np.einsum("nk,nkc->nc", barycentric.astype(np.float64), uvs.astype(np.float64)[uv_faces[face]])
    attributes = {KEYS[name]: look_up(image, uv) for name, image in maps.items()}
    attributes["_features_dc"] = attributes["_features_dc"][:, None]
    layer = splat_layer(attributes, face, barycentric, canonical_sizes(model, head, context.where), context.where)
    avatar = Avatar(head=head, layers=(layer,), sequence=context.sequence, meta=context.meta())
    return dataclasses.replace(avatar, maps=uv_maps(maps, avatar, albedo_size))


def uv_maps(maps: Mapping[str, np.ndarray], avatar: Avatar, albedo_size: int) -> UVMaps:
    """Return a bundle's maps: the same functions of u and v, looked up at its texels' centres, row 0 at the top.

    FATE's texels lie up to half a texel from ours, so that borders of the layout are softened a little and its middle,
    where the face is, is not.
    """
    size = maps["color"].shape[1]
    rows, columns = np.meshgrid(1 - (np.arange(size) + 0.5) / size, (np.arange(size) + 0.5) / size, indexing="ij")
    uv = np.stack([columns.ravel(), rows.ravel()], axis=1)
    shown = {name: look_up(image, uv).reshape(size, size, -1) for name, image in maps.items()}
    along = NORMAL_OFFSET * np.tanh(shown["offset"])
    images = {"local_position_uv": np.concatenate([0 * along, along, 0 * along], axis=2)}
    images |= {ours: shown[name] for name, ours in NAMES.items()}
    if albedo_size:
        images["albedo"] = albedo_of(avatar, albedo_size)
    mask = np.zeros(size * size, bool)
    mask[texels(avatar.head, size)[0]] = True
    return UVMaps(images, mask.reshape(size, size))
