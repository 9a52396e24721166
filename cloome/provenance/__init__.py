"""Where results come from: the commands that made them, and the checksums of what they were made of."""
