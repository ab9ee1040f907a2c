"""Trained weights that come with the package, as data: ``importlib.resources`` finds them here."""
