"""The PLY that every Gaussian viewer reads: one still of the avatar, at rest or at a frame of its clip."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exporter.capabilities import Capabilities, require
from formats.avatar import Avatar, SplatLayer
from formats.codecs import inria_ply
from formats.deform import PosedSplats, deform, rest_sequence
from formats.errors import BindingError, FormatError, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.spherical_harmonics import rotate_sh

CAPABILITIES = Capabilities(subject="still", layers=frozenset({"splats", "strands"}),
                            dynamics=frozenset({"linear", "linear-network", "network"}), maps=(), foreign_players=False)


@dataclass(frozen=True)
class Options:
    """Which still, and how much colour."""

    frame: float | None = None
    """Frame of the clip to pose at, fractions allowed; the head at rest when absent."""
    local: bool = False
    """Write the Gaussians as the avatar stores them, relative to what they ride, instead of in world space."""
    sh_degree: int | None = None
    """Spherical harmonics to write, 0 to 3; more than there are is padded with zeros. As they are when absent."""


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the PLY `out` and return its path. Metres, +Y up, face towards +Z; several layers follow each other.

    Raises:
        UnsupportedFeature: The avatar holds what a cloud cannot show, or fewer SH were asked for than there are.
        FormatError: There is no such frame.
    """
    require(avatar, CAPABILITIES, "ply")
    cloud = still(avatar, options)
    if options.sh_degree is not None and not cloud.sh_degree <= options.sh_degree <= 3:
        raise UnsupportedFeature(f"ply: --sh-degree {options.sh_degree}, but the avatar has degree {cloud.sh_degree}; "
                                 f"choose {cloud.sh_degree} to 3")
    inria_ply.write(cloud, out, options.sh_degree)
    return [out]


def still(avatar: Avatar, options: Options) -> GaussianCloud:
    """Return the Gaussians of all layers as `options` say, SH in world axes."""
    if options.local:
        layers = avatar.layers
        if len(layers) != 1 or not isinstance(layers[0], SplatLayer) or options.frame is not None:
            raise UnsupportedFeature(f"ply: --local is for an avatar of one splat layer and without --frame; this one has "
                                     f"{len(layers)} layers")
        return layers[0].cloud
    sequence, t = rest_sequence(avatar.head), 0.0
    if options.frame is not None:
        if avatar.sequence is None or not 0 <= options.frame <= len(avatar.sequence) - 1:
            held = "no clip" if avatar.sequence is None else f"frames 0..{len(avatar.sequence) - 1}"
            raise FormatError(f"ply: --frame {options.frame:g}, but the avatar has {held}; give --sequence with enough "
                              "frames")
        sequence, t = avatar.sequence, options.frame
    try:
        posed = deform(avatar, sequence, t)
    except BindingError as error:
        raise BindingError(f"ply: {error}; pose the avatar at a frame of its clip with --frame") from error
    clouds = [_in_world(layer) for layer in posed.layers if isinstance(layer, PosedSplats)]
    if not clouds:
        raise UnsupportedFeature("ply: the avatar has no Gaussians; export it as glb")
    bands = max(cloud.sh.shape[1] for cloud in clouds)
    padded = [np.pad(cloud.sh, ((0, 0), (0, bands - cloud.sh.shape[1]), (0, 0))) for cloud in clouds]
    joined = {name: np.concatenate([getattr(cloud, name) for cloud in clouds])
              for name in ("means", "quats", "scales", "opacities")}
    return GaussianCloud(**joined, sh=np.concatenate(padded))


def _in_world(layer: PosedSplats) -> GaussianCloud:
    cloud = layer.cloud
    if cloud.sh_degree == 0 or np.array_equal(layer.sh_rotation, np.eye(3)):
        return cloud
    sh = rotate_sh(cloud.sh, layer.sh_rotation)
    return GaussianCloud(cloud.means, cloud.quats, cloud.scales, cloud.opacities, sh)
