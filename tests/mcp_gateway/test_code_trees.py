"""What a script loads is started with it: a module that changed on the disk waits for a person as the script does."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from agents.models import Role
from mcp_gateway import boxes, code_trees, launch_pins, servers, started_files
from mcp_gateway.boxed import BoxedLaunch
from mcp_gateway.children import Launch
from mcp_gateway.models import McpHealth, McpServer
from tests.conftest import person


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A script with a package beside it, and what it keeps there."""
    (tmp_path / "lib" / "__pycache__").mkdir(parents=True)
    for name in ("server.py", "lib/one.py", "lib/data.json", "lib/__pycache__/one.cpython-311.pyc", "notes.sqlite"):
        (tmp_path / name).write_text("x = 1")
    return tmp_path


def code(folder: Path, *args: str, command: str = sys.executable, **env: str) -> dict[str, dict[str, Any]]:
    """The folders of code of what is started there."""
    found = started_files.of(Launch(command, args or ("server.py",), env, folder))
    return {each["path"]: each for each in found if "count" in each and each["path"].startswith(str(folder))}


def server(folder: Path, *args: str) -> McpServer:
    return servers.create(
        person("ada", Role.ADMIN), "files", sys.executable, args=[*args], place="host", cwd=str(folder)
    )


def start(made: McpServer) -> None:
    launch_pins.check(made.pk, "", Launch(made.command, tuple(made.args), {}, Path(made.cwd)))


def test_code_beside_a_script_counts_and_what_it_keeps_does_not(folder: Path) -> None:
    (tree,) = code(folder).values()
    assert set(tree["files"]) == {"server.py", "lib/one.py"}
    before = tree["sha256"]

    for name in ("lib/data.json", "lib/__pycache__/one.cpython-311.pyc", "notes.sqlite"):
        (folder / name).write_text("y = 2")
    assert code(folder)[f"{folder}/"]["sha256"] == before

    for change in (
        lambda: (folder / "lib" / "one.py").write_text("import os"),
        lambda: (folder / "lib" / "two.py").write_text(""),
        lambda: (folder / "server.py").rename(folder / "other.py"),
        lambda: (folder / "more").symlink_to("/somewhere"),
        lambda: (folder / "linked").symlink_to(folder / "lib"),
    ):
        change()
        now = code(folder, "other.py" if not (folder / "server.py").exists() else "server.py")[f"{folder}/"]["sha256"]
        if (folder / "more").is_symlink() and not (folder / "linked").is_symlink():
            assert now == before  # it leads nowhere, so nothing can be loaded by it
            continue
        assert now != before
        before = now


@pytest.mark.django_db
def test_an_import_that_changed_waits_until_somebody_accepted_it(folder: Path) -> None:
    made = server(folder, "server.py")
    start(made)
    (folder / "lib" / "one.py").write_text("import evil")
    (folder / "evil.py").write_text("")

    with pytest.raises(launch_pins.Changed, match="2 files"):
        start(made)
    waiting = launch_pins.waiting(made.owner, servers.rows().get())
    assert {each.path.removeprefix(f"{folder}/"): (bool(each.before), bool(each.now)) for each in waiting} == {
        "evil.py": (False, True), "lib/one.py": (True, True),
    }  # fmt: skip
    launch_pins.accept(made.owner, made.pk, McpHealth.objects.get().launch_offered["digest"])
    start(made)


@pytest.mark.django_db
def test_what_was_accepted_before_imports_were_looked_at_is_not_held_for_them(folder: Path) -> None:
    made = server(folder, "server.py")
    start(made)
    health = McpHealth.objects.get()
    old = [file for file in health.launch_accepted["files"] if "count" not in file]
    for text, is_held in (("x = 1", False), ("x = 2", True)):
        health.launch_accepted = {"spec": health.launch_accepted["spec"], "files": old}
        health.save()
        (folder / "server.py").write_text(text)
        if is_held:
            with pytest.raises(launch_pins.Changed):
                start(made)
        else:
            start(made)
            assert McpHealth.objects.get().launch_accepted["trees"]


@pytest.mark.django_db
def test_more_than_is_compared_is_said_on_the_page(
    folder: Path, browser: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_trees, "MAX_FILES", 2)
    (folder / "lib" / "two.py").write_text("")
    (folder / "uv.lock").write_text("one")
    made = server(folder, "server.py")
    start(made)

    assert "holds more code than is compared" in browser(made.owner).get(f"/mcp-servers/{made.pk}/").content.decode()
    (folder / "lib" / "two.py").write_text("not compared")
    start(made)
    (folder / "uv.lock").write_text("two")
    with pytest.raises(launch_pins.Changed):
        start(made)
    assert [each.path for each in launch_pins.waiting(made.owner, servers.rows().get())] == [f"{folder}/uv.lock"]


