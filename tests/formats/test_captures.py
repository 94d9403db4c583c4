"""What `flameport capture` writes, file by file, against the layouts' own formulas written out here.

The film is made by hand: the stand-in head with someone's shape, flat pictures that say which frame they are, a lens and
pictures whose two directions differ, and cameras nobody could mistake for another. One slow test films the real scene.
"""

import dataclasses
import functools
import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from formats.captures import LAYOUTS, capture, imavatar, insta
from formats.captures.shooting import shoot
from formats.captures.shots import LABELS, Film, Shot, Take
from formats.codecs import head_file
from formats.datasets import read
from formats.datasets.reprojection import reprojection
from formats.deform import deform_head
from formats.errors import MissingAsset, UnsupportedFeature
from formats.head_model import HeadModel
from formats.rotations import axis_angle_to_matrix
from formats.sequence import Sequence
from formats.standin.head import standin_head

TRAIN, TEST, WIDTH, HEIGHT = 3, 22, 64, 48
K = np.array([[130.0, 0, 35], [0, 125, 22], [0, 0, 1]])
WRITERS = {"imavatar": imavatar.write, "insta": insta.write}
SIZES = {"imavatar": (50, 100), "insta": (100, 300)}
ROTATION_ROUNDING = 2e-8
"""Eight decimals."""

Tree = dict[str, bytes]


def cameras(layout: str, count: int) -> np.ndarray:
    """Return world to OpenCV camera, in front of the face; the last frames of either film look from aside."""
    matrices = np.tile(np.eye(4), (count, 1, 1))
    for i, matrix in enumerate(matrices):
        aside = i >= count - 3 or layout == "insta"
        turn = np.array([0.1 * np.cos(i), 0.3 * np.sin(0.4 * i) + 0.1, 0.05]) * aside
        matrix[:3, :3] = np.diag([1.0, -1, -1]) @ axis_angle_to_matrix(turn)
        matrix[:3, 3] = 0.01 * np.sin(i), 0.02, 0.9 + 0.01 * i
    return matrices


@functools.cache
def film(layout: str) -> Film:
    """Return a film in which everything moves that the layout can carry."""
    head, rng, count = standin_head("open-mouth"), np.random.default_rng(3), TRAIN + TEST
    expressions, identity = SIZES[layout]

    def moves(width: int, size: float) -> np.ndarray:
        return size * rng.uniform(-1, 1, (count, width))

    turns: dict[str, Any] = {"eyelids": moves(2, 0.5)}
    if layout == "imavatar":
        turns = {"rotation": moves(3, 0.3), "neck": moves(3, 0.2)}
    motion = Sequence(
        "standin", 25.0, moves(expressions, 0.4), jaw=moves(3, 0.2), eyes=moves(6, 0.3), shape=rng.normal(0, 1, identity),
        cameras={"K": np.tile(K, (count, 1, 1)), "world_to_camera": cameras(layout, count),
                 "size": np.tile([WIDTH, HEIGHT], (count, 1))}, **turns)
    person = head.personalise(motion.shape)
    takes = []
    for split, first, end in (("train", 0, TRAIN), ("test", TRAIN, count)):
        found = motion.take(np.arange(first, end))
        labels = tuple(f"label {i}" for i in range(first, end))
        takes.append(Take(split, found, labels, functools.partial(_shot, person, found, first)))
    return Film("someone", 5, head, tuple(takes), 25.0)


def _shot(person: HeadModel, found: Sequence, first: int, index: int) -> Shot:
    rng = np.random.default_rng(first + index)
    labels = rng.integers(0, len(LABELS), (HEIGHT, WIDTH)).astype(np.uint8)
    if first + index == 1:
        labels[labels == LABELS.index("right_eye")] = 0

    def noise(*channels: int) -> np.ndarray:
        return rng.integers(0, 256, (HEIGHT, WIDTH, *channels)).astype(np.uint8)

    depth = np.where(rng.random((HEIGHT, WIDTH)) < 0.5, 0, rng.uniform(0.5, 2, (HEIGHT, WIDTH))).astype(np.float32)
    return Shot(noise(3), noise(), noise(4), labels, depth,
                deform_head(person, found.take([index])).vertices.astype(np.float32),
                rng.uniform(0, WIDTH, (68, 2)).astype(np.float32), rng.uniform(0, WIDTH, (2, 2)).astype(np.float32))


