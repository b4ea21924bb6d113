"""The console over every model: records stay, lists cost the same however long, operators see only their own."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from agents.guarding import GRANTS
from agents.models import (
    Agent,
    AgentCapability,
    AgentDocument,
    AgentNote,
    AgentSecret,
    ApiToken,
    DataExport,
    GateRule,
    Halt,
    HaltStop,
    HostGrant,
    Learning,
    ModelRoute,
    OneTimeLink,
    Policy,
    Preset,
    PriceList,
    Provider,
    Role,
    SecurityEvent,
    SiteSettings,
    Soul,
    SoulRevision,
    User,
)
from channels_app.models import Notices, PushDevice
from mcp_gateway.models import (
    McpAccess,
    McpAccount,
    McpCall,
    McpCategory,
    McpClient,
    McpConnection,
    McpHealth,
    McpLease,
    McpPin,
    McpSampling,
    McpSecret,
    McpServer,
    McpToken,
)
from runs.models import (
    Approval,
    ApprovalRule,
    Budget,
    BudgetWarning,
    Charge,
    Conversation,
    EngineBeat,
    Message,
    Panel,
    ReviewedAgent,
    ReviewerOpinion,
    ReviewerReversal,
    ReviewerSettings,
    Run,
    RunEvent,
)
from sandboxes.models import EgressDecision, HealthSample, InferenceCall, Sandbox, ToolCall, ToolRule
from tests.conftest import person
from tests.console import Console
from tests.world import traces, world

pytestmark = pytest.mark.sweep

RECORDS = [
    Conversation,
    Message,
    Run,
    RunEvent,
    Approval,
    ApprovalRule,
    InferenceCall,
    EgressDecision,
    Budget,
    Charge,
    BudgetWarning,
    ReviewedAgent,
    ReviewerOpinion,
    ReviewerReversal,
    Panel,
    ToolCall,
    ToolRule,
    SoulRevision,
    Sandbox,
    HealthSample,
    EngineBeat,
    ApiToken,
    McpSecret,
    McpHealth,
    McpPin,
    McpSampling,
    McpConnection,
    McpAccess,
    McpToken,
    McpCall,
    GateRule,
]
PARTS = [AgentCapability, AgentSecret, AgentDocument, AgentNote]
OURS = [*PARTS, McpServer, Agent, Soul, ModelRoute, Policy, Preset, Provider, User, *RECORDS]
# Nobody but admins opens these, whatever they hold.
FOR_ADMINS = [
    DataExport, Halt, HaltStop, HostGrant, Learning, McpAccount, McpCategory, McpClient, McpLease, Notices, OneTimeLink, PriceList, PushDevice,
    ReviewerSettings, SecurityEvent, SiteSettings,
]  # fmt: skip


def test_every_model_of_ours_is_in_the_console() -> None:
    grants = {name for name in GRANTS.values() for name in name}
    ours = {
        model
        for app in ("agents", "sandboxes", "runs", "mcp_gateway", "channels_app")
        for model in apps.get_app_config(app).get_models()
    }

    # What became of a row is shown with the row.
    past = {
        model for model in ours if hasattr(model, "history_object") or "history" in [f.name for f in model._meta.fields]
    }
    ours -= past

    assert ours - grants == {*OURS, *FOR_ADMINS}
    assert {model for model in ours - grants if not admin.site.is_registered(model)} == set()


@pytest.mark.parametrize("model", FOR_ADMINS, ids=lambda model: model.__name__)
def test_what_is_for_admins_is_closed_to_operators(ada: User, model: type[Model]) -> None:
    assert Console(ada).list(model).status_code == 200
    assert Console(person("otto", Role.OPERATOR)).list(model).status_code == 403


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OPERATOR])
def test_a_list_costs_the_same_however_long(ada: User, role: str) -> None:
    reader = ada if role == Role.ADMIN else person("otto", Role.OPERATOR)
    console = Console(reader)
    closed = {User, EngineBeat} if role == Role.OPERATOR else set()
    assert {console.list(model).status_code for model in closed} <= {403}

    def costs() -> dict[type[Model], tuple[int, int]]:
        found = {}
        for model in OURS:
            if model not in closed:
                console.list(model)  # what is looked up once in a while is not of the list
                with CaptureQueriesContext(connection) as captured:
                    page = console.list(model)
                found[model] = (len(captured), page.context["cl"].result_count)
        return found

    for number in range(1, 3):
        world(reader, number)
    few = costs()
    for number in range(3, 9):
        world(reader, number)
        person(f"person-{number}")
    many = costs()

    assert not {model for model in few if many[model][1] <= few[model][1]} - {Provider, Preset}
    assert {model: many[model][0] for model in few} == {model: few[model][0] for model in few}


@pytest.mark.parametrize("model", [*RECORDS, SecurityEvent], ids=lambda model: model.__name__)
def test_a_record_is_only_read(ada: User, model: type[Model]) -> None:
    row, console = world(ada, 1)[model], Console(ada)
    before = model._default_manager.filter(pk=row.pk).values().get()

    page = console.open(row).content.decode()
    assert 'name="_save"' not in page
    assert "deletelink" not in page
    assert console.client.get(console.address(model, "add")).status_code == 403
    assert console.client.post(console.address(model, "change", row.pk), {"text": "x"}).status_code == 403
    assert console.delete(row).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    console.client.post(console.address(model), chosen)

    assert model._default_manager.filter(pk=row.pk).values().get() == before


def test_an_operator_reads_their_own_rows_and_finds_no_trace_of_others(alice: User) -> None:
    otto = person("otto", Role.OPERATOR)
    User.objects.filter(pk=alice.pk).update(role=Role.OPERATOR)
    foreign, own = world(User.objects.get(pk=alice.pk), 777), world(otto, 1)
    betraying = traces(foreign, 777)
    # Two browsers: what one asks for in vain is named in the words of its next page.
    console, stranger = Console(otto), Console(otto)

    for model in [m for m in OURS if m not in (User, EngineBeat, Provider, Preset)]:
        for page in (console.list(model), console.open(own[model]), console.open(own[model], "history")):
            assert page.status_code == 200, model
            assert not [trace for trace in betraying if trace in page.content.decode()], model
        for address in ("change", "delete", "history"):
            assert stranger.open(foreign[model], address).status_code in (302, 403), (model, address)


def test_secrets_are_not_in_any_page(ada: User) -> None:
    rows, console = world(ada, 1), Console(ada)
    Sandbox.objects.update(sealed_api_key="sealed-key-of-the-gateway", driver_state={"pid": "state-of-the-driver"})
    Provider.objects.update(sealed_key="sealed-key-of-the-provider")
    AgentSecret.objects.update(sealed="sealed-key-of-the-agent")

    for model, row in rows.items():
        for page in (console.list(model), console.open(row)):
            assert "sealed-key" not in page.content.decode()
            assert "state-of-the-driver" not in page.content.decode()
