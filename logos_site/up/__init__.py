"""``./logos up``: prepare the state directory, then keep the two processes of Logos running."""
