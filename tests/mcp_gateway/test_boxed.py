"""A server in a sandbox of its own: what it cannot reach, that it can on the host, and that it is kept as all others."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mcp_gateway import boxed as boxed_module
from mcp_gateway import boxes
from mcp_gateway.children import Launch
from mcp_gateway.supervisor import Times
from sandboxes.driver import SandboxError
from sandboxes.egress import addresses, proxy
from tests.mcp_gateway.boxing import a_place, boxed
from tests.mcp_gateway.gate import EVERYTHING, PATIENCE_S, Gate, a_gate, children_of, held, lives, nothing_more, until

pytestmark = pytest.mark.sandbox
SECRET = "what only Logos may read"


@pytest.fixture
def home() -> Iterator[Path]:
    with a_place() as place:
        yield place


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        yield gate


async def tried(gate: Gate, server: str, what: str, where: object) -> str:
    """What came of one attempt."""
    answer = await gate.call(server, "attempt", what=what, where=str(where))
    return str(answer["result"]["content"][0]["text"])


async def test_walls_stand_between_a_server_and_everything_it_was_not_given(gate: Gate, home: Path) -> None:
    key, other = home / "secret-key", home / "mcp" / "mail" / "shared" / "files" / "letters"
    boxed(home, name="mail")
    for file in (key, other):
        file.write_text(SECRET)
        file.chmod(0o644)  # so that nothing but the walls keeps it
    walled = gate.add("walled", start=boxed(home, env={"API_KEY": "its own"}))
    gate.add("open", start=Launch(sys.executable, (str(EVERYTHING),), {}, home))
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        attempts = [
            ("read", key, SECRET),
            ("read", other, SECRET),
            ("list", home, None),
            ("list", Path.home(), None),
            ("read", "/etc/shadow", None),
            ("connect", f"127.0.0.1:{port}", "connected"),
            ("process", os.getpid(), str(os.geteuid())),
            ("write", home / "planted", "written"),
        ]
        for what, where, on_the_host in attempts:
            found = await tried(gate, "walled", what, where)
            assert found.startswith("refused"), (what, where, found)
            bare = await tried(gate, "open", what, where)
            if on_the_host is not None:
                assert bare == on_the_host, (what, where, bare)
    assert await tried(gate, "walled", "route", "192.0.2.1") == "refused: Network is unreachable"
    assert int(await tried(gate, "walled", "processes", "")) <= 3
    assert (await tried(gate, "walled", "write", "/usr/planted")).startswith("refused")

    seen = (await gate.call("walled", "who"))["result"]
    assert seen["cwd"] == boxes.OWN
    assert seen["env"] == {
        **{"API_KEY": "its own", "PATH": boxes.PATH, "HOME": boxes.OWN, "TMPDIR": "/tmp", "LANG": "C.UTF-8"},
        **{name: seen["env"][name] for name in ("PWD", "LC_CTYPE") if name in seen["env"]},
    }
    assert walled.child is not None
    assert {"userns", "mnt", "pid", "net", "ipc", "seccomp"} <= set(walled.child.walls)
    if os.geteuid() == 0:
        assert "uid" in walled.child.walls


async def test_it_keeps_files_in_its_own_folder_and_reads_what_is_shown_to_it(gate: Gate, home: Path) -> None:
    with a_place() as shown:
        shown.chmod(0o755)
        (shown / "server.py").write_text(EVERYTHING.read_text())
        (shown / "server.py").chmod(0o644)
        launch = boxed(home, args=("server.py",), cwd=str(shown))
        supervisor = gate.add("walled", start=launch)

        assert await tried(gate, "walled", "write", "/workspace/kept") == "written"
        assert (launch.root / "files" / "kept").read_text() == "x"
        assert (await tried(gate, "walled", "write", shown / "server.py")).startswith("refused")
        await supervisor.restart()
        assert await tried(gate, "walled", "read", "/workspace/kept") == "x"


async def test_the_only_way_out_is_to_the_hosts_it_was_given(
    gate: Gate, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"you said " + await reader.read(100))
        writer.close()

    service = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = service.sockets[0].getsockname()[1]

    async def lookup(host: str, port: int) -> list[str]:
        return ["93.184.215.14"]

    async def connect(address: str, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)

    monkeypatch.setattr(addresses, "system_lookup", lookup)
    monkeypatch.setattr(proxy, "connect_to", connect)
    walled = gate.add("walled", start=boxed(home, hosts=("api.example.org", "*.example.net:8443")))

    assert await tried(gate, "walled", "proxy", "api.example.org:443") == "you said hello"
    assert await tried(gate, "walled", "proxy", "a.example.net:8443") == "you said hello"
    for where in ("api.example.org:22", "example.net:8443", "evil.example.org:443", "127.0.0.1:443", "localhost:443"):
        assert (await tried(gate, "walled", "proxy", where)).startswith("refused"), where
    assert (await tried(gate, "walled", "connect", f"127.0.0.1:{port}")).startswith("refused")
    told = "\n".join(walled.errors)
    assert "[Logos] api.example.org:443 allowed" in told
    assert "[Logos] evil.example.org:443 refused. No rule names evil.example.org." in told
    service.close()


async def test_a_machine_that_makes_no_sandboxes_says_why_and_nothing_runs(
    gate: Gate, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: object, spec: object) -> None:
        raise SandboxError("bubblewrap is not installed.", reason="bubblewrap_missing", action="apt install bubblewrap")

    monkeypatch.setattr(boxed_module.LocalDriver, "start", refuse)
    supervisor = gate.add("walled", start=boxed(home))

    await until(lambda: supervisor.state == "parked", "it waits for somebody")
    answer = await gate.call("walled", "echo")

    assert supervisor.reason == "Its sandbox cannot be made. bubblewrap is not installed. apt install bubblewrap"
    assert supervisor.starts == 0
    assert "parked" in answer["result"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"shows": ("/srv/not/there",)}, "is not there"),
        ({"shows": ("{home}",)}, "holds files of Logos itself"),
        ({"shows": ("{home}/mcp",)}, "holds files of Logos itself"),
        ({"shows": ("{link}",)}, "holds files of Logos itself"),
    ],
)
async def test_what_cannot_be_shown_is_not(gate: Gate, home: Path, more: dict[str, tuple[str]], said: str) -> None:
    with a_place() as elsewhere:
        link = elsewhere / "link"
        link.symlink_to(home)
        shows = tuple(each.format(home=home, link=link) for each in more["shows"])
        supervisor = gate.add("walled", start=boxed(home, shows=shows))

        await until(lambda: supervisor.state == "parked", "it waits for somebody")

        assert said in supervisor.reason


async def test_it_dies_is_counted_and_comes_back_as_one_on_the_host(gate: Gate, home: Path) -> None:
    supervisor = gate.add("walled", start=boxed(home), times=Times(30, PATIENCE_S, 0.05, steady_s=0.0))
    await gate.call("walled", "echo")
    before = held()
    for _ in range(3):
        hanging = asyncio.ensure_future(gate.call("walled", "hang"))
        await until(lambda: supervisor.child and supervisor.child.calls, "it waits")
        answer = (await gate.call("walled", "crash"))["result"]
        assert "ended while it worked on this" in answer["content"][0]["text"]
        assert (await hanging)["result"]["isError"]

    assert (await gate.call("walled", "echo", text="again"))["result"]["content"][0]["text"] == "again"
    assert supervisor.starts == 4

    await nothing_more(before, "nothing is left of the dead")


async def test_a_command_that_is_not_there_and_one_that_always_dies_are_parked_with_their_words(
    gate: Gate, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long a busy machine takes to say how it ended.
    monkeypatch.setattr(boxed_module, "GRACE_S", PATIENCE_S)
    times = Times(30, PATIENCE_S, 0.01)
    missing = gate.add("missing", start=boxed(home, command="no-such-program", name="missing"), times=times)
    dying = gate.add("dying", start=boxed(home, "--misbehave", "die", name="dying"), times=times)

    await until(lambda: missing.state == "parked" and dying.state == "parked", "both are parked")

    assert "no-such-program, or what it is started by, is not in its sandbox. Install it below /usr" in missing.reason
    assert ("status 3" in dying.reason, "I will not live" in dying.reason, dying.starts) == (True, True, 5)


async def test_a_stopped_process_in_a_sandbox_is_noticed_and_replaced(gate: Gate, home: Path) -> None:
    supervisor = gate.add("walled", start=boxed(home), times=Times(30, PATIENCE_S, 0.01, ping_s=0.5))
    await gate.call("walled", "echo")
    assert supervisor.child is not None
    init = supervisor.child.pid  # type: ignore[attr-defined]
    (server,) = children_of(init)
    gate.rule("walled", timeout_s=0.5)

    os.kill(server, signal.SIGSTOP)
    for _ in range(2):
        assert (await gate.call("walled", "echo"))["result"]["isError"]
    await until(lambda: supervisor.starts == 2 and supervisor.state == "ready", "another one runs")

    await until(lambda: not lives(server) and not lives(init), "the stopped one is gone")


async def test_a_large_line_a_closed_output_and_what_was_left_behind(gate: Gate, home: Path) -> None:
    supervisor = gate.add("walled", start=boxed(home))

    large = await gate.call("walled", "big", bytes=17 * 1024 * 1024)
    assert supervisor.child is not None
    init = supervisor.child.pid  # type: ignore[attr-defined]
    closed = await gate.call("walled", "close_output")

    assert "larger than 16 MB" in large["result"]["content"][0]["text"]
    assert "ended while it worked on this" in closed["result"]["content"][0]["text"]
    assert (await gate.call("walled", "echo", text="new"))["result"]["content"][0]["text"] == "new"
    await until(lambda: not lives(init), "the first one is gone")
    await gate.call("walled", "fork")
    second = supervisor.child.pid  # type: ignore[attr-defined]
    left = children_of(children_of(second)[0])
    assert left
    await supervisor.stop()
    await until(lambda: not any(lives(each) for each in (second, *left)), "with what it left behind")


HOST = """
import asyncio, sys
from pathlib import Path
from tests.mcp_gateway.boxing import boxed
async def main():
    child = await boxed(Path(sys.argv[1])).start(lambda message: None, lambda child, message: None)
    init = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    await child.ask("initialize", init).answer
    await child.ask("tools/call", {"name": "fork", "arguments": {}}).answer
    keeper = child._state["keeper"]["pid"]
    print(child.pid, keeper, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_sandboxes_of_servers_end_with_a_gateway_that_was_killed(gate: Gate, home: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOST, str(home), stdout=asyncio.subprocess.PIPE, cwd=EVERYTHING.parents[2]
    )
    assert process.stdout is not None
    init, keeper = map(int, (await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).split())
    assert lives(init)
    assert lives(keeper)

    process.kill()
    await process.wait()

    await until(lambda: not lives(init) and not lives(keeper), "both are gone")
    gate.add("walled", start=boxed(home))
    assert (await gate.call("walled", "echo", text="new"))["result"]["content"][0]["text"] == "new"
