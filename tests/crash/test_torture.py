"""torture.py in a child: everything at once, and every stack checked."""

from __future__ import annotations

from pathlib import Path

import children
import pytest

pytestmark = pytest.mark.needs_native

SCRIPT = Path(__file__).with_name("torture.py")


def torture(seconds: float, interval_ms: float, source: str | None = None, mode: str = "cpu") -> None:
    result = children.python(
        SCRIPT, str(seconds), str(interval_ms), "0.4", mode, env={"SPPROF_TICK": source}, timeout=seconds * 3 + 60
    )
    assert result.returncode == 0, f"{result.returncode}\n{result.stdout}\n{result.stderr}"
    assert result.stdout.startswith("sessions "), result.stdout


def test_for_a_moment() -> None:
    # Hazards 1, 2, 3, 4, 5, 12, 13, 15, 20, 26
    torture(3, 1)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("interval_ms", [10, 1, 0.1])
def test_for_20_seconds(interval_ms: float) -> None:
    torture(20, interval_ms)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("source", ["perf", "thread", "timer"])
def test_each_source_for_20_seconds(source: str) -> None:
    torture(20, 1, source)


def test_wall_for_a_moment() -> None:
    # Threads that die while they are read, memory that goes, stacks that are rewritten
    torture(3, 1, mode="wall")


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("interval_ms", [10, 1, 0.1])
def test_wall_for_20_seconds(interval_ms: float) -> None:
    torture(20, interval_ms, mode="wall")
