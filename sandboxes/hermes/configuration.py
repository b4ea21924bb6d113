"""Render the runtime's configuration for one agent. Pure: values in, texts out.

There are two layers. The managed one holds what an agent must never change (approvals, where model calls
go, what is switched off); the runtime merges it over the other, and it is fixed while the sandbox lives.
The user layer holds what may change between two runs: the model's name, toolsets, limits. The agent can
write neither. The runtime ignores a file it cannot parse, approvals included, so every text is made by
``yaml.safe_dump`` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml

from agents.errors import Invalid
from sandboxes.hermes.toolsets import check_toolsets

INFERENCE_HOST = "inference.logos.internal"
ROUTER_PORT = 8081
GATEWAY_PORT = 8642
EGRESS_PORT = 3128
LANES = 64
# Longer than any call at the gateway goes on or is held for a person: the gateway says when it is over. And shorter
# than the runtime tries by itself: the launcher tries again, and two at a time would be two connections.
HUB_CALL_S, HUB_CONNECT_S = 4_000, 5
NO_LANE: Final = "none"  # where calls go that name no lane; the router refuses them, so nothing is booked wrongly

_MESSAGES = "logos-messages"

ENVIRONMENT_HINT = (
    "You work in a Logos sandbox. Your files belong in /workspace; they stay between conversations. "
    "The network is reached through the proxy in HTTP_PROXY and HTTPS_PROXY, which lets through only the hosts that "
    "were allowed to you and says why it refuses the others: do not try to get around it, say which host you need. "
    "/tmp is emptied when the sandbox stops."
)
REPLY_HINT = "Your replies are shown on a web page that renders Markdown, tables and highlighted code."


@dataclass(frozen=True, slots=True)
class HermesConfig:
    """What differs between agents.

    ``model`` is only a name for the prompt: the router decides per run where calls go. ``context_length``
    None lets the runtime ask the router, which may answer per lane. ``approvals_timeout_s`` is the
    runtime's own limit; approvals are meant to expire earlier, on our side."""

    model: str
    toolsets: tuple[str, ...] = ("terminal", "file")
    context_length: int | None = None
    max_turns: int = 60
    max_concurrent_runs: int = 8
    approvals_timeout_s: int = 86_400
    environment_hint: str = ENVIRONMENT_HINT
    lanes: int = LANES
    router_port: int = ROUTER_PORT

    def __post_init__(self) -> None:
        object.__setattr__(self, "toolsets", check_toolsets(self.toolsets))
        if not self.model.strip():
            raise Invalid("The model has no name.", field="model")
        if self.context_length is not None and self.context_length < 1024:
            raise Invalid("The context length is too small for an agent.", field="context_length")
        for name in ("max_turns", "max_concurrent_runs", "approvals_timeout_s", "lanes"):
            if getattr(self, name) < 1:
                raise Invalid(f"{name} must be at least 1.", field=name)


def proxy_environment(port: int = EGRESS_PORT) -> dict[str, str]:
    """What makes programs use the egress proxy, in both spellings they look for."""
    proxy = f"http://127.0.0.1:{port}"
    names = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": f"localhost,127.0.0.1,{INFERENCE_HOST}"}
    return {**names, **{name.lower(): value for name, value in names.items()}}


def lane_url(lane: int | str, port: int = ROUTER_PORT) -> str:
    """Where calls of the run on this lane arrive, as seen from inside."""
    return f"http://{INFERENCE_HOST}:{port}/lane/{lane}/v1"


def hub_url(port: int = ROUTER_PORT) -> str:
    """Where the tools of MCP servers are, as seen from inside: on the same listener, which is the identity."""
    return f"http://{INFERENCE_HOST}:{port}/mcp"


def alias(lane: int | str, wire: str = "openai") -> str:
    """The name under which the runtime knows this lane, asked in this format."""
    return f"lane-{lane}-messages" if wire == "anthropic" else f"lane-{lane}"


