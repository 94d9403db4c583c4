"""Neural baking: what the network and its channels are, that a bake learns, leaves what it drew, and can be stopped."""

import dataclasses
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

import trainers  # noqa: E402
from formats.avatar import Avatar, FaceBinding, SplatLayer  # noqa: E402
from formats.camera import Camera  # noqa: E402
from formats.captures import capture  # noqa: E402
from formats.codecs import bundle  # noqa: E402
from formats.conventions import SH_C0  # noqa: E402
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature  # noqa: E402
from formats.mesh_shading import sample_bilinear  # noqa: E402
from formats.picture import psnr  # noqa: E402
from formats.render import render_avatar  # noqa: E402
from trainers import checkpoint, loop  # noqa: E402
from trainers.fate_avatar.attributes import CHANNELS, Bounds, activate, raw_of  # noqa: E402
from trainers.fate_avatar.bake import BakeSummary, bake  # noqa: E402
from trainers.fate_avatar.bake_config import PRESETS, Config  # noqa: E402
from trainers.fate_avatar.baking import MAPS, Model, kept_maps, trained  # noqa: E402
from trainers.fate_avatar.unet import UNet  # noqa: E402
from trainers.progress import Log  # noqa: E402
from trainers.run import Run  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 48
TINY = {"steps": "14", "map_size": "32", "width": "4", "start": "noise", "lr": "0.02", "log_every": "2", "save_every": "4",
        "albedo_size": "32"}
BOUNDS = Bounds(-6.0, -5.2)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that was trained a little."""
    folder = tmp_path_factory.mktemp("run")
    capture(folder / "data", "insta", frames=20, size=SIZE)
    loop.train("fate", folder / "data", "insta", folder / "run", preset="demo", steps=24,
               overrides={"size": str(SIZE), "tex_size": "48", "log_every": "8", "densify_every": "0"})
    return folder / "run"


@pytest.fixture(scope="module")
def baked(learned: Path) -> BakeSummary:
    """Return the bake of that run, beside which `out.avatar` lies; tests leave it as it is."""
    return bake(learned, learned.parent / "out.avatar", overrides=TINY)


@pytest.fixture(scope="module")
def avatar(baked: BakeSummary, learned: Path) -> Avatar:
    return bundle.read(learned.parent / "out.avatar")


@pytest.fixture
def run(learned: Path, tmp_path: Path) -> Path:
    """Return a copy of the trained run, not baked."""
    shutil.copytree(learned, tmp_path / "run", ignore=shutil.ignore_patterns("bake"))
    return tmp_path / "run"


@pytest.fixture
def done(baked: BakeSummary, learned: Path, tmp_path: Path) -> Path:
    """Return a copy of the run with its finished bake."""
    shutil.copytree(learned, tmp_path / "run")
    return tmp_path / "run"


def newest(run: Path) -> dict[str, Any]:
    path = Run.open(run / "bake").latest_checkpoint()
    assert path is not None
    return dict(checkpoint.read(path).model)


def assert_bit_for_bit(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


# --- Network and channels ---------------------------------------------------------------------------------------------


def test_the_network_is_the_papers() -> None:
    """Widths 64, 128, 256, 512, 512 down and 256, 128, 64, 64 up: 17.3 million weights."""
    network: Any = UNet(CHANNELS, 64)
    assert sum(p.numel() for p in network.parameters()) == 17_268_235
    assert [block[0].in_channels for block in network.down] == [11, 64, 128, 256, 512]
    assert [(b[0].in_channels, b[0].out_channels, b[3].out_channels) for b in network.up] == [
        (1024, 512, 256), (512, 256, 128), (256, 128, 64), (128, 64, 64)]
    assert not dict(network.named_buffers()), "statistics are the batch's own, in every mode"


def test_maps_are_as_large_as_the_noise_and_not_bounded() -> None:
    torch.manual_seed(0)
    network = UNet(CHANNELS, 2)
    with torch.no_grad():
        network.last.weight.mul_(50)
        made = network(torch.rand(1, CHANNELS, 48, 32) * 2 - 1)
        assert made.shape == (1, CHANNELS, 48, 32)
        assert made.max() > 2 and made.min() < -2


def test_channels_by_hand() -> None:
    """The table of FATE's baking, one number each."""
    raw = torch.zeros(CHANNELS, 1)
    raw[:4, 0] = torch.tensor([1.0, -2.0, 0.0, -1.3])
    raw[4:7, 0] = torch.tensor([-6.0, -7.0, 3.0])
    raw[9, 0] = math.atanh(0.25)
    raw[10, 0] = 1.0
    made = activate(raw, BOUNDS)
    assert made["color"][:, 0].tolist() == pytest.approx([math.tanh(1) * 0.5 / SH_C0, math.tanh(-2) * 0.5 / SH_C0, 0])
    assert made["opacity"].tolist() == [pytest.approx([-1.3])]
    softplus = [math.log1p(math.exp(-5.2 - x + 6.0)) for x in (-6.0, -7.0, 3.0)]
    assert made["scaling"][:, 0].tolist() == pytest.approx([-5.2 - s for s in softplus], abs=1e-5)
    assert made["rotation"][:, 0].tolist() == pytest.approx([math.sqrt(0.5), 0, 0, math.sqrt(0.5)], abs=1e-5)
    assert made["offset"][0, 0].item() == pytest.approx(math.tanh(math.tanh(1)))
    still = activate(torch.zeros(CHANNELS, 1), BOUNDS)["rotation"][:, 0]
    assert still.tolist() == pytest.approx([1, 0, 0, 0], abs=1e-5)


