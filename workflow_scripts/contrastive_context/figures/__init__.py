"""The figures: similarity grid and probes over training."""
