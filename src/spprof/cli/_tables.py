"""Tables on the terminal: the call tree with its hot path, lines, callers and callees. Plain text; colours only stress.

Each ends with what it leaves out, so that it adds up to the time of the profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spprof.cli._terminal import cut_left, printable, short_location

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spprof._analysis.calltree import CallNode
    from spprof._analysis.tables import Calls, FileLines
    from spprof._profile import Profile
    from spprof.cli._terminal import Style

_DEEPEST = 24  # columns of indentation; deeper nodes say their depth


def unit_of(profile: Profile) -> str:
    """What the numbers are."""
    return {"cpu": "CPU", "gil": "with the GIL"}.get(profile.mode, "elapsed") + ", seconds"


def tree(profile: Profile, least: float, width: int, style: Style) -> Iterator[str]:
    """The tree of calls; *least*: the share below which a branch is only counted."""
    root = profile.tree()
    whole = root.total_ns
    hot = {id(node) for node in root.hot_path()}
    yield style.bold(f"call tree ({unit_of(profile)}; * is the hot path)")
    yield style.dim(f"{'total':>9}{'%':>7}{'self':>9}    function")
    waiting: list[tuple[int, CallNode | None, list[CallNode]]] = [(0, root, [])]
    while waiting:
        depth, node, small = waiting.pop()
        indent = " " * depth if depth <= _DEEPEST else " " * _DEEPEST + f"({depth}) "
        if node is None:
            total = sum(each.total_ns for each in small)
            samples = f"({len(small):,} smaller)"
            yield style.dim(f"{_seconds(total):>9}{_share(total, whole):7.1%}{'':9}    {indent}{samples}")
            continue
        share = _share(node.total_ns, whole)
        mark = "*" if id(node) in hot else " "
        room = width - 29 - len(indent)
        name = cut_left(printable(node.name), room)
        place = short_location(node.filename, node.firstlineno, room - len(name) - 2) if room - len(name) > 12 else ""
        numbers = f"{_seconds(node.total_ns):>9}{style.heat(share, f'{share:7.1%}')}{_seconds(node.self_ns):>9}"
        shown = style.bold(name) if mark == "*" else name
        yield (
            f"{numbers}  {mark} {indent}{shown}  {style.dim(place)}".rstrip()
            if place
            else f"{numbers}  {mark} {indent}{shown}"
        )
        large = [child for child in node.children if child.total_ns and child.total_ns >= least * whole]
        rest = [child for child in node.children if child.total_ns and child.total_ns < least * whole]
        if rest:
            waiting.append((depth + 1, None, rest))
        waiting.extend([(depth + 1, child, []) for child in reversed(large)])


def lines(profile: Profile, table: FileLines, rows: int, width: int, style: Style) -> Iterator[str]:
    """The hottest lines."""
    title = (
        f"lines by self time ({unit_of(profile)})"
        if table.filename is None
        else f"{printable(table.filename)} ({unit_of(profile)})"
    )
    yield style.bold(cut_left(title, width))
    yield style.dim(f"{'self':>9}{'%':>7}{'total':>9}{'%':>7}  line")
    whole = table.time_ns
    shown, hidden = list(table), []
    if len(shown) > rows:  # the hottest, in their order
        by_time = sorted(shown, key=lambda line: (-line.self_ns, -line.total_ns))
        hidden = by_time[rows:]
        left_out = set(hidden)
        shown = [line for line in shown if line not in left_out]
    for line in shown:
        own, total = _share(line.self_ns, whole), _share(line.total_ns, whole)
        room = width - 34
        name = printable(line.function_name)
        if line.filename:
            place = short_location(line.filename, line.lineno, max(room - len(name) - 2, room // 2))
            name = f"{place}  {style.bold(cut_left(name, room - len(place) - 2))}"
        else:
            name = style.bold(cut_left(name, room))
        yield f"{_seconds(line.self_ns):>9}{style.heat(own, f'{own:7.1%}')}{_seconds(line.total_ns):>9}{total:7.1%}  {name}"
    for ns, text in (
        (sum(line.self_ns for line in hidden), f"({len(hidden):,} more lines)"),
        (table.elsewhere_ns, "(other files)" if table.filename else "(no frames)"),
        (table.dropped_ns, "[dropped]"),
        (table.unsampled_ns, "[unsampled]"),
    ):
        if ns:
            yield style.dim(f"{_seconds(ns):>9}{_share(ns, whole):7.1%}{'':16}  {text}")


def calls(profile: Profile, table: Calls, width: int, style: Style) -> Iterator[str]:
    """Callers or callees of a function."""
    place = short_location(table.filename, table.firstlineno, 40)
    title = f"{table.direction} of {printable(table.function_name)} {place} ({unit_of(profile)}; % of the function's)"
    yield style.bold(cut_left(title, width))
    nobody = "(nobody: the root of its stack)" if table.direction == "callers" else "(itself)"
    for call in table:
        share = _share(call.total_ns, table.total_ns)
        name = cut_left(printable(call.function_name) or nobody, width - 18)
        room = width - 20 - len(name)
        where = short_location(call.filename, call.firstlineno, room) if room > 10 else ""
        yield f"{_seconds(call.total_ns):>9}{style.heat(share, f'{share:7.1%}')}  {style.bold(name)}  {where}".rstrip()
    yield style.dim(f"{_seconds(table.total_ns):>9}{_share(table.total_ns, table.time_ns):7.1%}  of all time")


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _seconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e9:.2f}"
