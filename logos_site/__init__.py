"""The composition root: settings, addresses, processes, first run and health; nobody imports it."""

__version__ = "0.1.0"
