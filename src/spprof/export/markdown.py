"""A summary in Markdown, for an issue, a chat, or a program that reads text: functions, threads, the hot path, losses."""

from __future__ import annotations

from .._analysis.calltree import flame_tree
from .._base import MEASURES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .._analysis.calltree import Box
    from .._base import BaseProfile

_FUNCTIONS = 20
_THREADS = 20
_TREE_ROWS = 30
_TREE_SHARE = 0.03


def render(profile: BaseProfile) -> Iterator[str]:
    """The text, in pieces."""
    whole = sum([thread.time_ns for thread in profile.threads])
    samples = sum([thread.samples for thread in profile.threads])
    yield f"# Profile of {_code(profile.program or 'python')}\n\n"
    yield (
        f"{MEASURES[profile.mode]}, every {profile.interval_ms:g} ms: {_s(whole)} s in all threads, {samples:,} samples, "
        f"{_s(profile._facts.duration_ns)} s elapsed, {_s(profile.cpu_time_ns)} s of CPU."
    )
    if profile.python_version:  # a file of another format may not say it
        yield (
            f" Python {_escaped(profile.python_version)}, {_escaped(profile.platform)}, "
            f"{profile.start_time:%Y-%m-%d %H:%M:%S} UTC."
        )
    yield "\n\n"
    amounts = {
        "dropped": sum([thread.dropped_ns for thread in profile.threads]),
        "unsampled": sum([thread.unsampled_ns for thread in profile.threads]),
    }
    lost = [f"{_s(amount)} s {kind}" for kind, amount in amounts.items() if amount]
    yield f"Lost: {', '.join(lost) or 'nothing'}.\n\n## Functions by self time\n\n"
    yield from _table(
        ("self s", "self %", "total s", "total %", "function", "defined at", "hottest line"),
        [
            (
                _s(f.self_ns), _percent(f.self_ns, whole), _s(f.total_ns), _percent(f.total_ns, whole),
                _code(f.function_name), _code(f"{f.filename}:{f.firstlineno}") if f.filename else "", str(f.hottest_line or ""),
            )
            for f in profile.functions()[:_FUNCTIONS]
        ],
        "rrrrllr",
    )  # fmt: skip
    yield "\n## Hot paths\n\n"
    yield from _hot_paths(profile, whole)
    yield "\n## Threads\n\n"
    threads = sorted(zip(profile._thread_labels(), profile.threads), key=lambda each: -each[1].time_ns)
    yield from _table(
        ("s", "%", "CPU s", "samples", "thread"),
        [
            (_s(t.time_ns), _percent(t.time_ns, whole), _s(t.cpu_ns), f"{t.samples:,}", _code(label))
            for label, t in threads[:_THREADS]
        ],
        "rrrrl",
    )
    if threads[_THREADS:]:
        yield f"\nand {len(threads) - _THREADS:,} more threads.\n"


def _hot_paths(profile: BaseProfile, whole: int) -> Iterator[str]:
    """Threads and below them calls, all that have at least a few per cent, heaviest first."""
    waiting = [(0, box) for box in _heavy(flame_tree(profile), whole)]
    shown = 0
    while waiting and shown < _TREE_ROWS:
        depth, box = waiting.pop()
        yield f"{'  ' * min(depth, 20)}- {_percent(box.weight, whole)} {_code(box.name)}\n"
        shown += 1
        waiting.extend([(depth + 1, child) for child in _heavy(box, whole)])
    if waiting:
        yield f"\nand {len(waiting)} more branches.\n"
    if not shown:
        yield "none\n"


def _heavy(box: Box, whole: int) -> list[Box]:
    """Its heavy children, the heaviest last."""
    heavy = [child for child in box.sorted_children() if child.weight and child.weight >= _TREE_SHARE * whole]
    return sorted(heavy, key=lambda child: child.weight)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |\n"
    yield "|" + "|".join([" --- " if each == "l" else " ---: " for each in align]) + "|\n"
    for row in rows:
        yield "| " + " | ".join(row) + " |\n"


def _s(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.3f}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _printable(text: str) -> str:
    return "".join([each if each.isprintable() else each.encode("unicode_escape").decode() for each in text])


def _code(text: str) -> str:
    """As code, in a table too: neither a bar nor a tick of the text's own ends it."""
    clean = _printable(text).replace("|", "\\|")
    ticks = "``" if "`" in clean else "`"
    pad = " " if "`" in clean else ""
    return f"{ticks}{pad}{clean}{pad}{ticks}"


def _escaped(text: str) -> str:
    return "".join(["\\" + each if each in "\\`*_{}[]<>|#" else each for each in _printable(text)])
