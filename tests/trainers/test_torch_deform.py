"""Torch posing against `formats.deform`, values and gradients."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from formats import deform as d  # noqa: E402
from formats.avatar import FaceBinding, SkinBinding  # noqa: E402
from formats.errors import BindingError, CheckpointMismatch  # noqa: E402
from formats.rotations import axis_angle_to_matrix, axis_angle_to_quat, normalize, polar_rotation  # noqa: E402
from formats.standin.clip import standin_clip  # noqa: E402
from formats.standin.head import standin_head  # noqa: E402
from tests.builders import face_binding, skin_binding, tiny_head, tiny_sequence  # noqa: E402
from trainers import rotations, triangles  # noqa: E402
from trainers.deform import TorchFaceBinding, TorchHead, TorchSkinBinding, torch_binding  # noqa: E402
from trainers.model import Motion  # noqa: E402

METERS, UNITS = 1e-5, 1e-4
FIELDS = ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation")


def motion_of(frame, dtype=torch.float32, expressions=None) -> Motion:
    values = {name: torch.tensor(getattr(frame, name)[0], dtype=dtype) for name in FIELDS}
    return Motion(**values | {"expr": values["expr"][:expressions]})


def turning_posed_lids(head):
    return dataclasses.replace(head, eyelid_space="posed")


HEADS = {
    "plain": lambda: tiny_head(),
    "no correctives": lambda: tiny_head(correctives=False),
    "stored joints, a spine": lambda: tiny_head(extra_joints=3),
    "posed lids": lambda: turning_posed_lids(tiny_head()),
    "no lids": lambda: dataclasses.replace(tiny_head(), eyeliddirs=None),
    "roles in another order": lambda: dataclasses.replace(tiny_head(), joint_roles={"root": 0, "jaw": 4, "left_eye": 2}),
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads_of_every_kind(kind: str) -> None:
    head = HEADS[kind]()
    clip = dataclasses.replace(tiny_sequence(head, 4), joints={})
    twin = TorchHead(head)
    for t in range(4):
        theirs, ours = d.deform_head(head, clip.sample(t)), twin.pose(motion_of(clip.sample(t)))
        np.testing.assert_allclose(ours.vertices, theirs.vertices, atol=METERS)
        np.testing.assert_allclose(ours.joint_transforms, theirs.joint_transforms[:, :3], atol=METERS)
        np.testing.assert_allclose(ours.pose_feature, theirs.pose_feature, atol=METERS)
        np.testing.assert_allclose(ours.root_rotation, theirs.root_rotation, atol=METERS)


@pytest.mark.parametrize("variant", ["open-mouth", "closed"])
def test_the_stand_in_over_its_clip(variant: str) -> None:
    head = standin_head(variant)
    clip, twin = standin_clip(head), TorchHead(head)
    rng = np.random.default_rng(3)
    n = 4000
    binding = FaceBinding(rng.integers(0, len(head.faces), n), rng.dirichlet([1, 1, 1], n))
    local = (rng.normal(0, 0.2, (n, 3)), normalize(rng.normal(size=(n, 4))), rng.uniform(0.1, 1, (n, 3)))
    riding = TorchFaceBinding.of(binding, twin)
    for t in np.linspace(0, len(clip) - 1, 10).round():
        frame = clip.sample(float(t))
        theirs = d.deform_head(head, frame)
        ours = twin.pose(motion_of(frame))
        np.testing.assert_allclose(ours.vertices, theirs.vertices, atol=METERS)
        compare(riding.bind(ours, *floats(local)), d.bind_to_faces(binding, head, theirs, local))


def floats(local, dtype=torch.float32):
    return tuple(torch.tensor(value, dtype=dtype) for value in local)


def compare(ours, theirs) -> None:
    means, quats, scales = (value.detach().numpy() for value in ours)
    np.testing.assert_allclose(means, theirs[0], atol=METERS)
    sign = np.where(np.sum(quats * theirs[1], axis=1, keepdims=True) < 0, -1, 1)
    np.testing.assert_allclose(quats * sign, theirs[1], atol=UNITS)
    np.testing.assert_allclose(scales, theirs[2], atol=UNITS)


@pytest.mark.parametrize("splat_scale", ["none", "edge_height", "log_area_ratio"])
@pytest.mark.parametrize("offset_scale", ["none", "edge_height", "double_area"])
@pytest.mark.parametrize(("frame", "unit"), [("face", 1.0), ("vertex", 1.0), ("vertex", 0.25), ("vertex", 60.0),
                                             ("corner", 1.0), ("root", 1.0), ("none", 0.25)])
def test_every_way_of_riding_a_face(frame: str, unit: float, offset_scale: str, splat_scale: str) -> None:
    head = tiny_head()
    clip = tiny_sequence(head, 3)
    binding = face_binding(head, 60, unit=unit, frame=frame, offset_scale=offset_scale, splat_scale=splat_scale)
    rng = np.random.default_rng(5)
    local = (rng.normal(0, 0.01, (60, 3)), normalize(rng.normal(size=(60, 4))), rng.uniform(0.001, 0.3, (60, 3)))
    local[2][0] = 0
    twin = TorchHead(head)
    riding = torch_binding(binding, twin)
    for t in range(3):
        theirs = d.deform_head(head, clip.sample(t))
        compare(riding.bind(twin.pose(motion_of(clip.sample(t))), *floats(local)),
                d.bind_to_faces(binding, head, theirs, local))


SKINS = {
    "own tables": lambda head: skin_binding(head, 30),
    "own tables that leak, turning": lambda head: skin_binding(head, 30, leak=0.3, rotation="skin"),
    "the head's": lambda head: SkinBinding(np.arange(0, 110, 3)),
    "the head's, turning": lambda head: SkinBinding(np.arange(0, 110, 3), rotation="skin"),
    "surface": lambda head: SkinBinding(np.arange(0, 110, 3), rotation="surface"),
    "few expressions": lambda head: dataclasses.replace(binding := skin_binding(head, 30), exprdirs=binding.exprdirs[:, :, :4]),
    "weights alone": lambda head: SkinBinding(lbs_weights=np.tile(np.float32([0.5, 0.5, 0, 0, 0]), (12, 1))),
}


@pytest.mark.parametrize("lids", ["rest", "posed"])
@pytest.mark.parametrize("kind", SKINS)
def test_every_way_of_riding_the_skeleton(kind: str, lids: str) -> None:
    head = dataclasses.replace(tiny_head(), eyelid_space=lids)
    clip, binding = tiny_sequence(head, 3), SKINS[kind](head)
    n = len(binding)
    rng = np.random.default_rng(5)
    local = (rng.normal(0, 0.05, (n, 3)), normalize(rng.normal(size=(n, 4))), rng.uniform(0.001, 0.3, (n, 3)))
    twin = TorchHead(head)
    riding = torch_binding(binding, twin)
    for t in range(3):
        theirs = d.deform_head(head, clip.sample(t))
        compare(riding.bind(twin.pose(motion_of(clip.sample(t))), *floats(local)),
                d.bind_to_skin(binding, head, theirs, local))


@pytest.mark.parametrize("kind", ["plain", "no correctives", "stored joints, a spine", "posed lids"])
def test_offsets_are_a_head_that_holds_them(kind: str) -> None:
    head = HEADS[kind]()
    rng = np.random.default_rng(4)
    count, expressions = len(head.v_template), len(head.expr_names)
    offset = rng.normal(0, 0.003, (count, 3)).astype(np.float32)
    dirs = rng.normal(0, 0.003, (count, 3, expressions)).astype(np.float32)
    correctives = rng.normal(0, 0.003, (count, 3, 36)).astype(np.float32)
    posedirs = correctives if head.posedirs is None else head.posedirs + correctives
    holding = dataclasses.replace(head, v_template=head.v_template + offset, exprdirs=head.exprdirs + dirs,
                                  posedirs=posedirs)
    frame = dataclasses.replace(tiny_sequence(head, 3).sample(1.0), joints={})
    ours = TorchHead(head).pose(motion_of(frame), *map(torch.tensor, (offset, dirs, correctives)))
    np.testing.assert_allclose(ours.vertices, d.deform_head(holding, frame).vertices, atol=METERS)
    if head.J_regressor is not None:
        still = TorchHead(head).pose(motion_of(frame))
        assert float((ours.joints - still.joints).abs().max()) > 1e-4


def test_expressions_that_the_motion_lacks_are_zero() -> None:
    head = tiny_head()
    frame = tiny_sequence(head, 3).sample(1.0)
    cut = dataclasses.replace(frame, expr=np.where(np.arange(6) < 4, frame.expr, 0))
    dirs = np.random.default_rng(4).normal(0, 0.003, head.exprdirs.shape).astype(np.float32)
    holding = dataclasses.replace(head, exprdirs=head.exprdirs + dirs)
    expected = d.deform_head(holding, cut).vertices
    for table in (dirs, dirs[:, :, :4]):
        ours = TorchHead(head).pose(motion_of(frame, expressions=4), exprdirs_offset=torch.tensor(table)).vertices
        np.testing.assert_allclose(ours, expected, atol=METERS)
    fewer = dataclasses.replace(head, exprdirs=head.exprdirs + np.where(np.arange(6) < 2, dirs, 0))
    ours = TorchHead(head).pose(motion_of(frame), exprdirs_offset=torch.tensor(dirs[:, :, :2])).vertices
    np.testing.assert_allclose(ours, d.deform_head(fewer, frame).vertices, atol=METERS)


def test_what_does_not_fit_is_refused() -> None:
    head = TorchHead(tiny_head())
    motion = motion_of(tiny_sequence(head.model, 2).sample(0))
    with pytest.raises(CheckpointMismatch, match="7 expressions, the head 6"):
        head.pose(dataclasses.replace(motion, expr=torch.zeros(7)))
    with pytest.raises(CheckpointMismatch, match="posedirs_offset"):
        head.pose(motion, posedirs_offset=torch.zeros(110, 3, 9))
    with pytest.raises(BindingError, match="canonical_vertices"):
        TorchFaceBinding(head, torch.zeros(1, dtype=torch.int64), torch.ones(1, 3), frame="vertex")


def test_checkpoints_leave_the_head_out() -> None:
    head = TorchHead(tiny_head())
    assert not head.state_dict()
    assert not torch_binding(face_binding(head.model, 4), head).state_dict()


# --- Gradients --------------------------------------------------------------------------------------------------------


def learned(head, dtype=torch.float64, size=0.002):
    generator = torch.Generator().manual_seed(2)
    shapes = ((len(head.v_template), 3), head.exprdirs.shape, (len(head.v_template), 3, 36))
    return [(size * torch.randn(shape, generator=generator, dtype=dtype)).requires_grad_() for shape in shapes]


def test_gradients_of_a_pose() -> None:
    head = tiny_head()
    twin = TorchHead(head).double()
    motion = motion_of(tiny_sequence(head, 3).sample(1), torch.float64)
    inputs = [getattr(motion, name).requires_grad_() for name in FIELDS]
    weights = torch.randn(110, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def loss(*values):
        posed = twin.pose(Motion(**dict(zip(FIELDS, values[:7], strict=True))), *values[7:])
        return (posed.vertices * weights).sum()

    assert torch.autograd.gradcheck(loss, (*inputs, *learned(twin)), fast_mode=True)


@pytest.mark.parametrize(("frame", "offset_scale", "splat_scale", "unit"), [
    ("face", "edge_height", "edge_height", 1.0), ("face", "double_area", "edge_height", 1.0), ("none", "none", "none", 1.0),
    ("vertex", "double_area", "log_area_ratio", 1.0), ("vertex", "none", "log_area_ratio", 60.0),
    ("corner", "none", "none", 1.0), ("root", "edge_height", "none", 1.0)])
def test_gradients_of_riding_a_face(frame: str, offset_scale: str, splat_scale: str, unit: float) -> None:
    head = tiny_head()
    twin = TorchHead(head).double()
    binding = face_binding(head, 12, unit=unit, frame=frame, offset_scale=offset_scale, splat_scale=splat_scale)
    riding = torch_binding(binding, twin)
    posed = twin.pose(motion_of(tiny_sequence(head, 3).sample(1), torch.float64))
    generator = torch.Generator().manual_seed(1)
    local = [torch.randn(12, width, generator=generator, dtype=torch.float64).requires_grad_() for width in (3, 4)]
    local.append((torch.rand(12, 3, generator=generator, dtype=torch.float64) + 0.1).requires_grad_())
    vertices = posed.vertices.detach().requires_grad_()

    def bound(vertices, *local):
        return riding.bind(dataclasses.replace(posed, vertices=vertices), *local)

    assert torch.autograd.gradcheck(bound, (vertices, *local), fast_mode=True)


@pytest.mark.parametrize("kind", ["own tables that leak, turning", "surface"])
def test_gradients_of_riding_the_skeleton(kind: str) -> None:
    head = tiny_head()
    twin = TorchHead(head).double()
    riding = torch_binding(SKINS[kind](head), twin)
    n = len(riding)
    generator = torch.Generator().manual_seed(1)
    motion = motion_of(tiny_sequence(head, 3).sample(1), torch.float64)
    quats = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    means = torch.randn(n, 3, generator=generator, dtype=torch.float64).requires_grad_()

    def bound(jaw, neck, means):
        return riding.bind(twin.pose(dataclasses.replace(motion, jaw=jaw, neck=neck)), means, quats, means)[:2]

    inputs = (motion.jaw.requires_grad_(), motion.neck.requires_grad_(), means)
    assert torch.autograd.gradcheck(bound, inputs, fast_mode=True)


def test_gradients_of_rotations_near_and_at_zero() -> None:
    for size in (0.0, 1e-9, 1e-4, 0.0999, 0.1001, 1.0, 3.0):
        r = (size * torch.tensor([[0.6, -0.8, 0.0], [0.0, 0.6, 0.8]], dtype=torch.float64)).requires_grad_()
        assert torch.autograd.gradcheck(rotations.axis_angle_to_matrix, (r,))
        assert torch.autograd.gradcheck(lambda r: rotations.matrix_to_quat(rotations.axis_angle_to_matrix(r)), (r,))
    at_zero = torch.autograd.functional.jacobian(rotations.axis_angle_to_matrix, torch.zeros(3))
    generators = torch.zeros(3, 3, 3)
    for axis, (row, column) in enumerate(((2, 1), (0, 2), (1, 0))):
        generators[row, column, axis], generators[column, row, axis] = 1, -1
    assert torch.equal(at_zero, generators)


def test_rotations_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    r = normalize(rng.normal(size=(500, 3))) * rng.uniform(0, np.pi, (500, 1))
    r[:4] = np.pi * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0, 0.8]])
    m = axis_angle_to_matrix(r)
    np.testing.assert_allclose(rotations.axis_angle_to_matrix(torch.tensor(r, dtype=torch.float32)), m, atol=1e-6)
    q, expected = rotations.matrix_to_quat(torch.tensor(m)).numpy(), axis_angle_to_quat(r)
    sign = np.where(np.sum(q * expected, axis=1, keepdims=True) < 0, -1, 1)
    np.testing.assert_allclose(q * sign, expected, atol=1e-7)
    assert q[:, 0].min() >= 0
    stretched = m @ (np.eye(3) + 0.3 * rng.uniform(size=(500, 3, 1)) * rng.uniform(size=(500, 1, 3)))
    ours = rotations.polar_rotation(torch.tensor(stretched, dtype=torch.float32))
    np.testing.assert_allclose(ours, polar_rotation(stretched), atol=2e-6)


def test_triangles_are_those_of_the_definition() -> None:
    head = tiny_head()
    v = head.v_template.astype(np.float64)
    posed = d.deform_head(head, tiny_sequence(head, 3).sample(1)).vertices
    faces = torch.tensor(head.faces.astype(np.int64))
    for ours, theirs in zip(triangles.triangle_frames(torch.tensor(v), faces), d.triangle_frames(v, head.faces), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_allclose(triangles.vertex_normals(torch.tensor(v), faces), d.vertex_normals(v, head.faces), atol=1e-12)
    for name in ("vertex_rotations", "surface_rotations"):
        ours = getattr(triangles, name)(torch.tensor(v), torch.tensor(posed), faces)
        np.testing.assert_allclose(ours, getattr(d, name)(v, posed, head.faces), atol=1e-7)


@pytest.mark.parametrize("frame", ["face", "vertex", "corner", "root", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_triangles_without_area_give_no_nan(frame: str, dtype: torch.dtype) -> None:
    """A point, a segment, a segment folded back, slivers down to a nanometre, and one healthy triangle."""
    thin = [10.0 ** -k for k in range(3, 14)]
    triangle = [[(0, 0, 0)] * 3, [(0, 0, 0), (1, 0, 0), (2, 0, 0)], [(0, 0, 0), (1, 0, 0), (0, 0, 0)],
                [(0, 0, 0), (0, 0, 0), (0, 1, 0)], *([(0, 0, 0), (1, 0, 0), (0.3, h, 0)] for h in thin),
                *([(0, 0, 0), (h, 0, 0), (0.3, 1, 0)] for h in thin), [(0, 0, 0), (1, 0, 0), (0, 0, 1)]]
    v = np.array(triangle, float).reshape(-1, 3) * 0.01
    base = tiny_head()
    count = len(v)
    head = dataclasses.replace(
        base, v_template=v, faces=np.arange(count).reshape(-1, 3), exprdirs=np.zeros((count, 3, 6)), posedirs=None,
        lbs_weights=np.full((count, 5), 0.2), J_regressor=np.full((5, count), 1 / count), eyeliddirs=None, uvs=None,
        uv_faces=None, regions={}, landmarks={}, content_hash="")
    twin = TorchHead(head).to(dtype)
    n = count // 3
    binding = FaceBinding(np.arange(n), np.full((n, 3), 1 / 3), frame, "double_area", "log_area_ratio", v)
    local = [torch.full((n, width), 0.5, dtype=dtype, requires_grad=True) for width in (3, 4, 3)]
    offset = torch.zeros(count, 3, dtype=dtype, requires_grad=True)
    motion = motion_of(tiny_sequence(base, 2).sample(0), dtype)
    bound = torch_binding(binding, twin).bind(twin.pose(motion, offset), *local)
    sum((value * torch.arange(1, 1 + value.shape[1], dtype=dtype)).sum() for value in bound).backward()
    for value in (*bound, offset.grad, *(value.grad for value in local)):
        assert torch.isfinite(value).all()
    assert float(offset.grad[-3:].abs().sum()) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_corner_quats_of_every_branch(dtype: torch.dtype) -> None:
    """Directions of any length and side, so that each of the four conversions is somewhere the best."""
    rng = np.random.default_rng(6)
    first, second = rng.normal(size=(2, 400, 3)) * rng.choice([0.01, 1, 3], (400, 1))
    expected = d.corner_quats(first, second)
    assert {int(i) for i in np.abs(expected).argmax(axis=1)} == {0, 1, 2, 3}
    ours = triangles.corner_quats(torch.tensor(first.T, dtype=dtype), torch.tensor(second.T, dtype=dtype)).numpy().T
    np.testing.assert_allclose(ours, expected, atol=1e-5 if dtype == torch.float32 else 1e-12)


def test_second_derivatives_are_refused_not_wrong() -> None:
    head = tiny_head()
    v = torch.tensor(head.v_template, requires_grad=True)
    axes, size, _ = triangles.triangle_frames(v, torch.tensor(head.faces.astype(np.int64)))
    (first,) = torch.autograd.grad((axes.square().sum() + size.square().sum()), v, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_skin_binding_knows_its_size() -> None:
    head = TorchHead(tiny_head())
    assert len(TorchSkinBinding(head, SkinBinding(np.arange(7)))) == 7


def test_turns_of_both_devices_agree() -> None:
    from trainers import rotations

    square = torch.cat([torch.zeros(1), torch.logspace(-8, 1, 40)]).double()
    for one, other, bound in zip(rotations._rodrigues(square), rotations._rodrigues_by_sinc(square), (1e-12, 1e-12, 1e-2),
                                 strict=True):
        # c multiplies a product of two small vectors: at 1e-4 radians 1 % of it is 1e-10.
        far = (one - other).abs() * (1 if bound < 1e-3 else square)
        assert far.max() < bound * 1e-2 if bound > 1e-3 else far.max() < bound
