"""Posing against formulas written a second time, vertex by vertex, with SciPy's rotations; and laws that must hold."""

import dataclasses

import numpy as np
import pytest
from scipy.linalg import polar
from scipy.spatial.transform import Rotation

from formats import deform as d
from formats.avatar import DERIVED_DRIVERS, Avatar, FaceBinding, SkinBinding, SplatLayer
from formats.errors import BindingError, CheckpointMismatch
from formats.gaussians import GaussianCloud
from formats.networks import evaluate
from tests.builders import AVATAR_KINDS, tiny_avatar, tiny_cloud, tiny_head, tiny_network, tiny_sequence

METERS = 1e-9  # both sides are float64 from the same float32 tables


def flame_by_hand(head, frame):
    """FLAME as the paper writes it, one vertex at a time."""
    expr = {n: 0.0 for n in head.expr_names} | dict(zip(frame.expr_names, frame.expr[0].tolist(), strict=True))
    coefficients = [expr[n] for n in head.expr_names]
    angles = [frame.rotation[0], frame.neck[0], frame.jaw[0], frame.eyes[0, :3], frame.eyes[0, 3:]]
    rotations = [Rotation.from_rotvec(a.astype(float)).as_matrix() for a in angles]
    shaped = head.v_template.astype(float) + sum(
        c * head.exprdirs[:, :, i].astype(float) for i, c in enumerate(coefficients))
    joints = head.J_regressor.astype(float) @ shaped
    feature = np.concatenate([(r - np.eye(3)).reshape(-1) for r in rotations[1:]])
    rest = shaped + np.einsum("vck,k->vc", head.posedirs.astype(float), feature)
    rest += np.einsum("vck,k->vc", head.eyeliddirs.astype(float), frame.eyelids[0].astype(float))
    out = np.zeros_like(rest)
    for v, point in enumerate(rest):
        weights = head.lbs_weights[v].astype(float)
        for j, w in enumerate(weights / weights.sum()):
            moved, k = point, j
            while k >= 0:  # turn about this joint, then about its parent, and so on up
                moved = rotations[k] @ (moved - joints[k]) + joints[k]
                k = int(head.parents[k])
            out[v] += w * moved
    return out + frame.translation[0]


def test_the_head_is_flame():
    head = tiny_head()
    sequence = tiny_sequence(head, 4)
    for t in range(4):
        frame = sequence.sample(t)
        np.testing.assert_allclose(d.deform_head(head, frame).vertices, flame_by_hand(head, frame), atol=METERS)


def test_joints_stored_directly_equal_joints_regressed():
    head = tiny_head()
    template, dirs = head.rest_joints()
    direct = dataclasses.replace(head, J_regressor=None, J_template=template, J_exprdirs=dirs)
    frame = tiny_sequence(head, 3).sample(1.3)
    ours, theirs = d.deform_head(head, frame).vertices, d.deform_head(direct, frame).vertices
    np.testing.assert_allclose(ours, theirs, atol=1e-7)  # the joints were rounded to float32 once


def test_posed_eyelids_follow_the_root_but_not_the_neck():
    head = dataclasses.replace(tiny_head(), eyelid_space="posed")
    frame = tiny_sequence(head, 3).sample(1)
    open_ = dataclasses.replace(frame, eyelids=np.zeros((1, 2)))
    moved = d.deform_head(head, frame).vertices - d.deform_head(head, open_).vertices
    lids = head.eyeliddirs @ frame.eyelids[0].astype(float)
    turn = Rotation.from_rotvec(frame.rotation[0].astype(float))
    np.testing.assert_allclose(moved, turn.apply(lids), atol=METERS)


def test_a_named_joint_turns_its_descendants_only():
    head = tiny_head(extra_joints=2)
    rest = d.rest_sequence(head)
    turned = dataclasses.replace(rest, joints={"spine1": np.array([[0.0, 0.4, 0.0]])})
    weights = head.lbs_weights[:, head.joint_names.index("spine1")]
    moved = np.linalg.norm(d.deform_head(head, turned).vertices - d.deform_head(head, rest).vertices, axis=1)
    assert moved[weights < 1e-3].max(initial=0) < 1e-4
    assert moved.max() > 1e-4


