"""The stand-in head: FLAME's sizes and order, exact symmetry, a clean texture chart, and a face that works."""

import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest

from formats.conventions import ARKIT_52
from formats.deform import deform_head
from formats.errors import UnsupportedFeature
from formats.head_model import HeadModel
from formats.sequence import Sequence
from formats.standin import parts, weights
from formats.standin.assembly import BALL, CAVITY, EAR, SKIN, SOCKET, TEETH, Assembly, assemble
from formats.standin.head import ORIGIN, standin_head
from tests.formats.flame_fixture import ROOT_PARENT, Ch, flame_tables, write_flame_pickle

VARIANTS = [("closed", False), ("closed", True), ("open-mouth", False)]
MILLIMETER = 1e-3
# FLAME_masks.pkl's names, and those that VHAP adds when it loads them.
FLAME_MASKS = ("face neck scalp boundary right_eyeball left_eyeball right_ear left_ear forehead eye_region nose lips "
               "right_eye_region left_eye_region").split()
VHAP_REGIONS = ("neck_left_point neck_right_point front_middle_bottom_point_boundary back_middle_bottom_point_boundary "
                "neck_top neck_upper neck_lower neck_base bottomline lip_inside_ring_upper lip_inside_ring_lower "
                "lip_outside_ring_upper lip_outside_ring_lower lip_inside lip_inside_upper lip_inside_lower lips_tight "
                "left_iris right_iris left_eyelid right_eyelid left_half right_half hair ears eyeballs irises sclerae "
                "left_eye right_eye eyelids lip_inside_ring skin").split()


def head_and_mesh(variant: str, teeth: bool) -> tuple[HeadModel, Assembly]:
    return standin_head(variant, teeth), assemble(variant == "open-mouth", teeth)


def arkit_frame(head: HeadModel, **kinds: float) -> Sequence:
    """Return one frame of ARKit weights; a name without side stands for both."""
    assert head.arkit_map is not None
    row = np.zeros(head.arkit_map.shape[1])
    for kind, value in kinds.items():
        for i, name in enumerate(ARKIT_52):
            if name in (kind, f"{kind}Left", f"{kind}Right"):
                row += value * head.arkit_map[i]
    e = len(head.expr_names)
    return Sequence(basis="standin", fps=25, expr=row[None, :e], jaw=row[None, e:e + 3], neck=row[None, e + 3:e + 6],
                    eyes=row[None, e + 6:e + 12], eyelids=row[None, e + 12:], expr_names=head.expr_names)


def posed(head: HeadModel, **kinds: float) -> np.ndarray:
    return deform_head(head, arkit_frame(head, **kinds)).vertices


def border_edges(faces: np.ndarray) -> np.ndarray:
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    assert count.max() == 2, "no edge may belong to more than two faces"
    return unique[count == 1]


@pytest.mark.parametrize(("variant", "teeth"), VARIANTS)
def test_sizes_are_flames(variant: str, teeth: bool) -> None:
    head, mesh = head_and_mesh(variant, teeth)
    assert head.edition == "standin" and head.eyelid_space == "rest"
    extra = (120, 168) if teeth else (0, 0)
    vertices = 5023 + extra[0]
    assert head.v_template.shape == (vertices, 3) and head.faces.shape == (9976 + extra[1], 3)
    assert head.shapedirs is not None and head.shapedirs.shape == (vertices, 3, 300)
    assert head.exprdirs.shape == (vertices, 3, 100)
    assert head.posedirs is not None and head.posedirs.shape == (vertices, 3, 36)
    assert head.parents.tolist() == [-1, 0, 1, 1, 1]
    assert np.isin(mesh.part[:3931], (SKIN, SOCKET, EAR, CAVITY)).all()
    assert (mesh.part[3931:5023] == BALL).all() and (mesh.part[5023:] == TEETH).all()
    assert (head.v_template[3931:4477, 0] > 0).all() and (head.v_template[4477:5023, 0] < 0).all()
    assert len(np.unique(head.faces)) == vertices


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(UnsupportedFeature, match="closed, open-mouth"):
        standin_head("sideways")


