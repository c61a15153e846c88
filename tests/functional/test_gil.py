"""A free-threaded process stays one."""

from __future__ import annotations

import sysconfig
from typing import TYPE_CHECKING

import pytest
from children import python

if TYPE_CHECKING:
    from pathlib import Path

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.mark.needs_native
@pytest.mark.skipif(not FREE_THREADED, reason="this interpreter always has its GIL")
def test_the_gil_stays_off(tmp_path: Path) -> None:
    # Hazard 30: an extension that does not say that it needs no GIL switches it on, with a warning.
    code = """
import sys
import spprof
assert not sys._is_gil_enabled()
spprof.start(interval_ms=1)
assert not sys._is_gil_enabled()
spprof.stop()
assert not sys._is_gil_enabled()
assert spprof._native.free_threaded_build and spprof._native.free_threading_safe
"""
    result = python("-W", "error", "-c", code, cwd=tmp_path, env={"PYTHON_GIL": None})
    assert result.returncode == 0, result.stderr
