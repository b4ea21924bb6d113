"""Imports point downwards: agents <- sandboxes <- runs <- {mcp_gateway, channels_app} <- logos_site."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "agents": set(),
    "sandboxes": {"agents"},
    "runs": {"agents", "sandboxes"},
    "mcp_gateway": {"agents", "sandboxes", "runs"},
    "channels_app": {"agents", "sandboxes", "runs"},
    "logos_site": {"agents", "sandboxes", "runs", "mcp_gateway", "channels_app"},
}


def imported_apps(source: str, package: str) -> Iterator[str]:
    """The first word of every module that this source of ``package`` imports; relative imports resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield ".".join([*above, *([node.module] if node.module else [])]).split(".")[0]
        elif isinstance(node, ast.Call) and _name(node.func) in {"import_module", "__import__", "import_string"}:
            yield from (str(word.value).split(".")[0] for word in node.args if isinstance(word, ast.Constant))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@pytest.mark.parametrize(
    ("source", "package", "found"),
    [
        ("import runs.models", "agents", ["runs"]),
        ("from runs import models", "agents", ["runs"]),
        ("from . import models", "agents.models", ["agents"]),
        ("from .shared import Shareable", "agents.models", ["agents"]),
        ("from ...runs import models", "agents.models", ["runs"]),
        ("def f():\n    from logos_site import views", "runs", ["logos_site"]),
        ("importlib.import_module('logos_site.urls')", "runs", ["logos_site"]),
    ],
)
def test_the_reader_of_imports_sees_every_form(source: str, package: str, found: list[str]) -> None:
    assert list(imported_apps(source, package)) == found


@pytest.mark.parametrize("app", MAY_IMPORT)
def test_an_app_imports_only_what_lies_below_it(app: str) -> None:
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[app] - {app}
    files = sorted((ROOT / app).rglob("*.py"))

    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported_apps(path.read_text(), ".".join(path.relative_to(ROOT).parent.parts))
        if name in forbidden
    ]

    assert files
    assert not wrong


@pytest.mark.parametrize("app", MAY_IMPORT)
def test_no_app_imports_the_tests(app: str) -> None:
    wrong = [path for path in (ROOT / app).rglob("*.py") if "tests" in imported_apps(path.read_text(), app)]

    assert not wrong
