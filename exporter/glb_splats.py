"""A splat layer as a `KHR_gaussian_splatting` primitive that also says how it rides the head. Specified in GLB.md."""

from typing import Any

import numpy as np

from exporter.glb_packing import Packing
from exporter.glb_small import (
    LayerSteps,
    gaussian_order,
    layer_steps,
    packed_quats,
    scale_exponents,
    write_tables,
)
from formats import byte_tables
from formats.avatar import Avatar, FaceBinding, LinearDynamics, SkinBinding, SplatLayer
from formats.codecs.glb_layers import EXTENSION, SPLATS, take
from formats.codecs.glb_writer import GlbWriter, smallest_unsigned
from formats.coefficient_function import FIELDS
from formats.conventions import sh_to_rgb, srgb_to_linear, wxyz_to_xyzw
from formats.deform import PosedHead, bind_to_faces
from formats.gaussians import GaussianCloud
from formats.rotations import normalize


def rest_cloud(layer: SplatLayer, avatar: Avatar, rest: PosedHead) -> GaussianCloud:
    """Return the layer's Gaussians on the head at rest, world space, without what dynamics add."""
    cloud = layer.cloud
    if isinstance(layer.binding, SkinBinding):
        return cloud
    local = (cloud.means.astype(np.float64), cloud.quats.astype(np.float64), cloud.scales.astype(np.float64))
    means, quats, scales = bind_to_faces(layer.binding, avatar.head, rest, local)
    return GaussianCloud(means, normalize(quats), scales, cloud.opacities, cloud.sh)


def write_layer(glb: GlbWriter, layer: SplatLayer, avatar: Avatar, rest: PosedHead,
                packing: Packing | None = None) -> tuple[int, dict[str, Any]]:
    """Add a layer's mesh and node to `glb`; return the node and its entry in `FLAMEPORT_avatar.layers`.

    Args:
        glb: Extended in place.
        layer: What to store.
        avatar: Whose it is.
        rest: Its head at rest, as a reader will find it.
        packing: Rounding and order of grade `small`.
    """
    order = None if packing is None else gaussian_order(layer, packing)
    if order is not None:
        layer = take(layer, order)
    steps = LayerSteps() if packing is None else layer_steps(layer, avatar, rest, packing)
    cloud = rest_cloud(layer, avatar, rest)
    attributes = {"POSITION": glb.floats(cloud.means, steps.rest_means, "vertex", bounds=True)}
    if packing is None:
        rgb = np.clip(sh_to_rgb(cloud.sh[:, 0].astype(np.float64)), 0, 1)
        color = np.concatenate([srgb_to_linear(rgb), cloud.opacities[:, None]], axis=1)
        attributes["COLOR_0"] = glb.accessor(np.round(color * 255).astype(np.uint8), "vertex", normalized=True)
        attributes[f"{SPLATS}:ROTATION"] = glb.accessor(wxyz_to_xyzw(cloud.quats), "vertex")
    else:
        attributes[f"{SPLATS}:ROTATION"] = glb.accessor(packed_quats(cloud.quats), "vertex", normalized=True)
    attributes[f"{SPLATS}:SCALE"] = glb.floats(cloud.scales, scale_exponents(cloud.scales), "vertex")
    attributes[f"{SPLATS}:OPACITY"] = glb.accessor(cloud.opacities, "vertex") if packing is None else glb.accessor(
        np.round(cloud.opacities * 255).astype(np.uint8), "vertex", normalized=True)
    for degree in range(cloud.sh_degree + 1):
        for i in range(2 * degree + 1):
            attributes[f"{SPLATS}:SH_DEGREE_{degree}_COEF_{i}"] = glb.floats(
                np.ascontiguousarray(cloud.sh[:, degree * degree + i]), steps.sh if degree else steps.sh_dc, "vertex")
    ours: dict[str, Any] = {"binding": _binding(glb, layer, avatar, steps, packing is not None, order), "shFrame": layer.sh_frame}
    if order is not None:
        ours["order"] = glb.accessor(order.astype("<u4"))
    if isinstance(layer.dynamics, str):
        ours["dynamics"] = {"network": layer.dynamics}
    elif layer.dynamics is not None:
        ours["dynamics"] = _dynamics(glb, layer.dynamics, steps, packing is not None)
    primitive = {"attributes": attributes, "mode": 0, "extensions": {SPLATS: {
        "kernel": "ellipse", "colorSpace": "srgb_rec709_display", "extensions": {EXTENSION: ours}}}}
    mesh = glb.add("meshes", {"name": layer.name, "primitives": [primitive]})
    node = glb.add("nodes", {"name": layer.name, "mesh": mesh})
    return node, {"kind": "splats", "name": layer.name, "mesh": mesh}


