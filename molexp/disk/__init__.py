"""Floor 2: what is on disk, and the only ways in which it is read and written."""
