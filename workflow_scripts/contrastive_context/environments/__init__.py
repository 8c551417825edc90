"""The exact locks in ``envs/``: bringing them up to date, auditing them, and whose work they name."""
