"""Language models on disk and in memory, and their adapters."""
