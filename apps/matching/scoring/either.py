"""Arithmetic on numbers and on numpy arrays alike, so that a formula is written once. Pure.

A formula uses `+ - * /`, comparisons, `&`, `|` and these functions. NaN stands for what is not known, in numbers and in
arrays. numpy is imported only where an array is given: web processes score nothing by arrays and do without it.
"""

import math
from typing import Any

# A number, a truth, or an array of them: `float | npt.NDArray`, which mypy cannot follow through arithmetic.
Either = Any

_NUMBERS = (int, float)  # bool is an int, and numpy's float64 a float


def least(a: Either, b: Either) -> Either:
    """The smaller one, element by element. NaN if one of them is not known, as `numpy.minimum` has it."""
    if isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS):
        return math.nan if a != a or b != b else min(a, b)  # noqa: PLR0124  only NaN differs from itself
    import numpy as np

    return np.minimum(a, b)


def greatest(a: Either, b: Either) -> Either:
    """The larger one, element by element. NaN if one of them is not known, as `numpy.maximum` has it."""
    if isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS):
        return math.nan if a != a or b != b else max(a, b)  # noqa: PLR0124  only NaN differs from itself
    import numpy as np

    return np.maximum(a, b)


def from_0_to_1(x: Either) -> Either:
    return least(greatest(x, 0), 1)


def where(condition: Either, a: Either, b: Either) -> Either:
    """`a` where the condition holds, else `b`. Both are computed first, so neither may fail where it does not count."""
    if isinstance(condition, _NUMBERS):
        return a if condition else b
    import numpy as np

    return np.where(condition, a, b)


def is_known(x: Either) -> Either:
    return x == x  # noqa: PLR0124  only NaN differs from itself


def known_or(x: Either, default: float) -> Either:
    """The value where it is known, else the default."""
    return where(is_known(x), x, default)


def rounded_down(x: Either) -> Either:
    """The largest whole number that is not above."""
    if isinstance(x, _NUMBERS):
        return math.floor(x)
    import numpy as np

    return np.floor(x).astype(np.int64)


def rounded(x: Either) -> Either:
    """To six decimals, so that a score is the same on every machine; the same digits for numbers as for arrays."""
    if isinstance(x, _NUMBERS):
        return round(float(x), 6)
    import numpy as np

    millionths = x * 1e6
    whole = np.rint(millionths)
    done = whole / 1e6
    # Sums of rounded scores often end in half a millionth. Python rounds those by the exact binary value, numpy by its
    # product with a million, which is rounded itself: so they are rounded one by one.
    for index in np.flatnonzero(abs(abs(millionths - whole) - 0.5) < 1e-6).tolist():
        done.flat[index] = round(x.item(index), 6)
    return done
