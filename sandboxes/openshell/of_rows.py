"""The OpenShell document of a policy alone, and of an agent with all it has: what the later driver will hand over."""

from __future__ import annotations

from agents import permissions, reaching, sandbox_limits
from agents.errors import Conflict, Invalid
from agents.models import Agent, Policy, User
from sandboxes.hermes.runtime import VENV_INSIDE
from sandboxes.hermes.spec import ENVIRONMENT, HERMES_HOME
from sandboxes.openshell.policy import Compiled, Note, Walls, compiled

# The tree that the embedded sandbox shows, as far as an image has it too. What is not named cannot be opened.
WALLS = Walls(
    read_only=("/usr", "/lib", "/etc", "/proc", VENV_INSIDE, "/dev/urandom", "/dev/random", "/dev/zero"),
    read_write=(
        *("/workspace", ENVIRONMENT["HOME"], HERMES_HOME, "/tmp", "/dev/shm"),  # noqa: S108 (inside)
        *("/dev/null", "/dev/tty", "/dev/ptmx", "/dev/pts"),
    ),
)
_IMAGE = Note(
    "elsewhere",
    "Every path named must be in the sandbox's image: with one missing it does not start.",
    "Take out the runtime's own paths for an image that does not hold it.",
)
_MODELS = Note(
    "elsewhere",
    "Where the agent's model answers is no rule of it: Logos adds that when it makes the sandbox.",
    "Nothing to do here.",
)


def of_policy(policy: Policy) -> Compiled:
    """What an agent with this policy alone would be given. Invalid when it is too large for OpenShell."""
    try:
        rules = reaching.rules_in(policy)
    except Invalid as error:
        return compiled((), WALLS, closed=f"This policy cannot be used: {error.message}")
    made = compiled(rules, WALLS)
    return Compiled(made.document, (*made.notes, _IMAGE))


def of_agent(user: User, agent: Agent) -> Compiled:
    """What the agent would be given: its policies, its capabilities, its limits. Addresses that are secrets stay out.

    Raises Conflict when a policy of it is none that ``user`` may see: half a document would be another one."""
    held = Policy.objects.filter(agents=agent)
    if held.exclude(pk__in=permissions.visible(user, held).order_by().values("pk")).exists():
        raise Conflict(
            f"{agent.name} has a policy you may not see, so its document is not shown.",
            reason="hidden_policy",
            action="Ask whoever owns that policy to share it with you.",
        )
    reach = reaching.reach_of(agent)
    made = compiled(reaching.shown(reach.rules), WALLS, _limits(agent), reach.closed)
    return Compiled(made.document, (*made.notes, _IMAGE, _MODELS))


def _limits(agent: Agent) -> dict[str, str]:
    told = sandbox_limits.told(agent)
    return {each["label"]: f"{each['value']:,} {each['unit']}".strip() for each in told}
