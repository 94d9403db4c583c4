"""The reference: what an avatar looks like, posed. Plain NumPy in float64; every faster implementation must match.

Read top to bottom: head, triangle and vertex frames, bindings, dynamics, layers. `deform` ties them together.
Results are world space, metres, float32: what a rasteriser gets.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from formats import networks
from formats.avatar import (
    Avatar,
    Dynamics,
    FaceBinding,
    LinearDynamics,
    MeshLayer,
    SkinBinding,
    SplatLayer,
    StrandLayer,
    check_driver,
)
from formats.conventions import logit, rgb_to_sh, sigmoid
from formats.errors import BindingError
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.rotations import (
    axis_angle_to_matrix,
    axis_angle_to_quat,
    matrix_to_quat,
    normalize,
    polar_rotation,
    quat_multiply,
    shepperd_candidates,
)
from formats.sequence import Sequence


@dataclass(frozen=True, eq=False)
class PosedHead:
    """A head at one moment."""

    vertices: Float64[np.ndarray, "V 3"]
    joint_transforms: Float64[np.ndarray, "J 4 4"]
    """Rest space to world for what each joint carries, translation included (FLAME's A_j, then t)."""
    expr: Float64[np.ndarray, " E"]
    pose_feature: Float64[np.ndarray, " P"]
    eyelids: Float64[np.ndarray, " 2"]
    root_rotation: Float64[np.ndarray, "3 3"]


@dataclass(frozen=True, eq=False)
class PosedSplats:
    """A splat or strand layer at one moment, world space."""

    name: str
    cloud: GaussianCloud
    sh_rotation: Float64[np.ndarray, "3 3"]
    """World directions times this are the directions that meet the SH."""
    features: Float32[np.ndarray, "N C"] | None = None
    """What the avatar's decoder is shown instead of colours."""


@dataclass(frozen=True, eq=False)
class PosedMesh:
    """A mesh layer at one moment, world space."""

    name: str
    vertices: Float32[np.ndarray, "V 3"]
    normals: Float32[np.ndarray, "V 3"]
    layer: MeshLayer
    shading_weights: Float32[np.ndarray, " W"] | None


@dataclass(frozen=True, eq=False)
class Posed:
    """An avatar at one moment."""

    head: PosedHead
    layers: tuple[PosedSplats | PosedMesh, ...]


# --- Head -------------------------------------------------------------------------------------------------------------


def expression_of(head: HeadModel, frame: Sequence) -> Float64[np.ndarray, " E"]:
    """Return the frame's coefficients in the head's order, zero where the frame names none."""
    expr = np.zeros(len(head.expr_names))
    values = frame.expr[0].astype(np.float64)
    if frame.expr_names:
        column = {name: i for i, name in enumerate(head.expr_names)}
        expr[[column[name] for name in frame.expr_names]] = values
    else:
        expr[:len(values)] = values
    return expr


def joint_rotations(head: HeadModel, frame: Sequence) -> Float64[np.ndarray, "J 3 3"]:
    """Return each joint's rotation relative to its parent, identity where nothing drives it."""
    axis_angles = np.zeros((len(head.parents), 3))
    driven = {"root": frame.rotation[0], "neck": frame.neck[0], "jaw": frame.jaw[0],
              "left_eye": frame.eyes[0, :3], "right_eye": frame.eyes[0, 3:]}
    for role, joint in head.joint_roles.items():
        axis_angles[joint] = driven[role]
    for name, rotation in frame.joints.items():
        axis_angles[head.joint_names.index(name)] = rotation[0]
    return axis_angle_to_matrix(axis_angles)


def joint_transforms(head: HeadModel, expr: np.ndarray, local: np.ndarray,
                     translation: np.ndarray) -> Float64[np.ndarray, "J 4 4"]:
    """Return rest-to-world transforms of the joints (FLAME: Li et al. 2017, section 3; SMPL eq. 3 and 4)."""
    rest, motion = head.rest_joints()
    rest = rest + motion @ expr
    steps = np.tile(np.eye(4), (len(rest), 1, 1))
    steps[:, :3, :3] = local
    steps[:, :3, 3] = rest - np.where(head.parents[:, None] >= 0, rest[head.parents], 0)
    world = steps.copy()
    for j, parent in enumerate(head.parents):
        if parent >= 0:
            world[j] = world[parent] @ steps[j]
    relative = world.copy()
    relative[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], rest)
    relative[:, :3, 3] += translation
    return relative


