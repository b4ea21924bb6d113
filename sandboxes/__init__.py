"""Where agents live: drivers, the inference router, the agent runtime's client, lifecycle."""
