"""Claims of the papers: what a claim is, how it is judged, and tables of verdicts."""
