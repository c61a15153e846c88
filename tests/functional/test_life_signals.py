"""The application's signals before, during and after a session."""

from __future__ import annotations

import pytest
from life import SOURCES, each_source_when_slow, in_child

pytestmark = pytest.mark.needs_native


@pytest.mark.parametrize("source", SOURCES)
def test_every_disposition_is_back_after_stop(source: str) -> None:
    # Hazards 6, 18, 19: handler, flags and mask of all signals; during the session only SIGURG differs.
    told = in_child(
        """
before = dispositions()
spprof.start(interval_ms=1)
burn(0.05)
during = dispositions()
spprof.stop()
tell([[n for n in before if during[n] != before[n]], before == dispositions(), status("SigBlk"), status("SigPnd")])
""",
        env={"SPPROF_TICK": source},
    )
    assert told == [[23], True, "0" * 16, "0" * 16]


@pytest.mark.parametrize("source", each_source_when_slow())
@pytest.mark.parametrize("kind", [1, 0, -1, -2], ids=["siginfo", "plain", "ignored", "default"])
def test_the_applications_sigurg_handler_is_put_back_and_never_sees_a_tick(
    source: str | None, kind: int, helper_library: str
) -> None:
    # Hazards 17, 19: what the C handler catches is what was sent, not one tick; its mask and flags come back.
    told = in_child(
        f"""
c = helper()
assert c.catch_signal(signal.SIGURG, {kind}) == 0
before = disposition(signal.SIGURG), caught_and_ignored()
counts = []
for _ in range(40):
    spprof.start(interval_ms=0.1)
    threads = [threading.Thread(target=burn, args=(0.003,)) for _ in range(3)]
    for t in threads:
        t.start()
    c.start_burners(2, 2, 0)
    burn(0.004)
    spprof.stop()
    counts.append(c.caught_signals())
    for t in threads:
        t.join()
after = disposition(signal.SIGURG), caught_and_ignored()
burn(0.02)
os.kill(os.getpid(), signal.SIGURG)
tell([before == after, counts[-1], spprof.stats().foreign_signals, c.caught_signals()])
""",
        helper_library,
        env={"SPPROF_TICK": source},
    )
    assert told == [True, 0, 0, 1 if kind >= 0 else 0]


@pytest.mark.parametrize("source", each_source_when_slow())
def test_foreign_sigurg_reaches_the_handler_that_was_there(source: str | None, helper_library: str) -> None:
    # Hazard 19: from kill() and from sigqueue() with a value of its own; each is counted.
    told = in_child(
        """
c = helper()
c.catch_signal(signal.SIGURG, 1)
spprof.start(interval_ms=1)
codes = []
for i in range(50):
    burn(0.001)
    if i % 2:
        c.queue_to(os.getpid(), signal.SIGURG, i)
    else:
        os.kill(os.getpid(), signal.SIGURG)
    end = time.monotonic() + 5
    while c.caught_signals() <= i and time.monotonic() < end:
        spin(10)  # it may have been delivered to another thread
    codes.append([c.last_caught_code(), c.last_caught_value() if i % 2 else None])
live = spprof.stats().foreign_signals
profile = spprof.stop()
tell([codes, c.caught_signals(), live, profile.stats.foreign_signals, profile.sample_count > 0])
""",
        helper_library,
        env={"SPPROF_TICK": source},
    )
    codes, caught, live, foreign, sampled = told
    assert codes == [[-1, i] if i % 2 else [0, None] for i in range(50)]
    assert (caught, live, foreign, sampled) == (50, 50, 50, True)


def test_a_python_sigurg_handler_gets_its_signals_and_no_tick() -> None:
    # Hazard 19
    told = in_child("""
seen = []
signal.signal(signal.SIGURG, lambda number, frame: seen.append(number))
for number in range(3):
    spprof.start(interval_ms=1)
    burn(0.05)
    os.kill(os.getpid(), signal.SIGURG)
    burn(0.01)
    spprof.stop()
burn(0.05)
assert signal.getsignal(signal.SIGURG) is not signal.SIG_DFL
tell(seen)
""")
    assert told == [23, 23, 23]


@pytest.mark.parametrize("source", each_source_when_slow())
def test_sigprof_belongs_to_the_application(source: str | None) -> None:
    # Hazard 19: a handler and a timer of its own, started before, used during and after the session.
    told = in_child(
        """
seen = []
signal.signal(signal.SIGPROF, lambda number, frame: seen.append(time.process_time()))
signal.setitimer(signal.ITIMER_PROF, 0.02, 0.02)
counts = []
for active in (False, True, False):
    if active:
        spprof.start(interval_ms=1)
    burn(0.5)
    counts.append(len(seen))
    if active:
        samples = spprof.stop().sample_count
signal.setitimer(signal.ITIMER_PROF, 0)
tell([counts[0], counts[1] - counts[0], counts[2] - counts[1], samples])
""",
        env={"SPPROF_TICK": source},
    )
    # A timer of 20 ms fires 25 times in 0.5 s of CPU, and more on a busy machine: the kernel charges whole ticks of its
    # own to whom it finds running. Without a handler it would have killed the process.
    for count in told[:3]:
        assert count >= 12, told
    assert told[3] > 60


