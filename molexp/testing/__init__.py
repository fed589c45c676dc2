"""Floor 8: what tries the promises, and ships, so that other storage code can be tried as well."""