def test_borders() -> None:
    closed, open_mouth = standin_head(), standin_head("open-mouth")
    assert len(border_edges(closed.faces)) == 60
    edges = border_edges(open_mouth.faces)
    lips, neck = open_mouth.regions["lip_ring"], open_mouth.regions["neck_ring"]
    assert (len(lips), len(neck), len(edges)) == (32, 30, 62)
    ring = {tuple(sorted(pair)) for ids in (lips, neck) for pair in zip(ids, np.roll(ids, -1), strict=True)}
    assert ring == {tuple(pair) for pair in edges.tolist()}


def test_teeth_are_rows_in_vhaps_order() -> None:
    head, mesh = head_and_mesh("closed", True)
    rows = head.v_template[5023:].reshape(8, 15, 3)
    heights, depths = rows[:, 7, 1], rows[:, 7, 2]
    assert heights[0] > heights[2] and heights[1] < heights[3] and heights[4] > heights[5] and heights[6] < heights[7]
    assert depths[4] < depths[0] and depths[5] < depths[2] and depths[6] < depths[1] and depths[7] < depths[3]
    assert (rows[:, 0, 0] > 0).all() and (np.diff(rows[:, :, 0], axis=1) < 0).all()
    upper = np.isin(np.arange(8), (0, 2, 4, 5)).repeat(15)
    assert (head.lbs_weights[5023:][upper, weights.NECK] == 1).all()
    assert (head.lbs_weights[5023:][~upper, weights.JAW] == 1).all()
    teeth = mesh.part[head.faces].min(axis=1) == TEETH
    normals = np.cross(*(head.v_template[head.faces[teeth, k]] - head.v_template[head.faces[teeth, 0]] for k in (1, 2)))
    front = np.isin(head.faces[teeth], np.concatenate([5023 + np.arange(60)])).all(axis=1)
    assert (normals[front, 2] > 0).all()


def test_the_first_5023_rows_do_not_depend_on_teeth() -> None:
    bare, toothed = standin_head(), standin_head(teeth=True)
    assert np.array_equal(bare.v_template, toothed.v_template[:5023])
    assert np.array_equal(bare.faces, toothed.faces[:9976])
    assert np.array_equal(bare.exprdirs[:, :, :52], toothed.exprdirs[:5023, :, :52])
    assert np.array_equal(bare.lbs_weights, toothed.lbs_weights[:5023])
    assert bare.shapedirs is not None and toothed.shapedirs is not None
    # Metres; sums over other row counts round differently in the last bits.
    assert np.abs(bare.shapedirs - toothed.shapedirs[:5023]).max() < 1e-8
    assert np.abs(bare.exprdirs - toothed.exprdirs[:5023]).max() < 1e-8


@pytest.mark.parametrize(("variant", "teeth"), VARIANTS[1:3])
def test_everything_is_mirror_symmetric(variant: str, teeth: bool) -> None:
    head, mesh = head_and_mesh(variant, teeth)
    flip, mirror = np.array([-1, 1, 1]), mesh.mirror
    limit = 1e-9  # metres; float32 rounds mirror images alike, what remains is smaller
    assert np.array_equal(mirror[mirror], np.arange(len(mirror)))
    assert np.abs(head.v_template[mirror] * flip - head.v_template).max() < limit
    faces = {tuple(np.roll(f, -int(np.argmin(f)))) for f in head.faces.tolist()}
    assert {tuple(np.roll(f, -int(np.argmin(f)))) for f in mirror[head.faces][:, ::-1].tolist()} == faces
    for i, name in enumerate(ARKIT_52):
        partner = name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")
        other = head.exprdirs[:, :, ARKIT_52.index(partner)]
        assert np.abs(head.exprdirs[mirror, :, i] * flip - other).max() < limit, name
    assert head.eyeliddirs is not None
    assert np.abs(head.eyeliddirs[mirror, :, 0] * flip - head.eyeliddirs[:, :, 1]).max() < limit
    assert np.abs(head.lbs_weights[mirror][:, [0, 1, 2, 4, 3]] - head.lbs_weights).max() < 1e-6


def test_left_and_right_shapes_pass_smoothly_into_each_other() -> None:
    head, mesh = head_and_mesh("closed", False)
    smile = head.exprdirs[:, :, ARKIT_52.index("mouthSmileLeft")]
    size = np.linalg.norm(smile, axis=1)
    assert size[mesh.points[:, 0] < -weights.MOUTH_HALF].max() == 0
    assert size.max() > 5 * MILLIMETER
    middle = size[(mesh.side == 0) & (mesh.lip != 0)].max()
    assert 0 < middle < 0.4 * size.max()


