"""The truth: CPU time by the thread's own clock, taken by the program itself around what it does."""

from __future__ import annotations

import threading
from time import thread_time_ns
from typing import Any, Callable


class Ledger:
    """CPU time by label. One writer: a thread that has something to say takes a `branch` of its own."""

    def __init__(self) -> None:
        self.labels: dict[str, int] = {}
        self.threads: dict[str, int] = {}
        self._branches: list[Ledger] = []

    def branch(self) -> Ledger:
        """A ledger for another thread, which counts with this one."""
        ledger = Ledger()
        self._branches.append(ledger)
        return ledger

    def run(self, label: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls *function* and books its CPU time under *label*."""
        start = thread_time_ns()
        function(*arguments)
        self.add(label, thread_time_ns() - start)

    def add(self, label: str, ns: int) -> None:
        """Books *ns* under *label*."""
        self.labels[label] = self.labels.get(label, 0) + ns

    def thread_ends(self) -> None:
        """Last word of a thread that began within the session: all CPU time it has used."""
        self.threads[threading.current_thread().name] = thread_time_ns()

    def total_labels(self) -> dict[str, int]:
        """Labels of all branches."""
        total = dict(self.labels)
        for branch in self._branches:
            for label, ns in branch.total_labels().items():
                total[label] = total.get(label, 0) + ns
        return total

    def total_threads(self) -> dict[str, int]:
        """Threads of all branches."""
        total = dict(self.threads)
        for branch in self._branches:
            total.update(branch.total_threads())
        return total


def sized(function: Callable[[int], Any], ns: int) -> int:
    """The argument with which *function* takes about *ns* of CPU time. Only a plan: what it then takes is measured."""
    count = 64
    while True:
        tries = []
        for _ in range(3):
            start = thread_time_ns()
            function(count)
            tries.append(thread_time_ns() - start)
        best = min(tries)
        if best >= 200_000:
            return max(1, round(count * ns / best))
        count *= 4
