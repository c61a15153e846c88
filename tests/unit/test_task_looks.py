"""How often the process is asked for its asyncio tasks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

_tasks = pytest.importorskip("spprof._tasks")


class PlayedEnd:
    """An event whose waits take no time but that of a clock of its own."""

    def __init__(self, clock: SimpleNamespace, end_s: float) -> None:
        self.clock, self.end_s = clock, end_s
        self.pauses: list[tuple[float, float]] = []

    def wait(self, pause: float) -> bool:
        self.pauses.append((self.clock.now_s, pause))
        self.clock.now_s += pause
        return bool(self.clock.now_s > self.end_s)


def test_a_program_without_asyncio_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now_s=0.0)
    clock.monotonic_ns = lambda: int(clock.now_s * 1e9)
    clock.thread_time_ns = lambda: 0
    monkeypatch.setattr(_tasks, "time", clock)
    monkeypatch.setattr(_tasks, "sys", SimpleNamespace(modules={}))
    monkeypatch.setattr(_tasks, "HelperThread", lambda work: None)
    ended = PlayedEnd(clock, 60)
    _tasks.TaskSampler(10_000_000, 1 << 20)._look_at_intervals(ended)
    # Found soon after it is imported: within a twentieth of the time so far, and a tenth of a second at the start...
    assert all(pause <= max(0.1, at / 20) + 1e-6 for at, pause in ended.pauses)
    # ... and half a second, which is two looks a second in the long run.
    assert max(pause for _, pause in ended.pauses) == 0.5
    assert 100 <= len([at for at, _ in ended.pauses if at >= 10]) <= 102
