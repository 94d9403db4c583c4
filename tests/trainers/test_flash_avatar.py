"""FlashAvatar: what it draws and leaves behind, its temporal term, and going on after a stop."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("onnxruntime")

from formats.deform import deform  # noqa: E402
from formats.errors import FormatError  # noqa: E402
from formats.render import RenderOptions, psnr, render  # noqa: E402
from formats.rotations import normalize, quat_to_matrix  # noqa: E402
from formats.standin.head import standin_head  # noqa: E402
from tests.trainers.test_fate import SIZE, head_of, step, video  # noqa: E402
from trainers import losses, rotations  # noqa: E402
from trainers.flash_avatar import PRESETS, Config, Model, model  # noqa: E402
from trainers.flash_avatar import head_of as closed  # noqa: E402
from trainers.flash_avatar.head import mouth_faces  # noqa: E402
from trainers.frame_store import FrameStore  # noqa: E402
from trainers.wasserstein import jitter, splats_on_head, wasserstein_squared, wobble  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = dataclasses.replace(
    Config(), steps=30, size=SIZE, tex_size=20, init_opacity=0.7, hidden=24, layers=2, init_offsets=0.1, sh_every=4,
    lr_color=0.05, lr_opacity=0.05, lr_offsets=5e-3, lr_offsets_final=1e-3, wasserstein_from=6)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    return FrameStore(video(tmp_path_factory.mktemp("ball"), frames=3))


def made(store: FrameStore, **changes: Any) -> Any:
    torch.manual_seed(3)
    return Model(dataclasses.replace(SMALL, **changes), head_of(), store)


def steps(model: Any, store: FrameStore, first: int, last: int) -> list[float]:
    return [step(model, store, number) for number in range(first, last + 1)]


# --- The head ---------------------------------------------------------------------------------------------------------


def test_the_mouth_is_closed_and_set_back(tmp_path: Path) -> None:
    bare = standin_head("open-mouth")
    head = closed(Config(), bare)
    faces = mouth_faces(head)
    assert len(head.faces) > len(bare.faces) and faces[len(bare.faces):].all()
    assert closed(dataclasses.replace(Config(), close_mouth=False), bare).faces.shape == bare.faces.shape
    frames = video(tmp_path)
    sequence = dataclasses.replace(frames.sequence, expr=np.zeros((2, len(head.expr_names)), np.float32), shape=None)
    there = FrameStore(dataclasses.replace(frames, sequence=sequence))
    torch.manual_seed(0)
    made = Model(dataclasses.replace(SMALL, tex_size=128, mouth_offset=0.01), head, there)
    inside = faces[made.places.face_index]
    assert 40 < inside.sum() < 1000 and len(made) > 5000
    np.testing.assert_allclose(made.setback[:, 2], np.where(inside, -0.01, 0), atol=1e-9)
    if "boundary" in head.regions:
        assert not np.isin(head.faces[made.places.face_index], head.regions["boundary"]).any()
    mouth = made.mouth_of(there.batch(0))
    assert mouth.shape == (SIZE, SIZE, 1) and 2 < float(mouth.sum()) < 0.2 * SIZE**2


# --- The distance -----------------------------------------------------------------------------------------------------


def random_splats(seed: int, count: int = 200) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    return tuple(torch.from_numpy(v) for v in (rng.normal(0, 2e-3, (count, 3)), normalize(rng.normal(size=(count, 4))),
                                               np.exp(rng.normal(-6.5, 1.0, (count, 3)))))


def test_the_distance_is_that_of_eigenvalues() -> None:
    one, other = random_splats(1), random_splats(2)
    found = wasserstein_squared(one, other).numpy()
    (m1, s1), (m2, s2) = ((1e3 * v[0].numpy(), quat_to_matrix(v[1].numpy()) * 1e3 * v[2].numpy()[:, None]) for v in (one, other))
    c1, c2 = s1 @ s1.transpose(0, 2, 1), s2 @ s2.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh(c1)
    root = (vectors * np.sqrt(np.maximum(values, 0))[:, None]) @ vectors.transpose(0, 2, 1)
    inner = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c2 @ root), 0)).sum(axis=1)
    expected = ((m1 - m2)**2).sum(axis=1) + np.trace(c1 + c2, axis1=1, axis2=2) - 2 * inner
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
    means, quats, scales = one
    assert float(wasserstein_squared(one, one).max()) < 1e-6
    # A commuting pair: the scales' own distance; moved by a millimetre: one more.
    wide = (means + torch.tensor([1e-3, 0, 0]), -3 * quats, scales + 5e-4)
    np.testing.assert_allclose(wasserstein_squared(one, wide).numpy(), 1 + 3 * 0.25, rtol=1e-3, atol=5e-3)


def test_the_distance_has_its_gradient() -> None:
    one, other = random_splats(3, 6), random_splats(4, 6)
    inputs = [value.clone().requires_grad_() for value in one]
    # In metres a step of 1e-6 is small; the distance is in square millimetres, float32.
    wasserstein_squared(tuple(inputs), other).sum().backward()
    for index in range(3):
        assert torch.isfinite(inputs[index].grad).all()
        for row, column in ((0, 0), (3, 2)):
            size = 1e-4 if index == 1 else 1e-2 * float(one[2][row, column])
            ends = []
            for sign in (1, -1):
                moved = [v.clone() for v in one]
                moved[index][row, column] += sign * size
                ends.append(float(wasserstein_squared(tuple(moved), other)[row].double()))
            slope, expected = float(inputs[index].grad[row, column]), (ends[0] - ends[1]) / (2 * size)
            scale = max(abs(expected), 1e-5 * ends[0] / size)
            assert abs(slope - expected) < 0.05 * scale + 1e-3 * ends[0] / size, (index, row, column)
    # Alike Gaussians, and balls, whose eigenvalues are equal: nothing breaks.
    ball = (one[0].clone().requires_grad_(), one[1].clone().requires_grad_(), torch.full((6, 3), 2e-3, dtype=torch.float64,
                                                                                           requires_grad=True))
    wasserstein_squared(ball, tuple(v.detach() for v in ball)).sum().backward()
    assert all(torch.isfinite(v.grad).all() and float(v.grad.abs().max()) < 1e-2 for v in ball)


def test_matrices_of_quaternions() -> None:
    q = normalize(np.random.default_rng(0).normal(size=(20, 4)))
    np.testing.assert_allclose(rotations.quat_to_matrix(torch.from_numpy(q)), quat_to_matrix(q), atol=1e-12)
    d = torch.tensor([0.05, -0.3])
    assert float(losses.huber(d, torch.zeros(2), 0.1)) == pytest.approx((0.5 * 0.05**2 + 0.1 * 0.25) / 2)


# --- Learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", ["root", "corner"])
def test_it_learns_and_leaves_what_it_draws(store: FrameStore, frame: str) -> None:
    trained = made(store, frame=frame, mouth_offset=0.002)
    found = steps(trained, store, 1, 30)
    assert np.mean(found[-3:]) < 0.5 * np.mean(found[:3])
    assert trained.degree == 3 and (frame == "root") == bool((trained.rotation.detach() != torch.tensor([1.0, 0, 0, 0])).any())
    avatar = trained.to_avatar()
    assert avatar.sequence is not None and avatar.layers[0].dynamics == "offsets"
    for index in range(len(store)):
        batch = store.batch(index)
        with torch.no_grad():
            ours = trained.render(batch)
        posed = deform(avatar, avatar.sequence, index)
        np.testing.assert_allclose(posed.layers[0].cloud.means,  # type: ignore[union-attr]
                                   ours.extra["scene"].means.numpy(), atol=2e-6)
        theirs = render(posed, store.frames.camera(index), RenderOptions((1, 1, 1))).rgb
        assert psnr(theirs, np.clip(ours.rgb.numpy(), 0, 1)) > 60


def test_the_temporal_term_begins_and_quietens(store: FrameStore) -> None:
    plain, smooth = made(store), made(store, wasserstein=True, wasserstein_weight=0.5, offset_weight=1e-3)
    assert plain.rows("train") is None and not smooth.smooths
    steps(plain, store, 1, 24)
    steps(smooth, store, 1, 6)
    batch = store.batch(1)
    drawing = smooth.render(batch)
    terms = smooth.losses(batch, drawing)
    assert smooth.smooths and {"wasserstein", "offset"} <= set(terms) and float(terms["wasserstein"].detach()) > 0
    here, before = drawing.extra["scene"].here, drawing.extra["scene"].before
    for got, index in ((here, 1), (before, 0)):
        for a, b in zip(got, splats_on_head(smooth, store.batch(index).motion), strict=True):
            torch.testing.assert_close(a.detach(), b, atol=1e-6, rtol=1e-4)
    steps(smooth, store, 7, 24)
    assert jitter(smooth, store) < jitter(plain, store)
    assert 0 < wobble(smooth, store, 0.1) < 20 and wobble(smooth, store, 0.0) < 1e-3


def test_neighbours_are_the_moment_before() -> None:
    table = torch.tensor([[0.0], [0.0], [1.0], [2.0], [2.0]])
    motion = model.Motion(**{name: table.clone() for name in model.MOTION})
    neighbours = model.Neighbours(motion)
    assert [float(neighbours.row(i)[0]) for i in range(5)] == [1, 1, 0, 1, 1]
    alone = model.Neighbours(model.Motion(**{name: table[:1] for name in model.MOTION}))
    assert float(alone.row(0)[0]) == 0


def test_a_stop_in_between_changes_nothing(store: FrameStore) -> None:
    changes = {"wasserstein": True, "offset_weight": 1e-3}
    whole = made(store, **changes)
    steps(whole, store, 1, 14)
    first = made(store, **changes)
    steps(first, store, 1, 8)
    second = made(store, **changes)
    second.load_state_dict({k: v.clone() for k, v in first.state_dict().items()})
    for name, optimizer in second.optimizers().items():
        optimizer.load_state_dict(first.optimizers()[name].state_dict())
    steps(second, store, 9, 14)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_refit_moves_held_out_frames_alone(store: FrameStore, tmp_path: Path) -> None:
    trained = made(store)
    steps(trained, store, 1, 3)
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    held = FrameStore(video(tmp_path, split="test", frames=1, seed=5))
    trained.refit(held, steps=2)
    assert trained.test_rows is not None
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items() if name in before)


def test_presets_and_settings(store: FrameStore) -> None:
    paper, variant = PRESETS["paper"], PRESETS["wasserstein"]
    assert (paper.steps, paper.tex_size, paper.hidden, paper.layers, paper.mouth_weight) == (150_000, 128, 256, 6, 40.0)
    assert not paper.wasserstein and variant.wasserstein and variant.wasserstein_from == 15_000 and variant.frame == "corner"
    for change in ({"layers": 0}, {"tex_size": 2}, {"sh_degree": 4}):
        with pytest.raises(FormatError, match="flash-avatar: "):
            made(store, **change)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("default")  # gsplat builds itself on first use
def test_graph_gives_the_same_numbers_as_kernels(tmp_path: Path) -> None:
    there = FrameStore(video(tmp_path, frames=3), device="cuda")
    changes = {"wasserstein": True, "offset_weight": 1e-3}
    found = [steps(made(there, cuda_graph=graph, **changes), there, 1, 24) for graph in (False, True)]
    np.testing.assert_allclose(found[0], found[1], rtol=0.02)
    assert np.mean(found[1][-3:]) < np.mean(found[1][:3])
