"""The version of this package: cards and bundles name it, too."""

__version__ = "0.1.0"