@pytest.mark.parametrize(("variant", "teeth"), VARIANTS)
def test_no_triangle_is_flipped_or_empty(variant: str, teeth: bool) -> None:
    head, mesh = head_and_mesh(variant, teeth)
    v = head.v_template.astype(np.float64)
    a, b, c = (v[head.faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    assert np.linalg.norm(normals, axis=1).min() > 1e-9  # square metres: a thousandth of a square millimetre
    around = np.zeros_like(v)
    for k in range(3):
        np.add.at(around, head.faces[:, k], normals)
    agree = (normals[:, None] * around[head.faces]).sum(axis=2).max(axis=1)
    plain = np.isin(mesh.part[head.faces], (SKIN, BALL)).all(axis=1)
    assert (agree[plain] > 0).all()


def test_weights_and_regressor() -> None:
    for variant, teeth in VARIANTS:
        head, mesh = head_and_mesh(variant, teeth)
        assert head.J_regressor is not None
        assert (head.lbs_weights >= 0).all() and np.abs(head.lbs_weights.sum(axis=1) - 1).max() < 1e-6
        assert (head.J_regressor >= 0).all()
        joints, _ = head.rest_joints()
        assert np.abs(joints - (weights.JOINTS + ORIGIN) / 1000).max() < 1e-9  # metres
        forehead = mesh.points[:, 1] > 20
        assert head.lbs_weights[forehead, weights.JAW].max() < 0.01


@pytest.mark.parametrize(("variant", "teeth"), VARIANTS[1:3])
def test_the_texture_chart_covers_no_texel_twice(variant: str, teeth: bool) -> None:
    head, mesh = head_and_mesh(variant, teeth)
    assert head.uvs is not None and head.uv_faces is not None
    size = 1024
    corners = head.uvs[head.uv_faces].astype(np.float64) * size
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    assert (area < 0).all(), "v points down, so faces seen from outside run clockwise in the array's own axes"
    hits = np.zeros((size, size), np.int64)
    island = np.zeros((size, size), np.int64)
    ids = chart_islands(head.uv_faces)
    for corner, doubled, one in zip(corners, area, ids, strict=True):
        low, high = np.floor(corner.min(axis=0)).astype(int), np.ceil(corner.max(axis=0)).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        dx, dy = x - corner[0, 0], y - corner[0, 1]
        s = (dx * (corner[2, 1] - corner[0, 1]) - dy * (corner[2, 0] - corner[0, 0])) / doubled
        t = (dy * (corner[1, 0] - corner[0, 0]) - dx * (corner[1, 1] - corner[0, 1])) / doubled
        inside = (s > 1e-9) & (t > 1e-9) & (s + t < 1 - 1e-9)  # a texel centre on an edge belongs to neither side
        hits[low[1]:high[1], low[0]:high[0]] += inside
        island[low[1]:high[1], low[0]:high[0]][inside] = one + 1
    assert hits.max() == 1
    assert (hits > 0).mean() > 0.8
    # Gutters: within 8 texels along rows and columns no other island, nor the image's border.
    assert not island[:8].any() and not island[-8:].any() and not island[:, :8].any() and not island[:, -8:].any()
    for shift in range(1, 9):
        for a, b in ((island[shift:], island[:-shift]), (island[:, shift:], island[:, :-shift])):
            assert not ((a != b) & (a > 0) & (b > 0)).any()


def chart_islands(uv_faces: np.ndarray) -> np.ndarray:
    """Return the connected piece that each face of the chart belongs to."""
    label = np.arange(uv_faces.max() + 1)
    while True:
        lowest = label[uv_faces].min(axis=1)
        updated = label.copy()
        for k in range(3):
            np.minimum.at(updated, uv_faces[:, k], lowest)
        updated = updated[updated]
        if np.array_equal(updated, label):
            return np.unique(label[uv_faces[:, 0]], return_inverse=True)[1]
        label = updated


def test_eyeballs_mouth_and_teeth_are_islands_of_their_own() -> None:
    head, mesh = head_and_mesh("closed", True)
    assert head.uv_faces is not None
    ids = chart_islands(head.uv_faces)
    part = mesh.part[head.faces]
    skin = set(ids[(part == SKIN).all(axis=1)])
    assert len(set(ids)) == 9  # sheet, crown, two eyes front and back, mouth, two rows of teeth
    for kind in (BALL, CAVITY, TEETH):
        assert not skin & set(ids[(part == kind).any(axis=1)])


@pytest.mark.parametrize(("variant", "teeth"), VARIANTS)
def test_regions(variant: str, teeth: bool) -> None:
    head, mesh = head_and_mesh(variant, teeth)
    regions, p = head.regions, mesh.points
    absent = {"lip_inside"} if variant == "open-mouth" else set()
    for name in (*FLAME_MASKS, *VHAP_REGIONS):
        assert name in absent or len(regions[name]), name
    for name in ("left_pupil", "right_sclera", "lips_upper", "lips_lower", "left_brow", "right_brow"):
        assert len(regions[name])
    assert bool(len(regions["teeth"])) == teeth
    assert bool(len(regions["tongue"])) == bool(len(regions["mouth_interior"])) == (variant == "closed")
    assert len(regions["left_eyeball"]) == len(regions["right_eyeball"]) == 546
    ring = regions["lip_ring"]
    assert len(ring) == 32 and p[ring[0], 0] == p[ring].max(axis=0)[0] and p[ring[16], 0] == p[ring].min(axis=0)[0]
    for name in ("lip_inside_ring_upper", "lip_inside_ring_lower", "lip_outside_ring_upper", "lip_outside_ring_lower"):
        assert len(regions[name]) == 15 and (np.diff(p[regions[name], 0]) < 0).all()
    assert (p[regions["lip_outside_ring_upper"], 1] > p[regions["lip_outside_ring_lower"], 1]).all()
    for side, sign in (("left", 1), ("right", -1)):
        for part in ("eyeball", "ear", "eye_region", "iris", "eyelid", "brow"):
            assert (p[regions[f"{side}_{part}"], 0] * sign > 0).all()
        other = "right" if side == "left" else "left"
        assert set(mesh.mirror[regions[f"{side}_ear"]]) == set(regions[f"{other}_ear"])


def test_landmarks_lie_where_ibug_puts_them() -> None:
    head = standin_head()
    marks = head.landmarks
    assert {k: v.shape for k, v in marks.items()} == {
        "static_lmk_faces_idx": (51,), "static_lmk_bary_coords": (51, 3), "dynamic_lmk_faces_idx": (79, 17),
        "dynamic_lmk_bary_coords": (79, 17, 3), "full_lmk_faces_idx": (1, 68), "full_lmk_bary_coords": (1, 68, 3)}
    corners = head.v_template[head.faces[marks["full_lmk_faces_idx"][0]]]
    full = (corners * marks["full_lmk_bary_coords"][0][:, :, None]).sum(axis=1) * 1000 - ORIGIN
    assert (np.diff(full[:17, 0]) > 0).all() and np.argmin(full[:17, 1]) == 8  # ear to ear, chin lowest
    assert (np.diff(full[17:27, 0]) > 0).all() and (full[17:27, 1] > 10).all()  # brows from the subject's right
    assert (np.diff(full[27:31, 1]) < 0).all() and np.abs(full[27:31, 0]).max() < 1e-3
    assert (np.diff(full[31:36, 0]) > 0).all()
    assert full[36, 0] < full[39, 0] < 0 < full[42, 0] < full[45, 0]  # outer, inner, inner, outer corner
    assert full[37, 1] > full[41, 1] and full[44, 1] > full[46, 1]
    assert full[48, 0] < full[51, 0] < full[54, 0] and full[51, 1] > full[57, 1]
    assert full[60, 0] < full[62, 0] < full[64, 0] and full[62, 1] > full[66, 1]
    turned = marks["dynamic_lmk_faces_idx"]
    assert not np.array_equal(turned[0], turned[39]) and not np.array_equal(turned[0], turned[78])


def test_arkit_names_and_map_are_exact() -> None:
    head = standin_head(teeth=True)
    assert head.expr_names[:52] == ARKIT_52 and head.expr_names[52] == "expr052" and head.expr_names[99] == "expr099"
    assert head.arkit_map is not None and head.arkit_map.shape == (52, 114)
    driven = [n for n in ARKIT_52 if n.startswith(("eyeLook", "eyeBlink")) or n in ("jawOpen", "jawLeft", "jawRight")]
    assert len(driven) == 13
    for i, name in enumerate(ARKIT_52):
        moves = np.abs(head.exprdirs[:, :, i]).max()
        if name in driven:
            assert moves == 0 and not head.arkit_map[i, :100].any() and np.count_nonzero(head.arkit_map[i]) == 1
        else:
            assert 0.5 * MILLIMETER < moves < 45 * MILLIMETER, name
            assert head.arkit_map[i, i] == 1 and np.count_nonzero(head.arkit_map[i]) == 1
    rest = np.abs(head.exprdirs[:, :, 52:]).max(axis=(0, 1))
    assert (rest > 1e-5).all() and rest.max() < 8 * MILLIMETER


def test_joint_driven_names_turn_the_right_way() -> None:
    head = standin_head()
    rest, eye = posed(head), head.regions["left_pupil"]
    assert posed(head, jawOpen=1)[head.regions["lip_inside_ring_lower"][7], 1] < rest[0, 1] - 15 * MILLIMETER
    assert (posed(head, eyeLookUpLeft=1)[eye, 1] > rest[eye, 1] + MILLIMETER).all()
    assert (posed(head, eyeLookDownLeft=1)[eye, 1] < rest[eye, 1] - MILLIMETER).all()
    assert (posed(head, eyeLookOutLeft=1)[eye, 0] > rest[eye, 0] + MILLIMETER).all()
    assert (posed(head, eyeLookInLeft=1)[eye, 0] < rest[eye, 0] - MILLIMETER).all()
    right = head.regions["right_pupil"]
    assert (posed(head, eyeLookOutRight=1)[right, 0] < rest[right, 0] - MILLIMETER).all()
    chin = head.regions["lip_inside_ring_lower"][7]
    assert posed(head, jawLeft=1)[chin, 0] > rest[chin, 0] + MILLIMETER
    assert posed(head, jawRight=1)[chin, 0] < rest[chin, 0] - MILLIMETER


@pytest.mark.parametrize("gaze", [{}, {"eyeLookUpLeft": 0.7}, {"eyeLookDownLeft": 1.0}, {"eyeLookOutLeft": 1.0},
                                  {"eyeLookInLeft": 1.0}])
def test_the_eyeball_never_pokes_through_the_lids(gaze: dict[str, float]) -> None:
    head, mesh = head_and_mesh("closed", False)
    center = weights.JOINTS[weights.LEFT_EYE]
    near = (mesh.opening_ring["left_eye"] <= 5) & (mesh.part == SKIN)
    faces = head.faces[near[head.faces].all(axis=1)]
    samples = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (1, 1, 1)], float)
    samples /= samples.sum(axis=1, keepdims=True)
    ball = parts.BALL_RADIUS + 0.22  # with its cornea, wherever that looks
    for blink in np.linspace(0, 1, 9):
        v = posed(head, eyeBlinkLeft=float(blink), **gaze) * 1000 - ORIGIN
        on_lids = np.einsum("sk,fkc->fsc", samples, v[faces]).reshape(-1, 3) - center
        assert np.linalg.norm(on_lids, axis=1).min() > ball + 0.1, f"blink {blink}"


