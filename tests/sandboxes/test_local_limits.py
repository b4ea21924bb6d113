"""What happens in a real sandbox that wants more than it may have: by control groups, and by the guard alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandboxes.driver import Attachment, LimitNotice, Limits, SandboxHandle
from sandboxes.execute import run
from sandboxes.local import groups
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.local_specs import local_spec

pytestmark = pytest.mark.sandbox

SMALL = Limits(memory_mb=192, processes=60, disk_mb=64, cpu_percent=40)
MANY_OF_60_MB = (
    "for i in 1 2 3 4 5 6; do python3 -c 'import time; x = bytearray(60 << 20); time.sleep(3)' & done; wait; echo end"
)


@pytest.fixture(params=["groups", "guard"])
async def small(request: pytest.FixtureRequest, walkable_dir: Path) -> AsyncIterator[SandboxHandle]:
    if request.param == "groups" and {"memory", "pids"} - groups.places().keys():
        pytest.skip("no control groups can be made here")
    driver = LocalDriver(use_groups=request.param == "groups")
    handle = await driver.start(local_spec(walkable_dir, limits=SMALL))
    yield handle
    await driver.stop(handle.state, now=True)


@pytest.fixture
async def attached(small: SandboxHandle) -> AsyncIterator[Attachment]:
    attachment = await LocalDriver().attach(small.state)
    yield attachment
    await attachment.close()


async def noticed(attachment: Attachment, limit: str, *, over: bool = True) -> LimitNotice:
    async with asyncio.timeout(120):
        async for notice in attachment.notices():
            if notice.limit == limit and notice.is_over is over:
                return notice
    raise AssertionError("the sandbox ended")


async def test_processes_that_take_too_much_memory_together_are_ended_and_it_is_said(attached: Attachment) -> None:
    done = await run(attached, ["sh", "-c", MANY_OF_60_MB])

    assert done.stdout == b"end\n"  # the shell, which took little, lives
    notice = await noticed(attached, "memory")
    assert "memory limit of 192 MiB" in notice.sentence
    assert (await run(attached, ["echo", "alive"])).stdout == b"alive\n"


async def test_what_writes_past_the_disk_limit_is_ended_and_nothing_is_deleted(attached: Attachment) -> None:
    done = await run(attached, ["sh", "-c", "head -c 200M /dev/zero > /workspace/big; sleep 100; echo late"])

    assert done.code == -9
    assert b"late" not in done.stdout
    assert "disk limit of 64 MiB" in (await noticed(attached, "disk")).sentence
    assert int((await run(attached, ["stat", "-c", "%s", "/workspace/big"])).stdout) > 64 << 20

    # Over the limit one may still delete, and is told when it is enough.
    cleaned = await run(attached, ["sh", "-c", "rm /workspace/big; sleep 3; echo cleaned"])
    assert cleaned.stdout == b"cleaned\n"
    await noticed(attached, "disk", over=False)


async def test_files_hidden_from_a_walk_count_all_the_same(attached: Attachment) -> None:
    hidden = """
import os, time
os.makedirs("/workspace/a/b"); os.chdir("/workspace/a/b")
kept = open("x", "wb"); os.unlink("x"); os.chmod("/workspace/a", 0)
kept.write(bytes(100 << 20)); kept.flush(); time.sleep(100); print("late")
"""
    done = await run(attached, ["python3", "-c", hidden])

    assert (done.code, done.stdout) == (-9, b"")


async def test_a_tree_too_deep_to_be_walked_is_no_way_around_the_limit(attached: Attachment) -> None:
    deep = """
import os, time
for _ in range(400):
    os.mkdir("d"); os.chdir("d")
time.sleep(100); print("late")
"""
    done = await run(attached, ["python3", "-c", deep])

    assert (done.code, done.stdout) == (-9, b"")
    assert "deep in one another" in (await noticed(attached, "disk")).sentence


async def test_a_fork_bomb_stays_in_its_bounds_and_commands_go_on_afterwards(attached: Attachment) -> None:
    bomb = """
import os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(2); os._exit(0)
        count += 1
except BlockingIOError:
    print(count)
"""
    done = await run(attached, ["python3", "-c", bomb])

    assert 20 < int(done.stdout) < 60 + groups.SPARE_PROCESSES
    async with asyncio.timeout(120):
        while (await run(attached, ["echo", "alive"])).stdout != b"alive\n":
            await asyncio.sleep(0.2)


async def test_processor_time_is_bounded_where_control_groups_do_it(attached: Attachment, small: SandboxHandle) -> None:
    busy = "import time\nend = time.time() + 1.5\nwhile time.time() < end: pass\nprint(time.process_time())"
    used = float((await run(attached, ["python3", "-c", busy])).stdout)

    if any(layer.startswith("cpu:cgroup") for layer in small.layers):
        assert used < 0.9
    else:
        assert "cpu:nice" in small.layers
        nice = min(os.nice(0) + 5, 19)  # these tests may have been told to be nice themselves
        assert int((await run(attached, ["nice"])).stdout) == nice


async def test_the_runtime_is_spared_when_others_fill_the_disk(attached: Attachment) -> None:
    silent = os.open("/dev/null", os.O_RDWR)
    runtime = await attached.exec(["sleep", "60"], stdio=(silent, silent, silent))
    await runtime.guard()
    os.close(silent)

    done = await run(attached, ["sh", "-c", "head -c 100M /dev/zero > /workspace/big; sleep 20"])

    assert done.code == -9
    assert (await run(attached, ["echo", "alive"])).stdout == b"alive\n"


async def test_nothing_of_the_groups_is_left_when_the_sandbox_has_ended(walkable_dir: Path) -> None:
    driver = LocalDriver()
    handle = await driver.start(local_spec(walkable_dir))
    made = [Path(each) for each in handle.state["groups"]]
    assert len(made) == len(groups.places())
    assert all(each.is_dir() for each in made)

    os.kill(handle.state["keeper"]["pid"], 9)
    await driver.stop(handle.state)

    assert not any(each.exists() for each in made)
