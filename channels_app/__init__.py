"""How people reach agents: the live streams now, messaging adapters later."""
