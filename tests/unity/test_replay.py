"""The Unity components run on recording stand-ins, and their trace on a CPU Vulkan driver: pictures against `formats.render`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.targets import unity
from formats.avatar import Avatar, MeshLayer, SkinBinding, SplatLayer
from formats.codecs import bundle, glb_avatar, sequence_binary, sequence_json, unity_avatar
from formats.conventions import linear_to_srgb, srgb_to_linear
from formats.importers import lam
from formats.picture import psnr
from formats.render import RenderOptions, render_avatar
from formats.sequence import Sequence
from formats.standin.clip import standin_clip
from tests.builders import tiny_avatar
from tests.unity import stage
from tests.unity.lavapipe import needed
from tests.unity.stage import MIRROR, NEAR, Built, Place, Play, View, decibels, wanted
from unity_sample.ci import replay
from unity_sample.ci.assemblies import PACKAGE, Cell

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "posing"
GAME = Cell("2022.3", "built-in", editor=False)
EDITOR = Cell("6000.0", "built-in")
BOUND = 60.0
"""dB (DESIGN.md, section 6), into a target of floats."""
ORDER_BOUND = 85.0
"""dB with 32-bit keys: what is left is arithmetic."""
HALF_BOUND = 54.0
"""dB into half floats, which this driver cuts off where cards round."""
MESH_BOUND = 40.0
"""dB with meshes: the weights of a sampler and outlines of triangles, which fall on other pixels' corners."""
PLACE = Place((0.3, 0.1, 1.2), 30, (0.2, 1, 0.1))
FRONT = View("A", (0.35, 0.13, 2.1), (0, -0.02, -1))
SIDE = View("B", (0.9, 0.2, 1.9), (-0.6, -0.08, -0.75), 24, (160, 128), texture=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The programs that play."""
    needed()
    return stage.built(stage.shared_folder(tmp_path_factory))


def thinned(part: Any, count: int, step: int) -> Any:
    """Return a cloud or a binding of `count` Gaussians with every so many of them."""
    held = {one.name: getattr(part, one.name) for one in dataclasses.fields(part)}
    return dataclasses.replace(part, **{name: value[::step] for name, value in held.items()
                                        if isinstance(value, np.ndarray) and len(value) == count})


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Avatar]:
    """A sixth of the sample's Gaussians as the exporter's plain file, and what is in it."""
    path = tmp_path_factory.mktemp("standin") / "standin.flameavatar"
    sample = stage.read(PACKAGE / "Samples~" / "BasicAvatar" / "BasicAvatar.flameavatar")
    (layer,) = sample.layers
    assert isinstance(layer, SplatLayer) and len(layer.cloud) > 20_000
    count = len(layer.cloud)
    few = dataclasses.replace(layer, cloud=thinned(layer.cloud, count, 6), binding=thinned(layer.binding, count, 6))
    unity.write(dataclasses.replace(sample, layers=(few,)), path, unity.Options())
    return path, stage.read(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Avatar]:
    """A tiny avatar as packed texels, whose colours change with the view."""
    path = tmp_path_factory.mktemp("small") / "tiny.flameavatar"
    unity.write(glb_avatar.read(GOLDEN / "linear-posed.glb"), path, unity.Options(grade="small"))
    return path, stage.read(path)


def begin(folder: Path, asset: Path, *views: View, engine: str = "", player: str = "", place: Place = PLACE) -> Play:
    """Begin a play of one avatar."""
    width, height = next((view.size for view in views if not view.texture), (64, 64))
    return Play(folder).add(f"engine {engine}", f"screen width={width} height={height}", f"open folder={folder}",
                            f"asset name=a file={asset}", f"player name=p asset=a {place.words} {player}",
                            *(view.words for view in views))


def standing(avatar: Avatar) -> Place:
    """Return a place that has the middle of a head where the stand-in's is."""
    middle = (avatar.head.v_template.min(axis=0) + avatar.head.v_template.max(axis=0)) / 2
    turned = PLACE.rotation @ MIRROR @ middle
    x, y, z = (np.array([0.3, 0.12, 1.2]) - turned).tolist()
    return Place((x, y, z), PLACE.turn, PLACE.axis)


def shown(play: Play, program: Path, exact: bool = True) -> replay.Replay:
    """Run a play to its end, with nothing left on the card and nothing said on the console, and do its trace again."""
    play.add("console", "end", "close").run(program)
    assert play.of("console") == [] and play.of("ended") == [[]]
    done = play.replay(exact)
    assert done.unset == set()
    return done


def test_a_clip_looks_as_the_reference_to_two_cameras(tmp_path: Path, built: Built, standin: tuple[Path, Avatar]) -> None:
    path, avatar = standin
    play, moments = begin(tmp_path, path, FRONT, SIDE), (0.7, 4.0)
    for seconds in moments:
        play.add(f"seek name=p to={seconds}", "frame")
    done = shown(play, built.programs[GAME])
    assert [(p.camera, p.frame) for p in done.pictures] == [("A", 1), ("B", 1), ("A", 2), ("B", 2)]
    for i, picture in enumerate(done.pictures):
        view = (FRONT, SIDE)[i % 2]
        assert decibels(picture, wanted(avatar, moments[i // 2], view, PLACE)) > ORDER_BOUND, (picture.camera, picture.frame)
    # Posed once a frame, projected and ordered for each camera.
    assert done.counts["PoseVertices"] == 2 and done.counts["PoseSplats"] == 2 * len(avatar.layers)
    assert done.counts["ProjectSplats"] == 4 * len(avatar.layers) and done.counts["Scatter"] == 16


def test_half_floats_cut_off_lose_little(tmp_path: Path, built: Built, standin: tuple[Path, Avatar]) -> None:
    path, avatar = standin
    done = shown(begin(tmp_path, path, SIDE).add("seek name=p to=4", "frame"), built.programs[GAME], exact=False)
    assert decibels(done.pictures[0], wanted(avatar, 4, SIDE, PLACE)) > HALF_BOUND


def test_short_keys_the_direct_way_and_depth_from_near_to_far(tmp_path: Path, built: Built, small: tuple[Path, Avatar]) -> None:
    path, avatar = small
    view = View("A", (0.31, 0.1, 1.7), (0, 0, -1), 30, (160, 160))
    play = begin(tmp_path, path, view, engine="reversed=0", player="quality=Direct")
    play.add("seek name=p to=0.03", "frame", "set name=p shortKeys=1", "frame")
    done = shown(play, built.programs[GAME])
    for picture, bound in zip(done.pictures, (ORDER_BOUND, BOUND), strict=True):
        assert decibels(picture, wanted(avatar, 0.03, view, PLACE)) > bound
    assert done.counts["AvatarComposite.shader: Composite"] == 0 and done.counts["Scatter"] == 4 + 2


def layers_of(avatar: Avatar, seconds: float, view: View, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Return the reference's premultiplied display sRGB and alpha, from its pictures on white and on black."""
    assert avatar.sequence is not None
    white, black = (render_avatar(avatar, avatar.sequence, seconds * avatar.sequence.fps, view.camera(place),
                                  RenderOptions((ground, ground, ground), NEAR)).rgb.astype(np.float64) for ground in (1.0, 0.0))
    return black, np.clip(1 - (white - black).mean(axis=2, keepdims=True), 0, 1)


@pytest.mark.parametrize("engine", ["linear=1", "linear=1 hdr=1"])
def test_a_project_with_linear_colours_shows_what_was_trained(engine: str, tmp_path: Path, built: Built,
                                                              standin: tuple[Path, Avatar]) -> None:
    path, avatar = standin
    done = shown(begin(tmp_path, path, FRONT, engine=engine).add("seek name=p to=4", "frame"), built.programs[GAME])
    color, alpha = layers_of(avatar, 4, FRONT, PLACE)
    straight = srgb_to_linear(np.clip(color / np.maximum(alpha, 1e-6), 0, 1))
    expected = linear_to_srgb(straight * alpha + 1 - alpha)
    found = linear_to_srgb(np.clip(done.pictures[0].rgba[..., :3].astype(np.float64), 0, 1))
    assert psnr(found, expected) > BOUND


def test_two_avatars_and_two_of_one(tmp_path: Path, built: Built, standin: tuple[Path, Avatar],
                                    small: tuple[Path, Avatar]) -> None:
    (path, avatar), (other, tiny) = standin, small
    near, behind = Place((0.3, 0.07, 1.5)), Place((0.42, 0.1, 0.9), 160)
    play = begin(tmp_path, path, FRONT, SIDE)
    play.add(f"asset name=b file={other}", f"player name=q asset=a {behind.words}", f"player name=r asset=b {near.words}",
             "seek name=p to=4", "seek name=q to=0.7", "seek name=r to=0.03", "frame")
    done = shown(play, built.programs[GAME])
    for picture, view in zip(done.pictures, (FRONT, SIDE), strict=True):
        expected = np.ones((*view.size[::-1], 3))
        shown_ones = [(avatar, 4, PLACE), (avatar, 0.7, behind), (tiny, 0.03, near)]
        def depth(one: tuple[Avatar, float, Place], view: View = view) -> float:
            return -float((view.camera(one[2]).world_to_camera @ [0, 0, 0, 1])[2])
        for who, seconds, place in sorted(shown_ones, key=depth):
            color, alpha = layers_of(who, seconds, view, place)
            expected = color + (1 - alpha) * expected
        assert decibels(picture, expected) > BOUND
    # Two of one asset share its tables: each of those is there once.
    tables = [count for count in uploads(tmp_path).values() if count > 100_000]
    assert len(tables) >= 2 and len(set(tables)) == len(tables)


def uploads(folder: Path) -> dict[int, int]:
    """Return the largest upload to each buffer, bytes."""
    found: dict[int, int] = {}
    for line in (folder / "trace.jsonl").read_text().splitlines():
        said = json.loads(line)
        if said["op"] == "upload":
            found[said["id"]] = max(found.get(said["id"], 0), said["bytes"])
    return found


def test_what_happens_to_a_player_while_it_plays(tmp_path: Path, built: Built, standin: tuple[Path, Avatar],
                                                 small: tuple[Path, Avatar]) -> None:
    (path, avatar), (other, tiny) = standin, small
    wide = View("A", FRONT.position, FRONT.towards, 20, (208, 144))
    close = View("A", (0.31, 0.1, 1.7), (0, 0, -1), 30, (208, 144))
    play = begin(tmp_path, path, FRONT).add("seek name=p to=4", "frame", "screen width=208 height=144", "frame")
    play.add("set name=p enabled=0", "frame", "set name=p enabled=1", "frame", "set name=p active=0", "frame",
             "set name=p active=1", "frame")
    play.add("lose", "frame")
    play.add(f"asset name=b file={other}", close.words, "set name=p asset=b", "seek name=p to=0.03", "frame")
    play.add("set name=p asset=none", "frame", "set name=p asset=b layer=5", "camera name=A mask=1", "frame",
             "destroy name=p", "frame", "listeners")
    done = shown(play, built.programs[GAME])
    assert len(done.pictures) == 11
    assert decibels(done.pictures[0], wanted(avatar, 4, FRONT, PLACE)) > ORDER_BOUND
    expected = wanted(avatar, 4, wide, PLACE)
    for i, picture in enumerate(done.pictures[1:7], 1):
        if i in (2, 4):
            assert picture.rgba.min() == 1, f"picture {i}: a player that is off"
        else:
            assert decibels(picture, expected) > ORDER_BOUND, f"picture {i}"
    assert decibels(done.pictures[7], wanted(tiny, 0.03, close, PLACE)) > BOUND
    for picture in done.pictures[8:]:
        assert picture.rgba.min() == 1
    assert play.of("listeners") == [["0"]]


def test_a_clip_runs_with_the_game_s_time(tmp_path: Path, built: Built, small: tuple[Path, Avatar]) -> None:
    path, avatar = small
    assert avatar.sequence is not None
    play = begin(tmp_path, path, View("A", (0.31, 0.1, 1.7), (0, 0, -1), 30, (96, 96)), player="plays=1")
    play.add("frame seconds=0.01", "frame seconds=0.02", "say name=p", "set name=p plays=0", "frame seconds=1", "say name=p",
             "set name=p plays=1", "frame seconds=100", "say name=p")
    done = shown(play, built.programs[GAME])
    (first, second, third) = play.of("state")
    assert float(first[2]) == pytest.approx((len(avatar.sequence.expr) - 1) / avatar.sequence.fps, abs=1e-6)
    assert float(first[1]) == pytest.approx(0.03, abs=1e-6) and second[1] == first[1]
    assert 0 <= float(third[1]) <= float(third[2]) and [state[3] for state in (first, second, third)] == ["True", "False", "True"]
    assert len(done.pictures) == 4


def test_fields_from_script_move_the_head(tmp_path: Path, built: Built, standin: tuple[Path, Avatar]) -> None:
    path, avatar = standin
    name = avatar.head.expr_names[3] if avatar.head.expr_names else "expr_3"
    play = begin(tmp_path, path, FRONT).add("seek name=p to=4", f"set name=p expression={name} weight=1.5",
                                            "set name=p expression=nonsense weight=1", "frame")
    done = shown(play, built.programs[GAME])
    assert play.of("set") == [["True"], ["False"]]
    clip = avatar.sequence
    assert clip is not None
    moment = clip.sample(4 * clip.fps)
    expr = np.array(moment.expr, np.float64)
    expr[0, 3] = 1.5
    one = Sequence(clip.basis, clip.fps, expr, moment.rotation, moment.neck, moment.jaw, moment.eyes, moment.eyelids,
                   moment.translation, expr_names=clip.expr_names)
    assert decibels(done.pictures[0], wanted(avatar, 0, FRONT, PLACE, one)) > BOUND


def test_without_compute_shaders_the_processor_fills_a_texture(tmp_path: Path, built: Built,
                                                               standin: tuple[Path, Avatar]) -> None:
    path, avatar = standin
    play = begin(tmp_path, path, FRONT, SIDE, engine="compute=0").add("seek name=p to=4", "frame")
    play.add("set name=p most=1000", "frame", "say name=p", "console", "end", "close").run(built.programs[GAME])
    done = play.replay()
    assert done.counts["dispatch"] == 0 and done.counts["AvatarFallback.shader: Splats"] == 4
    for picture, view in zip(done.pictures[:2], (FRONT, SIDE), strict=True):
        assert decibels(picture, wanted(avatar, 4, view, PLACE)) > BOUND
    dropped = str(sum(len(layer.cloud) for layer in avatar.layers if isinstance(layer, SplatLayer)) - 1000)
    assert dropped in play.of("state")[0][5] and len(play.of("console")) == 1 and dropped in play.of("console")[0][0]
    fewer, whole = done.pictures[2].rgba, done.pictures[0].rgba
    assert fewer[..., :3].std() > 0.02 and np.abs(fewer - whole).max() > 0.05


@pytest.mark.parametrize("cell", [cell for cell in stage.STAGES if cell.pipeline != "built-in"], ids=lambda cell: cell.name)
def test_render_pipelines_show_the_same(cell: Cell, tmp_path: Path, built: Built, standin: tuple[Path, Avatar]) -> None:
    path, avatar = standin
    play = begin(tmp_path, path, FRONT, SIDE, engine=f"pipeline={cell.pipeline} hdr=1").add("seek name=p to=4", "frame")
    done = shown(play, built.programs[cell])
    assert [picture.camera for picture in done.pictures] == ["A", "B"]
    for picture, view in zip(done.pictures, (FRONT, SIDE), strict=True):
        assert decibels(picture, wanted(avatar, 4, view, PLACE)) > ORDER_BOUND


def test_nothing_is_allocated_once_it_runs(tmp_path: Path, built: Built, standin: tuple[Path, Avatar]) -> None:
    path, _ = standin
    play = begin(tmp_path, path, FRONT, SIDE, player="plays=1 idle=1")
    play.add("frame", "quiet frames=40", "end").run(built.programs[GAME])
    ((total, least),) = play.of("allocated")
    assert (total, least) == ("0", "0")


def test_mesh_layers_and_the_textured_head(tmp_path: Path, built: Built) -> None:
    avatar, path = tiny_avatar("mesh-texture"), tmp_path / "mesh.flameavatar"
    unity.write(avatar, path, unity.Options())
    back = stage.read(path)
    view = View("A", (0.31, 0.1, 1.7), (0, 0, -1), 30, (160, 160))
    play = begin(tmp_path / "play", path, view).add("seek name=p to=0.03", "frame", "set name=p turn=-60 axis=0.2,1,0.1", "frame")
    done = shown(play, built.programs[GAME])
    for picture, place in zip(done.pictures, (PLACE, Place(PLACE.position, -60, PLACE.axis)), strict=True):
        assert decibels(picture, wanted(back, 0.03, view, place)) > MESH_BOUND


def test_the_textured_head_under_the_gaussians(tmp_path: Path, built: Built, standin: tuple[Path, Avatar]) -> None:
    path, avatar = standin
    head, maps = avatar.head, avatar.maps
    assert maps is not None and head.uvs is not None and head.uv_faces is not None
    albedo = maps.images["albedo"][..., :3]
    texture = np.concatenate([albedo, np.ones((*albedo.shape[:2], 1))], axis=2).astype(np.float32)
    skin = SkinBinding(vertex_index=np.arange(len(head.v_template), dtype=np.int32))
    normals = np.tile(np.array([0, 0, 1], np.float32), (len(head.v_template), 1))
    mesh = MeshLayer(head.v_template, normals, head.faces, head.uvs, head.uv_faces, skin, texture=texture, opaque=True)
    both = dataclasses.replace(avatar, layers=(mesh, *avatar.layers))
    done = shown(begin(tmp_path, path, FRONT, player="head=1").add("seek name=p to=4", "frame", "set name=p head=0", "frame"),
                 built.programs[GAME])
    assert decibels(done.pictures[0], wanted(both, 4, FRONT, PLACE)) > MESH_BOUND
    assert np.abs(done.pictures[0].rgba - done.pictures[1].rgba).max() > 0.02
    assert decibels(done.pictures[1], wanted(avatar, 4, FRONT, PLACE)) > ORDER_BOUND


def test_a_file_is_imported_and_dragged_into_a_scene(tmp_path: Path, built: Built, standin: tuple[Path, Avatar]) -> None:
    path, avatar = standin
    assert avatar.sequence is not None
    clip, damaged = tmp_path / "clip.flameseq", tmp_path / "damaged.flameavatar"
    sequence_json.write(avatar.sequence, clip)
    damaged.write_bytes(path.read_bytes()[:5000])
    play = Play(tmp_path / "play").add(f"engine playing=0 pipeline={EDITOR.pipeline}", "screen width=192 height=192",
                                       f"project package={PACKAGE}", f"open folder={tmp_path / 'play'}")
    play.add(f"import file={path} name=p", f"set name=p {PLACE.words}", FRONT.words, "seek name=p to=4", "frame",
             "inspect name=p", f"import file={clip}", f"import file={damaged}", "listeners", "frame")
    done = shown(play, built.programs[EDITOR])
    assert play.of("main") == [["GameObject"], ["SequenceAsset"]]
    kinds = {line[0]: line[1] for line in play.of("object")}
    assert kinds["player"] == "GameObject" and kinds["avatar"] == "AvatarAsset" and kinds["clip"] == "SequenceAsset"
    assert {line[0].rpartition("/")[2] for line in play.of("depends")} >= {"AvatarKernels.compute", "Avatar.shader"}
    (error,) = play.of("error")
    assert str(damaged) in error[0]
    assert play.of("inspector") == [["AvatarPlayerEditor"]]
    assert decibels(done.pictures[0], wanted(avatar, 4, FRONT, PLACE)) > ORDER_BOUND


def test_the_sample_s_scripts_run(tmp_path: Path, built: Built, small: tuple[Path, Avatar], standin: tuple[Path, Avatar]) -> None:
    view = View("A", (0, 0, -0.9), (0, 0, 1), 30, (96, 96))
    play = begin(tmp_path, small[0], view, player="plays=1", place=Place())
    play.add("component camera=A type=OrbitCamera", "component name=p type=ExpressionSliders",
             f"component name=p type=AvatarFromFile path={standin[0]}", "component name=p type=ArkitDriver", "frame", "gui",
             "frame seconds=0.5", "gui", "say name=p")
    done = shown(play, built.programs[GAME])
    # The second file was loaded while the game ran; the camera turned to look at the face.
    assert standin[1].sequence is not None
    assert float(play.of("state")[0][2]) == pytest.approx((len(standin[1].sequence.expr) - 1) / standin[1].sequence.fps, abs=1e-6)
    assert done.pictures[-1].rgba[..., :3].std() > 0.02


def test_the_self_test_passes_on_the_cpu_card(tmp_path: Path, built: Built) -> None:
    def played(name: str, words: str = "") -> Play:
        folder = tmp_path / name
        return Play(folder).add("engine playing=0", f"project package={PACKAGE}", f"open folder={folder}", f"selftest {words}",
                                "console", "end", "close").run(built.programs[EDITOR])

    # A card's answers come with the second time: they are a replay of the first.
    first = played("first")
    answers = first.replay().write_answers(tmp_path / "answers")
    blind, seeing = (json.loads(play.of("selftest")[0][0]) for play in (first, played("second", f"answers={answers}")))
    assert seeing["pipeline"] == "built-in" and seeing["unity"].startswith("6000")
    kernels = {name for check in seeing["checks"] for name in check["kernel"].split(", ")}
    assert not blind["passed"] and any(not check["passed"] for check in blind["checks"])
    assert kernels >= {"PoseVertices", "PoseSplats", "ProjectSplats", "Scatter"}
    assert [check for check in seeing["checks"] if not check["passed"]] == [] and seeing["passed"]


def test_the_recorder_refuses_mistakes(tmp_path: Path, built: Built) -> None:
    play = Play(tmp_path).add("mistakes").run(built.programs[GAME])
    found = dict(play.of("mistake"))
    assert len(found) == 20
    assert [name for name, said in found.items() if said == "nothing"] == []
    assert "multiple of 4" in found["stride"] and "PoseVertexes" in found["kernel"] and "left on the card" in found["leak"]


def test_the_replay_refuses_mistakes(tmp_path: Path, built: Built, small: tuple[Path, Avatar]) -> None:
    view = View("A", (0.31, 0.1, 1.7), (0, 0, -1), 30, (64, 64))
    shown(begin(tmp_path, small[0], view).add("seek name=p to=0.03", "frame"), built.programs[GAME])
    trace = tmp_path / "trace.jsonl"
    whole = [json.loads(line) for line in trace.read_text().splitlines()]

    def first(op: str, name: str = "") -> int:
        return next(i for i, said in enumerate(whole)
                    if said["op"] == op and name in (said.get("kernel") or said.get("pass") or ""))

    def refused(number: int, match: str, **changes: object) -> None:
        lines = [dict(line) for line in whole]
        for key, value in changes.items():
            if isinstance(value, dict):
                value = {k: v for k, v in (lines[number][key] | value).items() if v is not None}
            lines[number][key] = value
        trace.write_text("\n".join(json.dumps(line) for line in lines))
        with pytest.raises(replay.Mistake, match=match):
            replay.Replay(tmp_path).run()

    project, count, splats = first("dispatch", "ProjectSplats"), first("dispatch", "CountDigits"), first("draw", "Splats")
    keys = whole[project]["buffers"]["_Keys"]
    made = next(i for i, said in enumerate(whole) if said["op"] == "buffer" and said["id"] == keys)
    refused(project, "nothing is bound to _Keys", buffers={"_Keys": None})
    refused(project, "no value for _Total", constants={"_Total": None})
    refused(project, "whole number", constants={"_Record": 1.5})
    refused(project, "was released", buffers={"_Keys": -keys})
    refused(project, "elements of 16 bytes", buffers={"_Keys": whole[project]["buffers"]["_WorldIn"]})
    refused(project, "a second time", buffers={"_Ellipses": whole[project]["buffers"]["_WorldIn"]})
    refused(project, "groups for", groups=[1000, 1, 1])
    refused(count, "groups for", groups=[7, 1, 1])
    refused(made, "elements; it takes", count=4)
    refused(splats, "nothing is bound to _Order", buffers={"_Order": None})
    refused(splats, "instances", instances=2)


@pytest.mark.demo
def test_the_trained_demo_looks_as_the_reference(demo: Path, tmp_path: Path, built: Built) -> None:
    avatar, path = bundle.read(demo / "avatar.avatar"), tmp_path / "demo.flameavatar"
    clip = standin_clip(avatar.head)
    for grade in ("plain", "small"):
        unity.write(avatar, path, unity.Options(grade=grade))
        back, take = stage.read(path), tmp_path / "clip.fpsq"
        sequence_binary.write(clip, take)
        view = View("A", (0.35, 0.15, 2.1), (0, -0.02, -1), 16)
        play = begin(tmp_path / grade, path, view, player=f"clip={take}")
        play.add("seek name=p to=0.8", "frame", "set name=p quality=Direct", "seek name=p to=4.7", "frame")
        done = shown(play, built.programs[GAME])
        for picture, seconds in zip(done.pictures, (0.8, 4.7), strict=True):
            assert decibels(picture, wanted(back, seconds, view, PLACE, clip)) > BOUND


@pytest.mark.lam
def test_lam_looks_as_the_reference(lam_zip: Path, tmp_path: Path, built: Built) -> None:
    avatar, path = lam.read(lam_zip), tmp_path / "lam.flameavatar"
    rng = np.random.default_rng(0)
    names = avatar.head.expr_names
    expr = np.clip(rng.normal(0, 0.4, (2, len(names))), 0, 1)
    clip = Sequence(avatar.head.edition, 25, expr, rotation=rng.normal(0, 0.15, (2, 3)), expr_names=names)
    path.write_bytes(unity_avatar.to_bytes(avatar))
    back, take = stage.read(path), tmp_path / "clip.fpsq"
    sequence_binary.write(clip, take)
    view, place = View("A", (0.35, 0.12, 2.3), (0, 0, -1), 20), standing(back)
    play = begin(tmp_path / "play", path, view, player=f"clip={take}", place=place)
    play.add("seek name=p to=0", "frame", "set name=p quality=Direct", "seek name=p to=0.04", "frame")
    done = shown(play, built.programs[GAME])
    for picture, seconds in zip(done.pictures, (0, 0.04), strict=True):
        assert decibels(picture, wanted(back, seconds, view, place, clip)) > BOUND
