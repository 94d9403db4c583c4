"""Whether the tracked head lies inside the pictures' mattes: what is left to compare with where nobody kept landmarks.

Brows, eyes, nose and mouth are in front of a person from every side that shows a face, so they must land on the person. This is
coarser than `formats.datasets.reprojection` (a head that is a little off still lands on the person), and catches what spoils a
training: a wrong axis, unit or direction of the cameras, and mattes of other moments of a moving camera.
"""

import dataclasses

import numpy as np

from formats.datasets.frames import Frames
from formats.datasets.mistakes import MISTAKES
from formats.datasets.witness import STATIC, Evidence, gather, project
from formats.errors import FormatError
from formats.head_model import HeadModel

FEWEST, GOOD = 0.6, 0.95
"""Share of the points that must lie on the person, and that a mistake undone must reach to be named."""
PICTURES = 8
"""Mattes that are looked at."""
OPAQUE = 128


@np.errstate(over="ignore", invalid="ignore")
def check_silhouette(frames: Frames, head: HeadModel) -> float | None:
    """Return the median share of the face's points on the person, None when the head has no landmarks.

    Raises:
        FormatError: It is less than 0.6; the message names the likeliest cause.
    """
    picks = np.unique(np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int))
    sample = dataclasses.replace(
        frames, sequence=frames.sequence.take(list(picks)), images=tuple(frames.images[i] for i in picks),
        masks=tuple(frames.masks[i] for i in picks) if frames.masks else (), labels=tuple(frames.labels[i] for i in picks),
        points2d={"landmarks": np.zeros((len(picks), STATIC, 2))})
    evidence, _ = gather(sample, head)
    if not evidence:
        return None
    one = evidence[0]
    mattes = [sample.picture(int(i))[..., 3] >= OPAQUE for i in one.picks]
    share, worst = _inside(one, mattes, one.world, one.k, one.world_to_camera)
    if share >= FEWEST:
        return share
    best, text = max((_inside(one, mattes, *change(one))[0], text) for text, change in MISTAKES)
    cause = (f"{100 * best:.0f} % would {text}" if best >= GOOD else
             "likely causes: another layout than the one named (camera axes, scale), pictures cropped or resized after tracking, "
             "or mattes of other moments")
    raise FormatError(f"{frames.images[0].parent}: '{frames.name}' {frames.split}: only {100 * share:.0f} % of the face's points "
                      f"land on the person that the mattes show; worst in frame {sample.labels[int(one.picks[worst])]}: {cause}")


def _inside(one: Evidence, mattes: list[np.ndarray], world: np.ndarray, k: np.ndarray,
            world_to_camera: np.ndarray) -> tuple[float, int]:
    """Return the median share over frames, and the worst frame."""
    shares = []
    for points, matte in zip(project(world, k, world_to_camera), mattes, strict=True):
        height, width = matte.shape
        there = np.isfinite(points).all(axis=1) & (points >= 0).all(axis=1) & (points < [width, height]).all(axis=1)
        x, y = np.where(there[:, None], points, 0).astype(int).T
        shares.append(float((there & matte[y, x]).mean()))
    return float(np.median(shares)), int(np.argmin(shares))
