"""Tidy tables, intervals, findings and what is missing."""
