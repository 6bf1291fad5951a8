"""Compute the sections about all three papers. A section loads its module when it needs it."""
