"""Files that are not what they should be, through the command line: one clear line, exit code 1, nothing written.

Every other case finds an earlier output in place, which must stay as it is.
"""

import dataclasses
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import flameport
from formats.avatar import Meta
from formats.codecs import bundle, npz_file, sequence_json
from tests import bad_files
from tests.bad_files import READERS, Reader
from tests.breaking import Files, in_glb, in_json, put, unzipped, zipped
from tests.builders import tiny_avatar, tiny_head, tiny_sequence

ROOT = Path(__file__).resolve().parents[1]

CASES = [(name, way) for name, reader in READERS.items() for way in reader.ways()]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Valid inputs that commands need besides the broken one."""
    folder = tmp_path_factory.mktemp("valid")
    bundle.write(tiny_avatar(bad_files.KIND), folder / "a.avatar")
    (folder / "flame.pkl").write_bytes(bad_files.flame_pickle()["x.pkl"])
    return {"avatar": folder / "a.avatar", "flame": folder / "flame.pkl"}


def source(reader: Reader, folder: Path) -> str:
    """Return the path of what is read: a file, or a bundle's folder."""
    return str(folder / next(iter(reader.make())).split("/")[0])


def command(reader: Reader, folder: Path, inputs: dict[str, Path]) -> list[str]:
    names = {"file": source(reader, folder), "out": folder / reader.out, **inputs}
    return [word.format(**names) for word in reader.words]


