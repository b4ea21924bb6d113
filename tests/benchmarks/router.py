"""What the inference router adds to a model call: time to the first token, and calls per second.

    python -m tests.benchmarks.router [--seconds 2] [--json]

Four processes on loopback: an instant scripted provider, a raw asyncio relay (the least a relay can do in
Python), the router under uvicorn with lane check, tap and metering into SQLite, and the caller. Cells of the
three ways are interleaved, so that a busy machine disturbs all alike; the ratio to the raw relay is what
carries to other machines. It cannot tell what TLS, a slow provider, or a long-lived process would add.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from statistics import quantiles
from time import perf_counter

CHUNKS = 20
DIRECT, RAW, ROUTER = "direct", "raw relay", "router"
GOALS = {"ttft_added_p50_ms": 1.0, "ttft_added_p95_ms": 2.0, "calls_per_s_16": 1500.0}


def event(delta: dict[str, str] | None, **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None}]
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + json.dumps({**chunk, **more}).encode() + b"\n\n"


def request(path: str, port: int, kilobytes: int) -> bytes:
    """A streaming call; ``kilobytes`` of it are a system prompt, as a runtime with many tools sends one."""
    messages = [{"role": "system", "content": "x " * 512 * kilobytes}, {"role": "user", "content": "Hello"}]
    tools = [{"type": "function", "function": {"name": "terminal", "parameters": {"type": "object"}}}]
    body = json.dumps({"model": "label", "stream": True, "messages": messages, "tools": tools}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Authorization: Bearer x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


# --- the provider and the raw relay ---------------------------------------------------------------------------


class ProviderProtocol(asyncio.Protocol):
    """Answers every request at once with the same stream, one write for each chunk."""

    parts = [
        event({"content": "Hello "}),
        *[event({"content": f"word{n} "}) for n in range(CHUNKS - 1)],
        event(None, usage={"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}) + b"data: [DONE]\n\n",
    ]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer, self.missing = transport, b"", 0

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.answer()

    def answer(self) -> None:
        write = self.transport.write  # type: ignore[attr-defined]
        write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in self.parts:
            write(b"%x\r\n%s\r\n" % (len(part), part))
        write(b"0\r\n\r\n")


class RelayProtocol(asyncio.Protocol):
    """Bytes from one connection to another, and back."""

    def __init__(self, port: int) -> None:
        self.port, self.other, self.early = port, None, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.task = asyncio.ensure_future(self.connect())

    async def connect(self) -> None:
        loop, relay = asyncio.get_running_loop(), self

        class Back(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                relay.transport.write(data)

        self.other, _ = await loop.create_connection(Back, "127.0.0.1", self.port)
        self.other.write(self.early)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.early += data
        else:
            self.other.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


async def serve_provider() -> None:
    server = await asyncio.get_running_loop().create_server(ProviderProtocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


async def serve_relay(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: RelayProtocol(port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


# --- the router, in a process of its own ----------------------------------------------------------------------


def serve_router(port: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    asyncio.run(_route(port))


class Deaf:
    """A run that hears everything and does nothing with it."""

    def __getattr__(self, name: str) -> object:
        return lambda *values, **named: None


async def _route(port: int) -> None:
    import logging
    import socket
    from decimal import Decimal

    from sandboxes.inference.calls import RouteTarget
    from sandboxes.inference.lanes import Lanes
    from sandboxes.inference.meter import Meter
    from sandboxes.inference.router import Router
    from sandboxes.inference.rows import write_rows
    from sandboxes.inference.serve import PassedListeners

    logging.disable(logging.INFO)
    lanes, meter, listeners = Lanes(), Meter(write_rows), PassedListeners(drain_s=1)
    address, price = f"http://127.0.0.1:{port}/v1", Decimal("3")
    target = RouteTarget(
        "route_1", "openai-compatible", "m", address, "sk-benchmark", price_input=price, price_output=price
    )
    rehearsal = RouteTarget("route_2", "rehearsal", "rehearsal-1")
    lanes.lease("box_1", "run_1", target, Deaf(), 1)  # type: ignore[arg-type]
    lanes.lease("box_1", "run_2", rehearsal, Deaf(), 2)  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0))
    await listeners.add("box_1", listener, Router(lanes, meter).for_sandbox("box_1"))
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    await asyncio.get_running_loop().create_future()


# --- the caller -----------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """What one way did at one concurrency."""

    ttft_ms: list[float] = field(default_factory=list)
    calls: int = 0
    seconds: float = 0.0

    @property
    def p50(self) -> float:
        return quantiles(self.ttft_ms, n=100)[49]

    @property
    def p95(self) -> float:
        return quantiles(self.ttft_ms, n=100)[94]

    @property
    def per_s(self) -> float:
        return self.calls / self.seconds


class Caller(asyncio.Protocol):
    """One connection that calls again as soon as it was answered, until the time is up."""

    def __init__(self, payload: bytes, cell: Cell, until: float) -> None:
        self.payload, self.cell, self.until = payload, cell, until
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.call()

    def call(self) -> None:
        self.has_begun, self.began = False, perf_counter()
        self.transport.write(self.payload)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.has_begun and b"data:" in data:
            self.has_begun = True
            self.cell.ttft_ms.append((perf_counter() - self.began) * 1000)
        if data.endswith(b"0\r\n\r\n"):
            self.cell.calls += 1
            if perf_counter() < self.until:
                self.call()
            else:
                self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


async def measure(port: int, payload: bytes, cell: Cell, callers: int, seconds: float) -> None:
    loop, began = asyncio.get_running_loop(), perf_counter()
    made = [
        await loop.create_connection(lambda: Caller(payload, cell, began + seconds), "127.0.0.1", port)
        for _ in range(callers)
    ]
    await asyncio.gather(*(caller.finished for _, caller in made))
    cell.seconds += perf_counter() - began


def start(*role: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-m", __spec__.name, *role], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


async def compare(seconds: float) -> dict[str, float]:
    """Run all cells and return the figures."""
    processes = []
    try:
        provider, port = start("provider")
        processes.append(provider)
        relay, relay_port = start("relay", str(port))
        processes.append(relay)
        router, router_port = start("router", str(port))
        processes.append(router)
        ways = {
            DIRECT: (port, "/v1/chat/completions"),
            RAW: (relay_port, "/v1/chat/completions"),
            ROUTER: (router_port, "/lane/1/v1/chat/completions"),
        }
        figures = {}
        for callers, kilobytes in ((1, 1), (16, 1), (1, 60)):
            figures |= await _row(ways, callers, kilobytes, seconds)
        rehearsal = Cell()
        await measure(router_port, request("/lane/2/v1/chat/completions", router_port, 1), rehearsal, 1, seconds)
        print(f"\nrehearsal model, 1 caller: first token {rehearsal.p50:.2f} ms, {rehearsal.per_s:.0f} replies/s")  # noqa: T201
        with open(f"/proc/{router.pid}/status") as status:  # noqa: ASYNC230
            figures["router_rss_mb"] = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
        return figures
    finally:
        for process in processes:
            process.terminate()
            process.wait()


async def _row(ways: dict[str, tuple[int, str]], callers: int, kilobytes: int, seconds: float) -> dict[str, float]:
    cells = {way: Cell() for way in ways}
    for port, path in ways.values():  # connections, caches and the provider's URL are made once
        await measure(port, request(path, port, kilobytes), Cell(), callers, 0.2)
    for _ in range(4):
        for way, (port, path) in ways.items():
            await measure(port, request(path, port, kilobytes), cells[way], callers, seconds / 4)
    print(f"\n{callers} caller(s), {kilobytes} KB requests, {CHUNKS}-chunk answers")  # noqa: T201
    print(f"{'':10} {'p50 ms':>8} {'p95 ms':>8} {'x raw':>6} {'calls/s':>8} {'of raw':>7}")  # noqa: T201
    for way, cell in cells.items():
        ratio, share = cell.p50 / cells[RAW].p50, cell.per_s / cells[RAW].per_s
        print(f"{way:10} {cell.p50:8.2f} {cell.p95:8.2f} {ratio:6.1f} {cell.per_s:8.0f} {share:7.0%}")  # noqa: T201
    direct, router = cells[DIRECT], cells[ROUTER]
    if callers > 1:
        return {
            f"calls_per_s_{callers}": router.per_s,
            f"calls_per_s_{callers}_of_raw": router.per_s / cells[RAW].per_s,
        }
    suffix = "" if kilobytes == 1 else f"_{kilobytes}kb"
    return {
        f"ttft_added_p50_ms{suffix}": router.p50 - direct.p50,
        f"ttft_added_p95_ms{suffix}": router.p95 - direct.p95,
        f"ttft_ratio_to_raw{suffix}": router.p50 / cells[RAW].p50,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("role", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=2.0, help="per cell")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    match options.role:
        case ["provider"]:
            asyncio.run(serve_provider())
        case ["relay", port]:
            asyncio.run(serve_relay(int(port)))
        case ["router", port]:
            serve_router(int(port))
        case _:
            report(asyncio.run(compare(options.seconds)), as_json=options.json)


def report(figures: dict[str, float], *, as_json: bool) -> None:
    print()  # noqa: T201
    for name, goal in GOALS.items():
        reached = figures[name] >= goal if name.startswith("calls") else figures[name] <= goal
        print(f"{'reached' if reached else 'MISSED ':8} {name} = {figures[name]:.2f} (goal {goal:g})")  # noqa: T201
    if as_json:
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}))  # noqa: T201


if __name__ == "__main__":
    main()
