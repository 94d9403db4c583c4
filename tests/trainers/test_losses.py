"""Losses against values worked out by hand or in NumPy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from formats.rotations import axis_angle_to_quat  # noqa: E402
from trainers import losses  # noqa: E402


def test_distances_of_pictures() -> None:
    a, b = torch.zeros(2, 2, 3), torch.zeros(2, 2, 3)
    b[0, 0] = torch.tensor([0.3, -0.6, 0.0])
    assert losses.l1(a, b).item() == pytest.approx(0.9 / 12)
    assert losses.l2(a, b).item() == pytest.approx((0.09 + 0.36) / 12)
    assert losses.psnr(a, b) == pytest.approx(10 * np.log10(12 / 0.45), rel=1e-5)
    assert losses.psnr(a, a) == pytest.approx(120)


def test_ssim_against_the_formula_pixel_by_pixel() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.random((2, 14, 17, 3))
    g = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(g, g) / g.sum() ** 2

    def mean(image: np.ndarray) -> np.ndarray:
        padded = np.pad(image, ((5, 5), (5, 5), (0, 0)))
        return np.einsum("hwcij,ij->hwc", np.lib.stride_tricks.sliding_window_view(padded, (11, 11), axis=(0, 1)), window)

    mx, my = mean(x), mean(y)
    xx, yy, xy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 1e-4, 9e-4
    expected = ((2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (xx + yy + c2))).mean()
    got = losses.ssim(torch.tensor(x), torch.tensor(y))
    assert got.item() == pytest.approx(expected, rel=1e-9)
    assert losses.ssim(torch.tensor(x), torch.tensor(x)).item() == pytest.approx(1)
    assert losses.dssim(torch.tensor(x), torch.tensor(y)).item() == pytest.approx(1 - expected, rel=1e-9)


def test_slopes_over_a_pyramid() -> None:
    a, b = torch.zeros(4, 4, 3), torch.zeros(4, 4, 3)
    b[:, 2:] = 0.5  # one step of 0.5 in 3 columns of slopes; in 1 column after halving
    assert losses.gradient(a, b, 1).item() == pytest.approx((0.5 / 3) / 2)
    assert losses.gradient(a, b + 0.2, 1).item() == pytest.approx((0.5 / 3) / 2)  # flat colour says nothing
    assert losses.gradient(a, b, 2).item() == pytest.approx((0.5 / 3 + 0.5) / 4)
    assert losses.gradient(a, a).item() == 0


def test_ratio_hinge() -> None:
    scales = torch.tensor([[1.0, 2.0, 12.0], [1.0, 1.0, 9.0], [0.01, 0.2, 0.02]])
    assert losses.ratio_hinge(scales.log(), 9).item() == pytest.approx((3 + 0 + 11) / 3, rel=1e-5)


def test_tilt_leaves_turns_about_the_normal_free() -> None:
    turns = np.array([[0, 0.7, 0], [0.3, 0, 0], [0, 0.5, -0.4], [0, 0, 0]])
    quats = torch.tensor(axis_angle_to_quat(turns) * np.array([[1], [-2], [3], [1]]), requires_grad=True)
    value = losses.tilt(quats)
    assert value.item() == pytest.approx((0.3**2 + 0.4**2) / 8, rel=1e-6)
    value.backward()
    assert torch.isfinite(quats.grad).all()


def test_laplacian_of_a_fan() -> None:
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1]])  # 0 has 1, 2, 3; a fifth vertex has none
    values = torch.tensor([[1.0, 0, 0], [4, 0, 0], [0, 3, 0], [0, 0, 6], [9, 9, 9]], requires_grad=True)
    mesh = losses.UniformLaplacian(faces, 5)
    got = mesh(values)
    torch.testing.assert_close(got[0].detach(), torch.tensor([4 / 3 - 1, 1, 2]))
    torch.testing.assert_close(got[1].detach(), torch.tensor([1 / 3 - 4, 1, 2]))
    assert not got[4].detach().any()
    assert torch.autograd.gradcheck(lambda v: mesh(v), values.detach().double().requires_grad_())
    assert losses.square_length(torch.tensor([[3.0, 4], [0, 1]])).item() == pytest.approx(13)


def test_laplacian_of_a_pole() -> None:
    spokes = torch.arange(1, 15)
    faces = torch.stack([torch.zeros(14, dtype=torch.int64), spokes, spokes % 14 + 1], dim=1)
    values = torch.arange(15.0)[:, None] ** 2
    mesh = losses.UniformLaplacian(faces, 15)
    assert mesh(values)[0, 0].item() == pytest.approx(values[1:].mean().item(), rel=1e-6)
    assert mesh(values)[3, 0].item() == pytest.approx((0 + 4 + 16) / 3 - 9, rel=1e-5)
    assert torch.autograd.gradcheck(lambda v: mesh(v), values.double().requires_grad_())


def test_laplacian_does_not_see_shifts() -> None:
    from formats.standin.head import standin_head

    head = standin_head("open-mouth")
    mesh = losses.UniformLaplacian(torch.tensor(head.faces, dtype=torch.int64), len(head.v_template))
    assert mesh(torch.ones(len(head.v_template), 3)).abs().max() < 1e-6


def test_blurs_of_both_devices_agree() -> None:
    maps = torch.rand(5, 20, 17, dtype=torch.float64)
    w = losses._window(maps.device, maps.dtype)
    assert torch.allclose(losses._blur(maps, w), losses._blur_channels(maps, w), atol=1e-12)
