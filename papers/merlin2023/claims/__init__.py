"""Measures for the claims of paper A, one module for each section."""
