"""Morph targets that the head and every mesh layer of a GLB have alike: expressions, lids, correctives. See GLB.md 1.1, 1.4."""

import numpy as np

from formats.avatar import Avatar, LinearDynamics, SkinBinding, SplatLayer
from formats.head_model import HeadModel

LID_NAMES = ("eyelidLeft", "eyelidRight")
CORRECTIVE_NAMES = tuple(f"corrective_{role}_{i}{j}" for role in ("neck", "jaw", "left_eye", "right_eye")
                         for i in range(3) for j in range(3))


def eyelid_directions(avatar: Avatar) -> np.ndarray | None:
    """Return the head's eyelid directions; zeros when only a layer or a network needs the lids, so that a clip can carry them."""
    head = avatar.head
    needed = any("eyelids" in network.inputs for network in avatar.networks.values()) or any(
        (isinstance(layer.binding, SkinBinding) and layer.binding.eyeliddirs is not None)
        or (isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics)
            and "eyelids" in layer.dynamics.driver)
        for layer in avatar.layers)
    if head.eyeliddirs is None and needed:
        return np.zeros((len(head.v_template), 3, 2), np.float32)
    return head.eyeliddirs


def own_tables(binding: SkinBinding, head: HeadModel) -> SkinBinding:
    """Return `binding` with tables of its own, where it shares the head's vertices."""
    if binding.vertex_index is None:
        return binding
    pick, weights = binding.vertex_index, head.lbs_weights.astype(np.float64)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return SkinBinding(exprdirs=head.exprdirs[pick], posedirs=None if head.posedirs is None else head.posedirs[pick],
                       eyeliddirs=None if head.eyeliddirs is None else head.eyeliddirs[pick], lbs_weights=weights[pick])


def target_tables(binding: SkinBinding, avatar: Avatar) -> list[np.ndarray]:
    """Return a layer's directions [V, 3, K] as the head's morph targets are divided: expressions, lids, correctives; zeros
    where the layer has none."""
    head, own, count = avatar.head, own_tables(binding, avatar.head), len(binding)
    widths = [(own.exprdirs, len(head.expr_names)), (own.eyeliddirs, 0 if eyelid_directions(avatar) is None else 2),
              (own.posedirs, 0 if head.posedirs is None else head.posedirs.shape[2])]
    tables = []
    for table, width in widths:
        whole = np.zeros((count, 3, width), np.float32)
        if table is not None:
            whole[:, :, :table.shape[2]] = table[:, :, :width]
        tables.append(whole)
    return tables


def target_names(avatar: Avatar) -> list[str]:
    """Return the names of the head's morph targets, which every mesh layer has as well."""
    head = avatar.head
    correctives = 0 if head.posedirs is None else head.posedirs.shape[2]
    return [*head.expr_names, *(LID_NAMES if eyelid_directions(avatar) is not None else ()), *CORRECTIVE_NAMES[:correctives]]
