#!/usr/bin/env python3
"""Django's entry point; a configuration mistake is one sentence on standard error, never a traceback."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "logos_site.settings")
    from django.core.management import execute_from_command_line

    from logos_site.env import ConfigurationError

    try:
        execute_from_command_line(sys.argv)
    except ConfigurationError as error:
        sys.exit(f"logos: {error}")


if __name__ == "__main__":
    main()
