"""FLAME's teeth: order and winding of their faces, where they stand, what moves them."""

import dataclasses

import numpy as np
import pytest

from formats.deform import deform_head
from formats.errors import CheckpointMismatch
from formats.head_model import HeadModel
from formats.sequence import Sequence
from formats.standin.head import standin_head
from formats.teeth import LOWER_LIP, UPPER_LIP, add_teeth, has_teeth

UPPER, LOWER = [0, 2, 4, 5], [1, 3, 6, 7]


@pytest.fixture(scope="module")
def bare() -> HeadModel:
    return standin_head("open-mouth")


@pytest.fixture(scope="module")
def head(bare: HeadModel) -> HeadModel:
    return add_teeth(bare)


def rows_of(vertices: np.ndarray) -> np.ndarray:
    return vertices[5023:].reshape(8, 15, 3)


def test_flame_itself_is_kept_and_the_sizes_are_vhaps(bare: HeadModel, head: HeadModel) -> None:
    assert not has_teeth(bare) and has_teeth(head)
    assert len(head.v_template) == 5143 and len(head.faces) == 10144
    assert bare.uvs is not None and head.uvs is not None and len(head.uvs) == len(bare.uvs) + 120
    np.testing.assert_array_equal(head.faces[:9976], bare.faces)
    np.testing.assert_array_equal(head.v_template[:5023], bare.v_template)
    assert head.content_hash == bare.content_hash  # coefficients mean the same


