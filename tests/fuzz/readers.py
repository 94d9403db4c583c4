"""Every reader of strangers' files, with a small valid file for it.

    reader = READERS["torch zip"]
    path = reader.write(folder)     lays a valid file, and what it needs beside it, into a folder
    reader.read(path)               reads it, or raises AvatarError
"""

import functools
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from exporter import onnx_check
from exporter.targets import glb, onnx, textures
from formats import datasets, inspection
from formats.codecs import (
    arkit_json,
    arkit_map,
    baked_sequence,
    bundle,
    camera_json,
    deep_png,
    flame_npz,
    flame_params,
    flame_pickle,
    flame_sides,
    glb_avatar,
    head_file,
    inria_ply,
    npy_file,
    npz_file,
    packed_texels,
    packed_texels_reader,
    safetensors_file,
    sequence_binary,
    sequence_json,
    spz,
    torch_file,
    unity_avatar,
)
from formats.files import read_bytes
from formats.importers import (
    baked_avatar,
    fate,
    fate_context,
    fate_tracking,
    flash_checkpoint,
    gaussian_head_avatar,
    gha_files,
    lam,
    mono_gaussian_avatar,
    mono_training,
    osgap_maps,
    splatting_avatar,
    tracker_frames,
)


@dataclass(frozen=True)
class Reader:
    """A reader and how its input is made."""

    write: Callable[[Path], Path]
    """Into an empty folder; returns the file that is read and damaged."""
    read: Callable[[Path], object]


@functools.cache
def _head() -> Any:
    from tests.builders import tiny_head

    return tiny_head()


_CONFIG = (b"train{\n sub_dir = [a, b]\n subsample = 2\n}\ndataset{\n data_folder = x\n subject_name = y\n}\n"
           b"model{ canonical_pose = 0.4 }\n")


# --- Valid files ------------------------------------------------------------------------------------------------------


def _known(name: str) -> Callable[[Path], Path]:
    """Return a writer of one of `tests.bad_files`' files."""
    def write(folder: Path) -> Path:
        from tests.bad_files import READERS as KNOWN

        files = KNOWN[name].files()
        for file, data in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(data)
        return folder / next(iter(files))
    return write


def _torch(name: str, content: Callable[[], Any], zipped: bool = True) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import torch

        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content(), path, _use_new_zipfile_serialization=zipped)
        return path
    return write


def _bytes(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content())
        return folder / name
    return write


def _pickled(content: Callable[[], Any]) -> Callable[[], bytes]:
    return lambda: pickle.dumps(content(), 2)


def _npz(**arrays: np.ndarray) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()
    return make


def _npy(value: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value)
    return buffer.getvalue()


def _tensors() -> Any:
    import torch

    base = torch.arange(12.0).reshape(3, 4)
    return {"model": {"a": base, "view": base[1:, ::2], "half": torch.ones(2).half(), "brain": torch.ones(2).bfloat16(),
                      "p": torch.nn.Parameter(torch.ones(2))}, "size": torch.Size([2]), "step": 5, "array": np.arange(4.0)}


def _frame() -> Any:
    eye = np.array([[1, 0, 0, 0, 1, 0]], np.float32)
    return {"flame": {"exp": np.zeros((1, 100), np.float32), "shape": np.zeros((1, 300), np.float32), "tex": np.zeros((1, 140)),
                      "sh": np.zeros((1, 9, 3)), "eyes": np.tile(eye, 2), "eyelids": np.zeros((1, 2)), "jaw": eye},
            "camera": {"R": eye, "t": np.zeros((1, 3)), "fl": np.ones((1, 1)), "pp": np.zeros((1, 2))},
            "opencv": {"R": np.eye(3)[None], "t": np.array([[0, 0, 1.0]]), "K": np.diag([500.0, 500, 1])[None]},
            "img_size": np.array([512, 512]), "frame_id": "00000", "global_step": 1}


