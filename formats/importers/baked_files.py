"""BakedAvatar's own files as named arrays, a layer at a time: `mesh_data.pkl`, or the web demo's `mesh_data/` folder.

Both hold the same numbers, four times life size. The pickle has each layer's maps as [K, H, W, 4] and [H, W, D] bytes and
texture coordinates apart from vertices. The folder has one .npy per array: vertices are split where texture coordinates
part, and maps are tiled: K RGBA tiles in rows, and D / 4 RGBA tiles side by side. How many tiles a row has depends on their
size in the original's packer, so it is counted here. Duan et al., "BakedAvatar", ACM TOG 2023; facts of the files: its
released code, executed.

Maps are 72 MiB a layer and eight layers are usual: one layer's are loaded at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8

from formats.codecs import npy_file, torch_file
from formats.codecs.bundle_images import bytes_of_png
from formats.codecs.json_file import Fields, read_json
from formats.codecs.torch_file import TorchTensor
from formats.errors import FormatError, MissingAsset, UnsupportedFeature, naming
from formats.files import read_bytes

Shape = tuple[int | None, ...]
DEPTH = 8
"""Position features where the file does not say, as the demo's shader has it."""
TEMPERATURE = 10.0
"""Of the softmax, where the file does not say."""
LAYER_LIMIT, BASES_LIMIT, DEPTH_LIMIT, SIDE_LIMIT = 64, 256, 256, 16384
GLOBAL_MLP = ("fc0_weight", "fc0_bias", "act0_weight", "fc1_weight", "fc1_bias", "act1_weight", "fc2_weight", "fc2_bias")
HOW = "BakedAvatar's -t texture_export bakes them into the same mesh_data.pkl, and -t fine_tuning writes a better one"


@dataclass(frozen=True, eq=False)
class Maps:
    """A layer's images, bytes; row 0 is v = 0."""

    bases: UInt8[np.ndarray, "K H W 3"]
    alpha: UInt8[np.ndarray, "H W"]
    position_features: UInt8[np.ndarray, "H W D"]
    alpha_spread: int
    """By how many of 255 levels the bases' own alphas differ; the original writes one for all."""


