"""One tiny valid file for every reader of the command line, and ways to break each.

    reader = READERS["inria_ply"]
    reader.files()                  the valid files by name, as bytes; the first is the one that is read
    reader.ways()["cut in half"]    files -> broken files

A way to break is a function of all files, so that a bundle, a zip and a single file are broken by the same ones.
"""

import dataclasses
import functools
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from exporter.export import export
from formats.codecs import bundle, camera_json, head_file, inria_ply, sequence_binary, sequence_json
from formats.conventions import ARKIT_52
from formats.head_model import HeadModel
from tests.bad_ways import (
    ARKIT,
    BINARY,
    CAMERA,
    CSV,
    FLAME,
    FLAME_PARAMS,
    GLB,
    HEAD,
    LANDMARKS,
    LIDS,
    MANIFEST,
    MASKS,
    NPZ,
    OBJ,
    PLY,
    SEQUENCE,
    TENSORS,
)
from tests.breaking import Change, Files, bomb, drop, in_json, in_zip, npy, put, unzipped, with_member, zipped
from tests.builders import tiny_avatar, tiny_camera, tiny_cloud, tiny_head, tiny_sequence
from tests.formats import lam_fixture
from tests.formats.flame_fixture import flame_tables

Way = Callable[[Files], Files]
OURS = ("an unknown edition", "a later version", "a huge head of zeros", "NaN")
"""Ways to break a GLB that need what only flameport's have."""
KIND = "edge-height"
"""The avatar that the readers' files are of."""
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 40


@dataclass(frozen=True)
class Reader:
    """What reads a file, and how it can be wrong."""

    make: Callable[[], Files]
    """Valid files; the first name is the one the command is given."""
    words: tuple[str, ...]
    """The command: {file} is the first file, {out} what it would write, {avatar} and {flame} are valid inputs."""
    own: dict[str, Way] = field(default_factory=dict)
    """Ways that need to know the format."""
    out: str = ""
    """Name of what the command would write; nothing when it only tells."""
    inspects: bool = True
    """`inspect` opens the file whole, so that it must refuse what `words` refuses."""
    tail: int = 1
    """So many bytes off the end cannot go unnoticed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "make", functools.cache(self.make))

    def files(self) -> Files:
        """Return the valid files."""
        return dict(self.make())

    def ways(self) -> dict[str, Way]:
        """Return every way to break the files, by what it does."""
        return {"missing": lambda files: dict(list(files.items())[1:]) if len(files) == 1 else {}} | {
            f"{what} {name}" if len(self.make()) > 1 else what: on(name, change)
            for name in self.make() for what, change in self._anywhere().items()} | self.own

    def _anywhere(self) -> dict[str, Change]:
        return {"empty": lambda data: b"", "cut at the start": lambda data: data[:7],
                "cut in half": lambda data: data[:len(data) // 2],
                "cut at the end": lambda data: data.rstrip()[:-self.tail],
                "noise": lambda data: np.random.default_rng(1).bytes(4096), "zeros": lambda data: bytes(4096),
                "text": lambda data: b"not a file we know\n" * 9, "a picture": lambda data: PNG}


def on(name: str, change: Change) -> Way:
    """Return a way that changes one of the files."""
    return lambda files: files | {name: change(files[name])}


def first(change: Change) -> Way:
    """Return a way that changes the first file."""
    return lambda files: files | {next(iter(files)): change(next(iter(files.values())))}


# --- Valid files ------------------------------------------------------------------------------------------------------


def written(name: str, write: Callable[[Path], Any]) -> Files:
    """Return what a writer makes, by name."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / name
        write(target)
        found = [target] if target.is_file() else sorted(target.rglob("*"))
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


@functools.cache
def bundle_folder() -> Files:
    """Return a bundle with a clip."""
    avatar = dataclasses.replace(tiny_avatar(KIND), sequence=tiny_sequence(frames=3))
    return written("x.avatar", lambda path: bundle.write(avatar, path))


@functools.cache
def bundle_zip() -> Files:
    """Return the same as a zip."""
    return {"x.zip": zipped({Path(name).name: data for name, data in bundle_folder().items()})}


@functools.cache
def glb() -> Files:
    """Return the same as a GLB."""
    avatar = dataclasses.replace(tiny_avatar(KIND), sequence=tiny_sequence(frames=3))
    return written("x.glb", lambda path: export(avatar, "glb", path, allow_loss=True))


@functools.cache
def flame_head() -> HeadModel:
    """Return the tiny head with as many directions as FLAME has."""
    rng, head = np.random.default_rng(0), tiny_head("flame2020")
    count = len(head.v_template)
    return dataclasses.replace(head, shapedirs=rng.normal(0, 0.002, (count, 3, 300)), expr_names=(), arkit_map=None,
                               exprdirs=rng.normal(0, 0.002, (count, 3, 100)), content_hash="")


