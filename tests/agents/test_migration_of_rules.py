"""A policy that held hosts holds them as rules afterwards, its history too; and back."""

from __future__ import annotations

import importlib

from django.apps import apps

from agents.models import Policy
from agents.reach import parse

migration = importlib.import_module("agents.migrations.0011_rules_of_policies")


def test_hosts_become_rules_that_can_be_read() -> None:
    hosts = [f"h{number}.example" for number in range(250)]

    found = parse(migration._rules(hosts))

    assert [host for rule in found for host in rule.hosts] == hosts
    assert {rule.ports for rule in found} == {(443,)}


def test_what_agents_never_reach_is_left_out() -> None:
    assert list(migration._spelled(["PyPI.org", "10.0.0.1", "localhost", "*.a.example"])) == ["pypi.org", "*.a.example"]


def test_no_hosts_are_no_rules(db: None) -> None:
    assert migration._rules([]) == []
    assert apps.get_model("agents", "Policy") is Policy
