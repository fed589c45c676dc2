"""Floor 3a: what is captured of a run: what it prints and logs, its code, its environment."""
