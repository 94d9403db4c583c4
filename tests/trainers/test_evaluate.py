"""Measuring a run: metrics by hand, then a tiny FateAvatar run from training to JSON, CSV and contact sheet.

This module is also its data set: `read` is what the table `DATASETS` is pointed at.
"""

import csv
import dataclasses
import functools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

from formats import datasets  # noqa: E402
from formats.avatar import Avatar, MeshLayer, SkinBinding  # noqa: E402
from formats.codecs import head_file, read_avatar  # noqa: E402
from formats.datasets.frames import Frames  # noqa: E402
from formats.deform import vertex_normals  # noqa: E402
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature  # noqa: E402
from formats.picture import psnr  # noqa: E402
from formats.render import render_avatar  # noqa: E402
from formats.sequence import Sequence  # noqa: E402
from tests.builders import tiny_camera, tiny_head, tiny_sequence  # noqa: E402
from trainers import loop, metrics  # noqa: E402
from trainers.baseline import textured_mesh  # noqa: E402
from trainers.evaluate import evaluate  # noqa: E402
from trainers.scores import Evaluation, FrameScores  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, TRAIN, TEST = 48, 6, 4
KINDS = ("expression", "expression", "angle", "angle")
SMALL = {"steps": "6", "save_every": "3", "log_every": "3", "size": "0", "tex_size": "20", "color_size": "48"}


# --- A person and their video -----------------------------------------------------------------------------------------


@functools.cache
def person() -> Avatar:
    """A ball with a smooth texture, shaped as someone."""
    head = tiny_head(identity=True).personalise(clip("train").shape)
    v, u = (np.mgrid[:64, :64] + 0.5) / 64
    rgb = np.stack([0.3 + 0.5 * u, 0.5 + 0.3 * np.sin(9 * v), 0.4 + 0.3 * np.cos(7 * u)], axis=2)
    rgba = np.concatenate([rgb, np.ones((64, 64, 1))], axis=2).astype(np.float32)
    assert head.uvs is not None and head.uv_faces is not None
    layer = MeshLayer(head.v_template, vertex_normals(head.v_template, head.faces), head.faces, head.uvs, head.uv_faces,
                      SkinBinding(vertex_index=np.arange(len(head.v_template), dtype=np.int32)), texture=rgba)
    return Avatar(head, (layer,))


@functools.cache
def clip(split: str) -> Sequence:
    """What happens in a split, small motions before a camera that goes around."""
    count = TRAIN if split == "train" else TEST
    sequence = tiny_sequence(tiny_head(identity=True), TRAIN + TEST, drivers=False)
    sequence = sequence.take(np.arange(TRAIN + TEST)[:TRAIN] if split == "train" else np.arange(TRAIN, TRAIN + TEST))
    views = [tiny_camera((2 * i / (count - 1) - 1) * (0.8 if split == "train" else 0.5), SIZE, 0.6) for i in range(count)]
    return dataclasses.replace(
        sequence, expr=0.3 * sequence.expr, ranges={}, shape=np.array([0.5, -0.3, 0.2], np.float32), cameras={
            "K": np.stack([c.K for c in views]), "world_to_camera": np.stack([c.world_to_camera for c in views]),
            "size": np.array([[c.width, c.height] for c in views])})


def read(root: Path, split: str, edition: str | None) -> Frames:
    """The data set reader `ball`."""
    images = tuple(sorted((root / split).glob("*.png")))
    return Frames("ball", split, clip(split).take(np.arange(len(images))), images)


