"""Floor 4: the handles that users hold; they own no rule, and delegate to the floors below."""