@pytest.mark.parametrize("gaze", [{}, {"eyeLookUpLeft": 0.7}, {"eyeLookDownLeft": 1.0}])
def test_a_blink_covers_the_eye(gaze: dict[str, float]) -> None:
    head, mesh = head_and_mesh("closed", False)
    v = posed(head, eyeBlinkLeft=1.0, **gaze) * 1000 - ORIGIN
    near = (mesh.opening_ring["left_eye"] <= 5) & (mesh.part == SKIN)
    lids = v[head.faces[near[head.faces].all(axis=1)]]
    center = weights.JOINTS[weights.LEFT_EYE]
    ball = v[3931:4477]
    seen = ball[(ball[:, 2] > center[2] + 6) & (np.abs(ball[:, 0] - center[0]) < 9)]
    e1, e2, d = lids[:, 1] - lids[:, 0], lids[:, 2] - lids[:, 0], seen[:, None] - lids[None, :, 0]
    area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    s = (d[..., 0] * e2[:, 1] - d[..., 1] * e2[:, 0]) / area
    t = (d[..., 1] * e1[:, 0] - d[..., 0] * e1[:, 1]) / area
    above = (s >= 0) & (t >= 0) & (s + t <= 1) & (d[..., 2] - s * e1[:, 2] - t * e2[:, 2] < 0)
    assert above.any(axis=1).all()


