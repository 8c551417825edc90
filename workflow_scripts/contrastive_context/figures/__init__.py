"""The figures: summary, minimal model, similarity grid, probes over training, ablations."""
