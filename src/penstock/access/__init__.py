"""Who may: keys, groups, what they may be used for, and how much at once."""

from penstock.access.groups import Groups
from penstock.access.keys import Keys
from penstock.access.limits import Limits

__all__ = ["Groups", "Keys", "Limits"]
