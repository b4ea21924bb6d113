"""How many descriptors this process may have open: as many as it may allow itself.

Each sandbox may hold some 800 connections to ``serve``. What logins and services get unasked, 1,024, is made for
programs that wait with select, which nothing in ``serve`` does.
"""

from __future__ import annotations

import resource

MOST = 65_536


def allow_many() -> None:
    """Raise the limit towards the hard one; never lower it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
