"""Rotation seals everything anew: whole batches, again and again, killed in the middle, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.conf import LazySettings, settings
from django.db import connection

from agents import agent_secrets, rotation, secrets
from agents.errors import Conflict, Invalid
from agents.models import Agent, AgentSecret, Provider, SecurityEvent, User
from sandboxes.models import Sandbox
from tests import shell

pytestmark = pytest.mark.django_db

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def fill(atlas: Agent, alice: User, count: int = 5) -> None:
    """One row of every sealed column, and ``count`` secrets."""
    for number in range(count):
        agent_secrets.put(alice, atlas, f"KEY_{number}", f"value-of-{number}")
    Provider.objects.create(name="P", kind="openai-compatible", sealed_key=secrets.seal("the provider's"))
    Sandbox.objects.create(agent=atlas, number=1, sealed_api_key=secrets.seal("the runtime's"))
    codes = {"migrated_codes": [secrets.seal("first code"), secrets.seal("second code")], "used_mask": 0}
    Authenticator.objects.create(user=alice, type="recovery_codes", data=codes)


def opened() -> list[str]:
    """Everything that was sealed, with the newest key alone."""
    settings_keys = settings.LOGOS_SEAL_KEYS
    settings.LOGOS_SEAL_KEYS = settings_keys[:1]
    try:
        sealed = [*AgentSecret.objects.order_by("name").values_list("sealed", flat=True)]
        sealed += [Provider.objects.get(name="P").sealed_key, Sandbox.objects.get().sealed_api_key]
        sealed += Authenticator.objects.get().data["migrated_codes"]
        return [secrets.unseal(text) for text in sealed]
    finally:
        settings.LOGOS_SEAL_KEYS = settings_keys


EVERYTHING = [*(f"value-of-{n}" for n in range(5)), "the provider's", "the runtime's", "first code", "second code"]


def test_every_sealed_column_is_sealed_anew_and_a_second_time_changes_nothing(
    atlas: Agent, alice: User, settings: LazySettings
) -> None:
    settings.LOGOS_SEAL_KEYS = [OLD]
    fill(atlas, alice)
    settings.LOGOS_SEAL_KEYS = [NEW, OLD]
    versions = list(AgentSecret.objects.values_list("version", "set_at"))

    assert sum(count.older for count in rotation.look().values()) == 8
    assert rotation.reseal() == 8
    assert rotation.reseal() == 0

    assert opened() == EVERYTHING
    assert sum(count.newest for count in rotation.look().values()) == 8
    assert list(AgentSecret.objects.values_list("version", "set_at")) == versions  # no sandbox is started anew for it


def test_no_sealed_column_is_forgotten() -> None:
    from django.apps import apps

    ours = {"agents", "sandboxes", "runs", "mcp_gateway", "channels_app"}
    columns = {
        (model, field.name)
        for model in apps.get_models()
        if model._meta.app_label in ours and not hasattr(model, "history_object")
        for field in model._meta.concrete_fields
        if field.name.startswith("sealed")
    }

    assert {(sealed.model, sealed.column) for sealed in rotation.SEALED} == {*columns, (Authenticator, "data")}


def test_what_was_set_in_the_same_moment_is_not_overwritten(
    atlas: Agent, alice: User, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LOGOS_SEAL_KEYS = [OLD]
    fill(atlas, alice)
    settings.LOGOS_SEAL_KEYS = [NEW, OLD]
    plain = rotation._renewed

    def meanwhile(value: object, *rest: object) -> object:
        AgentSecret.objects.filter(name="KEY_0").update(sealed=secrets.seal("set in this moment"))
        return plain(value, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(rotation, "_renewed", meanwhile)
    rotation.reseal()

    assert opened()[0] == "set in this moment"


def test_what_no_key_opens_is_told_and_left_alone(atlas: Agent, alice: User, settings: LazySettings) -> None:
    settings.LOGOS_SEAL_KEYS = [Fernet.generate_key().decode()]
    lost = agent_secrets.put(alice, atlas, "KEY_0", "value-of-0")
    settings.LOGOS_SEAL_KEYS = [NEW]

    ended = shell.run("rotate-secrets")

    assert ended.code == 1
    assert lost.pk in ended.said
    assert AgentSecret.objects.get().sealed == lost.sealed


def test_the_command_says_what_is_where_and_leaves_a_record(atlas: Agent, alice: User, settings: LazySettings) -> None:
    settings.LOGOS_SEAL_KEYS = [OLD]
    fill(atlas, alice)
    settings.LOGOS_SEAL_KEYS = [NEW, OLD]

    assert shell.run("rotate-secrets", "--check").code == 1
    ended = shell.run("rotate-secrets")
    assert (ended.code, "8 rows" in ended.said) == (0, True)
    assert shell.run("rotate-secrets", "--check").code == 0

    assert SecurityEvent.objects.get(kind="keys_rotated").detail == {"rows": 8}
    for text in (ended.out, ended.said):
        assert not [value for value in (*EVERYTHING, OLD, NEW) if value in text]


@pytest.fixture
def key_file(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "seal_keys"
    path.write_text(OLD)
    settings.LOGOS_SECRETS, settings.LOGOS_SEAL_KEYS = tmp_path, [OLD]
    monkeypatch.delenv("LOGOS_SEAL_KEYS", raising=False)
    return path


def test_a_new_key_comes_first_and_the_old_one_goes_when_nothing_needs_it(
    key_file: Path, atlas: Agent, alice: User, settings: LazySettings
) -> None:
    fill(atlas, alice)
    rotation.add_key()
    new, old = key_file.read_text().split(",")
    assert old == OLD
    assert key_file.stat().st_mode & 0o777 == 0o600

    settings.LOGOS_SEAL_KEYS = [new, old]  # as after a restart
    with pytest.raises(Conflict):
        rotation.forget_old_keys()
    with pytest.raises(Conflict):
        rotation.add_key()
    rotation.reseal()

    assert rotation.forget_old_keys() == 1
    assert key_file.read_text() == new
    settings.LOGOS_SEAL_KEYS = [new]
    assert opened() == EVERYTHING


def test_keys_that_come_from_elsewhere_are_not_touched(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOS_SEAL_KEYS", OLD)
    with pytest.raises(Invalid):
        rotation.add_key()

    assert key_file.read_text() == OLD


def test_a_crash_while_the_keys_are_written_leaves_the_old_ones(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="No space"):
        rotation.add_key()

    assert key_file.read_text() == OLD
    assert os.listdir(key_file.parent) == ["seal_keys"]


KILLED = """
import os, signal, django
django.setup()
from agents import rotation
rotation.BATCH = 2
rotation.reseal(lambda sealed, done: done and sealed.column == "sealed" and os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.django_db(transaction=True)
def test_a_process_killed_between_batches_loses_nothing_and_the_next_goes_on(
    atlas: Agent, alice: User, settings: LazySettings, clean_environment: dict[str, str],
    run_command: Callable[..., str], home: Path,
) -> None:  # fmt: skip
    settings.LOGOS_SEAL_KEYS = [OLD]
    fill(atlas, alice)
    settings.LOGOS_SEAL_KEYS = [NEW, OLD]
    database = connection.settings_dict
    url = f"sqlite:{database['NAME']}"
    if connection.vendor == "postgresql":
        url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
    environment = {
        **clean_environment, "LOGOS_HOME": str(home), "LOGOS_DATABASE_URL": url, "LOGOS_SEAL_KEYS": f"{NEW},{OLD}",
        "DJANGO_SETTINGS_MODULE": "logos_site.settings",
    }  # fmt: skip

    ended = subprocess.run([sys.executable, "-c", KILLED], env=environment, timeout=120, check=False)

    assert ended.returncode == -signal.SIGKILL
    counts = rotation.look()
    assert (counts["agent secret.sealed"].newest, counts["agent secret.sealed"].older) == (2, 3)
    assert counts["provider.sealed_key"].newest == 1
    assert rotation.reseal() == 5
    assert opened() == EVERYTHING
