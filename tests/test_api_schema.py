"""The API held to its own description: schemathesis makes requests of it, right and wrong ones, as an admin and as a user.

Whatever is sent, no answer is a server error, and each has the shape and the type that the schema promises for its
status. The requests are the same in every run. Half of them are about rows that are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from agents.models import Agent, ApiToken, ModelRoute, Policy, Role, Soul, User
from logos_site.api import api
from runs.models import Approval, ApprovalRule, Conversation, ReviewerReversal, Run
from sandboxes.models import Sandbox
from tests.conftest import person
from tests.doors import rows as rows

pytestmark = pytest.mark.sweep

# So that no test takes long, and several workers share them.
PARTS = 3
EXAMPLES = settings(
    max_examples=12,
    database=None,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
HELD_TO = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
]


def operations(application: Any) -> Iterator[Any]:
    """Every operation of the schema, asked of ``application``."""
    schema = schemathesis.openapi.from_dict(api.get_openapi_schema(), config=schemathesis.Config())
    schema.app = application
    for result in schema.get_all_operations():
        yield result.ok()


def cases_of(operation: Any) -> Any:
    """Requests that fit the description, and such as do not."""
    return st.one_of(*(operation.as_strategy(mode) for mode in GenerationMode))


def existing(rows: dict[Any, Any]) -> dict[str, Any]:
    """Names of parameters -> what lies there."""
    return {
        "agent_id": rows[Agent].pk,
        "soul_id": rows[Soul].pk,
        "route_id": rows[ModelRoute].pk,
        "policy_id": rows[Policy].pk,
        "conversation_id": rows[Conversation].pk,
        "run_id": rows[Run].pk,
        "approval_id": rows[Approval].pk,
        "rule_id": rows[ApprovalRule].pk,
        "reversal_id": rows[ReviewerReversal].pk,
        "sandbox_id": rows[Sandbox].pk,
        "token_id": rows[ApiToken].pk,
        "person_id": rows[User].pk,
        "account_id": rows[User].pk,
        "collection": "agents",
        "object_id": rows[Agent].pk,
    }


@pytest.fixture
def application() -> Iterator[WSGIHandler]:
    """Answers inside the test's own transaction, as Django's test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield WSGIHandler()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("who", ["an admin", "a user"])
def test_every_answer_is_as_described(rows: dict[Any, Any], application: WSGIHandler, who: str, part: int) -> None:
    holder = rows[User] if who == "a user" else person("ada-1", Role.ADMIN)
    token, secret = ApiToken.make(holder, "schema")
    headers, known = {"Authorization": f"Bearer {secret}"}, existing(rows)
    load_all_checks()
    held_to = [CHECKS.get_one(name) for name in HELD_TO]
    complaints, statuses = [], Counter()

    def ask(case: Any, is_there: bool) -> None:
        if is_there:
            case.path_parameters = {name: known.get(name, it) for name, it in (case.path_parameters or {}).items()}
        # An earlier request may have revoked it, or suspended its holder.
        ApiToken.objects.filter(pk=token.pk).update(revoked_at=None, expires_at=None)
        User.objects.filter(pk=holder.pk).update(is_active=True)
        answer = case.call(headers=headers)
        statuses[answer.status_code] += 1
        # Where the agent runtime was never installed, starting a sandbox says so: no mistake of the server.
        says_missing = answer.status_code == 503 and answer.json()["error"]["reason"] == "runtime_missing"
        case.validate_response(answer, checks=held_to[says_missing:], headers=headers)

    for operation in list(operations(application))[part::PARTS]:
        try:
            EXAMPLES(given(case=cases_of(operation), is_there=st.booleans())(ask))()
        except Exception as error:
            complaints.append(f"{operation.label}: {error}")

    assert not complaints, "\n\n".join(complaints)
    assert statuses[200] > 20, statuses
    assert sum(statuses[code] for code in (400, 404, 422)) > 40, statuses