def managed_yaml(config: HermesConfig) -> str:
    """The managed layer, for /etc/hermes/config.yaml."""
    # A route takes over provider and key from "model"; naming them here would send the text of a variable
    # instead of its value. Routes are read once, at the start, so all lanes exist from the beginning.
    routes: dict[str, Any] = {}
    for lane in range(1, config.lanes + 1):
        where = {"model": config.model, "base_url": lane_url(lane, config.router_port)}
        routes[alias(lane)] = where
        routes[alias(lane, "anthropic")] = {**where, "provider": f"custom:{_MESSAGES}"}
    return _dump(
        {
            # How the runtime is told to ask in Anthropic's format: a provider that does, at lanes like all others.
            "custom_providers": [
                {
                    "name": _MESSAGES,
                    "base_url": lane_url(NO_LANE, config.router_port),
                    "api_key": "unused",
                    "api_mode": "anthropic_messages",
                }
            ],
            "model": {
                "provider": "custom",
                "base_url": lane_url(NO_LANE, config.router_port),
                "api_key": "unused",  # the listener is the identity; the router puts the real key in
            },
            "platforms": {"api_server": {"enabled": True, "extra": {"model_routes": routes}}},
            "approvals": {"mode": "manual", "timeout": config.approvals_timeout_s, "cron_mode": "deny", "deny": []},
            "command_allowlist": [],
            "security": {"tirith_enabled": False, "allow_lazy_installs": False},
            # Reviews after a run would be booked on whoever gets the lane next.
            "memory": {"nudge_interval": 0},
            "skills": {"creation_nudge_interval": 0},
            "kanban": {"dispatch_in_gateway": False},
            "lsp": {"enabled": False},
            "curator": {"enabled": False},
            "gateway": {"api_server": {"max_concurrent_runs": config.max_concurrent_runs}},
        }
    )


def user_yaml(config: HermesConfig) -> str:
    """The user layer, for /hermes/config.yaml; read again before every run."""
    model: dict[str, Any] = {"default": config.model}
    if config.context_length is not None:
        model["context_length"] = config.context_length
    return _dump(
        {
            "model": model,
            "terminal": {"backend": "local", "cwd": "/workspace"},
            "agent": {"max_turns": config.max_turns, "environment_hint": config.environment_hint},
            "platform_hints": {"api_server": {"replace": REPLY_HINT}},
            "platform_toolsets": {"api_server": list(config.toolsets)},
            "mcp_servers": {
                "logos": {
                    "url": hub_url(config.router_port),
                    "timeout": HUB_CALL_S,
                    "connect_timeout": HUB_CONNECT_S,
                    "skip_preflight": True,
                    "supports_parallel_tool_calls": True,
                    # What a server asks of a model or a person is answered outside, where it is paid for and judged.
                    "sampling": {"enabled": False},
                    "elicitation": {"enabled": False},
                }
            },
        }
    )


def live_files(config: HermesConfig, soul: str) -> dict[str, str]:
    """What may change while the sandbox runs, by file name; takes effect on the next run."""
    return {"config.yaml": user_yaml(config), "SOUL.md": soul}


def fixed_files(config: HermesConfig) -> dict[str, str]:
    """What is laid read-only into the sandbox when it starts, by path inside."""
    return {
        "/etc/hermes/config.yaml": managed_yaml(config),
        "/etc/hermes/.env": "",
        "/hermes/.env": "",  # a writable one could switch approvals off
        "/hermes/gateway.json": "{}\n",  # an old configuration file the runtime still reads below the others
        "/etc/passwd": "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
        "agent:x:10001:10001:agent:/home/agent:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "/etc/group": "root:x:0:\nagent:x:10001:\nnogroup:x:65534:\n",
        "/etc/profile": 'export PATH="$HOME/.local/bin:$PATH"\n',
        "/etc/hosts": f"127.0.0.1 localhost {INFERENCE_HOST}\n",
        "/etc/resolv.conf": "",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }


def _dump(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
