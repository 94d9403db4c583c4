"""FlashAvatar's checkpoints, those of its Wasserstein ("earth mover's distance") variant, and FATE's version of it.

Each Gaussian is a texel of the head's UV layout; a network moves, turns and sizes it for the frame's expression. Xiang, Gao,
Guo, Zhang, "FlashAvatar: High-fidelity Head Avatar with Efficient Gaussian Embedding", CVPR 2024; the variant: Deng, Shi, Li,
Guo, "Physics of Motion, Geometry of Cohesion", IEEE Signal Processing Letters 2025.

    dataset/<id>/log/ckpt/chkpnt*.pth                         PATH
    metrical-tracker/output/<id>/checkpoint/*.frame           --side frames=   identity, and the clip
    FlameMesh.obj, FLAME_masks.pkl, l_eyelid.npy, r_eyelid.npy  --side mesh=, masks=, eyelids=

None but the first is in the checkpoint. The clip's camera has frame 0's focal lengths and a centred principal point, as the
original draws it. Colours are cut to the SH degree that training had reached; directions meet them in the head's axes.
FATE (its `from_fate`) saves the head and the texels with the model, drives it with axis-angle turns without lids, keeps
the Gaussians of the neck, and draws degree 0 whatever is stored.
"""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from formats.avatar import Avatar, FaceBinding, Meta, Network, SplatLayer
from formats.codecs.flame_sides import read_eyelids, read_masks, read_template_mesh
from formats.conventions import sigmoid
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature, naming
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.importers import flash_checkpoint, flash_evidence, flash_fate, flash_surface, side_files, tracker_frames
from formats.importers.fate_context import FateContext
from formats.importers.flash_checkpoint import FlashCheckpoint
from formats.importers.flash_network import encode, offset_network
from formats.importers.flash_surface import Places
from formats.sequence import Sequence

LOG = logging.getLogger(__name__)
PAPER = ("Xiang et al., FlashAvatar: High-fidelity Head Avatar with Efficient Gaussian Embedding, CVPR 2024, "
         "arXiv:2312.02214")
WASSERSTEIN_PAPER = ("Deng et al., Physics of Motion, Geometry of Cohesion: A Silky Gaussian Head Avatar Framework, IEEE Signal "
                     "Processing Letters 2025")
FLASH_NOTICE = ("FlashAvatar's code builds on Inria's 3D Gaussian Splatting (non-commercial research); check its terms and the "
                "consent of the person shown before you publish.")
SIDES = {"frames": "metrical-tracker's folder of .frame files", "mesh": "FlashAvatar's FlameMesh.obj",
         "masks": "FLAME_masks.pkl", "eyelids": "the folder of l_eyelid.npy and r_eyelid.npy, or LEFT.npy,RIGHT.npy"}
VARIANTS = ("auto", "base", "wasserstein")
DRIVERS = {"expr": 100, "jaw_6d": 6, "eyes_6d": 12, "eyelids": 2}
HELD_OUT, MOST_TRAINED, VARIANT_TRAINED = 500, 10_000, 2000
"""Frames at a clip's end that FlashAvatar does not train on, and how many of the others it takes at most; the variant takes its
first ones, and holds none back."""
NETWORK = "offsets"
LEVELS = 6
"""Folders above a checkpoint that the originals' layout has: ckpt, log, <id>, dataset, the project, and one more."""


