"""exp2, exp and log2 that the compiler can vectorise; log-sum-exp engines on grids work in bits, h / ln 2, on clouds in nats.

All avoid float–integer conversions, which AVX2 lacks for 64 bits: adding 1.5·2⁵² leaves the rounded number in the low
bits.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, log
from typing import Any

import numba
import numpy as np
from numba.extending import overload

from .arrays import Array
from .compiling import inner
from .threads import over

LOG2E = 1 / log(2)
LN2 = log(2)
VOID = -1e300  # log2 of no mass: finite, so that differences of two of them are numbers
FLOOR = -1000.0  # exponents below are raised to it: far below every certificate, above the subnormals

CHUNK = 32  # numbers looked at together: one running maximum alone would not be vectorised

TAYLOR = tuple(log(2) ** k / factorial(k) for k in range(13))  # 2^r on |r| ≤ 1/2; the next term is 2e-16
ROUND = 1.5 * 2.0**52

# exp on |r| ≤ log(2)/2: the polynomial of degree 10 that is right at the zeros of the Chebyshev polynomial of degree 11, 0 among
# them; relative error 3.3e-16 (with C1 = 1 it was eleven times that)
C10, C9, C8 = 2.7626357241447223e-07, 2.764018079620985e-06, 2.4801504346997686e-05
C7, C6, C5 = 0.00019841170270440067, 0.0013888888932488599, 0.008333333385667782
C4, C3, C2, C1 = 0.04166666666657314, 0.16666666666554406, 0.5000000000000006, 1.0000000000000067
UNDERFLOW = -708.0

EXPONENT_ONE = 0x3FF0000000000000
EXPONENT_52 = 0x4330000000000000
SQRT_HALF = 0x3FE6A09E667F3BCD  # the bits of √½
SCALE = 2 / log(2)

ROUND32, ZERO32, LEAST32 = (np.float32(t) for t in (1.5 * 2.0**23, 0.0, -126.0))
ONE, BITS = np.int32(127 << 23), np.int32(23)
# 2^r on |r| ≤ ½, right at the zeros of the Chebyshev polynomial of degree 7: off by 2e-9, before roundings
P0, P1, P2, P3 = (np.float32(c) for c in (1.0, 0.6931472067028324, 0.2402265092228874, 0.05550327226670859))
P4, P5, P6 = (np.float32(c) for c in (0.009618056678531378, 0.001340042817741415, 0.00015461444695844806))

FAST = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nnan", "nsz"}}


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the guards that block vectorisation; sums keep their order, products may be fused.

    NaN never enters: the engines refuse it at their door.
    """
    return numba.njit(**FAST)(function)


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jit` for a function that only compiled code calls."""
    return inner(function, error_model=FAST["error_model"], fastmath=FAST["fastmath"])


def lean(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jit` for a function that makes no array: it borrows those it gets and counts no references.

    Counting is atomic, 20 cycles for each slice, and took a third of the time of tiles.
    """
    return numba.njit(**FAST, _nrt=False)(function)


@jit
def exp2(e):
    """2^e for −1022 ≤ e ≤ 1023, relative error below 4e-16."""
    shifted = e + ROUND
    r = e - (shifted - ROUND)
    p = TAYLOR[12]
    p = p * r + TAYLOR[11]
    p = p * r + TAYLOR[10]
    p = p * r + TAYLOR[9]
    p = p * r + TAYLOR[8]
    p = p * r + TAYLOR[7]
    p = p * r + TAYLOR[6]
    p = p * r + TAYLOR[5]
    p = p * r + TAYLOR[4]
    p = p * r + TAYLOR[3]
    p = p * r + TAYLOR[2]
    p = p * r + TAYLOR[1]
    p = p * r + 1.0
    i = np.float64(shifted).view(np.int64)
    return p * np.int64((i << 52) + EXPONENT_ONE).view(np.float64)


@part
def exp2_32(t):
    """2^t in float32 for t ≤ 1, 0 below −126, relative error 1e-7 and a little."""
    shifted = np.float32(t + ROUND32)
    r = np.float32(t - np.float32(shifted - ROUND32))
    p = np.float32(P6 * r + P5)
    p = np.float32(p * r + P4)
    p = np.float32(p * r + P3)
    p = np.float32(p * r + P2)
    p = np.float32(p * r + P1)
    p = np.float32(p * r + P0)
    i = np.int32(np.int32(shifted.view(np.int32) << BITS) + ONE)
    return np.float32(p * i.view(np.float32)) if t > LEAST32 else ZERO32


def power(t):
    """2^t in the precision of t, float32 or float64, in compiled code."""


@overload(power)
def _power_of(t):
    return (lambda t: exp2_32(t)) if t == numba.float32 else (lambda t: exp2(t))


@jit
def exp(t):
    """e^t for t < 709, and 1e-308 below −708, relative error below 7e-16 + 4e-17|t|; exp2(t / ln 2) would have more."""
    t = t if t > UNDERFLOW else UNDERFLOW
    shifted = t * LOG2E + ROUND
    r = t - (shifted - ROUND) * LN2
    p = ((((C10 * r + C9) * r + C8) * r + C7) * r + C6) * r + C5
    p = ((((p * r + C4) * r + C3) * r + C2) * r + C1) * r + 1.0
    return np.int64(np.float64(p).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)).view(np.float64)


@jit
def log2(x):
    """log2 x for normal x > 0, error below 4e-16 max(1, |log2 x|): 2 artanh((m−1)/(m+1)) on 1/√2 ≤ m < √2."""
    i = np.float64(x).view(np.uint64)  # unsigned, since AVX2 shifts no signed 64 bits
    k = (i - np.uint64(SQRT_HALF) + np.uint64(EXPONENT_ONE)) >> np.uint64(52)  # the exponent of x/√½, plus 1023
    e = np.uint64(k | np.uint64(EXPONENT_52)).view(np.float64) - (2.0**52 + 1023.0)
    m = np.uint64(i - (k << np.uint64(52)) + np.uint64(EXPONENT_ONE)).view(np.float64)
    f = (m - 1.0) / (m + 1.0)
    z = f * f
    s = 1 / 21
    s = s * z + 1 / 19
    s = s * z + 1 / 17
    s = s * z + 1 / 15
    s = s * z + 1 / 13
    s = s * z + 1 / 11
    s = s * z + 1 / 9
    s = s * z + 1 / 7
    s = s * z + 1 / 5
    s = s * z + 1 / 3
    return e + (f + f * z * s) * SCALE


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _exp_minus(values, out, begin, end):
    """out = e^−values; by NumPy's function where one of them is beyond the range of `exp`, infinite or NaN."""
    count = 0
    for i in range(np.uint64(begin), np.uint64(end)):
        count += abs(values[i]) < -UNDERFLOW
    if count == end - begin:
        for i in range(np.uint64(begin), np.uint64(end)):
            out[i] = exp(-values[i])
    else:
        for i in range(begin, end):
            out[i] = np.exp(-values[i])


