"""The same message sent twice makes one run: idempotency keys, two tabs, and real races."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from agents import composition, routes, souls
from agents.errors import Conflict, Invalid
from agents.models import Agent, User
from runs import dispatch
from runs.models import ACTIVE, Conversation, Message, Run, RunEvent, Status
from tests.conftest import person


def test_the_same_key_in_a_conversation_gives_the_first_run(alice: User, atlas: Agent) -> None:
    talk = dispatch.start(alice, "One", agent=atlas).run.conversation
    Run.objects.update(status=Status.COMPLETED)
    first = dispatch.start(alice, "Two", conversation=talk, idempotency_key="k")

    again = dispatch.start(alice, " Two\r\n", conversation=talk, idempotency_key="k")

    assert (first.repeated, again.repeated, again.run) == (False, True, first.run)
    assert Message.objects.filter(text="Two").count() == 1


def test_the_same_key_gives_the_first_run_also_when_it_has_ended(alice: User, atlas: Agent) -> None:
    first = dispatch.start(alice, "One", agent=atlas, idempotency_key="k").run
    Run.objects.update(status=Status.COMPLETED)

    assert dispatch.start(alice, "One", agent=atlas, idempotency_key="k").run == first
    assert dispatch.start(alice, "One", conversation=first.conversation, idempotency_key="k").run == first
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize("where", ["new", "conversation"])
def test_the_same_key_with_another_text_is_a_conflict(alice: User, atlas: Agent, where: str) -> None:
    talk = dispatch.start(alice, "One", agent=atlas, idempotency_key="k").run.conversation

    with pytest.raises(Conflict) as refused:
        dispatch.start(
            alice, "Two", agent=atlas, conversation=talk if where == "conversation" else None, idempotency_key="k"
        )

    assert refused.value.reason == "idempotency_conflict"
    assert Message.objects.count() == 1


def test_the_same_key_with_another_agent_is_a_conflict(alice: User, atlas: Agent) -> None:
    dispatch.start(alice, "One", agent=atlas, idempotency_key="k")
    other = composition.create(alice, "bert", atlas.soul)

    with pytest.raises(Conflict) as refused:
        dispatch.start(alice, "One", agent=other, idempotency_key="k")

    assert refused.value.reason == "idempotency_conflict"


def test_keys_are_each_persons_own(alice: User, bob: User, atlas: Agent) -> None:
    hers = dispatch.start(alice, "One", agent=atlas, idempotency_key="k").run

    assert dispatch.start(bob, "One", agent=atlas, idempotency_key="k").run != hers


def test_without_a_key_the_same_words_are_two_messages(alice: User, atlas: Agent) -> None:
    first = dispatch.start(alice, "One", agent=atlas).run

    assert dispatch.start(alice, "One", agent=atlas).run != first


@pytest.mark.parametrize("key", ["k" * 101, "a\x00", "a\nb", "\ud800"])
def test_a_key_that_cannot_be_kept_is_refused(alice: User, atlas: Agent, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        dispatch.start(alice, "One", agent=atlas, idempotency_key=key)

    assert refused.value.field == "idempotency_key"


# real threads on the real database -----------------------------------------------------------------


def at_once(count: int, act: Callable[[int], object]) -> list[object]:
    """What each of ``count`` threads got, started together; a Conflict counts by its reason."""
    start, got = threading.Barrier(count), [None] * count

    def body(number: int) -> None:
        try:
            start.wait(timeout=120)
            got[number] = act(number)
        except Conflict as error:
            got[number] = error.reason
        except Exception as error:
            got[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


@pytest.fixture
def committed(transactional_db: None) -> tuple[User, Agent]:
    owner = person("owner")
    routes.rehearsal_route()
    return owner, composition.create(owner, "atlas", souls.create("Kind", "Be kind.", owner))


def test_two_clicks_on_send_in_a_new_chat_make_one_conversation(committed: tuple[User, Agent]) -> None:
    owner, agent = committed

    got = at_once(6, lambda _: dispatch.start(owner, "Hello", agent=agent, idempotency_key="k").run.pk)

    assert len(set(got)) == 1, got
    assert (Conversation.objects.count(), Message.objects.count(), Run.objects.count()) == (1, 1, 1)
    assert RunEvent.objects.count() == 1


def test_the_same_key_racing_in_a_conversation_makes_one_message(committed: tuple[User, Agent]) -> None:
    owner, agent = committed
    talk = dispatch.start(owner, "One", agent=agent).run.conversation
    Run.objects.update(status=Status.COMPLETED)

    got = at_once(6, lambda _: dispatch.start(owner, "Two", conversation=talk, idempotency_key="k").run.pk)

    assert len(set(got)) == 1, got
    assert Message.objects.filter(text="Two").count() == 1
    assert Run.objects.filter(status__in=ACTIVE).count() == 1


def test_of_two_tabs_that_send_different_messages_one_wins_and_one_is_told(committed: tuple[User, Agent]) -> None:
    owner, agent = committed
    talk = dispatch.start(owner, "One", agent=agent).run.conversation
    Run.objects.update(status=Status.COMPLETED)

    got = at_once(4, lambda number: dispatch.start(owner, f"Tab {number}", conversation=talk).run.pk)

    assert got.count("conversation_busy") == 3, got
    assert Message.objects.filter(text__startswith="Tab").count() == 1
    assert Run.objects.filter(status__in=ACTIVE).count() == 1