def test_bounds_are_the_mean_and_one_unbiased_deviation() -> None:
    scaling = torch.tensor([[-7.0, -6.0, -5.0], [-6.0, -6.0, -4.0]])
    found, numbers = Bounds.of(scaling), scaling.numpy().ravel()
    assert found.mean == pytest.approx(numbers.mean()) and found.most == pytest.approx(numbers.mean() + numbers.std(ddof=1))
    assert Bounds.of(scaling, 4.0).most == pytest.approx(numbers.mean() + 4 * numbers.std(ddof=1))
    assert activate(torch.full((CHANNELS, 1), 50.0), found)["scaling"].max() <= found.most
    assert Bounds.of(torch.full((4, 3), -6.0)).most > -6.0


def test_raw_numbers_are_found_again() -> None:
    rng = torch.Generator().manual_seed(1)
    raw = torch.randn(CHANNELS, 500, generator=rng) * 0.8
    raw[4:7] = raw[4:7] + BOUNDS.mean - 1
    raw[7:10] *= 0.1  # beyond half a turn, the other way round is shorter
    attributes = {name: value.t() for name, value in activate(raw, BOUNDS).items()}
    back = raw_of(attributes, BOUNDS)
    assert (back.t() - raw).abs().max() < 2e-3
    again = activate(back.t(), BOUNDS)
    for name, value in attributes.items():
        assert torch.allclose(again[name].t(), value, atol=1e-4), name


def test_what_lies_beyond_the_bounds_is_cut_and_stays_finite() -> None:
    wild = {"color": torch.tensor([[9.0, -9.0, 0.0]]), "opacity": torch.tensor([30.0]), "scaling": torch.zeros(1, 3),
            "rotation": torch.tensor([[-1.0, 0.0, 0.0, 0.0]]), "offset": torch.tensor([1.0])}
    raw = raw_of(wild, BOUNDS)
    assert torch.isfinite(raw).all()
    made = activate(raw.t(), BOUNDS)
    assert (made["scaling"] <= BOUNDS.most).all() and made["opacity"].item() == 30
    assert made["color"][:2, 0].abs().tolist() == pytest.approx([0.5 / SH_C0] * 2, rel=2e-3)
    assert made["rotation"][0, 0].item() == pytest.approx(1, abs=1e-5)


# --- A bake -----------------------------------------------------------------------------------------------------------


