"""Lists and permission checks at size: server time, database queries and page weight with 10,000 agents.

    python -m tests.benchmarks.lists [--agents 10000] [--runs 100000] [--requests 40] [--only runs] [--home DIR] [--json]

Every page is asked of the whole Django stack in this process, as an admin, an operator and a plain user. The
baseline is the sign-in check alone: /healthz asked by the same signed-in client. ``--home`` keeps (or reuses) the
filled database, which takes most of a minute to make.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import fresh_home, percentile, report

# Addresses that are not there (yet) for a person are left out, and said so.
PAGES = (
    ("home", "/"),
    ("chat", "/chat/"),
    ("agents", "/agents/"),
    ("agents search", "/agents/?text=raven"),
    ("souls", "/souls/"),
    ("models", "/models/"),
    ("policies", "/policies/"),
    ("presets", "/presets/"),
    ("people", "/people/"),
    ("audit", "/audit/"),
    ("audit search", "/audit/?text=raven"),
    ("as of", "/asof/"),
    ("activity", "/account/activity/"),
    ("runs", "/runs/"),
    ("runs failed", "/runs/?status=failed"),
    ("palette", "/palette/?q=raven"),
    ("console", "/admin/"),
    ("api agents", "/api/agents"),
    ("api runs", "/api/runs"),
)
MAX_QUERIES, P95_MS, MAX_KB = 10, 100, 60


@contextlib.contextmanager
def filled(options: argparse.Namespace) -> Iterator[None]:
    """Django on a database of the wanted size."""
    from tests.benchmarks.seed import Size, fill

    size = Size(agents=options.agents, runs=options.runs)
    if options.home is None:
        with fresh_home():
            fill(size)
            yield
        return
    os.environ |= {"LOGOS_HOME": str(options.home.resolve()), "DJANGO_SETTINGS_MODULE": "logos_site.settings"}
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from agents.models import User

    if not User.objects.exists():
        fill(size)
    yield


def prepared() -> None:
    """What ``up`` does before it serves: pages need their stylesheet's name, sign-ins their shared cache."""
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)


def visitor(person: Any) -> Any:
    """A browser in which this person is signed in."""
    from django.test import Client

    client = Client(headers={"host": "localhost"})
    client.force_login(person)
    return client


def timed(work: Callable[[], Any], times: int) -> list[float]:
    """Milliseconds of each call, after two that do not count."""
    found = []
    for number in range(times + 2):
        started = time.perf_counter()
        work()
        if number >= 2:
            found.append((time.perf_counter() - started) * 1000)
    return found


def queries_of(work: Callable[[], Any]) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as seen:
        work()
    return sum(not query["sql"].startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")) for query in seen)


def changelists() -> list[tuple[str, str]]:
    """Every list of the console."""
    from django.contrib import admin
    from django.urls import reverse

    import logos_site.urls  # noqa: F401 (registers the admins)

    named = [model._meta for model in admin.site._registry]
    return [
        (f"console {meta.model_name}", reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"))
        for meta in named
    ]


def of_an_agent(person: Any) -> list[tuple[str, str]]:
    """The heavy tabs of one agent of theirs."""
    from agents import permissions
    from agents.models import Agent

    seen = permissions.visible(person, Agent.objects.in_use(), "agent.edit").order_by("pk")[:1]
    return [(f"agent {tab}", f"/agents/{agent.pk}/{tab}/") for agent in seen for tab in ("reach", "proposal")]


def pages(people: dict[str, Any], options: argparse.Namespace) -> dict[str, float]:
    """One line per page and person; the worst of each kind of page as figures."""
    from django.conf import settings

    settings.ALLOWED_HOSTS = ["localhost"]
    worst: dict[str, float] = {"page_p95_ms": 0, "page_queries": 0, "page_kb": 0}
    print(f"{'page':28} {'as':9} {'p50 ms':>8} {'p95 ms':>8} {'× base':>7} {'queries':>8} {'kB':>6}")  # noqa: T201
    for role, person in people.items():
        client = visitor(person)
        base = percentile(timed(lambda: client.get("/healthz"), options.requests), 0.5)  # noqa: B023
        for name, path in (*PAGES, *of_an_agent(person), *changelists()):
            if options.only not in name:
                continue
            answer = client.get(path)
            if answer.status_code != 200:
                if role == "admin":
                    print(f"{name:28} {role:9} {answer.status_code}")  # noqa: T201
                continue
            took = timed(lambda: client.get(path), options.requests)  # noqa: B023
            count = queries_of(lambda: client.get(path))  # noqa: B023
            weight = len(answer.content) / 1024
            p50, p95 = percentile(took, 0.5), percentile(took, 0.95)
            is_over = p95 > P95_MS or count > MAX_QUERIES or weight > MAX_KB
            print(  # noqa: T201
                f"{name:28} {role:9} {p50:8.1f} {p95:8.1f} {p50 / base:7.1f} {count:8} {weight:6.1f}"
                f"{'  <-- over' if is_over else ''}"
            )
            worst["page_p95_ms"] = max(worst["page_p95_ms"], p95)
            worst["page_queries"] = max(worst["page_queries"], count)
            worst["page_kb"] = max(worst["page_kb"], weight)
    return worst


def checks(people: dict[str, Any], times: int) -> dict[str, float]:
    """Explaining and checking one object, over many objects; a primary-key lookup is the baseline."""
    from agents import explaining, permissions
    from agents.models import Agent

    rows = list(Agent.objects.order_by("?")[:times])
    person = people["user"]
    took_explain, took_check, took_base = [], [], []
    for row in rows:
        took_base += timed(lambda: Agent.objects.filter(pk=row.pk).first(), 1)  # noqa: B023
        took_check += timed(lambda: permissions.allows(person, "agent.edit", row), 1)  # noqa: B023
        took_explain += timed(lambda: explaining.explain(person, "agent.edit", row), 1)  # noqa: B023
    base = percentile(took_base, 0.5)
    figures = {
        "explain_p95_ms": percentile(took_explain, 0.95),
        "explain_ratio": percentile(took_explain, 0.5) / base,
        "check_p95_ms": percentile(took_check, 0.95),
        "check_ratio": percentile(took_check, 0.5) / base,
        "check_queries": max(queries_of(lambda: permissions.allows(person, "agent.edit", row)) for row in rows[:20]),  # noqa: B023
    }
    for name, value in figures.items():
        print(f"{name:28} {value:8.2f}")  # noqa: T201
    return figures


GOALS = {
    "page_p95_ms": ("<=", P95_MS),
    "page_queries": ("<=", MAX_QUERIES),
    "page_kb": ("<=", MAX_KB),
    "explain_p95_ms": ("<=", 50),
    "check_queries": ("<=", 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--only", default="", help="pages with this in their name")
    parser.add_argument("--home", type=Path, help="state directory to fill or reuse")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ["LOGOS_LOG_LEVEL"] = "WARNING"
    with filled(options):
        prepared()
        from agents.models import User

        people = {
            "admin": User.objects.get(username="ada"),
            "operator": User.objects.filter(role="operator", is_active=True).order_by("pk")[0],
            "user": User.objects.filter(role="user", is_active=True).order_by("pk")[0],
        }
        figures = pages(people, options) | checks(people, 200)
        report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
