"""exec, subprocess, multiprocessing: what other programs and processes see of a session here, which is nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from life import HERE, each_source_when_slow, in_child

pytestmark = pytest.mark.needs_native

# Prints what a program finds when it starts.
LOOK = f"""
import sys
sys.path.insert(0, {HERE!r})
from life import *
kinds = sorted(path.split(":")[0] for path in descriptors().values())
tell([timers(), len(tasks()), kinds, status("SigBlk"), caught_and_ignored(), status("SigPnd"), status("ShdPnd")])
"""


@pytest.mark.parametrize("source", each_source_when_slow())
@pytest.mark.parametrize("how", ["execv", "execve", "in a thread"])
def test_a_program_that_is_executed_while_sampling_finds_nothing(source: str | None, how: str, tmp_path: Path) -> None:
    # Hazard 24: no timer, descriptor, mask, disposition or pending signal comes along; and no tick kills it.
    look = tmp_path / "look.py"
    look.write_text(LOOK)
    call = {
        "execv": "os.execv(sys.executable, [sys.executable, path])",
        "execve": "os.execve(sys.executable, [sys.executable, path], dict(os.environ))",
        "in a thread": "t = threading.Thread(target=os.execv, args=(sys.executable, [sys.executable, path]))\n"
        "t.start(); t.join()",
    }[how]
    program = (
        f"path = {str(look)!r}\n"
        "if os.environ.get('SPPROF_TICK') != 'off':\n"
        "    spprof.start(interval_ms=0.1)\n"
        "    [threading.Thread(target=burn, args=(5,), daemon=True).start() for _ in range(3)]\n"
        "burn(0.05)\n" + call
    )
    assert in_child(program, env={"SPPROF_TICK": source}) == in_child(program, env={"SPPROF_TICK": "off"})


def test_exec_many_times_under_a_fast_tick(tmp_path: Path) -> None:
    # Hazard 24: a program that executes itself over and over, each time with a tick on its way.
    again = tmp_path / "again.py"
    again.write_text(
        "import os, sys, time, spprof\n"
        "n = int(sys.argv[1])\n"
        "spprof.start(interval_ms=0.1)\n"
        "sum(i * i for i in range(20_000))\n"
        "while n == 0 and spprof.stats().collected == 0 and time.thread_time() < 5: pass\n"
        "if n == 0:\n"
        "    print(spprof.stop().sample_count > 0)\n"
        "else:\n"
        "    os.execv(sys.executable, [sys.executable, __file__, str(n - 1)])\n"
    )
    import children

    result = children.python(again, "15")
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


@pytest.mark.parametrize("source", each_source_when_slow())
@pytest.mark.parametrize("close_fds", [True, False])
def test_subprocesses_find_nothing_and_their_results_are_right(source: str | None, close_fds: bool) -> None:
    # Hazards 21, 24: fork, vfork and posix_spawn
    told = in_child(
        f"""
import subprocess
def run():
    answer = subprocess.run([sys.executable, "-c", {LOOK!r}], close_fds={close_fds}, stdout=subprocess.PIPE, check=True)
    return json.loads(answer.stdout)
plain = run()
spprof.start(interval_ms=0.2)
threads = [threading.Thread(target=burn, args=(0.4,)) for _ in range(2)]
for t in threads:
    t.start()
seen = [run() for _ in range(4)]
codes = [subprocess.call(["/bin/sh", "-c", f"exit {{n}}"]) for n in range(20)]
pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], dict(os.environ))
codes.append(os.waitpid(pid, 0)[1] >> 8)
codes.append(os.system("exit 9") >> 8)
for t in threads:
    t.join()
profile = spprof.stop()
tell([[s for s in seen if s != plain], codes, profile.sample_count > 100])
""",
        env={"SPPROF_TICK": source},
    )
    assert told == [[], [*range(20), 7, 9], True]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing_pools_work_and_workers_are_not_profiled(method: str, tmp_path: Path) -> None:
    # Hazards 21, 31
    script = tmp_path / "pool.py"
    script.write_text(
        "import json, multiprocessing, sys, warnings\n"
        "import spprof\n"
        "warnings.simplefilter('ignore')\n"
        "def work(n):\n"
        "    active = spprof.is_active()\n"
        "    spprof.start(interval_ms=1)\n"
        "    total = sum(i * i for i in range(200_000))\n"
        "    profile = spprof.stop()\n"
        "    names = {f.function_name for s in profile.samples for f in s.frames}\n"
        "    return n, active, total, profile.sample_count > 0, 'work' in names\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    spprof.start(interval_ms=1)\n"
        "    with context.Pool(2) as pool:\n"
        "        answers = pool.map(work, range(8))\n"
        "    profile = spprof.stop()\n"
        "    print(json.dumps([answers, profile.sample_count > 10]))\n"
    )
    import children

    result = children.python(script)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    answers, sampled = json.loads(result.stdout)
    total = sum(i * i for i in range(200_000))
    assert answers == [[n, False, total, True, True] for n in range(8)]
    assert sampled


@pytest.mark.skipif(sys.version_info < (3, 9), reason="daemon threads of concurrent.futures")
def test_process_pool_executor_and_queues() -> None:
    # Hazard 21: threads that feed queues, forks while they run
    told = in_child("""
import concurrent.futures, multiprocessing, warnings
warnings.simplefilter("ignore")
spprof.start(interval_ms=0.5)
context = multiprocessing.get_context("fork")
with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
    squares = list(pool.map(spin, range(1000, 1020)))
queue = context.Queue()
workers = [context.Process(target=queue.put, args=(n,)) for n in range(6)]
for w in workers:
    w.start()
got = sorted(queue.get() for _ in workers)
for w in workers:
    w.join()
spprof.stop()
tell([squares == [spin(n) for n in range(1000, 1020)], got, [w.exitcode for w in workers]])
""")
    assert told == [True, list(range(6)), [0] * 6]
