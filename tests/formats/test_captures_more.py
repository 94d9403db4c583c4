"""What `flameport capture` writes in the other layouts, file by file, against the layouts' own formulas written out here.

The film is made by hand: the stand-in head with someone's shape, pictures of noise, and calibrated cameras nobody could
mistake for another. Where the head's points lie in a picture is found from the written numbers alone, and compared with where
the film's own cameras see the film's own head.
"""

import dataclasses
import functools
import json
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from formats.captures import (
    LAYOUTS,
    gaussian_head_avatar,
    metrical_tracker,
    nersemble,
    nersemble_benchmark,
    point_avatar,
    vhap,
)
from formats.captures.shots import LABELS, Film, Shot, Take
from formats.deform import deform_head
from formats.errors import MissingAsset, UnsupportedFeature
from formats.head_model import HeadModel
from formats.rotations import axis_angle_to_matrix
from formats.sequence import Sequence
from formats.standin.head import standin_head

WIDTH, HEIGHT = 64, 48
K = np.array([[130.0, 0, 35], [0, 125, 22], [0, 0, 1]])
SERIALS = ("220700191", "222200037", "222200039")
PIXEL = 2e-3
"""Pixels that float32 files and a projection in float64 may differ by."""

Tree = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the film of a layout is like: its writer, sizes and cameras."""

    write: Callable[[Film, Path, Callable[[str], None]], None]
    expressions: int
    identity: int
    moves: tuple[str, ...]
    """Fields of the sequence that move, besides expression, jaw and eyes."""
    train: int = 7
    test: int = 3
    train_cameras: tuple[str, ...] = SERIALS
    rig: bool = True
    own_lenses: bool = False


PLANS = {
    "point-avatar": Plan(point_avatar.write, 50, 100, ("rotation", "neck"), rig=False),
    "metrical-tracker": Plan(metrical_tracker.write, 100, 300, ("eyelids",), rig=False),
    "vhap": Plan(vhap.write, 100, 300, ("rotation", "neck", "translation")),
    "nersemble": Plan(nersemble.write, 100, 300, ("rotation", "neck", "translation")),
    "nersemble-benchmark": Plan(nersemble_benchmark.write, 100, 300, ("rotation", "neck", "translation"),
                                train_cameras=("222200037",), own_lenses=True),
    "gaussian-head-avatar": Plan(gaussian_head_avatar.write, 50, 80, ("rotation", "translation")),
}


def lens(plan: Plan, camera: int) -> np.ndarray:
    """Return K of a camera of the rig."""
    return K * [[1 + 0.02 * camera * plan.own_lenses], [1 - 0.01 * camera * plan.own_lenses], [1]]


def stand(i: int) -> np.ndarray:
    """Return world to OpenCV camera number `i`, in front of the face and aside."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag([1.0, -1, -1]) @ axis_angle_to_matrix(np.array([0.1 * np.cos(i), 0.3 * np.sin(i) + 0.1, 0.05]))
    matrix[:3, 3] = 0.01 * np.sin(i), 0.02, 0.9 + 0.01 * i
    return matrix


@functools.cache
def film(layout: str) -> Film:
    """Return a film in which everything moves that the layout can carry."""
    plan, head, rng = PLANS[layout], standin_head("open-mouth"), np.random.default_rng(3)
    count = plan.train + plan.test

    def values(width: int, size: float) -> np.ndarray:
        return size * rng.uniform(-1, 1, (count, width)) + 0.3 * size

    sizes = {"rotation": (3, 0.3), "neck": (3, 0.2), "translation": (3, 0.02), "eyelids": (2, 0.5)}
    motion = Sequence("standin", 25.0, values(plan.expressions, 0.4), jaw=values(3, 0.2), eyes=values(6, 0.3),
                      shape=rng.normal(0, 1, plan.identity), **{name: values(*sizes[name]) for name in plan.moves})
    person = head.personalise(motion.shape)
    takes = []
    for split, first, end in (("train", 0, plan.train), ("test", plan.train, count)):
        serials = (plan.train_cameras if split == "train" else SERIALS) if plan.rig else ()
        rows = np.repeat(np.arange(first, end), max(len(serials), 1))
        ids = np.tile([SERIALS.index(serial) for serial in serials], end - first) if plan.rig else rows
        found = dataclasses.replace(motion.take(rows), cameras={
            "K": np.stack([lens(plan, int(i) * plan.rig) for i in ids]), "world_to_camera": np.stack([stand(i) for i in ids]),
            "size": np.tile([WIDTH, HEIGHT], (len(rows), 1))})
        labels = tuple(f"label {t}" for t in rows)
        takes.append(Take(split, found, labels, functools.partial(_shot, person, found, 100 * first), serials))
    return Film("someone", 5, head, tuple(takes), 25.0, SERIALS[1:] if plan.rig else ())


def _shot(person: HeadModel, found: Sequence, seed: int, index: int) -> Shot:
    rng = np.random.default_rng(seed + index)
    labels = rng.integers(0, len(LABELS), (HEIGHT, WIDTH)).astype(np.uint8)

    def noise(*channels: int) -> np.ndarray:
        # Blocks of eight pixels: clips and JPEG files keep them.
        blocks = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, *channels)).astype(np.uint8)
        return blocks.repeat(8, axis=0).repeat(8, axis=1)

    depth = np.where(rng.random((HEIGHT, WIDTH)) < 0.5, 0, rng.uniform(0.5, 2, (HEIGHT, WIDTH))).astype(np.float32)
    return Shot(noise(3), noise(), noise(4), labels, depth,
                deform_head(person, found.take([index])).vertices.astype(np.float32),
                rng.uniform(0, WIDTH, (68, 2)).astype(np.float32), rng.uniform(0, WIDTH, (2, 2)).astype(np.float32))


