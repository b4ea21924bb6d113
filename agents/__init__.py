"""Who there is: people and their rights, souls, providers, model routes, policies and agents."""
