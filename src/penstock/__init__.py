"""penstock: one base URL and one key for every model."""

__version__ = "0.1.0"