def shots(layout: str) -> list[tuple[Take, int, Shot]]:
    """Return every moment of the film."""
    return [(take, i, take.shoot(i)) for take in film(layout).takes for i in range(len(take.sequence))]


def silent(text: str) -> None:
    """Take no note of progress."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both layouts, written once."""
    root = tmp_path_factory.mktemp("captures")
    for layout, write in WRITERS.items():
        write(film(layout), root / layout / "anna", silent)
    return {layout: root / layout / "anna" for layout in WRITERS}


@pytest.fixture(autouse=True)
def tidy(tmp_path: Path) -> Iterator[None]:
    """Remove what a test wrote: a head file is 25 MB, and pytest keeps three runs."""
    yield
    shutil.rmtree(tmp_path)


def tree(root: Path) -> Tree:
    """Return every file's bytes by its path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def picture(path: Path, mode: str) -> np.ndarray:
    """Return a picture's numbers after checking how it is stored."""
    with Image.open(path) as image:
        assert (image.mode, image.size) == (mode, (WIDTH, HEIGHT)), path
        return np.asarray(image)


def seen(vertices: np.ndarray, take: Take, index: int) -> np.ndarray:
    """Return world points in pixels, as the film's own OpenCV camera sees them."""
    matrix = take.sequence.cameras["world_to_camera"][index].astype(np.float64)
    view = vertices @ matrix[:3, :3].T + matrix[:3, 3]
    assert (view[:, 2] > 0).all()
    return view[:, :2] / view[:, 2:] * [K[0, 0], K[1, 1]] + K[:2, 2]


# --- Both -------------------------------------------------------------------------------------------------------------


def names_imavatar() -> set[str]:
    """Return the files of a capture as the sheet lists them."""
    names = set()
    for split, count in (("train", TRAIN), ("test", TEST)):
        video = f"anna_{split}"
        names |= {f"{video}/{name}.json" for name in ("flame_params", "keypoint", "iris", "code")}
        for i in range(1, count + 1):
            names |= {f"{video}/{name}/{i}.png" for name in ("image", "mask", "matted", "semantic", "semantic_color")}
            names |= {f"{video}/parsing/{i}_{name}.png" for name in ("mouth", "neckhead")}
    return names


def names_insta() -> set[str]:
    """Return the files of a capture as the sheet lists them."""
    names = {"canonical.obj", *(f"transforms{name}.json" for name in ("", "_train", "_test", "_val"))}
    for i in range(TRAIN + TEST):
        names |= {f"{name}/{i:05d}.png" for name in ("images", "matted", "seg_mask", "depth")}
        names |= {f"flame/{name}/{i:05d}.txt" for name in ("exp", "shape", "eyes", "jaw", "eyelids")}
        names |= {f"parsing/{i:05d}_{name}.png" for name in ("mouth", "neckhead")}
        names |= {f"alpha/{i:05d}.jpg", f"imgs/{i:05d}.jpg", f"meshes/{i:05d}.obj"}
    return names


@pytest.mark.parametrize(("layout", "names"), [("imavatar", names_imavatar()), ("insta", names_insta())])
def test_every_file_of_the_layout_is_there_and_no_other(written: dict[str, Path], layout: str, names: set[str]) -> None:
    assert set(tree(written[layout])) == names | {"capture.json", "head.safetensors"}


@pytest.mark.parametrize("layout", WRITERS)
def test_the_tag_says_what_readers_must_not_guess(written: dict[str, Path], layout: str) -> None:
    head = head_file.read(written[layout] / "head.safetensors")
    assert json.loads((written[layout] / "capture.json").read_text()) == {
        "written_by": "flameport", "layout": layout, "edition": "standin", "head": film(layout).head.content_hash,
        "subject": "someone", "seed": 5, "fps": 25.0, "frames": {"train": TRAIN, "test": TEST},
        "held_out": [f"label {i}" for i in range(TRAIN, TRAIN + TEST)]}
    assert head.content_hash == film(layout).head.content_hash
    assert head.shapedirs is not None and np.array_equal(head.v_template, film(layout).head.v_template)


