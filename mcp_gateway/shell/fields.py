"""The options of ``mcp add`` and ``mcp edit`` that say what a server is."""

from __future__ import annotations

import json
from argparse import BooleanOptionalAction
from typing import Any

from django.core.management.base import CommandParser

from agents.errors import Invalid
from mcp_gateway.models import AccessTier, AccountUse, Children, Place, Resources
from mcp_gateway.sampling import setting
from mcp_gateway.shell.sampling import add_sampling

# An option that may be repeated, given once with nothing: the list is emptied.
NONE = [""]


def add_fields(parser: CommandParser) -> None:
    parser.add_argument(
        "--env", action="append", metavar="NAME=VALUE", help="a variable; ${SECRET} in it; repeat, or '' for none"
    )
    parser.add_argument("--cwd", metavar="DIRECTORY", help="where it runs; default: a directory of its own")
    parser.add_argument(
        "--place", choices=[*Place.values], help="in a sandbox of its own, or on the host as Logos itself"
    )
    parser.add_argument(
        "--show",
        action="append",
        dest="shows",
        metavar="PATH",
        help="a folder it may read there; repeat, or '' for none",
    )
    parser.add_argument(
        "--host",
        action="append",
        dest="hosts",
        metavar="NAME[:PORT]",
        help="it may reach; private:NAME[:PORT] in our own network; repeat, or '' for none",
    )
    parser.add_argument(
        "--new-tools", action=BooleanOptionalAction, dest="allows_new", help="agents get tools that are new at once"
    )
    parser.add_argument(
        "--resources", choices=[*Resources.values], help="its resources as accepted, as it lists them, or none"
    )
    parser.add_argument("--children", choices=[*Children.values], help="one process for all, or a copy for each agent")
    parser.add_argument("--idle", type=int, metavar="SECONDS", dest="idle_s", help="how long an idle copy stays")
    parser.add_argument("--max-children", type=int, metavar="N", help="most copies at once")
    parser.add_argument("--url", metavar="URL", help="of a server elsewhere, in place of a command")
    parser.add_argument(
        "--header", action="append", metavar="NAME=VALUE", help="sent to it; ${SECRET} in it; repeat, or '' for none"
    )
    parser.add_argument(
        "--private",
        action=BooleanOptionalAction,
        help="it may be in our own network, there also without https; for admins",
    )
    parser.add_argument("--account", choices=[*AccountUse.values], help="whose account at a server elsewhere is used")
    parser.add_argument("--client-id", metavar="TEXT", help="what its sign-in knows Logos as, if it must be given")
    parser.add_argument("--scopes", metavar="WORDS", help="what to ask its sign-in for; default: what it says")
    parser.add_argument("--limits", metavar="JSON", help='for instance {"memory_mb": 512, "open_files": 256}')
    parser.add_argument("--description", metavar="TEXT")
    parser.add_argument("--category", metavar="WORD")
    parser.add_argument("--tier", choices=[*AccessTier.values], help="who may let agents use it")
    parser.add_argument("--timeout", type=int, metavar="SECONDS", dest="timeout_s", help="for a call")
    parser.add_argument("--connect-timeout", type=int, metavar="SECONDS", dest="connect_timeout_s", help="to start")
    parser.add_argument("--max-result", type=int, metavar="KB", dest="max_result_kb", help="what is longer is cut")
    parser.add_argument(
        "--max-argument", type=int, metavar="KB", dest="max_argument_kb", help="a longer call is refused"
    )
    parser.add_argument(
        "--mask-keys", action=BooleanOptionalAction, dest="masks_keys", help="hide what looks like a key in its answers"
    )
    parser.add_argument("--include", nargs="*", metavar="TOOL", help="only these tools")
    parser.add_argument("--exclude", nargs="*", metavar="TOOL", help="not these tools")
    add_sampling(parser)


def read_fields(options: dict[str, Any]) -> dict[str, Any]:
    names = (
        "cwd",
        "place",
        "shows",
        "hosts",
        "allows_new",
        "resources",
        "children",
        "idle_s",
        "max_children",
        "url",
        "account",
        "client_id",
        "scopes",
        "description",
        "category",
        "tier",
        "timeout_s",
        "connect_timeout_s",
        "max_result_kb",
        "max_argument_kb",
        "masks_keys",
        "include",
        "exclude",
    )
    fields = {name: options[name] for name in (*names, *setting.FIELDS) if options[name] is not None}
    for name in ("shows", "hosts"):
        if fields.get(name) == NONE:
            fields[name] = []
    for option, name in (("env", "env"), ("header", "headers")):
        if options[option] is not None:
            fields[name] = _pairs(options[option], name) if options[option] != NONE else {}
    if options["private"] is not None:
        fields["allows_private"] = options["private"]
    if options["limits"] is not None:
        try:
            fields["limits"] = json.loads(options["limits"])
        except ValueError as error:
            raise Invalid("The limits are not JSON.", field="limits") from error
    return fields


def _pairs(given: list[str], field: str) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if wrong := next((name for name, equals, _ in pairs if not equals), None):
        raise Invalid(f"Write {wrong[:60]} as NAME=VALUE.", field=field)
    return {name: value for name, _, value in pairs}
