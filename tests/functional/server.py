"""An asyncio server that knows how long its handlers waited, and for what. Run in a child:

    server.py streams|aiohttp asyncio|uvloop REQUESTS [INTERVAL_MS]

Clients are a process of their own (`server.py client PORT REQUESTS`). Prints JSON: the handlers' own figures, and the profile's
(without INTERVAL_MS no profile is taken). Also what `bench/server.py` measures with: `seconds` is what the requests took."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

CLIENTS = 16
SLEEP_S, LOCK_S = 0.02, 0.004
truth: dict[str, int] = {"slow": 0, "locked": 0}
counts: dict[str, int] = {"slow": 0, "locked": 0}


def compute(n: int = 2000) -> int:
    total = 0
    for i in range(n):
        total += i * i
    return total


async def slow() -> bytes:
    compute()
    begin = time.monotonic_ns()
    await asyncio.sleep(SLEEP_S)
    truth["slow"] += time.monotonic_ns() - begin
    counts["slow"] += 1
    return b"slow"


async def locked(lock: asyncio.Lock) -> bytes:
    begin = time.monotonic_ns()
    async with lock:  # one after the other
        await asyncio.sleep(LOCK_S)
    truth["locked"] += time.monotonic_ns() - begin
    counts["locked"] += 1
    compute()
    return b"locked"


async def answer(path: str, lock: asyncio.Lock) -> bytes:
    return await (slow() if path == "/slow" else locked(lock))


async def start_streams(lock: asyncio.Lock) -> int:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            line = await reader.readline()
            if not line:
                break
            path = line.split()[1].decode()
            while (await reader.readline()).strip():
                pass
            body = await answer(path, lock)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def start_aiohttp(lock: asyncio.Lock) -> int:
    from aiohttp import web

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=await answer(request.path, lock))

    app = web.Application()
    app.router.add_get("/{name}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return int(site._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]


async def client(port: int, requests: int) -> None:
    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path = "/locked" if number % 4 == 0 else "/slow"
        for _ in range(requests // CLIENTS):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = [int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")]
            await reader.readexactly(length)
        writer.close()

    await asyncio.gather(*[one(i) for i in range(CLIENTS)])


async def serve(kind: str, requests: int, turns: int, profile: Any) -> list[float]:
    lock = asyncio.Lock()
    port = await (start_streams if kind == "streams" else start_aiohttp)(lock)
    seconds = []
    for turn in range(turns):
        with profile(turn):
            begin = time.monotonic()
            process = await asyncio.create_subprocess_exec(sys.executable, __file__, "client", str(port), str(requests))
            code = await process.wait()
            seconds.append(time.monotonic() - begin)
        if code != 0:
            raise OSError(f"the clients ended with {code}")
    return seconds


def main() -> None:
    if sys.argv[1] == "client":
        asyncio.run(client(int(sys.argv[2]), int(sys.argv[3])))
        return
    import contextlib

    import spprof

    kind, loop, requests = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if loop == "uvloop":
        import uvloop

        uvloop.install()
    block = spprof.Profiler(float(sys.argv[4]), mode="wall") if len(sys.argv) > 4 else contextlib.nullcontext()
    asyncio.run(serve(kind, requests, 1, lambda turn: block))
    found: dict[str, dict[str, int]] = {}
    samples = block.profile.samples if isinstance(block, spprof.Profiler) and block.profile else []
    for sample in samples:
        names = [frame.function_name for frame in sample.frames]
        if sample.frames[-1].is_suspended:
            for name in ("slow", "locked"):
                if name in names:
                    kinds = found.setdefault(name, {})
                    key = sample.waiting_for if sample.state == "sleeping" else sample.state
                    kinds[key] = kinds.get(key, 0) + sample.weight_ns
    print(json.dumps({"truth": truth, "counts": counts, "found": found}))


if __name__ == "__main__":
    main()
