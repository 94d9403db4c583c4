"""The person without expression, the jaw a little open: `canonical.obj` of metrical-tracker and INSTA."""

import numpy as np
from jaxtyping import Float64

from formats.captures.shots import Film
from formats.deform import deform_head
from formats.sequence import Sequence

JAW = np.radians(12.0)


def canonical(film: Film) -> Float64[np.ndarray, "V 3"]:
    """Return the person at rest with the jaw open, metres."""
    still = np.zeros((1, len(film.head.expr_names)))
    frame = Sequence(film.head.edition, film.fps, still, jaw=np.array([[JAW, 0, 0]]))
    return deform_head(film.head.personalise(film.takes[0].sequence.shape), frame).vertices
