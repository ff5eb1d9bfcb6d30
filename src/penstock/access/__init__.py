"""Who may: keys, and how much at once."""

from penstock.access.keys import Keys
from penstock.access.limits import Limits

__all__ = ["Keys", "Limits"]
