"""Paper B, Goerttler and Obermayer (2022): fine-tuning to labels without structure."""