@pytest.mark.parametrize("layout", WRITERS)
def test_the_same_film_gives_the_same_bytes(written: dict[str, Path], tmp_path: Path, layout: str) -> None:
    told: list[str] = []
    WRITERS[layout](film(layout), tmp_path / "anna", told.append)
    assert tree(tmp_path / "anna") == tree(written[layout])
    assert len(told) == 10 and told[-1] == "filmed 25 of 25 frames"


def broken_shot(take: Take, error: BaseException) -> Take:
    """Return a take whose third moment cannot be drawn."""

    def fail(index: int) -> Shot:
        if index == 2:
            raise error
        return take.shoot(index)

    return dataclasses.replace(take, shoot=fail)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("where", ["shoot", "progress"])
def test_an_interrupted_capture_leaves_the_previous_folder(tmp_path: Path, layout: str, where: str) -> None:
    out, made, told = tmp_path / "anna", film(layout), []
    out.mkdir()
    (out / "precious.txt").write_text("kept")

    def stop(text: str) -> None:
        told.append(text)
        if where == "progress" and len(told) == 2:
            raise KeyboardInterrupt

    takes = tuple(broken_shot(take, RuntimeError("no light")) for take in made.takes) if where == "shoot" else made.takes
    with pytest.raises(RuntimeError if where == "shoot" else KeyboardInterrupt):
        WRITERS[layout](dataclasses.replace(made, takes=takes), out, stop)
    assert [path.name for path in tmp_path.iterdir()] == ["anna"]
    assert tree(out) == {"precious.txt": b"kept"}
    WRITERS[layout](made, out, silent)
    assert not (out / "precious.txt").exists() and (out / "capture.json").exists()


def test_a_failure_does_not_wait_for_the_rest_of_the_film() -> None:
    made, drawn = film("insta"), []
    long = dataclasses.replace(made.takes[0], sequence=made.takes[0].sequence.take([0] * 1000))

    def keep(take: Take, index: int, shot: Shot) -> None:
        drawn.append(index)
        time.sleep(0.002)
        if index == 0:
            raise RuntimeError("no room")

    first = long.shoot(0)
    with pytest.raises(RuntimeError, match="no room"):
        shoot(dataclasses.replace(made, takes=(dataclasses.replace(long, shoot=lambda _: first),)), keep, silent)
    assert len(drawn) < 1000


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MissingAsset, match="file"):
        insta.write(film("insta"), tmp_path / "file" / "anna", silent)


def changed(made: Film, fields: dict[str, np.ndarray]) -> Film:
    """Return a film whose takes' motion has other fields."""
    return dataclasses.replace(made, takes=tuple(dataclasses.replace(take, sequence=dataclasses.replace(
        take.sequence, **{name: value[:len(take.sequence)] for name, value in fields.items()})) for take in made.takes))


@pytest.mark.parametrize(("layout", "fields", "text"), [
    ("imavatar", {"eyelids": np.full((TEST, 2), 0.1)}, "eyelids"),
    ("imavatar", {"translation": np.full((TEST, 3), 0.1)}, "translation"),
    ("imavatar", {"expr": np.ones((TEST, 51))}, "51 expression numbers, the layout stores 50"),
    ("insta", {"rotation": np.full((TEST, 3), 0.1)}, "rotation"),
    ("insta", {"neck": np.full((TEST, 3), 0.1)}, "neck"),
])
def test_nothing_is_lost_silently(tmp_path: Path, layout: str, fields: dict[str, np.ndarray], text: str) -> None:
    with pytest.raises(UnsupportedFeature, match=text):
        WRITERS[layout](changed(film(layout), fields), tmp_path / "anna", silent)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", WRITERS)
def test_a_lens_that_zooms_is_refused(tmp_path: Path, layout: str) -> None:
    made = film(layout)
    lens = {**made.takes[1].sequence.cameras, "K": np.tile(K * [[1.1], [1], [1]], (TEST, 1, 1))}
    test = dataclasses.replace(made.takes[1], sequence=dataclasses.replace(made.takes[1].sequence, cameras=lens))
    with pytest.raises(UnsupportedFeature, match="lens"):
        WRITERS[layout](dataclasses.replace(made, takes=(made.takes[0], test)), tmp_path / "anna", silent)


