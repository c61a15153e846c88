"""The text that `spprof run` ends with: hot functions, threads, totals, loss, and what spprof did.

Plain ASCII, so that it can be read on any terminal and in any log; colours only stress.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spprof.cli._terminal import Style, cut_left, printable, short_location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spprof._functions import FunctionSummary
    from spprof._model import ThreadInfo
    from spprof._profile import Profile
    from spprof._task_summary import TaskSummary

_BY_SELF_ROWS = 10
_BY_TOTAL_ROWS = 6
_THREAD_ROWS = 6
_TASK_ROWS = 8
_WAIT_WIDTH = 20  # what a task waits for is not worth showing in less
_LABEL = 9  # columns of the names in front of the last block's lines


class Costs:
    """CPU time of the process around the profile, in seconds."""

    def __init__(self, before_start: float, at_stop: float) -> None:
        self.before_start = before_start
        self.at_stop = at_stop


def render(profile: Profile, program: str, costs: Costs | None, width: int, style: Style) -> Iterator[str]:
    """The lines of the summary, none wider than *width* columns. *costs*: None if they are not known any more."""
    unit = {"cpu": "CPU", "gil": "with the GIL"}.get(profile.mode, "elapsed")
    whole = sum(thread.time_ns for thread in profile.threads)
    yield style.bold(
        cut_left(
            f"spprof: {printable(program)}: {_seconds(profile.cpu_time_ns)} s of CPU "
            f"in {_seconds(profile.total_duration_ms * 1e6)} s, {_count(profile.sample_count, 'sample')}, "
            f"{_count(len(profile.threads), 'thread')}",
            width,
        )
    )
    functions = profile.functions()
    if functions:
        by_total = sorted(functions, key=lambda f: (-f.total_ns, -f.self_ns, f.function_name, f.filename))
        by_self = [function for function in functions if function.self_ns]
        yield ""
        yield from _function_table(f"by self time ({unit}, seconds)", by_self[:_BY_SELF_ROWS], whole, width, style)
        yield ""
        yield from _function_table("by total time (with callees)", by_total[:_BY_TOTAL_ROWS], whole, width, style)
    if len(profile.threads) > 1:
        yield ""
        yield from _thread_table(profile, whole, unit, width, style)
    tasks = profile.tasks()
    if tasks:
        yield ""
        yield from _task_table(tasks, width, style)
    yield ""
    for label, text in _facts(profile, whole, costs):
        yield from _wrapped(label, text, width, style)


def _function_table(
    title: str, functions: list[FunctionSummary], whole: int, width: int, style: Style
) -> Iterator[str]:
    numbers = f"{'self':>9}{'%':>7}{'total':>9}{'%':>7}"
    hot = [str(f.hottest_line or "") for f in functions]
    hot_width = max(map(len, ["hot", *hot]))
    room = width - len(numbers) - hot_width - 3 * len("  ")
    names = [printable(f.function_name) for f in functions]
    # A function gets what its place leaves, if that needs less than half.
    place_need = max(len(short_location(f.filename, f.firstlineno, 0)) for f in functions)
    name_width = min(max(map(len, ["function", *names])), room - min(max(place_need, 10), room // 2))
    place_width = room - name_width
    yield style.bold(cut_left(title, width))
    yield style.dim(f"{numbers}  {'function':{name_width}}  {'defined at':{place_width}}  {'hot':>{hot_width}}")
    for function, name, line in zip(functions, names, hot):
        place = short_location(function.filename, function.firstlineno, place_width)
        own, total = _share(function.self_ns, whole), _share(function.total_ns, whole)
        yield (
            f"{_seconds(function.self_ns):>9}{style.heat(own, f'{own:7.1%}')}"
            f"{_seconds(function.total_ns):>9}{total:7.1%}"
            f"  {style.bold(f'{cut_left(name, name_width):{name_width}}')}"
            f"  {place:{place_width}}  {line:>{hot_width}}"
        ).rstrip()


def _thread_table(profile: Profile, whole: int, unit: str, width: int, style: Style) -> Iterator[str]:
    threads = sorted(profile.threads, key=lambda thread: (-thread.time_ns, thread.thread_id))
    yield style.bold(f"threads ({unit}, seconds)")
    for thread in threads[:_THREAD_ROWS]:
        share = _share(thread.time_ns, whole)
        tail = f"  {_states(thread)}" if profile.mode == "wall" else f"  {_count(thread.samples, 'sample')}"
        name = cut_left(printable(thread.name) or "(unnamed)", width - 20 - len(tail))
        yield f"{_seconds(thread.time_ns):>9}{share:7.1%}  {style.bold(name)}{tail}"
    rest = threads[_THREAD_ROWS:]
    if rest:
        rest_ns = sum(thread.time_ns for thread in rest)
        yield f"{_seconds(rest_ns):>9}{_share(rest_ns, whole):7.1%}  {_count(len(rest), 'more thread')}"


def _task_table(tasks: list[TaskSummary], width: int, style: Style) -> Iterator[str]:
    """What tasks wait for; and how long they kept their loop from the others, running or blocked."""
    yield style.bold("asyncio tasks (elapsed, seconds)")
    head = f"{'waiting':>9}{'ready':>8}{'running':>9}{'blocking':>10}{'tasks':>7}"
    shown = tasks[:_TASK_ROWS]
    names = [printable(task.function_name) for task in shown]
    room = width - len(head) - len("  ")
    wait_width = _WAIT_WIDTH if room >= 12 + len("  ") + _WAIT_WIDTH else 0
    name_width = min(max(map(len, ["function", *names])), room - wait_width - len("  "))
    wait_width = wait_width and room - name_width - len("  ")
    title = "waits most" if wait_width else ""
    yield style.dim(f"{head}  {'function':{name_width}}  {title}".rstrip())
    for task, name in zip(shown, names):
        numbers = (
            f"{_seconds(task.waiting_ns):>9}{_seconds(task.ready_ns):>8}{_seconds(task.running_ns):>9}"
            f"{_seconds(task.blocking_ns):>10}{len(task.names):>7}"
        )
        most = _longest_wait(task, wait_width) if wait_width else ""
        yield f"{numbers}  {style.bold(f'{cut_left(name, name_width):{name_width}}')}  {most}".rstrip()
    rest = tasks[_TASK_ROWS:]
    if rest:
        yield f"{_seconds(sum(task.waiting_ns for task in rest)):>9}  {_count(len(rest), 'more function')}"


def _longest_wait(task: TaskSummary, width: int) -> str:
    if not task.waits:
        return ""
    what = f"{printable(task.waits[0].waiting_for) or 'something'} at "
    frame = task.waits[0].frame
    return what + short_location(frame.filename, frame.lineno, width - len(what))


def _facts(profile: Profile, whole: int, costs: Costs | None) -> Iterator[tuple[str, str]]:
    stats = profile.stats
    own_ns = stats.drain_cpu_ns + stats.sampler_cpu_ns
    if profile.mode == "cpu" and costs is None:
        yield "total", f"{profile.cpu_time_ns / 1e9:.2f} s of CPU"
    elif profile.mode == "cpu":
        assert costs is not None
        yield (
            "total",
            f"{profile.cpu_time_ns / 1e9:.2f} s of the process' {costs.at_stop:.2f} s of CPU; the rest: "
            f"{costs.before_start:.2f} s before the start, {own_ns / 1e9:.2f} s in spprof's threads",
        )
    else:
        yield "total", f"{whole / 1e9:.2f} s of {stats.mode} time, {profile.cpu_time_ns / 1e9:.2f} s of CPU"
    if profile.mode == "wall" and stats.outside_reader:
        yield "waiting", _waiting(profile, whole)
    yield "loss", _loss(profile, whole)
    if not stats.tick_source:
        yield (
            "source",
            (
                "a file of another format, without what spprof knows of its own sampling; if its numbers are something else, "
                "--mode, --unit and --interval-ms say so"
            ),
        )
        return
    yield "tick", f"{stats.tick_source}, {profile.interval_ms:g} ms: {stats.tick_reason}"
    yield (
        "own cost",
        f"{(stats.handler_ns + own_ns) / 1e9:.3f} s of CPU ({_share(stats.handler_ns + own_ns, whole):.1%}): "
        f"{stats.handler_ns / 1e6:.1f} ms in {_count(stats.handler_calls, 'signal')}, {own_ns / 1e6:.1f} ms in its "
        f"threads; {stats.memory_bytes / 2**20:.1f} MiB",
    )
    if stats.handler_replaced:
        yield "warning", "the program put its own handler over the profiler's signal: sampling ended there"
    if profile.sample_count < 100:
        yield "warning", _few_samples(profile)


def _states(thread: ThreadInfo) -> str:
    return (
        f"{_seconds(thread.running_ns)} running, {_seconds(thread.gil_wait_ns)} for the GIL, "
        f"{_seconds(thread.sleeping_ns)} asleep"
    )


def _waiting(profile: Profile, whole: int) -> str:
    sleeping = sum(thread.sleeping_ns for thread in profile.threads)
    gil = sum(thread.gil_wait_ns for thread in profile.threads)
    return (
        f"{sleeping / 1e9:.2f} s asleep ({_share(sleeping, whole):.1%}), {gil / 1e9:.2f} s for the GIL "
        f"({_share(gil, whole):.1%}); somebody waited for the GIL {profile.gil_contention or 0:.1%} of the time"
    )


def _loss(profile: Profile, whole: int) -> str:
    dropped_ns = sum(thread.dropped_ns for thread in profile.threads)
    unsampled_ns = sum(thread.unsampled_ns for thread in profile.threads)
    parts = []
    if profile.dropped_count or dropped_ns:
        parts.append(
            f"{_count(profile.dropped_count, 'sample')} dropped ({_share(dropped_ns, whole):.1%}): "
            "a longer --interval-ms or a higher --memory-limit-mb keeps more"
        )
    if unsampled_ns:
        parts.append(f"{unsampled_ns / 1e9:.2f} s without a sample ({_share(unsampled_ns, whole):.1%})")
    if profile.stats.validation_drops:
        parts.append(f"{_count(profile.stats.validation_drops, 'stack')} refused by a check")
    return "; ".join(parts) or "none"


def _few_samples(profile: Profile) -> str:
    few = f"{_count(profile.sample_count, 'sample')} say little; "
    if profile.interval_ms > 1:
        return few + "a longer run or a shorter --interval-ms gives more"
    return few + "a longer run gives more"


def _wrapped(label: str, text: str, width: int, style: Style) -> Iterable[str]:
    import textwrap

    lines = textwrap.wrap(printable(text), width - _LABEL, break_on_hyphens=False)
    for index, line in enumerate(lines or [""]):
        yield style.dim(f"{label:{_LABEL}}" if index == 0 else " " * _LABEL) + line


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _seconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e9:.2f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
