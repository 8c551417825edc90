"""Contexts: those of training (``sampling``), and the frozen ones of evaluation and probes."""
