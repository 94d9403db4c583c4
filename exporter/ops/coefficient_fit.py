"""Fitting the coefficients of linear dynamics to what drives them: ridge regression, and a hidden layer where that is too little.

Ridge: Hoerl, Kennard, "Ridge regression", Technometrics 1970. The hidden layer is trained with Adam (Kingma, Ba, 2015), all
frames at once, on the error that shows in pictures; frames that took no part choose how far.
"""

import numpy as np
from jaxtyping import Float64

from formats.coefficient_function import CoefficientFunction

RIDGES = (1e-9, 1e-7, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Of the average energy of a driving number."""
NUMBERS = 8000
"""Numbers that a function with a hidden layer should have at most."""
HIDDEN = (8, 64)
STEPS, RATE, PATIENCE = 1500, 4e-3, 400
GAIN = 2.0
"""Root mean square of a part of the driver, as hidden numbers see it."""
QUIET = 1e-7
"""A part of the driver that moves less does not count."""


def fit(driving: Float64[np.ndarray, "T D"], wanted: Float64[np.ndarray, "T K"], check: tuple[np.ndarray, np.ndarray],
        importance: Float64[np.ndarray, " K"], hidden: bool, parts: tuple[int, ...] = ()) -> tuple[CoefficientFunction, float]:
    """Return the function, and the share of the checked frames' energy that it misses.

    Args:
        driving: Less its mean, the frames to learn from.
        wanted: Their coefficients.
        check: The same two of frames that choose among fits.
        importance: What a unit of each coefficient's square shows.
        hidden: Add a hidden layer; else ridge regression alone.
        parts: How many numbers belong together, such as expressions; all of them when absent. The numbers of a part keep their
            proportions: one that hardly moves is mostly the tracker's noise, and must not count like the others.
    """
    middle = driving.mean(axis=0)
    moves = np.square(driving - middle).mean(axis=0)
    ends = np.cumsum(parts or (len(moves),))
    reach = np.concatenate([np.full(n, np.sqrt(moves[end - n:end].sum())) for n, end in
                            zip(parts or (len(moves),), ends, strict=True)])
    scale = np.where(reach > QUIET, GAIN / np.maximum(reach, QUIET), 0)
    x, there = (driving - middle) * scale, (check[0] - middle) * scale
    seen = np.concatenate([driving, check[0]])
    low, high = seen.min(axis=0), seen.max(axis=0)
    weight, bias, missed = _ridge(x, wanted, there, check[1], importance)
    inner = np.zeros((0, x.shape[1]))
    inner_bias, outer = np.zeros(0), np.zeros((wanted.shape[1], 0))
    if hidden:
        found = _hidden(x, wanted, there, check[1], importance, weight, bias)
        if found[-1] < missed:
            weight, bias, inner, inner_bias, outer, missed = found
    linear, inner = weight * scale, inner * scale
    function = CoefficientFunction(linear, bias - linear @ middle, inner, inner_bias - inner @ middle, outer, low, high)
    return function, missed


def _missed(found: np.ndarray, wanted: np.ndarray, importance: np.ndarray) -> float:
    return float(((found - wanted)**2 @ importance).sum() / max((wanted**2 @ importance).sum(), 1e-30))


def _ridge(x: np.ndarray, wanted: np.ndarray, there: np.ndarray, truth: np.ndarray,
           importance: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return weights [K, D], bias [K] and what is missed, with the ridge that misses least."""
    bias = wanted.mean(axis=0)
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    projected = u.T @ (wanted - bias)
    best: tuple[np.ndarray, np.ndarray, float] | None = None
    for ridge in RIDGES:
        shrunk = s / (s**2 + ridge * len(x)) if s.size else s
        weight = ((vt.T * shrunk) @ projected).T
        missed = _missed(there @ weight.T + bias, truth, importance)
        if best is None or missed < best[2]:
            best = weight, bias, missed
    assert best is not None
    return best


def _hidden(x: np.ndarray, wanted: np.ndarray, there: np.ndarray, truth: np.ndarray, importance: np.ndarray,
            weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Return weights, bias, inner, inner bias, outer and what is missed: the ridge with a hidden layer, both trained on."""
    (count, drivers), ranks = x.shape, wanted.shape[1]
    width = int(np.clip((NUMBERS - ranks * (drivers + 1)) // (drivers + 1 + ranks), *HIDDEN))
    rng = np.random.default_rng(3)
    share = np.sqrt(importance / importance.sum())
    length = max(float(np.square(x).sum(axis=1).mean()), 1e-12)
    p = [weight.copy(), bias.copy(), rng.normal(0, 0.7 / np.sqrt(length), (width, drivers)), rng.normal(0, 0.5, width),
         np.zeros((ranks, width))]
    p[4][:] = rng.normal(0, 0.01, p[4].shape)
    first, second = [np.zeros_like(v) for v in p], [np.zeros_like(v) for v in p]
    best, since, kept = np.inf, 0, [v.copy() for v in p]
    for step in range(1, STEPS + 1):
        hidden = np.tanh(x @ p[2].T + p[3])
        error = (x @ p[0].T + p[1] + hidden @ p[4].T - wanted) * (share**2 * ranks / count)
        back = (error @ p[4]) * (1 - hidden**2)
        gradients = [error.T @ x, error.sum(axis=0), back.T @ x, back.sum(axis=0), error.T @ hidden]
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS)) + 1e-6
        for v, g, m, s, decay in zip(p, gradients, first, second, (1e-4, 0, 3e-4, 0, 3e-4), strict=True):
            g = g + decay * v / ranks
            m += 0.1 * (g - m)
            s += 0.001 * (g * g - s)
            v -= rate * (m / (1 - 0.9**step)) / (np.sqrt(s / (1 - 0.999**step)) + 1e-10)
        if step % 25 == 0:
            found = there @ p[0].T + p[1] + np.tanh(there @ p[2].T + p[3]) @ p[4].T
            missed = _missed(found, truth, importance)
            if missed < best:
                best, since, kept = missed, step, [v.copy() for v in p]
            if step - since >= PATIENCE:
                break
    return (*kept, best)  # pyright: ignore[reportReturnType]
