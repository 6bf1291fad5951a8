"""The sections of the book that are about all three papers."""
