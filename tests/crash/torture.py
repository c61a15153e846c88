"""Run in a child process: everything that has ever broken a profiler of this kind, all at once, and a check of every
stack that was seen.

    torture.py SECONDS INTERVAL_MS [SESSION_SECONDS [MODE]]

Prints one line of figures and exits with 0, or says what was wrong and exits with 1; a crash is a crash."""

from __future__ import annotations

import faulthandler
import functools
import gc
import hashlib
import os
import re
import sys
import threading
import time
import zlib
from typing import Any

import spprof

faulthandler.enable()
sys.setrecursionlimit(6000)

stop = threading.Event()
HERE = __file__
# ThreadSanitizer holds signals back until a thread calls something: in wall mode it then looks as if they were blocked.
MARKS = ("[truncated]", "[native]", "[running]") if "TSAN_OPTIONS" in os.environ else ("[truncated]", "[native]")

# Who may call whom, among the frames of this file and of made code; digits are the number of the thread.
ALLOWED = {
    "": {"worker_N", "main", "churner_N", "short_N", "<module>"},
    "<module>": {"main"},
    "main": {"check", "check_sample", "normal", "named", "brief", "main.<locals>.<listcomp>"},
    "worker_N": {"exec_churn", "deep", "generate", "callbacks", "c_calls", "handover", "failing", "closures"},
    "churner_N": {"sleep_a_little", "named", "churner.<locals>.<listcomp>"},
    "churner.<locals>.<listcomp>": {"named"},
    "short_N": {"busy"},
    "exec_churn": {"<module>made", "busy"},
    "<module>made": {"made_N", "made_N.<locals>.<lambda>"},
    "made_N": {"busy", "made_N.<locals>.inner", "made_N.<locals>.<listcomp>", "made_N.<locals>.<lambda>"},
    "made_N.<locals>.<listcomp>": {"busy"},
    "made_N.<locals>.inner": {"busy"},
    "made_N.<locals>.<lambda>": {"busy"},
    "deep": {"down"},
    "down": {"down", "busy"},
    "generate": {"numbers", "busy", "delegating", "generate.<locals>.<genexpr>"},
    "generate.<locals>.<genexpr>": {"numbers", "busy", "delegating"},
    "delegating": {"numbers", "delegating"},
    "numbers": {"busy"},
    "callbacks": {"callbacks.<locals>.<lambda>", "busy", "Finalized.__del__", "Finalized.__init__"},
    "callbacks.<locals>.<lambda>": {"busy", "callbacks"},
    "Finalized.__del__": {"busy"},
    "failing": {"failing", "busy"},
    "closures": {"closures.<locals>.outer", "closures.<locals>.outer.<locals>.inner"},
    "closures.<locals>.outer": {"closures.<locals>.outer.<locals>.inner"},
    "closures.<locals>.outer.<locals>.inner": {"busy"},
}


def busy(n: int = 40) -> int:
    total = 0
    for i in range(n):
        total += i * i
    return total


class Finalized:
    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        busy(10)


def exec_churn(number: int) -> None:
    for i in range(20):
        source = (
            f"def made_{number}(n):\n"
            "    def inner(): return busy(n)\n"
            "    inner()\n"
            "    [busy(2) for _ in range(3)]\n"
            "    return (lambda: busy(n))()\n"
            f"made_{number}({i})\n"
            f"del made_{number}\n"
        )
        exec(compile(source, f"made-{number}-{i}.py", "exec"), {"busy": busy})


def down(n: int) -> int:
    return down(n - 1) + 1 if n else busy(200)


def deep(depth: int) -> None:
    down(depth)


def numbers(n: int) -> Any:
    for i in range(n):
        busy(5)
        yield i


def delegating(n: int) -> Any:
    if n:
        yield from delegating(n - 1)
    yield from numbers(3)


def generate(shared: list[Any]) -> None:
    for _ in numbers(20):
        busy(3)
    for _ in delegating(15):
        busy(1)
    sum(x for x in numbers(10))
    # a generator that one thread starts and another goes on with
    try:
        gen = shared.pop()
    except IndexError:
        gen = numbers(30)
    try:
        next(gen)
        shared.append(gen)
    except StopIteration:
        pass
    except ValueError:  # another thread is in it
        pass


def callbacks(again: bool = True) -> None:
    sorted(range(30), key=lambda x: busy(3))
    list(map(lambda x: busy(2), range(30)))
    if again:
        max(range(3), key=lambda x: callbacks(False) or 1)
    Finalized()
    busy(5)


def failing(n: int = 5) -> None:
    try:
        if n == 0:
            raise KeyError(n)
        failing(n - 1)
    except KeyError:
        busy(2)
        if n < 5:
            raise


def closures() -> None:
    def outer() -> Any:
        def inner() -> int:
            return busy(10)

        inner()
        return inner

    for _ in range(10):
        outer()()


def c_calls() -> None:
    data = b"x" * 200_000
    zlib.compress(data, 6)  # without the GIL
    hashlib.sha256(data).hexdigest()


lock = threading.Lock()


def handover() -> None:
    with lock:
        time.sleep(0)
    time.sleep(0.0001)


