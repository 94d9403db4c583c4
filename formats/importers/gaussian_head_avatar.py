"""Gaussian Head Avatar: its `gaussianhead` checkpoints, with super-resolution and guidance mesh; the strands of its hair fork.

Gaussians in a canonical space are moved, coloured and reshaped by networks that BFM 2009's 64 expression coefficients and
the head's absolute pose drive, carried by that pose, drawn with 32 channels, and made a picture four times as large by a
convolutional network. Xu et al., "Gaussian Head Avatar: Ultra High-fidelity Head Avatar via Dynamic Gaussians", CVPR 2024;
file facts from its released arithmetic. The fork has no known paper.

What is read: `gaussianhead_*` (needed, unless only hair is wanted), `supres_*` (the decoder; without it the picture is the
coarse one, channels 0 to 2), `meshhead_*` (the head's mesh, an approximation), `gaussianhair_*` (strands, rigid), and of the
training data `params/<frame>/params.npz` (the clip, and metres per canonical unit) and `FLAME_params/<frame>/params.npz`.

How it becomes an avatar: canonical units become metres by the tracker's one scale; the Gaussians are skinned to one joint at
the origin, so that a sequence's rotation and translation are the tracker's; the cloud holds the neutral state (no expression,
the clip's first pose) and the network's deltas are against that. What the original does and this leaves out: colours below 0
are drawn as 0 where no decoder is there, and its player's running average over expressions.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from formats.avatar import Avatar, Meta, Network, SkinBinding, SplatLayer, StrandLayer
from formats.conventions import rgb_to_sh, sigmoid
from formats.errors import FormatError, MissingAsset, UnsupportedFeature, naming
from formats.files import check_readable
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.importers import gha_files, gha_hair, gha_mesh
from formats.importers.carrier_triangle import carrier
from formats.importers.gha_files import Tracked
from formats.importers.gha_networks import HeadField, Scalars, head_field, super_resolution
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
PAPER = "Xu et al., Gaussian Head Avatar: Ultra High-fidelity Head Avatar via Dynamic Gaussians, CVPR 2024"
LICENSE = ("Gaussian Head Avatar's code and avatars made with it are for non-commercial research, education and art only; check "
           "its terms, those of the Basel Face Model, and the consent of the person shown before you publish.")
MESH_NOTICE = "The head's mesh is an approximation of the avatar's networks; its Gaussians are exact."
HAIR_NOTICE = "The hair is rigid with the head: how strands swing after past poses is left out."
SIDES = ("supres", "mesh", "hair", "delta_poses", "params", "flame_params", "yaml", "config")
EDITION = "bfm09-64"
EXPRESSIONS = 64
ENLARGES = 4
"""What the super-resolution enlarges by: 512 to 2048."""


def read(path: Path, head: HeadModel | None = None, sides: Mapping[str, Path] | None = None, *, as_original: bool = False,
         near: float = 0.1, far: float = 0.25, deform_scale: float = 0.3, attributes_scale: float = 0.2, scale: float = 0.0,
         fps: float = 73 / 3, hair_as: str = "strands") -> Avatar:
    """Return the avatar in a checkpoint of Gaussian Head Avatar.

    Args:
        path: A `gaussianhead_*` or `gaussianhair_*` file, or the folder of checkpoints, whose latest are taken.
        head: Not used; the coefficients are BFM 2009's and the mesh comes from `meshhead_*`.
        sides: `supres`, `mesh`, `hair`: checkpoint files, else those beside `path`. `params`, `flame_params`: folders of
            `<frame>/params.npz`, else `params` and `FLAME_params` beside; hair alone is driven by the latter's pose.
            `delta_poses`: added to the clip's poses row by row, only when given (rows follow the training's order of frames,
            which the original left to the file system). `yaml` or `config`: the training's, for the four scalars below, else
            one beside, or the one in the original's `config/` whose recorder is called like the checkpoint's folder.
        as_original: Nothing differs.
        near: The training's `dist_threshold_near`, square canonical units.
        far: Its `dist_threshold_far`.
        deform_scale: Its `deform_scale`.
        attributes_scale: Its `attributes_scale`. A value given here goes before the yaml's.
        scale: Metres in a canonical unit; 0 takes the tracker's from `params`.
        fps: Of the clip; NeRSemble's 73 with every third frame kept.
        hair_as: What `gaussianhair_*` becomes when it is there: `strands`, `splats` (exact, with view-dependent colours, a
            hundred Gaussians a strand) or `none`.

    Raises:
        MissingAsset: A file that is needed is not there.
        FormatError: A checkpoint or params file is damaged.
        CheckpointMismatch: Files do not belong together, or are driven by another face model.
        UnsupportedFeature: An unknown side, or a file of the fork that another importer reads.
    """
    given = {name: Path(value) for name, value in (sides or {}).items()}
    unknown = [name for name in given if name not in SIDES]
    if unknown:
        raise UnsupportedFeature(f"{path}: no side input is called '{unknown[0]}'; known are {', '.join(SIDES)}")
    if head is not None:
        raise UnsupportedFeature(f"{path}: Gaussian Head Avatar does not ride a FLAME head; leave --head out")
    if hair_as not in ("strands", "splats", "none"):
        raise UnsupportedFeature(f"{path}: hair_as is '{hair_as}'; expected strands, splats or none")
    head_file, hair_file = _checkpoints(Path(path), given.get("hair"), hair_as != "none")
    first = head_file or hair_file
    assert first is not None
    tracked, hair_tracked = _tracked(given, first, hair_file is not None)
    if head_file is None:  # hair alone rides its own, the FLAME pose
        tracked = None
    scalars = _scalars(given, Scalars(near, far, deform_scale, attributes_scale), first)
    if tracked is None and head_file is not None and not scale > 0:
        raise MissingAsset(f"{first}: does not say its size; give --side params=FOLDER with the tracked <frame>/params.npz "
                           "(looked for beside the checkpoint), or metres per unit by --set scale= (0.15 is usual)")
    meters = scale if scale > 0 or tracked is None else tracked.scale
    pose = np.zeros(6) if tracked is None else np.concatenate([tracked.rotvecs[0], tracked.translations[0]])

    layers: list[SplatLayer | StrandLayer] = []
    networks: dict[str, Network] = {}
    mesh, decoder = None, None
    if head_file is not None:
        field = head_field(gha_files.state_of(head_file), str(head_file), scalars)
        decoder = _decoder(given.get("supres") or gha_files.beside(head_file, "supres"), field, hair_file is not None)
        layers.append(_splats(field, meters, pose, str(head_file)))
        networks["head"] = field.network(meters, field.raw(np.zeros(EXPRESSIONS), pose), decoder is not None)
        if decoder is not None:
            networks["supres"] = decoder
        mesh_file = given.get("mesh") or gha_files.beside(head_file, "meshhead")
        mesh = None if mesh_file is None else _mesh(mesh_file, scalars, pose)
    if hair_file is not None:
        if head_file is not None:
            gha_hair.need_frames(tracked, hair_tracked, str(hair_file))
        place = gha_hair.placement(tracked, hair_tracked)
        iteration = re.match(r"gaussianhair_iter_(\d+)", hair_file.name)
        hair = gha_hair.read_hair(gha_files.state_of(hair_file, "strands_generator."), str(hair_file), place,
                                  iteration and int(iteration[1]))
        layers.append(gha_hair.as_splats(hair) if hair_as == "splats" else gha_hair.as_strands(
            hair, 0 if mesh is None else len(mesh.faces), str(hair_file)))
    model, vertex_rgb = _head(mesh, meters, hair_file is not None)
    notices = (LICENSE, *((MESH_NOTICE,) if mesh is not None else ()), *((HAIR_NOTICE,) if hair_file is not None else ()))
    return Avatar(head=model, layers=tuple(layers), networks=networks, vertex_rgb=vertex_rgb,
                  sequence=_clip(tracked, hair_tracked, fps), decoder=None if decoder is None else "supres",
                  decoder_scale=1 if decoder is None else ENLARGES,
                  meta=Meta(name=_name(Path(path).resolve()), system="gaussian-head-avatar", source=first.name,
                            paper=PAPER, license_notices=notices))


def _name(path: Path) -> str:
    """Return the run's name: its folder's, where the file is called as all of them are."""
    return (path.parent.name if gha_files.NAME.fullmatch(path.name) else path.name) or "avatar"


# --- Which files ------------------------------------------------------------------------------------------------------


def _checkpoints(path: Path, hair: Path | None, with_hair: bool) -> tuple[Path | None, Path | None]:
    """Return the checkpoints of the head and of the hair; at least one."""
    if path.suffix == ".ply":
        raise UnsupportedFeature(f"{path}: the fork's FLAME-bound head is a GaussianAvatars file; use `import gaussian-avatars`")
    found = hair
    if path.is_dir():
        main = gha_files.newest(path, "gaussianhead")
        found = found or gha_files.newest(path, "gaussianhair", main)
        if main is None and found is None:
            bound = sorted(p.name for p in path.glob("*head*.ply"))
            raise MissingAsset(f"{path}: holds no gaussianhead_* checkpoint" + (
                f"; {bound[0]} is a FLAME-bound head, which `import gaussian-avatars` reads" if bound
                else "; name the folder checkpoints/<name>, or the file"))
        if main is None and not with_hair:
            raise MissingAsset(f"{path}: holds no gaussianhead_* checkpoint, only hair, which hair_as=none leaves out")
        return main, found if with_hair else None
    check_readable(path)
    kind = gha_files.kind_of(path)
    if kind == "gaussianhead":
        return path, (found or gha_files.beside(path, "gaussianhair")) if with_hair else None
    if kind == "gaussianhair":
        return None, path
    what = {"meshhead": "the first stage's mesh; give it as --side mesh=",
            "supres": "a super-resolution; give it as --side supres=",
            "delta_poses": "corrections of poses; give them as --side delta_poses="}.get(kind, "none of Gaussian Head Avatar's")
    raise FormatError(f"{path}: expected a gaussianhead_* checkpoint; this is {what}")


def _tracked(given: Mapping[str, Path], checkpoint: Path, hair_is_there: bool) -> tuple[Tracked | None, Tracked | None]:
    """Return the frames tracked with BFM, and those tracked with FLAME, which hair alone follows."""
    folder = gha_files.find_params(given, "params", checkpoint, "params")
    flame = gha_files.find_params(given, "flame_params", checkpoint, "FLAME_params") if hair_is_there else None
    tracked = None if folder is None else gha_files.read_params(folder, EXPRESSIONS)
    # 50 expressions, the jaw's 3 and the eyes' 6 numbers.
    hair = None if flame is None else gha_files.read_params(flame, 59)
    deltas = given.get("delta_poses")
    if deltas is not None:
        if tracked is None:
            raise MissingAsset(f"{deltas}: corrects the poses of the tracked frames; give those as --side params=")
        return gha_files.corrected(tracked, gha_files.delta_poses(deltas), deltas), hair
    unused = gha_files.beside(checkpoint, "delta_poses")
    if unused is not None and tracked is not None:
        LOG.info("%s: corrections of the training's poses are there and not used; --side delta_poses= adds them to the clip, "
                 "row by row in the order of frame names", unused)
    return tracked, hair


def _scalars(given: Mapping[str, Path], options: Scalars, checkpoint: Path) -> Scalars:
    """Return the yaml's scalars, but for options that are not at their defaults; without a yaml, the options."""
    file = given.get("config") or given.get("yaml") or gha_files.find_yaml(checkpoint)
    usual = Scalars()
    if file is None:
        LOG.info("no yaml of the training is there: dist_threshold_near %g, dist_threshold_far %g, deform_scale %g and "
                 "attributes_scale %g are taken; --side yaml=FILE says others", options.near, options.far, options.deform_scale,
                 options.attributes_scale)
    else:
        read_ = gha_files.read_scalars(file)
        options = Scalars(**{name: getattr(options if getattr(options, name) != getattr(usual, name) else read_, name)
                             for name in ("near", "far", "deform_scale", "attributes_scale")})
        LOG.info("%s: dist_threshold_near %g, dist_threshold_far %g, deform_scale %g, attributes_scale %g", file, options.near,
                 options.far, options.deform_scale, options.attributes_scale)
    if not 0 <= options.near < options.far:
        raise UnsupportedFeature(f"near {options.near} and far {options.far}: expected 0 <= near < far, squared distances")
    return options


