"""Operators' face: what commands do, and pages."""