def rows(layout: str) -> list[tuple[Take, int, Shot]]:
    """Return every row of the film."""
    return [(take, i, take.shoot(i)) for take in film(layout).takes for i in range(len(take.sequence))]


def silent(text: str) -> None:
    """Take no note of progress."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """A layout's folder, written once."""
    root = tmp_path_factory.mktemp("captures")

    @functools.cache
    def folder(layout: str) -> Path:
        out = root / layout / "anna"
        PLANS[layout].write(film(layout), out, silent)
        return out

    yield folder
    shutil.rmtree(root)


def tree(root: Path) -> Tree:
    """Return every file's bytes by its path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def picture(path: Path, mode: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """Return a picture's numbers after checking how it is stored."""
    with Image.open(path) as image:
        assert (image.mode, image.size) == (mode, size), path
        return np.asarray(image)


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def seen(points: np.ndarray, take: Take, row: int) -> np.ndarray:
    """Return world points in pixels, as the film's own OpenCV camera sees them."""
    matrix, lens = (take.sequence.cameras[name][row].astype(np.float64) for name in ("world_to_camera", "K"))
    view = points @ matrix[:3, :3].T + matrix[:3, 3]
    assert (view[:, 2] > 0).all()
    return view[:, :2] / view[:, 2:] * [lens[0, 0], lens[1, 1]] + lens[:2, 2]


def posed(shape: np.ndarray, expr: np.ndarray, **joints: np.ndarray) -> np.ndarray:
    """Return the stand-in's vertices, its root about its joint (`flame.md` 6, form (a))."""
    frame = Sequence("standin", 25.0, expr[None], **{name: value[None] for name, value in joints.items()})
    return deform_head(standin_head("open-mouth").personalise(shape), frame).vertices


def rows_to_matrix(six: np.ndarray) -> np.ndarray:
    """Return the matrix of a 6D rotation: its first two rows."""
    first = six[:3] / np.linalg.norm(six[:3])
    second = six[3:] - (first @ six[3:]) * first
    second = second / np.linalg.norm(second)
    return np.array([first, second, np.cross(first, second)])


def axis_angle(m: np.ndarray) -> np.ndarray:
    """Return the axis-angle vector of a matrix that turns by less than half a turn."""
    axis = np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])
    sine = np.sqrt(axis @ axis) / 2
    return axis / 2 / sine * np.arctan2(sine, (np.trace(m) - 1) / 2)


# --- All --------------------------------------------------------------------------------------------------------------


def test_every_layout_of_this_file_is_offered() -> None:
    assert set(PLANS) | {"imavatar", "insta"} == set(LAYOUTS)


@pytest.mark.parametrize("layout", PLANS)
def test_the_tag_says_what_readers_must_not_guess(written: Callable[[str], Path], layout: str) -> None:
    plan, made = PLANS[layout], film(layout)
    tag = json.loads((written(layout) / "capture.json").read_text())
    cameras = {"cameras": {"train": list(plan.train_cameras), "test": list(SERIALS)},
               "held_out_cameras": list(SERIALS[1:])} if plan.rig else {}
    assert tag == {
        "written_by": "flameport", "layout": layout, "edition": "standin", "head": made.head.content_hash,
        "subject": "someone", "seed": 5, "fps": 25.0, "frames": {"train": plan.train, "test": plan.test},
        "held_out": [f"label {i}" for i in range(plan.train, plan.train + plan.test)], **cameras}
    assert (written(layout) / "head.safetensors").is_file()


@pytest.mark.parametrize("layout", PLANS)
def test_the_same_film_gives_the_same_bytes(written: Callable[[str], Path], tmp_path: Path, layout: str) -> None:
    out = tmp_path / "anna"
    PLANS[layout].write(film(layout), out, silent)
    mine, theirs = tree(out), tree(written(layout))
    shutil.rmtree(out)
    # The H.264 encoder does not always make the same bytes of the same pictures.
    assert set(mine) == set(theirs)
    assert [name for name in mine if mine[name] != theirs[name] and not name.endswith(".mp4")] == []


@pytest.mark.parametrize("layout", PLANS)
def test_a_failure_leaves_the_previous_folder(tmp_path: Path, layout: str) -> None:
    made, out = film(layout), tmp_path / "anna"
    out.mkdir()
    (out / "precious.txt").write_text("kept")

    def fail(index: int) -> Shot:
        raise RuntimeError("no light")

    takes = (made.takes[0], dataclasses.replace(made.takes[1], shoot=fail))
    with pytest.raises(RuntimeError, match="no light"):
        PLANS[layout].write(dataclasses.replace(made, takes=takes), out, silent)
    assert tree(tmp_path) == {"anna/precious.txt": b"kept"}


@pytest.mark.parametrize(("layout", "name"), [(layout, name) for layout, plan in PLANS.items() for name in (
    {"rotation": 3, "neck": 3, "eyelids": 2, "translation": 3}) if name not in plan.moves])
def test_nothing_is_lost_silently(tmp_path: Path, layout: str, name: str) -> None:
    made = film(layout)
    takes = tuple(dataclasses.replace(take, sequence=dataclasses.replace(
        take.sequence, **{name: np.full((len(take.sequence), 2 if name == "eyelids" else 3), 0.1)})) for take in made.takes)
    with pytest.raises(UnsupportedFeature, match=name):
        PLANS[layout].write(dataclasses.replace(made, takes=takes), tmp_path / "anna", silent)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", PLANS)
