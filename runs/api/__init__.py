"""The API of what happens: conversations and messages, runs and events, approvals; a router in each module."""
