"""An archive of a person's data: whole, theirs alone, for those who may, and gone after a while."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents import acting, audit, exporting, people, privacy
from agents.errors import Conflict, NotFound
from agents.models import Agent, DataExport, ExportState, ModelRoute, Provider, Role, SecurityEvent, User
from runs import dispatch
from runs.models import Budget, Charge, Run
from sandboxes.models import ToolCall
from tests import shell
from tests.api_client import Program, end, record
from tests.conftest import PASSWORD, person


@pytest.fixture
def talked(alice: User, bob: User, atlas: Agent) -> None:
    """Alice and Bob have both chatted with atlas."""
    for somebody, words in ((alice, "Alice's ünïcode words"), (bob, "Bob's own words")):
        run = dispatch.start(somebody, words, agent=atlas).run
        record(run, ("text.delta", {"text": f"An answer to {words}"}))
        end(run, f"An answer to {words}")


def made(asker: User, about: User) -> dict[str, Any]:
    """What the archive holds, by file."""
    row = exporting.ask(asker, about)
    exporting.make(row.pk)
    _, file = exporting.opened(asker, row.pk)
    with file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        read = {name: archive.read(name).decode() for name in archive.namelist()}
    return {name: json.loads(text) if name.endswith(".json") else text for name, text in read.items()}


def test_it_holds_all_of_a_person_and_nothing_of_others(talked: None, alice: User) -> None:
    Program(alice)

    found = made(alice, alice)

    assert found["profile.json"][0]["username"] == "alice"
    assert [each["name"] for each in found["agents.json"]] == ["atlas"]
    assert [each["text"] for each in found["messages.json"]] == [
        "Alice's ünïcode words",
        "An answer to Alice's ünïcode words",
    ]
    assert {"run.queued", "text.delta", "run.completed"} == {each["kind"] for each in found["events.json"]}
    assert (len(found["runs.json"]), len(found["stamps.json"]), len(found["conversations.json"])) == (1, 1, 1)
    assert found["tokens.json"][0].keys() == {"name", "hint", "created_at", "last_used_at", "expires_at", "revoked_at"}
    assert all(f"`{name}`" in found["README.md"] for name in found if name.endswith(".json"))
    text = json.dumps(found)
    assert "Bob" not in text
    assert "digest" not in found["tokens.json"][0]
    assert alice.password not in text


def test_it_tells_not_where_others_were_who_did_something_to_one(alice: User, ada: User) -> None:
    with acting.through("page", ada, "198.51.100.7"):
        people.set_limit(ada, alice, "7")
    with acting.through("page", alice, "203.0.113.5"):
        audit.note("signed_in", actor=alice, person=alice)

    told = list(exporting._events(alice))

    assert {event["kind"]: event["address"] for event in told} == {
        "person_added": "", "limit_changed": "", "signed_in": "203.0.113.5",
    }  # fmt: skip
    assert not [event for event in told if "actor_id" in event]


def test_the_file_is_for_logos_alone(alice: User) -> None:
    row = exporting.ask(alice, alice)
    exporting.make(row.pk)
    path = exporting.path_of(row.pk)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_is_fetched_by_who_asked_after_the_password(
    talked: None, ada: User, alice: User, browser: Callable[..., Client]
) -> None:
    client = browser(alice)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert client.post("/account/data/").status_code == 302
    row = DataExport.objects.get()
    exporting.make(row.pk)
    path = f"/account/data/{row.pk}/"

    answer = client.get(path)

    body = b"".join(answer.streaming_content)
    assert zipfile.ZipFile(io.BytesIO(body)).namelist()[0] == "README.md"
    assert SecurityEvent.objects.filter(kind="export_fetched", person=alice).count() == 1
    again = browser(alice).get(path)
    assert (again.status_code, "reauthenticate" in again.headers["Location"]) == (302, True)
    for somebody in (ada, person("mallory")):
        assert browser(somebody).get(path).status_code == 404
    DataExport.objects.update(expires_at=timezone.now())
    assert client.get(path).status_code == 404


def test_an_admin_has_one_made_and_it_is_noted(talked: None, ada: User, alice: User) -> None:
    assert "Alice's" in json.dumps(made(ada, alice), ensure_ascii=False)

    noted = SecurityEvent.objects.get(kind="export_asked")
    assert (noted.actor, noted.person, noted.detail) == (ada, alice, {"contents": True})


def test_while_chats_are_private_an_admin_gets_no_contents(talked: None, ada: User, alice: User) -> None:
    before = exporting.ask(ada, alice)
    exporting.make(before.pk)
    privacy.switch(ada, True)

    found = made(ada, alice)

    assert "messages.json" not in found
    assert "nïcode" not in json.dumps(found, ensure_ascii=False)
    assert len(found["runs.json"]) == 1
    assert "holds nothing of what was said" in found["README.md"]
    with pytest.raises(Conflict, match="private now"):
        exporting.opened(ada, before.pk)
    assert "messages.json" in made(alice, alice)


def test_others_have_none_made(alice: User, mallory: User, browser: Callable[..., Client]) -> None:
    with pytest.raises(NotFound):
        exporting.ask(mallory, alice)
    with pytest.raises(NotFound):
        exporting.ask(person("otto", Role.OPERATOR), alice)
    assert browser(mallory).post(f"/people/{alice.pk}/data/").status_code == 404
    assert not DataExport.objects.exists()


def test_asking_twice_is_asking_once(alice: User) -> None:
    assert exporting.ask(alice, alice) == exporting.ask(alice, alice)
    row = DataExport.objects.get()
    exporting.make(row.pk)
    written = exporting.path_of(row.pk).stat().st_mtime_ns

    exporting.make(row.pk)

    assert exporting.path_of(row.pk).stat().st_mtime_ns == written


def test_it_goes_after_some_days_and_what_broke_leaves_nothing(alice: User, monkeypatch: Any) -> None:
    row = exporting.ask(alice, alice)
    exporting.make(row.pk)
    DataExport.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert exporting.sweep() == 1
    assert not exporting.path_of(row.pk).exists()

    def broken(person: User) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(exporting, "PARTS", [("x.json", "x", False, broken)])
    again = exporting.ask(alice, alice)
    exporting.make(again.pk)

    again.refresh_from_db()
    assert (again.state, exporting.path_of(again.pk).exists()) == (ExportState.FAILED, False)


def killed(alice: User, attempts: int = 1) -> DataExport:
    """An archive whose process was killed in the middle: a row that says it runs, and half a file."""
    row = exporting.ask(alice, alice)
    DataExport.objects.filter(pk=row.pk).update(
        state=ExportState.RUNNING, attempts=attempts, beat_at=timezone.now() - exporting.SILENCE * 2
    )
    exporting.path_of(row.pk).with_name(f"{row.pk}.{attempts}.part").write_bytes(b"half")
    return row


def test_one_whose_process_was_killed_is_begun_anew(alice: User, monkeypatch: Any) -> None:
    begun: list[str] = []
    monkeypatch.setattr(exporting, "async_task", lambda name, pk, **more: begun.append(pk))
    row = killed(alice)

    exporting.make(row.pk)  # what a queue does that tells of it again
    assert DataExport.objects.get(pk=row.pk).state == ExportState.RUNNING
    assert exporting.revive() == 1
    assert begun == [row.pk]
    assert exporting.revive() == 0

    exporting.make(row.pk)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (ExportState.READY, 2)
    assert [file.name for file in exporting.path_of(row.pk).parent.iterdir()] == [f"{row.pk}.zip"]


def test_one_that_lives_is_left_alone(alice: User) -> None:
    row = killed(alice)
    DataExport.objects.filter(pk=row.pk).update(beat_at=timezone.now())

    assert exporting.revive() == 0


def test_one_that_kills_its_process_each_time_has_failed(alice: User) -> None:
    row = killed(alice, exporting.MOST_ATTEMPTS)

    assert exporting.revive() == 1
    row.refresh_from_db()
    assert (row.state, row.problem) == (ExportState.FAILED, "The process that made it was ended each time; ask again.")
    assert exporting.ask(alice, alice).pk != row.pk


def test_one_that_was_taken_for_dead_finishes_nothing(alice: User, monkeypatch: Any) -> None:
    row = exporting.ask(alice, alice)

    def slow(person: User) -> Any:
        DataExport.objects.filter(pk=row.pk).update(attempts=2)  # another process has begun it anew
        yield {"a": 1}

    monkeypatch.setattr(exporting, "PARTS", [("x.json", "x", False, slow)])
    exporting.make(row.pk)

    row.refresh_from_db()
    assert (row.state, row.ready_at) == (ExportState.RUNNING, None)


def test_it_holds_what_was_spent_and_what_tools_were_called(talked: None, alice: User, bob: User, atlas: Agent) -> None:
    run, other = (Run.objects.get(actor=who) for who in (alice, bob))
    hidden = ModelRoute.objects.create(
        provider=Provider.objects.create(name="Lab", kind="openai-compatible"), model="secret-model"
    )
    for number, (each, who) in enumerate(((run, alice), (other, bob))):
        for is_priced in (True, False):
            Charge.objects.create(
                id=f"charge_{number}{is_priced}", run_id=each.pk, conversation_id=each.conversation_id, agent=atlas,
                person=who, route_id=hidden.pk, model=hidden.model, amount=1_500_000 if is_priced else 0,
                is_priced=is_priced, input_tokens=10, output_tokens=20, opened_at=timezone.now(),
            )  # fmt: skip
        ToolCall.objects.create(
            agent=atlas, run_id=each.pk, door="api", tool="git.log", arguments={"path": f"{who.username}.md"},
            digest="0" * 64, key="0" * 64, tier="allow", state="done", at=timezone.now(),
        )  # fmt: skip
    Budget.objects.create(scope="person", person=alice, window="day", amount=2)

    found = made(alice, alice)

    assert [each["cost"] for each in found["charges.json"]] == ["0.0015", None]
    assert {each["run_id"] for each in found["charges.json"]} == {run.pk}
    assert "secret-model" not in json.dumps(found)
    assert [each["arguments"] for each in found["tool_calls.json"]] == [{"path": "alice.md"}]
    assert [each["amount"] for each in found["budgets.json"]] == ["2.000000"]


def test_the_command_writes_one_where_it_is_told(talked: None, ada: User, alice: User, tmp_path: Any) -> None:
    target = tmp_path / "alice.zip"

    assert shell.run("people", "export", "alice", "--to", str(target)).code == 0

    assert "messages.json" in zipfile.ZipFile(target).namelist()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_the_api_asks_and_lists(alice: User) -> None:
    program = Program(alice)
    asked = program.post("me/exports", status=202)
    exporting.make(asked["id"])

    assert [(each["id"], each["state"]) for each in program.get("me/exports")] == [(asked["id"], "ready")]
