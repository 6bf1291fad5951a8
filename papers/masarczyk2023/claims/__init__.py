"""Measures for the claims of paper C, one module for each section."""