def test_triangle_frames_are_gaussian_avatars():
    rng = np.random.default_rng(0)
    v = rng.normal(size=(3, 3))
    axes, size, double_area = d.triangle_frames(v, np.array([[0, 1, 2]]))
    a0 = (v[1] - v[0]) / np.linalg.norm(v[1] - v[0])
    a1 = np.cross(a0, v[2] - v[0]) / np.linalg.norm(np.cross(a0, v[2] - v[0]))
    a2 = np.cross(a0, a1)
    np.testing.assert_allclose(axes[0], np.stack([a0, a1, a2], axis=1), atol=1e-12)
    assert size[0] == pytest.approx((np.linalg.norm(v[1] - v[0]) + abs(a2 @ (v[2] - v[0]))) / 2)
    assert double_area[0] == pytest.approx(np.linalg.norm(np.cross(v[1] - v[0], v[2] - v[0])))


@pytest.mark.parametrize("corners", [[[0, 0, 0]] * 3, [[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 1, 0]]])
def test_triangles_without_area_keep_a_frame(corners):
    axes, _, double_area = d.triangle_frames(np.array(corners, float), np.array([[0, 1, 2]]))
    np.testing.assert_allclose(axes[0] @ axes[0].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes[0]) == pytest.approx(1)
    assert double_area[0] == 0


WORLD_AXES = ("own-skin-turning", "own-skin", "vertex-index-still", "world", "linear-network")
"""Kinds that by their definition keep something in world axes: rotations, what is added to them, or posed deltas."""


@pytest.mark.parametrize("kind", [k for k in AVATAR_KINDS if k not in WORLD_AXES])
def test_a_rigid_motion_of_the_head_is_a_rigid_motion_of_everything(kind):
    """Turning the root and moving must carry every mean, covariance and normal along, whatever the binding."""
    avatar = tiny_avatar(kind)
    frame = dataclasses.replace(tiny_sequence(avatar.head, 4).sample(1), rotation=np.zeros((1, 3)),
                                translation=np.zeros((1, 3)))
    turn = Rotation.from_rotvec([0.3, -0.5, 0.2])
    root = (avatar.head.rest_joints()[0] + avatar.head.rest_joints()[1] @ d.expression_of(avatar.head, frame))[0]
    moved = dataclasses.replace(frame, rotation=turn.as_rotvec()[None], translation=np.array([[0.1, 0.2, -0.3]]))
    before, after = d.deform(avatar, frame), d.deform(avatar, moved)

    def carried(points):
        return turn.apply(points - root) + root + [0.1, 0.2, -0.3]

    np.testing.assert_allclose(after.head.vertices, carried(before.head.vertices), atol=1e-7)
    for a, b in zip(before.layers, after.layers, strict=True):
        if isinstance(a, d.PosedMesh):
            np.testing.assert_allclose(b.vertices, carried(a.vertices), atol=1e-6)
            np.testing.assert_allclose(b.normals, turn.apply(a.normals), atol=1e-6)
        else:
            np.testing.assert_allclose(b.cloud.means, carried(a.cloud.means), atol=1e-6)
            np.testing.assert_allclose(b.cloud.scales, a.cloud.scales, rtol=1e-4)
            np.testing.assert_allclose(covariances(b.cloud), np.einsum(
                "ab,nbc,dc->nad", turn.as_matrix(), covariances(a.cloud), turn.as_matrix()), atol=1e-9)


def covariances(cloud: GaussianCloud) -> np.ndarray:
    m = Rotation.from_quat(cloud.quats[:, [1, 2, 3, 0]].astype(float)).as_matrix() * cloud.scales[:, None].astype(float)
    return m @ m.transpose(0, 2, 1)


def one_splat(binding, mean, scale=0.01) -> SplatLayer:
    n = len(binding)
    return SplatLayer(GaussianCloud(np.tile(mean, (n, 1)), np.tile([1.0, 0, 0, 0], (n, 1)), np.full((n, 3), scale),
                                    np.full(n, 0.5), np.zeros((n, 1, 3))), binding)


def test_fate_offsets_run_along_the_unnormalised_normal():
    head = tiny_head()
    binding = FaceBinding(np.array([50]), np.array([[0.2, 0.3, 0.5]]), offset_scale="double_area")
    avatar = Avatar(head, (one_splat(binding, [0, 0.05, 0], 0.3),))
    posed = d.deform(avatar, tiny_sequence(head, 3), 1.5)
    v0, v1, v2 = posed.head.vertices[head.faces[50]]
    expected = 0.2 * v0 + 0.3 * v1 + 0.5 * v2 + 0.05 * np.cross(v1 - v0, v2 - v0)
    np.testing.assert_allclose(posed.layers[0].cloud.means[0], expected, atol=1e-7)
    e = (v1 - v0) / np.linalg.norm(v1 - v0)
    m = np.cross(e, v2 - v0) / np.linalg.norm(np.cross(e, v2 - v0))
    k = (np.linalg.norm(v1 - v0) + abs(np.cross(e, m) @ (v2 - v0))) / 2
    np.testing.assert_allclose(posed.layers[0].cloud.scales[0], 0.3 * k, rtol=1e-5)


