"""Posing in torch, with gradients: the twin of `formats.deform`, which is the definition and holds every formula.

    head = TorchHead(model).to(device)
    posed = head.pose(motion, offset=..., exprdirs_offset=..., posedirs_offset=...)
    means, quats, scales = TorchFaceBinding.of(binding, head).bind(posed, means, quats, scales)

A call neither branches on values nor waits for the device nor makes shapes that depend on data: it fits into a CUDA graph.
Products here are in full float32; with TF32 switched on (`torch.set_float32_matmul_precision`) vertices would be 0.1 mm off.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from formats.avatar import FaceBinding, SkinBinding
from formats.errors import BindingError, CheckpointMismatch, UnsupportedFeature
from formats.head_model import ROLES, HeadModel
from trainers.model import Motion
from trainers.rotations import (
    axis_angle_to_matrix,
    matrix_to_quat,
    normalize,
    polar_rotation,
    quat_multiply,
    swap,
)
from trainers.triangles import (
    corner_quats,
    corners_of,
    frames,
    surface_rotations,
    turned_frames,
    vertex_normals,
    vertex_rotations,
)

LocalSplats = tuple[Tensor, Tensor, Tensor]
"""means [N, 3], quats [N, 4] wxyz, scales [N, 3]."""

STILL = len(ROLES)
"""Row of the identity after the rotations of `ROLES`, for joints and roles that nothing drives."""


@dataclass(frozen=True, eq=False)
class PosedTorchHead:
    """A head at one moment, on the device and in the graph."""

    vertices: Tensor
    """[V, 3], world space, metres."""
    joints: Tensor
    """Rest joints of the personalised, expressed head, [J, 3]."""
    joint_transforms: Tensor
    """Rest space to world, translation included, [J, 3, 4]."""
    expr: Tensor
    """[e], as many as the motion holds."""
    pose_feature: Tensor
    """[36], or [0] without pose correctives."""
    eyelids: Tensor
    """[2]"""
    root_rotation: Tensor
    """[3, 3]"""


class TorchHead(nn.Module):
    """A `HeadModel` on a device. Its tables are buffers that `state_dict` leaves out: they come from the head's file.

    `double()` gives a head in float64. Joints that no role drives stay at rest: `Motion` does not hold them.
    """

    faces: Tensor
    v_template: Tensor
    weights: Tensor
    """Of skinning, [J, V]."""
    rest_dirs: Tensor
    lid_dirs: Tensor
    J_rest: Tensor
    J_exprdirs: Tensor
    J_regressor: Tensor
    joint_drivers: Tensor
    feature_drivers: Tensor
    unsort: Tensor

    def __init__(self, head: HeadModel) -> None:
        super().__init__()
        self.model = head
        vertices, expressions = len(head.v_template), len(head.expr_names)
        rest, motion = head.rest_joints()
        weights = head.lbs_weights.astype(np.float64)
        correctives = np.zeros((vertices, 3, 0)) if head.posedirs is None else head.posedirs
        no_lids = np.zeros((vertices, 3, 0))
        lids = no_lids if head.eyeliddirs is None else head.eyeliddirs
        posed_lids = head.eyelid_space == "posed"
        self.corrective_count, self.expression_count = correctives.shape[2], expressions
        self.has_rest_lids, self.has_posed_lids = lids.shape[2] > 0 and not posed_lids, lids.shape[2] > 0 and posed_lids
        # One table for all that is linear in rest space, expressions last: a motion with fewer uses its first columns.
        self._hold("rest_dirs", np.concatenate([correctives, no_lids if posed_lids else lids, head.exprdirs], 2))
        self._hold("lid_dirs", lids if posed_lids else no_lids)
        self._hold("v_template", head.v_template)
        # Files round weights; a head's rows mean exactly one, so that a translation never scales.
        self._hold("weights", (weights / weights.sum(axis=1, keepdims=True)).T)
        self._hold("J_rest", rest)
        self._hold("J_exprdirs", motion)
        # Stored joints do not follow learned deltas, as in a HeadModel that holds both.
        self._hold("J_regressor", np.zeros((len(rest), 0)) if head.J_regressor is None else head.J_regressor)
        self._hold("faces", head.faces, np.int64)
        drivers = np.full(len(rest), STILL)
        for role, joint in head.joint_roles.items():
            drivers[joint] = ROLES.index(role)
        self._hold("joint_drivers", drivers, np.int64)
        driven = [ROLES.index(role) if role in head.joint_roles else STILL for role in ROLES]
        self._hold("feature_drivers", driven[1:], np.int64)
        self.root_driver = driven[0]
        # Joints by depth: each level turns at once. Parents as rows of the level above.
        depth = [0] * len(rest)
        for joint, parent in enumerate(head.parents):
            depth[joint] = 0 if parent < 0 else depth[parent] + 1
        levels = [[j for j in range(len(rest)) if depth[j] == d] for d in range(max(depth, default=-1) + 1)]
        self.level_count = len(levels)
        for d, level in enumerate(levels):
            self._hold(f"level{d}", level, np.int64)
            if d:
                self._hold(f"parents{d}", [levels[d - 1].index(head.parents[j]) for j in level], np.int64)
        self._hold("unsort", np.argsort([j for level in levels for j in level]), np.int64)

    def _hold(self, name: str, value: object, dtype: type = np.float32) -> None:
        self.register_buffer(name, torch.from_numpy(np.array(value, dtype, order="C")), persistent=False)

    @property
    def exprdirs(self) -> Tensor:
        """Metres per unit coefficient, [V, 3, E], a view."""
        return self.rest_dirs[:, :, self.rest_dirs.shape[2] - self.expression_count:]

    @property
    def posedirs(self) -> Tensor:
        """Pose correctives, [V, 3, 36 or 0], a view."""
        return self.rest_dirs[:, :, :self.corrective_count]

    @property
    def eyeliddirs(self) -> Tensor:
        """Left and right eyelid closing, [V, 3, 2 or 0], a view."""
        if self.has_rest_lids:
            return self.rest_dirs[:, :, self.corrective_count:self.corrective_count + 2]
        return self.lid_dirs

    def pose(self, motion: Motion, offset: Tensor | None = None, exprdirs_offset: Tensor | None = None,
             posedirs_offset: Tensor | None = None) -> PosedTorchHead:
        """Return the head posed as `motion` says: `formats.deform.deform_head` of a head whose tables hold the offsets.

        Args:
            motion: May hold fewer expressions than the head; the rest are 0 and cost nothing.
            offset: Added to `v_template`, metres, [V, 3].
            exprdirs_offset: Added to the first D columns of `exprdirs`, [V, 3, D].
            posedirs_offset: Added to `posedirs`, [V, 3, 36].

        Raises:
            CheckpointMismatch: The motion, or an offset, has more expressions than the head, or another size.
        """
        self._check(motion, offset, exprdirs_offset, posedirs_offset)
        driven = torch.cat([motion.rotation, motion.neck, motion.jaw, motion.eyes, motion.neck.new_zeros(3)]).view(-1, 3)
        rotations = axis_angle_to_matrix(driven)
        expr, eyelids, feature = motion.expr, motion.eyelids, motion.expr.new_zeros(0)
        if self.corrective_count or posedirs_offset is not None:
            eye = torch.eye(3, dtype=driven.dtype, device=driven.device)
            feature = (rotations.index_select(0, self.feature_drivers) - eye).reshape(-1)
        coefficients = torch.cat([*([feature] * bool(self.corrective_count)), *([eyelids] * self.has_rest_lids), expr])
        rest = _add_linear(self.v_template.view(-1), self.rest_dirs, coefficients)
        joints = self.J_rest + self.J_exprdirs[:, :, :len(expr)] @ expr
        delta = None if offset is None else offset.reshape(-1)
        if exprdirs_offset is not None:
            delta = _add_linear(delta, exprdirs_offset, expr)
        if delta is not None:
            rest = rest + delta
            if self.J_regressor.shape[1]:
                joints = joints + self.J_regressor @ delta.view(-1, 3)
        if posedirs_offset is not None:
            rest = _add_linear(rest, posedirs_offset, feature)
        transforms = self._transforms(rotations.index_select(0, self.joint_drivers), joints, motion.translation)
        vertices = skin(rest.view(-1, 3), self.weights, transforms)
        root = rotations[self.root_driver]
        if self.has_posed_lids:
            vertices = vertices + _add_linear(None, self.lid_dirs, eyelids).view(-1, 3) @ root.t()
        return PosedTorchHead(vertices, joints, transforms, expr, feature, eyelids, root)

    def _check(self, motion: Motion, *offsets: Tensor | None) -> None:
        if len(motion.expr) > self.expression_count:
            raise CheckpointMismatch(f"the motion has {len(motion.expr)} expressions, the head {self.expression_count}; "
                                     "use the head it was tracked with")
        count = len(self.v_template)
        for name, value, columns in zip(("offset", "exprdirs_offset", "posedirs_offset"), offsets,
                                        (None, range(self.expression_count + 1), (0, 36)), strict=True):
            if value is None:
                continue
            shape = tuple(value.shape)
            fits = shape == (count, 3) if columns is None else (shape[:2] == (count, 3) and value.dim() == 3
                                                                and value.shape[2] in columns)
            if not fits:
                expected = f"({count}, 3)" if columns is None else f"({count}, 3, {columns[-1]})"
                raise CheckpointMismatch(f"TorchHead.pose: {name} is {shape}, expected {expected}; make it for this head")

    def _transforms(self, local: Tensor, joints: Tensor, translation: Tensor) -> Tensor:
        """Return rest-to-world transforms [J, 3, 4]: R = R_parent R_local, t = t_parent + (R_parent - R) joint."""
        turns, shifts = [], []
        for depth in range(self.level_count):
            index = self.get_buffer(f"level{depth}")
            turn, joint = local.index_select(0, index), joints.index_select(0, index)[:, :, None]
            if depth:
                parents = self.get_buffer(f"parents{depth}")
                above = turns[-1].index_select(0, parents)
                turn = above @ turn
                shift = shifts[-1].index_select(0, parents) + (above - turn) @ joint
            else:
                shift = joint - turn @ joint + translation[:, None]
            turns.append(turn)
            shifts.append(shift)
        return torch.cat([torch.cat(turns), torch.cat(shifts)], 2).index_select(0, self.unsort)


def _add_linear(base: Tensor | None, table: Tensor, coefficients: Tensor) -> Tensor:
    """Return base [3 V] + table [V, 3, D] coefficients [d], over the columns that both have."""
    count = min(table.shape[2], len(coefficients))
    rows = table.reshape(-1, table.shape[2])
    if count < table.shape[2]:
        rows = rows[:, :count]
    if count < len(coefficients):
        coefficients = coefficients[:count]
    return rows.mv(coefficients) if base is None else torch.addmv(base, rows, coefficients)


def skin(rest: Tensor, weights: Tensor, transforms: Tensor) -> Tensor:
    """Return points [N, 3] under linear blend skinning, by weights [J, N] that sum to 1 and transforms [J, 3, 4].

    As one product: the joints' rotations, side by side, against the points times their weights; no matrix per point.
    """
    spread = (weights[:, None] * swap(rest)).flatten(0, 1)
    turns = transforms[:, :, :3].transpose(0, 1).reshape(3, -1)
    return swap(torch.addmm(transforms[:, :, 3].t() @ weights, turns, spread))


class TorchFaceBinding(nn.Module):
    """A `FaceBinding` on a device; sizes are fixed, so make another one when Gaussians come or go."""

    corner_index: Tensor
    weights: Tensor
    faces: Tensor
    canonical_vertices: Tensor
    canonical_area: Tensor

    def __init__(self, head: TorchHead, face_index: Tensor, barycentric: Tensor, frame: str = "face",
                 offset_scale: str = "edge_height", splat_scale: str = "edge_height",
                 canonical_vertices: Tensor | None = None, unit: float = 1.0) -> None:
        """Bind N elements to a head's triangles; fields as `FaceBinding`'s, tensors on the head's device.

        Args:
            head: Whose triangles.
            face_index: [N], int64.
            barycentric: [N, 3].
            frame: `face`, `vertex`, `corner`, `root` or `none`.
            offset_scale: `none`, `edge_height` or `double_area`.
            splat_scale: `none`, `edge_height` or `log_area_ratio`.
            canonical_vertices: [V, 3], for frame `vertex` and for `log_area_ratio`.
            unit: Metres in the unit those two compute in.
        """
        super().__init__()
        self.frame, self.offset_scale, self.splat_scale, self.unit = frame, offset_scale, splat_scale, float(unit)
        corners = head.faces.index_select(0, face_index).t().reshape(-1)
        self.register_buffer("corner_index", corners, persistent=False)
        self.register_buffer("weights", barycentric.t().contiguous().to(head.v_template.dtype), persistent=False)
        self.register_buffer("faces", head.faces if frame == "vertex" else None, persistent=False)
        needs = frame == "vertex" or splat_scale == "log_area_ratio"
        if needs and canonical_vertices is None:
            raise BindingError("TorchFaceBinding.canonical_vertices: needed by frame 'vertex' and by 'log_area_ratio'")
        area = None
        if splat_scale == "log_area_ratio" and canonical_vertices is not None:
            _, edge, height = frames(corners_of(canonical_vertices, corners))
            area = edge * height / 2
        self.register_buffer("canonical_area", area, persistent=False)
        self.register_buffer("canonical_vertices", canonical_vertices if frame == "vertex" else None, persistent=False)

    @classmethod
    def of(cls, binding: FaceBinding, head: TorchHead) -> "TorchFaceBinding":
        """Return `binding` on the head's device, in the head's precision."""
        def here(value: np.ndarray | None) -> Tensor | None:
            return None if value is None else torch.tensor(value).to(head.v_template)

        index = torch.tensor(binding.face_index.astype(np.int64), device=head.faces.device)
        weights = here(binding.barycentric)
        assert weights is not None
        return cls(head, index, weights, binding.frame, binding.offset_scale, binding.splat_scale,
                   here(binding.canonical_vertices), binding.unit)

    def __len__(self) -> int:
        return self.weights.shape[1]

    def bind(self, posed: PosedTorchHead, means: Tensor, quats: Tensor, scales: Tensor,
             shift: Tensor | None = None) -> LocalSplats:
        """Return splats on the posed head, as `formats.deform.bind_to_faces` defines them.

        Args:
            posed: The head.
            means: Offsets, [N, 3].
            quats: [N, 4]; need not be unit but in frame `corner`, and what comes out is as long.
            scales: Linear, [N, 3].
            shift: Added to the barycentric weights, [3, N], where those are learned.
        """
        weights = self.weights if shift is None else self.weights + shift
        corners = corners_of(posed.vertices, self.corner_index)
        axes, turn, edge, height = turned_frames(corners) if self.frame == "face" else (None, None, *frames(corners)[1:])
        point = (corners * weights).sum(1)
        size, double_area = (edge + height) / 2, edge * height
        local = swap(means)
        if self.offset_scale != "none":
            local = local * (size if self.offset_scale == "edge_height" else double_area)
        if axes is not None:
            point = point + (axes * local[:, None]).sum(0)
        elif self.frame == "none":
            point = point + local
        elif self.frame in ("root", "corner"):
            root = posed.root_rotation
            if self.frame == "corner":
                quats = quats + swap(corner_quats(root.t() @ (corners[:, 0] - point), root.t() @ (corners[:, 1] - point)))
            point = point + root @ local
            turn = matrix_to_quat(root)[:, None].expand(4, len(self))
        else:
            floor = 1e-6 * self.unit**2
            point = point + local[1] * normalize(self._blend(vertex_normals(posed.vertices, self.faces, floor), weights), 0)
            turn = self._blend(vertex_rotations(self.canonical_vertices, posed.vertices, self.faces, floor), weights)
            turn = normalize(turn, 0)
        if turn is not None:
            quats = swap(quat_multiply(turn, swap(quats), 0))
        if self.splat_scale == "edge_height":
            scales = scales * size[:, None]
        elif self.splat_scale == "log_area_ratio":
            floor = 1e-4 * self.unit**2
            ratio = (double_area / 2 + floor) / (self.canonical_area + floor)
            scales = self.unit * torch.exp(torch.log((scales / self.unit).clamp(min=1e-30)) * ratio[:, None])
        return swap(point), quats, scales

    def _blend(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return [C, N] blends of values [V, C] over the corners."""
        gathered = swap(values).index_select(1, self.corner_index)
        return (gathered.view(len(gathered), 3, -1) * weights).sum(1)


