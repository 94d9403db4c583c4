"""SPZ: Gaussians in 14 to 20 bytes each, the avatar at rest, at a frame of its clip, or a folder of numbered frames.

Axes are x right, y up, z towards the viewer; positions are in metres unless --scale says otherwise, with as many bits after
the point as keep them within 0.05 mm: 15, which reaches 256 m each way. Version 3 opens in most viewers; 4 (2026) is a little
smaller and needs the package zstandard. Scales, rotations, opacities and colours have 8 to 10 bits in either; what
that costs this avatar is measured and told. Licence notices go into a text file beside, for which an SPZ has no place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from exporter import stills
from exporter.capabilities import MEASURED_FRAMES, Capabilities, Loss, fit, require
from exporter.stills import StillOptions
from formats.avatar import Avatar
from formats.codecs import spz
from formats.errors import UnsupportedFeature
from formats.files import replacing, write_bytes
from formats.gaussians import GaussianCloud
from formats.rotations import quat_angle

CAPABILITIES = Capabilities(subject="still", layers=frozenset({"splats", "strands"}),
                            dynamics=frozenset({"linear", "linear-network", "network"}), maps=(), foreign_players=False)
SUFFIX = ".spz"
KEPT = 5e-5
"""Metres that no position may be off."""


@dataclass(frozen=True)
class Options(StillOptions):
    """Which still or stills, and how exactly they are stored."""

    version: Literal[3, 4] = 3
    """Of the format: 3 opens in most viewers, 4 is packed with Zstandard."""
    scale: float = 1.0
    """Units of the file in a metre. The thinnest half-axis that an SPZ can say is 0.000045 units: 0.045 mm in metres, 0.0045 mm
    with a scale of 10. The viewer then shows a head ten times as large."""
    fractional_bits: int | None = None
    """Bits of positions after the point, 0 to 23. As few as keep positions within 0.05 mm when absent."""
    sh_bits: int = 8
    """Bits of spherical harmonics beyond the first, 1 to 8; the writer of the format's makers takes 5 and 4."""


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the SPZ `out`, or a folder of them, and return the paths; notices go beside, as `out` + `.license.txt`.

    Raises:
        UnsupportedFeature: The avatar holds what a cloud cannot show.
        FormatError: There is no such frame, or a position is out of reach.
        MissingAsset: Version 4, and zstandard is not installed.
    """
    require(avatar, CAPABILITIES, "spz")
    bits = fractional_bits(options)

    def put(cloud: GaussianCloud, path: Path) -> None:
        spz.write(scaled(cloud, options.scale), path, options.version, bits, options.sh_bits)

    avatar = _moved(avatar, options)
    if options.frames:
        return stills.write_series(avatar, out, stills.frames_of(avatar, options, "spz"), SUFFIX, put, "spz")
    cloud = scaled(stills.still(avatar, stills.frame_of(avatar, options, "spz"), "spz"), options.scale)
    data, beside = spz.pack(cloud, options.version, bits, options.sh_bits), out.with_name(f"{out.name}.license.txt")
    if not avatar.meta.license_notices:
        write_bytes(out, data)
        beside.unlink(missing_ok=True)  # of another avatar's
        return [out]
    # Both are on the disk before either takes its place.
    with replacing(beside) as text, replacing(out) as file:
        text.write_text(stills.notices(avatar), encoding="utf-8")
        file.write_bytes(data)
    return [out, beside]


def _moved(avatar: Avatar, options: Options) -> Avatar:
    posed = bool(options.frames) or stills.frame_of(avatar, options, "spz") is not None
    return stills.with_motion(avatar, options.head_motion) if posed else avatar


def fractional_bits(options: Options) -> int:
    """Return how many bits positions have after the point: what is asked for, else as few as keep them within `KEPT`.

    Half a step along each axis is sqrt(3) / 2 of a step in space.
    """
    if not 1e-3 <= options.scale <= 1e3:
        raise UnsupportedFeature(f"spz: --scale {options.scale:g}; expected 0.001 to 1000 units of the file in a metre")
    if options.fractional_bits is not None:
        return options.fractional_bits
    return max(0, int(np.ceil(np.log2(np.sqrt(3) / 2 / (KEPT * options.scale)))))


def scaled(cloud: GaussianCloud, scale: float) -> GaussianCloud:
    """Return the cloud in units of which there are `scale` in one of its own."""
    if scale == 1:
        return cloud
    return GaussianCloud(cloud.means * scale, cloud.quats, cloud.scales * scale, cloud.opacities, cloud.sh)


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what rounding costs, measured on the stills that `options` name, on up to five of a series."""
    avatar = _moved(fit(avatar, CAPABILITIES).avatar, options)
    if options.frames:
        frames: list[float | None] = [float(frame) for frame in stills.frames_of(avatar, options, "spz")]
        frames = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, MEASURED_FRAMES).round().astype(int))]
    else:
        frames = [stills.frame_of(avatar, options, "spz")]
    bits = fractional_bits(options)
    clouds = [stills.still(avatar, frame, "spz") for frame in frames]
    # The streams are the same in both versions; 3 needs no package.
    backs = [scaled(spz.parse(spz.pack(scaled(cloud, options.scale), 3, bits, options.sh_bits), "spz"), 1 / options.scale)
             for cloud in clouds]
    pairs = list(zip(clouds, backs, strict=True))
    return [*_numbers(pairs, options, bits), Loss("picture drawn from the file, against the avatar",
                                                  f"{min(stills.picture_psnr(avatar, *pair) for pair in pairs):.1f} dB", False)]


