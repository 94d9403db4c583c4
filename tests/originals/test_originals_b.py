"""The fixtures are what they say: names, shapes and numbers of the fact sheets, and arithmetic checked another way."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.spatial import KDTree  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402

from tests.originals import (  # noqa: E402
    baked_avatar,
    flash_avatar,
    gaussian_hair,
    gaussian_head_avatar,
    mono_gaussian_avatar,
    tracker,
)
from tests.originals.flame import flame, pose  # noqa: E402
from tests.originals.flame_template import template  # noqa: E402
from tests.originals.imavatar import CANONICAL_JAW, FACTOR, server  # noqa: E402
from tests.originals.posed import Original  # noqa: E402


def matrices(quats: np.ndarray) -> np.ndarray:
    """Return rotation matrices [N, 3, 3] of wxyz quaternions [N, 4]."""
    return Rotation.from_quat(quats[:, [1, 2, 3, 0]]).as_matrix()


def sane(original: Original) -> None:
    """Every frame differs, every number is finite, and a head is of a head's size."""
    posed = original.posed
    for name in ("means", "quats", "scales", "opacities", "rgb", "sh"):
        value = getattr(posed, name)
        if value is not None:
            assert np.isfinite(value).all(), name
            assert value.shape[:2] == posed.means.shape[:2], name
    assert len(original.sequence) == len(posed.means)
    assert np.abs(np.diff(posed.means, axis=0)).max() > 2e-3
    assert 0.1 < np.ptp(posed.means[0], axis=0).max() < 1
    assert np.abs(np.linalg.norm(posed.quats, axis=-1) - 1).max() < 1e-9
    assert posed.scales.min() > 0 and 0 <= posed.opacities.min() and posed.opacities.max() <= 1


