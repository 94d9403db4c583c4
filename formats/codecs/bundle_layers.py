"""Layers, bindings and dynamics of a bundle: each an entry in `avatar.json` and arrays in a safetensors file.

Every noun has a `pack` and an `unpack` side by side; names of arrays are names of fields. Listed in `formats/SPEC.md`.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from formats import byte_tables
from formats.avatar import (
    FRAMES,
    SKIN_ROTATIONS,
    BasisMix,
    Binding,
    Dynamics,
    FaceBinding,
    Layer,
    LinearDynamics,
    MeshLayer,
    SkinBinding,
    SplatLayer,
    StrandLayer,
)
from formats.codecs import bundle_images, safetensors_file
from formats.codecs.bundle_files import BundleFiles
from formats.codecs.json_file import Fields
from formats.coefficient_function import FIELDS, CoefficientFunction
from formats.errors import FormatError
from formats.gaussians import GaussianCloud

KINDS = ("splats", "mesh", "strands")
_CLOUD = ("means", "quats", "scales", "opacities", "sh")
_FACE = ("face_index", "barycentric", "canonical_vertices")
_SKIN = ("vertex_index", "exprdirs", "posedirs", "eyeliddirs", "lbs_weights")
_MESH = ("vertices", "normals", "faces", "uvs", "uv_faces")
_MIX = ("bases", "alpha", "position_features")
_STRANDS = ("points", "widths", "rgb", "opacities")


@dataclass
class Packed:
    """A layer ready to be written: what `avatar.json` says of it, its arrays, and files beside them."""

    entry: dict[str, Any]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def keep(self, owner: object, names: tuple[str, ...], prefix: str = "") -> None:
        """Put the fields of `owner` that are not None among the arrays."""
        self.arrays |= {prefix + name: value for name in names if (value := getattr(owner, name)) is not None}


class Arrays:
    """The arrays of one layer's file, taken by name."""

    def __init__(self, values: dict[str, np.ndarray], where: str) -> None:
        self._values, self.where = values, where

    def need(self, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return the arrays of those names; `FormatError` naming the first that is absent."""
        for name in names:
            if name not in self._values:
                raise FormatError(f"{self.where}: no array '{name}'; found {', '.join(sorted(self._values)) or 'none'}")
        return {name: self._values[name] for name in names}

    def some(self, names: tuple[str, ...], prefix: str) -> dict[str, np.ndarray]:
        """Return those of the names that are there, without their prefix."""
        return {name: self._values[prefix + name] for name in names if prefix + name in self._values}


# --- Layers -----------------------------------------------------------------------------------------------------------


def pack_layer(layer: Layer, index: int) -> Packed:
    """Return what layer number `index` becomes in a bundle."""
    file = f"layer{index}.safetensors"
    if isinstance(layer, SplatLayer):
        packed = Packed({"kind": "splats", "name": layer.name, "file": file, "count": len(layer.cloud),
                         "sh_degree": layer.cloud.sh_degree, "sh_frame": layer.sh_frame})
        packed.keep(layer.cloud, _CLOUD)
        _pack_binding(packed, layer.binding)
        _pack_dynamics(packed, layer.dynamics)
    elif isinstance(layer, MeshLayer):
        packed = Packed({"kind": "mesh", "name": layer.name, "file": file, "vertices": len(layer.vertices),
                         "faces": len(layer.faces), "opaque": bool(layer.opaque)})
        packed.keep(layer, _MESH)
        _pack_binding(packed, layer.binding)
        _pack_shading(packed, layer, index)
    else:
        packed = Packed({"kind": "strands", "name": layer.name, "file": file, "count": layer.points.shape[0],
                         "points": layer.points.shape[1], "segment_scale": layer.segment_scale})
        packed.keep(layer, _STRANDS)
        _pack_binding(packed, layer.binding)
    return packed


def unpack_layer(entry: Fields, files: BundleFiles) -> Layer:
    """Return the layer that an entry of `layers` describes.

    Raises:
        MissingAsset: A file is absent.
        FormatError: An array is absent, mistyped or of another shape.
        UnsupportedFeature: Its kind, or a value of an option, is not known to this version.
    """
    kind, name = entry.choice("kind", KINDS), entry.text("name")
    file = entry.text("file")
    where = f"{files.where}/{file}"
    arrays = Arrays(safetensors_file.parse(files.read(file), where), where)
    entry.note("count", "sh_degree", "vertices", "faces", "points")
    binding = _unpack_binding(entry.fields("binding"), arrays)
    if kind == "splats":
        layer: Layer = SplatLayer(GaussianCloud(**arrays.need(_CLOUD)), binding,
                                  _unpack_dynamics(entry.fields("dynamics"), arrays) if entry.has("dynamics") else None,
                                  entry.text("sh_frame", "world"), name)
    elif kind == "mesh":
        if not isinstance(binding, SkinBinding):
            raise FormatError(f"{entry.where}: a mesh layer rides a 'skin' binding")
        layer = MeshLayer(**arrays.need(_MESH), binding=binding, opaque=entry.flag("opaque", False), name=name,
                          **_unpack_shading(entry.fields("shading"), arrays, files))
    else:
        if not isinstance(binding, FaceBinding):
            raise FormatError(f"{entry.where}: strands ride a 'face' binding")
        layer = StrandLayer(**arrays.need(_STRANDS), binding=binding, name=name,
                            segment_scale=entry.number("segment_scale", 0.5))
    entry.warn_unknown()
    return layer


# --- Bindings ---------------------------------------------------------------------------------------------------------


def _pack_binding(packed: Packed, binding: Binding) -> None:
    if isinstance(binding, FaceBinding):
        packed.entry["binding"] = {"kind": "face", "frame": binding.frame, "offset_scale": binding.offset_scale,
                                   "splat_scale": binding.splat_scale, "unit": float(binding.unit)}
        packed.keep(binding, _FACE, "binding.")
    else:
        packed.entry["binding"] = {"kind": "skin", "rotation": binding.rotation}
        packed.keep(binding, _SKIN, "binding.")


def _unpack_binding(entry: Fields, arrays: Arrays) -> Binding:
    if entry.choice("kind", ("face", "skin")) == "face":
        arrays.need(("binding.face_index", "binding.barycentric"))
        binding: Binding = FaceBinding(
            **arrays.some(_FACE, "binding."), frame=entry.choice("frame", FRAMES),
            offset_scale=entry.text("offset_scale"), splat_scale=entry.text("splat_scale"),
            unit=entry.number("unit", 1.0))
    else:
        binding = SkinBinding(**arrays.some(_SKIN, "binding."), rotation=entry.choice("rotation", SKIN_ROTATIONS))
    entry.warn_unknown()
    return binding


# --- Dynamics ---------------------------------------------------------------------------------------------------------


def _pack_dynamics(packed: Packed, dynamics: Dynamics | None) -> None:
    if isinstance(dynamics, str):
        packed.entry["dynamics"] = {"kind": "network", "network": dynamics}
    elif dynamics is not None:
        packed.entry["dynamics"] = {
            "kind": "linear", "channels": list(dynamics.tables), "driver": list(dynamics.driver),
            "network": dynamics.network, "space": dynamics.space}
        packed.keep(dynamics, ("driver_mean",), "dynamics.")
        if dynamics.function is not None:
            packed.entry["dynamics"]["kind"] = "fitted"
            packed.keep(dynamics.function, tuple(FIELDS), "dynamics.function.")
        for name, table in dynamics.tables.items():
            whole = None if dynamics.function is None else byte_tables.as_bytes(table)
            packed.arrays |= ({f"dynamics.{name}": table} if whole is None else
                              {f"dynamics.{name}": whole[0], f"dynamics.{name}.scales": whole[1]})


def _unpack_dynamics(entry: Fields, arrays: Arrays) -> Dynamics:
    kind = entry.choice("kind", ("network", "linear", "fitted"))
    if kind == "network":
        dynamics: Dynamics = entry.text("network")
    else:
        tables = {name: _unpack_table(name, arrays, kind == "fitted") for name in entry.texts("channels")}
        function = None
        if kind == "fitted":
            arrays.need(tuple(f"dynamics.function.{name}" for name in FIELDS))
            function = CoefficientFunction(**arrays.some(tuple(FIELDS), "dynamics.function."))
        dynamics = LinearDynamics(
            tables, entry.texts("driver"), arrays.some(("driver_mean",), "dynamics.").get("driver_mean"),
            entry.text("network") if entry.has("network") else None, entry.text("space"), function)
    entry.warn_unknown()
    return dynamics


def _unpack_table(channel: str, arrays: Arrays, may_be_bytes: bool) -> np.ndarray:
    name = f"dynamics.{channel}"
    table = arrays.need((name,))[name]
    if table.dtype != np.int8 or not may_be_bytes:
        return table
    scales = arrays.need((f"{name}.scales",))[f"{name}.scales"]
    if table.ndim != 3 or scales.shape != table.shape[:1] or scales.dtype.kind != "f":
        raise FormatError(f"{arrays.where}: '{name}': bytes {list(table.shape)} with scales {list(scales.shape)} of "
                          f"{scales.dtype}; expected [N, K, C] and floats [N]")
    return byte_tables.from_bytes(table, scales)


# --- Shading ----------------------------------------------------------------------------------------------------------


def _pack_shading(packed: Packed, layer: MeshLayer, index: int) -> None:
    if layer.shading is not None:
        mix = layer.shading
        packed.entry["shading"] = {"kind": "basis-mix", "weights_from": mix.weights_from, "hidden": mix.hidden,
                                   "temperature": mix.temperature, "space": mix.space}
        packed.keep(mix, _MIX, "shading.")
        return
    assert layer.texture is not None
    png = bundle_images.to_png(layer.texture)
    packed.entry["shading"] = {"kind": "texture"}
    if png is None:
        packed.arrays["shading.texture"] = layer.texture
    else:
        packed.entry["shading"]["file"] = f"layer{index}_texture.png"
        packed.files[f"layer{index}_texture.png"] = png


def _unpack_shading(entry: Fields, arrays: Arrays, files: BundleFiles) -> dict[str, Any]:
    if entry.choice("kind", ("texture", "basis-mix")) == "basis-mix":
        arrays.need(tuple(f"shading.{name}" for name in _MIX))
        result: dict[str, Any] = {"shading": BasisMix(
            **arrays.some(_MIX, "shading."), weights_from=entry.text("weights_from"),
            hidden=entry.integer("hidden", low=1, high=4096), temperature=entry.number("temperature"),
            space=entry.text("space"))}
    elif entry.has("file"):
        name = entry.text("file")
        result = {"texture": bundle_images.from_png(files.read(name), 4, f"{files.where}/{name}")}
    else:
        result = {"texture": arrays.need(("shading.texture",))["shading.texture"]}
    entry.warn_unknown()
    return result
