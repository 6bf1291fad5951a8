"""What computes the sections for paper B. Each is loaded when its results are asked for."""
