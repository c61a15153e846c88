"""`Stats`: what the sampler did, and what that cost. Measured, not estimated."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_INTEGERS = (
    "collected", "dropped", "validation_drops", "subinterpreter_samples", "interval_ns", "duration_ns", "kernel_hz",
    "threads_seen", "threads_live", "cpu_ns", "unsampled_ns", "dropped_ns", "memory_bytes", "memory_limit",
    "handler_ns", "handler_calls", "drain_cpu_ns", "sampler_cpu_ns", "ticks", "overruns", "foreign_signals", "retried",
    "looks", "outside_reads", "outside_retries", "outside_given_up", "gil_contended_ns",
    "native_stacks", "native_cut", "native_disagreements",
)  # fmt: skip
_STRINGS = ("mode", "tick_source", "tick_reason", "outside_reader")
_FLAGS = ("active", "handler_replaced")


class Stats:
    """State of the running session, or of the last one.

    A copy taken at the time of the call: it does not change afterwards. Times in nanoseconds.
    """

    __slots__ = (*_FLAGS, *_STRINGS, *_INTEGERS, "threads_by_source")

    active: bool
    """Whether the session was sampling when this was asked."""
    mode: str
    """What weights measure: "cpu" (CPU time), "wall" (elapsed time) or "gil" (elapsed time of holding the GIL)."""
    collected: int
    """Samples kept so far."""
    dropped: int
    """Samples taken and lost: no room within the memory limit, or not drained in time."""
    validation_drops: int
    """Stacks that a check refused; they are in the profile as ``[invalid stack]``."""
    subinterpreter_samples: int
    """Samples that met a sub-interpreter; they are in the profile as ``[sub-interpreter]``."""
    interval_ns: int
    """The interval asked for."""
    duration_ns: int
    """Elapsed time since the start of the session, up to its stop."""
    tick_source: str
    """What triggers samples: "perf", "timer", "thread", or "wall (pure Python)"."""
    tick_reason: str
    """Why this source is the one in use."""
    kernel_hz: int
    """Rate of the kernel's own tick per second, which limits "timer"; 0 if unknown."""
    threads_seen: int
    """Threads sampled since the start of the session, ended ones included."""
    threads_live: int
    """Of these, the threads that are alive."""
    threads_by_source: dict[str, int]
    """Number of threads per tick source (a thread for which "perf" can't be had uses another)."""
    cpu_ns: int
    """CPU time that the program's threads used during the session."""
    unsampled_ns: int
    """Time that no sample stands for (see `ThreadInfo.unsampled_ns`)."""
    dropped_ns: int
    """Time whose samples were lost (see `ThreadInfo.dropped_ns`)."""
    memory_bytes: int
    """Memory that spprof holds for the profile, in bytes."""
    memory_limit: int
    """The limit asked for, in bytes."""
    handler_ns: int
    """Time spent in the signal handler, in all threads together."""
    handler_calls: int
    """How often the signal handler ran."""
    drain_cpu_ns: int
    """CPU time of the thread that sorts samples into the profile."""
    sampler_cpu_ns: int
    """CPU time of the thread that triggers samples, where the tick source has one."""
    ticks: int
    """Ticks delivered, overruns not included."""
    overruns: int
    """Ticks merged into a later one; the later sample stands for them too."""
    foreign_signals: int
    """Signals of the sampler's number that were someone else's, passed on to the handler that was there before."""
    retried: int
    """Stacks that were met while they changed, and looked at again a moment later."""
    outside_reader: str
    """How the stacks of sleeping threads are read, and why not in a better way; "" in mode "cpu"."""
    looks: int
    """Looks at threads from outside, in modes other than "cpu"."""
    outside_reads: int
    """Of these, looks that read the stack of a sleeping thread."""
    outside_retries: int
    """Reads that were thrown away because the thread woke up meanwhile, and done again."""
    outside_given_up: int
    """Threads that kept waking up; the time went to their next sample."""
    gil_contended_ns: int
    """Elapsed time in which at least one thread waited for the GIL, in mode "wall"."""
    native_stacks: int
    """Samples whose frames of C code were looked at."""
    native_cut: int
    """Of these, stacks that could not be followed to their root; they are marked with ``[missing native frames]``, or
    the thread's outermost functions are not there."""
    native_disagreements: int
    """Of these, stacks whose C frames did not fit the Python frames; they have the Python frames and such a mark."""
    handler_replaced: bool
    """Whether the program put its own signal handler over the sampler's, which ends sampling."""

    def __init__(self, values: Mapping[str, object]) -> None:
        """*values*: the sampler's own dictionary. What an older or simpler sampler does not know is 0, "" or False."""
        for name in _FLAGS:
            object.__setattr__(self, name, bool(values.get(name, False)))
        for name in _STRINGS:
            object.__setattr__(self, name, str(values.get(name, "")))
        for name in _INTEGERS:
            value = values.get(name, 0)
            object.__setattr__(self, name, int(value) if isinstance(value, (int, float)) else 0)
        sources = values.get("threads_by_source")
        object.__setattr__(self, "threads_by_source", dict(sources) if isinstance(sources, dict) else {})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Stats can't be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Stats can't be changed")

    @property
    def interval_ms(self) -> float:
        """The interval asked for, in milliseconds."""
        return self.interval_ns / 1e6

    @property
    def achieved_rate_hz(self) -> float:
        """Samples (kept and lost) per second of CPU time, or looks per second of elapsed time where `mode` is "wall".

        To be compared with the asked rate, 1000 / interval_ms. 0.0 while nothing was measured.
        """
        taken, base = (
            (self.collected + self.dropped, self.cpu_ns) if self.mode == "cpu" else (self.ticks, self.duration_ns)
        )
        return taken * 1e9 / base if base > 0 else 0.0

    @property
    def drop_rate(self) -> float:
        """Share of the samples that were lost, 0.0 to 1.0."""
        total = self.collected + self.dropped
        return self.dropped / total if total else 0.0

    def to_dict(self) -> dict[str, object]:
        """All values by name, ready for JSON."""
        values: dict[str, object] = {name: getattr(self, name) for name in (*_FLAGS, *_STRINGS, *_INTEGERS)}
        values["threads_by_source"] = dict(self.threads_by_source)
        return values

    def __reduce__(self) -> tuple[type[Stats], tuple[dict[str, object]]]:
        return Stats, (self.to_dict(),)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Stats) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Stats({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

    def __str__(self) -> str:
        state = "active" if self.active else "stopped"
        measured = {"cpu": "CPU time", "gil": "time with the GIL"}.get(self.mode, "wall clock")
        asked_hz = 1e9 / self.interval_ns if self.interval_ns else 0.0
        kernel = f" (kernel tick {self.kernel_hz} Hz)" if self.kernel_hz else ""
        rows = (
            ("samples", f"{self.collected:,} kept, {self.dropped:,} dropped ({self.drop_rate:.1%})"),
            ("tick", f"{self.tick_source}: {self.tick_reason}"),
            ("rate", f"{self.achieved_rate_hz:.1f} Hz of {asked_hz:.1f} Hz{kernel}"),
            ("threads", f"{self.threads_seen:,} seen, {self.threads_live:,} alive"),
            ("CPU", f"{self.cpu_ns / 1e9:.3f} s"),
            ("lost", f"{self.unsampled_ns / 1e9:.3f} s unsampled, {self.dropped_ns / 1e9:.3f} s dropped"),
            ("refused", f"{self.validation_drops:,} stacks that a check refused"),
            ("memory", f"{self.memory_bytes / 2**20:.1f} of {self.memory_limit / 2**20:.1f} MiB"),
            ("handler", f"{self.handler_ns / 1e6:.1f} ms in {self.handler_calls:,} calls"),
            (
                "own threads",
                f"drain {self.drain_cpu_ns / 1e6:.1f} ms, sampler {self.sampler_cpu_ns / 1e6:.1f} ms of CPU",
            ),
        )
        lines = [f"spprof {state}: {measured}, every {self.interval_ms:g} ms, {self.duration_ns / 1e9:.3f} s"]
        lines.extend([f"{name:<12} {text}" for name, text in rows])
        if self.handler_replaced:
            lines.append("the program replaced the sampler's signal handler: sampling ended there")
        return "\n".join(lines)
