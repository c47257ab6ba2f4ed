"""The one type of array at every edge of the package, float64 of any shape, and the one door through which numbers come in."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Integers = NDArray[np.int64]
ROUNDOFF = 2.0**-53  # the unit roundoff of float64: by so much, relatively, one operation is off at most
SHOWN_CHARACTERS = 60  # characters of a value in a message


def real(array: ArrayLike, name: str) -> Array:
    """The numbers of an array, nested list or tensor as a float64 copy in C order.

    Parameters
    ----------
    array : booleans, integers or floats of any width; objects that are real numbers (fractions).
    name : what messages call it.

    Raises
    ------
    ValueError : complex numbers, dates, words, None; a masked array with a set mask, whose fill value would count; a tensor that
        must be detached first; rows of different lengths.

    Examples
    --------
    >>> real([[1, 2]], "mu")
    array([[1., 2.]])
    >>> real(np.ma.masked_less([1.0, -1.0], 0), "mu")
    Traceback (most recent call last):
    ...
    ValueError: mu is masked at 1 places: say what counts there, for example mu.filled(0)
    """
    _refuse_masks(array, name)
    try:
        raw = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        said = shown(error, 120)
        raise ValueError(
            f"{name} is no array of numbers ({said}): give a NumPy array, of a tensor .detach().numpy()"
        ) from None
    numbers = raw.dtype.kind in "biuf" or (raw.dtype == object and all(isinstance(x, Real) for x in raw.flat))
    if not numbers:
        raise ValueError(f"{name} holds {raw.dtype} values: give real numbers")
    with np.errstate(over="ignore"):  # a wide float beyond float64 is infinite, and is said to be
        try:
            return np.array(raw, dtype=np.float64, order="C")
        except OverflowError:
            raise ValueError(f"{name} holds whole numbers beyond 1e308: take another unit") from None


def number(value: Any, name: str) -> float:
    """One real number as a float.

    Raises
    ------
    ValueError : None, a word, a boolean, a complex number, an array.

    Examples
    --------
    >>> number("1/4", "eps")
    Traceback (most recent call last):
    ...
    ValueError: eps='1/4': give a real number
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, Real) or isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}={shown(value)}: give a real number")
    try:
        return float(value)
    except OverflowError:  # a whole number beyond 1e308
        return float("inf") if value > 0 else -float("inf")


def positive(value: Any, name: str, what: str, example: str = "1e-3") -> float:
    """One real number above 0 and finite: ``what`` it is stands in the message.

    Raises
    ------
    ValueError : what `number` refuses, 0 and less, NaN, infinity.

    Examples
    --------
    >>> positive(0, "step", "the step")
    Traceback (most recent call last):
    ...
    ValueError: step=0: the step must be positive and finite, for example 1e-3
    """
    if not 0 < number(value, name) < np.inf:
        raise ValueError(f"{name}={value}: {what} must be positive and finite, for example {example}")
    return float(value)


def integer(value: Any, name: str, least: int = 1) -> int:
    """One whole number, at least ``least``.

    Raises
    ------
    ValueError : what `number` refuses, 2.5, NaN, infinity, what is less than ``least``.

    Examples
    --------
    >>> integer(3.0, "levels"), integer(np.int64(2), "levels")
    (3, 2)
    """
    read = number(value, name)
    if not (read.is_integer() and read >= least):
        raise ValueError(f"{name}={shown(value)}: give a whole number, at least {least}")
    return int(value if isinstance(value, Integral) else read)  # a seed of 2⁶⁰ + 1 is no float


def generator(seed: Any, name: str = "seed") -> np.random.Generator:
    """The random generator of a seed, or the one that is given.

    Raises
    ------
    ValueError : what is neither a whole number ≥ 0 nor a generator.

    Examples
    --------
    >>> generator(0).integers(9), generator(0).integers(9)
    (np.int64(7), np.int64(7))
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if not isinstance(seed, Real) or isinstance(seed, (bool, np.bool_)):
        raise ValueError(f"{name}={shown(seed)}: give a whole number ≥ 0, or a generator, np.random.default_rng(0)")
    return np.random.default_rng(integer(seed, name, 0))


def keep_integers(record: Any, **least: int) -> None:
    """Attributes of a frozen record made what `integer` reads of them: 2.0 counts, indexes and is saved as 2 is.

    Examples
    --------
    >>> from pmasolve import SemiDual
    >>> SemiDual(steps=20.0).steps
    20
    """
    for name, bound in least.items():
        object.__setattr__(record, name, integer(getattr(record, name), name, bound))


def indices(given: ArrayLike, size: int, name: str) -> NDArray[np.intp]:
    """Flat indices below ``size``, (r,); from the end where they are negative, nothing else: a ``ValueError``, also for masks.

    Examples
    --------
    >>> indices([0, -1], 5, "nodes")
    array([ 0, -1])
    """
    raw = np.asarray(given)
    i = np.atleast_1d(raw.astype(np.intp)) if raw.dtype.kind in "iu" or raw.size == 0 else None
    if i is None or i.ndim > 1 or np.any((i < -size) | (i >= size)):
        raise ValueError(f"{name}={shown(given)}: give whole numbers below {size}; np.flatnonzero(mask) for a mask")
    return i


def having(value: Any, member: str, name: str, remedy: str) -> Any:
    """The value, where it is an object that can do what ``member`` says.

    Raises
    ------
    ValueError : another object, or a class in place of one of its objects.

    Examples
    --------
    >>> having("fourier", "on", "space", "give Fourier()")
    Traceback (most recent call last):
    ...
    ValueError: space='fourier': give Fourier()
    """
    if isinstance(value, type) or not hasattr(value, member):
        raise ValueError(f"{name}={shown(value)}: {remedy}")
    return value


def shown(value: Any, length: int = SHOWN_CHARACTERS) -> str:
    """A value in a message: one line, cut where it is long.

    Examples
    --------
    >>> shown(list(range(1000)), 12)
    '[0, 1, 2, 3…'
    """
    raw = str(value) or type(value).__name__ if isinstance(value, BaseException) else repr(value)
    line = " ".join(raw.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _refuse_masks(array: Any, name: str) -> None:
    parts = array if isinstance(array, (list, tuple)) else [array]
    masked = sum(int(np.ma.count_masked(part)) for part in parts if isinstance(part, np.ma.MaskedArray))
    masked += sum(part is np.ma.masked for part in parts if not isinstance(part, np.ma.MaskedArray))
    if masked:
        raise ValueError(f"{name} is masked at {masked} places: say what counts there, for example {name}.filled(0)")
