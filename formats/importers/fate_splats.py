"""FATE's own avatar: Gaussians on the triangles of FLAME with closed lips, and a head with learned offsets.

With v0, v1, v2 the posed corners of a Gaussian's face, k the face's size and n = (v1 - v0) x (v2 - v0), not made unit:

    mean = sum_i w_i v_i + 0.05 tanh(offset) n      scale = exp(scaling) k / k_canonical
    quat = unit(quat(face axes) rotation)           opacity = sigmoid(opacity)    rgb = max(0, 0.5 + C0 dc)

k_canonical is what the checkpoint holds: it depends on a jaw angle that differs between FATE's scripts. Baked and edited
checkpoints hold the same attributes for more Gaussians, among them an offset that went through tanh once already, and
quaternions whose components FATE's bake has exchanged; both are used as they are, which is what FATE draws.

Zhang et al., CVPR 2025, section 3.1; facts of the files: its released code.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from formats.avatar import Avatar, FaceBinding, SplatLayer
from formats.conventions import sigmoid
from formats.errors import FormatError, naming
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.importers.fate_context import FateContext
from formats.importers.fate_flame import FACE_LIMIT, POSE_COLUMNS, array_of, correctives

LOG = logging.getLogger(__name__)
NORMAL_OFFSET = 0.05
"""What multiplies the offset; from FATE's settings, not in its files."""


def from_fate(model: Mapping[str, np.ndarray], context: FateContext) -> Avatar:
    """Return the avatar of a checkpoint of FATE's own model: trained, completed to a full head, baked or edited.

    Raises:
        FormatError: A tensor is missing or damaged.
    """
    head = personal_head(model, context)
    count = len(array_of(model, "_offset", (None, 1), context.where))
    attributes = {key: array_of(model, key, shape, context.where, infinite=key == "_opacity")
                  for key, shape in (("_offset", (count, 1)), ("_features_dc", (count, 1, 3)), ("_opacity", (count, 1)),
                                     ("_scaling", (count, 3)), ("_rotation", (count, 4)))}
    rest = model.get("_features_rest")
    if rest is not None and rest.size and np.any(rest):
        LOG.warning("%s: '_features_rest' holds colours that depend on the view (shape %s, up to %.3g); FATE draws without them, "
                    "and they are left out", context.where, list(rest.shape), float(np.abs(rest).max()))
    face, barycentric = places(model, context.where, count)
    layer = splat_layer(attributes, face, barycentric, canonical_sizes(model, head, context.where), context.where)
    return Avatar(head=head, layers=(layer,), sequence=context.sequence, meta=context.meta())


def personal_head(model: Mapping[str, np.ndarray], context: FateContext) -> HeadModel:
    """Return the checkpoint's head: closed lips, texture coordinates, and the learned offsets folded into its tables.

    Joints are regressed from the template with its offsets, as FATE does. Of the offsets of shape directions only those
    of expressions count: identity is in the template, and its coefficients are zero (on the NeRSemble benchmark they are
    not, and their offsets count).
    """
    where, plain = context.where, context.head
    vertices, n_exp = len(plain.v_template), context.n_exp
    uvs = array_of(model, "uvcoords", (None, 2), where)
    template, exprdirs = plain.v_template.astype(np.float64), plain.exprdirs.astype(np.float64)
    changed: dict[str, Any] = {
        "faces": _faces(model, "faces", vertices, where), "uv_faces": _faces(model, "uvfaces", len(uvs), where),
        # Their v grows upward, as in an OBJ.
        "uvs": np.stack([uvs[:, 0], 1 - uvs[:, 1].astype(np.float64)], axis=1)}
    if len(changed["faces"]) != len(changed["uv_faces"]):
        raise FormatError(f"{where}: model: 'faces' has {len(changed['faces'])} rows, 'uvfaces' {len(changed['uv_faces'])}")
    if "delta_vertex" in model:
        template = template + array_of(model, "delta_vertex", (vertices, 3), where)
    if "delta_shapedirs" in model:
        learned = array_of(model, "delta_shapedirs", (vertices, 3, None), where)
        if learned.shape[2] < n_exp:
            raise FormatError(f"{where}: model: 'delta_shapedirs' has {learned.shape[2]} columns, expected at least {n_exp}")
        exprdirs = exprdirs + learned[:, :, learned.shape[2] - n_exp:]
        shape = context.benchmark_shape
        if shape is not None:
            template = template + learned[:, :, :min(len(shape), learned.shape[2] - n_exp)] @ shape[:learned.shape[2] - n_exp]
    if "delta_posedirs" in model and plain.posedirs is not None:
        learned = array_of(model, "delta_posedirs", (POSE_COLUMNS, 3 * vertices), where)
        changed["posedirs"] = plain.posedirs.astype(np.float64) + correctives(learned)
    with naming(where):
        return dataclasses.replace(plain, v_template=template, exprdirs=exprdirs, shapedirs=None, **changed)


