"""What the egress proxy of a real sandbox adds to a connection: attribution, rules, connecting, noting.

    python -m tests.benchmarks.egress [--connects 1000] [--json]

A client inside the sandbox opens tunnels one after another, then many at once, through the proxy and, in the same run,
through a forwarder on another port that answers CONNECT and asks nobody. Both lead to the same server of this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
from pathlib import Path

from sandboxes.driver import Attachment
from sandboxes.egress.proxy import Decision, EgressProxy
from sandboxes.execute import run
from sandboxes.local.driver import LocalDriver
from tests.benchmarks.measuring import percentile, report
from tests.benchmarks.reach import rules
from tests.sandboxes.local_specs import local_spec

PROXY, PLAIN = 3128, 3129
GOALS = {"added_p50_ms": ("<=", 10.0), "connects_per_s": (">=", 500.0)}

CLIENT = """
import asyncio, json, sys, time
port, count, at_once = map(int, sys.argv[1:])
async def one(took):
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT host2.example.org:443 HTTP/1.1\\r\\n\\r\\n")
    answer = await reader.readuntil(b"\\r\\n\\r\\n")
    took.append((time.perf_counter() - began) * 1000)
    assert b" 200 " in answer, answer
    writer.close()
async def main():
    took, left = [], iter(range(count))
    async def worker():
        for _ in left:
            await one(took)
    began = time.perf_counter()
    await asyncio.gather(*[worker() for _ in range(at_once)])
    print(json.dumps({"took": took, "s": time.perf_counter() - began}))
asyncio.run(main())
"""


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """A proxy that asks nobody."""
    await reader.readuntil(b"\r\n\r\n")
    _, upstream = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await reader.read(1)
    upstream.close()
    writer.close()


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The server at the other end: it says nothing, and closes when the other side has."""
    await reader.read()
    writer.close()


async def ask(attachment: Attachment, port: int, count: int, at_once: int) -> tuple[list[float], float]:
    """How long each tunnel took in milliseconds, and all of them in seconds."""
    words = ["/usr/bin/python3", "-c", CLIENT, str(port), str(count), str(at_once)]
    done = await run(attachment, words, timeout_s=300)
    if done.code:
        raise SystemExit(done.stderr.decode())
    said = json.loads(done.stdout)
    return said["took"], said["s"]


def a_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="logos-egress-", dir="/var/tmp"))
    directory.chmod(0o755)
    return directory


async def measure(count: int) -> dict[str, float]:
    directory = a_directory()
    driver = LocalDriver()
    handle = await driver.start(local_spec(directory, listen=(PROXY, PLAIN)))
    attachment = await driver.attach(handle.state)
    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    upstream = server.sockets[0].getsockname()[1]
    known, notes = rules(1_000), list[Decision]()

    async def reach() -> object:
        return known

    async def lookup(host: str, port: int) -> list[str]:
        return ["1.1.1.1"]

    async def connect(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", upstream)

    proxy = EgressProxy(reach, notes.append, attachment, lookup=lookup, connect=connect)  # type: ignore[arg-type]
    sockets = await attachment.listeners()
    await proxy.serve(sockets[PROXY])
    plain = await asyncio.start_server(lambda r, w: forward(r, w, upstream), sock=sockets[PLAIN])
    try:
        for port in (PROXY, PLAIN):
            await ask(attachment, port, 50, 5)
        alone, _ = await ask(attachment, PROXY, count, 1)
        alone_plain, _ = await ask(attachment, PLAIN, count, 1)
        _, took = await ask(attachment, PROXY, count * 2, 64)
        _, took_plain = await ask(attachment, PLAIN, count * 2, 64)
    finally:
        await proxy.close()
        plain.close()
        server.close()
        await attachment.close()
        await driver.stop(handle.state, now=True)
        shutil.rmtree(directory)
    assert all(note.binary for note in notes)
    return {
        "added_p50_ms": percentile(alone, 0.5) - percentile(alone_plain, 0.5),
        "added_p95_ms": percentile(alone, 0.95) - percentile(alone_plain, 0.95),
        "proxy_p50_ms": percentile(alone, 0.5),
        "plain_p50_ms": percentile(alone_plain, 0.5),
        "connects_per_s": count * 2 / took,
        "plain_connects_per_s": count * 2 / took_plain,
        "ratio_to_baseline": took / took_plain,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connects", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.connects))
    for name, value in figures.items():
        print(f"{name:22} {value:12.2f}")  # noqa: T201
    report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