def _fate() -> Any:
    import torch

    model = {"_offset": torch.zeros(4, 1), "_features_dc": torch.zeros(4, 1, 3), "_scaling": torch.zeros(4, 3),
             "_rotation": torch.ones(4, 4), "_opacity": torch.zeros(4, 1), "face_index": torch.zeros(4, dtype=torch.int64),
             "bary_coords": torch.ones(4, 3), "flame.v_template": torch.zeros(8, 3)}
    return {"epoch": 1, "global_step": 2, "model": model, "train_expression": {"weight": torch.zeros(2, 50)}}


def _identity() -> Any:
    import torch

    return {"shape_params": torch.zeros(1, 100), "canonical_expression": torch.zeros(1, 50), "n_shape": 100, "n_exp": 50,
            "camera_rotation": torch.eye(3), "camera_translation": torch.tensor([0, 0, 1.0]), "camera_fovx": 0.3,
            "camera_fovy": 0.3, "img_res": [512, 512], "dataset_type": "imavatar"}


def _flash() -> Any:
    import torch

    network = {f"fcs.{i}.{part}": torch.zeros(*shape) for i in range(2)
               for part, shape in (("weight", (8, 8)), ("bias", (8,)))}
    rows = [torch.zeros(4, *shape) for shape in ((3,), (1, 3), (15, 3), (3,), (4,), (1,))]
    return (network, {"state": {}}), (1, *rows, torch.zeros(4), torch.zeros(4, 1), torch.zeros(4, 1), {}, 1.0), 5


def _mono() -> Any:
    import torch

    return {"epoch": 1, "radius": 0.01, "model_state_dict": {"pc.points": torch.zeros(4, 3), "deformer_network.lin0.bias":
                                                             torch.zeros(8)}}


def _gha() -> Any:
    import torch

    return {"xyz": torch.zeros(4, 3), "feature": torch.zeros(4, 8), "scales": torch.zeros(4, 3), "rotation": torch.ones(4, 4),
            "opacity": torch.zeros(4, 1), "landmarks_3d_neutral": torch.zeros(3, 3),
            "exp_color_mlp.conv0.weight": torch.zeros(8, 72, 1), "exp_color_mlp.conv0.bias": torch.zeros(8)}


def _baked() -> Any:
    mesh = {"level": 0.0, "vertices": np.zeros((4, 3), np.float32), "faces": np.zeros((2, 3), np.int32),
            "position_texture": np.zeros((2, 2, 8), np.uint8), "radiance_textures": np.zeros((16, 2, 2, 4), np.uint8)}
    return {"common": {"v_template": np.zeros((8, 3), np.float32), "parents": np.arange(-1, 4, dtype=np.int32)}, "meshes": [mesh],
            "ghostbone": True, "dim_pos_feature": 8, "num_texture_basis": 16, "spatial_mlp_temperature": 10.0,
            "global_mlp": {"fc0_weight": np.zeros((4, 4), np.float32)}}


def _tracking() -> dict[str, np.ndarray]:
    rows = {"expression": 100, "rotation": 3, "translation": 3, "jaw": 3, "neck": 3, "eyes": 6}
    return {name: np.full((2, width), 0.1) for name, width in rows.items()} | {
        "shape": np.zeros((1, 300)), "scale": np.ones((1, 1)), "frames": np.arange(2),
        "rotation_matrices": np.tile(np.eye(3), (2, 1, 1))}


def _maps() -> dict[str, np.ndarray]:
    return {name: np.zeros((4, 4, width), np.float32) for name, width in osgap_maps.CHANNELS.items()}


def _splatting(folder: Path) -> Path:
    import json

    from tests.builders import tiny_cloud

    frame = {"file_path": "image/1", "expression": [0.5] * 6, "pose": [0.0] * 15, "world_mat": np.eye(3, 4).tolist()}
    (folder / "flame_params.json").write_text(json.dumps({"intrinsics": [-2, 2, 0.5, 0.5], "shape_params": [0.0] * 3,
                                                          "frames": [frame] * 3}))
    inria_ply.write(tiny_cloud(3), folder / "point_cloud.ply", 0)
    (folder / "embedding.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3//1\n")
    (folder / "embedding.json").write_text(json.dumps({
        "cano_mesh": "embedding.obj", "sample_fidxs": [0] * 3, "sample_bary": [[1, 0, 0]] * 3, "_xyz": [[0, 0, 0.1]] * 3,
        "_rotation": [[1, 0, 0, 0]] * 3}))
    return folder / "embedding.json"


