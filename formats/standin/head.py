"""The stand-in head: a procedural, free `HeadModel` with FLAME's sizes, for demos, tests and synthetic captures.

Recipe: a structured grid (`grid`) on three profile curves (`surface`), a face of Gaussian features (`features`), grafted
ears, mouth, tongue and teeth (`parts`), joined in FLAME's vertex order (`assembly`). No measured or licensed data.
"""

import functools

import numpy as np

from formats.errors import UnsupportedFeature
from formats.head_model import HeadModel
from formats.standin import expressions, fields, identity, landmarks, regions, uv, weights
from formats.standin.assembly import assemble

VARIANTS = ("closed", "open-mouth")
ORIGIN = np.array([0.0, 23.0, -44.0])
"""Millimetres added to the modelling origin (between the eyes): FLAME's pickles are centred in the head."""


@functools.cache
def standin_head(variant: str = "closed", teeth: bool = False) -> HeadModel:
    """Return the stand-in head: metres, +X subject's left, +Y up, +Z out of the face.

    Its first 52 expressions bear ARKit's names. Those that joints or eyelids drive (eyeLook*, eyeBlink*, jawOpen, jawLeft,
    jawRight) have zero shapes; `arkit_map` sends all 52 to where they belong.

    Args:
        variant: `closed` has a mouth cavity with a tongue: 5023 vertices, 9976 faces, one border (60 edges, the neck).
            `open-mouth` has FLAME's own borders instead: 30 edges at the neck, 32 around the lips; sizes are the same.
        teeth: Add 120 vertices and 168 faces of teeth in VHAP's row order.

    Raises:
        UnsupportedFeature: There is no such variant.
    """
    if variant not in VARIANTS:
        raise UnsupportedFeature(f"stand-in head: unknown variant '{variant}'; expected one of {', '.join(VARIANTS)}")
    mesh = assemble(variant == "open-mouth", teeth)
    field = fields.make(mesh)
    uvs, uv_faces = uv.layout(mesh)
    # The regressor is solved for the vertices as they are stored, so that joints are exact to 1e-9 m in float32 too.
    vertices = ((mesh.points + ORIGIN) / 1000).astype(np.float32)
    return HeadModel(
        edition="standin",
        v_template=vertices,
        faces=mesh.faces,
        exprdirs=expressions.directions(field) / 1000,
        lbs_weights=weights.skinning(mesh),
        parents=weights.PARENTS,
        J_regressor=weights.regressor(mesh, vertices.astype(np.float64) * 1000 - ORIGIN),
        posedirs=expressions.pose_directions(field) / 1000,
        shapedirs=identity.directions(field) / 1000,
        eyeliddirs=expressions.eyelid_directions(field) / 1000,
        eyelid_space="rest",
        expr_names=expressions.NAMES,
        uvs=uvs,
        uv_faces=uv_faces,
        regions=regions.build(mesh),
        landmarks=landmarks.build(mesh),
        arkit_map=expressions.arkit_map(),
    )
