"""Work that lasts as long as the connection."""

from penstock.calls.talk import converse

__all__ = ["converse"]