@pytest.fixture(scope="module")
def flash(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A FlashAvatar run."""
    return flash_avatar.write(tmp_path_factory.mktemp("flash"))


def test_flash_avatar_files(flash: Original) -> None:
    """The checkpoint is the nested tuple of the sheet and loads with weights only; frames do not."""
    sane(flash)
    (net, adam), capture, iteration = torch.load(flash.path, weights_only=True)
    assert iteration == 150_000 and len(capture) == 12 and capture[0] == 1
    assert {k: tuple(v.shape) for k, v in net.items()} == {
        **{f"fcs.{i}.weight": (256, 256 if i else 171) for i in range(6)}, **{f"fcs.{i}.bias": (256,) for i in range(6)},
        "output_linear.weight": (10, 256), "output_linear.bias": (10,)}
    assert len(adam["state"]) == 14 and {g["name"] for g in capture[10]["param_groups"]} == {
        "f_dc", "f_rest", "opacity", "scaling", "rotation"}
    n = flash.posed.means.shape[1]
    assert [tuple(t.shape) for t in capture[1:10]] == [(n, 3), (n, 1, 3), (n, 15, 3), (n, 3), (n, 4), (n, 1), (n,), (n, 1),
                                                      (n, 1)]
    assert np.abs(capture[3].detach().numpy()).max() > 0.1, "bands above the active degree are stored"
    assert flash.posed.sh is not None and flash.posed.sh.shape[2] == 4
    with pytest.raises(pickle.UnpicklingError):
        torch.load(flash.extras["frames"][0], weights_only=True)
    # The last rendered positions are float32 of the last frame's.
    assert np.abs(capture[1].detach().numpy() - flash.posed.means[-1]).max() < 1e-7


def test_flash_avatar_lies_on_the_posed_head(flash: Original) -> None:
    """Texels, weights and FLAME agree with a second way: axis-angle posing, and offsets of millimetres."""
    clip, shape = flash.sequence, template()
    offsets = []
    for i in range(len(clip)):
        theta = np.concatenate([np.zeros(6), clip.jaw[i], clip.eyes[i]])
        v = pose(flame(), np.concatenate([flash.extras["shape"], clip.expr[i]]), theta)
        v = v + clip.eyelids[i, 0] * flame()["l_eyelid"] + clip.eyelids[i, 1] * flame()["r_eyelid"]
        at = np.einsum("pi,pic->pc", flash.extras["barycentric"], v[shape.sealed_faces[flash.extras["face_index"]]])
        offsets.append(np.linalg.norm(flash.posed.means[i] - at, axis=1).max())
    assert max(offsets) < 0.02
    uvs = np.array([line.split()[1:] for line in flash.sides["flame_mesh"].read_text().splitlines()
                    if line.startswith("vt ")], float)
    assert len(uvs) == 5150
    here = np.einsum("pi,pic->pc", flash.extras["barycentric"], uvs[shape.sealed_uv_faces[flash.extras["face_index"]]])
    row, column = np.divmod(flash.extras["texel"], 128)
    assert np.abs(here - np.stack([(column + 0.5) / 128, 1 - (row + 0.5) / 128], axis=1)).max() < 1e-9
    assert (np.diff(flash.extras["texel"]) > 0).all() and flash.extras["barycentric"].min() > 1e-6
    assert flash.extras["covered"] > flash.posed.means.shape[1]


def test_wasserstein_variant_turns_otherwise(tmp_path: Path, flash: Original) -> None:
    """Only rotations differ from the base, the base rotations are frozen ones, and the file may be a legacy one."""
    other = flash_avatar.write(tmp_path, kind="wasserstein", legacy=True, frame_count=2)
    sane(other)
    assert not zipfile.is_zipfile(other.path)
    assert np.abs(other.posed.quats[0] - flash.posed.quats[0]).max() > 0.1
    rotation = torch.load(other.path, weights_only=True)[1][5]
    assert rotation.tolist() == [[1, 0, 0, 0]] * len(rotation)


def test_quaternion_of_a_rotation_is_its_own() -> None:
    """On proper rotations the literal conversion is the usual one up to sign."""
    rng = np.random.default_rng(0)
    turns = Rotation.from_rotvec(rng.normal(0, 1.5, (200, 3))).as_matrix()
    made = flash_avatar.quaternion(torch.from_numpy(turns)).numpy()
    assert np.abs(matrices(made) - turns).max() < 1e-12


def test_tracker_frames(tmp_path: Path) -> None:
    """Frames hold NumPy arrays under NumPy 1's names; 6D numbers are raw; both cameras say the same."""
    clip = tracker.motion(2)
    first = tracker.write(tmp_path / "checkpoint", clip)[0]
    with zipfile.ZipFile(first) as archive:
        pickled = archive.read("00000/data.pkl")
    assert b"numpy.core.multiarray" in pickled and b"numpy._core" not in pickled
    frame = pickle.loads(pickled.replace(b"numpy.core.", b"numpy._core."))
    assert {k: v.shape for k, v in frame["flame"].items()} == {
        "exp": (1, 100), "shape": (1, 300), "tex": (1, 140), "sh": (1, 9, 3), "eyes": (1, 12), "eyelids": (1, 2),
        "jaw": (1, 6)}
    rows = frame["flame"]["jaw"].reshape(2, 3)
    assert np.abs(rows @ rows.T - np.eye(2)).max() > 0.05
    six = frame["camera"]["R"].reshape(2, 3)
    turn = np.concatenate([six, np.cross(*six)[None]])
    assert np.abs(np.diag([-1, -1, 1]) @ turn.T - frame["opencv"]["R"][0]).max() < 1e-6
    assert frame["frame_id"] == "00000" and isinstance(frame["global_step"], int)


def test_mono_gaussian_avatar(tmp_path: Path) -> None:
    """125 tensors; rotations are close to none; at the canonical state points lie where they are."""
    original = mono_gaussian_avatar.write(tmp_path, n=400)
    sane(original)
    held = torch.load(original.path, weights_only=True)
    state = held["model_state_dict"]
    assert len(state) == 125 and isinstance(held["radius"], float) and held["epoch"] == 60
    assert tuple(state["geometry_network.lin2.weight_v"].shape) == (217, 256)
    assert tuple(state["geometry_network.lin3.weight_g"].shape) == (256, 1)
    assert tuple(state["deformer_network.blendshapes.weight"].shape) == (261, 128)
    raw = original.extras["raw_quats"]
    assert np.abs((raw ** 2).sum(axis=1) - 1).max() < 1e-9, "each component has length 1 over the points"
    want = np.einsum("tni,ij->tnij", original.posed.scales ** 2, np.eye(3))
    off = np.abs(original.extras["covariances"] - want).max() / want.max()
    assert 1e-4 < off < 0.2
    # Canonical state in, canonical state out: the offset alone moves points.
    tables = server(original.extras["shape"])
    model = mono_gaussian_avatar.Model(state["pc.points"], tables)
    model.load_state_dict(state)
    rest = np.zeros(15)
    rest[6] = CANONICAL_JAW
    mean = original.extras["canonical_expression"].astype(np.float64)
    bones, feature = tables.bones(mean, rest)
    here = torch.from_numpy(bones), torch.from_numpy(feature), torch.from_numpy(mean)
    model = model.double()
    with torch.no_grad():
        still = model(here, here, held["radius"])["means"]
        moved = model.pc.points + model.deformer_network(model.pc.points)[3]
    assert (still - moved).abs().max() < 1e-12
    frames = [json.loads(original.sides[k].read_text())["frames"] for k in ("first_video", "last_video")]
    tracked = np.array([f["expression"] for clip in frames for f in clip])
    assert np.abs(tracked.mean(axis=0) - mean).max() < 1e-6
    assert np.abs(tracked.mean(axis=0) - tracked[:3].mean(axis=0)).max() > 0.05


@pytest.fixture(scope="module")
def gha(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A Gaussian Head Avatar run."""
    return gaussian_head_avatar.write(tmp_path_factory.mktemp("gha"), n=600)


def test_gaussian_head_avatar_files(gha: Original) -> None:
    """Keys and layer widths are those of the sheet's table."""
    sane(gha)
    state = torch.load(gha.path, weights_only=True)
    widths = {"exp_color": [(256, 192), (256, 256), (32, 448)], "pose_color": [(128, 182), (32, 310)],
              "exp_deform": [(256, 91), (256, 256), (256, 256), (256, 347), (256, 256), (3, 256)],
              "pose_deform": [(256, 81), (256, 256), (3, 337)],
              "exp_attributes": [(256, 192), (256, 256), (256, 448), (8, 256)],
              "pose_attributes": [(128, 182), (128, 128), (8, 310)]}
    for name, shapes in widths.items():
        for i, shape in enumerate(shapes):
            assert tuple(state[f"{name}_mlp.conv{i}.weight"].shape) == (*shape, 1)
    mesh = torch.load(gha.extras["meshhead"], weights_only=True)
    assert [tuple(mesh[f"geo_mlp.conv{i}.weight"].shape[:2]) for i in (0, 3, 5)] == [(256, 27), (256, 283), (132, 256)]
    assert mesh["tets"].shape[1] == 4 and int(mesh["tets"].max()) == len(mesh["tet_verts"]) - 1
    supres = torch.load(gha.extras["supres"], weights_only=True)
    assert len(supres) == 8 and tuple(supres["upsampler.outc.conv.weight"].shape) == (3, 32, 1, 1)
    assert gha.extras["image"].shape == (1, 3, 128, 128)
    params = np.load(gha.sides["params"] / "0000" / "params.npz")
    assert {k: params[k].shape for k in params} == {"id_coeff": (1, 80), "exp_coeff": (1, 64), "scale": (1,), "pose": (1, 6)}


def test_gaussian_head_avatar_numbers(gha: Original) -> None:
    """The similarity is undone by another route; blend weights cover 0, 1 and between; a tet grid fills its box."""
    state = {k: v.double().numpy() for k, v in torch.load(gha.path, weights_only=True).items()}
    for i in range(len(gha.sequence)):
        turn = Rotation.from_rotvec(gha.sequence.rotation[i].astype(np.float64)).as_matrix()
        canonical = (gha.posed.means[i] - gha.sequence.translation[i]) @ turn / np.float64(np.float32(0.15))
        assert np.abs(canonical - state["xyz"]).max() < 0.3 * 3 ** 0.5
        local = turn.T @ matrices(gha.posed.quats[i])
        assert np.abs(np.linalg.det(local) - 1).max() < 1e-9
    w, squared = gha.extras["w_exp"], KDTree(state["landmarks_3d_neutral"]).query(state["xyz"])[0] ** 2
    assert np.abs(w - np.clip((0.25 - squared) / 0.15, 0, 1)).max() < 1e-9
    assert (w == 0).any() and (w == 1).any() and ((w > 0) & (w < 1)).any()
    assert gha.posed.rgb is not None and np.array_equal(gha.posed.rgb, gha.extras["features"][..., :3])
    mesh = torch.load(gha.extras["meshhead"], weights_only=True)
    corners = mesh["tet_verts"].double().numpy()[mesh["tets"].numpy()]
    volume = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])).sum() / 6
    assert abs(volume - 3.2 * 3.5 * 3.5) < 1e-4