@pytest.mark.parametrize("layout", WRITERS)
def test_fewer_coefficients_are_padded(tmp_path: Path, layout: str) -> None:
    made = film(layout)
    short = tuple(dataclasses.replace(take, sequence=dataclasses.replace(
        take.sequence, expr=take.sequence.expr[:, :20], shape=None)) for take in made.takes)
    WRITERS[layout](dataclasses.replace(made, takes=short), tmp_path / "anna", silent)
    found = read(layout, tmp_path / "anna", "train").sequence
    assert found.expr.shape[1] == SIZES[layout][0] and not found.expr[:, 20:].any()
    assert found.shape is not None and found.shape.shape == (SIZES[layout][1],) and not found.shape.any()


def test_a_layout_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    name = "flashavatar"
    with pytest.raises(UnsupportedFeature, match="unknown") as error:
        capture(tmp_path / "out", name)
    assert name in str(error.value) and all(layout in str(error.value) for layout in LAYOUTS)
    assert not (tmp_path / "out").exists()


# --- IMavatar ---------------------------------------------------------------------------------------------------------


def videos(root: Path) -> dict[str, Path]:
    """Return the two videos."""
    return {split: root / f"anna_{split}" for split in ("train", "test")}


def test_imavatar_pictures(written: dict[str, Path]) -> None:
    ids = dict(zip(LABELS, (0, 1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 16, 17), strict=True))
    for take, i, shot in shots("imavatar"):
        video = videos(written["imavatar"])[take.split]
        assert np.array_equal(picture(video / f"image/{i + 1}.png", "RGB"), shot.rgb)
        assert np.array_equal(picture(video / f"mask/{i + 1}.png", "L"), shot.matte)
        assert np.array_equal(picture(video / f"matted/{i + 1}.png", "RGBA"), shot.head_rgba)
        semantic = picture(video / f"semantic/{i + 1}.png", "L")
        for number, name in enumerate(LABELS):
            assert (semantic[shot.labels == number] == ids[name]).all(), name
        color = picture(video / f"semantic_color/{i + 1}.png", "RGB").reshape(-1, 3)
        assert len(np.unique(color, axis=0)) == len(np.unique(semantic))
        assert np.array_equal(picture(video / f"parsing/{i + 1}_mouth.png", "L") == 255, np.isin(semantic, [11, 12, 13]))
        assert np.array_equal(picture(video / f"parsing/{i + 1}_neckhead.png", "L") == 255,
                              (semantic >= 1) & (semantic <= 17) & (semantic != 16))


def test_imavatar_motion_lands_where_the_film_saw_the_head(written: dict[str, Path]) -> None:
    head = film("imavatar").head
    for take in film("imavatar").takes:
        file = json.loads((videos(written["imavatar"])[take.split] / "flame_params.json").read_text())
        assert set(file) == {"frames", "intrinsics", "shape_params"}
        assert len(file["frames"]) == len(take.sequence) and len(file["shape_params"]) == 100
        fx, fy, cx, cy = file["intrinsics"]
        assert fx < 0 < fy and 0 < cx < 1 and 0 < cy < 1
        person = head.personalise(np.array(file["shape_params"]))
        corners = head.faces[head.landmarks["static_lmk_faces_idx"]]
        weights = head.landmarks["static_lmk_bary_coords"]
        for i, frame in enumerate(file["frames"]):
            assert set(frame) == {"file_path", "world_mat", "expression", "pose", "bbox", "flame_keypoints"}
            assert frame["file_path"] == f"./image/{i + 1}"
            pose, expr = np.array(frame["pose"]), np.array(frame["expression"])
            assert pose.shape == (15,) and expr.shape == (50,)
            posed = deform_head(person, Sequence(
                "standin", 25.0, expr[None], rotation=pose[None, :3], neck=pose[None, 3:6], jaw=pose[None, 6:9],
                eyes=pose[None, 9:]))
            # Their FLAME is four times life size; OpenGL's camera looks along -z, and fx is negative for it.
            world = np.array(frame["world_mat"])
            x, y, z = (4 * posed.vertices @ world[:, :3].T + world[:, 3]).T
            assert world.shape == (3, 4) and (z < 0).all()
            on_picture = np.stack([(fx * x / z + cx) * WIDTH, (fy * y / z + cy) * HEIGHT], axis=1)
            assert np.abs(on_picture - seen(posed.vertices, take, i)).max() < 1e-3
            assert np.abs(posed.vertices - take.shoot(i).vertices).max() < 1e-6
            points = np.array(frame["flame_keypoints"])
            assert points.shape == (68, 2)
            expected = seen((weights[:, :, None] * posed.vertices[corners]).sum(axis=1), take, i)
            assert np.abs((points[17:] + 1) / 2 * [WIDTH, HEIGHT] - expected).max() < 1e-3
            assert np.allclose(frame["bbox"], [*points.min(axis=0), *points.max(axis=0)], atol=0)


