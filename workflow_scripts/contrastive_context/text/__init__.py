"""Pure functions on strings: agreement and parses."""
