"""Running SQL that a model wrote."""
