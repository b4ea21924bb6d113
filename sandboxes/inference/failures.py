"""What a provider's failure means: a code, a sentence, an action, and the status the runtime is given for it.

The status is chosen for its effect on the runtime (measured with hermes-agent 0.19.0): 400, 401 and 402 end
the run at once, 429 is tried three times within 3 s, 5xx three times within 9 s. A failure that another try
cannot mend is therefore answered in the 400 class whatever the provider sent. The runtime also reads the
*words* of a 400: sentences of ours must not contain phrases such as "rate limit" or "context length", or it
tries again all the same (a test keeps the list).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agents.errors import Code, LogosError

MAX_WORDS = 300  # of a provider's own message; more than that is a page, not a message

_OVERFLOW = re.compile(
    r"context[_ ]length|context size|context window|maximum context|too many tokens|prompt is too long|input is too long"
    r"|exceeds the (?:available|limit|maximum)|reduce the length|max_model_len|n_ctx|maximum model length",
    re.IGNORECASE,
)
_BILLING = re.compile(
    r"insufficient[_ ](?:quota|credits|balance)|exceeded your current quota|credit balance|payment[_ ]required"
    r"|billing|out of funds|top up|spending[ -]limit",
    re.IGNORECASE,
)
_PARAMETER = re.compile(r"(?:unsupported|unknown|unrecognized)[_ ](?:parameter|request argument)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure, ready to be told: to the person, to the record, to the runtime."""

    code: Code
    sentence: str
    action: str
    status: int  # given to the runtime
    words: str = ""  # what the provider said, cut to MAX_WORDS; may be empty
    verbatim: bytes = b""  # the provider's own JSON, passed on where the runtime learns from its wording
    retry_after: str = ""

    @property
    def message(self) -> str:
        """The sentence, and what the provider said if it said anything: for the record and the person."""
        return f"{self.sentence} It said: {self.words}" if self.words else self.sentence

    def without(self, secret: str) -> Failure:
        """The same with ``secret`` blotted out: some providers quote the key they refuse."""
        if len(secret) < 6:  # shorter ones are placeholders ("none", "-") that would blot out ordinary words
            return self
        hidden = self.verbatim.replace(secret.encode(), b"[hidden]")
        return replace(self, words=self.words.replace(secret, "[hidden]"), verbatim=hidden)


class ProviderError(LogosError):
    """A model provider did not do what was asked; ``failure`` has the parts."""

    def __init__(self, failure: Failure, *, detail: str = "") -> None:
        transient = failure.status >= 429
        super().__init__(
            failure.message, reason=failure.code, detail=detail, action=failure.action, permanent=not transient
        )
        self.failure = failure


def error_body(sentence: str, code: str, *, action: str = "") -> bytes:
    """An error as OpenAI's clients expect it; ``action`` is ours and ignored by them."""
    error = {"message": sentence, "type": "logos_error", "param": None, "code": str(code)}
    if action:
        error["action"] = action
    return json.dumps({"error": error}, ensure_ascii=False).encode()


