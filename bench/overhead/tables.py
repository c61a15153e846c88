"""The laboratory's tables, in Markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Ratios of each pair, under a profiler by alone, and what is added.
RATIOS = ("inside_wall", "inside_cpu", "wall", "cpu")
HEAD = ["profiler", "rate", *(f"{what}, {part}" for part in ("work", "all") for what in ("elapsed", "CPU"))]
HEAD += ["memory, MB", "result, KB", "pairs"]


def good(pairs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pairs that did not fail."""
    return [pair for pair in pairs if "error" not in pair]


def ratios(pairs: Sequence[dict[str, Any]], key: str) -> list[float]:
    """Pair by pair."""
    return [pair["under"][key] / pair["alone"][key] for pair in good(pairs)]


def fastest(pairs: Sequence[dict[str, Any]], key: str) -> float | None:
    """The quotient of the fastest quarters, which others disturb least; None without pairs."""
    sides = [sorted(pair[who][key] for pair in good(pairs)) for who in ("under", "alone")]
    if not sides[0]:
        return None
    under, alone = (float(statistics.mean(side[: max(1, len(side) // 4)])) for side in sides)
    return under / alone


def spread(values: Sequence[float], form: str = "{:.3f}") -> str:
    """Median and quartiles."""
    if not values:
        return "failed"
    middle = form.format(statistics.median(values))
    if len(values) < 2:
        return middle
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle} ({form.format(low)} to {form.format(high)})"


def cell(pairs: Sequence[dict[str, Any]], key: str) -> str:
    """Median and quartiles of the ratios of pairs, and f, that of the fastest."""
    quotient = fastest(pairs, key)
    return spread(ratios(pairs, key), "{:.2f}") + ("" if quotient is None else f", f {quotient:.2f}")


def row(name: str, rate: str, pairs: Sequence[dict[str, Any]], memory: dict[str, Any] | None) -> list[str]:
    """One profiler at one rate."""
    more = f"+{(memory['under'] - memory['alone']) / 1e6:.0f}" if memory and "error" not in memory else ""
    sizes = [pair["under"]["written"] / 1000 for pair in good(pairs)]
    written = f"{statistics.median(sizes):,.0f}" if sizes else ""
    return [name, rate, *(cell(pairs, key) for key in RATIOS), more, written, str(len(good(pairs)))]


def brief(pairs: Sequence[dict[str, Any]], key: str) -> str:
    """Median and range of one ratio, for tables with many cells."""
    values = ratios(pairs, key)
    if not values:
        return "failed" if pairs else ""
    middle = statistics.median(values)
    return f"{middle:.2f} ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else f"{middle:.2f}"
