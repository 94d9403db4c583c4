"""gsplat behind `trainers.rasterize`, on a CUDA device: its picture is `formats.render`'s, its gradients the CPU's."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("gsplat")

import torch  # noqa: E402

from formats.camera import Camera, look_at  # noqa: E402
from formats.conventions import rgb_to_sh  # noqa: E402
from formats.deform import PosedSplats  # noqa: E402
from formats.gaussians import GaussianCloud  # noqa: E402
from formats.picture import psnr  # noqa: E402
from formats.render import RenderOptions, render_layers  # noqa: E402
from formats.rotations import normalize  # noqa: E402
from trainers.model import Drawing, View  # noqa: E402
from trainers.rasterize import rasterize  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # gsplat builds itself on first use, with whatever its build tools warn about.
    pytest.mark.filterwarnings("default"),
]

NAMES = ("means", "quats", "scales", "opacities", "rgb")
FRONT = look_at((0, 0, 0.95), (0, 0, 0), np.deg2rad(20), 256, 256)
SIDE = look_at((0.6, 0.25, 0.5), (0, 0.01, 0), np.deg2rad(24), 203, 177)
INSIDE = look_at((0.0, 0.0, 0.16), (0.02, 0.01, 0), np.deg2rad(70), 256, 256)
BLUE = (0.3, 0.5, 0.7)


def head_tensors(count: int, size: float = 0.0015, spread: float = 0.6, seed: int = 0,
                 opacity: tuple[float, float] = (0.01, 0.989)) -> list[torch.Tensor]:
    """Return means, quats (not unit), scales, opacities and rgb of a head-sized shell, on the CPU."""
    rng = np.random.default_rng(seed)
    shell = normalize(rng.normal(size=(count, 3))) * [0.08, 0.115, 0.095] * rng.uniform(0.9, 1.02, (count, 1))
    arrays = (shell, rng.normal(size=(count, 4)), size * np.exp(rng.normal(0, spread, (count, 3))),
              rng.uniform(*opacity, count), rng.uniform(0, 1, (count, 3)))
    return [torch.tensor(a, dtype=torch.float32) for a in arrays]


def drawn(tensors: list[torch.Tensor], camera: Camera, options: RenderOptions, device: str) -> Drawing:
    """Return what the backend of `device` draws."""
    view = View(torch.tensor(np.asarray(camera.world_to_camera), dtype=torch.float32, device=device),
                torch.tensor(np.asarray(camera.K), dtype=torch.float32, device=device), camera.width, camera.height)
    return rasterize(*tensors, view=view, background=torch.tensor(options.background, device=device), near=options.near,
                     low_pass=options.low_pass)


SCENES = {
    "front": (head_tensors(15000), FRONT, RenderOptions()),
    "side on blue": (head_tensors(15000, seed=1), SIDE, RenderOptions(BLUE)),
    "near plane close": (head_tensors(5000, seed=6), INSIDE, RenderOptions(near=0.05)),
    "needles": (head_tensors(5000, 0.0015, 1.3, 7), SIDE, RenderOptions()),
    "few and huge": (head_tensors(60, 0.05, 0.5, 10), SIDE, RenderOptions()),
    "one": (head_tensors(1, 0.02, 0.3, 11), FRONT, RenderOptions(BLUE)),
    "none": (head_tensors(0), FRONT, RenderOptions(BLUE)),
}


@pytest.mark.parametrize("name", SCENES)
def test_picture_is_the_definitions(name: str) -> None:
    """Opacities below 0.99, where the two caps are one."""
    tensors, camera, options = SCENES[name]
    drawing = drawn([t.cuda() for t in tensors], camera, options, "cuda")
    means, quats, scales, opacities, rgb = (t.numpy() for t in tensors)
    cloud = GaussianCloud(means, quats, scales, opacities, rgb_to_sh(rgb)[:, None].astype(np.float32))
    theirs = render_layers([PosedSplats("cloud", cloud, np.eye(3))], camera, options)
    assert psnr(drawing.rgb.clamp(0, 1).cpu().numpy(), theirs.rgb) >= 65
    assert np.abs(drawing.alpha.cpu().numpy() - theirs.alpha).mean() <= 1e-4


def test_opaque_gaussians_differ_by_the_cap_only() -> None:
    """Above 0.99 gsplat's own cap is another, and a pixel may end one Gaussian early: what its module's text says of both."""
    tensors = head_tensors(15000, 0.002, 0.4, 9, (0.99, 1.0))
    on_gpu = drawn([t.cuda() for t in tensors], FRONT, RenderOptions(), "cuda").rgb.cpu()
    off = (on_gpu - drawn(tensors, FRONT, RenderOptions(), "cpu").rgb).abs()
    assert off.max() < 0.1 and off.mean() < 1e-3 and (off > 0.02).float().mean() < 0.01


def test_gradients_are_the_cpus() -> None:
    """One loss of rgb and alpha, both backends, every input and means2d in pixels."""
    rng = np.random.default_rng(3)
    weights = torch.tensor(rng.normal(size=(256, 256, 3)), dtype=torch.float32)
    alpha_weights = torch.tensor(rng.normal(size=(256, 256)), dtype=torch.float32)
    found = {}
    for device in ("cpu", "cuda"):
        tensors = [t.to(device, copy=True).requires_grad_() for t in head_tensors(15000, seed=2)]
        drawing = drawn(tensors, FRONT, RenderOptions(BLUE), device)
        drawing.means2d.retain_grad()
        ((drawing.rgb * weights.to(device)).sum() + (drawing.alpha * alpha_weights.to(device)).sum()).backward()
        assert drawing.means2d.shape == (15000, 2)
        gradients = [t.grad for t in (*tensors, drawing.means2d)]
        found[device] = [g.cpu() for g in gradients if g is not None]
        assert len(found[device]) == len(gradients)
        found[device].append(drawing.visible.cpu())
    *ours, visible = found["cpu"]
    *theirs, seen = found["cuda"]
    assert (visible != seen).float().mean() < 1e-3  # gsplat rounds radii up to whole pixels
    for name, a, b in zip((*NAMES, "means2d"), ours, theirs, strict=True):
        assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.999, name
        assert (a - b).norm() < 0.01 * a.norm(), name


def test_nothing_visible_has_zero_gradients() -> None:
    """All behind the camera, and no Gaussian at all."""
    for count in (100, 0):
        tensors = head_tensors(count)
        tensors[0][:, 2] += 2
        tensors = [t.cuda().requires_grad_() for t in tensors]
        drawing = drawn(tensors, FRONT, RenderOptions(BLUE), "cuda")
        drawing.means2d.retain_grad()
        drawing.rgb.sum().backward()
        assert torch.allclose(drawing.rgb, torch.tensor(BLUE, device="cuda").expand(256, 256, 3))
        assert not any(t.grad is not None and t.grad.any() for t in tensors)


@pytest.mark.parametrize("name", ["front", "side on blue", "needles"])
def test_the_other_backend(name: str) -> None:
    """diff-gaussian-rasterization, where somebody installed it: the same picture and the same directions of descent."""
    pytest.importorskip("diff_gaussian_rasterization")
    tensors, camera, options = SCENES[name]
    view = View(torch.tensor(np.asarray(camera.world_to_camera), dtype=torch.float32, device="cuda"),
                torch.tensor(np.asarray(camera.K), dtype=torch.float32, device="cuda"), camera.width, camera.height)
    weights = torch.rand((camera.height, camera.width, 3), generator=torch.Generator().manual_seed(3)).cuda()
    pictures, slopes = [], []
    for backend in ("gsplat", "diff-gaussian-rasterization"):
        leaves = [tensor.cuda().requires_grad_() for tensor in tensors]
        drawing = rasterize(*leaves, view=view, background=torch.tensor(options.background, device="cuda"), backend=backend)
        drawing.means2d.retain_grad()
        ((drawing.rgb * weights).sum() + drawing.alpha.sum()).backward()
        pictures.append(drawing)
        slopes.append([leaf.grad for leaf in leaves] + [drawing.means2d.grad])
    first, second = pictures
    moved = (first.means2d - second.means2d).detach()[first.visible & second.visible]
    assert psnr(first.rgb.detach().cpu().numpy(), second.rgb.detach().cpu().numpy()) > 45
    assert psnr(first.alpha.detach().cpu().numpy(), second.alpha.detach().cpu().numpy()) > 45
    assert float(moved.abs().max()) < 1e-2
    for ours, theirs in zip(*slopes, strict=True):
        assert ours is not None and theirs is not None
        cosine = torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)
        assert float(cosine) > 0.98
        assert 0.95 < float(theirs.norm() / ours.norm()) < 1.05
