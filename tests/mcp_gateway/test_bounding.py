"""How answers are cut, as values: nothing longer than allowed, nothing that says it is whole when it is not."""

from __future__ import annotations

import base64
import html
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.secrets import MASK
from mcp_gateway import bounding, jsonrpc
from mcp_gateway.blotting import Blot, blot

SECRET = 'p/anted+se"cret ü'


def cut(result: Any, most: int, tool: Any = None, method: str = "tools/call") -> Any:
    return bounding.within({"jsonrpc": "2.0", "id": 7, "result": result}, most, "files", method, tool)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_text_ends_at_the_limit_and_a_sentence_says_what_is_missing() -> None:
    found = cut({"content": [text("one"), text("ä" * 3_000), text("never")]}, 2_000)["result"]

    first, second, note = found["content"]
    assert first == text("one")
    assert set(second["text"]) == {"ä"}
    assert 1_800 < len(second["text"].encode()) < 2_000
    assert note["text"].startswith("[Logos: Results of files are cut at 2,000 bytes. Left out: ")
    assert "5 bytes of text" in note["text"]
    assert "isError" not in found


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"type": "image", "data": "A" * 4_000, "mimeType": "image/png"}, "4 KB of image/png"),
        ({"type": "audio", "data": "A" * 4_000, "mimeType": "audio/wav"}, "4 KB of audio/wav"),
        ({"type": "resource", "resource": {"uri": "a:b", "blob": "A" * 4_000, "mimeType": "x/y"}}, "4 KB of x/y"),
        ({"type": "future", "more": "A" * 4_000}, "4 KB of future"),
        ("A" * 4_000, "4 KB of a block"),
    ],
    ids=lambda each: each["type"] if isinstance(each, dict) else "",
)
def test_bytes_and_what_nobody_knows_yet_are_left_out_whole(block: Any, said: str) -> None:
    found = cut({"content": [text("before"), block, text("after")]}, 1_000)["result"]

    assert found["content"][:2] == [text("before"), text("after")]
    assert said in found["content"][2]["text"]


def test_a_text_inside_a_resource_is_cut_there() -> None:
    inside = {"type": "resource", "resource": {"uri": "a:b", "text": "x" * 4_000}}

    found = cut({"content": [inside]}, 1_000)["result"]["content"]

    assert found[0]["resource"]["uri"] == "a:b"
    assert 0 < len(found[0]["resource"]["text"]) < 1_000


def test_promised_data_is_whole_or_the_result_is_an_error_that_says_it_was_made() -> None:
    result = {"content": [text("short")], "structuredContent": {"items": ["x" * 4_000]}, "_meta": {"a": 1}}

    unpromised = cut(result, 1_000)["result"]
    promised = cut(result, 1_000, {"outputSchema": {}})["result"]

    assert "structuredContent" not in unpromised
    assert "isError" not in unpromised
    assert (promised["isError"], "structuredContent" in promised, promised["_meta"]) == (True, False, {"a": 1})
    assert "The call was made." in promised["content"][-1]["text"]
    assert "structuredContent" in promised["content"][-1]["text"]


@pytest.mark.parametrize("method", ["resources/read", "prompts/get", "tools/list"])
def test_what_has_no_place_for_a_sentence_is_refused(method: str) -> None:
    found = cut({"contents": [{"uri": "a:b", "text": "x" * 4_000}]}, 1_000, method=method)

    assert (found["id"], found["error"]["code"]) == (7, jsonrpc.TOO_LARGE)
    assert cut({"a": 1}, 1_000, method=method)["result"] == {"a": 1}


def test_a_question_inside_a_result_is_not_cut_to_another_question() -> None:
    asks = {"resultType": "input_required", "inputRequests": {"a": {"params": {"message": "x" * 4_000}}}}

    assert cut(asks, 1_000)["error"]["code"] == jsonrpc.TOO_LARGE


