"""How far a share that was sampled may lie from the true one.

A share *p* seen through *n* independent samples has a standard error of sqrt(p (1 - p) / n). The bounds of these tests
are four of those (a false alarm in 16,000) and the weight of one sample, the least that so many samples can resolve.
Nothing here is fitted to what spprof happens to reach.

Samples with unequal weights tell less than as many equal ones: the effective number is (sum w)^2 / (sum w^2), which
is n for equal weights (Kish, Survey Sampling, 1965).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SIGMAS = 4.0


def effective_number(weights: Iterable[float]) -> float:
    """The number of equal samples that would tell as much."""
    total = squares = 0.0
    for weight in weights:
        total += weight
        squares += weight * weight
    return total * total / squares if squares else 0.0


def share_bound(share: float, number: float) -> float:
    """The largest believable distance from the true *share*, given the effective *number* of samples."""
    if number <= 0:
        return 1.0
    return SIGMAS * math.sqrt(share * (1 - share) / number) + 1 / number


def shares(amounts: Mapping[str, float]) -> dict[str, float]:
    """Each amount's part of the whole."""
    whole = sum(amounts.values())
    return {name: amount / whole for name, amount in amounts.items()}


def relative_error(found: float, true: float) -> float:
    """|found - true| as a part of the truth."""
    return abs(found - true) / true if true else (0.0 if not found else math.inf)