def test_expressions_beyond_the_layouts_are_refused(tmp_path: Path, layout: str) -> None:
    made = film(layout)
    takes = tuple(dataclasses.replace(take, sequence=dataclasses.replace(
        take.sequence, expr=np.ones((len(take.sequence), PLANS[layout].expressions + 1)))) for take in made.takes)
    with pytest.raises(UnsupportedFeature, match=f"the layout stores {PLANS[layout].expressions}"):
        PLANS[layout].write(dataclasses.replace(made, takes=takes), tmp_path / "anna", silent)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", PLANS)
def test_skewed_pixels_are_refused(tmp_path: Path, layout: str) -> None:
    made = film(layout)
    takes = tuple(dataclasses.replace(take, sequence=dataclasses.replace(take.sequence, cameras={
        **take.sequence.cameras, "K": take.sequence.cameras["K"] + np.float32([[0, 1, 0], [0, 0, 0], [0, 0, 0]])}))
        for take in made.takes)
    with pytest.raises(UnsupportedFeature, match="skew"):
        PLANS[layout].write(dataclasses.replace(made, takes=takes), tmp_path / "anna", silent)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", ["nersemble", "nersemble-benchmark"])
def test_clips_without_an_encoder_say_what_to_install(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingAsset, match="flameport\\[export\\]"):
        PLANS[layout].write(film(layout), tmp_path / "anna", silent)
    assert not list(tmp_path.iterdir())


# --- PointAvatar ------------------------------------------------------------------------------------------------------

VIDEOS = {"MVI_0001": ("train", range(4)), "MVI_0002": ("train", range(4, 7)), "MVI_0003": ("test", range(3))}


def test_point_avatar_files(written: Callable[[str], Path]) -> None:
    names = {"capture.json", "head.safetensors"}
    for video, (_, part) in VIDEOS.items():
        names |= {f"anna/{video}/{name}.json" for name in ("flame_params", "keypoint", "iris", "code")}
        names |= {f"anna/{video}/{name}/{i + 1}.png" for name in ("image", "mask", "semantic") for i in range(len(part))}
    assert set(tree(written("point-avatar"))) == names


@pytest.mark.parametrize("video", VIDEOS)
def test_point_avatar_motion_lands_where_the_film_saw_the_head(written: Callable[[str], Path], video: str) -> None:
    place, (split, part) = written("point-avatar") / "anna" / video, VIDEOS[video]
    take = next(take for take in film("point-avatar").takes if take.split == split)
    file, points, irises, codes = (json.loads((place / f"{name}.json").read_text())
                                   for name in ("flame_params", "keypoint", "iris", "code"))
    names = [f"{i + 1}.png" for i in range(len(part))]
    assert list(points) == list(irises) == names and list(codes) == [str(i + 1) for i in range(len(part))]
    fx, fy, cx, cy = file["intrinsics"]
    assert fx < 0 and len(file["frames"]) == len(part) and len(file["shape_params"]) == 100
    for i, (frame, row) in enumerate(zip(file["frames"], part, strict=True)):
        shot = take.shoot(row)
        assert frame["file_path"] == f"./image/{i + 1}"
        assert np.array_equal(picture(place / f"image/{i + 1}.png", "RGB"), shot.rgb)
        assert np.array_equal(picture(place / f"mask/{i + 1}.png", "L"), shot.matte)
        semantic = picture(place / f"semantic/{i + 1}.png", "L")
        ids = np.array([0, 1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 16, 17])
        assert np.array_equal(semantic, ids[shot.labels])
        pose, expr, world = (np.array(frame[name]) for name in ("pose", "expression", "world_mat"))
        head = posed(np.array(file["shape_params"]), expr, rotation=pose[:3], neck=pose[3:6], jaw=pose[6:9], eyes=pose[9:])
        # Four times life size; OpenGL's camera looks along -z, and fx is negative for it.
        x, y, z = (4 * head @ world[:, :3].T + world[:, 3]).T
        on_picture = np.stack([(fx * x / z + cx) * WIDTH, (fy * y / z + cy) * HEIGHT], axis=1)
        assert np.abs(on_picture - seen(shot.vertices.astype(np.float64), take, row)).max() < PIXEL
        assert np.array_equal(points[names[i]], shot.landmarks) and np.array_equal(irises[names[i]], shot.irises.ravel())
        assert np.array_equal(codes[str(i + 1)]["exp"], [take.sequence.expr[row]])


# --- metrical-tracker -------------------------------------------------------------------------------------------------


def test_metrical_tracker_files(written: Callable[[str], Path]) -> None:
    names = {"input/anna/identity.npy", "output/anna/canonical.obj", "capture.json", "head.safetensors"}
    for i in range(10):
        out, source = f"{i:05d}", f"{i + 1:05d}"
        names |= {f"input/anna/{name}/{source}.{end}" for name, end in (
            ("source", "png"), ("images", "png"), ("kpt", "npy"), ("kpt_dense", "npy"))}
        names |= {f"output/anna/{name}/{out}.{end}" for name, end in (
            ("checkpoint", "frame"), ("mesh", "ply"), ("depth", "png"), ("input", "png"), ("video", "jpg"))}
        names |= {f"dataset/anna/{name}/{source}{end}" for name, end in (
            ("imgs", ".jpg"), ("alpha", ".jpg"), ("parsing", "_neckhead.png"), ("parsing", "_mouth.png"))}
    assert set(tree(written("metrical-tracker"))) == names


