"""The study's configuration: one typed model per registry, and the cross-checks between them."""
