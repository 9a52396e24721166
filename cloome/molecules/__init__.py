"""The stage ``molecules``: from structures to molecules and fingerprints, from plates to the index, and the splits."""
