"""Budgets stand where they count: on one's own page, a person's, a chat's and a run's; and nobody reads others' spending."""

from __future__ import annotations

import pytest
from django.test import Client

from agents.models import Agent, ModelRoute, User
from runs import dispatch
from runs.budgets import showing
from runs.budgets.limits import Spender
from tests.runs.budgets.conftest import budget, one, reserve, settle

pytestmark = pytest.mark.django_db


def seen(who: User, path: str) -> str:
    browser = Client()
    browser.force_login(who)
    answer = browser.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def spend(who: User, agent: Agent, tokens: int, *, run: str = "run_0", talk: str = "conv_0") -> None:
    spender = Spender(run, talk, agent.pk, who.pk)
    one(reserve(spender, tokens, call=f"infer_{who.username}{run}"))
    one(settle(spender, f"infer_{who.username}{run}", tokens))


def test_ones_own_page_says_what_is_left_and_what_was_spent(alice: User, bob: User, atlas: Agent) -> None:
    spend(alice, atlas, 1_500_000)
    spend(bob, atlas, 7_770_000)
    budget(2_000_000, scope="person")
    budget(9_990_000)

    page = seen(alice, "/account/spending/")

    assert "$1.50 of $2.00 in the last 24 hours" in page
    assert "$0.50 left" in page
    assert "$7.77" not in page
    assert "$9.99" not in page


def test_one_without_a_budget_reads_that_nothing_limits_them(alice: User) -> None:
    assert "Nothing limits it." in seen(alice, "/account/spending/")


def test_who_is_out_of_money_reads_when_there_is_room_again(alice: User, atlas: Agent) -> None:
    spend(alice, atlas, 2_000_000)
    budget(2_000_000, scope="person", person=alice)

    assert "Room again" in seen(alice, "/account/spending/")


def test_an_admin_reads_it_on_the_page_of_a_person(ada: User, alice: User, atlas: Agent) -> None:
    spend(alice, atlas, 1_500_000)
    budget(2_000_000, scope="person")

    assert "$1.50 of $2.00" in seen(ada, f"/people/{alice.pk}/")


def test_chat_and_run_show_what_they_draw_from(alice: User, atlas: Agent, route: ModelRoute) -> None:
    run = dispatch.start(alice, "Hello", agent=atlas).run
    spend(alice, atlas, 300_000, run=run.pk, talk=run.conversation_id)
    budget(1_000_000, scope="run", window="life", agent=atlas)
    budget(4_000_000, scope="conversation", window="life", agent=atlas)
    budget(5_000_000, scope="agent", agent=atlas)

    page = seen(alice, f"/runs/{run.pk}/")
    assert "$0.30 of $1.00 in all" in page
    assert "$0.30 of $4.00 in all" in page
    assert "$0.30 of $5.00 in the last 24 hours" in page
    page = seen(alice, f"/chat/{run.conversation_id}/")
    assert "$0.30 of $4.00 in all" in page
    assert "of $1.00" not in page


def test_who_looks_after_an_agent_does_not_read_what_a_person_spends_in_all(
    alice: User, bob: User, ada: User, atlas: Agent
) -> None:
    spend(bob, atlas, 300_000)
    budget(1_000_000, scope="person")
    budget(3_000_000, scope="agent", agent=atlas)
    spender = Spender("run_0", "conv_0", atlas.pk, bob.pk)

    assert [one.budget.scope for one in showing.applying(alice, spender)] == ["agent"]
    assert [one.budget.scope for one in showing.applying(bob, spender)] == ["person", "agent"]
    assert len(showing.applying(ada, spender)) == 2


def test_it_costs_the_same_however_many_there_are(
    alice: User, atlas: Agent, django_assert_max_num_queries: object
) -> None:
    for _ in range(9):
        budget(1_000_000, scope="agent", agent=atlas)
    with django_assert_max_num_queries(3):  # type: ignore[operator]
        assert len(showing.applying(alice, Spender("r", "c", atlas.pk, alice.pk))) == showing.MOST_APPLYING
