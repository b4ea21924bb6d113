"""What runs inside a sandbox on behalf of a tool: standard library only, Python 3.9 or newer, sent along with the call."""
