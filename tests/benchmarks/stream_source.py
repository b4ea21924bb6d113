"""The source of the stream benchmark: speaks like the agent runtime, one paced event stream for each request.

    python -m tests.benchmarks.stream_source PER_S COUNT RUNS

Prints its port. ``RUNS`` is how many streams there will be: each begins a little after the one before.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

PADDING = "x" * 120
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


async def serve(per_s: float, count: int, runs: int) -> None:
    streams = 0

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal streams
        run_id = (await reader.readuntil(b"\r\n\r\n")).split(b"/v1/runs/", 1)[1].split(b"/", 1)[0].decode()
        streams += 1
        loop = asyncio.get_running_loop()
        began = loop.time() + streams / per_s / runs
        writer.write(HEAD)
        for number in range(count):
            await asyncio.sleep(began + (number + 1) / per_s - loop.time())
            text = f"{PADDING} ns:{time.monotonic_ns()};"
            frame = {"event": "message.delta", "run_id": run_id, "timestamp": 1795232901.79, "delta": text}
            writer.write(f"data: {json.dumps(frame)}\n\n".encode())
        await asyncio.sleep(0.1)
        writer.close()

    server = await asyncio.start_server(stream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
