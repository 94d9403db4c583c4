"""OSGAP's PLYs and attribute maps: posed as the original does, maps kept and exported, and what is refused."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.export import export
from exporter.targets import textures
from formats.avatar import FaceBinding, SplatLayer
from formats.codecs.json_file import read_json
from formats.conventions import SH_C0
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.importers import osgap, osgap_maps
from formats.importers.signatures import recognise
from formats.teeth import add_teeth
from formats.texels import owned_texels
from tests.formats.originals import assert_kept, assert_posed
from tests.formats.test_import_gaussian_avatars import change, repack
from tests.originals.osgap import write
from tests.originals.posed import Original, Posed

SIZE = 64


@pytest.fixture(scope="module")
def ply(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return write(tmp_path_factory.mktemp("ply") / "run")


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return write(tmp_path_factory.mktemp("maps") / "run", "uv", map_size=SIZE)


def copy_of(original: Original, folder: Path) -> Original:
    """The run in a folder of its own, to change."""
    shutil.copytree(original.extras["run"], folder / "run")
    return dataclasses.replace(original, path=folder / "run" / original.path.relative_to(original.extras["run"]), sides={})


def layer_of(original: Original, **options: Any) -> SplatLayer:
    (layer,) = osgap.read(original.path, original.head, **(original.options | options)).layers
    assert isinstance(layer, SplatLayer) and isinstance(layer.binding, FaceBinding)
    return layer


# --- PLY --------------------------------------------------------------------------------------------------------------


def test_a_ply_poses_as_the_original(ply: Original, tmp_path: Path) -> None:
    avatar = osgap.read(ply.path, ply.head)  # plain colours unless told otherwise
    assert_posed(avatar, ply)
    assert (avatar.meta.system, avatar.meta.source, avatar.maps) == ("osgap", "point_cloud.ply", None)
    assert any("GPL" in n for n in avatar.meta.license_notices) and any("FLAME" in n for n in avatar.meta.license_notices)
    assert avatar.sequence is not None and len(avatar.sequence) == 3
    assert_kept(avatar, ply.sequence, tmp_path)


def test_a_plys_colours_may_be_coefficients(ply: Original) -> None:
    plain, coefficients = layer_of(ply).cloud.sh, layer_of(ply, color_space="sh_dc").cloud.sh
    np.testing.assert_allclose(plain * SH_C0 + 0.5, coefficients, atol=1e-6)


def test_folders_are_gaussian_avatars_own(ply: Original) -> None:
    expected = layer_of(ply).cloud.means
    for path in (ply.path.parent, ply.path.parents[1], ply.path.parents[2]):
        np.testing.assert_array_equal(layer_of(dataclasses.replace(ply, path=path)).cloud.means, expected)


# --- Maps -------------------------------------------------------------------------------------------------------------


def test_maps_pose_as_the_original(maps: Original, tmp_path: Path) -> None:
    avatar = osgap.read(maps.path, maps.head)  # written by a program that draws coefficients
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer) and isinstance(layer.binding, FaceBinding)
    assert len(layer.cloud) == len(maps.extras["texels"])  # one for each, in raster order
    same = layer.binding.face_index == maps.extras["binding"]
    # The synthetic layout has edges on texel centres, where rounding decides and two programs may differ.
    assert (~same).sum() <= 0.005 * len(same)
    posed, rows = maps.posed, np.flatnonzero(same)
    kept = Posed(*(None if v is None else v[:, rows] for v in (posed.means, posed.quats, posed.scales, posed.opacities, posed.rgb,
                                                               posed.sh)))  # type: ignore[arg-type]
    assert_posed(avatar, dataclasses.replace(maps, posed=kept), rows)
    assert avatar.meta.source == maps.path.name
    assert_kept(avatar, maps.sequence, tmp_path)


def test_the_maps_stay_beside_the_gaussians(maps: Original, tmp_path: Path) -> None:
    stored = np.load(maps.path)
    avatar = osgap.read(maps.path, maps.head)
    assert avatar.maps is not None and avatar.maps.mask is not None
    assert set(avatar.maps.images) == set(osgap_maps.CHANNELS) == set(stored.files)
    np.testing.assert_array_equal(np.flatnonzero(avatar.maps.mask), maps.extras["texels"])
    for name in stored.files:
        np.testing.assert_array_equal(avatar.maps.images[name], stored[name])
    plain = osgap.read(maps.path, maps.head, color_space="rgb")
    assert plain.maps is not None
    where, name = avatar.maps.mask, "gs_features_uv"
    np.testing.assert_allclose(plain.maps.images[name][where] * SH_C0 + 0.5, stored[name][where], atol=1e-6)
    np.testing.assert_allclose(plain.layers[0].cloud.sh[:, 0],  # type: ignore[union-attr]
                               plain.maps.images[name][where], atol=1e-6)


def test_the_maps_export_as_textures(maps: Original, tmp_path: Path) -> None:
    pytest.importorskip("av")
    avatar = osgap.read(maps.path, maps.head)
    assert avatar.maps is not None and avatar.maps.mask is not None
    export(avatar, "textures", tmp_path / "maps")
    back = textures.read(tmp_path / "maps")
    said = read_json(tmp_path / "maps" / "textures.json")["maps"]
    assert "times its size" in said["local_position_uv"]["meaning"] and "triangle's size" in said["local_scaling_uv"]["meaning"]
    assert back.mask is not None
    np.testing.assert_array_equal(back.mask, avatar.maps.mask)
    for name, image in avatar.maps.images.items():
        low, high = textures.bounds(avatar.maps, name)
        apart = np.abs(back.images[name] - image)[avatar.maps.mask]
        assert (apart.max(axis=0) <= (high - low) / 131070 + 1e-6).all(), name


@pytest.mark.parametrize(("size", "upper", "lower"), [(300, 360, 432), (256, 310, 248)])
def test_teeth_get_the_texels_they_have_in_the_original(size: int, upper: int, lower: int, maps: Original) -> None:
    """Counts of the fact sheet, taken from both released programs; the teeth's coordinates are FLAME's own here too."""
    assert maps.head is not None
    head = add_teeth(maps.head)
    assert head.uvs is not None and head.uv_faces is not None
    _, face, _ = owned_texels(head.uvs[-120:], head.uv_faces[-168:] - len(head.uvs) + 120, size, osgap_maps.AREA_EXCESS)
    assert ((face < 84).sum(), (face >= 84).sum()) == (upper, lower)
    if size == 300:
        assert len(np.unique(face)) == 112


# --- Refusals ---------------------------------------------------------------------------------------------------------


def refused(original: Original, error: type[AvatarError], match: str, **arguments: Any) -> None:
    arguments = {"head": original.head} | arguments
    with pytest.raises(error, match=match) as caught:
        osgap.read(arguments.pop("path", original.path), **arguments)
    assert "\n" not in str(caught.value)


def test_other_inputs_are_refused(ply: Original, maps: Original, tmp_path: Path) -> None:
    refused(maps, MissingAsset, "OSGAP rides FLAME", head=None)
    refused(maps, CheckpointMismatch, "the head is 'flame2023'", edition="flame2020")
    refused(maps, UnsupportedFeature, "unknown color_space 'linear'; expected auto, rgb, sh_dc", color_space="linear")
    refused(ply, UnsupportedFeature, "unknown color_space", color_space="")
    refused(maps, UnsupportedFeature, "no side input 'picture'", sides={"picture": tmp_path})
    refused(maps, UnsupportedFeature, "takes no --side image", sides={"image": tmp_path})
    refused(maps, UnsupportedFeature, "size=300 is for an encoder", size=300)
    assert maps.head is not None
    bare = dataclasses.replace(maps.head, uvs=None, uv_faces=None)
    refused(maps, MissingAsset, "no texture coordinates.*--template", head=bare)
    assert maps.head.uvs is not None
    turned = dataclasses.replace(maps.head, uvs=maps.head.uvs[:, ::-1] * [1, 0.8])
    refused(maps, CheckpointMismatch, "texels hold Gaussians, the head's layout covers.*FLAME's own texture", head=turned)


def test_damaged_maps_are_refused(maps: Original, tmp_path: Path) -> None:
    made = copy_of(maps, tmp_path)
    whole = made.path.read_bytes()
    stored = dict(np.load(made.path))
    broken = stored["gs_opacity_uv"].copy()
    broken[3, 3] = np.nan
    for arrays, match in (
            ({"rot_delta_uv": None}, "rot_delta_uv missing; expected OSGAP's maps"),
            ({"gs_opacity_uv": broken}, r"gs_opacity_uv: 1 of 4096 values are not finite"),
            ({"gs_opacity_uv": stored["gs_opacity_uv"][..., 0]}, "gs_opacity_uv: expected shape"),
            ({"gs_features_uv": stored["gs_features_uv"][:32, :32]}, r"gs_features_uv: expected shape \[64, 64, 3\]"),
            ({"local_scaling_uv": stored["local_scaling_uv"] + 1e4}, "GaussianCloud.scales")):
        change(made.path, **arrays)
        refused(made, FormatError, match)
        made.path.write_bytes(whole)
    made.path.with_name("flame_param.npz").unlink()
    refused(made, MissingAsset, "flame_param.npz")


def test_parameters_are_found_beside_the_run(maps: Original, tmp_path: Path) -> None:
    made = copy_of(maps, tmp_path)
    expected = layer_of(maps).cloud.means
    moved = tmp_path / "run" / made.path.name
    made.path.rename(moved)
    np.testing.assert_array_equal(layer_of(dataclasses.replace(made, path=moved)).cloud.means, expected)
    made.path.with_name("flame_param.npz").rename(tmp_path / "flame_param.npz")
    np.testing.assert_array_equal(layer_of(dataclasses.replace(made, path=moved)).cloud.means, expected)


def test_inspect_finds_what_the_import_finds(maps: Original, tmp_path: Path) -> None:
    copy_of(maps, tmp_path)
    path = Path(shutil.copy(maps.path, tmp_path / "run" / "gs_attrs_uv_64X64_5000.npz"))
    found = recognise(path)
    assert found is not None and "--side" not in found["import"]
    assert found["needs"][1]["found"] == str(tmp_path / "run/point_cloud/iteration_60000/flame_param.npz")
    osgap.read(path, maps.head, **maps.options)


def test_a_ply_with_more_harmonics_is_gaussian_avatars(ply: Original, tmp_path: Path) -> None:
    made = copy_of(ply, tmp_path)
    zero = np.zeros(len(made.extras["binding"]))
    repack(made.path, **{f"f_rest_{i}": zero for i in range(9)})
    refused(made, UnsupportedFeature, "SH of degree 1.*import gaussian-avatars")


def test_checkpoints_need_torch_or_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path, portrait = tmp_path / "model_2500.pth", {"image": tmp_path / "portrait.png"}
    torch.save({f"module.{key}": torch.zeros(2) for key in osgap.ENCODER_KEYS}, path)
    with pytest.raises(MissingAsset, match="an encoder, which makes an avatar of a portrait; pass --side image=PORTRAIT"):
        osgap.read(path)
    with pytest.raises(UnsupportedFeature, match=r"pip install 'flameport\[train\]'"):
        osgap.read(path, None, portrait)
    torch.save({"module.backbone.input_layer.0.weight": torch.zeros(2), "module.mlp1s.0.fcs.0.weight": torch.zeros(2),
                "module.latent_z": torch.zeros(2), "module.Encoder.body.0.weight": torch.zeros(2)}, path)
    with pytest.raises(UnsupportedFeature, match=r"older network \(backbone, latent_z, mlp1s\).*of finetune"):
        osgap.read(path, None, portrait)
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(FormatError, match="'Encoder.F_encoder.patchembed.proj.weight' is missing.*found weight"):
        osgap.read(path, None, portrait)
