"""Accounts at MCP servers elsewhere by OAuth 2.1: finding the sign-in, connecting, renewing, disconnecting."""