def test_gaussian_head_avatar_egg() -> None:
    """The geometry network's first number is the tanh of an egg's signed distance."""
    mlp = gaussian_head_avatar.MLP(gaussian_head_avatar.DIMS["geo_mlp"], "tanh")
    gaussian_head_avatar.egg(mlp)
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    want = torch.tanh((x / torch.tensor([0.62, 0.85, 0.7])).norm(dim=1) - 1)
    assert (mlp(gaussian_head_avatar.encode(x).T[None])[0, 0] - want).abs().max() < 0.01


def test_gaussian_hair(tmp_path: Path) -> None:
    """Segments lie between points and along them; thin strands are masked; +inf means opaque and no mask."""
    original = gaussian_hair.write(tmp_path / "a", n=60)
    sane(original)
    state = torch.load(original.path, weights_only=True)
    assert tuple(state["points_raw"].shape) == (60, 99, 3) and tuple(state["features_rest_raw"].shape) == (5940, 15, 3)
    assert tuple(state["pose_lstm.weight_ih_l0"].shape) == (216, 54)
    assert any(k.startswith("strands_generator.") for k in state)
    mask, points = original.extras["mask"], original.extras["points"]
    assert 0 < (~mask).sum() < 30 and points.shape[:2] == (2, mask.sum())
    opacity = 1 / (1 + np.exp(-state["opacity_raw"].double().numpy().reshape(60, 99)))
    assert np.array_equal(opacity.mean(axis=1) > 0.2, mask)
    step = points[0, :, 1:] - points[0, :, :-1]
    turned = matrices(original.posed.quats[0])[:, :, 0] * original.posed.scales[0][:, :1] / 0.55
    assert np.abs(turned - step.reshape(-1, 3)).max() < 1e-9
    assert np.abs(original.posed.means[0] - (points[0, :, :-1] + step / 2).reshape(-1, 3)).max() < 1e-9
    # The hair is rigid with the head: the same relative motion in every frame.
    head, hair = original.extras["head_sequence"], original.sequence
    turns = [Rotation.from_rotvec(s.rotation.astype(np.float64)) for s in (head, hair)]
    relative = (turns[0].inv() * turns[1]).as_rotvec()
    assert np.abs(relative - original.extras["relative"][:3]).max() < 1e-6
    solid = gaussian_hair.write(tmp_path / "b", n=40, trained_opacity=False, legacy=True)
    assert torch.isinf(torch.load(solid.path, weights_only=True)["opacity_raw"]).all()
    assert (solid.posed.opacities == 1).all() and solid.extras["mask"].all() and solid.posed.means.shape[1] == 40 * 99


