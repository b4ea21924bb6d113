"""Tests of the built-in tool server."""
