"""Fewer expressions and fewer joints: what a head holds and a file need not."""

import dataclasses
from collections.abc import Sequence as Names

import numpy as np
from jaxtyping import Float64

from formats.avatar import Avatar, LinearDynamics, SkinBinding, SplatLayer
from formats.conventions import ARKIT_52
from formats.errors import UnsupportedFeature
from formats.head_model import HeadModel
from formats.sequence import Sequence


def expression_energies(avatar: Avatar) -> Float64[np.ndarray, " E"]:
    """Return each expression's energy: the sum of squared deltas (square metres), times what the clip makes of its
    coefficient (mean square) where there is a clip."""
    head, sequence = avatar.head, avatar.sequence
    energy = np.einsum("vce,vce->e", head.exprdirs, head.exprdirs, dtype=np.float64)
    if sequence is None:
        return energy
    used = np.zeros(len(energy))
    used[_columns(head, sequence)] = np.mean(sequence.expr.astype(np.float64)**2, axis=0)
    return energy * used


def choose_expressions(avatar: Avatar, names: Names[str] = (), most: int | None = None, energy: float | None = None,
                       arkit: bool = False) -> tuple[str, ...]:
    """Return the names of the expressions to keep, in the head's order; all of them when nothing is asked.

    Args:
        avatar: Its head, and its clip, which says what is used.
        names: Keep these and no others.
        most: Of those keep so many, the ones of the highest energy.
        energy: Of those keep as many as hold this share (0..1) of their energy.
        arkit: Keep every expression that has a name of ARKit's, whatever the rest says.

    Raises:
        UnsupportedFeature: A name that the head does not have, or a share outside 0..1.
    """
    head = avatar.head
    absent = [name for name in names if name not in head.expr_names]
    if absent:
        raise UnsupportedFeature(f"the head has no expression '{absent[0]}'; it has {', '.join(head.expr_names[:5])}, ... "
                                 f"({len(head.expr_names)})")
    if energy is not None and not 0 <= energy <= 1:
        raise UnsupportedFeature(f"the share of energy to keep is {energy:g}; expected 0 to 1")
    if most is not None and most < 0:
        raise UnsupportedFeature(f"{most} expressions cannot be kept; expected 0 or more")
    kept = np.array([not names or name in names for name in head.expr_names], bool)
    if most is not None or energy is not None:
        energies = np.where(kept, expression_energies(avatar), -1.0)
        order = np.argsort(-energies, kind="stable")[:int(kept.sum())]
        if energy is not None:
            share = np.cumsum(energies[order]) / max(float(energies[order].sum()), 1e-30)
            order = order[:int(np.searchsorted(share, energy - 1e-12)) + 1] if energy > 0 else order[:0]
        kept[:] = False
        kept[order[:most]] = True
    if arkit:
        kept |= np.isin(head.expr_names, ARKIT_52)
    return tuple(name for name, keep in zip(head.expr_names, kept, strict=True) if keep)


def keep_expressions(avatar: Avatar, names: Names[str]) -> Avatar:
    """Return `avatar` with these expressions only, in the head's order; its clip loses the others' coefficients.

    Raises:
        UnsupportedFeature: A layer's dynamics are driven by the expressions, or a network is, so that none can go.
    """
    head = avatar.head
    kept = np.array([i for i, name in enumerate(head.expr_names) if name in names], int)
    if len(kept) == len(head.expr_names):
        return avatar
    for layer in avatar.layers:
        if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics) and "expr" in layer.dynamics.driver:
            raise UnsupportedFeature(f"layer '{layer.name}': its dynamics are driven by all {len(head.expr_names)} "
                                     "expressions; keep them, or bake the dynamics with another driver")
    for name, network in avatar.networks.items():
        if "expr" in network.inputs:
            raise UnsupportedFeature(f"network '{name}': takes all {len(head.expr_names)} expressions; keep them")
    still, motion = head.rest_joints()
    table = head.arkit_map
    if table is not None:
        table = np.concatenate([table[:, kept], table[:, len(head.expr_names):]], axis=1)
    less = dataclasses.replace(
        head, exprdirs=head.exprdirs[:, :, kept], expr_names=tuple(head.expr_names[i] for i in kept), J_regressor=None,
        J_template=still.astype(np.float32), J_exprdirs=motion[:, :, kept].astype(np.float32) if motion.any() else None,
        arkit_map=table)
    layers = tuple(dataclasses.replace(layer, binding=_cut_binding(layer.binding, kept))
                   if isinstance(layer.binding, SkinBinding) else layer for layer in avatar.layers)
    sequence = avatar.sequence
    if sequence is not None:
        expr = np.zeros((len(sequence), len(head.expr_names)), np.float32)
        expr[:, _columns(head, sequence)] = sequence.expr
        sequence = dataclasses.replace(sequence, expr=expr[:, kept], expr_names=less.expr_names)
    return dataclasses.replace(avatar, head=less, layers=layers, sequence=sequence)