def _obj(folder: Path) -> Path:
    return _splatting(folder).with_suffix(".obj")


def _deep(folder: Path) -> Path:
    (folder / "x.png").write_bytes(deep_png.encode(np.arange(24, dtype=np.uint16).reshape(2, 4, 3)))
    return folder / "x.png"


def _web(folder: Path) -> Path:
    import json

    mesh = _baked()["meshes"][0]
    for name in ("vertices", "faces"):
        (folder / "meshes_0").mkdir(exist_ok=True)
        (folder / "meshes_0" / f"{name}.npy").write_bytes(_npy(mesh[name]))
    (folder / "common").mkdir()
    (folder / "common" / "v_template.npy").write_bytes(_npy(np.zeros((8, 3), np.float32)))
    (folder / "metadata.json").write_text(json.dumps({
        "meshes": [{"level": 0.0, "vertices": {"path": "meshes_0/vertices.npy", "shape": [4, 3], "dtype": "float32"}}],
        "ghostbone": True, "dim_pos_feature": 8, "num_texture_basis": 16, "spatial_mlp_temperature": 10.0}))
    return folder / "metadata.json"


def _clip(folder: Path) -> Path:
    (folder / "flame_sequences.json").write_text('{"a_b": {"start": 0, "end": 3}}')
    (folder / "flame_sequences.npy").write_bytes(_npy(np.zeros((3, 65), np.float32)))
    return folder / "flame_sequences.npy"


