"""The catalogue of capabilities, as data: what one switch turns on, in words and in fact.

Entries are what the pinned runtime really has: its toolset list is compared with this in a test. Whoever changes
an entry so that it asks for more (a toolset, a host, a credential, another trust) raises its ``version``: then it
works for nobody until somebody agrees again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Trust = Literal["local", "third-party"]

TRUST: dict[Trust, str] = {
    "local": "Local: what it handles stays on this machine and with the servers you name.",
    "third-party": "Third party: what the agent sends with it leaves for a service that others run.",
}

# Where a credential goes. The runtime's own tools keep it to themselves; what commands get the agent can read.
Receiver = Literal["tools", "commands"]


@dataclass(frozen=True, slots=True)
class Need:
    """A credential a capability cannot work without: the environment variable, what it is, where people get it."""

    name: str
    label: str
    how: str
    to: Receiver


@dataclass(frozen=True, slots=True)
class Capability:
    """One switch. ``hosts`` are host:port, or $NAME for the host of the address kept as that credential."""

    key: str
    name: str
    sentence: str
    trust: Trust
    data_flow: str
    toolsets: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    version: int = 1

    @property
    def label(self) -> str:
        """How a run records it: the key and the version that was agreed to."""
        return f"{self.key}@{self.version}"

    @property
    def is_third_party(self) -> bool:
        return self.trust == "third-party"


_ENTRIES = (
    Capability(
        "computer",
        "Work on its own computer",
        "Run commands and read, write and search files in its sandbox.",
        "local",
        "Nothing leaves the sandbox.",
        ("terminal", "file"),
    ),
    Capability(
        "python",
        "Run Python code",
        "Write small Python programs that call the other tools.",
        "local",
        "Nothing leaves the sandbox.",
        ("code_execution",),
    ),
    Capability(
        "remember",
        "Remember",
        "Keep notes about the work and the person, and look through its own earlier conversations.",
        "local",
        "The notes are files of the agent; whoever chats with it can ask for them.",
        ("memory", "session_search"),
    ),
    Capability(
        "learn",
        "Learn procedures",
        "Write down how something is done and follow it next time.",
        "local",
        "What it writes down are files of the agent.",
        ("skills",),
    ),
    Capability(
        "plan",
        "Plan long work",
        "Keep a list of steps during long work.",
        "local",
        "Nothing leaves the sandbox.",
        ("todo",),
    ),
    Capability(
        "helpers",
        "Use helpers",
        "Hand parts of the work to helpers of its own, which use the same model and cost the same.",
        "local",
        "The helpers' words go to the agent's model, like its own.",
        ("delegation",),
    ),
    Capability(
        "smart-home",
        "Smart home",
        "See and switch what a Home Assistant of yours knows.",
        "local",
        "Requests go to the address you enter, and nowhere else.",
        ("homeassistant",),
        ("$HASS_URL",),
        (
            Need("HASS_URL", "Address of Home Assistant", "For instance https://home.example.org:8123.", "tools"),
            Need(
                "HASS_TOKEN",
                "Access token of Home Assistant",
                "In Home Assistant: your profile, Security, Long-lived access tokens, Create token.",
                "tools",
            ),
        ),
    ),
    Capability(
        "search-own",
        "Search with your own server",
        "Search the web through a SearXNG server of yours.",
        "local",
        "What it searches for goes to the server you name, which asks the search engines you chose there.",
        ("search",),
        ("$SEARXNG_URL",),
        (Need("SEARXNG_URL", "Address of SearXNG", "For instance https://search.example.org.", "tools"),),
    ),
    Capability(
        "search-brave",
        "Search the web with Brave",
        "Search the web through Brave Search.",
        "third-party",
        "What it searches for goes to Brave.",
        ("search",),
        ("api.search.brave.com:443",),
        (
            Need(
                "BRAVE_SEARCH_API_KEY",
                "Key of Brave Search",
                "At api-dashboard.search.brave.com: choose a plan, then API keys.",
                "tools",
            ),
        ),
    ),
    Capability(
        "web-tavily",
        "Search and read the web with Tavily",
        "Search the web and read pages through Tavily.",
        "third-party",
        "What it searches for and which pages it reads goes to Tavily.",
        ("web",),
        ("api.tavily.com:443",),
        (Need("TAVILY_API_KEY", "Key of Tavily", "At app.tavily.com: API keys.", "tools"),),
    ),
    Capability(
        "github",
        "GitHub",
        "Use git and the GitHub API from its commands.",
        "third-party",
        "Code, issues and whatever it pushes go to GitHub, as the owner of the token.",
        ("terminal",),
        ("github.com:443", "api.github.com:443"),
        (
            Need(
                "GITHUB_TOKEN",
                "Access token of GitHub",
                "At github.com: Settings, Developer settings, Fine-grained tokens; choose only the repositories it needs.",
                "commands",
            ),
        ),
    ),
    Capability(
        "model-hub",
        "Model hub",
        "Look up and fetch models and data sets of Hugging Face from its commands.",
        "third-party",
        "What it looks up, fetches and pushes goes to Hugging Face, as the owner of the token.",
        ("terminal",),
        ("huggingface.co:443",),
        (Need("HF_TOKEN", "Access token of Hugging Face", "At huggingface.co: Settings, Access tokens.", "commands"),),
    ),
)

CATALOGUE: dict[str, Capability] = {entry.key: entry for entry in _ENTRIES}

# Names that capabilities ask for, so that a page can say what a secret is for.
NEEDS: dict[str, Need] = {need.name: need for entry in _ENTRIES for need in entry.needs}


def agreed(versions: Mapping[str, int]) -> list[Capability]:
    """The entries that somebody agreed to, by key and version, as they are worded now; in the catalogue's order."""
    return [entry for key, entry in CATALOGUE.items() if versions.get(key) == entry.version]
