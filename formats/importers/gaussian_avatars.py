"""GaussianAvatars: Gaussians in the axes of FLAME's triangles, teeth included.

PATH is `point_cloud.ply`, or one of the folders it lies in: `iteration_<n>`, `point_cloud`, the run's output. The PLY has
the usual names with values local to a triangle, `binding_0` its number as float32, SH of degree 3 seen in world axes.
`flame_param.npz` beside it holds the person and the tracked clip. Qian et al., "GaussianAvatars: Photorealistic Head
Avatars with Rigged 3D Gaussians", CVPR 2024, section 3.1; posing is `formats.deform`'s frame `face`.

`as_original` changes nothing: we draw these as the original does. FATE's version has no teeth; see `from_fate`.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from formats.avatar import Avatar, FaceBinding, Meta, SplatLayer
from formats.codecs import inria_ply
from formats.conventions import sigmoid
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature, naming
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.importers import flame_rig, side_files
from formats.importers.fate_context import FateContext

LOG = logging.getLogger(__name__)
PAPER = "Qian et al., GaussianAvatars: Photorealistic Head Avatars with Rigged 3D Gaussians, CVPR 2024, arXiv:2312.02069"
LICENSE = ("GaussianAvatars' code is under CC BY-NC-SA 4.0 with a reservation of Toyota Motor Europe, its rasteriser under "
           "Inria's non-commercial licence; check their terms and the consent of the person shown before you publish.")
SYSTEM = "GaussianAvatars"
PLY = "point_cloud.ply"
SIDES = {"flame_param": "flame_param.npz, the person and the clip"}


def read(path: Path, head: HeadModel | None = None, sides: Mapping[str, Path] | None = None, *, as_original: bool = False,
         edition: str = flame_rig.EDITION, fps: float = flame_rig.FPS) -> Avatar:
    """Return the avatar of a GaussianAvatars run; of a folder with several iterations, the highest.

    Args:
        path: `point_cloud.ply`, or a folder above it.
        head: FLAME 2023 from `flameport head`, with or without teeth.
        sides: `flame_param`: the file of that name, where it is not beside the PLY.
        as_original: Changes nothing.
        edition: What the data were tracked with, where that was not FLAME 2023.
        fps: Frame rate of the clip, which no file says.

    Raises:
        MissingAsset: The PLY, `flame_param.npz` or the head is missing.
        FormatError: A file is damaged.
        CheckpointMismatch: The head is of another edition or size, or the files are not of one avatar.
        UnsupportedFeature: PATH is a training checkpoint, or a side input is unknown.
    """
    del as_original
    path, sides = Path(path), sides or {}
    side_files.check_names(path, sides, SIDES)
    ply = find_ply(path, SYSTEM)
    bare = flame_rig.bare_head(head, edition, SYSTEM, ply)
    person, clip = flame_rig.put_person(bare, flame_rig.find_param(ply, sides), fps)
    fields = inria_ply.read_fields(ply)
    layer = SplatLayer(inria_ply.cloud_of(fields, str(ply)), binding_of(fields, len(person.faces), str(ply)))
    return Avatar(person, (layer,), sequence=clip, meta=Meta(
        name=run_name(ply), system="gaussian-avatars", source=ply.name, paper=PAPER,
        license_notices=(LICENSE,)))


def from_fate(model: Mapping[str, np.ndarray], context: FateContext) -> Avatar:
    """Return the avatar that FATE trained as this system: FLAME's own 9976 faces, no teeth.

    It stores SH of degree 3 but not how many bands are in use, which is none after loading: only DC is ever drawn, and only
    DC is kept here.

    Args:
        model: `_xyz` [N, 3], `_features_dc` [N, 1, 3], `_scaling` [N, 3], `_rotation` [N, 4], `_opacity` [N, 1] and
            `binding` [N], as the checkpoint has them.
        context: What goes with it.

    Raises:
        FormatError: An array is missing, of another shape, or not finite.
        CheckpointMismatch: `binding` names a face that the head lacks.
    """
    count = len(_array(model, "binding", None, context.where))

    def column(key: str, *shape: int) -> np.ndarray:
        return _array(model, key, (count, *shape), context.where)

    with naming(context.where), np.errstate(over="ignore"):
        cloud = GaussianCloud(column("_xyz", 3), column("_rotation", 4), np.exp(column("_scaling", 3)),
                              sigmoid(column("_opacity", 1)[:, 0]), column("_features_dc", 1, 3))
    binding = _on_faces(column("binding"), len(context.head.faces), f"{context.where}: 'binding'")
    return Avatar(context.head, (SplatLayer(cloud, binding),), sequence=context.sequence,
                  meta=context.meta(PAPER, (LICENSE,)))


def find_ply(path: Path, system: str) -> Path:
    """Return the `point_cloud.ply` that a path of the originals' layout means.

    Raises:
        MissingAsset: There is none.
        UnsupportedFeature: It is a training checkpoint.
    """
    if path.suffix == ".pth":
        raise UnsupportedFeature(
            f"{path}: a training checkpoint; of the FLAME parameters that {system} tuned with it, only the optimizer's moments "
            f"are in it. Import the run's point_cloud/iteration_<n>/{PLY}, which has {flame_rig.FLAME_PARAM} beside it")
    if not path.is_dir():
        if not path.exists():
            raise MissingAsset(f"{path}: no such file or folder; expected {PLY} or a folder of {system}'s output")
        return path
    if (path / PLY).is_file():
        return path / PLY
    found = {int(match[1]): ply for folder in (path, path / "point_cloud") for ply in folder.glob(f"iteration_*/{PLY}")
             if (match := re.fullmatch(r"iteration_(\d{1,12})", ply.parent.name))}
    if not found:
        raise MissingAsset(f"{path}: holds no {PLY}, iteration_<n>/{PLY} or point_cloud/iteration_<n>/{PLY}; expected a folder "
                           f"of {system}'s output")
    if len(found) > 1:
        LOG.warning("%s: iterations %s are there; importing the highest, %d", path, ", ".join(map(str, sorted(found))),
                    max(found))
    return found[max(found)]


def run_name(ply: Path) -> str:
    """Return what to call the avatar: the run's folder where the file lies in the original's layout, else the file's name."""
    folders = ply.absolute().parents
    in_layout = len(folders) > 2 and folders[0].name.startswith("iteration_") and folders[1].name == "point_cloud"
    return (folders[2].name if in_layout else ply.stem) or ply.stem


