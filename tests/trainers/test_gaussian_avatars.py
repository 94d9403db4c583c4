"""GaussianAvatars: what head it rides, what it draws, how Gaussians come and go, what it leaves behind."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

from formats.deform import deform  # noqa: E402
from formats.errors import CheckpointMismatch, UnsupportedFeature  # noqa: E402
from formats.render import RenderOptions, psnr, render  # noqa: E402
from formats.spherical_harmonics import evaluate_sh  # noqa: E402
from formats.standin.head import standin_head  # noqa: E402
from tests.builders import tiny_camera, tiny_cloud, tiny_head  # noqa: E402
from tests.trainers.test_fate import SIZE, step, video  # noqa: E402
from trainers.densify import screen_radii  # noqa: E402
from trainers.density import change_of, spared, spread  # noqa: E402
from trainers.frame_store import FrameStore  # noqa: E402
from trainers.gaussian_avatars import Config, Model, head_of  # noqa: E402
from trainers.gaussian_avatars.model import extent_of  # noqa: E402
from trainers.model import Drawing, Motion, View  # noqa: E402
from trainers.rasterize import rasterize  # noqa: E402
from trainers.refinement import Refinement, moments_of  # noqa: E402
from trainers.spherical_harmonics import colors_from  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = dataclasses.replace(
    Config(), steps=20, size=SIZE, teeth=False, init_opacity=0.6, extent=1.0, sh_every=4, lr_means=2e-2, lr_color=0.05,
    lr_frame_expr=1e-2, lr_frame_pose=1e-3, lr_frame_translation=1e-4, densify_every=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    return FrameStore(video(tmp_path_factory.mktemp("ball")))


@pytest.fixture
def model(store: FrameStore) -> Any:
    return Model(SMALL, tiny_head(identity=True), store)


def shaken(model: Any) -> Any:
    """Move everything that learns away from where it starts, with all bands of SH in use."""
    rng = torch.Generator().manual_seed(5)
    sizes = {"means": 0.3, "rotation": 0.5, "scaling": 0.4, "opacity": 1.0, "color": 0.5, "harmonics": 0.15,
             "train_rows.expr.weight": 0.1, "train_rows.pose.weight": 0.03, "train_rows.translation.weight": 2e-3}
    with torch.no_grad():
        for name, value in model.named_parameters():
            value += sizes[name] * torch.randn(value.shape, generator=rng)
    model.degree = model.config.sh_degree
    model.bands.fill_(model.degree)
    return model


# --- Start ------------------------------------------------------------------------------------------------------------


def test_the_head_gets_teeth() -> None:
    bare = standin_head("open-mouth")
    head = head_of(Config(), bare)
    assert len(head.v_template) == 5143 and len(head.faces) == 10144 and head.content_hash == bare.content_hash
    assert len(head.regions["teeth"]) == 120 and head_of(Config(), head) is head
    np.testing.assert_array_equal(head.faces[:9976], bare.faces)
    assert head_of(dataclasses.replace(Config(), teeth=False), bare) is bare
    flame = dataclasses.replace(bare, edition="flame2023")
    assert len(head_of(Config(), flame).v_template) == 5143
    with pytest.raises(CheckpointMismatch, match="no identity directions left"):
        head_of(Config(), flame.personalise())
    with pytest.raises(CheckpointMismatch, match="teeth=false"):
        head_of(Config(), tiny_head("flame2023"))


def test_one_gaussian_starts_on_each_triangle(store: FrameStore) -> None:
    model = Model(dataclasses.replace(Config(), teeth=False), tiny_head(identity=True), store)
    scene = model.scene(store.batch(0).motion)
    corners = scene.vertices.detach()[model.head.faces]
    torch.testing.assert_close(scene.means.detach(), corners.mean(dim=1))
    assert len(model) == len(model.head_model.faces) and model.harmonics.shape == (len(model), 15, 3)
    np.testing.assert_allclose(scene.opacities.detach(), 0.1, atol=1e-6)
    color = model.color.detach()
    assert 0 <= float(color.min()) and float(color.max()) < 1 / 255 and not model.harmonics.any()
    assert model.rate("means") == 5e-3 and model.rate("color") == 2.5e-3
    assert model.degree == 0 and model.head_model.shapedirs is None


def test_extent_is_that_of_the_cameras(store: FrameStore) -> None:
    viewmats = torch.eye(4).repeat(3, 1, 1)
    viewmats[:, 0, 3] = torch.tensor([0.0, 1.0, -1.0])
    assert extent_of(viewmats) == pytest.approx(1.1)
    assert extent_of(0.05 * viewmats + 0.95 * torch.eye(4)) == 1.0
    colored = Model(dataclasses.replace(SMALL, init_color="pictures", color_size=64), tiny_head(identity=True), store)
    assert colored.color.detach().std() > 0.1


# --- Drawing ----------------------------------------------------------------------------------------------------------


def test_splats_are_the_papers(model: Any, store: FrameStore) -> None:
    """Section 3.1 by hand, for one Gaussian on a posed triangle."""
    scene = shaken(model).scene(store.batch(1).motion)
    n = 37
    v = scene.vertices.detach().double().numpy()[model.head_model.faces[n]]
    unit = lambda a: a / np.linalg.norm(a)  # noqa: E731
    a0 = unit(v[1] - v[0])
    a1 = unit(np.cross(a0, v[2] - v[0]))
    a2 = np.cross(a0, a1)
    k = (np.linalg.norm(v[1] - v[0]) + abs(a2 @ (v[2] - v[0]))) / 2
    axes = np.stack([a0, a1, a2], axis=1)
    local = model.means[n].detach().double().numpy()
    np.testing.assert_allclose(scene.means[n].detach(), k * axes @ local + v.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(scene.scales[n].detach(), k * np.exp(model.scaling[n].detach().numpy()), rtol=1e-4)
    from formats.rotations import matrix_to_quat, quat_multiply

    q = quat_multiply(matrix_to_quat(axes), model.rotation[n].detach().numpy())
    assert abs(unit(scene.quats[n].detach().double().numpy()) @ unit(q)) > 1 - 1e-6


def test_avatar_is_what_the_model_draws(model: Any, store: FrameStore) -> None:
    avatar = shaken(model).to_avatar()
    assert avatar.meta.system == "gaussian-avatars" and avatar.meta.license_notices == ()
    assert avatar.layers[0].cloud.sh.shape[1] == 16  # type: ignore[union-attr]
    clip = avatar.sequence
    assert clip is not None
    for index in range(len(store)):
        drawing = model.render(store.batch(index))
        posed = deform(avatar, clip, index)
        own = drawing.extra["scene"].means.detach().numpy()
        assert np.abs(posed.layers[0].cloud.means - own).max() < 1e-5  # type: ignore[union-attr]
        picture = render(posed, store.frames.camera(index), RenderOptions()).rgb
        assert psnr(picture, np.clip(drawing.rgb.detach().numpy(), 0, 1)) > 50
    model.degree = 1
    assert model.to_avatar().layers[0].cloud.sh.shape[1] == 4


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_colours_are_the_references_with_their_gradient(degree: int) -> None:
    cloud, camera = tiny_cloud(9, degree, size=0.05), tiny_camera(0.4)
    sh, means = (torch.tensor(value, dtype=torch.float64).requires_grad_() for value in (cloud.sh, cloud.means))
    viewmat = torch.tensor(camera.world_to_camera, dtype=torch.float64)
    directions = cloud.means - camera.position
    wanted = evaluate_sh(cloud.sh, directions / np.linalg.norm(directions, axis=1, keepdims=True))
    np.testing.assert_allclose(colors_from(sh, means, viewmat).detach(), wanted, atol=1e-9)
    assert torch.autograd.gradcheck(lambda a, b: colors_from(a, b, viewmat), (sh, means), atol=1e-5)


# --- Learning ---------------------------------------------------------------------------------------------------------


def test_two_frames_are_learned(model: Any, store: FrameStore) -> None:
    losses = [step(model, store, number) for number in range(1, 21)]
    assert np.mean(losses[-2:]) < 0.6 * np.mean(losses[:2])
    assert model.degree == 3  # a band more after 4, 8 and 12 steps
    for name, value in model.named_parameters():
        assert value.abs().max() > 0, name


def test_terms(model: Any, store: FrameStore) -> None:
    with torch.no_grad():
        model.means[:] = torch.tensor([0.0, 3.0, 4.0])
        model.opacity[::2] = -9  # too faint to be seen
        model.scaling[:] = torch.tensor([0.6, 0.9, 1.0]).log()
    batch = store.batch(0)
    drawing = model.render(batch)
    assert not drawing.visible.all() and drawing.visible.any()
    terms = model.losses(batch, drawing)
    assert set(terms) == {"rgb", "dssim", "position", "scale"}
    assert terms["position"].item() == pytest.approx(0.01 * 4) and terms["scale"].item() == pytest.approx(0.5)
    assert terms["rgb"].item() == pytest.approx(0.8 * (drawing.rgb - batch.rgb).abs().mean().item())
    terms["position"].backward()
    np.testing.assert_array_equal(model.means.grad.any(dim=1), drawing.visible)


def test_what_comes_and_goes() -> None:
    config = dataclasses.replace(Config(), densify_gradient=1.0, split_size=0.01, prune_radius=20.0, prune_size=0.1)
    pull = torch.tensor([0.0, 2.0, 3.0, 0.0, 0.0, 0.0])
    sizes = torch.tensor([0.005, 0.005, 0.02, 0.005, 0.2, 0.005])
    opacities = torch.tensor([0.5, 0.5, 0.5, 0.001, 0.5, 0.001])
    radii, faces = torch.tensor([30.0, 0, 99, 0, 0, 0]), torch.tensor([0, 0, 1, 1, 2, 3])
    young = change_of(pull, sizes, opacities, radii, config, 1.0, False, faces)
    assert young.rows.tolist() == [0, 1, 4, 5, 1, 2, 2]  # 3 is faint; 5 as well, but all that its triangle has
    assert (young.clones, young.parts, young.fresh) == (1, 2, 3)
    old = change_of(pull, sizes, opacities, radii, config, 1.0, True, faces)
    assert old.rows.tolist() == [1, 4, 5, 1, 2, 2]  # 0 was large on a picture; 4 is in the world, and alone
    bare = change_of(pull, sizes, opacities, radii, config, 1.0, True)
    assert bare.rows.tolist() == [1, 1, 2, 2] and bare.fresh == 3
    few = change_of(pull, sizes, opacities, radii, dataclasses.replace(config, densify_limit=7), 1.0, False, faces)
    assert few.rows.tolist() == [0, 1, 4, 5, 2, 2] and few.fresh == 2
    assert spared(torch.tensor([True, True, False]), torch.tensor([4, 0, 4])).tolist() == [True, False, False]


def test_a_split_is_drawn_from_its_parent() -> None:
    q = torch.tensor([[1.0, 0.0, 1.0, 0.0]]).expand(4000, 4)  # x to -z
    offsets = spread(3 * q, torch.tensor([[3.0, 1.0, 0.1]]).expand(4000, 3), (1, 2))
    np.testing.assert_allclose(offsets.std(dim=0), [0.1, 1.0, 3.0], rtol=0.1)
    torch.testing.assert_close(offsets, spread(q, torch.tensor([[3.0, 1.0, 0.1]]).expand(4000, 3), (1, 2)))


def test_children_ride_their_parents_triangle_and_adam_follows(store: FrameStore) -> None:
    config = dataclasses.replace(SMALL, densify_every=4, densify_from=2, densify_gradient=1e-7, split_size=0.012,
                                 prune_opacity=0.05, background="black", reset_every=1000)
    model = Model(config, tiny_head(identity=True), store)
    model.scaling.data[::2] -= 2
    for number in (1, 2, 3):
        step(model, store, number)
    count, before = len(model), {name: getattr(model, name).detach().clone() for name in (*model.GAUSSIANS, "face_index")}
    adam = model.optimizers()["gaussians"]
    moments = adam.state[model.means]["exp_avg"].clone()
    drawing = model.render(store.batch(0))
    pull = model.gradients.total / model.gradients.seen.clamp_min(1)
    scales = drawing.extra["scene"].scales.detach()
    change = change_of(pull, scales.amax(dim=1), torch.sigmoid(model.opacity.detach()), model.radii, config, 1.0, False,
                       model.face_index)
    assert change.clones > 3 and change.parts > 3
    model.densify(4, scales)
    fresh, parts = change.fresh, change.parts
    assert len(model) == len(change.rows) == len(model.binding) == len(model.radii) == len(model.gradients.total)
    torch.testing.assert_close(model.face_index, before["face_index"][change.rows], rtol=0, atol=0)
    assert set(model.face_index.tolist()) == set(range(count))  # no triangle is without
    state = adam.state[model.means]["exp_avg"]
    torch.testing.assert_close(state[:-fresh], moments[change.rows[:-fresh]], rtol=0, atol=0)
    assert not state[-fresh:].any()
    clones = change.rows[-fresh:-parts]
    torch.testing.assert_close(model.means.detach()[-fresh:-parts], before["means"][clones], rtol=0, atol=0)
    of = change.rows[-parts:]
    torch.testing.assert_close(model.scaling.detach()[-parts:], before["scaling"][of] - float(np.log(1.6)))
    moved = model.means.detach()[-parts:] - before["means"][of]
    sizes = before["scaling"][of].exp()
    assert 0.3 < float((moved.norm(dim=1) / sizes.norm(dim=1)).mean()) < 2
    step(model, store, 5)
    released = Model(dataclasses.replace(config, split_in="world"), tiny_head(identity=True), store)
    released.load_state_dict(copy.deepcopy({k: v for k, v in model.state_dict().items()}))
    released.gradients.total.fill_(1.0)
    released.gradients.seen.fill_(1.0)
    with torch.no_grad():
        released.means.zero_()
    released.densify(8, released.scene(store.batch(0).motion).scales.detach())
    assert 0 < float(released.means.detach().abs().max()) < 0.1  # metres taken for sizes of a triangle


def test_schedule(store: FrameStore) -> None:
    config = dataclasses.replace(SMALL, densify_every=2, densify_from=3, densify_until=7, densify_gradient=0.0, densify_limit=230,
                                 reset_every=5, reset_opacity=0.02, lr_means_final=2e-4, lr_steps=10, lr_final=0.1)
    model = Model(config, tiny_head(identity=True), store)
    count, sizes, opaque = len(model), [], []
    for number in range(1, 11):
        step(model, store, number)
        sizes.append(len(model) - count)
        opaque.append(float(torch.sigmoid(model.opacity.detach()).max()))
    assert sizes[2] == 0 < sizes[3] <= 14 and sizes[6] == sizes[9]
    assert opaque[1] > 0.5 and opaque[2] <= 0.0200001 and opaque[4] <= 0.0200001 < opaque[3]  # white: at densify_from too
    assert opaque[9] > 0.0200001  # not after densify_until
    rates = {g["name"]: g["lr"] for o in model.optimizers().values() for g in o.param_groups}
    assert rates["means"] == pytest.approx(2e-4) and rates["color"] == pytest.approx(0.005)
    assert rates["frame_translation"] == pytest.approx(1e-5)


def test_resumed_run_is_the_straight_run(store: FrameStore) -> None:
    config = dataclasses.replace(SMALL, densify_every=3, densify_from=2, densify_gradient=1e-6, split_size=0.012, prune_from=0,
                                 prune_radius=9.0, reset_every=7, lr_steps=10)
    straight = Model(config, tiny_head(identity=True), store)
    for number in range(1, 6):
        step(straight, store, number)
    assert len(straight) > 216 and straight.radii.any() and straight.degree == 1
    state = {k: v.clone() for k, v in straight.state_dict().items()}
    memory = copy.deepcopy({k: o.state_dict() for k, o in straight.optimizers().items()})
    resumed = Model(config, tiny_head(identity=True), store)
    resumed.load_state_dict(state)
    for name, optimizer in resumed.optimizers().items():
        optimizer.load_state_dict(memory[name])
    for number in range(6, 10):
        assert step(straight, store, number) == step(resumed, store, number)
    assert len(straight) == len(resumed)
    for name, value in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_held_out_frames_are_fitted(store: FrameStore, tmp_path: Path) -> None:
    model = Model(SMALL, tiny_head(identity=True), store)
    for number in range(1, 9):
        step(model, store, number)
    held_out = FrameStore(video(tmp_path, "test", 2, seed=11))
    batch = held_out.batch(1)
    with torch.no_grad():
        plain = float((model.render(batch).rgb - batch.rgb).abs().mean())
    model.refit(held_out, 6)
    with torch.no_grad():
        assert float((model.render(batch).rgb - batch.rgb).abs().mean()) < plain
    again = Model(SMALL, tiny_head(identity=True), store)
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again.render(batch).rgb, model.render(batch).rgb, rtol=0, atol=0)


# --- Parts ------------------------------------------------------------------------------------------------------------


def test_pictures_of_a_moment_share_its_corrections() -> None:
    fields = {f.name: torch.zeros(4, 6 if f.name == "eyes" else 3) for f in dataclasses.fields(Motion)}
    fields["expr"][:, 0] = torch.tensor([5.0, 5.0, 1.0, 5.0])
    motion = Motion(**fields)
    moments = moments_of(motion)
    assert moments is not None and moments.tolist() == [0, 0, 1, 0]
    rows: Any = Refinement(4, 3, False, moves="translation", dense=True, moments=moments)
    assert len(rows) == 2
    with torch.no_grad():
        rows.translation.weight[1] = 7
    assert rows.correct_all(motion).translation[:, 0].tolist() == [0, 0, 7, 0]
    torch.cat(rows.row(3)).sum().backward()
    assert rows.expr.weight.grad.to_dense().tolist() == [[1] * 3, [0] * 3]
    fields["jaw"][:, 1] = torch.arange(4.0)
    assert moments_of(Motion(**fields)) is None


def test_dense_corrections_are_adams(model: Any, store: FrameStore) -> None:
    """The row of a frame that is not seen goes where its momentum takes it."""
    step(model, store, 1)
    first = model.train_rows.expr.weight.detach()[0].clone()
    assert not model.train_rows.expr.weight.detach()[1].any()
    step(model, store, 2)
    second = model.train_rows.expr.weight.detach()[0]
    # Bias-corrected: b1 (1 - b1) / (1 - b1^2) over sqrt(b2 (1 - b2) / (1 - b2^2)).
    expected = (0.9 * 0.1 / (1 - 0.9**2)) / (0.999 * 0.001 / (1 - 0.999**2)) ** 0.5
    torch.testing.assert_close(second - first, expected * first, rtol=1e-3, atol=1e-7)
    rows: Any = Model(dataclasses.replace(SMALL, frame_adam="rows"), tiny_head(identity=True), store)
    step(rows, store, 1)
    held = rows.train_rows.expr.weight.detach()[0].clone()
    step(rows, store, 2)
    torch.testing.assert_close(rows.train_rows.expr.weight.detach()[0], held, rtol=0, atol=0)


def test_radii_are_those_of_the_ellipses() -> None:
    cloud, camera = tiny_cloud(30, 0, size=0.02), tiny_camera(0.2)
    view = View(torch.tensor(camera.world_to_camera, dtype=torch.float32), torch.tensor(camera.K, dtype=torch.float32),
                camera.width, camera.height)
    means, quats, scales, opacities = (torch.tensor(v, dtype=torch.float32) for v in (
        cloud.means, cloud.quats, cloud.scales, cloud.opacities))
    drawing = rasterize(means, quats, scales, opacities, torch.ones(30, 3), view, torch.ones(3))
    from formats.render import project

    found = project(cloud, camera, RenderOptions())
    xx, xy, yy = found.covariances.T
    wanted = np.ceil(3 * np.sqrt((xx + yy) / 2 + np.sqrt(((xx - yy) / 2) ** 2 + xy**2)))
    seen = drawing.visible.numpy()
    assert seen.sum() > 20
    np.testing.assert_allclose(screen_radii(drawing).numpy()[seen], wanted[seen], atol=1)
    conics = Drawing(drawing.rgb, drawing.alpha, drawing.means2d, drawing.visible,
                     {"conics": torch.tensor(found.conics, dtype=torch.float32)})
    np.testing.assert_allclose(screen_radii(conics).numpy()[seen], wanted[seen], atol=1)
    with pytest.raises(UnsupportedFeature, match="tells no radii"):
        screen_radii(dataclasses.replace(drawing, extra={}))
