"""LOGOS_* variables: what each reader accepts, refuses, and how secrets come to be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.models import Role
from logos_site import env
from logos_site.databases import database
from logos_site.env import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _registry_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "REGISTRY", {})


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("1", True), ("yes", True), ("ON", True), (" true ", True), ("0", False), ("no", False), ("", False)],
)
def test_a_flag_understands_the_usual_words(monkeypatch: pytest.MonkeyPatch, value: str, meaning: bool) -> None:
    monkeypatch.setenv("LOGOS_X", value)

    assert env.flag("LOGOS_X", not meaning, "") is meaning


def test_a_flag_that_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOS_X", "perhaps")

    with pytest.raises(ConfigurationError, match="LOGOS_X must be 1 or 0, not 'perhaps'"):
        env.flag("LOGOS_X", False, "")


def test_a_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOS_X", "80 90")

    with pytest.raises(ConfigurationError, match="whole number"):
        env.number("LOGOS_X", 1, "")


def test_words_are_split_at_commas_and_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOS_X", " a, b,,c ")

    assert env.words("LOGOS_X", "", "") == ["a", "b", "c"]


def test_a_word_that_is_none_of_the_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOS_X", "admin, amdin")

    with pytest.raises(ConfigurationError, match="LOGOS_X knows admin, user, not 'amdin'"):
        env.words("LOGOS_X", "", "", among=("admin", "user"))


def test_the_roles_a_second_factor_can_be_asked_of_are_the_roles_there_are() -> None:
    source = (ROOT / "logos_site/settings.py").read_text()

    assert f"among=({', '.join(f'{role!r}' for role in Role.values)})".replace("'", '"') in source


def test_a_value_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("from the file\n")
    monkeypatch.setenv("LOGOS_X_FILE", str(tmp_path / "value"))
    monkeypatch.setenv("LOGOS_X", "from the environment")

    assert env.text("LOGOS_X", "", "") == "from the file"


def test_a_file_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOGOS_X_FILE", str(tmp_path / "nothing"))

    with pytest.raises(ConfigurationError, match="LOGOS_X_FILE cannot be read"):
        env.text("LOGOS_X", "", "")


def test_reading_registers_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    env.text("LOGOS_X", "default", "What it is.")

    assert env.REGISTRY["LOGOS_X"] == env.Variable("LOGOS_X", "default", "What it is.")


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first, second = (env.secret("LOGOS_SECRET_X", tmp_path / "secrets", "") for _ in range(2))

    file = tmp_path / "secrets" / "secret_x"
    assert first == second
    assert len(first) >= 48
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["secret_x"]


def test_a_secret_that_others_can_read_is_refused_with_the_fix(tmp_path: Path) -> None:
    env.secret("LOGOS_SECRET_X", tmp_path / "secrets", "")
    (tmp_path / "secrets" / "secret_x").chmod(0o644)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        env.secret("LOGOS_SECRET_X", tmp_path / "secrets", "")


def test_a_state_directory_that_cannot_be_made_is_one_sentence_and_no_traceback(
    clean_environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "check"],
        env={**clean_environment, "LOGOS_HOME": str(tmp_path / "file" / "state")},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("logos: the state directory ")
    assert "set LOGOS_HOME" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_state_directory_that_is_not_writable_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.geteuid() == 0:  # root may write anywhere; what the system tells everybody else is told here
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("LOGOS_HOME", str(tmp_path))

    with pytest.raises(ConfigurationError, match="not writable"):
        env.state_directory("LOGOS_HOME", "")


@pytest.mark.parametrize(
    ("url", "engine", "name"),
    [
        ("", "sqlite3", "/state/logos.sqlite3"),
        ("sqlite:///data/x.db", "sqlite3", "/data/x.db"),
        ("sqlite:/data/x.db", "sqlite3", "/data/x.db"),
        ("postgresql://ann:p%40ss@db:5433/logos", "postgresql", "logos"),
    ],
)
def test_a_database_address_becomes_settings(url: str, engine: str, name: str) -> None:
    found = database(url, Path("/state"))

    assert (found["ENGINE"].rsplit(".")[-1], found["NAME"]) == (engine, name)
    if engine == "postgresql":
        assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"]) == ("ann", "p@ss", "db", "5433")


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must start with sqlite: or postgresql:"):
        database("mysql://x", Path("/state"))
