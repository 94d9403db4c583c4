"""A FATE training step on a CUDA device: graphs give the numbers of kernels, and nothing warns."""

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("gsplat")

from formats.render import psnr  # noqa: E402
from tests.trainers.gpu import ON_A_GPU, compare_graphs  # noqa: E402
from tests.trainers.test_fate import SMALL, head_of, step, video  # noqa: E402
from trainers.densify import ScreenGradients  # noqa: E402
from trainers.fate_avatar import Model  # noqa: E402
from trainers.frame_store import FrameStore  # noqa: E402
from trainers.graph_adam import GraphAdam  # noqa: E402
from trainers.losses import UniformLaplacian, dssim  # noqa: E402

pytestmark = ON_A_GPU


@pytest.mark.parametrize("substitute", ["none", "dssim"])
def test_twenty_steps_by_graphs_are_twenty_steps_by_kernels(substitute: str, tmp_path: Path, no_warnings: None) -> None:
    """Gaussians come at steps 6, 12 and 18 and go at step 9."""
    config = dataclasses.replace(SMALL, substitute=substitute, densify_every=6, densify_count=9, prune_every=9,
                                 prune_opacity=0.7, laplacian_weight=10.0, rotation_weight=0.1, lr_final=0.5, lr_steps=20)
    store = FrameStore(video(tmp_path), device="cuda")
    compare_graphs(lambda graph: Model(dataclasses.replace(config, cuda_graph=graph), head_of(), store), store, 20, 50)


def test_pictures_without_gradients_and_refits_come_in_between(tmp_path: Path, no_warnings: None) -> None:
    train, held_out = FrameStore(video(tmp_path), device="cuda"), FrameStore(video(tmp_path, "test", 2, seed=11), device="cuda")
    pictures = []
    for graph in (False, True):
        torch.manual_seed(0)
        model = Model(dataclasses.replace(SMALL, cuda_graph=graph), head_of(), train)
        with torch.no_grad():
            first = model.render(train.batch(0)).rgb.clone()
        for number in (1, 2, 3, 4):
            step(model, train, number)
        model.refit(held_out, 3)
        with torch.no_grad():
            refitted = model.render(held_out.batch(1)).rgb.clone()
        step(model, train, 5)
        with torch.no_grad():
            pictures.append([v.cpu().numpy() for v in (first, refitted, model.render(train.batch(1)).rgb)])
    for ours, theirs in zip(*pictures, strict=True):
        assert psnr(ours, theirs) > 45


def test_graph_adam_is_adam(no_warnings: None) -> None:
    """With gradients in one place, in another place, of another rate, and after a parameter was exchanged."""
    rng = torch.Generator("cuda").manual_seed(4)
    pulls = [[torch.randn(shape, device="cuda", generator=rng) for shape in ((300, 3), (50,))] for _ in range(12)]
    start = [torch.randn(300, 3, device="cuda"), torch.randn(50, device="cuda")]
    made = []
    for kind in (torch.optim.Adam, GraphAdam):
        parameters = [torch.nn.Parameter(value.clone()) for value in start]
        optimizer = kind([{"params": [p], "lr": 0.1 / (1 + i)} for i, p in enumerate(parameters)])
        places = [torch.zeros_like(p) for p in parameters]
        for number in range(12):
            if number == 5:
                optimizer.param_groups[1]["lr"] = 0.03
            if number == 8:
                places = [torch.zeros_like(p) for p in parameters]
            for p, place, pull in zip(parameters, places, pulls[number], strict=True):
                p.grad = place.copy_(pull)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        made.append((parameters, [float(optimizer.state[p]["step"]) for p in parameters]))
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.03]
    assert made[0][1] == made[1][1] == [12, 12]
    for ours, theirs in zip(made[1][0], made[0][0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_parts_give_a_cpus_numbers() -> None:
    """Where a GPU takes other kernels than a CPU: the Laplacian, SSIM, gradients of the screen."""
    rng = torch.Generator().manual_seed(2)
    faces = torch.randint(0, 30, (60, 3), generator=rng)
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    values, weights = torch.randn(30, 3, generator=rng), torch.randn(30, 3, generator=rng)
    image, target = torch.rand(40, 30, 3, generator=rng), torch.rand(40, 30, 3, generator=rng)
    pull, seen = torch.randn(2, 9, 2, generator=rng), torch.rand(2, 9, generator=rng) > 0.3
    found = []
    for device in ("cpu", "cuda"):
        v, i = (t.detach().to(device).requires_grad_() for t in (values, image))
        ((UniformLaplacian(faces.to(device), 30)(v) * weights.to(device)).sum() + dssim(i, target.to(device))).backward()
        held = ScreenGradients(9, device)
        for gradient, visible in zip(pull.to(device), seen.to(device), strict=True):
            held.add(gradient, visible, 60, 40)
        found.append([v.grad, i.grad, held.total, held.seen])
    for ours, theirs in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-4, atol=1e-6)