def binding_of(fields: Mapping[str, np.ndarray], face_count: int, where: str) -> FaceBinding:
    """Return the binding in a PLY's column `binding_0`: face numbers, stored as float32.

    Raises:
        FormatError: There is no such column, or it does not hold whole numbers.
        CheckpointMismatch: A face that the head lacks.
    """
    if "binding_0" not in fields:
        raise FormatError(f"{where}: property 'binding_0' is missing; a PLY of Gaussians that ride no head? Expected "
                          f"{SYSTEM}' {PLY}, whose Gaussians name their triangle")
    return _on_faces(fields["binding_0"], face_count, f"{where}: 'binding_0'")


def on_faces(faces: np.ndarray) -> FaceBinding:
    """Return the binding of GaussianAvatars, section 3.1: about the centroid, offsets and sizes in units of the triangle."""
    return FaceBinding(faces, np.full((len(faces), 3), 1 / 3), "face", "edge_height", "edge_height")


def _on_faces(numbers: np.ndarray, face_count: int, where: str) -> FaceBinding:
    wrong = np.flatnonzero(~np.isfinite(numbers) | (numbers != np.round(numbers)))
    if wrong.size:
        raise FormatError(f"{where}: expected face numbers, Gaussian {wrong[0]} has {numbers[wrong[0]]}")
    if numbers.size and (numbers.min() < 0 or numbers.max() >= face_count):
        raise CheckpointMismatch(f"{where}: faces {numbers.min():.0f}..{numbers.max():.0f} are named, the head has {face_count}; "
                                 "it was made on another mesh")
    return on_faces(numbers.astype(np.int32))


def _array(model: Mapping[str, np.ndarray], key: str, shape: tuple[int, ...] | None, where: str) -> np.ndarray:
    if key not in model:
        raise FormatError(f"{where}: '{key}' is missing; found {', '.join(list(model)[:12])}")
    value = np.asarray(model[key])
    if value.dtype.kind not in "fiu" or (value.ndim != 1 if shape is None else value.shape != shape):
        raise FormatError(f"{where}: '{key}': expected {list(shape or ['N'])}, got {value.dtype} {list(value.shape)}")
    if not np.isfinite(value).all():
        raise FormatError(f"{where}: '{key}': not finite; training diverged or the file is damaged")
    return value.astype(np.float64)
