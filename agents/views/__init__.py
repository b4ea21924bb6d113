"""Pages about who there is: people, souls, agents, and who changed what."""
