"""The table of what is proved names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_test_that_the_table_names_is_there() -> None:
    table = HERE.joinpath("README.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", table))
    files = [*HERE.glob("test_*.py"), *HERE.parent.joinpath("journeys").glob("test_*.py")]
    found = {name for each in files for name in re.findall(r"def (test_\w+)\(", each.read_text())}

    assert len(named) > 40
    assert named - found == set()
    assert {int(each) for each in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == set(range(1, 15))
