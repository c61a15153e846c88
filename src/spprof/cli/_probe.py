"""What `spprof doctor` tries for real, in a process of its own: a crash or a hang there is a finding, not the end.

Prints one JSON object:

    extension     loaded, path, reason (why it is not), self_check (null: passed; else why not), free_threaded_build,
                  free_threading_safe, native_unwinding
    tick_sources  name -> {"usable": bool, "detail": str}
    quick_test    ok, problem (null if ok), cpu_seconds, profile_seconds, samples, share (of the known function),
                  thread_found, tick_source, tick_reason, kernel_hz
    wall_clock    usable, reader (how sleeping threads are read), detail
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spprof._profile import Profile

_SECONDS = 0.15  # of CPU, in each of two threads
_THREAD = "spprof-doctor"


def main() -> None:
    """Runs everything and prints the object."""
    import warnings

    warnings.simplefilter("ignore")  # the missing extension is reported, not warned about
    found = {
        "extension": extension(),
        "tick_sources": tick_sources(),
        "quick_test": quick_test(),
        "wall_clock": wall_clock(),
    }
    json.dump(found, sys.stdout)


def extension() -> dict[str, Any]:
    """State of the C extension."""
    from spprof import native_unwinding_available
    from spprof._backend import native, reason

    return {
        "loaded": native is not None,
        "path": getattr(native, "__file__", None),
        "reason": reason,
        "self_check": native.self_check() if native is not None else None,
        "free_threaded_build": getattr(native, "free_threaded_build", None),
        "free_threading_safe": getattr(native, "free_threading_safe", None),
        "native_unwinding": native_unwinding_available(),
    }


def tick_sources() -> dict[str, dict[str, Any]]:
    """Each tick source of the sampler in use, tried."""
    from spprof._backend import backend

    return {
        name: {"usable": bool(usable), "detail": detail} for name, (usable, detail) in backend.tick_sources().items()
    }


def doctor_workload(seconds: float) -> int:
    """Uses *seconds* of its thread's CPU time in this function alone."""
    end = time.thread_time() + seconds
    total = 0
    while time.thread_time() < end:
        for number in range(5000):
            total += number * number
    return total


def wall_clock() -> dict[str, Any]:
    """A profile of elapsed time, of a thread that sleeps."""
    import spprof

    try:
        spprof.start(interval_ms=1, mode="wall")
        time.sleep(0.05)
        profile = spprof.stop()
    except (RuntimeError, OSError, ValueError) as error:
        return {"usable": False, "reader": "", "detail": str(error)}
    asleep = sum(sample.weight_ns for sample in profile.samples if wall_clock.__code__.co_name in str(sample.frames))
    usable = asleep > 0.03 * 1e9
    detail = profile.stats.tick_reason if usable else "a sleep of 50 ms is not in the profile"
    return {"usable": usable, "reader": profile.stats.outside_reader, "detail": detail}


def quick_test() -> dict[str, Any]:
    """Profiles a workload whose truth is known, and compares."""
    import spprof

    try:
        spprof.start(interval_ms=1)
        begin = time.process_time()
        thread = threading.Thread(target=doctor_workload, args=(_SECONDS,), name=_THREAD)
        thread.start()
        doctor_workload(_SECONDS)
        thread.join()
        cpu_seconds = time.process_time() - begin
        profile = spprof.stop()
    except (RuntimeError, OSError, ValueError) as error:
        return {"ok": False, "problem": f"the profiler does not start: {error}"}
    return judge(profile, cpu_seconds)


def judge(profile: Profile, cpu_seconds: float) -> dict[str, Any]:
    """Whether *profile* says what is true of the workload, which used *cpu_seconds*."""
    stats = profile.stats
    whole = sum(thread.sampled_ns for thread in profile.threads)
    in_workload = sum(f.total_ns for f in profile.functions() if f.function_name == doctor_workload.__qualname__)
    share = in_workload / whole if whole else 0.0
    thread_found = any(thread.name == _THREAD and thread.samples for thread in profile.threads)
    profile_seconds = profile.cpu_time_ns / 1e9
    problem = None
    if not profile.sample_count:
        problem = "no sample was taken"
    elif share < (0.8 if profile.mode == "cpu" else 0.3):  # elapsed time: one thread may wait for the other
        problem = f"only {share:.0%} of the samples are in the function that used all of the time"
    elif not thread_found:
        problem = "a thread that used half of the time has no sample"
    elif profile.mode == "cpu" and abs(profile_seconds - cpu_seconds) > 0.1 * cpu_seconds:
        problem = f"the profile has {profile_seconds:.3f} s of CPU where {cpu_seconds:.3f} s were used"
    return {
        "ok": problem is None,
        "problem": problem,
        "cpu_seconds": cpu_seconds,
        "profile_seconds": profile_seconds,
        "samples": profile.sample_count,
        "share": share,
        "thread_found": thread_found,
        "tick_source": stats.tick_source,
        "tick_reason": stats.tick_reason,
        "kernel_hz": stats.kernel_hz,
    }


if __name__ == "__main__":
    main()
