"""FateAvatar: where it starts, what it draws, how it learns, what it leaves behind."""

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from formats.camera import look_at  # noqa: E402
from formats.datasets.frames import Frames  # noqa: E402
from formats.deform import deform, deform_head  # noqa: E402
from formats.errors import UnsupportedFeature  # noqa: E402
from formats.head_model import HeadModel  # noqa: E402
from formats.lip_seal import seal_lips  # noqa: E402
from formats.render import RenderOptions, psnr, render  # noqa: E402
from formats.sequence import Sequence  # noqa: E402
from formats.standin.head import standin_head  # noqa: E402
from tests.builders import tiny_head, tiny_sequence  # noqa: E402
from trainers import TRAINERS, trainer  # noqa: E402
from trainers.densify import ScreenGradients, draw_rows, forget, reindex  # noqa: E402
from trainers.fate_avatar import Config, Model  # noqa: E402
from trainers.frame_store import FrameStore  # noqa: E402
from trainers.model import Motion, View  # noqa: E402
from trainers.refinement import Refinement, shift  # noqa: E402
from trainers.sampling import nearest_distances, nearest_rows, sample  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 48
SMALL = dataclasses.replace(
    Config(), steps=20, size=SIZE, tex_size=24, pad=False, init_opacity=0.8, init_scale="each", substitute="gradient",
    substitute_weight=0.2, lr_color=0.05, lr_frame_expr=1e-2, densify_every=0, prune_every=0, reset_every=0)


def head_of(identity: bool = True) -> HeadModel:
    return tiny_head(identity=identity)


def video(folder: Path, split: str = "train", frames: int = 2, seed: int = 3) -> Frames:
    """Return pictures of a two-coloured ball that turns, by an Avatar-free painter: a shaded disc."""
    head = head_of()
    clip = tiny_sequence(head, frames, named=False, drivers=False, seed=seed)
    cameras, paths = [], []
    folder.mkdir(parents=True, exist_ok=True)
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    for i in range(frames):
        cameras.append(look_at((0.05 * i, 0.0, 0.6), (0, 0, 0), 0.5, SIZE, SIZE))
        alpha = np.clip((0.30 - np.hypot(x, y)) * SIZE, 0, 1)
        rgb = np.stack([0.8 - 0.6 * (x > 0), 0.4 + 0.4 * y, np.full_like(x, 0.2 + 0.1 * i)], axis=2)
        path = folder / f"{split}{i}.png"
        Image.fromarray((np.dstack([rgb, alpha]) * 255).astype(np.uint8)).save(path)
        paths.append(path)
    sequence = Sequence(head.edition, 25, 0.3 * clip.expr, jaw=0.2 * clip.jaw, neck=0.2 * clip.neck, eyes=0.1 * clip.eyes,
                        eyelids=np.abs(clip.eyelids), shape=np.array([0.5, -0.3, 0.2], np.float32),
                        cameras={"K": np.stack([c.K for c in cameras]),
                                 "world_to_camera": np.stack([c.world_to_camera for c in cameras]),
                                 "size": np.full((frames, 2), SIZE)})
    return Frames("ball", split, sequence, tuple(paths))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    return FrameStore(video(tmp_path_factory.mktemp("ball")))


@pytest.fixture
def model(store: FrameStore) -> Any:
    torch.manual_seed(0)
    return Model(SMALL, head_of(), store)


def step(model: Any, store: FrameStore, number: int) -> float:
    batch, optimizers = store.batch((number - 1) % len(store)), model.optimizers()
    for optimizer in optimizers.values():
        optimizer.zero_grad(set_to_none=True)
    drawing = model.render(batch)
    loss = torch.stack(tuple(model.losses(batch, drawing).values())).sum()
    loss.backward()
    for optimizer in optimizers.values():
        optimizer.step()
    model.after_step(number, drawing)
    return float(loss.detach())


def shaken(model: Any, amount: float = 1.0) -> Any:
    """Move everything that learns away from where it starts."""
    rng = torch.Generator().manual_seed(5)
    sizes = {"color": 0.5, "opacity": 1.0, "scaling": 0.3, "rotation": 0.5, "offset": 2.0, "vertices": 1e-3,
             "expressions": 5e-4, "correctives": 5e-4, "train_rows.expr.weight": 0.1, "train_rows.pose.weight": 0.03,
             "train_rows.camera.weight": 2e-3}
    with torch.no_grad():
        for name, value in model.named_parameters():
            value += amount * sizes[name] * torch.randn(value.shape, generator=rng)
    return model