def test_metrical_tracker_inputs_and_pictures(written: Callable[[str], Path]) -> None:
    root = written("metrical-tracker")
    identity = np.load(root / "input/anna/identity.npy")
    assert identity.dtype == np.float32 and np.array_equal(identity, film("metrical-tracker").takes[0].sequence.shape)
    for number, (take, row, shot) in enumerate(rows("metrical-tracker")):
        out, source = f"{number:05d}", f"{number + 1:05d}"
        for name in (f"input/anna/source/{source}.png", f"input/anna/images/{source}.png", f"output/anna/input/{out}.png"):
            assert np.array_equal(picture(root / name, "RGB"), shot.rgb)
        assert np.array_equal(np.load(root / f"input/anna/kpt/{source}.npy"), shot.landmarks)
        dense = np.load(root / f"input/anna/kpt_dense/{source}.npy")
        points = seen(shot.vertices.astype(np.float64), take, row)
        assert dense.shape == (478, 2) and np.isfinite(dense).all()
        assert (np.abs(dense[:, None] - points).max(axis=2).min(axis=1) < PIXEL).all()
        # Row 468 and on: the right eye's iris, then the left one's.
        for first, side in ((468, "right"), (473, "left")):
            iris = points[film("metrical-tracker").head.regions[f"{side}_iris"]]
            assert (np.abs(dense[first:first + 5, None] - iris).max(axis=2).min(axis=1) < PIXEL).all()
        depth = picture(root / f"output/anna/depth/{out}.png", "I;16")
        assert np.abs(depth * 0.001 - shot.depth).max() <= 0.0005 + 1e-6
        assert np.abs(picture(root / f"dataset/anna/imgs/{source}.jpg", "RGB").astype(int) - shot.rgb).mean() < 8
        assert np.abs(picture(root / f"dataset/anna/alpha/{source}.jpg", "L").astype(int) - shot.matte).mean() < 8
        neck = picture(root / f"dataset/anna/parsing/{source}_neckhead.png", "L")
        assert np.array_equal(neck == 0, np.isin(shot.labels, [LABELS.index("background"), LABELS.index("cloth")]))
        mouth = picture(root / f"dataset/anna/parsing/{source}_mouth.png", "L")
        parts = [LABELS.index(name) for name in ("mouth", "upper_lip", "lower_lip")]
        assert np.array_equal(mouth == 255, np.isin(shot.labels, parts))


SHAPES = {"flame": {"exp": (1, 100), "shape": (1, 300), "tex": (1, 140), "sh": (1, 9, 3), "eyes": (1, 12), "eyelids": (1, 2),
                    "jaw": (1, 6)},
          "camera": {"R": (1, 6), "t": (1, 3), "fl": (1, 1), "pp": (1, 2)},
          "opencv": {"R": (1, 3, 3), "t": (1, 3), "K": (1, 3, 3)}}


def frame_of(path: Path) -> dict[str, Any]:
    """Return a checkpoint after checking that it is torch's zip around a pickle of NumPy arrays."""
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["archive/data.pkl", "archive/byteorder", "archive/version"]
        assert (archive.read("archive/byteorder"), archive.read("archive/version")) == (b"little", b"3\n")
        data = archive.read("archive/data.pkl")
    assert data[:2] == b"\x80\x02" and b"numpy.core.multiarray" in data and b"_core" not in data and b"torch" not in data
    return pickle.loads(data)


def test_metrical_tracker_frames_land_where_the_film_saw_the_head(written: Callable[[str], Path]) -> None:
    root = written("metrical-tracker") / "output" / "anna"
    for number, (take, row, shot) in enumerate(rows("metrical-tracker")):
        frame = frame_of(root / f"checkpoint/{number:05d}.frame")
        assert list(frame) == ["flame", "camera", "opencv", "img_size", "frame_id", "global_step"]
        for block, shapes in SHAPES.items():
            assert {name: value.shape for name, value in frame[block].items()} == shapes
            assert all(value.dtype == np.float32 for value in frame[block].values())
        assert frame["img_size"].tolist() == [HEIGHT, WIDTH] and frame["frame_id"] == f"{number:05d}"
        assert type(frame["global_step"]) is int
        flame = {name: value[0].astype(np.float64) for name, value in frame["flame"].items()}
        # Left eye first.
        jaw, left, right = (axis_angle(rows_to_matrix(six)) for six in (flame["jaw"], flame["eyes"][:6], flame["eyes"][6:]))
        head = posed(flame["shape"], flame["exp"], jaw=jaw, eyes=np.concatenate([left, right]), eyelids=flame["eyelids"])
        assert np.abs(head - shot.vertices).max() < 1e-6
        expected = seen(head, take, row)
        r, t, k = (frame["opencv"][name][0].astype(np.float64) for name in ("R", "t", "K"))
        view = (head @ r.T + t) @ k.T
        assert np.abs(view[:, :2] / view[:, 2:] - expected).max() < PIXEL
        assert frame["opencv"]["K"][0, 0, 0] == 130 and frame["opencv"]["K"][0, 1, 1] == 125
        # PyTorch3D: row vectors, x left, y up; its one focal length is our horizontal one.
        r, t, fl, pp = (frame["camera"][name][0].astype(np.float64) for name in ("R", "t", "fl", "pp"))
        x, y, z = (head @ rows_to_matrix(r) + t).T
        assert (z > 0).all()
        half, middle = min(WIDTH, HEIGHT) / 2, np.array([WIDTH / 2, HEIGHT / 2])
        principal = middle - pp * half
        assert np.abs(principal - K[:2, 2]).max() < 1e-4
        assert np.abs(principal[0] - fl[0] * half * x / z - expected[:, 0]).max() < PIXEL
        assert np.abs(principal[1] - fl[0] * half * y / z * 125 / 130 - expected[:, 1]).max() < PIXEL
        vertices, faces = ply(root / f"mesh/{number:05d}.ply")
        assert np.array_equal(vertices, shot.vertices) and np.array_equal(faces, film("metrical-tracker").head.faces)


def ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a binary PLY's vertices and triangles."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    lines = header.decode().split("\n")
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    count, triangles = (int(line.split()[2]) for line in lines if line.startswith("element"))
    vertices = np.frombuffer(body, "<f4", 3 * count).reshape(-1, 3)
    faces = np.frombuffer(body[12 * count:], np.dtype([("n", "u1"), ("ids", "<i4", 3)]), triangles)
    assert len(body) == 12 * count + 13 * triangles and (faces["n"] == 3).all()
    return vertices, faces["ids"]


def test_metrical_tracker_frames_are_read_by_torch_and_by_our_reader(written: Callable[[str], Path]) -> None:
    torch = pytest.importorskip("torch")
    from formats.codecs import torch_file

    path = written("metrical-tracker") / "output/anna/checkpoint/00003.frame"
    wanted = frame_of(path)
    for found in (torch.load(path, weights_only=False), torch_file.read(path)):
        assert found["frame_id"] == "00003" and list(found) == list(wanted)
        for block in SHAPES:
            for name, value in wanted[block].items():
                assert np.array_equal(found[block][name], value)


# --- VHAP -------------------------------------------------------------------------------------------------------------

FRAME_KEYS = {"timestep_index", "timestep_index_original", "timestep_id", "camera_index", "camera_id", "cx", "cy", "fl_x", "fl_y",
              "h", "w", "camera_angle_x", "camera_angle_y", "transform_matrix", "file_path", "fg_mask_path",
              "flame_param_path"}
FILE_KEYS = {"frames", "cx", "cy", "fl_x", "fl_y", "h", "w", "camera_angle_x", "camera_angle_y", "timestep_indices",
             "camera_indices"}


def transforms(root: Path, name: str) -> dict[str, Any]:
    """Return a transforms file."""
    return json.loads((root / f"transforms{name}.json").read_text())


def test_vhap_files(written: Callable[[str], Path]) -> None:
    names = {"capture.json", "head.safetensors", "canonical_flame_param.npz"}
    names |= {f"transforms{name}.json" for name in ("", "_train", "_val", "_test", "_backup", "_backup_flame")}
    names |= {f"flame_param/{t:05d}.npz" for t in range(10)}
    names |= {f"{name}/{t:05d}_{c:02d}.png" for name in ("images", "fg_masks") for t in range(10) for c in range(3)}
    assert set(tree(written("vhap"))) == names


def test_vhap_splits(written: Callable[[str], Path]) -> None:
    files = {name: transforms(written("vhap"), name) for name in ("", "_train", "_val", "_test", "_backup_flame")}
    rule = {"": (range(10), range(3)), "_train": (range(7), range(2)), "_val": (range(7), [2]), "_test": (range(7, 10), range(3)),
            "_backup_flame": (range(10), range(3))}
    for name, (moments, cameras) in rule.items():
        file = files[name]
        assert set(file) == FILE_KEYS
        assert [(f["timestep_index"], f["camera_index"]) for f in file["frames"]] == [(t, c) for t in moments for c in cameras]
        assert file["timestep_indices"] == list(moments) and file["camera_indices"] == list(cameras)
        assert all(file[key] == file["frames"][-1][key] for key in FILE_KEYS - {"frames", "timestep_indices", "camera_indices"})


def test_vhap_motion_lands_where_the_film_saw_the_head(written: Callable[[str], Path]) -> None:
    root = written("vhap")
    frames, total = transforms(root, "")["frames"], np.zeros(3)
    shapes = {"translation": (1, 3), "rotation": (1, 3), "neck_pose": (1, 3), "jaw_pose": (1, 3), "eyes_pose": (1, 6),
              "shape": (300,), "expr": (1, 100), "static_offset": (1, 5143, 3)}
    for frame, (take, row, shot) in zip(frames, rows("vhap"), strict=True):
        t, c = frame["timestep_index"], frame["camera_index"]
        assert set(frame) == FRAME_KEYS
        assert (frame["timestep_index_original"], frame["timestep_id"], frame["camera_id"]) == (t, f"{t:05d}", SERIALS[c])
        assert frame["file_path"] == f"images/{t:05d}_{c:02d}.png" and frame["fg_mask_path"] == f"fg_masks/{t:05d}_{c:02d}.png"
        assert frame["flame_param_path"] == f"flame_param/{t:05d}.npz" and (frame["w"], frame["h"]) == (WIDTH, HEIGHT)
        values = arrays(root / frame["flame_param_path"])
        assert {name: value.shape for name, value in values.items()} == shapes and not values["static_offset"].any()
        head = posed(values["shape"], values["expr"][0], rotation=values["rotation"][0], neck=values["neck_pose"][0],
                     jaw=values["jaw_pose"][0], eyes=values["eyes_pose"][0], translation=values["translation"][0])
        # The camera in OpenGL's axes, looking along -z; cy counts from below.
        world_to_camera = np.linalg.inv(np.array(frame["transform_matrix"]))
        x, y, z = (head @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]).T
        assert (z < 0).all()
        across, up = frame["cx"] - frame["fl_x"] * x / z, frame["cy"] - frame["fl_y"] * y / z
        expected = seen(shot.vertices.astype(np.float64), take, row)
        assert np.abs(np.stack([across, HEIGHT - up], axis=1) - expected).max() < PIXEL
        assert np.isclose(frame["camera_angle_x"], 2 * np.arctan(WIDTH / 2 / 130))
        assert np.isclose(frame["camera_angle_y"], 2 * np.arctan(HEIGHT / 2 / 125))
        total += values["translation"][0]
    assert np.abs(total).max() < 1e-6


