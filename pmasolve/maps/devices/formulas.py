"""Formulas written with NumPy, evaluated on the arrays of another library: NumPy hands its functions over to whoever asks.

`Foreign` asks by the protocols of NumPy's enhancement proposals 13 and 18, so that ``lambda x, y: 0.3 * np.cos(2 * np.pi * x)``
runs on a graphics card as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .libraries import ArrayLibrary

RENAMED = {  # NumPy's own names → the array API's
    "power": "pow",
    "absolute": "abs",
    "invert": "logical_not",
    "concatenate": "concat",
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")},
}


@dataclass(frozen=True, eq=False)
class Foreign(NDArrayOperatorsMixin):
    """An array of another library that NumPy's functions and all operators take."""

    array: Any
    library: ArrayLibrary

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return tuple(self.array.shape)

    @property
    def ndim(self) -> int:
        """Axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Foreign:
        return Foreign(self.array[key], self.library)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Foreign:
        if method != "__call__" or options:
            raise TypeError(
                f"np.{ufunc.__name__}.{method} with {sorted(options)} is not for arrays of {self.library.name}"
            )
        return self._called(ufunc.__name__, inputs, {})

    def __array_function__(
        self, function: Callable, types: Any, inputs: Sequence[Any], options: dict[str, Any]
    ) -> Foreign:
        return self._called(function.__name__, inputs, options)

    def _called(self, name: str, inputs: Sequence[Any], options: dict[str, Any]) -> Foreign:
        known = getattr(self.library.xp, RENAMED.get(name, name), None)
        if known is None:
            raise TypeError(f"{self.library.name} has no {name}")
        own = [self._own(value) for value in inputs]
        found = known(*own, **options)
        if self._single(found):  # torch: of Python's numbers alone, beside truth values or none
            found = known(*map(self._double, own), **options)
        if self._single(found):
            raise TypeError(f"{self.library.name} gives {name} of whole numbers or truth values in float32")
        return Foreign(found, self.library)

    def _single(self, found: Any) -> bool:
        xp = self.library.xp
        return getattr(found, "dtype", None) in (xp.float32, xp.complex64)

    def _double(self, value: Any) -> Any:
        """Python's numbers as float64."""
        return self.library.constant(np.array(value)) if isinstance(value, float) else value

    def _own(self, value: Any) -> Any:
        """In the library's own terms, also in lists; numbers are Python's."""
        match value:
            case Foreign():
                return value.array
            case list() | tuple():
                return [self._own(part) for part in value]
            case np.generic():
                return value.item()
            case np.ndarray():
                return self.library.constant(value)
        return value


def evaluated(formula: Callable[..., Any], points: Sequence[Any], library: ArrayLibrary) -> Any:
    """formula(x, y, …) at coordinates (n,) in the library's arrays: (n,).

    Raises
    ------
    TypeError : the formula gives an array of NumPy, which knows nothing of its points.
    """
    found = formula(*(Foreign(x, library) for x in points))
    if isinstance(found, Foreign):
        return found.array + 0.0 * points[0]  # of the points' shape, where it is a constant
    if np.ndim(found):
        raise TypeError(f"the formula gives {type(found).__name__} of NumPy")
    return 0.0 * points[0] + float(found)
