"""Where: channels, how healthy they are, and the plan for one piece of work."""

from penstock.routing.aliases import Aliases
from penstock.routing.channels import SANDBOX, Channels, row_of
from penstock.routing.health import Health
from penstock.routing.planning import plan
from penstock.routing.providers import Providers

__all__ = ["SANDBOX", "Aliases", "Channels", "Health", "Providers", "plan", "row_of"]
