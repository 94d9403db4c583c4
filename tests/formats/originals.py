"""Comparing an imported avatar, posed by `formats.deform`, with what the original would draw."""

from pathlib import Path

import numpy as np

from formats.avatar import Avatar
from formats.codecs import bundle
from formats.deform import deform
from formats.gaussians import GaussianCloud
from formats.sequence import Sequence
from formats.spherical_harmonics import evaluate_sh
from tests.originals.posed import Original, Posed

METERS = 1e-5
OTHER = 1e-4
"""Of rotations (components), opacities and colours; relative, of scales."""
TINY = 1e-6
"""Metres; scales below are not compared."""


def clouds(avatar: Avatar, sequence: Sequence, frames: int) -> list[GaussianCloud]:
    """Return the avatar's only layer in the world, frame by frame."""
    (layer,) = avatar.layers
    return [next(p.cloud for p in deform(avatar, sequence, t).layers if p.name == layer.name)  # type: ignore[union-attr]
            for t in range(frames)]


def assert_posed(avatar: Avatar, original: Original, rows: np.ndarray | slice = slice(None)) -> None:
    """Fail unless the avatar's Gaussians `rows` are where, how large and of which colour the original has them."""
    expected: Posed = original.posed
    for t, cloud in enumerate(clouds(avatar, original.sequence, len(expected.means))):
        assert len(cloud.means[rows]) == expected.means.shape[1]
        np.testing.assert_allclose(cloud.means[rows], expected.means[t], atol=METERS, rtol=0, err_msg=f"means, frame {t}")
        there = expected.quats[t] / np.linalg.norm(expected.quats[t], axis=1, keepdims=True)
        apart = np.minimum(np.abs(cloud.quats[rows] - there).max(axis=1), np.abs(cloud.quats[rows] + there).max(axis=1))
        assert apart.max() < OTHER, f"quats, frame {t}: {apart.max()} at {apart.argmax()}"
        seen = expected.scales[t] > TINY
        ratio = cloud.scales[rows][seen] / expected.scales[t][seen]
        np.testing.assert_allclose(ratio, 1, atol=OTHER, err_msg=f"scales, frame {t}")
        assert cloud.scales[rows][~seen].max(initial=0) < 2 * TINY
        np.testing.assert_allclose(cloud.opacities[rows], expected.opacities[t], atol=OTHER, err_msg=f"opacities, frame {t}")
        if expected.rgb is not None:
            up = np.tile([0.0, 1.0, 0.0], (len(expected.rgb[t]), 1))
            shown = evaluate_sh(cloud.sh[rows].astype(np.float64), up)
            np.testing.assert_allclose(shown, np.maximum(expected.rgb[t], 0), atol=OTHER, err_msg=f"rgb, frame {t}")
        if expected.sh is not None:
            np.testing.assert_allclose(cloud.sh[rows], expected.sh[t], atol=OTHER, err_msg=f"sh, frame {t}")


def assert_kept(avatar: Avatar, sequence: Sequence, folder: Path) -> Avatar:
    """Fail unless a bundle of the avatar poses as it does; return what was read."""
    bundle.write(avatar, folder / "kept.zip")
    kept = bundle.read(folder / "kept.zip")
    assert kept.meta == avatar.meta or (kept.meta.name, kept.meta.system) == (avatar.meta.name, avatar.meta.system)
    (before,), (after,) = clouds(avatar, sequence, 1), clouds(kept, sequence, 1)
    for name in ("means", "quats", "scales", "opacities", "sh"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-6, rtol=1e-5, err_msg=name)
    assert (kept.sequence is None) == (avatar.sequence is None)
    return kept
