"""The FLAME head inside a FATE checkpoint: its tables are saved with the model, identity already put in.

FATE trains every system it compares on one FLAME (2020; 2023 on the NeRSemble benchmark) and saves its buffers under
`flame.`, so that such a file needs no FLAME file to move. Layouts: `posedirs` [36, 3 V] with column 3 v + axis, `shapedirs`
[V, 3, S + E] with identity first. Zhang et al., CVPR 2025; facts of the files: its released code.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from formats.errors import CheckpointMismatch, FormatError
from formats.head_model import ARKIT_TAIL, HeadModel

WIDTHS = {400: 100, 150: 50}
"""Columns of `shapedirs` to how many of them, the last, are expressions: INSTA's and NeRSemble's data, IMavatar's."""
POSE_COLUMNS = 36
TABLE_TOLERANCE = 1e-5
"""Metres; tables of one edition are the same to rounding, those of two differ by millimetres."""
VERTEX_LIMIT, COLUMN_LIMIT, FACE_LIMIT = 1 << 20, 1 << 12, 1 << 21
LANDMARKS = {"static_lmk_faces_idx": "lmk_faces_idx", "static_lmk_bary_coords": "lmk_bary_coords",
             "dynamic_lmk_faces_idx": "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords": "dynamic_lmk_bary_coords",
             "full_lmk_faces_idx": "full_lmk_faces_idx", "full_lmk_bary_coords": "full_lmk_bary_coords"}
"""DECA's names to the buffers'."""


def array_of(model: Mapping[str, np.ndarray], key: str, shape: tuple[int | None, ...], where: str, *,
             infinite: bool = False) -> np.ndarray:
    """Return `model[key]` after checking what every reader of a checkpoint has to.

    Args:
        model: Arrays by key.
        key: Which.
        shape: A number per axis, or None for any.
        where: Names the file in messages.
        infinite: Let +-inf pass (logits may be infinite); NaN never does.

    Raises:
        FormatError: It is missing, of another shape, or not finite.
    """
    if key not in model:
        raise FormatError(f"{where}: model: '{key}' is missing; expected shape {_shown(shape)}: not a whole checkpoint of "
                          "this system, copy it again")
    value = np.asarray(model[key])
    if value.ndim != len(shape) or any(w is not None and w != g for w, g in zip(shape, value.shape, strict=True)):
        raise FormatError(f"{where}: model: '{key}': expected shape {_shown(shape)}, got {list(value.shape)}")
    if value.dtype.kind == "f":
        bad = np.isnan(value) if infinite else ~np.isfinite(value)
        if bad.any():
            raise FormatError(f"{where}: model: '{key}': {int(bad.sum())} of {value.size} values are not finite; training "
                              "diverged or the file is damaged")
    elif value.dtype.kind not in "iu":
        raise FormatError(f"{where}: model: '{key}': expected numbers, got {value.dtype}")
    return value


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('any' if n is None else str(n) for n in shape)}]"


def is_nersemble(model: Mapping[str, np.ndarray], prefix: str = "flame.") -> bool:
    """Tell whether the head is the benchmark's FLAME 2023, whose identity is not in the template yet."""
    return f"{prefix}transl" in model or f"{prefix}shape_betas" in model


def expression_count(model: Mapping[str, np.ndarray], where: str, stated: int | None = None,
                     prefix: str = "flame.") -> int:
    """Return how many of the last columns of `shapedirs` are expressions.

    Args:
        model: Arrays by key.
        where: Names the file in messages.
        stated: What something else in the file, or beside it, says.
        prefix: Of the buffers' keys.

    Raises:
        FormatError: Nothing says it.
        CheckpointMismatch: Two things say otherwise.
    """
    width = array_of(model, f"{prefix}shapedirs", (None, 3, None), where).shape[2]
    known = WIDTHS.get(width)
    if stated is None:
        if known is None:
            raise FormatError(f"{where}: model: '{prefix}shapedirs' has {width} columns; expected 400 (300 + 100) or 150 "
                              "(100 + 50), or an identity_dict.pkl that says how many are expressions (--side identity=)")
        return known
    if not 0 < stated <= width or known not in (None, stated):
        raise CheckpointMismatch(f"{where}: {stated} expression coefficients do not belong to '{prefix}shapedirs' of {width} "
                                 f"columns{f', of which {known} are expressions' if known else ''}; are the files of one run?")
    return stated


