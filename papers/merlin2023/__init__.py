"""Paper A, Merlin, Nanda, Rawal and Toneva (2023): invariances before and after fine-tuning."""