def pose_feature(head: HeadModel, local: np.ndarray) -> Float64[np.ndarray, " P"]:
    """Return the row-major entries of (R - I) of neck, jaw, left eye, right eye: 36 numbers; none without posedirs."""
    if head.posedirs is None or head.posedirs.shape[2] == 0:
        return np.zeros(0)
    identity = np.eye(3)
    rotations = [local[head.joint_roles[r]] if r in head.joint_roles else identity
                 for r in ("neck", "jaw", "left_eye", "right_eye")]
    return np.concatenate([(r - identity).ravel() for r in rotations])


def skin(rest: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Return points [N, 3] under linear blend skinning; weight that rows lack stays with the identity."""
    blended = np.einsum("nj,jab->nab", weights, transforms[:, :3], optimize=True)
    missing = 1 - weights.sum(axis=1)
    missing = np.where(np.abs(missing) < 1e-5, 0, missing)
    moved = np.einsum("nab,nb->na", blended[:, :, :3], rest) + blended[:, :, 3]
    return moved + missing[:, None] * rest


def deform_head(head: HeadModel, frame: Sequence) -> PosedHead:
    """Return the head posed as the first (usually only) frame of `frame` says.

    v = v_template + exprdirs expr + eyeliddirs eyelids + posedirs (R - I), linear blend skinning, translation.
    With `eyelid_space` posed the lids come after skinning, turned by the root alone: metrical-tracker adds them unturned
    to a head whose root never turns, and a clip that moves the head under a free camera must look the same.
    Identity is already in `v_template`; `Sequence.shape` is not used.
    """
    expr, local = expression_of(head, frame), joint_rotations(head, frame)
    translation = frame.translation[0].astype(np.float64)
    eyelids = frame.eyelids[0].astype(np.float64)
    feature = pose_feature(head, local)
    transforms = joint_transforms(head, expr, local, translation)
    rest = head.v_template + head.exprdirs @ expr
    if head.eyeliddirs is not None and head.eyelid_space == "rest":
        rest = rest + head.eyeliddirs @ eyelids
    if feature.size:
        assert head.posedirs is not None
        rest = rest + head.posedirs @ feature
    vertices = skin(rest, _unit_rows(head.lbs_weights), transforms)
    root = local[head.joint_roles["root"]] if "root" in head.joint_roles else np.eye(3)
    if head.eyeliddirs is not None and head.eyelid_space == "posed":
        vertices = vertices + (head.eyeliddirs @ eyelids) @ root.T
    return PosedHead(vertices, transforms, expr, feature, eyelids, root)


def _unit_rows(weights: np.ndarray) -> np.ndarray:
    # Files round weights; a head's rows mean exactly one, so that a translation never scales.
    w = weights.astype(np.float64)
    return w / w.sum(axis=1, keepdims=True)


# --- Frames on the surface --------------------------------------------------------------------------------------------


def triangle_frames(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the axes [F, 3, 3], size k [F] and double area [F] of triangles.

    Columns: unit first edge a0 = v1 - v0, unit normal a1 = a0 x (v2 - v0), and a2 = a0 x a1;
    k = (|v1 - v0| + |a2 . (v2 - v0)|) / 2.
    Source: GaussianAvatars (Qian et al., CVPR 2024), section 3.1; FateAvatar uses the same axes.
    A triangle without area keeps a frame built from its edge, or the world axes (our choice), so nothing turns NaN.
    """
    v0, v1, v2 = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    edge, side = v1 - v0, v2 - v0
    length = np.linalg.norm(edge, axis=1)
    a0 = np.where(length[:, None] > 1e-12, edge / np.maximum(length, 1e-12)[:, None], [1.0, 0.0, 0.0])
    normal = np.cross(a0, side)
    height = np.linalg.norm(normal, axis=1)
    other = np.where(np.abs(a0[:, 1:2]) < 0.9, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    spare = normalize(other - a0 * np.sum(a0 * other, axis=1, keepdims=True))
    a1 = np.where(height[:, None] > 1e-12, normal / np.maximum(height, 1e-12)[:, None], spare)
    a2 = np.cross(a0, a1)
    size = (length + np.abs(np.sum(a2 * side, axis=1))) / 2
    return np.stack([a0, a1, a2], axis=-1), size, length * height


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, floor: float = 0) -> Float64[np.ndarray, "V 3"]:
    """Return unit vertex normals weighted by area; zero for vertices without area around them.

    Each is the sum of (v1 - v0) x (v2 - v0) over the faces there, divided by its length or by `floor`, whichever is more.
    """
    v = vertices.astype(np.float64)
    normal = np.cross(v[faces[:, 1]] - v[faces[:, 0]], v[faces[:, 2]] - v[faces[:, 0]])
    return _unit_or_less(_gather_to_vertices(np.repeat(normal[:, None], 3, axis=1), faces, len(v)), floor)


def _unit_or_less(sums: np.ndarray, floor: float) -> np.ndarray:
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), max(floor, 1e-20))


