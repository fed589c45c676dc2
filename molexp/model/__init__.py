"""Floor 1: the nouns as frozen values; no file, clock, environment or randomness in here."""
