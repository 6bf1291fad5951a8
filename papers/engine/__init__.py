"""The sections about the engine itself: how far inversions get, and what a comparison costs."""
