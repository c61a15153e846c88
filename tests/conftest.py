"""What all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import spprof

if TYPE_CHECKING:
    from collections.abc import Iterator


# Statistics and stress: minutes, and not beside other work. `make test-all` has them.
QUIET_MACHINE = ("tests/accuracy/", "tests/crash/")


def pytest_configure() -> None:
    """Shells start what runs in the background with Ctrl-C ignored, and children inherit that; tests send it."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Which sampler is tested."""
    from spprof._backend import reason

    return f"spprof {spprof.__version__}, " + (
        f"C extension {spprof._native.__file__}" if spprof._native else f"pure Python ({reason})"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`needs_native` tests are skipped where the fallback samples; what needs minutes and a quiet machine is slow."""
    for item in items:
        place = item.path.relative_to(item.config.rootpath).as_posix()
        if place.startswith(QUIET_MACHINE):
            item.add_marker(pytest.mark.slow)
    if spprof._HAS_NATIVE:
        return
    skip = pytest.mark.skip(reason="needs the C extension")
    for item in items:
        if item.get_closest_marker("needs_native"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _no_session_left_behind() -> Iterator[None]:
    """A test that leaves the profiler running must not make the next ones fail."""
    yield
    if spprof.is_active():
        spprof.stop()
        pytest.fail("the test left the profiler running")


@pytest.fixture(scope="session")
def helper_library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of life_helper.c's library."""
    import life

    try:
        return life.build_helper(str(tmp_path_factory.mktemp("helper")))
    except FileNotFoundError:
        pytest.skip("needs a C compiler")
