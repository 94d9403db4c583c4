"""SplattingAvatar: places that walk over a mesh, what it draws, how it learns, what it leaves behind."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

from formats.deform import deform  # noqa: E402
from formats.render import RenderOptions, psnr, render  # noqa: E402
from tests.builders import tiny_head  # noqa: E402
from tests.trainers.test_fate import SIZE, step, video  # noqa: E402
from trainers.frame_store import FrameStore  # noqa: E402
from trainers.splatting_avatar import (  # noqa: E402
    Config,
    Model,
    embedding,  # noqa: E402
)
from trainers.splatting_avatar.embedding import Neighbours, phong_points, settle, shift_of, walk  # noqa: E402
from trainers.splatting_avatar.model import draw_places  # noqa: E402
from trainers.triangles import vertex_normals  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = dataclasses.replace(
    Config(), steps=20, size=SIZE, background="white", count=400, init_opacity=0.6, substitute_weight=0.2, lr_uvd=5e-2,
    lr_uvd_final=1e-2, lr_color=0.05, walk_every=4, densify_every=0, reset_every=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    return FrameStore(video(tmp_path_factory.mktemp("ball")))


@pytest.fixture
def model(store: FrameStore) -> Any:
    return Model(SMALL, tiny_head(identity=True), store)


def shaken(model: Any) -> Any:
    rng = torch.Generator().manual_seed(5)
    sizes = {"uvd": 0.02, "rotation": 0.5, "scaling": 0.3, "opacity": 1.0, "color": 0.5}
    with torch.no_grad():
        for name, value in model.named_parameters():
            value += sizes[name] * torch.randn(value.shape, generator=rng)
    return model


# --- Walking ----------------------------------------------------------------------------------------------------------


def sheet(size: int = 8) -> tuple[Any, Any]:
    """Return vertices [V, 3] and faces [F, 3] of a flat square of unit right triangles, all cut along one diagonal."""
    y, x = np.mgrid[:size + 1, :size + 1]
    ids = y * (size + 1) + x
    a, b, c, d = ids[:-1, :-1].ravel(), ids[:-1, 1:].ravel(), ids[1:, 1:].ravel(), ids[1:, :-1].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    rng = np.random.default_rng(3)
    # Which corner comes first must not matter.
    faces = np.stack([np.roll(f, k) for f, k in zip(faces, rng.integers(0, 3, len(faces)), strict=True)])
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1).astype(np.float64)
    return torch.from_numpy(vertices), torch.from_numpy(faces)


def in_weights(vertices: Any, faces: Any, face: Any, move: Any) -> Any:
    """Return barycentric steps [N, 3] of moves [N, 2] in the plane."""
    corners = vertices[faces[face]][:, :, :2]
    edges = torch.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], dim=2)
    rest = torch.linalg.solve(edges, move[:, :, None])[:, :, 0]
    return torch.cat([-rest.sum(dim=1, keepdim=True), rest], dim=1)


def test_a_walk_over_a_flat_sheet_is_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "TIRED", 1.0)
    vertices, faces = sheet()
    neighbours, rng = Neighbours.of(faces), np.random.default_rng(0)
    start = torch.from_numpy(rng.uniform(3.5, 4.5, (300, 2)))
    moves = torch.from_numpy(rng.uniform(-2.4, 2.4, (300, 2)))
    # Where each start lies: the square's lower triangle below the diagonal.
    column, row = start.long().T
    upper = (start - start.floor())[:, 1] > (start - start.floor())[:, 0]
    face = row * 8 + column + 64 * upper
    corners = vertices[faces[face]][:, :, :2]
    weights = in_weights(vertices, faces, face, start - corners[:, 0])
    weights[:, 0] += 1
    assert weights.min() > -1e-9
    there, at, crossed = walk(neighbours, face, weights, in_weights(vertices, faces, face, moves))
    np.testing.assert_allclose((at[:, :, None] * vertices[faces[there]]).sum(1)[:, :2], start + moves, atol=6e-3)
    assert at.min() >= 0 and crossed.max() >= 5 and (at.sum(dim=1) - 1).abs().max() < 1e-9


def test_each_edge_tires_and_a_border_ends_the_walk() -> None:
    vertices, faces = sheet(2)
    neighbours = Neighbours.of(faces)
    assert int((neighbours.face < 0).sum()) == 8 and (neighbours.face[neighbours.face >= 0] < 8).all()
    for f in range(8):
        for j in range(3):
            other, corner = int(neighbours.face[f, j]), int(neighbours.corner[f, j])
            if other >= 0:
                assert neighbours.face[other, corner] == f and neighbours.corner[other, corner] == j
    face, move = torch.tensor([0, 0]), torch.tensor([[0.0, 0.8], [0.0, -3.0]], dtype=torch.float64)
    corners = vertices[faces[face]][:, :, :2]
    start = torch.tensor([[0.7, 0.2]] * 2, dtype=torch.float64)
    weights = in_weights(vertices, faces, face, start - corners[:, 0])
    weights[:, 0] += 1
    there, at, crossed = walk(neighbours, face, weights, in_weights(vertices, faces, face, move))
    points = (at[:, :, None] * vertices[faces[there]]).sum(1)[:, :2]
    # Up to the diagonal at 0.7, on with 0.9 of the 0.3 that are left: to 0.97.
    np.testing.assert_allclose(points, [[0.7, 0.97], [0.7, 0.0]], atol=2e-3)
    assert crossed.tolist() == [1, 0] and there.tolist() == [4, 0]


def test_places_are_found_under_points() -> None:
    head = tiny_head()
    vertices, faces = torch.tensor(head.v_template) * 4, torch.tensor(head.faces.astype(np.int64))
    neighbours, places = Neighbours.of(faces), draw_places(len(faces), 200, 1)
    face, weights = torch.from_numpy(places.face_index).long(), torch.from_numpy(places.barycentric)
    normals, distance = vertex_normals(vertices, faces, 1e-6), torch.full((200,), 0.004)
    start = phong_points(vertices, normals, faces, face, weights, distance)
    points = start + 0.05 * torch.randn(start.shape, generator=torch.Generator().manual_seed(2))
    found, at = settle(vertices, faces, neighbours, points, face, weights, distance)
    on = phong_points(vertices, normals, faces, found, at, torch.zeros(200))
    normal = (phong_points(vertices, normals, faces, found, at, torch.ones(200)) - on)
    across = (points - on) - ((points - on) * normal).sum(dim=1, keepdim=True) * normal
    assert float((found != face).float().mean()) > 0.3
    # Units; they were thrown 0.06 across, edges are 0.1 to 0.2 long. A kinked normal at an edge leaves a few between two.
    assert float(across.norm(dim=1).median()) < 1e-4 and float(across.norm(dim=1).quantile(0.9)) < 5e-3


# --- The model --------------------------------------------------------------------------------------------------------


def test_starting_values(store: FrameStore) -> None:
    model = Model(dataclasses.replace(Config(), count=500), tiny_head(identity=True), store)
    assert len(model) == 500 and not model.uvd.any() and not model.color.any()
    np.testing.assert_allclose(torch.sigmoid(model.opacity.detach()), 0.1, atol=1e-6)
    np.testing.assert_allclose(model.barycentric.sum(dim=1), 1, atol=1e-6)
    assert model.barycentric.min() >= 0 and len(np.unique(model.face_index)) > 150
    np.testing.assert_allclose(model.canonical, model.scene(store.batch(0).motion).vertices, atol=1e-7)
    scene = model.scene(store.batch(0).motion)
    points = scene.means.detach().double().numpy() * 4
    square = np.sort(((points[:, None] - points) ** 2).sum(axis=2), axis=1)[:, 1:4].mean(axis=1)
    np.testing.assert_allclose(model.scaling.detach().exp()[:, 1], np.sqrt(np.maximum(square, 1e-7)), rtol=1e-2)


@pytest.mark.parametrize("way", ["paper", "released"])
def test_avatar_is_what_the_model_draws(way: str, store: FrameStore) -> None:
    config: Any = dataclasses.replace(SMALL, walk=way)
    model = shaken(Model(config, tiny_head(identity=True), store))
    avatar = model.to_avatar()
    assert avatar.meta.system == "splatting-avatar" and avatar.sequence is not None
    for index in range(len(store)):
        drawing = model.render(store.batch(index))
        posed = deform(avatar, avatar.sequence, index)
        own = drawing.extra["scene"].means.detach().numpy()
        assert np.abs(posed.layers[0].cloud.means - own).max() < 1e-5  # type: ignore[union-attr]
        picture = render(posed, store.frames.camera(index), RenderOptions()).rgb
        assert psnr(picture, np.clip(drawing.rgb.detach().numpy(), 0, 1)) > 50
    torch.stack(tuple(model.losses(store.batch(1), model.render(store.batch(1))).values())).sum().backward()
    assert bool(model.uvd.grad[:, :2].any()) == (way == "paper") and model.uvd.grad[:, 2].any()


def test_two_frames_are_learned_and_places_walk(model: Any, store: FrameStore) -> None:
    before = model.face_index.clone()
    losses = [step(model, store, number) for number in range(1, 21)]
    assert np.mean(losses[-2:]) < 0.6 * np.mean(losses[:2])
    moved = float((model.face_index != before).float().mean())
    assert moved > 0.05 and int(model.crossings) > 20
    assert not model.uvd[:, :2].any() and model.uvd[:, 2].any()  # 20 is a step that walks
    state = model.optimizers()["gaussians"].state[model.uvd]
    assert not state["exp_avg"][:, :2].any() and state["exp_avg"][:, 2].any()
    still = Model(dataclasses.replace(SMALL, walk="released"), tiny_head(identity=True), store)
    held = still.face_index.clone()
    for number in range(1, 9):
        step(still, store, number)
    assert torch.equal(still.face_index, held) and not still.uvd[:, :2].any()


def test_walking_hardly_changes_the_picture(model: Any, store: FrameStore) -> None:
    """What was learned as a step over one triangle's plane is taken over the mesh: near where it was."""
    with torch.no_grad():
        model.uvd[:, :2] = 0.05 * torch.randn(len(model), 2, generator=torch.Generator().manual_seed(1))
        before = model.scene(store.batch(0).motion).means
        model.walk()
        after = model.scene(store.batch(0).motion).means
    shift = (after - before).norm(dim=1)
    assert float(shift.mean()) < 2e-4 and int(model.crossings) > 3  # metres, on a ball of 9 cm with edges of 2 to 5 cm


