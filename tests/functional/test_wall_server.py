"""A real asyncio server under load: which handler waits on what, by the server's own clock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from children import python

pytestmark = pytest.mark.needs_native

SERVER = Path(__file__).with_name("server.py")
#: Of 16, every fourth asks for what is locked.
CLIENTS_OF = {"slow": 12, "locked": 4}


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
    truth, found, looks = told["truth"], told["found"], told["looks"]
    assert told["counts"] == {"slow": 600, "locked": 200}
    # As many looks as would say as much if each stood for the same time: fewer where they were let in late.
    count = sum(looks) ** 2 / sum(ns**2 for ns in looks)
    for what, true_ns in truth.items():
        name, kind = what.split()
        # Each of the handler's clients waits for it or does not, and they may all do so together: one outcome a look.
        at_most = CLIENTS_OF[name] * told["seconds"] * 1e9
        share, got = true_ns / at_most, found[name].get(kind, 0) / at_most
        bound = 4 * (share * (1 - share) / count) ** 0.5 + 1 / count
        assert abs(got - share) < bound, (what, share, got, bound, count)
    assert "lock" not in found["slow"]
    # Without a GIL a task may move on while it is read.
    assert all(kinds.get("wrong", 0) < 0.02 * sum(kinds.values()) for kinds in found.values()), found