def test_an_error_keeps_its_code_and_its_first_words() -> None:
    found = bounding.within(
        {"id": 1, "error": {"code": -3, "message": "w" * 9_000, "data": "d" * 9_000}}, 1_000, "f", "x"
    )

    assert found["error"] == {"code": -3, "message": "w" * bounding.MAX_ERROR}


@given(
    st.lists(
        st.text(max_size=400) | st.dictionaries(st.text(max_size=9), st.text(max_size=400), max_size=3), max_size=6
    ),
    st.integers(1, 2_000),
)
def test_whatever_comes_is_a_result_within_the_limit(blocks: list[Any], most: int) -> None:
    given = [text(each) if isinstance(each, str) else each for each in blocks]
    found = cut({"content": given, "structuredContent": {"all": given}}, most)

    # Beside what is kept stands one sentence of Logos.
    kept = [each for each in found["result"]["content"] if not str(each.get("text", "")).startswith("[Logos: ")]
    assert sum(len(str(each.get("text", "")).encode("utf-8", "surrogatepass")) for each in kept) <= most
    assert json.loads(jsonrpc.dumps(found)) == found


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        f"before{SECRET}after",
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        "cC9hbnRlZCtzZSJjcmV0IMO8",
        SECRET.encode().hex(),
        "p%2Fanted%2Bse%22cret%20%C3%BC",
        "p%2fanted%2bse%22cret%20%c3%bc",
        "p/anted%2Bse%22cret%20%C3%BC",
        SECRET.encode().hex().upper(),
        html.escape(SECRET),
        json.dumps(json.dumps(SECRET)),
    ],
)
def test_a_secret_is_found_however_it_is_written(said: str) -> None:
    hidden = Blot([SECRET]).message(
        {"jsonrpc": "2.0", "id": 1, "result": {"content": [text(f"a {said} b")], "x": {said: [said]}}}
    )

    assert said not in json.dumps(hidden, ensure_ascii=False)
    assert (hidden["jsonrpc"], hidden["id"]) == ("2.0", 1)
    assert hidden["result"]["content"][0]["text"].startswith("a ")


@pytest.mark.parametrize("before", ["u:", "Bearer ", "Bearer a", "Bearer ab"])
@pytest.mark.parametrize("coded", [base64.b64encode, base64.urlsafe_b64encode])
def test_an_encoded_header_of_a_secret_is_found(before: str, coded: Any) -> None:
    said = coded(f"{before}{SECRET} and more".encode()).decode()

    hidden = Blot([SECRET]).text(f"Authorization was {said}.")

    assert MASK in hidden
    assert hidden.startswith("Authorization was ")
    assert said[len(said) // 3 : len(said) // 2] not in hidden


@pytest.mark.parametrize("before", ["", "x", "xx"])
def test_a_secret_in_bytes_is_found_wherever_it_begins(before: str) -> None:
    data = base64.b64encode(f"{before}{SECRET}yyy".encode()).decode()
    others = [data.rstrip("="), data.replace("+", "-").replace("/", "_"), f"{data[:9]}\n{data[9:]}"]

    hidden = Blot([SECRET]).value({"content": [{"type": "image", "data": data}], "all": [{"blob": x} for x in others]})

    for found in (hidden["content"][0]["data"], *(each["blob"] for each in hidden["all"])):
        assert SECRET.encode() not in base64.b64decode(found)
        assert base64.b64decode(found).endswith(b"yyy")


def test_where_nothing_is_hidden_nothing_is_looked_at() -> None:
    assert blot([]) is None
    assert blot(["short"]) is None
    message = {"jsonrpc": "2.0", "id": 1, "result": {"data": "no base64!", "n": 1.5, "none": None, "yes": True}}
    assert Blot([SECRET]).message(message) == message


def test_what_looks_like_a_key_is_hidden_where_that_is_wanted() -> None:
    key = "ghp_" + "a1B2" * 6

    assert key not in str(Blot(shapes=True).value({"a": [f"use {key}"]}))
    assert key in str(Blot([SECRET]).value({"a": [f"use {key}"]}))
