"""Compute the sections of paper C. A section loads its module when it needs it."""
