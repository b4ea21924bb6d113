"""The shape of the house: what lies at the top, how modules open, how long they grow, migrations in step."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent
APPS = ("agents", "sandboxes", "runs", "mcp_gateway", "channels_app", "logos_site")
TOP_LEVEL = {
    *APPS,
    *("templates", "static", "tests", "docs"),
    *("manage.py", "pyproject.toml", "uv.lock", "logos", "Justfile"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "THREAT_MODEL.md", "LICENSE"),
}
MAX_LINES = 500


def tracked() -> list[Path]:
    """What the repository carries, so that build leftovers of a working copy do not count."""
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if out.returncode:
        pytest.skip("not a git checkout")
    return [Path(name) for name in out.stdout.split("\0") if name]


def modules() -> list[Path]:
    return [
        path for app in APPS for path in sorted((ROOT / app).rglob("*.py")) if "migrations" not in path.parts
    ]  # fmt: skip


def test_the_top_level_holds_exactly_the_allowed_names() -> None:
    found = {path.parts[0] for path in tracked()}

    assert {name for name in found if not name.startswith(".")} == TOP_LEVEL


def test_every_module_opens_with_one_sentence() -> None:
    wrong = []
    for path in modules():
        source = path.read_text()
        first = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0]
        if source.strip() and not first.endswith((".", "?", ":")):
            wrong.append(str(path.relative_to(ROOT)))

    assert not wrong


def test_no_file_is_too_long_to_read() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in modules()}

    assert not {str(path): lines for path, lines in lengths.items() if lines > MAX_LINES}


def test_nothing_is_called_utils() -> None:
    names = {"utils", "helpers", "services", "core", "common", "misc"}

    assert not [str(path) for path in modules() if path.stem in names or path.parent.name in names]


@pytest.mark.django_db
def test_migrations_are_in_step_with_the_models() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}

    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]