def test_lips_meet_when_closed_and_part_when_the_jaw_opens() -> None:
    for variant in ("closed", "open-mouth"):
        head = standin_head(variant)
        upper, lower = head.regions["lip_inside_ring_upper"], head.regions["lip_inside_ring_lower"]
        rest, opened = posed(head), posed(head, jawOpen=1)
        assert np.linalg.norm(rest[upper] - rest[lower], axis=1).max() < 0.3 * MILLIMETER
        assert (rest[upper, 1] > rest[lower, 1]).all()
        gap = np.linalg.norm(opened[upper] - opened[lower], axis=1)
        assert gap[7] > 20 * MILLIMETER and (np.diff(gap[:8]) > 0).all()
        shut = posed(head, jawOpen=1, mouthClose=1)
        assert np.linalg.norm(shut[upper] - shut[lower], axis=1).max() < 2 * MILLIMETER


def test_smooth_directions_keep_the_lips_together_and_the_eyes_still() -> None:
    head = standin_head()
    upper, lower = head.regions["lip_inside_ring_upper"], head.regions["lip_inside_ring_lower"]
    extra = head.exprdirs[:, :, 52:]
    assert np.abs(extra[upper] - extra[lower]).max() < 0.05 * MILLIMETER
    assert np.abs(head.exprdirs[head.regions["eyeballs"]]).max() == 0
    assert head.shapedirs is not None
    ball = head.shapedirs[head.regions["left_eyeball"]]
    assert np.abs(ball - ball[:1]).max() < 1e-9  # identity moves eyeballs as rigid pieces


