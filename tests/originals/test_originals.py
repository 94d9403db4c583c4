"""The fixtures themselves: files load with the real libraries, sizes and storages are those of the fact sheets."""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from formats.deform import deform_head
from formats.sequence import Sequence
from tests.originals import fate, fate_baselines, flame, gaussian_avatars, osgap, phong, splats, splatting_avatar
from tests.originals.flame_template import border_loops, template
from tests.originals.posed import Original
from tests.originals.teeth import add_teeth, teeth_faces, uv_layout
from tests.originals.uv_raster import fate_sampling, lookup, raster, sealed_raster

torch = pytest.importorskip("torch")

FATE_KEYS = ["_offset", "_features_dc", "_features_rest", "_scaling", "_rotation", "_opacity", "face_index", "bary_coords",
             "delta_shapedirs", "delta_posedirs", "delta_vertex", "uvcoords", "uvfaces", "faces", "template_verts",
             "uvcoords_sample", "verts_sampling", "mean_scaling", "max_scaling", "scale_init", "face_scaling_canonical"]


def load(path: Path) -> Any:
    """Load with torch's own safe mode; every storage must say that it lay on the GPU, and be where torch 1 puts it."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for member in archive.infolist():
            assert member.filename.split("/")[1] in ("data.pkl", "data", "version")
            file.seek(member.header_offset + 26)
            assert (file.tell() + 4 + sum(np.frombuffer(file.read(4), "<u2").tolist())) % 64 == 0
    places = []
    value = torch.load(path, weights_only=True, map_location=lambda storage, where: (places.append(where), storage)[1])
    assert set(places) == {"cuda:0"}
    return value


def check(original: Original, count: int, frames: int = 3) -> None:
    """Check what was posed: finite, unit, moving, and as many as there are."""
    p = original.posed
    color = p.rgb if p.rgb is not None else p.sh
    assert color is not None and len(original.sequence) == frames
    for name, values, tail in (("means", p.means, (3,)), ("quats", p.quats, (4,)), ("scales", p.scales, (3,)),
                               ("opacities", p.opacities, ()), ("colour", color, color.shape[2:])):
        assert values.shape == (frames, count, *tail) and np.isfinite(values).all(), name
    assert np.abs(np.linalg.norm(p.quats, axis=-1) - 1).max() < 1e-9
    assert p.scales.min() > 0 and 0 < p.opacities.min() and p.opacities.max() < 1
    assert np.abs(p.means[1] - p.means[0]).max() > 0.02 and np.abs(p.means).max() < 1


def test_the_template_has_flames_counts_and_a_layout_without_overlap() -> None:
    made = template()
    assert made.faces.shape == (9976, 3) and made.sealed_faces.shape == (10006, 3)
    assert made.uvs.shape == (5118, 2) and made.sealed_uvs.shape == (5150, 2)
    assert [len(loop) for loop in border_loops(made.faces)] == [30, 32]
    assert [len(loop) for loop in border_loops(made.sealed_faces)] == [30]
    for uvs, faces in ((made.uvs, made.uv_faces), (made.sealed_uvs, made.sealed_uv_faces)):
        assert np.array_equal(np.unique(faces), np.arange(len(uvs)))
        a, b, c = (uvs[faces[:, i]] for i in range(3))
        areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
        assert areas.min() > 0
    assert raster(made.sealed_uvs, made.sealed_uv_faces, 128)[3].max() == 1
    below = made.uv_faces < 5023
    assert np.array_equal(made.uv_faces[below], made.faces[below])


def test_flame_is_posed_as_the_reference_does() -> None:
    codes, theta = flame.strong_motion(3, 100)
    head = flame.head("flame2023").personalise(np.full(20, 0.4))
    sequence = Sequence("flame2023", 25, codes, rotation=theta[:, :3], neck=theta[:, 3:6], jaw=theta[:, 6:9], eyes=theta[:, 9:])
    for t in range(3):
        betas = np.concatenate([np.full(20, 0.4), np.zeros(280), codes[t]])
        expected = flame.pose(flame.flame2023(), betas, theta[t])
        assert np.abs(deform_head(head, sequence.take([t])).vertices - expected).max() < 1e-6
    assert np.abs(flame.flame2020()["shapedirs"] - flame.flame2023()["shapedirs"]).max() > 1e-3


def test_side_files_are_laid_out_as_flames(tmp_path: Path) -> None:
    with flame.write_mask_pickle(tmp_path / "FLAME_masks.pkl").open("rb") as file:
        masks = pickle.load(file, encoding="latin1")
    assert len(masks) == 14 and all(v.dtype == np.int64 for v in masks.values())
    lines = flame.write_obj(tmp_path / "FlameMesh.obj").read_text().splitlines()
    assert [sum(line.startswith(f"{k} ") for line in lines) for k in ("v", "vt", "vn", "f")] == [5023, 5150, 5023, 10006]
    read = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    assert np.array_equal(read, flame.template_vertices())
    assert {np.load(path).shape for path in flame.write_eyelids(tmp_path)} == {(5023, 3)}


@pytest.mark.parametrize("variant", ["imavatar", "insta"])
def test_fate_checkpoints(tmp_path: Path, variant: str) -> None:
    original = fate.write(tmp_path, variant)
    check(original, 70)
    file = load(original.path)
    model, codes = file["model"], 150 if variant == "imavatar" else 400
    assert [k for k in model if not k.startswith("flame.")] == FATE_KEYS and list(model)[:8] == FATE_KEYS[:8]
    assert model._metadata[""] == {"version": 1}
    assert ("train_expression" in file) == (variant == "imavatar")
    assert tuple(model["delta_shapedirs"].shape) == tuple(model["flame.shapedirs"].shape) == (5023, 3, codes)
    assert not model["delta_shapedirs"][:, :, :100].any()
    rest, sample = model["_features_rest"], model["uvcoords_sample"]
    assert tuple(rest.shape) == (65536, 0, 3) and rest.untyped_storage().nbytes() == 786_432
    assert tuple(sample.shape) == (1, 65536, 2) and sample.stride(1) == 3
    assert sample.untyped_storage().nbytes() == 65536 * 3 * 4
    integers = {k for k, v in model.items() if v.dtype == torch.int64}
    assert integers == {"face_index", "uvfaces", "faces", "flame.parents", "flame.lmk_faces_idx", "flame.faces_tensor",
                        "flame.dynamic_lmk_faces_idx", "flame.full_lmk_faces_idx", "flame.neck_kin_chain"}
    assert all(v.dtype == torch.float32 for k, v in model.items() if k not in integers)
    assert float(model["max_scaling"]) == pytest.approx(10 * float(model["mean_scaling"]))
    with original.sides["identity_dict"].open("rb") as handle:
        identity = pickle.load(handle)
    assert tuple(identity["shape_params"].shape) == (1, codes - identity["n_exp"]) and identity["dataset_type"] == variant


def test_fates_bake_its_dump_and_its_edit(tmp_path: Path) -> None:
    dump = fate.write(tmp_path / "dump", "dump", map_size=64)
    maps, baked = load(dump.path), load(dump.sides["baked"])["model"]
    assert list(maps) == ["color", "opacity", "scaling", "rotation", "offset"]
    assert [v.storage_offset() for v in maps.values()] == [64 * 64 * k for k in (0, 3, 4, 7, 10)]
    assert all(v.requires_grad and v.untyped_storage().nbytes() == 11 * 64 * 64 * 4 for v in maps.values())
    count = 70 + 65536
    check(dump, count)
    assert len(baked["_offset"]) == count and baked["_offset"].abs().max() <= 1
    assert baked["_features_dc"].abs().max() <= 1.7725
    dc = (dump.posed.rgb[0] - 0.5) / splats.C0  # type: ignore[index]
    assert 1e-5 < np.abs(dc - baked["_features_dc"][:, 0].numpy()).max() < 0.01
    edited = fate.write(tmp_path / "edited", "edited", splats_count=20)
    file = load(edited.path)
    assert len(file["model"]["_rotation"]) == 20 + 131072 and "test_cam_pose" in file
    check(edited, 20 + 131072)


def test_fates_full_head_and_benchmark_run(tmp_path: Path) -> None:
    full = fate.write(tmp_path / "full", "fullhead")
    check(full, 70 + 65536)
    assert not load(full.path)["model"]["_features_dc"][70:].any()
    run = fate.write(tmp_path / "run", "nersemble")
    model = load(run.path)["model"]
    assert tuple(model["flame.shape_betas"].shape) == (1, 0) and model["delta_shapedirs"][:, :, :300].any()
    assert np.abs(run.sequence.translation).max() > 0.05
    check(run, 70)


def test_an_undensified_fate_shares_its_colours_storage(tmp_path: Path) -> None:
    model = load(fate.write(tmp_path, "insta", splats_count=65536, frames=1).path)["model"]
    assert model["_features_dc"].untyped_storage().data_ptr() == model["_features_rest"].untyped_storage().data_ptr()


def test_samples_look_their_own_texel_up() -> None:
    texels, faces, weights, _ = sealed_raster(64)
    at, first = fate_sampling(1), sealed_raster(256)
    assert np.array_equal(at[0][:len(first[1])], first[1]) and np.abs(at[1].sum(axis=1) - 1).max() < 1e-6
    corners = template().sealed_uvs[template().sealed_uv_faces[faces]]
    uv = np.einsum("nk,nkc->nc", weights, corners)
    assert np.abs(uv[:, 0] - (texels % 64 + 0.5) / 64).max() < 1e-9
    assert np.abs(uv[:, 1] - (1 - (texels // 64 + 0.5) / 64)).max() < 1e-9
    grid = np.linspace(0, 1, 9)
    image = np.stack([np.tile(grid, (9, 1)), np.tile(grid[:, None], (1, 9))])
    assert np.abs(lookup(image, uv) - uv).max() < 1e-12


@pytest.mark.parametrize("system", fate_baselines.NAMES)
def test_fates_baselines(tmp_path: Path, system: str) -> None:
    original = fate_baselines.write(tmp_path, system)
    model = load(original.path)["model"]
    check(original, original.extras["count"])
    marks = {"gaussian_avatars": "binding_counter", "flash_avatar": "deformNet.output_linear.weight",
             "splatting_avatar": "_uvd", "mono_gaussian_avatar": "pc.points"}
    assert [name for name, mark in marks.items() if mark in model] == [system]
    assert tuple(model["flame.shapedirs"].shape) == (5023, 3, 150)
    if system == "gaussian_avatars":
        assert model["binding_counter"].dtype == torch.int32 and tuple(model["_features_rest"].shape[1:]) == (15, 3)
    elif system == "flash_avatar":
        count = len(sealed_raster(128)[0])
        assert len(model["_opacity"]) == count and tuple(model["cano_init_embeded"].shape) == (1, count, 51)
        assert tuple(model["deformNet.fcs.0.weight"].shape) == (256, 110)
    elif system == "splatting_avatar":
        assert tuple(model["quat_helper.cano_triangles"].shape) == (1, 9976, 3, 3)
        areas = phong.areas(original.extras["canonical"], template().faces)
        assert np.abs(model["quat_helper.face_areas"][:, 0].numpy() - areas).max() < 1e-9
    else:
        assert list(model)[-1] == "pc.points" and list(model)[0].startswith("geometry_network.")
        shared = model["flame.posedirs"], model["deformer_network.FLAMEServer.posedirs"]
        assert shared[0].data_ptr() == shared[1].data_ptr()


def test_teeth_are_the_recipes() -> None:
    tables = add_teeth(flame.flame2023())
    assert len(tables["v_template"]) == 5143 and len(tables["f"]) == 10144
    assert len(np.unique(np.sort(teeth_faces(), axis=1), axis=0)) == 168
    assert np.abs(tables["weights"].sum(axis=1) - 1).max() < 1e-6
    counts = {}
    for size in (256, 300):
        faces = raster(*uv_layout(), size, cull=False)[1]
        counts[size] = ((faces >= 9976) & (faces < 10060)).sum(), (faces >= 10060).sum(), len(np.unique(faces[faces >= 9976]))
    # Measured on the original's own binding code (OSGAP sheet, section 2).
    assert counts[256][:2] == (310, 248) and counts[300] == (360, 432, 112)


@pytest.mark.parametrize("variant", ["flame2023", "flame2020", "rows5023"])
def test_gaussian_avatars_run(tmp_path: Path, variant: str) -> None:
    original = gaussian_avatars.write(tmp_path, variant)
    check(original, 400)
    header, _, body = original.path.read_bytes().partition(b"end_header\n")
    assert header.count(b"property float ") == 63 and header.endswith(b"property float binding_0\n") and len(body) == 400 * 252
    with np.load(original.path.with_name("flame_param.npz")) as file:
        assert {k: file[k].dtype for k in file} == dict.fromkeys(file, np.dtype("float32")) and len(file.files) == 9
    assert set(range(9976, 10144)) <= set(original.extras["binding"].tolist())
    assert original.extras["vertices"].shape == (3, 5143, 3)


@pytest.mark.parametrize("variant", ["embedding", "canonical"])
def test_splatting_avatar_run(tmp_path: Path, variant: str) -> None:
    original = splatting_avatar.write(tmp_path, variant)
    check(original, 300)
    header, _, body = original.path.read_bytes().partition(b"end_header\n")
    assert header.count(b"property float ") == 17 and len(body) == 300 * 68
    embedding = json.loads(original.sides["embedding"].read_text())
    mesh = original.path.parent / embedding["cano_mesh" if variant == "embedding" else "mesh_fn"]
    rows = [line.split() for line in mesh.read_text().splitlines()]
    vertices = np.array([row[1:] for row in rows if row[0] == "v"], float)
    assert vertices.shape == (5023, 3) and np.ptp(vertices[:, 1]) > 0.8
    # In the canonical pose nothing turns and nothing is stretched: only the file's six decimals show.
    q, raw = original.posed.quats[0], splats.unit(np.array(embedding["_rotation"]))
    assert (1 - np.abs((q * raw).sum(axis=1))).max() < 1e-4
    params = json.loads(original.sides["flame_params"].read_text())
    assert params["intrinsics"][0] < 0 and len(params["frames"]) == 3 and len(params["shape_params"]) == 100


def test_osgap_results(tmp_path: Path) -> None:
    ply = osgap.write(tmp_path / "ply")
    check(ply, 400)
    assert ply.path.read_bytes().partition(b"end_header\n")[0].count(b"property float ") == 18
    maps = osgap.write(tmp_path / "uv", "uv", map_size=64)
    with np.load(maps.path) as file:
        assert [file[k].shape[2] for k in file] == [3, 4, 3, 1, 3]
        covered = np.flatnonzero(file["rot_delta_uv"].any(axis=2))
    assert np.array_equal(covered, maps.extras["texels"])
    check(maps, len(covered))
    with pytest.raises(ValueError):
        osgap.write(tmp_path / "x", "nothing")
