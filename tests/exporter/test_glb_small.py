"""GLB grade `small`, and what limits expressions and joints in every grade."""

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from exporter import glb_check, khronos
from exporter.capabilities import fit
from exporter.export import export
from exporter.glb_losses import farthest
from exporter.glb_packing import Packing, pack_head
from exporter.ops.limit_head import choose_expressions, keep_joints, weighted_joints
from exporter.ops.limit_influences import limit_influences
from exporter.ops.spatial_order import hilbert_order, reorder_faces
from exporter.targets import glb
from exporter.validate import validate
from formats import codecs
from formats.avatar import Avatar, SplatLayer
from formats.codecs import glb_avatar
from formats.codecs.glb import GlbDocument, read_document
from formats.conventions import ARKIT_52
from formats.deform import PosedMesh, deform, deform_head
from formats.errors import AvatarError, CheckpointMismatch, FormatError, UnsupportedFeature
from formats.head_model import HeadModel
from formats.importers import lam
from formats.render import RenderOptions, default_camera, psnr, render_avatar
from formats.retarget import retarget
from tests.builders import AVATAR_KINDS, tiny_avatar, tiny_head, tiny_sequence

POINTS = 5e-5
"""Metres: what grade small promises."""
SMALL_DB = 40.0
SCHEMA = Path(glb_check.__file__).parent / "schemas" / "FLAMEPORT_avatar.schema.json"
GOLDEN = Path(__file__).parents[1] / "golden" / "small"


def carried(kind: str, **options: object) -> Avatar:
    return fit(tiny_avatar(kind, **options), glb.CAPABILITIES).avatar  # type: ignore[arg-type]


def small(avatar: Avatar, **options: object) -> GlbDocument:
    return read_document(glb.to_bytes(avatar, glb.Options(grade="small", **options)))  # type: ignore[arg-type]


def changed(document: GlbDocument) -> GlbDocument:
    """Return a document whose JSON may be changed."""
    return GlbDocument(json.loads(json.dumps(document.json)), document.binary, document.where)


# --- What comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", AVATAR_KINDS)
def test_every_kind_of_avatar_comes_back_within_the_bound(kind: str) -> None:
    avatar = carried(kind, degree=2)
    document = small(avatar)
    back = glb_avatar.from_document(document)
    assert farthest(avatar, back) < POINTS
    assert glb_check.problems(document) == []
    assert back.sequence is not None and avatar.sequence is not None
    for t in (0, 1.3, 3):
        for one, other in zip(deform(avatar, avatar.sequence, t).layers, deform(back, back.sequence, t).layers, strict=True):
            if isinstance(one, PosedMesh):
                assert np.linalg.norm(one.vertices - other.vertices, axis=1).max() < POINTS
                assert np.linalg.norm(one.normals - other.normals, axis=1).max() < 2e-3
                continue
            # The same Gaussians, in the avatar's order, not the file's.
            assert np.linalg.norm(one.cloud.means - other.cloud.means, axis=1).max() < POINTS
            np.testing.assert_allclose(other.cloud.opacities, one.cloud.opacities, atol=0.01)
            np.testing.assert_allclose(other.cloud.scales, one.cloud.scales, rtol=0.09)
            np.testing.assert_allclose(other.cloud.sh, one.cloud.sh, atol=0.02)
    if avatar.layers:
        camera, options = default_camera(avatar, 128, 128), RenderOptions()
        pictures = [render_avatar(each, avatar.sequence, 1.5, camera, options).rgb for each in (avatar, back)]
        assert psnr(*pictures) > SMALL_DB


HEADS = {
    "lids after skinning": lambda: dataclasses.replace(tiny_head(), eyelid_space="posed"),
    "a longer skeleton": lambda: tiny_head(extra_joints=3),
    "no correctives, no lids": lambda: dataclasses.replace(tiny_head(correctives=False), eyeliddirs=None),
    "no texture coordinates": lambda: tiny_head(uvs=False),
    "ARKit": lambda: tiny_head("arkit-51"),
    "no expressions": lambda: dataclasses.replace(
        tiny_head(), exprdirs=np.zeros((110, 3, 0)), expr_names=(), arkit_map=None),
    "an expression of zeros": lambda: dataclasses.replace(
        tiny_head(), exprdirs=tiny_head().exprdirs * (np.arange(6) != 2).astype(np.float32)),
    "long deltas": lambda: dataclasses.replace(tiny_head(), exprdirs=tiny_head().exprdirs * np.float32(100)),
}


