"""What tools/valgrind_ext.sh runs: the example under the profiler, with everything that the extension can be asked for.

Short, because memcheck makes a program 20 to 50 times slower.
"""

from __future__ import annotations

import hashlib
import os
import runpy
import sys
import threading
import time
from pathlib import Path

import spprof

ROOT = Path(__file__).resolve().parents[1]


def example() -> None:
    """The example, on few files."""
    search = runpy.run_path(str(ROOT / "examples" / "search_index.py"))
    search["main"].__globals__["FILES"] = 2
    search["main"](["recieve mesage"])


def down(n: int) -> int:
    return down(n - 1) if n else sum(i * i for i in range(3000))


def made(number: int) -> None:
    """Code objects that come and go."""
    for i in range(40):
        scope: dict[str, object] = {}
        exec(compile(f"def made_{i}():\n    return sum(range({i}))\nmade_{i}()\n", f"made-{number}-{i}", "exec"), scope)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2000)
    down(300)


def threads() -> None:
    """Births and ends."""
    several = [threading.Thread(target=made, args=(i,), name=f"made {i}") for i in range(4)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()


def session(work: object, **options: float) -> int:
    """One session; the number of its samples."""
    spprof.start(**options)
    work()  # type: ignore[operator]
    spprof.register_thread()
    spprof._native.sample_now()
    spprof.stats()
    spprof.unregister_thread()
    profile = spprof.stop()
    for sample in profile.samples:
        assert sample.frames
    for thread in profile.threads:
        assert thread.sampled_ns + thread.unsampled_ns + thread.dropped_ns == thread.cpu_ns
    return profile.sample_count


def main() -> None:
    """All of it; memory that runs out, too, and a fork."""
    counts = [session(example, interval_ms=5), session(threads, interval_ms=1)]
    spprof._native._fail_allocations(30)
    spprof.start(interval_ms=1)
    threads()
    spprof._native._fail_allocations(0)
    spprof.stop()
    spprof.start(interval_ms=1)
    child = os.fork()
    if child == 0:
        os._exit(session(threads, interval_ms=2) == 0)
    assert os.waitpid(child, 0)[1] == 0
    spprof.stop()
    for _ in range(20):
        session(lambda: time.sleep(0.001), interval_ms=1)
    print(*counts)
    assert all(counts)


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")  # samples are lost on purpose, and threads are alive at the fork
    sys.exit(main())
