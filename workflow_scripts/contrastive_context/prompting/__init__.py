"""Prompts as token ids, and their batches."""
