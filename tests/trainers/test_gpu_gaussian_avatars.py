"""A GaussianAvatars training step on a CUDA device: graphs give the numbers of kernels, and gsplat's SH are ours."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("gsplat")

from formats.render import psnr  # noqa: E402
from tests.builders import tiny_head  # noqa: E402
from tests.trainers.gpu import ON_A_GPU, compare_graphs  # noqa: E402
from tests.trainers.test_fate import step, video  # noqa: E402
from tests.trainers.test_gaussian_avatars import SMALL  # noqa: E402
from trainers.densify import screen_radii  # noqa: E402
from trainers.frame_store import FrameStore  # noqa: E402
from trainers.gaussian_avatars import Model  # noqa: E402
from trainers.spherical_harmonics import colors_from  # noqa: E402

pytestmark = ON_A_GPU


@pytest.mark.parametrize("frame_adam", ["dense", "rows"])
def test_twenty_steps_by_graphs_are_twenty_steps_by_kernels(frame_adam: str, tmp_path: Path, no_warnings: None) -> None:
    """Bands of SH join at steps 4, 8 and 12, Gaussians come and go at 6, 12 and 18. Those that come are chosen by
    thresholds that all are far from."""
    config = dataclasses.replace(SMALL, frame_adam=frame_adam, densify_every=6, densify_from=2, densify_gradient=0.0,
                                 densify_limit=2000, split_size=1.0, prune_from=0, prune_radius=1000.0, lr_steps=20)
    store = FrameStore(video(tmp_path), device="cuda")
    models = compare_graphs(lambda graph: Model(dataclasses.replace(config, cuda_graph=graph), tiny_head(identity=True), store),
                            store, 20, 50)
    assert len({len(model) for model in models}) == 1 and len(models[0]) > 216


def test_a_gpus_picture_is_a_cpus(tmp_path: Path, no_warnings: None) -> None:
    frames, found = video(tmp_path), []
    for device in ("cpu", "cuda"):
        store = FrameStore(frames, device=device)
        model = Model(SMALL, tiny_head(identity=True), store)
        rng = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for value in model.parameters():
                value += 0.05 * torch.randn(value.shape, generator=rng).to(value.device)
        model.degree = 3
        drawing = model.render(store.batch(1))
        terms = model.losses(store.batch(1), drawing)
        torch.stack(tuple(terms.values())).sum().backward()
        radii = torch.where(drawing.visible, screen_radii(drawing), 0)
        grads = [value.grad for value in (model.harmonics, model.means) if value.grad is not None]
        found.append([v.detach().cpu().numpy() for v in (drawing.rgb, *terms.values(), radii, *grads)])
    assert psnr(found[1][0], found[0][0]) > 50
    for ours, theirs in zip(found[1][1:-3], found[0][1:-3], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    # A Gaussian at the picture's border may be visible to one and not to the other.
    assert (np.abs(found[1][-3] - found[0][-3]) <= 1).mean() > 0.95
    for ours, theirs in zip(found[1][-2:], found[0][-2:], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.02 * np.abs(theirs).max())


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gsplats_harmonics_are_ours(degree: int, no_warnings: None) -> None:
    rng = torch.Generator().manual_seed(degree)
    sh, means = 0.3 * torch.randn(50, (degree + 1) ** 2, 3, generator=rng), torch.randn(50, 3, generator=rng)
    weight, viewmat, found = torch.randn(50, 3, generator=rng), torch.eye(4), []
    viewmat[:3, 3] = torch.tensor([0.1, -0.2, 3.0])
    for device in ("cpu", "cuda"):
        a, b = (v.detach().to(device).requires_grad_() for v in (sh, means))
        rgb = colors_from(a, b, viewmat.to(device))
        (rgb * weight.to(device)).sum().backward()
        found.append([rgb.detach().cpu(), a.grad.cpu(), torch.zeros_like(means) if b.grad is None else b.grad.cpu()])
    for ours, theirs in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_pictures_without_gradients_and_refits_come_in_between(tmp_path: Path, no_warnings: None) -> None:
    train, held_out = FrameStore(video(tmp_path), device="cuda"), FrameStore(video(tmp_path, "test", 2, seed=11), device="cuda")
    pictures = []
    for graph in (False, True):
        model = Model(dataclasses.replace(SMALL, cuda_graph=graph), tiny_head(identity=True), train)
        for number in (1, 2, 3, 4):
            step(model, train, number)
        model.refit(held_out, 3)
        with torch.no_grad():
            refitted = model.render(held_out.batch(1)).rgb.clone()
        step(model, train, 5)
        with torch.no_grad():
            pictures.append([v.cpu().numpy() for v in (refitted, model.render(train.batch(1)).rgb)])
    for ours, theirs in zip(*pictures, strict=True):
        assert psnr(ours, theirs) > 45
