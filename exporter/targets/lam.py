"""The zip that the public LAM renderer plays: npm gaussian-splat-renderer-for-lam, driven by ARKit's weights.

An import of LAM goes back as it was: points, targets, skeleton, Gaussians and clips. Any other avatar of Gaussians on a head that
knows ARKit's weights (`arkit_map`) is converted, which loses how Gaussians turn and what is not a straight line in the weights;
the loss is measured, and --allow-loss accepts it. The player looks from a fixed place, so a converted avatar is moved there.
It draws no spherical harmonics, moves everything by the bone `head`, never turns Gaussians, and multiplies some weights by
constants of its own. It takes expressions from its page: those of a clip in ARKit weights lie beside, as `expressions.json`.
"""

import io
import re
import tempfile
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from exporter import lam_model, stills
from exporter.capabilities import Capabilities, Loss, dynamics_name, fit, require
from exporter.lam_glb import animation_glb, skin_glb
from exporter.lam_model import LamModel
from exporter.targets import ply
from formats.avatar import Avatar, LinearDynamics, SplatLayer
from formats.codecs import arkit_json, inria_ply
from formats.codecs.json_file import dump_line
from formats.conventions import sh_to_rgb
from formats.files import write_bytes
from formats.gaussians import GaussianCloud
from formats.rotations import quat_angle
from formats.sequence import Sequence

CAPABILITIES = Capabilities(layers=frozenset({"splats", "strands"}), dynamics=frozenset({"linear", "linear-network", "network"}),
                            maps=(), foreign_players=False)
DATE = (1980, 1, 1, 0, 0, 0)
"""Of every member, so that the same avatar gives the same zip."""
CUT = 1e-7
"""Metres; what a converted target moves less stays."""


@dataclass(frozen=True)
class Options:
    """What the folder in the zip is called, and where motion goes."""

    name: str = ""
    """Of the folder in the zip; the avatar's own name when empty. The player asks for NAME.zip, whatever the folder's name."""
    head_motion: Literal["head", "camera"] = "head"
    """Where relative motion goes when the clip moves the camera instead of the head; the player's camera is fixed."""


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the zip `out` and return its path.

    Raises:
        UnsupportedFeature: There are no Gaussians, too many, or nothing says what ARKit's weights do to the head.
        BindingError: A network needs drivers that ARKit's weights do not give.
    """
    require(avatar, CAPABILITIES, "lam")
    try:
        return [write_bytes(out, to_bytes(avatar, options))]
    finally:
        lam_model.shapes_of.cache_clear()


def to_bytes(avatar: Avatar, options: Options | None = None) -> bytes:
    """Return the zip of `avatar`. Raises as `write`."""
    exact = lam_model.why_not(avatar) is None
    model = lam_model.model_of(avatar)
    offsets = GaussianCloud(model.cloud.means.astype(np.float64) - model.positions, model.cloud.quats, model.cloud.scales,
                            model.cloud.opacities, sh_to_rgb(model.cloud.sh.astype(np.float64)))
    members = {
        "skin.glb": skin_glb(model, avatar.meta, 0.0 if exact else CUT), "offset.ply": inria_ply.pack(offsets),
        "animation.glb": animation_glb(model, avatar.meta),
        # From the camera's far side to its near one; the player orders anew in every frame.
        "vertex_order.json": dump_line(np.argsort(model.positions[:, 2], kind="stable").tolist()).encode()}
    if _has_expressions(avatar.sequence) and avatar.sequence is not None and avatar.sequence.basis.startswith("arkit"):
        members["expressions.json"] = _track(avatar.sequence)
    if avatar.meta.license_notices:
        members[stills.NOTICES] = stills.notices(avatar).encode()
    # The player takes the zip's one folder by its own entry, which has to be there.
    folder, data = folder_name(options.name if options and options.name else avatar.meta.name), io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{folder}/", DATE), b"")
        for name, content in members.items():
            info = zipfile.ZipInfo(f"{folder}/{name}", DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return data.getvalue()


def folder_name(name: str) -> str:
    """Return `name` as letters, digits, `-`, `_` and `.`, which every unpacker takes."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:64] or "avatar"


def _has_expressions(clip: Sequence | None) -> bool:
    return clip is not None and any(np.abs(getattr(clip, name)).max(initial=0) > 0 for name in ("expr", "jaw", "eyes", "eyelids"))


def _track(clip: Sequence) -> bytes:
    """Return the expressions of a clip in ARKit weights as LAM's own JSON."""
    plain = Sequence(clip.basis, clip.fps, clip.expr, expr_names=clip.expr_names)
    with tempfile.TemporaryDirectory() as folder:
        arkit_json.write(plain, Path(folder) / "track.json")
        return (Path(folder) / "track.json").read_bytes()


