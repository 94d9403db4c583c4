"""Mesh layers, strands and networks of a GLB that make no sense: refused in one line, and never read as something else."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from exporter.targets import glb
from formats.avatar import MeshLayer, StrandLayer
from formats.codecs import glb_avatar
from formats.codecs.glb import GlbDocument, read_document
from formats.errors import AvatarError, FormatError, UnsupportedFeature
from tests.builders import tiny_avatar
from tests.exporter.layer_documents import (
    GOLDEN,
    golden,
    layer_of,
    networks_of,
    primitives,
    root_of,
    shading_of,
    strands_of,
)


def extra_joint(document: GlbDocument) -> None:
    skin = document.json["skins"][1]
    skin["joints"] += skin["joints"][:1]
    accessor = document.json["accessors"][skin["inverseBindMatrices"]]
    document.json["accessors"].append(accessor | {"count": 7})
    del document.json["accessors"][-1]["bufferView"]
    skin["inverseBindMatrices"] = len(document.json["accessors"]) - 1


DOT = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")
"""A picture of one pixel."""


def smaller_base(document: GlbDocument) -> None:
    document.json["images"].append({"uri": DOT})
    shading_of(document)["bases"][1] = len(document.json["images"]) - 1


BAD: dict[str, tuple[str, Callable[[GlbDocument], object], str]] = {
    "a base is missing": ("shells", lambda d: shading_of(d)["bases"].__setitem__(1, 999), r"images\[999\]"),
    "bases are none": ("shells", lambda d: shading_of(d).update(bases=[]), "0 bases"),
    "an image of another size": ("shells", smaller_base, "one size"),
    "alpha is missing": ("shells", lambda d: shading_of(d).pop("alpha"), "'alpha' is missing"),
    "features are too few": ("shells", lambda d: shading_of(d)["features"].pop(), "1 images for 4 features"),
    "a range of another length": ("shells", lambda d: shading_of(d)["featureRange"]["min"].pop(), "4 numbers each"),
    "an unknown shading": ("shells", lambda d: shading_of(d).update(kind="neural"), "unknown 'neural'"),
    "an unknown space": ("shells", lambda d: shading_of(d).update(space="clip"), "unknown 'clip'"),
    "a network that is not there": ("shells", lambda d: shading_of(d).update(network="other"), "'other'"),
    "no opaque": ("shells", lambda d: primitives(d, "mesh")[0]["extensions"]["FLAMEPORT_avatar"].pop("opaque"), "'opaque'"),
    "no picture at all": ("shells", lambda d: (primitives(d, "mesh")[0]["extensions"]["FLAMEPORT_avatar"].pop("shading"),
                                               primitives(d, "mesh")[0].pop("material")), "neither a shading nor"),
    "targets are missing": ("shells", lambda d: primitives(d, "mesh")[0]["targets"].pop(), "7 morph targets, expected 8"),
    "a range beyond all floats": ("shells", lambda d: shading_of(d).update(featureRange={
        "min": [-3e38] * 4, "max": [3e38] * 4}), "range is not finite"),
    "another mesh's node": ("shells", lambda d: root_of(d)["layers"][0].update(node=0), "shows mesh"),
    "joints too many": ("shells", extra_joint, "expected"),
    "a layer of an unknown kind": ("shells", lambda d: root_of(d)["layers"][0].update(kind="sdf"),
                                   "unknown 'sdf'"),
    "strands that do not divide": ("hair", lambda d: strands_of(d).update(strandCount=5), r"expected \[20, 3\]"),
    "strands of one point": ("hair", lambda d: strands_of(d).update(strandPoints=1), "expected 2"),
    "strands on a skin": ("hair", lambda d: strands_of(d).update(binding={
        "kind": "skin", "rotation": "none", "vertex": strands_of(d)["binding"]["face"]}), "ride triangles"),
    "an output that is none": ("deformed", lambda d: networks_of(d)["deformer"]["outputs"][0].update(name="mood"), "mood"),
    "a network twice as wide": ("deformed", lambda d: networks_of(d)["deformer"]["inputs"][0].update(shape=[1, "n"]), "'n'"),
    "a network without a view": ("deformed", lambda d: networks_of(d)["deformer"].update(bufferView=999), "bufferViews"),
    "dynamics by a network that is not there": ("deformed", lambda d: networks_of(d).pop("deformer"), "'deformer'"),
    "a decoder that is not there": ("decoded", lambda d: root_of(d).update(decoder="x"), "'x'"),
    "a scale beyond all screens": ("decoded", lambda d: root_of(d).update(decoderScale=65), "1..64"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_layers_are_refused_in_one_line(name: str) -> None:
    case, spoil, says = BAD[name]
    document = golden(case)
    spoil(document)
    with pytest.raises(AvatarError, match=says) as refusal:
        glb_avatar.from_document(document)
    assert "\n" not in str(refusal.value)


def test_images_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("formats.codecs.glb_mesh_layers.LAYER_LIMIT", 5000)
    with pytest.raises(FormatError, match="at most that many"):
        glb_avatar.from_document(golden("shells"))


def test_features_within_a_range_count_as_the_floats_they_become(monkeypatch: pytest.MonkeyPatch) -> None:
    document = golden("shells")
    shading = shading_of(document)
    shading.setdefault("featureRange", {"min": [0.0] * 4, "max": [1.0] * 4})
    mix = layer_of(glb_avatar.from_document(document), MeshLayer, 1).shading
    assert mix.position_features.dtype == np.float32 and primitives(document, "mesh")[1]["extensions"]
    held = mix.bases.size + mix.alpha.size
    monkeypatch.setattr("formats.codecs.glb_mesh_layers.LAYER_LIMIT", held + mix.position_features.nbytes - 1)
    del document.json["extensions"]["FLAMEPORT_avatar"]["layers"][0]
    with pytest.raises(FormatError, match="at most that many"):
        glb_avatar.from_document(document)


def test_layers_of_nothing_are_refused_by_name() -> None:
    avatar = tiny_avatar("strands")
    hair = layer_of(avatar, StrandLayer)
    none = {n: getattr(hair, n)[:0] for n in ("points", "widths", "rgb", "opacities")}
    binding = dataclasses.replace(hair.binding, face_index=hair.binding.face_index[:0], barycentric=hair.binding.barycentric[:0])
    with pytest.raises(UnsupportedFeature, match="'hair' has no strands"):
        glb.to_bytes(dataclasses.replace(avatar, layers=(dataclasses.replace(hair, binding=binding, **none),)))
    shell = layer_of(tiny_avatar("mesh-texture"), MeshLayer)
    shell = dataclasses.replace(shell, faces=shell.faces[:0], uv_faces=shell.uv_faces[:0])
    with pytest.raises(UnsupportedFeature, match="'skin' has no triangles"):
        glb.to_bytes(dataclasses.replace(avatar, layers=(shell,)))


@pytest.mark.parametrize("name", ["shells.small", "hair.small", "decoded.plain"])
def test_flipped_bytes_are_refused_or_read_never_worse(name: str) -> None:
    data, rng = (GOLDEN / f"{name}.glb").read_bytes(), np.random.default_rng(5)
    refused = 0
    for _ in range(40):
        spoilt = bytearray(data)
        for at in rng.integers(12, len(data), 8):
            spoilt[at] = rng.integers(256)
        try:
            glb_avatar.from_document(read_document(bytes(spoilt)))
        except AvatarError:
            refused += 1
    assert refused > 5
