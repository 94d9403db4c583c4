"""Spherical harmonics against SciPy's, and the laws of turning them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import sph_harm_y

from formats.rotations import axis_angle_to_matrix, normalize
from formats.spherical_harmonics import evaluate_sh, rotate_sh, sh_basis

ROUNDING = 1e-12  # float64, a few dozen operations on numbers of order one
vectors = st.tuples(*[st.floats(-4, 4, allow_nan=False)] * 3).map(np.array)


def directions(n=50, seed=0):
    return normalize(np.random.default_rng(seed).normal(size=(n, 3)))


def coefficients(degree, n=5, seed=1):
    return np.random.default_rng(seed).normal(0, 0.3, (n, (degree + 1) ** 2, 3))


def real_harmonics(d, degree):
    """The textbook's real harmonics out of SciPy's complex ones, with the Condon-Shortley phase that 3DGS keeps."""
    theta, phi = np.arccos(np.clip(d[:, 2], -1, 1)), np.arctan2(d[:, 1], d[:, 0])
    columns = []
    for band in range(degree + 1):
        for m in range(-band, band + 1):
            y = sph_harm_y(band, abs(m), theta, phi)
            columns.append(y.real if m == 0 else 2**0.5 * (y.imag if m < 0 else y.real))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_the_basis_is_the_textbooks(degree):
    d = directions()
    np.testing.assert_allclose(sh_basis(d, degree), real_harmonics(d, degree), atol=ROUNDING)


def test_known_signs():
    """One Gaussian's degree 1 seen along the axes, as the released rasteriser computes it."""
    sh = np.zeros((1, 4, 3))
    sh[0, 1:] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    for axis, expected in (([1, 0, 0], [0.5, 0.5, 0.5 - 0.4886025]), ([0, 1, 0], [0.5 - 0.4886025, 0.5, 0.5]),
                           ([0, 0, 1], [0.5, 0.5 + 0.4886025, 0.5])):
        np.testing.assert_allclose(evaluate_sh(sh, np.array([axis], float))[0], expected, atol=1e-6)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_color_is_half_plus_the_sum_and_never_negative(degree):
    sh, d = coefficients(degree, 50) * 4, directions()
    by_hand = 0.5 + np.einsum("nk,nkc->nc", real_harmonics(d, degree), sh)
    assert (by_hand < 0).any()
    np.testing.assert_allclose(evaluate_sh(sh, d), np.maximum(by_hand, 0), atol=ROUNDING)


@given(turn=vectors, degree=st.integers(0, 3), seed=st.integers(0, 9))
def test_turned_coefficients_see_what_the_turned_direction_saw(turn, degree, seed):
    rotation, d, sh = axis_angle_to_matrix(turn), directions(seed=seed), coefficients(degree, 50)
    np.testing.assert_allclose(evaluate_sh(rotate_sh(sh, rotation), d), evaluate_sh(sh, d @ rotation), atol=ROUNDING)


@given(a=vectors, b=vectors)
@settings(max_examples=30)
def test_turning_is_a_group(a, b):
    sh, first, second = coefficients(3), axis_angle_to_matrix(a), axis_angle_to_matrix(b)
    np.testing.assert_allclose(rotate_sh(rotate_sh(sh, first), second), rotate_sh(sh, second @ first), atol=ROUNDING)
    np.testing.assert_allclose(rotate_sh(rotate_sh(sh, first), first.T), sh, atol=ROUNDING)
    np.testing.assert_allclose(rotate_sh(sh, np.eye(3)), sh, atol=ROUNDING)


@given(turn=vectors)
@settings(max_examples=30)
def test_turning_keeps_each_bands_energy(turn):
    sh = coefficients(3)
    turned = rotate_sh(sh, axis_angle_to_matrix(turn))
    for band in range(4):
        own = slice(band * band, (band + 1) ** 2)
        np.testing.assert_allclose((turned[:, own] ** 2).sum(1), (sh[:, own] ** 2).sum(1), atol=ROUNDING)


def test_mirrors_work_too():
    mirror, d, sh = np.diag([1.0, -1, 1]), directions(), coefficients(3, 50)
    np.testing.assert_allclose(evaluate_sh(rotate_sh(sh, mirror), d), evaluate_sh(sh, d @ mirror), atol=ROUNDING)