# --- Start ------------------------------------------------------------------------------------------------------------


def test_one_sample_per_covered_texel_in_rows_from_the_top() -> None:
    head = seal_lips(standin_head("open-mouth"))
    plain, padded = sample(head, 64, False, 1), sample(head, 64, True, 1)
    assert (np.diff(plain.texel) > 0).all() and len(padded) == 64**2
    np.testing.assert_array_equal(padded.texel[:len(plain)], plain.texel)
    assert (padded.texel[len(plain):] == -1).all() and np.isin(padded.face_index, plain.face_index).all()
    assert head.uvs is not None and head.uv_faces is not None
    uv = np.einsum("nk,nkc->nc", plain.barycentric, head.uvs[head.uv_faces[plain.face_index]]) * 64
    np.testing.assert_allclose(uv, np.stack([plain.texel % 64, plain.texel // 64], axis=1) + 0.5, atol=2e-3)
    np.testing.assert_allclose(padded.barycentric.sum(axis=1), 1, atol=1e-6)
    assert (plain.face_index >= 9976).sum() > 20  # the mouth has Gaussians of its own
    other = sample(head, 64, True, 2)
    assert not np.array_equal(other.face_index, padded.face_index)
    np.testing.assert_array_equal(sample(head, 64, True, 1).barycentric, padded.barycentric)


def test_head_without_texture_coordinates_is_refused() -> None:
    with pytest.raises(UnsupportedFeature, match="no texture coordinates"):
        sample(tiny_head(uvs=False), 16, False, 0)


def test_distances_to_other_samples() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [3, 0, 0], [3, 4, 0]], np.float32)
    np.testing.assert_allclose(nearest_distances(points, 2), [[1, 3], [1, 2], [2, 3], [4, 20**0.5]], rtol=1e-6)
    np.testing.assert_array_equal(nearest_rows(np.array([[2.2, 0, 0], [3, 3, 0]], np.float32), points), [2, 3])


def test_starting_values(store: FrameStore) -> None:
    head = head_of()
    model = Model(dataclasses.replace(SMALL, init_scale="mean", init_opacity=0.1, pad=True), head, store)
    assert len(model) == 24**2
    scene = model.scene(store.batch(0).motion)
    quats, scales, opacities, rgb = scene.quats, scene.scales, scene.opacities, scene.rgb
    np.testing.assert_allclose(opacities.detach(), 0.1, atol=1e-6)
    np.testing.assert_allclose(rgb.detach(), 0.5)
    personal = head.personalise(store.frames.sequence.shape)
    points = sample(personal, 24, True, SMALL.seed).points(personal)
    distances = np.linalg.norm(points[:, None].astype(np.float64) - points, axis=2) + 9 * np.eye(len(points))
    np.testing.assert_allclose(model.scaling.detach().exp(), distances.min(axis=1).mean(), rtol=1e-4)
    assert np.allclose(quats.detach().norm(dim=1), 1, atol=1e-5) and (scales > 0).all()
    assert len(model.head_model.shapedirs or []) == 0


def test_canonical_size_is_that_of_the_unlearned_head_with_an_open_jaw(model: Any, store: FrameStore) -> None:
    from formats.deform import triangle_frames

    sequence = store.frames.sequence
    frame = Sequence(sequence.basis, 25, sequence.expr.mean(axis=0, keepdims=True), jaw=np.array([[0.2, 0, 0]]))
    head = model.head_model
    size = triangle_frames(deform_head(head, frame).vertices, head.faces)[1]
    np.testing.assert_allclose(model.canonical_size, np.maximum(size, 1e-7), rtol=1e-4, atol=1e-8)


def test_colours_from_pictures(store: FrameStore) -> None:
    pytest.importorskip("formats.reproject")
    model = Model(dataclasses.replace(SMALL, init_color="pictures", color_size=64), head_of(), store)
    rgb = 0.5 + 0.28209479 * model.color.detach().numpy()
    assert rgb.min() > -0.01 and rgb.max() < 1.01 and rgb[:, 0].std() > 0.1


# --- Drawing ----------------------------------------------------------------------------------------------------------


def test_splats_are_the_papers(model: Any, store: FrameStore) -> None:
    """Section 3.1 by hand, for one Gaussian on a posed triangle."""
    scene = shaken(model).scene(store.batch(1).motion)
    means, quats, scales, opacities, rgb = (v.detach().double().numpy() for v in (
        scene.means, scene.quats, scene.scales, scene.opacities, scene.rgb))
    n = 37
    face = int(model.face_index[n])
    v = scene.vertices.detach().double().numpy()[model.head_model.faces[face]]
    unit = lambda a: a / np.linalg.norm(a)  # noqa: E731
    e = unit(v[1] - v[0])
    m = unit(np.cross(e, v[2] - v[0]))
    b = -unit(np.cross(m, e))
    k = (np.linalg.norm(v[1] - v[0]) + abs(b @ (v[2] - v[0]))) / 2
    normal = np.cross(v[1] - v[0], v[2] - v[0])
    w = model.barycentric[n].double().numpy()
    mean = w @ v + 0.05 * np.tanh(float(model.offset[n].detach())) * normal
    np.testing.assert_allclose(means[n], mean, atol=1e-6)
    np.testing.assert_allclose(scales[n], np.exp(model.scaling[n].detach().numpy()) * k / float(model.canonical_size[face]),
                               rtol=1e-4)
    from formats.rotations import matrix_to_quat, quat_multiply

    q = quat_multiply(matrix_to_quat(np.stack([e, m, b], axis=1)), model.rotation[n].detach().numpy())
    assert abs(unit(quats[n]) @ unit(q)) > 1 - 1e-6
    np.testing.assert_allclose(opacities[n], 1 / (1 + np.exp(-float(model.opacity[n].detach()))), rtol=1e-5)
    dc = model.color[n].detach().numpy()
    np.testing.assert_allclose(rgb[n], np.maximum(0, 0.5 + 0.28209479177387814 * dc), atol=1e-6)


def test_avatar_is_what_the_model_draws(model: Any, store: FrameStore) -> None:
    avatar = shaken(model).to_avatar()
    assert avatar.meta.system == "fate" and "FATE" in avatar.meta.paper
    assert avatar.meta.license_notices == ()  # our own head, our own code
    assert avatar.head.content_hash == head_of().content_hash and avatar.head.shapedirs is None
    assert avatar.sequence is not None and len(avatar.sequence) == len(store)
    clip = avatar.sequence
    for index in range(len(store)):
        drawing = model.render(store.batch(index))
        posed = deform(avatar, clip, index)
        own = drawing.extra["scene"].means.detach().numpy()
        assert np.abs(posed.layers[0].cloud.means - own).max() < 1e-5  # type: ignore[union-attr]
        camera = dataclasses.replace(store.frames.camera(index),
                                     world_to_camera=clip.cameras["world_to_camera"][index].astype(np.float64))
        picture = render(posed, camera, RenderOptions()).rgb
        assert psnr(picture, np.clip(drawing.rgb.detach().numpy(), 0, 1)) > 50


def test_camera_correction_moves_the_camera() -> None:
    rng = np.random.default_rng(0)
    camera = look_at((0.2, 0.1, 0.7), (0, 0, 0), 0.5, 10, 10)
    view = View(torch.tensor(camera.world_to_camera, dtype=torch.float32), torch.tensor(camera.K), 10, 10)
    point, d = torch.tensor(rng.normal(size=3), dtype=torch.float32), torch.tensor([0.01, -0.02, 0.03])
    rotation, t = view.viewmat[:3, :3], view.viewmat[:3, 3]
    torch.testing.assert_close(rotation @ (point + shift(view, d)) + t, rotation @ point + t + d)


# --- Learning ---------------------------------------------------------------------------------------------------------


def test_two_frames_are_learned(model: Any, store: FrameStore) -> None:
    losses = [step(model, store, number) for number in range(1, 21)]
    assert np.mean(losses[-2:]) < 0.6 * np.mean(losses[:2])
    for name, value in model.named_parameters():
        if name not in ("offset",):  # a no-op by design: micrometres
            assert value.abs().max() > 0, name


def test_adding_and_removing_keeps_optimisers_aligned(store: FrameStore) -> None:
    model = Model(dataclasses.replace(SMALL, densify_count=7), head_of(), store)
    for number in (1, 2, 3):
        step(model, store, number)
    adam = model.optimizers()["gaussians"]
    before = {g["name"]: adam.state[g["params"][0]]["exp_avg"].clone() for g in adam.param_groups}
    rows = {name: getattr(model, name).detach().clone() for name in before}
    count, pulled = len(model), model.gradients.total.clone()
    assert (pulled > 0).any()
    model.densify(7, 3)
    assert len(model) == count + 7 and model.gradients.total.shape == (count + 7,) and not model.gradients.total.any()
    faces = model.face_index[count:]
    for group in adam.param_groups:
        (parameter,), name = group["params"], group["name"]
        assert parameter is getattr(model, name) and len(adam.state) == len(before)
        state = adam.state[parameter]
        torch.testing.assert_close(state["exp_avg"][:count], before[name], rtol=0, atol=0)
        assert not state["exp_avg"][count:].any() and not state["exp_avg_sq"][count:].any()
        torch.testing.assert_close(parameter.detach()[:count], rows[name], rtol=0, atol=0)
    assert all(bool((model.face_index[:count] == f).any()) for f in faces)
    parents = draw_rows(pulled, 7, (SMALL.seed, 3))
    torch.testing.assert_close(model.scaling.detach()[count:], rows["scaling"][parents] + float(np.log(0.75)))
    torch.testing.assert_close(model.color.detach()[count:], rows["color"][parents])
    step(model, store, 4)

    with torch.no_grad():
        model.opacity[::3] = -8
    keep = torch.sigmoid(model.opacity.detach()) >= 0.005
    moments = adam.state[model.scaling]["exp_avg"].clone()
    model.prune()
    assert len(model) == int(keep.sum()) == len(model.face_index) == len(model.binding)
    torch.testing.assert_close(adam.state[model.scaling]["exp_avg"], moments[keep], rtol=0, atol=0)
    step(model, store, 5)
    model.reset_opacity()
    assert torch.sigmoid(model.opacity).max() <= 0.0100001 and not adam.state[model.opacity]["exp_avg"].any()
    step(model, store, 6)


def test_pruning_never_leaves_nothing(model: Any) -> None:
    with torch.no_grad():
        model.opacity.fill_(-9)
        model.opacity[3] = -8
    model.prune()
    assert len(model) >= 1


def test_schedule(store: FrameStore) -> None:
    config = dataclasses.replace(SMALL, densify_every=2, densify_count=5, densify_until=4, densify_limit=10_000, prune_every=3,
                                 lr_final=0.1, lr_steps=10)
    model = Model(config, head_of(), store)
    count = len(model)
    sizes = []
    for number in range(1, 7):
        step(model, store, number)
        sizes.append(len(model) - count)
    assert sizes[0] == 0 and sizes[1] == 5 and sizes[3] == 10 and sizes[5] == 10
    rates = {g["name"]: g["lr"] for o in model.optimizers().values() for g in o.param_groups}
    assert rates["color"] == pytest.approx(0.05 * 0.1**0.6) and rates["frame_expr"] == pytest.approx(1e-2 * 0.1**0.6)


def test_a_step_moves_the_row_of_its_frame_alone(model: Any, store: FrameStore) -> None:
    step(model, store, 1)  # frame 0
    rows = {name: p.detach().clone() for name, p in model.train_rows.named_parameters()}
    assert all(bool(value[0].any()) and not value[1].any() for value in rows.values())
    step(model, store, 2)  # frame 1
    for name, p in model.train_rows.named_parameters():
        torch.testing.assert_close(p.detach()[0], rows[name][0], rtol=0, atol=0)
        assert p.detach()[1].any()


def test_corrections_are_added_where_they_belong() -> None:
    rows = Refinement(2, 4, True)
    with torch.no_grad():
        rows.pose.weight[1] = torch.arange(17.0)
        rows.expr.weight[1] = 5
    zero = Motion(expr=torch.zeros(4), rotation=torch.zeros(3), neck=torch.zeros(3), jaw=torch.zeros(3),
                  eyes=torch.zeros(6), eyelids=torch.zeros(2), translation=torch.zeros(3))
    motion, camera = rows.correct(1, zero)
    assert motion.rotation.tolist() == [0, 1, 2] and motion.neck.tolist() == [3, 4, 5] and motion.jaw.tolist() == [6, 7, 8]
    assert motion.eyes.tolist() == list(range(9, 15)) and motion.eyelids.tolist() == [15, 16]
    assert motion.expr.tolist() == [5] * 4 and camera.tolist() == [0] * 3
    without = Refinement(2, 4, False).correct(0, zero)[0]
    assert without.eyelids is zero.eyelids


def test_refit_touches_nothing_but_the_held_out_rows(store: FrameStore, tmp_path: Path) -> None:
    model = Model(dataclasses.replace(SMALL, lr_frame_camera=2e-3), head_of(), store)
    for number in range(1, 9):
        step(model, store, number)
    held_out = FrameStore(video(tmp_path, "test", 3, seed=11))
    before = {k: v.clone() for k, v in model.state_dict().items()}

    def error() -> float:
        with torch.no_grad():
            return sum(float((model.render(b).rgb - b.rgb).abs().mean()) for b in map(held_out.batch, range(3)))

    plain, told = error(), []
    model.refit(held_out, 12, told.append)
    assert error() < plain and told == ["fitted the tracking of 3 of 3 held-out frames"]
    after = model.state_dict()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0)
    assert {k for k in after if k not in before} == {f"test_rows.{n}.weight" for n in ("expr", "pose", "camera")}
    assert all(p.requires_grad for p in model.parameters())
    again = Model(SMALL, head_of(), store)
    again.load_state_dict(after)
    with torch.no_grad():
        torch.testing.assert_close(again.render(held_out.batch(1)).rgb, model.render(held_out.batch(1)).rgb, rtol=0, atol=0)


