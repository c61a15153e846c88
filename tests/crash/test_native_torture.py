"""Frames of C code while everything around them changes: libraries that come and go, threads, forks, greenlets."""

from __future__ import annotations

import subprocess

import pytest
from life import in_child

pytestmark = pytest.mark.needs_native

SECONDS = 8

# As many libraries as differ in what they are; each is loaded, called and unloaded again and again, often at the same address.
LIBRARY = """
__attribute__((noinline)) static int part_NN(volatile int *x, int n)
{
    volatile char room[16 + 8 * (NN % 13)];
    room[n % 16] = (char)n;
    for (int i = 0; i < 20000; i++) *x += i ^ room[n % 16];
    return *x;
}
int work_NN(int n) { volatile int x = n; int y = part_NN(&x, n); for (int i = 0; i < 1000 * (NN % 5); i++) x += i; return x + y; }
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("libraries")
    for number in range(12):
        source = folder / f"lib{number}.c"
        source.write_text(LIBRARY.replace("NN", str(number)))
        flags = ["-O2"] if number % 3 else ["-O1", "-fno-asynchronous-unwind-tables", "-fno-omit-frame-pointer"]
        command = ["cc", "-shared", "-fPIC", *flags, str(source), "-o", str(folder / f"lib{number}.so")]
        subprocess.run(command, check=True, capture_output=True)
    return str(folder)


@pytest.mark.parametrize("seconds", [pytest.param(60, marks=pytest.mark.slow), SECONDS])
def test_libraries_that_come_and_go(libraries: str, seconds: int) -> None:
    told = in_child(
        f"""
import _ctypes, json, zlib
folder, end = sys.argv[1], time.monotonic() + {seconds}
def come_and_go(first):
    n = first
    while time.monotonic() < end:
        n = (n + 5) % 12
        library = ctypes.CDLL(f"{{folder}}/lib{{n}}.so")
        getattr(library, f"work_{{n}}")(n)
        _ctypes.dlclose(library._handle)
def pack():
    while time.monotonic() < end:
        zlib.compress(bytes(range(256)) * 100)
def births():
    while time.monotonic() < end:
        thread = threading.Thread(target=json.dumps, args=([1] * 1000,))
        thread.start(); thread.join()
def forks():
    while time.monotonic() < end:
        pid = os.fork()
        if pid == 0:
            spprof.start(interval_ms=0.1, native=True)
            zlib.compress(bytes(10000))
            spprof.stop()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        time.sleep(0.05)
alarm_in({seconds + 50})
import warnings; warnings.simplefilter("ignore")
spprof.start(interval_ms=0.1, native=True)
threads = [threading.Thread(target=come_and_go, args=(k,)) for k in range(2)]
threads += [threading.Thread(target=f) for f in (pack, births, forks)]
for t in threads: t.start()
for t in threads: t.join()
profile = spprof.stop()
names = {{f.function_name for s in profile.samples for f in s.frames}}
def is_wrong(a, b):
    if not b.startswith("part_") or a == "[missing native frames]":
        return False
    return a != b.replace("part", "work")
wrong = [
    [f.function_name for f in s.frames] for s in profile.samples
    for a, b in zip(s.frames, s.frames[1:]) if is_wrong(a.function_name, b.function_name)
]
tell([profile.sample_count, profile.stats.native_cut, profile.stats.native_disagreements,
      sorted(n for n in names if n.startswith("work_")), wrong[:2], len(wrong)])
""",
        libraries,
        timeout=seconds + 100,
    )
    count, _, disagreements, works, wrong, n_wrong = told
    assert count > 500
    assert disagreements <= 0.01 * count
    assert len(works) >= 4, told
    # between an unloading and the next look at what is loaded, another library may be where the first was
    assert n_wrong <= 0.02 * count, wrong


def test_sessions_in_a_row(libraries: str) -> None:
    """Nothing is kept, and nothing is used after it was freed."""
    told = in_child(
        """
import zlib
def work():
    for _ in range(30): zlib.compress(bytes(range(256)) * 200)
kb = []
for n in range(60):
    spprof.start(interval_ms=0.2, native="all" if n % 2 else True)
    thread = threading.Thread(target=work); thread.start(); work(); thread.join()
    spprof.stop()
    if n % 10 == 9:
        trim(); kb.append(rss_kb())
tell(kb)
""",
        timeout=200,
    )
    assert told[-1] - told[1] < 6000, told


def test_memory_that_runs_out(libraries: str) -> None:
    told = in_child(
        """
import zlib, warnings
warnings.simplefilter("ignore")
ok = failed = 0
for n in range(1, 300, 7):
    spprof._native._fail_allocations(n)
    try:
        spprof.start(interval_ms=0.5, native=True)
        zlib.compress(bytes(range(256)) * 200)
        ctypes.CDLL(f"{sys.argv[1]}/lib{n % 12}.so")
        time.sleep(0.06)
        spprof._native._fail_allocations(0)
        spprof.stop()
        ok += 1
    except MemoryError:
        failed += 1
        spprof._native._fail_allocations(0)
        if spprof.is_active(): spprof.stop()
tell([ok, failed])
""",
        libraries,
        timeout=100,
    )
    assert told[1] > 3


@pytest.mark.parametrize("depth", [0, 60])
def test_greenlets(depth: int) -> None:
    pytest.importorskip("greenlet")
    told = in_child(
        f"""
import greenlet, zlib, functools
def down(n): return functools.reduce(lambda a, b: down(n - 1), [1, 2]) if n else leaf()
def leaf():
    zlib.compress(bytes(range(256)) * 20)
    hub.switch()
    return 1
def root():
    while True: down({depth} // 20)
hub = greenlet.getcurrent()
spprof.start(interval_ms=0.2, native=True)
green = [greenlet.greenlet(root) for _ in range(8)]
end = time.thread_time() + 3
while time.thread_time() < end:
    for g in green: g.switch()
profile = spprof.stop()
shapes = sum(any(f.function_name == "leaf" for f in s.frames) for s in profile.samples)
tell([profile.sample_count, shapes, profile.stats.native_cut, profile.stats.native_disagreements])
"""
    )
    count, shapes, _, disagreements = told
    assert shapes > 0.5 * count
    assert disagreements < 0.05 * count, told
