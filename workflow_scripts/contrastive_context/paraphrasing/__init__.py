"""Synthetic pairs that are highly similar to a training example."""
