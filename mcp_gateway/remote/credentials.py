"""By whose account a request to a server elsewhere is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mcp_gateway.peers import NeedsAccount


@dataclass(frozen=True, slots=True)
class Credential:
    """``key`` tells accounts apart: each has a session of its own at the server. No ``bearer``: nothing is shown."""

    key: str = ""
    bearer: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.bearer}"} if self.bearer else {}


# For which agent ("" for Logos itself), and what the server has just refused, None the first time. Raises NeedsAccount.
Account = Callable[[str, Credential | None], Awaitable[Credential]]


async def nobody(agent_id: str, refused: Credential | None) -> Credential:
    """No account: what the server wants to know stands in the headers it is sent anyway."""
    if refused is not None:
        raise NeedsAccount(
            "It asks who we are (401). Give it a header with a secret that it accepts, or connect an account."
        )
    return Credential()
