"""Descriptors: the program's stay the program's."""

from __future__ import annotations

import pytest
from life import SOURCES, each_source_when_slow, in_child, needs_source

pytestmark = pytest.mark.needs_native


def test_ours_keep_out_of_the_low_numbers_and_are_not_inherited() -> None:
    # Hazards 20, 24
    told = in_child(
        """
import fcntl
before = set(descriptors())
spprof.start(interval_ms=1)
threads = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(5)]
for t in threads:
    t.start()
ours = [n for n, path in descriptors().items() if n not in before and path != f"/proc/{os.getpid()}/fd"]
perf = [n for n in ours if "perf" in os.readlink(f"/proc/self/fd/{n}")]
cloexec = [bool(fcntl.fcntl(n, fcntl.F_GETFD) & fcntl.FD_CLOEXEC) for n in perf]
with open(os.devnull) as file:
    next_free = file.fileno()
for t in threads:
    t.join()
spprof.stop()
tell([len(perf), min(ours), all(cloexec), next_free <= max(before) + 1])
""",
        env={"SPPROF_TICK": "perf"},
    )
    count, lowest, cloexec, low_free = told
    assert count == 6
    assert lowest >= 512
    assert cloexec and low_free


@pytest.mark.parametrize("source", each_source_when_slow())
def test_a_program_that_closes_all_descriptors_loses_nothing_of_its_own(source: str | None) -> None:
    # Hazard 24: daemons do that. Its later files stay open and whole, and sampling goes on.
    told = in_child(
        """
import fcntl, tempfile
folder = tempfile.mkdtemp()
sys.setswitchinterval(0.0002)  # each of the calls below lets go of the GIL, for which two threads are waiting
spprof.start(interval_ms=1)
highest = max(descriptors()) + 200
threads = [threading.Thread(target=burn, args=(0.9,)) for _ in range(2)]
for t in threads:
    t.start()
lost = []
rounds = 0
end = time.monotonic() + 1.5
while time.monotonic() < end:
    os.closerange(3, highest)
    # as many as it takes to sit on every number that was ours
    mine = {}
    for n in range(40):
        fd = os.open(f"{folder}/{n}", os.O_RDWR | os.O_CREAT)
        mine[fd] = os.fstat(fd).st_ino
    high = fcntl.fcntl(fd, fcntl.F_DUPFD, 2048)
    for n in range(8):
        copy = fcntl.fcntl(fd, fcntl.F_DUPFD, 2048 + n)
        mine[copy] = os.fstat(copy).st_ino
    spin(20_000)
    rounds += 1
    for fd, inode in mine.items():
        try:
            if os.fstat(fd).st_ino != inode:
                lost.append([fd, "another file"])
        except OSError as error:
            lost.append([fd, error.errno])
for t in threads:
    t.join()
marker = time.thread_time_ns()
def late(): burn(0.7)
late()
profile = spprof.stop()
still = []
for fd, inode in mine.items():
    try:
        still.append(os.fstat(fd).st_ino == inode)
    except OSError:
        still.append(False)
names = [s for s in profile.samples if any(f.function_name == "late" for f in s.frames)]
tell([lost, rounds > 5, all(still), len(names)])
""",
        env={"SPPROF_TICK": source},
    )
    lost, rounds, still, late = told
    assert lost == [] and rounds and still
    assert late > 20  # found again by the next walk over the threads, half a second later at most


def test_threads_beyond_the_share_of_descriptors_tick_from_another_source() -> None:
    # Hazard 20: RLIMIT_NOFILE is the program's; it can still open its files.
    needs_source("perf")
    told = in_child(
        """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
done = threading.Event()
threads = [threading.Thread(target=lambda: (burn(0.02), done.wait())) for _ in range(40)]
spprof.start(interval_ms=1)
for t in threads:
    t.start()
time.sleep(0.5)
files = []
try:
    while True:
        files.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
room = len(files)
for fd in files:
    os.close(fd)
done.set()
for t in threads:
    t.join()
starved = processor_wait_ns()
profile = spprof.stop()
unseen = [t.name for t in profile.threads if t.thread_id and not t.samples]
tell([profile.stats.threads_by_source, room, len(unseen), len(profile.threads), starved])
""",
        env={"SPPROF_TICK": None},
    )
    sources, room, unseen, threads, starved = told
    # a quarter of 64, of which one is the list of threads
    assert sources == {"perf": 15, "thread": 26}
    assert room >= 64 - 16 - 8
    # What a thread has done while the one that looks at it waited for a processor is not seen.
    assert unseen <= 2 + starved / 20e6 and threads >= 41


def test_no_descriptor_left_at_all() -> None:
    # Hazard 20: start, run and stop with not one free descriptor; and stop when a file frees one.
    told = in_child(
        """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
spprof.start(interval_ms=1)  # loads what it needs
spprof.stop()
files = []
try:
    while True:
        files.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
spprof.start(interval_ms=1)
t = threading.Thread(target=burn, args=(0.05,))
t.start()
burn(0.05)
t.join()
profile = spprof.stop()
inodes = {os.fstat(fd).st_ino for fd in files}
tell([[t.cpu_ns / 1e6 for t in profile.threads[:2]], len(inodes), profile.stats.tick_source])
""",
        env={"SPPROF_TICK": None},
    )
    cpu_ms, inodes, _ = told
    assert all(50 <= ms < 60 for ms in cpu_ms) and inodes == 1


@pytest.mark.parametrize("source", SOURCES)
def test_the_number_that_a_program_frees_is_the_one_that_it_gets_next(source: str) -> None:
    # Hazard 24: close(0) and open(), as daemons redirect their input; no thread of ours takes a low number in between.
    told = in_child(
        """
spprof.start(interval_ms=0.5)
wrong = 0
free = os.open(os.devnull, os.O_RDONLY)
end = time.monotonic() + 1.2
while time.monotonic() < end:
    os.close(0)
    wrong += os.open(os.devnull, os.O_RDONLY) != 0
    os.close(free)
    wrong += os.open(os.devnull, os.O_RDONLY) != free
    time.sleep(0.00005)
tell([wrong, spprof.stop().sample_count > 0])
""",
        env={"SPPROF_TICK": source},
    )
    assert told == [0, True]