def _gather_to_vertices(per_corner: np.ndarray, faces: np.ndarray, vertex_count: int) -> np.ndarray:
    """Return sums [V, C] of corner values [F, 3, C] over the corners at each vertex."""
    flat, corners = faces.ravel(), per_corner.reshape(faces.size, -1)
    return np.stack([np.bincount(flat, corners[:, c], vertex_count) for c in range(corners.shape[1])], axis=1)


def vertex_rotations(canonical: np.ndarray, posed: np.ndarray, faces: np.ndarray,
                     floor: float = 0) -> Float64[np.ndarray, "V 4"]:
    """Return quaternions turning each vertex's surroundings from the canonical to the posed mesh.

    Per face R = frame(posed) frame(canonical)^T as a quaternion with w >= 0; per vertex the sum over faces, weighted
    by canonical area, divided by its length or by `floor` (square metres), whichever is more.
    Source: SplattingAvatar (Shao et al., CVPR 2024), section 3.2 and its released arithmetic; neither aligns hemispheres.
    """
    here, _, _ = triangle_frames(posed, faces)
    there, _, double_area = triangle_frames(canonical, faces)
    q = matrix_to_quat(here @ there.transpose(0, 2, 1)) * (double_area / 2)[:, None]
    return _unit_or_less(_gather_to_vertices(np.repeat(q[:, None], 3, axis=1), faces, len(canonical)), floor)


def surface_rotations(canonical: np.ndarray, posed: np.ndarray, faces: np.ndarray) -> Float64[np.ndarray, "V 3 3"]:
    """Return the rotation of each vertex's one-ring from the canonical to the posed mesh.

    The polar factor of S = sum_j e'_j e_j^T + h n' n^T over the directed edges e of the faces at the vertex, with n
    the vertex normals and h = half the sum of |e|^2, which makes a flat ring well conditioned.
    Source: as-rigid-as-possible rotations (Sorkine, Alexa 2007, eq. 5) with a normal term (ours).
    A vertex without faces keeps the identity.
    """
    a, b = canonical.astype(np.float64), posed.astype(np.float64)
    corners = []
    for mesh in (a, b):
        tri = mesh[faces]
        corners.append(np.stack([np.roll(tri, -1, axis=1) - tri, np.roll(tri, -2, axis=1) - tri], axis=2))
    there, here = corners
    outer = np.einsum("fcka,fckb->fcab", here, there).reshape(len(faces), 3, 9)
    s = _gather_to_vertices(outer, faces, len(a)).reshape(-1, 3, 3)
    square = _gather_to_vertices(np.sum(there**2, axis=(2, 3))[..., None], faces, len(a))[:, 0]
    s = s + 0.5 * square[:, None, None] * np.einsum("va,vb->vab", vertex_normals(b, faces), vertex_normals(a, faces))
    rotation = polar_rotation(np.where(square[:, None, None] > 0, s, np.eye(3)))
    return rotation


# --- Bindings ---------------------------------------------------------------------------------------------------------

