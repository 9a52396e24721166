"""The files between stages: one module per kind of file, reader and writer side by side."""
