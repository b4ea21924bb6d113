"""What happened: conversations, messages, runs and their append-only events."""
