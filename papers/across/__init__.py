"""Pages that hold the papers against one another."""
