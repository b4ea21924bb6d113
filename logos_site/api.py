"""The JSON API: the routers of all apps under one roof, one authentication, one shape for every refusal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

from django.contrib.auth.decorators import login_required
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI, Router
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser

from agents import strict_json
from agents.api import (
    agent_parts,
    agents,
    audit,
    explaining,
    gate,
    groups,
    halts,
    me,
    notes,
    people,
    policies,
    presets,
    prices,
    providers,
    routes,
    service_accounts,
    sharing,
    soul_revisions,
    souls,
    tokens,
)
from agents.api.asking import BearerToken, BrowserSession, person_of
from agents.api.shapes import Refused
from agents.errors import Invalid, LogosError, NotFound
from channels_app import api as notifications
from logos_site.errors import status_for
from mcp_gateway.api import access as mcp_access
from mcp_gateway.api import accounts as mcp_accounts
from mcp_gateway.api import catalogue as mcp_catalogue
from mcp_gateway.api import categories as mcp_categories
from mcp_gateway.api import connections as mcp_connections
from mcp_gateway.api import declared as mcp_declared
from mcp_gateway.api import pins as mcp_pins
from mcp_gateway.api import sampling as mcp_sampling
from mcp_gateway.api import servers as mcp_servers
from runs.api import (
    approval_figures,
    approvals,
    asof,
    budgets,
    conversations,
    costs,
    egress,
    gate_what_if,
    learning,
    ledger,
    permitted,
    reviewer,
    runs,
)
from runs.api import noticed as noticed_calls
from runs.api import panels as approval_panels
from sandboxes import api as sandboxes
from sandboxes import files_api, provider_api, shells_api, what_if_api
from sandboxes.openshell import api as openshell_api
from sandboxes.tool_server.api import rules as tool_rules
from sandboxes.tool_server.api import tools

logger = logging.getLogger(__name__)

DESCRIPTION = """\
Everything a page can do with agents, chats and runs, for programs.

Authenticate with `Authorization: Bearer logos_…` (a personal token) or as a signed-in browser.
Lists give `{items, next}`; send `next` as `after` for the next page.
Every refusal is `{"error": {reason, message, action, field}}`; what you may not see is 404.
"""


class StrictParser(Parser):
    """Reads bodies in which every key stands once: readers differ in which of two counts."""

    def parse_body(self, request: HttpRequest) -> Any:
        return strict_json.loads(request.body)


class LogosAPI(NinjaAPI):
    """A NinjaAPI that refuses in one shape: also a method an address does not take, and in its schema."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        shape = Refused.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"] |= {**shape.pop("$defs"), "Refused": shape}
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refused"}}}
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["responses"]["default"] = {"description": "Refused, with the reason", "content": content}
        return schema

    def _get_urls(self) -> list[Any]:
        patterns = super()._get_urls()
        for pattern in patterns:
            if pattern.callback is not None:
                pattern.callback = self._in_shape(pattern.callback)
        return patterns

    def _in_shape(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)  # keeps the mark that our own authentication checks the CSRF token
        def shaped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            response = view(request, *args, **kwargs)
            if response.status_code != 405:
                return response
            error = LogosError("This address does not take that method.", reason="method_not_allowed")
            shaped = self.create_response(request, refusal(error), status=405)
            shaped.headers["Allow"] = response.headers["Allow"]
            return shaped

        return shaped


def refusal(error: LogosError) -> dict[str, Any]:
    """The body of an answer that is no success."""
    return {
        "error": {
            "reason": error.reason,
            "message": error.message,
            "action": error.action,
            "field": getattr(error, "field", ""),
        }
    }


def refuse(request: HttpRequest, error: LogosError, status: int | None = None) -> HttpResponse:
    """The answer to a request that ended in ``error``."""
    status = status or status_for(error)
    if status >= 500:
        logger.error("%s %s: %s %s", request.method, request.path, error.message, error.detail)
    return api.create_response(request, refusal(error), status=status)


