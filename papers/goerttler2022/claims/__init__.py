"""Measures for the claims of paper B, one module for each section."""