LocalSplats = tuple[np.ndarray, np.ndarray, np.ndarray]
"""means [N, 3], quats [N, 4] wxyz, scales [N, 3], float64."""


def bind_to_faces(binding: FaceBinding, head: HeadModel, posed: PosedHead, local: LocalSplats) -> LocalSplats:
    """Return splats on the posed head; every option's formula is here.

    With p = sum_j barycentric_j v_j, axes A, size k and double area d of the triangle (`triangle_frames`), and the root
    joint's rotation R:

    - frame `face`: mean = p + g A offset, quat = quat(A) quat.
    - frame `none`: mean = p + g offset, quat unchanged.
    - frame `root`: mean = p + g R offset, quat = quat(R) quat.
    - frame `corner`: mean = p + g R offset, quat = quat(R) (q + quat) with q the `corner_quats` of the directions to the
      corners turned back by R.
    - frame `vertex`: mean = p + g offset_y n with the Phong normal n = unit(sum_j barycentric_j n_j); quat = q quat
      with q = unit(sum_j barycentric_j q_j) of `vertex_rotations`. Both vertex sums have the floor 1e-6 unit^2.
    - `offset_scale`: g = 1 (`none`), k (`edge_height`), d (`double_area`).
    - `splat_scale`: scales (`none`), k scales (`edge_height`), or unit exp(r log(scales / unit)) with r = (area + e) /
      (canonical area + e), e = 1e-4 unit^2 (`log_area_ratio`).

    FlashAvatar's own (`root`, `corner`) are trained with a head that never turns, in its axes; `none` is for a head that turned.
    Sources: GaussianAvatars section 3.1; FateAvatar (Zhang et al., CVPR 2025) section 3.1; SplattingAvatar 3.2.
    """
    means, quats, scales = local
    faces = head.faces[binding.face_index]
    corners = posed.vertices[faces]
    weights = binding.barycentric.astype(np.float64)
    point = np.einsum("nj,njc->nc", weights, corners)
    axes, size, double_area = (v[binding.face_index] for v in triangle_frames(posed.vertices, head.faces))
    gain = {"none": np.ones(len(size)), "edge_height": size, "double_area": double_area}[binding.offset_scale]
    if binding.frame == "face":
        means = point + gain[:, None] * np.einsum("nab,nb->na", axes, means)
        quats = quat_multiply(matrix_to_quat(axes), quats)
    elif binding.frame == "none":
        means = point + gain[:, None] * means
    elif binding.frame in ("root", "corner"):
        root = posed.root_rotation
        means = point + (gain[:, None] * means) @ root.T
        if binding.frame == "corner":
            quats = corner_quats((corners[:, 0] - point) @ root, (corners[:, 1] - point) @ root) + quats
        quats = quat_multiply(matrix_to_quat(root), quats)
    else:
        assert binding.canonical_vertices is not None
        floor = 1e-6 * binding.unit**2
        normal = normalize(np.einsum("nj,njc->nc", weights, vertex_normals(posed.vertices, head.faces, floor)[faces]))
        means = point + (gain * means[:, 1])[:, None] * normal
        turn = vertex_rotations(binding.canonical_vertices, posed.vertices, head.faces, floor)[faces]
        quats = quat_multiply(normalize(np.einsum("nj,njc->nc", weights, turn)), quats)
    if binding.splat_scale == "edge_height":
        scales = scales * size[:, None]
    elif binding.splat_scale == "log_area_ratio":
        assert binding.canonical_vertices is not None
        canonical = triangle_frames(binding.canonical_vertices, head.faces)[2][binding.face_index] / 2
        floor = 1e-4 * binding.unit**2
        ratio = (double_area / 2 + floor) / (canonical + floor)
        scales = binding.unit * np.exp(np.log(np.maximum(scales / binding.unit, 1e-30)) * ratio[:, None])
    return means, quats, scales


