"""Measures for what was written down about the open questions, one module for each page."""
