"""The settings tests run with: the product's own, over a state directory that lives as long as the tests do."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Nothing of the machine's own Logos may reach a test, nor a test its state directory.
for _name in [name for name in os.environ if name.startswith("LOGOS_") and not name.startswith("LOGOS_TEST_")]:
    del os.environ[_name]

# Below /var/tmp and open to walkers, because sandboxes of tests run by root have users of their own.
_home = Path(tempfile.mkdtemp(prefix="logos-test-", dir="/var/tmp"))
_home.chmod(0o755)


def _remove_home(owner: int) -> None:
    # Forked children inherit this; the directory is not theirs.
    if os.getpid() == owner:
        shutil.rmtree(_home, ignore_errors=True)


atexit.register(_remove_home, os.getpid())
(_home / "static").mkdir()
os.environ["LOGOS_HOME"] = str(_home)
# Of several gateways at once only one could have it.
os.environ["LOGOS_MCP_PORT"] = "0"
if _url := os.environ.get("LOGOS_TEST_DATABASE_URL"):
    os.environ["LOGOS_DATABASE_URL"] = _url

from logos_site.settings import *  # noqa: E402, F403
from logos_site.settings import ALLOWED_HOSTS, DATABASES, Q_CLUSTER, STORAGES  # noqa: E402

ALLOWED_HOSTS = [*ALLOWED_HOSTS, "testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
Q_CLUSTER = {**Q_CLUSTER, "sync": True}

# A file rather than memory: threads and processes of one test then share it as they do in life.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": str(_home / "test.sqlite3")}
    _options = DATABASES["default"]["OPTIONS"]
    DATABASES["default"]["OPTIONS"] = {
        **_options,
        "init_command": _options["init_command"].replace("synchronous=FULL", "synchronous=OFF"),
    }
