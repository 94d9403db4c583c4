"""The head that FlashAvatar rides: FLAME with its mouth closed."""

import dataclasses
from typing import Any

import numpy as np

from formats.head_model import HeadModel
from formats.lip_seal import lip_opening, seal_lips

RING, BORDER = "lip_ring", "boundary"
"""Regions: the inner lips' ring, which the mouth's triangles close; and the neck's border, where no Gaussians are."""


def head_of(config: Any, head: HeadModel) -> HeadModel:
    """Return the head to train on, before a person is put in: lips closed when `config.close_mouth`, their ring a region."""
    ring = lip_opening(head)
    if ring is None:
        return head
    named = head if RING in head.regions else dataclasses.replace(head, regions={**head.regions, RING: ring})
    return seal_lips(named) if config.close_mouth else named


def mouth_faces(head: HeadModel) -> np.ndarray:
    """Return which triangles close the mouth, bool [F]: all three corners are on the ring."""
    return np.asarray(_touching(head, RING).all(axis=1))


def border_faces(head: HeadModel) -> np.ndarray:
    """Return which triangles touch the neck's border, bool [F]."""
    return np.asarray(_touching(head, BORDER).any(axis=1))


def _touching(head: HeadModel, region: str) -> np.ndarray:
    """Return which corners are in a region, bool [F, 3]; none where there is no such region."""
    return np.asarray(np.isin(head.faces, head.regions.get(region, np.zeros(0, np.int32))))
