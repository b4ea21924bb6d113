"""Prices from a file: three shapes, nothing guessed, shown before they are applied, kept in the history."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from agents import price_lists, pricing, routes
from agents.errors import Conflict, Invalid, LogosError
from agents.models import ModelRoute, PriceList, Provider, Role, User
from tests.api_client import Program
from tests.conftest import person

pytestmark = pytest.mark.django_db

LITELLM = {
    "sample_spec": {"input_cost_per_token": 0, "output_cost_per_token": 0},
    "lab/large": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "litellm_provider": "lab"},
    "small": {"input_cost_per_token": "0.00000015", "output_cost_per_token": 6e-07},
    "dall-e": {"output_cost_per_image": 0.04},
}


@pytest.fixture
def large(ada: User) -> ModelRoute:
    provider = Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example/v1")
    return routes.add_route(provider, "large", ada)


def proposed(user: User, data: bytes = b"") -> PriceList:
    return pricing.propose(user, "prices.json", data or json.dumps(LITELLM).encode())


def applied(user: User, row: PriceList) -> None:
    pricing.apply(user, row.pk, pricing.digest_of(pricing.news(user, row)))


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(LITELLM).encode(),
        b'[{"model": "lab/large", "input": 3, "output": "15"}, {"model": "small", "input": 0.15, "output": 0.6}]',
        b"model,input,output,currency\nlab/large,3,15,USD\nsmall,0.15,0.6,\n",
        b"\xef\xbb\xbfprices:\n- model: lab/large\n  input: 3\n  output: 15\n- model: small\n  input: 0.15\n  output: 0.6\n",
    ],
)
def test_every_shape_says_the_same(data: bytes) -> None:
    found = price_lists.read(data)

    assert {name: (each.input, each.output) for name, each in found.items()} == {
        "lab/large": (Decimal(3), Decimal(15)),
        "small": (Decimal("0.15"), Decimal("0.6")),
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'[{"model": "a", "input": -1, "output": 1}]', "is no price"),
        (b'[{"model": "a", "input": NaN, "output": 1}]', "is no price"),
        (b'[{"model": "a", "input": Infinity, "output": 1}]', "is no price"),
        (b'[{"model": "a", "input": "one", "output": 1}]', "is no price"),
        (b'[{"model": "a", "input": 1e30, "output": 1}]', "no price"),
        (b'[{"model": "a", "input": 1, "output": 1, "currency": "EUR"}]', "only USD is known"),
        (b'[{"model": "a", "input": "sNaN", "output": 1}]', "is no price"),
        (b'[{"model": "a", "input": {}, "output": 1}]', "no price"),
        (b'[{"model": "a", "input": 1, "output": 1, "currency": ["USD"]}]', "only USD is known"),
        (b'{"currency": "EUR", "prices": [{"model": "a", "input": 1, "output": 1}]}', "only USD is known"),
        (b"model,input,output,Currency\na,1,1,EUR\n", "only USD is known"),
        (b"model,input,output, currency \na,1,1,EUR\n", "only USD is known"),
        (b'{"a": {"input_cost_per_token": 1e999999, "output_cost_per_token": 1}}', "no price"),
        (b'[{"model": "a\\u0000", "input": 1, "output": 1}]', "no name of a model"),
        (b'[{"model": "a\\ud800", "input": 1, "output": 1}]', "no name of a model"),
        (b"a: &a [x]\nb: &b [*a, *a]\nc: {input: *b, output: *b}\n", "no price"),
        (b"[]", "holds no prices"),
        (b"{", "neither JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "neither JSON"),
        (b"a: !!python/object/apply:os.system [id]", "holds no prices"),
    ],
)
def test_what_is_no_price_refuses_the_whole_file(data: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        price_lists.read(data)


def test_what_differs_is_applied_once_and_kept_in_the_history(ada: User, large: ModelRoute) -> None:
    row, before = proposed(ada), large.history.count()

    assert [each.route for each in pricing.news(ada, row)] == [large]
    applied(ada, row)
    assert pricing.news(ada, proposed(ada)) == []
    large.refresh_from_db()
    assert (large.price_input, large.price_output, large.price_list) == (3, 15, row)
    assert large.history.count() == before + 1
    assert large.history.first().history_change_reason == "Prices from prices.json"
    row.refresh_from_db()
    assert (row.state, row.count, row.currency, row.made_by, row.applied_by) == ("applied", 2, "USD", ada, ada)
    assert row.sha256 == hashlib.sha256(json.dumps(LITELLM).encode()).hexdigest()


def test_a_name_that_ends_alike_at_two_prices_is_not_guessed(ada: User, large: ModelRoute) -> None:
    row = proposed(ada, b"model,input,output\na/large,1,1\nb/large,2,2\n")

    assert pricing.news(ada, row) == []


def test_nobody_reads_prices_whose_role_does_not_include_it(alice: User, ada: User, large: ModelRoute) -> None:
    row = proposed(ada)

    for attempt in (
        lambda: proposed(alice),
        lambda: pricing.apply(alice, row.pk, pricing.digest_of(pricing.news(ada, row))),
        lambda: pricing.undo(alice, row.pk),
        lambda: pricing.again(alice, row.pk),
    ):
        with pytest.raises(LogosError):
            attempt()
    assert not pricing.seen_by(alice).exists()


def test_an_operator_changes_what_they_may_edit_and_sees_no_other_models(ada: User, large: ModelRoute) -> None:
    otto = person("otto", Role.OPERATOR)
    ModelRoute.objects.update(visibility="private")
    row = proposed(otto)

    assert pricing.news(otto, row) == []
    applied(ada, row)
    assert pricing.visible_changes(otto, PriceList.objects.get(pk=row.pk)) == []
    assert len(pricing.visible_changes(ada, PriceList.objects.get(pk=row.pk))) == 1
    assert pricing.undo(otto, row.pk) == 0


def test_what_is_applied_is_what_was_shown(ada: User, large: ModelRoute) -> None:
    row = proposed(ada)
    shown = pricing.digest_of(pricing.news(ada, row))
    routes.change(ada, large.pk, ModelRoute.objects.get(pk=large.pk).version, price_input=Decimal(1))

    with pytest.raises(Conflict, match="something else by now"):
        pricing.apply(ada, row.pk, shown)
    large.refresh_from_db()
    assert large.price_input == 1
    applied(ada, row)
    with pytest.raises(Conflict, match="applied before"):
        applied(ada, row)


def test_undoing_gives_back_what_stood_before(ada: User, large: ModelRoute) -> None:
    routes.change(ada, large.pk, ModelRoute.objects.get(pk=large.pk).version, price_input=Decimal(7))
    with pytest.raises(Conflict, match="not applied"):
        pricing.undo(ada, proposed(ada).pk)
    first, second = proposed(ada), proposed(ada, b"model,input,output,cached\nlarge,30,40,3\n")
    applied(ada, first)
    applied(ada, second)
    large.refresh_from_db()
    assert (large.price_input, large.price_cached, large.price_list) == (30, 3, second)

    assert pricing.undo(ada, second.pk) == 1
    large.refresh_from_db()
    assert (large.price_input, large.price_output, large.price_cached, large.price_list) == (3, 15, None, first)
    assert pricing.undo(ada, first.pk) == 1
    large.refresh_from_db()
    assert (large.price_input, large.price_output, large.price_list) == (7, None, None)
    with pytest.raises(Conflict, match="undone before"):
        pricing.undo(ada, first.pk)


def test_what_was_set_by_hand_since_stays_when_a_list_is_undone(ada: User, large: ModelRoute) -> None:
    row = proposed(ada)
    applied(ada, row)
    large.refresh_from_db()
    routes.change(ada, large.pk, large.version, price_input=Decimal(9))
    large.refresh_from_db()

    assert large.price_list is None
    assert large.history.first().history_change_reason == "Prices by hand"
    assert pricing.undo(ada, row.pk) == 0
    large.refresh_from_db()
    assert large.price_input == 9


def test_a_list_can_be_applied_again(ada: User, large: ModelRoute) -> None:
    row = proposed(ada)
    applied(ada, row)
    pricing.undo(ada, row.pk)

    again = pricing.again(ada, row.pk)

    assert (again.sha256, again.state) == (row.sha256, "proposed")
    applied(ada, again)
    large.refresh_from_db()
    assert (large.price_input, large.price_list) == (3, again)


def test_the_price_of_what_was_cached_is_taken_where_it_can_be_true(ada: User, large: ModelRoute) -> None:
    told = {"large": {"input_cost_per_token": 3e-6, "output_cost_per_token": 1, "cache_read_input_token_cost": 3e-7}}
    told["odd"] = {**told["large"], "cache_read_input_token_cost": 4e-6}
    told = {name: {**row, "output_cost_per_token": 1.5e-5} for name, row in told.items()}
    found = price_lists.read(json.dumps(told).encode())

    assert found["large"].cached == Decimal("0.3")
    assert found["odd"].cached is None
    version = ModelRoute.objects.get(pk=large.pk).version
    with pytest.raises(Invalid, match="at most what others do"):
        routes.change(ada, large.pk, version, price_input=Decimal(1), price_cached=Decimal(2))
    with pytest.raises(Invalid, match="at most what others do"):
        routes.change(ada, large.pk, version, price_cached=Decimal(2))


@pytest.mark.parametrize("text", ["", "model,input,output,currency\na,1,1,EUR\n", '[{"model": "a", "input": NaN}]'])
def test_the_api_refuses_what_is_no_price(ada: User, text: str) -> None:
    answer = Program(ada).post("prices", {"source": "prices", "text": text}, 400)

    assert answer["error"]["field"] == "file"
    assert not PriceList.objects.exists()


def test_the_api_shows_applies_and_undoes(ada: User, large: ModelRoute) -> None:
    program = Program(ada)
    found = program.post("prices", {"source": "prices.json", "text": json.dumps(LITELLM)}, 201)

    assert [each["model"] for each in found["changes"]] == ["large"]
    assert found["changes"][0]["after"] == {"input": "3.000000", "output": "15.000000", "cached": None}
    program.post(f"prices/{found['id']}/apply", {"digest": "other"}, 409)
    done = program.post(f"prices/{found['id']}/apply", {"digest": found["digest"]}, 200)
    assert (done["state"], done["digest"], len(done["changes"])) == ("applied", "", 1)
    assert program.get("prices")["items"][0]["state"] == "applied"
    assert program.get(f"routes/{large.pk}")["price_list_id"] == found["id"]
    assert program.post(f"prices/{found['id']}/undo", {}, 200) == {"changed": 1}


def test_the_page_shows_before_it_changes(ada: User, large: ModelRoute) -> None:
    browser = Client()
    browser.force_login(ada)
    assert browser.post("/prices/").status_code == 400
    wrong = SimpleUploadedFile("prices.csv", b"model,input,output\nlarge,-1,1\n")
    assert b"is no price" in browser.post("/prices/", {"file": wrong}).content
    file = SimpleUploadedFile("prices.json", json.dumps(LITELLM).encode())
    page = browser.post("/prices/", {"file": file}, follow=True)

    assert "What it would change" in page.content.decode()
    row = PriceList.objects.get()
    assert browser.post(f"/prices/{row.pk}/apply/", {"digest": "old"}).status_code == 409
    done = browser.post(f"/prices/{row.pk}/apply/", {"digest": page.context["digest"]}, follow=True).content.decode()
    assert "What it changed" in done
    assert "prices.json" in browser.get(f"/models/{large.pk}/").content.decode()
    undone = browser.post(f"/prices/{row.pk}/undo/", follow=True)
    assert "models with their former prices: 1" in undone.content.decode()
    assert browser.post(f"/prices/{row.pk}/undo/").status_code == 409
    assert browser.post(f"/prices/{row.pk}/again/", follow=True).context["is_new"]
    assert "prices.json" in browser.get("/prices/").content.decode()


def test_the_command_shows_first(ada: User, large: ModelRoute, tmp_path: Path, run_command: Callable[..., str]) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(LITELLM))

    assert "large" in run_command("prices", "import", str(file))
    large.refresh_from_db()
    assert large.price_input is None
    run_command("prices", "import", str(file), "--apply")
    large.refresh_from_db()
    assert large.price_input == 3
    assert large.price_list is not None
    assert large.price_list.pk in run_command("prices", "list")
    run_command("prices", "undo", large.price_list.pk)
    large.refresh_from_db()
    assert large.price_input is None
    with pytest.raises(Exception, match="cannot be read"):
        run_command("prices", "import", str(tmp_path / "nothing"))