def test_too_many_bytes_and_too_many_entries_are_too_much(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MAX_BYTES", 5), ("MAX_ENTRIES", 2)):
        with monkeypatch.context() as bounds:
            bounds.setattr(code_trees, name, value)
            assert code(folder)[f"{folder}/"]["note"] == code_trees.TOO_LARGE
    assert "note" not in code(folder)[f"{folder}/"]


def test_what_leads_in_circles_or_is_no_file_stops_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code(folder)[f"{folder}/"]
    (folder / "circle").symlink_to("circle")
    (folder / "circle.py").symlink_to("circle.py")
    for name in ("pipe.py", "uv.lock"):
        os.mkfifo(folder / name)

    assert code(folder)[f"{folder}/"] == before
    monkeypatch.setattr(code_trees, "MAX_FILES", 1)
    assert code(folder)[f"{folder}/"]["note"] == code_trees.TOO_LARGE


def test_a_link_out_of_the_folder_is_compared_by_where_it_leads(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "secret.py"
    other.write_text("one")
    (folder / "pages.py").symlink_to("/proc/self/pagemap")
    (folder / "out.py").symlink_to(other)
    (folder / "inside.py").symlink_to("lib/one.py")
    before = code(folder)[f"{folder}/"]

    assert {f"out.py -> {other}", "pages.py -> /proc/self/pagemap", "inside.py"} <= set(before["files"])
    other.write_text("two")
    assert code(folder)[f"{folder}/"] == before
    assert [
        each for each in started_files.of(Launch("sh", ("pages.py",), {}, folder)) if each["path"].endswith(".py")
    ] == []
    assert started_files._digest("/proc/self/pagemap") == started_files._digest(str(folder / "inside.py")) == ""


def test_a_folder_of_many_things_is_not_one_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_trees, "_BROAD", frozenset({str(folder)}))

    assert code(folder)[f"{folder}/"] | {"path": "", "real": ""} == {
        "path": "", "real": "", "sha256": "", "count": 0, "note": code_trees.TOO_BROAD,
    }  # fmt: skip
    assert code_trees.is_broad("/home/ann")
    assert not code_trees.is_broad("/home/ann/mcp")


def test_a_module_is_found_where_python_looks_for_it(folder: Path) -> None:
    assert set(code(folder, "-m", "lib.one")) == {f"{folder}/lib/"}
    (folder / "elsewhere").mkdir()
    shutil.move(folder / "lib", folder / "elsewhere" / "lib")
    assert set(code(folder, "-m", "lib", PYTHONPATH=f"relative:{folder}/elsewhere")) == {f"{folder}/elsewhere/lib/"}
    single = started_files.of(Launch(sys.executable, ("-m", "server"), {}, folder))
    assert single[-1]["path"] == f"{folder}/server.py"
    for odd in ("no_such_module_of_ours", "../lib", "", "\x00"):
        assert code(folder, "-m", odd) == {}


def test_what_an_environment_has_installed_counts(folder: Path) -> None:
    installed = folder / "venv" / "lib" / "python3.11" / "site-packages"
    installed.mkdir(parents=True)
    (folder / "venv" / "bin").mkdir()
    (folder / "venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / "venv" / "pyvenv.cfg").write_text("home = /usr/bin")
    (installed / "tool.py").write_text("x = 1")
    command = str(folder / "venv" / "bin" / "python")
    before = code(folder, "-m", "tool", command=command)[f"{folder}/venv/lib/"]

    (installed / "tool.py").write_text("x = 2")

    assert code(folder, "-m", "tool", command=command)[f"{folder}/venv/lib/"] != before


def test_javascript_is_compared_with_its_project(folder: Path) -> None:
    for name in ("package.json", "dist/index.js", "node_modules/other/index.js"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("1")

    (tree,) = code(folder, "dist/index.js", command="sh").values()

    assert {"package.json", "dist/index.js", "node_modules/other/index.js"} <= set(tree["files"])


def test_in_a_sandbox_what_lies_beside_a_shown_script_counts(tmp_path: Path, folder: Path) -> None:
    root = boxes.folder(tmp_path / "top", "mcp_x")
    (root / "files").mkdir(parents=True)
    found = started_files.of(
        BoxedLaunch("x", "python3", (f"{folder}/server.py",), top=tmp_path / "top", root=root, shows=(str(folder),))
    )

    assert "lib/one.py" in found[-1]["files"]
