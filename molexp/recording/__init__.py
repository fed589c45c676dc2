"""Floor 3b: a run while it is recorded; it needs no catalog, no server and no lock."""