def exp_minus(values: Array, out: Array | None = None) -> Array:
    """e^−values on all threads, relative error below 7e-16 + 4e-17|values|, in ``out`` if given, which may be the values.

    Examples
    --------
    >>> exp_minus(np.array([0.0, 1.0, np.inf])).round(3)
    array([1.   , 0.368, 0.   ])
    """
    values = np.ascontiguousarray(values, np.float64)
    found = out if out is not None and out.flags.c_contiguous else np.empty_like(values)
    over(_exp_minus, values.size, values.reshape(-1), found.reshape(-1))
    if out is None or out is found:
        return found
    out[...] = found
    return out


@lean
def exponentiate(row, top):
    """row = 2^(row − top), flushed at 2^−1000."""
    for i in range(row.size):
        v = row[i] - top
        row[i] = exp2(v if v > FLOOR else FLOOR)


@lean
def largest(values, lanes):
    """max of the values, CHUNK running maxima at a time."""
    n = values.size
    best = values[0]
    if n < 2 * CHUNK:
        for i in range(n):
            best = values[i] if values[i] > best else best
        return best
    for i in range(CHUNK):
        lanes[i] = values[i]
    for start in range(CHUNK, n, CHUNK):
        stop = min(n, start + CHUNK)  # the last chunk overlaps the one before
        part = values[stop - CHUNK : stop]
        for i in range(CHUNK):
            lanes[i] = part[i] if part[i] > lanes[i] else lanes[i]
    for i in range(CHUNK):
        best = lanes[i] if lanes[i] > best else best
    return best


@lean
def least(values, lanes):
    """min of the values, CHUNK running minima at a time."""
    n, low = values.size, values[0]
    if n < CHUNK:
        for i in range(n):
            low = values[i] if values[i] < low else low
        return low
    for i in range(CHUNK):
        lanes[i] = values[i]
    for start in range(CHUNK, n, CHUNK):
        stop = min(n, start + CHUNK)
        part = values[stop - CHUNK : stop]
        for i in range(CHUNK):
            lanes[i] = part[i] if part[i] < lanes[i] else lanes[i]
    for i in range(CHUNK):
        low = lanes[i] if lanes[i] < low else low
    return low