def test_a_bake_learns(baked: BakeSummary, learned: Path) -> None:
    rows = Log(learned / "bake" / "log.csv").rows()
    assert len(rows) == 7 and float(rows[-1]["loss"]) < 0.9 * float(rows[0]["loss"])
    assert baked.held_out is not None and baked.map_size == 32 and baked.training.steps == 14
    assert 10 < baked.held_out[1] < baked.held_out[0]
    assert dict(baked.rows())["maps"] == "32 x 32"
    assert sorted(p.name for p in (learned / "bake").iterdir()) == [
        "avatar.avatar", "checkpoints", "head.safetensors", "log.csv", "preview.png", "run.json"]


def test_the_bundle_says_what_it_is(avatar: Avatar, learned: Path) -> None:
    about, own = avatar.meta, bundle.read(learned / "avatar.avatar").meta
    assert (about.system, about.name, about.paper, about.license_notices) == (own.system, own.name, own.paper,
                                                                               own.license_notices)
    assert about.system == "fate" and about.name == "data" and about.source == "run, baked" and about.tool
    assert avatar.maps is not None and set(avatar.maps.images) == {*MAPS.values(), "albedo"}
    assert avatar.maps.mask is not None and 0.5 < avatar.maps.mask.mean() <= 1
    assert avatar.sequence is not None and len(avatar.sequence) == len(Run.open(learned).frames("train"))


def test_maps_looked_up_are_the_layers_gaussians(avatar: Avatar) -> None:
    """What textures.json says of them, in plain NumPy."""
    layer, head, maps = avatar.layers[0], avatar.head, avatar.maps
    assert isinstance(layer, SplatLayer) and isinstance(layer.binding, FaceBinding) and maps is not None
    assert head.uvs is not None and head.uv_faces is not None
    face, cloud = layer.binding.face_index, layer.cloud
    uv = np.einsum("nk,nkc->nc", layer.binding.barycentric, head.uvs[head.uv_faces[face]])
    found = {name: sample_bilinear(image.astype(np.float64), uv) for name, image in maps.images.items()}

    np.testing.assert_allclose(cloud.means, found["local_position_uv"], atol=1e-7)
    np.testing.assert_allclose(cloud.opacities, 1 / (1 + np.exp(-found["gs_opacity_uv"][:, 0])), atol=1e-5)
    rgb = np.maximum(0.5 + SH_C0 * found["gs_features_uv"], 0)
    np.testing.assert_allclose(0.5 + SH_C0 * cloud.sh[:, 0], rgb, atol=1e-5)
    turned = found["rot_delta_uv"] / np.linalg.norm(found["rot_delta_uv"], axis=1, keepdims=True)
    own = cloud.quats / np.linalg.norm(cloud.quats, axis=1, keepdims=True)
    assert np.abs(np.sum(turned * own, axis=1)).min() > 1 - 1e-6
    # A layer's scales are shares of its triangle's size; the canonical size is one number per triangle.
    size = np.exp(found["local_scaling_uv"]) / cloud.scales
    order = np.argsort(face, kind="stable")
    same = face[order][1:] == face[order][:-1]
    assert same.sum() > 10
    np.testing.assert_allclose(size[order][1:][same], size[order][:-1][same], rtol=1e-4)
    np.testing.assert_allclose(size, size[:, :1] * np.ones(3), rtol=1e-4)
    assert 1e-4 < np.median(size) < 0.1, "metres"


def test_the_bundles_pictures_are_the_bakes(avatar: Avatar, learned: Path) -> None:
    model, store = Run.open(learned / "bake").load_model()
    assert avatar.sequence is not None
    for index in (0, 7):
        with torch.no_grad():
            drawn = model.render(store.batch(index)).rgb.clamp(0, 1).numpy()
        camera = Camera(avatar.sequence.cameras["K"][index], avatar.sequence.cameras["world_to_camera"][index], SIZE, SIZE)
        shown = render_avatar(avatar, avatar.sequence, index, camera).rgb
        assert psnr(np.clip(shown, 0, 1), drawn) > 50