def test_building_again_gives_the_same_head() -> None:
    again = standin_head.__wrapped__("closed", False)
    assert again.content_hash == standin_head().content_hash
    assert standin_head("closed", False) is standin_head("closed", False)


class _Reader(pickle.Unpickler):
    """Reads only the fixture's own stream, to check that the writer wrote what the layout says."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("chumpy.ch", "Ch"):
            return type("Ch", (), {})
        return super().find_class(module.replace("numpy.core", "numpy._core").replace("scipy.sparse.csc", "scipy.sparse"),
                                  name)


@pytest.mark.parametrize(("edition", "chumpy"), [("flame2020", True), ("flame2020", False), ("flame2023-open", True)])
def test_the_flame_fixture_holds_the_head(tmp_path: Path, edition: str, chumpy: bool) -> None:
    head = standin_head()
    path = write_flame_pickle(head, tmp_path / "generic_model.pkl", edition, chumpy)
    data = path.read_bytes()
    names = {str(arg) for op, arg, _ in pickletools.genops(data) if op.name == "GLOBAL"}
    old = edition == "flame2020"
    assert data[:2] == b"\x80\x02" and "numpy.core.multiarray _reconstruct" in names
    assert ("chumpy.ch Ch" in names) == (old and chumpy)
    assert ("scipy.sparse.csc csc_matrix" in names) == old and ("_codecs encode" in names) == (not old)
    with path.open("rb") as file:
        stream = _Reader(file, encoding="latin1").load()
    assert Ch.__module__ == "chumpy.ch"
    tables = {name: value.x if hasattr(value, "_dirty_vars") else value for name, value in stream.items()}
    for name, expected in flame_tables(head).items():
        value = tables[name]
        if name == "J_regressor":
            value, expected = value.toarray(), expected.toarray()
        assert np.array_equal(value, expected), name
    assert tables["f"].dtype == tables["kintree_table"].dtype == np.uint32
    assert tables["kintree_table"][0, 0] == ROOT_PARENT and tables["shapedirs"].shape == (5023, 3, 400)
