"""See what waits for a decision, decide it, and end the rules that were made of decisions."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents.command_line import LogosCommand, actor, add_person, person, plain, reader
from agents.errors import Invalid, NotFound
from agents.models import Agent
from runs import approvals, noticed
from runs.api.approval_figures import CanaryResult
from runs.api.approvals import ApprovalOut, ApprovalRuleOut
from runs.api.noticed import NoticedOut
from runs.models import ApprovalState, Choice, Scope

HOUR_S = 3600
MOST = 1000


class Command(LogosCommand):
    """``approvals list|show|decide|rules|revoke|figures|canary|canaries|noticed``."""

    help = "See what waits for a decision, decide it, and end rules."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="list|show|decide|rules|revoke|figures|canary|canaries|noticed"
        )
        listing = verbs.add_parser("list", help="what waits, the oldest first")
        listing.add_argument("--all", action="store_true", help="what was decided too, the newest first")
        listing.add_argument("--by", default="", metavar="PERSON", help="only what this person decided (with --all)")
        listing.add_argument(
            "--via", default="", metavar="DOOR", help="only what was decided by this door: page, api …"
        )
        listing.add_argument("-n", type=int, default=20, dest="limit", metavar="N", help="how many (default 20)")
        show = verbs.add_parser("show", help="everything about one request")
        show.add_argument("approval", metavar="ID")
        decide = verbs.add_parser("decide", help="allow or deny one request")
        decide.add_argument("approval", metavar="ID")
        decide.add_argument("choice", choices=[str(choice) for choice in Choice], metavar="once|run|rule|answer|deny")
        decide.add_argument("--note", default="", metavar="TEXT", help="kept with the decision; the agent reads it")
        decide.add_argument(
            "--answer", default="", metavar="TEXT", help="what to say to a question, with the choice answer"
        )
        decide.add_argument(
            "--subject", default="", metavar="HASH", help="refuse if the request is not the one with this hash"
        )
        decide.add_argument(
            "--hours", type=float, metavar="N", help="how long a rule lives (default: as long as may be)"
        )
        decide.add_argument("--this-run", action="store_true", help="a rule for the rest of this run only")
        rules = verbs.add_parser("rules", help="what agents may do unasked for a while")
        rules.add_argument("--ended", action="store_true", help="rules that have ended too")
        revoke = verbs.add_parser("revoke", help="end a rule now")
        revoke.add_argument("rule", metavar="RULE", help="its id")
        figures = verbs.add_parser("figures", help="how well people decide: how many, how fast, canaries")
        figures.add_argument("--days", type=int, default=approvals.DEFAULT_DAYS, metavar="N", help="over N days")
        figures.add_argument("--mine", action="store_true", help="only one's own")
        results = verbs.add_parser("canaries", help="the canaries that were put, and what became of them")
        told = verbs.add_parser("noticed", help="what agents did unasked under a rule that says so")
        told.add_argument("-n", type=int, default=20, dest="limit", metavar="N", help="how many (default 20)")
        canary = verbs.add_parser("canary", help="put a request that is none to somebody")
        canary.add_argument("person", metavar="PERSON", help="user name")
        canary.add_argument("agent", metavar="AGENT", help="name or id")
        add_person(canary)
        for each in (listing, show, rules, figures, results, told):
            each.add_argument("--json", action="store_true", help="print JSON")
            add_person(each, "look as this person")
        for each in (decide, revoke):
            add_person(each)

    def do_list(self, options: dict[str, Any]) -> None:
        if not 1 <= options["limit"] <= MOST:
            raise Invalid(f"Ask for 1 to {MOST:,} requests.", field="n")
        rows = approvals.seen_by(reader(options["user"])).select_related(
            "agent", "decided_by", "opinion", "escalates_to"
        )
        chosen = {"decided_by__username": options["by"], "decided_via": options["via"]}
        rows = rows.filter(**{name: value for name, value in chosen.items() if value})
        if options["all"]:
            rows = rows.order_by("-created_at", "-pk")
        else:
            rows = approvals.undecided(rows).order_by("created_at", "pk")
        found = list(rows[: options["limit"]])
        if options["json"]:
            self.print_json([ApprovalOut.from_orm(row).model_dump(mode="json") for row in found])
            return
        self.print_table(
            ("ID", "KIND", "STATE", "AGENT", "ASKED", "UNTIL", "WHAT"),
            (
                (
                    row.pk,
                    row.kind,
                    row.state,
                    row.agent.name if row.agent else "",
                    f"{row.created_at:%Y-%m-%d %H:%M:%S}",
                    f"{row.expires_at:%Y-%m-%d %H:%M:%S}",
                    _line(row.exact or row.title),
                )
                for row in found
            ),
        )

    def do_show(self, options: dict[str, Any]) -> None:
        row = approvals.find(reader(options["user"]), options["approval"])
        shown = ApprovalOut.from_orm(row).model_dump(mode="json")
        if options["json"]:
            self.print_json(shown)
            return
        for name in ("id", "kind", "tier", "state", "title", "purpose", "severity", "subject_hash", "expires_at"):
            if shown[name]:
                self.stdout.write(f"{name.replace('_', ' ')}: {plain(str(shown[name]))}")
        for finding in row.findings:
            self.stdout.write(f"because: {plain(finding.get('sentence', ''))}")
        if row.state != ApprovalState.PENDING:
            nobody = "the reviewer" if row.decided_via == "reviewer" else "nobody"
            by = row.decided_by.username if row.decided_by else nobody
            self.stdout.write(f"decided: {row.choice or row.state} by {by}, {row.decided_at:%Y-%m-%d %H:%M:%S} UTC")
        if row.answer:
            self.stdout.write(f"answer: {plain(row.answer)}")
        if shown["reviewer"] is not None:
            self.stdout.write(f"reviewer: {plain(review_line(shown['reviewer']))}")
        if row.note:
            self.stdout.write(f"note: {plain(row.note)}")
        if shown["caution"] and row.state == ApprovalState.PENDING:
            self.stdout.write(shown["caution"])
        self.stdout.write(plain(row.exact))

    def do_decide(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        row = approvals.find(user, options["approval"])
        hours = options["hours"]
        if hours is not None and not 0 < hours < 100_000:
            raise Invalid("A rule lives for some hours.", field="hours")
        wish = approvals.RuleWish(
            Scope.RUN if options["this_run"] else Scope.AGENT, None if hours is None else int(hours * HOUR_S)
        )
        decided = approvals.decide(
            user,
            row,
            options["choice"],
            subject_hash=options["subject"],
            note=options["note"],
            answer=options["answer"],
            rule=wish if options["choice"] == Choice.RULE else None,
            via="command",
        )
        rule = f": {decided.rule.words}, until {decided.rule.expires_at:%Y-%m-%d %H:%M} UTC" if decided.rule else ""
        if decided.state == ApprovalState.PENDING:
            self.say(f"Counted: {len(decided.votes)} of {decided.needed} people allow it.")
            return
        self.say(f"{decided.get_state_display()}{plain(rule)}.")

    def do_rules(self, options: dict[str, Any]) -> None:
        rows = approvals.rules_seen_by(reader(options["user"]))
        rows = rows if options["ended"] else approvals.living(rows)
        found = list(rows.select_related("agent", "made_by")[:MOST])
        if options["json"]:
            self.print_json([ApprovalRuleOut.from_orm(row).model_dump(mode="json") for row in found])
            return
        self.print_table(
            ("ID", "AGENT", "MADE BY", "UNTIL", "USED", "ALLOWS"),
            (
                (
                    row.pk,
                    row.agent.name,
                    row.made_by.username if row.made_by else "",
                    f"{row.revoked_at or row.expires_at:%Y-%m-%d %H:%M}",
                    row.used,
                    _line(row.words),
                )
                for row in found
            ),
        )

    def do_figures(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        found = [approvals.own(user, options["days"])] if options["mine"] else approvals.figures(user, options["days"])
        if options["json"]:
            self.print_json([asdict(figure) for figure in found])
            return
        names = (
            "username",
            "decided",
            "allowed",
            "denied",
            "median_s",
            "hasty",
            "expired",
            "votes",
            "caught",
            "missed",
        )
        heads = [name.replace("_", " ").upper() for name in names]
        self.print_table(heads, ([getattr(figure, name) for name in names] for figure in found))

    def do_canary(self, options: dict[str, Any]) -> None:
        asked = approvals.canary(actor(options["user"]), person(options["person"]), _agent(options["agent"]))
        self.say(f"Put {asked.pk} to {options['person']}.")

    def do_canaries(self, options: dict[str, Any]) -> None:
        found = list(approvals.canaries(reader(options["user"]))[:MOST])
        if options["json"]:
            self.print_json([CanaryResult.from_orm(row).model_dump(mode="json") for row in found])
            return
        self.print_table(
            ("ID", "PERSON", "AGENT", "PUT", "RESULT"),
            (
                (
                    row.pk,
                    row.asked_for.username if row.asked_for else "",
                    row.agent.name if row.agent else "",
                    f"{row.created_at:%Y-%m-%d %H:%M:%S}",
                    approvals.result(row),
                )
                for row in found
            ),
        )

    def do_noticed(self, options: dict[str, Any]) -> None:
        if not 1 <= options["limit"] <= MOST:
            raise Invalid(f"Ask for 1 to {MOST:,} calls.", field="n")
        found = list(noticed.seen_by(reader(options["user"]))[: options["limit"]])
        if options["json"]:
            self.print_json([NoticedOut.from_orm(row).model_dump(mode="json") for row in found])
            return
        self.print_table(
            ("WHEN", "AGENT", "TOOL", "WHAT"),
            (
                (f"{row.at:%Y-%m-%d %H:%M:%S}", row.agent.name, row.tool, _line(json.dumps(row.arguments)))
                for row in found
            ),
        )

    def do_revoke(self, options: dict[str, Any]) -> None:
        rule = approvals.revoke(actor(options["user"]), options["rule"])
        self.say(f"Ended: {_line(rule.words)}.")


def review_line(said: dict[str, Any]) -> str:
    """What the reviewer said of a request, on one line."""
    words = said["outcome"] if said["outcome"] != "left" else said["sentence"] or "left to a person"
    confidence = "" if said["confidence"] is None else f" ({said['verdict']}, {said['confidence']:g})"
    reason = f': "{said["reason"]}"' if said["reason"] else ""
    return f"{words}{confidence}{reason}"


def _agent(text: str) -> Agent:
    found = Agent.objects.alive().filter(Q(pk=text) | Q(name=text)).order_by("pk").first()
    if found is None:
        raise NotFound("Agent")
    return found


def _line(text: str) -> str:
    return plain(" ".join(text.split()))[:100]
