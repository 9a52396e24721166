"""Stage evaluate: every benchmark, baseline and control on one run's embeddings."""
