"""Tidy tables and their intervals, claims and their verdicts (``findings``), and what is missing."""