def _numbers(pairs: list[tuple[GaussianCloud, GaussianCloud]], options: Options, bits: int) -> Iterator[Loss]:
    off = max(float(np.linalg.norm(a.means.astype(np.float64) - b.means, axis=1).max(initial=0)) for a, b in pairs)
    yield Loss(f"positions rounded to steps of {1e3 * 2.0**-bits / options.scale:.3g} mm, within "
               f"{2.0**(23 - bits) / options.scale:.0f} m", f"up to {off * 1e3:.3g} mm", False)
    turned = max(float(quat_angle(a.quats, b.quats).max(initial=0)) for a, b in pairs)
    yield Loss("rotations rounded to 10 bits", f"up to {np.rad2deg(turned):.2g} degrees", False)
    low, high = np.exp(-10) / options.scale, np.exp(255 / 16 - 10) / options.scale
    inside = [(a.scales >= low) & (a.scales <= high) for a, _ in pairs]
    ratios = [np.abs(b.scales[i] / a.scales[i].astype(np.float64) - 1) for (a, b), i in zip(pairs, inside, strict=True)]
    yield Loss("scales rounded to steps of 6 %", f"up to {100 * max(r.max(initial=0) for r in ratios):.1f} %", False)
    yield from stills.thin_losses(pairs)
    outside = max(int((~i).sum()) for i in inside)
    if outside:
        yield Loss(f"scales outside {low * 1e3:.3g} mm to {high:.3g} m are drawn that large",
                   f"{outside} of {inside[0].size} half-axes; a larger --scale keeps thin ones", False)
    opacity = max(float(np.abs(a.opacities - b.opacities).max(initial=0)) for a, b in pairs)
    yield Loss("opacities rounded to 8 bits", f"up to {opacity:.2g}", False)
    color = max(float(np.abs(a.sh[:, 0] - b.sh[:, 0]).max(initial=0)) * 0.2820948 for a, b in pairs)
    yield Loss("colours rounded to 8 bits", f"up to {color:.2g} of 1", False)
    if pairs[0][0].sh_degree:
        rest = max(float(np.abs(a.sh[:, 1:] - b.sh[:, 1:]).max(initial=0)) for a, b in pairs)
        clipped = max(int((np.abs(a.sh[:, 1:]) > 1).sum()) for a, _ in pairs)
        yield Loss(f"spherical harmonics rounded to {options.sh_bits} bits", f"up to {rest:.2g}, {clipped} beyond 1 cut", False)
