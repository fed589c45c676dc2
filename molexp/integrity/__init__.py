"""Floor 3a: whether a workspace still is what was written."""
