"""What computes the sections about the engine. Each is loaded when its results are asked for."""
