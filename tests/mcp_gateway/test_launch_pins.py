"""What is started is what somebody accepted: a file that changed on the disk waits for a person, an edit does not."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from agents import sharing
from agents.errors import Conflict, LogosError, NotFound
from agents.models import Role, SecurityEvent, User, Visibility
from mcp_gateway import access, boxes, gateway, launch_pins, servers, started_files
from mcp_gateway.boxed import BoxedLaunch
from mcp_gateway.children import Launch
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpHealth, McpServer
from tests.api_client import Program
from tests.conftest import person
from tests.mcp_gateway.boxing import EVERYTHING
from tests.mcp_gateway.gate import PATIENCE_S, until
from tests.mcp_gateway.test_gateway import House, call, rows


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return Path(shutil.copyfile(EVERYTHING, tmp_path / "server.py"))


@pytest.fixture
def house(db: None, script: Path) -> McpServer:
    ada = person("ada", Role.ADMIN)
    return servers.create(
        ada, "files", sys.executable, args=[str(script)], place="host", visibility=Visibility.SHARED
    )  # fmt: skip


def launch(server: McpServer) -> Launch:
    return Launch(server.command, tuple(server.args), dict.fromkeys(server.env, "x"), Path("/"))


def start(server: McpServer, agent_id: str = "") -> None:
    launch_pins.check(server.pk, agent_id, launch(server))


def test_what_changed_on_the_disk_waits_and_what_was_edited_does_not(house: McpServer, script: Path) -> None:
    start(house)
    start(house)
    script.write_text(script.read_text() + "# evil\n")

    with pytest.raises(launch_pins.Changed) as held:
        start(house)
    with pytest.raises(launch_pins.Changed):
        start(house, "agent_of_somebody")

    assert (held.value.state, str(script) in str(held.value)) == ("changed", False)
    house = servers.change(house.owner, house.pk, None, args=[str(script), "--era=handshake"])
    start(house)  # whoever edits it accepts what is there
    assert launch_pins.waiting(house.owner, servers.rows().get()) == []


def test_a_change_that_is_taken_back_is_none(house: McpServer, script: Path) -> None:
    text = script.read_text()
    start(house)
    script.write_text("")
    with pytest.raises(launch_pins.Changed):
        start(house)
    script.write_text(text)

    start(house)

    assert launch_pins.waiting(house.owner, servers.rows().get()) == []


def test_who_may_say_what_is_started_accepts_exactly_what_was_looked_at(
    house: McpServer, script: Path, run_command: Callable[..., str], alice: User
) -> None:
    ada, olga = house.owner, person("olga", Role.OPERATOR)
    sharing.grant(ada, olga, "manage", house)
    start(house)
    script.write_text("other = 1")
    with pytest.raises(launch_pins.Changed):
        start(house)
    seen = Program(olga).get(f"mcp-servers/{house.pk}/launch")
    assert [each["path"] for each in seen["items"]] == [str(script)]

    for who, reason in ((olga, "forbidden"), (alice, "not_found")):
        with pytest.raises(LogosError) as refused:
            launch_pins.accept(who, house.pk, seen["digest"])
        assert refused.value.reason == reason
    script.write_text("other = 2")
    with pytest.raises(launch_pins.Changed):
        start(house)
    with pytest.raises(Conflict):
        launch_pins.accept(ada, house.pk, seen["digest"])
    now = Program(ada).get(f"mcp-servers/{house.pk}/launch")["digest"]
    Program(ada).post(f"mcp-servers/{house.pk}/launch", {"digest": now}, 202)

    start(house)
    health = McpHealth.objects.get()
    assert (health.restarts_asked, health.launch_offered) == (1, {})
    assert SecurityEvent.objects.filter(kind="mcp_launch_accepted").count() == 1
    with pytest.raises(NotFound):
        launch_pins.accept(ada, house.pk, now)
    script.write_text("other = 3")
    with pytest.raises(launch_pins.Changed):
        start(house)
    assert str(script) in run_command("mcp", "pins", "files")
    run_command("mcp", "accept", "files", "--launch")
    start(house)


def test_the_page_shows_what_changed_and_takes_the_answer(
    house: McpServer, script: Path, browser: Callable[..., Client], alice: User
) -> None:
    start(house)
    (script.parent / "beside.py").write_text("other = 1")
    with pytest.raises(launch_pins.Changed):
        start(house)
    address = f"/mcp-servers/{house.pk}/"

    page = browser(house.owner).get(address).content.decode()
    other = browser(alice).get(address).content.decode()
    digest = McpHealth.objects.get().launch_offered["digest"]
    done = browser(house.owner).post(address, {"do": "accept-launch", "digest": digest})

    # What lies on the machine is for those who may edit the server, not for everybody who sees it.
    assert "Start it as it is now" in page
    assert str(script.parent / "beside.py") in page
    assert "beside.py" not in other
    assert "Start it as it is now" not in other
    Program(alice).get(f"mcp-servers/{house.pk}/launch", 404)
    assert done.status_code == 302
    start(house)


def test_programs_and_scripts_count_and_data_does_not(tmp_path: Path) -> None:
    program, code, marked, data = (tmp_path / name for name in ("tool", "a.mjs", "run", "base.sqlite"))
    for file in (program, code, marked, data):
        file.write_text("#!/bin/sh\n" if file in (program, marked) else "x")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    args = ("a.mjs", f"--script={marked}", f"--db={data}", "https://example.org", "--flag", "\x00", "x" * 5000)

    found = started_files.of(Launch("tool", args, {"PATH": f"/nowhere:{tmp_path}"}, tmp_path))

    assert [each["path"] for each in found] == [str(program), str(code), str(marked), f"{tmp_path}/"]
    assert set(found[-1]["files"]) == {"a.mjs"}
    assert started_files.of(Launch("no-such-program-of-ours", (), {}, tmp_path)) == []


def test_a_program_that_another_one_stands_before_on_the_path_is_another(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    (tmp_path / "second" / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "second" / "tool").chmod(0o755)
    start_ = Launch("tool", (), {"PATH": f"{tmp_path}/first:{tmp_path}/second"}, tmp_path)
    before = started_files.of(start_)
    os.link(tmp_path / "second" / "tool", tmp_path / "first" / "tool")

    assert started_files.of(start_) != before


def test_in_a_sandbox_files_of_its_own_folder_are_found_there(tmp_path: Path) -> None:
    root = boxes.folder(tmp_path, "mcp_x")
    (root / "files").mkdir(parents=True)
    (root / "files" / "server.py").write_text("x")
    found = started_files.of(BoxedLaunch("x", "python3", ("server.py",), top=tmp_path, root=root))

    assert [each["path"] for each in found[1:]] == ["/workspace/server.py", "/workspace/"]
    assert found[0]["path"].endswith("/python3")
    assert len(started_files.of(BoxedLaunch("x", "python3", ("server.py",), top=tmp_path, root=root), own=False)) == 1


@pytest.fixture
async def started(transactional_db: None, script: Path) -> AsyncIterator[Gateway]:
    def add() -> None:
        servers.create(person("ada", Role.ADMIN), "files", sys.executable, args=[str(script)], place="host")

    await sync_to_async(add)()
    running = Gateway()
    await running.start()
    yield running
    await running.stop()


@pytest.mark.django_db(transaction=True)
async def test_a_running_gateway_holds_it_and_starts_it_when_it_is_accepted(started: Gateway, script: Path) -> None:
    await rows(lambda: McpHealth.objects.filter(state="ready").exists())
    await sync_to_async(script.write_text)(EVERYTHING.read_text() + "# other\n")
    server = await sync_to_async(McpServer.objects.select_related("owner").get)()

    await sync_to_async(servers.restart)(server.owner, server.pk)
    await rows(lambda: McpHealth.objects.filter(state="changed").exists())
    digest = (await sync_to_async(McpHealth.objects.get)()).launch_offered["digest"]
    await sync_to_async(launch_pins.accept)(server.owner, server.pk, digest)

    await rows(lambda: McpHealth.objects.filter(state="ready").exists())


@pytest.mark.django_db(transaction=True)
async def test_a_disk_that_never_answers_holds_up_its_server_and_nobody_else(
    transactional_db: None, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await sync_to_async(House)()
    asleep, look = threading.Event(), started_files.of

    def stuck(launch: Launch, *, own: bool = True) -> list[started_files.File]:
        if str(script) in launch.args:
            asleep.wait(PATIENCE_S)
        return look(launch, own=own)

    monkeypatch.setattr(started_files, "of", stuck)
    monkeypatch.setattr(gateway, "FILES_S", 5.0)
    await sync_to_async(servers.create)(house.ada, "slow", sys.executable, args=[str(script)], place="host")
    running = Gateway()
    await running.start()
    try:
        await rows(lambda: McpHealth.objects.filter(server__name="slow", reason__contains="looked at").exists())
        assert "result" in await call(house.secret, "echo")
        await sync_to_async(access.revoke_token)(house.alice, house.agent.pk, house.token.pk)
        await until(lambda: running.book.by_token(house.secret) is None, "a revocation bites all the same")
    finally:
        asleep.set()
        await running.stop()