def lay_out(files: dict[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def listing(folder: Path) -> dict[str, bytes | None]:
    """Return everything in a folder: bytes by name, None for folders."""
    return {p.relative_to(folder).as_posix(): None if p.is_dir() else p.read_bytes() for p in sorted(folder.rglob("*"))}


def previous(reader: Reader, folder: Path) -> None:
    """Put something in the place of the output."""
    if reader.out.endswith(".avatar"):
        lay_out({name.replace("x.avatar", reader.out): data for name, data in bad_files.bundle_folder().items()}, folder)
    elif reader.out:
        (folder / reader.out).write_bytes(b"what was here before")


def refuses(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str], named: str) -> str:
    """Check that the command ends as it should, and return its one line."""
    before = listing(folder)
    code = flameport.main(words)
    out, err = capsys.readouterr()
    assert code == 1, f"exit code {code}: {out}"
    assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1, err
    assert err[:-1].isprintable(), err
    assert named in err, f"does not name the file: {err}"
    assert not out, out
    assert listing(folder) == before, "changed files"
    return err


@pytest.mark.parametrize("name", READERS)
def test_the_files_are_good_before_they_are_broken(name: str, tmp_path: Path, inputs: dict[str, Path],
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    reader = READERS[name]
    lay_out(READERS[name].files(), tmp_path)
    code = flameport.main(command(reader, tmp_path, inputs))
    err = capsys.readouterr().err
    # The PLY is another avatar's, which `validate` says once it has read it.
    assert code == 0 or name == "inria_ply" and "20 Gaussians" in err, err


@pytest.mark.parametrize(("name", "way"), CASES)
def test_broken_files_end_in_one_line(name: str, way: str, tmp_path: Path, inputs: dict[str, Path],
                                      capsys: pytest.CaptureFixture[str]) -> None:
    reader = READERS[name]
    broken = reader.ways()[way](READERS[name].files())
    assert broken != READERS[name].files(), "the way does not break anything"
    lay_out(broken, tmp_path)
    words, file = command(reader, tmp_path, inputs), source(reader, tmp_path)
    if CASES.index((name, way)) % 2:
        previous(reader, tmp_path)
    refuses(words, tmp_path, capsys, file)
    if reader.inspects and reader.out:
        refuses(["inspect", file], tmp_path, capsys, file)


# --- Fuzz -------------------------------------------------------------------------------------------------------------

ROUNDS = 60
"""Per reader; the whole takes some ten seconds."""


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes flipped, cut, with a piece doubled, or with a number made huge, somewhere."""
    values, at = bytearray(data), int(rng.integers(len(data)))
    # Headers say the most: look for trouble there half of the time.
    at = at if rng.random() < 0.5 else at % 512 % len(data)
    match rng.integers(5):
        case 0:
            values[at] ^= 1 << int(rng.integers(8))
        case 1:
            for i in rng.integers(len(data), size=8):
                values[i] = int(rng.integers(256))
        case 2:
            del values[at:at + int(rng.integers(1, 64))]
        case 3:
            values[at:at] = values[at:at + int(rng.integers(1, 256))]
        case _:
            values[at:at + 4] = rng.choice([b"\xff\xff\xff\x7f", b"\0\0\0\0", b"9999", b"\xff\xff\xff\xff"])
    return bytes(values)


def fuzzed(files: Files, rng: np.random.Generator) -> Files:
    """Return the files with one of them damaged; zips inside a member as often as not, past their checksums."""
    name = list(files)[int(rng.integers(len(files)))]
    data = files[name]
    if data.startswith(b"PK") and rng.random() < 0.7:
        members = unzipped(data)
        inner = rng.choice([member for member, content in members.items() if content])
        return files | {name: zipped(members | {inner: damaged(members[inner], rng)})}
    return files | {name: damaged(data, rng)}


@pytest.mark.parametrize("name", READERS)
def test_nothing_but_clear_errors_comes_out_of_damaged_files(
        name: str, tmp_path: Path, inputs: dict[str, Path], capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    # The words stay the same: taking them apart once saves most of the time that a refusal takes.
    parse, parsed = flameport.tyro.extras.subcommand_cli_from_dict, {}

    def parse_once(commands: dict[str, type], *, args: list[str], **rest: str) -> object:
        if tuple(args) not in parsed:
            parsed[tuple(args)] = parse(commands, args=args, **rest)
        return parsed[tuple(args)]

    monkeypatch.setattr(flameport.tyro.extras, "subcommand_cli_from_dict", parse_once)
    reader, rng = READERS[name], np.random.default_rng(zlib.crc32(name.encode()))
    words, refused = command(reader, tmp_path, inputs), 0
    for _ in range(ROUNDS):
        broken = fuzzed(READERS[name].files(), rng)
        lay_out(broken, tmp_path)
        before = listing(tmp_path)
        code = flameport.main(words)
        err = capsys.readouterr().err
        if code == 1:
            refused += 1
            assert err.startswith("error: ") and err.count("\n") == 1 and err[:-1].isprintable(), err
            assert source(reader, tmp_path) in err, err
            assert listing(tmp_path) == before
        else:
            assert code == 0 and not err
    assert refused > ROUNDS / 10


# --- Memory -----------------------------------------------------------------------------------------------------------

GUARD = """
import json, resource, sys
import flameport, formats.codecs.glb_avatar, formats.codecs.bundle, formats.importers.lam, exporter.validate, PIL.Image
import formats.codecs.posed_npz, formats.networks, formats.video, formats.render, rich.console, rich.table
jobs = json.load(sys.stdin)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (320 << 20),) * 2)
print(json.dumps([flameport.main(words) for words in jobs]))
"""
"""Commands in a process that may take 320 MB more than its modules did: above what any limit of ours allows."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
def test_sizes_that_files_declare_are_not_allocated(tmp_path: Path, inputs: dict[str, Path]) -> None:
    jobs, files = [], []
    for name, reader in READERS.items():
        for way, change in reader.ways().items():
            if "huge" in way or "bomb" in way:
                folder = tmp_path / str(len(jobs))
                lay_out(change(READERS[name].files()), folder)
                jobs.append(command(reader, folder, inputs))
                files.append(source(reader, folder))
    assert len(jobs) > 30
    done = subprocess.run([sys.executable, "-c", GUARD], input=json.dumps(jobs), capture_output=True, text=True, check=True,
                          cwd=ROOT, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    assert json.loads(done.stdout) == [1] * len(jobs)
    lines = [line for line in done.stderr.splitlines() if line not in ("reading x.zip as lam", "reading back")]
    assert len(lines) == len(jobs), done.stderr
    for file, line in zip(files, lines, strict=True):
        assert file in line and "not enough memory" not in line


# --- Around the files -------------------------------------------------------------------------------------------------


def flameport_process(*words: object, limit: str = "") -> subprocess.CompletedProcess[str]:
    code = f"import sys, flameport\n{limit}\nsys.exit(flameport.main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=120,
                          check=False, cwd=ROOT)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of file size are Unix's")
