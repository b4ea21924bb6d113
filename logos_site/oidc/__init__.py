"""Signing in with an OpenID Connect provider: which ones, how the exchange is checked, and whose account it opens."""