class TorchSkinBinding(nn.Module):
    """A `SkinBinding` on a device. Its tables are buffers; a system that learns them passes its own to `bind`'s parts."""

    exprdirs: Tensor | None
    posedirs: Tensor | None
    eyeliddirs: Tensor | None
    weights: Tensor
    vertex_index: Tensor
    faces: Tensor
    v_template: Tensor

    def __init__(self, head: TorchHead, binding: SkinBinding) -> None:
        super().__init__()
        self.rotation, self.posed_lids = binding.rotation, head.model.eyelid_space == "posed"
        device, dtype = head.v_template.device, head.v_template.dtype
        shared, index = head.model, binding.vertex_index
        if index is not None:
            tables = {name: None if getattr(shared, name) is None else getattr(shared, name)[index]
                      for name in ("exprdirs", "posedirs", "eyeliddirs")}
            weights = shared.lbs_weights.astype(np.float64)
            weights = (weights / weights.sum(axis=1, keepdims=True))[index]
        else:
            assert binding.lbs_weights is not None
            tables = {name: getattr(binding, name) for name in ("exprdirs", "posedirs", "eyeliddirs")}
            weights = binding.lbs_weights.astype(np.float64)
        for name, value in tables.items():
            held = None if value is None or not value.shape[2] else torch.tensor(value, dtype=dtype, device=device)
            self.register_buffer(name, held, persistent=False)
        # What rows lack stays with the identity: a joint more, which never moves.
        missing = 1 - weights.sum(axis=1, keepdims=True)
        weights = np.concatenate([weights, np.where(np.abs(missing) < 1e-5, 0, missing)], axis=1)
        self.register_buffer("weights", torch.tensor(weights.T, dtype=dtype, device=device).contiguous(),
                             persistent=False)
        self.register_buffer("vertex_index", None if index is None else torch.tensor(index.astype(np.int64), device=device),
                             persistent=False)
        turning = binding.rotation == "surface"
        self.register_buffer("faces", head.faces if turning else None, persistent=False)
        self.register_buffer("v_template", head.v_template if turning else None, persistent=False)

    def __len__(self) -> int:
        return self.weights.shape[1]

    def bind(self, posed: PosedTorchHead, means: Tensor, quats: Tensor, scales: Tensor) -> LocalSplats:
        """Return splats deformed like vertices, as `formats.deform.bind_to_skin` defines them; learned offsets of the
        head's tables do not reach them.

        Args:
            posed: The head.
            means: Rest space, metres, [N, 3].
            quats: [N, 4].
            scales: Metres, [N, 3].
        """
        rest = means.reshape(-1)
        if self.exprdirs is not None:
            rest = _add_linear(rest, self.exprdirs, posed.expr)
        if self.posedirs is not None and len(posed.pose_feature):
            rest = _add_linear(rest, self.posedirs, posed.pose_feature)
        if self.eyeliddirs is not None and not self.posed_lids:
            rest = _add_linear(rest, self.eyeliddirs, posed.eyelids)
        ghost = torch.eye(3, 4, dtype=rest.dtype, device=rest.device)[None]
        transforms = torch.cat([posed.joint_transforms, ghost])
        means = skin(rest.view(-1, 3), self.weights, transforms)
        if self.eyeliddirs is not None and self.posed_lids:
            means = means + _add_linear(None, self.eyeliddirs, posed.eyelids).view(-1, 3) @ posed.root_rotation.t()
        if self.rotation == "skin":
            blended = (self.weights.t() @ transforms[:, :, :3].reshape(-1, 9)).view(-1, 3, 3)
            quats = quat_multiply(matrix_to_quat(polar_rotation(blended)), quats)
        elif self.rotation == "surface":
            turn = matrix_to_quat(surface_rotations(self.v_template, posed.vertices, self.faces))
            quats = quat_multiply(turn.index_select(0, self.vertex_index), quats)
        return means, quats, scales


def torch_binding(binding: FaceBinding | SkinBinding, head: TorchHead) -> TorchFaceBinding | TorchSkinBinding:
    """Return a layer's binding on the head's device.

    Raises:
        UnsupportedFeature: It is of a kind that training does not know.
    """
    if isinstance(binding, FaceBinding):
        return TorchFaceBinding.of(binding, head)
    if isinstance(binding, SkinBinding):
        return TorchSkinBinding(head, binding)
    raise UnsupportedFeature(f"training cannot ride a head by {type(binding).__name__}; it knows FaceBinding, SkinBinding")
