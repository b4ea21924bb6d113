"""The way out of one sandbox of an MCP server: open while nothing is stopped, and every decision told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from agents.reach import Reach
from mcp_gateway.blotting import Blot
from sandboxes.driver import Attachment
from sandboxes.egress import addresses, proxy
from sandboxes.egress.proxy import Decision, EgressProxy


async def _nothing_is_stopped() -> str:
    return ""


def _nobody_is_told(decision: Decision) -> None:
    return None


@dataclass(slots=True)
class Way:
    """Out of one sandbox. ``closed`` says why nothing gets out now, "" when what is allowed does; ``note`` is told every
    decision; ``going`` are the proxies whose connections a stop cuts."""

    closed: Callable[[], Awaitable[str]] = _nothing_is_stopped
    note: Callable[[Decision], None] = _nobody_is_told
    going: set[EgressProxy] = field(default_factory=set)

    def open(
        self,
        allowed: Reach,
        attachment: Attachment,
        tell: Callable[[Decision], None],
        blot: Blot | None,
        places: addresses.Places,
        refusal: addresses.Refusal,
    ) -> EgressProxy:
        """A proxy that lets out what is allowed while nothing is stopped, into our own network where ``places`` says so;
        ``refusal`` says why a name leads where it must not. Secrets of the server are in no record."""

        async def reach() -> Reach:
            why = await self.closed()
            return Reach((), closed=why) if why else allowed

        def decided(decision: Decision) -> None:
            if blot is not None:
                host, reason = blot.text(decision.host), blot.text(decision.reason)
                decision = replace(decision, host=host, reason=reason)
            tell(decision)
            self.note(decision)

        made = EgressProxy(
            reach, decided, attachment,
            lookup=addresses.system_lookup, connect=proxy.connect_to, places=places, refusal=refusal,
        )  # fmt: skip
        self.going.add(made)
        return made
