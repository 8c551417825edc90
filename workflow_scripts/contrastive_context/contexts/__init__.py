"""Frozen contexts of evaluation and probes."""
