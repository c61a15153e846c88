"""The hostile build: 16 frames a stack, rings of 1 KB, tables of 2 entries, windows of 4 ticks (csrc/core/limits.h).
What takes hours to grow, wrap around or overflow in a real build does so here within any test, and the tests must not
notice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from children import environment

pytestmark = [pytest.mark.needs_native, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]

#: Behaviour that must not depend on sizes.
CHOSEN = (
    "tests/functional/test_stack_equality.py",
    "tests/functional/test_stack_moments.py",
    "tests/functional/test_life_fork.py",
    "tests/functional/test_life_signals.py",
    "tests/functional/test_life_threads.py",
    "tests/unit/test_decorator.py",
    "tests/unit/test_session_api.py",
    "tests/unit/test_threads.py",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, its extension built with -DSP_HOSTILE."""
    compiler = os.environ.get("CC", "").split() or [shutil.which("cc") or pytest.skip("needs a C compiler")]
    folder = tmp_path_factory.mktemp("hostile")
    package = folder / "spprof"
    shutil.copytree(ROOT / "src" / "spprof", package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    csrc, paths = ROOT / "csrc", sysconfig.get_paths()
    includes = sorted({f"-I{csrc}", f"-I{paths['include']}", f"-I{paths['platinclude']}"})
    flags = [
        "-std=gnu11",
        "-O2",
        "-fPIC",
        "-shared",
        "-fvisibility=hidden",
        "-D_GNU_SOURCE",
        "-DSP_HOSTILE",
        "-Wl,-z,now",
    ]
    target = package / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = [*compiler, *flags, *includes, *map(str, sorted(csrc.rglob("*.c"))), "-o", str(target), "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def run(hostile: Path, *arguments: str, timeout: float) -> str:
    """The output of an interpreter that takes spprof from there."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(
            {
                "PYTHONPATH": str(hostile),
                "PYTHONDONTWRITEBYTECODE": "1",
                # A ring of a few samples may overflow on a busy machine: children that say so to stderr are right.
                "PYTHONWARNINGS": "ignore:spprof dropped:RuntimeWarning",
            }
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-8000:]
    return result.stdout


def test_it_is_hostile(hostile: Path) -> None:
    told = run(hostile, "-c", "from spprof import _native; print(_native.max_depth, _native.__file__)", timeout=60)
    depth, file = told.split()
    assert int(depth) == 16
    assert Path(file).parent == hostile / "spprof"


@pytest.mark.parametrize("tests", CHOSEN)
def test_the_tests_do_not_notice(hostile: Path, tests: str) -> None:
    told = run(hostile, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", tests, timeout=600)
    assert " passed" in told


@pytest.mark.parametrize("interval_ms", ["1", "0.2"])
def test_torture(hostile: Path, interval_ms: str) -> None:
    assert "samples" in run(hostile, "tests/crash/torture.py", "10", interval_ms, timeout=120)
