"""Fetching files from outside, pinned to the byte."""