@pytest.mark.parametrize("out", ["o.npz", "o.mp4", "o.glb", "o.json", "o.avatar"])
def test_a_full_disk_keeps_what_was_there(out: str, tmp_path: Path, inputs: dict[str, Path]) -> None:
    words = {"o.npz": ["pose", inputs["avatar"]], "o.mp4": ["render", inputs["avatar"], "--size", 64, 64],
             "o.glb": ["export", inputs["avatar"], "glb", "--allow-loss"], "o.json": ["sequence", tmp_path / "x.json"],
             "o.avatar": ["import", "lam", tmp_path / "x.zip"]}[out]
    lay_out(READERS["lam"].files() | READERS["sequence json"].files(), tmp_path)
    previous(dataclasses.replace(READERS["lam"], out=out), tmp_path)
    before = listing(tmp_path)
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))"
    done = flameport_process(*words, "--out", tmp_path / out, limit=full)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / out}: cannot be written: ") and "Traceback" not in done.stderr
    assert listing(tmp_path) == before


@pytest.mark.parametrize("words", [
    ["inspect", "x" * 300], ["pose", "x" * 300, "--out", "o.npz"], ["import", "lam", "x" * 300, "--out", "o.avatar"],
    ["head", "x" * 300, "--edition", "flame2020", "--out", "o"], ["validate", "x" * 300, "--against", "a.avatar"]])
