"""What paper B claims, one module a section."""
