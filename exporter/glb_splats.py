"""A splat layer as a `KHR_gaussian_splatting` primitive that also says how it rides the head. Specified in GLB.md."""

from typing import Any

import numpy as np

from formats.avatar import Avatar, FaceBinding, LinearDynamics, SkinBinding, SplatLayer
from formats.codecs.glb_layers import EXTENSION, SPLATS
from formats.codecs.glb_writer import GlbWriter, smallest_unsigned
from formats.conventions import sh_to_rgb, srgb_to_linear, wxyz_to_xyzw
from formats.deform import PosedHead, bind_to_faces
from formats.errors import UnsupportedFeature
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


def write_layer(glb: GlbWriter, layer: SplatLayer, avatar: Avatar, rest: PosedHead) -> tuple[int, dict[str, Any]]:
    """Add a layer's mesh and node to `glb`; return the node and its entry in `FLAMEPORT_avatar.layers`."""
    cloud = rest_cloud(layer, avatar, rest)
    rgb = np.clip(sh_to_rgb(cloud.sh[:, 0].astype(np.float64)), 0, 1)
    color = np.concatenate([srgb_to_linear(rgb), cloud.opacities[:, None]], axis=1)
    attributes = {
        "POSITION": glb.accessor(cloud.means, "vertex", bounds=True),
        "COLOR_0": glb.accessor(np.round(color * 255).astype(np.uint8), "vertex", normalized=True),
        f"{SPLATS}:ROTATION": glb.accessor(wxyz_to_xyzw(cloud.quats), "vertex"),
        f"{SPLATS}:SCALE": glb.accessor(cloud.scales, "vertex"),
        f"{SPLATS}:OPACITY": glb.accessor(cloud.opacities, "vertex"),
    }
    for degree in range(cloud.sh_degree + 1):
        for i in range(2 * degree + 1):
            attributes[f"{SPLATS}:SH_DEGREE_{degree}_COEF_{i}"] = glb.accessor(
                np.ascontiguousarray(cloud.sh[:, degree * degree + i]), "vertex")
    ours: dict[str, Any] = {"binding": _binding(glb, layer, avatar), "shFrame": layer.sh_frame}
    if isinstance(layer.dynamics, LinearDynamics) and layer.dynamics.network is None:
        ours["dynamics"] = _dynamics(glb, layer.dynamics)
    elif layer.dynamics is not None:
        raise UnsupportedFeature(f"glb: layer '{layer.name}' is moved by a network, which a GLB does not carry; export "
                                 "with --allow-loss to leave it out")
    primitive = {"attributes": attributes, "mode": 0, "extensions": {SPLATS: {
        "kernel": "ellipse", "colorSpace": "srgb_rec709_display", "extensions": {EXTENSION: ours}}}}
    mesh = glb.add("meshes", {"name": layer.name, "primitives": [primitive]})
    node = glb.add("nodes", {"name": layer.name, "mesh": mesh})
    return node, {"kind": "splats", "name": layer.name, "mesh": mesh}


def _binding(glb: GlbWriter, layer: SplatLayer, avatar: Avatar) -> dict[str, Any]:
    binding = layer.binding
    if isinstance(binding, FaceBinding):
        entry: dict[str, Any] = {
            "kind": "face", "face": glb.accessor(smallest_unsigned(binding.face_index)),
            "barycentric": glb.accessor(np.ascontiguousarray(binding.barycentric[:, :2]))}
        if layer.cloud.means.any():
            entry["offset"] = glb.accessor(layer.cloud.means)
        if binding.frame == "corner":
            # A sum of quaternions, made unit, does not say what was added.
            entry["localRotation"] = glb.accessor(wxyz_to_xyzw(layer.cloud.quats))
        entry |= {"frame": binding.frame, "offsetScale": binding.offset_scale, "splatScale": binding.splat_scale}
        if binding.unit != 1:
            entry["unit"] = float(binding.unit)
        if binding.canonical_vertices is not None:
            entry["canonicalVertices"] = glb.accessor(binding.canonical_vertices)
        return entry
    entry = {"kind": "skin"}
    if binding.vertex_index is not None:
        if np.array_equal(binding.vertex_index, np.arange(len(avatar.head.v_template))):
            entry["sharesVertices"] = True
        else:
            entry["vertex"] = glb.accessor(smallest_unsigned(binding.vertex_index))
    else:
        assert binding.lbs_weights is not None
        for name in ("exprdirs", "posedirs", "eyeliddirs"):
            table = getattr(binding, name)
            if table is not None and table.shape[2]:
                entry[name] = glb.accessor(np.ascontiguousarray(table.transpose(2, 0, 1)).reshape(-1, 3))
        entry["lbsWeights"] = glb.accessor(binding.lbs_weights.reshape(-1))
    return entry | {"rotation": binding.rotation}


def _dynamics(glb: GlbWriter, dynamics: LinearDynamics) -> dict[str, Any]:
    entry: dict[str, Any] = {"space": dynamics.space, "driver": list(dynamics.driver)}
    if dynamics.driver_mean is not None and len(dynamics.driver_mean):
        entry["driverMean"] = glb.accessor(dynamics.driver_mean)
    entry["rank"] = next(iter(dynamics.tables.values())).shape[1]
    entry["tables"] = {name: glb.accessor(table.reshape(-1)) for name, table in dynamics.tables.items()}
    return entry