def test_baked_avatar_files(tmp_path: Path) -> None:
    """The pkl is plain NumPy; the web folder says the same after its splitting and tiling; headers stay short."""
    original = baked_avatar.write(tmp_path, layers=2, texture=32)
    data, web = original.extras["data"], original.extras["web"]
    with zipfile.ZipFile(original.path) as archive:
        assert archive.namelist() == ["mesh_data/data.pkl", "mesh_data/version"]
        pickled = archive.read("mesh_data/data.pkl").replace(b"numpy.core.", b"numpy._core.")
    held = pickle.Unpickler(io.BytesIO(pickled)).load()  # would fail on a persistent id, that is on a tensor
    assert list(held) == ["common", "meshes", "ghostbone", "dim_pos_feature", "num_texture_basis",
                          "spatial_mlp_temperature", "global_mlp"]
    assert np.array_equal(held["meshes"][1]["radiance_textures"], data["meshes"][1]["radiance_textures"])
    assert held["meshes"][0]["shapedirs"].shape[1:] == (50, 3)
    metadata = json.loads((web / "metadata.json").read_text())
    for i, mesh in enumerate(metadata["meshes"]):
        assert set(mesh) == {"level", "vertices", "faces", "shapedirs", "posedirs", "lbs_weights", "normals", "uvs",
                             "position_texture", "radiance_texture"}
        for key in set(mesh) - {"level"}:
            at = web / mesh[key]["path"]
            assert list(np.load(at).shape) == mesh[key]["shape"] and at.read_bytes()[9] == 0, "header below 256 bytes"
        corners = np.load(web / mesh["vertices"]["path"])[np.load(web / mesh["faces"]["path"])]
        assert np.array_equal(corners, data["meshes"][i]["vertices"][data["meshes"][i]["faces"]])
    radiance = np.load(web / "meshes_1/radiance_texture.npy")
    assert np.array_equal(radiance[32:64, 64:96], data["meshes"][1]["radiance_textures"][6])
    features = np.load(web / "meshes_1/position_texture.npy")
    assert np.array_equal(features[:, 32:], data["meshes"][1]["position_texture"][..., 4:])
    assert baked_avatar.atlas(data["meshes"][1]["radiance_textures"]).shape == (32, 512, 4)
    frames = np.load(original.sides["sequence_data"] / "flame_sequences.npy")
    assert frames.shape == (3, 65) and np.array_equal(frames[:, 56:59], original.sequence.jaw[:, :])
    v, f = data["meshes"][0]["vertices"], data["meshes"][0]["faces"]
    normal = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
    assert ((normal * (v[f].mean(axis=1) - v.mean(axis=0))).sum(axis=1) > 0).all(), "outward"


