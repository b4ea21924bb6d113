"""Attacks that were tried on Logos, kept so that they go on failing."""
