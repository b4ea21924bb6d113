"""See what agents asked the network for, follow it, learn and propose rules, and take out those nobody needed."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q, QuerySet

from agents import agent_pages, learning, permissions
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.errors import Invalid
from agents.models import Agent, Policy
from runs import learned, permitted, reach
from runs.api.egress import DecisionOut
from sandboxes.egress import usage
from sandboxes.models import EgressDecision

LOOK_S = 0.5
COLUMNS = ("AT", "DECISION", "HOST", "PROGRAM", "RUN", "REASON")


class Command(LogosCommand):
    """``egress list|tail|try|unused|prune|learn|propose``."""

    help = "See what agents asked the network for, and which rules nobody needs."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|tail|try|unused|prune|learn|propose")
        listing = verbs.add_parser("list", help="the newest decisions about an agent")
        follow = verbs.add_parser("tail", help="follow the decisions about an agent until interrupted")
        for each in (listing, follow):
            each.add_argument("agent", metavar="AGENT", help="name or id")
            each.add_argument("--denied", action="store_true", help="only what was refused")
            each.add_argument("-n", type=int, default=20, dest="limit", metavar="N", help="how many (default 20)")
            add_person(each, "look as this person")
        listing.add_argument("--json", action="store_true", help="print them as the API shows them")
        attempt = verbs.add_parser("try", help="would an agent reach a host with all its rules? exit code 1 if not")
        attempt.add_argument("agent", metavar="AGENT", help="name or id")
        attempt.add_argument("host", metavar="HOST")
        attempt.add_argument("port", nargs="?", default=443, type=int, metavar="PORT")
        attempt.add_argument("--by", default="", metavar="PROGRAM", help="the path of the program that asks")
        add_person(attempt, "look as this person")
        idle = verbs.add_parser("unused", help="rules of a policy that no connection matched")
        prune = verbs.add_parser("prune", help="take unused rules out of a policy; its history can put them back")
        for each in (idle, prune):
            each.add_argument("policy", metavar="POLICY", help="name or id")
            each.add_argument(
                "--days", type=int, default=usage.DEFAULT_DAYS, metavar="N", help="for so long (default 14)"
            )
            add_person(each)
        learn = verbs.add_parser(
            "learn", help="let an agent reach every public host for a while, to learn what it needs"
        )
        propose = verbs.add_parser("propose", help="the fewest rules for what was recorded; prints them, saves nothing")
        for each in (learn, propose):
            each.add_argument("agent", metavar="AGENT", help="name or id")
            each.add_argument("--policy", default="", metavar="POLICY", help="name or id of a policy the agent has")
            add_person(each)
        learn.add_argument(
            "--minutes", type=int, default=learning.DEFAULT_MINUTES, metavar="N", help="for so long (default 60)"
        )
        learn.add_argument("--stop", action="store_true", help="end it before its time")
        propose.add_argument("--denied", action="store_true", help="from what was refused lately")
        propose.add_argument("--save", action="store_true", help="add them to the policy")
        prune.add_argument("rules", nargs="*", metavar="RULE", help="names of rules")
        prune.add_argument("--preset", nargs="+", default=[], metavar="PRESET", help="presets to take out, by id")

    def do_list(self, options: dict[str, Any]) -> None:
        found = list(self._decisions(options)[: _limit(options["limit"])])
        if options["json"]:
            self.print_json([DecisionOut.from_orm(row).model_dump(mode="json") for row in found])
            return
        self.print_table(COLUMNS, (_cells(row) for row in found))

    def do_tail(self, options: dict[str, Any]) -> None:
        rows = self._decisions(options)
        found, last = list(rows[: _limit(options["limit"])]), ""
        try:
            while True:
                for row in reversed(found):
                    self.stdout.write("  ".join(_cells(row)))
                self.stdout.flush()
                last = found[0].pk if found else last
                time.sleep(LOOK_S)
                found = list(rows.filter(pk__gt=last)[:1_000])
        except KeyboardInterrupt:
            pass

    def do_try(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        wanted = Q(pk=options["agent"]) | Q(name__iexact=options["agent"])
        agent = permissions.fetch(user, "agent.view", agent_pages.rows().filter(wanted))
        verdict = permitted.attempt_now(user, agent, options["host"], options["port"], options["by"])
        self.stdout.write(f"{'let through' if verdict.allowed else 'refused'}: {verdict.reason}")
        if not verdict.allowed:
            self.end(1)

    def do_unused(self, options: dict[str, Any]) -> None:
        policy = _policy(actor(options["user"]), options["policy"])
        known = usage.unused(policy, options["days"])
        if not known.is_known:
            self.say("Records of this policy do not go back that far.")
            return
        rows = [(rule["name"], ", ".join(rule["hosts"])) for rule in known.unused]
        rows += [(f"preset {preset.pk}", ", ".join(preset.hosts)) for preset in known.presets]
        self.print_table(("RULE", "HOSTS"), rows)

    def do_prune(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        policy = _policy(user, options["policy"])
        usage.prune(user, policy.pk, policy.version, options["rules"], options["days"], options["preset"])
        self.say(f"{policy.name} is shorter now.")

    def do_learn(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = _agent(user, options["agent"])
        if options["stop"]:
            learning.stop(user, agent.pk)
            self.say(f"{agent.name} learns no more.")
            return
        policy = learning.require_policy(user, agent, options["policy"])
        row = learning.start(user, agent.pk, policy.pk, options["minutes"])
        self.say(f"{agent.name} learns until {row.until:%Y-%m-%d %H:%M} UTC, for the policy {policy.name}.")

    def do_propose(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = _agent(user, options["agent"])
        policy = learning.require_policy(user, agent, options["policy"])
        found = learned.proposed(user, agent, policy, "denied" if options["denied"] else "learned")
        for line in found.lines:
            self.stdout.write(plain(line))
        for each in found.left_out:
            self.say(f"left out: {plain(each.asked.host)}:{each.asked.port} by {plain(each.asked.binary)}. {each.why}")
        if options["save"] and found.lines:
            learned.store(user, policy, policy.version, found.lines)
            self.say(f"{policy.name} is saved, and counts from now on.")

    def _decisions(self, options: dict[str, Any]) -> QuerySet[EgressDecision]:
        user: Any = reader(options["user"])
        agent = _agent(user, options["agent"])
        rows = reach.decisions(user, agent).order_by("-pk")
        return rows.filter(allowed=False) if options["denied"] else rows


def _agent(user: Any, named: str) -> Agent:
    rows = agent_pages.rows().filter(Q(pk=named) | Q(name__iexact=named))
    return permissions.fetch(user, "agent.view", rows)


def _policy(user: Any, named: str) -> Policy:
    return permissions.fetch(user, "policy.edit", Policy.objects.filter(Q(pk=named) | Q(name=named)))


def _limit(limit: int) -> int:
    if not 1 <= limit <= 10_000:
        raise Invalid("List between 1 and 10000 decisions.", field="n")
    return limit


def _cells(row: EgressDecision) -> tuple[str, ...]:
    return (
        row.at.strftime("%Y-%m-%d %H:%M:%S"),
        "let through" if row.allowed else "refused",
        f"{plain(row.host)}:{row.port}",
        plain(row.binary) or "-",
        row.run_id or "-",
        plain(row.reason),
    )