@pytest.mark.parametrize("unit", [1.0, 0.25, 60.0])
def test_splatting_avatar_by_hand(unit):
    """As its code computes, in its own units of length, where floors and logarithms are plain numbers."""
    head = tiny_head()
    face, bary, offset, scale = 60, np.array([0.5, 0.375, 0.125]), 0.003, 0.004
    binding = FaceBinding(np.array([face]), bary[None], "vertex", "none", "log_area_ratio", head.v_template, unit)
    posed = d.deform(Avatar(head, (one_splat(binding, [0, offset, 0], scale),)), tiny_sequence(head, 3), 2)
    v, c = posed.head.vertices / unit, head.v_template.astype(float) / unit
    normals, turns = np.zeros_like(v), np.zeros((len(v), 4))
    areas = []

    def frame(p):
        z = (p[1] - p[0]) / np.linalg.norm(p[1] - p[0])
        m = np.cross(p[1] - p[0], p[2] - p[0])
        x = np.cross(p[1] - p[0], m)
        y = np.cross(p[1] - p[0], x)
        return np.stack([x / np.linalg.norm(x), y / np.linalg.norm(y), z], axis=1)

    for f in head.faces:
        normals[f] += np.cross(v[f[1]] - v[f[0]], v[f[2]] - v[f[0]])
        area = np.linalg.norm(np.cross(c[f[1]] - c[f[0]], c[f[2]] - c[f[0]])) / 2
        areas.append((np.linalg.norm(np.cross(v[f[1]] - v[f[0]], v[f[2]] - v[f[0]])) / 2, area))
        q = Rotation.from_matrix(frame(v[f]) @ frame(c[f]).T).as_quat()[[3, 0, 1, 2]]
        turns[f] += area * (q if q[0] >= 0 else -q)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True), np.linalg.norm(turns, axis=1, keepdims=True)
    assert [bool((a < 1e-6).any() and (a > 1e-6).any()) for a in lengths] == [unit == 60] * 2
    normals, turns = normals / np.maximum(lengths[0], 1e-6), turns / np.maximum(lengths[1], 1e-6)
    corner = head.faces[face]
    phong = bary @ normals[corner]
    mean = unit * (bary @ v[corner]) + offset * phong / np.linalg.norm(phong)
    cloud = posed.layers[0].cloud
    np.testing.assert_allclose(cloud.means[0], mean, atol=1e-7)
    q = bary @ turns[corner]
    assert abs(abs(cloud.quats[0] @ q / np.linalg.norm(q)) - 1) < 1e-6
    here, there = areas[face]
    grown = unit * np.exp(np.log(scale / unit) * (here + 1e-4) / (there + 1e-4))
    np.testing.assert_allclose(cloud.scales[0], grown, rtol=1e-5)


