"""The PLY that every Gaussian viewer reads: the avatar at rest, at a frame of its clip, or a folder of numbered frames."""

from dataclasses import dataclass
from pathlib import Path

from exporter import stills
from exporter.capabilities import Capabilities, Loss, require
from exporter.stills import StillOptions
from formats.avatar import Avatar, SplatLayer, StrandLayer
from formats.codecs import inria_ply
from formats.errors import UnsupportedFeature
from formats.gaussians import GaussianCloud

CAPABILITIES = Capabilities(subject="still", layers=frozenset({"splats", "strands"}),
                            dynamics=frozenset({"linear", "linear-network", "network"}), maps=(), foreign_players=False)
SUFFIX = ".ply"


@dataclass(frozen=True)
class Options(StillOptions):
    """Which still or stills, and how much colour."""

    local: bool = False
    """Write the Gaussians as the avatar stores them, relative to what they ride, instead of in world space."""
    sh_degree: int | None = None
    """Spherical harmonics to write, 0 to 3; more than there are is padded with zeros. As they are when absent."""
    pad_sh: bool = False
    """Pad spherical harmonics with zeros to degree 3, which importers for Unity insist on; the same as --sh-degree 3."""


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the PLY `out`, or a folder of them, and return the paths. Metres, +Y up, face towards +Z; layers follow each other.

    Raises:
        UnsupportedFeature: The avatar holds what a cloud cannot show, or fewer SH were asked for than there are.
        FormatError: There is no such frame, or `out` is a folder with something else in it.
    """
    require(avatar, CAPABILITIES, "ply")
    comments = [f"licence: {notice}" for notice in avatar.meta.license_notices]

    def put(cloud: GaussianCloud, path: Path) -> None:
        degree = 3 if options.pad_sh and options.sh_degree is None else options.sh_degree
        if degree is not None and not cloud.sh_degree <= degree <= 3:
            raise UnsupportedFeature(f"ply: --sh-degree {degree}, but the avatar has degree {cloud.sh_degree}; "
                                     f"choose {cloud.sh_degree} to 3")
        inria_ply.write(cloud, path, degree, comments)

    if options.frames:
        _refuse_local(avatar, options)
        moved = stills.with_motion(avatar, options.head_motion)
        return stills.write_series(moved, out, stills.frames_of(avatar, options, "ply"), SUFFIX, put, "ply")
    put(still(avatar, options), out)
    return [out]


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what logarithms do to scales of zero; floats hold the rest. What a still does not show, `CAPABILITIES` says."""
    return zero_losses(avatar)


def zero_losses(avatar: Avatar) -> list[Loss]:
    """Return what becomes of scales whose logarithm a PLY cannot hold; nothing where there are none."""
    scales = [layer.cloud.scales if isinstance(layer, SplatLayer) else layer.widths for layer in avatar.layers
              if isinstance(layer, (SplatLayer, StrandLayer))]
    zero, total = (sum(int(count) for count in counts) for counts in (
        [(each < inria_ply.LEAST_SCALE).sum() for each in scales], [each.size for each in scales]))
    return [Loss("scales of zero, written as next to nothing", f"{zero} of {total}, as {inria_ply.LEAST_SCALE:g} m", False)
            ] if zero else []


def still(avatar: Avatar, options: Options) -> GaussianCloud:
    """Return the Gaussians of all layers as `options` say, SH in world axes."""
    if options.local:
        return _refuse_local(avatar, options).cloud
    frame = stills.frame_of(avatar, options, "ply")
    return stills.still(avatar if frame is None else stills.with_motion(avatar, options.head_motion), frame, "ply")


def _refuse_local(avatar: Avatar, options: Options) -> SplatLayer:
    """Return the one layer that --local is for; anything else is refused where --local is given."""
    layers = avatar.layers
    posed = options.frame is not None or bool(options.frames) or options.space is not None
    alone = layers[0] if len(layers) == 1 else None
    if options.local and (posed or not isinstance(alone, SplatLayer)):
        raise UnsupportedFeature(f"ply: --local is for an avatar of one splat layer and without --frame, --frames and --space; "
                                 f"this one has {len(layers)} layers")
    return alone  # type: ignore[return-value]
