"""The table from a provider's answer to a code, a status for the runtime, and words for the person."""

from __future__ import annotations

import json
import re

import pytest

from agents.errors import Code
from sandboxes.inference import failures
from sandboxes.inference.failures import Failure, ProviderError, classify, web_page
from sandboxes.inference.wires import OPENAI

JSON = {"Content-Type": "application/json"}
HTML = {"content-type": "text/html; charset=utf-8"}


def said(message: str, **more: object) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


TABLE = [
    # status, body, headers, code, status for the runtime
    (401, said("Incorrect API key"), JSON, Code.PROVIDER_AUTH, 401),
    (403, said("Country not supported"), JSON, Code.PROVIDER_AUTH, 401),
    (403, said("x", code="billing_not_active"), JSON, Code.PROVIDER_BILLING, 402),
    (402, b"", {}, Code.PROVIDER_BILLING, 402),
    (429, said("You exceeded your current quota", code="insufficient_quota"), JSON, Code.PROVIDER_BILLING, 402),
    (429, said("Rate limit reached"), JSON, Code.PROVIDER_RATE_LIMIT, 429),
    (404, said("The model `x` does not exist"), JSON, Code.MODEL_NOT_FOUND, 400),
    (404, b"404 page not found", {"Content-Type": "text/plain"}, Code.MODEL_NOT_FOUND, 400),
    (404, b"<html>", HTML, Code.PROVIDER_UNREACHABLE, 400),
    (400, said("maximum context length is 8192 tokens"), JSON, Code.CONTEXT_OVERFLOW, 400),
    (400, said("x", code="context_length_exceeded"), JSON, Code.CONTEXT_OVERFLOW, 400),
    (413, said("too big"), JSON, Code.CONTEXT_OVERFLOW, 413),
    (500, said("the request exceeds the available context size"), JSON, Code.CONTEXT_OVERFLOW, 400),
    (400, said("Unsupported parameter: 'max_tokens' exceeds the limit"), JSON, Code.UNKNOWN, 400),
    (400, said("messages: roles must alternate"), JSON, Code.UNKNOWN, 400),
    (422, b'{"detail":[{"msg":"field required"}]}', JSON, Code.UNKNOWN, 422),
    (400, b'[{"error":{"message":"API key not valid"}}]', JSON, Code.UNKNOWN, 400),
    (500, said("boom"), JSON, Code.UNKNOWN, 500),
    (502, b"", {}, Code.PROVIDER_UNREACHABLE, 502),
    (503, said("loading model"), JSON, Code.PROVIDER_UNREACHABLE, 503),
    (504, b"", {}, Code.PROVIDER_TIMEOUT, 504),
    (524, b"<!DOCTYPE html>", {}, Code.PROVIDER_UNREACHABLE, 524),
    (408, b"", {}, Code.PROVIDER_TIMEOUT, 504),
    (529, said("Overloaded"), JSON, Code.PROVIDER_UNREACHABLE, 529),
    (301, b"", {"Location": "https://elsewhere"}, Code.PROVIDER_UNREACHABLE, 400),
    (200, b"  <!doctype html>", {}, Code.PROVIDER_UNREACHABLE, 400),
    (418, b"\xff\xfe not text", {}, Code.UNKNOWN, 418),
    (999, b"", {}, Code.PROVIDER_UNREACHABLE, 503),
]


@pytest.mark.parametrize(("status", "body", "headers", "code", "for_runtime"), TABLE)
def test_a_providers_failure_has_a_code_a_sentence_and_an_action(
    status: int, body: bytes, headers: dict[str, str], code: Code, for_runtime: int
) -> None:
    failure = classify(status, body, headers)

    assert (failure.code, failure.status) == (code, for_runtime)
    assert failure.sentence.endswith(".")
    assert failure.action.endswith(".")
    assert json.loads(OPENAI.failure_body(failure))


# Phrases for which hermes-agent 0.19.0 tries a 400 again, compresses the transcript or shrinks images.
STARTS_OVER = re.compile(
    r"context length|context size|maximum context|token limit|too many tokens|reduce the length|exceeds the limit"
    r"|context window|prompt is too long|max_tokens|input token|prompt length|rate limit|rate_limit|too many requests"
    r"|throttled|per minute|per day|try again in|retry after|resource_exhausted|image exceeds|image too large"
    r"|usage limit|quota|limit exceeded|context_length_exceeded",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "failure",
    [
        *(classify(status, body, headers) for status, body, headers, _, _ in TABLE),
        *(value for value in vars(failures).values() if isinstance(value, Failure)),
        web_page(200),
    ],
)
def test_our_own_words_for_a_lasting_failure_do_not_make_the_runtime_try_again(failure: Failure) -> None:
    if failure.status >= 429 or failure.verbatim:
        return

    error = json.loads(OPENAI.failure_body(failure))["error"]
    assert not STARTS_OVER.search(f"{error['message']} {error['code']}")
    assert len(error["message"]) >= 30  # a very short message counts as an overflow in a long session


def test_the_key_is_blotted_out_wherever_a_provider_quotes_it() -> None:
    failure = classify(400, said("key sk-abcdef is odd"), JSON).without("sk-abcdef")

    assert "sk-abcdef" not in failure.message + OPENAI.failure_body(failure).decode()
    assert "odd" in failure.message


def test_a_placeholder_key_does_not_blot_out_words() -> None:
    assert classify(400, said("no model here"), JSON).without("no").words == "no model here"


def test_a_page_of_words_is_cut() -> None:
    assert len(classify(400, said("long " * 1000), JSON).words) == failures.MAX_WORDS


def test_what_may_pass_is_not_permanent() -> None:
    assert ProviderError(classify(401, b"", {})).permanent
    assert not ProviderError(classify(429, b"", {})).permanent
    assert ProviderError(classify(429, b"", {})).reason == "provider_rate_limit"