def test_a_corner_frame_is_a_rotation_added_to_the_stored_one():
    """The axes [d, n x d, n] are no rotation; here their third column is largest, so the usual conversion starts from w or z."""
    head = tiny_head()
    binding = FaceBinding(np.array([60, 9]), np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]), "corner", "none", "none")
    frame = dataclasses.replace(tiny_sequence(head, 3).sample(1.5), rotation=np.zeros((1, 3)))
    posed = d.deform(Avatar(head, (one_splat(binding, [0.001, 0, 0.002], 0.3),)), frame)
    for i in range(2):
        v = posed.head.vertices[head.faces[binding.face_index[i]]]
        p = binding.barycentric[i].astype(float) @ v
        first = v[0] - p
        n = np.cross(first, v[1] - p)
        n /= np.linalg.norm(n)
        m = np.stack([first, np.cross(n, first), n], axis=1)
        sizes = [1 + m[0, 0] + m[1, 1] + m[2, 2], 1 + m[0, 0] - m[1, 1] - m[2, 2],
                 1 - m[0, 0] + m[1, 1] - m[2, 2], 1 - m[0, 0] - m[1, 1] + m[2, 2]]
        q = [[sizes[0], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
             [m[2, 1] - m[1, 2], sizes[1], m[1, 0] + m[0, 1], m[0, 2] + m[2, 0]],
             [m[0, 2] - m[2, 0], m[1, 0] + m[0, 1], sizes[2], m[2, 1] + m[1, 2]],
             [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[2, 1] + m[1, 2], sizes[3]]][int(np.argmax(sizes))]
        q = np.array(q) / (2 * np.sqrt(max(sizes)))
        assert np.linalg.norm(q) < 0.8
        wanted = q + [1, 0, 0, 0]
        cloud = posed.layers[0].cloud
        np.testing.assert_allclose(cloud.quats[i], wanted / np.linalg.norm(wanted), atol=1e-6)
        np.testing.assert_allclose(cloud.means[i], p + [0.001, 0, 0.002], atol=1e-7)


@pytest.mark.parametrize("name, width", DERIVED_DRIVERS.items())
def test_derived_drivers_are_made_unless_the_sequence_holds_them(name, width):
    head = tiny_head()
    frame = tiny_sequence(head, 3).sample(1)
    (made,) = d.driver_values((name,), head, frame).values()
    jaw, *eyes = (Rotation.from_rotvec(r.astype(float)).as_matrix() for r in (frame.jaw[0], frame.eyes[0, :3], frame.eyes[0, 3:]))
    wanted = {"jaw_6d": [*jaw[0], *jaw[1]], "eyes_6d": [*eyes[0][0], *eyes[0][1], *eyes[1][0], *eyes[1][1]],
              "absolute_pose": [*frame.rotation[0], *frame.translation[0]]}[name]
    assert made.shape == (1, width) and made.dtype == np.float32
    np.testing.assert_allclose(made[0], wanted, atol=1e-7)
    stored = dataclasses.replace(frame, drivers={name: np.arange(width)[None]})
    np.testing.assert_array_equal(d.driver_values((name,), head, stored)[name][0], np.arange(width))


def test_surface_rotation_finds_a_local_turn():
    """Bend a strip: each vertex' rotation must be the polar factor of the deformation of its ring."""
    head = tiny_head()
    posed = d.deform_head(head, tiny_sequence(head, 5).sample(2)).vertices
    rotations = d.surface_rotations(head.v_template, posed, head.faces)
    a, b = head.v_template.astype(float), posed
    na, nb = d.vertex_normals(a, head.faces), d.vertex_normals(b, head.faces)
    for v in (5, 40, 77):
        s, square = np.zeros((3, 3)), 0.0
        for f in head.faces[(head.faces == v).any(axis=1)]:
            for i in f[f != v]:
                s += np.outer(b[i] - b[v], a[i] - a[v])
                square += np.sum((a[i] - a[v]) ** 2)
        expected, _ = polar(s + square / 2 * np.outer(nb[v], na[v]))
        np.testing.assert_allclose(rotations[v], expected, atol=1e-8)


def test_skin_weight_that_is_missing_stays_put():
    head = tiny_head()
    weights = np.zeros((1, 5))
    avatar = Avatar(head, (one_splat(SkinBinding(lbs_weights=weights), [0.1, 0.2, 0.3]),))
    frame = tiny_sequence(head, 2).sample(1)
    np.testing.assert_allclose(d.deform(avatar, frame).layers[0].cloud.means[0], [0.1, 0.2, 0.3], atol=1e-7)


def test_linear_dynamics_are_tables_times_driver():
    avatar = tiny_avatar("linear")
    frame = tiny_sequence(avatar.head, 3).sample(1)
    layer = avatar.layers[0]
    driver = np.concatenate([frame.expr[0], frame.jaw[0], frame.drivers["mood"][0]]) - layer.dynamics.driver_mean
    delta = np.einsum("nkc,k->nc", layer.dynamics.tables["means"], driver)
    moved = SplatLayer(dataclasses.replace(layer.cloud, means=layer.cloud.means + delta.astype(np.float32)), layer.binding)
    expected = d.deform(dataclasses.replace(avatar, layers=(moved,)), frame).layers[0].cloud.means
    np.testing.assert_allclose(d.deform(avatar, frame).layers[0].cloud.means, expected, atol=1e-7)


def test_strand_segments_lie_along_their_strands():
    avatar = tiny_avatar("strands")
    cloud = d.deform(avatar, tiny_sequence(avatar.head, 2), 1).layers[1].cloud
    half = cloud.scales[:, :1] / (2 * avatar.layers[1].segment_scale)
    along = Rotation.from_quat(cloud.quats[:, [1, 2, 3, 0]].astype(float)).apply([1, 0, 0]) * half
    ends, starts = cloud.means + along, cloud.means - along
    points = avatar.layers[1].points.shape[1] - 1
    joined = np.arange(len(ends) - 1) % points != points - 1
    np.testing.assert_allclose(ends[:-1][joined], starts[1:][joined], atol=1e-6)


def test_a_coefficient_network_gives_coefficients():
    avatar = tiny_avatar("linear-network")
    frame = tiny_sequence(avatar.head, 3).sample(1)
    c = d.coefficients_of(avatar.layers[0].dynamics, avatar, frame)
    assert c.shape == (4,) and np.abs(c).max() > 0


@pytest.mark.parametrize("inputs", [("expr", "jaw", "eyelids"), ("eyelids", "jaw", "expr"), ("eyelids", "expr"), ("jaw",)])
def test_a_coefficient_network_takes_parts_of_the_driver_in_any_order(inputs):
    avatar = tiny_avatar("linear-network")
    head, layer = avatar.head, avatar.layers[0]
    network = tiny_network(head, inputs, {"coefficients": (1, 4)}, size=0.5)
    mean = np.linspace(-0.4, 0.5, len(head.expr_names) + 5, dtype=np.float32)
    dynamics = dataclasses.replace(layer.dynamics, driver=("expr", "jaw", "eyelids"), driver_mean=mean)
    avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(layer, dynamics=dynamics),),
                                 networks={"coefficients": network})
    frame = tiny_sequence(head, 3).sample(1)
    expressions = len(head.expr_names)
    parts = {"expr": d.expression_of(head, frame) - mean[:expressions], "jaw": frame.jaw[0] - mean[expressions:expressions + 3],
             "eyelids": frame.eyelids[0] - mean[expressions + 3:]}
    expected = evaluate(network, {name: parts[name][None].astype(np.float32) for name in inputs})["coefficients"][0]
    np.testing.assert_allclose(d.coefficients_of(dynamics, avatar, frame), expected, atol=1e-6)