def worker(number: int, shared: list[Any]) -> None:
    depth = 50
    while not stop.is_set():
        exec_churn(number)
        deep(depth)
        depth = depth * 2 if depth < 2000 else 50  # crosses the boundaries of data stack chunks
        generate(shared)
        callbacks()
        c_calls()
        handover()
        failing()
        closures()


def short(number: int) -> None:
    busy(500)


def sleep_a_little() -> None:
    time.sleep(0.002)


def churner(number: int) -> None:
    while not stop.is_set():
        threads = [threading.Thread(target=named(short, i), args=(i,), name=f"short {i}") for i in range(90, 94)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        sleep_a_little()


def named(func: Any, number: int) -> Any:
    """A copy of `func` whose code is called func_NUMBER: the thread that runs it is in every stack's root."""
    code = func.__code__.replace(co_name=f"{func.__name__}_{number}")
    if sys.version_info >= (3, 11):
        code = code.replace(co_qualname=code.co_name)
    made = type(func)(code, func.__globals__, code.co_name, func.__defaults__)
    made.__qualname__ = code.co_name
    return made


@functools.lru_cache(maxsize=100_000)
def normal(frame: Any) -> str | None:
    """A frame's name in the grammar above; None for code of the standard library."""
    if frame.is_native:
        assert frame.function_name in MARKS, frame
        return frame.function_name
    name = frame.function_name
    if frame.filename.startswith("made-"):
        assert re.fullmatch(r"made-(\d+)-\d+\.py", frame.filename), frame
        number = frame.filename.split("-")[1]
        assert (name == "<module>" and frame.lineno == 0) or 1 <= frame.lineno <= 7, frame  # 0: before the first line
        if name.startswith("made_"):
            assert name.split(".")[0] == f"made_{number}", frame
        elif name != "<module>":
            assert sys.version_info < (3, 11), frame  # a function that died: only its plain name is known
            name = name.rpartition(".")[2]
            return {"inner": "made_N.<locals>.inner", "<listcomp>": "made_N.<locals>.<listcomp>",
                    "<lambda>": "made_N.<locals>.<lambda>"}[name]  # fmt: skip
        return "<module>made" if name == "<module>" else re.sub(r"\d+", "N", name)
    if frame.filename != HERE:
        return None
    if sys.version_info < (3, 11):
        # code objects that are no function's any more
        name = {"outer": "closures.<locals>.outer", "inner": "closures.<locals>.outer.<locals>.inner"}.get(name, name)
    return re.sub(r"_\d+", "_N", name)


def brief(sample: Any) -> str:
    return f"{sample.thread_name}: " + " > ".join(f"{f.function_name}:{f.lineno}" for f in sample.frames)


checked: set[tuple[int, str]] = set()


def check_sample(sample: Any) -> None:
    # equal stacks of a profile share one tuple, which `profiles` keeps alive
    if (id(sample.frames), sample.thread_name) in checked:
        return
    checked.add((id(sample.frames), sample.thread_name))
    names = [normal(f) for f in sample.frames]
    files = [n for n in names if n is not None]
    previous = ""
    for name in files:
        if name in MARKS:
            previous = "[truncated]"
            continue
        if previous == "[truncated]":
            previous = name
            continue
        assert (
            name in ALLOWED.get(previous, ())
            or (
                # __del__ runs wherever the garbage collector does
                name == "Finalized.__del__"
            )
            or (previous == "Finalized.__del__" and name == "busy")
        ), f"{previous} never calls {name}: {brief(sample)}"
        previous = name
    # The thread's own number is all over its stack.
    m = re.search(r"worker (\d+)", sample.thread_name)
    if m:
        for frame in sample.frames:
            for number in re.findall(r"(?:worker|made|churner)_(\d+)", frame.function_name):
                assert number == m[1], f"a frame of thread {number} in thread {m[1]}: {brief(sample)}"


def check(profile: Any) -> int:
    checked.clear()
    for sample in profile.samples:
        check_sample(sample)
    assert profile.stats.validation_drops == 0, profile.stats
    for thread in profile.threads:
        whole = thread.cpu_ns if profile.mode == "cpu" else thread.wall_ns if thread.thread_id else 0
        assert thread.time_ns == whole, thread
    return len(profile.samples)


def main(seconds: float, interval_ms: float, session: float, mode: str) -> None:
    shared: list[Any] = []
    threads = [threading.Thread(target=named(worker, i), args=(i, shared), name=f"worker {i}") for i in range(8)]
    threads.append(threading.Thread(target=named(churner, 50), args=(50,), name="churner 50"))
    for t in threads:
        t.start()
    seen = sessions = dropped = 0
    profiles = []
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            spprof.start(interval_ms=interval_ms, mode=mode)
            time.sleep(session)
            profile = spprof.stop()
            sessions += 1
            dropped += profile.dropped_count
            profiles.append(profile)
            if len(profiles) == 20:
                seen += sum([check(p) for p in profiles])
                profiles.clear()
            if sessions % 10 == 0:
                gc.collect()
    finally:
        stop.set()
        for t in threads:
            t.join()
    seen += sum([check(p) for p in profiles])
    print(f"sessions {sessions} samples {seen} dropped {dropped}")
    assert seen > 0


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")  # losses under torture are no news
    options = [*sys.argv[3:], *["0.4", "cpu"][len(sys.argv) - 3 :]]
    main(float(sys.argv[1]), float(sys.argv[2]), float(options[0]), options[1])