@pytest.mark.parametrize("name", HEADS)
def test_every_kind_of_head_comes_back_within_the_bound(name: str) -> None:
    avatar = tiny_avatar("edge-height", head=HEADS[name](), sequence=False)
    head = avatar.head
    avatar = dataclasses.replace(avatar, sequence=tiny_sequence(head, 4, drivers=False))
    document = small(avatar)
    back = glb_avatar.from_document(document)
    bound = POINTS * (100 if name == "long deltas" else 1)  # 16 bits of a metre are what there is
    assert farthest(avatar, back) < bound
    assert back.head.expr_names == head.expr_names and back.head.joint_names == head.joint_names
    assert back.head.content_hash == head.content_hash and dict(back.head.joint_roles) == dict(head.joint_roles)
    # Triangles may be listed in another order, corners in theirs.
    assert set(map(tuple, back.head.faces.tolist())) == set(map(tuple, head.faces.tolist()))
    assert glb_check.problems(document) == []


def test_vertex_colors_and_a_webp_texture_come_back() -> None:
    plain = carried("vertex-index", head=tiny_head(uvs=False))
    plain = dataclasses.replace(plain, maps=None, vertex_rgb=np.random.default_rng(1).uniform(0.2, 1, (110, 3)))
    colors = glb_avatar.from_document(small(plain)).vertex_rgb
    assert colors is not None and plain.vertex_rgb is not None
    np.testing.assert_allclose(colors, plain.vertex_rgb, atol=0.04)

    textured = carried("everything")
    document = small(textured)
    assert {"EXT_texture_webp", "EXT_meshopt_compression", "KHR_mesh_quantization"} == set(
        document.json["extensionsRequired"])
    back = glb_avatar.from_document(document)
    assert back.maps is not None and textured.maps is not None
    one, other = textured.maps.images["albedo"], back.maps.images["albedo"]
    assert one.shape == other.shape and np.abs(one - other).mean() < 0.05  # a chequered board of texels


def test_plain_and_full_require_nothing() -> None:
    for grade in ("plain", "full"):
        document = read_document(glb.to_bytes(carried("linear"), glb.Options(grade=grade)))  # type: ignore[arg-type]
        assert "extensionsRequired" not in document.json
        assert b"meshopt" not in json.dumps(document.json).encode()


def test_it_is_small_and_the_same_each_time() -> None:
    avatar = carried("edge-height", n=5000, head=tiny_head())
    sizes = {grade: len(glb.to_bytes(avatar, glb.Options(grade=grade)))  # type: ignore[arg-type]
             for grade in ("plain", "small")}
    assert sizes["small"] < sizes["plain"] / 2.5
    assert glb.to_bytes(avatar, glb.Options(grade="small")) == glb.to_bytes(avatar, glb.Options(grade="small"))


def test_extension_keeps_to_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    for kind in ("edge-height", "own-skin", "linear", "vertex-index"):
        document = small(carried(kind))
        jsonschema.validate(document.json["extensions"]["FLAMEPORT_avatar"], schema)
        for mesh in document.json["meshes"][1:]:
            ours = mesh["primitives"][0]["extensions"]["KHR_gaussian_splatting"]["extensions"]["FLAMEPORT_avatar"]
            jsonschema.validate(ours, {"$ref": "#/$defs/splats", "$defs": schema["$defs"]})
            assert ("order" in ours) == ("network" not in ours.get("dynamics", {}))


