"""Avatars of systems with meshes, networks, a decoder or strands, imported from files in their layouts: as a small GLB and back.

`tests/test_imports.py` does the same in grade `plain`.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from exporter.capabilities import fit  # noqa: E402
from exporter.targets import glb  # noqa: E402
from formats.avatar import Avatar  # noqa: E402
from formats.codecs import glb_avatar  # noqa: E402
from formats.codecs.glb import read_document  # noqa: E402
from formats.deform import PosedMesh, deform  # noqa: E402
from formats.framing import default_camera  # noqa: E402
from formats.importers import baked_avatar, flash_avatar, gaussian_head_avatar, mono_gaussian_avatar  # noqa: E402
from formats.render import psnr, render_avatar  # noqa: E402
from tests.originals import baked_avatar as baked_original  # noqa: E402
from tests.originals import flash_avatar as flash_original  # noqa: E402
from tests.originals import gaussian_hair  # noqa: E402
from tests.originals import gaussian_head_avatar as head_original  # noqa: E402
from tests.originals import mono_gaussian_avatar as mono_original  # noqa: E402

POINTS = 5e-5
DECIBELS = 40.0
SIZE = 96


def _baked(folder: Path) -> Avatar:
    made = baked_original.write(folder, layers=2)
    return dataclasses.replace(baked_avatar.read(made.path, made.head), sequence=made.sequence)


def _flash(folder: Path) -> Avatar:
    made = flash_original.write(folder)
    return dataclasses.replace(flash_avatar.read(made.path, made.head), sequence=made.sequence)


def _mono(folder: Path) -> Avatar:
    made = mono_original.write(folder, n=200)
    return dataclasses.replace(mono_gaussian_avatar.read(made.path, made.head), sequence=made.sequence)


def _decoded(folder: Path) -> Avatar:
    made = head_original.write(folder, n=300)
    avatar = gaussian_head_avatar.read(made.path, made.head, {"params": made.sides["params"]}, **made.options)
    return dataclasses.replace(avatar, sequence=made.sequence)


def _hair(folder: Path) -> Avatar:
    made = gaussian_hair.write(folder, n=60, heads=100)
    avatar = gaussian_head_avatar.read(made.path, made.head, **made.options)
    return dataclasses.replace(avatar, sequence=made.sequence)


ORIGINALS: dict[str, Callable[[Path], Avatar]] = {
    "baked-avatar": _baked, "flash-avatar": _flash, "mono-gaussian-avatar": _mono, "gaussian-head-avatar": _decoded,
    "gaussian-head-avatar-hair": _hair}


@pytest.fixture(scope="module", params=ORIGINALS)
def avatar(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    return ORIGINALS[request.param](tmp_path_factory.mktemp("theirs") / "run")


def test_it_plays_from_a_glb_as_it_does_from_the_bundle(avatar: Avatar) -> None:
    assert not any(loss.blocking for loss in fit(avatar, glb.CAPABILITIES).losses)
    back = glb_avatar.from_document(read_document(glb.to_bytes(avatar, glb.Options(grade="small"))))
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in avatar.layers]
    assert back.networks.keys() == avatar.networks.keys() and back.decoder == avatar.decoder
    assert avatar.sequence is not None and back.sequence is not None
    for one, other in zip(deform(avatar, avatar.sequence, 1).layers, deform(back, back.sequence, 1).layers, strict=True):
        points = [each.vertices if isinstance(each, PosedMesh) else each.cloud.means for each in (one, other)]
        assert np.linalg.norm(points[0] - points[1], axis=1).max() < POINTS
    camera = default_camera(avatar, SIZE, SIZE)
    pictures = [render_avatar(each, each.sequence, 1, camera).rgb for each in (avatar, back)]  # type: ignore[arg-type]
    assert psnr(*pictures) > DECIBELS
