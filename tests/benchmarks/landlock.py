"""What Landlock adds to a command in a sandbox: the same sandbox with it and without, turn about.

    python -m tests.benchmarks.landlock [--rounds 200] [--json]

Two sandboxes are up at once, one of which is told that its kernel has no Landlock; commands alternate between them, so
that whatever else the machine does falls on both. Two figures: starting ``/bin/true`` (a ruleset is put on for each
command) and opening files (each path is looked at by it). It cannot tell what a longer list of paths would cost.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandboxes.driver import Attachment, SandboxHandle
from sandboxes.execute import run
from sandboxes.local import bwrap
from sandboxes.local.driver import LocalDriver
from tests.benchmarks.measuring import percentile, report
from tests.sandboxes.local_specs import local_spec

GOALS = {"exec_added_p50_ms": ("<=", 2.0), "open_added_us": ("<=", 2.0)}
NO_LANDLOCK = "\n\ndef abi() -> int:\n    return 0\n"
OPENED = 4_000
# Prints the seconds that opening and closing so many files took, after one round to warm them.
OPEN = f"""
import os, time
paths = [os.path.join(top, name) for top, _, names in os.walk("/usr/share") for name in names][:{OPENED}]
def opened():
    began = time.perf_counter()
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError:
            pass
    return time.perf_counter() - began
opened()
print(min(opened() for _ in range(5)) / max(len(paths), 1) * 1e6)
"""


@contextmanager
def without_landlock() -> Iterator[None]:
    """Sandboxes that are started meanwhile find no Landlock in their kernel."""
    real = bwrap._text
    bwrap._text = lambda path, text: real(path, text + NO_LANDLOCK if path.endswith("/landlock.py") else text)
    try:
        yield
    finally:
        bwrap._text = real


async def measured(directory: Path, rounds: int) -> dict[str, float]:
    driver, handles = LocalDriver(), dict[str, SandboxHandle]()
    try:
        handles["on"] = await driver.start(local_spec(directory, "on"))
        with without_landlock():
            handles["off"] = await driver.start(local_spec(directory, "off"))
        assert any(layer.startswith("landlock") for layer in handles["on"].layers), "this kernel has no Landlock"
        assert not any(layer.startswith("landlock") for layer in handles["off"].layers)
        attached = {name: await driver.attach(handle.state) for name, handle in handles.items()}
        figures = await compared(attached, rounds)
        for attachment in attached.values():
            await attachment.close()
        return figures
    finally:
        for handle in handles.values():
            await driver.stop(handle.state, now=True)


async def compared(attached: dict[str, Attachment], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in attached}
    opened: dict[str, list[float]] = {name: [] for name in attached}
    for _ in range(rounds):
        for name, attachment in attached.items():
            began = time.perf_counter()
            assert (await run(attachment, ["/bin/true"])).code == 0
            times[name].append((time.perf_counter() - began) * 1000)
    for _ in range(max(3, rounds // 20)):
        for name, attachment in attached.items():
            opened[name].append(float((await run(attachment, ["python3", "-c", OPEN], timeout_s=60)).stdout))
    found = {f"exec_{name}_{what}_ms": percentile(values, share) for name, values in times.items()
             for what, share in (("p50", 0.5), ("p95", 0.95))}  # fmt: skip
    found |= {f"open_{name}_us": percentile(values, 0.5) for name, values in opened.items()}
    found["exec_added_p50_ms"] = found["exec_on_p50_ms"] - found["exec_off_p50_ms"]
    found["open_added_us"] = found["open_on_us"] - found["open_off_us"]
    found["open_ratio"] = found["open_on_us"] / found["open_off_us"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="logos-bench-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        figures = asyncio.run(measured(directory, options.rounds))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    for name, value in figures.items():
        print(f"{name:24} {value:9.3f}")  # noqa: T201
    report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
