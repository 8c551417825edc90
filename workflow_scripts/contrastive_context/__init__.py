"""Context sampling, probes and similarity-bucketed evaluation for in-context fine-tuning studies."""

__version__ = "0.1.0"
