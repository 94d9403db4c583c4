"""The squared 2-Wasserstein distance between Gaussians, in closed form and with gradients, and how much an avatar jitters.

    W2^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^1/2 S2 S1^1/2)^1/2

Source: Olkin, Pukelsheim, "The distance between two random vectors with given dispersion matrices", 1982. The last trace is
found without eigenvalues, whose gradients break where two are equal: with A = S1^1/2 S2 S1^1/2, a = tr A, b the sum of its
principal 2 x 2 minors and d = sqrt det A, the trace s of its root has ((s^2 - a) / 2)^2 - 2 s d = b (the roots' own minors
sum to (s^2 - a) / 2), and is that equation's largest root. From sqrt(3 a) above it Newton's steps fall to it; one more step
carries the gradient (implicit differentiation). a, b and d follow from rotations and scales alone.
"""

from typing import Any

import torch
from torch import Tensor

from trainers.model import Motion
from trainers.rotations import matrix_to_quat, normalize, quat_conjugate, quat_multiply, quat_to_matrix
from trainers.scene import MOTION

STEPS = 24
"""Of Newton's method: from 3 to 1 times the root in a few, then doubling digits; more where it is a multiple root."""
THIN = 1e-3
"""Millimetres: thinner axes count as this thick, which moves no distance by more."""

Splats = tuple[Tensor, Tensor, Tensor]
"""Means [N, 3], quats [N, 4] wxyz of any length, scales [N, 3]; metres."""


def wasserstein_squared(one: Splats, other: Splats) -> Tensor:
    """Return W2^2 of each Gaussian and the one of the same row, [N], square millimetres, float32.

    Worked out in float64: what is left of traces is a thousandth of them where frames are alike.
    """
    (m1, q1, s1), (m2, q2, s2) = ((1e3 * means.double(), quats.double(), (1e3 * scales.double()).clamp_min(THIN))
                                  for means, quats, scales in (one, other))
    turn = quat_to_matrix(normalize(quat_multiply(quat_conjugate(q1), q2))).square()
    v1, v2 = s1.square(), s2.square()
    a = _between(v1, turn, v2)
    b = _between(_pairs(v1), turn, _pairs(v2))
    # Not `prod`: its gradient waits for the device, to look for zeros.
    d = s1[:, 0] * s1[:, 1] * s1[:, 2] * s2[:, 0] * s2[:, 1] * s2[:, 2]
    root = _trace_of_root(a, b, d)
    return ((m1 - m2).square().sum(dim=1) + (v1.sum(dim=1) + v2.sum(dim=1) - 2 * root).clamp_min(0)).float()


def _between(left: Tensor, turn: Tensor, right: Tensor) -> Tensor:
    return (left[:, :, None] * turn * right[:, None]).sum(dim=(1, 2))


def _pairs(v: Tensor) -> Tensor:
    x, y, z = v.unbind(dim=1)
    return torch.stack([y * z, x * z, x * y], dim=1)


def _trace_of_root(a: Tensor, b: Tensor, d: Tensor) -> Tensor:
    """Return tr A^1/2 [N] of 3 x 3 matrices with trace a, minors b and root of the determinant d."""
    with torch.no_grad():
        s = (3 * a).sqrt()
        for _ in range(STEPS):
            s = s - _excess(s, a, b, d) / _slope(s, a, d)
    return s - _excess(s, a, b, d) / _slope(s, a, d).detach()


def _excess(s: Tensor, a: Tensor, b: Tensor, d: Tensor) -> Tensor:
    return ((s.square() - a) / 2).square() - 2 * s * d - b


def _slope(s: Tensor, a: Tensor, d: Tensor) -> Tensor:
    return (s * (s.square() - a) - 2 * d).clamp_min(1e-30)


# --- Jitter -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def splats_on_head(model: Any, motion: Motion) -> Splats:
    """Return a model's Gaussians at a motion, in the axes of the head's root, so that turning the head is no change.

    Args:
        model: A `trainers.splat_model.SplatModel`.
        motion: Of one frame.
    """
    scene, root = model.scene(motion), model.head.pose(motion).joint_transforms[0]
    turn = root[:, :3]
    back = quat_conjugate(matrix_to_quat(turn)[None])
    return (scene.means - root[:, 3]) @ turn, quat_multiply(back.expand_as(scene.quats), scene.quats), scene.scales


@torch.no_grad()
def jitter(model: Any, store: Any) -> float:
    """Return how far Gaussians are from one frame to the next, the mean W2 over frames and Gaussians, millimetres.

    Args:
        model: A `trainers.splat_model.SplatModel`.
        store: Consecutive frames, a `trainers.frame_store.FrameStore`; pictures of the same moment are one.
    """
    found, before = [], None
    last: Motion | None = None
    for index in range(len(store)):
        motion = store.batch(index).motion
        if last is not None and all(torch.equal(getattr(last, name), getattr(motion, name)) for name in MOTION):
            continue
        here = splats_on_head(model, motion)
        if before is not None:
            found.append(wasserstein_squared(before, here).sqrt().mean())
        before, last = here, motion
    return float(torch.stack(found).mean()) if found else 0.0


@torch.no_grad()
def wobble(model: Any, store: Any, noise: float, seed: int = 0, frames: int = 20) -> float:
    """Return how far Gaussians move when the tracking is a little wrong: the mean W2 to the same frame, millimetres.

    Args:
        model: As for `jitter`.
        store: As for `jitter`.
        noise: Standard deviation of what is added to expression coefficients; a tenth of it, radians, to jaw and eyes.
        seed: Of what is added.
        frames: How many are looked at, spread over the store.
    """
    generator = torch.Generator().manual_seed(seed)

    def shaken(value: Tensor, much: float) -> Tensor:
        return value + much * torch.randn(value.shape, generator=generator).to(value)

    found = []
    for index in sorted({round(i) for i in torch.linspace(0, len(store) - 1, min(frames, len(store))).tolist()}):
        motion = store.batch(index).motion
        wrong = Motion(**{name: getattr(motion, name) for name in MOTION} | {
            "expr": shaken(motion.expr, noise), "jaw": shaken(motion.jaw, 0.1 * noise), "eyes": shaken(motion.eyes, 0.1 * noise)})
        found.append(wasserstein_squared(splats_on_head(model, motion), splats_on_head(model, wrong)).sqrt().mean())
    return float(torch.stack(found).mean())
