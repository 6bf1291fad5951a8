"""What computes the sections for paper C. Each is loaded when its results are asked for."""
