"""Compute the sections of paper A. A section loads its module when it needs it."""
