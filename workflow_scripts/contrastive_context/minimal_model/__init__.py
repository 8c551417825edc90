"""A minimal model of the mixture of in-context and in-weights learning, and its simulated training."""