def test_vhap_backup_is_the_rigs_own_world(written: Callable[[str], Path]) -> None:
    for frame, (take, row, _) in zip(transforms(written("vhap"), "_backup")["frames"], rows("vhap"), strict=True):
        assert set(frame) == FRAME_KEYS - {"flame_param_path"}
        expected = np.linalg.inv(take.sequence.cameras["world_to_camera"][row].astype(np.float64)) @ np.diag([1, -1, -1, 1])
        assert np.allclose(frame["transform_matrix"], expected, atol=1e-6)


def test_vhap_pictures_end_above_the_necks_ring(written: Callable[[str], Path]) -> None:
    root, ring = written("vhap"), film("vhap").head.regions["bottomline"]
    cut = 0
    for frame, (take, row, shot) in zip(transforms(root, "")["frames"], rows("vhap"), strict=True):
        rgb, mask = picture(root / frame["file_path"], "RGB"), picture(root / frame["fg_mask_path"], "L")
        line = seen(shot.vertices[ring].astype(np.float64), take, row)[:, 1].mean()
        above, below = slice(0, max(int(line - 0.03 * HEIGHT - 0.5), 0)), slice(max(int(np.ceil(line)), 0), HEIGHT)
        assert np.array_equal(mask[above], shot.head_rgba[above, :, 3]) and not mask[below].any()
        assert (rgb[below] == 255).all()
        cut += below.start < HEIGHT
        expected = shot.head_rgba[..., :3] * (mask[..., None] / 255) + 255 - mask[..., None]
        assert np.abs(rgb - expected).max() <= 0.5 + 1e-6
    assert cut


def test_vhap_canonical(written: Callable[[str], Path]) -> None:
    values = arrays(written("vhap") / "canonical_flame_param.npz")
    assert np.allclose(values.pop("jaw_pose"), [[0.3, 0, 0]]) and np.array_equal(
        values.pop("shape"), film("vhap").takes[0].sequence.shape)
    assert {name: value.shape for name, value in values.items()} == {
        "translation": (1, 3), "rotation": (1, 3), "neck_pose": (1, 3), "eyes_pose": (1, 6), "expr": (1, 100),
        "static_offset": (1, 5143, 3)}
    assert not any(value.any() for value in values.values())


# --- NeRSemble --------------------------------------------------------------------------------------------------------