def read(path: Path, head: HeadModel | None = None, sides: Mapping[str, Path] | None = None, *, as_original: bool = False,
         variant: str = "auto") -> Avatar:
    """Return the avatar of a FlashAvatar checkpoint.

    Args:
        path: `chkpnt<iteration>.pth`.
        head: FLAME 2020 with its identity directions.
        sides: See `SIDES`; without them they are looked for where the original keeps them.
        as_original: Nothing differs: we draw as the original does.
        variant: `base`, `wasserstein`, or `auto`: the variant when all stored rotations are exactly (1, 0, 0, 0).

    Raises:
        MissingAsset: The checkpoint, the head or a side input is missing.
        FormatError: A file is damaged.
        CheckpointMismatch: Head, mesh, masks and checkpoint do not belong together.
        UnsupportedFeature: An unknown side input or variant, or a checkpoint of the variant's U-Net modes.
    """
    del as_original
    path, sides = Path(path), dict(sides or {})
    side_files.check_names(path, sides, SIDES)
    if variant not in VARIANTS:
        raise UnsupportedFeature(f"{path}: unknown variant '{variant}'; expected one of {', '.join(VARIANTS)}")
    checkpoint = flash_checkpoint.read(path)
    if head is None:
        raise MissingAsset(f"{path}: rides FLAME 2020, which is not in it; make a head file of generic_model.pkl with `flameport "
                           "head` (edition flame2020) and give it with --head")
    flash_surface.check_head(head, str(path))
    sequence = _clip(path, sides, head.edition)
    assert sequence.shape is not None
    mesh_path = _side(path, sides, "mesh", "FlameMesh.obj")
    head = flash_surface.closed_head(head, sequence.shape, read_template_mesh(mesh_path), _eyelids(path, sides, head),
                                     str(mesh_path))
    boundary = _boundary(path, sides, head)
    readings = [flash_surface.places(head, boundary, guard) for guard in (0.0, flash_surface.GUARD)]
    fitting = [places for places in readings if len(places) == len(checkpoint)]
    if not fitting:
        raise CheckpointMismatch(
            f"{path}: {len(checkpoint)} Gaussians, but {mesh_path.name} and the boundary mask give {len(readings[0])} texels; "
            "use the FlameMesh.obj and FLAME_masks.pkl that the avatar was trained with")
    moved = variant == "base" or variant == "auto" and not (checkpoint.rotation == [1, 0, 0, 0]).all()
    if variant == "auto":
        LOG.info("%s: read as %s", path, "FlashAvatar's own" if moved else "its Wasserstein variant's: no rotation was trained")
    sequence = _with_ranges(sequence, moved)
    meta = Meta(name=_name(path), system="flash-avatar", source=path.name, paper=PAPER if moved else WASSERSTEIN_PAPER,
                license_notices=(FLASH_NOTICE,))

    def avatar(at: Places, stored: FlashCheckpoint) -> Avatar:
        """Return the avatar of `stored`, whose Gaussians sit at `at`."""
        network, cloud = _gaussians(stored, encode(at.points(head)), DRIVERS, moved, path)
        binding = FaceBinding(at.face_index, at.barycentric, "root" if moved else "corner", "none", "none")
        return Avatar(head=head, layers=(SplatLayer(cloud, binding, NETWORK, "head"),), networks={NETWORK: network},
                      sequence=sequence, meta=meta)

    with naming(path):
        return avatar(flash_evidence.settled(checkpoint, fitting[0], fitting[-1], head, avatar), checkpoint)


def from_fate(model: Mapping[str, np.ndarray], context: FateContext) -> Avatar:
    """Return the avatar of a FlashAvatar that FATE trained.

    Args:
        model: Arrays by key.
        context: What the checkpoint holds besides.

    Raises:
        FormatError: A key is missing or damaged.
        CheckpointMismatch: The stored samples are not the texels of the stored layout.
    """
    stored = flash_fate.read(model, context)
    # FATE never draws beyond the constant term.
    network, cloud = _gaussians(stored.checkpoint, stored.encoding, {"expr": context.n_exp, "jaw": 3, "eyes": 6}, True,
                                Path(context.where))
    binding = FaceBinding(stored.face_index, stored.barycentric, "none", "none", "none")
    with naming(context.where):
        return Avatar(head=stored.head, layers=(SplatLayer(cloud, binding, NETWORK),), networks={NETWORK: network},
                      sequence=context.sequence, meta=context.meta(PAPER, (FLASH_NOTICE,)))


def _gaussians(stored: FlashCheckpoint, encoding: np.ndarray, drivers: Mapping[str, int], own_rotations: bool, path: Path
               ) -> tuple[Network, GaussianCloud]:
    expected = encoding.shape[1] + sum(drivers.values())
    if stored.layers[0][0].shape[1] != expected:
        raise CheckpointMismatch(f"{path}: the network takes {stored.layers[0][0].shape[1]} numbers, expected {expected} "
                                 f"({encoding.shape[1]} of the place, {', '.join(f'{n} of {k}' for k, n in drivers.items())})")
    unit = np.array([1.0, 0, 0, 0])
    # A zero quaternion stays zero when multiplied, and draws as no rotation at all.
    turns = np.linalg.norm(stored.rotation, axis=1) > 1e-12
    quats = np.where(turns[:, None], stored.rotation, unit) if own_rotations else np.tile(unit, (len(stored), 1))
    network = offset_network(stored.layers, encoding, drivers, stored.scaling, turns if own_rotations else np.ones(len(stored)))
    with naming(path), np.errstate(over="ignore"):
        cloud = GaussianCloud(np.zeros((len(stored), 3)), quats, np.exp(stored.scaling), sigmoid(stored.opacity), stored.sh)
    return network, cloud


# --- Side inputs ------------------------------------------------------------------------------------------------------


