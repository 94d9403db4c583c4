"""Whose file is this: the signs by which other systems' checkpoints, folders and clips are told apart."""

from collections.abc import Iterable

FATE_SIGNS = {"fate": {"_offset", "face_index"}, "gaussian-avatars": {"binding"},
              "flash-avatar": {"deformNet.output_linear.weight"}, "splatting-avatar": {"_uvd"},
              "mono-gaussian-avatar": {"pc.points"}}
"""The systems that FATE's code trains, by keys that only their `model` has."""


def fate_kind(keys: Iterable[str]) -> str | None:
    """Return which system a checkpoint of FATE's code holds, by the keys of its `model`; None when it is none of them.

    One of `fate`, `gaussian-avatars`, `flash-avatar`, `splatting-avatar`, `mono-gaussian-avatar`.
    """
    keys = set(keys)
    return next((system for system, signs in FATE_SIGNS.items() if signs <= keys), None)