def test_resumed_run_is_the_straight_run(store: FrameStore) -> None:
    config = dataclasses.replace(SMALL, densify_every=3, densify_count=6, prune_every=4, prune_opacity=0.75, lr_final=0.5,
                                 lr_steps=10)
    straight = Model(config, head_of(), store)
    for number in range(1, 6):
        step(straight, store, number)
    state = {k: v.clone() for k, v in straight.state_dict().items()}
    memory = {k: o.state_dict() for k, o in straight.optimizers().items()}
    import copy

    memory = copy.deepcopy(memory)
    resumed = Model(config, head_of(), store)
    resumed.load_state_dict(state)
    for name, optimizer in resumed.optimizers().items():
        optimizer.load_state_dict(memory[name])
    for number in range(6, 10):
        assert step(straight, store, number) == step(resumed, store, number)
    for name, value in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_foreign_state_is_refused(model: Any, store: FrameStore) -> None:
    state = model.state_dict()
    with pytest.raises(RuntimeError, match="missing color"):
        model.load_state_dict({k: v for k, v in state.items() if k != "color"})
    with pytest.raises(RuntimeError, match=r"'vertices' is \[5, 3\]"):
        model.load_state_dict({**state, "vertices": torch.zeros(5, 3)})


def test_terms(store: FrameStore) -> None:
    config = dataclasses.replace(SMALL, rotation_weight=0.5, normal_weight=2.0, laplacian_weight=10.0, flame_weight=100.0)
    model = shaken(Model(config, head_of(), store))
    batch = store.batch(0)
    drawing = model.render(batch)
    terms = model.losses(batch, drawing)
    assert set(terms) == {"rgb", "gradient", "scale", "rotation", "laplacian", "flame", "normal"}
    head, seq = model.to_avatar().head, model.to_avatar().sequence
    assert seq is not None
    personal = deform_head(head, seq.take([0])).vertices
    plain = deform_head(model.head_model, seq.take([0])).vertices
    assert terms["flame"].item() == pytest.approx(100 * ((personal - plain) ** 2).sum(axis=1).mean(), rel=1e-3)
    assert terms["rgb"].item() == pytest.approx((drawing.rgb - batch.rgb).abs().mean().item())
    terms["laplacian"].backward()
    assert model.vertices.grad.any() and model.train_rows.expr.weight.grad.coalesce().values().any()
    assert "dssim" in Model(dataclasses.replace(SMALL, substitute="dssim"), head_of(), store).picture_losses(batch, drawing)
    l2 = Model(dataclasses.replace(SMALL, rgb_loss="l2", substitute="none"), head_of(), store)
    assert set(l2.picture_losses(batch, drawing)) == {"rgb"}


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("default")  # gsplat builds itself on first use
def test_graph_gives_the_same_numbers_as_kernels(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, densify_every=4, densify_count=9, laplacian_weight=10.0)
    there = FrameStore(video(tmp_path), device="cuda")
    for graph in (False, True):
        torch.manual_seed(0)
        model = Model(dataclasses.replace(config, cuda_graph=graph), head_of(), there)
        losses = [step(model, there, number) for number in range(1, 11)]
        if not graph:
            plain, picture = losses, model.render(there.batch(1)).rgb.detach().clone()
            continue
        np.testing.assert_allclose(losses, plain, rtol=2e-3)
        assert psnr(model.render(there.batch(1)).rgb.detach().cpu().numpy(), picture.cpu().numpy()) > 45
        model.refit(FrameStore(video(tmp_path, "test", 2, seed=11), device="cuda"), 3)
        step(model, there, 11)