def test_what_is_kept_makes_the_maps_again(avatar: Avatar, learned: Path) -> None:
    """To the bit, with the model and without: to edit them, or to learn on."""
    bake_run = Run.open(learned / "bake")
    model, _ = bake_run.load_model()
    kept = kept_maps(bake_run)
    assert avatar.maps is not None
    with torch.no_grad():
        made = model.maps()
    for name, image in kept.items():
        assert torch.equal(image, made[name]), name
        if name != "offset":
            assert np.array_equal(image.permute(1, 2, 0).numpy(), avatar.maps.images[MAPS[name]]), name
    limit = np.float32(Run.open(learned).config().offset_limit)
    assert np.array_equal(limit * kept["offset"][0].numpy(), avatar.maps.images["local_position_uv"][..., 1])


def test_what_maps_are_at_first(learned: Path) -> None:
    """The run's own attributes, texel by texel: then the picture is the run's; or what noise makes."""
    source = Run.open(learned)
    store = source.store("train")
    own = trained(source, source.head(), store)[0]
    config = dataclasses.replace(PRESETS["demo"], source=str(learned), steps=10, map_size=48, width=4, size=SIZE)
    scores = []
    for start in ("run", "noise"):
        model = Model(dataclasses.replace(config, start=start), source.head(), store)
        with torch.no_grad():
            scores.append(psnr(model.render(store.batch(3)).rgb.clamp(0, 1).numpy(),
                               own.render(store.batch(3)).rgb.clamp(0, 1).numpy()))
    assert scores[0] > 35 and scores[1] < 25, scores


def test_raster_and_refinement(learned: Path) -> None:
    """As published: a further Gaussian per texel of a fresh layout, and tracking that goes on learning."""
    source = Run.open(learned)
    store = source.store("train")
    plain = trained(source, source.head(), store)[0]
    config = dataclasses.replace(Config(), source=str(learned), steps=6, size=SIZE, map_size=32, width=4, raster_size=16,
                                 albedo_size=32, keep_weight=0.1)
    model: Any = Model(config, source.head(), store)
    assert len(model) == len(plain) + 16 * 16 and len(model.uv) == len(model) and set(model.optimizers()) == {"network", "frames"}
    frozen = {name: value.clone() for name, value in model.source.state_dict().items() if name.startswith(
        ("vertices", "expressions", "correctives"))}
    before = model.source.train_rows.expr.weight.detach().clone()
    for step in range(1, 4):
        batch = store.batch(step)
        for optimizer in model.optimizers().values():
            optimizer.zero_grad(set_to_none=True)
        drawing = model.render(batch)
        terms = model.losses(batch, drawing)
        assert {"rgb", "scale", "rotation", "keep"} <= set(terms)
        torch.stack(tuple(terms.values())).sum().backward()
        for optimizer in model.optimizers().values():
            optimizer.step()
        model.after_step(step, drawing)
    moved = (model.source.train_rows.expr.weight.detach() - before).abs().sum(dim=1) > 0
    assert moved.nonzero()[:, 0].tolist() == [1, 2, 3]
    assert all(torch.equal(model.source.state_dict()[name], value) for name, value in frozen.items())
    left = model.to_avatar()
    layer = left.layers[0]
    assert isinstance(layer, SplatLayer) and len(layer.cloud) == len(model)
    # It comes back: a model of the same settings takes all of it on.
    other = Model(config, source.head(), store)
    other.load_state_dict(model.state_dict())
    assert_bit_for_bit(dict(other.state_dict()), dict(model.state_dict()))


