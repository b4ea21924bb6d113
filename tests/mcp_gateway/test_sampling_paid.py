"""Models lent to servers, over the rows: the router's own way, who pays, what budgets and stops do, and what people see."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents import composition, halting, sharing, souls
from agents.errors import Invalid, NotFound
from agents.models import ModelRoute, Provider, Role, User
from mcp_gateway import access, servers
from mcp_gateway.declared import plan
from mcp_gateway.declared.writing import exported
from mcp_gateway.door import Door
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpSampling, McpServer
from runs import dispatch
from runs.budgets.limits import Spender
from runs.engine import Engine
from runs.models import Budget, Charge, Run
from runs.settling import Figures
from sandboxes.models import InferenceCall
from tests.api_client import Program
from tests.conftest import person
from tests.mcp_gateway.gate import EVERYTHING, PATIENCE_S, request
from tests.mcp_gateway.test_gateway import ask, rows
from tests.mcp_gateway.test_sampling import heard, said

pytestmark = pytest.mark.django_db(transaction=True)


class House:
    """Ada's server that asks for models, and Alice's agent that may use it; the rehearsal model costs something here."""

    def __init__(self) -> None:
        self.ada, self.alice = person("ada", Role.ADMIN), person("alice")
        self.agent = composition.create(self.alice, "atlas", souls.create("Soul", "Text.", self.alice))
        maker = Provider.objects.create(name="Rehearsing", kind="rehearsal")
        self.route = ModelRoute.objects.create(
            provider=maker, model="small-1", owner=self.ada, price_input=Decimal(10), price_output=Decimal(10),
            visibility="shared", is_default=True,
        )  # fmt: skip
        self.server = servers.create(
            self.ada, "asker", sys.executable, args=[str(EVERYTHING)], visibility="shared", place="host", sampling=True,
            sampling_route=self.route.pk, sampling_tokens=200, sampling_timeout_s=600,
        )  # fmt: skip
        access.give(self.alice, self.agent.pk, self.server.pk)
        self.token, self.secret = access.make_token(self.alice, self.agent.pk, "editor")


@pytest.fixture
async def house() -> House:
    return await sync_to_async(House)()


@pytest.fixture
async def engine(house: House) -> AsyncIterator[Engine]:
    """An engine that carries out nothing and asks models for others."""
    engine = Engine()
    yield engine
    await engine.meter.close(timeout_s=60)
    await engine.purser.close(timeout_s=60)
    await engine.router.close()
    await asyncio.to_thread(engine._threads.close)
    await asyncio.to_thread(engine._pen.close)


@pytest.fixture
async def started(house: House, engine: Engine) -> AsyncIterator[Gateway]:
    running = Gateway()
    running.sampler.lends = engine.lender
    await running.start()
    yield running
    await running.stop()


async def asking(house: House, text: str = "Hello", app: Any = None, **params: Any) -> Any:
    """The result of a call in which the server asks the model."""
    wish = {"messages": [said(text)], "maxTokens": 100, **params}
    message = request("tools/call", name="ask_model", arguments={"params": wish})
    _, answer = await ask(house.secret, "/mcp/asker", message, app)
    return answer["result"]


def one(result: Any) -> Any:
    return heard(result)[0]


async def test_what_an_agent_asks_for_outside_a_run_is_its_own_and_its_owners_expense(
    house: House, started: Gateway
) -> None:
    answer = one(await asking(house, "Say hello to planted-prompt-1"))

    assert answer["model"] == "small-1"
    assert answer["content"]["text"]
    row = await rows(lambda: McpSampling.objects.select_related("agent").filter(outcome="ok").first())
    charge = await rows(lambda: Charge.objects.filter(pk=row.model_call_id, state="settled").first())
    call = await rows(lambda: InferenceCall.objects.filter(pk=row.model_call_id).first())
    assert (charge.agent_id, charge.person_id, charge.run_id) == (house.agent.pk, house.alice.pk, "")
    assert charge.amount > 0
    assert call.cost == row.cost
    assert (call.streamed, call.status, call.run_id) == (False, 200, "")
    assert (row.server_id, row.agent_id, row.route_id) == (house.server.pk, house.agent.pk, house.route.pk)
    kept = await sync_to_async(lambda: f"{list(McpSampling.objects.values())}{list(InferenceCall.objects.values())}")()
    assert "planted" not in kept


async def test_a_question_that_belongs_to_no_call_is_the_expense_of_the_servers_owner(
    house: House, started: Gateway
) -> None:
    one(await asking(house))
    supervisor = started.fleet.get(house.server.pk)
    assert supervisor is not None
    assert supervisor.child is not None
    wish = {"id": "own", "method": "sampling/createMessage", "params": {"messages": [said("Alone")]}}
    supervisor._asked(supervisor.child, wish)

    row = await rows(lambda: McpSampling.objects.filter(agent=None).exclude(outcome="started").first())
    charge = await rows(lambda: Charge.objects.filter(pk=row.model_call_id).first())
    assert (charge.agent_id, charge.person_id) == (None, house.ada.pk)


@pytest.mark.parametrize("scope", ["site", "agent", "person"])
async def test_every_budget_is_asked_first(house: House, started: Gateway, scope: str) -> None:
    about = {"agent": {"agent": house.agent}, "person": {"person": house.alice}}.get(scope, {})
    await sync_to_async(Budget.objects.create)(scope=scope, window="day", amount=Decimal("0.000001"), **about)

    refused = one(await asking(house))

    assert refused["data"] == {"reason": "budget"}
    row = await rows(lambda: McpSampling.objects.filter(why="budget").first())
    assert "budget" in row.reason
    assert row.reason not in json.dumps(refused)
    assert not await sync_to_async(Charge.objects.filter(amount__gt=0).exists)()
    answer = await ask(house.secret, "/mcp/asker", request("tools/call", name="echo", arguments={"text": "lives"}))
    assert answer[1]["result"]["content"][0]["text"] == "lives"


async def test_a_stop_of_the_agent_cuts_what_is_asked_for_it(
    house: House, engine: Engine, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.work.REHEARSAL_PATIENCE_S", 120)
    one(await asking(house))
    hanging = asyncio.ensure_future(asking(house, "hang"))
    async with asyncio.timeout(PATIENCE_S):
        while not started.sampler._open:
            await asyncio.sleep(0.02)

    keeping = asyncio.create_task(engine.keeper.keep())

    await sync_to_async(halting.stop)(house.ada, "agent", house.agent.pk, "Enough")

    assert one(await hanging)["data"] == {"reason": "halted"}
    later = await asking(house)
    async with asyncio.timeout(PATIENCE_S):
        while "Enough" not in json.dumps(later):  # the call itself is refused
            # Until the gateway has read of the stop too, the router refuses; and so does the pace, asked this often.
            assert one(later)["data"]["reason"] in ("halted", "rate")
            await asyncio.sleep(0.05)
            later = await asking(house)
    keeping.cancel()


async def test_a_provider_that_fails_or_hangs_costs_the_question_and_nothing_else(
    house: House, started: Gateway
) -> None:
    failed = one(await asking(house, "fail: 500"))
    fine = one(await asking(house, "Hello"))
    await sync_to_async(servers.change)(house.ada, house.server.pk, None, sampling_timeout_s=1)
    async with asyncio.timeout(PATIENCE_S):
        while started.book.servers["asker"].sampling.timeout_s != 1:  # type: ignore[union-attr]
            await asyncio.sleep(0.02)

    hung = one(await asking(house, "hang"))

    assert failed["data"] == {"reason": "failed"}
    assert (hung["code"], hung["data"]) == (-32001, {"reason": "timeout"})
    assert fine["content"]["text"]
    charges = await rows(
        lambda: list(Charge.objects.all()) if not Charge.objects.filter(state="open").exists() else None
    )
    assert len(charges) == 3


async def test_tools_of_a_server_reach_the_model_in_so_many_rounds(house: House, started: Gateway) -> None:
    tools = [{"name": "look_up", "description": "Looks up.", "inputSchema": {"type": "object"}}]
    refused = one(await asking(house, 'call: look_up {"word": "x"}', tools=tools))
    await sync_to_async(servers.change)(house.ada, house.server.pk, None, sampling_tool_rounds=1)
    async with asyncio.timeout(PATIENCE_S):
        while started.book.servers["asker"].sampling.tool_rounds != 1:  # type: ignore[union-attr]
            await asyncio.sleep(0.02)

    first = one(await asking(house, 'call: look_up {"word": "x"}', tools=tools))
    use = first["content"][-1]
    turn = [{"role": "assistant", "content": first["content"]}]
    result = {"type": "tool_result", "toolUseId": use["id"], "content": [{"type": "text", "text": "It means y."}]}
    told = [said('call: look_up {"word": "x"}'), *turn, {"role": "user", "content": [result]}]
    second = one(await asking(house, tools=tools, messages=told))
    third = one(await asking(house, tools=tools, messages=[*told, *turn, {"role": "user", "content": [result]}]))

    assert refused["data"] == {"reason": "tools"}
    assert (first["stopReason"], use["type"], use["name"], use["input"]) == (
        "toolUse", "tool_use", "look_up", {"word": "x"},
    )  # fmt: skip
    assert "It means y." in json.dumps(second)
    assert third["data"] == {"reason": "tools"}


async def test_within_a_run_it_is_the_runs_expense_and_in_its_story(
    house: House, engine: Engine, started: Gateway
) -> None:
    run = await sync_to_async(lambda: dispatch.start(house.alice, "Go.", agent=house.agent, origin="web").run)()
    going = Going(run)
    engine._runs[run.pk] = going  # type: ignore[assignment]
    events: list[tuple[str, str, dict[str, Any]]] = []
    started.recorder.tell_run = lambda run_id, kind, data: events.append((run_id, kind, data))
    started.relay.carrier.run_of = lambda asked: run.pk
    caller = started.book.by_token(house.secret)
    assert caller is not None
    inside = Door(started.relay, lambda secret: replace(caller, via="socket", sandbox_id="box"), lambda: ["localhost"])

    one(await asking(house, app=inside))

    row = await rows(lambda: McpSampling.objects.filter(outcome="ok").first())
    charge = await rows(lambda: Charge.objects.filter(pk=row.model_call_id).first())
    assert row.run_id == charge.run_id == run.pk
    assert charge.person_id == house.alice.pk
    assert [
        (run_id, kind, data["server"], data["outcome"]) for run_id, kind, data in events if kind == "mcp.sampling"
    ] == [(run.pk, "mcp.sampling", "asker", "ok")]
    told = [data for kind, data in going.told if kind == "model.call"]
    assert [(data["by"], data["name"], data["model"]) for data in told] == [("server", "asker", "small-1")]
    assert going.figures.model_calls == 1


class Going:
    """What the lender needs of a run that goes on."""

    def __init__(self, run: Run) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.figures = Figures()
        self.sink = self.recorder = self.job = self
        self.run_id, self.actor_id, self.resident = run.pk, run.actor_id, None
        self.spender = Spender(run.pk, run.conversation_id, run.agent_id, run.actor_id)

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self.told.append((kind, data))


# What people may set and see.


@pytest.fixture
def asker(ada: User) -> McpServer:
    return servers.create(ada, "asker", "true", enabled=False, visibility="shared")


@pytest.fixture
def small(ada: User) -> ModelRoute:
    maker = Provider.objects.create(name="Rehearsing", kind="rehearsal")
    return ModelRoute.objects.create(provider=maker, model="small-1", owner=ada, visibility="private")


def test_only_a_model_one_sees_can_be_lent(ada: User, asker: McpServer, small: ModelRoute) -> None:
    olive = person("olive", Role.OPERATOR)
    theirs = servers.create(olive, "theirs", url="https://tools.example.org/mcp", kind="http")

    with pytest.raises(Invalid, match="no such model"):
        servers.change(olive, theirs.pk, None, sampling=True, sampling_route=small.pk)
    with pytest.raises(Invalid, match="Say which model"):
        servers.change(ada, asker.pk, None, sampling=True)
    with pytest.raises(Invalid, match="no such model"):
        servers.change(ada, asker.pk, None, sampling_route="route_nothing")
    changed = servers.change(ada, asker.pk, None, sampling=True, sampling_route=small.pk)

    assert (changed.sampling, changed.sampling_route_id) == (True, small.pk)
    # Without the model it can still be changed, and ended.
    small.delete()
    assert servers.change(ada, asker.pk, None, description="Still mine").sampling


@pytest.mark.parametrize("field", ["sampling_tokens", "sampling_timeout_s", "sampling_rpm", "sampling_rounds"])
@pytest.mark.parametrize("value", [0, -1, 10**9, True, "many"])
def test_bounds_are_numbers_that_bound(ada: User, asker: McpServer, field: str, value: Any) -> None:
    with pytest.raises(Invalid) as error:
        servers.change(ada, asker.pk, None, **{field: value})

    assert error.value.field == field


def test_the_api_sets_and_shows_it_and_names_only_agents_one_sees(
    ada: User, alice: User, asker: McpServer, small: ModelRoute
) -> None:
    hidden = composition.create(alice, "hidden-agent", souls.create("Soul", "Text.", alice))
    McpSampling.objects.create(
        server=asker, server_name="asker", agent=hidden, run_id="run_of_hidden", outcome="ok", model="small-1",
        route_id=small.pk, cost=Decimal("0.5"), at=asker.updated_at,
    )  # fmt: skip
    olive = person("olive", Role.OPERATOR)
    asker.owner = olive
    asker.save()
    body = {"version": asker.version, "sampling": True, "sampling_route": small.pk, "sampling_tokens": 99}

    changed = Program(ada)("PATCH", f"mcp-servers/{asker.pk}", body)
    found = Program(olive).get(f"mcp-servers/{asker.pk}/samplings")
    told = Program(ada).get(f"mcp-servers/{asker.pk}/samplings")

    assert changed.status_code == 200, changed.content
    assert (changed.json()["sampling_route"], changed.json()["sampling_tokens"]) == (small.pk, 99)
    item = found["items"][0]
    assert (item["agent_id"], item["run_id"], item["model"], item["route_id"]) == (None, "", "", "")
    assert item["cost"] == "0.50000000"
    assert told["items"][0]["model"] == "small-1"
    Program(alice).get(f"mcp-servers/{asker.pk}/samplings", 404)


def test_the_command_sets_and_lists_it(asker: McpServer, small: ModelRoute, capsys: Any) -> None:
    call_command("mcp", "edit", "asker", "--sampling", "--sampling-route", "small-1", "--sampling-rpm", "3")
    McpSampling.objects.create(
        server=asker, server_name="asker", tool="summarise", outcome="refused", reason="Too often.", at=asker.updated_at
    )

    call_command("mcp", "samplings", "asker")

    asker.refresh_from_db()
    assert (asker.sampling, asker.sampling_route, asker.sampling_rpm) == (True, small, 3)
    assert "summarise" in (printed := capsys.readouterr().out)
    assert "Too often." in printed


def test_a_file_lends_it_by_name_and_says_it_again(ada: User, asker: McpServer, small: ModelRoute) -> None:
    text = "mcp_servers:\n  asker:\n    sampling: true\n    sampling_route: small-1\n    sampling_rpm: 4\n"

    first, second = plan.apply(ada, text), plan.apply(ada, text)
    again = plan.plan(ada, exported(ada))

    asker.refresh_from_db()
    assert (asker.sampling, asker.sampling_route, asker.sampling_rpm) == (True, small, 4)
    assert first.changes == 1
    assert (second.changes, again.changes) == (0, 0)
    with pytest.raises(Invalid, match=r"line 4.*no such model"):
        plan.apply(ada, text.replace("small-1", "small-2"))


def test_its_page_lists_what_was_asked_at_a_constant_cost(
    browser: Callable[..., Client], ada: User, alice: User, asker: McpServer, small: ModelRoute
) -> None:
    servers.change(ada, asker.pk, None, sampling=True, sampling_route=small.pk)

    def ask_more(number: int) -> None:
        agent = composition.create(alice, f"agent-{number}", souls.create(f"Soul {number}", "Text.", alice))
        McpSampling.objects.create(
            server=asker, server_name="asker", agent=agent, tool=f"summarise-{number}", outcome="refused", why="rate",
            reason="It has asked too often.", model="small-1", route_id=small.pk, at=asker.updated_at,
        )  # fmt: skip

    def shown() -> tuple[str, int]:
        with CaptureQueriesContext(connection) as captured:
            page = browser(ada).get(f"/mcp-servers/{asker.pk}/models/?outcome=refused").content.decode()
        return page, len(captured)

    ask_more(1)
    before = shown()[1]
    for number in range(2, 6):
        ask_more(number)
    page, after = shown()

    assert "summarise-5" in page
    assert "It has asked too often." in page
    assert "small-1" in page
    assert after == before
    assert browser(alice).get(f"/mcp-servers/{asker.pk}/models/").status_code == 404


def test_the_form_sets_it_and_hides_the_name_of_a_model_one_does_not_see(
    browser: Callable[..., Client], ada: User, asker: McpServer, small: ModelRoute
) -> None:
    olive = person("olive", Role.OPERATOR)
    asker.owner = olive
    asker.save()
    address = f"/mcp-servers/{asker.pk}/edit/"
    form = browser(ada).get(address).context["form"]
    posted = {name: form[name].value() for name in form.fields if form[name].value() not in (None, False)}
    posted |= {name: "\n".join(value) for name, value in posted.items() if isinstance(value, list)}
    posted |= {name: "" for name, value in posted.items() if isinstance(value, dict)}

    refused = browser(ada).post(address, {**posted, "sampling": "on", "sampling_rpm": "0"})
    saved = browser(ada).post(address, {**posted, "sampling": "on", "sampling_route": small.pk, "sampling_rpm": "7"})

    assert refused.status_code == 400
    assert saved.status_code == 302, saved.context["form"].errors
    asker.refresh_from_db()
    assert (asker.sampling, asker.sampling_route, asker.sampling_rpm, asker.sampling_tokens) == (True, small, 7, 1024)
    page = browser(olive).get(address).content.decode()
    assert "A model that you do not see" in page
    assert "small-1" not in page
    assert "small-1" not in browser(olive).get(f"/mcp-servers/{asker.pk}/models/").content.decode()


def test_whoever_only_edits_a_server_lends_it_nothing_and_may_take_it_away(ada: User, small: ModelRoute) -> None:
    small.visibility = "shared"
    small.save()
    olga = person("olga", Role.OPERATOR)
    theirs = servers.create(ada, "theirs", "true", enabled=False)
    sharing.grant(ada, olga, "edit", theirs)

    with pytest.raises(NotFound):
        servers.change(olga, theirs.pk, None, sampling=True, sampling_route=small.pk)
    servers.change(ada, theirs.pk, None, sampling=True, sampling_route=small.pk)
    for more in ({"sampling_rpm": 600}, {"sampling_tokens": 200_000}, {"sampling_tool_rounds": 1}):
        with pytest.raises(NotFound):
            servers.change(olga, theirs.pk, None, **more)
    assert servers.change(olga, theirs.pk, None, sampling_rpm=1, description="Hers too").sampling
    assert not servers.change(olga, theirs.pk, None, sampling=False).sampling
