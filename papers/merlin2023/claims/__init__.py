"""What paper A claims, one module a section."""
