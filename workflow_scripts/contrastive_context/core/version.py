"""The package's version, where its own modules can read it without the names that the package exports."""

__version__ = "0.1.0"
