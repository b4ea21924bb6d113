"""A large Logos made of rows alone: people, groups, souls, agents, grants, conversations, runs with events, history.

    python -m tests.benchmarks.seed --home DIRECTORY [--agents 10000] [--runs 100000] [--people 200] [--groups 20]

Everything is drawn from one seed, so two databases of the same size are alike. Nobody can sign in until a password is
set (``./logos account password ada``); no sandbox exists and no message was ever sent.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

FIRST = ("Ada", "Alan", "Barbara", "Claude", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Ida", "Joan", "Katherine")
LAST = ("Hamilton", "Hopper", "Johnson", "Knuth", "Lamarr", "Liskov", "Lovelace", "Noether", "Perlman", "Turing")
ADJECTIVES = ("calm", "bright", "brisk", "clever", "exact", "gentle", "keen", "patient", "quiet", "steady", "swift")
NOUNS = ("anvil", "atlas", "beacon", "compass", "falcon", "harbor", "lantern", "mirror", "otter", "quill", "raven")
TASKS = ("Check the back-ups", "Sum up the log", "Draft the report", "Find the slow query", "Tidy the downloads")
BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows of each."""

    agents: int = 10_000
    runs: int = 100_000
    people: int = 200
    groups: int = 20
    souls: int = 300
    events_per_run: int = 3


def fill(size: Size, seed: int = 1) -> None:
    """Write everything into the database Django is set up on; it must be migrated and empty of people."""
    from django.db import transaction

    dice = random.Random(seed)
    with transaction.atomic():
        people = make_people(size, dice)
        groups = make_groups(size, people, dice)
        route = make_routes(people)
        souls = make_souls(size, people, dice)
        agents = make_agents(size, people, souls, route, dice)
        make_grants(agents, people, groups, dice)
        make_runs(size, agents, dice)
        spread_in_time()
    # Without statistics the planner of SQLite guesses, here as on a real machine (``manage.py migrate`` does not).
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def make_people(size: Size, dice: random.Random) -> list[Any]:
    """One admin (ada), operators, users, viewers; a few are suspended."""
    from agents.models import Role, User

    roles = [Role.ADMIN, *[Role.OPERATOR] * 9, *[Role.VIEWER] * 20]
    people = []
    for number in range(size.people):
        role = roles[number] if number < len(roles) else Role.USER
        person = User(
            username="ada" if number == 0 else f"person{number}",
            first_name=dice.choice(FIRST),
            last_name=dice.choice(LAST),
            role=role,
            is_active=number == 0 or number % 25 != 24,
            is_superuser=role == Role.ADMIN,
            is_staff=role in (Role.ADMIN, Role.OPERATOR),
            password="!",
        )
        people.append(person)
    return kept(people)


def make_groups(size: Size, people: Sequence[Any], dice: random.Random) -> list[Any]:
    from django.contrib.auth.models import Group

    from agents.models import User

    groups = Group.objects.bulk_create([Group(name=f"Team {number:02}") for number in range(size.groups)])
    members = User.groups.through
    rows = [
        members(user_id=person.pk, group_id=group.pk)
        for person in people
        for group in dice.sample(groups, min(2, len(groups)))
    ]
    members.objects.bulk_create(rows)
    return groups


def make_routes(people: Sequence[Any]) -> Any:
    from agents import routes

    return routes.rehearsal_route(people[0])


def make_souls(size: Size, people: Sequence[Any], dice: random.Random) -> list[Any]:
    import hashlib

    from agents.models import Soul, SoulRevision, Visibility

    souls = [
        Soul(
            name=f"{dice.choice(ADJECTIVES).title()} {dice.choice(NOUNS)} {number}",
            slug=f"soul-{number}",
            text="You are calm and exact.\n" * 20,
            owner=dice.choice(people),
            visibility=Visibility.SHARED if number % 10 == 0 else Visibility.PRIVATE,
        )
        for number in range(size.souls)
    ]
    souls = kept(souls)
    digest = hashlib.sha256(souls[0].text.encode()).hexdigest()
    SoulRevision.objects.bulk_create(
        [SoulRevision(soul=soul, number=1, text=soul.text, sha256=digest, author=soul.owner) for soul in souls]
    )
    return souls


def make_agents(size: Size, people: Sequence[Any], souls: Sequence[Any], route: Any, dice: random.Random) -> list[Any]:
    from agents.models import Agent, Visibility

    return kept(
        [
            Agent(
                name=f"{dice.choice(ADJECTIVES)}-{dice.choice(NOUNS)}-{number}",
                description=f"Looks after {dice.choice(NOUNS)} number {number}.",
                soul=dice.choice(souls),
                route=route if number % 3 == 0 else None,
                owner=dice.choice(people),
                visibility=Visibility.SHARED if number % 20 == 0 else Visibility.PRIVATE,
            )
            for number in range(size.agents)
        ]
    )