def test_terms(model: Any, store: FrameStore) -> None:
    with torch.no_grad():
        model.scaling[:] = float(np.log(0.005))
        model.scaling[0] = torch.tensor([0.1, 0.005, 0.1]).log()  # large and long
        model.scaling[1] = torch.tensor([0.007, 0.0001, 0.1 * 0.07]).log()  # long, small
        model.scaling[2] = torch.tensor([0.1, 0.05, 0.1]).log()  # large, round
    batch = store.batch(0)
    drawing = model.render(batch)
    terms = model.losses(batch, drawing)
    assert set(terms) == {"rgb", "mse", "dssim", "scale"} and terms["scale"].item() == pytest.approx(0.1)
    assert terms["mse"].item() == pytest.approx(10 * (drawing.rgb - batch.rgb).square().mean().item())


def test_parts_of_a_split_lie_near_their_parent(store: FrameStore) -> None:
    config = dataclasses.replace(SMALL, densify_every=4, densify_from=2, densify_gradient=1e-7, split_size=0.05)
    model = Model(config, tiny_head(identity=True), store)
    for number in (1, 2, 3):
        step(model, store, number)
    count = len(model)
    model.densify(3)
    assert len(model) > count + 20 and len(model.binding) == len(model.radii) == len(model)
    assert model.barycentric.min() >= 0 and torch.isfinite(model.scene(store.batch(0).motion).means).all()
    torch.testing.assert_close(model.barycentric.sum(dim=1), torch.ones(len(model)))
    step(model, store, 5)


