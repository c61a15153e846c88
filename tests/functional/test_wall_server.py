"""A real asyncio server under load: which handler waits on what, by the server's own clock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from children import python

pytestmark = pytest.mark.needs_native

SERVER = Path(__file__).with_name("server.py")


@pytest.mark.parametrize(
    ("kind", "loop"),
    [
        ("streams", "asyncio"),
        pytest.param("streams", "uvloop", marks=pytest.mark.slow),
        pytest.param("aiohttp", "asyncio", marks=pytest.mark.slow),
        pytest.param("aiohttp", "uvloop", marks=pytest.mark.slow),
    ],
)
def test_handlers_waits_are_those_that_the_server_measured(kind: str, loop: str) -> None:
    for module in {kind, loop} - {"streams", "asyncio"}:
        pytest.importorskip(module)
    result = python("-W", "ignore", SERVER, kind, loop, 800, 5)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    truth, found = told["truth"], told["found"]
    assert told["counts"] == {"slow": 600, "locked": 200}
    for name, true_ns in truth.items():
        # A look every 5 ms or so over a second, each at up to 12 tasks at once: a standard error of 2 %.
        assert abs(sum(found[name].values()) - true_ns) < 0.12 * true_ns, told
    assert found["slow"].get("sleep", 0) > 0.8 * truth["slow"]
    assert found["slow"].get("lock", 0) == 0
    # Four clients at a time, of which one has the lock and sleeps.
    assert 0.55 * truth["locked"] < found["locked"]["lock"] < 0.85 * truth["locked"], told
