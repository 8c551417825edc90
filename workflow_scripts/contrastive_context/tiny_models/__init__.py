"""Tiny decoders of known families that the workflow pre-trains itself: no hub and no GPU needed."""
