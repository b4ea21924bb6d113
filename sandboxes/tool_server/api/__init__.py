"""The addresses of the JSON API that are about the tools of agents."""
