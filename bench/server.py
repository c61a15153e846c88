"""Child: an asyncio server under load, with and without spprof, in turns. Its clients are another process.

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
    report: dict[str, object] = {"requests": requests}
    for way, these in (("without", (0, 3)), ("with", (1, 2))):
        report[way] = [took for turn, (took, _, _) in enumerate(seconds) if turn % 4 in these]
        report[f"cpu_{way}"] = [cpu for turn, (_, _, cpu) in enumerate(seconds) if turn % 4 in these]
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
