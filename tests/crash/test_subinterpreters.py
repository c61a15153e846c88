"""Sub-interpreters: skipped and counted, never a crash."""

from __future__ import annotations

import pytest
from life import in_child

pytestmark = pytest.mark.needs_native

# `run(source)` runs it in a new sub-interpreter, whatever this Python calls them.
RUN = """
import textwrap, warnings
warnings.simplefilter("ignore")
def make():
    try:
        import _interpreters
        def run(source):
            number = _interpreters.create()
            try:
                return _interpreters.run_string(number, textwrap.dedent(source))
            finally:
                _interpreters.destroy(number)
    except ImportError:
        import _xxsubinterpreters
        def run(source):
            number = _xxsubinterpreters.create()
            try:
                return _xxsubinterpreters.run_string(number, textwrap.dedent(source))
            finally:
                _xxsubinterpreters.destroy(number)
    return run
try:
    run = make()
except ImportError:
    tell(None)
    sys.exit()
"""
BUSY = "import time\\nend = time.thread_time() + 0.05\\nwhile time.thread_time() < end: sum(range(200))\\n"


def test_samples_in_them_are_counted_and_no_frame_of_theirs_is_taken_for_ours() -> None:
    # Hazards 1, 7
    told = in_child(
        RUN
        + f"""
def enter(): run("{BUSY}")
spprof.start(interval_ms=0.2)
for _ in range(3):
    enter()
threads = [threading.Thread(target=enter) for _ in range(3)]
for t in threads:
    t.start()
burn(0.1)
for t in threads:
    t.join()
profile = spprof.stop()
stacks = {{tuple(f.function_name for f in s.frames) for s in profile.samples}}
marked = [s for s in stacks if "[sub-interpreter]" in s]
count = sum(1 for s in profile.samples if s.frames[-1].function_name == "[sub-interpreter]")
exact = all(t.cpu_ns == t.sampled_ns + t.unsampled_ns + t.dropped_ns for t in profile.threads)
tell([marked, count, profile.stats.subinterpreter_samples, profile.stats.validation_drops, exact])
"""
    )
    if told is None:
        pytest.skip("no sub-interpreters here")
    marked, count, counted, invalid, exact = told
    assert marked in ([["[sub-interpreter]"]], [])
    assert count == counted
    assert invalid == 0 and exact
    # Before 3.12 the thread state that belongs to a thread stays that of the main interpreter, whose stack waits in
    # run().
    if not marked:
        assert counted == 0


def test_many_at_a_fast_tick_with_code_that_dies() -> None:
    # Hazards 1, 2
    told = in_child(
        RUN
        + """
source = '''
def f(n): return sum(i * i for i in range(n))
for n in range(60): exec(compile('f(%d)' % n, 'made', 'exec'))
'''
spprof.start(interval_ms=0.1)
end = time.monotonic() + 2
rounds = []
def churn():
    while time.monotonic() < end:
        run(source)
        rounds.append(1)
threads = [threading.Thread(target=churn) for _ in range(2)]
for t in threads:
    t.start()
while time.monotonic() < end:
    exec(compile("sum(range(500))", "made", "exec"))
for t in threads:
    t.join()
profile = spprof.stop()
tell([len(rounds) >= 1, profile.stats.validation_drops])
"""
    )
    if told is None:
        pytest.skip("no sub-interpreters here")
    assert told == [True, 0]


def test_import_inside_of_one_is_refused_with_the_reason_or_falls_back() -> None:
    # Hazard 28
    told = in_child(
        RUN
        + """
r, w = os.pipe()
source = f'''
import os, sys
sys.path[:] = {sys.path!r}
try:
    import spprof
    answer = "native" if spprof._HAS_NATIVE else "fallback: " + __import__("spprof._backend", fromlist=["x"]).reason
except ImportError as error:
    answer = "refused: " + str(error)
os.write({w}, answer.encode())
'''
spprof.start(interval_ms=1)
run(source)
burn(0.05)
profile = spprof.stop()
os.close(w)
tell([os.read(r, 5000).decode(), profile.sample_count > 20])
"""
    )
    if told is None:
        pytest.skip("no sub-interpreters here")
    answer, sampled = told
    assert sampled
    assert answer.startswith(("fallback: ", "refused: ")), answer
    assert "interpreter" in answer
