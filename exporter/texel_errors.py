"""How far packed texels are from the avatar they were packed from: a table for people, per variant."""

from typing import Any

import numpy as np

from exporter.capabilities import measured_frames
from exporter.validate import cloud_errors
from exporter.validation_report import Measure, decibels
from formats.avatar import Avatar
from formats.camera import Camera
from formats.codecs import packed_texels_reader
from formats.codecs.packed_texels import VARIANTS, PackedTexels, pack
from formats.deform import PosedSplats, deform
from formats.render import RenderOptions, default_camera, psnr, render

METRES = {"float": 1e-5, "half": 5e-5, "quantised": 5e-5}
"""Bounds of posed vertices and means."""
PICTURE_DB = {"float": 60.0, "half": 40.0, "quantised": 40.0}
"""Bounds of a picture."""
PICTURE_SIZE = 256


def errors(avatar: Avatar, packed: PackedTexels, picture: bool = True) -> list[Measure]:
    """Return the largest errors over some frames of the clip: head, means, rotations, scales, opacities, colours, picture.

    Args:
        avatar: Of splat layers.
        packed: Made from it.
        picture: Also draw one of the frames, 256 pixels across, and compare.
    """
    back = packed_texels_reader.read(packed, avatar.networks)
    variant = packed.descriptor["variant"]
    head, decibel = 0.0, None
    worst: dict[str, float] = {}
    camera: Camera | None = default_camera(avatar, PICTURE_SIZE, PICTURE_SIZE) if picture and avatar.layers else None
    for frame in measured_frames(avatar.head, avatar.sequence):
        one, other = deform(avatar, frame), deform(back, frame)
        head = max(head, float(np.linalg.norm(one.head.vertices - other.head.vertices, axis=1).max()))
        for a, b in zip(one.layers, other.layers, strict=True):
            assert isinstance(a, PosedSplats) and isinstance(b, PosedSplats)
            for name, value in cloud_errors(a.cloud, b.cloud).items():
                worst[name] = max(worst.get(name, 0.0), value)
        if camera is not None and decibel is None:
            options = RenderOptions()
            decibel = decibels(psnr(render(one, camera, options).rgb, render(other, camera, options).rgb))
    bound = METRES[variant] * 1e3
    measures = [Measure("head vertices", head * 1e3, "mm", bound)]
    if worst:
        measures += [
            Measure("Gaussian means", worst["means"] * 1e3, "mm", bound),
            Measure("Gaussian rotations", worst["quats"], "rad"), Measure("Gaussian scales", worst["scales"], "relative"),
            Measure("Gaussian opacities", worst["opacities"], ""), Measure("Gaussian colours (SH)", worst["sh"], "")]
    if decibel is not None:
        measures.append(Measure("picture", decibel, "dB", PICTURE_DB[variant], at_least=True))
    return [*measures, Measure("bytes", float(len(packed.data)), "")]


def table(avatar: Avatar, picture: bool = True) -> dict[str, dict[str, float]]:
    """Return the errors of every variant: variant, then what is measured, to its value."""
    return {variant: {measure.what: measure.value for measure in errors(avatar, pack(avatar, variant), picture)}
            for variant in VARIANTS}


def as_markdown(values: dict[str, dict[str, float]], about: str) -> str:
    """Return `table`'s numbers as a table in Markdown, under a line about what they were measured on."""
    units: dict[str, Any] = {"head vertices": "mm", "Gaussian means": "mm", "Gaussian rotations": "rad",
                             "Gaussian scales": "relative", "picture": "dB"}
    rows = [f"| {about} | {' | '.join(values)} |", f"| --- |{' --- |' * len(values)}"]
    for what in next(iter(values.values())):
        unit = f", {units[what]}" if what in units else ""
        cells = (f"{each[what] / 1e6:.2f} MB" if what == "bytes" else f"{each[what]:.3g}" for each in values.values())
        rows.append(f"| {what}{unit} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
