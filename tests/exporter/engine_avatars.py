"""What engines are tested on: three avatars as GLBs of every grade, and where their heads are at every key.

    case = make_case("lam", "small", lam_avatar(zip), folder)
    case.error(what_the_engine_posed(case.path, case.seconds))      # metres

Tests ask for the fixture `engine_case` (conftest.py); `scripts/benchmark engines` calls the functions below.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from exporter.capabilities import fit
from exporter.ops.limit_influences import limit_influences
from exporter.targets import glb
from formats import importers
from formats.avatar import Avatar
from formats.codecs import bundle, glb_avatar
from formats.codecs.glb import read_document
from formats.deform import deform_head
from formats.sequence import Sequence
from formats.standin.clip import standin_clip
from tests.originals import gaussian_avatars

AVATARS = ("demo", "gaussian-avatars", "lam")
GRADES = ("plain", "full", "small")
MARKED = [pytest.param(name, marks=getattr(pytest.mark, name)) if name in ("demo", "lam") else name for name in AVATARS]
"""`AVATARS` for `parametrize`: what needs training or real data has its marker."""
BOUNDS = {"plain": 1e-5, "full": 1e-5, "small": 5e-5}
"""Metres that an engine may be off at a key: float32 tables, and what grade `small` promises."""
KEYS = 12
FPS = 15.0
"""Godot samples joints 15 times a second, whatever the clip's rate; so keys are where it looks."""


@dataclass(frozen=True, eq=False)
class EngineCase:
    """One GLB, and the truth about it that an engine is compared with."""

    name: str
    grade: str
    path: Path
    avatar: Avatar
    """With the clip that the file holds."""
    seconds: np.ndarray
    """[T], of the keys."""
    vertices: np.ndarray
    """[T, V, 3] metres, in the head's order: what core glTF can say of it, four joints a vertex and lids before skinning."""
    places: np.ndarray
    """[V] where in POSITION each of the head's vertices is stored."""

    def error(self, posed: np.ndarray) -> float:
        """Return the largest distance, metres, of vertices [T, n, 3] posed by an engine in the file's order, seams included
        or not."""
        assert posed.shape[0] == len(self.seconds) and posed.shape[1] > self.places.max() and posed.shape[2] == 3, posed.shape
        return float(np.linalg.norm(posed[:, self.places].astype(np.float64) - self.vertices, axis=2).max())


def make_case(name: str, grade: str, avatar: Avatar, folder: Path, **options: object) -> EngineCase:
    """Write `avatar`, which needs a clip, as `folder`/`name`.`grade`.glb, and pose it by the definition."""
    avatar = fit(avatar, glb.CAPABILITIES).avatar
    assert avatar.sequence is not None
    [path] = glb.write(avatar, folder / f"{name}.{grade}.glb", glb.Options(grade=grade, **options))  # type: ignore[arg-type]
    reachable = dataclasses.replace(limit_influences(avatar.head, 4), eyelid_space="rest")
    frames = range(len(avatar.sequence))
    truth = np.stack([deform_head(reachable, avatar.sequence.take([i])).vertices for i in frames])
    return EngineCase(name, grade, path, avatar, np.arange(len(avatar.sequence)) / avatar.sequence.fps, truth,
                      glb_avatar.vertex_places(read_document(path)))


# --- The three avatars ------------------------------------------------------------------------------------------------


def demo_avatar(demo: Path) -> Avatar:
    """Return what the demo trained and baked in its folder, with keys of the stand-in's clip."""
    avatar = bundle.read(demo / "avatar.avatar")
    return dataclasses.replace(avatar, sequence=_keys(standin_clip(avatar.head)))


def gaussian_avatars_avatar(folder: Path, gaussians: int = 3000) -> Avatar:
    """Return an import of GaussianAvatars' own files, written to `folder`: FLAME 2023 with teeth, every joint moving."""
    made = gaussian_avatars.write(folder, splats_count=gaussians, frames=KEYS)
    avatar = importers.read("gaussian-avatars", made.path, made.head, made.sides)
    return dataclasses.replace(avatar, sequence=_keys(made.sequence))


def lam_avatar(archive: Path) -> Avatar:
    """Return LAM's sample avatar with keys of its own clip, which moves joints only, and ARKit weights at random."""
    avatar = importers.read("lam", archive)
    assert avatar.sequence is not None
    clip = _keys(avatar.sequence)
    expr = np.clip(np.random.default_rng(0).normal(0, 0.4, clip.expr.shape), 0, 1).astype(np.float32)
    return dataclasses.replace(avatar, sequence=dataclasses.replace(clip, expr=expr))


def _keys(clip: Sequence) -> Sequence:
    """Return a few frames spread over a clip, without ranges and cameras, as a clip of their own."""
    frames = np.unique(np.linspace(0, len(clip) - 1, KEYS).round().astype(int))
    return dataclasses.replace(clip.take(frames), fps=FPS, ranges={}, cameras={}, shape=None)
