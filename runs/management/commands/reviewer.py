"""Set the reviewer, switch it for an agent, see what it said, and say where it was wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import permissions
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.errors import Invalid, NotFound
from agents.models import Agent, ModelRoute, User
from runs import approvals
from runs.api.reviewer import OpinionOut, ReversalOut, ReviewerOut
from runs.management.commands.approvals import review_line
from runs.models import Most
from runs.reviewing import lists, reversing, setting
from runs.templatetags.run_format import money

MOST = 1000
VERBS = "show|set|agent|opinions|figures|reverse|reversals|undo"


class Command(LogosCommand):
    """``reviewer show|set|agent|opinions|figures|reverse|reversals|undo``."""

    help = "Set the model that reviews requests, see what it said, and say where it was wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar=VERBS)
        show = verbs.add_parser("show", help="what holds everywhere")
        change = verbs.add_parser("set", help="say whether it is on, which model it is, how severe is too severe")
        change.add_argument("--on", action="store_true", help="agents for which it is switched on are reviewed")
        change.add_argument("--off", action="store_true", help="nobody is")
        change.add_argument("--model", default="", metavar="ROUTE", help="the model route that reviews, by name or id")
        change.add_argument("--most", choices=[str(each) for each in Most], help="up to which severity it is asked")
        agent = verbs.add_parser("agent", help="switch it for one agent")
        agent.add_argument("agent", metavar="AGENT", help="name or id")
        agent.add_argument("switch", choices=["on", "off"], metavar="on|off")
        opinions = verbs.add_parser("opinions", help="what it said, the newest first")
        opinions.add_argument("-n", type=int, default=20, dest="limit", metavar="N", help="how many (default 20)")
        figures = verbs.add_parser("figures", help="how often it allowed, denied, left it to people; what it cost")
        figures.add_argument("--days", type=int, default=approvals.DEFAULT_DAYS, metavar="N", help="over N days")
        reverse = verbs.add_parser("reverse", help="say that it was wrong: people alone are asked about the like")
        reverse.add_argument("approval", metavar="ID", help="of the request")
        reverse.add_argument("--note", default="", metavar="TEXT", help="why")
        reversals = verbs.add_parser("reversals", help="what it is not asked about any more")
        reversals.add_argument("--undone", action="store_true", help="what was undone too")
        undo = verbs.add_parser("undo", help="let it be asked again")
        undo.add_argument("reversal", type=int, metavar="NUMBER")
        for each in (show, opinions, figures, reversals):
            each.add_argument("--json", action="store_true", help="print JSON")
            add_person(each, "look as this person")
        for each in (change, agent, reverse, undo):
            add_person(each)

    def do_show(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        permissions.require(user, "reviewer.switch")
        row = setting.site()
        if options["json"]:
            self.print_json(ReviewerOut.from_orm(row).model_dump(mode="json"))
            return
        seen = permissions.visible(user, ModelRoute.objects.filter(pk=row.route_id)).first()
        model = seen.model if seen else row.route_id or "no model"
        self.stdout.write(f"{'on' if row.is_on else 'off'}: {plain(model)}, up to {row.most}")

    def do_set(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        if options["on"] and options["off"]:
            raise Invalid("On or off?", field="on")
        fields: dict[str, Any] = {"is_on": options["on"]} if options["on"] or options["off"] else {}
        if options["model"]:
            fields["route"] = _route(user, options["model"])
        if options["most"]:
            fields["most"] = options["most"]
        if not fields:
            raise Invalid("Say what to change.", field="set", action="Use --on, --off, --model or --most.")
        row = setting.change(user, None, **fields)
        self.say(f"The reviewer is {'on' if row.is_on else 'off'}.")

    def do_agent(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        rows = permissions.visible(user, Agent.objects.alive(), "reviewer.switch")
        agent = rows.filter(Q(pk=options["agent"]) | Q(name=options["agent"])).order_by("pk").first()
        if agent is None:
            raise NotFound("Agent")
        setting.switch(user, agent, options["switch"] == "on")
        when = "from its next message on" if options["switch"] == "on" else "no more"
        self.say(f"What {agent.name} asks is reviewed {when}.")

    def do_opinions(self, options: dict[str, Any]) -> None:
        if not 1 <= options["limit"] <= MOST:
            raise Invalid(f"Ask for 1 to {MOST:,} opinions.", field="n")
        found = list(lists.detailed(lists.seen_by(reader(options["user"])))[: options["limit"]])
        told = [OpinionOut.from_orm(row).model_dump(mode="json") for row in found]
        if options["json"]:
            self.print_json(told)
            return
        self.print_table(
            ("REQUEST", "AGENT", "WHEN", "REVIEWER", "WHAT"),
            (
                (
                    row.pk,
                    row.approval.agent.name if row.approval.agent else "",
                    f"{row.created_at:%Y-%m-%d %H:%M:%S}",
                    plain(review_line(each))[:60],
                    plain(" ".join(each["text"].split()))[:80],
                )
                for row, each in zip(found, told, strict=True)
            ),
        )

    def do_figures(self, options: dict[str, Any]) -> None:
        total, agents = lists.figures(reader(options["user"]), options["days"])
        if options["json"]:
            self.print_json({"total": asdict(total), "agents": [asdict(each) for each in agents]})
            return
        names = ("requests", "asked", "allowed", "denied", "left", "reversed", "agreed", "differed")
        self.print_table(
            ("AGENT", *(name.upper() for name in names), "COST", "LEFT BECAUSE"),
            (
                (
                    each.agent_name or "all",
                    *(getattr(each, name) for name in names),
                    money(each.cost, bool(each.unpriced)),
                    ", ".join(f"{reason.label} {reason.count}" for reason in each.reasons),
                )
                for each in (*agents, total)
            ),
        )

    def do_reverse(self, options: dict[str, Any]) -> None:
        made = reversing.reverse(actor(options["user"]), options["approval"], options["note"])
        self.say(f"Reversal {made.pk}: people alone are asked about {plain(made.words)}.")

    def do_reversals(self, options: dict[str, Any]) -> None:
        rows = reversing.seen_by(reader(options["user"]))
        rows = rows if options["undone"] else reversing.living(rows)
        found = list(rows.select_related("agent", "made_by")[:MOST])
        if options["json"]:
            self.print_json([ReversalOut.from_orm(row).model_dump(mode="json") for row in found])
            return
        self.print_table(
            ("NUMBER", "AGENT", "BY", "SINCE", "UNDONE", "WHAT"),
            (
                (
                    row.pk,
                    row.agent.name,
                    row.made_by.username if row.made_by else "",
                    f"{row.created_at:%Y-%m-%d %H:%M}",
                    f"{row.undone_at:%Y-%m-%d %H:%M}" if row.undone_at else "",
                    plain(" ".join(row.words.split()))[:100],
                )
                for row in found
            ),
        )

    def do_undo(self, options: dict[str, Any]) -> None:
        row = reversing.undo(actor(options["user"]), options["reversal"])
        self.say(f"Undone: the reviewer may be asked again about {plain(row.words)}.")


def _route(user: User, text: str) -> ModelRoute:
    rows = permissions.visible(user, ModelRoute.objects.select_related("provider"), "route.view")
    found = rows.filter(Q(pk=text) | Q(model=text)).order_by("pk").first()
    if found is None:
        raise NotFound("Model route")
    return found