def test_names_that_no_system_takes(words: list[str], tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    lay_out({name.replace("x.avatar", "a.avatar"): data for name, data in bad_files.bundle_folder().items()}, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "File name too long" in refuses(words, tmp_path, capsys, "xxx")


@pytest.mark.parametrize("kind", ["edge-height", "linear-network", "strands"])
def test_a_sequence_of_another_edition_names_the_file(kind: str, tmp_path: Path, inputs: dict[str, Path],
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    bundle.write(tiny_avatar(kind), tmp_path / "a.avatar")
    file = tmp_path / "other.json"
    sequence_json.write(tiny_sequence(tiny_head("flame2020"), 3, drivers=False), file)
    for words in (["pose", "{a}", "--sequence", "{s}", "--out", "{o}.npz"],
                  ["sequence", "{s}", "--for", "{a}", "--out", "{o}.json"],
                  ["render", "{a}", "--sequence", "{s}", "--out", "{o}.png"],
                  ["export", "{a}", "glb", "--sequence", "{s}", "--out", "{o}.glb"]):
        words = [word.format(a=tmp_path / "a.avatar", s=file, o=tmp_path / "o") for word in words]
        err = refuses(words, tmp_path, capsys, str(file))
        assert "flame2020" in err and "standin" in err and "flameport sequence" in err


@pytest.mark.parametrize("member", ["network0.onnx"])
def test_a_damaged_network_names_the_avatar(member: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    avatar = tmp_path / "a.avatar"
    bundle.write(dataclasses.replace(tiny_avatar("world"), sequence=tiny_sequence(frames=2)), avatar)
    whole = (avatar / member).read_bytes()
    for data in (b"noise" * 99, whole[:len(whole) // 2], b"\0" * 64):
        (avatar / member).write_bytes(data)
        for words in (["pose", avatar, "--out", tmp_path / "o.npz"], ["render", avatar, "--out", tmp_path / "o.png"]):
            refuses([str(word) for word in words], tmp_path, capsys, str(avatar))


@pytest.mark.parametrize("manifest", [
    b"", b"{}", b"noise", b'{"avatar": "../a.glb", "camera": "c"}', b'{"avatar": "/dev/zero", "camera": "c"}',
    b'{"avatar": "avatar.glb", "camera": "../c"}', b'{"avatar": "avatar.glb", "camera": "c"}', b'{"avatar": 5, "camera": "c"}'])
def test_a_page_that_is_not_what_its_manifest_says(manifest: bytes, tmp_path: Path, inputs: dict[str, Path],
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    lay_out({"page/manifest.json": manifest, "page/index.html": b"<html>"}, tmp_path)
    refuses(["validate", str(tmp_path / "page"), "--against", str(inputs["avatar"])], tmp_path, capsys, str(tmp_path / "page"))


def test_names_in_files_do_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J[/red][bold]\x07\u202e\u2028x"
    avatar = dataclasses.replace(tiny_avatar(), meta=Meta(name=evil, source=evil))
    bundle.write(avatar, tmp_path / "x.avatar")
    assert flameport.main(["inspect", str(tmp_path / "x.avatar")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\u202e" not in out and r"\x1b[2J[/red][bold]" in out.replace("\n", "")
    change = in_glb(put(("extensions", "FLAMEPORT_avatar", "version"), evil))
    lay_out({"x.glb": change(READERS["glb"].files()["x.glb"])}, tmp_path)
    refuses(["inspect", str(tmp_path / "x.glb")], tmp_path, capsys, "x.glb")
    lay_out({"y.json": in_json(put("camera " + evil, 1))(READERS["sequence json"].files()["x.json"])}, tmp_path)
    done = flameport_process("sequence", tmp_path / "y.json", "--out", tmp_path / "o.json")
    assert done.returncode == 0 and r"\x1b[2J" in done.stderr and "\x1b" not in done.stderr


# --- One JSON object on stdout, and wrong usage -----------------------------------------------------------------------

SIDES = ("flame masks", "flame landmarks", "flame template", "eyelids", "lam", "lam flame")
"""What `inspect` does not know: inputs of one command only."""
INSPECTED = [name for name in READERS if name not in SIDES]


@pytest.mark.parametrize("name", [*INSPECTED, "npz"])
def test_inspect_prints_one_json_object(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "npz":
        npz_file.write({"a": np.zeros(3)}, tmp_path / "x.npz")
        file = str(tmp_path / "x.npz")
    else:
        lay_out(READERS[name].files(), tmp_path)
        file = source(READERS[name], tmp_path)
    assert flameport.main(["inspect", file, "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert isinstance(found, dict) and found["kind"] and out.startswith("{\n") and out.endswith("}\n") and not err


def test_json_commands_keep_progress_off_stdout(tmp_path: Path, inputs: dict[str, Path]) -> None:
    avatar, glb = inputs["avatar"], tmp_path / "x.glb"
    assert flameport.main(["export", str(avatar), "glb", "--out", str(glb), "--grade", "full", "--allow-loss"]) == 0
    ply = tmp_path / "x.ply"
    assert flameport.main(["export", str(avatar), "ply", "--out", str(ply), "--allow-loss"]) == 0
    for file in (glb, ply):
        done = flameport_process("validate", file, "--against", avatar, "--frames", 2, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["ok"] is True
        assert all(not line.startswith("{") for line in done.stderr.splitlines())
    # Past the tolerance: still one object, then the reason.
    lay_out({"x.ply": READERS["inria_ply"].files()["x.ply"]}, tmp_path)
    moved = ply.read_bytes()
    bundle.write(dataclasses.replace(tiny_avatar(bad_files.KIND), layers=tuple(
        dataclasses.replace(layer, cloud=dataclasses.replace(layer.cloud, means=layer.cloud.means + 0.5))
        for layer in tiny_avatar(bad_files.KIND).layers)), tmp_path / "moved.avatar")
    assert flameport.main(["export", str(tmp_path / "moved.avatar"), "ply", "--out", str(ply), "--allow-loss"]) == 0
    assert ply.read_bytes() != moved
    done = flameport_process("validate", ply, "--against", avatar, "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["ok"] is False
    assert done.stderr.splitlines()[-1].startswith(f"error: {ply}: past the tolerance")


@pytest.mark.parametrize("words", [
    [], ["nonsense"], ["export"], ["export", "x.avatar"], ["export", "x.avatar", "glb"], ["pose", "x.avatar"], ["render", "x"],
    ["render", "x", "--out", "o", "--size", "a", "b"], ["render", "x", "--out", "o", "--size", "5"], ["inspect"],
    ["inspect", "x", "--jsn"], ["inspect", "x", "y"], ["validate", "x"], ["validate", "x", "--against", "y", "--frames", "few"],
    ["head", "x.pkl"], ["head", "x.pkl", "--out", "o", "--edition", "flame1999"], ["import", "lam"], ["import"],
    ["sequence", "--out", "o.json"], ["sequence", "x", "--out", "o.json", "--neutral", "smile"], ["standin"],
    ["export", "x", "glb", "--out", "o", "--grade", "huge"], ["export", "x", "glb", "--out", "o", "--nonsense"],
    ["view", "x", "--port", "http"], ["view"]], ids=" ".join)
def test_wrong_usage_ends_with_2(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        flameport.main(words)
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and not out and err
    assert not list(tmp_path.iterdir())
