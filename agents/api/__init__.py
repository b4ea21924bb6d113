"""The API of who there is: oneself, agents, souls, model routes and personal tokens."""

from agents.api.agents import router as agents
from agents.api.me import router as me
from agents.api.routes import router as routes
from agents.api.souls import router as souls
from agents.api.tokens import router as tokens

__all__ = ["agents", "me", "routes", "souls", "tokens"]
