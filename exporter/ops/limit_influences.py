"""Fewer joints per vertex, for players that apply only so many."""

import dataclasses

import numpy as np
from jaxtyping import Float64, Int64

from formats.head_model import HeadModel


def strongest_influences(weights: np.ndarray, count: int) -> tuple[Int64[np.ndarray, "V n"], Float64[np.ndarray, "V n"]]:
    """Return the `count` strongest joints of each vertex, strongest first, and their weights made to sum to 1.

    Rows that have fewer are filled with joint 0 at weight 0. Negative weights, which no player applies, count as 0.
    """
    w = np.maximum(weights.astype(np.float64), 0)
    if w.shape[1] < count:
        w = np.pad(w, ((0, 0), (0, count - w.shape[1])))
    joints = np.argsort(-w, axis=1, kind="stable")[:, :count]
    kept = np.take_along_axis(w, joints, axis=1)
    kept /= kept.sum(axis=1, keepdims=True)
    return np.where(kept > 0, joints, 0), kept


def limit_influences(head: HeadModel, count: int) -> HeadModel:
    """Return `head` with at most `count` joints per vertex."""
    joints, kept = strongest_influences(head.lbs_weights, count)
    weights = np.zeros(head.lbs_weights.shape)
    np.add.at(weights, (np.arange(len(weights))[:, None], joints), kept)
    return dataclasses.replace(head, lbs_weights=weights.astype(np.float32))