def test_the_rate_falls(learned: Path) -> None:
    source = Run.open(learned)
    config = dataclasses.replace(PRESETS["demo"], source=str(learned), steps=10, map_size=32, width=4, size=SIZE)
    model = Model(config, source.head(), source.store("train"))
    model.after_step(5, None)  # type: ignore[arg-type]
    assert model.optimizers()["network"].param_groups[0]["lr"] == pytest.approx(config.lr * config.lr_final ** 0.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("refine", ["false", "true"])
def test_a_bake_learns_on_a_gpu(run: Path, tmp_path: Path, refine: str) -> None:
    """From a run of the CPU, whose graph would go on drawing the run's own Gaussians, and goes on there."""
    with pytest.raises(Killed):
        bake(run, tmp_path / "out.avatar", device="cuda", overrides=TINY | {"refine": refine, "raster_size": "16"},
             progress=at("step 10/", kill))
    rows = Log(run / "bake" / "log.csv").rows()
    assert float(rows[-1]["loss"]) < 0.95 * float(rows[0]["loss"])
    bake(run, tmp_path / "out.avatar", device="cuda", resume=True)
    model, store = Run.open(run / "bake").load_model("cuda")
    left = bundle.read(tmp_path / "out.avatar")
    assert left.sequence is not None
    with torch.no_grad():
        drawn = model.render(store.batch(3)).rgb.clamp(0, 1).cpu().numpy()
    camera = Camera(left.sequence.cameras["K"][3], left.sequence.cameras["world_to_camera"][3], SIZE, SIZE)
    assert psnr(np.clip(render_avatar(left, left.sequence, 3, camera).rgb, 0, 1), drawn) > 45


# --- Stopping and going on --------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What no handler below catches."""


def at(text: str, act: Callable[[], None]) -> Callable[[str], None]:
    return lambda line: act() if text in line else None


def kill() -> None:
    raise Killed


@pytest.mark.parametrize("line, act", [("step 6/", lambda: os.kill(os.getpid(), signal.SIGTERM)), ("step 10/", kill),
                                       ("step 2/", kill)])
def test_a_stopped_bake_goes_on_bit_for_bit(line: str, act: Callable[[], None], run: Path, learned: Path, tmp_path: Path,
                                            baked: BakeSummary) -> None:
    """After a signal, when killed, and when killed before the first checkpoint."""
    out, said = tmp_path / "out.avatar", []
    with pytest.raises((KeyboardInterrupt, Killed)):
        bake(run, out, overrides=TINY, progress=lambda text: (said.append(text), at(line, act)(text))[1])
    assert not out.exists()
    if "6/" in line:
        assert f"flameport bake {run} --out {out} --resume" in said[-1]
    bake(run, out, resume=True)
    assert_bit_for_bit(newest(run), newest(learned))
    about = Run.open(run / "bake").about
    assert len(about["resumed"]) == 1 and about["finished"]
    # Its source is another folder by name; everything else is the same.
    mine, theirs = bundle.read(out), bundle.read(learned.parent / "out.avatar")
    assert mine.maps is not None and theirs.maps is not None
    assert all(np.array_equal(mine.maps.images[name], image) for name, image in theirs.maps.images.items())


def test_a_finished_bake_is_written_again(done: Path, tmp_path: Path, avatar: Avatar) -> None:
    """Without its data."""
    said: list[str] = []
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*")}
    moved = done.rename(tmp_path / "moved")
    summary = bake(moved, tmp_path / "again.avatar", resume=True, data=tmp_path / "gone", progress=said.append)
    assert any("finished already, at step 14" in text for text in said) and not any("--steps" in text for text in said)
    assert summary.training.steps == 14 and summary.held_out is None
    again = bundle.read(tmp_path / "again.avatar")
    assert again.maps is not None and avatar.maps is not None and again.meta == avatar.meta
    assert np.array_equal(again.maps.images["gs_features_uv"], avatar.maps.images["gs_features_uv"])
    assert {tmp_path / "moved" / p.relative_to(done): t for p, t in before.items()} == {
        p: p.stat().st_mtime_ns for p in moved.rglob("*")}


def test_killed_between_the_last_step_and_the_bundle(done: Path, tmp_path: Path, avatar: Avatar) -> None:
    shutil.rmtree(done / "bake" / "avatar.avatar")
    moved = done.rename(tmp_path / "moved")
    bake(moved, tmp_path / "again.avatar", resume=True)
    again = bundle.read(tmp_path / "again.avatar")
    assert again.maps is not None and avatar.maps is not None
    assert np.array_equal(again.maps.images["gs_features_uv"], avatar.maps.images["gs_features_uv"])


def test_resuming_takes_no_other_settings(done: Path, tmp_path: Path) -> None:
    for words, match in (({"overrides": {"lr": "0.5"}}, "lr is 0.02, asked is 0.5"), ({"steps": 99}, "steps is 14"),
                         ({"preset": "paper"}, "--preset is demo, asked is paper")):
        with pytest.raises(CheckpointMismatch, match=match):
            bake(done, tmp_path / "out.avatar", resume=True, **words)  # type: ignore[arg-type]
    assert not (tmp_path / "out.avatar").exists()


def test_a_run_that_learned_further_cannot_go_on(run: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        bake(run, tmp_path / "out.avatar", overrides=TINY, progress=at("step 10/", kill))
    newest_one = Run.open(run).latest_checkpoint()
    assert newest_one is not None
    held = checkpoint.read(newest_one)
    model, _ = Run.open(run).load_model()
    checkpoint.write(newest_one.parent, held.step + 3, 0.0, model, {})
    with pytest.raises(CheckpointMismatch, match="baked the run at step 24, which is at step 27 now"):
        bake(run, tmp_path / "out.avatar", resume=True)


# --- What is refused --------------------------------------------------------------------------------------------------


def no_checkpoint(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")


def planned(run: Path) -> None:
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"system": "fate"', '"system": "osgap"'))


REFUSED: dict[str, tuple[Callable[[Path], Any], dict[str, Any], type[AvatarError], str]] = {
    "no run": (lambda run: (run / "run.json").unlink(), {}, MissingAsset, "run.json"),
    "no checkpoint": (no_checkpoint, {}, MissingAsset, "there is no checkpoint yet"),
    "data gone": (lambda run: None, {"data": Path("/nowhere/data")}, MissingAsset, "not there; name their folder"),
    "map size": (lambda run: None, {"overrides": {"map_size": "40"}}, FormatError, "multiple of 16"),
    "map size small": (lambda run: None, {"overrides": {"map_size": "16"}}, FormatError, "from 32"),
    "unknown setting": (lambda run: None, {"overrides": {"widht": "4"}}, FormatError, "did you mean width"),
    "no width": (lambda run: None, {"overrides": {"width": "0"}}, FormatError, "width=0"),
    "no rate": (lambda run: None, {"overrides": {"lr": "0"}}, FormatError, "above 0"),
    "tiny raster": (lambda run: None, {"overrides": {"raster_size": "3"}}, FormatError, "raster_size=3"),
    "unknown preset": (lambda run: None, {"preset": "best"}, UnsupportedFeature, "available are paper, demo"),
    "planned system": (planned, {}, UnsupportedFeature, "planned"),
    "nothing to resume": (lambda run: None, {"resume": True}, MissingAsset, "no bake to go on with"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_be_baked(way: str, run: Path, tmp_path: Path) -> None:
    damage, words, error, match = REFUSED[way]
    damage(run)
    with pytest.raises(error, match=match) as raised:
        trainers.bake(run, tmp_path / "out.avatar", **words)
    assert "\n" not in str(raised.value)
    assert not (run / "bake").exists() and sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_a_bake_has_nothing_to_bake(done: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="nothing to bake"):
        trainers.bake(done / "bake", tmp_path / "out.avatar")


def test_places_that_are_not_for_the_bundle(done: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    before = sorted(tmp_path.rglob("*"))
    for out, match in ((tmp_path / "mine", "something else"), (tmp_path / "mine" / "letter.txt", "is a file"),
                       (done, "something else"), (done / "avatar.avatar", "keeps its own"), (done / "bake", "keeps its own"),
                       (done / "bake" / "x.avatar", "keeps its own")):
        with pytest.raises(FormatError, match=match):
            bake(done, out, overrides=TINY)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mistake_leaves_the_bake_before(done: Path, tmp_path: Path) -> None:
    before = newest(done)
    with pytest.raises(FormatError):
        bake(done, tmp_path / "out.avatar", overrides={"map_size": "33"})
    with pytest.raises(MissingAsset):
        bake(done, tmp_path / "out.avatar", data=tmp_path / "gone")
    assert_bit_for_bit(newest(done), before)


def test_a_damaged_checkpoint_is_refused(done: Path) -> None:
    path = Run.open(done / "bake").latest_checkpoint()
    assert path is not None
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="not a whole checkpoint"):
        kept_maps(Run.open(done / "bake"))
    shutil.rmtree(path.parent)
    with pytest.raises(MissingAsset, match="no checkpoint"):
        kept_maps(Run.open(done / "bake"))
