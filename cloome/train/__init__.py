"""The stage train: contrastive training of the two encoders."""