def corner_quats(to_first: np.ndarray, to_second: np.ndarray) -> Float64[np.ndarray, "N 4"]:
    """Return quaternions wxyz [N, 4], not unit, of the axes [d, n x d, n] at points whose first two corners lie at `to_first`
    and `to_second` [N, 3]: d = to_first as it is, n = unit(to_first x to_second).

    These columns are no rotation (d has the triangle's size): the quaternion is what the usual conversion (the best
    conditioned of four, by the largest of 1 +- m00 +- m11 +- m22) makes of them, and that is what such avatars are trained
    with. Source: the released arithmetic of FlashAvatar's Wasserstein variant (Deng et al., IEEE SPL 2025).
    """
    normal = normalize(np.cross(to_first, to_second))
    m = np.stack([to_first, np.cross(normal, to_first), normal], axis=-1)
    candidates = shepperd_candidates(m)
    size = np.sqrt(np.maximum(np.diagonal(candidates, axis1=1, axis2=2), 0))
    best, rows = np.argmax(size, axis=1), np.arange(len(size))
    return candidates[rows, best] / (2 * np.maximum(size[rows, best], 0.1))[:, None]


def bind_to_skin(binding: SkinBinding, head: HeadModel, posed: PosedHead, local: LocalSplats) -> LocalSplats:
    """Return splats deformed like vertices: mean = skin(mean + exprdirs expr + posedirs (R - I) + eyeliddirs eyelids).

    `rotation`: quats stay (`none`), turn by the polar rotation of the blended joint matrix (`skin`), or by
    `surface_rotations` of the head at `vertex_index` (`surface`).
    Sources: MonoGaussianAvatar (Chen et al., 2024) eq. 4; Gaussian Head Avatar (Xu et al., CVPR 2024) eq. 5.
    """
    means, quats, scales = local
    if binding.vertex_index is not None:
        pick = binding.vertex_index
        exprdirs, weights = head.exprdirs[pick], _unit_rows(head.lbs_weights)[pick]
        posedirs = None if head.posedirs is None else head.posedirs[pick]
        eyeliddirs = None if head.eyeliddirs is None else head.eyeliddirs[pick]
    else:
        assert binding.lbs_weights is not None
        exprdirs, weights = binding.exprdirs, binding.lbs_weights.astype(np.float64)
        posedirs, eyeliddirs = binding.posedirs, binding.eyeliddirs
    rest = means
    if exprdirs is not None:
        rest = rest + exprdirs @ posed.expr[:exprdirs.shape[2]]
    if posedirs is not None and posed.pose_feature.size and posedirs.shape[2]:
        rest = rest + posedirs @ posed.pose_feature
    if eyeliddirs is not None and head.eyelid_space == "rest":
        rest = rest + eyeliddirs @ posed.eyelids
    means = skin(rest, weights, posed.joint_transforms)
    if eyeliddirs is not None and head.eyelid_space == "posed":
        means = means + (eyeliddirs @ posed.eyelids) @ posed.root_rotation.T
    if binding.rotation == "skin":
        blended = np.einsum("nj,jab->nab", weights, posed.joint_transforms[:, :3, :3], optimize=True)
        blended = blended + (1 - weights.sum(axis=1))[:, None, None] * np.eye(3)
        quats = quat_multiply(matrix_to_quat(polar_rotation(blended)), quats)
    elif binding.rotation == "surface":
        turn = surface_rotations(head.v_template, posed.vertices, head.faces)
        quats = quat_multiply(matrix_to_quat(turn)[binding.vertex_index], quats)
    return means, quats, scales


def _bind(binding: FaceBinding | SkinBinding, head: HeadModel, posed: PosedHead, local: LocalSplats) -> LocalSplats:
    where = bind_to_faces if isinstance(binding, FaceBinding) else bind_to_skin
    return where(binding, head, posed, local)  # type: ignore[arg-type]


# --- Dynamics ---------------------------------------------------------------------------------------------------------


