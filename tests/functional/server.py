"""An asyncio server that knows how long its handlers waited, and for what. Run in a child:

    server.py streams|aiohttp asyncio|uvloop REQUESTS INTERVAL_MS

Clients are a process of their own (`server.py client PORT REQUESTS`). Prints JSON: the handlers' own figures, and the profile's.
`bench/server.py` measures with it as well: `serve` gives the seconds that the requests took."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

CLIENTS = 16
SLEEP_S, LOCK_S = 0.02, 0.004
#: Nanoseconds in handlers by what they waited for.
truth: dict[str, int] = {"slow sleep": 0, "locked lock": 0, "locked sleep": 0}
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
    truth["slow sleep"] += time.monotonic_ns() - begin
    counts["slow"] += 1
    return b"slow"


async def locked(lock: asyncio.Lock) -> bytes:
    begin = time.monotonic_ns()
    async with lock:  # one after the other
        got = time.monotonic_ns()
        await asyncio.sleep(LOCK_S)
        truth["locked sleep"] += time.monotonic_ns() - got
    truth["locked lock"] += got - begin
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

    begin = time.monotonic()
    await asyncio.gather(*[one(i) for i in range(CLIENTS)])
    print(time.monotonic() - begin)


async def serve(kind: str, requests: int, turns: int, profile: Any) -> list[tuple[float, float, float]]:
    """Seconds of each turn: what the requests took, as the clients have it; what was profiled; CPU time of this process."""
    lock = asyncio.Lock()
    port = await (start_streams if kind == "streams" else start_aiohttp)(lock)
    seconds = []
    for turn in range(turns):
        command = (sys.executable, __file__, "client", str(port), str(requests))
        with profile(turn):
            begin, cpu = time.monotonic(), time.process_time()
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            output, _ = await asyncio.wait_for(process.communicate(), 60)
            profiled, cpu = time.monotonic() - begin, time.process_time() - cpu
        if process.returncode != 0:
            raise OSError(f"the clients ended with {process.returncode}")
        seconds.append((float(output), profiled, cpu))
    return seconds


def main() -> None:
    if sys.argv[1] == "client":
        asyncio.run(client(int(sys.argv[2]), int(sys.argv[3])))
        return
    import spprof
    from spprof._tasks import TaskSampler

    kind, loop, requests, interval_ms = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    if loop == "uvloop":
        import uvloop

        uvloop.install()
    looks: list[int] = []  # what each stood for, for a bound
    original = TaskSampler._look

    def look(self: TaskSampler, now: int, elapsed: int) -> bool:
        looks.append(elapsed)
        return original(self, now, elapsed)

    TaskSampler._look = look  # type: ignore[method-assign]
    block = spprof.Profiler(interval_ms, mode="wall")
    ((_, seconds, _),) = asyncio.run(serve(kind, requests, 1, lambda turn: block))
    found: dict[str, dict[str, int]] = {}
    assert block.profile is not None
    for sample in block.profile.samples:
        names = [frame.function_name for frame in sample.frames]
        if sample.frames[-1].is_suspended:
            for name in counts:
                if name in names:
                    kinds = found.setdefault(name, {})
                    # Those that could go on are where they waited: in the call that has not returned yet.
                    key = "lock" if "Lock.acquire" in names or "acquire" in names else "sleep"
                    kinds[key] = kinds.get(key, 0) + sample.weight_ns
                    if sample.state == "sleeping" and sample.waiting_for != key:
                        kinds["wrong"] = kinds.get("wrong", 0) + sample.weight_ns
    print(json.dumps({"truth": truth, "counts": counts, "found": found, "seconds": seconds, "looks": looks}))


if __name__ == "__main__":
    main()
