"""Collapsed stacks, letter by letter."""

from __future__ import annotations

import pytest
from profiles import EXAMPLE, example, make_profile

EXPECTED = """\
MainThread;[dropped] 3000000
MainThread;[unsampled] 2000000
MainThread;main (/src/m.py:10);load (/src/l.py:3);parse (/src/p.py:7) 21000000
MainThread;main (/src/m.py:10);load (/src/l.py:3);parse (/src/p.py:8) 5000000
MainThread;main (/src/m.py:11);load (/src/l.py:3) 4000000
MainThread;main (/src/m.py:12) 1000000
worker;run (/src/r.py:2);fib (/src/f.py:5);fib (/src/f.py:4) 6000000
worker;run (/src/r.py:2);fib (/src/f.py:5);fib (/src/f.py:5);fib (/src/f.py:4) 9000000
"""


@pytest.mark.parametrize("merge_nodes", [True, False])
@pytest.mark.parametrize("aggregate", [True, False])
def test_text(aggregate: bool, merge_nodes: bool) -> None:
    profile = example(merge_nodes=merge_nodes)
    assert (profile.aggregate() if aggregate else profile).to_collapsed() == EXPECTED


def test_total_is_the_cpu_time() -> None:
    profile = example()
    weights = [int(line.rpartition(" ")[2]) for line in profile.to_collapsed().splitlines()]
    assert sum(weights) == profile.cpu_time_ns


def test_separators_in_names_can_not_make_lines_or_frames() -> None:
    name = "a;b\nc\rd\te\x85f\u2028g\x00 7"
    text = make_profile([(0, (name,), 5)], threads=("t;1\n",)).to_collapsed()
    assert text == "t\\x3b1\\n;a\\x3bb\\nc\\rd\\te\\x85f\\u2028g\\x00 7 (/src/a.py:1) 5\n"
    assert len(text.splitlines()) == 1


def test_columns_and_different_nodes_merge_into_one_line() -> None:
    profile = make_profile([(0, ("f:1:4",), 1), (0, ("f:1:8",), 2)])
    assert profile.to_collapsed() == "MainThread;f (/src/f.py:1) 3\n"


def test_a_thread_without_frames() -> None:
    assert make_profile([(0, (), 5), (0, ("[native]",), 2)]).to_collapsed() == "MainThread 5\nMainThread;[native] 2\n"


def test_order_of_first_sight_does_not_matter() -> None:
    options = {"threads": ("MainThread", "worker")}
    assert make_profile(EXAMPLE, **options).to_collapsed() == make_profile(EXAMPLE[::-1], **options).to_collapsed()
