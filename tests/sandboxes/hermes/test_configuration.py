"""The configuration rendered for an agent: read back as the runtime would, and merged as it merges."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from agents.errors import Invalid
from sandboxes.hermes.configuration import HermesConfig, fixed_files, lane_url, live_files, managed_yaml, user_yaml
from sandboxes.hermes.toolsets import TOOLSETS, check_toolsets

AWKWARD = "glm: 4.5 # {free}\n- \"quoted\" 'single' ${HOME} é 🌍 \u2028 yes"


def merged(config: HermesConfig) -> dict[str, Any]:
    """The managed layer over the user's, leaf by leaf, as the runtime does it."""

    def over(low: Any, high: Any) -> Any:
        if not (isinstance(low, dict) and isinstance(high, dict)):
            return high
        return {**low, **{key: over(low.get(key), value) for key, value in high.items()}}

    result = over(yaml.safe_load(user_yaml(config)), yaml.safe_load(managed_yaml(config)))
    assert isinstance(result, dict)
    return result


def test_a_lane_is_a_path_on_the_routers_name_and_every_lane_has_a_route() -> None:
    routes = merged(HermesConfig("demo", lanes=64))["platforms"]["api_server"]["extra"]["model_routes"]

    assert len(routes) == 128, "each in two formats"
    assert routes["lane-64-messages"] == {**routes["lane-64"], "provider": "custom:logos-messages"}
    assert routes["lane-1"] == {"model": "demo", "base_url": "http://inference.logos.internal:8081/lane/1/v1"}
    assert routes["lane-64"]["base_url"] == lane_url(64)


def test_calls_without_a_lane_go_where_the_router_refuses_them() -> None:
    model = merged(HermesConfig("demo"))["model"]

    assert model["base_url"] == "http://inference.logos.internal:8081/lane/none/v1"
    assert model["api_key"] == "unused"


def test_approvals_are_manual_and_nothing_runs_behind_the_back_of_a_run() -> None:
    config = merged(HermesConfig("demo", approvals_timeout_s=1800))

    assert config["approvals"] == {"mode": "manual", "timeout": 1800, "cron_mode": "deny", "deny": []}
    assert config["security"] == {"tirith_enabled": False, "allow_lazy_installs": False}
    assert config["memory"]["nudge_interval"] == config["skills"]["creation_nudge_interval"] == 0
    assert not config["kanban"]["dispatch_in_gateway"]
    assert not config["lsp"]["enabled"]
    assert not config["curator"]["enabled"]


def test_what_the_agent_must_not_change_is_in_the_managed_layer() -> None:
    managed = yaml.safe_load(managed_yaml(HermesConfig("demo")))

    assert {"approvals", "command_allowlist", "security", "platforms", "model"} <= managed.keys()
    assert {"base_url", "api_key", "provider"} == managed["model"].keys()


def test_what_changes_between_runs_is_in_the_users_layer() -> None:
    config = HermesConfig("demo", toolsets=("todo", "terminal"), max_turns=9, context_length=64_000)

    user = yaml.safe_load(user_yaml(config))

    assert user["model"] == {"default": "demo", "context_length": 64_000}
    assert user["platform_toolsets"] == {"api_server": ["terminal", "todo"]}
    assert user["agent"]["max_turns"] == 9


def test_the_only_tool_server_is_the_hub_on_the_sandboxes_own_listener() -> None:
    found = merged(HermesConfig("demo"))["mcp_servers"]

    assert list(found) == ["logos"]
    assert found["logos"]["url"] == "http://inference.logos.internal:8081/mcp"
    assert found["logos"]["sampling"] == found["logos"]["elicitation"] == {"enabled": False}
    assert "headers" not in found["logos"]  # there is nothing to show, so there is nothing to steal


def test_without_a_context_length_the_runtime_asks_the_router() -> None:
    assert "context_length" not in merged(HermesConfig("demo"))["model"]


@pytest.mark.parametrize("text", [AWKWARD, "null", "1.5", "yes", "&a", "*a", "!tag", "%x", "@x", "  x  "])
def test_no_text_breaks_the_file_or_changes_on_the_way(text: str) -> None:
    config = merged(HermesConfig(text, environment_hint=text, lanes=1))

    assert config["model"]["default"] == text
    assert config["agent"]["environment_hint"] == text
    assert config["platforms"]["api_server"]["extra"]["model_routes"]["lane-1"]["model"] == text


def test_an_agent_may_have_no_toolset_at_all() -> None:
    assert merged(HermesConfig("demo", toolsets=()))["platform_toolsets"] == {"api_server": []}


@pytest.mark.parametrize("name", ["browser", "cronjob", "clarify", "Terminal", "", "terminal,file", "no_mcp"])
def test_an_unknown_toolset_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        HermesConfig("demo", toolsets=("terminal", name))

    assert caught.value.field == "toolsets"
    assert caught.value.action.startswith("Choose among terminal")


def test_toolsets_come_once_and_in_one_order() -> None:
    assert check_toolsets(["todo", "terminal", "todo"]) == ("terminal", "todo")
    assert check_toolsets(TOOLSETS) == tuple(TOOLSETS)


def test_every_toolset_is_described_in_one_sentence() -> None:
    for sentence in TOOLSETS.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert sentence.count(".") == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": " "}, "model"),
        ({"context_length": 12}, "context_length"),
        ({"max_turns": 0}, "max_turns"),
        ({"lanes": 0}, "lanes"),
        ({"max_concurrent_runs": 0}, "max_concurrent_runs"),
        ({"approvals_timeout_s": -1}, "approvals_timeout_s"),
    ],
)
def test_values_that_cannot_work_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        HermesConfig(**{"model": "demo", **changes})

    assert caught.value.field == field


def test_the_router_has_a_name_inside_and_nothing_else_resolves() -> None:
    files = fixed_files(HermesConfig("demo"))

    assert "inference.logos.internal" in files["/etc/hosts"].split()
    assert files["/etc/resolv.conf"] == ""


def test_doors_to_other_configuration_are_shut_with_harmless_files() -> None:
    files = fixed_files(HermesConfig("demo"))

    assert (files["/hermes/.env"], files["/etc/hermes/.env"], files["/hermes/gateway.json"]) == ("", "", "{}\n")


def test_the_soul_is_passed_on_unchanged() -> None:
    assert live_files(HermesConfig("demo"), AWKWARD)["SOUL.md"] == AWKWARD
