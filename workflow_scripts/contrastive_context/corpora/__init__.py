"""Corpora: generators and readers that turn a source into rows of text."""
