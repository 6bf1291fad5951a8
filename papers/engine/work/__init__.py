"""Compute the sections about the engine. A section loads its module when it needs it."""
