"""The pytest plugin (entry point `pytest11`): its options and its fixture. What they do is imported when they are used."""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._testruns.fixture import TestProfile


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pytest's hook."""
    group = parser.getgroup("spprof", "profiling with spprof")
    group.addoption("--spprof", action="store_true", help="profile the whole run")
    group.addoption("--spprof-per-test", action="store_true", help="a profile for each test, in a folder")
    group.addoption(
        "--spprof-interval", type=float, default=1.0, metavar="MS",
        help="milliseconds between two samples of a thread, 0.1 to 10000 (default: 1)",
    )  # fmt: skip
    group.addoption(
        "--spprof-mode", metavar="MODE",
        help="what is measured: cpu (CPU time), wall (elapsed time) or gil (who holds the GIL) (default: cpu, or wall where "
        "the system has no CPU ticks)",
    )  # fmt: skip
    group.addoption(
        "--spprof-output", default="spprof-profiles", metavar="PATH",
        help="folder for the profiles (default: spprof-profiles); or the file for the whole run, whose ending says the format",
    )  # fmt: skip
    group.addoption(
        "--spprof-format", default="spprof", metavar="FORMAT",
        help="format of the files in the folder (default: spprof, which has everything and can be compared with)",
    )  # fmt: skip
    group.addoption(
        "--spprof-slowest", type=int, default=5, metavar="N",
        help="how many of the slowest tests the summary shows, with their hot lines (default: 5)",
    )  # fmt: skip
    group.addoption(
        "--spprof-compare", metavar="BASE",
        help="compare with an earlier run (its folder, or its file) and fail if something takes significantly more",
    )  # fmt: skip
    group.addoption(
        "--spprof-tolerance", type=float, default=10.0, metavar="PERCENT",
        help="--spprof-compare: by how much a function's time may grow, significant or not (default: 10)",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Pytest's hook."""
    config.addinivalue_line(
        "markers",
        "spprof(interval_ms, mode, memory_limit_mb, asyncio, native): how the fixture 'spprof' profiles this test",
    )
    option = config.option
    if not (option.spprof or option.spprof_per_test or option.spprof_compare is not None) or option.collectonly:
        return
    from ._testruns.options import read
    from ._testruns.plugin import ProfiledRun

    config.pluginmanager.register(ProfiledRun(config, read(config)), "spprof-run")


@pytest.fixture
def spprof(request: pytest.FixtureRequest) -> Iterator[TestProfile]:
    """Profiles the test: from here to its end, or to ``spprof.stop()``. Then ``spprof.profile`` is the profile."""
    from ._testruns.fixture import profiled

    yield from profiled(request)
