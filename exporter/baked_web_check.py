"""Proof for BakedAvatar's demo folder: read back with the importer of BakedAvatar's own files, posed, shaded and drawn."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exporter.capabilities import fit
from exporter.targets import baked_avatar_web as target
from exporter.validation_report import Measure, ValidationReport, decibels
from formats.avatar import Avatar, MeshLayer
from formats.codecs import baked_sequence
from formats.deform import PosedMesh, deform, rest_sequence
from formats.errors import CheckpointMismatch
from formats.importers import baked_avatar
from formats.render import RenderOptions, default_camera, psnr, render_avatar
from formats.sequence import Sequence

METRES = 1e-5
UNITS = 1e-4
PICTURE_DB = 45.0
"""Bytes in maps that were finer cost that much at most."""
PICTURES, PICTURE_SIZE = 2, 192


def check(path: Path, avatar: Avatar, frames: int = 10, progress: Callable[[str], None] | None = None) -> ValidationReport:
    """Return how far a folder for BakedAvatar's demo is from `avatar`.

    Args:
        path: What `export baked-avatar-web` wrote.
        avatar: The bundle it was made from.
        frames: How many frames of the clip to pose, spread over it.
        progress: Told what is going on.

    Raises:
        FormatError: It is damaged.
        CheckpointMismatch: It was made from another avatar.
        MissingAsset: onnxruntime is not installed.
    """
    path, tell = Path(path), progress or (lambda _: None)
    fitted = fit(avatar, target.CAPABILITIES)
    own, head = fitted.avatar, fitted.avatar.head
    tell("reading back")
    # The head's own triangles come along where its tables are as wide as the file's; layers need none.
    whole = head.exprdirs.shape[2] >= baked_avatar.EXPRESSIONS and head.posedirs is not None and head.shapedirs is None
    back = baked_avatar.read(path / target.MESHES, head if whole else None, edition=head.edition)
    layers = [layer for layer in own.layers if isinstance(layer, MeshLayer)]
    pairs = list(zip(layers, [layer for layer in back.layers if isinstance(layer, MeshLayer)], strict=False))
    same = len(layers) == len(back.layers) == len(pairs) and all(len(a.faces) == len(b.faces) for a, b in pairs)
    if not same:
        raise CheckpointMismatch(f"{path}: {len(back.layers)} layers, the bundle gives {len(layers)}, or their faces differ; was "
                                 "it made from this bundle?")
    clip, neutral = target.clip_of(own), baked_sequence.read(path / target.CLIPS)
    if len(neutral) == len(target.NEUTRAL) and tuple(neutral.ranges) == tuple(target.NEUTRAL.ranges):
        clip = None
    measures = [_clip_measure(path, clip)] if clip is not None else []
    clip = dataclasses.replace(clip, basis=head.edition) if clip is not None else None
    theirs: Sequence = clip or rest_sequence(back.head)
    ours = theirs if clip is None else _for_head(clip, own)
    if clip is None:
        ours = rest_sequence(head)
    tell("posing")
    picks = [layer.faces.reshape(-1) for layer in layers], [layer.faces.reshape(-1) for _, layer in pairs]
    moved, turned, mixed = 0.0, 0.0, 0.0
    times = np.unique(np.linspace(0, len(ours) - 1, max(frames, 1)).round()).tolist()
    for t in times:
        posed = deform(own, ours, t).layers, deform(back, theirs, t).layers
        for a, b, here, there in zip(*posed, *picks, strict=True):
            assert isinstance(a, PosedMesh) and isinstance(b, PosedMesh)
            moved = max(moved, float(np.abs(a.vertices[here].astype(np.float64) - b.vertices[there]).max(initial=0)))
            turned = max(turned, float(np.abs(a.normals[here] - b.normals[there]).max(initial=0)))
            one, other = a.shading_weights, b.shading_weights
            if one is not None and other is not None and one.shape == other.shape:
                mixed = max(mixed, float(np.abs(one - other).max(initial=0)))
    measures += [Measure("layers' vertices", moved * 1e3, "mm", METRES * 1e3), Measure("layers' normals", turned, "", UNITS),
                 Measure("shading weights, where sizes are the demo's", mixed, "", UNITS)]
    camera, options, worst = default_camera(own, PICTURE_SIZE, PICTURE_SIZE), RenderOptions(), []
    for t in times[:: max(len(times) // PICTURES, 1)][:PICTURES]:
        tell(f"drawing frame {t:g}")
        worst.append(decibels(psnr(render_avatar(own, ours, t, camera, options).rgb,
                                   render_avatar(back, theirs, t, camera, options).rgb)))
    measures.append(Measure("picture", min(worst), "dB", PICTURE_DB, at_least=True))
    losses = (*fitted.losses, *target.losses(avatar, target.Options()))
    return ValidationReport("baked-avatar-web", tuple(measures), losses, ("the original demo's own picture: not run here",))


def _clip_measure(path: Path, clip: Sequence) -> Measure:
    back = baked_sequence.read(path / target.CLIPS)
    if len(back) != len(clip):
        raise CheckpointMismatch(f"{path / target.CLIPS}: {len(back)} frames, the bundle's clip gives {len(clip)}")
    return Measure("the clip's numbers", max(float(np.abs(getattr(back, name) - getattr(clip, name)).max(initial=0))
                                             for name in ("expr", "rotation", "neck", "jaw", "eyes")), "", 1e-6)


def _for_head(clip: Sequence, avatar: Avatar) -> Sequence:
    """Return the clip's first fifty expressions under the head's own names."""
    names = avatar.head.expr_names[:clip.expr.shape[1]]
    drivers = avatar.sequence.drivers if avatar.sequence is not None and len(avatar.sequence) == len(clip) else {}
    return dataclasses.replace(clip, expr=clip.expr[:, :len(names)], expr_names=names, drivers=drivers)
