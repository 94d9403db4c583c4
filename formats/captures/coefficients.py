"""A take's motion as a layout's columns, with an error for what the layout has no place for."""

import numpy as np
from jaxtyping import Float64

from formats.camera import Camera
from formats.captures.shots import Film, Take
from formats.errors import UnsupportedFeature


def columns(values: np.ndarray, width: int, what: str) -> Float64[np.ndarray, "*n width"]:
    """Return `values` [..., n] with `width` columns: zeros are added, or taken away.

    Raises:
        UnsupportedFeature: A number other than zero would be lost.
    """
    values = np.asarray(values, np.float64)
    if np.any(values[..., width:]):
        raise UnsupportedFeature(f"capture: {values.shape[-1]} {what} numbers, the layout stores {width}; film with that many")
    kept = np.zeros((*values.shape[:-1], width))
    kept[..., :values.shape[-1]] = values[..., :width]
    return kept


def shape_of(take: Take, width: int) -> Float64[np.ndarray, " width"]:
    """Return the person's identity coefficients, zeros when the tracker found none."""
    shape = take.sequence.shape
    return columns(np.zeros(0) if shape is None else shape, width, "identity")


def refuse(take: Take, *names: str) -> None:
    """Raise `UnsupportedFeature` when one of the sequence's fields `names`, for which a layout has no place, is not zero."""
    for name in names:
        if np.any(getattr(take.sequence, name)):
            raise UnsupportedFeature(f"capture: the {take.split} take's '{name}' is not zero and the layout cannot store it; "
                                     "film for this layout")


def lens_of(film: Film) -> tuple[Float64[np.ndarray, "3 3"], int, int]:
    """Return K and the width and height of every picture: the layouts hold them once.

    Raises:
        UnsupportedFeature: They change, or K has skew.
    """
    lenses = np.concatenate([take.sequence.cameras["K"] for take in film.takes]).astype(np.float64)
    sizes = np.concatenate([take.sequence.cameras["size"] for take in film.takes])
    if (lenses != lenses[0]).any() or (sizes != sizes[0]).any() or lenses[0, 0, 1]:
        raise UnsupportedFeature("capture: the lens or the pictures' size changes during the film, or pixels are skewed; the "
                                 "layout stores one K without skew")
    return lenses[0], int(sizes[0, 0]), int(sizes[0, 1])


def camera_at(take: Take, row: int) -> Camera:
    """Return the camera of a row, for layouts that hold one for each.

    Raises:
        UnsupportedFeature: K has skew.
    """
    cameras = take.sequence.cameras
    if cameras["K"][row, 0, 1]:
        raise UnsupportedFeature(f"capture: pixels of the {take.split} take are skewed; the layout stores K without skew")
    width, height = (int(v) for v in cameras["size"][row])
    return Camera(cameras["K"][row].astype(np.float64), cameras["world_to_camera"][row].astype(np.float64), width, height)


def first_moments(film: Film) -> dict[str, int]:
    """Return each take's first moment, where moments run on from take to take."""
    counts = [len(take.sequence) // take.views for take in film.takes]
    return dict(zip((take.split for take in film.takes), np.cumsum([0, *counts]).tolist(), strict=False))