# --- What they become -------------------------------------------------------------------------------------------------


def _decoder(file: Path | None, field: HeadField, with_hair: bool) -> Network | None:
    """Return the super-resolution, or None (said in the log) where the avatar goes without."""
    if file is None:
        LOG.warning("no supres_* checkpoint beside the head: the picture is the coarse one, not the published 2048 x 2048")
        return None
    network, channels = super_resolution(gha_files.state_of(file), str(file))
    if channels != field.branches[0].color.outputs or with_hair:
        LOG.warning("%s: takes %d channels, the head has %d%s; it is left out and the picture is the coarse one", file, channels,
                    field.branches[0].color.outputs, " and hair has none" if with_hair else "")
        return None
    return network


def _splats(field: HeadField, meters: float, pose: Float[np.ndarray, " 6"], where: str) -> SplatLayer:
    """Return the Gaussians without expression at `pose`, in metres, skinned to the one joint."""
    raw = field.raw(np.zeros(EXPRESSIONS), pose).astype(np.float64)
    c, scalars = field.branches[0].color.outputs, field.scalars
    rgb = raw[:, :3]
    if (rgb < 0).any():
        LOG.info("%s: %d of %d Gaussians have colours below 0 (to %.3f), which are drawn as 0 where no decoder is there", where,
                 int((rgb < 0).any(axis=1).sum()), len(rgb), rgb.min())
    with naming(where):
        cloud = GaussianCloud(
            meters * (field.points + scalars.deform_scale * raw[:, c:c + 3]), field.turned(raw),
            meters * np.exp(field.log_scales + scalars.attributes_scale * raw[:, c + 3:c + 6]),
            sigmoid(field.logits + scalars.attributes_scale * raw[:, c + 10]), rgb_to_sh(rgb)[:, None])
    binding = SkinBinding(lbs_weights=np.ones((len(cloud), 1)), rotation="skin")
    return SplatLayer(cloud, binding, dynamics="head", name="head")


