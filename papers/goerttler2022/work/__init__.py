"""Compute the sections of paper B. A section loads its module when it needs it."""
