"""The secrets agents have of their own, hidden in what servers tell them."""

from __future__ import annotations

import pytest

from agents import agent_secrets
from agents.models import AgentSecret
from agents.secrets import MASK
from mcp_gateway import own_secrets, reading, servers
from tests.mcp_gateway.test_gateway import House

pytestmark = pytest.mark.django_db


def said_to(house: House, text: str) -> str:
    caller = reading.book().by_token(house.secret)
    assert caller is not None
    return text if caller.blot is None else caller.blot.text(text)


def test_a_new_value_is_hidden_and_a_forgotten_one_is_not() -> None:
    house = House()
    assert said_to(house, "planted-one planted-two") == "planted-one planted-two"

    before = reading.mark()
    agent_secrets.put(house.alice, house.agent, "API_KEY", "planted-one")
    assert reading.mark() != before
    assert said_to(house, "planted-one planted-two") == f"{MASK} planted-two"
    before = reading.mark()
    agent_secrets.put(house.alice, house.agent, "API_KEY", "planted-two")
    assert reading.mark() != before
    assert said_to(house, "planted-one planted-two") == f"planted-one {MASK}"
    AgentSecret.objects.all().delete()
    assert said_to(house, "planted-two") == "planted-two"


def test_values_are_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    agent_secrets.put(house.alice, house.agent, "API_KEY", "planted-one")
    reading.book()
    monkeypatch.setattr("agents.secrets.unseal", None)

    assert own_secrets.blots([house.agent.pk]).keys() == {house.agent.pk}
    assert "planted" not in repr(reading.book())


@pytest.mark.parametrize(
    ("field", "value"), [("max_result_kb", 16_385), ("max_argument_kb", 0), ("max_result_kb", True)]
)
def test_a_size_is_one_that_logos_can_carry(field: str, value: int) -> None:
    house = House()

    with pytest.raises(Exception, match=r"A size is 1 to [\d,]+ KB\.") as refused:
        servers.change(house.ada, house.server.pk, None, **{field: value})
    assert refused.value.field == field  # type: ignore[attr-defined]


def test_sizes_are_of_the_book() -> None:
    house = House()
    servers.change(house.ada, house.server.pk, None, max_result_kb=7, max_argument_kb=3, masks_keys=True)

    served = reading.book().servers["files"]
    launch = reading.launch(house.server.pk)
    assert (served.max_result, served.max_argument) == (7 * 1024, 3 * 1024)
    assert (launch.masks_keys, launch.known) == (True, ("planted-value-9",))
    assert "planted" not in repr(launch)