def driver_values(names: tuple[str, ...], head: HeadModel, frame: Sequence) -> dict[str, Float32[np.ndarray, "1 D"]]:
    """Return the frame's arrays by driver name, float32 [1, D]; `expr` in the head's order (`avatar.DERIVED_DRIVERS`)."""
    values = {}
    for name in names:
        if name == "expr":
            value = expression_of(head, frame)
        elif name in frame.drivers:
            value = frame.drivers[name][0]
        elif name in ("rotation", "neck", "jaw", "eyes", "eyelids", "translation"):
            value = getattr(frame, name)[0]
        elif name in ("jaw_6d", "eyes_6d"):
            turns = getattr(frame, name.removesuffix("_6d"))[0].reshape(-1, 3)
            value = axis_angle_to_matrix(turns.astype(np.float64))[:, :2].reshape(-1)
        elif name == "absolute_pose":
            value = np.concatenate([frame.rotation[0], frame.translation[0]])
        else:
            raise BindingError(f"the avatar's network needs driver '{name}', which the sequence does not hold; it has "
                               f"{', '.join(frame.drivers) or 'no extra drivers'}")
        values[name] = np.asarray(value, np.float32)[None]
    return values


def space_of(dynamics: Dynamics, avatar: Avatar) -> str:
    """Return where a layer's dynamics apply: `canonical` or `posed`."""
    return avatar.networks[dynamics].space if isinstance(dynamics, str) else dynamics.space


def deltas_of(dynamics: Dynamics, avatar: Avatar, frame: Sequence,
              posed_means: np.ndarray | None = None) -> Mapping[str, np.ndarray]:
    """Return per-channel deltas [N, C] of a layer's dynamics at this frame; and `features` [N, C], where a network has some.

    Args:
        dynamics: The layer's.
        avatar: Holds the network.
        frame: Drives it.
        posed_means: Where the binding put the Gaussians [N, 3], for a network in posed space.
    """
    if isinstance(dynamics, str):
        network = avatar.networks[dynamics]
        feed = driver_values(tuple(n for n in network.inputs if n != "posed_means"), avatar.head, frame)
        if "posed_means" in network.inputs:
            if posed_means is None:
                raise BindingError(f"network '{dynamics}': takes posed_means, and is not in posed space")
            feed["posed_means"] = np.asarray(posed_means, np.float32)
        outputs = networks.evaluate(network, feed)
        return {k.removeprefix("delta_"): v for k, v in outputs.items() if k.startswith("delta_") or k == "features"}
    return linear_deltas(dynamics, coefficients_of(dynamics, avatar, frame))


def coefficients_of(dynamics: LinearDynamics, avatar: Avatar, frame: Sequence) -> Float64[np.ndarray, " K"]:
    """Return c of `delta[n] = sum_k T[n, k] c_k`: the driver less its mean, or what the function or network makes of it."""
    parts = driver_values(dynamics.driver, avatar.head, frame)
    driver = _driver_less_mean(dynamics, parts)
    if dynamics.function is not None:
        return dynamics.function.coefficients(driver)
    if dynamics.network is None:
        return driver
    network, spans = avatar.networks[dynamics.network], driver_spans(dynamics, parts)
    unknown = [name for name in network.inputs if name not in spans]
    if unknown:
        raise BindingError(f"linear dynamics: network '{dynamics.network}' takes '{unknown[0]}', which is not in their driver, "
                           f"{'+'.join(dynamics.driver)}")
    feed = {name: driver[None, spans[name]].astype(np.float32) for name in network.inputs}
    return networks.evaluate(network, feed)["coefficients"][0].astype(np.float64)


def driver_beyond(dynamics: LinearDynamics, head: HeadModel, frame: Sequence) -> dict[str, float]:
    """Return which parts of the driver leave the range that the coefficient function was fitted to, and by how many widths of it.

    Players hold the numbers at the range's end; none leaves it where there is no function.
    """
    if dynamics.function is None:
        return {}
    parts = driver_values(dynamics.driver, head, frame)
    beyond = dynamics.function.beyond(_driver_less_mean(dynamics, parts))
    most = {name: float(beyond[span].max(initial=0)) for name, span in driver_spans(dynamics, parts).items()}
    return {name: amount for name, amount in most.items() if amount > 0}


def _driver_less_mean(dynamics: LinearDynamics, parts: Mapping[str, np.ndarray]) -> Float64[np.ndarray, " D"]:
    driver = np.concatenate([parts[name][0] for name in dynamics.driver]).astype(np.float64)
    mean = dynamics.driver_mean
    if mean is None:
        return driver
    if len(driver) != len(mean):
        raise BindingError(f"linear dynamics: driver {'+'.join(dynamics.driver)} has {len(driver)} numbers, its mean {len(mean)}")
    return driver - mean


