"""What computes the sections across the papers. Each is loaded when its results are asked for."""
