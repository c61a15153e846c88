"""How sure a difference of two shares is. Samples are the unit of evidence: what few samples have seen may be chance.

A share is a ratio of sums of weights, R = sum(w x) / sum(w), x being 1 for the samples that are in it. Its variance is taken by
linearization, sum(w**2 (x - R)**2) / sum(w)**2 (W. G. Cochran, Sampling Techniques, 3rd ed., 1977, chapter 6), and said as the
number of equal samples that would be as sure, R (1 - R) / variance (effective sample size, L. Kish, Survey Sampling, 1965).

A single share has the interval of the binomial likelihood ratio (L. D. Brown, T. T. Cai, A. DasGupta, Interval estimation for a
binomial proportion, Statistical Science 16, 2001), taken half a sample further out, as a correction for continuity. Unlike
intervals by the normal distribution (Wald, Wilson) it is still right far out, where it is needed (next paragraph). Two of
them give the interval of the difference by R. G. Newcombe's method of square-and-add (Interval estimation for the difference
between independent proportions, Statistics in Medicine 17, 1998; for other intervals than Wilson's: G. Y. Zou, A. Donner,
Construction of confidence limits about effect measures: a general approach, Statistics in Medicine 27, 2008).

Many functions are compared at once. Intervals are therefore made wider, so that with the stated confidence all of them
together are right (C. E. Bonferroni): of two profiles of the same program nothing at all is reported, 19 times out of 20. What
has fewer samples than could ever count is not counted (R. E. Tarone, A modified Bonferroni method for discrete data, Biometrics
46, 1990). tests/unit/test_analysis_diff.py holds all of this by simulation.
"""

from __future__ import annotations

import math
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Tally(NamedTuple):
        count: int  # type: ignore[assignment]
        weight: int
        squares: int

    class _ShareChangeFields(NamedTuple):
        before_ns: int
        after_ns: int
        before_samples: int
        after_samples: int
        before: float
        after: float
        low: float
        high: float
        is_significant: bool

else:
    #: Samples: their number, the sum of their weights and of the weights' squares.
    Tally = namedtuple("Tally", "count weight squares")
    _ShareChangeFields = namedtuple(
        "_ShareChangeFields", "before_ns after_ns before_samples after_samples before after low high is_significant"
    )

#: With fewer samples in both profiles together a difference is never significant: not even all of them on one side would be.
MIN_SAMPLES = 6


class ShareChange(_ShareChangeFields):
    """A share of the time in two profiles.

    before_ns, after_ns: nanoseconds. before_samples, after_samples: number of samples.
    before, after: shares (0.0 to 1.0) of the time that samples show; what was lost is in neither.
    low, high: confidence interval of `change`. All intervals of a `ProfileDiff` hold at once, with its confidence.
    is_significant: whether the interval is on one side of 0, and there are enough samples.
    """

    __slots__ = ()

    @property
    def change(self) -> float:
        """``after - before``: 0.05 is five percentage points more."""
        return self.after - self.before


def quantile(confidence: float, tests: int) -> float:
    """The z of two-sided intervals of which *tests* hold at once."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - (1 - confidence) / (2 * max(tests, 1)))


def share_change(before: Tally, all_before: Tally, after: Tally, all_after: Tally, z: float) -> ShareChange:
    """The change of a share from *before* of *all_before* to *after* of *all_after*."""
    p1, low1, high1 = _share(before, all_before, z)
    p2, low2, high2 = _share(after, all_after, z)
    change = p2 - p1
    low = max(change - math.hypot(p2 - low2, high1 - p1), -1.0)
    high = min(change + math.hypot(high2 - p2, p1 - low1), 1.0)
    is_significant = (low > 0 or high < 0) and before.count + after.count >= MIN_SAMPLES
    return ShareChange(before.weight, after.weight, before.count, after.count, p1, p2, low, high, is_significant)


def _share(part: Tally, whole: Tally, z: float) -> tuple[float, float, float]:
    """A share and its interval."""
    if whole.weight <= 0:
        return 0.0, 0.0, 1.0
    p = part.weight / whole.weight
    n = _effective_number(part, whole, p)
    return p, _limit(n * p - 0.5, n, z, p, 0.0), _limit(n * p + 0.5, n, z, p, 1.0)


def _limit(x: float, n: float, z: float, p: float, end: float) -> float:
    """The share towards *end* at which *x* of *n* samples would be *z* standard deviations away."""
    if not 0 < x < n:
        return end
    # A share may be nearer to its own end than half a sample; what is searched lies between that and the end.
    near, far = x / n, end
    limit = z * z / 2
    for _ in range(30):
        middle = (near + far) / 2
        distance = x * math.log(x / (n * middle)) + (n - x) * math.log((n - x) / (n - n * middle))
        if distance < limit:
            near = middle
        else:
            far = middle
    return min(near, p) if end == 0 else max(near, p)


def _effective_number(part: Tally, whole: Tally, p: float) -> float:
    if not 0 < p < 1 or not 0 < part.count < whole.count:
        return min(whole.weight**2 / whole.squares, whole.count)
    spread = part.squares * (1 - p) ** 2 + (whole.squares - part.squares) * p**2
    n = p * (1 - p) * whole.weight**2 / spread
    # One sample that weighs a lot (a long sleep) is one sample nevertheless.
    return min(n, part.count / p, (whole.count - part.count) / (1 - p))
