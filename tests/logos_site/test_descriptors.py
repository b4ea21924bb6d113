"""The limit of open descriptors is raised as far as it may be, and never lowered."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

ASK = (
    "import resource, sys; from logos_site import descriptors; "
    "resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2]))); descriptors.allow_many(); "
    "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
)


@pytest.mark.parametrize(("soft", "hard"), [(256, 1_000), (1_000, 1_000)])
def test_what_a_login_gives_is_raised_to_what_it_allows(soft: int, hard: int) -> None:
    assert hard <= resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    done = subprocess.run([sys.executable, "-c", ASK, str(soft), str(hard)], capture_output=True, text=True, check=True)

    assert done.stdout.split() == [str(hard), str(hard)]