def classify(status: int, body: bytes, headers: Mapping[str, str]) -> Failure:
    """What an answer that is not a success means. ``headers`` in any case; ``body`` may be cut short."""
    if looks_like_html(body, headers):
        return web_page(status)
    error = _error_of(body)
    words, provider_code = _words_of(error, body), str(error.get("code") or error.get("type") or "")
    said = f"{words} {provider_code}"
    if 300 <= status < 400:
        return replace(WRONG_ADDRESS, sentence="The model provider answered with a redirect.")
    if status == 402 or (status in (400, 403, 429) and _BILLING.search(said)):
        return Failure(
            Code.PROVIDER_BILLING,
            f"The model provider wants to be paid first (HTTP {status}).",
            "Add credit at the provider, or choose another model route.",
            402,
            words,
        )
    if status in (401, 403):
        return Failure(
            Code.PROVIDER_AUTH,
            f"The model provider refused the key (HTTP {status}).",
            "Check the provider's API key and what it may use.",
            401,
            words,
        )
    if status == 413 or (status in (400, 422, 500, 503) and _is_overflow(said)):
        return Failure(
            Code.CONTEXT_OVERFLOW,
            "The conversation no longer fits into the model's context.",
            "Start a new conversation, or choose a model with a longer context.",
            413 if status == 413 else 400,
            words,
            verbatim=body if error else b"",
        )
    if status == 404:
        return Failure(
            Code.MODEL_NOT_FOUND,
            "The provider does not know this model (HTTP 404).",
            "Check the model's name and the provider's address; the address usually ends in /v1.",
            400,
            words,
        )
    if status == 429:
        return Failure(
            Code.PROVIDER_RATE_LIMIT,
            "The model provider is limiting how often it may be asked (HTTP 429).",
            "Wait a moment and send the message again.",
            429,
            words,
            retry_after=_header(headers, "retry-after"),
        )
    if status in (408, 504, 524):
        return replace(TIMED_OUT, sentence=f"The model provider took too long (HTTP {status}).", words=words)
    if status in (500, 501):
        return Failure(
            Code.UNKNOWN,
            f"The model provider failed inside (HTTP {status}).",
            "Try again; if it stays so, look at the provider's status page or log.",
            500,
            words,
        )
    if status > 501:
        return Failure(
            Code.PROVIDER_UNREACHABLE,
            f"The model provider is not available (HTTP {status}).",
            "Try again in a while, or choose another model route.",
            503 if status > 599 else status,
            words,
            retry_after=_header(headers, "retry-after"),
        )
    return Failure(
        Code.UNKNOWN,
        f"The model provider did not accept the request (HTTP {status}).",
        "Read what it said; a setting of the model route may not suit this model.",
        status if 400 <= status < 500 else 400,
        words,
        verbatim=body if error else b"",
    )


UNREACHABLE = Failure(
    Code.PROVIDER_UNREACHABLE,
    "The model provider cannot be reached.",
    "Check that it is running and that its address is right.",
    400,
)
WRONG_ADDRESS = Failure(
    Code.PROVIDER_UNREACHABLE,
    "The model provider answered something that is not the model API.",
    "Check the provider's address; it usually ends in /v1.",
    400,
)
CUT_OFF = Failure(
    Code.PROVIDER_UNREACHABLE,
    "The model provider closed the connection in the middle of its answer.",
    "Send the message again.",
    502,
)
TIMED_OUT = Failure(
    Code.PROVIDER_TIMEOUT,
    "The model provider took too long to answer.",
    "Try again, choose a faster model, or raise the route's time limit.",
    504,
)


def web_page(status: int) -> Failure:
    """HTML where JSON was promised: a wrong address if it came with a success or a refusal, an outage if 5xx."""
    if status >= 500:
        return replace(
            UNREACHABLE,
            sentence=f"The model provider is not available: it answered a web page (HTTP {status}).",
            action="Try again in a while; something in front of the provider is answering for it.",
            status=status if status <= 599 else 503,
        )
    return replace(WRONG_ADDRESS, sentence="The model provider answered a web page instead of the model API.")


def looks_like_html(body: bytes, headers: Mapping[str, str]) -> bool:
    if "html" in _header(headers, "content-type").lower():
        return True
    start = body[:200].lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml"))


def _is_overflow(said: str) -> bool:
    # "Unsupported parameter: 'max_tokens'…" is about a setting, and no shorter conversation would mend it.
    return bool(_OVERFLOW.search(said)) and not _PARAMETER.search(said)


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")


def _error_of(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    if isinstance(document, list) and document:  # Google wraps its errors in a list
        document = document[0]
    if not isinstance(document, dict):
        return {}
    error = document.get("error", document)
    return error if isinstance(error, dict) else {"message": str(error)}


def _words_of(error: dict[str, Any], body: bytes) -> str:
    said = error.get("message") or error.get("detail") or ""
    if not said and not error:
        said = body[: MAX_WORDS * 4].decode("utf-8", "replace")
    flat = " ".join(str(said).split())
    return flat if len(flat) <= MAX_WORDS else flat[: MAX_WORDS - 1] + "…"


# Whose words a halt's reason holds is not known, and the runtime reads them: it is told this much.
HALTED = Failure(Code.HALTED, "Somebody stopped this for now.", "It can go on once somebody who may resumes it.", 400)
