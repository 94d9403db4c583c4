"""BakedAvatar's pickle and web folder, written as the original writes them, against what the original draws."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch  # noqa: E402

import flameport  # noqa: E402
from formats.avatar import MeshLayer  # noqa: E402
from formats.codecs import baked_sequence, bundle  # noqa: E402
from formats.deform import PosedMesh, deform, driver_values  # noqa: E402
from formats.errors import CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature  # noqa: E402
from formats.head_model import HeadModel  # noqa: E402
from formats.importers import baked_avatar  # noqa: E402
from formats.mesh_shading import mix_bases, sample_bilinear  # noqa: E402
from formats.networks import evaluate  # noqa: E402
from formats.render import default_camera, render_avatar  # noqa: E402
from tests.builders import assert_same  # noqa: E402
from tests.originals import baked_avatar as originals  # noqa: E402
from tests.originals.posed import Original  # noqa: E402

METERS, UNITS, NETWORK = 1e-5, 1e-4, 1e-5


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return originals.write(tmp_path_factory.mktemp("baked"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """One layer without a ghost bone; 16-texel tiles in the one row that the original's packer makes of them."""
    return originals.write(tmp_path_factory.mktemp("small"), layers=1, texture=16, bones=5, columns=None, old=False)


@pytest.fixture(params=["pickle", "folder"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def place(original: Original, kind: str) -> Path:
    return original.path if kind == "pickle" else original.extras["web"]


def meshes(avatar: baked_avatar.Avatar) -> list[MeshLayer]:
    assert all(isinstance(layer, MeshLayer) for layer in avatar.layers)
    return [layer for layer in avatar.layers if isinstance(layer, MeshLayer)]


@pytest.mark.parametrize("which", ["original", "small"])
def test_layers_are_posed_as_the_original_poses_them(which: str, kind: str, request: pytest.FixtureRequest) -> None:
    truth: Original = request.getfixturevalue(which)
    avatar = baked_avatar.read(place(truth, kind), truth.head)
    assert [layer.opaque for layer in meshes(avatar)] == [i == 0 for i in range(len(truth.extras["layers"]))]
    for t in range(len(truth.sequence)):
        posed = deform(avatar, truth.sequence, t).layers
        for mesh, wanted in zip(posed, truth.extras["layers"], strict=True):
            assert isinstance(mesh, PosedMesh) and mesh.shading_weights is not None
            order = slice(None) if kind == "pickle" else wanted.split
            np.testing.assert_allclose(mesh.vertices, wanted.vertices[t][order], atol=METERS)
            np.testing.assert_allclose(mesh.normals, wanted.moved_normals[t][order], atol=UNITS)
            np.testing.assert_allclose(mesh.shading_weights, truth.extras["weights"][t], atol=NETWORK)


def test_the_network_reads_jaw_eyes_and_expression_in_that_order(original: Original) -> None:
    avatar = baked_avatar.read(original.path, original.head)
    network = avatar.networks[baked_avatar.NETWORK]
    assert network.inputs == ("jaw", "eyes", "expr")
    feed = driver_values(network.inputs, avatar.head, original.sequence.sample(1))
    np.testing.assert_allclose(evaluate(network, feed)["shading_weights"][0], original.extras["weights"][1], atol=NETWORK)


def test_pixels_are_shaded_as_the_original_shades_them(original: Original, kind: str) -> None:
    avatar, shaded = baked_avatar.read(place(original, kind), original.head), original.extras["shaded"]
    layers = meshes(avatar)
    for i in range(len(shaded.uv)):
        layer, weights = layers[shaded.layer[i]], original.extras["weights"][shaded.frame[i]]
        assert layer.shading is not None and layer.shading.space == "view"
        # OpenGL's view axes, so a camera of ours that stands where they do turns by half a turn about x.
        rgb = mix_bases(layer.shading, weights.astype(np.float32), shaded.uv[i:i + 1], shaded.normal[i:i + 1],
                        shaded.direction[i:i + 1], np.diag([1.0, -1, -1]))
        np.testing.assert_allclose(rgb[0], shaded.rgb[i], atol=UNITS)
        alpha = 1.0 if layer.opaque else sample_bilinear(layer.shading.alpha[..., None], shaded.uv[i:i + 1])[0, 0]
        assert alpha == pytest.approx(shaded.alpha[i], abs=UNITS)
    assert (np.abs(shaded.coefficients).max(axis=1) > 0.2).any()


def test_both_files_hold_one_avatar_and_maps_stay_bytes(original: Original, small: Original) -> None:
    for truth in (original, small):
        one, other = (meshes(baked_avatar.read(place(truth, kind), truth.head)) for kind in ("pickle", "folder"))
        for a, b, wanted in zip(one, other, truth.extras["layers"], strict=True):
            assert a.shading is not None and b.shading is not None
            for name in ("bases", "alpha", "position_features"):
                assert getattr(a.shading, name).dtype == np.uint8
                np.testing.assert_array_equal(getattr(a.shading, name), getattr(b.shading, name))
            np.testing.assert_array_equal(a.uvs[a.uv_faces], b.uvs[b.uv_faces])
            np.testing.assert_array_equal(a.vertices[wanted.split], b.vertices)
            np.testing.assert_array_equal(a.vertices[a.faces], b.vertices[b.faces])
            assert (a.shading.hidden, a.shading.temperature) == (b.shading.hidden, b.shading.temperature) == (16, 10.0)


def test_a_clip_beside_it_comes_along(original: Original, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    avatar = baked_avatar.read(original.extras["web"], original.head)
    assert avatar.sequence is not None and dict(avatar.sequence.ranges) == original.extras["ranges"]
    for name in ("expr", "rotation", "neck", "jaw", "eyes"):
        np.testing.assert_allclose(getattr(avatar.sequence, name), getattr(original.sequence, name), atol=1e-7)
    with caplog.at_level(logging.WARNING):
        assert baked_avatar.read(original.path, original.head).sequence is None
    assert "--side sequence=" in caplog.text
    given = baked_avatar.read(original.path, original.head, {"sequence": original.sides["sequence_data"]})
    assert_same(given.sequence, avatar.sequence)
    tracked = baked_avatar.read(original.path, original.head, {"sequence": original.sides["flame_params"]}).sequence
    assert tracked is not None and set(tracked.cameras) == {"K", "world_to_camera", "size"}
    np.testing.assert_allclose(tracked.expr[:1], avatar.sequence.expr[:1], atol=1e-6)
    back = baked_sequence.read(baked_sequence.write(given.sequence, tmp_path / "sequence_data"))  # type: ignore[arg-type]
    assert_same(back, avatar.sequence)


def test_a_bundle_gives_the_same_picture(original: Original, kind: str, tmp_path: Path) -> None:
    avatar = baked_avatar.read(place(original, kind), original.head)
    bundle.write(avatar, tmp_path / "x.avatar")
    back = bundle.read(tmp_path / "x.avatar")
    assert_same(avatar, back)
    camera = default_camera(avatar, 48, 48)
    picture = render_avatar(back, original.sequence, 1, camera)
    np.testing.assert_array_equal(picture.rgb, render_avatar(avatar, original.sequence, 1, camera).rgb)
    assert picture.alpha.max() == pytest.approx(1) and np.ptp(picture.rgb[picture.alpha > 0.9], axis=0).max() > 0.1


def test_without_a_head_a_hidden_triangle_stands_for_its_own(original: Original, tmp_path: Path,
                                                             caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        avatar = baked_avatar.read(original.path)
    assert "triangles" in caplog.text and "--head" in caplog.text
    np.testing.assert_array_equal(avatar.head.faces, [[5023, 5024, 5025]])
    full = baked_avatar.read(original.path, original.head)
    np.testing.assert_array_equal(avatar.head.v_template[:5023], full.head.v_template)
    for t in range(len(original.sequence)):
        whole, bare = deform(full, original.sequence, t), deform(avatar, original.sequence, t)
        np.testing.assert_allclose(bare.head.vertices[:5023], whole.head.vertices, atol=1e-7)
        # It stays in the head's middle, deep below the skin.
        away = np.linalg.norm(whole.head.vertices[:3931] - bare.head.vertices[5023], axis=1)
        assert away.min() > 0.03 and np.linalg.norm(bare.head.vertices[5023:] - bare.head.vertices[5023], axis=1).max() < 0.006
        for one, other in zip(bare.layers, whole.layers, strict=True):
            assert isinstance(one, PosedMesh) and isinstance(other, PosedMesh)
            np.testing.assert_allclose(one.vertices, other.vertices, atol=1e-7)
    bundle.write(avatar, tmp_path / "x.avatar")
    assert_same(avatar, bundle.read(tmp_path / "x.avatar"))
    assert render_avatar(avatar, original.sequence, 0, default_camera(avatar, 24, 24)).alpha.max() == pytest.approx(1)


@pytest.mark.parametrize("target", ["glb", "web"])
def test_without_a_head_it_can_be_exported(original: Original, target: str, tmp_path: Path) -> None:
    avatar = baked_avatar.read(original.path)
    flameport.export(avatar, target, tmp_path / ("x.glb" if target == "glb" else "page"), sequence=original.sequence,
                     allow_loss=True)
    assert (tmp_path / ("x.glb" if target == "glb" else "page/manifest.json")).is_file()


def test_head_and_terms_come_along(original: Original) -> None:
    assert original.head is not None
    avatar = baked_avatar.read(original.path, original.head)
    head = avatar.head
    assert head.edition == "flame2020" and head.content_hash == original.head.content_hash
    np.testing.assert_array_equal(head.faces, original.head.faces)
    assert head.exprdirs.shape == (5023, 3, 50) and head.posedirs is not None
    assert np.abs(head.v_template - original.head.v_template).max() < 0.05  # a person of the same size
    assert avatar.meta.system == "baked-avatar" and avatar.meta.source == "mesh_data.pkl" and avatar.meta.name == "yufeng"
    assert any("FLAME" in notice for notice in avatar.meta.license_notices)


def test_as_original_reads_correctives_as_the_demo_does(original: Original) -> None:
    ours = meshes(baked_avatar.read(original.extras["web"], original.head))[1].binding.posedirs
    demo = meshes(baked_avatar.read(original.extras["web"], original.head, as_original=True))[1].binding.posedirs
    assert ours is not None and demo is not None
    feature = np.arange(1.0, 37)
    texels = np.append(feature, np.zeros(200)).reshape(-1, 4)  # four to a texel, and nothing beyond the last
    moved = sum(ours[:, :, i + c] * texels[i, c] for i in range(0, 36, 4) for c in range(4))  # texel i where i / 4 was meant
    np.testing.assert_allclose(demo @ feature, moved, atol=1e-5)


def test_a_run_gives_its_newest_fine_tuned_avatar(original: Original, tmp_path: Path) -> None:
    run = tmp_path / "my_run"
    for folder in ("finetune_mesh_data/iter_5000", "finetune_mesh_data/iter_30000", "mesh_export/iter_40000/marching_cube/a"):
        (run / folder).mkdir(parents=True)
        (run / folder / "mesh_data.pkl").touch()
    assert baked_avatar.located(run) == run / "finetune_mesh_data/iter_30000/mesh_data.pkl"
    shutil.rmtree(run / "finetune_mesh_data")
    assert baked_avatar.located(run) == run / "mesh_export/iter_40000/marching_cube/a/mesh_data.pkl"
    assert baked_avatar.located(original.extras["web"].parent) == original.extras["web"]
    assert baked_avatar.located(original.extras["web"] / "metadata.json") == original.extras["web"]
    assert baked_avatar.located(original.path.parent) == original.path
    with pytest.raises(MissingAsset, match="finetune_mesh_data/iter_N/"):
        baked_avatar.read(tmp_path)


# --- What is refused --------------------------------------------------------------------------------------------------


def test_meshes_without_textures_name_what_bakes_them(original: Original) -> None:
    with pytest.raises(MissingAsset, match=r"no global_mlp, position_texture, radiance_textures.*texture_export"):
        baked_avatar.read(original.extras["exported"], original.head)


@pytest.mark.parametrize(("key", "advice"), [
    ("manifold_net.l0.bias", "-t mesh_export and then -t texture_export"),
    ("radiance_textures.0", "finetune_mesh_data/iter_N/mesh_data.pkl")])
def test_checkpoints_of_training_say_what_to_give_instead(key: str, advice: str, tmp_path: Path) -> None:
    state = {"flame.v_template": torch.zeros(5023, 3), key: torch.zeros(4)}
    torch.save({"it": 1, "sample_count": 2, "epoch": 0.5, "model": state}, tmp_path / "model.pth")
    with pytest.raises(UnsupportedFeature, match=advice):
        baked_avatar.read(tmp_path / "model.pth")


@pytest.mark.parametrize(("change", "message"), [
    ({"edition": "flame2023"}, "--set edition=flame2023"),
    ({"exprdirs": np.zeros((5023, 3, 100))}, "exprdirs differs by up to"),
    ({"posedirs": None}, "posedirs is absent"),
])
def test_another_head_is_refused(original: Original, change: dict, message: str) -> None:
    assert isinstance(original.head, HeadModel)
    with pytest.raises(CheckpointMismatch, match=message):
        baked_avatar.read(original.path, dataclasses.replace(original.head, content_hash="", **change))


def test_unknown_sides_list_the_known(original: Original) -> None:
    with pytest.raises(UnsupportedFeature, match="'flame'; known are sequence="):
        baked_avatar.read(original.path, sides={"flame": original.path})
    with pytest.raises(MissingAsset, match="--side sequence="):
        baked_avatar.read(original.path, original.head, {"sequence": original.path.parent / "gone"})


def damaged(data: dict, path: Path, change: tuple) -> None:
    """Save `data` with one entry replaced; the last of `change` is what by."""
    *keys, last, value = change
    copy = {**data, "common": dict(data["common"]), "global_mlp": dict(data["global_mlp"]),
            "meshes": [dict(mesh) for mesh in data["meshes"]]}
    held = copy
    for key in keys:
        held = held[key]
    if value is None:
        del held[last]
    else:
        held[last] = value(held[last]) if callable(value) else value
    torch.save(copy, path)


def spoiled(value: np.ndarray) -> np.ndarray:
    value = value.copy()
    value.reshape(-1)[1] = np.nan
    return value


@pytest.mark.parametrize(("change", "message"), [
    (("meshes", 0, "vertices", spoiled), r"meshes\[0\]\['vertices'\]: 1 of .* not finite"),
    (("meshes", 0, "shapedirs", lambda v: v.transpose(0, 2, 1)), r"meshes\[0\]\['shapedirs'\]: expected shape .*50, 3\]"),
    (("meshes", 0, "posedirs", None), r"meshes\[0\]\['posedirs'\]: is missing"),
    (("meshes", 0, "faces", lambda v: v + 10**6), r"meshes\[0\].*faces"),
    (("meshes", 0, "radiance_textures", lambda v: v[:3]), r"'radiance_textures'\]: expected shape \[16, 16, 16, 4\]"),
    (("meshes", 0, "position_texture", lambda v: v.astype(np.float32)), "expected bytes"),
    (("common", "J_regressor", spoiled), r"common\['J_regressor'\]"),
    (("common", "parents", np.array([-1, 0, 1, 2, 3], np.int32)), r"common\['parents'\]"),
    (("global_mlp", "fc0_weight", lambda v: np.pad(v, ((0, 0), (0, 8)))), "layer 0 takes 67 numbers"),
    (("global_mlp", "fc2_weight", lambda v: v[:-1]), "layer 2"),
    (("num_texture_basis", 12), "gives 480 numbers; expected a multiple of 26"),
    (("ghostbone", True), r"'lbs_weights'\]: 5 bones and 'ghostbone' True"),
    (("meshes", []), "'meshes': 0 layers"),
    (("meshes", 0, 3), "no list 'meshes'|dictionary per layer|holds meshes"),
])
def test_damage_names_file_and_key(small: Original, change: tuple, message: str, tmp_path: Path) -> None:
    damaged(small.extras["data"], tmp_path / "mesh_data.pkl", change)
    with pytest.raises((FormatError, MissingAsset), match=message) as caught:
        baked_avatar.read(tmp_path / "mesh_data.pkl")
    assert "mesh_data.pkl" in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def folder(small: Original, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.extras["web"], tmp_path / "mesh_data"))


def test_three_keys_of_metadata_are_enough_and_maps_may_be_pictures(small: Original, folder: Path) -> None:
    from PIL import Image

    whole = baked_avatar.read(folder)
    metadata = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({"meshes": [{}], "ghostbone": False,
                                                      "num_texture_basis": metadata["num_texture_basis"]}))
    atlas = folder / "meshes_0" / "radiance_texture.npy"
    Image.fromarray(np.load(atlas)).save(atlas.with_suffix(".png"))
    atlas.unlink()
    assert_same(baked_avatar.read(folder), whole)


@pytest.mark.parametrize(("file", "change", "message"), [
    ("meshes_0/normals.npy", lambda v: v[:-1], "meshes_0/normals.npy: expected shape"),
    ("meshes_0/radiance_texture.npy", lambda v: v[:, :-16], "expected 16 tiles of 16 x 16"),
    ("meshes_0/radiance_texture.npy", lambda v: v[:, :-1], "expected 16 tiles of 16 x 16"),
    ("meshes_0/position_texture.npy", lambda v: v[:, :-1], "expected 2 tiles side by side"),
    ("global_mlp/fc1_bias.npy", spoiled, "global_mlp/fc1_bias.npy: 1 of 64 values are not finite"),
    ("common/v_template.npy", None, "common/v_template.npy: no such file"),
])
def test_damage_in_the_folder_names_the_file(folder: Path, file: str, change, message: str) -> None:
    if change is None:
        (folder / file).unlink()
    else:
        np.save(folder / file, change(np.load(folder / file)))
    with pytest.raises((FormatError, MissingAsset), match=message):
        baked_avatar.read(folder)


def test_bases_whose_alphas_differ_are_told_of(original: Original, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def thinner(v: np.ndarray) -> np.ndarray:
        v = v.copy()
        v[3, 5, 5, 3] ^= 64
        return v

    for layer, told in ((0, False), (1, True)):
        damaged(original.extras["data"], tmp_path / "mesh_data.pkl", ("meshes", layer, "radiance_textures", thinner))
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            baked_avatar.read(tmp_path / "mesh_data.pkl", original.head)
        assert ("differ by up to 64 of 255" in caplog.text) == told
