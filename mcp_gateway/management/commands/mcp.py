"""Everything about MCP servers from a shell; the verbs are in ``mcp_gateway.shell``, a module for each noun."""

from __future__ import annotations

from django.core.management.base import CommandParser

from mcp_gateway.shell.access import AccessVerbs
from mcp_gateway.shell.accounts import AccountVerbs
from mcp_gateway.shell.calls import CallVerbs
from mcp_gateway.shell.catalogue import CatalogueVerbs
from mcp_gateway.shell.categories import CategoryVerbs
from mcp_gateway.shell.connections import ConnectionVerbs
from mcp_gateway.shell.declared import DeclaredVerbs
from mcp_gateway.shell.outside import OutsideVerbs
from mcp_gateway.shell.pins import PinVerbs
from mcp_gateway.shell.sampling import SamplingVerbs
from mcp_gateway.shell.servers import ServerVerbs


class Command(
    ServerVerbs,
    AccountVerbs,
    PinVerbs,
    CategoryVerbs,
    AccessVerbs,
    OutsideVerbs,
    CallVerbs,
    ConnectionVerbs,
    DeclaredVerbs,
    SamplingVerbs,
    CatalogueVerbs,
):
    """``mcp VERB …``: each noun adds its own verbs."""

    help = "Add, list, change, restart and delete MCP servers: where agents' tools come from."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        self.add_arguments_of_servers(verbs)
        self.add_arguments_of_accounts(verbs)
        self.add_arguments_of_pins(verbs)
        self.add_arguments_of_categories(verbs)
        self.add_arguments_of_access(verbs)
        self.add_arguments_of_outside(verbs)
        self.add_arguments_of_calls(verbs)
        self.add_arguments_of_connections(verbs)
        self.add_arguments_of_declared(verbs)
        self.add_arguments_of_sampling(verbs)
        self.add_arguments_of_catalogue(verbs)
        verbs.metavar = "|".join(verbs.choices)