def driver_spans(dynamics: LinearDynamics, parts: Mapping[str, np.ndarray]) -> dict[str, slice]:
    """Return where each part of the driver lies in it, and in its mean: in the driver's own order, whatever a network's is.

    Args:
        dynamics: Whose driver is meant.
        parts: Its arrays by name [1, D], as `driver_values` gives them.
    """
    ends = np.cumsum([parts[name].shape[1] for name in dynamics.driver])
    return {name: slice(int(end) - parts[name].shape[1], int(end)) for name, end in zip(dynamics.driver, ends, strict=True)}


def linear_deltas(dynamics: LinearDynamics, c: np.ndarray) -> dict[str, np.ndarray]:
    """Return `sum_k T[n, k] c_k` per channel, [N, C]."""
    rank = next(iter(dynamics.tables.values())).shape[1]
    if len(c) != rank:
        raise BindingError(f"linear dynamics: {len(c)} coefficients for tables of rank {rank}")
    return {name: np.einsum("nkc,k->nc", table, c, optimize=True) for name, table in dynamics.tables.items()}


# --- Layers -----------------------------------------------------------------------------------------------------------


def deform_splats(layer: SplatLayer, avatar: Avatar, posed: PosedHead, frame: Sequence) -> PosedSplats:
    """Return a splat layer's Gaussians in world space."""
    cloud = layer.cloud
    local = (cloud.means.astype(np.float64), cloud.quats.astype(np.float64), cloud.scales.astype(np.float64))
    opacities, sh = cloud.opacities, cloud.sh
    deltas: Mapping[str, np.ndarray] = {}
    space = None if layer.dynamics is None else space_of(layer.dynamics, avatar)
    if layer.dynamics is not None and space == "canonical":
        deltas = deltas_of(layer.dynamics, avatar, frame)
        local = _apply(local, deltas, space)
    local = _bind(layer.binding, avatar.head, posed, local)
    if layer.dynamics is not None and space == "posed":
        deltas = deltas_of(layer.dynamics, avatar, frame, local[0])
        local = _apply(local, deltas, space)
    if "opacity_logits" in deltas:
        opacities = sigmoid(logit(opacities) + deltas["opacity_logits"][:, 0])
    if "rgb" in deltas:
        sh = sh.astype(np.float64)
        sh[:, 0] += rgb_to_sh(deltas["rgb"]) - rgb_to_sh(np.zeros(3))
    means, quats, scales = local
    to_sh = posed.root_rotation if layer.sh_frame == "head" else np.eye(3)
    return PosedSplats(layer.name, GaussianCloud(means, normalize(quats), scales, opacities, sh), to_sh,
                       deltas.get("features"))


def _apply(local: LocalSplats, deltas: Mapping[str, np.ndarray], space: str) -> LocalSplats:
    means, quats, scales = local
    if "means" in deltas:
        means = means + deltas["means"]
    if "rotvecs" in deltas:
        turn = axis_angle_to_quat(deltas["rotvecs"])
        quats = quat_multiply(quats, turn) if space == "canonical" else quat_multiply(turn, quats)
    if "log_scales" in deltas:
        scales = scales * np.exp(deltas["log_scales"])
    return means, quats, scales


def deform_mesh_points(layer: MeshLayer, avatar: Avatar, posed: PosedHead) -> tuple[Float64[np.ndarray, "V 3"],
                                                                                    Float64[np.ndarray, "V 3"]]:
    """Return a mesh layer's vertices and unit normals in world space; normals turn with the blended joint rotation."""
    binding = layer.binding
    still = np.tile([1.0, 0, 0, 0], (len(layer.vertices), 1))
    vertices, _, _ = bind_to_skin(binding, avatar.head, posed, (layer.vertices.astype(np.float64), still, still[:, :3]))
    weights = binding.lbs_weights if binding.vertex_index is None else avatar.head.lbs_weights[binding.vertex_index]
    assert weights is not None
    w = weights.astype(np.float64)
    blended = np.einsum("nj,jab->nab", w, posed.joint_transforms[:, :3, :3], optimize=True)
    blended = blended + (1 - w.sum(axis=1))[:, None, None] * np.eye(3)
    return vertices, normalize(np.einsum("nab,nb->na", blended, layer.normals.astype(np.float64)))


