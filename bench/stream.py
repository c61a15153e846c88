"""What a file that grows beside the program costs: CPU time of one program under spprof with and without it, in turns.

stream.py [SECONDS [ROUNDS [INTERVAL_MS [THREADS]]]]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time

import spprof


def work(count: int) -> int:
    """Calls and arithmetic."""
    total = 0
    for i in range(count):
        total += step(i)
    return total


def step(i: int) -> int:
    return i * 3 & 255


def run(path: str | None, seconds: float, interval_ms: float, threads: int) -> tuple[float, int, int]:
    """CPU time of all of the process for each million of steps in ns, bytes of the file, samples."""
    done = [0] * threads
    spprof.start(interval_ms, output_path=path)
    before, end = time.process_time_ns(), time.monotonic() + seconds

    def loop(which: int) -> None:
        while time.monotonic() < end:
            work(20_000)
            done[which] += 20_000

    workers = [threading.Thread(target=loop, args=(which,)) for which in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    used = time.process_time_ns() - before
    grown = os.path.getsize(path) if path is not None and os.path.exists(path) else 0
    profile = spprof.stop()
    if path is not None:
        os.unlink(path)
    return used / sum(done) * 1e6, grown, profile.sample_count


def main() -> None:
    """Prints each pair, then the median."""
    seconds, rounds, interval_ms, threads = [
        float(value) for value in (*sys.argv[1:], *["6", "5", "1", "2"][len(sys.argv) - 1 :])
    ]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(int(rounds)):
            without, _, _ = run(None, seconds, interval_ms, int(threads))
            with_it, grown, samples = run(os.path.join(folder, "p.spprof"), seconds, interval_ms, int(threads))
            ratios.append(with_it / without)
            print(
                f"{without / 1e6:8.3f} ms, with it {with_it / 1e6:8.3f} ms: {ratios[-1]:.4f}; {grown} bytes, {samples} samples"
            )
    print(f"median {statistics.median(ratios):.4f}")


if __name__ == "__main__":
    main()
