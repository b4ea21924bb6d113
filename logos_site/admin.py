"""What other packages registered in the console, shown as Logos shows its own or not at all."""

from __future__ import annotations

import logos_site.console.background
import logos_site.console.signing_in  # noqa: F401
