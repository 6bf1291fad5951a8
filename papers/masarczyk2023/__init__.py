"""Paper C, Masarczyk, Trzciński and Ostaszewski (2023): an easy task erodes learnt features."""