def test_a_coefficient_network_takes_nothing_but_the_driver():
    avatar = tiny_avatar("linear-network")
    network = tiny_network(avatar.head, ("expr", "jaw"), {"coefficients": (1, 4)})
    avatar = dataclasses.replace(avatar, networks={"coefficients": network})
    with pytest.raises(BindingError, match="takes 'jaw', which is not in their driver, expr.eyelids"):
        d.coefficients_of(avatar.layers[0].dynamics, avatar, tiny_sequence(avatar.head, 2).sample(0))


@pytest.mark.parametrize("change, message", [
    ({"basis": "flame2020"}, "not interchangeable"),
    ({"edition": "0" * 64}, "same edition name, different tables"),
    ({"expr_names": ("unknown", *[f"e{i}" for i in range(5)])}, "does not have"),
])
def test_a_sequence_of_another_head_is_refused(change, message):
    avatar = tiny_avatar()
    with pytest.raises(CheckpointMismatch, match=message):
        d.deform(avatar, dataclasses.replace(tiny_sequence(avatar.head, 2), **change))


def test_a_missing_driver_is_named():
    avatar = tiny_avatar("own-skin", sequence=False)
    with pytest.raises(BindingError, match="pose6"):
        d.deform(avatar, tiny_sequence(avatar.head, 2, drivers=False))


class TestSample:
    def test_whole_frames_are_exact(self):
        sequence = tiny_sequence(frames=4)
        for t in range(4):
            np.testing.assert_array_equal(sequence.sample(t).rotation[0], sequence.rotation[t])
            np.testing.assert_array_equal(sequence.sample(t).expr[0], sequence.expr[t])

    def test_rotations_follow_the_arc(self):
        sequence = dataclasses.replace(tiny_sequence(frames=2), rotation=np.array([[0, 0.1, 0], [0, 1.3, 0]]))
        np.testing.assert_allclose(sequence.sample(0.25).rotation[0], [0, 0.4, 0], atol=1e-6)

    def test_the_shorter_way_round(self):
        a, b = Rotation.from_rotvec([0, 3.0, 0]), Rotation.from_rotvec([0, -3.0, 0])
        sequence = dataclasses.replace(tiny_sequence(frames=2), neck=np.stack([a.as_rotvec(), b.as_rotvec()]))
        middle = Rotation.from_rotvec(sequence.sample(0.5).neck[0].astype(float))
        assert (middle * Rotation.from_rotvec([0, np.pi, 0]).inv()).magnitude() < 1e-5

    def test_held_at_both_ends(self):
        sequence = tiny_sequence(frames=3)
        np.testing.assert_array_equal(sequence.sample(-5).expr[0], sequence.expr[0])
        np.testing.assert_array_equal(sequence.sample(99).expr[0], sequence.expr[2])


def test_clouds_are_checked_when_built():
    cloud = tiny_cloud(4)
    with pytest.raises(Exception, match="not finite"):
        dataclasses.replace(cloud, means=np.full((4, 3), np.nan))
    with pytest.raises(Exception, match=r"GaussianCloud.scales: expected shape \[4, 3\], got \[3, 3\]"):
        dataclasses.replace(cloud, scales=cloud.scales[:3])
