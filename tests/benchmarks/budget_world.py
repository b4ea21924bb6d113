"""Who spends in ``budget.py``: a person with a budget, and one with room for everything."""

from __future__ import annotations

from decimal import Decimal

from agents import composition, souls
from agents.models import Role, User
from runs.budgets.limits import Spender
from runs.models import Budget, Charge


def spender(amount: Decimal) -> tuple[Spender, Spender]:
    """Two people of one agent; the first has ``amount`` to spend, the second plenty, of four budgets each."""
    alice = User.objects.create_user("alice", "alice@example.org", "a long enough password", role=Role.ADMIN)
    bob = User.objects.create_user("bob", "bob@example.org", "a long enough password", role=Role.ADMIN)
    from agents import routes

    route = routes.rehearsal_route()
    agent = composition.create(alice, "atlas", souls.create("Soul", "Text.", alice), route=route)
    plenty = Decimal(1_000)
    Budget.objects.create(scope="site", window="month", amount=plenty)
    Budget.objects.create(scope="agent", window="day", amount=plenty, agent=agent)
    Budget.objects.create(scope="person", window="day", amount=amount, person=alice)
    Budget.objects.create(scope="person", window="day", amount=plenty, person=bob)
    Budget.objects.create(scope="run", window="life", amount=plenty)
    return Spender("run_1", "conv_1", agent.pk, alice.pk), Spender("run_2", "conv_2", agent.pk, bob.pk)


def spent() -> float:
    """What the first has spent, in dollars."""
    return sum(Charge.objects.filter(run_id="run_1").values_list("amount", flat=True)) / 1e9
