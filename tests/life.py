"""What the life-cycle tests share: children with a prelude, the process as the kernel sees it, a helper in C.

Imported by the tests and by the programs that they start, so it loads nothing that it does not need at once.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = ("perf", "thread", "timer")


def each_source_when_slow() -> list[Any]:
    """For what hardly depends on the source: the default in the quick run, each one in the slow run."""
    import pytest

    return [pytest.param(None, id="default"), *[pytest.param(source, marks=pytest.mark.slow) for source in SOURCES]]


def in_child(
    source: str, *arguments: str, env: dict[str, str | None] | None = None, timeout: float = 60, code: int = 0
) -> Any:
    """Runs *source* with everything from this module at hand; gives what it printed last, read as JSON (None: nothing).

    Fails if it ends otherwise than with *code* (a signal is negative), or writes to stderr.
    """
    import children

    needs_source((env or {}).get("SPPROF_TICK"))
    path = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH", "")]))
    prelude = "from life import *\nimport spprof, threading, time, os, sys, signal\n"
    result = children.python(
        "-c", prelude + source, *arguments, env={"PYTHONPATH": path, **(env or {})}, timeout=timeout
    )
    assert result.returncode == code, f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert result.stderr == "", result.stderr
    lines = result.stdout.splitlines()
    return json.loads(lines[-1]) if lines else None


def needs_source(source: str | None) -> None:
    """Skips the test where the system does not grant that source of ticks (None: any will do): perf is not for everybody."""
    import pytest

    import spprof

    if source in SOURCES and spprof._native:
        granted, detail = spprof._native.tick_sources()[source][:2]
        if not granted:
            pytest.skip(detail)


def tell(value: Any) -> None:
    """The child's answer."""
    print(json.dumps(value), flush=True)


# ---- work


def burn(cpu_s: float) -> None:
    """Uses that much CPU time of the calling thread."""
    end = time.thread_time() + cpu_s
    while time.thread_time() < end:
        spin(200)


def spin(n: int) -> int:
    total = 0
    for i in range(n):
        total += i * i
    return total


# ---- the process, as the kernel sees it


def descriptors() -> dict[int, str]:
    """Open descriptors and what they lead to, but for the one that is needed to look."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found


def timers() -> str:
    with open("/proc/self/timers") as file:
        return file.read()


def processor_wait_ns(task: int | None = None) -> int:
    """For how long that thread, or spprof's own threads together, could have run and got no processor.

    What a test says of shares and times holds but for this: other programs on the machine have taken it. Field 2 of
    /proc/PID/task/TID/schedstat; 0 where the kernel doesn't count it.
    """
    waited = 0
    for each in [task] if task else tasks():
        try:
            with open(f"/proc/self/task/{each}/comm") as comm, open(f"/proc/self/task/{each}/schedstat") as schedstat:
                if task or comm.read().startswith("spprof"):
                    waited += int(schedstat.read().split()[1])
        except OSError:
            pass
    return waited


def tasks() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}


def wait_for_tasks(expected: set[int], seconds: float = 5) -> set[int]:
    """The threads, once they are *expected* or the time is over: a joined thread is seen a moment longer."""
    end = time.monotonic() + seconds
    while tasks() != expected and time.monotonic() < end:
        time.sleep(0.001)
    return tasks()


def status(field: str, tid: int | None = None) -> str:
    where = "/proc/self/status" if tid is None else f"/proc/self/task/{tid}/status"
    with open(where) as file:
        for line in file:
            if line.startswith(field + ":"):
                return line.split(":", 1)[1].strip()
    raise KeyError(field)


def trim() -> None:
    """Gives back what malloc keeps for later, where the C library can: how much that is depends on which threads met."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:
        pass


def rss_kb() -> int:
    return int(status("VmRSS").split()[0])


def disposition(number: int) -> str:
    """The kernel's own struct sigaction of a signal: handler, flags, mask.

    Without restorer and its flag, which the C library adds to whatever it sets, the default included."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = (ctypes.c_uint64 * 4)()
    rt_sigaction = {"x86_64": 13, "aarch64": 134}[os.uname().machine]
    if libc.syscall(rt_sigaction, number, None, buffer, ctypes.c_size_t(8)) != 0:
        raise OSError(ctypes.get_errno(), "rt_sigaction")
    handler, flags, mask = buffer[0], buffer[1] & ~0x04000000, buffer[3]
    return f"{handler:x} {flags:x} {mask:x}"


# The C library's own: it sets them up when the first thread is made.
LIBC_SIGNALS = (32, 33)


def dispositions() -> dict[int, str]:
    return {number: disposition(number) for number in range(1, 65) if number not in LIBC_SIGNALS}


def caught_and_ignored() -> list[int]:
    """Masks of the signals that have a handler, and of those that are ignored: what ps(1) and exec'd programs see."""
    own = sum(1 << (number - 1) for number in LIBC_SIGNALS)
    return [int(status(field), 16) & ~own for field in ("SigCgt", "SigIgn")]


def state() -> dict[str, Any]:
    """All that a session must leave as it was."""
    return {
        "timers": timers(),
        "descriptors": descriptors(),
        "tasks": tasks(),
        "dispositions": dispositions(),
        "blocked": status("SigBlk"),
        "pending": status("SigPnd") + status("ShdPnd"),
    }


# ---- the helper in C


def build_helper(folder: str) -> str:
    """Compiles life_helper.c; the path of the library. FileNotFoundError where there is no compiler."""
    import subprocess

    library = os.path.join(folder, "life_helper.so")
    source = os.path.join(HERE, "life_helper.c")
    command = ["cc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-o", library, source, "-lpthread"]
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return library


def helper(library: str | None = None) -> Any:
    """The library, loaded: with the GIL released in its calls."""
    return ctypes.CDLL(library or sys.argv[1], use_errno=True)


def alarm_in(seconds: int) -> None:
    """A deadlock ends the child with a traceback of every thread instead of a time-out that says nothing."""
    import faulthandler

    faulthandler.dump_traceback_later(seconds, exit=True)


__all__ = [
    "SOURCES",
    "alarm_in",
    "build_helper",
    "burn",
    "caught_and_ignored",
    "ctypes",
    "descriptors",
    "disposition",
    "dispositions",
    "helper",
    "in_child",
    "json",
    "os",
    "processor_wait_ns",
    "rss_kb",
    "signal",
    "spin",
    "state",
    "status",
    "sys",
    "tasks",
    "tell",
    "time",
    "timers",
    "trim",
    "wait_for_tasks",
]