def make_grants(agents: Sequence[Any], people: Sequence[Any], groups: Sequence[Any], dice: random.Random) -> None:
    """A third of the agents is shared with a person, a tenth with a group."""
    from django.contrib.auth.models import Permission

    from agents.models import AgentGroupGrant, AgentUserGrant

    codenames = [f"{level}_agent" for level in ("view", "chat", "edit", "manage")]
    levels = list(Permission.objects.filter(codename__in=codenames, content_type__app_label="agents"))
    AgentUserGrant.objects.bulk_create(
        [
            AgentUserGrant(user=dice.choice(people), permission=dice.choice(levels), content_object=agent)
            for agent in agents[::3]
        ],
        batch_size=BATCH,
    )
    AgentGroupGrant.objects.bulk_create(
        [
            AgentGroupGrant(group=dice.choice(groups), permission=dice.choice(levels), content_object=agent)
            for agent in agents[::10]
        ],
        batch_size=BATCH,
    )


def make_runs(size: Size, agents: Sequence[Any], dice: random.Random) -> None:
    """Conversations of one to nine runs, most with the agents that are used most; the newest an hour old."""
    from django.utils import timezone

    now, left = timezone.now() - timedelta(hours=1), size.runs
    while left > 0:
        batch: dict[str, list[Any]] = {"conversations": [], "messages": [], "runs": [], "events": []}
        while left > 0 and len(batch["runs"]) < BATCH:
            # Squared, so that a tenth of the agents has a third of the runs.
            agent = agents[int(len(agents) * dice.random() ** 2)]
            count = min(left, dice.randint(1, 9))
            at = now - timedelta(minutes=left)
            for kind, rows in talk(agent, count, at, size.events_per_run, dice):
                batch[kind] += rows
            left -= count
        for rows in batch.values():
            type(rows[0])._default_manager.bulk_create(rows, batch_size=BATCH)


def spread_in_time() -> None:
    """When rows were made is set by the database as they are inserted; here it follows the story instead."""
    from django.db.models import F, Max, OuterRef, Subquery

    from runs.models import Conversation, Run

    Run.objects.update(created_at=F("started_at"))
    newest = (
        Run.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation").annotate(at=Max("created_at"))
    )
    Conversation.objects.update(last_at=Subquery(newest.values("at")), created_at=Subquery(newest.values("at")))


def talk(
    agent: Any, count: int, at: datetime, events_per_run: int, dice: random.Random
) -> Iterator[tuple[str, list[Any]]]:
    """One conversation of the agent's owner, with its messages, runs and their events."""
    from runs.models import Conversation, Message, Run, RunEvent, Speaker, Status

    title = f"{dice.choice(TASKS)} of the {dice.choice(NOUNS)}"
    conversation = Conversation(agent=agent, owner_id=agent.owner_id, title=title, created_at=at, last_at=at)
    yield "conversations", [conversation]
    endings = [Status.COMPLETED] * 17 + [Status.FAILED, Status.CANCELLED, Status.INTERRUPTED]
    for number in range(count):
        asked = Message(conversation=conversation, speaker=Speaker.PERSON, text=title)
        answered = Message(conversation=conversation, speaker=Speaker.AGENT, text="Done.\n" * dice.randint(1, 20))
        begun = at + timedelta(seconds=30 * number)
        run = Run(
            conversation=conversation,
            agent=agent,
            message=asked,
            reply=answered,
            actor_id=agent.owner_id,
            status=dice.choice(endings),
            fingerprint=f"{dice.getrandbits(256):064x}",
            model_calls=2,
            tool_calls=dice.randint(0, 5),
            input_tokens=dice.randint(500, 9_000),
            output_tokens=dice.randint(20, 900),
            cost=Decimal(dice.randint(0, 90_000)) / 1_000_000 if number % 4 else None,
            started_at=begun,
            finished_at=begun + timedelta(seconds=dice.randint(1, 25)),
        )
        yield "messages", [asked, answered]
        yield "runs", [run]
        kinds = ("run.queued", "run.started", "note", "run.completed")[:events_per_run]
        yield (
            "events",
            [
                RunEvent(run=run, seq=seq, kind=kind, data={"text": "x"}, at=begun, previous="0" * 64, digest="0" * 64)
                for seq, kind in enumerate(kinds, 1)
            ],
        )


def kept(rows: list[Any]) -> list[Any]:
    """Insert the rows with the history that saving them one by one would have left."""
    from simple_history.utils import bulk_create_with_history

    return bulk_create_with_history(rows, type(rows[0]), batch_size=BATCH, default_change_reason="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", required=True, type=Path, help="state directory; its database must be new")
    for name in ("agents", "runs", "people", "groups"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Size(), name))
    options = parser.parse_args()
    os.environ |= {"LOGOS_HOME": str(options.home.resolve()), "DJANGO_SETTINGS_MODULE": "logos_site.settings"}
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from agents.models import User

    if User.objects.exists():
        parser.error("there are people in this database already")
    started = time.monotonic()
    fill(Size(options.agents, options.runs, options.people, options.groups))
    print(f"filled in {time.monotonic() - started:.1f} s")  # noqa: T201


if __name__ == "__main__":
    main()