def _mesh(file: Path, scalars: Scalars, pose: Float[np.ndarray, " 6"]) -> gha_mesh.GuidanceMesh | None:
    mesh = gha_mesh.read_mesh(gha_files.state_of(file), str(file), scalars, pose, EXPRESSIONS)
    if not len(mesh.faces):
        LOG.warning("%s: its sdf encloses nothing, so the head has no mesh; training of the first stage has failed", file)
        return None
    LOG.info("%s: a mesh of %d vertices; %s", file, len(mesh.vertices), MESH_NOTICE)
    return mesh


def _head(mesh: gha_mesh.GuidanceMesh | None, meters: float, hair: bool) -> tuple[HeadModel, np.ndarray | None]:
    """Return a head of one joint at the origin, and the mesh's colours; without a mesh, hair's carrier is all there is."""
    vertices, faces = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    exprdirs, rgb = np.zeros((0, 3, EXPRESSIONS), np.float32), np.zeros((0, 3))
    if mesh is not None:
        vertices, faces, exprdirs, rgb = meters * mesh.vertices, mesh.faces, np.float32(meters) * mesh.exprdirs, mesh.rgb
    if hair or mesh is None:  # files of heads without any triangle are no glTF
        triangle, face = carrier()
        vertices, faces = np.concatenate([vertices, triangle]), np.concatenate([faces, face + len(vertices)])
        exprdirs = np.concatenate([exprdirs, np.zeros((3, 3, EXPRESSIONS), np.float32)])
        rgb = np.concatenate([rgb, np.full((3, 3), 0.5)])
    model = HeadModel(EDITION, vertices, faces, exprdirs, np.ones((len(vertices), 1)), np.array([-1]),
                      J_template=np.zeros((1, 3)), joint_names=("root",), joint_roles={"root": 0})
    return model, np.clip(rgb, 0, 1) if mesh is not None else None


def _clip(tracked: Tracked | None, hair: Tracked | None, fps: float) -> Sequence | None:
    """Return the tracked frames; those of the hair's head where only they are known."""
    source = tracked or hair
    if source is None:
        return None
    expr = source.expr if tracked is not None else np.zeros((len(source.frames), EXPRESSIONS))
    pose = np.concatenate([source.rotvecs, source.translations], axis=1)
    # Turns of more than half a circle are kept as they are told between frames; the networks see the numbers.
    wide = (np.linalg.norm(source.rotvecs, axis=1) > np.pi).any()
    return Sequence(EDITION, fps, expr, rotation=source.rotvecs, translation=source.translations,
                    drivers={"absolute_pose": pose} if wide else {})
