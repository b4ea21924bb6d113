"""Tests against real PostgreSQL and Redis, started here."""
