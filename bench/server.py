"""Child: an asyncio server under load, with and without spprof, in turns.

server.py KIND LOOP REQUESTS TURNS INTERVAL_MS     KIND: streams or aiohttp; LOOP: asyncio or uvloop
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import spprof

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "functional"))
import server


def main() -> None:
    kind, loop, requests, turns, interval_ms = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    if loop == "uvloop":
        import uvloop

        uvloop.install()
    # Handlers that wait for nothing long: the server is as busy as it gets.
    server.SLEEP_S = server.LOCK_S = 0

    def profile(turn: int) -> contextlib.AbstractContextManager[object]:
        # pairs of turns, each way first in every other pair
        with_spprof = (turn % 4) in (1, 2)
        return spprof.Profiler(interval_ms, mode="wall") if with_spprof else contextlib.nullcontext()

    seconds = asyncio.run(server.serve(kind, requests, turns, profile))
    rates = [requests / each for each in seconds]
    json.dump(
        {
            "without": [rate for turn, rate in enumerate(rates) if turn % 4 in (0, 3)],
            "with": [rate for turn, rate in enumerate(rates) if turn % 4 in (1, 2)],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