def test_imavatar_front_camera_turns_nothing(written: dict[str, Path]) -> None:
    frames = json.loads((videos(written["imavatar"])["train"] / "flame_params.json").read_text())["frames"]
    for i, frame in enumerate(frames):
        # Metres times four; in OpenGL's axes what is in front has a negative z.
        expected = np.column_stack([np.eye(3), [4 * 0.01 * np.sin(i), -4 * 0.02, -4 * (0.9 + 0.01 * i)]])
        assert np.allclose(frame["world_mat"], expected, atol=1e-6)


def test_imavatar_detections(written: dict[str, Path]) -> None:
    for take, i, shot in shots("imavatar"):
        video = videos(written["imavatar"])[take.split]
        points, irises, codes = (json.loads((video / f"{name}.json").read_text()) for name in ("keypoint", "iris", "code"))
        assert list(points) == list(irises) == [f"{k + 1}.png" for k in range(len(take.sequence))]
        assert list(codes) == [str(k + 1) for k in range(len(take.sequence))]
        assert np.array_equal(points[f"{i + 1}.png"], shot.landmarks)
        if take.split == "train" and i == 1:
            assert irises["2.png"] is None  # an eye is shut
        else:
            assert np.array_equal(irises[f"{i + 1}.png"], [*shot.irises[0], *shot.irises[1]])
        code = {name: np.array(value) for name, value in codes[str(i + 1)].items()}
        assert {name: value.shape for name, value in code.items()} == {"shape": (1, 100), "exp": (1, 50), "pose": (1, 6)}
        s = take.sequence
        assert np.array_equal(code["exp"][0], s.expr[i]) and code["shape"][0].tolist() == s.shape.tolist()  # type: ignore[union-attr]
        whole = axis_angle_to_matrix(s.rotation[i]) @ axis_angle_to_matrix(s.neck[i])
        assert np.allclose(axis_angle_to_matrix(code["pose"][0, :3]), whole, atol=1e-6)
        assert np.array_equal(code["pose"][0, 3:], s.jaw[i])


# --- INSTA ------------------------------------------------------------------------------------------------------------


def test_insta_pictures(written: dict[str, Path]) -> None:
    red = dict(zip(LABELS, (0, 250, 240, 230, 210, 200, 180, 170, 150, 140, 130, 120, 110, 90, 80), strict=True))
    root = written["insta"]
    for number, (_, _, shot) in enumerate(shots("insta")):
        stem = f"{number:05d}"
        assert np.array_equal(picture(root / f"images/{stem}.png", "RGBA"), shot.head_rgba)
        matted = picture(root / f"matted/{stem}.png", "RGBA")
        assert np.array_equal(matted[..., :3], shot.rgb) and np.array_equal(matted[..., 3], shot.matte)
        codes = picture(root / f"seg_mask/{stem}.png", "RGB")
        assert not codes[..., 1:].any()
        for label, name in enumerate(LABELS):
            assert (codes[..., 0][shot.labels == label] == red[name]).all(), name
        depth = picture(root / f"depth/{stem}.png", "I;16")
        assert depth.dtype == np.uint16 and np.array_equal(depth == 0, shot.depth == 0)
        assert np.abs(depth * 0.001 - shot.depth).max() <= 0.0005 + 1e-6
        mouth = np.isin(codes[..., 0], [140, 130, 120])
        assert np.array_equal(picture(root / f"parsing/{stem}_mouth.png", "L"), np.where(mouth, 255, 0))
        assert np.array_equal(picture(root / f"parsing/{stem}_neckhead.png", "L") == 255, ~np.isin(codes[..., 0], [0, 90]))
        assert np.abs(picture(root / f"imgs/{stem}.jpg", "RGB").astype(int) - shot.rgb).mean() < 8
        assert np.abs(picture(root / f"alpha/{stem}.jpg", "L").astype(int) - shot.matte).mean() < 8


