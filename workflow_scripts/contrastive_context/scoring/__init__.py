"""Scores of answers, segment by segment."""
