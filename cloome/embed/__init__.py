"""The stage embed: embeddings of all images and molecules by a trained model."""
