"""Closing the lips."""

import dataclasses

import numpy as np
import pytest

from formats.deform import deform_head, rest_sequence
from formats.errors import FormatError
from formats.head_model import HeadModel
from formats.lip_seal import border_loops, lip_opening, seal_lips
from formats.standin.head import standin_head
from formats.texels import texels
from tests.builders import tiny_head


@pytest.fixture(scope="module")
def sealed() -> HeadModel:
    return seal_lips(standin_head("open-mouth"))


def normals(head: HeadModel, faces: np.ndarray) -> np.ndarray:
    a, b, c = (head.v_template[faces[:, i]].astype(np.float64) for i in range(3))
    return np.cross(b - a, c - a)


def test_ring_of_32_gets_30_faces_and_only_the_neck_stays_open(sealed: HeadModel) -> None:
    head = standin_head("open-mouth")
    assert sorted(len(loop) for loop in border_loops(head.faces)) == [30, 32]
    assert len(sealed.faces) == 10_006 and len(sealed.v_template) == len(head.v_template)
    np.testing.assert_array_equal(sealed.faces[:len(head.faces)], head.faces)
    (left,) = border_loops(sealed.faces)
    assert set(left.tolist()) == set(head.regions["neck_ring"].tolist())
    assert sealed.content_hash == head.content_hash and sealed.edition == head.edition
    assert set(sealed.faces[len(head.faces):].ravel().tolist()) == set(head.regions["lip_ring"].tolist())


def test_each_edge_has_one_face_on_either_side(sealed: HeadModel) -> None:
    edges = np.concatenate([sealed.faces[:, [0, 1]], sealed.faces[:, [1, 2]], sealed.faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # no directed edge twice: windings agree everywhere


def test_seal_looks_out_of_an_open_mouth(sealed: HeadModel) -> None:
    frame = dataclasses.replace(rest_sequence(sealed), jaw=np.array([[0.3, 0, 0]], np.float32))
    posed = dataclasses.replace(sealed, v_template=deform_head(sealed, frame).vertices.astype(np.float32))
    facing = normals(posed, sealed.faces[9976:])
    assert (facing[:, 2] > 0).mean() > 0.9 and facing.sum(axis=0)[2] > 0.7 * np.linalg.norm(facing, axis=1).sum()


def test_seal_is_the_same_left_and_right(sealed: HeadModel) -> None:
    corners = np.abs(sealed.v_template[sealed.faces[9976:]].mean(axis=1))
    order = np.lexsort(np.round(corners, 6).T)
    pairs = corners[order].reshape(-1, 2, 3)
    np.testing.assert_allclose(pairs[:, 0], pairs[:, 1], atol=1e-5)


@pytest.mark.parametrize("size", [128, 256])
def test_seal_has_texels_of_its_own(sealed: HeadModel, size: int) -> None:
    assert sealed.uvs is not None and sealed.uv_faces is not None
    where, face, _ = texels(sealed, size)
    mine = np.unique(where[face >= 9976])
    assert len(mine) > 0.005 * size**2
    assert not np.isin(mine, where[face < 9976]).any()
    assert len(np.unique(face[face >= 9976])) == 30
    uv = sealed.uvs[sealed.uv_faces].astype(np.float64)
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    assert (np.sign(area[9976:]) == np.sign(np.median(area[:9976]))).all()  # wound as the rest of the layout


def test_closed_heads_are_left_alone() -> None:
    for head in (standin_head("closed"), tiny_head()):
        assert seal_lips(head) is head
    twice = seal_lips(standin_head("open-mouth"))
    assert seal_lips(twice) is twice


def test_flame_file_without_the_region_is_looked_at(sealed: HeadModel) -> None:
    head = dataclasses.replace(standin_head("open-mouth"), regions={})
    ring = lip_opening(head)
    assert ring is not None and set(ring.tolist()) == set(standin_head("open-mouth").regions["lip_ring"].tolist())
    np.testing.assert_array_equal(seal_lips(head).faces, sealed.faces)
    assert lip_opening(dataclasses.replace(standin_head("closed"), regions={})) is None


def test_full_texture_and_no_texture() -> None:
    head = standin_head("open-mouth")
    bare = seal_lips(dataclasses.replace(head, uvs=None, uv_faces=None))
    assert len(bare.faces) == 10_006 and bare.uvs is None
    assert head.uvs is not None and head.uv_faces is not None
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    full = dataclasses.replace(head, uvs=np.concatenate([head.uvs, square]),
                               uv_faces=np.concatenate([len(head.uvs) + np.array([[0, 1, 2]]), head.uv_faces[1:-1],
                                                        len(head.uvs) + np.array([[0, 2, 3]])]).astype(np.int32))
    closed = seal_lips(full)
    assert closed.uvs is not None and len(closed.uvs) == len(full.uvs) and closed.uv_faces is not None
    assert len(closed.uv_faces) == 10_006


def test_ring_that_is_no_border_is_refused() -> None:
    head = standin_head("open-mouth")
    wrong = dataclasses.replace(head, regions={"lip_ring": head.regions["lip_ring"][:-1]})
    with pytest.raises(FormatError, match="31 vertices that touch 1 open borders"):
        seal_lips(wrong)