# --- Losses -----------------------------------------------------------------------------------------------------------


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what the zip does not say, measured at a few faces; what only the player leaves out is told, not blocking."""
    avatar = fit(avatar, CAPABILITIES).avatar
    why, model = lam_model.why_not(avatar), lam_model.model_of(avatar)
    told = []
    if avatar.sequence is not None and _has_expressions(avatar.sequence):
        if avatar.sequence.basis.startswith("arkit"):
            told.append(Loss("the clip's expressions: the player takes them from its page; they lie beside, expressions.json",
                             f"{len(avatar.sequence)} frames", False))
        else:
            told.append(Loss("the clip's expressions, which the player takes from its page; retarget an ARKit track instead",
                             f"{len(avatar.sequence)} frames"))
    told += ply.zero_losses(avatar)
    pairs = list(lam_model.faces_of_both(avatar, model))
    rest = pairs[0][0]
    if rest.sh_degree:
        told.append(Loss(f"view-dependent colour, spherical harmonics of degree {rest.sh_degree}",
                         f"coefficients up to {np.abs(rest.sh[:, 1:]).max(initial=0):.2g}"))
    rgb = sh_to_rgb(rest.sh[:, 0].astype(np.float64))
    beyond = np.maximum(rgb - 1, -rgb).max(initial=0)
    if beyond > 1e-6:
        many = int(((rgb < 0) | (rgb > 1)).any(axis=1).sum())
        told.append(Loss("colours cut to 0..1", f"{many} Gaussians, by up to {beyond:.2g}", bool(beyond > 0.02)))
    held = lam_model.held_drivers(avatar)
    used = [name for name in held if name in _drivers_used(avatar)]
    if used and avatar.sequence is not None:
        spread = max(float(np.abs(avatar.sequence.drivers[name] - held[name]).max(initial=0)) for name in used)
        told.append(Loss(f"drivers {', '.join(used)}, which stay at their mean", f"they move by up to {spread:.2g}"))
    if why is None:
        return [*told, Loss("the player moves all by the bone 'head' and never turns Gaussians; our reader skins and turns them",
                            _turned(pairs), False)]
    return [*told, *_conversion(avatar, model, why, pairs)]


def _drivers_used(avatar: Avatar) -> set[str]:
    """Return the names of everything that layers' dynamics are driven by."""
    used: set[str] = set()
    for layer in avatar.layers:
        if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics):
            used |= set(layer.dynamics.driver)
        elif isinstance(layer, SplatLayer) and isinstance(layer.dynamics, str):
            used |= set(avatar.networks[layer.dynamics].inputs)
    return used


def _conversion(avatar: Avatar, model: LamModel, why: str, pairs: list[tuple[GaussianCloud, GaussianCloud]]) -> list[Loss]:
    off = [np.linalg.norm(a.means.astype(np.float64) - b.means, axis=1) for a, b in pairs]
    picture = [stills.picture_psnr(avatar, *pair) for pair in pairs]
    ahead, turned = slice(0, lam_model.TURNED), slice(lam_model.TURNED, None)
    amounts = []
    for part in (ahead, turned):
        all_ = 1e3 * np.concatenate(off[part])
        amounts.append(f"up to {all_.max(initial=0):.2g} mm off, {all_.mean():.2g} mm on average")
    dynamics = [Loss(f"layer '{layer.name}': {dynamics_name(layer)}",
                     f"becomes part of {len(model.target_names)} straight targets", False)
                for layer in avatar.layers if isinstance(layer, SplatLayer) and layer.dynamics is not None]
    return [
        *dynamics,
        Loss(f"motion, converted to straight targets for {why}",
             f"Gaussians {amounts[0]} at {lam_model.TURNED} faces straight ahead; {amounts[1]} with the neck turned by 12 "
             "degrees, where two bones stand for skinning and correctives"),
        Loss("how Gaussians turn", _turned(pairs)),
        Loss("picture of the converted avatar, against the avatar", f"{picture[0]:.1f} dB at rest, at least "
             f"{min(picture[ahead]):.1f} dB straight ahead, {min(picture[turned]):.1f} dB turned", False),
        Loss("place: moved to where the player's camera looks", f"{np.linalg.norm(model.moved):.3g} m", False)]


def _turned(pairs: list[tuple[GaussianCloud, GaussianCloud]]) -> str:
    """Return how far the avatar's Gaussians turn against the first pair's, as text."""
    angles = np.rad2deg(np.stack([quat_angle(pairs[0][0].quats, a.quats) for a, _ in pairs]).max(axis=0))
    return (f"{np.median(angles):.1f} degrees for half of them, {np.quantile(angles, 0.99):.1f} for one in a hundred, at "
            f"{len(pairs)} faces")
