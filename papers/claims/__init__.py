"""What a claim is, how it is judged, and its tables."""
