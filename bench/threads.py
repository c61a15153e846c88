"""Child: start and stop beside a thousand sleeping threads.

threads.py COUNT ROUNDS
"""

from __future__ import annotations

import json
import sys
import threading
from time import perf_counter_ns

import spprof


def main() -> None:
    count, rounds = int(sys.argv[1]), int(sys.argv[2])
    gate = threading.Event()
    threading.stack_size(256 * 1024)
    threads = [threading.Thread(target=gate.wait) for _ in range(count)]
    for thread in threads:
        thread.start()
    starts, stops = [], []
    sources: dict[str, int] = {}
    spprof.start()
    spprof.stop()
    for _ in range(rounds):
        begin = perf_counter_ns()
        spprof.start()
        middle = perf_counter_ns()
        stats = spprof.stats()
        assert stats is not None
        sources = stats.threads_by_source
        late = perf_counter_ns()
        spprof.stop()
        stops.append((perf_counter_ns() - late) / 1e6)
        starts.append((middle - begin) / 1e6)
    gate.set()
    for thread in threads:
        thread.join()
    json.dump({"start_ms": starts, "stop_ms": stops, "sources": sources}, sys.stdout)


if __name__ == "__main__":
    main()