# --- Parts of `trainers.densify` --------------------------------------------------------------------------------------


def test_rows_follow_in_the_optimiser() -> None:
    parameter = torch.nn.Parameter(torch.arange(8.0).reshape(4, 2))
    optimizer = torch.optim.Adam([parameter])
    (parameter ** 2).sum().backward()
    optimizer.step()
    moments = optimizer.state[parameter]["exp_avg"].clone()
    new = reindex([optimizer], parameter, torch.tensor([3, 1, 1]), fresh=1)
    assert optimizer.param_groups[0]["params"] == [new] and parameter not in optimizer.state
    torch.testing.assert_close(optimizer.state[new]["exp_avg"], torch.stack([moments[3], moments[1], 0 * moments[0]]))
    assert optimizer.state[new]["step"] == 1
    forget([optimizer], new)
    assert not optimizer.state[new]["exp_avg"].any()


def test_drawing_rows_by_weight() -> None:
    rows = draw_rows(torch.tensor([0.0, 3.0, float("nan"), 1.0]), 4000, (1, 2))
    assert set(rows.tolist()) == {1, 3} and 0.7 < float((rows == 1).float().mean()) < 0.8
    torch.testing.assert_close(rows, draw_rows(torch.tensor([0.0, 3.0, float("nan"), 1.0]), 4000, (1, 2)))
    assert set(draw_rows(torch.zeros(3), 100, (0, 0)).tolist()) == {0, 1, 2}


