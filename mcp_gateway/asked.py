"""One message of a caller on its way through the gateway: who sent it, in which era, and how it is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mcp_gateway import eras, jsonrpc
from mcp_gateway.book import Caller
from mcp_gateway.eras import Refusal
from mcp_gateway.exchange import Exchange
from mcp_gateway.jsonrpc import Message
from mcp_gateway.waits import Key, Waits, key_of

Answer = tuple[int, Message | None]

# In ``_meta``: ours, and never passed on.
RUN = "logos/run"


@dataclass(frozen=True, slots=True)
class Asked:
    """One message of a caller, and what is known about it."""

    caller: Caller
    message: Message
    headers: eras.Headers
    modern: bool
    exchange: Exchange
    # How many bytes it had.
    size: int = 0
    # To which address it was sent: a server's name, or none for the hub.
    target: str = ""
    # What the rules said of the call it is, once they were asked.
    decision: str = ""
    # Where it stands while it waits, to be taken back.
    waits: Waits = field(default_factory=Waits, repr=False, compare=False)

    @property
    def key(self) -> Key:
        """By what its caller takes it back: the address it was sent to, and its id."""
        return self.caller.agent_id, self.target, key_of(self.id)

    @property
    def id(self) -> Any:
        return self.message.get("id")

    @property
    def method(self) -> str:
        return self.message["method"]

    @property
    def params(self) -> dict[str, Any]:
        return self.message.get("params", {})

    @property
    def named_run(self) -> str:
        """The run this is for, as the launcher in a sandbox says; anybody in there could say so."""
        meta = self.params.get("_meta")
        named = meta.get(RUN) if isinstance(meta, dict) else None
        return named if isinstance(named, str) else ""

    def reply(self, result: Any) -> Message:
        """``result`` as this caller's era wants it."""
        return jsonrpc.result(self.id, eras.for_modern_caller(self.method, result) if self.modern else result)

    def failed(self, sentence: str) -> tuple[int, Message]:
        """A failure as the caller's model can read it, where there is one."""
        if self.method == "tools/call":
            return 200, self.reply(jsonrpc.told_model(sentence))
        return 200, jsonrpc.error(self.id, jsonrpc.UNAVAILABLE, sentence)


class Refused(Exception):
    """The answer is this refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


def no_method(asked: Asked) -> Refusal:
    """There is no such method here."""
    return Refusal(404 if asked.modern else 200, jsonrpc.METHOD_NOT_FOUND, f"Method not found: {asked.method[:80]}")