def _columns(head: HeadModel, sequence: Sequence) -> list[int]:
    """Return which of the head's expressions each column of a clip is."""
    if not sequence.expr_names:
        return list(range(sequence.expr.shape[1]))
    column = {name: i for i, name in enumerate(head.expr_names)}
    return [column[name] for name in sequence.expr_names]


def _cut_binding(binding: SkinBinding, kept: np.ndarray) -> SkinBinding:
    if binding.exprdirs is None:
        return binding
    return dataclasses.replace(binding, exprdirs=binding.exprdirs[:, :, kept[kept < binding.exprdirs.shape[2]]])


def weighted_joints(avatar: Avatar) -> tuple[str, ...]:
    """Return the names of the joints that move something: those with weights on the head or on a layer, those with roles,
    joint 0, and all their ancestors."""
    head = avatar.head
    needed = np.array(head.lbs_weights.any(axis=0), bool)
    for layer in avatar.layers:
        if isinstance(layer.binding, SkinBinding) and layer.binding.lbs_weights is not None:
            needed |= layer.binding.lbs_weights.any(axis=0)
    needed[[0, *head.joint_roles.values()]] = True
    for j in range(len(needed) - 1, -1, -1):
        if needed[j] and head.parents[j] >= 0:
            needed[head.parents[j]] = True
    return tuple(name for name, keep in zip(head.joint_names, needed, strict=True) if keep)


def keep_joints(avatar: Avatar, names: Names[str]) -> Avatar:
    """Return `avatar` with these joints only; what a clip does to the others is left out.

    Raises:
        UnsupportedFeature: A joint with a parent, a role or weights would lose what it needs.
    """
    head = avatar.head
    kept = np.array([j for j, name in enumerate(head.joint_names) if name in names], int)
    if len(kept) == len(head.joint_names):
        return avatar
    lost = set(weighted_joints(avatar)) - set(names)
    if lost:
        raise UnsupportedFeature(f"joint '{sorted(lost)[0]}' moves something, or stands above a joint that does; keep it")
    place = np.full(len(head.joint_names) + 1, -1)
    place[kept] = np.arange(len(kept))
    still, motion = head.rest_joints()
    less = dataclasses.replace(
        head, lbs_weights=head.lbs_weights[:, kept], parents=place[head.parents[kept]],
        joint_names=tuple(head.joint_names[j] for j in kept),
        joint_roles={role: int(place[j]) for role, j in head.joint_roles.items()}, J_regressor=None,
        J_template=still[kept].astype(np.float32), J_exprdirs=motion[kept].astype(np.float32) if motion.any() else None)
    layers = []
    for layer in avatar.layers:
        if isinstance(layer.binding, SkinBinding) and layer.binding.lbs_weights is not None:
            cut = dataclasses.replace(layer.binding, lbs_weights=layer.binding.lbs_weights[:, kept])
            layer = dataclasses.replace(layer, binding=cut)
        layers.append(layer)
    sequence = avatar.sequence
    if sequence is not None:
        sequence = dataclasses.replace(sequence, joints={name: turns for name, turns in sequence.joints.items()
                                                         if name in less.joint_names})
    return dataclasses.replace(avatar, head=less, layers=tuple(layers), sequence=sequence)