def test_gradients_are_counted_per_half_picture() -> None:
    held = ScreenGradients(2, "cpu")
    held.add(torch.tensor([[3.0, 4.0], [1.0, 1.0]]), torch.tensor([True, False]), 200, 100)
    assert held.total.tolist() == pytest.approx([(300**2 + 200**2) ** 0.5, 0]) and held.seen.tolist() == [1, 0]


# --- Settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", TRAINERS)
def test_every_setting_is_explained(system: str) -> None:
    import ast
    import inspect

    module = trainer(system)
    config = module.Config
    source = inspect.getsource(sys.modules[config.__module__])
    (body,) = (n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == "Config")
    fields = [n.target.id for n in body.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    said = {a.target.id for a, b in zip(body.body, body.body[1:], strict=False)
            if isinstance(a, ast.AnnAssign) and isinstance(a.target, ast.Name) and isinstance(b, ast.Expr)
            and isinstance(b.value, ast.Constant) and isinstance(b.value.value, str)}
    assert [f.name for f in dataclasses.fields(config)] == fields and set(fields) == said
    assert {"paper", "demo"} <= set(module.PRESETS) and module.PRESETS["paper"] == config()


def test_vgg_is_asked_for_by_its_file(store: FrameStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Perceptual(torch.nn.Module):
        def __init__(self, path: str) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1), requires_grad=False)

        def forward(self, image: Any, target: Any) -> Any:
            return self.weight.squeeze() * (image - target).square().mean()

    monkeypatch.setitem(sys.modules, "trainers.perceptual", SimpleNamespace(Perceptual=Perceptual))
    model = Model(dataclasses.replace(SMALL, vgg_weights="vgg16.safetensors"), head_of(), store)
    batch = store.batch(0)
    terms = model.picture_losses(batch, model.render(batch))
    assert set(terms) == {"rgb", "perceptual"}
    assert not any("perceptual" in name for name in model.state_dict())
    assert not any("perceptual" in n for n, p in model.named_parameters() if p.requires_grad)
