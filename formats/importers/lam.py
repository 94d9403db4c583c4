"""LAM avatars: the zip that LAM exports and its public web renderer plays.

One Gaussian per vertex of a skinned mesh with ARKit's 51 shapes. `offset.ply` has the usual names with another
meaning: xyz is the offset from the vertex of the same number, `f_dc` the final colour 0..1; opacity is a logit, scales
are logarithms, rotations wxyz as usual. He et al., "LAM: Large Avatar Model for One-shot Animatable Gaussian Head",
SIGGRAPH 2025; facts of the format: the npm package gaussian-splat-renderer-for-lam 0.0.8 and its sample avatar.

Where we differ from the public renderer, and what `as_original` does about it:

- It moves everything, shoulders too, by the head bone alone. We skin: shoulders stay on the chest. `as_original` gives
  all weight to the head joint.
- It never turns Gaussians. We turn them with the surface. `as_original` does not.
- It multiplies incoming ARKit weights by constants of its own (jawOpen 1.2, mouthClose 0.2, ...). These belong to the
  player, not to the avatar, and are left out.

`vertex_order.json` only names an order to draw in; it is checked against the mesh and not needed.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from formats.avatar import Avatar, Meta, SkinBinding, SplatLayer
from formats.codecs import inria_ply
from formats.codecs.glb import read_document
from formats.codecs.json_file import as_numbers, parse_json
from formats.conventions import ARKIT_52, rgb_to_sh
from formats.errors import CheckpointMismatch, FormatError, UnsupportedFeature, naming
from formats.gaussians import GaussianCloud
from formats.head_model import ARKIT_TAIL, ROLES, HeadModel
from formats.importers import lam_clips, lam_flame
from formats.importers.lam_archive import LamArchive
from formats.importers.lam_skeleton import apply, read_skinned_mesh
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
PAPER = "He et al., LAM: Large Avatar Model for One-shot Animatable Gaussian Head, SIGGRAPH 2025"
LICENSE = ("LAM's weights, and avatars made with them, are under CC BY-NC (non-commercial), its head is made from FLAME 2023, "
           "reported non-commercial; check the terms of both and the consent of the person shown before you publish.")
HEAD_JOINT = "head"
"""The bone that the public renderer moves."""
FACE_JOINTS = {"jaw": "lowerJaw", "left_eye": "lEye", "right_eye": "rEye"}
"""Roles of further joints, where the export gives them weight (the public sample does not: ARKit's shapes move those)."""


def read(path: Path, head: HeadModel | None = None, sides: Mapping[str, Path] | None = None, *,
         as_original: bool = False, edition: str = "flame2023") -> Avatar:
    """Return the avatar in a LAM zip.

    Args:
        path: The zip.
        head: Not used; the zip brings its own head.
        sides: None are needed.
        as_original: Move as the public renderer does, see above.
        edition: Coefficient space of a FLAME export whose targets are not named after ARKit; LAM uses FLAME 2023.

    Raises:
        MissingAsset: The zip or a member of it is missing.
        FormatError: It is not a zip, or a member is damaged.
        CheckpointMismatch: Members are of different avatars.
        UnsupportedFeature: A head or side input was given, or the mesh uses what we do not read.
    """
    if head is not None or sides:
        raise UnsupportedFeature(f"{path}: a LAM zip holds everything; leave --head and --side out")
    with LamArchive(Path(path)) as archive, naming(path):
        return _flame_avatar(archive, as_original, edition) if lam_flame.is_flame(archive) else _arkit_avatar(
            archive, as_original)


def _arkit_avatar(archive: LamArchive, as_original: bool) -> Avatar:
    document = read_document(archive.read("skin.glb"), archive.where("skin.glb"))
    mesh = read_skinned_mesh(document)
    if not mesh.target_names:
        raise FormatError(f"{document.where}: targets are not named (extras.targetNames); expected ARKit's names")
    unknown = [name for name in mesh.target_names if name not in ARKIT_52]
    if unknown:
        raise UnsupportedFeature(f"{document.where}: target '{unknown[0]}' is not one of ARKit's 52 shapes")
    names, weights = mesh.skeleton.names, mesh.weights
    anchor = names.index(HEAD_JOINT) if HEAD_JOINT in names else 0
    roles = _roles(names, weights)
    shown = np.zeros_like(weights) if as_original else weights
    if as_original:
        shown[:, anchor] = 1
    with naming(document.where):
        model = HeadModel(
            edition=_arkit_edition(mesh.target_names), v_template=mesh.vertices, faces=mesh.faces,
            exprdirs=mesh.targets, lbs_weights=shown, parents=mesh.skeleton.parents,
            J_template=mesh.skeleton.rest[:, :3, 3], expr_names=mesh.target_names, joint_names=names,
            joint_roles=roles, arkit_map=_arkit_map(mesh.target_names))
    cloud = _cloud(archive, len(mesh.vertices))
    means = apply(mesh.to_world, mesh.positions + cloud.means)
    _check_order(archive, len(mesh.vertices))
    sequence = None
    if "animation.glb" in archive:
        clips = read_document(archive.read("animation.glb"), archive.where("animation.glb"))
        with naming(clips.where):
            sequence = lam_clips.read_clips(clips, mesh.skeleton, weights, anchor, model.edition, model.expr_names,
                                            roles)
    else:
        LOG.warning("%s: holds no animation.glb; the avatar has no clip of its own", archive.path)
    return _avatar(archive, model, means, cloud, sequence, as_original)


def _flame_avatar(archive: LamArchive, as_original: bool, edition: str) -> Avatar:
    document = read_document(archive.read("skin.glb"), archive.where("skin.glb"))
    mesh = lam_flame.read_flame_mesh(archive, document)
    arkit = bool(mesh.target_names) and all(name in ARKIT_52 for name in mesh.target_names)
    with naming(f"{document.where} or bone_tree.json"):
        model = HeadModel(
            edition=_arkit_edition(mesh.target_names) if arkit else edition, v_template=mesh.vertices,
            faces=mesh.faces, exprdirs=mesh.targets, lbs_weights=mesh.weights, parents=np.array([-1, 0, 1, 1, 1]),
            J_template=mesh.joints, expr_names=mesh.target_names if arkit else (), joint_names=ROLES,
            arkit_map=_arkit_map(mesh.target_names) if arkit else None)
    cloud = _cloud(archive, len(mesh.vertices))
    _check_order(archive, len(mesh.vertices))
    sequence = None
    if "flame_params.json" in archive:
        with naming(archive.where("flame_params.json")):
            sequence = lam_flame.read_flame_params(archive, model.edition, mesh.target_names, model.expr_names)
    else:
        LOG.warning("%s: holds no flame_params.json; the avatar has no clip of its own", archive.path)
    return _avatar(archive, model, mesh.vertices + cloud.means, cloud, sequence, as_original)


def _avatar(archive: LamArchive, model: HeadModel, means: np.ndarray, cloud: GaussianCloud, sequence: Sequence | None,
            as_original: bool) -> Avatar:
    binding = SkinBinding(vertex_index=np.arange(len(cloud)), rotation="none" if as_original else "surface")
    rgb = cloud.sh[:, 0].astype(np.float64)
    outside = np.mean((rgb < -0.05) | (rgb > 1.05))
    if outside > 0.2:
        # Ordinary SH coefficients in these fields lie outside 0..1 for most Gaussians.
        LOG.warning("%s: %.0f %% of the colours lie outside 0..1 and are clipped; are f_dc_* final colours, as LAM "
                    "writes them?", archive.where("offset.ply"), 100 * outside)
    rgb = np.clip(rgb, 0, 1)
    with naming(archive.where("offset.ply")):
        shown = GaussianCloud(means, cloud.quats, cloud.scales, cloud.opacities, rgb_to_sh(rgb[:, None]))
    return Avatar(head=model, layers=(SplatLayer(shown, binding),), vertex_rgb=rgb, sequence=sequence,
                  meta=Meta(name=archive.name, system="lam", source=archive.path.name, paper=PAPER,
                            license_notices=(LICENSE,)))


def _cloud(archive: LamArchive, vertex_count: int) -> GaussianCloud:
    """Return the Gaussians as stored but activated: means are offsets, the DC term is the final colour."""
    where = archive.where("offset.ply")
    cloud = inria_ply.cloud_of(inria_ply.parse_fields(archive.read("offset.ply"), where), where)
    if len(cloud) != vertex_count:
        raise CheckpointMismatch(f"{where}: {len(cloud)} Gaussians, but skin.glb has {vertex_count} vertices; they are "
                                 "of different avatars")
    return cloud


def _check_order(archive: LamArchive, vertex_count: int) -> None:
    if "vertex_order.json" not in archive:
        return
    where = archive.where("vertex_order.json")
    order = as_numbers(parse_json(archive.read("vertex_order.json"), where), where)
    if order.ndim != 1 or not np.array_equal(np.sort(order), np.arange(vertex_count)):
        raise FormatError(f"{where}: expected each of 0..{vertex_count - 1} once, one per vertex of skin.glb; got "
                          f"{order.size} numbers, {len(np.unique(order))} of them different; export the avatar again")


def _roles(names: tuple[str, ...], weights: np.ndarray) -> dict[str, int]:
    roles = {"root": 0}
    if HEAD_JOINT in names:
        roles["neck"] = names.index(HEAD_JOINT)
    for role, name in FACE_JOINTS.items():
        if name in names and weights[:, names.index(name)].any():
            roles[role] = names.index(name)
    return roles


def _arkit_edition(names: tuple[str, ...]) -> str:
    return "arkit-52" if "tongueOut" in names else "arkit-51"


def _arkit_map(names: tuple[str, ...]) -> np.ndarray:
    """Return the map from ARKit's 52 weights to these targets: each drives the one of its name."""
    table = np.zeros((len(ARKIT_52), len(names) + ARKIT_TAIL))
    table[[ARKIT_52.index(name) for name in names], np.arange(len(names))] = 1
    return table