def write_video(root: Path) -> Path:
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        sequence = clip(split)
        paths = tuple(root / split / f"{i:03d}.png" for i in range(len(sequence)))
        frames = Frames("ball", split, sequence, paths)
        for i, path in enumerate(paths):
            picture = render_avatar(person(), sequence, i, frames.camera(i))
            rgba = np.concatenate([picture.rgb, picture.alpha[..., None]], axis=2)
            Image.fromarray((rgba * 255 + 0.5).astype(np.uint8)).save(path)
    head_file.write(tiny_head(identity=True), root / "head.safetensors")
    (root / "capture.json").write_text(json.dumps({"edition": "standin", "held_out": list(KINDS)}))
    return root


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "ball", "tests.trainers.test_evaluate")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data` and a finished `run`."""
    root = tmp_path_factory.mktemp("ball")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "ball", "tests.trainers.test_evaluate")
        loop.train("fate", write_video(root / "data"), "ball", root / "run", preset="demo", device="cpu", overrides=SMALL)
    return root


def copy(trained: Path, out: Path) -> Path:
    """Return a copy of the run, as it was before anybody judged it."""
    return shutil.copytree(trained / "run", out, ignore=shutil.ignore_patterns("eval"))


@pytest.fixture(scope="module")
def found(trained: Path) -> Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "ball", "tests.trainers.test_evaluate")
        return evaluate(trained / "run", device="cpu")


# --- Metrics ----------------------------------------------------------------------------------------------------------


def test_masked_psnr_is_that_of_the_pixels_inside() -> None:
    target = torch.zeros(4, 6, 3)
    image, mask = target.clone(), torch.zeros(4, 6)
    mask[:2], mask[3] = 1.0, 0.4
    image[0, 0] = torch.tensor([0.1, 0.2, 0.3])  # inside: 12 pixels, 36 numbers
    image[3] = 0.9  # outside
    assert metrics.masked_psnr(image, target, mask) == pytest.approx(-10 * np.log10((0.01 + 0.04 + 0.09) / 36), abs=1e-4)
    assert metrics.psnr(image, target) == pytest.approx(-10 * np.log10((0.14 + 18 * 0.81) / 72), abs=1e-4)
    assert metrics.l1(image, target) == pytest.approx((0.6 + 18 * 0.9) / 72, abs=1e-6)
    assert metrics.masked_psnr(image, target, 0 * mask) is None
    assert metrics.psnr(target, target) == metrics.masked_psnr(target, target, mask) == metrics.MOST
    assert metrics.ssim(image, image) == pytest.approx(1) and metrics.ssim(image, target) < 0.9


def test_torch_psnr_is_numpys() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.uniform(size=(2, 9, 7, 3)).astype(np.float32)
    assert metrics.psnr(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(psnr(a, b), abs=1e-5)


# --- A run ------------------------------------------------------------------------------------------------------------


def test_numbers_are_those_of_the_avatars_pictures(trained: Path, found: Evaluation) -> None:
    """The bundle, drawn by the definition of a picture, gives the same PSNR as the model in the evaluation."""
    avatar, frames = read_avatar(trained / "run" / "avatar.avatar"), read(trained / "data", "test", None)
    for i in (0, 3):
        rgba = frames.picture(i).astype(np.float64) / 255
        target = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
        drawn = render_avatar(avatar, frames.sequence, i, frames.camera(i)).rgb
        assert found.frames[i].scores["model"]["psnr"] == pytest.approx(psnr(drawn, target), abs=0.05)


def test_the_textured_mesh_is_the_person_where_the_person_is_one(trained: Path, found: Evaluation) -> None:
    mean = found.mean("baseline", "psnr_masked")
    assert mean is not None and mean > 22
    avatar = textured_mesh(tiny_head(identity=True), read(trained / "data", "train", None), size=64, views=3)
    (layer,) = avatar.layers
    assert isinstance(layer, MeshLayer) and layer.binding.vertex_index is not None and layer.texture is not None
    assert layer.texture.shape == (64, 64, 4) and avatar.head.shapedirs is None


def test_files_say_what_was_measured(trained: Path, found: Evaluation) -> None:
    folder = trained / "run" / "eval"
    held = json.loads((folder / "test.json").read_text())
    assert held == json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert held["format"] == "flameport.evaluation/1" and held["background"] == "white" and held["clipped"] is True
    assert (held["split"], held["frames"], held["size"]) == ("test", TEST, [60, SIZE])
    assert (held["step"], held["steps"]) == (6, 6) and held["gaussians"] > 50 and held["system"] == "fate"
    assert 0 < held["wobble_mm"] < held["jitter_mm"] < 100 and "jitter" in dict(found.rows())
    assert held["test_time_refitting"] == {"used": False, "steps_per_frame": 0, "applies_to": []}
    assert held["lpips"].startswith("not measured: give weights")
    assert set(held["means"]) == {"model", "baseline"}
    assert set(held["means"]["model"]) == {"psnr", "psnr_masked", "ssim", "l1"}
    frames = held["per_frame"]
    assert [f["label"] for f in frames] == ["000", "001", "002", "003"] and [f["kind"] for f in frames] == list(KINDS)
    assert held["means"]["model"]["psnr"] == pytest.approx(np.mean([f["model"]["psnr"] for f in frames]))
    assert held["kinds"]["angle"]["frames"] == 2
    assert held["kinds"]["angle"]["model"]["psnr"] == pytest.approx(np.mean([f["model"]["psnr"] for f in frames[2:]]))
    with open(folder / "test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == list(KINDS) and len(rows) == TEST
    assert float(rows[1]["baseline_psnr"]) == pytest.approx(frames[1]["baseline"]["psnr"], rel=1e-5)
    with Image.open(folder / "test.png") as sheet:
        assert sheet.width > 4 * 256 and sheet.height > TEST * 200  # target, model, difference, mesh
    table = dict(found.rows())
    assert "textured mesh alone" in table["PSNR"] and "no test-time refitting" in table["FLAME parameters"]
    assert "PSNR, angle (2)" in table and "not measured" in table["LPIPS"]


def test_refitting_is_told_apart(trained: Path, found: Evaluation, tmp_path: Path) -> None:
    run = copy(trained, tmp_path / "run")
    lines: list[str] = []
    fitted = evaluate(run, refit=4, baseline=False, device="cpu", progress=lines.append)
    for measure in ("psnr", "l1"):
        assert fitted.mean("model", measure) == pytest.approx(found.mean("model", measure), rel=1e-5)
    better, plain = fitted.mean("refitted", "l1"), fitted.mean("model", "l1")
    assert better is not None and plain is not None and better < plain
    held = json.loads((run / "eval" / "test.json").read_text())
    assert held["test_time_refitting"] == {"used": True, "steps_per_frame": 4, "applies_to": ["refitted"]}
    assert set(held["means"]) == {"model", "refitted"}
    assert "fitted to each picture for 4 steps" in dict(fitted.rows())["FLAME parameters"]
    assert any("held-out" in line for line in lines)
    assert b"refitted_psnr" in (run / "eval" / "test.csv").read_bytes()


def test_an_interrupted_run_is_judged_by_its_checkpoint(trained: Path, found: Evaluation, tmp_path: Path) -> None:
    run = copy(trained, tmp_path / "run")
    shutil.rmtree(run / "avatar.avatar")
    about = json.loads((run / "run.json").read_text())
    about["finished"], about["config"]["steps"] = None, 100
    (run / "run.json").write_text(json.dumps(about))
    judged = evaluate(run, baseline=False, device="cpu")
    assert judged.mean("model", "psnr") == pytest.approx(found.mean("model", "psnr"), rel=1e-5)
    assert (judged.step, judged.steps) == (6, 100) and "which it has not reached" in dict(judged.rows())["model"]


def test_training_pictures_and_lpips(trained: Path, tmp_path: Path) -> None:
    from tests.trainers.test_perceptual import ALEX_SHAPES, linear, state

    torch.save(state(ALEX_SHAPES), tmp_path / "alexnet.pth")
    torch.save(linear((64, 192, 384, 256, 256)), tmp_path / "alex.pth")
    run = copy(trained, tmp_path / "run")
    moved = shutil.copytree(trained / "data", tmp_path / "moved")
    judged = evaluate(run, "train", baseline=False, lpips=(tmp_path / "alexnet.pth", tmp_path / "alex.pth"), data=moved,
                      device="cpu")
    held = json.loads((run / "eval" / "train.json").read_text())
    assert held["lpips"] == "AlexNet" and held["means"]["model"]["lpips"] > 0 and held["frames"] == TRAIN
    assert held["kinds"] == {} and held["per_frame"][0]["kind"] is None
    assert "corrections that training learned" in dict(judged.rows())["FLAME parameters"]
    assert "LPIPS" in dict(judged.rows()) and not (run / "eval" / "test.json").exists()


def test_what_cannot_be_measured_is_said_in_one_line(trained: Path, tmp_path: Path) -> None:
    run = trained / "run"
    (tmp_path / "wrong.pth").write_text("no weights")
    early = copy(trained, tmp_path / "early")
    shutil.rmtree(early / "checkpoints")
    (early / "checkpoints").mkdir()
    gone = copy(trained, tmp_path / "gone")
    about = json.loads((gone / "run.json").read_text())
    (gone / "run.json").write_text(json.dumps({**about, "data": str(tmp_path / "nowhere")}))
    fewer = shutil.copytree(trained / "data", tmp_path / "fewer")
    (fewer / "test" / "003.png").unlink()

    def told(kind: type[AvatarError], part: str, path: Path, *split: str, **options: Any) -> None:
        with pytest.raises(kind, match=part) as caught:
            evaluate(path, *split, **{"device": "cpu"} | options)
        assert "\n" not in str(caught.value)

    told(MissingAsset, "holds no run.json", tmp_path)
    told(MissingAsset, "there is no checkpoint yet", early)
    told(MissingAsset, "nowhere: the data of .* are not there; name their folder with --data", gone)
    told(MissingAsset, "elsewhere", run, data=tmp_path / "elsewhere")
    told(UnsupportedFeature, "--split val: there is no such split; runs have train and test", run, "val")
    told(UnsupportedFeature, "--refit 5: is for held-out pictures", run, "train", refit=5)
    told(FormatError, "--refit -1", run, refit=-1)
    told(FormatError, "wrong.pth: neither", run, lpips=(tmp_path / "wrong.pth", tmp_path / "wrong.pth"))
    told(MissingAsset, "no such file", run, lpips=(tmp_path / "vgg16.pth", tmp_path / "vgg.pth"))
    told(FormatError, "expected cuda or cpu", run, device="tpu")
    told(CheckpointMismatch, "has 3 test frames, the run .* was trained with 4", run, data=fewer)
    assert not (gone / "eval").exists()


def test_a_frame_without_a_person_has_no_masked_number() -> None:
    frames = tuple(FrameScores(i, str(i), None, {"model": {"psnr": 30.0 + i, "psnr_masked": value, "ssim": 0.9, "l1": 0.01}})
                   for i, value in enumerate((20.0, None, 24.0)))
    found = Evaluation("run", "fate", "demo", "ball", "test", (8, 8), 1, 1, 5, 0, None, "cpu", frames)
    assert found.mean("model", "psnr_masked") == 22.0 and found.mean("model", "psnr") == 31.0
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["per_frame"][1]["model"]["psnr_masked"] is None
    assert found.csv().decode().splitlines()[2] == "1,1,,31,,0.9,0.01"


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # gsplat builds itself on first use
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_measures_what_a_cpu_does(trained: Path, found: Evaluation, tmp_path: Path) -> None:
    from tests.trainers.test_perceptual import ALEX_SHAPES, linear, state

    pytest.importorskip("gsplat")
    torch.save(state(ALEX_SHAPES), tmp_path / "alexnet.pth")
    torch.save(linear((64, 192, 384, 256, 256)), tmp_path / "alex.pth")
    judged = evaluate(copy(trained, tmp_path / "run"), refit=2, device="cuda",
                      lpips=(tmp_path / "alexnet.pth", tmp_path / "alex.pth"))
    for subject in ("model", "baseline"):
        for frame, other in zip(judged.frames, found.frames, strict=True):
            assert frame.scores[subject]["psnr"] == pytest.approx(other.scores[subject]["psnr"], abs=0.05)
            assert frame.scores[subject]["ssim"] == pytest.approx(other.scores[subject]["ssim"], abs=2e-3)
    better, plain = judged.mean("refitted", "l1"), judged.mean("model", "l1")
    assert better is not None and plain is not None and better < plain and judged.device != "cpu"
