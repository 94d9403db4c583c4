"""`flameport inspect` on what other systems wrote: it names them, their stage and what their import needs, and loads nothing."""

import importlib
import json
import pickle
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flameport
from formats.codecs import inria_ply, torch_tensor
from formats.importers.signatures import fate_kind, recognise
from formats.inspection import inspect
from tests.builders import tiny_cloud

torch = pytest.importorskip("torch")


def need(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in found["needs"] if each["input"] == name)


def save(value: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path)
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes of tensors each read takes."""
    counts: list[int] = []
    plain = torch_tensor.Span.read
    monkeypatch.setattr(torch_tensor.Span, "read", lambda self, start, count: counts.append(count) or plain(self, start, count))
    return counts


# --- Runs as the originals leave them ---------------------------------------------------------------------------------


FIXTURES = {
    "fate": ({}, "fate checkpoint", {"gaussians": 70, "vertices": 5023, "frames": {"train": 3, "test": 2}}, ["identity"], []),
    "gaussian_avatars": ({}, "gaussian-avatars point cloud", {"gaussians": 400, "sh_degree": 3}, ["flame_param"], ["head"]),
    "splatting_avatar": ({}, "splatting-avatar point cloud", {"gaussians": 300, "sh_degree": 0}, ["flame_params"], ["head"]),
    "mono_gaussian_avatar": ({"n": 50}, "mono-gaussian-avatar checkpoint", {"gaussians": 50, "epoch": 60},
                             ["flame_params", "conf"], []),
    "gaussian_head_avatar": ({"n": 50}, "gaussian-head-avatar gaussianhead", {"gaussians": 50, "expressions": 64},
                             ["supres", "mesh"], ["hair"]),
    "osgap": ({}, "osgap point cloud", {"gaussians": 400, "sh_degree": 0}, ["flame_param"], ["head"]),
    "baked_avatar": ({"texture": 16}, "baked-avatar mesh_data.pkl", {"layers": 3, "bases": 16, "variant": "fine-tuned"}, [],
                     ["sequence"]),
}
"""Fixture: how it is written, what it is, some counts, which inputs are found beside it and which are not."""


@pytest.mark.parametrize("name", FIXTURES)
def test_runs_are_recognised(name, tmp_path, reads):
    sizes, kind, counts, there, absent = FIXTURES[name]
    original = importlib.import_module(f"tests.originals.{name}").write(tmp_path, **sizes)
    found = inspect(original.path)
    json.dumps(found)
    assert found["kind"] == kind and found["system"] == name.replace("_", "-")
    assert {key: found[key] for key in counts} == counts
    for side in there:
        assert need(found, side)["found"] and Path(need(found, side)["found"]).exists(), side
    for side in absent:
        assert need(found, side)["found"] is None, side
    command = found["import"].split()
    assert command[:4] == ["flameport", "import", found["system"], str(original.path)] and command[-2] == "--out"
    assert ("--head" in command) == ("head" in absent)
    assert sum(reads) < 500_000, "inspect read tensors"


def test_folders_lead_to_their_file(tmp_path):
    from tests.originals import baked_avatar, gaussian_avatars

    run = tmp_path / "run"
    gaussian_avatars.write(run, iteration=60_000)
    newer = gaussian_avatars.write(run, iteration=600_000)
    found = inspect(run)
    assert found["file"] == newer.path.relative_to(run).as_posix() and str(run) in found["import"]
    original = baked_avatar.write(tmp_path / "baked", texture=16)
    assert inspect(original.path.parents[2])["file"] == "finetune_mesh_data/iter_30000/mesh_data.pkl"
    web = next((tmp_path / "baked").rglob("metadata.json")).parent
    assert inspect(web)["kind"] == "baked-avatar web mesh_data" and inspect(web)["layers"] == 3
    motion = next((tmp_path / "baked").rglob("flame_sequences.json")).parent
    assert inspect(motion)["kind"] == "baked-avatar sequence_data" and "import" not in inspect(motion)


def test_import_lines_name_the_file_that_a_folder_led_to(tmp_path):
    from formats import importers
    from tests.originals import gaussian_hair

    made = gaussian_hair.write(tmp_path, n=20, heads=50)
    run = made.path.parents[2]
    assert not list(run.glob("gaussianhead*"))
    found = inspect(run)
    path = Path(found["import"].split()[3])
    assert path.is_file() and path == run / found["file"]
    # With hair beside it, both tracks are asked for: without them the import would stop.
    sides = {word.partition("=")[0]: made.sides[word.partition("=")[0]] for word in found["import"].split() if "=PATH" in word}
    assert set(sides) == {"params", "flame_params"}
    assert len(importers.read(found["system"], path, sides=sides).layers) == 2


@pytest.mark.parametrize("place", ["checkpoints", "baking/checkpoints_baked", "baking", "elsewhere"])
def test_the_folder_of_a_checkpoint_is_enough(place, tmp_path):
    path = fate(tmp_path / (f"{place}/checkpoints_baked" if place == "baking" else place) / "wave.pth")
    found = inspect(tmp_path / place)
    assert found["kind"] == "fate checkpoint" and found["import"].split()[3] == str(path)


def test_renamed_and_wrapped_checkpoints(tmp_path):
    head = {f"module.{key}": value for key, value in {
        "xyz": torch.zeros(9, 3), "feature": torch.zeros(9, 128), "exp_color_mlp.conv0.weight": torch.zeros(256, 192, 1)}.items()}
    path = save(head, tmp_path / "run/gaussianhead_latest.pth")
    save({"upsampler.outc.conv.weight": torch.zeros(3, 32, 1, 1)}, tmp_path / "run/supres_latest.pth")
    found = inspect(tmp_path / "run")
    assert found["import"].split()[3] == str(path) and found["gaussians"] == 9
    assert need(found, "supres")["found"] == str(tmp_path / "run/supres_latest.pth")
    model = {f"module.{key}": value for key, value in fate_model(7).items()}
    assert inspect(fate(tmp_path / "x.pth", model=model))["gaussians"] == 7


def test_maps_of_osgap(tmp_path):
    from tests.originals import osgap

    found = inspect(osgap.write(tmp_path, "uv", map_size=32).path)
    assert found["kind"] == "osgap texel maps" and found["size"] == 32 and need(found, "flame_param")["found"]


# --- Variants that only keys and numbers tell apart -------------------------------------------------------------------


def fate_model(count: int, offset: float = 0.5) -> dict[str, Any]:
    rng = torch.Generator().manual_seed(0)
    return {"_offset": torch.full((count, 1), offset), "_features_dc": torch.rand(count, 1, 3, generator=rng),
            "_rotation": torch.rand(count, 4, generator=rng), "face_index": torch.zeros(count, dtype=torch.int64),
            "flame.v_template": torch.zeros(5023, 3), "flame.shapedirs": torch.zeros(5023, 3, 4)}


def fate(path: Path, **changes: Any) -> Path:
    return save({"epoch": 5, "global_step": 9, "model": fate_model(100)} | changes, path)


@pytest.mark.parametrize(("place", "model", "variant"), [
    ("checkpoints/x_ep0050.pth", fate_model(40), "not baked"),
    ("checkpoints_fullhead/fullhead.pth", fate_model(40), "full head"),
    ("baking/checkpoints_baked/x_ep0005.pth", fate_model(40), "baked"),
    ("baking/edit/checkpoints_edited/wave.pth", fate_model(40), "edited"),
    ("moved.pth", fate_model(40), "not baked"), ("moved.pth", fate_model(70_000), "baked or edited"),
    ("moved.pth", fate_model(70_000, 1.5), "full head"),
], ids=["run", "full", "baked", "edited", "moved", "moved bake", "moved full head"])
def test_stages_of_fate(place, model, variant, tmp_path):
    found = inspect(fate(tmp_path / place, model=model))
    assert found["kind"] == "fate checkpoint" and found["variant"].startswith(variant) and found["note"].startswith("by its")


BASELINES = {"gaussian-avatars": "binding", "flash-avatar": "deformNet.output_linear.weight", "splatting-avatar": "_uvd",
             "mono-gaussian-avatar": "pc.points"}


@pytest.mark.parametrize(("system", "key"), BASELINES.items())
def test_baselines_of_fate(system, key, tmp_path):
    model = {key: torch.zeros(30, 3), "_opacity": torch.zeros(30, 1)}
    found = inspect(fate(tmp_path / "x.pth", model=model))
    assert found["system"] == "fate" and found["variant"] == f"FATE's version of {system}" and found["gaussians"] == 30
    assert fate_kind(model) == system and fate_kind(["_opacity"]) is None
    # Its canonical expression is in no other file.
    assert ("--side identity=PATH" in found["import"]) == (system == "mono-gaussian-avatar")


def test_other_files_of_fate(tmp_path):
    maps = torch.zeros(1, 11, 8, 8, requires_grad=True)
    parts = dict(zip(("color", "opacity", "scaling", "rotation", "offset"), maps.split([3, 1, 3, 3, 1], 1), strict=True))
    dump = save(parts, tmp_path / "baking/dump_texture/005_tex_dump.pth")
    found = inspect(dump)
    assert found["kind"] == "fate texture dump" and found["size"] == 8 and "--side checkpoint=PATH" in found["import"]
    fate(tmp_path / "checkpoints/x_ep0050.pth")
    assert need(inspect(dump), "checkpoint")["found"] == str(tmp_path / "checkpoints/x_ep0050.pth")
    identity = {"shape_params": torch.zeros(1, 100), "canonical_expression": torch.zeros(1, 50), "n_shape": 100, "n_exp": 50,
                "camera_rotation": torch.eye(3), "camera_fovx": 0.3, "img_res": [512, 512], "dataset_type": "imavatar"}
    (tmp_path / "identity_dict.pkl").write_bytes(pickle.dumps(identity))
    found = inspect(tmp_path / "identity_dict.pkl")
    assert found["kind"] == "fate identity" and found["expressions"] == 50 and "import" not in found
    assert inspect(tmp_path)["file"] == "checkpoints/x_ep0050.pth"
    fate(tmp_path / "checkpoints_fullhead/fullhead.pth")
    assert inspect(tmp_path)["file"] == "checkpoints_fullhead/fullhead.pth"


def flash(still: bool, networks: int = 1) -> tuple[Any, ...]:
    rotation = torch.zeros(20, 4)
    rotation[:, 0] = 1
    if not still:
        rotation[7, 2] = 1e-6
    network = {"fcs.0.weight": torch.zeros(256, 171), "output_linear.weight": torch.zeros(10, 256)}
    rows = [torch.nn.Parameter(torch.zeros(20, *shape)) for shape in ((3,), (1, 3), (15, 3), (3,))]
    gaussians = (3, *rows, torch.nn.Parameter(rotation), torch.zeros(20, 1), torch.zeros(20), torch.zeros(20, 1),
                 torch.zeros(20, 1), {"state": {}}, 1.0)
    return (network,) * networks + ({"state": {}},), gaussians, 150_000


def test_flash_avatar_and_its_variant(tmp_path):
    path = save(flash(False), tmp_path / "Obama/log/ckpt/chkpnt150000.pth")
    found = inspect(path)
    assert found["kind"] == "flash-avatar checkpoint" and found["variant"] == "FlashAvatar's own" and found["gaussians"] == 20
    assert found["iteration"] == 150_000 and found["network_inputs"] == 171
    assert "--side frames=PATH" in found["import"] and "--side mesh=PATH" in found["import"]
    (tmp_path / "Obama/log/ckpt/FlameMesh.obj").write_text("v 0 0 0\n")
    assert "--side mesh=PATH" not in inspect(path)["import"]
    assert "Wasserstein" in inspect(save(flash(True), path))["variant"]
    assert "import" not in inspect(save(flash(True, 2), path))
    assert inspect(tmp_path / "Obama")["file"] == "log/ckpt/chkpnt150000.pth"


def test_parts_that_are_not_imported_say_what_is(tmp_path):
    tensors = (torch.zeros(20, 3),) * 6 + (torch.zeros(20, dtype=torch.int64),) + (torch.zeros(9976),) * 4
    baked = {"it": 5, "sample_count": 1, "epoch": 0.1}
    cases: dict[str, tuple[Any, str, str]] = {
        "chkpnt60000.pth": (((3, *tensors, {"state": {}}, 1.0), 60_000), "gaussian-avatars training checkpoint",
                            "point_cloud.ply"),
        "model.pth": (baked | {"model": {"manifold_net.l0.weight_v": torch.zeros(256, 33)}}, "baked-avatar checkpoint",
                      "mesh_data.pkl"),
        "3/model.pth": (baked | {"model": {"vertices.0": torch.zeros(5, 3), "faces.0": torch.zeros(4, 3)}},
                        "baked-avatar checkpoint", "mesh_data.pkl"),
        "input.pth": ({"expression.weight": torch.zeros(9, 50), "pose.weight": torch.zeros(9, 15)}, "baked-avatar tracking",
                      "model.pth"),
        "delta_poses_latest": (torch.nn.Parameter(torch.zeros(9, 6)), "gaussian-head-avatar delta_poses", "gaussianhead_latest"),
        "meshhead_latest": ({"tet_verts": torch.zeros(9, 3), "geo_mlp.conv0.weight": torch.zeros(256, 27, 1)},
                            "gaussian-head-avatar meshhead", "gaussianhead_latest"),
        "supres_latest": ({"upsampler.outc.conv.weight": torch.zeros(3, 32, 1, 1)}, "gaussian-head-avatar supres",
                          "gaussianhead"),
        "model_2500.pth": ({"module.backbone.input_layer.0.weight": torch.zeros(2), "mlp1s.0.weight": torch.zeros(2)},
                           "osgap training checkpoint", "finetune"),
        "mesh_export/mesh_data.pkl": ({"common": {"v_template": np.zeros((5023, 3), np.float32)}, "ghostbone": True, "meshes": [
            {"vertices": np.zeros((5, 3), np.float32), "faces": np.zeros((4, 3), np.int32)}]}, "baked-avatar mesh_data.pkl",
            "texture_export"),
    }
    for name, (content, kind, word) in cases.items():
        found = inspect(save(content, tmp_path / name))
        assert found["kind"].startswith(kind), name
        assert word in found["note"] + found.get("variant", "") and "import" not in found, name


def test_an_encoder_of_osgap_asks_for_a_picture(tmp_path):
    found = inspect(save({"Encoder.F_encoder.patchembed.proj.weight": torch.zeros(4, 4)}, tmp_path / "model_100000.pth"))
    assert found["kind"] == "osgap encoder" and "--side image=PATH" in found["import"] and "--head" in found["import"]


def test_strands_and_their_head(tmp_path):
    head = {"xyz": torch.zeros(9, 3), "feature": torch.zeros(9, 128), "features_dc": torch.zeros(9, 1, 3),
            "exp_color_mlp.conv0.weight": torch.zeros(256, 192, 1)}
    hair = {"points_raw": torch.zeros(7, 99, 3), "origins_raw": torch.zeros(7, 1, 3)}
    path = save(head, tmp_path / "gaussianhead_latest_1700000000")
    found = inspect(save(hair, tmp_path / "gaussianhair_latest_1700000000"))
    assert found["kind"] == "gaussian-head-avatar gaussianhair" and found["strands"] == 7
    found = inspect(path)
    assert "fork" in found["variant"] and found["expressions"] == 64
    assert need(found, "hair")["found"] == str(tmp_path / "gaussianhair_latest_1700000000")


def test_a_trackers_frame(tmp_path):
    frame = {"flame": {"exp": np.zeros((1, 100)), "shape": np.zeros((1, 300)), "jaw": np.zeros((1, 6))},
             "camera": {"R": np.zeros((1, 6))}, "opencv": {"R": np.eye(3)[None], "t": np.zeros((1, 3)), "K": np.eye(3)[None]},
             "img_size": np.array([512, 512]), "frame_id": "00012", "global_step": 5}
    found = inspect(save(frame, tmp_path / "checkpoint/00012.frame"))
    assert found["kind"] == "metrical-tracker frame" and found["coefficients"]["exp"] == 100 and "sequence" in found["note"]
    assert inspect(tmp_path)["file"] == "checkpoint/00012.frame"


def test_the_forks_flame_head_is_a_gaussian_avatars_file(tmp_path):
    path = tmp_path / "head_latest_1700000000.ply"
    data = inria_ply.pack(tiny_cloud(), 0)
    path.write_bytes(with_binding(data))
    found = inspect(path)
    assert found["system"] == "gaussian-avatars" and "fork" in found["variant"]
    plain = tmp_path / "plain.ply"
    plain.write_bytes(data)
    assert inspect(plain)["kind"] == "inria_ply" and recognise(plain) is None


def with_binding(data: bytes) -> bytes:
    end = data.index(b"end_header\n")
    table = np.frombuffer(data[end + 11:], "<f4").reshape(len(tiny_cloud()), -1)
    table = np.concatenate([table, np.zeros((len(table), 1), "<f4")], axis=1)
    return data[:end] + b"property float binding_0\nend_header\n" + table.tobytes()


# --- Nobody's files, and large ones -----------------------------------------------------------------------------------


def test_unknown_torch_files_are_listed(tmp_path):
    content = {"weights": {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.int64)}, "step": 7, "names": ["x"],
               "none": None, "long": "y" * 200, "empty": {}}
    found = inspect(save(content, tmp_path / "x.pth"))
    assert found["kind"] == "torch_file" and found["container"] == "zip"
    assert found["entries"]["weights.a"] == "float32 [2, 3]" and found["entries"]["weights.b"] == "int64 [4]"
    assert found["entries"]["step"] == "7" and found["entries"]["names.0"] == "'x'" and len(found["entries"]["long"]) == 80
    many = inspect(save({str(i): i for i in range(5000)}, tmp_path / "y.pt"))
    assert len(many["entries"]) == 2000 and "first 2000" in many["more"]


def test_large_files_are_told_without_reading_them(tmp_path, reads):
    """300 MB announced, in a sparse file: what is read is the pickle, and a few rows."""
    model = fate_model(1_000_000) | {"bary_coords": torch.zeros(1_000_000, 3), "filler": torch.zeros(50_000_000)}
    path = fate(tmp_path / "x.pth", model=model)
    assert path.stat().st_size > 200_000_000
    found = inspect(path)
    assert found["gaussians"] == 1_000_000 and 0 < sum(reads) < 1_000_000
    arrays = {"common": {"v_template": np.zeros((5023, 3), np.float32)}, "global_mlp": {}, "num_texture_basis": 16, "meshes": [
        {"vertices": np.zeros((50, 3), np.float32), "faces": np.zeros((40, 3), np.int32),
         "radiance_textures": np.zeros((16, 1024, 1024, 4), np.uint8)}] * 2}
    reads.clear()
    assert inspect(save(arrays, tmp_path / "mesh_data.pkl"))["texture"] == 1024 and not reads


def test_the_command_prints_it(tmp_path, capsys):
    flameport.main(["inspect", str(fate(tmp_path / "x.pth")), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "fate checkpoint" and found["import"].startswith("flameport import fate ")
    deep = tmp_path / ("a folder" + "x" * 90)
    deep.mkdir()
    flameport.main(["inspect", str(fate(deep / "x.pth"))])
    said = capsys.readouterr()
    line = next(line for line in (said.out + said.err).splitlines() if line.startswith("next:  flameport import"))
    assert shlex.split(line)[1:5] == ["flameport", "import", "fate", str(deep / "x.pth")], "the whole line, not wrapped"
