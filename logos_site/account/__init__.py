"""Your account: name, password, second factor, sessions and API tokens, each a page of one area."""
