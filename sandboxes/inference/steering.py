"""What a request may not ask of a provider: fields that multiply what a token costs, or buy something that is no token.

A budget counts tokens at the route's prices. These fields would make a call cost what nobody could foresee: several
answers to one question, faster or nearer machines at a higher price, searches and other services billed by the piece,
another model than the route's. Everything else passes byte for byte, also what we have never heard of: most of it is
free, and the provider's own count of tokens tells what it did. ``docs/budgets.md`` lists them.
"""

from __future__ import annotations

from typing import Any

from agents.errors import Invalid

# Several answers to one question.
_COUNTS = ("n", "best_of", "num_completions")
# The same tokens at another price; what is named is the plain one, or cheaper.
_TIERS = {
    "service_tier": frozenset({"auto", "default", "standard", "standard_only", "flex"}),
    "speed": frozenset({"standard"}),
    "inference_geo": frozenset({"global", "not_available"}),
}
# Bought by the piece, or asked of another model.
_EXTRAS = {
    "plugins": "plugins of the provider",
    "web_search_options": "the provider's web search",
    "search_parameters": "the provider's web search",
    "enable_search": "the provider's web search",
    "search_options": "the provider's web search",
    "models": "another model than its own",
    "route": "another model than its own",
    "fallback_models": "another model than its own",
    "mcp_servers": "tool servers that the provider calls",
    "container": "the provider's machines",
    "audio": "spoken answers",
    "prediction": "predicted output, which is billed when it is wrong",
}
_PLAIN_TOOLS = frozenset({"function", "custom"})
# Tools that Anthropic's models know by name and the caller carries out.
_OWN_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")


def require_plain(document: dict[str, Any]) -> None:
    """Raise Invalid when a request asks for what would cost more than its tokens."""
    for name in _COUNTS:
        if document.get(name) not in (None, 1):
            raise _refused(f"{name}: several answers to one question are paid for several times")
    for name, plain in _TIERS.items():
        value = document.get(name)
        if value is not None and not (isinstance(value, str) and value in plain):
            raise _refused(f"{name}: it changes what a token costs")
    for name, what in _EXTRAS.items():
        if document.get(name) not in (None, False, [], {}, ""):
            raise _refused(f"{name}: {what} may not be asked for")
    for tool in document.get("tools") or () if isinstance(document.get("tools"), list) else ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind not in _PLAIN_TOOLS and not kind.startswith(_OWN_TOOLS):
            raise _refused(f"tools: {kind[:40]} is carried out and billed by the provider")
    modalities = document.get("modalities")
    if modalities not in (None, ["text"]):
        raise _refused("modalities: only text may be asked for")


def _refused(why: str) -> Invalid:
    return Invalid(
        f"The request holds a field that changes what it costs ({why}).",
        reason="cost_steering",
        action="Take it out of the agent's settings.",
    )
