"""The API of who there is: oneself, agents, souls, model routes and personal tokens; a router in each module."""
