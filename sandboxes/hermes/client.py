"""Talk to one agent's runtime: start a run, read its events, answer it, stop it.

Two dangers. The event stream of a run can be read once, by one reader, and not resumed: whoever loses it
asks for ``status`` and ``session_messages`` instead. And the runtime does not load earlier messages by
itself: the whole conversation travels with every run.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp

from sandboxes.driver import SandboxError
from sandboxes.hermes.configuration import alias
from sandboxes.hermes.dialling import Dial, DialConnector
from sandboxes.hermes.errors import HermesError, reason_for
from sandboxes.hermes.events import FINAL, NO_USAGE, RuntimeEvent, StreamEnded, Usage, number, parse_event, parse_usage
from sandboxes.hermes.sse import EventDecoder, TooLarge

# "always" exists in the runtime and is not here: it would outlive the run and every later decision.
Choice = Literal["once", "session", "deny"]

REQUEST_TIMEOUT_S = 30.0
SILENCE_S = 75.0  # the runtime sends a comment every 30 s, so two missing ones mean that nobody is there
ANSWER_LIMIT = 32 << 20
PLAIN_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")  # ids become parts of paths


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation. The runtime takes text only."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Where a run is: ``status`` is queued, running, waiting_for_approval, stopping, completed, failed or cancelled."""

    run_id: str
    session_id: str
    status: str
    output: str = ""
    error: str = ""
    usage: Usage = NO_USAGE

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call as the model wrote it; ``arguments`` is its JSON text, possibly broken."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """One stored message of a run. Rows appear while the run goes on."""

    id: int
    role: str
    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    tool_name: str = ""
    at: float = 0.0


class HermesClient:
    """The runtime behind ``dial``, which opens a connection to port 8642 of one sandbox.

    Use it as an async context manager, on one event loop. Every method raises HermesError and nothing else."""

    def __init__(self, dial: Dial, key: str) -> None:
        self._dial = dial
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            base_url="http://hermes",
            connector=DialConnector(self._dial),
            headers={"Authorization": f"Bearer {self._key}", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def health(self, timeout_s: float = 5.0) -> str:
        """The runtime's version. Needs no key, so it also says nothing about ours."""
        return str((await self._json("GET", "/health", timeout_s=timeout_s)).get("version", ""))

    async def check_key(self, timeout_s: float = 5.0) -> None:
        """Raises HermesError("gateway_key") for a wrong key. Asks for something the runtime knows without
        looking anywhere: its list of toolsets would probe the model first, and wait when no engine serves it."""
        await self._json("GET", "/v1/capabilities", timeout_s=timeout_s)

    async def toolsets(self) -> dict[str, tuple[str, ...]]:
        """The switched-on toolsets, each with its tools. Raises HermesError("gateway_key") for a wrong key."""
        listed = (await self._json("GET", "/v1/toolsets")).get("data") or []
        return {
            str(item["name"]): tuple(map(str, item.get("tools") or ()))
            for item in listed
            if isinstance(item, dict) and item.get("enabled") and "name" in item
        }

    async def start_run(
        self,
        text: str,
        *,
        lane: int | Literal["none"],
        wire: str = "openai",
        session_id: str,
        history: Sequence[Turn] = (),
        instructions: str = "",
    ) -> str:
        """Start a run and return the runtime's id for it.

        ``lane`` decides which inference route its model calls take; on "none" the router refuses them all. ``wire``
        is the format of the calls, which must be that of the route's provider.
        ``session_id`` must be fresh: with a used one the runtime goes on with the soul it stored there."""
        body: dict[str, Any] = {"input": text, "model": alias(lane, wire), "session_id": session_id}
        if history:
            body["conversation_history"] = [{"role": turn.role, "content": turn.content} for turn in history]
        if instructions:
            body["instructions"] = instructions
        run_id = (await self._json("POST", "/v1/runs", body)).get("run_id")
        if not isinstance(run_id, str) or not PLAIN_ID.fullmatch(run_id):
            raise HermesError("runtime_answer", detail="no usable run_id in the answer to POST /v1/runs")
        return run_id

    async def events(self, run_id: str) -> AsyncGenerator[RuntimeEvent, None]:
        """The run's events from its beginning. The last one is Completed, Failed, Cancelled or StreamEnded.

        Raises only when the stream cannot be opened; use ``contextlib.aclosing`` if you may leave early."""
        decoder = EventDecoder()
        timeout = aiohttp.ClientTimeout(total=None, connect=REQUEST_TIMEOUT_S, sock_read=SILENCE_S)
        response = await self._open("GET", f"/v1/runs/{_checked(run_id)}/events", None, timeout)
        async with response:
            ended = StreamEnded("the runtime closed the stream")
            try:
                async for chunk in response.content.iter_any():
                    for data in decoder.feed(chunk):
                        if event := _read_event(data):
                            yield event
                            if isinstance(event, FINAL):
                                return
                    # While there is always more to read nothing above waits, and nobody else would have a turn.
                    await asyncio.sleep(0)
            except TimeoutError:
                ended = StreamEnded(f"nothing arrived for {SILENCE_S:.0f} s")
            except (aiohttp.ClientError, OSError, TooLarge) as error:
                ended = StreamEnded(f"{type(error).__name__}: {error}")
            yield ended

    async def status(self, run_id: str) -> RunStatus:
        """Where the run is. Kept for an hour after its end, in the runtime's memory only."""
        answer = await self._json("GET", f"/v1/runs/{_checked(run_id)}")
        return RunStatus(
            run_id=run_id,
            session_id=str(answer.get("session_id") or run_id),
            status=str(answer.get("status") or ""),
            output=_plain(answer.get("output")),
            error=_plain(answer.get("error")),
            usage=parse_usage(answer.get("usage")),
        )

    async def session_messages(self, session_id: str) -> tuple[SessionMessage, ...]:
        """What the runtime has stored of a run, oldest first; survives a restart of the runtime."""
        rows = (await self._json("GET", f"/api/sessions/{_checked(session_id)}/messages")).get("data") or []
        return tuple(_read_message(row) for row in rows if isinstance(row, dict))

    async def forget_session(self, session_id: str) -> None:
        """Delete what the runtime has stored of a run."""
        await self._json("DELETE", f"/api/sessions/{_checked(session_id)}")

    async def approve(self, run_id: str, choice: Choice, reason: str = "") -> None:
        """Answer the oldest open approval; the agent reads the ``reason`` of a denial (``launch.carry_reasons``).

        HermesError("approval_gone") if none is open."""
        told = {"reason": reason} if reason else {}
        await self._json("POST", f"/v1/runs/{_checked(run_id)}/approval", {"choice": choice, **told})

    async def stop(self, run_id: str) -> bool:
        """Stop a run and kill its tool; False if it had already ended. The stream tells when it is done."""
        try:
            await self._json("POST", f"/v1/runs/{_checked(run_id)}/stop", {})
        except HermesError as error:
            if error.reason == "run_not_found":
                return False
            raise
        return True

    async def _json(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> dict[str, Any]:
        response = await self._open(method, path, body, aiohttp.ClientTimeout(total=timeout_s))
        async with response:
            return _decode(await _read(response), path)

    async def _open(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("HermesClient is used outside its context")
        try:
            response = await self._session.request(method, path, json=body, timeout=timeout, allow_redirects=False)
        except TimeoutError as error:
            raise HermesError("gateway_silent", detail=f"{method} {path}: {error}") from error
        except SandboxError as error:
            raise HermesError("sandbox_disconnected", detail=error.detail or error.message) from error
        except (aiohttp.ClientError, OSError) as error:
            raise HermesError("gateway_down", detail=f"{method} {path}: {error}") from error
        if response.status >= 300:
            async with response:
                raise _refusal(response.status, await _read(response), f"{method} {path}")
        return response


def _checked(identifier: str) -> str:
    if not PLAIN_ID.fullmatch(identifier):
        raise HermesError("run_not_found", detail=f"not an id of the runtime: {identifier[:80]!r}")
    return identifier


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole answer, but no more than the limit: what runs in the sandbox may have replaced the runtime."""
    try:
        pieces, size = [], 0
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > ANSWER_LIMIT:
                raise HermesError("runtime_answer", detail=f"an answer of more than {ANSWER_LIMIT} bytes")
            pieces.append(piece)
        return b"".join(pieces)
    except TimeoutError as error:
        raise HermesError("gateway_silent", detail=str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise HermesError("gateway_down", detail=str(error)) from error


def _decode(body: bytes, path: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HermesError("runtime_answer", detail=f"{path}: {error}") from error
    if not isinstance(answer, dict):
        raise HermesError("runtime_answer", detail=f"{path}: {type(answer).__name__} instead of an object")
    return answer


def _refusal(status: int, body: bytes, what: str) -> HermesError:
    try:
        error = json.loads(body)["error"]
        code, message = (
            (str(error.get("code") or ""), str(error.get("message") or ""))
            if isinstance(error, dict)
            else ("", str(error))
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        code, message = "", body[:300].decode(errors="replace")
    return HermesError(reason_for(status, code), detail=f"{what}: HTTP {status} {code} {message[:500]}", status=status)


def _read_event(data: str) -> RuntimeEvent | None:
    try:
        frame = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return parse_event(frame) if isinstance(frame, dict) else None


def _read_message(row: Mapping[str, Any]) -> SessionMessage:
    calls = row.get("tool_calls") if isinstance(row.get("tool_calls"), list) else []
    return SessionMessage(
        id=int(number(row.get("id"))),
        role=str(row.get("role") or ""),
        content=_plain(row.get("content")),
        reasoning=_plain(row.get("reasoning_content") or row.get("reasoning")),
        tool_calls=tuple(_read_call(call) for call in calls or [] if isinstance(call, dict)),
        tool_call_id=str(row.get("tool_call_id") or ""),
        tool_name=str(row.get("tool_name") or ""),
        at=number(row.get("timestamp")),
    )


def _read_call(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    return ToolCall(
        str(call.get("id") or call.get("call_id") or ""),
        str(function.get("name") or ""),
        _plain(function.get("arguments")),
    )


def _plain(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
