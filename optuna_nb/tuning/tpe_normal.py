"""Truncated normal distributions as Optuna's TPE computes them, to the last bit, several times faster.

Optuna calls a cached Python function for each number, as it does without SciPy.
Here C's own ``erf``, ``erfc`` and ``log``, which that function ends in, are
mapped over whole arrays. What numpy computes is computed in the same order.
"""

from __future__ import annotations

import math
import sys
from functools import partial
from itertools import count, repeat

import numpy as np
from optuna.samplers._tpe._erf import erf as _erf_of_many

_MANY = 2000  # numbers, from where on Optuna's erf is a polynomial
_FEW = 150  # numbers, up to which a loop is faster than masks
_ROOT = 2**0.5
_NEAR = 1 / 2**0.5
LOG_ROOT_2PI = math.log(math.sqrt(2 * math.pi))
_LOGISTIC = math.sqrt(3) / math.pi


def _mapped(function: object, x: np.ndarray) -> np.ndarray:
    return np.fromiter(map(function, x.tolist()), float, x.size)  # type: ignore[call-overload]


def log_ndtr(a: np.ndarray) -> np.ndarray:
    """Return the logarithm of the normal distribution function; ``a`` is flat."""
    if not a.size:
        return a
    x = a / _ROOT
    low, high = float(a.min()), float(a.max())
    if low > -20 and high <= 6 and a.size < _FEW:  # noqa: PLR2004 - neither end of the axis
        return np.array([_log_ndtr_near(value) for value in x.tolist()])
    out = np.empty_like(a)
    left = x < -_NEAR
    middle = ~left & (x < _NEAR)
    right = ~left & ~middle
    out[left] = 0.5 * _mapped(math.erfc, -x[left])
    out[middle] = 0.5 + 0.5 * _mapped(math.erf, x[middle])
    out[right] = 1.0 - 0.5 * _mapped(math.erfc, x[right])
    usual = (a > -20) & (a <= 6)  # noqa: PLR2004
    out[usual] = _mapped(math.log, out[usual])
    if not usual.all():
        far = a > 6  # noqa: PLR2004
        out[far] = -(0.5 * _mapped(math.erfc, x[far]))
        rest = ~(usual | far)
        out[rest] = _log_ndtr_of_far_left(a[rest])
    return out


def _log_ndtr_near(x: float) -> float:
    if x < -_NEAR:
        return math.log(0.5 * math.erfc(-x))
    return math.log(0.5 + 0.5 * math.erf(x) if x < _NEAR else 1.0 - 0.5 * math.erfc(x))


def _log_ndtr_of_far_left(a: np.ndarray) -> np.ndarray:
    """Sum Optuna's asymptotic series, each number until it stands still."""
    if not a.size:
        return a
    square = np.fromiter(map(math.pow, a.tolist(), repeat(2.0)), float, a.size)  # C's, as in Python's a**2
    head = -0.5 * square - _mapped(math.log, -a) - 0.5 * math.log(2 * math.pi)
    factor = 1 / square
    total, power, odd, sign = np.ones_like(a), np.ones_like(a), 1.0, 1
    going = np.ones(a.shape, dtype=bool)
    for i in count(1):
        sign = -sign
        power *= factor
        odd *= 2 * i - 1
        term = sign * odd * power
        following = total + term
        moves = np.abs(total - following) > sys.float_info.epsilon
        np.copyto(total, following, where=going)
        going &= moves
        if not going.any():
            return np.asarray(head + _mapped(math.log, total))
    raise AssertionError


def _log_mass_left(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    large, small = log_ndtr(b), log_ndtr(a)
    return np.asarray(large + np.log1p(-np.exp(small - large)))


def log_mass(a: np.ndarray, b: np.ndarray, *, as_few: bool = False) -> np.ndarray:
    """Return the logarithm of the normal mass between ``a`` and ``b``, of any shape.

    Args:
        a: Lower ends.
        b: Upper ends.
        as_few: Whether Optuna computes these numbers a few at a time.
    """
    left, right = b <= 0, a > 0
    central = ~(left | right)
    if central.all():
        return _log_mass_central(a.ravel(), b.ravel(), as_few=as_few).reshape(a.shape)
    out = np.empty(a.shape)
    out[left] = _log_mass_left(a[left], b[left])
    out[right] = _log_mass_left(-b[right], -a[right])
    out[central] = _log_mass_central(a[central], b[central], as_few=as_few)
    return out


def _log_mass_central(a: np.ndarray, b: np.ndarray, *, as_few: bool) -> np.ndarray:
    erf = partial(_mapped, math.erf) if as_few or a.size < _MANY else _erf_of_many
    return np.asarray(np.log1p(-(0.5 + 0.5 * erf(a / _ROOT)) - (0.5 + 0.5 * erf(-b / _ROOT))))


def _root(y: np.ndarray) -> np.ndarray:
    """Return ``x`` where ``log_ndtr(x) == y``, by Newton's method; all go on until the last is there."""
    flipped = y > -1e-2  # noqa: PLR2004
    z = y.copy()
    z[flipped] = np.log(-np.expm1(y[flipped]))
    x = np.empty_like(y)
    small = z < -5  # noqa: PLR2004
    x[small] = -np.sqrt(-2.0 * (z[small] + LOG_ROOT_2PI))
    moderate = ~small
    x[moderate] = -_LOGISTIC * np.log(np.expm1(-z[moderate]))
    for _ in range(100):
        log_mass_below = log_ndtr(x)
        log_density = -0.5 * x**2 - LOG_ROOT_2PI
        step = (log_mass_below - z) * np.exp(log_mass_below - log_density)
        x -= step
        if np.all(np.abs(step) < 1e-8 * np.abs(x)):
            break
    x[flipped] *= -1
    return x


def quantile(q: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the ``q``-quantiles of standard normals cut off at ``a`` and ``b``; one shape for all."""
    out = np.empty_like(q)
    mass = log_mass(a, b)
    left = a < 0
    if (found := q[left]).size:
        out[left] = _root(np.logaddexp(log_ndtr(a[left]), np.log(found) + mass[left]))
    if (found := q[right := ~left]).size:
        out[right] = -_root(np.logaddexp(log_ndtr(-b[right]), np.log1p(-found) + mass[right]))
    out[q == 0] = a[q == 0]
    out[q == 1] = b[q == 1]
    out[a == b] = math.nan
    return out