@functools.cache
def flame_pickle() -> Files:
    """Return it as a FLAME pickle."""
    return {"x.pkl": pickle.dumps(flame_tables(flame_head()), 2)}


def _flame_params() -> bytes:
    frame = {"expression": [0.5, 0.1], "pose": [0.0] * 15, "world_mat": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -4]]}
    return json.dumps({"intrinsics": [-4, 4, 0.5, 0.5], "frames": [frame] * 3}).encode()


def _csv() -> bytes:
    names = [name[:1].upper() + name[1:] for name in ARKIT_52]
    rows = [[f"00:00:00:0{i}.0", "52", *("0.25",) * 52] for i in range(3)]
    return "\n".join(",".join(row) for row in [["Timecode", "BlendShapeCount", *names], *rows]).encode()


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, expr=np.full((3, 5), 0.5), rotation=np.zeros((3, 3)), neck_pose=np.zeros((3, 3)),
             jaw_pose=np.zeros((3, 3)), eyes_pose=np.zeros((3, 6)), translation=np.zeros((3, 3)))
    return buffer.getvalue()


def _obj() -> bytes:
    head = flame_head()
    assert head.uvs is not None and head.uv_faces is not None
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in head.v_template]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in head.uvs]
    lines += ["f " + " ".join(f"{v + 1}/{t + 1}" for v, t in zip(face, uvs, strict=True))
              for face, uvs in zip(head.faces, head.uv_faces, strict=True)]
    return "\n".join(lines).encode()


def _landmarks() -> bytes:
    made = {"static_lmk_faces_idx": np.arange(51), "static_lmk_bary_coords": np.full((51, 3), 1 / 3)}
    return pickle.dumps(made, 2)


def _lids() -> bytes:
    return npy(np.zeros((len(flame_head().v_template), 3)))


@functools.cache
def lam(flame: bool) -> Files:
    """Return a LAM zip in one of its two layouts."""
    members = lam_fixture.flame_files() if flame else lam_fixture.arkit_files()
    return written("x.zip", lambda path: lam_fixture.write_zip(path, members, litter=False))


def _all(ways: dict[str, Change]) -> dict[str, Way]:
    return {name: first(change) for name, change in ways.items()}


def _bundle(member: str, ways: dict[str, Change], zip_: bool) -> dict[str, Way]:
    if zip_:
        return {f"{member}: {name}": first(in_zip(member, change)) for name, change in ways.items()}
    return {f"{member}: {name}": on(f"x.avatar/{member}", change) for name, change in ways.items()}


def _bundles(zip_: bool) -> dict[str, Way]:
    made = _bundle("avatar.json", MANIFEST, zip_) | _bundle("layer0.safetensors", TENSORS, zip_)
    made |= _bundle("head.safetensors", HEAD, zip_) | _bundle("sequence.fpsq", BINARY, zip_)
    if zip_:
        return made | _zips("avatar.json", "head.safetensors", "layer0.safetensors", "sequence.fpsq")
    return made | {f"without {name}": functools.partial(_lacking, name) for name in bundle_folder()}


def _lacking(name: str, files: Files) -> Files:
    return {other: data for other, data in files.items() if other != name}


