"""The command line as a user meets it: exit codes, one-line errors, nothing half-written."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import flameport
from formats.codecs import bundle, sequence_json
from tests.builders import tiny_avatar, tiny_head, tiny_sequence


def run(*words: object) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "flameport", *map(str, words)], capture_output=True, text=True,
                          timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "tiny.avatar"
    bundle.write(tiny_avatar("edge-height"), path)
    return path


def main(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run in this process: quicker than `run`, and the same function."""
    code = flameport.main([str(w) for w in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_every_command_has_help() -> None:
    code, out, _ = run("--help")
    assert code == 0
    for name in flameport.COMMANDS:
        assert name in out


@pytest.mark.parametrize("name", flameport.COMMANDS)
def test_help_of(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        flameport.main([name, "--help"])
    assert stop.value.code == 0
    assert len(capsys.readouterr().out) > 100


@pytest.mark.parametrize("target", ["glb", "ply", "sequence", "web"])
def test_help_of_targets_shows_their_options(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        flameport.main(["export", "x.avatar", target, "--help"])
    assert stop.value.code == 0
    assert "--allow-loss" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["nonsense"], ["export"], ["pose", "x.avatar"], ["render", "x", "--size", "a"]])
def test_wrong_usage_is_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        flameport.main(words)
    assert stop.value.code == 2


@pytest.mark.parametrize("name", flameport.PLANNED)
def test_planned_commands_say_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = main(capsys, name)
    assert code == 1 and "planned" in err


def test_errors_are_one_line_and_1(tmp_path: Path) -> None:
    code, out, err = run("inspect", tmp_path / "absent.glb")
    assert code == 1 and out == ""
    assert err.count("\n") == 1 and "no such file" in err and "Traceback" not in err


@pytest.mark.parametrize("command", ["pose", "render", "export", "validate", "view"])
@pytest.mark.parametrize("content", [b"", b"not a file we know" * 9, b"PK\x03\x04broken", b"glTF\x02\x00\x00\x00"])
def test_garbage_is_refused_everywhere(command: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "x.avatar", tmp_path / "out.glb"
    source.write_bytes(content)
    words = {"pose": ["--out", out], "render": ["--out", out], "export": ["glb", "--out", out],
             "validate": ["--against", source], "view": ["--no-open"]}[command]
    code, _, err = main(capsys, command, source, *words)
    assert code == 1 and err.count("\n") == 1 and str(source) in err
    assert not out.exists() and sorted(p.name for p in tmp_path.iterdir()) == ["x.avatar"]


def test_the_path_from_bundle_to_glb_and_back(avatar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    glb = tmp_path / "tiny.glb"
    code, out, err = main(capsys, "export", avatar, "glb", "--out", glb, "--grade", "full", "--allow-loss")
    assert code == 0, err
    assert f"wrote {glb}" in out and "next:" in out
    code, out, _ = main(capsys, "validate", glb, "--against", avatar, "--frames", 3, "--json")
    assert code == 0 and json.loads(out)["ok"] is True
    code, out, _ = main(capsys, "inspect", glb, "--json")
    assert code == 0 and json.loads(out)["kind"] == "glb"


def test_pose_writes_the_arrays_of_the_contract(avatar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "posed.npz"
    code, _, err = main(capsys, "pose", avatar, "--frames", "0,1.5", "--out", out)
    assert code == 0, err
    with np.load(out) as arrays:
        shapes = {k: (v.shape, v.dtype.name) for k, v in arrays.items()}
    head = tiny_head()
    assert shapes["vertices"] == ((2, len(head.v_template), 3), "float32")
    assert shapes["means"] == ((2, 24, 3), "float32") and shapes["quats"] == ((2, 24, 4), "float32")
    assert shapes["scales"] == ((2, 24, 3), "float32") and shapes["opacities"] == ((2, 24), "float32")
    assert shapes["rgb"] == ((2, 24, 3), "float32") and shapes["sh"] == ((24, 4, 3), "float32")


def test_frames_outside_the_clip_are_refused(avatar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for frames in ("99", "-1", "a", "nan"):
        code, _, err = main(capsys, "pose", avatar, f"--frames={frames}", "--out", tmp_path / "p.npz")
        assert code == 1 and "--frames" in err
    assert not (tmp_path / "p.npz").exists()


def test_a_foreign_sequence_is_refused_with_the_way_out(avatar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "flame.json"
    sequence_json.write(tiny_sequence(tiny_head("flame2020"), 3, drivers=False), clip)
    code, _, err = main(capsys, "export", avatar, "glb", "--sequence", clip, "--out", tmp_path / "x.glb")
    assert code == 1 and "flame2020" in err
    assert not (tmp_path / "x.glb").exists()


def test_render_writes_pictures(avatar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = main(capsys, "render", avatar, "--frames", "0,2", "--size", 48, 64, "--out", tmp_path / "pictures")
    assert code == 0, err
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2
    code, _, err = main(capsys, "render", avatar, "--size", 48, 64, "--out", tmp_path / "film.mp4")
    assert code == 0, err
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_sequence_maps_arkit_onto_the_avatar(avatar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    track = tmp_path / "track.json"
    track.write_text(json.dumps({"names": ["jawOpen", "eyeBlinkLeft"], "frames": [{"weights": [0.0, 1.0]}, {"weights": [1, 0]}]}))
    code, _, err = main(capsys, "sequence", track, "--for", avatar, "--out", tmp_path / "clip.json")
    assert code == 0, err
    assert flameport.load_sequence(tmp_path / "clip.json").basis == "standin"


def test_import_names_what_it_can_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.zip").write_bytes(b"")
    for system in ("nonsense", "lam"):
        code, _, err = main(capsys, "import", system, tmp_path / "x.zip", "--out", tmp_path / "x.avatar")
        assert code == 1 and not (tmp_path / "x.avatar").exists(), err


def test_a_zip_that_climbs_out_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "x.avatar", "w") as z:
        z.writestr("../../evil/avatar.json", "{}")
    code, _, err = main(capsys, "inspect", tmp_path / "x.avatar")
    assert code == 1 and err.count("\n") == 1


def test_an_export_never_replaces_a_strangers_folder(avatar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for words in (["export", avatar, "web", "--out", tmp_path / "mine"], ["standin", "--out", tmp_path / "mine"]):
        code, _, _ = main(capsys, *words)
        assert code == 1
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("words, vertices", [
    (["--no-teeth"], 5023), (["--variant", "open-mouth", "--no-teeth"], 5023), ([], 5143)])
def test_head_writes_the_stand_in(words: list[str], vertices: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = main(capsys, "head", "standin", *words, "--out", tmp_path / "head.safetensors")
    assert code == 0, err
    code, out, _ = main(capsys, "inspect", tmp_path / "head.safetensors", "--json")
    assert code == 0 and json.loads(out)["vertices"] == vertices


@pytest.mark.parametrize(("name", "kind"), [("run.json", "training run"), ("textures.json", "textures"),
                                            ("capture.json", "tracked video, filmed by flameport")])
def test_inspect_reads_what_folders_say_of_themselves(name: str, kind: str, tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text('{"format": "x/1", "subject": "anna", "frames": {"train": 3}}')
    assert flameport.main(["inspect", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == kind and found["subject"] == "anna" and found["frames"] == {"train": 3}
    (tmp_path / name).write_text("[1, 2")
    assert flameport.main(["inspect", str(tmp_path)]) == 1
