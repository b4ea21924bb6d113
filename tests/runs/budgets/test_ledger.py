"""The ledger reserves before anything is spent, in all budgets at once, and settles each call once."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from agents.models import Agent, User
from runs.budgets import ledger
from runs.budgets.ledger import post
from runs.budgets.limits import Spender
from runs.models import Budget, BudgetWarning, Charge, EngineBeat
from sandboxes.models import InferenceCall
from tests.runs.budgets.conftest import ME, TOKEN, budget, one, reserve, settle, spent

pytestmark = pytest.mark.django_db


def test_what_is_reserved_counts_before_it_is_spent(spender: Spender) -> None:
    budget(100)

    assert one(reserve(spender, 60)).covered == 60
    refused = one(reserve(spender, 60))

    assert refused.refusal is not None
    assert refused.refusal.reason == "budget_exceeded"
    assert spent() == 60
    assert Charge.objects.count() == 1


def test_settling_gives_back_what_was_not_used(spender: Spender) -> None:
    budget(100)
    one(reserve(spender, 90, call="infer_1"))
    one(settle(spender, "infer_1", 30))

    assert spent() == 30
    assert one(reserve(spender, 70)).covered == 70


def test_a_call_is_settled_once_however_often_it_is_told(spender: Spender) -> None:
    one(reserve(spender, 50, call="infer_1"))
    for tokens in (30, 40, 0):
        one(settle(spender, "infer_1", tokens))

    row = Charge.objects.get()
    assert (row.amount, row.state, row.basis) == (30 * TOKEN, "settled", "usage")


def test_what_is_over_covers_nothing_more(spender: Spender) -> None:
    """Another engine took this one for dead and settled its calls: what it carries must not go on unpaid."""
    one(reserve(spender, 50, call="infer_1"))
    one(settle(spender, "infer_1", 50))

    assert one(reserve(spender, 60, call="infer_1", is_new=False)).refusal is not None
    assert one(reserve(spender, 60, call="infer_unknown", is_new=False)).refusal is not None


def test_reserving_on_counts_from_the_beginning_and_not_twice(spender: Spender) -> None:
    budget(100)
    for needed in (40, 80, 100, 100):
        assert one(reserve(spender, needed, call="infer_1")).covered == needed

    assert spent() == 100
    assert one(reserve(spender, 101, call="infer_1")).refusal is not None


def test_every_budget_that_applies_has_to_hold(spender: Spender, atlas: Agent, alice: User) -> None:
    budget(100)
    budget(80, scope="person", person=alice)
    budget(60, scope="agent", agent=atlas)
    budget(40, scope="run")

    assert one(reserve(spender, 41)).refusal is not None
    assert one(reserve(spender, 40)).covered == 40
    other_run = replace(spender, run_id="run_2")
    assert one(reserve(other_run, 21)).refusal is not None  # the agent's
    assert one(reserve(other_run, 20)).covered == 20
    other_agent = replace(spender, run_id="run_3", agent_id=None)
    assert one(reserve(other_agent, 21)).refusal is not None  # the person's
    assert spent() == 60


def test_a_persons_own_budget_takes_the_place_of_everybodys(spender: Spender, alice: User, bob: User) -> None:
    budget(10, scope="person")
    budget(50, scope="person", person=alice)

    assert one(reserve(spender, 50)).covered == 50
    assert one(reserve(replace(spender, person_id=bob.pk, run_id="run_2"), 11)).refusal is not None


def test_a_budget_for_each_one_counts_each_by_itself(spender: Spender) -> None:
    budget(10, scope="conversation")

    for number in range(3):
        assert one(reserve(replace(spender, conversation_id=f"conv_{number}"), 10)).covered == 10
    assert one(reserve(replace(spender, conversation_id="conv_1"), 1)).refusal is not None


@pytest.mark.parametrize(
    ("window", "age", "room"), [("day", 23, 0), ("day", 25, 10), ("life", 9_999, 0), ("month", 9_999, 10)]
)
def test_what_lies_before_the_window_does_not_count(spender: Spender, window: str, age: int, room: int) -> None:
    budget(10, window=window)
    one(reserve(spender, 10, call="infer_1"))
    Charge.objects.update(opened_at=timezone.now() - timedelta(hours=age))

    assert one(reserve(spender, 10)).covered == room


def test_a_budget_that_is_off_holds_nobody_up(spender: Spender) -> None:
    budget(1, is_active=False)

    assert one(reserve(spender, 100)).covered == 100


def test_a_new_budget_counts_what_was_spent_before_it(spender: Spender) -> None:
    one(reserve(spender, 60))
    budget(100)

    assert one(reserve(spender, 41)).refusal is not None


def test_of_little_each_of_many_calls_gets_a_little(spender: Spender) -> None:
    budget(1_000)

    covered = [one(reserve(spender, 1, wanted=512)).covered for _ in range(10)]

    assert covered[0] > covered[-1] >= 1
    assert spent() <= 1_000
    assert all(covered)


@pytest.mark.parametrize(
    ("policy", "refused", "counted"), [("refuse", True, None), ("at_least", False, 0), ("assume", False, 30)]
)
def test_what_becomes_of_an_unknown_price_is_the_budgets_to_say(
    spender: Spender, policy: str, refused: bool, counted: int | None
) -> None:
    row = budget(100, unknown_price=policy, assumed_input=1, assumed_output=2)

    answer = one(reserve(spender, 10, call="infer_1", prices=None, input_tokens=10))

    assert (answer.refusal is not None) == refused
    if not refused:
        from runs.budgets.limits import limits_now
        from runs.budgets.using import use_of

        one(settle(spender, "infer_1", None, input_tokens=10, output_tokens=10))
        use = use_of(limits_now(spender)[0], timezone.now())
        assert (use.amount, use.is_at_least, row.pk) == ((counted or 0) * TOKEN, True, limits_now(spender)[0].budget_id)
    else:
        assert "price of m is unknown" in str(answer.refusal)


def test_a_refusal_says_the_figure_the_window_and_when_there_is_room(spender: Spender) -> None:
    budget(2_000_000, scope="agent")
    before = timezone.now()
    one(reserve(spender, 2_000_000))
    refusal = one(reserve(spender, 1)).refusal

    assert refusal is not None
    assert refusal.message == "The budget of atlas is used up: $2.00 of $2.00 in the last 24 hours."
    # The hour may have turned meanwhile.
    hours = {(at + timedelta(hours=24)).strftime("%Y-%m-%d %H") for at in (before, timezone.now())}
    assert any(hour in refusal.action for hour in hours)


def test_a_run_does_not_tell_what_everybody_spends_together(spender: Spender) -> None:
    budget(2_000_000)
    answers = [one(reserve(spender, needed, call="infer_1")) for needed in (1_990_000, 2_000_000)]
    told = [each.data() for answer in answers for each in answer.told]
    refusals = [one(reserve(spender, 1)).refusal]
    budget(5_000_000)
    refusals.append(one(reserve(spender, 9_000_000)).refusal)

    assert told
    assert all(refusals)
    assert "$" not in f"{told} {[(str(each), each.action) for each in refusals if each]}"


def test_many_in_one_transaction_are_answered_in_order(spender: Spender) -> None:
    budget(100)
    answers = post([reserve(spender, 30, call=f"infer_{n}") for n in range(5)], ME)

    assert [answer.covered for answer in answers] == [30, 30, 30, 0, 0]
    assert spent() == 90


def test_each_threshold_is_told_once_in_a_window(spender: Spender) -> None:
    budget(100)
    told = [one(reserve(spender, needed, call="infer_1")).told for needed in (49, 50, 60, 79, 85, 100, 100)]

    assert [[each.threshold for each in said] for said in told] == [[], [50], [], [], [80], [100], []]
    assert told[1][0].data()["text"] == "50 % of the budget of this Logos is used."
    BudgetWarning.objects.update(at=timezone.now() - timedelta(hours=25))
    assert [each.threshold for each in one(reserve(spender, 100, call="infer_1")).told] == [100]


def test_what_a_dead_engine_left_is_settled_by_its_record_or_as_it_was_reserved(spender: Spender) -> None:
    for number in (1, 2):
        one(reserve(spender, 50, call=f"infer_{number}"))
    InferenceCall.objects.create(
        id="infer_1", run_id="run_1", route_id="r", model="m", status=200, streamed=True, duration_ms=1,
        cost="0.000020", input_tokens=0, output_tokens=20,
    )  # fmt: skip

    assert ledger.settle_left_by_others(ME) == 0
    assert ledger.settle_left_by_others("another-host:2:2") == 2
    assert ledger.settle_left_by_others("another-host:2:2") == 0

    rows = Charge.objects.order_by("pk").values_list("state", "basis", "amount")
    assert list(rows) == [("settled", "record", 20 * TOKEN), ("settled", "held", 50 * TOKEN)]


def test_an_engine_that_was_heard_of_keeps_its_calls(spender: Spender) -> None:
    post([reserve(spender, 50)], "elsewhere:1:1")
    EngineBeat.objects.create(owner="elsewhere:1:1", seen_at=timezone.now())

    assert ledger.settle_left_by_others(ME) == 0


@pytest.mark.django_db(transaction=True)
def test_two_at_once_never_spend_more_than_there_is(spender: Spender) -> None:
    budget(100)
    budget(150, scope="run")
    start = threading.Barrier(8)

    def spend(number: int) -> None:
        start.wait(timeout=60)
        try:
            for turn in range(10):
                post([reserve(spender, 7, call=f"infer_{number}_{turn}")], f"engine-{number}")
        finally:
            connection.close()

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=180)

    assert spent() == 98
    assert Budget.objects.count() == 2


def test_a_batch_costs_the_same_queries_however_many_are_in_it(spender: Spender, django_assert_max_num_queries) -> None:  # type: ignore[no-untyped-def]
    budget(10_000)
    for number in (2, 90):
        with django_assert_max_num_queries(9):
            post([reserve(spender, 1, call=f"infer_{number}_{n}") for n in range(number)], ME)
