"""Tiny families of models, pre-trained by the workflow itself."""