class BakedFiles(Protocol):
    """What `read_pickle` and `read_folder` give."""

    where: str
    layers: int
    bases: int
    depth: int
    temperature: float
    ghost: bool | None
    """Whether skinning weights begin with a bone that never moves, where the file says so."""

    def array(self, group: str, name: str, shape: Shape) -> np.ndarray:
        """Return an array of `common`, `global_mlp` or `meshes[i]`, checked: numbers of that shape, finite, whole for faces.

        Raises:
            MissingAsset: Its file is absent.
            FormatError: It is not what it should be.
        """
        ...

    def uvs(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Return texture coordinates [U, 2] and the triangles' corners in them [F, 3]."""
        ...

    def maps(self, layer: int) -> Maps:
        """Return a layer's images; they are not kept."""
        ...


# --- The pickle -------------------------------------------------------------------------------------------------------


def read_pickle(path: Path) -> BakedFiles:
    """Return the content of a `mesh_data.pkl`: NumPy arrays in what torch.save writes, read without torch.

    Raises:
        MissingAsset: There is no such file, or its maps were not baked yet.
        UnsupportedFeature: It is a checkpoint of training instead.
        FormatError: It is damaged, or something else.
    """
    root = torch_file.open(path).root
    if not isinstance(root, Mapping):
        raise FormatError(f"{path}: expected BakedAvatar's dictionary with 'common' and 'meshes', got {type(root).__name__}")
    _refuse_checkpoints(root, str(path))
    for name, kind in (("common", Mapping), ("meshes", list)):
        if not isinstance(root.get(name), kind):
            raise FormatError(f"{path}: no {'list' if kind is list else 'dictionary'} '{name}'; expected BakedAvatar's "
                              f"mesh_data.pkl, found {', '.join(map(str, list(root)[:8])) or 'nothing'}")
    meshes: list[Any] = root["meshes"]
    if not all(isinstance(mesh, Mapping) for mesh in meshes):
        raise FormatError(f"{path}: 'meshes': expected a dictionary per layer")
    unbaked = [] if isinstance(root.get("global_mlp"), Mapping) else ["global_mlp"]
    unbaked += [name for name in ("position_texture", "radiance_textures") if any(name not in mesh for mesh in meshes)]
    if unbaked:
        raise MissingAsset(f"{path}: holds meshes without textures, as -t mesh_export writes them (no {', '.join(unbaked)}); "
                           f"{HOW}")
    return _Pickle(str(path), root, meshes)


def _refuse_checkpoints(root: Mapping[Any, Any], where: str) -> None:
    state = root.get("model", root)
    keys = [key for key in state if isinstance(key, str)] if isinstance(state, Mapping) else []
    if any(key.startswith(("manifold_net.", "deformer_net.", "radiance_net.")) for key in keys):
        raise UnsupportedFeature(f"{where}: a checkpoint of BakedAvatar's first stage, whose fields are not baked yet; run its "
                                 "-t mesh_export and then -t texture_export, and import the mesh_data.pkl they write below "
                                 "mesh_export/")
    if any(key.startswith(("tex_projector.", "radiance_textures.", "position_texture.")) for key in keys):
        raise UnsupportedFeature(f"{where}: a checkpoint of BakedAvatar's -t fine_tuning; it writes the avatar itself beside it, "
                                 "import finetune_mesh_data/iter_N/mesh_data.pkl")


class _Pickle:
    def __init__(self, where: str, root: Mapping[str, Any], meshes: list[Mapping[str, Any]]) -> None:
        self.where, self._root, self._meshes = where, root, meshes
        plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in root.items()}
        scalars = Fields({key: value for key, value in plain.items() if type(value) in (bool, int, float)}, where)
        self.layers, self.bases, self.depth, self.temperature, self.ghost = _sizes(scalars, len(meshes))

    def array(self, group: str, name: str, shape: Shape) -> np.ndarray:
        held = self._meshes[int(group[7:-1])] if group.startswith("meshes[") else self._root[group]
        return _checked(_loaded(held, name, f"{self.where}: {group}['{name}']"), shape, f"{self.where}: {group}['{name}']")

    def uvs(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        group = f"meshes[{layer}]"
        return self.array(group, "uvs", (None, 2)), self.array(group, "faces_uv", (None, 3))

    def maps(self, layer: int) -> Maps:
        where, held = f"{self.where}: meshes[{layer}]", self._meshes[layer]
        features = _texture(_loaded(held, "position_texture", where), (None, None, self.depth), f"{where}['position_texture']")
        height, width = features.shape[:2]
        wanted = (self.bases, height, width, 4)
        rgba = _texture(_loaded(held, "radiance_textures", where), wanted, f"{where}['radiance_textures']")
        return _maps(list(rgba), features)


def _loaded(held: Mapping[str, Any], name: str, where: str) -> np.ndarray:
    value = held.get(name)
    if not isinstance(value, np.ndarray | TorchTensor):
        raise FormatError(f"{where}: is {'missing' if value is None else type(value).__name__}, expected an array '{name}'; "
                          "not a whole mesh_data.pkl")
    with naming(where):
        return value.load() if isinstance(value, TorchTensor) else value


# --- The folder -------------------------------------------------------------------------------------------------------


def read_folder(folder: Path) -> BakedFiles:
    """Return the content of the web demo's `mesh_data/` folder, `metadata.json` first.

    Files lie where the demo itself looks for them; of the metadata it needs the length of `meshes` and
    `num_texture_basis` alone, and so do we. A map may be a PNG (the exporter's --save_png), which the demo cannot load.

    Raises:
        MissingAsset: There is no metadata.json.
        FormatError: It is damaged, or something else.
    """
    file = folder / "metadata.json"
    return _Folder(folder, Fields(read_json(file), str(file)))


class _Folder:
    def __init__(self, folder: Path, metadata: Fields) -> None:
        self.where, self._folder = str(folder), folder
        count = len(metadata.items("meshes"))
        self.layers, self.bases, self.depth, self.temperature, self.ghost = _sizes(metadata, count)

    def _path(self, group: str, name: str) -> Path:
        return self._folder / (f"meshes_{group[7:-1]}" if group.startswith("meshes[") else group) / f"{name}.npy"

    def array(self, group: str, name: str, shape: Shape) -> np.ndarray:
        path = self._path(group, name)
        return _checked(npy_file.read(path), shape, str(path))

    def uvs(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        group = f"meshes[{layer}]"
        return self.array(group, "uvs", (None, 2)), self.array(group, "faces", (None, 3))

    def _atlas(self, layer: int, name: str) -> tuple[np.ndarray, str]:
        path = self._path(f"meshes[{layer}]", name)
        picture = path.with_suffix(".png")
        if not path.exists() and picture.exists():
            path, image = picture, bytes_of_png(read_bytes(picture), 4, str(picture))
        else:
            image = npy_file.read(path)
        return _texture(image, (None, None, 4), str(path)), str(path)

    def maps(self, layer: int) -> Maps:
        atlas, where = self._atlas(layer, "position_texture")
        tiles = -(-self.depth // 4)
        height, width = atlas.shape[0], atlas.shape[1] // tiles
        if atlas.shape[1] != tiles * width or not width:
            raise FormatError(f"{where}: {atlas.shape[0]} x {atlas.shape[1]} texels; expected {tiles} tiles side by side for "
                              f"{self.depth} features")
        features = np.concatenate([atlas[:, i * width:(i + 1) * width] for i in range(tiles)], axis=2)[..., :self.depth]
        atlas, where = self._atlas(layer, "radiance_texture")
        rows, columns = atlas.shape[0] // height, atlas.shape[1] // width
        if atlas.shape[:2] != (rows * height, columns * width) or rows * columns < self.bases:
            raise FormatError(f"{where}: {atlas.shape[0]} x {atlas.shape[1]} texels; expected {self.bases} tiles of {height} x "
                              f"{width} as position_texture has them; BakedAvatar's packer loses tiles where their number is "
                              "no multiple of a row's")
        tile = [np.s_[k // columns * height:(k // columns + 1) * height, k % columns * width:(k % columns + 1) * width]
                for k in range(self.bases)]
        return _maps([atlas[each] for each in tile], features)


# --- Both -------------------------------------------------------------------------------------------------------------


def _sizes(fields: Fields, layers: int) -> tuple[int, int, int, float, bool | None]:
    """Return counts of layers, bases and features, the temperature, and whether there is a ghost bone."""
    if not 0 < layers <= LAYER_LIMIT:
        raise FormatError(f"{fields.where}: 'meshes': {layers} layers, expected 1 to {LAYER_LIMIT}")
    temperature = fields.number("spatial_mlp_temperature", TEMPERATURE)
    return (layers, fields.integer("num_texture_basis", low=1, high=BASES_LIMIT),
            fields.integer("dim_pos_feature", DEPTH, low=1, high=DEPTH_LIMIT), temperature,
            fields.flag("ghostbone") if fields.has("ghostbone") else None)


def _checked(value: np.ndarray, shape: Shape, where: str) -> np.ndarray:
    """Return an array of numbers after checking its shape and that it is finite; indices come as int32."""
    if value.ndim != len(shape) or any(w not in (None, g) for w, g in zip(shape, value.shape, strict=True)):
        raise FormatError(f"{where}: expected shape [{', '.join('any' if n is None else str(n) for n in shape)}], got "
                          f"{list(value.shape)}")
    if value.dtype.kind == "f":
        bad = int(value.size - np.count_nonzero(np.isfinite(value)))
        if bad:
            raise FormatError(f"{where}: {bad} of {value.size} values are not finite; training diverged or the file is damaged")
    elif value.dtype.kind not in "iu":
        raise FormatError(f"{where}: expected numbers, got {value.dtype}")
    return value


def _texture(value: np.ndarray, shape: Shape, where: str) -> np.ndarray:
    value = _checked(value, shape, where)
    if value.dtype != np.uint8 or not value.size or max(value.shape) > SIDE_LIMIT:
        raise FormatError(f"{where}: expected bytes, at most {SIDE_LIMIT} texels along a side; got {value.dtype} "
                          f"{list(value.shape)}")
    return value


def _maps(rgba: list[np.ndarray], features: np.ndarray) -> Maps:
    bases = np.stack([tile[..., :3] for tile in rgba])
    alpha, spread = np.ascontiguousarray(rgba[0][..., 3]), 0
    for tile in rgba[1:]:
        if not np.array_equal(tile[..., 3], alpha):
            spread = max(spread, int(np.abs(tile[..., 3].astype(np.int16) - alpha).max()))
    features = np.ascontiguousarray(features)
    for each in (bases, alpha, features):
        each.flags.writeable = False  # so that the nouns keep them instead of a copy
    return Maps(bases, alpha, features, spread)