def test_insta_transforms(written: dict[str, Path]) -> None:
    root = written["insta"]
    files = {name: json.loads((root / f"transforms{name}.json").read_text()) for name in ("", "_train", "_test", "_val")}
    wanted = {"w": WIDTH, "h": HEIGHT, "cx": 35, "cy": 22, "fl_x": 130, "fl_y": 125,
              "camera_angle_x": 2 * np.arctan(32 / 130), "camera_angle_y": 2 * np.arctan(24 / 125),
              "x_fov": np.degrees(2 * np.arctan(32 / 130)), "y_fov": np.degrees(2 * np.arctan(24 / 125)),
              "integer_depth_scale": 0.001}
    for file in files.values():
        assert list(file) == [*wanted, "frames"]
        assert all(type(file[name]) is float and np.isclose(file[name], value) for name, value in wanted.items())
    assert files["_train"]["frames"] + files["_test"]["frames"] == files[""]["frames"]
    assert files["_val"]["frames"] == files["_test"]["frames"][2:] and len(files["_val"]["frames"]) == 20
    assert (len(files["_train"]["frames"]), len(files["_test"]["frames"])) == (TRAIN, TEST)
    for number, frame in enumerate(files[""]["frames"]):
        matrix = frame.pop("transform_matrix")
        assert frame == {"file_path": f"images/{number:05d}.png", "mesh_path": f"meshes/{number:05d}.obj",
                         "exp_path": f"flame/exp/{number:05d}.txt", "depth_path": f"depth/{number:05d}.png",
                         "seg_mask_path": f"seg_mask/{number:05d}.png"}
        assert all((root / path).is_file() for path in frame.values())
        # Camera to world, OpenCV: the translation is where the camera stands, the third column where it looks.
        world_to_camera = cameras("insta", TRAIN + TEST)[number]
        place = -world_to_camera[:3, :3].T @ world_to_camera[:3, 3]
        assert np.allclose(np.array(matrix)[:3, 3], place, atol=1e-6)
        assert np.allclose(np.array(matrix)[:3, 2], world_to_camera[2, :3], atol=1e-6)
        assert np.allclose(np.array(matrix)[:3, 1], world_to_camera[1, :3], atol=1e-6)
        assert matrix[3] == [0, 0, 0, 1]


def numbers(path: Path, count: int) -> np.ndarray:
    """Return the numbers of a parameter file, one a line with eight decimals."""
    lines = path.read_text().split("\n")
    assert len(lines) == count + 1 and lines[-1] == ""
    assert all(len(line.split(".")[1]) == 8 for line in lines[:-1])
    return np.array([float(line) for line in lines[:-1]])


def turn_of_rows(six: np.ndarray) -> np.ndarray:
    """Return the axis-angle vector of a 6D rotation: two rows, made orthonormal."""
    first = six[:3] / np.sqrt(six[:3] @ six[:3])
    second = six[3:] - (first @ six[3:]) * first
    second /= np.sqrt(second @ second)
    m = np.array([first, second, np.cross(first, second)])
    axis = np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])
    sine = np.sqrt(axis @ axis) / 2
    return axis / 2 / sine * np.arctan2(sine, (np.trace(m) - 1) / 2)