def _faces(model: Mapping[str, np.ndarray], key: str, limit: int, where: str) -> np.ndarray:
    faces = array_of(model, key, (None, 3), where)
    if not 0 < len(faces) <= FACE_LIMIT:
        raise FormatError(f"{where}: model: '{key}' has {len(faces)} rows")
    _check_range(faces, key, limit, where)
    return faces


def _check_range(value: np.ndarray, key: str, limit: int, where: str) -> None:
    if value.size and (int(value.min()) < 0 or int(value.max()) >= limit):
        raise FormatError(f"{where}: model: '{key}' spans {int(value.min())}..{int(value.max())}, but there are {limit}")


def places(model: Mapping[str, np.ndarray], where: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return face [N] and barycentric weights [N, 3] of a checkpoint's Gaussians, in its order."""
    face = array_of(model, "face_index", (count,), where)
    _check_range(face, "face_index", len(array_of(model, "faces", (None, 3), where)), where)
    return face, array_of(model, "bary_coords", (len(face), 3), where)


def canonical_sizes(model: Mapping[str, np.ndarray], head: HeadModel, where: str) -> np.ndarray:
    """Return k_canonical [F], metres: the size of each face that scales are relative to."""
    sizes = array_of(model, "face_scaling_canonical", (len(head.faces), 1), where)[:, 0].astype(np.float64)
    if len(sizes) and sizes.min() <= 0:
        raise FormatError(f"{where}: model: 'face_scaling_canonical': {int((sizes <= 0).sum())} faces have no size")
    return sizes


def splat_layer(attributes: Mapping[str, np.ndarray], face: np.ndarray, barycentric: np.ndarray, canonical: np.ndarray,
                where: str) -> SplatLayer:
    """Return Gaussians of FATE's attributes, by their keys in checkpoints and as those store them.

    Args:
        attributes: `_offset` [N, 1], `_features_dc` [N, 1, 3], `_opacity` [N, 1], `_scaling` [N, 3], `_rotation` [N, 4].
        face: [N].
        barycentric: [N, 3].
        canonical: Size of each of the head's faces, metres.
        where: Names the file in messages.
    """
    held = {key: value.astype(np.float64) for key, value in attributes.items()}
    zero = int((~held["_rotation"].any(axis=1)).sum())
    if zero:
        raise FormatError(f"{where}: model: '_rotation': {zero} of {len(face)} quaternions are zero; training failed or the "
                          "file is damaged, take another checkpoint")
    along = np.zeros((len(face), 3))
    along[:, 1] = NORMAL_OFFSET * np.tanh(held["_offset"][:, 0])
    with naming(where), np.errstate(over="ignore"):
        # What overflows is refused by name.
        cloud = GaussianCloud(along, held["_rotation"], np.exp(held["_scaling"]) / canonical[face][:, None],
                              sigmoid(held["_opacity"][:, 0]), held["_features_dc"])
        return SplatLayer(cloud, FaceBinding(face, barycentric, "face", "double_area", "edge_height"))
