"""What computes the sections for paper A. Each is loaded when its results are asked for."""
