"""The head that GaussianAvatars and OSGAP ride: FLAME with teeth, and the person and clip of a `flame_param.npz` in it.

The file has VHAP's names: `shape` [300], `static_offset` [1, V, 3] and `dynamic_offset` [T, V, 3] metres, and per frame
`expr` [T, 100], `rotation`, `neck_pose`, `jaw_pose`, `translation` [T, 3], `eyes_pose` [T, 6].
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from formats import checks
from formats.codecs import flame_npz, npz_file
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, naming
from formats.head_model import HeadModel
from formats.importers import side_files
from formats.sequence import Sequence
from formats.teeth import add_teeth, has_teeth

LOG = logging.getLogger(__name__)
FLAME_PARAM = "flame_param.npz"
EDITION = "flame2023"
FPS = 25.0
"""The files do not say their rate."""
HOW = "convert FLAME 2023 with `flameport head flame2023.pkl --edition flame2023 --template TEMPLATE.obj --out HEAD.safetensors`"


def bare_head(head: HeadModel | None, edition: str, system: str, where: Path) -> HeadModel:
    """Return the user's head with teeth, before a person is put in.

    Args:
        head: As `flameport head` makes it.
        edition: What the data were tracked with.
        system: For messages.
        where: The file that is imported, for messages.

    Raises:
        MissingAsset: There is no head.
        CheckpointMismatch: It is of another edition, is no FLAME head, or a person is in it already.
    """
    if head is None:
        raise MissingAsset(f"{where}: {system} rides FLAME, whose tables are not in its files; pass --head: {HOW}")
    if head.edition != edition:
        raise CheckpointMismatch(
            f"{where}: {system} rides FLAME 2023 ('{EDITION}') unless its data were tracked with another; expected "
            f"'{edition}', the head is '{head.edition}'; {HOW}; or, if the data were tracked with the head's, say so with "
            f"--set edition={head.edition}")
    with naming(where):
        if head.shapedirs is None:
            raise CheckpointMismatch("the head has no identity directions, a person is in it already; pass the head from "
                                     "`flameport head`, not an avatar's")
        return head if has_teeth(head) else add_teeth(head)


def find_param(path: Path, sides: Mapping[str, Path], folders: Iterable[Path] = ()) -> Path:
    """Return the `flame_param.npz`: the side input of that name, else the first there is beside `path` or in `folders`.

    A fork of Gaussian Head Avatar, whose head lies beside others, calls it `<name of the PLY>_flame_param.npz`.

    Args:
        path: The file that is imported.
        sides: The user's.
        folders: Where else to look.

    Raises:
        MissingAsset: There is none.
    """
    names = (FLAME_PARAM, f"{path.stem}_{FLAME_PARAM}")
    beside = [*(path.with_name(name) for name in names), *(folder / FLAME_PARAM for folder in folders)]
    found = side_files.find(path, sides, "flame_param", beside)
    if found is None:
        raise side_files.missing(path, "flame_param", f"{FLAME_PARAM} (the person's shape and the tracked clip)", beside)
    return found


def put_person(head: HeadModel, path: Path, fps: float = FPS) -> tuple[HeadModel, Sequence]:
    """Return `head` with the person of a `flame_param.npz` in its template, from which joints are regressed; and the clip.

    `dynamic_offset` would move vertices frame by frame. The systems write zeros there and draw without it; anything else is
    left out with a warning.

    Args:
        head: FLAME, with or without teeth, without a person.
        path: The file.
        fps: Its frame rate.

    Raises:
        MissingAsset: There is no such file.
        FormatError: An array is missing, of another length, or not finite.
        CheckpointMismatch: It is of a head of other sizes.
    """
    where = str(path)
    sequence = flame_npz.read(path, head.edition, fps)
    shape, offset = flame_npz.read_identity(path)
    if shape is None:
        raise FormatError(f"{where}: 'shape' (the person's identity, 300 numbers) is missing; found "
                          f"{', '.join(npz_file.names(path)[:12])}")
    shape = checks.array(where, "shape", shape, (None,), {}, np.float64)
    known = 0 if head.shapedirs is None else head.shapedirs.shape[2]
    if shape[known:].any():
        raise CheckpointMismatch(f"{where}: 'shape' has {len(shape)} coefficients, the head {known} identity directions; "
                                 "convert the head again with all of them")
    moved = np.zeros((len(head.v_template), 3))
    if offset is not None:
        offset = checks.array(where, "static_offset", offset, (None, 3), {}, np.float64)
        if len(offset) not in (5023, len(moved)):
            raise CheckpointMismatch(f"{where}: 'static_offset' has {len(offset)} rows; expected 5023, or {len(moved)} as the "
                                     "head with teeth")
        moved[:len(offset)] = offset
    if sequence.expr.shape[1] > len(head.expr_names):
        raise CheckpointMismatch(f"{where}: 'expr' has {sequence.expr.shape[1]} coefficients, the head {len(head.expr_names)} "
                                 "expressions; convert the head again with all of them")
    _warn_of_motion(path)
    with naming(where):
        return head.personalise(shape[:known], moved), sequence


def _warn_of_motion(path: Path) -> None:
    """Say what is not carried or not there: how large a `dynamic_offset` is, 62 KB a frame, and which turns are missing."""
    names = npz_file.names(path)
    absent = [name for name in flame_npz.NAMES.values() if name not in names]
    if absent:
        LOG.warning("%s: %s missing; taken as zero in every frame", path, ", ".join(absent))
    if "dynamic_offset" not in names:
        return
    dtype, shape, most = npz_file.scan(path, "dynamic_offset")
    if len(shape) != 3 or shape[-1] != 3:
        raise FormatError(f"{path}: 'dynamic_offset': expected [T, V, 3] numbers, got {dtype} {list(shape)}")
    if np.isinf(most):
        raise FormatError(f"{path}: 'dynamic_offset': not finite; the file is damaged")
    if most:
        LOG.warning("%s: 'dynamic_offset' moves vertices frame by frame, up to %.3g mm along an axis; it is left out, as the "
                    "systems that write such files draw without it", path, 1000 * most)