def test_faces_wind_alike_and_flip_their_diagonals_in_the_middle(head: HeadModel) -> None:
    faces = head.faces[9976:] - 5023
    # By the fact sheet's P, Q, S, T, written out at both ends of the columns.
    assert faces[0].tolist() == [0, 31, 30] and faces[1].tolist() == [0, 1, 31]  # P(0, 2), left
    assert faces[26].tolist() == [13, 14, 43] and faces[27].tolist() == [14, 44, 43]  # P(0, 2), right
    assert faces[28].tolist() == [60, 75, 76] and faces[55].tolist() == [74, 88, 89]  # Q(4, 5)
    assert faces[56].tolist() == [75, 30, 76] and faces[83].tolist() == [88, 44, 89]  # S(5, 2)
    assert faces[84].tolist() == [45, 46, 15] and faces[111].tolist() == [58, 59, 29]  # T(3, 1)
    assert faces[112].tolist() == [90, 106, 105] and faces[167].tolist() == [118, 119, 59]  # P(6, 7), T(7, 3)
    for block, rows in ((faces[:84], UPPER), (faces[84:], LOWER)):
        assert set((block // 15).ravel().tolist()) == set(rows)
        edges = np.concatenate([block[:, [0, 1]], block[:, [1, 2]], block[:, [2, 0]]])
        assert len(np.unique(edges, axis=0)) == len(edges)  # no edge is run twice in one direction
        columns = block.reshape(3, 14, 2, 3) % 15
        assert ((columns.max(axis=(2, 3)) - columns.min(axis=(2, 3))) == 1).all()


def test_rows_stand_between_the_lips(head: HeadModel) -> None:
    v = head.v_template.astype(np.float64)
    upper, lower = v[list(UPPER_LIP)], v[list(LOWER_LIP)]
    gap = np.linalg.norm(upper - lower, axis=1).mean()
    rows = rows_of(v)
    close = {"atol": 2e-7, "rtol": 0}
    np.testing.assert_allclose(rows[2, :, 0], (upper + lower)[:, 0] / 2, **close)
    np.testing.assert_allclose(rows[2, :, 1], (upper + lower)[:, 1].mean() / 2 + 0.1 * gap, **close)
    np.testing.assert_allclose(rows[2, :, 2], (upper + lower)[:, 2] / 2 - 1.5 * gap, **close)
    for row, other, step in ((3, 2, (0, -0.2, -0.4)), (0, 2, (0, 2, 0)), (1, 3, (0, -2, 0)), (4, 0, (0, 0, -1)),
                             (5, 2, (0, 0, -1)), (6, 1, (0, 0, -1)), (7, 3, (0, 0, -1))):
        np.testing.assert_allclose(rows[row] - rows[other], np.broadcast_to(np.array(step) * gap, (15, 3)), **close)


def test_identity_moves_a_column_as_its_lips_and_nothing_else_does(bare: HeadModel, head: HeadModel) -> None:
    assert head.shapedirs is not None and bare.shapedirs is not None and head.posedirs is not None
    mean = (bare.shapedirs[list(UPPER_LIP)] + bare.shapedirs[list(LOWER_LIP)]) / 2
    np.testing.assert_allclose(head.shapedirs[5023:].reshape(8, 15, 3, -1), np.broadcast_to(mean, (8, *mean.shape)), atol=1e-9)
    assert not head.exprdirs[5023:].any() and not head.posedirs[5023:].any()
    assert head.eyeliddirs is not None and not head.eyeliddirs[5023:].any()
    assert head.J_regressor is not None and not head.J_regressor[:, 5023:].any()


def test_the_lower_row_goes_with_the_jaw_and_the_upper_with_the_neck(head: HeadModel) -> None:
    person = head.personalise()
    still, turn = np.zeros((1, 100), np.float32), np.array([[0.3, 0.1, 0]], np.float32)
    rest = rows_of(person.v_template)
    for field, moved, kept in (("jaw", LOWER, UPPER), ("neck", UPPER + LOWER, [])):
        rows = rows_of(deform_head(person, Sequence("standin", 25, still, **{field: turn})).vertices)
        np.testing.assert_allclose(rows[kept], rest[kept], atol=1e-7)
        assert (np.linalg.norm(rows[moved] - rest[moved], axis=2) > 5e-4).all()
        spans = [np.linalg.norm(r[moved][:, 1:] - r[moved][:, :-1], axis=2) for r in (rows, rest)]
        np.testing.assert_allclose(*spans, atol=1e-7)  # rigidly


def test_texture_coordinates_run_down_seven_levels(bare: HeadModel, head: HeadModel) -> None:
    assert head.uvs is not None and bare.uvs is not None and head.uv_faces is not None and bare.uv_faces is not None
    uv = head.uvs[len(bare.uvs):].reshape(8, 15, 2)
    np.testing.assert_allclose(uv[:, :, 0], np.broadcast_to(np.linspace(0.62, 0.38, 15), (8, 15)), atol=1e-6)
    levels = 1 - np.linspace(0.9917, 0.9575, 7)[[3, 2, 0, 1, 3, 4, 6, 5]]
    np.testing.assert_allclose(uv[:, :, 1], np.broadcast_to(levels[:, None], (8, 15)), atol=1e-6)
    np.testing.assert_array_equal(head.uv_faces[9976:] - len(bare.uvs), head.faces[9976:] - 5023)


def test_a_head_without_a_texture_gets_teeth_too(bare: HeadModel) -> None:
    plain = add_teeth(dataclasses.replace(bare, uvs=None, uv_faces=None, eyeliddirs=None))
    assert plain.uvs is None and len(plain.faces) == 10144


def test_regions_name_the_rows(head: HeadModel) -> None:
    np.testing.assert_array_equal(head.regions["teeth"], np.arange(5023, 5143))
    assert set(head.regions["teeth_upper"].tolist()) == {5023 + 15 * r + c for r in UPPER for c in range(15)}
    assert set(head.regions["teeth_lower"].tolist()) == {5023 + 15 * r + c for r in LOWER for c in range(15)}


def test_other_heads_are_refused(bare: HeadModel, head: HeadModel) -> None:
    with pytest.raises(CheckpointMismatch, match="has teeth already"):
        add_teeth(head)
    with pytest.raises(CheckpointMismatch, match="no identity directions left"):
        add_teeth(bare.personalise())
    fewer = dataclasses.replace(bare, faces=bare.faces[:-1], uv_faces=bare.uv_faces[:-1])  # type: ignore[index]
    with pytest.raises(CheckpointMismatch, match="5023 vertices and 9975 faces; expected FLAME's 5023 and 9976"):
        add_teeth(fewer)