@pytest.mark.parametrize("kind", ["linear", "vertex-index", "own-skin"])
def test_validate_passes_it_and_tells_what_it_rounds(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(khronos, "available", lambda: False)
    avatar = carried(kind)
    [path] = glb.write(avatar, tmp_path / "a.glb", glb.Options(grade="small"))
    report = validate(path, avatar, 4)
    assert report.ok, report.failure
    bounds = {m.what: m.bound for m in report.measures}
    assert bounds["Gaussian means"] == bounds["posed points, random expressions and turns too"] == POINTS * 1e3
    assert bounds["picture"] == SMALL_DB and bounds["Gaussian rotations"] is None
    told = glb.losses(avatar, glb.Options(grade="small"))
    assert [loss.what for loss in told] == ["grade small rounds"] * 2 and not any(loss.blocking for loss in told)
    assert "mm" in told[0].amount and "dB" in told[1].amount


def test_validate_sees_a_file_that_rounds_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(khronos, "available", lambda: False)
    monkeypatch.setattr(glb, "TRIES", 1)
    monkeypatch.setattr(glb, "pack_head", lambda avatar, finer: dataclasses.replace(pack_head(avatar), scale=0.2))
    avatar = carried("edge-height")
    [path] = glb.write(avatar, tmp_path / "a.glb", glb.Options(grade="small"))
    assert "posed points" in validate(path, avatar, 3).failure


def test_a_promise_that_cannot_be_kept_needs_leave(tmp_path: Path) -> None:
    """A Gaussian hundreds of metres out on a small triangle: float32 vertices do not hold its place."""
    avatar = tiny_avatar("edge-height")
    layer = avatar.layers[0]
    assert isinstance(layer, SplatLayer)
    cloud = dataclasses.replace(layer.cloud, means=layer.cloud.means + np.float32(1e5))
    avatar = dataclasses.replace(avatar, layers=(dataclasses.replace(layer, cloud=cloud),))
    options = glb.Options(grade="small")
    with pytest.raises(UnsupportedFeature, match="more than the 0.05 mm it promises"):
        export(avatar, "glb", tmp_path / "a.glb", options)
    assert not list(tmp_path.iterdir())
    report = export(avatar, "glb", tmp_path / "a.glb", options, allow_loss=True)
    assert any(loss.blocking for loss in report.losses) and (tmp_path / "a.glb").is_file()


def test_steps_get_finer_until_the_bound_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []

    def coarse(avatar: Avatar, finer: float) -> Packing:
        tried.append(finer)
        packing = pack_head(avatar, finer)
        return dataclasses.replace(packing, scale=packing.scale / 8)

    monkeypatch.setattr(glb, "pack_head", coarse)
    avatar = carried("edge-height")
    assert farthest(avatar, glb_avatar.from_document(small(avatar))) < POINTS
    assert len(tried) > 1 and tried == sorted(tried, reverse=True)


@pytest.mark.parametrize("name", [p.stem for p in sorted(GOLDEN.glob("*.glb"))])
def test_the_golden_files_still_read_the_same(name: str) -> None:
    from formats.codecs import sequence_json

    stored = json.loads((GOLDEN / f"{name}.json").read_text())
    avatar, clip = glb_avatar.read(GOLDEN / f"{name}.glb"), sequence_json.read(GOLDEN / f"{name}.clip.json")
    for frame in stored["frames"]:
        posed = deform(avatar, clip, frame["t"])
        np.testing.assert_allclose(posed.head.vertices.ravel(), frame["vertices"], atol=1e-6)
        np.testing.assert_allclose(posed.layers[0].cloud.means.ravel(), frame["means"], atol=1e-6)


# --- Strangers' files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["own-skin", "vertex-index", "linear"])
def test_flipped_bytes_are_refused_or_read_never_worse(kind: str) -> None:
    data = glb.to_bytes(carried(kind, n=8, head=tiny_head(uvs=False, correctives=False)), glb.Options(grade="small"))
    rng = np.random.default_rng(0)
    start = 20 + int(np.frombuffer(data, "<u4", 1, 12)[0]) + 8
    for at in rng.integers(start, len(data), 60):
        broken = bytearray(data)
        broken[at] ^= int(rng.integers(1, 256))
        try:
            glb_avatar.from_document(read_document(bytes(broken)))
        except AvatarError as error:
            assert "\n" not in str(error)


def test_orders_that_are_none_are_refused() -> None:
    document = small(carried("own-skin"))
    for change, where in ((lambda d: d.json["extensions"]["FLAMEPORT_avatar"]["head"].update(
            vertexOrder=d.json["meshes"][0]["primitives"][0]["indices"]), "vertexOrder"),
            (lambda d: _ours(d).update(order=d.json["extensions"]["FLAMEPORT_avatar"]["head"]["vertexOrder"]), "order"),
            (lambda d: _ours(d)["binding"]["tables"].update(rank=3), "coefficients"),
            (lambda d: _ours(d)["binding"]["tables"].update(exprdirs=4096, rank=16384), "basis|coefficients|numbers")):
        broken = changed(document)
        change(broken)
        with pytest.raises(FormatError, match=where):
            glb_avatar.from_document(broken)


def _ours(document: GlbDocument) -> dict:
    return document.json["meshes"][1]["primitives"][0]["extensions"]["KHR_gaussian_splatting"]["extensions"][
        "FLAMEPORT_avatar"]


@pytest.mark.parametrize(("key", "value"), [
    ("count", 1 << 30), ("count", 7), ("byteStride", 6), ("byteLength", 3), ("byteOffset", 1 << 30), ("mode", "TRIANGLES"),
    ("filter", "QUATERNION"), ("buffer", 1)])
def test_compressed_views_that_lie_are_refused(key: str, value: object) -> None:
    document = changed(small(carried("edge-height")))
    position = document.json["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
    view = document.json["bufferViews"][document.json["accessors"][position]["bufferView"]]
    view["extensions"]["EXT_meshopt_compression"][key] = value
    with pytest.raises(AvatarError):
        document.accessor(position)


# --- Fewer expressions and joints -------------------------------------------------------------------------------------


def test_expressions_are_chosen_by_name_by_number_and_by_energy() -> None:
    avatar = tiny_avatar("edge-height")
    names = avatar.head.expr_names
    assert choose_expressions(avatar) == names
    assert choose_expressions(avatar, ["smile", "frown"]) == ("smile", "frown")
    deltas = avatar.head.exprdirs * np.array([1, 5, 0, 2, 9, 3], np.float32)
    loud = dataclasses.replace(avatar, head=dataclasses.replace(avatar.head, exprdirs=deltas), sequence=None)
    energy = (deltas.astype(float)**2).sum(axis=(0, 1))
    strongest = [names[i] for i in np.argsort(-energy)]
    assert set(choose_expressions(loud, most=2)) == set(strongest[:2])
    assert choose_expressions(loud, most=0) == ()
    share = energy[np.argsort(-energy)].cumsum() / energy.sum()
    assert set(choose_expressions(loud, energy=float(share[2]))) == set(strongest[:3])
    assert names[2] not in choose_expressions(loud, energy=1.0)
    # What a clip never uses has no energy.
    assert avatar.sequence is not None
    used = np.zeros_like(avatar.sequence.expr)
    used[:, 3] = 1
    quiet = dataclasses.replace(avatar, sequence=dataclasses.replace(avatar.sequence, expr=used))
    assert choose_expressions(quiet, most=1) == (names[3],)


def test_arkit_names_are_kept() -> None:
    head = tiny_head()
    head = dataclasses.replace(head, expr_names=("pc0", "jawOpen", "pc2", "mouthPucker", "pc4", "pc5"))
    avatar = Avatar(head)
    assert choose_expressions(avatar, most=0, arkit=True) == ("jawOpen", "mouthPucker")
    assert all(name in ARKIT_52 for name in choose_expressions(avatar, ["pc0"], arkit=True)[1:])


@pytest.mark.parametrize("grade", ["plain", "full", "small"])
@pytest.mark.parametrize("kind", ["own-skin", "vertex-index"])
def test_a_limited_file_is_the_limited_avatar(kind: str, grade: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(khronos, "available", lambda: False)
    avatar = carried(kind, head=tiny_head(extra_joints=2))
    layers = tuple(dataclasses.replace(layer, dynamics=None) for layer in avatar.layers)  # a network takes all expressions
    avatar = dataclasses.replace(avatar, layers=layers, networks={})
    options = glb.Options(grade=grade, expressions=("smile", "pucker"), unweighted_joints=False)  # type: ignore[arg-type]
    [path] = glb.write(avatar, tmp_path / "a.glb", options)
    back = glb_avatar.read(path)
    assert back.head.expr_names == ("smile", "pucker")
    assert back.head.arkit_map is None or back.head.arkit_map.shape == (52, 2 + 14)
    assert back.sequence is not None and avatar.sequence is not None
    assert back.sequence.expr.shape[1] == 2
    frame = dataclasses.replace(avatar.sequence.take([2]), expr=avatar.sequence.expr[2:3] * np.array([0, 1, 1, 0, 0, 0]))
    np.testing.assert_allclose(deform(back, back.sequence.take([2])).head.vertices, deform(avatar, frame).head.vertices,
                               atol=POINTS)
    report = validate(path, avatar, 3)
    assert report.ok, report.failure
    [told] = [loss for loss in report.losses if "expressions" in loss.what]
    assert "4 of 6 expressions (jawDrop" in told.what and "mm" in told.amount and not told.blocking
    assert glb.losses(avatar, options)[0].what == told.what


def test_what_becomes_of_the_clip_is_told() -> None:
    avatar = tiny_avatar("linear", 8)
    assert avatar.sequence is not None and len(avatar.sequence) == 4
    assert not any("clip" in loss.what for loss in glb.losses(avatar, glb.Options()))
    [gone] = [loss for loss in glb.losses(avatar, glb.Options(clip=False)) if "clip" in loss.what]
    assert (gone.amount, gone.blocking) == ("4 frames", False)
    [fewer] = [loss for loss in glb.losses(avatar, glb.Options(fps=avatar.sequence.fps / 2)) if "clip" in loss.what]
    [more] = [loss for loss in glb.losses(avatar, glb.Options(fps=avatar.sequence.fps * 2)) if "clip" in loss.what]
    assert not fewer.blocking and float(fewer.amount.split()[4]) > 1 and float(more.amount.split()[4]) < 1e-3


def test_what_cannot_be_left_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="no expression 'grin'"):
        glb.to_bytes(carried("edge-height"), glb.Options(expressions=("grin",)))
    with pytest.raises(UnsupportedFeature, match="driven by all 6"):
        glb.to_bytes(carried("linear"), glb.Options(max_expressions=2))
    with pytest.raises(UnsupportedFeature, match="takes all 6"):
        glb.to_bytes(carried("own-skin"), glb.Options(max_expressions=2))
    with pytest.raises(UnsupportedFeature, match="0 to 1"):
        glb.to_bytes(carried("edge-height"), glb.Options(expression_energy=1.5))
    with pytest.raises(UnsupportedFeature, match="moves something"):
        keep_joints(tiny_avatar("edge-height"), ("root",))
    [path] = glb.write(carried("edge-height"), tmp_path / "a.glb", glb.Options())
    other = tiny_avatar("edge-height")
    head = dataclasses.replace(other.head, expr_names=tuple("abcdef"), content_hash=other.head.content_hash)
    with pytest.raises(CheckpointMismatch, match="expression 'jawDrop'"):
        validate(path, dataclasses.replace(other, head=head, sequence=None))


def _with_idle_joints() -> HeadModel:
    """Return a head with two joints that move nothing, one of them above one that does."""
    head = tiny_head()
    rest, _ = head.rest_joints()
    weights = np.insert(head.lbs_weights, [2, 5], 0, axis=1)
    return dataclasses.replace(
        head, lbs_weights=weights, parents=[-1, 0, 1, 2, 2, 2, 3], J_regressor=None, J_exprdirs=None,
        J_template=np.insert(rest, [2, 5], [[0, -0.02, 0], [0, -0.05, 0.05]], axis=0),
        joint_names=("root", "neck", "skull", "jaw", "left_eye", "right_eye", "chin"),
        joint_roles={"root": 0, "neck": 1, "jaw": 3, "left_eye": 4, "right_eye": 5})


def test_joints_that_move_nothing_can_be_left_out() -> None:
    head = _with_idle_joints()
    clip = dataclasses.replace(tiny_sequence(head, 4, drivers=False), joints={"chin": np.full((4, 3), 0.1),
                                                                              "skull": np.full((4, 3), 0.1)})
    avatar = Avatar(head, sequence=clip)
    assert weighted_joints(avatar) == ("root", "neck", "skull", "jaw", "left_eye", "right_eye")
    back = glb_avatar.from_document(read_document(glb.to_bytes(avatar, glb.Options(unweighted_joints=False))))
    assert back.head.joint_names == weighted_joints(avatar) and back.sequence is not None
    for i in range(4):
        np.testing.assert_allclose(deform_head(back.head, back.sequence.take([i])).vertices,
                                   deform_head(head, clip.take([i])).vertices, atol=1e-6)
    [told] = glb.losses(avatar, glb.Options(unweighted_joints=False))
    assert "chin" in told.what and told.amount == "0 mm"


# --- Orders -----------------------------------------------------------------------------------------------------------


def test_a_hilbert_curve_visits_a_grid_without_jumping() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(16)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = np.random.default_rng(0).permutation(grid)
    path = grid[hilbert_order(grid)]
    assert np.abs(np.diff(path, axis=0)).sum(axis=1).max() == 1
    assert len(hilbert_order(np.zeros((5, 3)))) == 5


def test_reordered_triangles_carry_their_gaussians() -> None:
    avatar = carried("edge-height")
    order = np.random.default_rng(3).permutation(len(avatar.head.v_template))
    moved = reorder_faces(avatar, order)
    assert avatar.sequence is not None and not np.array_equal(moved.head.faces, avatar.head.faces)
    for one, other in zip(deform(avatar, avatar.sequence, 2).layers, deform(moved, avatar.sequence, 2).layers, strict=True):
        np.testing.assert_allclose(one.cloud.means, other.cloud.means, atol=1e-7)


# --- Outside checks ---------------------------------------------------------------------------------------------------

needs_node = pytest.mark.skipif(not khronos.available(), reason="needs Node and its packages: scripts/build --tests")


@pytest.mark.node
@needs_node
@pytest.mark.parametrize("kind", ["edge-height", "own-skin", "vertex-index"])
def test_the_khronos_validator_and_three_are_content(kind: str, tmp_path: Path) -> None:
    avatar = carried(kind)
    avatar = dataclasses.replace(avatar, sequence=tiny_sequence(avatar.head, 12))
    [path] = glb.write(avatar, tmp_path / "a.glb", glb.Options(grade="small"))
    assert khronos.complaints(khronos.run(path)) == []
    sequence, out = avatar.sequence, tmp_path / "a.f64"
    assert sequence is not None
    times = [str(i / sequence.fps) for i in range(len(sequence))]
    done = subprocess.run(["node", str(khronos.FOLDER / "three_pose.mjs"), str(path), str(out), *times], timeout=120,
                          capture_output=True, check=True)
    places = glb_avatar.vertex_places(read_document(path))
    posed = np.fromfile(out, "<f8").reshape(len(times), -1, 3)[:, places]
    reachable = dataclasses.replace(limit_influences(avatar.head, 4), eyelid_space="rest")
    truth = np.stack([deform_head(reachable, sequence.take([i])).vertices for i in range(len(sequence))])
    assert np.linalg.norm(posed - truth, axis=2).max() < POINTS
    assert json.loads(done.stdout)["targets"][:6] == list(avatar.head.expr_names)


# --- Reach ------------------------------------------------------------------------------------------------------------


@pytest.mark.lam
@pytest.mark.slow
def test_the_lam_avatar_is_small(lam_zip: Path, tmp_path: Path) -> None:
    track_file = lam_zip.with_name("lam_test_expression_1s.json")
    if not track_file.is_file():
        pytest.skip(f"{track_file}: LAM's ARKit track is not here")
    avatar = lam.read(lam_zip)
    [path] = glb.write(avatar, tmp_path / "a.glb", glb.Options(grade="small", clip=False, unweighted_joints=False))
    [full] = glb.write(avatar, tmp_path / "full.glb", glb.Options(grade="full", clip=False, unweighted_joints=False))
    back, whole = glb_avatar.read(path), glb_avatar.read(full)
    assert path.stat().st_size < 1_200_000
    assert len(back.head.expr_names) == 51 and back.head.joint_names == weighted_joints(avatar)
    track, camera = retarget(codecs.read_sequence(track_file), avatar.head), default_camera(avatar, 256, 256)
    assert np.linalg.norm(track.expr, axis=1).max() > 1
    for i in np.linspace(0, len(track) - 1, 4).round().astype(int):
        frame = dataclasses.replace(track.take([int(i)]), joints={})
        a, b = deform(whole, frame), deform(back, frame)
        assert np.linalg.norm(a.head.vertices - b.head.vertices, axis=1).max() < POINTS
        assert np.linalg.norm(a.layers[0].cloud.means - b.layers[0].cloud.means, axis=1).max() < POINTS
        assert psnr(render_avatar(whole, frame, 0, camera).rgb, render_avatar(back, frame, 0, camera).rgb) > SMALL_DB


def test_layers_keep_their_names_and_kinds() -> None:
    back = glb_avatar.from_document(small(carried("everything")))
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in carried("everything").layers]
    assert [layer.name for layer in back.layers] == [layer.name for layer in carried("everything").layers]


def test_a_file_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    document = small(carried("edge-height"))
    monkeypatch.setattr("formats.codecs.glb.EXPANDED_LIMIT", 20_000)
    with pytest.raises(FormatError, match="more than 20000 bytes"):
        glb_avatar.from_document(GlbDocument(document.json, document.binary))