def test_baked_avatar_numbers(tmp_path: Path) -> None:
    """A vertex that copies a FLAME vertex moves with it; shares sum to 1; the demo's slip would be seen."""
    original = baked_avatar.write(tmp_path, layers=1, texture=8)
    shape, clip = original.sequence.shape, original.sequence
    assert shape is not None
    tables = server(shape)
    ids = np.arange(0, 5023, 97)
    copied = {"vertices": tables.v_template[ids], "shapedirs": tables.shapedirs[ids, :, 100:].transpose(0, 2, 1),
              "posedirs": tables.posedirs.reshape(36, -1, 3)[:, ids].transpose(1, 0, 2),
              "lbs_weights": np.concatenate([0 * tables.lbs_weights[ids, :1], tables.lbs_weights[ids]], axis=1),
              "normals": tables.v_template[ids], "uvs": np.zeros((1, 2)), "faces_uv": np.zeros((1, 3), int),
              "faces": np.zeros((1, 3), int)}
    theta = np.concatenate([clip.rotation, clip.neck, clip.jaw, clip.eyes], axis=1)
    made = baked_avatar.pose_layer(copied, tables, clip.expr, theta)
    betas = np.zeros((3, 400))
    betas[:, :100], betas[:, 300:350] = shape, clip.expr
    for i in range(3):
        assert np.abs(made.vertices[i] - pose(flame(), betas[i], theta[i])[ids]).max() < 2e-7
    shaded = original.extras["shaded"]
    assert np.abs(shaded.coefficients.sum(axis=1) - 1).max() < 1e-12 and (shaded.alpha == 1).all()
    assert (original.extras["data"]["meshes"][0]["radiance_textures"][:, -1] == 255).all()
    posed = original.extras["layers"][0]
    assert np.abs(np.linalg.norm(posed.normals, axis=2) - 1).max() < 1e-9
    demo = original.extras["demo_layers"][0].vertices
    assert 1e-4 < np.abs(demo - posed.vertices).max() < 0.05
    fetched = baked_avatar.demo_feature(np.arange(1.0, 37))
    assert fetched.tolist() == [1, 2, 3, 4, 17, 18, 19, 20, 33, 34, 35, 36] + [0] * 24
    assert FACTOR == 4 and 0.15 < np.ptp(posed.vertices[0], axis=0).max() < 0.4
