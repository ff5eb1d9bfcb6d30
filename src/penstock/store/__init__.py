"""The only SQL. One file per table family; `connection` says what a write is."""

from penstock.store.connection import Step, Store
from penstock.store.opening import DataLock, open_store

__all__ = ["DataLock", "Step", "Store", "open_store"]