def clip(path: Path) -> np.ndarray:
    """Return a clip's pictures [T, H, W, 3]."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 25
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def test_nersemble_files(written: Callable[[str], Path]) -> None:
    place = "023/sequences"
    assert set(tree(written("nersemble"))) == {
        "capture.json", "head.safetensors", "023/calibration/camera_params.json", "023/calibration/color_calibration.json",
        *(f"{place}/BACKGROUND/image_{serial}.jpg" for serial in SERIALS),
        *(f"{place}/{name}/tracked_flame_params_30.npz" for name in ("EMO-4-disgust+happy", "FREE")),
        *(f"{place}/{name}/{file}" for name in ("EMO-4-disgust+happy", "FREE") for serial in SERIALS for file in (
            f"images/cam_{serial}.mp4", f"alpha_maps/cam_{serial}.mp4", f"landmark2d/face-alignment/cam_{serial}.npz"))}


def test_nersemble_motion_lands_where_the_film_saw_the_head(written: Callable[[str], Path]) -> None:
    root = written("nersemble") / "023"
    calibration = json.loads((root / "calibration/camera_params.json").read_text())
    assert set(calibration) == {"world_2_cam", "intrinsics", "height", "width"} and tuple(calibration["world_2_cam"]) == SERIALS
    assert (calibration["width"], calibration["height"]) == (WIDTH, HEIGHT)
    # No correction: the expansion's first three terms are R, G and B.
    colors = json.loads((root / "calibration/color_calibration.json").read_text())
    assert colors == {serial: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]] for serial in SERIALS}
    for take, name in zip(film("nersemble").takes, ("EMO-4-disgust+happy", "FREE"), strict=True):
        moments = len(take.sequence) // 3
        values = arrays(root / "sequences" / name / "tracked_flame_params_30.npz")
        assert {key: value.shape for key, value in values.items()} == {
            "rotation": (moments, 3), "translation": (moments, 3), "neck_pose": (moments, 3), "jaw_pose": (moments, 3),
            "eyes_pose": (moments, 6), "shape": (300,), "expr": (moments, 100), "static_offset": (1, 5143, 3),
            "timestep_id": (moments,), "n_processed_frames": (), "image_size": (2,)}
        assert values["timestep_id"].tolist() == [f"{t:05d}" for t in range(moments)] and values["n_processed_frames"] == moments
        assert values["image_size"].tolist() == [HEIGHT, WIDTH] and not values["static_offset"].any()
        clips, mattes = ([clip(root / "sequences" / name / f"{what}/cam_{serial}.mp4") for serial in SERIALS]
                         for what in ("images", "alpha_maps"))
        marks = [arrays(root / "sequences" / name / f"landmark2d/face-alignment/cam_{serial}.npz") for serial in SERIALS]
        assert all(pictures.shape == (moments, HEIGHT, WIDTH, 3) for pictures in clips)
        for row in range(len(take.sequence)):
            t, c = divmod(row, 3)
            shot = take.shoot(row)
            head = posed(values["shape"], values["expr"][t], rotation=values["rotation"][t], neck=values["neck_pose"][t],
                         jaw=values["jaw_pose"][t], eyes=values["eyes_pose"][t], translation=values["translation"][t])
            matrix = np.array(calibration["world_2_cam"][SERIALS[c]])
            view = (head @ matrix[:3, :3].T + matrix[:3, 3]) @ np.array(calibration["intrinsics"]).T
            assert np.abs(view[:, :2] / view[:, 2:] - seen(shot.vertices.astype(np.float64), take, row)).max() < PIXEL
            points, box = marks[c]["face_landmark_2d"][t], marks[c]["bounding_box"][t]
            assert points.shape == (68, 3) and np.abs(points[:, :2] * [WIDTH, HEIGHT] - shot.landmarks).max() < PIXEL
            assert (points[:, 2] == 1).all() and np.array_equal(box[:2], points[:, :2].min(axis=0))
            assert np.array_equal(box[2:4], points[:, :2].max(axis=0))
            assert np.abs(mattes[c][t][..., 0] - shot.matte.astype(int))[3::8, 3::8].mean() < 8
            # Colour is stored at half the size; grey is sharp.
            assert np.abs((clips[c][t] - shot.rgb.astype(int))[3::8, 3::8].mean(axis=-1)).mean() < 8


def test_nersemble_benchmark_files(written: Callable[[str], Path]) -> None:
    place, truth = "mono_flame_avatar/393/sequences", ("ground_truth", "ground_truth_alpha")
    train, test = ("EXP-5-mouth", "EMO-2-surprise+fear", "EMO-4-disgust+happy"), ("EMO-1-shout+laugh", "FREE")
    assert set(tree(written("nersemble-benchmark"))) == {
        "capture.json", "head.safetensors", "mono_flame_avatar/393/calibration/camera_params.json",
        *(f"{place}/{name}/tracking/flame2023_tracking_v2.npz" for name in (*train, *test)),
        *(f"{place}/{name}/{what}/cam_222200037.mp4" for name in train for what in ("images", "alpha_maps")),
        *(f"{what}/393/{name}/cam_{serial}.mp4" for what in truth for name in test for serial in SERIALS)}


def test_nersemble_benchmark_motion_lands_where_the_film_saw_the_head(written: Callable[[str], Path]) -> None:
    root = written("nersemble-benchmark")
    subject = root / "mono_flame_avatar/393"
    calibration = json.loads((subject / "calibration/camera_params.json").read_text())
    assert set(calibration) == {"world_2_cam", "intrinsics"}
    assert tuple(calibration["world_2_cam"]) == tuple(calibration["intrinsics"]) == SERIALS
    parts = {"train": {"EXP-5-mouth": range(3), "EMO-2-surprise+fear": range(3, 5), "EMO-4-disgust+happy": range(5, 7)},
             "test": {"EMO-1-shout+laugh": range(2), "FREE": range(2, 3)}}
    for take in film("nersemble-benchmark").takes:
        for name, moments in parts[take.split].items():
            values = arrays(subject / f"sequences/{name}/tracking/flame2023_tracking_v2.npz")
            count = len(moments)
            assert {key: value.shape for key, value in values.items()} == {
                "shape": (1, 300), "expression": (count, 100), "rotation": (count, 3), "rotation_matrices": (count, 3, 3),
                "translation": (count, 3), "jaw": (count, 3), "neck": (count, 3), "eyes": (count, 6), "frames": (count,),
                "scale": (1, 1)}
            assert values["frames"].tolist() == list(range(count)) and abs(values["scale"][0, 0] - 1) > 0.01
            for t, moment in enumerate(moments):
                x, y, z = values["rotation"][t].astype(np.float64)
                turn = turn_of(np.array([x, 0, 0])) @ turn_of(np.array([0, y, 0])) @ turn_of(np.array([0, 0, z]))
                assert np.abs(turn - values["rotation_matrices"][t]).max() < 1e-6
                still = posed(values["shape"][0], values["expression"][t], neck=values["neck"][t], jaw=values["jaw"][t],
                              eyes=values["eyes"][t])
                world = values["scale"][0, 0].astype(np.float64) * still @ turn.T + values["translation"][t]
                for view, serial in enumerate(take.cameras):
                    row = moment * len(take.cameras) + view
                    shot, matrix = take.shoot(row), np.array(calibration["world_2_cam"][serial])
                    pixels = (world @ matrix[:3, :3].T + matrix[:3, 3]) @ np.array(calibration["intrinsics"][serial]).T
                    expected = seen(shot.vertices.astype(np.float64), take, row)
                    assert np.abs(pixels[:, :2] / pixels[:, 2:] - expected).max() < PIXEL


def test_nersemble_benchmark_clips(written: Callable[[str], Path]) -> None:
    root = written("nersemble-benchmark")
    train, test = film("nersemble-benchmark").takes
    images, alphas = (clip(root / f"mono_flame_avatar/393/sequences/EMO-2-surprise+fear/{what}/cam_222200037.mp4")
                      for what in ("images", "alpha_maps"))
    truth, truth_alphas = (clip(root / f"{what}/393/FREE/cam_{SERIALS[2]}.mp4")
                           for what in ("ground_truth", "ground_truth_alpha"))
    assert len(images) == len(alphas) == 2 and len(truth) == len(truth_alphas) == 1
    for rgb, alpha, shot in ((images[0], alphas[0], train.shoot(3)), (images[1], alphas[1], train.shoot(4)),
                             (truth[0], truth_alphas[0], test.shoot(2 * 3 + 2))):
        matte = shot.matte.astype(int)
        assert np.abs(alpha[..., 0] - matte)[3::8, 3::8].mean() < 8
        expected = shot.rgb * (matte[..., None] / 255) + 255 - matte[..., None]
        assert np.abs((rgb - expected)[3::8, 3::8].mean(axis=-1)).mean() < 8


# --- Gaussian Head Avatar ---------------------------------------------------------------------------------------------


def turn_of(vector: np.ndarray) -> np.ndarray:
    """Return the matrix of an axis-angle vector (Rodrigues)."""
    angle = np.linalg.norm(vector)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_gaussian_head_avatar_files(written: Callable[[str], Path]) -> None:
    names = {"capture.json", "head.safetensors", *(f"background/image_{serial}.jpg" for serial in SERIALS)}
    for t in range(10):
        names |= {f"{name}/{t:04d}/{file}" for name in ("params", "FLAME_params") for file in (
            "params.npz", "lmk_3d.npy", "vertices.npy")}
        for serial in SERIALS:
            names |= {f"images/{t:04d}/{name}{small}_{serial}.jpg" for name in ("image", "mask", "visible")
                      for small in ("", "_lowres")}
            names |= {f"cameras/{t:04d}/camera_{serial}.npz", f"landmarks/{t:04d}/lmk_{serial}.npy"}
    assert set(tree(written("gaussian-head-avatar"))) == names


def test_gaussian_head_avatar_pictures(written: Callable[[str], Path]) -> None:
    root = written("gaussian-head-avatar")
    for number, (_, _, shot) in enumerate(rows("gaussian-head-avatar")):
        place, serial = root / f"images/{number // 3:04d}", SERIALS[number % 3]
        for name, mode, pixels in (("image", "RGB", shot.rgb), ("mask", "L", shot.matte), ("visible", "L", 0 * shot.matte + 255)):
            whole = picture(place / f"{name}_{serial}.jpg", mode).astype(int)
            assert np.abs(whole - pixels).mean() < 2
            small = picture(place / f"{name}_lowres_{serial}.jpg", mode, (WIDTH // 8, HEIGHT // 8)).astype(int)
            assert np.abs(small - pixels[4::8, 4::8]).mean() < 12
        marks = np.load(root / f"landmarks/{number // 3:04d}/lmk_{serial}.npy")
        assert marks.shape == (68, 3) and np.array_equal(marks[:, :2], shot.landmarks) and (marks[:, 2] == 1).all()
    grey = picture(root / f"background/image_{SERIALS[0]}.jpg", "RGB")
    assert 130 < grey.mean() < 220 and grey.std() < 30


def test_gaussian_head_avatar_motion_lands_where_the_film_saw_the_head(written: Callable[[str], Path]) -> None:
    root, head = written("gaussian-head-avatar"), film("gaussian-head-avatar").head
    table = head.landmarks
    points = head.faces[table["full_lmk_faces_idx"][0]], table["full_lmk_bary_coords"][0]
    ibug = [*range(48), *range(49, 54), *range(55, 68)]
    for number, (take, row, shot) in enumerate(rows("gaussian-head-avatar")):
        stem, serial = f"{number // 3:04d}", SERIALS[number % 3]
        bfm, flame = (arrays(root / name / stem / "params.npz") for name in ("params", "FLAME_params"))
        assert {name: value.shape for name, value in bfm.items()} == {
            "id_coeff": (1, 80), "exp_coeff": (1, 64), "scale": (1,), "pose": (1, 6)}
        assert {name: value.shape for name, value in flame.items()} == {
            "id_coeff": (1, 100), "exp_coeff": (1, 59), "scale": (1, 1), "pose": (1, 6)}
        assert np.isclose(bfm["scale"], 0.15) and flame["scale"] == 1 and np.array_equal(bfm["pose"], flame["pose"])
        code, pose = flame["exp_coeff"][0].astype(np.float64), flame["pose"][0].astype(np.float64)
        # FLAME's own root and neck stay straight; the similarity is outside.
        still = posed(flame["id_coeff"][0, :80], code[:50], jaw=code[50:53], eyes=code[53:])
        assert not flame["id_coeff"][0, 80:].any()
        turn = turn_of(pose[:3])
        world = still @ turn.T + pose[3:]
        camera = arrays(root / f"cameras/{stem}/camera_{serial}.npz")
        assert camera["extrinsic"].shape == (3, 4) and camera["intrinsic"].shape == (3, 3)
        assert np.abs(turn_of(pose[:3]) - np.eye(3)).max() > 0.05
        expected = seen(shot.vertices.astype(np.float64), take, row)
        extrinsic = camera["extrinsic"].astype(np.float64)
        view = (world @ extrinsic[:, :3].T + extrinsic[:, 3]) @ camera["intrinsic"].T
        assert np.abs(view[:, :2] / view[:, 2:] - expected).max() < PIXEL
        for name in ("params", "FLAME_params"):
            vertices, marks = (np.load(root / name / stem / f"{file}.npy") for file in ("vertices", "lmk_3d"))
            assert vertices.shape == (5023, 3) and np.abs(vertices - world).max() < 2e-6
            embedded = (points[1][:, :, None] * world[points[0]]).sum(axis=1)
            assert marks.shape == (66, 3) and np.abs(marks - embedded[ibug]).max() < 2e-6
        # BFM's coefficients, of a model in units of 0.15 m whose joints do not move; columns of jaw and eyes have no shape.
        own = bfm["exp_coeff"][0].astype(np.float64)
        unit = posed(bfm["id_coeff"][0], own) / 0.15
        without = posed(flame["id_coeff"][0, :80], code[:50])
        assert np.abs(0.15 * unit @ turn.T - without @ turn.T).max() < 1e-6
        assert np.allclose(np.sort(np.abs(own[np.abs(own - np.pad(code[:50], (0, 14))) > 1e-6])),
                           np.sort(3 * np.abs(code[50:])), atol=1e-5)
