"""Clients' face: one file per API that clients speak. The folder is the registry."""
