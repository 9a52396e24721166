"""Encoders, losses, normalisation and checkpoints."""
