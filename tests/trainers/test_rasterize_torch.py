"""The CPU rasteriser: its picture against `formats.render`, its gradients against float64 finite differences."""

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

import torch  # noqa: E402

from formats.camera import Camera, look_at  # noqa: E402
from formats.conventions import rgb_to_sh  # noqa: E402
from formats.deform import PosedSplats  # noqa: E402
from formats.errors import UnsupportedFeature  # noqa: E402
from formats.gaussians import GaussianCloud  # noqa: E402
from formats.picture import psnr  # noqa: E402
from formats.render import RenderOptions, render_layers  # noqa: E402
from formats.rotations import normalize  # noqa: E402
from trainers.model import Drawing, View  # noqa: E402
from trainers.rasterize import rasterize  # noqa: E402

NAMES = ("means", "quats", "scales", "opacities", "rgb")


def head_tensors(count: int, size: float = 0.0015, spread: float = 0.6, seed: int = 0,
                 opacity: tuple[float, float] = (0.01, 1.0)) -> list[torch.Tensor]:
    """Return means, quats (not unit), scales, opacities and rgb of a head-sized shell, each asking for a gradient."""
    rng = np.random.default_rng(seed)
    shell = normalize(rng.normal(size=(count, 3))) * [0.08, 0.115, 0.095] * rng.uniform(0.9, 1.02, (count, 1))
    arrays = (shell, rng.normal(size=(count, 4)), size * np.exp(rng.normal(0, spread, (count, 3))),
              rng.uniform(*opacity, count), rng.uniform(0, 1, (count, 3)))
    return [torch.tensor(a, dtype=torch.float32).requires_grad_() for a in arrays]


