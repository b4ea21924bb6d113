"""The composition root: settings, addresses, processes, first run and health; nobody imports it."""
