"""MonoGaussianAvatar: points that come and go, what they leave behind, and going on after a stop."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("onnxruntime")

import trainers  # noqa: E402
from formats.deform import deform  # noqa: E402
from formats.errors import FormatError  # noqa: E402
from formats.render import RenderOptions, psnr, render  # noqa: E402
from formats.standin.head import standin_head  # noqa: E402
from tests.trainers.test_fate import head_of, video  # noqa: E402
from trainers import losses, settings  # noqa: E402
from trainers.deform import skin  # noqa: E402
from trainers.frame_store import FrameStore  # noqa: E402
from trainers.mono_gaussian_avatar import PRESETS, Config, Model  # noqa: E402
from trainers.mono_gaussian_avatar.growth import count_at, lbs_weight_at, spread_at  # noqa: E402
from trainers.mono_gaussian_avatar.model import unskinned  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = dataclasses.replace(
    Config(), steps=40, size=48, epoch_steps=10, points=(120, 200, 300), growth_epochs=(0, 1, 2), deformer_width=16,
    geometry_width=48, appearance_width=8, spread=0.06, sphere=0.08, lr_points=2e-3, lr_deformer=5e-3, lr_geometry=5e-3,
    lr_appearance=5e-3, refine_from=1, nearest_every=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    return FrameStore(video(tmp_path_factory.mktemp("ball")))


def made(store: FrameStore, **changes: Any) -> Any:
    torch.manual_seed(7)
    return Model(dataclasses.replace(SMALL, **changes), head_of(), store)


def steps(model: Any, store: FrameStore, first: int, last: int) -> list[float]:
    found = []
    for step in range(first, last + 1):
        torch.manual_seed(step)
        batch = store.batch((step - 1) % len(store))
        for optimizer in model.optimizers().values():
            optimizer.zero_grad(set_to_none=True)
        drawing = model.render(batch)
        loss = torch.stack(tuple(model.losses(batch, drawing).values())).sum()
        loss.backward()
        for optimizer in model.optimizers().values():
            optimizer.step()
        model.after_step(step, drawing)
        found.append(float(losses.l1(drawing.rgb.detach(), batch.rgb)))
    return found


def test_the_published_schedule() -> None:
    paper = PRESETS["paper"]
    assert [count_at(paper, e) for e in (0, 4, 5, 24, 25, 59, 60, 99)] == [400, 400, 800, 6400, 10_000, 80_000, 100_000, 100_000]
    # The released trainer's radius, in its quarters of a metre.
    assert 4 * spread_at(paper, 0) == pytest.approx(0.084375)
    assert 4 * spread_at(paper, 50) == pytest.approx(0.084375 * 0.75**8)
    assert 4 * spread_at(paper, 64) == pytest.approx(0.084375 * 0.75**8 * 0.9)
    assert 4 * spread_at(paper, 70) == pytest.approx(0.084375 * 0.75**10 * 0.9)
    assert [lbs_weight_at(paper, e) for e in (19, 20, 30, 50, 70)] == [10, 5, 2.5, 1.25, 0.625]


def test_points_go_back_and_forth() -> None:
    generator = torch.Generator().manual_seed(1)
    weights = torch.softmax(torch.randn(50, 4, generator=generator), dim=1)
    turns = torch.linalg.qr(torch.randn(4, 3, 3, generator=generator))[0]
    transforms = torch.cat([turns * torch.linalg.det(turns)[:, None, None] * 0.2 + torch.eye(3), torch.randn(4, 3, 1)], dim=2)
    points = torch.randn(50, 3, generator=generator)
    back = unskinned(skin(points, weights.t(), transforms), weights, transforms)
    assert float((back - points).abs().max()) < 1e-4


def test_it_learns_grows_and_leaves_what_it_draws(store: FrameStore) -> None:
    model = made(store)
    found = steps(model, store, 1, 40)
    assert np.mean(found[-4:]) < 0.6 * np.mean(found[:4])
    assert len(model) == 300 and model.points.shape == (300, 3)
    assert float(model.train_rows.expr.weight.detach().abs().max()) > 0, "tracking is corrected from its epoch on"
    avatar = model.to_avatar()
    assert avatar.sequence is not None and avatar.layers[0].dynamics == "appearance"
    for index in range(len(store)):
        batch = store.batch(index)
        with torch.no_grad():
            ours = model.render(batch)
        posed = deform(avatar, avatar.sequence, index)
        np.testing.assert_allclose(posed.layers[0].cloud.means,  # type: ignore[union-attr]
                                   ours.extra["scene"].means.numpy(), atol=2e-6)
        theirs = render(posed, store.frames.camera(index), RenderOptions((1, 1, 1))).rgb
        assert psnr(theirs, np.clip(ours.rgb.numpy(), 0, 1)) > 55


def test_a_stop_in_between_changes_nothing(store: FrameStore) -> None:
    whole = made(store)
    steps(whole, store, 1, 26)
    first = made(store)
    steps(first, store, 1, 13)
    second = made(store)
    second.load_state_dict({k: v.clone() for k, v in first.state_dict().items()})
    for name, optimizer in second.optimizers().items():
        optimizer.load_state_dict(first.optimizers()[name].state_dict())
    steps(second, store, 14, 26)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_settings_that_are_no_schedule(store: FrameStore) -> None:
    for text, name in (({"points": "400,800"}, "points"), ({"growth_epochs": "0,5,3"}, "growth_epochs"),
                       ({"epoch_steps": "0"}, "epoch_steps"), ({"geometry_width": "20"}, "geometry_width")):
        with pytest.raises(FormatError, match=name):
            Model(settings.override(SMALL, text), head_of(), store)


def test_a_real_head(tmp_path: Path) -> None:
    """FLAME's size: the nearest vertex of each point is the nearest."""
    head = standin_head("open-mouth")
    frames = video(tmp_path)
    sequence = dataclasses.replace(frames.sequence, expr=np.zeros((2, len(head.expr_names)), np.float32), shape=None)
    model = Model(dataclasses.replace(SMALL, jaw=0.0), head, FrameStore(dataclasses.replace(frames, sequence=sequence)))
    vertices = 4 * head.v_template
    distance = np.linalg.norm(model.points.detach().numpy()[:, None] - vertices[None], axis=2)
    nearest = np.take_along_axis(distance, model.nearest.numpy()[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(nearest, distance.min(axis=1), rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("default")  # gsplat builds itself on first use
def test_graph_gives_the_same_numbers_as_kernels(tmp_path: Path) -> None:
    there = FrameStore(video(tmp_path), device="cuda")
    found = [steps(made(there, cuda_graph=graph), there, 1, 25) for graph in (False, True)]
    np.testing.assert_allclose(found[0], found[1], rtol=0.02)
    assert np.mean(found[1][-4:]) < np.mean(found[1][:4])


def test_a_schedule_fits_into_fewer_steps() -> None:
    for name in trainers.TRAINERS:
        module = trainers.trainer(name)
        paper = module.PRESETS["paper"]
        short = settings.fitted(paper, paper.steps // 10, module.IN_STEPS)
        assert short.steps == paper.steps // 10
        for field in module.IN_STEPS:
            was, now = getattr(paper, field), getattr(short, field)
            assert 0 <= now - was / 10 < 1, (name, field)