def test_insta_parameters_pose_the_meshes(written: dict[str, Path]) -> None:
    root, head = written["insta"], film("insta").head
    for number, (take, i, _) in enumerate(shots("insta")):
        values = {name: numbers(root / f"flame/{name}/{number:05d}.txt", count) for name, count in
                  (("exp", 100), ("shape", 300), ("eyes", 12), ("jaw", 6), ("eyelids", 2))}
        jaw, right, left = (turn_of_rows(six) for six in (values["jaw"], values["eyes"][:6], values["eyes"][6:]))
        assert np.abs(jaw - take.sequence.jaw[i]).max() < 10 * ROTATION_ROUNDING
        assert np.abs(left - take.sequence.eyes[i, :3]).max() < 10 * ROTATION_ROUNDING
        assert np.abs(right - take.sequence.eyes[i, 3:]).max() < 10 * ROTATION_ROUNDING
        posed = deform_head(head.personalise(values["shape"]), Sequence(
            "standin", 25.0, values["exp"][None], jaw=jaw[None], eyes=np.concatenate([left, right])[None],
            eyelids=values["eyelids"][None]))
        vertices, _ = mesh(root / f"meshes/{number:05d}.obj")
        assert np.abs(vertices - posed.vertices).max() < 1e-6


def mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return an OBJ's vertices, and its triangles counted from 0."""
    lines = [line.split() for line in path.read_text().splitlines()]
    assert {line[0] for line in lines} == {"v", "f"} and all(len(line) == 4 for line in lines)
    return (np.array([line[1:] for line in lines if line[0] == "v"], np.float64),
            np.array([line[1:] for line in lines if line[0] == "f"], np.int64) - 1)


def test_insta_meshes_are_closed_at_the_lips(written: dict[str, Path]) -> None:
    vertices, faces = mesh(written["insta"] / "meshes" / "00000.obj")
    head = film("insta").head
    assert vertices.shape == (5023, 3) and faces.shape == (10006, 3)
    assert np.array_equal(faces[:9976], head.faces)
    edges = {tuple(edge) for face in faces.tolist() for edge in itertools.pairwise([*face, face[0]])}
    border = {a for a, b in edges if (b, a) not in edges}
    assert border and not border & set(head.regions["lip_ring"].tolist())


def test_insta_canonical_is_the_person_with_the_jaw_open(written: dict[str, Path]) -> None:
    made = film("insta")
    vertices, faces = mesh(written["insta"] / "canonical.obj")
    still = Sequence("standin", 25.0, np.zeros((1, 100)), jaw=np.array([[np.radians(12), 0, 0]]))
    expected = deform_head(made.head.personalise(made.takes[0].sequence.shape), still).vertices
    assert np.abs(vertices - expected).max() < 1e-6 and len(faces) == 10006


# --- With the readers and the scene -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_readers_give_the_film_back(written: dict[str, Path], layout: str, split: str) -> None:
    take = next(take for take in film(layout).takes if take.split == split)
    frames = read(layout, written[layout], split)
    found = frames.sequence
    assert found.basis == "standin" and len(frames) == len(take.sequence)
    for name in ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation", "shape"):
        assert np.abs(getattr(found, name) - getattr(take.sequence, name)).max() < 1e-6, name
    for name in ("K", "world_to_camera", "size"):
        assert np.abs(found.cameras[name] - take.sequence.cameras[name]).max() < 2e-5, name
    for i in range(0, len(frames), 7):
        assert np.array_equal(frames.picture(i), take.shoot(i).head_rgba)


@pytest.mark.slow
@pytest.mark.parametrize("layout", WRITERS)
def test_the_scene_is_captured_and_fits_its_pictures(tmp_path: Path, layout: str) -> None:
    told: list[str] = []
    report: Callable[[str], None] = told.append
    capture(tmp_path / "anna", layout, frames=20, size=64, seed=1, progress=report)
    head = head_file.read(tmp_path / "anna" / "head.safetensors")
    for split in ("train", "test"):
        frames = read(layout, tmp_path / "anna", split)
        found = reprojection(frames, head)
        assert found.fits and found.errors, f"{split}: {found.cause}"
        covered = frames.picture(0)[..., 3] > 127
        assert 0.1 < covered.mean() < 0.9
    assert told
