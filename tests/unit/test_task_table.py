"""The summary's table of asyncio's tasks: what it shows, and that it fits."""

from __future__ import annotations

import pytest

from spprof import Frame, TaskSummary, TaskWait
from spprof.cli._summary import _task_table
from spprof.cli._terminal import Style

MS = 1_000_000


def summary(name: str, waiting_ms: int = 0, *, tasks: int = 1, waits: tuple[TaskWait, ...] = ()) -> TaskSummary:
    names = tuple(f"Task-{n}" for n in range(tasks))
    return TaskSummary(name, "/app/web.py", 3, names, waiting_ms * MS, 20 * MS, 30 * MS, 40 * MS, waits)


def wait(what: str, ms: int, line: int = 17) -> TaskWait:
    return TaskWait(what, Frame("inner", "/app/db.py", line), ms * MS)


def table(tasks: list[TaskSummary], width: int = 100) -> list[str]:
    return list(_task_table(tasks, width, Style(colours=False)))


def test_columns() -> None:
    title, head, row = table([summary("handle", 1500, tasks=120, waits=(wait("lock", 1000), wait("I/O", 500)))])
    assert title == "asyncio tasks (elapsed, seconds)"
    assert head.split() == ["waiting", "ready", "running", "blocking", "tasks", "function", "waits", "most"]
    assert row.split() == ["1.50", "0.02", "0.03", "0.04", "120", "handle", "lock", "at", "/app/db.py:17"]
    for name in ("waiting", "ready", "running", "blocking", "tasks"):  # numbers end under their names
        end = head.index(name) + len(name)
        assert row[end - 1].isdigit() and row[end] == " "


def test_a_wait_for_nothing_known_and_none_at_all() -> None:
    _, _, unknown, none = table([summary("f", 10, waits=(wait("", 10),)), summary("g")])
    assert unknown.endswith("something at /app/db.py:17")
    assert none.endswith(" g")


def test_long_lists_are_cut_and_what_is_cut_is_told() -> None:
    lines = table([summary(f"f{n}", 1000 - n) for n in range(12)])
    assert len(lines) == 2 + 8 + 1
    assert lines[-1].split() == ["3.96", "4", "more", "functions"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits_and_cannot_drive_the_terminal(width: int) -> None:
    far = TaskWait("I/O", Frame("inner", "/a/" + "long/" * 40 + "file.py", 123456), 5 * MS)
    lines = table([summary("Some.very." * 12 + "function", 99_999_000, tasks=99_999, waits=(far,)),
                   summary("evil\x1b[31m\n", 1, waits=(wait("lock\x1b", 1),))], width)  # fmt: skip
    assert max(map(len, lines)) <= width
    assert ("waits most" in lines[1]) == (".py:123456" in lines[2]) == (width >= 80)
    assert "\x1b" not in "".join(lines) and "\n" not in "".join(lines)