def grad(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of a gradient that must be there."""
    assert tensor.grad is not None
    return tensor.grad.clone()


def view_of(camera: Camera) -> View:
    """Return the camera as trainers hold it."""
    return View(torch.tensor(np.asarray(camera.world_to_camera), dtype=torch.float32),
                torch.tensor(np.asarray(camera.K), dtype=torch.float32), camera.width, camera.height)


def drawn(tensors: list[torch.Tensor], camera: Camera, options: RenderOptions | None = None) -> Drawing:
    """Return what the CPU backend draws."""
    options = options or RenderOptions()
    return rasterize(*tensors, view=view_of(camera), background=torch.tensor(options.background), near=options.near,
                     low_pass=options.low_pass, backend="cpu")


def defined(tensors: list[torch.Tensor], camera: Camera, options: RenderOptions | None = None):
    """Return `formats.render`'s picture of the same."""
    means, quats, scales, opacities, rgb = (t.detach().numpy() for t in tensors)
    cloud = GaussianCloud(means, quats, scales, opacities, rgb_to_sh(rgb)[:, None].astype(np.float32))
    return render_layers([PosedSplats("cloud", cloud, np.eye(3))], camera, options)


FRONT = look_at((0, 0, 0.95), (0, 0, 0), np.deg2rad(20), 160, 160)
SIDE = look_at((0.6, 0.25, 0.5), (0, 0.01, 0), np.deg2rad(24), 128, 128)
WIDE = look_at((0.02, 0, 0.35), (0, 0, 0), np.deg2rad(50), 203, 77)
TALL = look_at((0.02, 0.1, 0.5), (0, 0, 0), np.deg2rad(35), 33, 150)
INSIDE = look_at((0.0, 0.0, 0.16), (0.02, 0.01, 0), np.deg2rad(70), 128, 128)
SHIFTED = Camera(np.array([[700.0, 0, 21.3], [0, 650.0, 140.9], [0, 0, 1]]), SIDE.world_to_camera, 160, 150)
BLUE = (0.3, 0.5, 0.7)

SCENES: dict[str, tuple[list[torch.Tensor], Camera, RenderOptions]] = {
    "front": (head_tensors(6000), FRONT, RenderOptions()),
    "side on blue": (head_tensors(6000, seed=1), SIDE, RenderOptions(BLUE)),
    "wide, no multiple of a tile": (head_tensors(4000, seed=2), WIDE, RenderOptions((0.0, 0.0, 0.0))),
    "tall": (head_tensors(4000, seed=3), TALL, RenderOptions(BLUE)),
    "off-centre principal point": (head_tensors(5000, seed=4), SHIFTED, RenderOptions()),
    "near plane cuts": (head_tensors(4000, seed=5), INSIDE, RenderOptions()),
    "near plane close": (head_tensors(4000, seed=6), INSIDE, RenderOptions(near=0.05)),
    "needles": (head_tensors(5000, 0.0015, 1.6, 7), SIDE, RenderOptions()),
    "dust": (head_tensors(20000, 0.00005, 0.5, 8), FRONT, RenderOptions()),
    "more low pass": (head_tensors(3000, 0.0003, 0.5, 8), FRONT, RenderOptions(low_pass=1.5)),
    "opaque": (head_tensors(6000, 0.002, 0.4, 9, (0.95, 1.0)), FRONT, RenderOptions()),
    "few and huge": (head_tensors(60, 0.05, 0.5, 10), SIDE, RenderOptions()),
    "one": (head_tensors(1, 0.02, 0.3, 11), FRONT, RenderOptions(BLUE)),
    "none": (head_tensors(0), FRONT, RenderOptions(BLUE)),
}


@pytest.mark.parametrize("name", SCENES)
def test_picture_is_the_definitions(name: str) -> None:
    """Front to back in float32 with an early end, yet the same picture: 70 dB and 1e-4 are the contract."""
    tensors, camera, options = SCENES[name]
    ours, theirs = drawn(tensors, camera, options), defined(tensors, camera, options)
    rgb = ours.rgb.detach().clamp(0, 1).numpy()
    assert rgb.shape == (camera.height, camera.width, 3)
    assert psnr(rgb, theirs.rgb) >= 75
    assert np.abs(rgb - theirs.rgb).mean() <= 1e-5
    assert np.abs(ours.alpha.detach().numpy() - theirs.alpha).mean() <= 1e-5


def test_visible_and_means2d_are_the_definitions() -> None:
    """What is on the picture, and where."""
    from formats.render import project

    tensors, camera, options = SCENES["near plane cuts"]
    means, quats, scales, opacities, rgb = (t.detach().numpy() for t in tensors)
    expected = project(GaussianCloud(means, quats, scales, opacities, rgb_to_sh(rgb)[:, None]), camera, options)
    ours = drawn(tensors, camera, options)
    shown = ours.visible.numpy()
    assert 0 < shown.sum() < len(shown)
    np.testing.assert_array_equal(shown, expected.visible)
    np.testing.assert_allclose(ours.means2d.detach().numpy()[shown], expected.means2d[shown], atol=2e-3)


# --- Gradients --------------------------------------------------------------------------------------------------------


def twin(means, quats, scales, opacities, rgb, camera: Camera, background, near: float = 0.2,
         low_pass: float = 0.3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return picture, alpha and means2d, slowly: every Gaussian at every pixel, float64, written from the definition."""
    w2c, k = torch.tensor(camera.world_to_camera), torch.tensor(camera.K)
    t = means @ w2c[:3, :3].T + w2c[:3, 3]
    z = t[:, 2]
    means2d = (t[:, :2] / z[:, None]) * k.diagonal()[:2] + k[:2, 2]
    size = torch.tensor([camera.width, camera.height], dtype=torch.float64)
    low = -(k[:2, 2] + 0.15 * size) / k.diagonal()[:2]
    high = (size - k[:2, 2] + 0.15 * size) / k.diagonal()[:2]
    slope = torch.minimum(torch.maximum(t[:, :2] / z[:, None], low), high)
    jacobian = torch.zeros(len(means), 2, 3, dtype=torch.float64)
    for axis in range(2):
        jacobian[:, axis, axis] = k[axis, axis] / z
        jacobian[:, axis, 2] = -k[axis, axis] * slope[:, axis] / z
    w, x, y, q = (quats / quats.norm(dim=1, keepdim=True)).T
    rotation = torch.stack([1 - 2 * (y * y + q * q), 2 * (x * y - w * q), 2 * (x * q + w * y),
                            2 * (x * y + w * q), 1 - 2 * (x * x + q * q), 2 * (y * q - w * x),
                            2 * (x * q - w * y), 2 * (y * q + w * x), 1 - 2 * (x * x + y * y)], 1).view(-1, 3, 3)
    flat = jacobian @ w2c[:3, :3] @ rotation @ torch.diag_embed(scales)
    conic = torch.linalg.inv(flat @ flat.mT + low_pass * torch.eye(2, dtype=torch.float64))
    ys, xs = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    color = torch.zeros(camera.height, camera.width, 3, dtype=torch.float64)
    through = torch.ones(camera.height, camera.width, dtype=torch.float64)
    for g in torch.argsort(z, stable=True).tolist():
        if not z[g] > near:
            continue
        d = torch.stack([xs, ys], -1) - means2d[g]
        alpha = (opacities[g] * torch.exp(-0.5 * torch.einsum("hwi,ij,hwj->hw", d, conic[g], d))).clamp(max=0.99)
        alpha = torch.where(alpha < 1 / 255, 0.0, alpha)
        color = color + (through * alpha)[..., None] * rgb[g]
        through = through * (1 - alpha)
    return color + through[..., None] * background, 1 - through, means2d


TINY = look_at((0.05, 0.02, 0.5), (0, 0, 0), np.deg2rad(30), 24, 24)
UNEVEN = Camera(np.array([[55.0, 0, 9.3], [0, 48.0, 14.9], [0, 0, 1]]), TINY.world_to_camera, 27, 19)


def tiny_tensors(seed: int, opacity: tuple[float, float] = (0.1, 0.9)) -> list[torch.Tensor]:
    """Return thirty Gaussians of 1 to 4 pixels, some beyond the picture's edge."""
    rng = np.random.default_rng(seed)
    arrays = (rng.uniform(-0.16, 0.16, (30, 3)), rng.normal(size=(30, 4)) * 3, np.exp(rng.uniform(-5, -3.2, (30, 3))),
              rng.uniform(*opacity, 30), rng.uniform(0, 1, (30, 3)))
    return [torch.tensor(a, dtype=torch.float32).requires_grad_() for a in arrays]


def loss_of(weights: tuple[torch.Tensor, torch.Tensor]) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return a loss with another slope at each pixel and channel, of alpha too."""
    return lambda rgb, alpha: (rgb * weights[0].to(rgb.dtype)).sum() + (alpha * weights[1].to(rgb.dtype)).sum()


def test_twin_is_the_definition() -> None:
    """The slow twin draws what `formats.render` draws, so its slopes are the right ones."""
    tensors = tiny_tensors(0)
    picture, alpha, _ = twin(*(t.detach().double() for t in tensors), camera=UNEVEN, background=torch.ones(3))
    theirs = defined(tensors, UNEVEN)
    np.testing.assert_allclose(picture.clamp(0, 1), theirs.rgb, atol=2e-6)
    np.testing.assert_allclose(alpha, theirs.alpha, atol=2e-6)


@pytest.mark.parametrize("camera", [TINY, UNEVEN], ids=["square", "uneven"])
@pytest.mark.parametrize("opacity", [(0.1, 0.9), (0.9, 1.0)], ids=["thin", "capped"])
def test_gradients_are_the_twins(camera: Camera, opacity: tuple[float, float]) -> None:
    """Every gradient, means2d's included, against the float64 twin's own."""
    rng = np.random.default_rng(5)
    loss = loss_of((torch.tensor(rng.normal(size=(camera.height, camera.width, 3))),
                    torch.tensor(rng.normal(size=(camera.height, camera.width)))))
    tensors, background = tiny_tensors(3, opacity), torch.tensor([0.2, 0.5, 0.9])
    ours = rasterize(*tensors, view=view_of(camera), background=background, backend="cpu")
    ours.means2d.retain_grad()
    loss(ours.rgb, ours.alpha).backward()
    exact = [t.detach().double().requires_grad_() for t in tensors]
    picture, alpha, means2d = twin(*exact, camera=camera, background=background.double())
    means2d.retain_grad()
    loss(picture, alpha).backward()
    for name, a, b in zip((*NAMES, "means2d"), (*tensors, ours.means2d), (*exact, means2d), strict=True):
        assert grad(b).norm() > 0
        assert (grad(a) - grad(b)).norm() < 2e-4 * grad(b).norm(), name


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_differences(name: str) -> None:
    """The same, by differences of the twin where no graph can be wrong in the same way: every number of every input."""
    camera, which = TINY, NAMES.index(name)
    rng = np.random.default_rng(6)
    loss = loss_of((torch.tensor(rng.normal(size=(camera.height, camera.width, 3))),
                    torch.tensor(rng.normal(size=(camera.height, camera.width)))))
    tensors, background = [t[:4].detach().requires_grad_() for t in tiny_tensors(4)], torch.tensor([0.2, 0.5, 0.9])
    ours = rasterize(*tensors, view=view_of(camera), background=background, backend="cpu")
    loss(ours.rgb, ours.alpha).backward()
    exact = [t.detach().double() for t in tensors]
    found = grad(tensors[which])
    flat, expected = exact[which].view(-1), torch.zeros(found.numel(), dtype=torch.float64)
    with torch.no_grad():
        for i in range(found.numel()):
            # One-sided steps over the 1/255 edge of a pixel would be jumps: the middle one of three sizes is without.
            slopes = []
            for step in (1e-7, 2e-7, 4e-7):
                before = float(flat[i])
                flat[i] = before + step
                high = loss(*twin(*exact, camera=camera, background=background.double())[:2])
                flat[i] = before - step
                low = loss(*twin(*exact, camera=camera, background=background.double())[:2])
                flat[i] = before
                slopes.append(float(high - low) / (2 * step))
            expected[i] = float(np.median(slopes))
    assert (found.flatten() - expected).norm() < 1e-3 * expected.norm()


def test_background_needs_no_gradient_and_alpha_alone_is_enough() -> None:
    """A loss of alpha only reaches everything but the colours."""
    tensors = tiny_tensors(8)
    drawing = drawn(tensors, TINY)
    drawing.alpha.sum().backward()
    by_name = dict(zip(NAMES, tensors, strict=True))
    assert not grad(by_name["rgb"]).any()
    assert all(grad(by_name[n]).any() for n in ("means", "quats", "scales", "opacities"))


def test_gradients_flow_only_where_asked() -> None:
    """Inputs that need no gradient get none, and drawing without any keeps no graph."""
    tensors = [t.detach() for t in tiny_tensors(9)]
    assert not drawn(tensors, TINY).rgb.requires_grad
    tensors[4].requires_grad_()
    drawn(tensors, TINY).rgb.sum().backward()
    assert tensors[4].grad is not None and tensors[0].grad is None


# --- Threads and odd inputs -------------------------------------------------------------------------------------------


def results(tensors: list[torch.Tensor], camera: Camera) -> list[torch.Tensor]:
    """Return the picture, alpha and all gradients of one draw."""
    for t in tensors:
        t.grad = None
    drawing = drawn(tensors, camera)
    drawing.means2d.retain_grad()
    (drawing.rgb.square().sum() + drawing.alpha.sum()).backward()
    return [drawing.rgb.detach(), drawing.alpha.detach(), grad(drawing.means2d), *map(grad, tensors)]


def test_same_bits_whatever_the_threads() -> None:
    """Twice, and with 1, 2, 3 and 7 threads."""
    tensors, before = head_tensors(7000, seed=12), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = results(tensors, WIDE)
        for threads in (1, 2, 3, 7, 3, 2):
            torch.set_num_threads(threads)
            for a, b in zip(first, results(tensors, WIDE), strict=True):
                assert torch.equal(a, b)
    finally:
        torch.set_num_threads(before)


def odd_tensors() -> list[torch.Tensor]:
    """Return Gaussians at every limit: behind, at the eye, tiny, huge, flat, opaque, absent, without a rotation."""
    tensors = [t.detach() for t in head_tensors(200, seed=13)]
    means, quats, scales, opacities, _ = tensors
    means[0:10, 2] = torch.linspace(0.7, 3, 10)
    means[10], means[11] = torch.tensor([0, 0, 0.95]), torch.tensor([1e6, -1e6, -1e6])
    means[12] = torch.tensor([1e20, 0, -1e20])
    scales[20:30], scales[30:35], scales[35], scales[36] = 1e-12, 0, 1e3, 1e15
    scales[37] = torch.tensor([1e4, 1e-9, 1e-9])
    scales[38] = 1e30
    quats[40], quats[41], quats[42] = 0, 1e-20, 1e15
    opacities[50:60], opacities[60:70], opacities[70] = 0, 1, 1 / 255
    return [t.requires_grad_() for t in tensors]


def test_odd_gaussians_have_finite_gradients() -> None:
    """No limit of any input may break a training run."""
    tensors = odd_tensors()
    for found in results(tensors, FRONT):
        assert torch.isfinite(found).all()
    hidden = drawn(tensors, FRONT)
    assert not hidden.visible[[8, 9, 10, 50, 55]].any()


@pytest.mark.parametrize("which", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_that_are_not_finite_show(which: int, value: float) -> None:
    """They reach the picture, whatever they are in, instead of vanishing with their Gaussian; and nothing hangs."""
    tensors = [t.detach() for t in head_tensors(50)]
    tensors[which][7] = value
    tensors = [t.requires_grad_() for t in tensors]
    drawing = drawn(tensors, FRONT)
    assert drawing.rgb.isnan().all() and drawing.alpha.isnan().all()
    drawing.rgb.sum().backward()


def test_nothing_visible_is_background_with_zero_gradients() -> None:
    """All behind the camera."""
    tensors = head_tensors(100)
    with torch.no_grad():
        tensors[0][:, 2] += 2
    picture, alpha, *gradients = results(tensors, FRONT)
    assert torch.equal(picture, torch.ones_like(picture)) and not alpha.any()
    assert not any(g.any() for g in gradients)


def test_ties_in_depth_go_to_the_first() -> None:
    """Two Gaussians in one place: the first is on top."""
    tensors = [t.detach() for t in head_tensors(2, 0.01, 0, opacity=(0.9, 0.9))]
    tensors[0][:] = 0
    tensors[4][:] = torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    middle = drawn(tensors, FRONT).rgb[80, 80]
    assert middle[0] > 0.85 and middle[2] < 0.15


def test_skew_is_refused() -> None:
    """As `formats.render` does."""
    view = view_of(FRONT)
    view.K[0, 1] = 3
    with pytest.raises(UnsupportedFeature, match="skew"):
        rasterize(*head_tensors(3), view=view, background=torch.ones(3), backend="cpu")


def test_wrong_shapes_are_refused() -> None:
    """Compiled loops check nothing, so the door does."""
    means, quats, scales, opacities, rgb = head_tensors(5)
    with pytest.raises(ValueError, match=r"opacities must be \[5\], got \[5, 1\]"):
        drawn([means, quats, scales, opacities[:, None], rgb], FRONT)
    with pytest.raises(ValueError, match="rgb must be"):
        drawn([means, quats, scales, opacities, rgb[:4]], FRONT)


def test_layout_and_precision_of_the_inputs_do_not_matter() -> None:
    """Views, transposed memory and float64 are drawn as their contiguous float32 selves."""
    tensors = head_tensors(500)
    odd = [t.detach().double() for t in tensors]
    odd[0], odd[3] = odd[0].T.contiguous().T, torch.stack([odd[3], odd[3]], 1)[:, 0]
    odd = [t.requires_grad_() for t in odd]
    for a, b in zip(results(tensors, FRONT), results(odd, FRONT), strict=True):
        assert torch.equal(a, b.float())
