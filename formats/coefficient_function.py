"""The coefficients of linear dynamics as a small function that every player works out itself, without a runtime for networks.

`exporter.ops.linearise` fits it to a network. Ridge regression alone where `inner` has no rows, else that and one hidden layer.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from formats import checks
from formats.errors import BindingError

HIDDEN_LIMIT, NUMBER_LIMIT = 4096, 1 << 20
"""Rows of `inner`; numbers of any one matrix. A few thousand numbers are meant."""


@dataclass(frozen=True, eq=False)
class CoefficientFunction:
    """`c = bias + linear y + outer tanh(inner y + inner_bias)`, y = the driver less its mean, each number held within low..high.

    D numbers drive it, it has H hidden ones and gives K coefficients.
    """

    linear: Float32[np.ndarray, "K D"]
    bias: Float32[np.ndarray, " K"]
    inner: Float32[np.ndarray, "H D"]
    inner_bias: Float32[np.ndarray, " H"]
    outer: Float32[np.ndarray, "K H"]
    low: Float32[np.ndarray, " D"]
    """What the driver less its mean reached in the clip that the function was fitted to. Beyond, the function is not known: the
    number is held there, and `beyond` tells."""
    high: Float32[np.ndarray, " D"]

    def __post_init__(self) -> None:
        own, sizes = "CoefficientFunction", {}
        set_ = {name: checks.array(own, name, getattr(self, name), shape, sizes, error=BindingError)
                for name, shape in FIELDS.items()}
        if not sizes["K"] or not sizes["D"]:
            raise BindingError(f"{own}: {sizes['K']} coefficients of {sizes['D']} driving numbers; expected one of each at least")
        if sizes["H"] > HIDDEN_LIMIT or max(value.size for value in set_.values()) > NUMBER_LIMIT:
            raise BindingError(f"{own}: {sizes['H']} hidden numbers, matrices of up to {max(v.size for v in set_.values())}; at "
                               f"most {HIDDEN_LIMIT} and {NUMBER_LIMIT}. Give a network instead")
        if (set_["low"] > set_["high"]).any():
            raise BindingError(f"{own}: low is above high at number {int(np.argmax(set_['low'] > set_['high']))} of the driver")
        checks.freeze(self, set_)

    @property
    def numbers(self) -> int:
        """How many numbers it has, limits aside."""
        return sum(getattr(self, name).size for name in FIELDS if name not in ("low", "high"))

    def coefficients(self, driver: np.ndarray) -> Float64[np.ndarray, " K"]:
        """Return c for the driver less its mean [D].

        Raises:
            BindingError: The driver has another length.
        """
        if driver.shape != self.low.shape:
            raise BindingError(f"coefficient function: expected {len(self.low)} driving numbers, got {len(driver)}")
        y = np.clip(driver.astype(np.float64), self.low, self.high)
        hidden = np.tanh(self.inner.astype(np.float64) @ y + self.inner_bias)
        return self.bias + self.linear.astype(np.float64) @ y + self.outer.astype(np.float64) @ hidden

    def beyond(self, driver: np.ndarray) -> Float64[np.ndarray, " D"]:
        """Return by how much each number of the driver less its mean leaves the range, in widths of the range; 0 within.

        A number that never moved in the clip has no width: there the distance itself counts, as if the width were 1.
        """
        width = (self.high - self.low).astype(np.float64)
        outside = np.maximum(np.maximum(self.low - driver.astype(np.float64), driver - self.high.astype(np.float64)), 0)
        return np.where(outside > 1e-6, outside, 0) / np.where(width > 0, width, 1)


FIELDS = {"linear": ("K", "D"), "bias": ("K",), "inner": ("H", "D"), "inner_bias": ("H",), "outer": ("K", "H"), "low": ("D",),
          "high": ("D",)}
"""Names of its arrays, with their axes."""
