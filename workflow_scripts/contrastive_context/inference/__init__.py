"""What a model answers, and how likely it finds a given answer."""
