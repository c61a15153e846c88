"""What the unit tests share. They run on either sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """The fallback says once, at its first start, that it is one; tests that want to see that run a child."""
    config.addinivalue_line("filterwarnings", "ignore:spprof's C extension is not in use:RuntimeWarning")
