"""Strands as splats that any `KHR_gaussian_splatting` viewer shows, and the points that our players move. See GLB.md 1.5."""

import dataclasses
from typing import Any

import numpy as np

from exporter.glb_packing import Packing
from exporter.glb_small import LayerSteps, exponents, face_exponents, packed_quats, scale_exponents
from exporter.glb_splats import write_face_binding
from formats.avatar import Avatar, StrandLayer
from formats.codecs.glb_layers import EXTENSION, SPLATS, take_strands
from formats.codecs.glb_writer import GlbWriter
from formats.conventions import sh_to_rgb, srgb_to_linear, wxyz_to_xyzw
from formats.deform import PosedHead, deform_strands
from formats.errors import UnsupportedFeature

WIDTH_BITS = 8
"""Of a width's mantissa in grade `small`: our players draw with it, unlike with the lengths beside it."""


def write_strands(glb: GlbWriter, layer: StrandLayer, avatar: Avatar, rest: PosedHead,
                  packing: Packing | None = None) -> tuple[int, dict[str, Any]]:
    """Add a strand layer's mesh and node to `glb`; return the node and its entry in `FLAMEPORT_avatar.layers`.

    Args:
        glb: Extended in place.
        layer: What to store.
        avatar: Whose it is.
        rest: Its head at rest.
        packing: Rounding and order of grade `small`.

    Raises:
        UnsupportedFeature: There are no strands.
    """
    if not len(layer.points):
        raise UnsupportedFeature(f"glb: strand layer '{layer.name}' has no strands; leave it out of the avatar")
    order = None if packing is None else np.argsort(layer.binding.face_index, kind="stable")
    if order is not None:
        layer = take_strands(layer, order)
    cloud, steps, points = deform_strands(layer, avatar, rest).cloud, LayerSteps(), layer.points.shape[1]
    place_steps: int | np.ndarray = 0
    attributes: dict[str, int] = {}
    if packing is None:
        rgb = np.clip(sh_to_rgb(cloud.sh[:, 0].astype(np.float64)), 0, 1)
        color = np.concatenate([srgb_to_linear(rgb), cloud.opacities[:, None]], axis=1)
        attributes["COLOR_0"] = glb.accessor(np.round(color * 255).astype(np.uint8), "vertex", normalized=True)
        attributes[f"{SPLATS}:ROTATION"] = glb.accessor(wxyz_to_xyzw(cloud.quats), "vertex")
        attributes[f"{SPLATS}:OPACITY"] = glb.accessor(cloud.opacities, "vertex")
        scale_steps: np.ndarray = np.zeros(1, int)
    else:
        barycentric, gain = face_exponents(layer.binding, avatar, rest, packing)
        steps = dataclasses.replace(steps, rest_means=-13, barycentric=barycentric)
        place_steps = np.repeat(exponents(packing.point, gain), points, axis=0)
        attributes[f"{SPLATS}:ROTATION"] = glb.accessor(packed_quats(cloud.quats), "vertex", normalized=True)
        attributes[f"{SPLATS}:OPACITY"] = glb.accessor(np.round(cloud.opacities * 255).astype(np.uint8), "vertex",
                                                       normalized=True)
        scale_steps = scale_exponents(cloud.scales) - np.array([0, WIDTH_BITS - 4, WIDTH_BITS - 4])
    attributes["POSITION"] = glb.floats(cloud.means, steps.rest_means, "vertex", bounds=True)
    attributes[f"{SPLATS}:SCALE"] = glb.floats(cloud.scales, scale_steps, "vertex")
    attributes[f"{SPLATS}:SH_DEGREE_0_COEF_0"] = glb.floats(np.ascontiguousarray(cloud.sh[:, 0]), steps.sh_dc, "vertex")
    ours: dict[str, Any] = {
        "binding": write_face_binding(glb, layer.binding, steps, packing is not None), "shFrame": "world",
        "strandCount": len(layer.points), "strandPoints": points,
        "points": glb.floats(layer.points.reshape(-1, 3), place_steps), "segmentScale": float(layer.segment_scale)}
    if order is not None:
        ours["order"] = glb.accessor(order.astype("<u4"))
    primitive = {"attributes": attributes, "mode": 0, "extensions": {SPLATS: {
        "kernel": "ellipse", "colorSpace": "srgb_rec709_display", "extensions": {EXTENSION: ours}}}}
    mesh = glb.add("meshes", {"name": layer.name, "primitives": [primitive]})
    node = glb.add("nodes", {"name": layer.name, "mesh": mesh})
    return node, {"kind": "strands", "name": layer.name, "mesh": mesh}

