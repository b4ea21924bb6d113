"""Money: what may be spent, what is reserved for a call before it is made, and what it cost in the end."""