def write_face_binding(glb: GlbWriter, binding: FaceBinding, steps: LayerSteps, small: bool) -> dict[str, Any]:
    """Store where elements sit on triangles and return the binding's entry, without offsets."""
    face = binding.face_index
    entry: dict[str, Any] = {
        "kind": "face", "face": glb.accessor(face.astype("<u4") if small else smallest_unsigned(face)),
        "barycentric": glb.floats(np.ascontiguousarray(binding.barycentric[:, :2]), steps.barycentric),
        "frame": binding.frame, "offsetScale": binding.offset_scale, "splatScale": binding.splat_scale}
    if binding.unit != 1:
        entry["unit"] = float(binding.unit)
    if binding.canonical_vertices is not None:
        # What rotations are relative to: as exact as can be.
        entry["canonicalVertices"] = glb.accessor(binding.canonical_vertices)
    return entry


def _binding(glb: GlbWriter, layer: SplatLayer, avatar: Avatar, steps: LayerSteps, small: bool,
             order: np.ndarray | None) -> dict[str, Any]:
    binding = layer.binding
    if isinstance(binding, FaceBinding):
        ridden = write_face_binding(glb, binding, steps, small)
        if layer.cloud.means.any():
            ridden["offset"] = glb.floats(layer.cloud.means, steps.offsets)
        if binding.frame == "corner":
            # A sum of quaternions, made unit, does not say what was added.
            ridden["localRotation"] = glb.floats(wxyz_to_xyzw(layer.cloud.quats), steps.local_quats)
        return ridden
    entry: dict[str, Any] = {"kind": "skin"}
    if binding.vertex_index is not None:
        own_order = np.arange(len(avatar.head.v_template)) if order is None else order
        if np.array_equal(binding.vertex_index, own_order) and len(own_order) == len(avatar.head.v_template):
            entry["sharesVertices"] = True
        else:
            entry["vertex"] = glb.accessor(smallest_unsigned(binding.vertex_index))
    else:
        assert binding.lbs_weights is not None
        if small:
            entry["tables"] = write_tables(glb, binding, steps.table)
        else:
            for name in ("exprdirs", "posedirs", "eyeliddirs"):
                table = getattr(binding, name)
                if table is not None and table.shape[2]:
                    entry[name] = glb.accessor(np.ascontiguousarray(table.transpose(2, 0, 1)).reshape(-1, 3))
        if not entry.get("tables", True):
            del entry["tables"]
        entry["lbsWeights"] = glb.floats(binding.lbs_weights.reshape(-1), steps.weights, stride=binding.lbs_weights.shape[1])
    return entry | {"rotation": binding.rotation}


def _dynamics(glb: GlbWriter, dynamics: LinearDynamics, steps: LayerSteps, small: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"space": dynamics.space, "driver": list(dynamics.driver)}
    if dynamics.network is not None:
        entry["network"] = dynamics.network
    if dynamics.driver_mean is not None and len(dynamics.driver_mean):
        entry["driverMean"] = glb.accessor(dynamics.driver_mean)
    entry["rank"] = next(iter(dynamics.tables.values())).shape[1]
    tables = dynamics.tables
    if dynamics.function is not None:
        entry["function"] = {_camel(name): glb.accessor(value.reshape(-1)) for name in FIELDS
                             if (value := getattr(dynamics.function, name)).size}
        bytes_ = {name: byte_tables.as_bytes(table) for name, table in tables.items()}
        if all(bytes_.values()):
            tables = {name: whole for name, found in bytes_.items() if found is not None for whole in found[:1]}
            entry["scales"] = {name: glb.accessor(found[1]) for name, found in bytes_.items() if found is not None}
    if small:
        # Neighbours in space are alike, a Gaussian's own coefficients are not.
        entry["rankMajor"] = True
        tables = {name: np.ascontiguousarray(table.transpose(1, 0, 2)) for name, table in tables.items()}
    if small and "scales" not in entry:
        entry["tables"] = {name: glb.floats(table.reshape(-1), steps.dynamics[name], stride=table.shape[2])
                           for name, table in tables.items()}
    else:
        entry["tables"] = {name: glb.accessor(table.reshape(-1)) for name, table in tables.items()}
    return entry


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