def test_a_handler_laid_over_ours_is_noticed_and_stays() -> None:
    # Hazard 19: sampling ends there, which is said; what is put back is the application's, not what was before it.
    told = in_child("""
import warnings
spprof.start(interval_ms=1)
burn(0.05)
mine = lambda number, frame: None
signal.signal(signal.SIGURG, mine)
over = disposition(signal.SIGURG)
burn(0.1)
live = spprof.stats()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    profile = spprof.stop()
main = profile.threads[0]
tell({
    "live": live.handler_replaced, "after": profile.stats.handler_replaced,
    "warning": [str(w.message) for w in caught], "kept": disposition(signal.SIGURG) == over,
    "unsampled": main.unsampled_ns, "cpu": main.cpu_ns, "parts": main.sampled_ns + main.unsampled_ns + main.dropped_ns,
})
""")
    assert told["live"] and told["after"] and told["kept"]
    assert len(told["warning"]) == 1 and "signal" in told["warning"][0]
    assert told["cpu"] == told["parts"] > 140e6
    assert 95e6 < told["unsampled"] < 115e6


def test_a_handler_laid_over_ours_and_taken_away_again_leaves_everything_right() -> None:
    # Hazard 19: save, replace, put back, as libraries do around calls of their own; also beyond stop().
    told = in_child("""
import ctypes
libc = ctypes.CDLL(None)
def get(number):
    buffer = ctypes.create_string_buffer(152)
    assert libc.sigaction(number, None, buffer) == 0
    return buffer
before = get(signal.SIGURG)
plain = disposition(signal.SIGURG)
spprof.start(interval_ms=1)
ours = get(signal.SIGURG)
libc.sigaction(signal.SIGURG, before, None)
burn(0.02)
libc.sigaction(signal.SIGURG, ours, None)
burn(0.1)
first = spprof.stop()
restored = disposition(signal.SIGURG) == plain
# put back only after stop: ours is there without a session, passes signals on, and the next session takes it up
spprof.start(interval_ms=1)
libc.sigaction(signal.SIGURG, before, None)
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    spprof.stop()
libc.sigaction(signal.SIGURG, ours, None)
os.kill(os.getpid(), signal.SIGURG)
spprof.start(interval_ms=1)
burn(0.1)
last = spprof.stop()
tell([first.stats.handler_replaced, restored, last.stats.handler_replaced, first.sample_count > 40,
      last.sample_count > 40, disposition(signal.SIGURG) == plain])
""")
    assert told == [False, True, False, True, True, True]


def test_a_signal_that_is_pending_at_stop_kills_nobody() -> None:
    # Hazards 17, 18: SIGURG is ignored by default. A thread that had it blocked takes it when the session is long over.
    told = in_child("""
ready, go, done = threading.Event(), threading.Event(), threading.Event()
def blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})
    burn(0.05)
    pending.append(signal.SIGURG in signal.sigpending())
    ready.set()
    go.wait()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGURG})
    done.set()
pending = []
spprof.start(interval_ms=1)
thread = threading.Thread(target=blocked)
thread.start()
ready.wait()
profile = spprof.stop()
go.set()
done.wait()
thread.join()
tell([pending, disposition(signal.SIGURG).startswith("0 ")])
""")
    assert told == [[True], True]


def test_faulthandler_still_reports_a_crash() -> None:
    # Hazard 6: SIGSEGV is not ours
    import children

    result = children.python(
        "-c",
        "import faulthandler, spprof\n"
        "faulthandler.enable()\n"
        "spprof.start(interval_ms=1)\n"
        "sum(i * i for i in range(300_000))\n"
        "faulthandler._sigsegv()\n",
    )
    assert result.returncode == -11
    assert "Segmentation fault" in result.stderr and "<module>" in result.stderr


@pytest.mark.parametrize("arguments", ["mode='cpu'", "mode='wall'", "output_path='grows.spprof'"])
def test_signal_that_the_program_blocks_waits(arguments: str) -> None:
    # It is the process', and goes to any thread that does not block it: none of spprof's may be one.
    told = in_child(
        f"""
seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
import tempfile
os.chdir(tempfile.mkdtemp())
spprof.start({arguments})
os.kill(os.getpid(), signal.SIGUSR1)
time.sleep(0.05)
blocked = list(seen), signal.SIGUSR1 in signal.sigpending()
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
spprof.stop()
tell([*blocked, len(seen)])
"""
    )
    assert told == [[], True, 1]