def deform_mesh(layer: MeshLayer, avatar: Avatar, posed: PosedHead, frame: Sequence) -> PosedMesh:
    """Return a mesh layer in world space, with the weights that its network gives for this frame."""
    vertices, normals = deform_mesh_points(layer, avatar, posed)
    shading = None
    if layer.shading is not None:
        network = avatar.networks[layer.shading.weights_from]
        feed = driver_values(network.inputs, avatar.head, frame)
        shading = networks.evaluate(network, feed)["shading_weights"].reshape(-1)
    return PosedMesh(layer.name, vertices.astype(np.float32), normals.astype(np.float32), layer, shading)


def deform_strands(layer: StrandLayer, avatar: Avatar, posed: PosedHead) -> PosedSplats:
    """Return a strand layer as Gaussians, one per segment, strand after strand."""
    strands, points, _ = layer.points.shape
    face = np.repeat(layer.binding.face_index, points)
    riding = FaceBinding(face, np.repeat(layer.binding.barycentric, points, axis=0), layer.binding.frame,
                         layer.binding.offset_scale, "none", layer.binding.canonical_vertices, layer.binding.unit)
    still = np.tile([1.0, 0, 0, 0], (strands * points, 1))
    local = (layer.points.reshape(-1, 3).astype(np.float64), still, still[:, :3])
    world = bind_to_faces(riding, avatar.head, posed, local)[0].reshape(strands, points, 3)
    start, step = world[:, :-1].reshape(-1, 3), np.diff(world, axis=1).reshape(-1, 3)
    length = np.linalg.norm(step, axis=1)
    width = layer.widths[:, :-1].ravel().astype(np.float64)
    sh = rgb_to_sh(layer.rgb[:, :-1].reshape(-1, 1, 3).astype(np.float64))
    cloud = GaussianCloud(start + step / 2, quats_along(step), np.stack([layer.segment_scale * length, width, width], axis=1),
                          layer.opacities[:, :-1].ravel(), sh)
    return PosedSplats(layer.name, cloud, np.eye(3))


def quats_along(direction: np.ndarray) -> Float64[np.ndarray, "N 4"]:
    """Return the shortest rotations from +x to each direction [N, 3]; identity for a zero direction."""
    d = normalize(direction)
    q = np.stack([1 + d[:, 0], np.zeros(len(d)), -d[:, 2], d[:, 1]], axis=1)
    length = np.linalg.norm(q, axis=1, keepdims=True)
    flipped = np.where(np.linalg.norm(d, axis=1, keepdims=True) > 0, [0.0, 0, 1, 0], [1.0, 0, 0, 0])
    return np.where(length > 1e-9, q / np.maximum(length, 1e-9), flipped)


def deform(avatar: Avatar, sequence: Sequence, t: float = 0) -> Posed:
    """Return the avatar posed at the fractional frame index `t` of `sequence` (`Sequence.sample`).

    Raises:
        CheckpointMismatch: The sequence speaks another coefficient space than the avatar's head.
        BindingError: A network needs a driver that the sequence does not hold.
    """
    check_driver(avatar.head, sequence)
    frame = sequence.sample(t)
    posed = deform_head(avatar.head, frame)
    layers: list[PosedSplats | PosedMesh] = []
    for layer in avatar.layers:
        if isinstance(layer, SplatLayer):
            layers.append(deform_splats(layer, avatar, posed, frame))
        elif isinstance(layer, MeshLayer):
            layers.append(deform_mesh(layer, avatar, posed, frame))
        else:
            layers.append(deform_strands(layer, avatar, posed))
    return Posed(posed, tuple(layers))


def rest_sequence(head: HeadModel) -> Sequence:
    """Return one neutral frame for `head`: no expression, no rotation."""
    return Sequence(head.edition, 25.0, np.zeros((1, len(head.expr_names)), np.float32), expr_names=head.expr_names)

