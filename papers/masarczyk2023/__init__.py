"""Paper C: Masarczyk, Trzciński and Ostaszewski (2023), features that erode."""