def _clip(path: Path, sides: Mapping[str, Path], edition: str) -> Sequence:
    beside = frame_places(path)
    found = side_files.find(path, sides, "frames", beside)
    if found is None:
        raise side_files.missing(path, "frames", "the subject's shape and motion, metrical-tracker's folder of .frame files",
                                 beside[2:])
    files = [found] if found.is_file() else tracker_frames.frame_files(found)
    sequence = tracker_frames.read_files(files, edition)
    if sequence.expr.shape[1] != DRIVERS["expr"]:
        raise CheckpointMismatch(f"{found}: {sequence.expr.shape[1]} expression coefficients, FlashAvatar takes "
                                 f"{DRIVERS['expr']}")
    k = np.zeros((len(sequence), 3, 3))
    first, size = sequence.cameras["K"][0], sequence.cameras["size"]
    k[:, 0, 0], k[:, 1, 1], k[:, :2, 2], k[:, 2, 2] = first[0, 0], first[1, 1], size / 2, 1
    return dataclasses.replace(sequence, cameras={**sequence.cameras, "K": k})


def frame_places(path: Path) -> list[Path]:
    """Return where the tracker's frames of a checkpoint may lie: beside it, else by the subject's name or a folder's above it."""
    above = side_files.ancestors(path, LEVELS)
    folders, subject = [folder.name for folder in above if folder.name], _name(path)
    names = dict.fromkeys([subject, *folders] if subject in folders else [*folders, subject])
    return [above[0] / "checkpoint", above[0] / "frames",
            *(folder / output / name / "checkpoint" for name in names for output in ("metrical-tracker/output", "output")
              for folder in above)]


def _with_ranges(clip: Sequence, held_out: bool) -> Sequence:
    """Return the clip with the ranges `train` and `test` that the original makes of all its frames, where it is long enough."""
    count = len(clip)
    ranges = {"train": (0, min(count, VARIANT_TRAINED))} if count > 1 else {}
    if held_out:
        first = count - HELD_OUT
        ranges = {"train": (0, min(first, MOST_TRAINED)), "test": (first, count)} if first > 0 else {}
    return dataclasses.replace(clip, ranges=ranges)


def _beside(path: Path, *names: str) -> list[Path]:
    folders = ("", "flame", "flame/FLAME_masks", "flame/blendshapes", "data", "weights")
    return [above / folder / name for above in side_files.ancestors(path, LEVELS) for folder in folders for name in names]


def _side(path: Path, sides: Mapping[str, Path], name: str, file: str) -> Path:
    beside = _beside(path, file)
    found = side_files.find(path, sides, name, beside)
    if found is None:
        raise side_files.missing(path, name, f"{SIDES[name]}, with which it was trained", beside)
    return found


def _boundary(path: Path, sides: Mapping[str, Path], head: HeadModel) -> np.ndarray:
    found = side_files.find(path, sides, "masks", _beside(path, "FLAME_masks.pkl"))
    if found is None:
        if "boundary" in head.regions:
            return head.regions["boundary"]
        raise side_files.missing(path, "masks", "FLAME_masks.pkl (its region 'boundary'), which the head does not have either",
                                 _beside(path, "FLAME_masks.pkl"))
    masks = read_masks(found)
    if "boundary" not in masks:
        raise FormatError(f"{found}: has no region 'boundary'; found {', '.join(list(masks)[:12])}")
    if masks["boundary"].size and masks["boundary"].max() >= len(head.v_template):
        raise CheckpointMismatch(f"{found}: 'boundary' names vertex {masks['boundary'].max()}, the head has "
                                 f"{len(head.v_template)}")
    return masks["boundary"]


def _eyelids(path: Path, sides: Mapping[str, Path], head: HeadModel) -> np.ndarray | None:
    names = ("l_eyelid.npy", "r_eyelid.npy")
    if "eyelids" in sides and "," in str(sides["eyelids"]) and not Path(sides["eyelids"]).exists():
        left, _, right = str(sides["eyelids"]).partition(",")
        return read_eyelids(left, right)
    beside = _beside(path, names[0])
    found = side_files.find(path, sides, "eyelids", beside)
    if found is None:
        if head.eyeliddirs is not None:
            return None
        raise side_files.missing(path, "eyelids", "the lid directions l_eyelid.npy and r_eyelid.npy, which the head does not "
                                 "have either", beside)
    folder = found if found.is_dir() else found.parent
    return read_eyelids(folder / names[0], folder / names[1])


def _name(path: Path) -> str:
    """Return the subject: the folder that `log/ckpt` is in, else the file's name."""
    folder = path.resolve().parent
    return folder.parent.parent.name if (folder.parent.name, folder.name) == ("log", "ckpt") else path.stem
