"""Storms of signals from outside, and system calls that a tick might interrupt."""

from __future__ import annotations

import pytest
from life import each_source_when_slow, in_child

pytestmark = pytest.mark.needs_native


@pytest.mark.parametrize("source", each_source_when_slow())
def test_20000_signals_a_second_from_another_process(source: str | None, helper_library: str) -> None:
    # Hazards 4, 17, 19: SIGURG, SIGPROF and SIGALRM at once, the application's handlers in C and in Python.
    told = in_child(
        """
c = helper()
c.catch_signal(signal.SIGURG, 1)
c.catch_signal(signal.SIGPROF, 1)
seen = []
signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
stormers = []
for number in (signal.SIGURG, signal.SIGPROF, signal.SIGALRM):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if c.storm(os.getppid(), number, 20_000, 1000) > 1000 else 1)
    stormers.append(pid)
used = {}
def work():
    begin = time.thread_time_ns()
    burn(0.4)
    used[threading.get_native_id()] = time.thread_time_ns() - begin
spprof.start(interval_ms=1)
threads = [threading.Thread(target=work) for _ in range(2)]
for t in threads:
    t.start()
for t in threads:
    t.join()
codes = [os.waitpid(pid, 0)[1] for pid in stormers]
caught_before_stop = c.caught_signals()
profile = spprof.stop()
tell([codes, caught_before_stop > 1000, len(seen) > 10, profile.stats.foreign_signals > 500, profile.sample_count,
      [t.cpu_ns - used[t.thread_id] for t in profile.threads if t.thread_id in used],
      profile.stats.validation_drops, profile.stats.handler_replaced])
""",
        helper_library,
        env={"SPPROF_TICK": source},
    )
    codes, caught, seen, foreign, samples, differences, invalid, replaced = told
    assert codes == [0, 0, 0] and caught and seen and foreign
    assert samples > 100 and invalid == 0 and not replaced
    assert all(0 <= difference < 5e6 for difference in differences), differences


@pytest.mark.parametrize("source", each_source_when_slow())
def test_calls_that_wait_are_not_disturbed(source: str | None) -> None:
    # Hazard 22: sleeps last what they should, and reads, polls and selects answer what they should, in eight threads.
    told = in_child(
        """
import select, socket
wrong, rounds = [], []
def check(name, value, expected):
    if value != expected:
        wrong.append([name, repr(value)])
def sleeper(end):
    while time.monotonic() < end:
        begin = time.monotonic()
        time.sleep(0.01)
        if time.monotonic() - begin < 0.01:
            wrong.append(["sleep", time.monotonic() - begin])
        spin(300)
        rounds.append("sleep")
def selecting(end):
    a, b = socket.socketpair()
    while time.monotonic() < end:
        check("select", select.select([a], [], [], 0.004)[0], [])
        b.send(b"x")
        check("select", select.select([a], [], [], 1)[0], [a])
        check("recv", a.recv(10), b"x")
        spin(300)
        rounds.append("select")
def polling(end):
    a, b = socket.socketpair()
    poll = select.poll()
    poll.register(a, select.POLLIN)
    while time.monotonic() < end:
        check("poll", poll.poll(4), [])
        b.send(b"x")
        check("poll", [n for n, _ in poll.poll(1000)], [a.fileno()])
        check("recv", a.recv(10), b"x")
        spin(300)
        rounds.append("poll")
def reading(end):
    r, w = os.pipe()
    def write():
        while time.monotonic() < end:
            spin(500)
            os.write(w, b"0123456789")
            time.sleep(0.001)
        os.close(w)
    t = threading.Thread(target=write)
    t.start()
    left = b""
    while True:
        data = os.read(r, 7)
        if not data:
            break
        left += data
        spin(200)
        rounds.append("read")
    check("read", left, b"0123456789" * (len(left) // 10))
    t.join()
def receiving(end):
    a, b = socket.socketpair()
    a.settimeout(0.004)
    while time.monotonic() < end:
        try:
            a.recv(1)
            wrong.append(["recv", "came back"])
        except TimeoutError:
            pass
        except socket.timeout:
            pass
        spin(300)
        rounds.append("recv")
def waiting(end):
    lock = threading.Lock()
    lock.acquire()
    event = threading.Event()
    while time.monotonic() < end:
        begin = time.monotonic()
        check("acquire", lock.acquire(timeout=0.005), False)
        check("wait", event.wait(0.005), False)
        if time.monotonic() - begin < 0.0099:
            wrong.append(["wait", time.monotonic() - begin])
        spin(300)
        rounds.append("wait")
spprof.start(interval_ms=0.2)
end = time.monotonic() + 1.5
bodies = (sleeper, sleeper, selecting, polling, reading, receiving, waiting)
threads = [threading.Thread(target=f, args=(end,)) for f in bodies]
for t in threads:
    t.start()
for t in threads:
    t.join()
profile = spprof.stop()
tell([wrong[:5], sorted(set(rounds)), profile.sample_count > 20])
""",
        env={"SPPROF_TICK": source},
    )
    assert told == [[], ["poll", "read", "recv", "select", "sleep", "wait"], True]


def test_c_code_that_does_not_retry_is_hardly_ever_interrupted(helper_library: str) -> None:
    # Hazard 22: poll() is never restarted by the kernel. With perf a tick interrupts a sleep only if it comes on the
    # few microseconds of CPU on the way into it. 6 threads x 300 naps, 0.3 ms of CPU each: 540 ms of CPU, 540 ticks at
    # 1 ms, of which the share of a way into poll() (about 3 us of 300) would be 5.4: 0.3 % of the naps. Four sigma
    # more: 15.
    told = in_child(
        """
c = helper()
spprof.start(interval_ms=1)
totals = []
threads = [threading.Thread(target=lambda: totals.append(c.naps_interrupted(300, 2, 300))) for _ in range(6)]
for t in threads:
    t.start()
for t in threads:
    t.join()
profile = spprof.stop()
tell([sum(totals), profile.stats.tick_source, profile.sample_count])
""",
        helper_library,
    )
    interrupted, source, samples = told
    assert samples > 200
    if source == "perf":
        assert interrupted <= 15, told