def _zips(*members: str) -> dict[str, Way]:
    """Return what can be wrong with a zip of these members."""
    made = {"a member that leaves": with_member("../evil"), "an absolute member": with_member("/evil"),
            "a member on a drive": with_member("C:\\evil"), "a member that leaves in the middle": with_member("a/../../evil"),
            "a bomb": bomb, "nothing in it": lambda data: zipped({}),
            "a damaged member": lambda data: data[:len(data) // 3] + b"\xaa" * 64 + data[len(data) // 3 + 64:]}
    for member in members:
        made[f"without {member}"] = functools.partial(_without, member)
        made[f"{member} empty"] = in_zip(member, lambda data: b"")
        made[f"{member} cut"] = in_zip(member, lambda data: data[:len(data) // 2])
        made[f"{member} of noise"] = in_zip(member, lambda data: np.random.default_rng(1).bytes(4096))
    return _all(made)


def _without(member: str, data: bytes) -> bytes:
    return zipped({name: content for name, content in unzipped(data).items() if name != member})


def _lam(flame: bool) -> dict[str, Way]:
    members = {"ada/offset.ply": {k: v for k, v in PLY.items() if k != "infinity"},
               "ada/skin.glb": {k: v for k, v in GLB.items() if k not in OURS}}
    made = _zips("ada/skin.glb", "ada/offset.ply") | _all({
        "another avatar's splats": in_zip("ada/offset.ply", lambda data: inria_ply.pack(tiny_cloud(7))),
        "an order that is none": in_zip("ada/vertex_order.json", in_json(put(0, 5)))})
    if flame:
        made |= _zips("ada/bone_tree.json", "ada/lbs_weight_20k.json")
        members |= {
            "ada/lbs_weight_20k.json": {"mistyped": in_json(put(0, "x")), "NaN": in_json(put((0, 0), np.nan)),
                                        "too few": in_json(drop(0)), "that do not sum": in_json(put(0, [9] * 5))},
            "ada/bone_tree.json": {"mistyped": in_json(put("bones", 1)), "another tree": in_json(put("bones", []))},
            "ada/flame_params.json": {"NaN": in_json(put(("expr", 0, 0), np.nan)), "mistyped": in_json(put("expr", "x")),
                                      "too wide": in_json(put("jaw_pose", [[0] * 9] * 3)), "no expr": in_json(drop("expr"))}}
    for member, ways in members.items():
        made |= {f"{member}: {name}": first(in_zip(member, change)) for name, change in ways.items()}
    return made


HEAD_WORDS = ("head", "{flame}", "--edition", "flame2020", "--out", "{out}")
POSE = ("pose", "{file}", "--frames", "0", "--out", "{out}")
SEQ = ("sequence", "{file}", "--out", "{out}")
READERS: dict[str, Reader] = {
    "bundle folder": Reader(bundle_folder, POSE, _bundles(False), "o.npz"),
    "bundle zip": Reader(bundle_zip, POSE, _bundles(True), "o.npz"),
    "glb": Reader(glb, POSE, _all(GLB), "o.npz"),
    "inria_ply": Reader(lambda: written("x.ply", lambda path: inria_ply.write(tiny_cloud(), path)),
                        ("validate", "{file}", "--against", "{avatar}"), _all(PLY), inspects=False),
    "sequence json": Reader(lambda: written("x.json", lambda path: sequence_json.write(tiny_sequence(frames=3), path)),
                            SEQ, _all(SEQUENCE), "o.json"),
    "sequence binary": Reader(lambda: written("x.fpsq", lambda path: sequence_binary.write(tiny_sequence(frames=3), path)),
                              SEQ, _all(BINARY), "o.json"),
    "arkit json": Reader(lambda: {"x.json": json.dumps({
        "names": ["jawOpen", "eyeBlinkLeft"], "frames": [{"weights": [0.5, 1.0]}] * 3}).encode()},
        SEQ, _all(ARKIT), "o.json"),
    "arkit csv": Reader(lambda: {"x.csv": _csv()}, SEQ, _all(CSV), "o.json", tail=20),
    "vhap npz": Reader(lambda: {"x.npz": _npz()}, (*SEQ, "--edition", "flame2023"), _all(NPZ), "o.json", inspects=False),
    "flame_params": Reader(lambda: {"x.json": _flame_params()}, SEQ, _all(FLAME_PARAMS), "o.json"),
    "camera": Reader(lambda: written("x.json", lambda path: camera_json.write(tiny_camera(size=16), path)),
                     ("render", "{avatar}", "--camera", "{file}", "--out", "{out}"), _all(CAMERA), "o.png"),
    "flame pickle": Reader(flame_pickle, ("head", "{file}", "--edition", "flame2020", "--out", "{out}"), _all(FLAME),
                           "o.safetensors"),
    "flame masks": Reader(lambda: {"x.pkl": pickle.dumps({"face": np.arange(9)}, 2)}, (*HEAD_WORDS, "--masks", "{file}"),
                          _all(MASKS), "o.safetensors", inspects=False),
    "flame landmarks": Reader(lambda: {"x.pkl": _landmarks()}, (*HEAD_WORDS, "--landmarks", "{file}"), _all(LANDMARKS),
                              "o.safetensors", inspects=False),
    "flame template": Reader(lambda: {"x.obj": _obj()}, (*HEAD_WORDS, "--template", "{file}"), _all(OBJ),
                             "o.safetensors", inspects=False, tail=6),
    "eyelids": Reader(lambda: {"x.npy": _lids()}, (*HEAD_WORDS, "--eyelids", "{file}", "{file}"), _all(LIDS),
                      "o.safetensors", inspects=False),
    "head file": Reader(lambda: written("x.safetensors", lambda path: head_file.write(tiny_head(identity=True), path)),
                        ("inspect", "{file}"), _all(HEAD)),
    "lam": Reader(lambda: lam(False), ("import", "lam", "{file}", "--out", "{out}"), _lam(False), "o.avatar", inspects=False),
    "lam flame": Reader(lambda: lam(True), ("import", "lam", "{file}", "--out", "{out}"), _lam(True), "o.avatar",
                        inspects=False),
}
"""By what they read."""