def test_resumed_run_is_the_straight_run(store: FrameStore) -> None:
    config = dataclasses.replace(SMALL, walk_every=3, densify_every=4, densify_from=2, densify_gradient=1e-6, split_size=0.05,
                                 prune_from=0, prune_radius=9.0, reset_every=7, lr_steps=10)
    straight = Model(config, tiny_head(identity=True), store)
    for number in range(1, 6):
        step(straight, store, number)
    state = {k: v.clone() for k, v in straight.state_dict().items()}
    memory = copy.deepcopy({k: o.state_dict() for k, o in straight.optimizers().items()})
    resumed = Model(config, tiny_head(identity=True), store)
    resumed.load_state_dict(state)
    for name, optimizer in resumed.optimizers().items():
        optimizer.load_state_dict(memory[name])
    for number in range(6, 10):
        assert step(straight, store, number) == step(resumed, store, number)
    assert len(straight) == len(resumed) != config.count and int(straight.crossings) == int(resumed.crossings) > 0
    for name, value in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_held_out_frames_are_fitted(model: Any, store: FrameStore, tmp_path: Path) -> None:
    for number in range(1, 9):
        step(model, store, number)
    held_out = FrameStore(video(tmp_path, "test", 2, seed=11))
    batch = held_out.batch(1)
    with torch.no_grad():
        plain = float((model.render(batch).rgb - batch.rgb).abs().mean())
    model.refit(held_out, 6)
    with torch.no_grad():
        assert float((model.render(batch).rgb - batch.rgb).abs().mean()) < plain


def test_steps_add_up_to_nothing() -> None:
    torch.testing.assert_close(shift_of(torch.tensor([[1.0, 2.0, 9.0]])), torch.tensor([[1.0, 2.0, -3.0]]))