@functools.cache
def _tracked(layout: str) -> dict[str, bytes]:
    from tempfile import TemporaryDirectory

    from tests.formats import tracked_folders, tracked_folders_more

    with TemporaryDirectory() as folder:
        name = f"write_{layout}"
        getattr(tracked_folders if hasattr(tracked_folders, name) else tracked_folders_more, name)(Path(folder))
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def _data_set(layout: str, file: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for name, data in _tracked(layout).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder / file
    return write


def _glb(kind: str, grade: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from tests.builders import tiny_avatar

        return glb.write(tiny_avatar(kind, 8), folder / "x.glb", glb.Options(grade=grade))[0]
    return write


def _spz(version: int) -> Callable[[], bytes]:
    def make() -> bytes:
        from tests.builders import tiny_cloud

        return spz.pack(tiny_cloud(5), version)
    return make


def _texels(variant: str) -> Callable[[], bytes]:
    def make() -> bytes:
        from tests.builders import tiny_avatar

        return packed_texels.pack(tiny_avatar("linear", 5), variant).to_bytes()
    return make


def _unity() -> bytes:
    from tests.builders import tiny_avatar

    return unity_avatar.to_bytes(tiny_avatar("linear", 5))


def _textures(folder: Path) -> Path:
    from tests.builders import tiny_avatar

    textures.write(tiny_avatar("everything", 5), folder / "maps", textures.Options())
    return folder / "maps" / textures.ABOUT


@functools.cache
def _networked() -> Any:
    from tests.builders import tiny_avatar

    return tiny_avatar("linear-network", 5)


def _networks(folder: Path) -> Path:
    onnx.write(_networked(), folder / "nets", onnx.Options())
    return folder / "nets" / onnx.ABOUT


def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


# --- Reading ----------------------------------------------------------------------------------------------------------


def _frames(layout: str, above: int, edition: str | None = "standin") -> Callable[[Path], object]:
    def read(path: Path) -> object:
        frames = datasets.read(layout, path.parents[above], "train", edition)
        return [frames.picture(i) for i in (0,)] if hasattr(frames, "picture") else frames
    return read


def _networks_read(path: Path) -> object:
    return onnx_check.check(path.parent, _networked(), 1)


def _textures_read(path: Path) -> object:
    return textures.read(path.parent)


def _texels_read(path: Path) -> object:
    return packed_texels_reader.read(packed_texels.from_bytes(read_bytes(path), str(path)))


def _pixels(path: Path) -> object:
    from formats.codecs.bundle_images import bytes_of_png

    return bytes_of_png(read_bytes(path), 4, str(path))


@functools.cache
def _bare() -> Any:
    from tests.builders import tiny_head

    return tiny_head(identity=True)


def _arkit_map(path: Path) -> object:
    return arkit_map.read(path, _head())


READERS: dict[str, Reader] = {
    "bundle zip": Reader(_known("bundle zip"), bundle.read),
    "glb": Reader(_known("glb"), glb_avatar.read),
    "glb small": Reader(_glb("linear", "small"), glb_avatar.read),
    "glb layers": Reader(_glb("everything", "plain"), glb_avatar.read),
    "glb shading": Reader(_glb("mesh-basis", "small"), glb_avatar.read),
    "glb network": Reader(_glb("linear-network", "plain"), glb_avatar.read),
    "ply": Reader(_known("inria_ply"), inria_ply.read),
    "spz": Reader(_bytes("x.spz", _spz(3)), spz.read),
    "spz zstandard": Reader(_bytes("x.spz", _spz(4)), spz.read),
    "texels float": Reader(_bytes("x.texels", _texels("float")), _texels_read),
    "texels half": Reader(_bytes("x.texels", _texels("half")), _texels_read),
    "texels quantised": Reader(_bytes("x.texels", _texels("quantised")), _texels_read),
    "unity asset": Reader(_bytes("x.flameavatar", _unity), unity_avatar.read),
    "networks": Reader(_networks, _networks_read),
    "textures": Reader(_textures, _textures_read),
    "head file": Reader(_known("head file"), head_file.read),
    "safetensors": Reader(_known("head file"), safetensors_file.read),
    "sequence binary": Reader(_known("sequence binary"), sequence_binary.read),
    "sequence json": Reader(_known("sequence json"), sequence_json.read),
    "camera": Reader(_known("camera"), camera_json.read),
    "flame_params": Reader(_known("flame_params"), flame_params.read),
    "arkit json": Reader(_known("arkit json"), arkit_json.read),
    "arkit csv": Reader(_known("arkit csv"), arkit_json.read),
    "arkit map": Reader(_bytes("x.json", lambda: b'{"format": "flameport.arkit-map/1", "edition": "standin", "expressions": 6, '
                                                 b'"shapes": {"jawOpen": {"jaw": [0.3, 0, 0]}}}'), _arkit_map),
    "vhap npz": Reader(_known("vhap npz"), lambda path: flame_npz.read(path, "flame2023")),
    "npz": Reader(_bytes("x.npz", _npz(a=np.arange(3), b=np.zeros((2, 2)))), npz_file.read),
    "npy": Reader(_bytes("x.npy", lambda: _npy(np.arange(6.0))), npy_file.read),
    "flame pickle": Reader(_known("flame pickle"), lambda path: flame_pickle.read(path, "flame2020")),
    "any pickle": Reader(_bytes("x.pkl", _pickled(lambda: {"v_template": np.zeros((4, 3)), "f": np.zeros((2, 3), np.uint32)})),
                           lambda path: flame_pickle.read(path, "flame2020")),
    "flame masks": Reader(_known("flame masks"), flame_sides.read_masks),
    "flame landmarks": Reader(_known("flame landmarks"), flame_sides.read_landmarks),
    "flame landmarks npy": Reader(_bytes("x.npy", lambda: _npy(np.array({"lmk_face_idx": np.arange(3)}, dtype=object))),
                                  flame_sides.read_landmarks),
    "flame template": Reader(_known("flame template"), flame_sides.read_template_obj),
    "deep png": Reader(_deep, deep_png.read),
    "picture": Reader(_bytes("x.png", _picture), _pixels),
    "lam": Reader(_known("lam"), lam.read),
    "torch zip": Reader(_torch("x.pth", _tensors), torch_file.read),
    "torch legacy": Reader(_torch("x.pth", _tensors, False), torch_file.read),
    "fate": Reader(_torch("checkpoints/x_ep0001.pth", _fate), fate.read),
    "fate identity": Reader(_bytes("identity_dict.pkl", _pickled(_identity)), fate_context.read_identity),
    "fate tracking": Reader(_bytes("flame2023_tracking.npz", _npz(**_tracking())), fate_tracking.read),
    "flash-avatar": Reader(_torch("chkpnt5.pth", _flash), flash_checkpoint.read),
    "mono-gaussian-avatar": Reader(_torch("latest.pth", _mono), mono_gaussian_avatar.read),
    "mono config": Reader(_bytes("runconf.conf", lambda: _CONFIG), mono_training.read_config),
    "gaussian-head-avatar": Reader(_torch("gaussianhead_latest", _gha),
                                   functools.partial(gaussian_head_avatar.read, scale=0.15)),
    "gaussian-head-avatar params": Reader(
        _bytes("params/0000/params.npz", _npz(exp_coeff=np.zeros((1, 64)), pose=np.zeros((1, 6)), scale=np.full((1, 1), 0.15))),
        lambda path: gha_files.read_params(path.parents[1], 64)),
    "gaussian-head-avatar yaml": Reader(
        _bytes("train.yaml", lambda: b"gaussianheadmodule:\n  dist_threshold_near: 0.1\n  deform_scale: 0.3 # m\nother: 1\n"),
        gha_files.read_scalars),
    "baked-avatar": Reader(_torch("mesh_data.pkl", _baked), baked_avatar.read),
    "baked-avatar page": Reader(_web, lambda path: baked_avatar.read(path.parent)),
    "baked-avatar motion": Reader(_clip, lambda path: baked_sequence.read(path.parent)),
    "osgap maps": Reader(_bytes("gs_attrs_uv_4X4_1.npz", _npz(**_maps())), osgap_maps.read),
    "splatting-avatar": Reader(_splatting, lambda path: splatting_avatar.read(path.parent, _bare(), edition="standin")),
    "splatting-avatar mesh": Reader(_obj, splatting_avatar.read_obj),
    "tracker frame": Reader(_torch("checkpoint/00000.frame", _frame), lambda path: tracker_frames.read(path.parent)),
    "imavatar": Reader(_data_set("imavatar", "anna/anna_train/flame_params.json"), _frames("imavatar", 1)),
    "insta": Reader(_data_set("insta", "bala/transforms_train.json"), _frames("insta", 0)),
    "insta numbers": Reader(_data_set("insta", "bala/flame/exp/00003.txt"), _frames("insta", 2)),
    "point-avatar": Reader(_data_set("point_avatar", "data/anna/anna/MVI_1810/flame_params.json"), _frames("point-avatar", 1)),
    "metrical-tracker": Reader(_data_set("metrical_tracker", "track/output/bala/checkpoint/00000.frame"),
                               _frames("metrical-tracker", 3)),
    "vhap": Reader(_data_set("vhap", "074/transforms_train.json"), _frames("vhap", 0)),
    "vhap frame": Reader(_data_set("vhap", "074/flame_param/00000.npz"), _frames("vhap", 1)),
    "nersemble": Reader(_data_set("nersemble", "017/calibration/camera_params.json"), _frames("nersemble", 1)),
    "nersemble track": Reader(_data_set("nersemble", "017/sequences/EXP-2-eyes/2024-01-01_00-00-00/tracked_flame_params_10.npz"),
                              _frames("nersemble", 3)),
    "nersemble-benchmark": Reader(_data_set("benchmark", "mono_flame_avatar/393/calibration/camera_params.json"),
                                  _frames("nersemble-benchmark", 1)),
    "nersemble-benchmark track": Reader(
        _data_set("benchmark", "mono_flame_avatar/393/sequences/EXP-2-eyes/tracking/flame2023_tracking_v2.npz"),
        _frames("nersemble-benchmark", 3)),
    "gaussian-head-avatar video": Reader(_data_set("gha", "031/params/0000/params.npz"),
                                         _frames("gaussian-head-avatar", 2, None)),
    "gaussian-head-avatar camera": Reader(_data_set("gha", "031/cameras/0000/camera_220700191.npz"),
                                          _frames("gaussian-head-avatar", 2, None)),
    "inspect torch": Reader(_torch("x.pth", _fate), inspection.inspect),
    "inspect": Reader(_known("sequence json"), inspection.inspect),
}
"""By what they read."""

