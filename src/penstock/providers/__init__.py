"""Upstreams' face: one file per vendor. The folder is the registry."""