def _for_people_and_programs(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """How the API is described, for a signed-in browser, else for a program with a token; others are sent to sign in."""
    for_people = login_required(view)

    @wraps(view)
    def described(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "Authorization" not in request.headers:
            return for_people(request, *args, **kwargs)
        try:
            if person_of(request) is not None:
                return view(request, *args, **kwargs)
        except LogosError as error:
            return refuse(request, error)
        return _nobody(request, AuthenticationError())

    return described


api = LogosAPI(
    title="Logos",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api",
    parser=StrictParser(),
    auth=[BearerToken(), BrowserSession()],
    docs_decorator=_for_people_and_programs,  # strangers need not know what there is
)


@api.exception_handler(LogosError)
def _logos_error(request: HttpRequest, error: LogosError) -> HttpResponse:
    return refuse(request, error)


@api.exception_handler(AuthenticationError)
def _nobody(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    response = refuse(
        request,
        LogosError(
            "Nobody is signed in.",
            reason="unauthenticated",
            action="Send Authorization: Bearer with a valid token, or sign in.",
        ),
    )
    response.headers["WWW-Authenticate"] = 'Bearer realm="Logos"'
    return response


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0] if error.errors else {}
    place = [str(part) for part in first.get("loc", ())]
    # A location begins with where the value came from (body, query, path, header) and the parameter's name.
    field = ".".join(place[2:] or place[1:])
    complaint = str(first.get("msg", "It is not valid")).removeprefix("Value error, ")
    return refuse(request, Invalid(f"{field or 'The request'}: {complaint}.", field=field), 422)


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, LogosError):  # what our parser says of a body; ninja only says that it failed
        return refuse(request, error.__cause__, error.status_code)
    return refuse(request, LogosError(f"{error.message}.", reason="invalid"), error.status_code)


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return refuse(request, Invalid("The request is too large.", reason="too_large"))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return refuse(request, NotFound("This address"))


@api.exception_handler(Exception)
def _unforeseen(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return refuse(
        request,
        LogosError(
            "Something went wrong that we did not foresee.",
            reason="unknown",
            action="The server log has the details; try again.",
        ),
    )


elsewhere = Router()
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@elsewhere.api_operation(METHODS, "/{path:rest}", auth=None, include_in_schema=False)
def nothing_here(request: HttpRequest, rest: str) -> NoReturn:
    """Whatever no router has."""
    raise NotFound("This address")


@elsewhere.api_operation(METHODS, "/", auth=None, include_in_schema=False)
def nothing_at_the_root(request: HttpRequest) -> NoReturn:
    """The documentation is one step further, at ``docs``."""
    raise NotFound("This address")


api.add_router("/me", me.router)
api.add_router("/me/notifications", notifications.router)
api.add_router("/agents", agents.router)
api.add_router("/agents", agent_parts.router)
api.add_router("/agents", notes.router)
api.add_router("/souls", souls.router)
api.add_router("/souls", soul_revisions.router)
api.add_router("/routes", routes.router)
api.add_router("/prices", prices.router)
api.add_router("/providers", providers.router)
api.add_router("/providers", provider_api.router)
api.add_router("/policies", policies.router)
api.add_router("/policies", what_if_api.router)
api.add_router("", openshell_api.router)
api.add_router("/presets", presets.router)
api.add_router("/presets", what_if_api.presets_router)
api.add_router("/tool-rules", what_if_api.tools_router)
api.add_router("/conversations", conversations.router)
api.add_router("/runs", runs.router)
api.add_router("/runs", approvals.of_runs)
api.add_router("/approvals", approval_figures.router)
api.add_router("/approvals", noticed_calls.router)
api.add_router("/approvals", approval_panels.router)
api.add_router("/approvals", approvals.router)
api.add_router("/reviewer", reviewer.router)
api.add_router("/agents", reviewer.of_agents)
api.add_router("/budgets", budgets.router)
api.add_router("/costs", costs.router)
api.add_router("/gate", gate.router)
api.add_router("/gate", gate_what_if.router)
api.add_router("/sandboxes", sandboxes.router)
api.add_router("/sandboxes", shells_api.router)
api.add_router("/agents", files_api.router)
api.add_router("/agents", tools.router)
api.add_router("/agents", tool_rules.router)
api.add_router("", tool_rules.site_router)
api.add_router("/tokens", tokens.router)
api.add_router("/people", people.router)
api.add_router("/groups", groups.router)
api.add_router("/halts", halts.router)
api.add_router("/service-accounts", service_accounts.router)
api.add_router("", egress.router)
api.add_router("", permitted.router)
api.add_router("/agents", learning.router)
api.add_router("", ledger.router)
api.add_router("/mcp-servers", mcp_servers.router)
api.add_router("/mcp-servers", mcp_sampling.router)
api.add_router("/mcp-servers", mcp_connections.router)
api.add_router("/mcp-servers", mcp_pins.router)
api.add_router("/mcp-accounts", mcp_accounts.router)
api.add_router("/mcp-catalogue", mcp_catalogue.router)
api.add_router("/mcp-categories", mcp_categories.router)
api.add_router("/mcp-configuration", mcp_declared.router)
api.add_router("/agents", mcp_access.router)
api.add_router("/asof", asof.router)
api.add_router("", audit.router)
api.add_router("/explain", explaining.router)
api.add_router("", sharing.router)
# The last one, so that an address nobody has is refused in the API's own shape.
api.add_router("", elsewhere)
