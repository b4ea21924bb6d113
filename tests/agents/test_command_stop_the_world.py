"""The kill switch from a shell: without serve, with a busy database, and killed in the middle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import OperationalError
from django.utils import timezone

from agents import halt_files, halting
from agents.models import Agent, Halt, HaltStop, User
from tests import shell

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    for filed in halt_files.read():
        halt_files.remove(filed.path)


def test_it_stops_says_so_and_lets_go_on(ada: User) -> None:
    stopped = shell.run("stop-the-world", "--yes", "--reason", "a fire")
    assert (stopped.code, "Everything is stopped: a fire." in stopped.said) == (0, True)
    assert halt_files.read() == []
    status = shell.run("stop-the-world", "status")
    assert (status.code, "a fire" in status.out) == (3, True)
    assert shell.run("stop-the-world", "status", "--json").json[0]["stage"] == "stopped"

    assert shell.run("stop-the-world", "resume").code == 0

    assert not halting.current()
    assert shell.run("stop-the-world", "status").code == 0
    assert "Such a halt was not found" in shell.run("stop-the-world", "resume").said


def test_one_agent_person_or_server(ada: User, alice: User, atlas: Agent) -> None:
    for words in (("--agent", "atlas"), ("--person", "alice"), ("--server", "tools")):
        assert shell.run("stop-the-world", "--yes", *words).code == 0
    assert set(Halt.objects.values_list("scope", "subject")) == {
        ("agent", atlas.pk),
        ("person", str(alice.pk)),
        ("server", "tools"),
    }

    for words in (("--agent", "atlas"), ("--person", "alice"), ("--server", "tools")):
        assert shell.run("stop-the-world", "resume", *words).code == 0

    assert not halting.current()


def test_step_by_step(ada: User, atlas: Agent) -> None:
    shell.run("stop-the-world", "--yes")

    assert shell.run("stop-the-world", "resume", "--to", "deciding").code == 0
    assert shell.run("stop-the-world", "resume", "--to", "chosen").code == 1
    assert shell.run("stop-the-world", "resume", "--to", "chosen", "--let", "atlas").code == 0

    assert Halt.objects.get().chosen == [atlas.pk]


@pytest.mark.parametrize(
    "words", [("--agent", "nobody"), ("--person", "nobody"), ("--user", "alice"), ("--reason", "x" * 301)]
)
def test_what_may_not_be_stopped_leaves_neither_row_nor_file(ada: User, alice: User, words: tuple[str, ...]) -> None:
    assert shell.run("stop-the-world", "--yes", *words).code == 1

    assert not Halt.objects.exists()
    assert halt_files.read() == []


def test_a_busy_database_does_not_keep_it_from_being_in_force(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, seen = halting.stop, list[bool]()

    def busy(*args: object, **options: object) -> Halt:
        seen.append(halting.is_halted(agent_id="agent_x"))
        if len(seen) < 3:
            raise OperationalError("database is locked")
        return stop(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(halting, "stop", busy)

    ended = shell.run("stop-the-world", "--yes")

    assert (ended.code, seen) == (0, [True, True, True])
    assert "The database is busy" in ended.said
    assert Halt.objects.count() == 1


def test_killed_before_there_was_a_row_it_is_taken_up(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*args: object, **options: object) -> Halt:
        raise KeyboardInterrupt

    monkeypatch.setattr(halting, "stop", killed)
    with pytest.raises(KeyboardInterrupt):
        shell.run("stop-the-world", "--yes", "--reason", "cut short")
    monkeypatch.undo()
    assert halting.is_halted()

    assert shell.run("stop-the-world", "status").code == 3

    assert Halt.objects.get().reason == "cut short"
    assert shell.run("stop-the-world", "resume").code == 0
    assert not halting.is_halted()


def test_waiting_ends_with_what_did_not_confirm(ada: User) -> None:
    halt = halting.stop(ada, "everything")
    HaltStop.objects.create(halt=halt, kind="engine", subject="gone:1:1", requested_at=timezone.now())

    ended = shell.run("stop-the-world", "--yes", "--wait", "0.3")

    assert ended.code == 4
    assert "Asked to stop: 1. Confirmed: 0." in ended.said
    assert "not confirmed: engine gone:1:1" in ended.said


@pytest.mark.django_db(transaction=True)
def test_as_a_process_of_its_own_nothing_else_need_be_running(ada: User) -> None:
    process = shell.start("stop-the-world", "--yes", "--reason", "by itself")
    _, said = process.communicate(timeout=180)

    assert process.returncode == 0, said
    assert halting.is_halted(agent_id="agent_x")
    assert Halt.objects.get().reason == "by itself"