def flame_head(model: Mapping[str, np.ndarray], prefix: str = "flame.", scale: float = 1.0, *, where: str = "checkpoint",
               n_exp: int | None = None, identity: np.ndarray | None = None, edition: str = "") -> HeadModel:
    """Return the head of the buffers `prefix`..., in metres, with its expressions alone: the last `n_exp` columns.

    Its `v_template` has the identity; on the NeRSemble benchmark only once `identity` is given. Faces are FLAME's own
    9976; a template with closed lips is FateAvatar's and FlashAvatar's business (`faces`, `uvcoords` of their files).

    Args:
        model: Arrays by key.
        prefix: Of the buffers' keys; `deformer_network.FLAMEServer.` is an alias of MonoGaussianAvatar's.
        scale: Metres per unit of the tables; 0.25 for MonoGaussianAvatar, whose tables are four times life size.
        where: Names the file in messages.
        n_exp: How many columns are expressions; by the width where None.
        identity: Coefficients to put in, up to as many as identity columns.
        edition: Which FLAME it is; where empty, the released code's: 2023 on the benchmark, else 2020.

    Raises:
        FormatError: A buffer is missing, or not what it should be.
    """
    v_template = array_of(model, f"{prefix}v_template", (None, 3), where)
    vertices = len(v_template)
    if not 0 < vertices <= VERTEX_LIMIT:
        raise FormatError(f"{where}: model: '{prefix}v_template': {vertices} vertices")
    shapedirs = array_of(model, f"{prefix}shapedirs", (vertices, 3, None), where)
    if shapedirs.shape[2] > COLUMN_LIMIT:
        raise FormatError(f"{where}: model: '{prefix}shapedirs': {shapedirs.shape[2]} columns, at most {COLUMN_LIMIT}")
    n_exp = expression_count(model, where, n_exp, prefix)
    n_shape = shapedirs.shape[2] - n_exp
    template = v_template.astype(np.float64)
    if identity is not None:
        if len(identity) > n_shape:
            raise CheckpointMismatch(f"{where}: {len(identity)} identity coefficients for {n_shape} columns")
        template = template + shapedirs[:, :, :len(identity)] @ np.asarray(identity, np.float64)
    posedirs = correctives(array_of(model, f"{prefix}posedirs", (POSE_COLUMNS, 3 * vertices), where))
    joints = len(array_of(model, f"{prefix}parents", (None,), where))
    parents = np.array(array_of(model, f"{prefix}parents", (joints,), where), np.int64)
    if joints:
        parents[0] = -1
    # Factors of 1 and 1/4 are exact.
    return HeadModel(
        edition=edition or ("flame2023" if is_nersemble(model, prefix) else "flame2020"), v_template=scale * template,
        faces=array_of(model, f"{prefix}faces_tensor", (None, 3), where), exprdirs=scale * shapedirs[:, :, n_shape:],
        lbs_weights=array_of(model, f"{prefix}lbs_weights", (vertices, joints), where), parents=parents,
        J_regressor=array_of(model, f"{prefix}J_regressor", (joints, vertices), where), posedirs=scale * posedirs,
        landmarks=_landmarks(model, prefix, where))


def correctives(flat: np.ndarray) -> np.ndarray:
    """Return pose correctives [V, 3, 36] of a table [36, 3 V]."""
    return flat.reshape(len(flat), -1, 3).transpose(1, 2, 0)


def _landmarks(model: Mapping[str, np.ndarray], prefix: str, where: str) -> dict[str, np.ndarray]:
    if any(f"{prefix}{key}" not in model for key in LANDMARKS.values()):
        return {}  # the benchmark's FLAME calls them otherwise, and nothing here needs them
    return {name: array_of(model, f"{prefix}{key}", (None,) * np.ndim(model[f"{prefix}{key}"]), where)
            for name, key in LANDMARKS.items()}


def dressed(plain: HeadModel, given: HeadModel | None, where: str, hint: str = "") -> HeadModel:
    """Return `plain`, the head of a checkpoint, with what the file of its own FLAME knows besides: regions, the map from
    ARKit's shapes, and the content hash that sequences name. None of these changes how it moves.

    Args:
        plain: The checkpoint's.
        given: The file's; None for none.
        where: Names the checkpoint in messages.
        hint: Ends the message about another edition.

    Raises:
        CheckpointMismatch: `given` is another edition, of other sizes, or its tables are not those of the checkpoint.
    """
    if given is None:
        return plain
    if given.edition != plain.edition:
        raise CheckpointMismatch(f"{where}: holds a '{plain.edition}' head, --head is '{given.edition}'; give the head it was "
                                 f"trained with, or none: the checkpoint holds all it needs{hint}")
    count = len(plain.expr_names)
    if len(given.v_template) != len(plain.v_template) or len(given.expr_names) < count:
        raise CheckpointMismatch(f"{where}: holds a head of {len(plain.v_template)} vertices and {count} expressions, --head has "
                                 f"{len(given.v_template)} and {len(given.expr_names)}; leave --head out")
    apart = float(np.abs(given.exprdirs[:, :, :count] - plain.exprdirs).max(initial=0))
    if apart > TABLE_TOLERANCE:
        raise CheckpointMismatch(f"{where}: its expression directions differ from those of --head by up to {1000 * apart:.3g} "
                                 f"mm: another release than '{given.edition}', or a wrongly labelled head file")
    # Columns: expressions, then the tail of joints and lids.
    keep = [*range(count), *range(len(given.expr_names), len(given.expr_names) + ARKIT_TAIL)]
    return dataclasses.replace(plain, regions=given.regions, landmarks=plain.landmarks or given.landmarks,
                               content_hash=given.content_hash,
                               arkit_map=None if given.arkit_map is None else given.arkit_map[:, keep])
