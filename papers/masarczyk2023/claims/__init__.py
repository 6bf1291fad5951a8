"""What paper C claims, one module a section."""
